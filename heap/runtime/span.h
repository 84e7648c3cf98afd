/*
 * Spans: which slots of the heap exist, which are allocated, and from an address to its object.
 *
 * An object is a slot of a span and has a dense id: span->first_id + index.  Ids follow addresses.
 *
 * Source: runtime/mheap.go, mbitmap.go, mgcsweep.go of each release; docs/GO-RUNTIME.md.
 */
#ifndef GRF_HEAP_RUNTIME_SPAN_H
#define GRF_HEAP_RUNTIME_SPAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/search.h"
#include "base/vec.h"
#include "heap/runtime/proc.h"
#include "heap/runtime/unstable.h"
#include "target/pack.h"

enum { GO_PAGE_SHIFT = 13, GO_PAGE = 1 << GO_PAGE_SHIFT }; /* pageSize */
enum { /* malloc.go, sizeclasses.go, mheap.go of every release */
       NUM_SIZE_CLASSES = 68,
       NUM_SPAN_CLASSES = NUM_SIZE_CLASSES << 1,
       TINY_SIZE_CLASS = 2,
       TINY_SPAN_CLASS = TINY_SIZE_CLASS << 1 | 1,
       MAX_SMALL_SIZE = 32768,
       MALLOC_HEADER_SIZE = 8, /* since 1.22 */
};
/* A request costs gdbserver as much as 500 to 600 bytes do: 4 us beside 130 MB/s. */
enum { DEAD_MIN = 512 };
/* spanInlineMarkBits: its size, and the offset of marks in it */
enum { INLINE_MARKS = 128, INLINE_MARKS_OFF = 64 };
enum { SPAN_DEAD, SPAN_IN_USE, SPAN_MANUAL }; /* mSpanState */

/* spanClass.sizeclass(), 0: of large objects; spanClass.noscan(). */
static inline uint64_t spanclass_size(uint64_t spanclass)
{
	return spanclass >> 1;
}

static inline bool spanclass_noscan(uint64_t spanclass)
{
	return spanclass & 1;
}

/* Where the pointer map of a span's objects is. */
enum span_ptrs {
	SPAN_NOSCAN,
	SPAN_BITS,   /* at the span's end: a bit per word (1.22+, up to 512-byte slots) */
	SPAN_HEADER, /* a type in each slot's first word (1.22+) */
	SPAN_LARGE,  /* span.largeType (1.22+) */
	SPAN_ARENA,  /* in heapArena.bitmap (until 1.21): heap/runtime/arena_bits.c */
};

/* The first 64 bytes, which are one line of the cache, have all that is needed to look where a
 * pointer leads. */
struct span {
	uint64_t base, limit;
	uint64_t elemsize;
	union { /* the contents from base on; NULL: not captured */
		const uint8_t *data;
		const uint32_t *blocks; /* their entries (target/pack.h) */
	};
	const uint8_t *alive; /* a bit per slot: allocated, and not dead before its sweep */
	union {
		uint64_t large_type; /* SPAN_LARGE; else 0 */
		/* SPAN_BITS, attached: a copy of the span's bitmap; NULL: not captured */
		const uint8_t *bits;
	};
	uint32_t divmul; /* index = offset * divmul >> 32; 0: always index 0 */
	uint32_t first_id;
	uint32_t first_scan; /* the same in ids of spans that can hold pointers only: scan ids */
	uint8_t ptrs;        /* enum span_ptrs */
	bool scheduler;      /* holds gs, ms or ps */
	bool arena_chunk;
	bool packed; /* the contents are blocks, not data */
	/* the rest */
	uint64_t npages;
	uint32_t nelems;
	uint32_t freeindex, scan_index; /* freeIndexForScan */
	uint32_t alloc_count;           /* as the span says */
	uint8_t state, spanclass;
	bool inline_marks;
	bool unswept;      /* what survives is in the mark bits */
	uint64_t data_len; /* how much of the contents there is */
	uint64_t alloc_bits, mark_bits, specials;
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct span) == 128, "two lines");

