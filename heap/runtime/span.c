#include "heap/runtime/span.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/huge.h"
#include "base/limits.h"

struct err *spans_plan_headers(struct proc *p, struct ranges *want)
{
	uint64_t ptr, len;
	struct err *err;

	err = proc_slice(p, p->var.mheap_ + layout_off(&p->layout, L_mheap_allspans), &ptr, &len);
	if (err)
		return err_wrapf(err, "reading mheap_.allspans");
	if (!len || len > LIMIT_SPANS)
		return err_create(ERR_BADDATA, "mheap_.allspans has %" PRIu64 " entries", len);
	for (uint64_t i = 0; i < len; i++) {
		uint64_t s;

		err = image_read_word(p->img, ptr + i * p->fmt.word, &s);
		if (!err)
			err = vec_push(want,
				       ((struct range){ s, layout_size(&p->layout, LS_mspan) }));
		if (err)
			return err_wrapf(err, "reading mheap_.allspans");
	}
	return NULL;
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

static struct err *span_load(const struct proc *p, const uint8_t *b, struct spans *all,
			     struct span *s, struct unstable *u)
{
	const struct layout *l = &p->layout;
	uint64_t sweepgen, word = p->fmt.word;

	memset(s, 0, sizeof(*s));
	s->state = (uint8_t)proc_peek(p, b, L_mspan_state);
	if (s->state != SPAN_IN_USE)
		return NULL;
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
	/*
	 * arena.go: setUserArenaChunkToFault.  Freed and without memory, the span is kept for as
	 * long as something points there; it counts as free.
	 */
	if (s->arena_chunk && s->spanclass & 1) {
		s->state = 0;
		return NULL;
	}
	if (!s->npages || s->npages > LIMIT_READ / GO_PAGE || s->base & (GO_PAGE - 1) ||
	    s->base + s->npages * GO_PAGE < s->base || s->limit < s->base ||
	    s->limit > s->base + s->npages * GO_PAGE || !s->elemsize ||
	    s->elemsize > s->npages * GO_PAGE || !s->nelems ||
	    s->elemsize * s->nelems > s->npages * GO_PAGE || s->freeindex > s->nelems) {
		*u = (struct unstable){ "a span that makes no sense", s->base };
		return NULL;
	}
	s->divmul = span_divmul(s->elemsize, s->nelems);
	/* Some releases count the bitmap at the span's end in. */
	if (s->nelems > 1 && s->limit > s->base + s->elemsize * s->nelems)
		s->limit = s->base + s->elemsize * s->nelems;
	if (s->limit > s->base && span_index(s, s->limit - 1) >= s->nelems) {
		*u = (struct unstable){ "a span whose limit makes no sense", s->base };
		return NULL;
	}
	sweepgen = proc_peek(p, b, L_mspan_sweepgen);
	switch ((int32_t)(uint32_t)(sweepgen - all->sweepgen)) {
	case -2:
	case 1:
		s->unswept = true;
		break;
	case -1:
		*u = (struct unstable){ "a span being swept", s->base };
		break;
	}
	if (s->spanclass & 1)
		s->ptrs = SPAN_NOSCAN;
	else if (layout_has(l, L_heapArena_bitmap))
		s->ptrs = SPAN_ARENA;
	else if (!(s->spanclass >> 1))
		s->ptrs = SPAN_LARGE;
	else
		s->ptrs = s->elemsize <= 8 * word * word ? SPAN_BITS : SPAN_HEADER;
	if (s->ptrs == SPAN_LARGE && layout_has(l, L_mspan_largeType))
		s->large_type = proc_peek(p, b, L_mspan_largeType);
	return NULL;
}

static struct err *pages_index(struct spans *s)
{
	struct page_table *t = NULL;

