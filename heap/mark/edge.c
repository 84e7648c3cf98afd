/*
 * Edges: what each pointer word of a place says.  An edge is made once per type and offset, by
 * going down the type's fields to the leaf; maps and channels, whose insides are the runtime's,
 * have their own ways down.  Where the words themselves say more than the type (what an interface
 * holds, whose closure a func value is), an edge is derived from the first one, once per kind of
 * contents.
 */
#include "heap/mark/edge.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/search.h"
#include "heap/mark/borrow.h"
#include "heap/mark/frame.h"
#include "heap/types/known.h"

/*
 * sync/atomic.Pointer[T] and its like: struct { _ [0]*T; ...; v unsafe.Pointer } says in its first
 * field what its pointer is.
 */
static struct go_type *phantom_pointer(struct places *p, struct go_type *st)
{
	struct go_type *t;

	if (!st->nfields || !(t = st->fields[0].type) || t->kind != KIND_ARRAY || t->size)
		return NULL;
	err_destroy(types_expand(p->types, t));
	return t->elem && t->elem->kind == KIND_POINTER ? t->elem : NULL;
}

static void edge_leaf(struct edge *e, struct go_type *t, uint64_t off)
{
	e->target = EDGE_LEAF;
	e->type = t;
	e->leaf_off = (uint32_t)off;
}

struct field_key {
	const struct go_field *v;
	uint64_t off;
};

static bool field_behind(const void *arg, size_t i)
{
	const struct field_key *k = arg;

	return k->v[i].offset > k->off;
}

/* The field of a struct that the byte at off is in; NULL: none.  Fields are in order of their
 * offsets; those of no size may stand behind the one. */
static const struct go_field *field_at(const struct go_type *t, uint64_t off)
{
	enum { EMPTY_MAX = 1000 };
	struct field_key k = { t->fields, off };
	size_t i = search_first(t->nfields, field_behind, &k);

	for (unsigned n = 0; i-- && n < EMPTY_MAX; n++) {
		const struct go_field *f = &t->fields[i];

		if (f->type && off - f->offset < f->type->size)
			return f;
	}
	return NULL;
}

/* A box that sync.Map keeps a value in, which has no name of its own: struct { $mapval any }. */
static struct err *edge_box(struct places *p, const char *field, struct edge *e)
{
	struct go_type *any;

	TRY(types_by_name(p->types, "interface {}", &any));
	if (!any)
		return NULL;
	TRY(types_struct_of(p->types, field, any, &e->type));
	e->target = EDGE_PLACE;
	e->mode = PLACE_ONE;
	return NULL;
}

/* What an unsafe.Pointer, or a wrapper around one, is known to point to; *done: it is known. */
static struct err *descend_known(struct places *p, const struct go_type *t, const char *field,
				 const struct go_type *ft, struct edge *e, bool *done)
{
	const struct known_pointer *known = known_field(t->name, field);

	*done = false;
	if (!known)
		return NULL;
	*done = true;
	if (p->fold && known->box)
		return edge_box(p, known->box, e);
	if (ft->kind != KIND_UNSAFE_POINTER) {
		*done = false;
		return NULL;
	}
	TRY(types_by_name(p->types, known->type, &e->type));
	if (e->type) {
		e->target = EDGE_PLACE;
		e->mode = known->tile ? PLACE_TILE : PLACE_ONE;
	}
	return NULL;
}

/*
 * One step down from the struct *t to its field at *off.  *done: the edge is complete; else *t and
 * *off are the field's.
 */
static struct err *descend_field(struct places *p, struct go_type **t, uint64_t *off,
				 struct edge *e, struct frames *out, bool *done)
{
	const struct go_field *f = field_at(*t, *off);
	struct go_type *ft;

