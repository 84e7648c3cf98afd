/* How waste is measured, while objects are named; its shape is in heap/profile/waste.h. */
#ifndef GRF_HEAP_REPORT_WASTE_HEAP_H
#define GRF_HEAP_REPORT_WASTE_HEAP_H

#include "heap/graph/graph.h"
#include "heap/profile/profile.h"

/* A slice or a string that uses a part of an object: from lo to hi in its data. */
struct waste_ref {
	uint32_t object; /* number of the graph */
	uint32_t lo, hi;
	uint32_t capacity; /* of a slice that was the first to lead there; else 0 */
};

/* What a node's slices and maps have. */
struct waste_node {
	uint64_t slices, capacity, slack;
	uint64_t maps, entries, used, groups; /* bytes, but for maps and entries */
};

struct waste {
	const struct graph *g;
	uint8_t *known; /* by object's number: WASTE_* */
	VEC(struct waste_ref) refs;
	VEC(struct waste_node) nodes;
	bool full; /* more refs than LIMIT_WASTE_REFS */
};

ERR_MUST_CHECK struct err *waste_init(struct waste *w, struct graph *g);
void waste_deinit(struct waste *w);
/* Fills r->waste, before the profile is bounded. */
ERR_MUST_CHECK struct err *waste_make(struct waste *w, const struct profile *p, struct report *r);

#endif
