/*
 * Dense numbers for the set bits of a bitmap: the rank of a bit is how many are set before it.
 *
 * A quarter of a byte per bit, so that the numbers of a hundred million bits fit where a number by
 * bit would not.
 */
#ifndef GRF_BASE_RANK_H
#define GRF_BASE_RANK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"

struct rank_word {
	uint64_t bits;
	uint64_t before; /* set bits in the words before this one */
};

struct rank {
	struct rank_word *v;
	uint64_t nwords;
	uint64_t n; /* set bits */
};

/* bitmap: a bit per index below nbits, the lowest first in each byte; it is copied. */
ERR_MUST_CHECK static inline struct err *rank_init(struct rank *r, const uint8_t *bitmap,
						   uint64_t nbits)
{
	*r = (struct rank){ .nwords = nbits / 64 + 1 };
	r->v = calloc(r->nwords, sizeof(*r->v));
	if (!r->v)
		return err_nomem();
	for (uint64_t i = 0; i < (nbits + 7) / 8; i++)
		r->v[i / 8].bits |= (uint64_t)bitmap[i] << i % 8 * 8;
	for (uint64_t i = 0; i < r->nwords; i++) {
		r->v[i].before = r->n;
		r->n += (uint64_t)__builtin_popcountll(r->v[i].bits);
	}
	return NULL;
}

static inline void rank_deinit(struct rank *r)
{
	free(r->v);
	*r = (struct rank){ 0 };
}

static inline bool rank_has(const struct rank *r, uint64_t bit)
{
	return r->v[bit / 64].bits >> bit % 64 & 1;
}

/* Of a bit that is set: 0, 1, 2, ... */
static inline uint64_t rank_of(const struct rank *r, uint64_t bit)
{
	const struct rank_word *w = &r->v[bit / 64];

	return w->before + (uint64_t)__builtin_popcountll(w->bits & ((1ull << bit % 64) - 1));
}

#endif
