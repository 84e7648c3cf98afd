/*
 * What a pointer word of a place, or of a variable, means: the steps that name it, and what it
 * points to.  Edges are cached per (place's type, offset), so both marking and naming look them up
 * once per kind of word, not once per object.
 */
#ifndef GRF_HEAP_MARK_EDGE_H
#define GRF_HEAP_MARK_EDGE_H

#include "heap/mark/frame.h"
#include "heap/mark/place.h"

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
	uint32_t from;        /* the place's type, as fold_type() has it; 0: not known */
	uint32_t nframes;
	struct frame *frames; /* outermost first */
	bool dir;             /* a map's dirPtr: group or directory, by dirLen */
	bool unnamed;         /* frames end in $sub_objects$ */
	bool borrowed;        /* what it leads to has an owner elsewhere (borrow.h) */
	bool varies;          /* edge_follow() may find more than the type says */
	uint32_t id;          /* dense, for caches */
	/* NULL, or: this is that edge where the words say more, and what they say. */
	const struct edge *derived_from;
	uint64_t derived_for;
};

/* The pointer word at offset `off` of an object with this place.  *index: for a tile, which
 * element; else -1. */
ERR_MUST_CHECK struct err *edge_get(struct places *p, uint32_t place, uint64_t off,
				    const struct edge **ret, int64_t *index);
/* As edge_get() for a variable of this type. */
ERR_MUST_CHECK struct err *edge_of_type(struct places *p, struct go_type *type, uint64_t off,
					const struct edge **ret);

/* e, a word of a tile's element, with the element's own step before its others ("[3]. (T)"). */
ERR_MUST_CHECK struct err *edge_at_index(struct places *p, const struct edge *e,
					 struct go_type *elem, int64_t index,
					 const struct edge **ret);

/* What a pointer and the words beside it say beyond the word's type. */
struct seen {
	struct go_type *type; /* that an interface holds; NULL: there is none, or it is unknown */
	bool any;             /* the interface has no methods */
	const struct func *closure; /* whose closure the pointer leads to; NULL: to none */
};

/* e with what was seen there. */
ERR_MUST_CHECK struct err *edge_seen(struct places *p, const struct edge *e, const struct seen *s,
				     const struct edge **ret);

/* e, which says nothing of what it leads to, where the object there is known to have this place:
 * its step is "$sub_objects$ (T)". */
ERR_MUST_CHECK struct err *edge_to_place(struct places *p, const struct edge *e, uint32_t place,
					 const struct edge **ret);

/*
 * What the pointer `value` in the word at `addr` says of the object it leads to, slot `index` of
 * sp: a place (0 if nothing), and what was seen on the way.
 */
ERR_MUST_CHECK struct err *edge_resolve(struct places *p, const struct edge *e, uint64_t addr,
					uint64_t value, const struct span *sp, uint32_t index,
					uint32_t *place, struct seen *seen);

/* As edge_resolve() for a word that is known to hold a func value. */
ERR_MUST_CHECK struct err *func_resolve(struct places *p, uint64_t value, const struct span *sp,
					uint32_t index, uint32_t *place,
					const struct func **closure);

/* As edge_resolve() for an interface's second word, where its value is of type dyn. */
ERR_MUST_CHECK struct err *value_resolve(struct places *p, struct go_type *dyn, uint64_t addr,
					 uint64_t value, const struct span *sp, uint32_t index,
					 uint32_t *place);

/* As edge_resolve() for a word of which nothing is known but the words before it, as many bytes as
 * `room`: with them it may be an interface (untyped.c). */
ERR_MUST_CHECK struct err *untyped_resolve(struct places *p, uint64_t addr, uint64_t room,
					   uint64_t value, const struct span *sp, uint32_t index,
					   uint32_t *place);

/* The dynamic type of the interface of type t whose data word is at addr; NULL: nil or unknown. */
ERR_MUST_CHECK struct err *iface_dynamic(struct places *p, const struct go_type *t, uint64_t addr,
					 struct go_type **ret);

#endif