	for (size_t i = 0; i < s->n; i++) {
		uint64_t page = s->v[i].base >> GO_PAGE_SHIFT, end = page + s->v[i].npages;

		for (; page < end; page++) {
			if (!t || t->key != page >> 13) {
				struct page_table *v;

				v = realloc(s->tables, (s->ntables + 1) * sizeof(*v));
				if (!v)
					return err_nomem();
				s->tables = v;
				t = &v[s->ntables];
				t->key = page >> 13;
				t->spans = calloc(8192, sizeof(uint32_t));
				if (!t->spans)
					return err_nomem();
				s->ntables++;
			}
			t->spans[page & 8191] = (uint32_t)i + 1;
		}
	}
	return NULL;
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

struct err *spans_load(struct proc *p, struct spans *s, struct unstable *u)
{
	uint64_t ptr, len, addr, i;
	struct err *err;
	size_t cap = 1024;

	memset(s, 0, sizeof(*s));
	if ((err = proc_slice(p, p->var.mheap_ + layout_off(&p->layout, L_mheap_allspans), &ptr,
			      &len)) ||
	    (err = proc_get(p, p->var.mheap_, L_mheap_sweepgen, &s->sweepgen)))
		return err;
	s->green_tea = layout_has(&p->layout, LS_spanInlineMarkBits) &&
		       layout_size(&p->layout, LS_spanInlineMarkBits) == INLINE_MARKS;
	err = spans_grow(s, cap);
	if (err)
		return err;
	for (i = 0; i < len; i++) {
		const uint8_t *b;

		err = image_read_word(p->img, ptr + i * p->fmt.word, &addr);
		if (err)
			return err;
		b = image_ptr(p->img, addr, layout_size(&p->layout, LS_mspan), NULL);
		if (!b)
			return err_fault(addr,
					 "the span table's entry %" PRIu64 " at 0x%" PRIx64
					 " cannot be read",
					 i, addr);
		if (s->n == cap) {
			err = spans_grow(s, cap *= 2);
			if (err)
				return err;
		}
		err = span_load(p, b, s, &s->v[s->n], u);
		if (err || u->why)
			return err;
		if (s->v[s->n].state == SPAN_IN_USE)
			s->n++;
	}
	qsort(s->v, s->n, sizeof(*s->v), span_cmp);
	for (i = 0; i < s->n; i++) {
		struct span *x = &s->v[i];

		if (i && x->base < s->v[i - 1].base + s->v[i - 1].npages * GO_PAGE) {
			*u = (struct unstable){ "two spans over one page", x->base };
			return NULL;
		}
		/* nelems of a 16-byte noscan span tells Green Tea from the data alone. */
		if (x->elemsize == 16 && x->spanclass & 1 && x->npages == 1)
			s->green_tea = x->nelems < GO_PAGE / 16;
	}
	for (i = 0; i < s->n; i++) {
		struct span *x = &s->v[i];

		x->inline_marks = s->green_tea && x->elemsize >= 16 && x->spanclass >> 1 &&
				  x->elemsize <= 8u * p->fmt.word * p->fmt.word;
		if (s->nids + x->nelems > UINT32_MAX / 2)
			return err_create(ERR_LIMIT, "more than %u slots in the heap",
					  UINT32_MAX / 2);
		x->first_id = (uint32_t)s->nids;
		s->nids += x->nelems;
		x->first_scan = (uint32_t)s->nscan;
		if (x->ptrs != SPAN_NOSCAN)
			s->nscan += x->nelems;
	}
	err = scan_index(s);
	return err ? err : pages_index(s);
}

/* Marks are asked for where they say what survives, or whether a slot past freeIndexForScan is
 * an object. */
static bool span_needs_marks(const struct span *x)
{
	return x->unswept || (x->ptrs != SPAN_NOSCAN && x->scan_index < x->freeindex);
}

struct err *spans_plan_bits(struct proc *p, const struct spans *s, struct ranges *want)
{
	struct err *err = NULL;

	for (size_t i = 0; i < s->n && !err; i++) {
		const struct span *x = &s->v[i];
		uint64_t len = (x->nelems + 7) / 8;

		err = vec_push(want, ((struct range){ x->alloc_bits, len }));
		if (!err && span_needs_marks(x))
			err = vec_push(want, ((struct range){ x->mark_bits, len }));
		if (!err && span_needs_marks(x) && x->inline_marks)
			err = vec_push(
				want, ((struct range){ x->base + x->npages * GO_PAGE - INLINE_MARKS,
						       INLINE_MARKS }));
	}
	return err;
}

/* One byte of the span's mark bits: gcmarkBits, and Green Tea's own at the page's end. */
static struct err *span_marks(const struct proc *p, const struct span *x, uint8_t *marks)
{
	uint64_t n = (x->nelems + 7) / 8;
	uint8_t in[INLINE_MARKS];
	struct err *err = image_read(p->img, x->mark_bits, marks, n);

