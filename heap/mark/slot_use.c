/* What a slot's contents take of it, told from the type of the object or from what points to it. */
#include "heap/mark/slot_use.h"

#include <string.h>

enum { TINY_CLASS = 2 }; /* malloc.go: tinySpanClass, pointer-free */

void slot_sizes_below(const struct spans *s, uint32_t below[SIZE_CLASSES])
{
	uint32_t size[SIZE_CLASSES] = { 0 };

	memset(below, 0, SIZE_CLASSES * sizeof(*below));
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].spanclass >> 1 < SIZE_CLASSES)
			size[s->v[i].spanclass >> 1] = (uint32_t)s->v[i].elemsize;
	for (unsigned c = 2; c < SIZE_CLASSES; c++)
		below[c] = size[c - 1] ? size[c - 1] : below[c - 1];
}

void slot_use_init(struct slot_use *u, const struct mark *m)
{
	*u = (struct slot_use){ .m = m };
	slot_sizes_below(&m->h->spans, u->smaller);
}

/* By the type that marking found. */
static uint64_t by_place(const struct slot_use *u, const struct walk_ptr *p)
{
	const struct place *pl = &u->m->places->v.v[mark_place(u->m, p->sp->first_scan + p->index)];

	return pl->mode == PLACE_ONE ? pl->off + pl->type->size : 0;
}

/* By what points to its start: a slice says its capacity, a string its length, a pointer its
 * type. */
static uint64_t by_edge(const struct slot_use *u, const struct walk_ptr *p, const struct edge *e)
{
	const struct go_type *t = e && e->target == EDGE_LEAF ? e->type : NULL;
	uint64_t n, start = span_slot(p->sp, p->index) + span_data_off(p->sp);

	if (!t || e->leaf_off || p->value != start)
		return 0;
	switch (t->kind) {
	case KIND_STRING:
		return walk_word(u->m->h, p, 1, &n) ? n : 0;
	case KIND_SLICE:
		if (!t->elem || !walk_word(u->m->h, p, 2, &n) ||
		    (t->elem->size && n > p->sp->elemsize / t->elem->size))
			return 0;
		return span_data_off(p->sp) + n * t->elem->size;
	case KIND_POINTER:
		return t->elem ? span_data_off(p->sp) + t->elem->size : 0;
	default:
		return 0;
	}
}

void slot_use_add(struct slot_use *u, const struct walk_ptr *p, const struct edge *e)
{
	unsigned class = p->sp->spanclass >> 1;
	uint64_t used = 0;

	if (!class || class >= SIZE_CLASSES || p->sp->arena_chunk ||
	    p->sp->spanclass == (TINY_CLASS << 1 | 1))
		return;
	if (p->sp->ptrs != SPAN_NOSCAN)
		used = by_place(u, p);
	if (!used)
		used = by_edge(u, p, e);
	if (used <= u->smaller[class] || used > p->sp->elemsize)
		return;
	u->known.objects++;
	u->known.bytes += p->sp->elemsize;
	u->waste += p->sp->elemsize - used;
}
