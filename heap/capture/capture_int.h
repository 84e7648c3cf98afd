/* What capture.c's steps ask of the other files of this folder. */
#ifndef GRF_HEAP_CAPTURE_CAPTURE_INT_H
#define GRF_HEAP_CAPTURE_CAPTURE_INT_H

#include "base/err.h"
#include "heap/capture/captured.h"

/*
 * capture_types.c: what types and itabs made at run time need.  capture_find_reflect() comes after
 * the modules, capture_plan_types() after the spans' contents, capture_plan_reflect() after the
 * stacks.
 */
ERR_MUST_CHECK struct err *capture_find_reflect(struct captured *c);
ERR_MUST_CHECK struct err *capture_plan_types(const struct captured *c, struct ranges *want);
ERR_MUST_CHECK struct err *capture_plan_reflect(struct captured *c, struct ranges *want);
ERR_MUST_CHECK struct err *capture_itabs(const struct captured *c);

/*
 * capture_ahead.c: guesses.  ahead_tops() goes with the variables, ahead_scheduler() with each list
 * before machines_load(), ahead_spans() with the allocation bits.
 */
ERR_MUST_CHECK struct err *ahead_tops(const struct proc *p, const struct threads *threads,
				      struct ranges *ahead);
ERR_MUST_CHECK struct err *ahead_scheduler(const struct proc *p, const struct threads *threads,
					   struct ranges *ahead);
ERR_MUST_CHECK struct err *ahead_spans(const struct captured *c, struct ranges *ahead);

#endif
