/*
 * The runtime's variables in a stripped executable, by shape: what they must look like, and
 * references that must agree.  Nothing is guessed: one candidate, or an error.
 */
#ifndef GRF_HEAP_RUNTIME_FIND_H
#define GRF_HEAP_RUNTIME_FIND_H

#include "heap/runtime/proc.h"
#include "heap/runtime/span.h"

/* runtime.firstmoduledata (link-time address) by its references to pclntab, in the file. */
ERR_MUST_CHECK struct err *find_moduledata(const struct proc *p, uint64_t *ret);

/* mheap_, in the captured variables; fetches what candidates point to. */
ERR_MUST_CHECK struct err *find_mheap(struct proc *p);

/* The others, once the spans are known: allgs, allm, allp, queues, itabTable. */
ERR_MUST_CHECK struct err *find_vars(struct proc *p, const struct spans *s);

/* What find_vars() will look at, as far as the image shows: guesses for image_need_ahead().
 * After spans_load(). */
ERR_MUST_CHECK struct err *find_plan_vars(struct proc *p, const struct spans *s,
					  struct ranges *want);

#endif
