/* How JSON is written: commas, and strings with what JSON wants escaped. */
#include "output/json_writer.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "output/internal.h"

void json_init(struct json *j, FILE *f)
{
	*j = (struct json){ .f = f };
}

void json_deinit(struct json *j)
{
	buf_deinit(&j->text);
}

static void json_key(struct json *j, const char *key)
{
	if (j->comma[j->depth])
		putc(',', j->f);
	j->comma[j->depth] = true;
	if (j->line)
		putc('\n', j->f);
	j->line = false;
	/* keys are ours: they need no escapes */
	if (key)
		fprintf(j->f, "\"%s\":", key);
}

static void json_open(struct json *j, const char *key, char c)
{
	json_key(j, key);
	putc(c, j->f);
	assert(j->depth + 1 < JSON_DEPTH);
	j->comma[++j->depth] = false;
}

void json_object(struct json *j, const char *key)
{
	json_open(j, key, '{');
}

void json_array(struct json *j, const char *key)
{
	json_open(j, key, '[');
}

void json_object_end(struct json *j)
{
	putc('}', j->f);
	j->depth--;
}

void json_array_end(struct json *j)
{
	putc(']', j->f);
	j->depth--;
}

void json_uint(struct json *j, const char *key, uint64_t v)
{
	json_key(j, key);
	fprintf(j->f, "%" PRIu64, v);
}

void json_int(struct json *j, const char *key, int64_t v)
{
	json_key(j, key);
	fprintf(j->f, "%" PRId64, v);
}

void json_bool(struct json *j, const char *key, bool v)
{
	json_key(j, key);
	fputs(v ? "true" : "false", j->f);
}

void json_double(struct json *j, const char *key, double v)
{
	json_key(j, key);
	fprintf(j->f, "%.6f", v);
}

struct err *json_string(struct json *j, const char *key, const char *s)
{
	json_key(j, key);
	if (!s) {
		fputs("null", j->f);
		return NULL;
	}
	buf_reset(&j->text);
	TRY(text_add_clean(&j->text, s, false)); /* leaves no control characters */
	putc('"', j->f);
	for (const uint8_t *c = j->text.data; *c; c++) {
		if (*c == '"' || *c == '\\')
			putc('\\', j->f);
		putc(*c, j->f);
	}
	putc('"', j->f);
	return NULL;
}

void json_line(struct json *j)
{
	j->line = true;
}

struct err *json_finish(struct json *j)
{
	putc('\n', j->f);
	return fflush(j->f) || ferror(j->f) ? err_os(errno, "write") : NULL;
}

struct err *json_add_code_line(struct json *j, const char *key, const struct code_line *at)
{
	json_object(j, key);
	TRY(json_string(j, "function", at->function));
	if (at->file) {
		TRY(json_string(j, "file", at->file));
		json_uint(j, "line", at->line);
	}
	json_object_end(j);
	return NULL;
}
