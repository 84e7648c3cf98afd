/* Why objects are alive; the answer's shape is in heap/profile/why.h. */
#ifndef GRF_HEAP_GRAPH_WHY_H
#define GRF_HEAP_GRAPH_WHY_H

#include "heap/graph/graph.h"
#include "heap/profile/why.h"

/*
 * Finds the ways to all objects that `pattern` says: an address (decimal, 0x), a type's or a root's
 * name, a regular expression on these.  After graph_roots(), before graph_dominate(); names: as the
 * profile p was made with.  Where it says nothing that is alive, r->nothing is set.
 */
ERR_MUST_CHECK struct err *why_make(struct graph *g, const char *pattern, const struct profile *p,
				    const struct name_options *names, struct why_report *r);

#endif
