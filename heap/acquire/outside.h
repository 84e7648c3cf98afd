/* Looks, through the stub's files, at memory that the capture does not have. */
#ifndef GRF_HEAP_ACQUIRE_OUTSIDE_H
#define GRF_HEAP_ACQUIRE_OUTSIDE_H

#include "heap/acquire/acquire.h"

/* While the process runs again, after the capture.  A stub that has no such files, or does not
 * answer any more, is no error: the report says nothing then. */
ERR_MUST_CHECK struct err *outside_look(struct acquire *a);

/* Of a whole core file: what it holds beside Go's heap. */
ERR_MUST_CHECK struct err *outside_of_core(struct acquire *a);

#endif
