/*
 * Retained sizes of sets of objects: the nodes of the profile, and types.  What a set's topmost
 * objects retain is added up; topmost are those that no other object of the set dominates.  As
 * objects come in preorder of the dominator tree, that is known by where the last topmost one ends.
 */
#include <stdlib.h>
#include <string.h>

#include "heap/graph/domtree.h"
#include "heap/types/type_short.h"

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

struct typing {
	const struct graph *g;
	const struct profile *p;
	struct strtab names;
	uint32_t *of_place, *of_node; /* 1 + the type; 0: not looked up yet */
	uint32_t *of_object;          /* by number: the type */
	VEC(struct type_row) rows;    /* by type */
	struct map64 of_root;         /* profile_root_name() -> 1 + type of a root's word */
};

static void typing_deinit(struct typing *t)
{
	strtab_deinit(&t->names);
	free(t->of_place);
	free(t->of_node);
	free(t->of_object);
	vec_deinit(&t->rows);
	map64_deinit(&t->of_root);
}

static struct err *type_id(struct typing *t, const char *name, uint32_t *ret)
{
	TRY(strtab_add(&t->names, name, ret));
	while (t->rows.n <= *ret)
		TRY(vec_push(&t->rows, ((struct type_row){ 0 })));
	return NULL;
}

static struct err *type_of_place(struct typing *t, uint32_t place, uint32_t *ret)
{
	const struct place *v = &t->g->m->places->v.v[place];
	_cleanup_buf_ struct buf b = BUF_INIT;

	if (v->mode == PLACE_ARENA)
		return type_id(t, "[arena chunk]", ret);
	if (v->type->closure)
		TRY(buf_addstr(&b, "closure "));
	if (v->mode == PLACE_TILE)
		TRY(buf_addstr(&b, "[]"));
	TRY(v->type->closure ? buf_addstr(&b, v->type->name) : type_short(v->type->name, &b));
	return type_id(t, (const char *)b.data, ret);
}

/* The text in a frame's parentheses: of "val. (any = *main.T)" it is "main.T". */
static struct err *type_of_frame(struct typing *t, const char *frame, uint32_t *ret)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	const char *open = strstr(frame, ". ("), *dynamic;
	size_t len = strlen(frame);

	if (!open && !strncmp(frame, "$sub_objects$ (", 15))
		open = frame + 12;
	if (!open || frame[len - 1] != ')')
		return type_id(t, "[unknown]", ret);
	open += 3;
	dynamic = strstr(open, " = ");
	if (dynamic)
		open = dynamic + 3;
	open += *open == '*';
	TRY(buf_add(&b, open, (size_t)(frame + len - 1 - open)));
	return type_id(t, (const char *)b.data, ret);
}

/* By the last frame of its path, or what is known of the root's word. */
static struct err *type_of_node(struct typing *t, uint32_t node, uint32_t *ret)
{
	uint32_t above = t->p->nodes.v[node].parent;
	const uint64_t *root;

	if (!above || t->p->nodes.v[above].group) {
		root = map64_get(&t->of_root, profile_root_name(t->p, node));
		if (root) {
			*ret = (uint32_t)*root;
			return NULL;
		}
	}
	return type_of_frame(t, t->p->frames.str[t->p->nodes.v[node].frame], ret);
}

static struct err *type_object(void *arg, uint32_t number, const struct span *sp, uint32_t index)
{
	struct typing *t = arg;
	uint32_t node = t->g->nodes[number] & ~NAME_HIDDEN, place = 0, *known, type;
	struct type_row *row;

	if (sp->ptrs != SPAN_NOSCAN)
		place = mark_place(t->g->m, sp->first_scan + index);
	if (place && t->g->m->places->v.v[place].mode != PLACE_ARENA &&
	    !t->g->m->places->v.v[place].type)
		place = 0;
	known = place ? &t->of_place[place] : &t->of_node[node];
	if (!*known) {
		TRY(place ? type_of_place(t, place, &type) : type_of_node(t, node, &type));
		*known = type + 1;
	}
	t->of_object[number] = *known - 1;
	row = &t->rows.v[*known - 1];
	row->own.objects++;
	row->own.bytes += sp->elemsize;
	return NULL;
}

/* What the words of roots without a step lead to. */
static struct err *type_roots(struct typing *t)
{
	const struct graph *g = t->g;

	for (size_t i = 0; i < g->classes.n; i++) {
		const struct go_type *type = g->classes.v[i].type;
		_cleanup_buf_ struct buf b = BUF_INIT;
		uint32_t id;

		if (!type)
			continue;
		TRY(type_short(type->name, &b));
		TRY(type_id(t, (const char *)b.data + (*b.data == '*'), &id));
		TRY(map64_put(&t->of_root, g->classes.v[i].name, id, &(uint64_t *){ NULL }, NULL));
	}
	return NULL;
}

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
	t->of_place = calloc(t->g->m->places->v.n + 1, sizeof(uint32_t));
	t->of_node = calloc(t->p->nodes.n + 1, sizeof(uint32_t));
	t->of_object = calloc(t->g->ids.n + 1, sizeof(uint32_t));
	if (!t->of_place || !t->of_node || !t->of_object)
		return err_nomem();
	TRY(type_roots(t));
	TRY(graph_each(t->g, type_object, t));
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
	_cleanup_(typing_deinit) struct typing t = { .g = g, .p = p, .names = STRTAB_INIT };

	return types_make(&t, r);
}
