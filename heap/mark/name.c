/*
 * Naming: the walk's second run, with the types that marking found.  Each object gets the node of
 * the profile that its first pointer leads to; an object's node travels as the tag of its frontier
 * entry, so that nothing is kept of paths.
 */
#include "heap/mark/name.h"
#include "heap/mark/slot_use.h"
#include "heap/runtime/labels.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct naming {
	struct walk walk; /* first: the walk's callback gets it */
	struct mark *m;
	struct profile *p;
	unsigned max_depth;
	bool stack_paths;
	uint32_t label;       /* of the root whose path is being made */
	uint32_t *g_labels;   /* by goroutine: its label; UINT32_MAX: not looked up yet */
	uint32_t deeper;      /* string id of "[deeper]" */
	struct map64 steps;   /* node, edge and index -> node */
	uint32_t *root_nodes; /* by root; 0: not made yet */
	struct slot_use use;
};

/* A node's child; past the depth limit all is one "[deeper]". */
static struct err *child(struct naming *n, uint32_t node, uint32_t frame, uint32_t *ret)
{
	const struct profile_node *v = &n->p->nodes.v[node];

	if (node && v->frame == n->deeper && v->depth > n->max_depth) {
		*ret = node;
		return NULL;
	}
	/* What hangs on something unknown is one heap of unknowns, not a chain of frames. */
	if (node && frame == n->m->places->sub_objects && v->frame == frame) {
		*ret = node;
		return NULL;
	}
	if (v->depth >= n->max_depth)
		frame = n->deeper;
	if (!node)
		return profile_root(n->p, n->label, frame, ret);
	return profile_child_id(n->p, node, frame, ret);
}

static struct err *child_str(struct naming *n, uint32_t node, const char *frame, uint32_t *ret)
{
	uint32_t id;

	TRY(strtab_add(&n->p->frames, frame, &id));
	return child(n, node, id, ret);
}

/* The node that an edge leads to from `node`. */
static struct err *step(struct naming *n, uint32_t node, const struct edge *e, int64_t index,
			struct go_type *elem, uint32_t *ret)
{
	unsigned i = index < 0 ? 0 : index < 10 ? (unsigned)index + 1 : 11;
	uint64_t *slot, key = (uint64_t)node << 32 | (e->id * 12 + i);
	bool is_new;

	TRY(map64_put(&n->steps, key, 0, &slot, &is_new));
	if (!is_new) {
		*ret = (uint32_t)*slot;
		return NULL;
	}
	if (index >= 0) {
		uint32_t frame;

		TRY(index_frame(n->m->places, elem, index, &frame));
		TRY(child(n, node, frame, &node));
	}
	for (uint32_t f = 0; f < e->nframes; f++)
		TRY(child(n, node, e->frames[f], &node));
	*slot = *ret = node;
	return NULL;
}

/* The goroutine's call path to the frame, outermost first. */
static struct err *call_path(struct naming *n, uint32_t frame, uint32_t *node)
{
	const struct stacks *s = &n->m->h->stacks;
	const struct goroutine *g;

	*node = 0;
	if (frame == UINT32_MAX)
		return child_str(n, 0, "goroutine", node);
	g = &s->gs.v[s->frames.v[frame].g];
	for (uint32_t i = g->first_frame + g->nframes; i-- > frame;) {
		/* Every goroutine's outermost frame: it says nothing. */
		if (i > frame && !strcmp(s->frames.v[i].func->name, "runtime.goexit"))
			continue;
		TRY(child_str(n, *node, s->frames.v[i].func->name, node));
	}
	return NULL;
}

