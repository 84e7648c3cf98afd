/*
 * An object's type is that of its place, where marking found one; else what the last frame of its
 * path says is there.
 */
#include "heap/graph/typing.h"

#include <stdlib.h>
#include <string.h>

#include "heap/profile/frame_type.h"
#include "heap/types/type_short.h"

void typing_deinit(struct typing *t)
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

static struct err *type_of_frame(struct typing *t, const char *frame, uint32_t *ret)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	const char *type;
	size_t len;

	if (!frame_type(frame, &type, &len))
		return type_id(t, "[unknown]", ret);
	TRY(buf_add(&b, type, len));
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

struct err *typing_init(struct typing *t, const struct graph *g, const struct profile *p)
{
	*t = (struct typing){ .g = g, .p = p, .names = STRTAB_INIT };
	t->of_place = calloc(g->m->places->v.n + 1, sizeof(uint32_t));
	t->of_node = calloc(p->nodes.n + 1, sizeof(uint32_t));
	t->of_object = calloc(g->ids.n + 1, sizeof(uint32_t));
	if (!t->of_place || !t->of_node || !t->of_object)
		return err_nomem();
	TRY(type_roots(t));
	return graph_each(g, type_object, t);
}
