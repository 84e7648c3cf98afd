/*
 * The graph of types as sorted pairs, and its components by Tarjan's algorithm with a stack of its
 * own: a chain of types may be as long as the program has types.
 */
#include "heap/mark/fold.h"

#include <stdlib.h>

#include "base/search.h"

struct pair {
	uint32_t from, to;
};

VEC_NAMED(pairs, struct pair);

/* ------------------------------------------------------------------ the graph */

static struct err *pair_add(struct pairs *g, uint32_t from, uint32_t to)
{
	return from && to ? vec_push(g, ((struct pair){ from, to })) : NULL;
}

/* A slice, an array or a channel leads to a row of its elements. */
static struct err *row_pair(struct places *p, const struct go_type *t, uint32_t type,
			    struct pairs *g)
{
	uint32_t row;

	if (t->kind == KIND_POINTER && t->elem)
		t = t->elem;
	if (!t->elem || (t->kind != KIND_SLICE && t->kind != KIND_CHAN && t->kind != KIND_ARRAY))
		return NULL;
	TRY(fold_row(p, t->elem, &row));
	return row == type ? NULL : pair_add(g, type, row);
}

/* What the leaf or the place behind an edge adds to its last step, `at`. */
static struct err *target_pairs(struct places *p, const struct edge *e, uint32_t at,
				struct pairs *g)
{
	uint32_t type;

	if (e->target == EDGE_UNKNOWN || !e->type || e->derived_from)
		return NULL;
	TRY(fold_type(p, e->type, &type));
	if (type != at)
		TRY(pair_add(g, at, type));
	return row_pair(p, e->type, type, g);
}

static struct err *edge_pairs(struct places *p, const struct edge *e, struct pairs *g)
{
	uint32_t at = e->from;

	for (uint32_t i = 0; i < e->nframes; i++) {
		const struct frame *f = &e->frames[i];

		if (!f->fresh)
			TRY(pair_add(g, at, f->type));
		at = f->type;
	}
	return target_pairs(p, e, at, g);
}

static int pair_cmp(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;

	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return x->to < y->to ? -1 : x->to > y->to;
}

struct pair_key {
	const struct pairs *g;
	uint32_t from;
};

static bool pair_reached(const void *arg, size_t i)
{
	const struct pair_key *k = arg;

	return k->g->v[i].from >= k->from;
}

/* ------------------------------------------------------------------ components */

struct tarjan {
	const struct pairs *g;
	uint32_t *component;
	uint32_t *number, *low; /* by type; 0: not visited */
	uint32_t next_number, next_component;
	VEC(uint32_t) open; /* visited, of no component yet */
	VEC(struct visit {
		uint32_t type;
		size_t pair; /* the next to follow */
	})
	path;
};

static void tarjan_deinit(struct tarjan *t)
{
	free(t->number);
	free(t->low);
	vec_deinit(&t->open);
	vec_deinit(&t->path);
}

static struct err *tarjan_enter(struct tarjan *t, uint32_t type)
{
	size_t first = search_first(t->g->n, pair_reached, &(struct pair_key){ t->g, type });

	t->number[type] = t->low[type] = ++t->next_number;
	TRY(vec_push(&t->open, type));
	return vec_push(&t->path, ((struct visit){ type, first }));
}

static bool leads_to_itself(const struct pairs *g, uint32_t type)
{
	size_t i = search_first(g->n, pair_reached, &(struct pair_key){ g, type });

	for (; i < g->n && g->v[i].from == type; i++)
		if (g->v[i].to == type)
			return true;
	return false;
}

/* All types that were opened since `type`, which closes its component.  One type alone is recursive
 * only if it leads to itself. */
static void tarjan_close(struct tarjan *t, uint32_t type)
{
	bool alone = t->open.v[t->open.n - 1] == type;
	uint32_t id = alone && !leads_to_itself(t->g, type) ? 0 : ++t->next_component, last;

	do {
		last = t->open.v[--t->open.n];
		t->component[last] = id;
		t->low[last] = UINT32_MAX; /* closed */
	} while (last != type);
}

