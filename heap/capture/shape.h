/*
 * Whether the runtime's structures in memory have the shape that the layout says: each field that
 * matters is held against what it must be, or against what refers back to it.
 *
 * These functions look only at what a capture has in the image anyway, and are called as soon as it
 * is there.  As the process is stopped anywhere, a few structures may be half-made: most of them
 * must agree.  ERR_VERSION names the field that does not.
 */
#ifndef GRF_HEAP_CAPTURE_SHAPE_H
#define GRF_HEAP_CAPTURE_SHAPE_H

#include "base/err.h"
#include "heap/runtime/goroutine.h"
#include "heap/runtime/proc.h"
#include "heap/runtime/span.h"

/* With the variables: true if the program has not set up its runtime yet, so that nothing else can
 * be looked at. */
bool shape_unborn(const struct proc *p, size_t nthreads);
/* With the variables: moduledata's ranges; mheap's own fields. */
ERR_MUST_CHECK struct err *shape_modules(const struct proc *p);
ERR_MUST_CHECK struct err *shape_mheap(const struct proc *p);
/* With the mspans. */
ERR_MUST_CHECK struct err *shape_spans(const struct proc *p);
/* With the allocation bits, if spans_settle() complains: an error if it is about most spans. */
ERR_MUST_CHECK struct err *shape_bits(const struct proc *p, const struct spans *s);
/* With the ms, their g0s and current gs. */
ERR_MUST_CHECK struct err *shape_machines(const struct proc *p, const struct stacks *s);
/* With the spans' contents: goroutines; ps. */
ERR_MUST_CHECK struct err *shape_goroutines(const struct proc *p, const struct spans *spans,
					    const struct stacks *s);
ERR_MUST_CHECK struct err *shape_ps(const struct proc *p, const struct spans *spans);
/* Appends what shape_caches() will look at, to be fetched with something else. */
ERR_MUST_CHECK struct err *shape_plan_caches(const struct proc *p, struct ranges *want);
/* With the mcaches and specials, at the end. */
ERR_MUST_CHECK struct err *shape_caches(const struct proc *p);
ERR_MUST_CHECK struct err *shape_specials(const struct proc *p, const struct spans *s);

#endif
