#include "heap/mark/name.h"
#include "heap/report/goroutine_heap.h"
#include "heap/mark/slot_use.h"

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
	struct err *err = strtab_add(&n->p->frames, frame, &id);

	return err ? err : child(n, node, id, ret);
}

/* The node that an edge leads to from `node`. */
static struct err *step(struct naming *n, uint32_t node, const struct edge *e, int64_t index,
			struct go_type *elem, uint32_t *ret)
{
	unsigned i = index < 0 ? 0 : index < 10 ? (unsigned)index + 1 : 11;
	uint64_t *slot, key = (uint64_t)node << 32 | (e->id * 12 + i);
	bool is_new;
	struct err *err = map64_put(&n->steps, key, 0, &slot, &is_new);

	if (err || !is_new) {
		*ret = err ? 0 : (uint32_t)*slot;
		return err;
	}
	if (index >= 0) {
		uint32_t frame;

		err = index_frame(n->m->places, elem, index, &frame);
		if (!err)
			err = child(n, node, frame, &node);
	}
	for (uint32_t f = 0; f < e->nframes && !err; f++)
		err = child(n, node, e->frames[f], &node);
	if (err)
		return err;
	*slot = *ret = node;
	return NULL;
}

/* The goroutine's call path to the frame, outermost first. */
static struct err *call_path(struct naming *n, uint32_t frame, uint32_t *node)
{
	const struct stacks *s = &n->m->h->stacks;
	const struct goroutine *g;
	struct err *err = NULL;
	uint32_t i;

	*node = 0;
	if (frame == UINT32_MAX)
		return child_str(n, 0, "goroutine", node);
	g = &s->gs.v[s->frames.v[frame].g];
	for (i = g->first_frame + g->nframes; i-- > frame && !err;) {
		/* Every goroutine's outermost frame: it says nothing. */
		if (i > frame && !strcmp(s->frames.v[i].func->name, "runtime.goexit"))
			continue;
		err = child_str(n, *node, s->frames.v[i].func->name, node);
	}
	return err;
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

/* The labels of the goroutine that r is of. */
static struct err *label_of(struct naming *n, const struct mark_root *r)
{
	const struct stacks *s = &n->m->h->stacks;
	struct arena arena = ARENA_INIT;
	const char *text = NULL;
	struct err *err = NULL;
	uint32_t id, g;

	n->label = 0;
	if (r->r.frame == UINT32_MAX)
		return NULL;
	g = s->frames.v[r->r.frame].g;
	if (n->g_labels[g] == UINT32_MAX) {
		n->g_labels[g] = 0;
		err = labels_read(n->m->h, &s->gs.v[g], &arena, &text);
		if (!err && text) {
			err = strtab_add(&n->p->labels, text, &id);
			if (!err)
				n->g_labels[g] = id + 1;
		}
		arena_deinit(&arena);
	}
	n->label = n->g_labels[g];
	return err;
}

static struct err *root_node(struct naming *n, uint32_t root, uint32_t *node)
{
	const struct mark_root *r = &n->m->roots[root];
	struct err *err = NULL;

	if (!n->root_nodes[root]) {
		bool path;

		err = label_of(n, r);
		path = !r->label || (n->stack_paths && r->r.frame != UINT32_MAX);

		if (!err && path)
			err = call_path(n, r->r.frame, &n->root_nodes[root]);
		if (!err && r->label)
			err = child_str(n, n->root_nodes[root], r->label, &n->root_nodes[root]);
		if (!err)
			set_kind(n, n->root_nodes[root], kind_of_root(r));
	}
	*node = n->root_nodes[root];
	return err;
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
	struct err *err = root_node(n, p->root, node);

