/*
 * Spans as the runtime has them: allspans gives the mspans, sorted by address here; their
 * allocation and mark bits say which slots are alive (runtime/mgcsweep.go), and each span's own
 * count whether they could be read at this moment.
 */
#include "heap/runtime/span.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/huge.h"
#include "base/intr.h"
#include "base/limits.h"

/* ------------------------------------------------------------------ reading mspans */

static struct err *plan_headers(const struct proc *p, struct ranges *want)
{
	uint64_t ptr, len, span;

	TRY(proc_slice(p, p->var.mheap_ + layout_off(&p->layout, L_mheap_allspans), &ptr, &len));
	if (!len || len > LIMIT_SPANS)
		return err_create(ERR_BADDATA, "mheap_.allspans has %" PRIu64 " entries", len);
	for (uint64_t i = 0; i < len; i++) {
		TRY(image_read_word(p->img, ptr + i * p->fmt.word, &span));
		TRY(vec_push(want, ((struct range){ span, layout_size(&p->layout, LS_mspan) })));
	}
	return NULL;
}

struct err *spans_plan_headers(struct proc *p, struct ranges *want)
{
	return err_wrapf(plan_headers(p, want), "reading mheap_.allspans");
}

static int span_cmp(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return x->base < y->base ? -1 : x->base > y->base;
}

/* malloc.go and sizeclasses.go: one divisor per slot size. */
static uint32_t span_divmul(uint64_t elemsize, uint32_t nelems)
{
	return nelems > 1 ? (uint32_t)(UINT32_MAX / elemsize + 1) : 0;
}

/* heapBitsInSpan() (mbitmap.go@1.22+): slots up to minSizeForMallocHeader have a bitmap at the
 * span's end. */
static bool heap_bits_in_span(const struct proc *p, uint64_t size)
{
	return size <= 8ull * p->fmt.word * p->fmt.word;
}

static uint64_t span_bytes(const struct span *s)
{
	return s->npages * GO_PAGE;
}

static void span_fields(const struct proc *p, const uint8_t *b, struct span *s)
{
	const struct layout *l = &p->layout;

	s->base = proc_peek(p, b, L_mspan_startAddr);
	s->npages = proc_peek(p, b, L_mspan_npages);
	s->limit = proc_peek(p, b, L_mspan_limit);
	s->elemsize = proc_peek(p, b, L_mspan_elemsize);
	s->nelems = (uint32_t)proc_peek(p, b, L_mspan_nelems);
	s->freeindex = (uint32_t)proc_peek(p, b, L_mspan_freeindex);
	s->scan_index = layout_has(l, L_mspan_freeIndexForScan) ?
				(uint32_t)proc_peek(p, b, L_mspan_freeIndexForScan) :
				s->freeindex;
	s->alloc_count = (uint32_t)proc_peek(p, b, L_mspan_allocCount);
	s->spanclass = (uint8_t)proc_peek(p, b, L_mspan_spanclass);
	s->alloc_bits = proc_peek(p, b, L_mspan_allocBits);
	s->mark_bits = proc_peek(p, b, L_mspan_gcmarkBits);
	s->specials = proc_peek(p, b, L_mspan_specials);
	s->arena_chunk = layout_has(l, L_mspan_isUserArenaChunk) &&
			 proc_peek(p, b, L_mspan_isUserArenaChunk);
}

/*
 * A large object has a span of its own, and the classes of small ones have spans of few pages (at
 * most 10 in every release: class_to_allocnpages, sizeclasses.go).  So a span's own fields do not
 * ask for more slots than a process can have of them.
 */
static bool span_slots_plausible(const struct span *s)
{
	enum { SMALL_PAGES = 64 };

	return spanclass_size(s->spanclass) ? s->npages <= SMALL_PAGES && s->elemsize >= 8 :
					      s->nelems == 1;
}

/* What every span in use is. */
static bool span_plausible(const struct span *s)
{
	return span_slots_plausible(s) && s->npages && s->npages <= LIMIT_READ / GO_PAGE &&
	       !(s->base & (GO_PAGE - 1)) && s->base + span_bytes(s) >= s->base &&
	       s->limit >= s->base && s->limit <= s->base + span_bytes(s) && s->elemsize &&
	       s->elemsize <= span_bytes(s) && s->nelems &&
	       s->nelems <= span_bytes(s) / s->elemsize && s->freeindex <= s->nelems;
}

