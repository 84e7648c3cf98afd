/*
 * Objects are taken in preorder of the dominator tree, so that an object's node is its dominator's
 * node and one frame more: the last of the path by which naming came to it.  It gets no frame of
 * its own inside a container, and where naming has folded its path; where paths would fold with
 * these frames, it goes back to the node above.
 */
#include "heap/graph/domtree.h"

#include <stdlib.h>
#include <string.h>

#include "base/huge.h"
#include "base/intr.h"

enum {
	CACHE = 1 << 12,
	CHECK_EVERY = 1 << 18, /* vertices, between two looks for signals */
	WAYS_UP = 256,         /* nodes, at which folding looks */
	STEP_FRAMES = 8,
};

#define SHARED 0x80000000u /* no root alone keeps the object */

struct step {
	uint32_t from, of, to; /* nodes: the dominator's, naming's, and what is below it */
};

struct domtree {
	const struct graph *g;
	const struct profile *p;
	struct profile *out;
	unsigned max_depth;
	bool apart;
	uint32_t *at;       /* by position: the node, and SHARED */
	uint32_t *copied;   /* by naming's node: where its path is, of objects without an owner */
	VEC(uint32_t) of;   /* by node: naming's, of the first object that came to it */
	struct map64 steps; /* node and naming's node -> node below */
	struct step cache[CACHE];
	uint32_t deeper, sub_objects; /* frames */
};

static void domtree_deinit(struct domtree *t)
{
	free(t->at);
	free(t->copied);
	vec_deinit(&t->of);
	map64_deinit(&t->steps);
}

static const char *frame_text(const struct profile *p, uint32_t node)
{
	return p->frames.str[p->nodes.v[node].frame];
}

/* A child of `parent`; naming's node `of` is what it stands for. */
static struct err *child(struct domtree *t, uint32_t parent, const char *frame, uint32_t of,
			 uint32_t *ret)
{
	const struct profile_node *v = &t->out->nodes.v[parent];

	if (parent && v->frame == t->deeper && v->depth > t->max_depth) {
		*ret = parent;
		return NULL;
	}
	TRY(profile_child(t->out, parent, v->depth >= t->max_depth ? "[deeper]" : frame, ret));
	while (t->of.n <= *ret)
		TRY(vec_push(&t->of, 0));
	if (!t->of.v[*ret])
		t->of.v[*ret] = of;
	return NULL;
}

static struct fold_node fold_of(const struct domtree *t, uint32_t of)
{
	return of < t->g->fold.n ? t->g->fold.v[of] : (struct fold_node){ 0 };
}

/* The node at or above `at` that naming's node `of` folds back to; 0: none. */
static uint32_t fold_to(const struct domtree *t, uint32_t at, uint32_t of)
{
	struct fold_node f = fold_of(t, of), above;

	for (unsigned i = 0; at && i < WAYS_UP; at = t->out->nodes.v[at].parent, i++) {
		if (t->of.v[at] == of)
			return at;
		above = fold_of(t, t->of.v[at]);
		if (!f.component || above.component != f.component)
			return 0;
		if (f.start != of && above.type == f.type)
			return at;
	}
	return 0;
}

/* The last frame of a path, after those that belong to the same step: a field of a field, an
 * element of an array in a field. */
static struct err *frames_below(struct domtree *t, uint32_t from, uint32_t of, uint32_t *ret)
{
	const struct profile_nodes *v = &t->p->nodes;
	uint32_t frames[STEP_FRAMES], n = 0, above = of;

	do {
		frames[n++] = above;
		above = v->v[above].parent;
	} while (n < STEP_FRAMES && above && above != t->of.v[from] && !v->v[above].objects &&
		 v->v[above].parent && !v->v[v->v[above].parent].group);
	*ret = from;
	while (n--)
		TRY(child(t, *ret, frame_text(t->p, frames[n]), frames[n], ret));
	return NULL;
}

static struct err *step_below(struct domtree *t, uint32_t from, uint32_t of, uint32_t *ret)
{
	const char *frame = frame_text(t->p, of);

