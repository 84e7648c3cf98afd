/*
 * Memory packed without loss, of which any word can be read where it is.  What a heap is made of
 * takes half as much room then: words that are zero take none, small numbers and pointers into the
 * heap four bytes.
 *
 * A packed piece of memory is cut, at multiples of PACK_BLOCK, into blocks of 16 words of 8 bytes,
 * whatever the process's own words are: seldom more than two lines of the cache.  A block has two
 * bits for each word, which say how it is kept, then what is kept.  A block's entry says where it
 * is, as seen from the entry; 0: it is all zeros.
 */
#ifndef GRF_TARGET_PACK_H
#define GRF_TARGET_PACK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/err.h"

enum {
	PACK_BIG = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__,
	PACK_WORD = 8,
	PACK_WORDS_SHIFT = 4, /* of a block */
	PACK_WORDS = 1 << PACK_WORDS_SHIFT,
	PACK_BLOCK = PACK_WORDS * PACK_WORD, /* bytes of memory */
	/* A block begins with the low bits of the words' kinds, and their high bits. */
	PACK_HEAD = 4,
	PACK_ALIGN = 4,
};

/* How a word is kept. */
enum pack_kind {
	PACK_ZERO,  /* not at all */
	PACK_SMALL, /* its lower 4 bytes; the others are zero */
	PACK_NEAR,  /* 4 bytes: it has the same upper bits as the address where it stands, from
		     * PACK_NEAR_SHIFT on, and is a multiple of 8 */
	PACK_WHOLE
};

enum { PACK_NEAR_SHIFT = 35 };

/* One piece of memory. */
struct packed {
	uint64_t addr;     /* of the first block; the piece may begin in it */
	uint32_t blocks[]; /* an entry each, in PACK_ALIGN bytes */
};

/* Room for the pieces of one fetch. */
struct pack;

/* For so many pieces with so many bytes together.  *ret is NULL if that is too much. */
ERR_MUST_CHECK struct err *pack_create(uint64_t bytes, size_t pieces, struct pack **ret);
void pack_destroy(struct pack *p);
DEFINE_CLEANUP(pack_destroy, struct pack *)
/* A piece that is still to be filled. */
struct packed *pack_piece(struct pack *p, uint64_t addr, uint64_t len);
/* Fills in len bytes at addr.  Blocks are filled in once: what is begun in the middle of one is its
 * piece's begin, and what ends there its end. */
void pack_fill(struct pack *p, struct packed *piece, uint64_t addr, const uint8_t *src,
	       uint64_t len);
/* Nothing more will be filled in. */
void pack_full(struct pack *p);

struct pack **pack_next(struct pack *p); /* of the owner's list */

/* How many bits are set.  (The instruction for it is not in every processor.) */
static inline unsigned pack_ones(uint32_t x)
{
	x -= x >> 1 & 0x55555555;
	x = (x & 0x33333333) + (x >> 2 & 0x33333333);
	return ((x + (x >> 4)) & 0x0f0f0f0f) * 0x01010101 >> 24;
}

/* The 8 bytes at addr, a multiple of 8, as this machine reads them; block is its block's entry. */
static inline uint64_t pack_word(const uint32_t *block, uint64_t addr)
{
	const uint8_t *b = (const uint8_t *)block + (uint64_t)*block * PACK_ALIGN, *at;
	unsigned k = addr / PACK_WORD & (PACK_WORDS - 1);
	uint32_t kinds, half;
	uint64_t v;

	if (!*block)
		return 0;
	memcpy(&kinds, b, sizeof(kinds));
	at = b + PACK_HEAD + (size_t)4 * pack_ones(kinds & ((1u << k) - 1) * 0x10001u);
	switch ((kinds >> k & 1) | (kinds >> (k + PACK_WORDS) & 1) << 1) {
	case PACK_ZERO:
		return 0;
	case PACK_SMALL:
		memcpy(&half, at, sizeof(half));
		return half;
	case PACK_NEAR:
		memcpy(&half, at, sizeof(half));
		return (addr >> PACK_NEAR_SHIFT << PACK_NEAR_SHIFT) + (uint64_t)half * 8;
	default:
		memcpy(&v, at, sizeof(v));
		return v;
	}
}

static inline const uint32_t *packed_block(const struct packed *p, uint64_t addr)
{
	return &p->blocks[(addr - p->addr) / PACK_BLOCK];
}

/* len bytes from addr on. */
void packed_read(const struct packed *p, uint64_t addr, void *dst, uint64_t len);

/* An unsigned number of up to 8 bytes at addr, in one of its words; block is its block's entry. */
static inline uint64_t pack_uint(const uint32_t *block, struct bytes_fmt fmt, uint64_t addr,
				 unsigned size)
{
	uint64_t v = pack_word(block, addr & ~(uint64_t)(PACK_WORD - 1));
	uint8_t b[PACK_WORD];

	memcpy(b, &v, sizeof(v));
	return bytes_uint(fmt, b + (addr & (PACK_WORD - 1)), size);
}

/* The block will be read soon; its entry is read now. */
static inline void pack_prefetch(const uint32_t *block)
{
	const uint8_t *b = (const uint8_t *)block + (uint64_t)*block * PACK_ALIGN;

	__builtin_prefetch(b);
	__builtin_prefetch(b + 64);
}

#endif
