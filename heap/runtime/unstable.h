/*
 * Why a stop cannot be read exactly: the process was stopped at an instruction where the heap's
 * tables disagree with each other, or where a stack cannot be walked.  The caller lets the process
 * run for a moment and stops it again (docs/ARCHITECTURE.md, "Stopped anywhere").
 *
 * The readers of spans and of stacks find it out, and heap/acquire/ acts on it, by heap/heap.h: the
 * struct lies below all of them.
 */
#ifndef GRF_HEAP_RUNTIME_UNSTABLE_H
#define GRF_HEAP_RUNTIME_UNSTABLE_H

#include <stdbool.h>
#include <stdint.h>

struct unstable {
	const char *why; /* NULL: all is well */
	uint64_t addr;
	bool registers; /* the registers of a thread could not be read */
};

#endif
