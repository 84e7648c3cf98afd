/*
 * The buffer doubles its room as it grows, and always keeps one byte for the NUL behind its end.
 */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_deinit(struct buf *b)
{
	free(b->data);
	*b = (struct buf)BUF_INIT;
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	if (b->data)
		b->data[0] = 0;
}

struct err *buf_reserve(struct buf *b, size_t more)
{
	size_t need = b->len + more + 1;
	size_t cap = b->cap ? b->cap : 64;
	uint8_t *data;

	if (need < more)
		return err_nomem();
	if (need <= b->cap)
		return NULL;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	data = realloc(b->data, cap);
	if (!data)
		return err_nomem();
	b->data = data;
	b->cap = cap;
	return NULL;
}

struct err *buf_add(struct buf *b, const void *data, size_t len)
{
	TRY(buf_reserve(b, len));
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = 0;
	return NULL;
}

struct err *buf_addstr(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

struct err *buf_addf(struct buf *b, const char *fmt, ...)
{
	struct err *err;
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		return err_nomem();
	err = buf_add(b, s, (size_t)n);
	free(s);
	return err;
}
