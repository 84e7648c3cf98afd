/*
 * The graph's roots: a vertex for each name of a variable, for each goroutine, and for each of its
 * locals.  Those of one name are a class: what a class alone keeps is what would be free without
 * all of its roots.
 */
#include <stdlib.h>
#include <string.h>

#include "heap/graph/graph.h"
#include "heap/mark/frame.h"

struct rooting {
	struct graph *g;
	struct profile *p;
	bool stack_paths;
	struct map64 by_name; /* profile_root_name() -> class */
	struct map64 by_root; /* class and goroutine -> vertex */
	struct map64 by_addr; /* of a g -> its index */
	struct map64 g_ids;   /* object ids of gs */
	uint32_t *of_g;       /* by goroutine: its vertex; 0: none */
	struct graph_edges edges;
};

static void rooting_deinit(struct rooting *x)
{
	map64_deinit(&x->by_name);
	map64_deinit(&x->by_root);
	map64_deinit(&x->by_addr);
	map64_deinit(&x->g_ids);
	free(x->of_g);
	vec_deinit(&x->edges);
}

/* ------------------------------------------------------------------ names */

/* The first frame of a path from r, as name.c makes it. */
static const char *first_frame(const struct rooting *x, const struct mark_root *r)
{
	const struct stacks *s = &x->g->h->stacks;
	const struct root_name *name = mark_root_name(x->g->m, r);
	const struct goroutine *g;

	if (r->frame == UINT32_MAX)
		return name->label ? name->label : "goroutine";
	if (!x->stack_paths)
		return name->label ? name->label : name->function;
	g = &s->gs.v[s->frames.v[r->frame].g];
	for (uint32_t i = g->first_frame + g->nframes; i-- > r->frame;)
		if (i == r->frame || strcmp(s->frames.v[i].func->name, "runtime.goexit"))
			return s->frames.v[i].func->name;
	return name->label;
}

static struct err *class_of_name(struct rooting *x, uint64_t name, uint8_t kind, uint32_t *ret)
{
	struct graph *g = x->g;
	uint64_t *slot;
	bool is_new;

	TRY(map64_put(&x->by_name, name, g->classes.n, &slot, &is_new));
	if (is_new)
		TRY(vec_push(&g->classes, ((struct graph_class){ .name = name, .kind = kind })));
	*ret = (uint32_t)*slot;
	return NULL;
}

static struct err *class_of(struct rooting *x, const struct mark_root *r, uint32_t *ret)
{
	const struct root_name *name = mark_root_name(x->g->m, r);
	struct places *places = x->g->m->places;
	const struct go_type *t = name->type;
	uint32_t frame, group = 0;

	TRY(frame_plain(places, first_frame(x, r), &frame));
	if (name->group) {
		TRY(frame_plain(places, name->group, &group));
		group++;
	}
	TRY(class_of_name(x, (uint64_t)group << 32 | frame, root_live_kind(r), ret));
	if (t && !r->var_off && t->kind != KIND_STRUCT && t->kind != KIND_ARRAY &&
	    t->kind != KIND_INTERFACE && !name->func_value)
		x->g->classes.v[*ret].type = t;
	return NULL;
}

/* ------------------------------------------------------------------ vertices */

static struct err *rooted_push(struct rooting *x, uint32_t from, uint32_t to)
{
	return vec_push(&x->edges, ((struct graph_edge){ from, to }));
}

/* The vertex of these roots, below `above`.  own: the goroutine itself. */
static struct err *vertex_of(struct rooting *x, uint32_t class, uint32_t goroutine, bool own,
			     uint32_t above, uint32_t *ret)
{
	struct graph *g = x->g;
	uint64_t *slot;
	bool is_new;

	TRY(map64_put(&x->by_root, (uint64_t) class << 32 | (goroutine + 1u),
		      graph_first_root(g) + g->roots.n, &slot, &is_new));
	*ret = (uint32_t)*slot;
	if (!is_new)
		return NULL;
	if (*slot > DIGRAPH_MAX)
		return err_create(ERR_LIMIT, "more than %u roots and objects", DIGRAPH_MAX);
	TRY(vec_push(&g->roots, ((struct graph_root){ class, goroutine, own })));
	return rooted_push(x, above, *ret);
}

/* What a root's word leads to. */
static struct err *root_leads(struct rooting *x, uint32_t from, uint64_t value, bool scheduler)
{
	const struct span *sp;
	uint32_t index, to = graph_vertex_at(x->g, value, &sp, &index);

	if (!to || (!scheduler && graph_is_scheduler(x->g, sp, index)))
		return NULL;
	return rooted_push(x, from, to);
}

static struct err *add_goroutine(struct rooting *x, const struct mark_root *r)
{
	uint64_t *index = map64_get(&x->by_addr, r->value);
	uint32_t class, vertex;

	if (!index)
		return NULL;
	TRY(class_of(x, r, &class));
	x->g->class_of[r - x->g->m->roots] = class;
	TRY(vertex_of(x, class, (uint32_t)*index, true, 0, &vertex));
	x->of_g[*index] = vertex;
	if (x->g->vertex_of)
		x->g->vertex_of[r - x->g->m->roots] = vertex;
	if (!goroutine_is_dead(&x->g->h->stacks.gs.v[*index]))
		x->g->classes.v[class].stacks +=
			x->g->h->stacks.gs.v[*index].hi - x->g->h->stacks.gs.v[*index].lo;
	return root_leads(x, vertex, r->value, true);
}

static struct err *add_root(struct rooting *x, const struct mark_root *r)
{
	uint32_t class, vertex, goroutine = UINT32_MAX, above = 0;

