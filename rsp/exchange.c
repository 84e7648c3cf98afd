/*
 * What was sent and not answered yet is counted, so that the way out knows whether the stream of
 * replies is in order.  Packets sent ahead are remembered by their text, and found by it.
 */
#include "rsp/exchange.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "rsp/features.h"

enum { RESYNC_DAMAGED = 1000 }; /* so many damaged packets are skipped in search of the place */

void exchange_deinit(struct exchange *x)
{
	conn_destroy(x->conn);
	buf_deinit(&x->reply);
	buf_deinit(&x->ahead);
}

/* ------------------------------------------------------------------ replies */

struct err *exchange_next_raw(struct exchange *x, const uint8_t **p, size_t *len)
{
	struct err *err = conn_recv(x->conn, p, len);

	if (err)
		x->lost = true;
	else if (x->owed)
		x->owed--;
	return err;
}

struct err *exchange_next(struct exchange *x)
{
	const uint8_t *p;
	size_t len;

	TRY(exchange_next_raw(x, &p, &len));
	buf_reset(&x->reply);
	TRY(buf_reserve(&x->reply, 0)); /* an empty reply is a string, too */
	x->reply.data[0] = 0;
	return packet_expand(p, len, &x->reply);
}

bool exchange_is(const struct exchange *x, const char *text)
{
	return !strcmp(exchange_text(x), text);
}

bool exchange_is_error(const uint8_t *p, size_t len)
{
	if (!len || p[0] != 'E')
		return false;
	return (len == 3 && packet_hexbyte(p + 1) >= 0) || (len > 1 && p[1] == '.');
}

bool exchange_refused(const struct exchange *x)
{
	return exchange_is_error(x->reply.data, x->reply.len);
}

struct err *exchange_check(const struct exchange *x, const char *what)
{
	if (!x->reply.len)
		return err_create(ERR_UNSUPPORTED, "the stub does not know %s", what);
	if (exchange_refused(x))
		return err_create(ERR_REMOTE, "the stub refuses %s (%.80s)", what,
				  exchange_text(x));
	return NULL;
}

/* ------------------------------------------------------------------ questions sent ahead */

void exchange_forget_ahead(struct exchange *x)
{
	buf_reset(&x->ahead);
	x->ahead_pos = 0;
}

struct err *exchange_send_ahead(struct exchange *x, const char *fmt, ...)
{
	char text[128];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		return NULL;
	TRY(conn_queue(x->conn, text, (size_t)n));
	x->owed++;
	return buf_add(&x->ahead, text, (size_t)n + 1);
}

/* Was this packet sent ahead?  Then the next reply is its. */
static struct err *find_ahead(struct exchange *x, const void *payload, size_t len, bool *ret)
{
	size_t pos = x->ahead_pos;
	unsigned skipped = 0;
	bool found = false;

	while (pos < x->ahead.len && !found) {
		const char *text = (const char *)x->ahead.data + pos;
		size_t n = strlen(text);

		found = n == len && !memcmp(text, payload, len);
		skipped += !found;
		pos += n + 1;
	}
	if (found)
		x->ahead_pos = pos;
	else
		exchange_forget_ahead(x);
	while (skipped--) {
		const uint8_t *p;
		size_t n;

		TRY(exchange_next_raw(x, &p, &n));
	}
	*ret = found;
	return NULL;
}

/* ------------------------------------------------------------------ packets out */

struct err *exchange_send_bytes(struct exchange *x, const void *payload, size_t len)
{
	bool found = false;

	if (x->ahead.len)
		TRY(find_ahead(x, payload, len, &found));
	if (found)
		return NULL;
	TRY(conn_queue(x->conn, payload, len));
	x->owed++;
	return NULL;
}

static struct err *vsend(struct exchange *x, const char *fmt, va_list ap)
{
	_cleanup_free_ char *large = NULL;
	char small[128];
	va_list copy;
	int n;

	va_copy(copy, ap);
	n = vsnprintf(small, sizeof(small), fmt, copy);
	va_end(copy);
	if (n < 0)
		return err_nomem();
	if ((size_t)n < sizeof(small))
		return exchange_send_bytes(x, small, (size_t)n);
	n = vasprintf(&large, fmt, ap);
	if (n < 0) {
		large = NULL;
		return err_nomem();
	}
	return exchange_send_bytes(x, large, (size_t)n);
}

struct err *exchange_send(struct exchange *x, const char *fmt, ...)
{
	struct err *err;
	va_list ap;

	va_start(ap, fmt);
	err = vsend(x, fmt, ap);
	va_end(ap);
	return err;
}

struct err *exchange_command(struct exchange *x, const char *fmt, ...)
{
	struct err *err;
	va_list ap;

	va_start(ap, fmt);
	err = vsend(x, fmt, ap);
	va_end(ap);
	return err ? err : exchange_next(x);
}

struct err *exchange_resync(struct exchange *x)
{
	const uint8_t *p;
	size_t len;

	if (!x->owed && !x->lost)
		return NULL;
	exchange_forget_ahead(x);
	TRY(exchange_send(x, "%s", FEATURES_QUERY));
	for (int damaged = 0;;) {
		struct err *err = conn_recv(x->conn, &p, &len);

		if (!err && memmem(p, len, FEATURES_REPLY, strlen(FEATURES_REPLY)))
			break;
		if (err && !x->conn->dead && damaged < RESYNC_DAMAGED && err_catch(&err, ERR_PROTO))
			damaged++;
		TRY(err);
	}
	x->owed = 0;
	x->lost = false;
	return NULL;
}
