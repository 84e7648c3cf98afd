/* Places: how a type lies on a slot, and how well that explains the slot's own pointer words. */
#include "heap/mark/place.h"

#include <inttypes.h>
#include <string.h>

#include "base/intr.h"
#include "base/limits.h"
#include "heap/types/known.h"

struct err *places_init(struct places *p, struct captured *h, struct types *types,
			struct strtab *frames, bool fold)
{
	struct place unknown = { .mode = PLACE_UNKNOWN };

	memset(p, 0, sizeof(*p));
	p->h = h;
	p->types = types;
	p->frames = frames;
	p->fold = fold;
	TRY(packages_init(&p->packages, h->proc.exe));
	TRY(strtab_add(frames, "$sub_objects$", &p->sub_objects));
	return vec_push(&p->v, unknown);
}

void places_deinit(struct places *p)
{
	vec_deinit(&p->v);
	vec_deinit(&p->edges);
	map64_deinit(&p->by_key);
	map64_deinit(&p->edge_cache);
	map64_deinit(&p->derived);
	strtab_deinit(&p->fold_types);
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

/* The pointer words among the first 64 of a type: by shape, where its descriptor is unknown.  A
 * real type has few parts in 64 words; one whose parts take no room could have 2^depth. */
static bool shape_mask(struct places *p, struct go_type *t, uint64_t at, uint64_t *mask, int depth,
		       unsigned *parts)
{
	uint64_t word = p->h->proc.fmt.word, w = at / word;
	struct err *err;

	if (w >= 64 || !t->size)
		return true;
	if (intr_signal())
		return false;
	if (depth > LIMIT_TYPE_DEPTH || ++*parts > LIMIT_SHAPE_PARTS)
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
					depth + 1, parts))
				return false;
		return true;
	case KIND_ARRAY:
		if (!t->elem)
			return false;
		if (!t->elem->size) /* or there are any number of them in no room */
			return true;
		for (uint64_t i = 0; i < t->len && (at + i * t->elem->size) / word < 64; i++)
			if (!shape_mask(p, t->elem, at + i * t->elem->size, mask, depth + 1, parts))
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
		pl->mask_known = shape_mask(p, t, 0, &pl->mask, 0, &(unsigned){ 0 });
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
		pl.main = type->kind == KIND_STRUCT && !type->closure &&
			  package_layer(&p->packages, type->name) == LAYER_MAIN;
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
