/*
 * Marking: what is live, and for each live object the one path from a root that the profile shows.
 *
 * Breadth-first from the roots in complete passes (package variables; goroutines; specials
 * and queues; the runtime's own variables), so that no later pass takes what an earlier one
 * reached.  gs, ms and ps, which reach every goroutine's and timer's payload, are entered in the
 * last pass only, whoever points to them.  Within a pass an object belongs to the shortest path; ties go to the lower root
 * address, then the lower parent address, then the lower offset: each frontier is kept in
 * (root, address) order and the first to come wins.
 */
#ifndef GRF_HEAP_MARK_H
#define GRF_HEAP_MARK_H

#include "heap/place.h"

enum mark_pass {
	PASS_VARIABLES,
	PASS_GOROUTINES,
	PASS_GOROUTINES_RUNTIME, /* frames of the runtime itself: what the program's own frames don't hold */
	PASS_GOROUTINES_GUESSED, /* words of a conservative look that are no variable's: often stale */
	PASS_SPECIALS,
	PASS_RUNTIME,
	PASS_N
};

#define MARK_NONE UINT32_MAX
#define MARK_ROOT 0x80000000u

/* A root, as marking orders it. */
struct mark_root {
	struct root r;
	uint8_t pass;
	bool func_value;      /* it holds a func value, whatever the type */
	const char *label;    /* its first frame; NULL: the goroutine's call path */
	struct go_type *type; /* of the variable it is in; NULL: unknown */
	uint64_t var_off;     /* its offset in that variable */
};

struct mark {
	struct heap *h;
	struct places *places;
	struct mark_root *roots; /* sorted by pass, address */
	size_t nroots;
	/* by object id */
	uint32_t *parent; /* an object id, MARK_ROOT | root index, or MARK_NONE: unreachable */
	uint32_t *offset; /* of the pointer in the parent, in words */
	uint32_t *place;  /* of the object; PLACE_FINAL: nothing better will come */
	uint32_t *order;  /* live objects in order of discovery */
	size_t nlive;
	uint64_t live_bytes, live_objects;
	uint64_t unread; /* objects whose contents or map could not be read */
};

#define PLACE_FINAL 0x80000000u

static inline uint32_t mark_place(const struct mark *m, uint32_t id)
{
	return m->place[id] & ~PLACE_FINAL;
}

/* roots: sorted and owned by the caller.  places must be fresh. */
ERR_MUST_CHECK struct err *mark_run(struct mark *m, struct heap *h, struct places *places,
				    struct mark_root *roots, size_t nroots);
void mark_deinit(struct mark *m);

#endif
