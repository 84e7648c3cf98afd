/* Roots, as people read of them: those of one name, with all that is on paths from them. */
#ifndef GRF_HEAP_PROFILE_PROFILE_ROOTS_H
#define GRF_HEAP_PROFILE_PROFILE_ROOTS_H

#include "heap/profile/profile.h"

struct profile_root {
	uint32_t node;           /* the first of that name */
	uint64_t bytes, objects; /* of such nodes and all below them */
};

VEC_NAMED(profile_roots, struct profile_root);

/* The biggest first; what is not live is no root. */
ERR_MUST_CHECK struct err *profile_roots_make(const struct profile *p, struct profile_roots *ret);

/* The kind of root that a node's path begins with: enum live_kind. */
uint8_t profile_root_kind(const struct profile *p, uint32_t node);

#endif