	*ret = fold_to(t, from, of);
	/* what hangs on something unknown is one heap of unknowns */
	if (!*ret && t->out->nodes.v[from].frame == t->sub_objects &&
	    !strcmp(frame, t->out->frames.str[t->sub_objects]))
		*ret = from;
	return *ret ? NULL : frames_below(t, from, of, ret);
}

/* The same, found again: most objects take a step that many take. */
static struct err *step(struct domtree *t, uint32_t from, uint32_t of, uint32_t *ret)
{
	uint64_t key = (uint64_t)from << 32 | of, *slot;
	struct step *s = &t->cache[hash64(key) % CACHE];
	bool is_new;

	if (s->from != from || s->of != of || !s->to) {
		TRY(map64_put(&t->steps, key, 0, &slot, &is_new));
		*s = (struct step){ from, of, (uint32_t)*slot };
		if (is_new) {
			TRY(step_below(t, from, of, &s->to));
			*map64_get(&t->steps, key) = s->to;
		}
	}
	*ret = s->to;
	return NULL;
}

/* Naming's own path, of what no root alone keeps. */
static struct err *copy_path(struct domtree *t, uint32_t of, uint32_t *ret)
{
	_cleanup_vec_ VEC(uint32_t) path = VEC_INIT;
	uint32_t at, node = 0;

	for (at = of; at && !t->copied[at]; at = t->p->nodes.v[at].parent)
		TRY(vec_push(&path, at));
	if (at)
		node = t->copied[at];
	else if (t->apart)
		TRY(profile_child(t->out, 0, "[several roots]", &node));
	if (!at && t->apart) {
		t->out->nodes.v[node].group = true;
		t->out->nodes.v[node].kind = LIVE_SEVERAL;
	}
	while (path.n) {
		const struct profile_node *v = &t->p->nodes.v[at = path.v[--path.n]];
		uint32_t above = node;

		TRY(child(t, above, t->p->frames.str[v->frame], at, &node));
		if (!above) {
			t->out->nodes.v[node].kind = v->kind;
			t->out->nodes.v[node].group = v->group;
		}
		t->copied[at] = node;
	}
	*ret = node;
	return NULL;
}

/* A root's node: of the top's, with its group and kind. */
static struct err *root_node(struct domtree *t, const struct graph_root *root, uint32_t above,
			     uint32_t *ret)
{
	const struct graph_class *c = &t->g->classes.v[root->class];
	uint32_t group = (uint32_t)(c->name >> 32), top;
	const char *const *str = t->p->frames.str;

	if (!above && group) {
		TRY(child(t, 0, str[group - 1], 0, &above));
		t->out->nodes.v[above].group = true;
	}
	TRY(child(t, above, str[(uint32_t)c->name], 0, ret));
	for (top = *ret; t->out->nodes.v[top].parent;)
		top = t->out->nodes.v[top].parent;
	t->out->nodes.v[top].kind = c->kind;
	return NULL;
}

/* Whether naming has no step from the root to the object: its node is the root's. */
static bool is_at_root(const struct domtree *t, const struct graph_root *root, uint32_t of)
{
	uint32_t above = t->p->nodes.v[of].parent;

	return (!above || t->p->nodes.v[above].group) &&
	       profile_root_name(t->p, of) == t->g->classes.v[root->class].name;
}

static struct err *object_node(struct domtree *t, uint32_t vertex, uint32_t dominator,
			       uint32_t above, uint32_t *ret)
{
	const struct graph *g = t->g;
	uint32_t node = g->nodes[vertex - 1], of = node & ~NAME_HIDDEN;

	if (!dominator)
		return copy_path(t, of, ret);
	*ret = above;
	if (!graph_is_object(g, dominator)) {
		const struct graph_root *root = &g->roots.v[dominator - graph_first_root(g)];

		if (is_at_root(t, root, of))
			return NULL;
	} else if ((node & NAME_HIDDEN) && (g->nodes[dominator - 1] & ~NAME_HIDDEN) == of) {
		return NULL;
	}
	return step(t, above, of, ret);
}

