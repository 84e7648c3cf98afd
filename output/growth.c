/*
 * What grew, as a summary has it: what grew in every interval, the fastest first, whatever it is;
 * then what grew in steps; then what appeared.  *.txt has all rows and the types.
 */
#include "output/internal.h"

#include <inttypes.h>
#include <stdlib.h>

enum { SHOWN = 6, SHOWN_LATER = 3, SERIES = 6, PARTS = 2 };

/* A row of any kind. */
struct row {
	enum growth_way way; /* of two captures all rows are one list */
	const struct growth_sum *sum;
	const struct amount *at;
	const struct growth_path *path; /* one of these */
	const struct growth_group *group;
	const struct growth_other *other;
	uint32_t order;
};

struct rows {
	VEC(struct row) v;
};

static struct err *rows_make(const struct growth *g, struct rows *rows)
{
	uint32_t n = 0;

	for (size_t i = 0; i < g->paths.n; i++, n++)
		TRY(vec_push(&rows->v, ((struct row){ .sum = &g->paths.v[i].sum,
						      .at = g->paths.v[i].at,
						      .path = &g->paths.v[i],
						      .order = n })));
	for (size_t i = 0; i < g->goroutines.n; i++, n++)
		TRY(vec_push(&rows->v, ((struct row){ .sum = &g->goroutines.v[i].sum,
						      .at = g->goroutines.v[i].at,
						      .group = &g->goroutines.v[i],
						      .order = n })));
	for (size_t i = 0; i < g->outside.n; i++, n++)
		TRY(vec_push(&rows->v, ((struct row){ .sum = &g->outside.v[i].sum,
						      .at = g->outside.v[i].at,
						      .other = &g->outside.v[i],
						      .order = n })));
	for (size_t i = 0; i < rows->v.n; i++)
		rows->v.v[i].way = g->captures.n > 2 ? rows->v.v[i].sum->way : GROWTH_EVERY;
	return NULL;
}

static int row_cmp(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->way != y->way)
		return x->way < y->way ? -1 : 1;
	if (x->sum->bytes != y->sum->bytes)
		return x->sum->bytes > y->sum->bytes ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* "3.1 MiB", or "-3.1 MiB". */
static struct err *add_bytes(struct buf *b, int64_t bytes)
{
	char s[TEXT_BYTES_SIZE];

	return buf_addf(b, "%s%s", bytes < 0 ? "-" : "",
			text_bytes(bytes < 0 ? 0 - (uint64_t)bytes : (uint64_t)bytes, s));
}

/* The values by capture; of many the first and the last ones. */
static struct err *add_series(struct buf *b, const struct amount *at, size_t n, bool counts)
{
	char s[TEXT_BYTES_SIZE], c[TEXT_COUNT_SIZE];

	for (size_t i = 0; i < n; i++) {
		if (n > SERIES && i == SERIES / 2) {
			TRY(buf_addstr(b, ", …"));
			i = n - SERIES / 2;
		}
		TRY(buf_addf(b, "%s%s", i ? ", " : "",
			     counts ? text_count(at[i].objects, c) : text_bytes(at[i].bytes, s)));
	}
	return NULL;
}

/* ", 20.7 MiB/min, 48 % of the growth" */
static struct err *add_rate(struct buf *b, const struct growth_sum *s)
{
	char text[TEXT_BYTES_SIZE];

	if (s->bytes_per_minute > 0)
		TRY(buf_addf(b, ", %s/min", text_bytes((uint64_t)s->bytes_per_minute, text)));
	return s->share > 0 ? buf_addf(b, ", %.0f %% of the growth", 100 * s->share) : NULL;
}

static struct err *add_parts(struct buf *b, const struct growth_path *p, uint32_t most)
{
	char n[TEXT_COUNT_SIZE];

	for (uint32_t i = 0; i < p->nparts && i < most; i++) {
		const struct growth_part *x = &p->parts[i];

		TRY(buf_addstr(b, i ? ", " : "; "));
		if (x->objects > 0)
			TRY(buf_addf(b, "%s × ", text_count((uint64_t)x->objects, n)));
		TRY(text_add_clean(b, x->type, false));
		if (x->objects <= 0) {
			TRY(buf_addstr(b, " "));
			TRY(add_bytes(b, x->bytes));
		}
	}
	return NULL;
}

static struct err *add_path(struct buf *b, const struct growth_path *p, size_t n, bool all)
{
	TRY(text_add_path(b, p->path, p->npath));
	TRY(text_add_place(b, &p->source));
	TRY(buf_addstr(b, p->sum.way == GROWTH_APPEARED ? " is new: " : " grew by "));
	TRY(add_bytes(b, p->sum.bytes));
	TRY(buf_addstr(b, p->used ? " in use" : ""));
	TRY(add_rate(b, &p->sum));
	TRY(buf_addstr(b, "\n           "));
	TRY(add_series(b, p->at, n, false));
	TRY(add_parts(b, p, all ? UINT32_MAX : PARTS));
	return buf_addstr(b, "\n");
}

static struct err *add_group(struct buf *b, const struct growth_group *g, size_t n)
{
	char c[TEXT_COUNT_SIZE];

