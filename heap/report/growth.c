/*
 * What grew, from a set of captures: paths, types, groups of goroutines, other memory; what of it
 * is one thing; how large each is beside the others.
 *
 * Goroutines that leak are told of as such, with all that they keep.  What grows at the paths that
 * begin with them, or with their locals, is that very growth, and not told a second time.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "heap/report/growth_heap.h"

enum {
	TYPES_TOLD = 100,
	SMALL_SHARE = 200, /* one of so many parts is too small to be told */
	SMALL_SHARE_RUNTIME = 10,
};

/* ------------------------------------------------------------------ tables */

static enum growth_way way_of(const struct amount *at, size_t n, bool objects)
{
	uint64_t values[LIMIT_CAPTURES];

	for (size_t i = 0; i < n; i++)
		values[i] = objects ? at[i].objects : at[i].bytes;
	return growth_way(values, n);
}

static int type_cmp(const void *a, const void *b)
{
	const struct growth_type *x = a, *y = b;
	int c = growth_sum_cmp(&x->sum, &y->sum);

	return c ? c : strcmp(x->type, y->type);
}

static struct err *types_make(const struct growth_set *s, struct growth *g)
{
	for (uint32_t i = 0; s->types_known && i < s->types.keys.n; i++) {
		struct growth_type t = { .at = growth_table_row(g, &s->types.columns, i) };

		if (!t.at)
			return err_nomem();
		t.sum = growth_sum(g, t.at, way_of(t.at, g->captures.n, false));
		if (t.sum.way == GROWTH_NONE ||
		    t.sum.bytes < growth_least(t.sum.way, g->captures.n))
			continue;
		t.type = arena_strdup(&g->arena, s->types.keys.str[i]);
		if (!t.type)
			return err_nomem();
		TRY(vec_push(&g->types, t));
	}
	if (g->types.n)
		qsort(g->types.v, g->types.n, sizeof(*g->types.v), type_cmp);
	if (g->types.n > TYPES_TOLD)
		g->types.n = TYPES_TOLD;
	return NULL;
}

static int group_cmp(const void *a, const void *b)
{
	const struct growth_group *x = a, *y = b;
	int c = growth_sum_cmp(&x->sum, &y->sum);

	return c ? c : strcmp(x->function, y->function);
}

static struct err *line_copy(struct growth *g, struct code_line *at)
{
	if (at->function)
		at->function = arena_strdup(&g->arena, at->function);
	if (at->file)
		at->file = arena_strdup(&g->arena, at->file);
	return NULL;
}

static struct err *groups_make(const struct growth_set *s, struct growth *g)
{
	for (size_t i = 0; s->groups_known && i < s->group_rows.n; i++) {
		const struct growth_set_group *row = &s->group_rows.v[i];
		struct growth_group x = { .at = growth_table_row(g, &s->groups.columns, i),
					  .source = row->source,
					  .created_by = row->created_by,
					  .leaked =
						  row->capture == s->captures.n ? row->leaked : 0 };

		if (!x.at)
			return err_nomem();
		x.sum = growth_sum(g, x.at, way_of(x.at, g->captures.n, true));
		if (x.sum.way == GROWTH_NONE || !strncmp(row->function, "runtime.", 8))
			continue;
		x.function = arena_strdup(&g->arena, row->function);
		if (!x.function)
			return err_nomem();
		TRY(line_copy(g, &x.source));
		TRY(line_copy(g, &x.created_by));
		TRY(vec_push(&g->goroutines, x));
	}
	if (g->goroutines.n)
		qsort(g->goroutines.v, g->goroutines.n, sizeof(*g->goroutines.v), group_cmp);
	return NULL;
}

