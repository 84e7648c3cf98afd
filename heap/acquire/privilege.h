/* When all is captured: what is not needed any more is given up. */
#ifndef GRF_HEAP_ACQUIRE_PRIVILEGE_H
#define GRF_HEAP_ACQUIRE_PRIVILEGE_H

#include "heap/acquire/acquire.h"

/*
 * Hangs up, and enters the sandbox (base/sandbox.h): files may be read where debuggers look for
 * debug files, and written in the folders of the outputs.  makes: some output makes files itself.
 * What is in force is a detail of the report.  Nothing can be captured any more.
 */
ERR_MUST_CHECK struct err *privilege_drop(struct acquire *a, const char *const *folders, size_t n,
					  bool makes);

#endif
