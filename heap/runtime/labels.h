/* Labels of goroutines: what runtime/pprof.SetGoroutineLabels has set. */
#ifndef GRF_HEAP_RUNTIME_LABELS_H
#define GRF_HEAP_RUNTIME_LABELS_H

#include "base/arena.h"
#include "base/err.h"
#include "heap/runtime/goroutine.h"
#include "heap/runtime/proc.h"
#include "heap/runtime/span.h"

/* Appends the texts of all labels, which are pointer-free memory.  The spans' contents and the
 * goroutines must have been read. */
ERR_MUST_CHECK struct err *labels_plan(const struct proc *p, const struct spans *spans,
				       const struct stacks *s, struct ranges *want);

/* "key=value" of each label, sorted, one a line; NULL: the goroutine has none.  It lives in
 * arena. */
ERR_MUST_CHECK struct err *labels_read(const struct proc *p, const struct spans *spans,
				       const struct goroutine *g, struct arena *arena,
				       const char **ret);

#endif
