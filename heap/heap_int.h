/* What heap/heap.c, heap/analyse.c and heap/debug.c share. */
#ifndef GRF_HEAP_HEAP_INT_H
#define GRF_HEAP_HEAP_INT_H

#include "heap/capture/captured.h"
#include "heap/heap.h"
#include "heap/layout/layout_pick.h"

struct debug_pending {
	struct elf *elf;
	struct err *why; /* it is not EXE's */
};

struct heap {
	struct captured captured;
	struct layout_choice layout;           /* where captured.proc.layout comes from */
	VEC(struct debug_pending) debug_files; /* --debug, not matched yet */
	double ready_cpu; /* CPU seconds that were used when memory could be read */
	double names_cpu; /* and what DWARF took until the layout was compared */
};

/* heap/debug.c: finds EXE's symbols and DWARF, in the files that were given, in EXE itself, or
 * where debuggers look. */
ERR_MUST_CHECK struct err *debug_find(struct heap *h, const char *const *debug, size_t n);
/* EXE's DWARF, wherever it is; ERR_NODEBUG: none.  The heap keeps it. */
ERR_MUST_CHECK struct err *debug_dwarf(void *heap, struct dwarf **ret);
/* Once the process runs: opens the DWARF of every binary.  A file that was given for a plugin
 * finds its plugin here. */
ERR_MUST_CHECK struct err *debug_open(struct heap *h, struct report *r);
/* Types of all modules, after debug_open(). */
struct types;
ERR_MUST_CHECK struct err *debug_types(struct heap *h, struct types **ret);

#endif
