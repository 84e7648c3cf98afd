/*
 * Huge pages for what is looked into at random: most of a heap's analysis is waiting for memory,
 * and half of that for page tables.  Only ever a hint.
 */
#ifndef GRF_BASE_HUGE_H
#define GRF_BASE_HUGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

static inline void huge_advise_(void *p, size_t len, int advice)
{
	uintptr_t lo = ((uintptr_t)p + 4095) & ~(uintptr_t)4095,
		  hi = ((uintptr_t)p + len) & ~(uintptr_t)4095;

	if (p && lo < hi)
		madvise((void *)lo, hi - lo, advice);
}

/* Nothing is in it yet. */
static inline void huge_empty(void *p, size_t len)
{
	huge_advise_(p, len, MADV_HUGEPAGE);
}

/* It is full. */
static inline void huge_full(void *p, size_t len)
{
	huge_advise_(p, len, MADV_COLLAPSE);
}

#endif
