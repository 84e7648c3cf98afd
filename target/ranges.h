/*
 * Ranges of addresses: sorted by address where it is said so.
 */
#ifndef GRF_TARGET_RANGES_H
#define GRF_TARGET_RANGES_H

#include "target/target.h"

void ranges_sort(struct ranges *r); /* by address */
/* Sorts, drops empty and wrapping ranges, merges what is at most gap apart. */
void ranges_merge(struct ranges *r, uint64_t gap);
ERR_MUST_CHECK struct err *ranges_append(struct ranges *to, const struct ranges *from);

/* Of sorted ranges: the first that ends behind addr (r->n: none); whether one has all, or any,
 * of len bytes. */
size_t ranges_lookup(const struct ranges *r, uint64_t addr);
bool ranges_hold(const struct ranges *r, uint64_t addr, uint64_t len);
bool ranges_touch(const struct ranges *r, uint64_t addr, uint64_t len);

#endif
