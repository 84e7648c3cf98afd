/*
 * The bytes of an HPROF file: big-endian records, in which a dump's parts are put together in
 * segments, all of it gzipped on the way if that is wanted.  ids are 8 bytes.
 *
 * Source: the format's description in OpenJDK's heapDumper.cpp, "JAVA PROFILE 1.0.2".
 */
#ifndef GRF_OUTPUT_HPROF_WRITER_H
#define GRF_OUTPUT_HPROF_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/err.h"

enum hprof_tag {
	HPROF_UTF8 = 0x01,
	HPROF_LOAD_CLASS = 0x02,
	HPROF_FRAME = 0x04,
	HPROF_TRACE = 0x05,
	HPROF_SEGMENT = 0x1c,
	HPROF_END = 0x2c,
	/* parts of segments */
	HPROF_ROOT_FRAME = 0x03,
	HPROF_ROOT_CLASS = 0x05,
	HPROF_ROOT_THREAD = 0x08,
	HPROF_CLASS = 0x20,
	HPROF_INSTANCE = 0x21,
	HPROF_OBJECTS = 0x22,
	HPROF_PRIMITIVES = 0x23,
};

enum hprof_type {
	HPROF_OBJECT = 2,
	HPROF_BOOLEAN = 4,
	HPROF_CHAR = 5,
	HPROF_FLOAT = 6,
	HPROF_DOUBLE = 7,
	HPROF_BYTE = 8,
	HPROF_SHORT = 9,
	HPROF_INT = 10,
	HPROF_LONG = 11,
};

struct hprof_writer {
	FILE *f;
	bool gzip;
	z_stream z;
	struct buf b; /* the record, or the segment, that is being made */
	uint8_t out[1 << 16];
};

ERR_MUST_CHECK struct err *hprof_writer_init(struct hprof_writer *w, FILE *f, bool gzip);
void hprof_writer_deinit(struct hprof_writer *w);

/* Add to the record. */
ERR_MUST_CHECK struct err *hprof_u1(struct hprof_writer *w, uint8_t v);
ERR_MUST_CHECK struct err *hprof_u2(struct hprof_writer *w, uint16_t v);
ERR_MUST_CHECK struct err *hprof_u4(struct hprof_writer *w, uint32_t v);
ERR_MUST_CHECK struct err *hprof_u8(struct hprof_writer *w, uint64_t v);

/* Writes the bytes that were added as a record of this tag. */
ERR_MUST_CHECK struct err *hprof_record(struct hprof_writer *w, enum hprof_tag tag);
/* A part of the dump is complete: writes a segment if there is enough for one, or now. */
ERR_MUST_CHECK struct err *hprof_part(struct hprof_writer *w, bool now);
/* What was added since the last segment, with so many bytes that come by hprof_stream(), is a
 * segment.  ERR_LIMIT: more than 4 GiB. */
ERR_MUST_CHECK struct err *hprof_long_part(struct hprof_writer *w, uint64_t more);
ERR_MUST_CHECK struct err *hprof_stream(struct hprof_writer *w, const void *data, size_t len);

ERR_MUST_CHECK struct err *hprof_finish(struct hprof_writer *w);

#endif
