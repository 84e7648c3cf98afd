/*
 * How much of small objects' slots their contents take: the rest is what size classes cost.  Known
 * of objects whose type, or whose slice or string, the first way that leads to them tells; a size
 * that would have been put into a smaller class is not the whole object's.  Large objects and tiny
 * blocks are counted elsewhere (heap/profile/account.h).
 */
#ifndef GRF_HEAP_MARK_SLOT_USE_H
#define GRF_HEAP_MARK_SLOT_USE_H

#include "heap/profile/account.h"
#include "heap/mark/mark.h"
#include "heap/mark/edge.h"
#include "heap/mark/place.h"
#include "heap/mark/walk.h"

struct slot_use {
	const struct mark *m;
	/* the next smaller class's slots, bytes; 0: none is in use */
	uint32_t smaller[SIZE_CLASSES];
	struct amount known; /* slots */
	uint64_t waste;      /* bytes of them */
};

/* By size class: the slots of the next smaller class that is in use, bytes; 0: there is none. */
void slot_sizes_below(const struct spans *s, uint32_t below[SIZE_CLASSES]);

void slot_use_init(struct slot_use *u, const struct mark *m);

/* p leads to a live object; e: the word that it is in, NULL: not known. */
void slot_use_add(struct slot_use *u, const struct walk_ptr *p, const struct edge *e);

#endif