static enum span_ptrs span_where_ptrs(const struct proc *p, const struct span *s)
{
	if (spanclass_noscan(s->spanclass))
		return SPAN_NOSCAN;
	if (layout_has(&p->layout, L_heapArena_bitmap))
		return SPAN_ARENA;
	if (!spanclass_size(s->spanclass))
		return SPAN_LARGE;
	return heap_bits_in_span(p, s->elemsize) ? SPAN_BITS : SPAN_HEADER;
}

/* mspan.sweepgen against mheap.sweepgen, as the comment on mspan.sweepgen (mheap.go) has it. */
static void span_sweep_state(struct span *s, int32_t gen, struct unstable *u)
{
	enum { NEEDS_SWEEP = -2, IS_SWEPT = -1, CACHED_BEFORE = 1 };

	s->unswept = gen == NEEDS_SWEEP || gen == CACHED_BEFORE;
	if (gen == IS_SWEPT)
		*u = (struct unstable){ "a span being swept", s->base };
}

/* Reads the mspan at b; u->why: it is being changed. */
static void span_load(const struct proc *p, const uint8_t *b, uint64_t sweepgen, struct span *s,
		      struct unstable *u)
{
	memset(s, 0, sizeof(*s));
	s->state = (uint8_t)proc_peek(p, b, L_mspan_state);
	if (s->state != SPAN_IN_USE)
		return;
	span_fields(p, b, s);
	/*
	 * arena.go: setUserArenaChunkToFault.  Freed and without memory, the span is kept for as
	 * long as something points there; it counts as free.
	 */
	if (s->arena_chunk && spanclass_noscan(s->spanclass)) {
		s->state = SPAN_DEAD;
		return;
	}
	if (!span_plausible(s)) {
		*u = (struct unstable){ "a span that makes no sense", s->base };
		return;
	}
	s->divmul = span_divmul(s->elemsize, s->nelems);
	/* Some releases count the bitmap at the span's end in. */
	if (s->nelems > 1 && s->limit > s->base + s->elemsize * s->nelems)
		s->limit = s->base + s->elemsize * s->nelems;
	if (s->limit > s->base && span_index(s, s->limit - 1) >= s->nelems) {
		*u = (struct unstable){ "a span whose limit makes no sense", s->base };
		return;
	}
	span_sweep_state(s, (int32_t)(uint32_t)(proc_peek(p, b, L_mspan_sweepgen) - sweepgen), u);
	s->ptrs = span_where_ptrs(p, s);
	if (s->ptrs == SPAN_LARGE && layout_has(&p->layout, L_mspan_largeType))
		s->large_type = proc_peek(p, b, L_mspan_largeType);
}

static struct err *spans_grow(struct spans *s, size_t cap)
{
	struct span *v = aligned_alloc(_Alignof(struct span), cap * sizeof(*v));

	if (!v)
		return err_nomem();
	if (s->n)
		memcpy(v, s->v, s->n * sizeof(*v));
	free(s->v);
	s->v = v;
	return NULL;
}

/* Reads all mspans that are in use. */
static struct err *spans_read(const struct proc *p, struct spans *s, struct unstable *u)
{
	uint64_t ptr, len, addr;
	size_t cap = 1024;

	TRY(proc_slice(p, p->var.mheap_ + layout_off(&p->layout, L_mheap_allspans), &ptr, &len));
	TRY(proc_get(p, p->var.mheap_, L_mheap_sweepgen, &s->sweepgen));
	TRY(spans_grow(s, cap));
	for (uint64_t i = 0; i < len; i++) {
		const uint8_t *b;

		TRY(image_read_word(p->img, ptr + i * p->fmt.word, &addr));
		b = image_ptr(p->img, addr, layout_size(&p->layout, LS_mspan), NULL);
		if (!b)
			return err_fault(addr,
					 "the span table's entry %" PRIu64 " at 0x%" PRIx64
					 " cannot be read",
					 i, addr);
		if (s->n == cap)
			TRY(spans_grow(s, cap *= 2));
		span_load(p, b, s->sweepgen, &s->v[s->n], u);
		if (u->why)
			return NULL;
		if (s->v[s->n].state == SPAN_IN_USE)
			s->n++;
	}
	return NULL;
}

/* ------------------------------------------------------------------ order and indices */

static struct err *page_table_add(struct spans *s, uint64_t key)
{
	struct page_table *v = s->tables;

	TRY(intr_check());
	if (!(s->ntables & (s->ntables - 1))) { /* a power of two, or 0: full */
		v = realloc(v, (s->ntables ? 2 * s->ntables : 1) * sizeof(*v));
		if (!v)
			return err_nomem();
		s->tables = v;
	}
	v[s->ntables].key = key;
	v[s->ntables].spans = calloc(PAGE_TABLE, sizeof(uint32_t));
	if (!v[s->ntables].spans)
		return err_nomem();
	s->ntables++;
	return NULL;
}

