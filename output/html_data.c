/*
 * What a page shows, as JSON: the report as in *.json, the terminal's words for it, and two trees,
 * that of paths and that of owners.  A tree is columns, an array for each member of a node, and
 * frames are numbers in one list of strings: half a million numbers are small when they are packed,
 * and quickly read.  output/html/data.mjs reads it.
 */
#include "output/html_data.h"

#include <string.h>

#include "base/intr.h"
#include "output/internal.h"
#include "output/json_writer.h"

/* Both trees' frames. */
struct frames {
	struct strtab all;
	const struct code_lines *lines;
};

/* The text's lines, without the blanks that they begin with. */
static struct err *add_lines(struct json *j, const char *key, const struct buf *text)
{
	_cleanup_buf_ struct buf line = BUF_INIT;
	const char *s = text->len ? (const char *)text->data : "";

	json_array(j, key);
	while (*s) {
		size_t n;

		s += strspn(s, " \n");
		n = strcspn(s, "\n");
		buf_reset(&line);
		TRY(buf_add(&line, s, n));
		if (n)
			TRY(json_string(j, NULL, (const char *)line.data));
		s += n;
	}
	json_array_end(j);
	return NULL;
}

typedef struct err *add_fn(struct buf *b, const struct report *r);

static struct err *add_text(struct json *j, const char *key, add_fn *add, const struct report *r)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	TRY(add(&b, r));
	return add_lines(j, key, &b);
}

/* What the terminal says, so that the page says it in the same words. */
static struct err *add_words(struct json *j, const struct report *r)
{
	json_object(j, "words");
	json_array(j, "suspects");
	for (size_t i = 0; i < r->graph.suspects.n; i++) {
		_cleanup_buf_ struct buf b = BUF_INIT;

		TRY(verdict_add_suspect(&b, r, i));
		TRY(add_lines(j, NULL, &b));
	}
	json_array_end(j);
	TRY(add_text(j, "coverage", text_add_coverage_short, r));
	TRY(add_text(j, "memory", memory_add_short, r));
	TRY(add_text(j, "outside", outside_add, r));
	TRY(add_text(j, "stop", summary_add_stop, r));
	json_object_end(j);
	return json_string(j, "version", GRF_VERSION);
}

enum column { UP, FRAME, BYTES, OBJECTS, RETAINED, INSTANCES };

static struct err *add_column(struct json *j, const char *key, const struct profile *p,
			      const uint32_t *frames, enum column column)
{
	json_line(j);
	json_array(j, key);
	for (size_t i = 1; i < p->nodes.n; i++) {
		const struct profile_node *v = &p->nodes.v[i];

		if (i % NODES_PER_CHECK == 0)
			TRY(intr_check());
		json_uint(j, NULL,
			  column == UP       ? i - v->parent :
			  column == FRAME    ? frames[v->frame] - 1 :
			  column == BYTES    ? v->bytes :
			  column == OBJECTS  ? v->objects :
			  column == RETAINED ? (i < p->more.n ? p->more.v[i].retained : 0) :
					       (i < p->more.n ? p->more.v[i].instances : 0));
	}
	json_array_end(j);
	return NULL;
}

/* Numbers the tree's frames; *ret: by the tree's own numbers, from 1 on. */
static struct err *number_frames(struct frames *f, const struct profile *p, uint32_t **ret)
{
	_cleanup_free_ uint32_t *of = calloc((size_t)p->frames.n + 1, sizeof(*of));

	if (!of)
		return err_nomem();
	for (size_t i = 1; i < p->nodes.n; i++) {
		uint32_t frame = p->nodes.v[i].frame;

		if (of[frame])
			continue;
		TRY(strtab_add(&f->all, p->frames.str[frame], &of[frame]));
		of[frame]++;
	}
	*ret = TAKE_PTR(of);
	return NULL;
}

static struct err *add_tree(struct json *j, const char *key, const struct profile *p,
			    struct frames *f, bool owners)
{
	_cleanup_free_ uint32_t *frames = NULL;

	TRY(number_frames(f, p, &frames));
	json_line(j);
	json_object(j, key);
	TRY(add_column(j, "up", p, frames, UP));
	TRY(add_column(j, "frame", p, frames, FRAME));
	TRY(add_column(j, "bytes", p, frames, BYTES));
	TRY(add_column(j, "objects", p, frames, OBJECTS));
	if (!owners && p->more.n)
		TRY(add_column(j, "retained", p, frames, RETAINED));
	if (owners)
		TRY(add_column(j, "instances", p, frames, INSTANCES));
	json_object_end(j);
	return NULL;
}

/* The frames, and where those that name functions are. */
static struct err *add_frames(struct json *j, const struct frames *f)
{
	json_line(j);
	json_array(j, "frames");
	for (uint32_t i = 0; i < f->all.n; i++)
		TRY(json_string(j, NULL, f->all.str[i]));
	json_array_end(j);
	json_line(j);
	json_array(j, "places");
	for (uint32_t i = 0; i < f->all.n; i++) {
		const struct code_line *at = code_lines_find(f->lines, f->all.str[i]);

		if (!at || !at->file)
			continue;
		json_array(j, NULL);
		json_uint(j, NULL, i);
		TRY(json_string(j, NULL, at->file));
		json_uint(j, NULL, at->line);
		json_array_end(j);
	}
	json_array_end(j);
	return NULL;
}

static struct err *add_all(struct json *j, struct frames *f, const struct profile *p,
			   const struct report *r)
{
	json_object(j, NULL);
	json_object(j, "report");
	TRY(json_add_report(j, p, r));
	json_object_end(j);
	json_line(j);
	TRY(add_words(j, r));
	TRY(add_tree(j, "paths", p, f, false));
	if (r->graph.made)
		TRY(add_tree(j, "owners", &r->owners, f, true));
	TRY(add_frames(j, f));
	json_object_end(j);
	return json_finish(j);
}

struct err *html_data_write(FILE *f, const struct profile *p, const struct report *r)
{
	struct frames frames = { STRTAB_INIT, &r->lines };
	struct json j;
	struct err *err;

	json_init(&j, f);
	err = add_all(&j, &frames, p, r);
	json_deinit(&j);
	strtab_deinit(&frames.all);
	return err;
}
