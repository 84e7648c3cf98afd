/*
 * A stream for a page's data: what is written to it is deflated (zlib's format, RFC 1950), then
 * written as base64 (RFC 4648) to the page, a piece at a time, so that memory does not grow with
 * the data.  Base64 has no character that means anything in HTML, so nothing needs an escape.
 */
#include "output/html_pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Bytes of a line: in base64 4096 characters, so that editors can open the page. */
enum { LINE = 3072 };

struct pack {
	FILE *to;
	z_stream z;
	uint8_t line[LINE];
};

/* Writes what is in the line; only the last line's length may be no multiple of 3. */
static bool put_line(struct pack *k, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789+/";

	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)k->line[i] << 16 |
			     (i + 1 < n ? (uint32_t)k->line[i + 1] << 8 : 0) |
			     (i + 2 < n ? k->line[i + 2] : 0);

		putc(digits[v >> 18], k->to);
		putc(digits[v >> 12 & 63], k->to);
		putc(i + 1 < n ? digits[v >> 6 & 63] : '=', k->to);
		putc(i + 2 < n ? digits[v & 63] : '=', k->to);
	}
	putc('\n', k->to);
	return !ferror(k->to);
}

/* Deflates what zlib was given; false: it could not be written. */
static bool pump(struct pack *k, int flush)
{
	int rc;

	do {
		rc = deflate(&k->z, flush);
		if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
			return false;
		if (k->z.avail_out && rc != Z_STREAM_END)
			continue;
		if (!put_line(k, LINE - k->z.avail_out))
			return false;
		k->z.next_out = k->line;
		k->z.avail_out = LINE;
	} while (k->z.avail_in || (flush == Z_FINISH && rc != Z_STREAM_END));
	return true;
}

static ssize_t pack_write(void *cookie, const char *data, size_t n)
{
	struct pack *k = cookie;

	k->z.next_in = (Bytef *)(uintptr_t)data;
	k->z.avail_in = (uInt)n;
	return pump(k, Z_NO_FLUSH) ? (ssize_t)n : 0;
}

static int pack_close(void *cookie)
{
	struct pack *k = cookie;
	bool ok = pump(k, Z_FINISH);

	deflateEnd(&k->z);
	free(k);
	if (ok)
		return 0;
	if (!errno)
		errno = EIO;
	return -1;
}

struct err *html_pack_open(FILE *to, FILE **ret)
{
	cookie_io_functions_t io = { .write = pack_write, .close = pack_close };
	struct pack *k = calloc(1, sizeof(*k));

	if (!k)
		return err_nomem();
	k->to = to;
	if (deflateInit(&k->z, Z_BEST_COMPRESSION) != Z_OK) {
		free(k);
		return err_nomem();
	}
	k->z.next_out = k->line;
	k->z.avail_out = LINE;
	*ret = fopencookie(k, "w", io);
	if (*ret)
		return NULL;
	deflateEnd(&k->z);
	free(k);
	return err_nomem();
}
