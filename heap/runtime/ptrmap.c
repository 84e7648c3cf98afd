/*
 * The pointer words of one object, wherever its map is: in the span's bitmap, in the arena's, or in
 * the mask of the type that the slot or the span names.
 */
#include "heap/runtime/ptrmap.h"

/* mbitmap.go: spanHeapBitsRange, heapBitsSmallForAddr. */
static bool small_bits(const struct proc *p, const struct span *sp, uint32_t index, uint64_t *bits)
{
	/* log2 of a word's bytes, of its bits */
	unsigned shift = p->fmt.word == 8 ? 3 : 2, per = shift + 3;
	uint64_t first = index * sp->elemsize >> shift, n = sp->elemsize >> shift, v = 0;

	/* nelems * elemsize is below the span's size: so the bitmap has these bits
	 * (spans_load()) */
	if (!sp->bits || n > 64)
		return false;
	/* words of the bitmap are native uintptrs */
	for (uint64_t got = 0; got < n;) {
		uint64_t at = first + got, off = at & ((1u << per) - 1);

		v |= bytes_word(p->fmt, sp->bits + (at >> per << shift)) >> off << got;
		got += (1u << per) - off;
	}
	*bits = n < 64 ? v & ((1ull << n) - 1) : v;
	return true;
}

bool ptr_first_bits(const struct proc *p, const struct span *sp, uint32_t index, uint64_t *bits)
{
	uint64_t words = sp->elemsize / p->fmt.word;
	bool stop;

	if (sp->ptrs == SPAN_BITS)
		return small_bits(p, sp, index, bits);
	return arena_bits(p, span_slot(sp, index), words < 64 ? words : 64, bits, &stop);
}

/* Takes the mask of an object whose slot or span names its type; false: it has none, or the mask
 * cannot be read (*bad). */
static bool ptr_iter_mask(struct ptr_iter *it, const struct proc *p, struct gcmasks *masks,
			  const struct span *sp, bool *bad)
{
	uint64_t type = sp->large_type;
	struct err *err;

	if (sp->ptrs == SPAN_HEADER) {
		type = span_word(sp, p->fmt, it->slot);
		if (!type)
			return false; /* allocated, header not written yet */
	}
	err = gcmask_find(p, masks, type, &it->mask);
	if (err || !it->mask->bits || !it->mask->words) {
		err_destroy(err);
		*bad = true;
		return false;
	}
	it->tile = span_data_off(sp) / p->fmt.word;
	it->mword = 0;
	it->end = sp->elemsize / p->fmt.word;
	return it->mask->ptr_words != 0;
}

bool ptr_iter_init(struct ptr_iter *it, const struct proc *p, struct gcmasks *masks,
		   const struct span *sp, uint32_t index, bool *bad)
{
	uint64_t slot = (uint64_t)index * sp->elemsize;

	if (sp->ptrs == SPAN_NOSCAN)
		return false;
	it->sp = sp;
	it->slot = slot;
	it->mask = NULL;
	it->addr = 0;
	it->bits = 0;
	it->word = 0;
	if (sp->ptrs == SPAN_BITS) {
		if (!small_bits(p, sp, index, &it->bits)) {
			*bad = true;
			return false;
		}
		return it->bits != 0;
	}
	if (sp->ptrs == SPAN_LARGE && !sp->large_type)
		return false; /* not published yet */
	if (slot + sp->elemsize > sp->data_len) {
		*bad = true;
		return false;
	}
	if (sp->ptrs == SPAN_ARENA) {
		it->p = p;
		it->addr = span_slot(sp, index);
		it->next = 0;
		it->end = sp->elemsize / p->fmt.word;
		return true;
	}
	return ptr_iter_mask(it, p, masks, sp, bad);
}

static bool refill_arena(struct ptr_iter *it)
{
	bool stop = false;

	while (!stop && it->next < it->end && !it->bits) {
		uint64_t n = it->end - it->next < 64 ? it->end - it->next : 64;

		it->word = it->next;
		if (!arena_bits(it->p, it->addr + it->next * it->p->fmt.word, n, &it->bits, &stop))
			return false;
		it->next += n;
	}
	if (stop)
		it->end = 0;
	return it->bits != 0;
}

/* The next 64 words of the mask, or of the next tile. */
bool ptr_iter_refill(struct ptr_iter *it)
{
	const struct gcmask *m = it->mask;

	if (it->addr)
		return refill_arena(it);
	for (;;) {
		uint64_t left, n, v = 0;

		if (it->mword >= m->ptr_words) {
			it->tile += m->words;
			it->mword = 0;
		}
		it->word = it->tile + it->mword;
		if (it->word >= it->end)
			return false;
		n = m->ptr_words - it->mword;
		if (n > 64)
			n = 64;
		for (unsigned i = 0; i < 8; i++)
			v |= (uint64_t)m->bits[it->mword / 8 + i] << (8 * i);
		left = it->end - it->word;
		if (left < 64)
			v &= (1ull << left) - 1;
		if (n < 64)
			v &= (1ull << n) - 1;
		it->mword += n;
		if (v) {
			it->bits = v;
			return true;
		}
	}
}
