/*
 * Places and edges: how a type lies on a slot, and what each pointer word of it says.  An edge is
 * made once per type and offset, by going down the type's fields to the leaf; maps and channels,
 * whose insides are the runtime's, have their own ways down.
 */
#include "heap/mark/place.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "heap/types/known.h"

struct err *places_init(struct places *p, struct captured *h, struct types *types,
			struct strtab *frames)
{
	struct place unknown = { .mode = PLACE_UNKNOWN };

	memset(p, 0, sizeof(*p));
	p->h = h;
	p->types = types;
	p->frames = frames;
	TRY(strtab_add(frames, "$sub_objects$", &p->sub_objects));
	TRY(strtab_add(frames, "$arena$", &p->arena_frame));
	return vec_push(&p->v, unknown);
}

void places_deinit(struct places *p)
{
	vec_deinit(&p->v);
	vec_deinit(&p->edges);
	map64_deinit(&p->by_key);
	map64_deinit(&p->edge_cache);
	arena_deinit(&p->arena);
}

/* ------------------------------------------------------------------ masks by type */

/* A pointer to memory outside the heap is none to the collector: types that begin with
 * sys.NotInHeap. */
static bool points_off_heap(struct places *p, struct go_type *t)
{
	const char *name;

	err_destroy(types_expand(p->types, t));
	if (!t->elem || t->elem->kind != KIND_STRUCT)
		return false;
	err_destroy(types_expand(p->types, t->elem));
	if (!t->elem->nfields || !t->elem->fields[0].type)
		return false;
	name = t->elem->fields[0].type->name;
	return !strcmp(name, "internal/runtime/sys.NotInHeap") ||
	       !strcmp(name, "runtime/internal/sys.NotInHeap");
}

/* The pointer words among the first 64 of a type: by shape, where its descriptor is unknown. */
static bool shape_mask(struct places *p, struct go_type *t, uint64_t at, uint64_t *mask, int depth)
{
	uint64_t word = p->h->proc.fmt.word, w = at / word;
	struct err *err;

	if (w >= 64 || !t->size)
		return true;
	if (depth > LIMIT_TYPE_DEPTH)
		return false;
	err = types_expand(p->types, t);
	if (err) {
		err_destroy(err);
		return false;
	}
	switch (t->kind) {
	case KIND_STRUCT:
		for (uint32_t i = 0; i < t->nfields; i++)
			if (!t->fields[i].type ||
			    !shape_mask(p, t->fields[i].type, at + t->fields[i].offset, mask,
					depth + 1))
				return false;
		return true;
	case KIND_ARRAY:
		if (!t->elem)
			return false;
		for (uint64_t i = 0; i < t->len && (at + i * t->elem->size) / word < 64; i++)
			if (!shape_mask(p, t->elem, at + i * t->elem->size, mask, depth + 1))
				return false;
		return true;
	/* its first word is none to the collector (cmd/compile, typebits.set) */
	case KIND_INTERFACE:
		if (w + 1 < 64)
			*mask |= 2ull << w;
		return true;
	case KIND_POINTER:
		if (!points_off_heap(p, t))
			*mask |= 1ull << w;
		return true;
	case KIND_CHAN:
	case KIND_FUNC:
	case KIND_MAP:
	case KIND_UNSAFE_POINTER:
	case KIND_SLICE:
	case KIND_STRING:
		*mask |= 1ull << w;
		return true;
	default:
		return t->kind != KIND_INVALID;
	}
}

static struct err *type_mask(struct places *p, struct go_type *t, struct place *pl)
{
	const struct gcmask *m = NULL;

	if (t->rtype)
		TRY(gcmask_find(&p->h->proc, &p->h->masks, t->rtype, &m));
	if (m && m->bits) {
		for (uint64_t w = 0; w < m->ptr_words && w < 64; w++)
			pl->mask |= (uint64_t)(m->bits[w >> 3] >> (w & 7) & 1) << w;
		pl->mask_known = true;
	} else {
		pl->mask_known = shape_mask(p, t, 0, &pl->mask, 0);
	}
	return NULL;
}

