/* How heap/profile/goroutine_report.h's shapes are filled. */
#ifndef GRF_HEAP_REPORT_GOROUTINE_HEAP_H
#define GRF_HEAP_REPORT_GOROUTINE_HEAP_H

#include "heap/profile/goroutine_report.h"
#include "heap/heap_int.h"

/* After the stacks were walked and the roots collected.  now_ns: CLOCK_MONOTONIC of the capture,
 * 0 unknown.  groups: make them, and count what each alone keeps, which walks the heap once
 * more. */
ERR_MUST_CHECK struct err *goroutine_report_make(struct heap *h, bool groups, uint64_t now_ns,
						 struct goroutine_report *r);

/* heap/report/alone.c: fills groups[].alone; of_g: index of a goroutine -> of its group. */
ERR_MUST_CHECK struct err *alone_count(struct heap *h, const struct map64 *of_g,
				       struct goroutine_groups *groups);

/* heap/runtime/labels.c: what runtime/pprof.SetGoroutineLabels has set, as "key=value,
 * key=value"; NULL: none.  Pointer-free memory that must have been captured: labels_plan(),
 * after the spans' contents. */
ERR_MUST_CHECK struct err *labels_plan(struct heap *h, struct ranges *want);
ERR_MUST_CHECK struct err *labels_read(const struct heap *h, const struct goroutine *g,
				       struct arena *arena, const char **ret);

#endif
