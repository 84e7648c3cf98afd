/*
 * Naming: the walk's second run, with the types that marking found.  Each object gets the node of
 * the profile that its first pointer leads to; an object's node travels as the tag of its frontier
 * entry, so that nothing is kept of paths.
 */
#include "heap/mark/name.h"
#include "heap/mark/name_lines.h"
#include "heap/mark/borrow.h"
#include "heap/mark/fold.h"
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
	uint32_t label;     /* of the root whose path is being made */
	uint32_t *g_labels; /* by goroutine: its label; UINT32_MAX: not looked up yet */
	uint32_t deeper;    /* string id of "[deeper]" */
	struct fold fold;
	struct map64 steps;   /* node and edge -> node */
	uint32_t *root_nodes; /* by root; 0: not made yet */
	struct slot_use use;
	bool sizes;                     /* use is wanted */
	const struct name_watch *watch; /* NULL: none */
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

	TRY(frame_plain(n->m->places, frame, &id));
	return child(n, node, id, ret);
}

/* What people read at a node. */
static const char *text_of(const struct naming *n, uint32_t node)
{
	return n->p->frames.str[n->p->nodes.v[node].frame];
}

/* A step into the closure at addr. */
static struct err *child_closure(struct naming *n, uint32_t node, const char *name, uint64_t addr,
				 uint32_t *ret)
{
	TRY(child_str(n, node, name, ret));
	return name_line_closure(n->m->places, text_of(n, *ret), addr);
}

/* One step of a path: a new node, the one it folds back to, or none for a container's inside. */
static struct err *step_frame(struct naming *n, uint32_t node, const struct frame *f, uint32_t *ret)
{
	uint32_t back;

	*ret = node;
	if (f->text == FRAME_HIDDEN)
		return NULL;
	back = fold_back(&n->fold, n->p, node, f);
	if (back) {
		*ret = back;
		return NULL;
	}
	TRY(child(n, node, f->text, ret));
	return fold_stepped(&n->fold, node, f, *ret);
}

/* The node that an edge leads to from `node`. */
static struct err *step(struct naming *n, uint32_t node, const struct edge *e, uint32_t *ret)
{
	uint64_t *slot, key = (uint64_t)node << 32 | e->id;
	bool is_new;

	TRY(map64_put(&n->steps, key, 0, &slot, &is_new));
	if (!is_new) {
		*ret = (uint32_t)*slot;
		return NULL;
	}
	for (uint32_t f = 0; f < e->nframes; f++)
		TRY(step_frame(n, node, &e->frames[f], &node));
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
		TRY(name_line_call(n->m->places, text_of(n, *node), &s->frames.v[i]));
	}
	return NULL;
}

