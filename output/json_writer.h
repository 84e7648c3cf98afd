/*
 * A small writer of JSON (RFC 8259), straight to the file: it remembers how deep it is, and no
 * more.  In an object each value has its key; in an array the key is NULL.  Strings of the target
 * are made valid UTF-8 first; errors of writing are looked for at the end.
 */
#ifndef GRF_OUTPUT_JSON_WRITER_H
#define GRF_OUTPUT_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "heap/profile/code_lines.h"

enum { JSON_DEPTH = 16 };

struct json {
	FILE *f;
	unsigned depth;
	bool comma[JSON_DEPTH]; /* something was written at this depth */
	bool line;              /* the next value begins a line */
	struct buf text;
};

void json_init(struct json *j, FILE *f);
void json_deinit(struct json *j);

void json_object(struct json *j, const char *key);
void json_array(struct json *j, const char *key);
void json_object_end(struct json *j);
void json_array_end(struct json *j);

void json_uint(struct json *j, const char *key, uint64_t v);
void json_int(struct json *j, const char *key, int64_t v);
void json_bool(struct json *j, const char *key, bool v);
/* To six digits. */
void json_double(struct json *j, const char *key, double v);
/* NULL is null. */
ERR_MUST_CHECK struct err *json_string(struct json *j, const char *key, const char *s);

/* {function, file, line}; the last two where they are known. */
ERR_MUST_CHECK struct err *json_add_code_line(struct json *j, const char *key,
					      const struct code_line *at);

/* A line break before the next value, so that long arrays are lines. */
void json_line(struct json *j);

/* Ends the file with a line break; what could not be written is an error. */
ERR_MUST_CHECK struct err *json_finish(struct json *j);

#endif
