/*
 * Pointer maps: which words of an object are pointers, by the collector's own maps, never by types
 * that only give names.  There is one iterator, in address order, which marking itself uses.
 * Source: runtime/mbitmap.go, mgcmark.go:scanobject, type.go:getGCMask of each release.
 */
#ifndef GRF_HEAP_RUNTIME_PTRMAP_H
#define GRF_HEAP_RUNTIME_PTRMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "heap/runtime/proc.h"
#include "heap/runtime/span.h"

/* Type.Kind_ has the kind in its low bits; above them are flags, until Go 1.25. */
enum { KIND_MASK = 0x1f };

/* A type's mask, one bit per word, little-endian bytes, padded to 8 bytes. */
struct gcmask {
	uint64_t type;       /* address of the descriptor */
	uint64_t words;      /* of the type's size */
	uint64_t ptr_words;  /* bits in the mask: PtrBytes / word */
	const uint8_t *bits; /* NULL: it could not be read */
};

struct gcmasks {
	struct map64 by_type; /* address -> struct gcmask * */
	struct arena arena;
	uint64_t words; /* of all masks */
};

void gcmasks_deinit(struct gcmasks *m);

/* Never NULL on success; bits is NULL when the type or its mask is not in the image. */
ERR_MUST_CHECK struct err *gcmask_find(const struct proc *p, struct gcmasks *m, uint64_t type,
				       const struct gcmask **ret);
/* Appends what gcmask_find() will need of a type made by reflect: its descriptor is in the heap,
 * its mask in pointer-free memory. */
ERR_MUST_CHECK struct err *gcmask_plan(const struct proc *p, uint64_t type, struct ranges *want);

/* Runs a GC program (with its length in front) into nbits bits of dst, which is zeroed.  False:
 * damaged. */
bool gcprog_mask(const struct proc *p, uint64_t prog, uint8_t *dst, uint64_t nbits);

/* The pointer words of one object. */
struct ptr_iter {
	const struct span *sp;
	uint64_t slot; /* in the span */
	uint64_t bits; /* pointer words from `word` on that are still to come */
	uint64_t word; /* of the slot; bits' bit 0 */
	/* the arena's bitmap, 64 words at a time */
	const struct proc *p;
	uint64_t addr; /* of the slot; 0: not this kind */
	uint64_t next; /* word that comes next */
	/* tiles */
	const struct gcmask *mask;
	uint64_t tile;  /* word where the current tile starts */
	uint64_t mword; /* next word of the mask */
	uint64_t end;   /* words in the slot */
};

/* Begins with an object.  False: it has no pointers, or its contents or its map could not be read
 * (*bad). */
bool ptr_iter_init(struct ptr_iter *it, const struct proc *p, struct gcmasks *masks,
		   const struct span *sp, uint32_t index, bool *bad);
bool ptr_iter_refill(struct ptr_iter *it);

/* Gives the next pointer word, as an index in the slot; false: there are no more. */
static inline bool ptr_iter_next(struct ptr_iter *it, uint64_t *word)
{
	while (!it->bits)
		if ((!it->mask && !it->addr) || !ptr_iter_refill(it))
			return false;
	*word = it->word + (uint64_t)__builtin_ctzll(it->bits);
	it->bits &= it->bits - 1;
	return true;
}

/* The word that ptr_iter_next() gave. */
static inline uint64_t ptr_iter_value(const struct ptr_iter *it, struct bytes_fmt fmt,
				      uint64_t word)
{
	return span_word(it->sp, fmt, it->slot + word * fmt.word);
}

/* Says that the word will be read, where the contents are in a file. */
static inline void ptr_iter_touch(const struct ptr_iter *it, const struct image *img, uint64_t off)
{
	if (!it->sp->packed)
		image_touch(img, it->sp->data + it->slot + off);
}

/* The pointer words among the first 64 of an object whose type is not in its span or slot
 * (SPAN_BITS, SPAN_ARENA); false: not captured. */
bool ptr_first_bits(const struct proc *p, const struct span *sp, uint32_t index, uint64_t *bits);

#endif