	if (err || !x->inline_marks)
		return err;
	err = image_read(p->img, x->base + x->npages * GO_PAGE - INLINE_MARKS, in, sizeof(in));
	for (uint64_t i = 0; !err && i < n && i < INLINE_MARKS - INLINE_MARKS_OFF - 1; i++)
		marks[i] |= in[INLINE_MARKS_OFF + i];
	return err;
}

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

struct err *spans_settle(struct proc *p, struct spans *s, bool all, struct unstable *u)
{
	for (size_t i = 0; i < s->n; i++) {
		struct span *x = &s->v[i];
		uint64_t n = (x->nelems + 7) / 8, count = 0;
		const uint8_t *bits = image_ptr(p->img, x->alloc_bits, n, NULL);
		uint8_t *alive = arena_alloc(&s->arena, n), *marks = NULL;
		struct err *err;

		if (!alive)
			return err_nomem();
		if (!bits) {
			*u = (struct unstable){ "a span without its allocation bits", x->base };
			if (!all)
				return NULL;
			x->alive = alive; /* nothing of it */
			continue;
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
		if (span_needs_marks(x)) {
			marks = arena_alloc(&s->arena, n);
			if (!marks)
				return err_nomem();
			err = span_marks(p, x, marks);
			if (err)
				return err;
		}
		if (x->unswept) {
			for (uint64_t j = 0; j < n; j++)
				alive[j] &= marks[j];
		} else if (marks) {
			/*
			 * freeIndexForScan stands still while the collector marks, and what is
			 * allocated then is allocated black.  So what lies past it, was free at the
			 * last sweep and is not black is still being made: nobody holds it.  It
			 * stays counted by alloc_count.
			 */
			for (uint32_t j = x->scan_index; j < x->freeindex; j++)
				if (!((marks[j >> 3] | bits[j >> 3]) >> (j & 7) & 1))
					alive[j >> 3] &= (uint8_t) ~(1 << (j & 7));
		}
		x->alive = alive;
	}
	return NULL;
}

struct err *spans_plan_contents(const struct proc *p, const struct spans *s, struct ranges *want)
{
	struct err *err = NULL;

	for (size_t i = 0; i < s->n && !err; i++) {
		const struct span *x = &s->v[i];
		uint64_t used;
		uint32_t last;

		if (x->ptrs == SPAN_NOSCAN || (x->ptrs == SPAN_LARGE && !x->large_type))
			continue;
		for (last = x->nelems; last && !span_alive(x, last - 1);)
			last--;
		if (!last)
			continue;
		used = x->ptrs == SPAN_BITS ? x->npages * GO_PAGE : last * x->elemsize;
		err = vec_push(want, ((struct range){ x->base, used }));
	}
	return err;
}

/* How long the bitmap is; *off: in the span.  0: it has none. */
static uint64_t span_bitmap(const struct proc *p, const struct span *x, uint64_t *off)
{
	uint64_t bytes = x->npages * GO_PAGE, len = bytes / p->fmt.word / 8;

	if (x->ptrs != SPAN_BITS)
		return 0;
	*off = bytes - len - (x->inline_marks ? INLINE_MARKS : 0);
	return len;
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
		const uint8_t *bits;

		x->data_len = 0;
		x->data =
			x->ptrs == SPAN_NOSCAN ? NULL : image_ptr(p->img, x->base, 1, &x->data_len);
		bits = len ? image_ptr(p->img, x->base + off, len, NULL) : NULL;
		if (bits && x->data && x->data_len >= x->npages * GO_PAGE) {
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

	return sp && sp->npages <= SMALL ? (struct range){ sp->base, sp->npages * GO_PAGE } :
					   (struct range){ addr, len };
}
