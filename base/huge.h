/*
 * Huge pages for memory that is looked into at random: most of a heap's analysis is waiting for
 * memory, and half of that is waiting for page tables.  Both calls are hints, and never fail.
 */
#ifndef GRF_BASE_HUGE_H
#define GRF_BASE_HUGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

enum { HUGE_ALIGN_ = 4096 }; /* madvise() takes whole pages; where they are larger it refuses */

static inline void huge_advise_(void *p, size_t len, int advice)
{
	const uintptr_t mask = HUGE_ALIGN_ - 1;
	uintptr_t lo = ((uintptr_t)p + mask) & ~mask, hi = ((uintptr_t)p + len) & ~mask;

	if (p && lo < hi)
		madvise((void *)lo, hi - lo, advice);
}

/* For memory that nothing was written to yet. */
static inline void huge_empty(void *p, size_t len)
{
	huge_advise_(p, len, MADV_HUGEPAGE);
}

/* For memory that has its content. */
static inline void huge_full(void *p, size_t len)
{
	huge_advise_(p, len, MADV_COLLAPSE);
}

#endif
