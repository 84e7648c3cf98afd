/*
 * Roots beside the stacks: package variables, specials, queued finalizers and cleanups, tiny
 * blocks.  They are what markroot (runtime/mgcmark.go) of each release marks, and nothing else.
 */
#ifndef GRF_HEAP_RUNTIME_ROOT_H
#define GRF_HEAP_RUNTIME_ROOT_H

#include "base/err.h"
#include "heap/runtime/goroutine.h"
#include "heap/runtime/ptrmap.h"
#include "heap/runtime/span.h"

/* Fetches the linked structures that hold these roots, by pages, in few rounds. */
ERR_MUST_CHECK struct err *roots_fetch(struct proc *p, const struct spans *spans);

/* Appends the next pages of these structures, as far as the image leads to them: guesses for
 * image_need_ahead(). */
ERR_MUST_CHECK struct err *roots_plan(struct proc *p, const struct spans *spans,
				      struct ranges *ahead);

/* Appends the roots.  An unswept object that its finalizer revives becomes alive (in spans). */
ERR_MUST_CHECK struct err *roots_collect(struct proc *p, struct spans *spans, struct gcmasks *masks,
					 struct roots *roots);

/* Appends the slots of objects that have a finalizer which is not due yet. */
ERR_MUST_CHECK struct err *roots_finalized(struct proc *p, const struct spans *spans,
					   struct ranges *objs);
/* Counts the finalizers and cleanups that are due. */
ERR_MUST_CHECK struct err *roots_queued(struct proc *p, uint64_t *finalizers, uint64_t *cleanups);

#endif