static uint64_t place_unit(const struct places *p, const struct place *pl)
{
	switch (pl->mode) {
	case PLACE_TILE:
		return pl->type->size;
	case PLACE_MAP_DIR:
		return p->h->proc.fmt.word;
	case PLACE_MAP_GROUPS:
		return pl->type->map ? pl->type->map->group_size : 0;
	default:
		return 0;
	}
}

struct err *place_get(struct places *p, enum place_mode mode, struct go_type *type, uint64_t off,
		      uint32_t *ret)
{
	uint64_t *slot, key;
	struct place pl = { .mode = mode, .off = (uint32_t)off, .type = type };
	bool is_new;

	/* An array is its elements; what holds nothing says nothing. */
	while (mode == PLACE_ONE && type->kind == KIND_ARRAY) {
		TRY(types_expand(p->types, type));
		if (!type->elem)
			break;
		pl.type = type = type->elem;
		pl.mode = mode = PLACE_TILE;
	}
	if (off > UINT32_MAX || !type->size) {
		*ret = 0;
		return NULL;
	}
	key = (uint64_t)type->id << 36 | (uint64_t)mode << 32 | off;
	TRY(map64_put(&p->by_key, key, 0, &slot, &is_new));
	if (is_new) {
		*slot = p->v.n;
		TRY(types_expand(p->types, type));
		pl.unit = place_unit(p, &pl);
		if (mode == PLACE_ONE || mode == PLACE_TILE)
			TRY(type_mask(p, type, &pl));
		TRY(vec_push(&p->v, pl));
	}
	*ret = (uint32_t)*slot;
	return NULL;
}

/*
 * A chunk holds objects of all types, one beside the other.  A pointer says what lies where it
 * points; of the rest it is known only that the same arena has it.
 */
struct err *place_arena(struct places *p, uint32_t place, uint32_t *ret)
{
	struct place pl = { .mode = PLACE_ARENA }, from = p->v.v[place];
	uint64_t *slot, key;
	bool is_new;

	if (from.mode == PLACE_ONE) {
		pl.type = from.type;
		pl.off = from.off;
	}
	key = (uint64_t)(pl.type ? pl.type->id : 0) << 36 | (uint64_t)pl.mode << 32 | pl.off;
	TRY(map64_put(&p->by_key, key, 0, &slot, &is_new));
	if (is_new) {
		*slot = p->v.n;
		TRY(vec_push(&p->v, pl));
	}
	*ret = (uint32_t)*slot;
	return NULL;
}

int place_fit(struct places *p, uint32_t place, const struct span *sp, uint64_t bits)
{
	const struct place *pl = &p->v.v[place];
	uint64_t word = p->h->proc.fmt.word, words = sp->elemsize / word,
		 n = pl->type ? pl->type->size / word : 0;
	uint64_t mask = 0, at = pl->off / word;

	if (pl->mode == PLACE_UNKNOWN)
		return 0;
	if (pl->mode != PLACE_ONE && pl->mode != PLACE_TILE)
		return __builtin_popcountll(bits);
	if (!pl->mask_known)
		return 0;
	if (pl->mode == PLACE_ONE) {
		if (at >= 64)
			return -1;
		mask = pl->mask << at;
		if (n < 64 && at + n < 64)
			mask &= (1ull << (at + n)) - 1;
		if (mask & ~bits)
			return -1; /* says pointer where the collector says none */
	} else {
		if (!n)
			return -1;
		for (; at < words && at < 64; at += n)
			mask |= pl->mask << at;
	}
	if (words < 64)
		mask &= (1ull << words) - 1;
	return __builtin_popcountll(mask & bits);
}

/* ------------------------------------------------------------------ edges */

VEC_NAMED(frame_ids, uint32_t);

static struct err *frame_add(struct places *p, struct frame_ids *out, const char *name,
			     const struct go_type *t)
{
	char buf[512], *s = buf;
	uint32_t id;
	int n = snprintf(buf, sizeof(buf), "%s. (%s)", name, t->name);

	if (n >= (int)sizeof(buf)) {
		s = arena_printf(&p->arena, "%s. (%s)", name, t->name);
		if (!s)
			return err_nomem();
	}
	TRY(strtab_add(p->frames, s, &id));
	return vec_push(out, id);
}

