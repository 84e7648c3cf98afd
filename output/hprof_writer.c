/*
 * Records are made in a buffer, as their length stands before them; of a dump so many parts as make
 * a segment of a megabyte.  A part that is larger is a segment of its own, whose bytes go straight
 * on.
 */
#include "output/hprof_writer.h"

#include <errno.h>
#include <string.h>

enum { SEGMENT = 1 << 20, GZIP_LEVEL = 1, GZIP_WINDOW = 15 + 16 /* with gzip's header */ };

struct err *hprof_writer_init(struct hprof_writer *w, FILE *f, bool gzip)
{
	static const char magic[] = "JAVA PROFILE 1.0.2";

	w->f = f;
	w->gzip = gzip;
	if (gzip && deflateInit2(&w->z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8,
				 Z_DEFAULT_STRATEGY) != Z_OK) {
		w->gzip = false;
		return err_nomem();
	}
	return hprof_stream(w, magic, sizeof(magic));
}

void hprof_writer_deinit(struct hprof_writer *w)
{
	if (w->gzip)
		deflateEnd(&w->z);
	buf_deinit(&w->b);
}

static struct err *write_out(struct hprof_writer *w, const void *data, size_t len)
{
	return fwrite(data, 1, len, w->f) == len ? NULL : err_os(errno, "write");
}

static struct err *compress_out(struct hprof_writer *w, const void *data, size_t len, int flush)
{
	int rc = Z_OK;

	w->z.next_in = (void *)(uintptr_t)data;
	w->z.avail_in = (uInt)len;
	do {
		w->z.next_out = w->out;
		w->z.avail_out = sizeof(w->out);
		rc = deflate(&w->z, flush);
		TRY(write_out(w, w->out, sizeof(w->out) - w->z.avail_out));
	} while (w->z.avail_in || !w->z.avail_out || (flush == Z_FINISH && rc != Z_STREAM_END));
	return NULL;
}

struct err *hprof_stream(struct hprof_writer *w, const void *data, size_t len)
{
	return w->gzip ? compress_out(w, data, len, Z_NO_FLUSH) : write_out(w, data, len);
}

static struct err *add(struct hprof_writer *w, uint64_t v, unsigned bytes)
{
	uint8_t b[8];

	for (unsigned i = 0; i < bytes; i++)
		b[i] = (uint8_t)(v >> 8 * (bytes - 1 - i));
	return buf_add(&w->b, b, bytes);
}

struct err *hprof_u1(struct hprof_writer *w, uint8_t v)
{
	return add(w, v, 1);
}

struct err *hprof_u2(struct hprof_writer *w, uint16_t v)
{
	return add(w, v, 2);
}

struct err *hprof_u4(struct hprof_writer *w, uint32_t v)
{
	return add(w, v, 4);
}

struct err *hprof_u8(struct hprof_writer *w, uint64_t v)
{
	return add(w, v, 8);
}

/* A record's head: its tag, a time that nobody reads, the length of what follows. */
static struct err *record_begin(struct hprof_writer *w, enum hprof_tag tag, uint64_t len)
{
	const uint8_t head[] = { (uint8_t)tag,
				 0,
				 0,
				 0,
				 0,
				 (uint8_t)(len >> 24),
				 (uint8_t)(len >> 16),
				 (uint8_t)(len >> 8),
				 (uint8_t)len };

	if (len > UINT32_MAX)
		return err_create(ERR_LIMIT,
				  "an object is larger than the 4 GiB that a segment of HPROF has "
				  "room for");
	return hprof_stream(w, head, sizeof(head));
}

struct err *hprof_record(struct hprof_writer *w, enum hprof_tag tag)
{
	TRY(record_begin(w, tag, w->b.len));
	TRY(hprof_stream(w, w->b.data, w->b.len));
	buf_reset(&w->b);
	return NULL;
}

struct err *hprof_part(struct hprof_writer *w, bool now)
{
	return w->b.len >= SEGMENT || (now && w->b.len) ? hprof_record(w, HPROF_SEGMENT) : NULL;
}

struct err *hprof_long_part(struct hprof_writer *w, uint64_t more)
{
	TRY(record_begin(w, HPROF_SEGMENT, w->b.len + more));
	TRY(hprof_stream(w, w->b.data, w->b.len));
	buf_reset(&w->b);
	return NULL;
}

struct err *hprof_finish(struct hprof_writer *w)
{
	TRY(hprof_record(w, HPROF_END));
	if (w->gzip)
		TRY(compress_out(w, NULL, 0, Z_FINISH));
	return fflush(w->f) || ferror(w->f) ? err_os(errno, "write") : NULL;
}