struct spans {
	struct span *v; /* in use, by base */
	size_t n;
	uint64_t nids, nscan;
	uint64_t allocated, allocated_bytes; /* slots, as their bits say */
	uint64_t planned;                    /* bytes of contents that are wanted */
	uint64_t sweepgen;
	bool green_tea;
	/* page -> span: one table per 64 MB */
	struct page_table *tables;
	size_t ntables;
	/* scan id -> span */
	struct scan_span *scan; /* spans with pointers, and one past their end */
	uint32_t *scan_at;      /* by scan id / SCAN_STEP: where to begin in it */
	/* of all SPAN_BITS spans, close together: naming objects looks at many of them */
	uint8_t *bitmaps;
	struct arena arena;
};

/* Appends where the mspans are; allspans itself must be in the image. */
ERR_MUST_CHECK struct err *spans_plan_headers(struct proc *p, struct ranges *want);
/* Reads the mspans, which must be in the image now.  u->why: they make no sense, and s is
 * incomplete. */
ERR_MUST_CHECK struct err *spans_load(struct proc *p, struct spans *s, struct unstable *u);
/* Appends the bitmaps that spans_settle() needs. */
ERR_MUST_CHECK struct err *spans_plan_bits(struct proc *p, const struct spans *s,
					   struct ranges *want);
/* Finds which slots are alive, and checks each span against its own allocCount (u->why).  all: it
 * goes on after the first that disagrees. */
ERR_MUST_CHECK struct err *spans_settle(struct proc *p, struct spans *s, bool all,
					struct unstable *u);
/* Appends the contents of spans that can hold pointers; dead: of these, runs of dead slots that are
 * not worth a look. */
ERR_MUST_CHECK struct err *spans_plan_contents(const struct proc *p, struct spans *s,
					       struct ranges *want, struct ranges *dead);
/* How many bytes of the contents belong to objects whose bit, by id, is set in live. */
uint64_t spans_live_contents(const struct proc *p, const struct spans *s, const uint8_t *live);
/* heap/runtime/arena_bits.c: fetches the bitmaps of SPAN_ARENA spans. */
ERR_MUST_CHECK struct err *arenas_fetch(struct proc *p, const struct spans *s);
/* Which of the n <= 64 words from addr on are pointers; *stop: none is behind them.  False: their
 * bitmap was not captured. */
bool arena_bits(const struct proc *p, uint64_t addr, uint64_t n, uint64_t *bits, bool *stop);

/* Takes pointers to the contents, once they are in the image, and copies the bitmaps.  It may be
 * called again. */
ERR_MUST_CHECK struct err *spans_attach(struct proc *p, struct spans *s);
void spans_deinit(struct spans *s);

enum { /* one table for 64 MB */
       PAGE_TABLE_SHIFT = 26,
       PAGE_TABLE = 1 << (PAGE_TABLE_SHIFT - GO_PAGE_SHIFT),
};

struct page_table {
	uint64_t key;    /* addr >> PAGE_TABLE_SHIFT */
	uint32_t *spans; /* PAGE_TABLE entries: index + 1 of the span; 0: none */
};

struct scan_span {
	uint32_t first_scan;
	uint32_t span; /* index */
};

enum { SCAN_STEP = 64 };

struct page_table_key {
	const struct page_table *tables;
	uint64_t key;
};

static inline bool page_table_reaches(const void *arg, size_t i)
{
	const struct page_table_key *k = arg;

	return k->tables[i].key >= k->key;
}

/* The in-use span that addr's page belongs to; NULL: none.  addr may lie behind its limit. */
static inline struct span *spans_page(const struct spans *s, uint64_t addr)
{
	uint64_t key = addr >> PAGE_TABLE_SHIFT;
	size_t at;
	uint32_t i;

	/* Most heaps are one piece. */
	if (s->ntables && key - s->tables[0].key < s->ntables &&
	    s->tables[key - s->tables[0].key].key == key) {
		at = key - s->tables[0].key;
	} else {
		at = search_first(s->ntables, page_table_reaches,
				  &(struct page_table_key){ s->tables, key });
		if (at == s->ntables || s->tables[at].key != key)
			return NULL;
	}
	i = s->tables[at].spans[addr >> GO_PAGE_SHIFT & (PAGE_TABLE - 1)];
	return i ? &s->v[i - 1] : NULL;
}

