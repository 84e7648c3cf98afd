/* Inlined calls: which function a pc is really in, by the tables that tracebacks use. */
#ifndef GRF_HEAP_RUNTIME_INLINE_H
#define GRF_HEAP_RUNTIME_INLINE_H

#include "heap/runtime/module.h"
#include "heap/runtime/proc.h"

/* The innermost function that is inlined into f where the call before `pc`, a return address,
 * stands; NULL: none is.  The name lives as long as the module. */
const char *inline_name(const struct proc *p, const struct func *f, uint64_t pc);

#endif
