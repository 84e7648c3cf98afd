/*
 * The graph's vertices and edges.  Edges between objects come from naming's walk, in which every
 * object is looked into once; those from roots are made of the list of roots when names are there.
 */
#include "heap/graph/graph.h"

#include <stdlib.h>
#include <string.h>

#include "base/huge.h"
#include "base/search.h"

/* ------------------------------------------------------------------ edges between objects */

static struct err *add_pointers(struct graph *g, const struct walk_ptr *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct walk_ptr *p = &v[i];
		uint32_t id;

		if (!p->sp || p->holder == WALK_ROOT || p->again)
			continue;
		id = p->sp->first_id + p->index;
		if (graph_is_scheduler(g, p->sp, p->index))
			continue;
		if (p->holder != g->holder) {
			g->holder = p->holder;
			g->holder_vertex = graph_vertex_of_scan(g, p->holder);
			g->holder_timers = map64_get(&g->timer_arrays, p->holder);
		}
		if (!g->holder_timers)
			TRY(digraph_edge(&g->rows, g->holder_vertex,
					 1 + (uint32_t)rank_of(&g->ids, id)));
	}
	return NULL;
}

/* Naming goes on without a graph that is too large. */
static struct err *graph_observe(void *arg, const struct walk_ptr *v, size_t n)
{
	struct graph *g = arg;
	struct err *err;

	if (g->limit)
		return NULL;
	err = add_pointers(g, v, n);
	if (err_is(err, ERR_LIMIT)) {
		g->limit = true;
		digraph_deinit(&g->rows);
		err_destroy(err);
		return NULL;
	}
	return err;
}

/* What a p keeps its timers in leads to nothing: the timers are roots. */
static struct err *find_timer_arrays(struct graph *g)
{
	for (size_t i = 0; i < g->m->nroots; i++) {
		const struct mark_root *r = &g->m->roots[i];
		const struct span *sp;

		if (r->kind != ROOT_TIMER)
			continue;
		sp = spans_find(&g->h->spans, r->addr);
		if (sp && sp->ptrs != SPAN_NOSCAN)
			TRY(map64_put(&g->timer_arrays, sp->first_scan + span_index(sp, r->addr), 1,
				      &(uint64_t *){ NULL }, NULL));
	}
	return NULL;
}

struct err *graph_init(struct graph *g, struct captured *h, const struct mark *m)
{
	*g = (struct graph){ .h = h, .m = m, .holder = WALK_ROOT };
	TRY(rank_init(&g->ids, m->seen, h->spans.nids));
	g->limit = g->ids.n >= DIGRAPH_MAX;
	if (!g->limit)
		TRY(digraph_init(&g->rows, 1 + g->ids.n));
	g->nodes = calloc(g->ids.n + 1, sizeof(*g->nodes));
	if (!g->nodes)
		return err_nomem();
	huge_empty(g->nodes, g->ids.n * sizeof(*g->nodes));
	TRY(find_timer_arrays(g));
	g->watch = (struct name_watch){ .observe = graph_observe,
					.observer = g,
					.ids = &g->ids,
					.nodes = g->nodes,
					.fold = &g->fold };
	return NULL;
}

struct err *graph_keep(struct graph *g)
{
	g->from = calloc(g->ids.n + 1, sizeof(*g->from));
	g->vertex_of = calloc(g->m->nroots + 1, sizeof(*g->vertex_of));
	if (!g->from || !g->vertex_of)
		return err_nomem();
	huge_empty(g->from, g->ids.n * sizeof(*g->from));
	g->watch.from = g->from;
	return NULL;
}

void graph_deinit(struct graph *g)
{
	free(g->from);
	free(g->vertex_of);
	vec_deinit(&g->root_edges);
	rank_deinit(&g->ids);
	digraph_deinit(&g->rows);
	free(g->nodes);
	free(g->class_of);
	vec_deinit(&g->fold);
	vec_deinit(&g->roots);
	vec_deinit(&g->classes);
	dominators_deinit(&g->dom);
	free(g->retained);
	map64_deinit(&g->timer_arrays);
}

struct number_key {
	const struct rank *ids;
	uint32_t number;
};

static bool word_behind(const void *arg, size_t i)
{
	const struct number_key *k = arg;

	return k->ids->v[i].before > k->number;
}

struct id_key {
	const struct spans *s;
	uint64_t id;
};

static bool span_behind(const void *arg, size_t i)
{
	const struct id_key *k = arg;

	return k->s->v[i].first_id > k->id;
}

static const struct span *span_of(const struct graph *g, uint32_t number, uint32_t *index)
{
	const struct spans *s = &g->h->spans;
	struct number_key key = { &g->ids, number };
	uint64_t word = search_first(g->ids.nwords, word_behind, &key) - 1;
	uint64_t bits = g->ids.v[word].bits, id;
	const struct span *sp;

	for (uint64_t skip = number - g->ids.v[word].before; skip; skip--)
		bits &= bits - 1;
	id = word * 64 + (uint64_t)__builtin_ctzll(bits);
	sp = &s->v[search_first(s->n, span_behind, &(struct id_key){ s, id }) - 1];
	*index = (uint32_t)(id - sp->first_id);
	return sp;
}

uint64_t graph_size(const struct graph *g, uint32_t number)
{
	return span_of(g, number, &(uint32_t){ 0 })->elemsize;
}

uint64_t graph_address(const struct graph *g, uint32_t number)
{
	uint32_t index;
	const struct span *sp = span_of(g, number, &index);

	return span_slot(sp, index);
}

struct err *graph_each(const struct graph *g,
		       struct err *(*f)(void *arg, uint32_t number, const struct span *sp,
					uint32_t index),
		       void *arg)
{
	const struct spans *s = &g->h->spans;
	uint32_t number = 0;

	for (size_t i = 0; i < s->n; i++)
		for (uint32_t k = 0; k < s->v[i].nelems; k++)
			if (rank_has(&g->ids, s->v[i].first_id + k))
				TRY(f(arg, number++, &s->v[i], k));
	return NULL;
}

/* ------------------------------------------------------------------ retained sizes */

static struct err *own_size(void *arg, uint32_t number, const struct span *sp, uint32_t index)
{
	struct graph *g = arg;

	g->retained[g->dom.position[1 + number]] = sp->elemsize;
	return NULL;
}

struct err *graph_dominate(struct graph *g)
{
	TRY(dominators_find(&g->rows, &g->dom));
	g->retained = calloc(g->dom.n + 1ull, sizeof(*g->retained));
	if (!g->retained)
		return err_nomem();
	huge_empty(g->retained, g->dom.n * sizeof(*g->retained));
	TRY(graph_each(g, own_size, g));
	for (uint32_t at = g->dom.n; --at > 0;)
		g->retained[g->dom.parent[at]] += g->retained[at];
	return NULL;
}