	TRY(class_of(x, r, &class));
	x->g->class_of[r - x->g->m->roots] = class;
	if (r->frame != UINT32_MAX) {
		goroutine = x->g->h->stacks.frames.v[r->frame].g;
		above = x->of_g[goroutine];
	}
	TRY(vertex_of(x, class, goroutine, false, above, &vertex));
	if (x->g->vertex_of)
		x->g->vertex_of[r - x->g->m->roots] = vertex;
	return root_leads(x, vertex, r->value, false);
}

/* An m or a p is its table's, by whatever path it was named. */
static struct err *add_scheduler(struct rooting *x, uint32_t id)
{
	struct graph *g = x->g;
	uint32_t class, vertex, node;

	if (!rank_has(&g->ids, id) || map64_get(&x->g_ids, id))
		return NULL;
	node = g->nodes[rank_of(&g->ids, id)] & ~NAME_HIDDEN;
	TRY(class_of_name(x, profile_root_name(x->p, node), LIVE_RUNTIME, &class));
	TRY(vertex_of(x, class, UINT32_MAX, false, 0, &vertex));
	return rooted_push(x, vertex, 1 + (uint32_t)rank_of(&g->ids, id));
}

static int id_cmp(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* ms and ps, by address. */
static struct err *add_schedulers(struct rooting *x)
{
	const struct map64 *m = &x->g->h->scheduler;
	_cleanup_vec_ VEC(uint64_t) ids = VEC_INIT;

	for (size_t i = 0; i < m->cap; i++)
		if (m->slots[i].key != MAP64_EMPTY)
			TRY(vec_push(&ids, m->slots[i].key));
	if (ids.n)
		qsort(ids.v, ids.n, sizeof(*ids.v), id_cmp);
	for (size_t i = 0; i < ids.n; i++)
		TRY(add_scheduler(x, (uint32_t)ids.v[i]));
	return NULL;
}

/* ------------------------------------------------------------------ edges */

static int rooted_cmp(const void *a, const void *b)
{
	const struct graph_edge *x = a, *y = b;

	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return x->to < y->to ? -1 : x->to > y->to;
}

/* Where the gs are. */
static struct err *find_gs(struct rooting *x)
{
	const struct goroutines *gs = &x->g->h->stacks.gs;

	x->of_g = calloc(gs->n + 1, sizeof(*x->of_g));
	if (!x->of_g)
		return err_nomem();
	for (size_t i = 0; i < gs->n; i++) {
		const struct span *sp = spans_find(&x->g->h->spans, gs->v[i].addr);

		TRY(map64_put(&x->by_addr, gs->v[i].addr, i, &(uint64_t *){ NULL }, NULL));
		if (sp)
			TRY(map64_put(&x->g_ids, sp->first_id + span_index(sp, gs->v[i].addr), 1,
				      &(uint64_t *){ NULL }, NULL));
	}
	return NULL;
}

static struct err *write_edges(struct rooting *x)
{
	struct digraph *rows = &x->g->rows;

	if (x->edges.n > 1)
		qsort(x->edges.v, x->edges.n, sizeof(*x->edges.v), rooted_cmp);
	TRY(digraph_grow(rows, x->g->roots.n));
	for (size_t i = 0; i < x->edges.n; i++)
		TRY(digraph_edge(rows, x->edges.v[i].from, x->edges.v[i].to));
	if (x->g->from) {
		x->g->root_edges = x->edges;
		x->edges = (struct graph_edges)VEC_INIT;
	}
	return NULL;
}

static struct err *collect(struct rooting *x)
{
	const struct mark *m = x->g->m;

	TRY(find_gs(x));
	x->g->class_of = malloc((m->nroots + 1) * sizeof(*x->g->class_of));
	if (!x->g->class_of)
		return err_nomem();
	memset(x->g->class_of, 0xff, (m->nroots + 1) * sizeof(*x->g->class_of));
	for (size_t i = 0; i < m->nroots; i++)
		if (m->roots[i].kind == ROOT_G)
			TRY(add_goroutine(x, &m->roots[i]));
	for (size_t i = 0; i < m->nroots; i++)
		if (m->roots[i].kind != ROOT_G)
			TRY(add_root(x, &m->roots[i]));
	TRY(add_schedulers(x));
	return write_edges(x);
}

/* ------------------------------------------------------------------ what a class alone keeps */

struct counting {
	struct graph *g;
	const uint32_t *owner;
};

static struct err *count_owned(void *arg, uint32_t number, const struct span *sp, uint32_t index)
{
	struct counting *c = arg;
	uint32_t owner = c->owner[1 + number];

	if (owner && owner != DIGRAPH_SEVERAL) {
		c->g->classes.v[owner - 1].alone.bytes += sp->elemsize;
		c->g->classes.v[owner - 1].alone.objects++;
	}
	return NULL;
}

static struct err *count_alone(struct graph *g)
{
	_cleanup_free_ uint32_t *owner = calloc(g->rows.n + 1ull, sizeof(*owner));

	if (!owner)
		return err_nomem();
	for (size_t i = 0; i < g->roots.n; i++)
		owner[graph_first_root(g) + i] = g->roots.v[i].class + 1;
	TRY(digraph_own(&g->rows, graph_first_root(g), owner));
	return graph_each(g, count_owned, &(struct counting){ g, owner });
}

struct err *graph_roots(struct graph *g, struct profile *p, bool stack_paths)
{
	_cleanup_(rooting_deinit) struct rooting x = { .g = g, .p = p, .stack_paths = stack_paths };

	TRY(collect(&x));
	return count_alone(g);
}
