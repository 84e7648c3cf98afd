/* What the ways to a captured heap share: heap/acquire/acquire.c (a stub),
 * heap/acquire/acquire_core.c (a core file). */
#ifndef GRF_HEAP_ACQUIRE_ACQUIRE_INT_H
#define GRF_HEAP_ACQUIRE_ACQUIRE_INT_H

#include "heap/acquire/acquire.h"

ERR_MUST_CHECK struct err *acquire_open_exe(struct acquire *a, const char *path);
/* Once a->target is there: the place of EXE, the image, the heap attached to both. */
ERR_MUST_CHECK struct err *acquire_attach(struct acquire *a);
/* Refuses an executable that is not what runs, unless told otherwise.  compared: as
 * heap_verify(). */
ERR_MUST_CHECK struct err *acquire_verify(struct acquire *a, size_t *compared);

ERR_MUST_CHECK struct err *acquire_core(struct acquire *a);

/* heap/acquire/acquire_guest.c: the stub shows a whole machine; afterwards that is stopped, and
 * a->target the process. */
ERR_MUST_CHECK struct err *acquire_guest_open(struct acquire *a);
ERR_MUST_CHECK struct err *acquire_guest_details(struct acquire *a);

#endif
