/* What was captured, as a core file (-o FILE.core). */
#ifndef GRF_HEAP_ACQUIRE_SAVE_H
#define GRF_HEAP_ACQUIRE_SAVE_H

#include <stdio.h>

#include "base/err.h"
#include "heap/acquire/acquire.h"

/* Fetches, while memory can still be read, what a core needs beside what the analysis needs; with
 * a->o.full all memory. */
ERR_MUST_CHECK struct err *save_fetch(struct acquire *a);

/* Fills f, an open stream that stays the caller's. */
ERR_MUST_CHECK struct err *save_write(const struct acquire *a, FILE *f);

#endif