	*done = true;
	if (!f)
		return NULL;
	ft = f->type;
	if (f->offset && (known_interface((*t)->name) || !strcmp((*t)->name, "reflect.Value"))) {
		edge_leaf(e, *t, *off);
		return NULL;
	}
	if (ft->kind == KIND_UNSAFE_POINTER && phantom_pointer(p, *t))
		ft = phantom_pointer(p, *t);
	TRY(frames_add_field(p, out, *t, f->name, ft));
	TRY(descend_known(p, *t, f->name, ft, e, done));
	if (*done)
		return NULL;
	*off -= f->offset;
	*t = ft;
	return NULL;
}

/* Goes down from type t to the leaf at off: frames on the way, and the leaf. */
static struct err *edge_descend(struct places *p, struct go_type *t, uint64_t off, struct edge *e,
				struct frames *out)
{
	for (int depth = 0; depth < LIMIT_TYPE_DEPTH; depth++) {
		TRY(types_expand(p->types, t));
		if (t->kind == KIND_STRUCT) {
			bool done;

			TRY(descend_field(p, &t, &off, e, out, &done));
			if (done)
				return NULL;
		} else if (t->kind == KIND_ARRAY && t->elem && t->elem->size) {
			TRY(frames_add_element(p, out, t->elem, (int64_t)(off / t->elem->size)));
			off %= t->elem->size;
			t = t->elem;
		} else {
			edge_leaf(e, t, off);
			return NULL;
		}
	}
	e->target = EDGE_UNKNOWN;
	return NULL;
}

/* A key or element slot of a group or bucket. */
static struct err *edge_map_slot(struct places *p, struct go_type *map, uint64_t off,
				 struct edge *e, struct frames *out)
{
	const struct go_map *m = map->map;
	uint64_t word = p->h->proc.fmt.word;
	const struct {
		const char *name;
		struct go_type *type;
		bool indirect;
		uint32_t off, stride;
	} parts[] = {
		{ "$mapkey", map->key, m->indirect_key, m->keys_off, m->key_stride },
		{ "$mapval", map->elem, m->indirect_elem, m->elems_off, m->elem_stride },
	};

	if (!m->swiss && off == m->overflow_off) {
		e->target = EDGE_PLACE;
		e->mode = PLACE_MAP_GROUPS;
		e->type = map;
		return NULL;
	}
	for (size_t i = 0; i < 2; i++) {
		uint64_t in, size;

		if (!parts[i].type || !parts[i].stride || off < parts[i].off)
			continue;
		size = parts[i].indirect ? word : parts[i].type->size;
		in = off - parts[i].off;
		if (in / parts[i].stride >= 8 || in % parts[i].stride >= size)
			continue;
		TRY(frames_add(p, out, parts[i].name, parts[i].type));
		if (!parts[i].indirect)
			return edge_descend(p, parts[i].type, in % parts[i].stride, e, out);
		e->target = EDGE_PLACE;
		e->mode = PLACE_ONE;
		e->type = parts[i].type;
		return NULL;
	}
	return NULL;
}

static struct err *edge_map_header(struct places *p, struct go_type *map, uint64_t off,
				   struct edge *e)
{
	const struct layout *l = &p->h->proc.layout;

	e->type = map;
	if (map->map->swiss) {
		e->dir = off == layout_off(l, L_map_dirPtr);
		e->mode = PLACE_MAP_GROUPS;
	} else {
		if (off != layout_off(l, L_hmap_buckets) && off != layout_off(l, L_hmap_oldbuckets))
			/* extra: overflow buckets, which the buckets lead to as well */
			return NULL;
		e->mode = PLACE_MAP_GROUPS;
	}
	if (map->map->swiss && !e->dir)
		return NULL;
	e->target = EDGE_PLACE;
	return NULL;
}

static struct err *edge_chan(struct places *p, struct go_type *chan, uint64_t off, struct edge *e,
			     struct frames *out)
{
	struct go_type *hchan;

