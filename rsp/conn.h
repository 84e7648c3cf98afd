/*
 * One connection to a stub: bytes out and packets in, with deadlines.
 *
 * A wait ends with ERR_TIMEOUT when a reply is not whole after timeout_ms, whatever else came
 * meanwhile, ERR_CLOSED when the other end hangs up (never SIGPIPE), ERR_INTR when a signal asked
 * us to stop.
 *
 * Acknowledgements are sent glued to the next packet, exactly one per reply: QEMU's user mode reads
 * one byte after a reply, and repeats the reply unless that byte is '+'.
 */
#ifndef GRF_RSP_CONN_H
#define GRF_RSP_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "rsp/dial.h"
#include "rsp/packet.h"

enum {
	CONN_TIMEOUT_MS = 30000,        /* default */
	CONN_LAST_WORDS_MS = 2000,      /* silence that ends the way out */
	CONN_LAST_WORDS_ALL_MS = 10000, /* all of the way out */
	/* of one that was silent before: the process may be stopped all the while */
	CONN_SILENT_MS = 500,
};

struct guardian_state;

struct conn {
	char *name; /* the target as the user wrote it */
	int fd;
	pid_t child; /* as dial() gave it */
	int timeout_ms;
	bool no_ack;
	bool ack_owed; /* it goes out with the next packet */
	bool dead;     /* hung up, or broken beyond use */
	bool patient;  /* silence is no error: the debuggee runs */
	bool silent;   /* it was so for timeout_ms */
	bool spoken;   /* one good packet came: it is a stub */
	bool last_words;
	int64_t last_deadline;  /* ns, with last_words */
	int64_t reply_deadline; /* ns, of the reply that is awaited */
	unsigned naks;          /* retransmissions in a row */
	size_t junk;            /* bytes outside packets since the last packet */
	unsigned notes;         /* notifications since the last packet */
	char greeting[64];      /* the first of those bytes, printable */
	uint8_t *rx;
	size_t rx_cap, rx_pos, rx_len;
	struct packet_scan scan;
	struct buf tx;   /* queued */
	struct buf last; /* what was sent last, for a NAK; only with acks */
	uint64_t packets_out, packets_in, bytes_out, bytes_in;
	struct guardian_state *shared; /* NULL: no guardian; told while bytes are under way */
};

/* Connects (rsp/dial.h); timeout_ms is how long a reply may take. */
ERR_MUST_CHECK struct err *conn_create(const char *target, int timeout_ms, dial_watch watch,
				       void *arg, struct conn **ret);
/* Closes, and sees a `| COMMAND` to its end.  NULL is fine. */
void conn_destroy(struct conn *c);

/* Queues a packet; it leaves with the next flush or wait. */
ERR_MUST_CHECK struct err *conn_queue(struct conn *c, const void *payload, size_t len);
ERR_MUST_CHECK struct err *conn_flush(struct conn *c);
/* One bare byte, now. */
ERR_MUST_CHECK struct err *conn_send_byte(struct conn *c, uint8_t byte);

/*
 * The next reply; queued packets are sent first.  The payload is as on the wire (runs,
 * escapes) and lies in the connection's buffer until the next call.
 */
ERR_MUST_CHECK struct err *conn_recv(struct conn *c, const uint8_t **payload, size_t *len);

/* No acknowledgements from here on; the reply that agreed to it still gets its own. */
ERR_MUST_CHECK struct err *conn_set_no_ack(struct conn *c);

/* An acknowledgement still owed is sent on its own (before a long silence). */
void conn_settle_ack(struct conn *c);

/* Enters the way out: from now on no interrupt counts, and everything is over soon. */
void conn_last_words(struct conn *c);

#endif