static struct err *add_other(struct growth *g, const char *what,
			     uint64_t (*value)(const struct growth_capture *c))
{
	struct amount *at = arena_alloc(&g->arena, g->captures.n * sizeof(*at));
	struct growth_other x = { .what = what, .at = at };

	if (!at)
		return err_nomem();
	for (size_t i = 0; i < g->captures.n; i++)
		at[i].bytes = value(&g->captures.v[i]);
	x.sum = growth_sum(g, at, way_of(at, g->captures.n, false));
	if (x.sum.way == GROWTH_NONE || x.sum.bytes < GROWTH_LEAST_OUTSIDE)
		return NULL;
	return vec_push(&g->outside, x);
}

static uint64_t c_heap(const struct growth_capture *c)
{
	return c->c_heap;
}

static uint64_t anonymous(const struct growth_capture *c)
{
	return c->anonymous;
}

/* Not mapped files: their pages come and go with what else the machine does. */
static struct err *outside_make(struct growth *g)
{
	bool known = true;

	for (size_t i = 0; i < g->captures.n; i++) {
		if (!g->captures.v[i].outside_known)
			return NULL;
		known &= g->captures.v[i].anonymous_known;
	}
	TRY(add_other(g, "the C heap", c_heap));
	return known ? add_other(g, "anonymous mappings", anonymous) : NULL;
}

/* ------------------------------------------------------------------ what is one thing */

/* Does the path begin with a goroutine of the group, with a local of a function that is on its
 * stack, or with the timer of one? */
static bool path_is_of(const struct growth_path *p, const struct growth_group *g,
		       const struct report *last)
{
	const struct goroutine_groups *groups = &last->goroutines_of.groups;

	const char *first = p->path[0];

	if (!strcmp(first, "[goroutines]") && p->npath > 1)
		return !strcmp(p->path[1], g->function);
	if (!strcmp(first, "timers") && p->npath > 1)
		first = p->path[1]; /* time.Sleep's */
	for (size_t i = 0; i < groups->n; i++) {
		const struct goroutine_group *x = &groups->v[i];

		if (!x->function || strcmp(x->function, g->function))
			continue;
		for (uint32_t f = 0; f < x->nframes; f++)
			if (code_line_is_of(x->stack[f].function, first))
				return true;
	}
	return false;
}

static bool is_told_with_group(const struct growth *g, const struct growth_path *p,
			       const struct report *last)
{
	for (size_t i = 0; i < g->goroutines.n; i++)
		if (p->sum.bytes <= 2 * g->goroutines.v[i].sum.bytes &&
		    path_is_of(p, &g->goroutines.v[i], last))
			return true;
	return false;
}

static void drop_told(struct report *r)
{
	struct growth_paths *v = &r->growth.paths;
	size_t n = 0;

	for (size_t i = 0; i < v->n; i++)
		if (!is_told_with_group(&r->growth, &v->v[i], r))
			v->v[n++] = v->v[i];
	v->n = n;
}

static int path_cmp(const void *a, const void *b)
{
	const struct growth_path *x = a, *y = b;
	int c = growth_sum_cmp(&x->sum, &y->sum);

	for (uint32_t i = 0; !c && i < x->npath && i < y->npath; i++)
		c = strcmp(x->path[i], y->path[i]);
	return c ? c : (x->npath > y->npath) - (x->npath < y->npath);
}

/* The runtime's own tables of goroutines and timers follow the number of these. */
static uint64_t least_beside(const struct growth_path *p, uint64_t told)
{
	return told / (strncmp(p->path[0], "runtime.", 8) ? SMALL_SHARE : SMALL_SHARE_RUNTIME);
}

/* What is beside the rest too small to be told is counted. */
static void drop_small(struct growth *g, uint64_t told)
{
	struct growth_paths *v = &g->paths;
	size_t n = 0;

	for (size_t i = 0; i < v->n; i++) {
		if ((uint64_t)v->v[i].sum.bytes >= least_beside(&v->v[i], told)) {
			v->v[n++] = v->v[i];
			continue;
		}
		g->small.bytes += (uint64_t)v->v[i].sum.bytes;
		g->small.objects++;
	}
	v->n = n;
}

