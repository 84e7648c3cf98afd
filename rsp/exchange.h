/*
 * Exchanges with a stub: a packet goes out, its reply comes in.  Nothing here knows of processes,
 * threads or stops.
 *
 * Replies come in the order in which the packets went out, so that several may be under way: each
 * exchange_send() is followed by one exchange_next(), sooner or later.
 */
#ifndef GRF_RSP_EXCHANGE_H
#define GRF_RSP_EXCHANGE_H

#include "base/buf.h"
#include "base/err.h"
#include "rsp/conn.h"

struct exchange {
	struct conn *conn; /* owned */
	unsigned owed;     /* replies under way */
	bool lost;         /* an error cut a reply short: what the stub says next is not known */
	struct buf reply;  /* the last exchange_next()'s, runs spelled out, NUL-terminated */
	/* Questions that were sent ahead and not asked yet, each NUL-terminated. */
	struct buf ahead;
	size_t ahead_pos; /* of the first of them */
};

/* Closes the connection. */
void exchange_deinit(struct exchange *x);

/* One packet out. */
ERR_MUST_CHECK struct err *exchange_send(struct exchange *x, const char *fmt, ...) ERR_PRINTF(2, 3);
ERR_MUST_CHECK struct err *exchange_send_bytes(struct exchange *x, const void *payload, size_t len);
/* The next reply as it is on the wire; it stays valid until the next call. */
ERR_MUST_CHECK struct err *exchange_next_raw(struct exchange *x, const uint8_t **p, size_t *len);
/* The next reply, into x->reply. */
ERR_MUST_CHECK struct err *exchange_next(struct exchange *x);
/* One packet out, its reply into x->reply. */
ERR_MUST_CHECK struct err *exchange_command(struct exchange *x, const char *fmt, ...)
	ERR_PRINTF(2, 3);

/*
 * Sends a question before its turn.  Whoever asks in turn need not know: exchange_send() of the
 * same packet finds that it is out, and the next reply is the answer.  Questions must be asked in
 * the order in which they were sent ahead: the replies to those that are left out are dropped.
 */
ERR_MUST_CHECK struct err *exchange_send_ahead(struct exchange *x, const char *fmt, ...)
	ERR_PRINTF(2, 3);
/* Nobody will ask any more what was sent ahead. */
void exchange_forget_ahead(struct exchange *x);

/*
 * Finds the place in the stream of replies again, if an error left it in the middle: asks what is
 * answered like no other question, and drops all replies before that.
 */
ERR_MUST_CHECK struct err *exchange_resync(struct exchange *x);

/* x->reply as a string. */
static inline const char *exchange_text(const struct exchange *x)
{
	return (const char *)x->reply.data;
}

bool exchange_is(const struct exchange *x, const char *text);
/* x->reply is an error. */
bool exchange_refused(const struct exchange *x);
/* What the form of x->reply says: ERR_REMOTE for an error, ERR_UNSUPPORTED for an empty reply, else
 * NULL.  what: what was asked for. */
ERR_MUST_CHECK struct err *exchange_check(const struct exchange *x, const char *what);
/* E01 or E.text, and nothing else: no hex data looks like it. */
bool exchange_is_error(const uint8_t *p, size_t len);

#endif
