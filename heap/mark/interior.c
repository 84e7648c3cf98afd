/*
 * When all is marked, some small objects are left whose place is a field that does not explain all
 * of their pointers.  They are of few kinds (a field, its offset, a size class, a pattern of
 * pointers): a kind is looked up once.
 */
#include "heap/mark/interior.h"

#include "heap/mark/slot_use.h"

enum { KINDS_MAX = 256 }; /* looked up, of one process */

struct interior {
	struct mark *m;
	struct map64 kinds; /* hash of a kind -> place; 0: none */
	uint32_t smaller[SIZE_CLASSES];
};

static void interior_deinit(struct interior *k)
{
	map64_deinit(&k->kinds);
}

/* The candidates of one kind. */
struct candidates {
	struct places *ps;
	const struct span *sp;
	uint64_t bits;
	uint32_t place; /* the one that fits, so far */
	unsigned n;
};

static struct err *candidate(void *arg, struct go_type *outer)
{
	struct candidates *c = arg;
	uint32_t place;

	TRY(place_get(c->ps, PLACE_ONE, outer, span_data_off(c->sp), &place));
	if (place && place_fit(c->ps, place, c->sp, c->bits) == __builtin_popcountll(c->bits)) {
		c->place = place;
		c->n++;
	}
	return NULL;
}

static struct err *find_kind(struct interior *k, const struct span *sp, uint32_t place,
			     uint64_t bits, uint32_t *ret)
{
	struct places *ps = k->m->places;
	const struct place *pl = &ps->v.v[place];
	uint64_t data = span_data_off(sp), smaller = k->smaller[sp->spanclass >> 1];
	struct candidates c = { .ps = ps, .sp = sp, .bits = bits };

	*ret = 0;
	if (k->kinds.n > KINDS_MAX)
		return NULL;
	TRY(types_around(ps->types, pl->type, pl->off - data, smaller > data ? smaller - data : 0,
			 sp->elemsize - data, candidate, &c));
	*ret = c.n == 1 ? c.place : 0;
	return NULL;
}

static struct err *settle(struct interior *k, const struct span *sp, uint32_t index,
			  struct scan_ids *changed)
{
	struct mark *m = k->m;
	uint32_t id = sp->first_scan + index, old = mark_place(m, id), place;
	const struct place *pl = &m->places->v.v[old];
	uint64_t bits, *slot;
	bool is_new;

	if (!old || m->place[id] & PLACE_FINAL || pl->mode != PLACE_ONE ||
	    pl->off <= span_data_off(sp) || !ptr_first_bits(&m->h->proc, sp, index, &bits))
		return NULL;
	TRY(map64_put(&k->kinds, hash64(bits) ^ ((uint64_t)old << 32 | sp->elemsize), 0, &slot,
		      &is_new));
	if (is_new) {
		TRY(find_kind(k, sp, old, bits, &place));
		*slot = place;
	}
	if (!*slot)
		return NULL;
	m->place[id] = (uint32_t)*slot | PLACE_FINAL;
	return vec_push(changed, id);
}

struct err *interior_settle(struct mark *m, const uint8_t *seen, struct scan_ids *changed)
{
	_cleanup_(interior_deinit) struct interior k = { .m = m };
	const struct spans *s = &m->h->spans;

	slot_sizes_below(s, k.smaller);
	for (size_t i = 0; i < s->n; i++) {
		const struct span *sp = &s->v[i];

		if (sp->ptrs == SPAN_NOSCAN || !span_untyped(sp) || sp->arena_chunk)
			continue;
		for (uint32_t j = 0; j < sp->nelems; j++) {
			uint32_t id = sp->first_id + j;

			if (seen[id >> 3] >> (id & 7) & 1)
				TRY(settle(&k, sp, j, changed));
		}
	}
	return NULL;
}
