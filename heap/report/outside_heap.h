/* Which live bytes are not resident; the answer's shape is in heap/profile/outside.h. */
#ifndef GRF_HEAP_REPORT_OUTSIDE_HEAP_H
#define GRF_HEAP_REPORT_OUTSIDE_HEAP_H

#include "heap/graph/graph.h"
#include "heap/profile/profile.h"

/* After account_make(); g: with nodes, p: before it is bounded. */
ERR_MUST_CHECK struct err *outside_count(const struct graph *g, const struct profile *p,
					 struct report *r);

#endif