	if (off == layout_off(&p->h->proc.layout, L_hchan_buf)) {
		if (!chan->elem)
			return NULL;
		e->target = EDGE_PLACE;
		e->mode = PLACE_TILE;
		e->type = chan->elem;
		return NULL;
	}
	TRY(types_by_name(p->types, "runtime.hchan", &hchan));
	return hchan ? edge_descend(p, hchan, off, e, out) : NULL;
}

/* What the word at off of a place of this kind leads to, and the frames on the way there. */
static struct err *edge_fill(struct places *p, enum place_mode mode, struct go_type *type,
			     uint64_t off, struct edge *e, struct frames *out)
{
	switch (mode) {
	case PLACE_ONE:
	case PLACE_TILE:
		return edge_descend(p, type, off, e, out);
	case PLACE_MAP:
		return type->map ? edge_map_header(p, type, off, e) : NULL;
	case PLACE_MAP_DIR:
		e->target = EDGE_PLACE;
		e->mode = PLACE_MAP_TABLE;
		e->type = type;
		return NULL;
	case PLACE_MAP_TABLE:
		if (off == layout_off(&p->h->proc.layout, L_table_groups)) {
			e->target = EDGE_PLACE;
			e->mode = PLACE_MAP_GROUPS;
			e->type = type;
		}
		return NULL;
	case PLACE_MAP_GROUPS:
		return type->map ? edge_map_slot(p, type, off, e, out) : NULL;
	case PLACE_CHAN:
		return edge_chan(p, type, off, e, out);
	case PLACE_ARENA:
		return frames_add_text(p, out, "$arena$");
	case PLACE_UNKNOWN:
		return NULL;
	}
	return NULL;
}

/* May the words say more than the type does? */
static bool edge_varies(const struct edge *e)
{
	if (e->target != EDGE_LEAF)
		return false;
	switch (e->type->kind) {
	case KIND_FUNC:
	case KIND_INTERFACE:
	case KIND_STRUCT:
	case KIND_ARRAY:
		return true;
	default:
		return false;
	}
}

/* Numbers the edge, and gives it the frames. */
static struct err *edge_finish(struct places *p, struct edge *e, const struct frames *out)
{
	if (out->n) {
		e->frames = arena_alloc(&p->arena, out->n * sizeof(*e->frames));
		if (!e->frames)
			return err_nomem();
		memcpy(e->frames, out->v, out->n * sizeof(*e->frames));
		e->nframes = (uint32_t)out->n;
	}
	e->id = (uint32_t)p->edges.n;
	return vec_push(&p->edges, e);
}

static struct err *edge_make(struct places *p, enum place_mode mode, struct go_type *type,
			     uint64_t off, struct edge **ret)
{
	_cleanup_vec_ struct frames out = VEC_INIT;
	struct edge *e = arena_alloc(&p->arena, sizeof(*e));
	size_t before;

	if (!e)
		return err_nomem();
	if (type) {
		TRY(types_expand(p->types, type));
		TRY(fold_type(p, type, &e->from));
	}
	if (mode == PLACE_TILE && p->fold) {
		TRY(fold_row(p, type, &e->from));
		TRY(frames_add_element(p, &out, type, 0));
	}
	before = out.n;
	TRY(edge_fill(p, mode, type, off, e, &out));
	if (e->target == EDGE_UNKNOWN && out.n == before) {
		TRY(frames_add_text(p, &out, "$sub_objects$"));
		e->unnamed = true;
	}
	e->varies = edge_varies(e);
	TRY(edge_finish(p, e, &out));
	e->borrowed = borrow_step(type, e);
	*ret = e;
	return NULL;
}

static struct err *edge_lookup(struct places *p, enum place_mode mode, struct go_type *type,
			       uint64_t off, const struct edge **ret)
{
	uint64_t key =
		(uint64_t)(type ? type->id : 0) << 40 | (uint64_t)mode << 36 | (off & 0xfffffffff);
	uint64_t *slot;
	struct edge *e = NULL;
	bool is_new;

	TRY(map64_put(&p->edge_cache, key, 0, &slot, &is_new));
	if (!is_new) {
		*ret = p->edges.v[*slot];
		return NULL;
	}
	TRY(edge_make(p, mode, type, off, &e));
	slot = map64_get(&p->edge_cache, key);
	*slot = e->id;
	*ret = e;
	return NULL;
}

