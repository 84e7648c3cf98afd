/* Where a function of EXE begins, before anything is captured. */
#ifndef GRF_HEAP_RUNTIME_FUNCTION_H
#define GRF_HEAP_RUNTIME_FUNCTION_H

#include "base/err.h"
#include "heap/runtime/proc.h"

/* Its run-time address by its name, from the symbol table or, without one, from the function
 * tables in the file.  ERR_NODEBUG: EXE has none of this name. */
ERR_MUST_CHECK struct err *function_find(const struct proc *p, const char *name, uint64_t *ret);

#endif
