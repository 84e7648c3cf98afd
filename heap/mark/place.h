/*
 * What lies in an object.
 *
 * A place says how a type lies on a slot: once from some offset on, tiled to the end, or one of the
 * runtime's own structures behind maps and channels.  Places are interned: an object carries a
 * number.  What the pointer words of a place mean is edge.h's.
 */
#ifndef GRF_HEAP_MARK_PLACE_H
#define GRF_HEAP_MARK_PLACE_H

#include "base/arena.h"
#include "base/hash.h"
#include "heap/profile/code_lines.h"
#include "heap/capture/captured.h"
#include "heap/mark/package.h"
#include "heap/types/type.h"

struct edge;

enum place_mode {
	PLACE_UNKNOWN, /* place 0 */
	PLACE_ONE,     /* one T at off */
	PLACE_TILE,    /* T after T from off to the end of the slot */
	PLACE_MAP,     /* a map's header: swiss Map or hmap; type is the map's */
	PLACE_MAP_DIR, /* swiss: the directory, []*table */
	PLACE_MAP_TABLE,
	PLACE_MAP_GROUPS, /* groups or buckets, one after another */
	PLACE_CHAN,       /* hchan; type is the channel's */
	/* a chunk of a user arena: one T at off, other objects around it; type may be NULL */
	PLACE_ARENA,
};

struct place {
	enum place_mode mode;
	uint32_t off; /* bytes from the slot's start */
	struct go_type *type;
	uint64_t mask; /* of the first 64 words of one T, for ONE and TILE; see places_fit() */
	bool mask_known;
	bool main;     /* one struct of the main module's */
	uint64_t unit; /* bytes after which it repeats; 0: never */
	/* of the first EDGES_MAX words of one T, as far as they were asked for; may be NULL */
	const struct edge **edges;
	uint32_t nedges;
};

struct places {
	struct captured *h;
	struct types *types;
	struct packages packages;
	struct strtab *frames;    /* the profile's */
	struct code_lines *lines; /* the report's; NULL: not wanted */
	bool fold;                /* frames are made for folding, not each step by itself */
	struct arena arena;
	VEC(struct place) v;
	VEC(struct edge *) edges;
	struct map64 by_key;      /* type id, mode, off -> place */
	struct map64 edge_cache;  /* type id, mode, offset -> edge */
	struct map64 derived;     /* hash of an edge and what was seen there -> edge id + 1 */
	struct strtab fold_types; /* names of types, pointers as what they point to (frame.h) */
	const struct edge *unknown;
	uint32_t sub_objects; /* string id of "$sub_objects$" */
};

ERR_MUST_CHECK struct err *places_init(struct places *p, struct captured *h, struct types *types,
				       struct strtab *frames, bool fold);
void places_deinit(struct places *p);

ERR_MUST_CHECK struct err *place_get(struct places *p, enum place_mode mode, struct go_type *type,
				     uint64_t off, uint32_t *ret);

/* What a pointer that suggests this place (0: nothing) says of the arena's chunk that it leads
 * into. */
ERR_MUST_CHECK struct err *place_arena(struct places *p, uint32_t place, uint32_t *ret);

/* A small object that begins with the address of a function, in a word that is no pointer to the
 * collector, is that function's closure: its place, 0 if it is none. */
ERR_MUST_CHECK struct err *place_of_closure(struct places *p, const struct span *sp, uint32_t index,
					    uint64_t bits, uint32_t *place);

/* What the object says of itself, by its allocation header or largeType; 0: nothing. */
ERR_MUST_CHECK struct err *place_of_header(struct places *p, const struct span *sp, uint32_t index,
					   uint32_t *place);

/* How many of the object's pointer words (bits, of small objects) the place explains; -1: it
 * contradicts them. */
int place_fit(struct places *p, uint32_t place, const struct span *sp, uint64_t bits);

#endif
