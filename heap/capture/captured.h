/*
 * A captured process: what the capture fetches and the analysis reads, when the process runs again.
 *
 * The capture fills proc, spans and stacks.  The analysis then adds frames to stacks, and roots and
 * scheduler, before it marks.
 */
#ifndef GRF_HEAP_CAPTURE_CAPTURED_H
#define GRF_HEAP_CAPTURE_CAPTURED_H

#include "heap/runtime/goroutine.h"
#include "heap/runtime/proc.h"
#include "heap/runtime/ptrmap.h"
#include "heap/runtime/root.h"
#include "heap/runtime/span.h"
#include "target/library.h"

/* What of reflect is linked into EXE, and so can make types and functions at run time. */
struct captured_reflect {
	bool known;      /* it has been looked for */
	bool struct_of;  /* reflect.StructOf is linked in */
	uint64_t lo, hi; /* text of reflect.makeFuncStub and methodValueCall */
};

struct captured {
	struct proc proc;
	struct spans spans;
	struct stacks stacks;
	struct gcmasks masks; /* of the types that were asked for */
	struct roots roots;
	bool roots_once;        /* nobody looks at them after heap/mark/name_roots.c */
	struct map64 scheduler; /* object ids of gs, ms and ps */

	/* Called now and then with the phase's name and what is done of it; may be NULL. */
	void (*progress)(void *arg, const char *phase, uint64_t done, uint64_t total);
	void *progress_arg;

	/* Only heap/capture/ looks at the rest. */
	struct target
		*target; /* has the list of shared libraries; borrowed until capture is done */
	struct libraries libs; /* as last read */
	struct captured_reflect reflect;
	char *why; /* of the last unstable stop, where it was an error */
};

void captured_deinit(struct captured *c);

#endif
