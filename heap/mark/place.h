/*
 * What lies in an object, and what a pointer word in it means.
 *
 * A place says how a type lies on a slot: once from some offset on, tiled to the end, or one of the
 * runtime's own structures behind maps and channels.  Places are interned: an object
 * carries a number.  An edge is one pointer word of a place: the frames that name it, and what
 * it points to.  Edges are cached per (place's type, offset), so both marking and naming look
 * them up once per kind of word, not once per object.
 */
#ifndef GRF_HEAP_MARK_PLACE_H
#define GRF_HEAP_MARK_PLACE_H

#include "base/arena.h"
#include "base/hash.h"
#include "heap/capture/captured.h"
#include "heap/types/type.h"

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
	uint64_t unit; /* bytes after which it repeats; 0: never */
	/* of the first EDGES_MAX words of one T, as far as they were asked for; may be NULL */
	const struct edge **edges;
	uint32_t nedges;
};

enum edge_target {
	EDGE_UNKNOWN, /* nothing is known of what it points to */
	EDGE_LEAF,    /* by the leaf's type */
	EDGE_PLACE,   /* a place at the target's own start: mode and type are given */
};

struct edge {
	enum edge_target target;
	enum place_mode mode; /* EDGE_PLACE */
	struct go_type *type; /* EDGE_LEAF: the leaf's; EDGE_PLACE: the place's */
	uint32_t leaf_off;    /* EDGE_LEAF: which word of the leaf it is, bytes */
	uint32_t nframes;
	uint32_t *frames; /* string ids; outermost first */
	bool dir;         /* a map's dirPtr: group or directory, by dirLen */
	bool unnamed;     /* frames end in $sub_objects$ */
	uint32_t id;      /* dense, for caches */
};

struct places {
	struct captured *h;
	struct types *types;
	struct strtab *frames; /* the profile's */
	struct arena arena;
	VEC(struct place) v;
	VEC(struct edge *) edges;
	struct map64 by_key;     /* type id, mode, off -> place */
	struct map64 edge_cache; /* type id, mode, offset -> edge */
	const struct edge *unknown;
	uint32_t sub_objects; /* string id of "$sub_objects$" */
	uint32_t arena_frame; /* "$arena$" */
};

ERR_MUST_CHECK struct err *places_init(struct places *p, struct captured *h, struct types *types,
				       struct strtab *frames);
void places_deinit(struct places *p);

ERR_MUST_CHECK struct err *place_get(struct places *p, enum place_mode mode, struct go_type *type,
				     uint64_t off, uint32_t *ret);

/* What a pointer that suggests this place (0: nothing) says of the arena's chunk that it leads
 * into. */
ERR_MUST_CHECK struct err *place_arena(struct places *p, uint32_t place, uint32_t *ret);

/* The pointer word at offset `off` of an object with this place.  *index: for a tile, which
 * element (its frame comes before the edge's own); -1: no index frame. */
ERR_MUST_CHECK struct err *edge_get(struct places *p, uint32_t place, uint64_t off,
				    const struct edge **ret, int64_t *index);
/* As edge_get() for a variable of this type. */
ERR_MUST_CHECK struct err *edge_of_type(struct places *p, struct go_type *type, uint64_t off,
					const struct edge **ret);

/* The frame of element `index` of a tile: "[3]. (T)", "[10+]. (T)". */
ERR_MUST_CHECK struct err *index_frame(struct places *p, struct go_type *elem, int64_t index,
				       uint32_t *ret);

/*
 * What the pointer `value` in the word at `addr` says of the object it leads to, slot `index` of
 * sp: a place, 0 if nothing.  *closure, if not NULL, gets the function whose closure it is (for the
 * frame), else NULL.
 */
ERR_MUST_CHECK struct err *edge_resolve(struct places *p, const struct edge *e, uint64_t addr,
					uint64_t value, const struct span *sp, uint32_t index,
					uint32_t *place, const struct func **closure);

/* As edge_resolve() for a word that is known to hold a func value. */
ERR_MUST_CHECK struct err *func_resolve(struct places *p, uint64_t value, const struct span *sp,
					uint32_t index, uint32_t *place,
					const struct func **closure);

/* The dynamic type of the interface of type t whose data word is at addr; NULL: nil or unknown. */
ERR_MUST_CHECK struct err *iface_dynamic(struct places *p, const struct go_type *t, uint64_t addr,
					 struct go_type **ret);

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
