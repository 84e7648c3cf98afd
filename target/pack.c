/*
 * Room is taken as address space, for the worst case; only what is written is memory.  The pieces'
 * heads, with the blocks' entries, come first, then the blocks, in the order in which they were
 * filled in.
 */
#include "target/pack.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/huge.h"

struct pack {
	struct pack *next;
	uint8_t *base;
	uint64_t len;
	uint64_t heads, heads_end; /* where the next piece's head is, and where blocks begin */
	uint64_t end;              /* of the last block */
};

static uint64_t align_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) & ~(to - 1);
}

struct err *pack_create(uint64_t bytes, size_t pieces, struct pack **ret)
{
	_cleanup_(cleanup_pack_destroy) struct pack *p = calloc(1, sizeof(*p));
	/* of each piece a block may be begun, and one may be ended */
	uint64_t blocks = bytes / PACK_BLOCK + 2 * (uint64_t)pieces;
	void *base;

	*ret = NULL;
	if (!p)
		return err_nomem();
	p->heads_end = align_up(pieces * (sizeof(struct packed) + sizeof(uint32_t)) +
					blocks * sizeof(uint32_t),
				4096);
	p->len = p->heads_end + blocks * (PACK_HEAD + PACK_BLOCK) + PACK_WORD;
	if (p->len / PACK_ALIGN > UINT32_MAX)
		return NULL;
	base = mmap(NULL, p->len, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return err_nomem();
	p->base = base;
	p->end = p->heads_end;
	*ret = TAKE_PTR(p);
	return NULL;
}

void pack_destroy(struct pack *p)
{
	if (!p)
		return;
	if (p->base)
		munmap(p->base, p->len);
	free(p);
}

struct pack **pack_next(struct pack *p)
{
	return &p->next;
}

struct packed *pack_piece(struct pack *p, uint64_t addr, uint64_t len)
{
	struct packed *piece = (struct packed *)(p->base + p->heads);
	uint64_t first = addr & ~(uint64_t)(PACK_BLOCK - 1);
	uint64_t blocks = (addr + (len - 1) - first) / PACK_BLOCK + 1;

	piece->addr = first;
	p->heads += align_up(sizeof(*piece) + blocks * sizeof(uint32_t), sizeof(uint64_t));
	return piece;
}

/* Packs len bytes, which begin at addr, in one block. */
static void pack_block(struct pack *p, uint32_t *block, uint64_t addr, const uint8_t *src,
		       uint64_t len)
{
	uint8_t *b = p->base + p->end, *at = b + PACK_HEAD;
	uint64_t words[PACK_WORDS] = { 0 };
	uint32_t kinds = 0;

	memcpy((uint8_t *)words + (addr & (PACK_BLOCK - 1)), src, len);
	for (unsigned k = 0; k < PACK_WORDS; k++) {
		uint64_t v = words[k];
		unsigned some = v != 0, small = v <= UINT32_MAX;
		unsigned near = !(v & 7) && (v ^ addr) >> PACK_NEAR_SHIFT == 0 && !small;
		uint32_t half = (uint32_t)(near ? v >> 3 : v);

		/* All 8 bytes are written; the next word goes over those that are too many. */
		memcpy(at, &v, sizeof(v));
		if (small | near)
			memcpy(at, &half, sizeof(half));
		at += some * (8u >> (small | near));
		kinds |= (some & !near) << k | (some & !small) << (k + PACK_WORDS);
	}
	memcpy(b, &kinds, sizeof(kinds));
	*block = kinds ? (uint32_t)((uint64_t)(b - (uint8_t *)block) / PACK_ALIGN) : 0;
	p->end += kinds ? (uint64_t)(at - b) : 0;
}

void pack_fill(struct pack *p, struct packed *piece, uint64_t addr, const uint8_t *src,
	       uint64_t len)
{
	for (uint64_t n; len; addr += n, src += n, len -= n) {
		n = PACK_BLOCK - (addr & (PACK_BLOCK - 1));
		n = n < len ? n : len;
		pack_block(p, &piece->blocks[(addr - piece->addr) / PACK_BLOCK], addr, src, n);
	}
}

void pack_full(struct pack *p)
{
	huge_full(p->base, p->heads);
	huge_full(p->base + p->heads_end, p->end - p->heads_end);
}

void packed_read(const struct packed *p, uint64_t addr, void *dst, uint64_t len)
{
	uint8_t *out = dst;

	for (uint64_t n; len; addr += n, out += n, len -= n) {
		uint64_t skip = addr & (PACK_WORD - 1), v;

		v = pack_word(packed_block(p, addr), addr - skip);
		n = PACK_WORD - skip < len ? PACK_WORD - skip : len;
		memcpy(out, (const uint8_t *)&v + skip, n);
	}
}