uint8_t root_live_kind(const struct mark_root *r)
{
	switch (r->pass) {
	case PASS_VARIABLES:
		return LIVE_VARIABLES;
	case PASS_RUNTIME:
		return LIVE_RUNTIME;
	case PASS_TIMERS:
		return LIVE_TIMERS;
	case PASS_SPECIALS:
		break;
	default:
		return LIVE_GOROUTINES;
	}
	switch (r->kind) {
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

/* The frames that a path from this root begins with. */
static struct err *root_frames(struct naming *n, const struct mark_root *r, uint32_t *node)
{
	const struct root_name *name = mark_root_name(n->m, r);
	bool path = r->frame == UINT32_MAX ? !name->label : n->stack_paths;

	if (path)
		TRY(call_path(n, r->frame, node));
	if (name->group) {
		TRY(child_str(n, *node, name->group, node));
		n->p->nodes.v[*node].group = true;
	}
	if (!name->label && path)
		return NULL;
	TRY(child_str(n, *node, name->label ? name->label : name->function, node));
	return name_line_root(n->m->places, text_of(n, *node), r);
}

static struct err *root_node(struct naming *n, uint32_t root, uint32_t *ret)
{
	const struct mark_root *r = &n->m->roots[root];
	uint32_t node = 0;

	if (!n->root_nodes[root]) {
		n->label = 0;
		if (r->frame != UINT32_MAX)
			TRY(goroutine_label(n, n->m->h->stacks.frames.v[r->frame].g, &n->label));
		TRY(root_frames(n, r, &node));
		set_kind(n, node, root_live_kind(r));
		n->root_nodes[root] = node;
	}
	*ret = n->root_nodes[root];
	return NULL;
}

/* What p's word says, beside its type, of what it leads to. */
static struct err *edge_of_contents(struct naming *n, const struct walk_ptr *p,
				    const struct edge **e)
{
	struct places *ps = n->m->places;
	struct seen seen;
	uint32_t place;

	if (!(*e)->varies)
		return NULL;
	TRY(edge_resolve(ps, *e, p->addr, p->value, p->sp, p->index, &place, &seen));
	return edge_seen(ps, *e, &seen, e);
}

/* The function whose closure is known to lie where p leads, by that object's own first word; NULL:
 * none. */
static const char *closure_at(const struct naming *n, const struct walk_ptr *p)
{
	const struct place *pl;

	if (p->sp->ptrs == SPAN_NOSCAN)
		return NULL;
	pl = &n->m->places->v.v[mark_place(n->m, p->sp->first_scan + p->index)];
	return pl->type && pl->type->closure ? pl->type->name : NULL;
}

/* The word that p is in, by its type; *e is NULL where that is not known. */
static struct err *edge_of_word(struct naming *n, const struct walk_ptr *p, const struct edge **e,
				int64_t *index)
{
	struct places *ps = n->m->places;

	*e = NULL;
	*index = -1;
	if (p->holder == WALK_ROOT) {
		const struct mark_root *r = &n->m->roots[p->root];

		const struct root_name *name = mark_root_name(n->m, r);

		if (name->func_value || !name->type)
			return NULL;
		return edge_of_type(ps, name->type, r->var_off, e);
	}
	return edge_get(ps, mark_place(n->m, p->holder), p->off, e, index);
}

static bool is_borrowed(const struct naming *n, const struct walk_ptr *p, const struct edge *e)
{
	const struct mark *m = n->m;

	if (e && e->borrowed)
		return true;
	return p->holder != WALK_ROOT && p->sp->ptrs != SPAN_NOSCAN &&
	       borrow_foreign(&m->roots[p->root],
			      &m->places->v.v[mark_place(m, p->sp->first_scan + p->index)]);
}

/* The step from a root of unknown type: what is there may be known. */
static struct err *name_untyped(struct naming *n, const struct walk_ptr *p, uint32_t root,
				uint32_t *node)
{
	struct places *ps = n->m->places;
	const char *closure = closure_at(n, p);
	const struct edge *e;
	int64_t index;

	*node = root;
	if (closure)
		return child_closure(n, root, closure, p->value, node);
	if (!ps->fold || p->sp->ptrs == SPAN_NOSCAN)
		return NULL;
	TRY(edge_get(ps, 0, 0, &e, &index));
	TRY(edge_to_place(ps, e, mark_place(n->m, p->sp->first_scan + p->index), &e));
	return e->unnamed ? NULL : step(n, root, e, node);
}

static struct err *name_rooted(struct naming *n, const struct walk_ptr *p, const struct edge *e,
			       uint32_t *node)
{
	const struct mark_root *r = &n->m->roots[p->root];
	const struct func *f = NULL;
	uint32_t place;

	TRY(root_node(n, p->root, node));
	if (mark_root_name(n->m, r)->func_value) {
		TRY(func_resolve(n->m->places, r->value, p->sp, p->index, &place, &f));
		if (!f)
			return NULL;
		TRY(child_str(n, *node, f->name, node));
		return name_line_function(n->m->places, text_of(n, *node), f);
	}
	if (!e)
		return name_untyped(n, p, *node, node);
	TRY(edge_of_contents(n, p, &e));
	return e->unnamed ? NULL : step(n, *node, e, node);
}

/* p->tag is the holder's node. */
static struct err *name_held(struct naming *n, const struct walk_ptr *p, const struct edge *e,
			     int64_t index, uint32_t *node)
{
	struct places *ps = n->m->places;
	const char *closure;

	if (e->unnamed) {
		closure = closure_at(n, p);
		if (closure)
			return child_closure(n, p->tag, closure, p->value, node);
		if (ps->fold && p->sp->ptrs != SPAN_NOSCAN)
			TRY(edge_to_place(ps, e, mark_place(n->m, p->sp->first_scan + p->index),
					  &e));
	}
	if (index >= 0 && !ps->fold)
		TRY(edge_at_index(ps, e, ps->v.v[mark_place(n->m, p->holder)].type, index, &e));
	TRY(edge_of_contents(n, p, &e));
	return step(n, p->tag, e, node);
}

/* No step that people see leads from its holder to it. */
static bool is_hidden(const struct walk_ptr *p, const struct edge *e)
{
	if (p->holder == WALK_ROOT || !e)
		return false;
	for (uint32_t i = 0; i < e->nframes; i++)
		if (e->frames[i].text != FRAME_HIDDEN)
			return false;
	return true;
}

static struct err *name_new(struct naming *n, const struct walk_ptr *p)
{
	const struct edge *e;
	int64_t index;
	uint32_t node;

	TRY(edge_of_word(n, p, &e, &index));
	if (n->walk.pass < PASS_BORROWED && is_borrowed(n, p, e))
		return walk_defer(&n->walk, p);
	if (p->holder == WALK_ROOT)
		TRY(name_rooted(n, p, e, &node));
	else
		TRY(name_held(n, p, e, index, &node));
	if (n->sizes)
		slot_use_add(&n->use, p, e);
	n->p->nodes.v[node].bytes += p->sp->elemsize;
	n->p->nodes.v[node].objects++;
	if (n->watch && n->watch->nodes) {
		uint64_t rank = rank_of(n->watch->ids, p->sp->first_id + p->index);

		n->watch->nodes[rank] = node | (is_hidden(p, e) ? NAME_HIDDEN : 0);
		if (n->watch->from)
			n->watch->from[rank] = (struct name_from){ p->holder, p->root };
	}
	if (n->watch && n->watch->refer)
		TRY(n->watch->refer(n->watch->referrer, p, e, node));
	return walk_enter(&n->walk, p, node);
}

/* Another pointer to what has its name. */
static struct err *refer_again(struct naming *n, const struct walk_ptr *p)
{
	const struct edge *e;
	int64_t index;

	if (p->sp->elemsize < n->watch->refer_least)
		return NULL;
	TRY(edge_of_word(n, p, &e, &index));
	return n->watch->refer(n->watch->referrer, p, e, 0);
}

static struct err *name_visit(struct naming *n, const struct walk_ptr *p)
{
	switch (walk_state(&n->walk, p)) {
	case WALK_LATER:
		return walk_later(&n->walk, p, NULL);
	case WALK_NEW:
		return name_new(n, p);
	case WALK_SEEN:
		return n->watch && n->watch->refer ? refer_again(n, p) : NULL;
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

/* ------------------------------------------------------------------ what has no name */

/* A step that says "something": of unknown type, or a variable without a name. */
static bool says_nothing(const struct naming *n, const struct profile_node *v)
{
	const char *frame = n->p->frames.str[v->frame];

	return v->frame == n->m->places->sub_objects ||
	       (!v->parent && *frame == '.' && !strchr(frame, '('));
}

static bool is_opaque(const struct naming *n, const struct profile_node *v)
{
	static const char end[] = "(unsafe.Pointer)";
	const char *frame = v->parent ? n->p->frames.str[n->p->nodes.v[v->parent].frame] : "";
	size_t len = strlen(frame);

	return len >= sizeof(end) - 1 && !strcmp(frame + len - (sizeof(end) - 1), end);
}

/* A step counts as unnamed only where nothing below it is known either. */
static struct err *count_unnamed(const struct naming *n, struct report *r)
{
	const struct profile_nodes *nodes = &n->p->nodes;
	_cleanup_free_ uint8_t *known_below = calloc(nodes->n, 1);

	if (!known_below)
		return err_nomem();
	for (size_t i = nodes->n; --i > 0;)
		if (known_below[i] || !says_nothing(n, &nodes->v[i]))
			known_below[nodes->v[i].parent] = 1;
	for (size_t i = 1; i < nodes->n; i++) {
		const struct profile_node *v = &nodes->v[i];

		if (!says_nothing(n, v))
			continue;
		if (known_below[i])
			r->unnamed_steps++;
		else if (is_opaque(n, v))
			r->opaque_bytes += v->bytes;
		else
			r->unnamed_bytes += v->bytes;
	}
	return NULL;
}

static void naming_deinit(struct naming *n)
{
	walk_deinit(&n->walk);
	fold_deinit(&n->fold);
	map64_deinit(&n->steps);
	free(n->root_nodes);
	free(n->g_labels);
}

static struct err *naming_init(struct naming *n)
{
	const struct mark *m = n->m;
	size_t g_bytes = (m->h->stacks.gs.n + 1) * sizeof(uint32_t);

	TRY(strtab_add(&n->p->frames, "[deeper]", &n->deeper));
	TRY(fold_init(&n->fold, m->places));
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
							       .by_scan = m->place,
							       .closed = o->closed },
						     .m = m,
						     .p = p,
						     .max_depth = o->max_depth,
						     .stack_paths = o->stack_paths,
						     .sizes = o->sizes,
						     .watch = o->watch };

	TRY(naming_init(&n));
	if (n.watch) {
		n.walk.observe = n.watch->observe;
		n.walk.observer = n.watch->observer;
	}
	TRY(walk_run(&n.walk));
	if (n.walk.objects != m->live_objects && !o->closed)
		return err_create(ERR_BADDATA,
				  "%" PRIu64 " objects were marked and %" PRIu64 " named",
				  m->live_objects, n.walk.objects);
	if (!r)
		return NULL;
	TRY(count_unnamed(&n, r));
	r->account.sized = n.use.known;
	r->account.class_waste = n.use.waste;
	if (n.watch && n.watch->fold) {
		*n.watch->fold = n.fold.nodes;
		n.fold.nodes = (struct fold_nodes)VEC_INIT;
	}
	return NULL;
}
