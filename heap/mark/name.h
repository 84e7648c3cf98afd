/*
 * From marked objects to the profile: every object's node is its parent's node plus the frames
 * of the pointer that leads to it.  Frames are goref's (docs/OUTPUT.md).
 */
#ifndef GRF_HEAP_MARK_NAME_H
#define GRF_HEAP_MARK_NAME_H

#include "heap/mark/mark.h"
#include "heap/profile/profile.h"

struct name_options {
	unsigned max_depth; /* frames of a path before "[deeper]" */
	bool stack_paths;   /* a local's path begins with its goroutine's call path */
};

/* Goes the way that marking went once more, with the types that it has found.  Of r:
 * unnamed_bytes, what size classes cost. */
ERR_MUST_CHECK struct err *name_objects(struct mark *m, const struct name_options *o,
					struct profile *p, struct report *r);

/*
 * Roots as marking wants them: the variable or local each lies in, its pass, its order.
 * *ret is malloc'd; labels live in `arena`.
 */
ERR_MUST_CHECK struct err *name_roots(struct captured *h, struct places *places,
				      struct arena *arena, struct mark_root **ret, size_t *n);

#endif