static struct err *pages_index(struct spans *s)
{
	enum { KEY_SHIFT = PAGE_TABLE_SHIFT - GO_PAGE_SHIFT };
	uint64_t pages = 0;

	for (size_t i = 0; i < s->n; i++)
		pages += s->v[i].npages;
	if (pages > LIMIT_HEAP_PAGES)
		return err_create(ERR_LIMIT, "a heap of %" PRIu64 " pages", pages);
	for (size_t i = 0; i < s->n; i++) {
		uint64_t page = s->v[i].base >> GO_PAGE_SHIFT, end = page + s->v[i].npages;

		for (; page < end; page++) {
			uint64_t key = page >> KEY_SHIFT;

			if (!s->ntables || s->tables[s->ntables - 1].key != key)
				TRY(page_table_add(s, key));
			s->tables[s->ntables - 1].spans[page & (PAGE_TABLE - 1)] = (uint32_t)i + 1;
		}
	}
	return NULL;
}

/* From scan ids back to spans: each step of ids has at most as many spans, which are searched. */
static struct err *scan_index(struct spans *s)
{
	size_t n = 0, steps = s->nscan / SCAN_STEP + 2;

	for (size_t i = 0; i < s->n; i++)
		n += s->v[i].ptrs != SPAN_NOSCAN;
	s->scan = malloc((n + 1) * sizeof(*s->scan));
	s->scan_at = malloc(steps * sizeof(*s->scan_at));
	if (!s->scan || !s->scan_at)
		return err_nomem();
	n = 0;
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].ptrs != SPAN_NOSCAN)
			s->scan[n++] = (struct scan_span){ s->v[i].first_scan, (uint32_t)i };
	s->scan[n] = (struct scan_span){ UINT32_MAX, 0 };
	for (size_t k = 0, at = 0; k < steps; k++) {
		while (at + 1 < n && s->scan[at + 1].first_scan <= k * SCAN_STEP)
			at++;
		s->scan_at[k] = (uint32_t)at;
	}
	return NULL;
}

/* Spans do not overlap; nelems of a tiny span tells Green Tea from the data alone, as its inline
 * marks take slots away. */
static void spans_compare(struct spans *s, struct unstable *u)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct span *x = &s->v[i];

		if (i && x->base < s->v[i - 1].base + span_bytes(&s->v[i - 1])) {
			*u = (struct unstable){ "two spans over one page", x->base };
			return;
		}
		if (x->spanclass == TINY_SPAN_CLASS && x->npages == 1)
			s->green_tea = x->nelems < GO_PAGE / x->elemsize;
	}
}

static struct err *spans_number(const struct proc *p, struct spans *s)
{
	enum { INLINE_MARKS_MIN = 16 }; /* gcUsesSpanInlineMarkBits() (mgcmark_greenteagc.go) */

	for (size_t i = 0; i < s->n; i++) {
		struct span *x = &s->v[i];

		x->inline_marks = s->green_tea && x->elemsize >= INLINE_MARKS_MIN &&
				  spanclass_size(x->spanclass) && heap_bits_in_span(p, x->elemsize);
		if (s->nids + x->nelems > UINT32_MAX / 2)
			return err_create(ERR_LIMIT, "more than %u slots in the heap",
					  UINT32_MAX / 2);
		x->first_id = (uint32_t)s->nids;
		s->nids += x->nelems;
		x->first_scan = (uint32_t)s->nscan;
		if (x->ptrs != SPAN_NOSCAN)
			s->nscan += x->nelems;
	}
	return NULL;
}

struct err *spans_load(struct proc *p, struct spans *s, struct unstable *u)
{
	memset(s, 0, sizeof(*s));
	s->green_tea = layout_has(&p->layout, LS_spanInlineMarkBits) &&
		       layout_size(&p->layout, LS_spanInlineMarkBits) == INLINE_MARKS;
	TRY(spans_read(p, s, u));
	if (u->why)
		return NULL;
	qsort(s->v, s->n, sizeof(*s->v), span_cmp);
	spans_compare(s, u);
	if (u->why)
		return NULL;
	TRY(spans_number(p, s));
	TRY(scan_index(s));
	return pages_index(s);
}

/* ------------------------------------------------------------------ what is alive */

/* Marks are asked for where they say what survives, or whether a slot past freeIndexForScan is
 * an object. */
