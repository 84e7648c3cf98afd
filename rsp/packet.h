/*
 * The protocol's packets as pure functions: no I/O, no state but where a search left off.
 *
 *	$PAYLOAD#cs	a packet; cs: the payload's bytes added up modulo 256, two hex digits
 *	%PAYLOAD#cs	a notification, which nobody asked for
 *	+ -		acknowledgements
 *	}X		in a payload: the byte X ^ 0x20 (binary data only)
 *	C*N		in a reply: C and N - 29 more of it (run-length coding)
 *
 * '#' and '$' occur in a payload neither as data (they are escaped) nor as a count, so
 * a packet's end can be searched for without decoding it.
 *
 * Source: gdb's manual, "Remote Protocol: Overview".
 */
#ifndef GRF_RSP_PACKET_H
#define GRF_RSP_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { PACKET_INTERRUPT = 0x03 }; /* a byte of its own: stops what runs */

enum packet_kind {
	PACKET_NONE,     /* more bytes are needed */
	PACKET_REPLY,    /* $...#cs */
	PACKET_NOTE,     /* %...#cs */
	PACKET_ACK,      /* + */
	PACKET_NAK,      /* - */
	PACKET_JUNK,     /* bytes that belong to no packet */
	PACKET_CORRUPT,  /* a packet whose checksum is wrong */
	PACKET_OVERSIZE, /* over LIMIT_PACKET and no end in sight */
};

struct packet {
	enum packet_kind kind;
	const uint8_t *data; /* the payload as it is on the wire, or the junk */
	size_t len;
	size_t used; /* bytes of the input that are done with */
};

/* Where the search for '#' left off, so that bytes are looked at once however they arrive. */
struct packet_scan {
	size_t seen;
};

/*
 * The first packet of p[0, len).  After PACKET_NONE call again with the same bytes and
 * more behind them; after anything else drop `used` bytes first.
 */
void packet_next(struct packet_scan *s, const uint8_t *p, size_t len, struct packet *ret);

uint8_t packet_sum(const uint8_t *p, size_t len);

/* Appends $PAYLOAD#cs; the payload is escaped already where it must be. */
ERR_MUST_CHECK struct err *packet_frame(struct buf *out, const void *payload, size_t len);

/* Appends the payload with its runs spelled out, escapes left as they are. */
ERR_MUST_CHECK struct err *packet_expand(const uint8_t *p, size_t len, struct buf *out);

/*
 * Straight from the wire to memory: runs, and hex digits or escapes, in one pass.  *got
 * gets the number of bytes; more than cap is ERR_PROTO: the stub sent more than was asked for.
 */
ERR_MUST_CHECK struct err *packet_decode_hex(const uint8_t *p, size_t len, uint8_t *dst, size_t cap,
					     size_t *got);
ERR_MUST_CHECK struct err *packet_decode_binary(const uint8_t *p, size_t len, uint8_t *dst,
						size_t cap, size_t *got);

/* The value of a hex digit, -1 for any other byte. */
int packet_hexval(uint8_t c);

/* Two of them at p, most significant first; -1 if they are not. */
int packet_hexbyte(const void *p);
/* A number in hex digits at *s, which is moved past them; false: none, or over 64 bits. */
bool packet_number(const char **s, uint64_t *ret);

/* Appends data as hex digits. */
ERR_MUST_CHECK struct err *packet_hex(struct buf *out, const void *data, size_t len);

#endif
