/* Which goroutines nothing can ever wake (heap/report/leaked.c). */
#ifndef GRF_HEAP_REPORT_LEAKED_H
#define GRF_HEAP_REPORT_LEAKED_H

#include <stdlib.h>

#include "heap/capture/captured.h"
#include "heap/runtime/waiting.h"

struct leaked {
	uint8_t *lost; /* by index of a goroutine: 1: it is leaked */
	uint64_t n;    /* how many */
};

static inline void leaked_deinit(struct leaked *l)
{
	free(l->lost);
}

/* To be called after the stacks were walked and the roots collected. */
ERR_MUST_CHECK struct err *leaked_find(struct captured *h, struct waiting *w, struct leaked *ret);

#endif
