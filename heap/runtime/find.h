/*
 * Finds the runtime's variables in a stripped executable by their shape: by what they must look
 * like, and by references that must agree.  Nothing is guessed: there is one candidate, or an
 * error.
 */
#ifndef GRF_HEAP_RUNTIME_FIND_H
#define GRF_HEAP_RUNTIME_FIND_H

#include "heap/runtime/proc.h"
#include "heap/runtime/span.h"

/* Finds runtime.firstmoduledata (link-time address) in the file, by its references to pclntab. */
ERR_MUST_CHECK struct err *find_moduledata(const struct proc *p, uint64_t *ret);

/* Finds mheap_ in the captured variables; fetches what candidates point to. */
ERR_MUST_CHECK struct err *find_mheap(struct proc *p);

/* Finds the others, once the spans are known: allgs, allm, allp, queues, itabTable. */
ERR_MUST_CHECK struct err *find_vars(struct proc *p, const struct spans *s);

/* Appends what find_vars() will look at, as far as the image shows: guesses for
 * image_need_ahead().  After spans_load(). */
ERR_MUST_CHECK struct err *find_plan_vars(struct proc *p, const struct spans *s,
					  struct ranges *want);

/* waitReasons, for the names of what goroutines wait for; it stays 0 where it is not found. */
ERR_MUST_CHECK struct err *find_wait_reasons(struct proc *p, const struct spans *s);

#endif