/* The in-use span that holds addr below its limit; NULL: none. */
static inline struct span *spans_find(const struct spans *s, uint64_t addr)
{
	struct span *sp = spans_page(s, addr);

	return sp && addr >= sp->base && addr < sp->limit ? sp : NULL;
}

static inline uint32_t span_index(const struct span *sp, uint64_t addr)
{
	return (uint32_t)((addr - sp->base) * sp->divmul >> 32);
}

static inline bool span_alive(const struct span *sp, uint32_t i)
{
	return sp->alive[i >> 3] >> (i & 7) & 1;
}

struct scan_key {
	const struct scan_span *scan;
	uint32_t id;
};

static inline bool scan_span_behind(const void *arg, size_t i)
{
	const struct scan_key *k = arg;

	return k->scan[i].first_scan > k->id;
}

/* The span a scan id belongs to. */
static inline struct span *spans_of_scan(const struct spans *s, uint32_t id)
{
	size_t lo = s->scan_at[id / SCAN_STEP], hi = s->scan_at[id / SCAN_STEP + 1] + 1;
	struct scan_key key = { s->scan + lo + 1, id };

	return &s->v[s->scan[lo + search_first(hi - lo - 1, scan_span_behind, &key)].span];
}

/* Where user data starts in a slot: behind the allocation header (mallocHeaderSize), if there is
 * one. */
static inline uint64_t span_data_off(const struct span *sp)
{
	return sp->ptrs == SPAN_HEADER ? MALLOC_HEADER_SIZE : 0;
}

/* Whether the span's objects have pointers, and nothing in it says of which type they are. */
static inline bool span_untyped(const struct span *sp)
{
	return sp->ptrs == SPAN_BITS || sp->ptrs == SPAN_ARENA;
}

static inline uint64_t span_slot(const struct span *sp, uint32_t index)
{
	return sp->base + (uint64_t)index * sp->elemsize;
}

/* The word `off` bytes from base on, which must be among those that there are. */
static inline uint64_t span_word(const struct span *sp, struct bytes_fmt fmt, uint64_t off)
{
	const uint32_t *block = sp->blocks + off / PACK_BLOCK;

	if (!sp->packed)
		return bytes_word(fmt, sp->data + off);
	if (fmt.word == 8 && fmt.big == PACK_BIG)
		return pack_word(block, sp->base + off);
	return pack_uint(block, fmt, sp->base + off, fmt.word);
}

/* Says that the slot will be read soon.  It is always inlined, as gcc drops calls of what does
 * nothing but prefetch. */
__attribute__((always_inline)) static inline void span_prefetch(const struct span *sp,
								uint32_t index)
{
	const uint8_t *slot = sp->data + (uint64_t)index * sp->elemsize;

	if (!sp->data)
		return;
	if (sp->packed) {
		__builtin_prefetch(sp->blocks + (slot - sp->data) / PACK_BLOCK);
	} else {
		__builtin_prefetch(slot);
		__builtin_prefetch(slot + (sp->elemsize < 64 ? sp->elemsize - 1 : 64));
	}
	if (sp->ptrs == SPAN_BITS)
		__builtin_prefetch(sp->bits + (uint64_t)index * sp->elemsize / 64);
}

/* The same a moment later, for what span_prefetch() could not know then. */
__attribute__((always_inline)) static inline void span_prefetch_packed(const struct span *sp,
								       uint32_t index)
{
	if (sp->packed)
		pack_prefetch(sp->blocks + (uint64_t)index * sp->elemsize / PACK_BLOCK);
}

/* What to fetch for the object at addr: the whole span around it, if that is small.  The object's
 * neighbours are needed sooner or later, and then cost no round trip. */
struct range spans_around(const struct spans *s, uint64_t addr, uint64_t len);

#endif