static struct err *tarjan_from(struct tarjan *t, uint32_t type)
{
	TRY(tarjan_enter(t, type));
	while (t->path.n) {
		struct visit *v = &t->path.v[t->path.n - 1];
		uint32_t from = v->type, to;

		if (v->pair < t->g->n && t->g->v[v->pair].from == from) {
			to = t->g->v[v->pair++].to;
			if (!t->number[to])
				TRY(tarjan_enter(t, to));
			else if (t->low[to] != UINT32_MAX && t->number[to] < t->low[from])
				t->low[from] = t->number[to];
			continue;
		}
		t->path.n--;
		if (t->path.n) {
			to = t->path.v[t->path.n - 1].type;
			if (t->low[from] < t->low[to])
				t->low[to] = t->low[from];
		}
		if (t->low[from] == t->number[from])
			tarjan_close(t, from);
	}
	return NULL;
}

static struct err *find_components(struct fold *f, const struct pairs *g)
{
	_cleanup_(tarjan_deinit) struct tarjan t = { .g = g, .component = f->component };

	t.number = calloc(f->ntypes + 1, sizeof(uint32_t));
	t.low = calloc(f->ntypes + 1, sizeof(uint32_t));
	if (!t.number || !t.low)
		return err_nomem();
	for (uint32_t type = 1; type <= f->ntypes; type++)
		if (!t.number[type])
			TRY(tarjan_from(&t, type));
	return NULL;
}

struct err *fold_init(struct fold *f, struct places *p)
{
	_cleanup_vec_ struct pairs g = VEC_INIT;
	size_t n = 0;

	*f = (struct fold){ 0 };
	for (size_t i = 0; p->fold && i < p->edges.n; i++)
		TRY(edge_pairs(p, p->edges.v[i], &g));
	if (g.n > 1)
		qsort(g.v, g.n, sizeof(*g.v), pair_cmp);
	for (size_t i = 0; i < g.n; i++)
		if (!n || pair_cmp(&g.v[n - 1], &g.v[i]))
			g.v[n++] = g.v[i];
	g.n = n;
	f->ntypes = p->fold_types.n;
	f->component = calloc(f->ntypes + 1, sizeof(uint32_t));
	return f->component ? find_components(f, &g) : err_nomem();
}

void fold_deinit(struct fold *f)
{
	free(f->component);
	vec_deinit(&f->nodes);
	map64_deinit(&f->first);
}

/* ------------------------------------------------------------------ paths */

static struct fold_node node_at(const struct fold *f, uint32_t node)
{
	return node < f->nodes.n ? f->nodes.v[node] : (struct fold_node){ 0 };
}

/* Types that naming meets first have no component. */
static uint32_t component_of(const struct fold *f, uint32_t type)
{
	return type <= f->ntypes ? f->component[type] : 0;
}

uint32_t fold_back(const struct fold *f, const struct profile *p, uint32_t node,
		   const struct frame *frame)
{
	struct fold_node at = node_at(f, node);
	uint64_t *first;

	if (frame->fresh || !at.component || component_of(f, frame->type) != at.component)
		return 0;
	for (uint32_t n = node;; n = p->nodes.v[n].parent) {
		if (node_at(f, n).type == frame->type)
			return n;
		if (n == at.start)
			break;
	}
	if (node_at(f, at.start).run_nodes < FOLD_RUN_MAX)
		return 0;
	first = map64_get(&f->first, (uint64_t)at.start << 32 | frame->type);
	return first ? (uint32_t)*first : 0;
}

struct err *fold_stepped(struct fold *f, uint32_t node, const struct frame *frame, uint32_t child)
{
	struct fold_node at = node_at(f, node);
	struct fold_node to = { .type = frame->type, .component = component_of(f, frame->type) };

	if (child < f->nodes.n && f->nodes.v[child].type)
		return NULL; /* another path was here before */
	to.start = to.component == at.component && !frame->fresh ? at.start : child;
	while (f->nodes.n <= child)
		TRY(vec_push(&f->nodes, ((struct fold_node){ 0 })));
	f->nodes.v[child] = to;
	if (!to.component)
		return NULL;
	f->nodes.v[to.start].run_nodes++;
	return map64_put(&f->first, (uint64_t)to.start << 32 | to.type, child,
			 &(uint64_t *){ NULL }, NULL);
}
