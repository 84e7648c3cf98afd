/*
 * Retained sizes of sets of objects: the nodes of the profile, and types.  What a set's topmost
 * objects retain is added up; topmost are those that no other object of the set dominates.  As
 * objects come in preorder of the dominator tree, that is known by where the last topmost one ends.
 */
#include <stdlib.h>
#include <string.h>

#include "heap/graph/domtree.h"
#include "heap/graph/typing.h"

/* ------------------------------------------------------------------ nodes of the profile */

/* A node's set is all that is on its path and below it. */
static void add_to_path(const struct graph *g, uint32_t at, struct profile *p, uint32_t *until)
{
	uint32_t node = g->nodes[g->dom.vertex[at] - 1] & ~NAME_HIDDEN;

	/* what a node's set dominates, so do those of the nodes above it */
	for (; node && until[node] <= at; node = p->nodes.v[node].parent) {
		until[node] = g->dom.end[at];
		p->more.v[node].retained += g->retained[at];
	}
}

/* Of roots it is known exactly. */
static void roots_alone(const struct graph *g, struct profile *p, const struct map64 *alone)
{
	for (uint32_t i = 1; i < p->nodes.n; i++) {
		uint32_t above = p->nodes.v[i].parent;
		const uint64_t *bytes;

		if (above && !p->nodes.v[above].group)
			continue;
		bytes = map64_get(alone, profile_root_name(p, i));
		if (bytes && !p->nodes.v[i].label)
			p->more.v[i].retained = *bytes;
	}
}

struct err *retained_nodes(const struct graph *g, struct profile *p, const struct map64 *alone)
{
	_cleanup_free_ uint32_t *until = calloc(p->nodes.n + 1, sizeof(*until));

	if (!until)
		return err_nomem();
	while (p->more.n < p->nodes.n)
		TRY(vec_push(&p->more, ((struct profile_more){ 0 })));
	for (uint32_t at = 1; at < g->dom.n; at++)
		if (graph_is_object(g, g->dom.vertex[at]))
			add_to_path(g, at, p, until);
	roots_alone(g, p, alone);
	return NULL;
}

struct err *retained_roots(const struct graph *g, struct graph_report *r)
{
	for (size_t i = 0; i < g->classes.n; i++)
		TRY(map64_put(&r->alone, g->classes.v[i].name, g->classes.v[i].alone.bytes,
			      &(uint64_t *){ NULL }, NULL));
	return NULL;
}

/* ------------------------------------------------------------------ types */

static struct err *types_retained(struct typing *t)
{
	const struct dominators *d = &t->g->dom;
	_cleanup_free_ uint32_t *until = calloc(t->rows.n + 1, sizeof(*until));

	if (!until)
		return err_nomem();
	for (uint32_t at = 1; at < d->n; at++) {
		uint32_t type;

		if (!graph_is_object(t->g, d->vertex[at]))
			continue;
		type = t->of_object[d->vertex[at] - 1];
		if (until[type] > at)
			continue;
		until[type] = d->end[at];
		t->rows.v[type].retained += t->g->retained[at];
	}
	return NULL;
}

static int row_cmp(const void *a, const void *b)
{
	const struct type_row *x = a, *y = b;

	if (x->retained != y->retained)
		return x->retained < y->retained ? 1 : -1;
	if (x->own.bytes != y->own.bytes)
		return x->own.bytes < y->own.bytes ? 1 : -1;
	return strcmp(x->name, y->name);
}

static struct err *types_make(struct typing *t, struct graph_report *r)
{
	TRY(types_retained(t));
	for (uint32_t i = 0; i < t->rows.n; i++) {
		struct type_row *row = &t->rows.v[i];

		if (!row->own.objects)
			continue;
		row->name = arena_strdup(&r->arena, t->names.str[i]);
		if (!row->name)
			return err_nomem();
		TRY(vec_push(&r->types, *row));
	}
	if (r->types.n)
		qsort(r->types.v, r->types.n, sizeof(*r->types.v), row_cmp);
	return NULL;
}

struct err *retained_types(const struct graph *g, const struct profile *p, struct graph_report *r)
{
	_cleanup_(typing_deinit) struct typing t = { 0 };

	TRY(typing_init(&t, g, p));
	return types_make(&t, r);
}