/* What counts as one of its node: what a step leads to, and a goroutine, but not its g. */
static bool is_instance(const struct domtree *t, uint32_t vertex, uint32_t dominator)
{
	const struct graph *g = t->g;
	bool root = vertex >= graph_first_root(g);

	if (root)
		return g->roots.v[vertex - graph_first_root(g)].goroutine;
	return !(g->nodes[vertex - 1] & NAME_HIDDEN) &&
	       (dominator < graph_first_root(g) ||
		!g->roots.v[dominator - graph_first_root(g)].goroutine);
}

static const struct graph_class *class_of(const struct domtree *t, uint32_t root)
{
	return &t->g->classes.v[t->g->roots.v[root - graph_first_root(t->g)].class];
}

static struct err *add_all(struct domtree *t)
{
	const struct dominators *d = &t->g->dom;
	uint32_t first_root = graph_first_root(t->g);

	for (uint32_t i = 1; i < d->n; i++) {
		uint32_t vertex = d->vertex[i], above = t->at[d->parent[i]] & ~SHARED;
		uint32_t dominator = d->vertex[d->parent[i]];

		if (!(i % CHECK_EVERY))
			TRY(intr_check());
		if (vertex >= first_root)
			TRY(root_node(t, &t->g->roots.v[vertex - first_root], above, &t->at[i]));
		else
			TRY(object_node(t, vertex, dominator, above, &t->at[i]));
		while (t->out->more.n < t->out->nodes.n)
			TRY(vec_push(&t->out->more, ((struct profile_more){ 0 })));
		if (is_instance(t, vertex, dominator))
			t->out->more.v[t->at[i]].instances++;
		if (vertex >= first_root && t->g->roots.v[vertex - first_root].goroutine)
			t->out->more.v[t->at[i]].stacks = class_of(t, vertex)->stacks;
		if (vertex < first_root && (!dominator || t->at[d->parent[i]] & SHARED))
			t->at[i] |= SHARED;
	}
	return NULL;
}

static struct err *add_size(void *arg, uint32_t number, const struct span *sp, uint32_t index)
{
	struct domtree *t = arg;
	uint32_t at = t->at[t->g->dom.position[1 + number]];
	struct profile_node *v = &t->out->nodes.v[at & ~SHARED];

	v->bytes += sp->elemsize;
	v->objects++;
	if (at & SHARED)
		t->out->more.v[at & ~SHARED].shared += sp->elemsize;
	return NULL;
}

static void sum_retained(struct profile *p)
{
	for (size_t i = 1; i < p->nodes.n; i++)
		p->more.v[i].retained = p->nodes.v[i].bytes;
	for (size_t i = p->nodes.n; --i > 0;) {
		p->more.v[p->nodes.v[i].parent].retained += p->more.v[i].retained;
		p->more.v[p->nodes.v[i].parent].shared += p->more.v[i].shared;
	}
}

static struct err *make(struct domtree *t)
{
	t->at = calloc(t->g->dom.n + 1ull, sizeof(*t->at));
	t->copied = calloc(t->p->nodes.n + 1, sizeof(*t->copied));
	if (!t->at || !t->copied)
		return err_nomem();
	huge_empty(t->at, t->g->dom.n * sizeof(*t->at));
	TRY(strtab_add(&t->out->frames, "[deeper]", &t->deeper));
	TRY(strtab_add(&t->out->frames, "$sub_objects$", &t->sub_objects));
	TRY(vec_push(&t->of, 0));
	TRY(vec_push(&t->out->more, ((struct profile_more){ 0 })));
	TRY(add_all(t));
	TRY(graph_each(t->g, add_size, t));
	sum_retained(t->out);
	return NULL;
}

struct err *domtree_make(const struct graph *g, const struct profile *p, bool apart,
			 unsigned max_depth, struct profile *out)
{
	_cleanup_free_ struct domtree *t = calloc(1, sizeof(*t));
	struct err *err;

	if (!t)
		return err_nomem();
	t->g = g;
	t->p = p;
	t->out = out;
	t->apart = apart;
	t->max_depth = max_depth;
	err = make(t);
	domtree_deinit(t);
	return err;
}
