/*
 * Lists of address ranges: what is wanted of memory, what there is of it, what lacks.  They are
 * sorted by address only where that is said.
 */
#ifndef GRF_TARGET_RANGES_H
#define GRF_TARGET_RANGES_H

#include "target/target.h"

void ranges_sort(struct ranges *r); /* by address, of two at one address the longer first */
/* Sorts, drops empty and wrapping ranges, merges what is at most gap apart. */
void ranges_merge(struct ranges *r, uint64_t gap);
/* Adds all of `from`, as it is. */
ERR_MUST_CHECK struct err *ranges_append(struct ranges *to, const struct ranges *from);

/* Of ranges that are sorted and apart: the first that ends behind addr (r->n: none). */
size_t ranges_lookup(const struct ranges *r, uint64_t addr);
/* Does one of them hold all of the len bytes at addr?  Does one touch any of them? */
bool ranges_hold(const struct ranges *r, uint64_t addr, uint64_t len);
bool ranges_touch(const struct ranges *r, uint64_t addr, uint64_t len);

#endif