enum { EDGES_MAX = 64 };

/* Remembers the edge of one word of the place. */
static struct err *edge_keep(struct places *p, struct place *pl, uint64_t word,
			     const struct edge *e)
{
	if (!pl->edges) {
		uint64_t n = (pl->unit ? pl->unit : pl->type->size) / p->h->proc.fmt.word;

		pl->nedges = n < EDGES_MAX ? (uint32_t)n : EDGES_MAX;
		pl->edges = arena_alloc(&p->arena, (pl->nedges + 1) * sizeof(*pl->edges));
		if (!pl->edges)
			return err_nomem();
	}
	if (word < pl->nedges)
		pl->edges[word] = e;
	return NULL;
}

/* Of a closure's words at least that is known: they are captured. */
static struct err *edge_unknown(struct places *p, struct go_type *holder, const struct edge **ret)
{
	if (holder && holder->closure)
		return edge_lookup(p, PLACE_UNKNOWN, holder, 0, ret);
	if (!p->unknown)
		TRY(edge_lookup(p, PLACE_UNKNOWN, NULL, 0, &p->unknown));
	*ret = p->unknown;
	return NULL;
}

static struct err *edge_in_arena(struct places *p, const struct place *pl, uint64_t off,
				 const struct edge **ret)
{
	if (!pl->type || off < pl->off || off - pl->off >= pl->type->size)
		return edge_lookup(p, PLACE_ARENA, NULL, 0, ret);
	return edge_lookup(p, PLACE_ONE, pl->type, off - pl->off, ret);
}

struct err *edge_get(struct places *p, uint32_t place, uint64_t off, const struct edge **ret,
		     int64_t *index)
{
	struct place *pl = &p->v.v[place];
	enum place_mode mode = pl->mode;
	unsigned shift = p->h->proc.fmt.word == 8 ? 3 : 2;
	bool whole; /* off is a word's */

	*index = -1;
	if (mode == PLACE_ARENA)
		return edge_in_arena(p, pl, off, ret);
	if (mode == PLACE_UNKNOWN || off < pl->off)
		return edge_unknown(p, pl->type, ret);
	off -= pl->off;
	if (!pl->unit && mode == PLACE_ONE && off >= pl->type->size)
		return edge_unknown(p, pl->type, ret);
	if (pl->unit && mode == PLACE_TILE)
		*index = (int64_t)(off < pl->unit ? 0 : off / pl->unit);
	if (pl->unit && off >= pl->unit)
		off %= pl->unit;
	whole = !(off & ((1u << shift) - 1));
	if (off >> shift < pl->nedges && whole && pl->edges[off >> shift]) {
		*ret = pl->edges[off >> shift];
		return NULL;
	}
	TRY(edge_lookup(p, mode, pl->type, off, ret));
	return whole ? edge_keep(p, &p->v.v[place], off >> shift, *ret) : NULL;
}

struct err *edge_of_type(struct places *p, struct go_type *type, uint64_t off,
			 const struct edge **ret)
{
	return edge_lookup(p, PLACE_ONE, type, off, ret);
}

/* ------------------------------------------------------------------ derived edges */

static uint64_t derived_key(const struct edge *e, uint64_t what)
{
	return hash64(what) ^ ((uint64_t)e->id << 1 | 1);
}

/* The edge that was derived from e for `what`, or the empty slot for it. */
static struct err *derived_slot(struct places *p, const struct edge *e, uint64_t what,
				uint64_t **slot)
{
	for (uint64_t key = derived_key(e, what);; key++) {
		const struct edge *d;
		bool is_new;

		TRY(map64_put(&p->derived, key, 0, slot, &is_new));
		if (is_new || !**slot)
			return NULL;
		d = p->edges.v[**slot - 1];
		if (d->derived_from == e && d->derived_for == what)
			return NULL;
	}
}

