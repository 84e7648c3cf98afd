/*
 * Marking: the walk's first run.  It decides for each pointer whether what it leads to is new, and
 * of which type that is.  A small object's type is the best of those that the pointers to it
 * suggest, and may become better after the object was expanded: then its pointers are visited once
 * more, for what they say of types alone.
 */
#include "heap/mark/mark.h"

#include <stdlib.h>
#include <string.h>

#include "base/huge.h"
#include "heap/mark/interior.h"

enum { SEEN_SLOTS = 1 << 12 };

struct marking {
	struct walk walk; /* first: the walk's callbacks get it */
	struct mark *m;
	/* of the object whose pointers are being visited, as it was at the first of them */
	uint32_t place;
	bool only_types;           /* they were visited before, with a worse place */
	struct scan_ids retype;    /* expanded objects whose place became better */
	uint64_t seen[SEEN_SLOTS]; /* what was last seen behind which words: seen_before() */
};

/* ------------------------------------------------------------------ places */

/* An arena's chunk holds many objects: the place says what lies where the pointer leads. */
static struct err *suggest_in_arena(struct mark *m, uint32_t id, uint32_t place)
{
	if (!place && mark_place(m, id))
		return NULL;
	TRY(place_arena(m->places, place, &place));
	m->place[id] = place | (m->places->v.v[place].type ? PLACE_FINAL : 0);
	return NULL;
}

/* A pointer to one of several elements looks like a pointer to that one alone: takes the tile, of
 * which it may be in the middle, where that explains all of the object's pointers. */
static struct err *tile_if_whole(struct places *ps, const struct span *sp, uint64_t bits,
				 uint32_t *place, int *fit)
{
	const struct place *one = &ps->v.v[*place];
	uint64_t data = span_data_off(sp);
	int all = __builtin_popcountll(bits);
	uint32_t tile;

	if (*fit >= all || one->mode != PLACE_ONE || one->off < data)
		return NULL;
	TRY(place_get(ps, PLACE_TILE, one->type, data + (one->off - data) % one->type->size,
		      &tile));
	if (place_fit(ps, tile, sp, bits) == all) {
		*place = tile;
		*fit = all;
	}
	return NULL;
}

/* A small object carries no type: the place wins that explains most of its pointer words. */
static struct err *suggest_small(struct mark *m, const struct span *sp, uint32_t index,
				 uint32_t place)
{
	struct places *ps = m->places;
	uint32_t id = sp->first_scan + index, old = mark_place(m, id);
	uint64_t bits = 0;
	bool known = ptr_first_bits(&m->h->proc, sp, index, &bits);
	int fit;

	if (!place && !old && known)
		TRY(place_of_closure(ps, sp, index, bits, &place));
	if (!place)
		return NULL;
	if (!known) {
		m->place[id] = place | PLACE_FINAL;
		return NULL;
	}
	fit = place_fit(ps, place, sp, bits);
	TRY(tile_if_whole(ps, sp, bits, &place, &fit));
	if (fit < 0 || (old && fit <= place_fit(ps, old, sp, bits)))
		return NULL;
	m->place[id] = place;
	if (fit == __builtin_popcountll(bits))
		m->place[id] |= PLACE_FINAL;
	return NULL;
}

/* A large object's type is in its header or its span. */
static struct err *suggest_headed(struct mark *m, const struct span *sp, uint32_t index,
				  uint32_t place)
{
	const struct place *v;
	uint32_t header;

	TRY(place_of_header(m->places, sp, index, &header));
	v = m->places->v.v;
	/* The edge's own view wins where it is of the same type and as wide: a slice says [i]. */
	if (place && header && v[place].mode <= PLACE_TILE &&
	    (v[place].type != v[header].type || v[place].mode < v[header].mode))
		place = 0;
	if (!place)
		place = header;
	if (place)
		m->place[sp->first_scan + index] = place | PLACE_FINAL;
	return NULL;
}

/* Takes the place that an edge suggests (0: none) if it explains more of the object than the one
 * that it has. */
static struct err *suggest(struct mark *m, const struct span *sp, uint32_t index, uint32_t place)
{
	if (sp->arena_chunk)
		return suggest_in_arena(m, sp->first_scan + index, place);
	if (span_untyped(sp))
		return suggest_small(m, sp, index, place);
	return suggest_headed(m, sp, index, place);
}

/* ------------------------------------------------------------------ visiting */

/* The edge that p is; NULL: nothing is known of it. */
static struct err *edge_of_ptr(struct marking *k, const struct walk_ptr *p, const struct edge **ret)
{
	struct mark *m = k->m;
	int64_t tile;

	*ret = p->kept;
	if (*ret)
		return NULL;
	if (p->holder == WALK_ROOT) {
		const struct mark_root *root = &m->roots[p->root];

		struct go_type *type = mark_root_name(m, root)->type;

		return type ? edge_of_type(m->places, type, root->var_off, ret) : NULL;
	}
	if (p->first)
		k->place = mark_place(m, p->holder);
	return edge_get(m->places, k->place, p->off, ret, &tile);
}

/*
 * Has this been seen behind this word before?  Most interfaces in a place hold one type, so that a
 * small table of the last ones answers nearly always.  Func values are not asked for: what matters
 * of their closures is in the closures' own words.
 */
