/* What heap/'s parts share: the captured process and what was found in it. */
#ifndef GRF_HEAP_HEAP_INT_H
#define GRF_HEAP_HEAP_INT_H

#include "heap/runtime/goroutine.h"
#include "heap/heap.h"
#include "heap/layout/layout_pick.h"
#include "heap/runtime/ptrmap.h"
#include "heap/runtime/root.h"
#include "heap/runtime/span.h"

struct debug_pending {
	struct elf *elf;
	struct err *why; /* it is not EXE's */
};

struct heap {
	struct proc proc;
	struct layout_choice layout; /* where proc.layout comes from */
	/* where the list of shared libraries comes from; borrowed until the capture is done */
	struct target *target;
	struct libraries libs;                 /* as last read */
	VEC(struct debug_pending) debug_files; /* --debug, not matched yet */
	struct spans spans;
	struct stacks stacks;
	struct gcmasks masks;
	struct roots roots;
	uint64_t reflect_lo, reflect_hi; /* text of reflect.makeFuncStub and methodValueCall */
	struct map64 scheduler;          /* object ids of gs, ms and ps */
	char *why;                       /* of the last unstable stop, where it was an error */
	bool struct_of;                  /* reflect.StructOf is linked in */
	bool reflect_known;              /* these have been looked for */
	void (*progress)(void *arg, const char *phase, uint64_t done, uint64_t total);
	void *progress_arg;
	double ready_cpu; /* seconds that grf-rsp had used when memory could be read */
	double names_cpu; /* and what DWARF took until the layout was compared */
};

/* CPU that grf-rsp has used. */
double heap_cpu_seconds(void);

/* heap/debug.c: where EXE's symbols and DWARF are: in the files that were given, in itself, or
 * where debuggers look. */
ERR_MUST_CHECK struct err *debug_find(struct heap *h, const char *const *debug, size_t n);
/* EXE's DWARF, wherever it is; ERR_NODEBUG: none.  The heap keeps it. */
ERR_MUST_CHECK struct err *debug_dwarf(void *heap, struct dwarf **ret);
/* Once the process runs: opens the DWARF of every binary; what was given for a plugin finds its
 * own. */
ERR_MUST_CHECK struct err *debug_open(struct heap *h, struct report *r);
/* Types of all modules, after debug_open(). */
struct types;
ERR_MUST_CHECK struct err *debug_types(struct heap *h, struct types **ret);

/* heap/capture/capture_types.c: what types and itabs made at run time need; the first after the
 * modules, the second after the spans' contents, the third after the stacks. */
ERR_MUST_CHECK struct err *capture_find_reflect(struct heap *h);
ERR_MUST_CHECK struct err *capture_plan_types(struct heap *h, struct ranges *want);
ERR_MUST_CHECK struct err *capture_plan_reflect(struct heap *h, struct ranges *want);
ERR_MUST_CHECK struct err *capture_itabs(struct heap *h);

/* heap/capture/capture_ahead.c: with the variables; with each list before machines_load(); with
 * the allocation bits. */
ERR_MUST_CHECK struct err *ahead_tops(const struct heap *h, const struct threads *threads,
				      struct ranges *ahead);
ERR_MUST_CHECK struct err *ahead_scheduler(const struct heap *h, const struct threads *threads,
					   struct ranges *ahead);
ERR_MUST_CHECK struct err *ahead_spans(const struct heap *h, struct ranges *ahead);

#endif
