/*
 * What a scrubbed core keeps of captured words: pointers, and what the runtime needs to be read at
 * all.  Numbers, and whatever else a program keeps in its variables, objects and stacks, become
 * zero.
 *
 *	objects		pointers by the collector's maps, nothing of free slots; gs, ms, ps
 *			and defers stay whole
 *	variables	pointers by the modules' masks; the runtime's own, by the symbol
 *			table, stay whole
 *	stacks, registers	words that point to an object, a stack, code or a variable
 *	the runtime's tables	stay whole
 */
#ifndef GRF_HEAP_ACQUIRE_SCRUB_H
#define GRF_HEAP_ACQUIRE_SCRUB_H

#include "base/err.h"
#include "heap/capture/captured.h"

struct scrub;

/* c is borrowed.  ERR_UNSUPPORTED: the program has no symbols. */
ERR_MUST_CHECK struct err *scrub_create(struct captured *c, struct scrub **ret);
void scrub_destroy(struct scrub **s); /* as a cleanup; *s may be NULL */

/* Zeroes what is not kept of b: len bytes, whole words, that the process has at addr.  A
 * core_contents.filter; scrub is a struct scrub. */
ERR_MUST_CHECK struct err *scrub_words(void *scrub, uint64_t addr, uint8_t *b, uint64_t len);
void scrub_threads(const struct scrub *s, struct threads *threads);

#endif
