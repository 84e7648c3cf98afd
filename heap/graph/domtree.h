/*
 * The dominator tree for people: the same frames as the profile of paths, each object under the
 * objects that dominate it, folded as paths are.  A node's bytes with all below it are its retained
 * size.
 *
 * What no root alone keeps has no owner in this tree.  Either it hangs under "[several roots]", by
 * the path that the profile of paths has for it, or, for who wants owners, at that path itself.
 */
#ifndef GRF_HEAP_GRAPH_DOMTREE_H
#define GRF_HEAP_GRAPH_DOMTREE_H

#include "heap/graph/graph.h"

/* p: naming's profile, before it is bounded.  out: from profile_init(). */
ERR_MUST_CHECK struct err *domtree_make(const struct graph *g, const struct profile *p, bool apart,
					unsigned max_depth, struct profile *out);

/* Fills r's map of what each root's name alone keeps. */
ERR_MUST_CHECK struct err *retained_roots(const struct graph *g, struct graph_report *r);
/* Fills p->more of the profile of paths; alone: from retained_roots(). */
ERR_MUST_CHECK struct err *retained_nodes(const struct graph *g, struct profile *p,
					  const struct map64 *alone);
/* Fills r's types. */
ERR_MUST_CHECK struct err *retained_types(const struct graph *g, const struct profile *p,
					  struct graph_report *r);

#endif
