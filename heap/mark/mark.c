#include "heap/mark/mark.h"

#include <stdlib.h>
#include <string.h>

#include "base/huge.h"

struct marking {
	struct walk walk; /* first: the walk's callbacks get it */
	struct mark *m;
	/* of the object whose pointers are being visited, as it was at the first of them */
	uint32_t place;
	bool only_types;      /* they were visited before, with a worse place */
	VEC(uint32_t) retype; /* expanded objects whose place became better */
};

/* ------------------------------------------------------------------ places */

/*
 * Takes the place that an edge suggests if it explains more of the object's pointer words than the
 * one it has.  Large objects are judged by their header's type, small ones by their bits.
 */
static struct err *suggest(struct marking *k, const struct span *sp, uint32_t index, uint32_t place)
{
	struct mark *m = k->m;
	uint32_t id = sp->first_scan + index, old = mark_place(m, id), header;
	struct places *ps = m->places;
	uint64_t bits;
	struct err *err;
	int fit;

	if (sp->arena_chunk) {
		if (place || !old) {
			err = place_arena(ps, place, &place);
			if (err)
				return err;
			m->place[id] = place | (ps->v.v[place].type ? PLACE_FINAL : 0);
		}
		return NULL;
	}
	if (span_untyped(sp)) {
		if (!place && !old && ptr_first_bits(&m->h->proc, sp, index, &bits)) {
			err = place_of_closure(ps, sp, index, bits, &place);
			if (err)
				return err;
		}
		if (!place)
			return NULL;
		if (!ptr_first_bits(&m->h->proc, sp, index, &bits)) {
			m->place[id] = place | PLACE_FINAL;
			return NULL;
		}
		fit = place_fit(ps, place, sp, bits);
		if (fit < __builtin_popcountll(bits) && ps->v.v[place].mode == PLACE_ONE) {
			/* A pointer to the first of several. */
			uint32_t tile;

			err = place_get(ps, PLACE_TILE, ps->v.v[place].type, ps->v.v[place].off,
					&tile);
			if (err)
				return err;
			if (place_fit(ps, tile, sp, bits) == __builtin_popcountll(bits)) {
				place = tile;
				fit = __builtin_popcountll(bits);
			}
		}
		if (fit < 0 || (old && fit <= place_fit(ps, old, sp, bits)))
			return NULL;
		m->place[id] = place;
		if (fit == __builtin_popcountll(bits))
			m->place[id] |= PLACE_FINAL;
		return NULL;
	}
	err = place_of_header(ps, sp, index, &header);
	if (err)
		return err;
	/* The edge's own view wins where it is of the same type and as wide: a slice says [i]. */
	if (place && header && ps->v.v[place].mode <= PLACE_TILE &&
	    (ps->v.v[place].type != ps->v.v[header].type ||
	     ps->v.v[place].mode < ps->v.v[header].mode))
		place = 0;
	if (!place)
		place = header;
	if (!place)
		return NULL;
	m->place[id] = place | PLACE_FINAL;
	return NULL;
}

/* ------------------------------------------------------------------ visiting */

static struct err *visit(struct marking *k, const struct walk_ptr *p)
{
	struct mark *m = k->m;
	const struct span *sp = p->sp;
	const struct mark_root *root = p->holder == WALK_ROOT ? &m->roots[p->root] : NULL;
	const struct edge *e = p->kept; /* what p is; NULL: nothing is known */
	const struct func *f;
	uint32_t id, place = 0, old;
	enum walk_state state;
	int64_t tile;
	struct err *err = NULL;

	if (!e && root && root->type) {
		err = edge_of_type(m->places, root->type, root->var_off, &e);
	} else if (!e && !root) {
		if (p->first)
			k->place = mark_place(m, p->holder);
		err = edge_get(m->places, k->place, p->off, &e, &tile);
	}
	if (err)
		return err;
	state = walk_state(&k->walk, p);
	if (state == WALK_DEAD || (k->only_types && state != WALK_SEEN))
		return NULL;
	if (state == WALK_LATER)
		return walk_later(&k->walk, p, e);
	if (state == WALK_NEW)
		err = walk_enter(&k->walk, p, 0);
	if (err || sp->ptrs == SPAN_NOSCAN)
		return err;
	id = sp->first_scan + p->index;
	old = m->place[id];
	if (old & PLACE_FINAL)
		return NULL;
	if (root && root->func_value)
		err = func_resolve(m->places, p->value, sp, p->index, &place, &f);
	else if (e)
		err = edge_resolve(m->places, e, p->addr, p->value, sp, p->index, &place, NULL);
	if (!err)
		err = suggest(k, sp, p->index, place);
	if (!err && state == WALK_SEEN && m->place[id] != old)
		err = vec_push(&k->retype, id);
	return err;
}

static struct err *visit_all(struct walk *w, struct walk_ptr *v, size_t n)
{
	struct marking *k = (struct marking *)w;
	struct err *err = NULL;

	for (size_t i = 0; i < n && !err; i++)
		err = visit(k, &v[i]);
	return err;
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

struct err *mark_run(struct mark *m, struct heap *h, struct places *places, struct mark_root *roots,
		     size_t nroots)
{
	struct marking k = { .walk = { .h = h,
				       .roots = roots,
				       .nroots = nroots,
				       .phase = "marking",
				       .visit = visit_all,
				       .level_done = retype },
			     .m = m };
	struct err *err;

	*m = (struct mark){ .h = h, .places = places, .roots = roots, .nroots = nroots };
	m->place = calloc(h->spans.nscan + 1, sizeof(uint32_t));
	if (!m->place)
		return err_nomem();
	huge_empty(m->place, h->spans.nscan * sizeof(uint32_t));
	k.walk.by_scan = m->place;
	err = walk_run(&k.walk);
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
