/* How the goroutines' report is made; its shape is in heap/profile/goroutine_report.h. */
#ifndef GRF_HEAP_REPORT_GOROUTINE_HEAP_H
#define GRF_HEAP_REPORT_GOROUTINE_HEAP_H

#include "heap/profile/goroutine_report.h"
#include "heap/capture/captured.h"

/* How much is found out of goroutines. */
enum goroutine_depth {
	GOROUTINES_WORKERS, /* who runs finalizers */
	GOROUTINES_GROUPS,  /* groups, and which of them are leaked */
	GOROUTINES_ALONE, /* what each group alone keeps, for which the heap is walked once more */
};

/* To be called after the stacks were walked and the roots collected.  now_ns is the capture's
 * CLOCK_MONOTONIC, 0 where it is unknown. */
ERR_MUST_CHECK struct err *goroutine_report_make(struct captured *h, enum goroutine_depth depth,
						 uint64_t now_ns, struct goroutine_report *r);

/* heap/report/alone.c: fills groups[].alone.  of_g leads from a goroutine's index to that of its
 * group. */
ERR_MUST_CHECK struct err *alone_count(struct captured *h, const struct map64 *of_g,
				       struct goroutine_groups *groups);

#endif
