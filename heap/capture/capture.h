/* From a stopped process to everything that the analysis can need, in the image. */
#ifndef GRF_HEAP_CAPTURE_CAPTURE_H
#define GRF_HEAP_CAPTURE_CAPTURE_H

#include "base/err.h"
#include "heap/capture/captured.h"
#include "heap/runtime/unstable.h"

/*
 * Fetches.  u->why says that the process is at a point where it cannot be read exactly; then the
 * capture is incomplete, unless `last` makes it go on as far as it can.  threads is borrowed for as
 * long as c is used.
 */
ERR_MUST_CHECK struct err *capture_run(struct captured *c, const struct threads *threads, bool last,
				       struct unstable *u);

/* How many spans, or the table of them, have changed since they were captured. */
ERR_MUST_CHECK struct err *capture_moved(const struct captured *c, struct mem_source *src,
					 uint64_t *moved);

#endif
