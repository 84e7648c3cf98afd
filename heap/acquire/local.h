/* A process of this machine: a stub of our own is started for it. */
#ifndef GRF_HEAP_ACQUIRE_LOCAL_H
#define GRF_HEAP_ACQUIRE_LOCAL_H

#include "heap/acquire/acquire.h"

/* Fills o's target, its process and, if it can be read, its EXE in, where no target was given.
 * exe_path is room for the name of EXE. */
ERR_MUST_CHECK struct err *local_choose(struct acquire_options *o, char exe_path[LOCAL_EXE_PATH]);

#endif
