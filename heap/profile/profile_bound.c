/*
 * A node's size is what it and all below it hold, so that a parent is never smaller than its child:
 * keeping the largest nodes keeps whole paths.  Each parent that loses children gets one
 * "[smaller]", which takes room too: then fewer are kept, until all fits.
 */
#include "heap/profile/profile_bound.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/search.h"

struct sized {
	uint64_t bytes;
	uint32_t node;
};

/* Larger first; a parent before its children. */
static int sized_cmp(const void *a, const void *b)
{
	const struct sized *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->node < y->node ? -1 : x->node > y->node;
}

static struct sized *sizes(const struct profile_nodes *v)
{
	struct sized *s = calloc(v->n + 1, sizeof(*s));

	for (size_t i = 0; s && i < v->n; i++)
		s[i] = (struct sized){ v->v[i].bytes, (uint32_t)i };
	for (size_t i = v->n; s && --i > 0;)
		s[v->v[i].parent].bytes += s[i].bytes;
	return s;
}

struct choice {
	const struct profile_nodes *v;
	const struct sized *sorted;
	size_t max;
	uint8_t *kept, *loses; /* by node; loses: it gets a "[smaller]" */
};

/* Keeps the first n of the sorted nodes, beside the top, and says how many nodes that makes. */
static size_t choose(const struct choice *c, size_t n)
{
	size_t smaller = 0;

	memset(c->kept, 0, c->v->n);
	memset(c->loses, 0, c->v->n);
	c->kept[0] = 1;
	for (size_t i = 0; i < c->v->n && i <= n; i++)
		c->kept[c->sorted[i].node] = 1;
	for (size_t i = 1; i < c->v->n; i++) {
		uint32_t parent = c->v->v[i].parent;

		if (!c->kept[i] && c->kept[parent] && !c->loses[parent]) {
			c->loses[parent] = 1;
			smaller++;
		}
	}
	return n + smaller;
}

/* One node more makes one more "[smaller]" at most, and never one less than it takes. */
static bool too_many(const void *arg, size_t n)
{
	const struct choice *c = arg;

	return choose(c, n) > c->max;
}

/* What the graph knew of a node, of which this one has taken the place; several of them are in a
 * "[smaller]", and what all of them retain is not known then. */
static struct err *more_add(struct profile *p, uint32_t node, const struct profile_more *more,
			    bool kept)
{
	if (!more)
		return NULL;
	while (p->more.n <= node)
		TRY(vec_push(&p->more, ((struct profile_more){ 0 })));
	if (kept)
		p->more.v[node] = *more;
	else
		p->more.v[node].retained = p->nodes.v[node].bytes;
	return NULL;
}

/* The old nodes once more, without those that are not kept.  p has the top alone. */
static struct err *rebuild(struct profile *p, const struct profile_nodes *old,
			   const struct profile_mores *more, const uint8_t *kept, uint32_t *map,
			   struct profile_smaller *ret)
{
	for (size_t i = 1; i < old->n; i++) {
		const struct profile_node *v = &old->v[i];
		uint32_t parent = map[v->parent]; /* of what is gone: the "[smaller]" it is in */

		if (!kept[i]) {
			map[i] = parent;
			if (kept[v->parent])
				TRY(profile_child(p, parent, "[smaller]", &map[i]));
			ret->nodes++;
			ret->bytes += v->bytes;
			ret->objects += v->objects;
		} else if (v->depth == 1) {
			TRY(profile_root(p, v->label, v->frame, &map[i]));
			p->nodes.v[map[i]].kind = v->kind;
			p->nodes.v[map[i]].group = v->group;
		} else {
			TRY(profile_child_id(p, parent, v->frame, &map[i]));
		}
		p->nodes.v[map[i]].bytes += v->bytes;
		p->nodes.v[map[i]].objects += v->objects;
		TRY(more_add(p, map[i], more->n ? &more->v[i] : NULL, kept[i]));
	}
	return NULL;
}

struct err *profile_bound(struct profile *p, uint32_t max, struct profile_smaller *ret)
{
	_cleanup_vec_ struct profile_nodes old = VEC_INIT;
	_cleanup_vec_ struct profile_mores more = VEC_INIT;
	_cleanup_free_ struct sized *s = NULL;
	_cleanup_free_ uint8_t *kept = NULL, *loses = NULL;
	_cleanup_free_ uint32_t *map = NULL;
	struct choice c;

	*ret = (struct profile_smaller){ 0 };
	if (p->nodes.n <= (size_t)max + 1)
		return NULL;
	s = sizes(&p->nodes);
	kept = malloc(p->nodes.n);
	loses = malloc(p->nodes.n);
	map = calloc(p->nodes.n, sizeof(*map));
	if (!s || !kept || !loses || !map)
		return err_nomem();
	qsort(s, p->nodes.n, sizeof(*s), sized_cmp);
	c = (struct choice){ &p->nodes, s, max, kept, loses };
	choose(&c, search_first((size_t)max + 1, too_many, &c) - 1);
	old = p->nodes;
	more = p->more;
	p->more = (struct profile_mores)VEC_INIT;
	p->nodes = (struct profile_nodes)VEC_INIT;
	map64_deinit(&p->children);
	p->children = (struct map64)MAP64_INIT;
	TRY(vec_push(&p->nodes, ((struct profile_node){ 0 })));
	return rebuild(p, &old, &more, kept, map, ret);
}
