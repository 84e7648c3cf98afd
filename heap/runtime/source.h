/*
 * Where code comes from: function, file and line of a pc, and of the calls that are inlined there.
 * The function tables have all that, also in a stripped program.
 */
#ifndef GRF_HEAP_RUNTIME_SOURCE_H
#define GRF_HEAP_RUNTIME_SOURCE_H

#include "base/err.h"
#include "base/vec.h"
#include "heap/runtime/module.h"
#include "heap/runtime/proc.h"

/* One call.  The strings live as long as the module. */
struct source_line {
	const char *function;
	const char *file; /* as the compiler had it, or below -trimpath's module; NULL: unknown */
	uint32_t line;    /* 0: unknown */
};

VEC_NAMED(source_lines, struct source_line);

/* Appends the calls at pc, the innermost first; at least one, f itself.  returns: pc is a return
 * address, so that the call before it is meant. */
ERR_MUST_CHECK struct err *source_at(const struct proc *p, const struct func *f, uint64_t pc,
				     bool returns, struct source_lines *ret);

/* The innermost function that is inlined into f where the call before `pc`, a return address,
 * stands; NULL: none is. */
const char *source_inlined(const struct proc *p, const struct func *f, uint64_t pc);

/* "f.gowrap1", "f·dwrap·2" (1.17): what the compiler makes of a go statement with arguments. */
bool source_is_gowrap(const char *function);

/* Where f begins. */
struct source_line source_of(const struct proc *p, const struct func *f);

#endif