/* ------------------------------------------------------------------ shares */

static uint64_t positive(int64_t v)
{
	return v > 0 ? (uint64_t)v : 0;
}

static uint64_t told_bytes(const struct growth *g)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < g->paths.n; i++)
		sum += positive(g->paths.v[i].sum.bytes);
	for (size_t i = 0; i < g->goroutines.n; i++)
		sum += positive(g->goroutines.v[i].sum.bytes);
	for (size_t i = 0; i < g->outside.n; i++)
		sum += positive(g->outside.v[i].sum.bytes);
	return sum;
}

static void share_out(struct growth *g)
{
	const struct growth_capture *first = &g->captures.v[0],
				    *last = &g->captures.v[g->captures.n - 1];
	uint64_t told = told_bytes(g);
	double whole;

	g->live = (int64_t)(last->live.bytes - first->live.bytes);
	g->whole = positive(g->live) + positive((int64_t)(last->stack_bytes - first->stack_bytes));
	for (size_t i = 0; i < g->outside.n; i++)
		g->whole += positive(g->outside.v[i].sum.bytes);
	if (g->whole < told) /* something else shrank */
		g->whole = told;
	whole = g->whole ? (double)g->whole : 1;
	for (size_t i = 0; i < g->paths.n; i++)
		g->paths.v[i].sum.share = (double)g->paths.v[i].sum.bytes / whole;
	for (size_t i = 0; i < g->types.n; i++)
		g->types.v[i].sum.share = (double)g->types.v[i].sum.bytes / whole;
	for (size_t i = 0; i < g->goroutines.n; i++)
		g->goroutines.v[i].sum.share =
			(double)positive(g->goroutines.v[i].sum.bytes) / whole;
	for (size_t i = 0; i < g->outside.n; i++)
		g->outside.v[i].sum.share = (double)g->outside.v[i].sum.bytes / whole;
}

/* ------------------------------------------------------------------ the order */

/* The set's tree becomes the difference of its last and its first capture. */
static void difference_make(const struct growth_tree *t, struct growth_set *s, struct report *r)
{
	for (uint32_t v = 1; v < t->nodes; v++) {
		struct amount was = growth_own(t, 0, v), is = growth_own(t, t->n - 1, v);

		s->tree.nodes.v[v].bytes = is.bytes - was.bytes;
		s->tree.nodes.v[v].objects = is.objects - was.objects;
	}
	r->difference = s->tree;
	s->tree = (struct profile){ VEC_INIT, VEC_INIT, STRTAB_INIT, STRTAB_INIT, MAP64_INIT };
}

struct err *growth_make(struct growth_set *s, struct report *r)
{
	_cleanup_(growth_tree_deinit) struct growth_tree t = { 0 };
	struct growth *g = &r->growth;
	size_t n = s->captures.n;

	for (size_t i = 0; i < n; i++) {
		struct growth_capture c = s->captures.v[i];

		if (c.source) {
			c.source = arena_strdup(&g->arena, c.source);
			if (!c.source)
				return err_nomem();
		}
		TRY(vec_push(&g->captures, c));
	}
	if (n < 2)
		return NULL;
	if (s->captures.v[0].time_ns && s->captures.v[n - 1].time_ns)
		g->ns = (uint64_t)(s->captures.v[n - 1].time_ns - s->captures.v[0].time_ns);
	TRY(growth_tree_init(&t, s));
	TRY(growth_paths_make(&t, r));
	TRY(types_make(s, g));
	TRY(groups_make(s, g));
	TRY(outside_make(g));
	drop_told(r);
	if (g->paths.n)
		qsort(g->paths.v, g->paths.n, sizeof(*g->paths.v), path_cmp);
	drop_small(g, told_bytes(g));
	share_out(g);
	difference_make(&t, s, r);
	g->made = true;
	return NULL;
}
