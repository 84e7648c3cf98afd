/*
 * References from code into data: which functions use which variable, where no symbol says what it
 * is called.  Code is not disassembled.  Each architecture has few ways to write an address, and a
 * pattern that leads into writable data is hardly ever there by chance.
 *
 * Known for amd64, arm64, riscv64, loong64, s390x, ppc64 and ppc64le, mips and mips64 of both byte
 * orders, 386 and arm; the last two and ppc64 and mips not in position-independent code, which
 * finds its data through tables.
 */
#ifndef GRF_HEAP_RUNTIME_CODE_REFS_H
#define GRF_HEAP_RUNTIME_CODE_REFS_H

#include "base/err.h"
#include "heap/runtime/proc.h"

/* A place in code that has an address in it. */
struct code_ref {
	uint64_t pc;     /* somewhere in the instruction */
	uint64_t target; /* the address */
	bool store;      /* the instruction writes there, as far as it can be told */
};

/* What is called for each; an error ends the scan. */
typedef struct err *(*code_ref_fn)(void *arg, struct code_ref ref);

/* All references from the module's code to [lo, hi), which is less than 2 GB.  False in *known:
 * this architecture has no patterns, and there were none. */
ERR_MUST_CHECK struct err *code_refs(struct proc *p, const struct module *m, uint64_t lo,
				     uint64_t hi, code_ref_fn found, void *arg, bool *known);

#endif