	if (err)
		return err;
	if (r->func_value) {
		err = func_resolve(m->places, r->r.value, p->sp, p->index, &place, &f);
	} else if (r->type) {
		err = edge_of_type(m->places, r->type, r->var_off, &e);
		if (!err)
			*edge = e;
		if (!err && !e->unnamed)
			err = step(n, *node, e, -1, NULL, node);
		if (!err && edge_may_close(e) && p->sp->ptrs != SPAN_NOSCAN)
			err = edge_resolve(m->places, e, r->r.addr, r->r.value, p->sp, p->index,
					   &place, &f);
	}
	if (!err && f)
		err = child_str(n, *node, f->name, node);
	return err;
}

/* p->tag: the holder's node */
static struct err *name_held(struct naming *n, const struct walk_ptr *p, uint32_t *node,
			     const struct edge **edge)
{
	struct mark *m = n->m;
	uint32_t place = mark_place(m, p->holder);
	const struct func *f = NULL;
	const struct edge *e;
	int64_t index;
	struct err *err = edge_get(m->places, place, p->off, &e, &index);

	if (!err)
		*edge = e;
	if (!err)
		err = step(n, p->tag, e, index, m->places->v.v[place].type, node);
	if (!err && edge_may_close(e) && p->sp->ptrs != SPAN_NOSCAN) {
		err = edge_resolve(m->places, e, p->addr, p->value, p->sp, p->index, &place, &f);
		if (!err && f)
			err = child_str(n, *node, f->name, node);
	}
	return err;
}

static struct err *visit(struct naming *n, const struct walk_ptr *p)
{
	const struct edge *e = NULL;
	uint32_t node;
	struct err *err;

	switch (walk_state(&n->walk, p)) {
	case WALK_LATER:
		return walk_later(&n->walk, p, NULL);
	case WALK_NEW:
		err = p->holder == WALK_ROOT ? name_rooted(n, p, &node, &e) :
					       name_held(n, p, &node, &e);
		if (err)
			return err;
		slot_use_add(&n->use, p, e);
		n->p->nodes.v[node].bytes += p->sp->elemsize;
		n->p->nodes.v[node].objects++;
		return walk_enter(&n->walk, p, node);
	default:
		return NULL;
	}
}

static struct err *visit_all(struct walk *w, struct walk_ptr *v, size_t n)
{
	struct naming *k = (struct naming *)w;
	struct err *err = NULL;

	for (size_t i = 0; i < n && !err; i++)
		err = visit(k, &v[i]);
	return err;
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

struct err *name_objects(struct mark *m, const struct analyse_options *o, struct profile *p,
			 struct report *r)
{
	struct naming n = { .walk = { .h = m->h,
				      .roots = m->roots,
				      .nroots = m->nroots,
				      .phase = "naming",
				      .visit = visit_all,
				      .by_scan = m->place },
			    .m = m,
			    .p = p,
			    .max_depth = o->max_depth,
			    .stack_paths = o->stack_paths };
	struct err *err = strtab_add(&p->frames, "[deeper]", &n.deeper);

	slot_use_init(&n.use, m);
	n.root_nodes = calloc(m->nroots ? m->nroots : 1, sizeof(uint32_t));
	n.g_labels = malloc((m->h->stacks.gs.n + 1) * sizeof(uint32_t));
	if (!err && (!n.root_nodes || !n.g_labels))
		err = err_nomem();
	if (!err)
		memset(n.g_labels, 0xff, (m->h->stacks.gs.n + 1) * sizeof(uint32_t));
	if (!err)
		err = walk_run(&n.walk);
	if (!err && n.walk.objects != m->live_objects)
		err = err_create(ERR_BADDATA,
				 "%" PRIu64 " objects were marked and %" PRIu64 " named",
				 m->live_objects, n.walk.objects);
	if (!err)
		r->unnamed_bytes = count_unnamed(&n);
	r->account.sized = n.use.known;
	r->account.class_waste = n.use.waste;
	walk_deinit(&n.walk);
	map64_deinit(&n.steps);
	free(n.root_nodes);
	free(n.g_labels);
	return err;
}
