/*
 * The ways of --why in the summary: root by root, owners first, each way as a path of indented
 * steps; steps that it has in common with the way before it are not said again.
 */
#include "output/internal.h"

#include <inttypes.h>
#include <string.h>

enum { ROOTS = 8, WAYS = 4, LINES = 28 }; /* on a terminal */

static struct err *add_head(struct buf *b, const struct why_report *w)
{
	char s[TEXT_BYTES_SIZE], n[TEXT_COUNT_SIZE];

	TRY(buf_addstr(b, "\nwhy          "));
	TRY(text_add_clean(b, w->pattern, false));
	if (w->nothing)
		return buf_addf(b, ": %s\n", w->nothing);
	TRY(buf_addf(b, ": %s object%s", text_count(w->asked.objects, n),
		     w->asked.objects == 1 ? "" : "s"));
	if (w->types == 1) {
		TRY(buf_addstr(b, " of type "));
		TRY(text_add_clean(b, w->type, false));
	} else if (w->types) {
		TRY(buf_addf(b, " of %" PRIu64 " types", w->types));
	}
	TRY(buf_addf(b, ", %s; ", text_bytes(w->asked.bytes, s)));
	TRY(buf_addf(b, "%s root%s lead%s there\n", text_count(w->roots + w->roots_left, n),
		     w->roots + w->roots_left == 1 ? "" : "s",
		     w->roots + w->roots_left == 1 ? "s" : ""));
	return buf_addstr(b, "\n     objects         bytes  way\n");
}

/* How many steps the two ways begin with in common, less the last one of the second. */
static uint32_t common(const struct why_way *a, const struct why_way *b)
{
	uint32_t n = 0;

	while (a && n < a->npath && n + 1 < b->npath && !strcmp(a->path[n], b->path[n]))
		n++;
	return n;
}

static struct err *add_way(struct buf *b, const struct why_way *before, const struct why_way *way,
			   bool example, bool full, unsigned *lines)
{
	char s[TEXT_BYTES_SIZE], n[TEXT_COUNT_SIZE];

	for (uint32_t i = common(before, way); i < way->npath; i++, ++*lines) {
		if (i + 1 < way->npath)
			TRY(buf_addf(b, "%28s%*s", "", (int)i * 2, ""));
		else
			TRY(buf_addf(b, "%12s  %12s  %*s", text_count(way->behind.objects, n),
				     text_bytes(way->behind.bytes, s), (int)i * 2, ""));
		TRY(strstr(way->path[i], ". (") || full ? text_add_clean(b, way->path[i], false) :
							  text_add_short(b, way->path[i]));
		TRY(buf_addstr(b, "\n"));
	}
	if (example)
		TRY(buf_addf(b, "%28s%*sfor example 0x%" PRIx64 "\n", "", (int)way->npath * 2, "",
			     way->example));
	return NULL;
}

struct err *why_add(struct buf *b, const struct report *r, bool all)
{
	const struct why_report *w = &r->why;
	unsigned lines = 0;
	uint32_t ways = 0;
	size_t i;

	if (!w->pattern)
		return NULL;
	TRY(add_head(b, w));
	for (i = 0; i < w->ways.n && (all || (w->ways.v[i].root < ROOTS && lines < LINES)); i++) {
		const struct why_way *before = i ? &w->ways.v[i - 1] : NULL;

		if (before && before->root != w->ways.v[i].root)
			before = NULL;
		ways = before ? ways + 1 : 0;
		if (all || ways < WAYS)
			TRY(add_way(b, before, &w->ways.v[i], all && !before, all, &lines));
	}
	if (i < w->ways.n || w->ways_left || w->roots_left)
		TRY(buf_addf(b, "%28s(%s; -v and *.json have %s)\n", "",
			     w->roots_left ? "and more roots" : "and more ways",
			     w->roots_left || w->ways_left ? "more" : "all"));
	return NULL;
}
