/*
 * A growable byte buffer.  Once something was added, a NUL stands behind the last byte, so that
 * `data` can be used as a string.
 */
#ifndef GRF_BASE_BUF_H
#define GRF_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct buf {
	uint8_t *data;
	size_t len;
	size_t cap;
};

#define BUF_INIT           \
	{                  \
		NULL, 0, 0 \
	}

void buf_deinit(struct buf *b);
void buf_reset(struct buf *b); /* empties it and keeps the memory */

/* Makes room for `more` bytes behind len, and for the NUL. */
ERR_MUST_CHECK struct err *buf_reserve(struct buf *b, size_t more);
ERR_MUST_CHECK struct err *buf_add(struct buf *b, const void *data, size_t len);
ERR_MUST_CHECK struct err *buf_addstr(struct buf *b, const char *s);
ERR_MUST_CHECK struct err *buf_addf(struct buf *b, const char *fmt, ...) ERR_PRINTF(2, 3);

#define _cleanup_buf_ __attribute__((cleanup(buf_deinit)))

#endif
