/*
 * From marked objects to the profile: every object's node is its parent's node plus the frames
 * of the pointer that leads to it.  Frames are goref's (docs/OUTPUT.md).
 */
#ifndef GRF_HEAP_MARK_NAME_H
#define GRF_HEAP_MARK_NAME_H

#include "base/rank.h"
#include "heap/mark/fold.h"
#include "heap/mark/mark.h"
#include "heap/profile/profile.h"

/* Where the first pointer to an object is. */
struct name_from {
	uint32_t holder; /* scan id of an object, or WALK_ROOT */
	uint32_t root;   /* index of the root that the path begins with */
};

/* What else is told of each object while it is named, for what needs more than the profile. */
struct name_watch {
	struct err *(*observe)(void *arg, const struct walk_ptr *v, size_t n); /* walk.h */
	void *observer;
	const struct rank *ids; /* of live objects, by object id */
	uint32_t *nodes;        /* by rank: the profile's node, and NAME_HIDDEN */
	struct name_from *from; /* by rank; NULL: not wanted */
	/* NULL, or: each pointer to a live object with the edge that it is (NULL: not known), and
	 * the object's node if it is the first that leads there, else 0 */
	struct err *(*refer)(void *arg, const struct walk_ptr *p, const struct edge *e,
			     uint32_t node);
	void *referrer;
	uint64_t refer_least; /* bytes; of smaller objects the first pointer alone is told */
	/* of the profile's nodes, when all have their names */
	struct fold_nodes *fold;
};

/* The object is inside the container that its node is of: no step of the path leads to it. */
#define NAME_HIDDEN 0x80000000u

struct name_options {
	unsigned max_depth;             /* frames of a path before "[deeper]" */
	bool stack_paths;               /* a local's path begins with its goroutine's call path */
	bool sizes;                     /* what size classes cost is wanted */
	const struct name_watch *watch; /* NULL: nothing more is wanted */
	/* NULL, or: objects that paths do not go through (walk.h).  Then not all is named. */
	const uint8_t *closed;
};

/* Of the account: what kind of root this is. */
uint8_t root_live_kind(const struct mark_root *r);

/* Goes the way that marking went once more, with the types that it has found.  Of r:
 * unnamed_bytes, what size classes cost if wanted; NULL: they are not asked for. */
ERR_MUST_CHECK struct err *name_objects(struct mark *m, const struct name_options *o,
					struct profile *p, struct report *r);

/*
 * Roots as marking wants them: the variable or local each lies in, its pass, its order.
 * Some labels live in `arena`.
 */
ERR_MUST_CHECK struct err *name_roots(struct captured *h, struct places *places,
				      struct arena *arena, struct root_list *list);

#endif