static bool seen_before(struct marking *k, const struct walk_ptr *p, const struct edge *e)
{
	uint64_t type, *slot;

	if (e->type->kind == KIND_FUNC)
		return true;
	if (!walk_word(k->m->h, p, -1, &type))
		return false;
	slot = &k->seen[hash64(type ^ (uint64_t)e->id << 48) & (SEEN_SLOTS - 1)];
	if (*slot == (type ^ (uint64_t)e->id << 48))
		return true;
	*slot = type ^ (uint64_t)e->id << 48;
	return false;
}

/* Nothing is known of the word that p is in. A stack's words are left alone: they may be stale. */
static bool is_untyped(const struct marking *k, const struct walk_ptr *p)
{
	const struct mark_root *root = &k->m->roots[p->root];
	const struct root_name *name = mark_root_name(k->m, root);

	if (p->kept)
		return false;
	if (p->holder != WALK_ROOT)
		return !k->place;
	return !name->type && !name->func_value && root->frame == UINT32_MAX;
}

/*
 * What p says of the object it leads to: *place, 0 if nothing.  Folding wants to know all that is
 * ever seen behind interfaces and func values, also where the object's own place is settled.
 */
static struct err *look(struct marking *k, const struct walk_ptr *p, const struct edge *e,
			bool settled, uint32_t *place)
{
	struct mark *m = k->m;
	struct seen seen = { 0 };

	*place = 0;
	if (p->holder == WALK_ROOT && mark_root_name(m, &m->roots[p->root])->func_value)
		return settled ? NULL :
				 func_resolve(m->places, p->value, p->sp, p->index, place,
					      &seen.closure);
	if (!settled && is_untyped(k, p))
		return untyped_resolve(m->places, p->addr,
				       p->holder == WALK_ROOT ? UINT64_MAX : p->off, p->value,
				       p->sp, p->index, place);
	if (!e || (settled && (!e->varies || !m->places->fold || seen_before(k, p, e))))
		return NULL;
	TRY(edge_resolve(m->places, e, p->addr, p->value, p->sp, p->index, place, &seen));
	return m->places->fold ? edge_seen(m->places, e, &seen, &e) : NULL;
}

static struct err *mark_visit(struct marking *k, const struct walk_ptr *p)
{
	struct mark *m = k->m;
	const struct span *sp = p->sp;
	const struct edge *e;
	uint32_t id, place, old;
	enum walk_state state;
	bool settled;

	TRY(edge_of_ptr(k, p, &e));
	state = walk_state(&k->walk, p);
	if (state == WALK_DEAD || (k->only_types && state != WALK_SEEN))
		return NULL;
	if (state == WALK_LATER)
		return walk_later(&k->walk, p, e);
	if (state == WALK_NEW)
		TRY(walk_enter(&k->walk, p, 0));
	id = sp->first_scan + p->index;
	settled = sp->ptrs == SPAN_NOSCAN || m->place[id] & PLACE_FINAL;
	TRY(look(k, p, e, settled, &place));
	if (settled)
		return NULL;
	old = m->place[id];
	TRY(suggest(m, sp, p->index, place));
	if (state == WALK_SEEN && m->place[id] != old)
		return vec_push(&k->retype, id);
	return NULL;
}

static struct err *mark_visit_all(struct walk *w, struct walk_ptr *v, size_t n)
{
	struct marking *k = (struct marking *)w;

	for (size_t i = 0; i < n; i++)
		TRY(mark_visit(k, &v[i]));
	return NULL;
}

/* Objects that were expanded before their type was known say now what they point to. */
static struct err *retype(struct walk *w)
{
	struct marking *k = (struct marking *)w;
	struct err *err = NULL;

	k->only_types = true;
	while (!err && k->retype.n)
		err = walk_again(w, k->retype.v[--k->retype.n]);
	k->only_types = false;
	return err;
}

struct err *mark_run(struct mark *m, struct captured *h, struct places *places,
		     const struct root_list *list)
{
	struct marking k = { .walk = { .h = h,
				       .roots = list->roots.v,
				       .nroots = list->roots.n,
				       .phase = "marking",
				       .visit = mark_visit_all,
				       .level_done = retype },
			     .m = m };
	struct err *err;

	*m = (struct mark){ .h = h,
			    .places = places,
			    .list = list,
			    .roots = list->roots.v,
			    .nroots = list->roots.n };
	m->place = calloc(h->spans.nscan + 1, sizeof(uint32_t));
	if (!m->place)
		return err_nomem();
	huge_empty(m->place, h->spans.nscan * sizeof(uint32_t));
	k.walk.by_scan = m->place;
	err = walk_run(&k.walk);
	if (!err)
		err = interior_settle(m, k.walk.seen, &k.retype);
	if (!err)
		err = retype(&k.walk);
	m->live_bytes = k.walk.bytes;
	m->live_objects = k.walk.objects;
	m->unread = k.walk.unread;
	m->widest = k.walk.widest;
	m->seen = k.walk.seen;
	k.walk.seen = NULL;
	walk_deinit(&k.walk);
	vec_deinit(&k.retype);
	return err;
}

void mark_deinit(struct mark *m)
{
	free(m->place);
	free(m->seen);
	memset(m, 0, sizeof(*m));
}