static bool span_needs_marks(const struct span *x)
{
	return x->unswept || (x->ptrs != SPAN_NOSCAN && x->scan_index < x->freeindex);
}

static uint64_t inline_marks_addr(const struct span *x)
{
	return x->base + span_bytes(x) - INLINE_MARKS;
}

struct err *spans_plan_bits(struct proc *p, const struct spans *s, struct ranges *want)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct span *x = &s->v[i];
		uint64_t len = (x->nelems + 7) / 8;

		TRY(vec_push(want, ((struct range){ x->alloc_bits, len })));
		if (!span_needs_marks(x))
			continue;
		TRY(vec_push(want, ((struct range){ x->mark_bits, len })));
		if (x->inline_marks)
			TRY(vec_push(want, ((struct range){ inline_marks_addr(x), INLINE_MARKS })));
	}
	return NULL;
}

/* The span's mark bits: gcmarkBits, and Green Tea's own at the span's end. */
static struct err *span_marks(const struct proc *p, const struct span *x, uint8_t *marks)
{
	uint64_t n = (x->nelems + 7) / 8;
	uint8_t in[INLINE_MARKS];

	TRY(image_read(p->img, x->mark_bits, marks, n));
	if (!x->inline_marks)
		return NULL;
	TRY(image_read(p->img, inline_marks_addr(x), in, sizeof(in)));
	for (uint64_t i = 0; i < n && i < INLINE_MARKS - INLINE_MARKS_OFF - 1; i++)
		marks[i] |= in[INLINE_MARKS_OFF + i];
	return NULL;
}

/* What is allocated: the slots below freeindex, and those that their bit says. */
static void span_allocated(const struct span *x, const uint8_t *bits, uint8_t *out)
{
	uint64_t n = (x->nelems + 7) / 8;

	for (uint64_t i = 0; i < n; i++) {
		out[i] = bits[i];
		if (x->freeindex >= 8 * (i + 1))
			out[i] = 0xff;
		else if (x->freeindex > 8 * i)
			out[i] |= (uint8_t)((1 << (x->freeindex - 8 * i)) - 1);
	}
	if (x->nelems & 7)
		out[n - 1] &= (uint8_t)((1 << (x->nelems & 7)) - 1);
}

/* Takes out of the allocated slots those that did not survive, or are not objects yet. */
static void span_survivors(const struct span *x, const uint8_t *bits, const uint8_t *marks,
			   uint8_t *alive)
{
	if (x->unswept) {
		for (uint64_t j = 0; j < (x->nelems + 7) / 8; j++)
			alive[j] &= marks[j];
		return;
	}
	/*
	 * freeIndexForScan stands still while the collector marks, and what is allocated then is
	 * allocated black.  So what lies past it, was free at the last sweep and is not black is
	 * still being made: nobody holds it.  It stays counted by alloc_count.
	 */
	for (uint32_t j = x->scan_index; j < x->freeindex; j++)
		if (!((marks[j >> 3] | bits[j >> 3]) >> (j & 7) & 1))
			alive[j >> 3] &= (uint8_t) ~(1 << (j & 7));
}

static struct err *span_settle(const struct proc *p, struct spans *s, struct span *x, bool all,
			       struct unstable *u)
{
	uint64_t n = (x->nelems + 7) / 8, count = 0;
	const uint8_t *bits = image_ptr(p->img, x->alloc_bits, n, NULL);
	uint8_t *alive = arena_alloc(&s->arena, n), *marks;

	if (!alive)
		return err_nomem();
	x->alive = alive;
	if (!bits) { /* nothing of it is alive */
		*u = (struct unstable){ "a span without its allocation bits", x->base };
		return NULL;
	}
	span_allocated(x, bits, alive);
	for (uint64_t j = 0; j < n; j++)
		count += (uint64_t)__builtin_popcount(alive[j]);
	s->allocated += count;
	s->allocated_bytes += count * x->elemsize;
	if (count != x->alloc_count) {
		*u = (struct unstable){ "a slot being allocated", x->base };
		if (!all)
			return NULL;
	}
	if (!span_needs_marks(x))
		return NULL;
	marks = arena_alloc(&s->arena, n);
	if (!marks)
		return err_nomem();
	TRY(span_marks(p, x, marks));
	span_survivors(x, bits, marks, alive);
	return NULL;
}

struct err *spans_settle(struct proc *p, struct spans *s, bool all, struct unstable *u)
{
	for (size_t i = 0; i < s->n && (all || !u->why); i++) {
		TRY(intr_check());
		TRY(span_settle(p, s, &s->v[i], all, u));
	}
	return NULL;
}

