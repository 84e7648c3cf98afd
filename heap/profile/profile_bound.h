/* A profile of at most so many nodes: what people can look at, and pprof can draw. */
#ifndef GRF_HEAP_PROFILE_PROFILE_BOUND_H
#define GRF_HEAP_PROFILE_PROFILE_BOUND_H

#include "heap/profile/profile.h"

/*
 * Keeps the nodes that hold most, with all that is below them, and puts the smallest subtrees
 * together as their parent's "[smaller]", with their bytes and objects.  max: nodes, beside the
 * top; at least 1.  *ret is zero where nothing had to go.
 */
ERR_MUST_CHECK struct err *profile_bound(struct profile *p, uint32_t max,
					 struct profile_smaller *ret);

#endif