	TRY(buf_addf(b, "%s more goroutine%s in ", text_count((uint64_t)g->sum.objects, c),
		     g->sum.objects == 1 ? "" : "s"));
	TRY(text_add_short(b, g->function));
	TRY(text_add_place(b, &g->source));
	if (g->created_by.function) {
		TRY(buf_addstr(b, ", made in "));
		TRY(text_add_short(b, g->created_by.function));
		TRY(text_add_place(b, &g->created_by));
	}
	TRY(buf_addstr(b, ": "));
	TRY(add_bytes(b, g->sum.bytes));
	TRY(add_rate(b, &g->sum));
	TRY(buf_addstr(b, "\n           "));
	TRY(add_series(b, g->at, n, true));
	if (g->leaked)
		TRY(buf_addf(b, "; %s of them leaked: nothing can wake them",
			     text_count(g->leaked, c)));
	return buf_addstr(b, "\n");
}

static struct err *add_other(struct buf *b, const struct growth_other *o, size_t n)
{
	TRY(buf_addstr(b, o->what));
	TRY(buf_addstr(b, " grew by "));
	TRY(add_bytes(b, o->sum.bytes));
	TRY(add_rate(b, &o->sum));
	TRY(buf_addstr(b, "\n           "));
	TRY(add_series(b, o->at, n, false));
	return buf_addstr(b, "\n");
}

static struct err *add_row(struct buf *b, const struct row *x, unsigned number, size_t n, bool all)
{
	TRY(buf_addf(b, "%7u  ", number));
	/* "      1    " */
	TRY(buf_addstr(b, "  "));
	return x->path  ? add_path(b, x->path, n, all) :
	       x->group ? add_group(b, x->group, n) :
			  add_other(b, x->other, n);
}

/* "4 captures in 9.0 s: live 12.1 MiB, 14.3 MiB, ..." */
static struct err *add_head(struct buf *b, const struct growth *g)
{
	char t[TEXT_TIME_SIZE], s[TEXT_BYTES_SIZE];
	size_t n = g->captures.n;

	TRY(buf_addf(b, "\ngrowth       %zu captures", n));
	if (g->ns)
		TRY(buf_addf(b, " in %s", text_time(g->ns, t)));
	TRY(buf_addstr(b, g->interrupted ? ", ended by ^C: live " : ": live "));
	for (size_t i = 0; i < n; i++) {
		if (n > SERIES && i == SERIES / 2) {
			TRY(buf_addstr(b, ", …"));
			i = n - SERIES / 2;
		}
		TRY(buf_addf(b, "%s%s", i ? ", " : "", text_bytes(g->captures.v[i].live.bytes, s)));
	}
	return buf_addstr(b, "\n");
}

static const char *heading(enum growth_way way, size_t n)
{
	return way == GROWTH_EVERY ? (n > 2 ? "grew in every interval" : "grew") :
	       way == GROWTH_STEPS ? "grew in steps, and never shrank" :
				     "was not there in the first capture";
}

static struct err *add_rows(struct buf *b, const struct growth *g, const struct rows *rows,
			    bool all)
{
	enum growth_way way = GROWTH_NONE;
	unsigned number = 0, of_way = 0;
	size_t left = 0;

	for (size_t i = 0; i < rows->v.n; i++) {
		const struct row *x = &rows->v.v[i];

		if (x->way != way) {
			TRY(buf_addf(b, "             %s\n", heading(x->way, g->captures.n)));
			way = x->way;
			of_way = 0;
		}
		if (!all && of_way++ >= (way == GROWTH_EVERY ? SHOWN : SHOWN_LATER)) {
			left++;
			continue;
		}
		TRY(add_row(b, x, ++number, g->captures.n, all));
	}
	if (left)
		TRY(buf_addf(b, "             (%zu more: -v, *.txt, *.json)\n", left));
	return NULL;
}

static struct err *add_types(struct buf *b, const struct growth *g)
{
	if (!g->types.n)
		return NULL;
	TRY(buf_addf(b, "\n%12s  %12s  type, all objects of it\n", "grew by", "objects"));
	for (size_t i = 0; i < g->types.n; i++) {
		const struct growth_type *t = &g->types.v[i];
		char s[TEXT_BYTES_SIZE];

		TRY(buf_addf(b, "%12s  %12" PRId64 "  ", text_bytes((uint64_t)t->sum.bytes, s),
			     t->sum.objects));
		TRY(text_add_clean(b, t->type, false));
		TRY(buf_addstr(b, t->sum.way == GROWTH_STEPS    ? "  (in steps)\n" :
				  t->sum.way == GROWTH_APPEARED ? "  (new)\n" :
								  "\n"));
	}
	return NULL;
}

struct err *growth_add(struct buf *b, const struct report *r, bool all)
{
	const struct growth *g = &r->growth;
	_cleanup_vec_ struct rows rows = { .v = VEC_INIT };
	char s[TEXT_BYTES_SIZE], n[TEXT_COUNT_SIZE];

	if (!g->made)
		return NULL;
	TRY(rows_make(g, &rows));
	if (rows.v.n)
		qsort(rows.v.v, rows.v.n, sizeof(*rows.v.v), row_cmp);
	TRY(add_head(b, g));
	TRY(rows.v.n ? add_rows(b, g, &rows, all) : buf_addstr(b, "             nothing grew\n"));
	if (g->small.objects)
		TRY(buf_addf(b, "             %s small path%s grew by %s together\n",
			     text_count(g->small.objects, n), g->small.objects == 1 ? "" : "s",
			     text_bytes(g->small.bytes, s)));
	return all ? add_types(b, g) : NULL;
}