/* ------------------------------------------------------------------ contents */

/* How long the bitmap is; *off: in the span.  0: it has none. */
static uint64_t span_bitmap(const struct proc *p, const struct span *x, uint64_t *off)
{
	uint64_t bytes = span_bytes(x), len = bytes / p->fmt.word / 8;

	if (x->ptrs != SPAN_BITS)
		return 0;
	*off = bytes - len - (x->inline_marks ? INLINE_MARKS : 0);
	return len;
}

/* Appends the runs of dead slots among the first n that are longer than what a request costs. */
static struct err *plan_dead(const struct span *x, uint32_t n, struct ranges *dead)
{
	for (uint32_t i = 0, end; i < n; i = end + 1) {
		uint64_t len;

		for (end = i; end < n && !span_alive(x, end); end++)
			;
		len = (end - i) * x->elemsize;
		if (len >= DEAD_MIN)
			TRY(vec_push(dead, ((struct range){ span_slot(x, i), len })));
	}
	return NULL;
}

struct err *spans_plan_contents(const struct proc *p, struct spans *s, struct ranges *want,
				struct ranges *dead)
{
	s->planned = 0;
	for (size_t i = 0; i < s->n; i++) {
		const struct span *x = &s->v[i];
		uint32_t last = x->nelems;
		uint64_t len;

		if (x->ptrs == SPAN_NOSCAN || (x->ptrs == SPAN_LARGE && !x->large_type))
			continue;
		while (last && !span_alive(x, last - 1))
			last--;
		if (!last)
			continue;
		len = x->ptrs == SPAN_BITS ? span_bytes(x) : last * x->elemsize;
		TRY(vec_push(want, ((struct range){ x->base, len })));
		TRY(plan_dead(x, x->ptrs == SPAN_BITS ? x->nelems : last, dead));
		s->planned += len;
	}
	return NULL;
}

uint64_t spans_live_contents(const struct proc *p, const struct spans *s, const uint8_t *live)
{
	uint64_t bytes = 0, off;

	for (size_t i = 0; i < s->n; i++) {
		const struct span *x = &s->v[i];
		uint64_t n = 0;

		if (!x->data)
			continue;
		for (uint32_t id = x->first_id; id < x->first_id + x->nelems; id++)
			n += live[id >> 3] >> (id & 7) & 1;
		bytes += n * x->elemsize + (n ? span_bitmap(p, x, &off) : 0);
	}
	return bytes;
}

struct err *spans_attach(struct proc *p, struct spans *s)
{
	uint64_t total = 0, at = 0, off = 0;

	huge_full(s->v, s->n * sizeof(*s->v));
	for (size_t i = 0; i < s->n; i++)
		total += span_bitmap(p, &s->v[i], &off);
	free(s->bitmaps); /* of an earlier call */
	s->bitmaps = malloc(total + 1);
	if (!s->bitmaps)
		return err_nomem();
	for (size_t i = 0; i < s->n; i++) {
		struct span *x = &s->v[i];
		uint64_t len = span_bitmap(p, x, &off);
		const struct packed *pack;
		const uint8_t *bits;

		x->data_len = 0;
		x->data = NULL;
		pack = x->ptrs == SPAN_NOSCAN ? NULL : image_packed(p->img, x->base, &x->data_len);
		x->packed = pack;
		if (pack)
			x->blocks = packed_block(pack, x->base);
		else if (x->ptrs != SPAN_NOSCAN)
			x->data = image_ptr(p->img, x->base, 1, &x->data_len);
		if (!len)
			continue; /* its type's map, or none */
		x->bits = NULL;   /* of an earlier call */
		bits = image_ptr(p->img, x->base + off, len, NULL);
		if (bits && x->data && x->data_len >= span_bytes(x)) {
			x->bits = memcpy(s->bitmaps + at, bits, len);
			at += len;
		}
	}
	return NULL;
}

void spans_deinit(struct spans *s)
{
	for (size_t i = 0; i < s->ntables; i++)
		free(s->tables[i].spans);
	free(s->tables);
	free(s->scan);
	free(s->scan_at);
	free(s->bitmaps);
	free(s->v);
	arena_deinit(&s->arena);
	memset(s, 0, sizeof(*s));
}

struct range spans_around(const struct spans *s, uint64_t addr, uint64_t len)
{
	enum { SMALL = 16 }; /* pages */
	const struct span *sp = spans_find(s, addr);

	return sp && sp->npages <= SMALL ? (struct range){ sp->base, span_bytes(sp) } :
					   (struct range){ addr, len };
}