static uint8_t kind_of_root(const struct mark_root *r)
{
	switch (r->pass) {
	case PASS_VARIABLES:
		return LIVE_VARIABLES;
	case PASS_RUNTIME:
		return LIVE_RUNTIME;
	case PASS_SPECIALS:
		break;
	default:
		return LIVE_GOROUTINES;
	}
	switch (r->r.kind) {
	case ROOT_FIN_OBJ:
	case ROOT_FIN_FN:
		return LIVE_FINALIZERS;
	case ROOT_CLEANUP:
	case ROOT_CLEANUP_ARG:
		return LIVE_CLEANUPS;
	case ROOT_WEAK:
		return LIVE_WEAK;
	default:
		return LIVE_QUEUED;
	}
}

/* Of the root that a fresh path begins with. */
static void set_kind(struct naming *n, uint32_t node, uint8_t kind)
{
	struct profile_node *v = &n->p->nodes.v[node];

	while (v->parent)
		v = &n->p->nodes.v[v->parent];
	if (!v->kind)
		v->kind = kind;
}

/* The labels of goroutine g, as struct profile_node has them. */
static struct err *goroutine_label(struct naming *n, uint32_t g, uint32_t *ret)
{
	_cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
	const char *text = NULL;
	uint32_t id;

	if (n->g_labels[g] == UINT32_MAX) {
		TRY(labels_read(&n->m->h->proc, &n->m->h->spans, &n->m->h->stacks.gs.v[g], &arena,
				&text));
		n->g_labels[g] = 0;
		if (text) {
			TRY(strtab_add(&n->p->labels, text, &id));
			n->g_labels[g] = id + 1;
		}
	}
	*ret = n->g_labels[g];
	return NULL;
}

static struct err *root_node(struct naming *n, uint32_t root, uint32_t *ret)
{
	const struct mark_root *r = &n->m->roots[root];
	uint32_t node = n->root_nodes[root];

	if (!node) {
		n->label = 0;
		if (r->r.frame != UINT32_MAX)
			TRY(goroutine_label(n, n->m->h->stacks.frames.v[r->r.frame].g, &n->label));
		if (!r->label || (n->stack_paths && r->r.frame != UINT32_MAX))
			TRY(call_path(n, r->r.frame, &node));
		if (r->label)
			TRY(child_str(n, node, r->label, &node));
		set_kind(n, node, kind_of_root(r));
		n->root_nodes[root] = node;
	}
	*ret = node;
	return NULL;
}

/* May the edge's target be a closure, whose function gets a frame? */
static bool edge_may_close(const struct edge *e)
{
	if (e->target != EDGE_LEAF)
		return false;
	switch (e->type->kind) {
	case KIND_FUNC:
	case KIND_INTERFACE:
	case KIND_STRUCT:
	case KIND_ARRAY:
		return true;
	default:
		return false;
	}
}

/* *edge: the word that p is in; NULL: not known. */
static struct err *name_rooted(struct naming *n, const struct walk_ptr *p, uint32_t *node,
			       const struct edge **edge)
{
	struct mark *m = n->m;
	const struct mark_root *r = &m->roots[p->root];
	const struct func *f = NULL;
	const struct edge *e;
	uint32_t place;

	TRY(root_node(n, p->root, node));
	if (r->func_value) {
		TRY(func_resolve(m->places, r->r.value, p->sp, p->index, &place, &f));
	} else if (r->type) {
		TRY(edge_of_type(m->places, r->type, r->var_off, &e));
		*edge = e;
		if (!e->unnamed)
			TRY(step(n, *node, e, -1, NULL, node));
		if (edge_may_close(e) && p->sp->ptrs != SPAN_NOSCAN)
			TRY(edge_resolve(m->places, e, r->r.addr, r->r.value, p->sp, p->index,
					 &place, &f));
	}
	return f ? child_str(n, *node, f->name, node) : NULL;
}

