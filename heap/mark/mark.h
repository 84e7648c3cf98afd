/*
 * Marking: what is live, and of which type; the order in which it is found says for each live
 * object which one path from a root the profile shows.
 *
 * Breadth-first from the roots in complete passes (package variables; goroutines; specials and
 * queues; the runtime's own variables), so that no later pass takes what an earlier one reached.
 * gs, ms and ps, which reach every goroutine's and timer's payload, are entered in the last pass
 * only, whoever points to them.  Within a pass an object belongs to the shortest path; ties go to
 * the lower root address, then the lower parent address, then the lower offset: each frontier is
 * kept in (root, address) order and the first to come wins.
 */
#ifndef GRF_HEAP_MARK_MARK_H
#define GRF_HEAP_MARK_MARK_H

#include "heap/mark/edge.h"
#include "heap/mark/place.h"
#include "heap/mark/walk.h"

struct mark {
	struct captured *h;
	struct places *places;
	const struct root_list *list;
	const struct mark_root *roots; /* list's, or some of them; sorted by pass, address */
	size_t nroots;
	uint32_t *place; /* by scan id, of the object; PLACE_FINAL: nothing better will come */
	uint8_t *seen;   /* a bit per object id: live */
	uint64_t live_bytes, live_objects;
	uint64_t unread; /* objects whose contents or map could not be read */
	size_t widest;   /* frontier, objects */
};

VEC_NAMED(scan_ids, uint32_t);

#define PLACE_FINAL 0x80000000u

static inline uint32_t mark_place(const struct mark *m, uint32_t scan_id)
{
	return m->place[scan_id] & ~PLACE_FINAL;
}

static inline const struct root_name *mark_root_name(const struct mark *m,
						     const struct mark_root *r)
{
	return root_name_of(m->list, r);
}

/* list is borrowed.  places must be fresh. */
ERR_MUST_CHECK struct err *mark_run(struct mark *m, struct captured *h, struct places *places,
				    const struct root_list *list);
void mark_deinit(struct mark *m);

#endif
