/*
 * Pointer maps until Go 1.21: a bitmap in each arena's heapArena.
 *
 *	1.17-1.19	two bits a word, four words a byte: bit 0 pointer, bit 4 "more to come"
 *	1.20-1.21	a bit a word, and noMorePtrs: a bit per word of the bitmap
 *
 * Source: runtime/mbitmap.go (heapBitsForAddr) of those releases; 1.22 with
 * GOEXPERIMENT=noallocheaders is like 1.20.
 */
#include <inttypes.h>
#include <string.h>

#include "base/intr.h"
#include "heap/runtime/span.h"

static uint64_t arena_index(const struct proc *p, uint64_t addr)
{
	return (addr - p->arch->arena_base) >> p->arch->arena_shift;
}

static uint64_t arena_end(const struct proc *p, uint64_t addr)
{
	uint64_t size = 1ull << p->arch->arena_shift;

	return (addr & ~(size - 1)) + size;
}

static bool two_bits(const struct proc *p)
{
	return !layout_has(&p->layout, L_heapArena_noMorePtrs);
}

/* The bytes of the bitmap for [addr, end) of one arena. */
static struct range bitmap_range(const struct proc *p, uint64_t ha, uint64_t addr, uint64_t end)
{
	uint64_t per = p->fmt.word * (two_bits(p) ? 4 : 8), size = 1ull << p->arch->arena_shift;
	uint64_t lo = (addr & (size - 1)) / per, hi = ((end - 1) & (size - 1)) / per + 1;

	if (!two_bits(p)) { /* whole words */
		lo &= ~(uint64_t)(p->fmt.word - 1);
		hi = (hi + p->fmt.word - 1) & ~(uint64_t)(p->fmt.word - 1);
	}
	return (struct range){ ha + layout_off(&p->layout, L_heapArena_bitmap) + lo, hi - lo };
}

/* Calls fn with each part of a SPAN_ARENA span that lies in one arena. */
static struct err *each_part(struct proc *p, const struct spans *s,
			     struct err *(*fn)(struct proc *p, uint64_t addr, uint64_t end,
					       struct ranges *want),
			     struct ranges *want)
{
	for (size_t i = 0; i < s->n; i++) {
		uint64_t addr = s->v[i].base, end = addr + s->v[i].npages * GO_PAGE;

		if (s->v[i].ptrs != SPAN_ARENA)
			continue;
		TRY(intr_check());
		while (addr < end) {
			uint64_t upto = arena_end(p, addr) < end ? arena_end(p, addr) : end;

			TRY(fn(p, addr, upto, want));
			addr = upto;
		}
	}
	return NULL;
}

/* Where mheap.arenas has the arena of addr. */
static struct err *entry_addr(const struct proc *p, uint64_t addr, uint64_t *ret)
{
	uint64_t l2;

	TRY(image_read_word(p->img, p->var.mheap_ + layout_off(&p->layout, L_mheap_arenas), &l2));
	*ret = l2 + arena_index(p, addr) % p->arch->arena_l2 * p->fmt.word;
	return NULL;
}

static struct err *plan_entry(struct proc *p, uint64_t addr, uint64_t end, struct ranges *want)
{
	uint64_t *slot, entry;
	bool is_new;

	TRY(map64_put(&p->arenas, arena_index(p, addr), 0, &slot, &is_new));
	if (!is_new)
		return NULL;
	TRY(entry_addr(p, addr, &entry));
	return vec_push(want, ((struct range){ entry, p->fmt.word }));
}

static struct err *plan_bitmap(struct proc *p, uint64_t addr, uint64_t end, struct ranges *want)
{
	uint64_t *slot = map64_get(&p->arenas, arena_index(p, addr)), entry, lo, hi;
	struct range r;