static struct err *edge_copy(struct places *p, const struct edge *e, uint64_t what,
			     struct edge **ret, struct frames *out)
{
	struct edge *d = arena_alloc(&p->arena, sizeof(*d));

	if (!d)
		return err_nomem();
	*d = *e;
	d->derived_from = e;
	d->derived_for = what;
	d->frames = NULL;
	d->nframes = 0;
	for (uint32_t i = 0; i < e->nframes; i++)
		TRY(vec_push(out, e->frames[i]));
	*ret = d;
	return NULL;
}

struct err *edge_seen(struct places *p, const struct edge *e, const struct seen *s,
		      const struct edge **ret)
{
	uint64_t what = (s->closure ? s->closure->entry : 0) ^ (uint64_t)(s->type ? s->type->id : 0)
								       << 40;
	uint64_t *slot;
	_cleanup_vec_ struct frames out = VEC_INIT;
	struct edge *d;

	*ret = e;
	if (!s->type && !s->closure)
		return NULL;
	TRY(derived_slot(p, e, what, &slot));
	if (*slot) {
		*ret = p->edges.v[*slot - 1];
		return NULL;
	}
	*slot = p->edges.n + 1;
	TRY(edge_copy(p, e, what, &d, &out));
	if (s->type)
		TRY(frames_set_dynamic(p, &out, s->type, s->any));
	if (s->closure)
		TRY(frames_add_closure(p, &out, s->closure));
	TRY(edge_finish(p, d, &out));
	*ret = d;
	return NULL;
}

struct err *edge_at_index(struct places *p, const struct edge *e, struct go_type *elem,
			  int64_t index, const struct edge **ret)
{
	uint64_t what = (uint64_t)(index < 10 ? index : 10) + 1, *slot;
	_cleanup_vec_ struct frames out = VEC_INIT;
	struct edge *d;

	TRY(derived_slot(p, e, what, &slot));
	if (*slot) {
		*ret = p->edges.v[*slot - 1];
		return NULL;
	}
	*slot = p->edges.n + 1;
	TRY(frames_add_element(p, &out, elem, index));
	TRY(edge_copy(p, e, what, &d, &out));
	TRY(edge_finish(p, d, &out));
	*ret = d;
	return NULL;
}

/* What an object with this place is, as a type; false: it has no type. */
static struct err *place_type_name(const struct place *pl, struct buf *out, bool *known)
{
	*known = pl->type && !pl->type->closure;
	if (!*known)
		return NULL;
	switch (pl->mode) {
	case PLACE_TILE:
		TRY(buf_addstr(out, "[]"));
		break;
	case PLACE_ONE:
		TRY(buf_addstr(out, "*"));
		break;
	default: /* of the runtime's: by the map or channel it is of */
		break;
	}
	return buf_addstr(out, pl->type->name);
}

struct err *edge_to_place(struct places *p, const struct edge *e, uint32_t place,
			  const struct edge **ret)
{
	_cleanup_vec_ struct frames out = VEC_INIT;
	_cleanup_buf_ struct buf name = BUF_INIT;
	uint64_t what = (uint64_t)place << 8 | 0xff, *slot;
	struct edge *d;
	bool known;

	*ret = e;
	TRY(place_type_name(&p->v.v[place], &name, &known));
	if (!known)
		return NULL;
	TRY(derived_slot(p, e, what, &slot));
	if (*slot) {
		*ret = p->edges.v[*slot - 1];
		return NULL;
	}
	*slot = p->edges.n + 1;
	TRY(edge_copy(p, e, what, &d, &out));
	out.n = 0;
	d->unnamed = false;
	TRY(frames_add_unknown(p, &out, (const char *)name.data, p->v.v[place].type));
	TRY(edge_finish(p, d, &out));
	*ret = d;
	return NULL;
}
