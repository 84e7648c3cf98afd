/* The insides of an image, which image.c and image_fetch.c share. */
#ifndef GRF_TARGET_IMAGE_INT_H
#define GRF_TARGET_IMAGE_INT_H

#include "base/cleanup.h"
#include "target/pack.h"
#include "target/ranges.h"
#include "target/store.h"

enum piece_kind { PIECE_OWNED, PIECE_STORED, PIECE_PACKED, PIECE_LENT, PIECE_HOLE };

struct piece {
	uint64_t addr, len;
	uint8_t *data; /* NULL: a hole; PIECE_PACKED: a struct packed */
	enum piece_kind kind;
};
VEC_NAMED(pieces, struct piece);

/* A part of a piece that is being fetched, at src, and is still to be packed. */
struct unpacked {
	struct packed *piece;
	uint64_t addr, len;
	const uint8_t *src;
};
VEC_NAMED(unpacked_list, struct unpacked);

enum { SCRATCH = 16 };

struct image {
	struct bytes_fmt fmt;
	struct mem_source *src;
	struct pieces pieces; /* sorted by address, apart */
	/* Sorted: what guesses missed.  What was read of it since is among the pieces. */
	struct ranges missed;
	struct image_stats stats;
	int64_t deadline;    /* 0: none */
	const char *purpose; /* of the current fetches; NULL: not told */
	struct store *stores;
	struct pack *packs;
	bool packing;                 /* big fetches are packed */
	struct ranges skip;           /* of the next fetch: what is not asked for */
	struct pack *filling;         /* of the current fetch */
	struct unpacked_list waiting; /* to be filled in, from `packed` on */
	size_t packed;
	/* What image_ptr() gives of packed pieces, one after the other. */
	struct scratch {
		uint8_t *v;
		uint64_t cap;
	} * scratch;
	unsigned next_scratch;
	uint64_t settled; /* bytes of the current fetch when memory was last given back */
	bool thrifty;
	bool remember;
	struct ranges wanted; /* if remember: what was asked for, without bridged gaps */
	size_t *hints;        /* where a piece was found last, by some bits of the address */
};

/* The data of a PIECE_OWNED; NULL: out of memory. */
uint8_t *piece_alloc(uint64_t len);
/* Frees the data, if the piece owns it. */
void piece_free(const struct piece *p);

ERR_MUST_CHECK struct err *pieces_sort(struct pieces *pieces);
/* Of sorted pieces: the first that ends behind addr (pieces->n: none). */
size_t pieces_lookup(const struct pieces *pieces, uint64_t addr);
/* Frees them with their data. */
void pieces_deinit(struct pieces *pieces);

static inline size_t image_lookup(const struct image *img, uint64_t addr)
{
	return pieces_lookup(&img->pieces, addr);
}

static inline const struct packed *piece_packed(const struct piece *p)
{
	return (const struct packed *)p->data;
}

/* Copies [off, off + len) of a piece that is no hole. */
void piece_copy(const struct piece *p, uint64_t off, void *dst, uint64_t len);

/* Fills in up to so many bytes of what waits for it. */
void image_fill(struct image *img, uint64_t bytes);

/* It may become part of a larger one. */
static inline bool piece_is_loose(const struct piece *p)
{
	return p->kind == PIECE_OWNED || p->kind == PIECE_STORED;
}

/* It came from the source: neither lent nor a hole. */
static inline bool piece_is_fetched(const struct piece *p)
{
	return piece_is_loose(p) || p->kind == PIECE_PACKED;
}

#endif