	if (!*slot) {
		TRY(entry_addr(p, addr, &entry));
		TRY(image_read_word(p->img, entry, slot));
	}
	r = bitmap_range(p, *slot, addr, end);
	TRY(vec_push(want, r));
	if (two_bits(p))
		return NULL;
	lo = (r.addr - *slot - layout_off(&p->layout, L_heapArena_bitmap)) / p->fmt.word;
	hi = lo + r.len / p->fmt.word;
	return vec_push(
		want,
		((struct range){ *slot + layout_off(&p->layout, L_heapArena_noMorePtrs) + lo / 8,
				 hi / 8 - lo / 8 + 1 }));
}

static struct err *fetch_bitmaps(struct proc *p, const struct spans *s)
{
	enum { BITMAPS_GAP = 256 };
	_cleanup_vec_ struct ranges want = VEC_INIT;

	TRY(each_part(p, s, plan_entry, &want));
	TRY(image_need(p->img, &want, BITMAPS_GAP));
	want.n = 0;
	TRY(each_part(p, s, plan_bitmap, &want));
	return image_need(p->img, &want, BITMAPS_GAP);
}

struct err *arenas_fetch(struct proc *p, const struct spans *s)
{
	map64_deinit(&p->arenas);
	if (!layout_has(&p->layout, L_heapArena_bitmap))
		return NULL;
	return err_wrapf(fetch_bitmaps(p, s), "reading the arenas' bitmaps");
}

static bool bits_of_two(const struct proc *p, uint64_t ha, uint64_t addr, uint64_t n,
			uint64_t *bits, uint64_t *got, bool *stop)
{
	struct range r = bitmap_range(p, ha, addr, addr + n * p->fmt.word);
	const uint8_t *b = image_ptr(p->img, r.addr, r.len, NULL);
	uint64_t first = addr / p->fmt.word & 3;

	if (!b)
		return false;
	for (uint64_t i = 0; i < n; i++, ++*got) {
		unsigned v = b[(first + i) / 4] >> ((first + i) & 3);

		if (!(v & 0x10)) {
			*stop = true;
			return true;
		}
		*bits |= (uint64_t)(v & 1) << *got;
	}
	return true;
}

static bool bits_of_one(const struct proc *p, uint64_t ha, uint64_t addr, uint64_t n,
			uint64_t *bits, uint64_t *got, bool *stop)
{
	uint64_t per = 8ull * p->fmt.word, words = 1ull << p->arch->arena_shift;

	for (words /= p->fmt.word; n && !*stop;) {
		uint64_t w = addr / p->fmt.word % words, idx = w / per, off = w % per;
		uint64_t take = per - off < n ? per - off : n, v, more;

		if (!proc_try_word(
			    p, ha + layout_off(&p->layout, L_heapArena_bitmap) + idx * p->fmt.word,
			    &v) ||
		    !proc_try_uint(p, ha + layout_off(&p->layout, L_heapArena_noMorePtrs) + idx / 8,
				   1, &more))
			return false;
		v >>= off;
		if (take < 64)
			v &= (1ull << take) - 1;
		*bits |= v << *got;
		*got += take;
		addr += take * p->fmt.word;
		n -= take;
		/* noMorePtrs speaks of what follows the word */
		*stop = off + take == per && more >> (idx & 7) & 1;
	}
	return true;
}

bool arena_bits(const struct proc *p, uint64_t addr, uint64_t n, uint64_t *bits, bool *stop)
{
	uint64_t got = 0;

	*bits = 0;
	*stop = false;
	while (got < n && !*stop) {
		uint64_t at = addr + got * p->fmt.word,
			 room = (arena_end(p, at) - at) / p->fmt.word;
		uint64_t take = n - got < room ? n - got : room;
		const uint64_t *ha = map64_get(&p->arenas, arena_index(p, at));

		if (!ha || !*ha)
			return false;
		if (two_bits(p) ? !bits_of_two(p, *ha, at, take, bits, &got, stop) :
				  !bits_of_one(p, *ha, at, take, bits, &got, stop))
			return false;
	}
	return true;
}