struct err *index_frame(struct places *p, struct go_type *elem, int64_t index, uint32_t *ret)
{
	_cleanup_vec_ struct frame_ids out = VEC_INIT;
	char name[16];

	if (index < 10)
		snprintf(name, sizeof(name), "[%d]", (int)index);
	else
		snprintf(name, sizeof(name), "[10+]");
	TRY(frame_add(p, &out, name, elem));
	*ret = out.v[0];
	return NULL;
}

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

/* The field of a struct that the byte at off is in; NULL: none. */
static const struct go_field *field_at(const struct go_type *t, uint64_t off)
{
	const struct go_field *f = NULL;

	for (uint32_t i = 0; i < t->nfields; i++)
		if (t->fields[i].offset <= off && t->fields[i].type &&
		    off - t->fields[i].offset < t->fields[i].type->size)
			f = &t->fields[i];
	return f;
}

/*
 * One step down from the struct *t to its field at *off.  *done: the edge is complete; else *t and
 * *off are the field's.
 */
static struct err *descend_field(struct places *p, struct go_type **t, uint64_t *off,
				 struct edge *e, struct frame_ids *out, bool *done)
{
	const struct known_pointer *known;
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
	TRY(frame_add(p, out, f->name, ft));
	if (ft->kind == KIND_UNSAFE_POINTER && (known = known_field((*t)->name, f->name))) {
		TRY(types_by_name(p->types, known->type, &e->type));
		if (e->type) {
			e->target = EDGE_PLACE;
			e->mode = known->tile ? PLACE_TILE : PLACE_ONE;
		}
		return NULL;
	}
	*off -= f->offset;
	*t = ft;
	*done = false;
	return NULL;
}

/* Goes down from type t to the leaf at off: frames on the way, and the leaf. */
static struct err *edge_descend(struct places *p, struct go_type *t, uint64_t off, struct edge *e,
				struct frame_ids *out)
{
	for (int depth = 0; depth < LIMIT_TYPE_DEPTH; depth++) {
		TRY(types_expand(p->types, t));
		if (t->kind == KIND_STRUCT) {
			bool done;

			TRY(descend_field(p, &t, &off, e, out, &done));
			if (done)
				return NULL;
		} else if (t->kind == KIND_ARRAY && t->elem && t->elem->size) {
			uint32_t id;

			TRY(index_frame(p, t->elem, (int64_t)(off / t->elem->size), &id));
			TRY(vec_push(out, id));
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
				 struct edge *e, struct frame_ids *out)
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
		TRY(frame_add(p, out, parts[i].name, parts[i].type));
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
			     struct frame_ids *out)
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
			     uint64_t off, struct edge *e, struct frame_ids *out)
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
		return vec_push(out, p->arena_frame);
	case PLACE_UNKNOWN:
		return NULL;
	}
	return NULL;
}

static struct err *edge_make(struct places *p, enum place_mode mode, struct go_type *type,
			     uint64_t off, struct edge **ret)
{
	_cleanup_vec_ struct frame_ids out = VEC_INIT;
	struct edge *e = arena_alloc(&p->arena, sizeof(*e));

	if (!e)
		return err_nomem();
	if (type)
		TRY(types_expand(p->types, type));
	TRY(edge_fill(p, mode, type, off, e, &out));
	if (e->target == EDGE_UNKNOWN && !out.n) {
		TRY(vec_push(&out, p->sub_objects));
		e->unnamed = true;
	}
	if (out.n) {
		e->frames = arena_alloc(&p->arena, out.n * sizeof(uint32_t));
		if (!e->frames)
			return err_nomem();
		memcpy(e->frames, out.v, out.n * sizeof(uint32_t));
		e->nframes = (uint32_t)out.n;
	}
	e->id = (uint32_t)p->edges.n;
	TRY(vec_push(&p->edges, e));
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

static struct err *edge_unknown(struct places *p, const struct edge **ret)
{
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
		return edge_unknown(p, ret);
	off -= pl->off;
	if (!pl->unit && mode == PLACE_ONE && off >= pl->type->size)
		return edge_unknown(p, ret);
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