/* p->tag is the holder's node. */
static struct err *name_held(struct naming *n, const struct walk_ptr *p, uint32_t *node,
			     const struct edge **edge)
{
	struct mark *m = n->m;
	uint32_t place = mark_place(m, p->holder);
	const struct func *f = NULL;
	const struct edge *e;
	int64_t index;

	TRY(edge_get(m->places, place, p->off, &e, &index));
	*edge = e;
	TRY(step(n, p->tag, e, index, m->places->v.v[place].type, node));
	if (edge_may_close(e) && p->sp->ptrs != SPAN_NOSCAN)
		TRY(edge_resolve(m->places, e, p->addr, p->value, p->sp, p->index, &place, &f));
	return f ? child_str(n, *node, f->name, node) : NULL;
}

static struct err *name_visit(struct naming *n, const struct walk_ptr *p)
{
	const struct edge *e = NULL;
	uint32_t node;

	switch (walk_state(&n->walk, p)) {
	case WALK_LATER:
		return walk_later(&n->walk, p, NULL);
	case WALK_NEW:
		if (p->holder == WALK_ROOT)
			TRY(name_rooted(n, p, &node, &e));
		else
			TRY(name_held(n, p, &node, &e));
		slot_use_add(&n->use, p, e);
		n->p->nodes.v[node].bytes += p->sp->elemsize;
		n->p->nodes.v[node].objects++;
		return walk_enter(&n->walk, p, node);
	default:
		return NULL;
	}
}

static struct err *name_visit_all(struct walk *w, struct walk_ptr *v, size_t n)
{
	struct naming *k = (struct naming *)w;

	for (size_t i = 0; i < n; i++)
		TRY(name_visit(k, &v[i]));
	return NULL;
}

/* Bytes on paths that say "something" instead of what it is. */
static uint64_t count_unnamed(const struct naming *n)
{
	const struct profile_nodes *nodes = &n->p->nodes;
	uint8_t *unnamed = calloc(nodes->n, 1);
	uint64_t bytes = 0;

	for (size_t i = 1; unnamed && i < nodes->n; i++) {
		const struct profile_node *v = &nodes->v[i];

		unnamed[i] = unnamed[v->parent] || v->frame == n->m->places->sub_objects ||
			     (!v->parent && n->p->frames.str[v->frame][0] == '.');
		if (unnamed[i])
			bytes += v->bytes;
	}
	free(unnamed);
	return bytes;
}

static void naming_deinit(struct naming *n)
{
	walk_deinit(&n->walk);
	map64_deinit(&n->steps);
	free(n->root_nodes);
	free(n->g_labels);
}

static struct err *naming_init(struct naming *n)
{
	const struct mark *m = n->m;
	size_t g_bytes = (m->h->stacks.gs.n + 1) * sizeof(uint32_t);

	TRY(strtab_add(&n->p->frames, "[deeper]", &n->deeper));
	slot_use_init(&n->use, m);
	n->root_nodes = calloc(m->nroots + 1, sizeof(uint32_t));
	n->g_labels = malloc(g_bytes);
	if (!n->root_nodes || !n->g_labels)
		return err_nomem();
	memset(n->g_labels, 0xff, g_bytes);
	return NULL;
}

struct err *name_objects(struct mark *m, const struct name_options *o, struct profile *p,
			 struct report *r)
{
	_cleanup_(naming_deinit) struct naming n = { .walk = { .h = m->h,
							       .roots = m->roots,
							       .nroots = m->nroots,
							       .phase = "naming",
							       .visit = name_visit_all,
							       .by_scan = m->place },
						     .m = m,
						     .p = p,
						     .max_depth = o->max_depth,
						     .stack_paths = o->stack_paths };

	TRY(naming_init(&n));
	TRY(walk_run(&n.walk));
	if (n.walk.objects != m->live_objects)
		return err_create(ERR_BADDATA,
				  "%" PRIu64 " objects were marked and %" PRIu64 " named",
				  m->live_objects, n.walk.objects);
	r->unnamed_bytes = count_unnamed(&n);
	r->account.sized = n.use.known;
	r->account.class_waste = n.use.waste;
	return NULL;
}
