/* What the ways to a captured heap share. */
#ifndef GRF_HEAP_ACQUIRE_ACQUIRE_INT_H
#define GRF_HEAP_ACQUIRE_ACQUIRE_INT_H

#include "heap/acquire/acquire.h"

/* heap/acquire/acquire_exe.c.  Opens EXE, and makes the heap. */
ERR_MUST_CHECK struct err *acquire_open_exe(struct acquire *a, const char *path);
/* The heap of EXE, which is open. */
ERR_MUST_CHECK struct err *acquire_make_heap(struct acquire *a);
/* Once a->target is there: finds the place of EXE, makes the image, attaches the heap to both. */
ERR_MUST_CHECK struct err *acquire_attach(struct acquire *a);
/* Refuses an executable that is not what runs, unless told otherwise.  compared: as
 * heap_verify(). */
ERR_MUST_CHECK struct err *acquire_verify(struct acquire *a, size_t *compared);

/* heap/acquire/acquire_other.c: is EXE what the process runs, by the build ids of the two files?
 * Nothing is said where they are not known. */
struct rsp;
ERR_MUST_CHECK struct err *acquire_compare(struct acquire *a, struct rsp *rsp, uint64_t pid);

/* heap/acquire/acquire_live.c, heap/acquire/acquire_core.c: TARGET is a stub, a core file. */
ERR_MUST_CHECK struct err *acquire_live(struct acquire *a);
ERR_MUST_CHECK struct err *acquire_core(struct acquire *a);
/* Once more, by the same connection, after acquire_release(). */
ERR_MUST_CHECK struct err *acquire_live_again(struct acquire *a);

/* heap/acquire/acquire_guest.c: the stub shows a whole machine.  Afterwards that is stopped, and
 * a->target is the process in it. */
ERR_MUST_CHECK struct err *acquire_guest_open(struct acquire *a);
ERR_MUST_CHECK struct err *acquire_guest_details(struct acquire *a);

#endif
