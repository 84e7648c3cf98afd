/*
 * Two hash tables, both open addressing:
 *	struct map64	uint64_t -> uint64_t (any key, also 0)
 *	struct strtab	strings -> dense ids 0, 1, 2, ... (interning; strings are copied)
 */
#ifndef GRF_BASE_HASH_H
#define GRF_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

static inline uint64_t hash64(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 32;
	return x;
}

/* FNV-1a takes one byte at a time, from HASH_START on; hash_str() mixes its result for tables. */
#define HASH_START 0xcbf29ce484222325ull

static inline uint64_t hash_step(uint64_t h, uint8_t byte)
{
	return (h ^ byte) * 0x100000001b3ull;
}

/* Of a string, from this start on; HASH_START where the value itself matters: it is the same in
 * every run. */
static inline uint64_t hash_str_from(uint64_t start, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		start = hash_step(start, (uint8_t)s[i]);
	return hash64(start);
}

static inline uint64_t hash_str(const char *s, size_t len)
{
	return hash_str_from(HASH_START, s, len);
}

/*
 * Where a key belongs in a table.  Each run has a seed of its own, or keys could be made that all
 * belong in one place.  Nothing that is told may come of it.
 */
extern uint64_t hash_seed;

static inline uint64_t hash_key(uint64_t key)
{
	return hash64(key ^ hash_seed);
}

static inline uint64_t hash_name(const char *s, size_t len)
{
	return hash_str_from(HASH_START ^ hash_seed, s, len);
}

struct map64_slot {
	uint64_t key, val;
};

#define MAP64_EMPTY 0x9e3779b97f4a7c15ull /* marks a slot that holds nothing */

struct map64 {
	struct map64_slot *slots;
	size_t n;
	size_t cap;            /* a power of two, or 0 */
	struct map64_slot odd; /* holds the key MAP64_EMPTY */
	bool has_odd;
};

#define MAP64_INIT                          \
	{                                   \
		NULL, 0, 0, { 0, 0 }, false \
	}

void map64_deinit(struct map64 *m);
/* NULL if the key is not there.  Valid until the next map64_put(). */
uint64_t *map64_get(const struct map64 *m, uint64_t key);
/* Finds the key's slot or makes it, with `init` as its value then.  is_new may be NULL. */
ERR_MUST_CHECK struct err *map64_put(struct map64 *m, uint64_t key, uint64_t init, uint64_t **val,
				     bool *is_new);

struct strtab {
	struct arena arena;
	const char **str; /* by id; NUL-terminated */
	uint32_t n, cap;
	uint32_t *slots; /* id + 1; 0 is empty */
	uint32_t nslots;
};

#define STRTAB_INIT                             \
	{                                       \
		ARENA_INIT, NULL, 0, 0, NULL, 0 \
	}

void strtab_deinit(struct strtab *t);
ERR_MUST_CHECK struct err *strtab_add(struct strtab *t, const char *s, uint32_t *id);

#endif
