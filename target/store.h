/*
 * Room for the bytes of a big fetch.  It is memory; or, where the fetch would take too much of the
 * memory that is left, it is a mapped file below $TMPDIR that has no name, of which only a part is
 * in memory at a time.  What is evicted stays in the file (and in the kernel's cache of it, as long
 * as nobody else needs that memory).
 *
 * The file is the second choice: a disk can be slow while the process stands, and marking and
 * naming go back and forth over all of it (docs/PERFORMANCE.md).
 */
#ifndef GRF_TARGET_STORE_H
#define GRF_TARGET_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"

enum {
	STORE_MIN = 4 << 20,     /* what is less is left to malloc() */
	STORE_BUDGET = 64 << 20, /* the least of a file that is in memory at a time */
	/* What takes more than this part of the memory that is left (one half) goes to a file. */
	STORE_SHARE = 2,
	STORE_ALIGN = 16, /* of what store_alloc() gives */
};

enum { STORE_PIECE_SHIFT = 16, STORE_PIECE = 1 << STORE_PIECE_SHIFT };

struct store {
	struct store *next; /* the owner's list */
	uint8_t *base;
	uint64_t len, used;
	uint64_t budget; /* bytes that may be in memory at a time; 0: it is no file */
	/* Of a file: its pieces of STORE_PIECE bytes that are in memory, as a list and by number.
	 * */
	uint32_t *in;
	size_t nin;
	uint8_t *is_in;
	uint64_t random; /* the state of a xorshift generator */
};

/* May so much be taken of the memory that is left? */
bool store_fits(uint64_t len);
/* Bytes of memory that the machine has left, or the container if that is less. */
uint64_t store_memory_left(void);
/* Where temporary files are: $TMPDIR, or /tmp. */
const char *store_folder(void);
/* How much may be written to a file in dir: most of what its disk has left; half of the memory that
 * is left, where files there are memory. */
uint64_t store_room(const char *dir);
/*
 * Room for len bytes, in memory or in a file.  *ret is NULL if len is below STORE_MIN.  *why is
 * NULL, or says why it is in memory though a file would have been better.
 */
ERR_MUST_CHECK struct err *store_for(uint64_t len, struct store **ret, const char **why);
/* A file, whatever memory is left.  *ret is NULL where none can be made, and *why says why. */
ERR_MUST_CHECK struct err *store_file(uint64_t len, uint64_t budget, struct store **ret,
				      const char **why);
void store_destroy(struct store *s);
DEFINE_CLEANUP(store_destroy, struct store *)

/* The next len bytes, aligned to STORE_ALIGN; NULL: there is no room left for them. */
uint8_t *store_alloc(struct store *s, uint64_t len);

/* Nothing more will be written, and the process runs again: there is time to make the store fit for
 * reading. */
void store_full(struct store *s);

/* Takes all of a file out of memory. */
void store_trim(struct store *s);

/* store_touch() of a piece that is not in memory. */
void store_enter_(struct store *s, uint32_t piece);

static inline bool store_has(const struct store *s, const void *p)
{
	return (uint64_t)((const uint8_t *)p - s->base) < s->len;
}

/* Says that p will be read: another piece may have to leave memory for it. */
static inline void store_touch(struct store *s, const void *p)
{
	uint64_t piece = (uint64_t)((const uint8_t *)p - s->base) >> STORE_PIECE_SHIFT;

	if (s->budget && !s->is_in[piece])
		store_enter_(s, (uint32_t)piece);
}

#endif
