/* Shared by image.c and image_fetch.c. */
#ifndef GRF_TARGET_IMAGE_INT_H
#define GRF_TARGET_IMAGE_INT_H

#include "target/ranges.h"
#include "target/store.h"

enum piece_kind { PIECE_OWNED, PIECE_STORED, PIECE_LENT, PIECE_HOLE };

struct piece {
	uint64_t addr, len;
	uint8_t *data; /* NULL: a hole */
	enum piece_kind kind;
};

struct image {
	struct bytes_fmt fmt;
	struct mem_source *src;
	VEC(struct piece) pieces;
	/* by guesses; sorted.  What was read of it since is among the pieces */
	struct ranges missed;
	struct image_stats stats;
	struct store *stores;
	uint64_t settled; /* bytes of the current fetch when memory was last given back */
	bool thrifty;
	bool remember;
	struct ranges wanted; /* if remember: what was asked for, without bridged gaps */
	size_t *hints;        /* where a piece was found last, by some bits of the address */
};

/* The first piece that ends behind addr. */
size_t image_lookup(const struct image *img, uint64_t addr);
void pieces_sort(struct image *img);
uint8_t *piece_alloc(uint64_t len);
void piece_free(const struct piece *p);

#endif
