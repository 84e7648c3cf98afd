/*
 * Room for the bytes of a big fetch: memory; or, where that would take too much of what is left of
 * it, a file below $TMPDIR that has no name, mapped, of which only some is in memory at a time.
 * What is evicted stays in the file (and in the kernel's cache of it, as long as nobody else needs
 * that memory).
 *
 * The file is the second choice: a disk can be slow while the process stands, and marking and
 * naming go back and forth over all of it (docs/PERFORMANCE.md).
 */
#ifndef GRF_TARGET_STORE_H
#define GRF_TARGET_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
	STORE_MIN = 4 << 20,     /* less is no store's */
	STORE_BUDGET = 64 << 20, /* of a file, at least */
	/* what is more than one in so many of the memory that is left goes to a file */
	STORE_SHARE = 2,
};

struct store {
	struct store *next; /* for the owner */
	uint8_t *base;
	uint64_t len, used;
	uint64_t budget; /* bytes that may be in memory at a time; 0: it is no file */
	/* pieces of STORE_PIECE bytes that are in memory */
	uint32_t *in;
	size_t nin;
	uint8_t *is_in;
	uint64_t random;
};

/* *ret is NULL if len is little.  *why is not, if it is in memory for lack of a disk. */
ERR_MUST_CHECK struct err *store_for(uint64_t len, struct store **ret, const char **why);
/* A file; NULL, and *why: no local disk, no space. */
ERR_MUST_CHECK struct err *store_file(uint64_t len, uint64_t budget, struct store **ret,
				      const char **why);
void store_destroy(struct store *s);

/* 16-byte aligned; NULL: len was not counted in. */
uint8_t *store_alloc(struct store *s, uint64_t len);

/* Nothing more will be written, and the process runs: it can be made fit for reading. */
void store_full(struct store *s);

/* Nothing of it need be in memory. */
void store_trim(struct store *s);

enum { STORE_PIECE_SHIFT = 16, STORE_PIECE = 1 << STORE_PIECE_SHIFT };

void store_enter_(struct store *s, uint32_t piece);

static inline bool store_has(const struct store *s, const void *p)
{
	return (uint64_t)((const uint8_t *)p - s->base) < s->len;
}

/* p will be read: something else may have to go. */
static inline void store_touch(struct store *s, const void *p)
{
	uint64_t piece = (uint64_t)((const uint8_t *)p - s->base) >> STORE_PIECE_SHIFT;

	if (s->budget && !s->is_in[piece])
		store_enter_(s, (uint32_t)piece);
}

#endif
