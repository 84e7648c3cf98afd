/*
 * The walk on two cores: a thread finds the pointers of a level's objects and looks up where they lead, which is reading
 * only; what becomes of them is decided here, in the same order as without it, so that the result is the same byte for byte.
 */
#ifndef GRF_HEAP_WALK_THREAD_H
#define GRF_HEAP_WALK_THREAD_H

#include "heap/walk.h"

enum { WALK_THREAD_LEVEL = 4096 }; /* objects of a level for which it is worth it */

struct walk_thread;

/* NULL: there is one core, or none to be had, or the image is in a file, of which a part is in memory at a time. */
struct walk_thread *walk_thread_start(struct walk *w);
/* The frontier's pointers found there, visited here. */
ERR_MUST_CHECK struct err *walk_thread_level(struct walk_thread *t);
void walk_thread_end(struct walk_thread *t); /* NULL is fine */

#endif
