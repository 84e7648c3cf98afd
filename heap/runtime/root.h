/*
 * Roots beside the stacks: package variables, specials, queued finalizers and cleanups, tiny
 * blocks.  What markroot (runtime/mgcmark.go) of each release marks, and nothing else.
 */
#ifndef GRF_HEAP_RUNTIME_ROOT_H
#define GRF_HEAP_RUNTIME_ROOT_H

#include "base/err.h"
#include "heap/runtime/goroutine.h"
#include "heap/runtime/ptrmap.h"
#include "heap/runtime/span.h"

/* Fetches the linked structures that hold these roots, by pages, in few rounds. */
ERR_MUST_CHECK struct err *roots_fetch(struct proc *p, const struct spans *spans);

/* The next pages of these structures, as far as they are in the image: guesses for
 * image_need_ahead(). */
ERR_MUST_CHECK struct err *roots_plan(struct proc *p, const struct spans *spans,
				      struct ranges *ahead);

/* Appends them.  May raise an unswept object that its finalizer revives (spans' alive bits). */
ERR_MUST_CHECK struct err *roots_collect(struct proc *p, struct spans *spans, struct gcmasks *masks,
					 struct roots *roots);

/* The slots of objects that have a finalizer which is not due yet. */
ERR_MUST_CHECK struct err *roots_finalized(struct proc *p, const struct spans *spans,
					   struct ranges *objs);
/* How many finalizers and cleanups are due. */
ERR_MUST_CHECK struct err *roots_queued(struct proc *p, uint64_t *finalizers, uint64_t *cleanups);

#endif
