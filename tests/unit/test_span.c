/*
 * heap/runtime/span.c on a hand-made heap of each era: which slots are allocated, where their
 * pointer maps are, and what a damaged span gives.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/check.h"
#include "tests/unit/fakeheap.h"

static enum span_ptrs ptrs_of(const struct fake *f, enum fake_span_id id)
{
	const struct fake_span *s = &f->spans[id];

	if (s->spanclass & 1)
		return SPAN_NOSCAN;
	if (layout_has(&f->l, L_heapArena_bitmap))
		return SPAN_ARENA;
	if (!s->spanclass)
		return SPAN_LARGE;
	return fake_has_header(f, id) ? SPAN_HEADER : SPAN_BITS;
}

static void check_span(struct fake *f, enum fake_span_id id)
{
	const struct fake_span *s = &f->spans[id];
	const struct span *sp = fake_span_of(f, id);

	if (s->state != SPAN_IN_USE) {
		assert_null(sp);
		assert_null(spans_page(fake_spans(f), s->base));
		return;
	}
	assert_non_null(sp);
	assert_int_equal(sp->base, s->base);
	assert_int_equal(sp->npages, s->npages);
	assert_int_equal(sp->limit, s->base + s->nelems * s->elemsize);
	assert_int_equal(sp->elemsize, s->elemsize);
	assert_int_equal(sp->nelems, s->nelems);
	assert_int_equal(sp->alloc_count, s->nalloc);
	assert_int_equal(sp->ptrs, ptrs_of(f, id));
	assert_int_equal(sp->inline_marks, f->green_tea && s->spanclass > 1 &&
						   s->elemsize <= 8u * f->fmt.word * f->fmt.word);
	for (uint32_t i = 0; i < s->nelems; i++) {
		bool free = id == FAKE_NODES ? i == NODE_FREE || i >= NODE_N : i >= s->nalloc;

		assert_int_equal(span_alive(sp, i), !free);
		assert_int_equal(span_slot(sp, i), s->base + i * s->elemsize);
		/* from any address in it back to its index */
		assert_int_equal(span_index(sp, span_slot(sp, i)), i);
		assert_int_equal(span_index(sp, span_slot(sp, i) + s->elemsize - 1), i);
	}
}

static void each_era(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		uint64_t objects, bytes, ids = 0, scan = 0;
		struct spans *s;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		fake_load(&f, true);
		ok(fake_read_spans(&f));
		s = fake_spans(&f);
		assert_int_equal(s->n, FAKE_STACKS);
		assert_int_equal(s->green_tea, f.green_tea);
		for (unsigned i = 0; i < FAKE_NSPANS; i++)
			check_span(&f, i);
		for (size_t i = 0; i < s->n; i++) {
			const struct span *sp = &s->v[i];

			assert_int_equal(sp->first_id, ids);
			assert_int_equal(sp->first_scan, scan);
			ids += sp->nelems;
			if (sp->ptrs == SPAN_NOSCAN)
				continue;
			assert_ptr_equal(spans_of_scan(s, (uint32_t)scan), sp);
			scan += sp->nelems;
			assert_ptr_equal(spans_of_scan(s, (uint32_t)scan - 1), sp);
		}
		assert_int_equal(s->nids, ids);
		assert_int_equal(s->nscan, scan);
		fake_allocated(&f, &objects, &bytes);
		assert_int_equal(s->allocated, objects);
		assert_int_equal(s->allocated_bytes, bytes);
		assert_null(spans_find(s, f.spans[FAKE_NODES].base - 1));
		assert_null(spans_find(s, 0));
		fake_free(&f);
	}
}

static void holds(const struct ranges *r, uint64_t addr, uint64_t len)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].addr <= addr && r->v[i].len >= len &&
		    addr - r->v[i].addr <= r->v[i].len - len)
			return;
	fail_msg("0x%llx is not planned", (unsigned long long)addr);
}

static void misses(const struct ranges *r, uint64_t addr)
{
	for (size_t i = 0; i < r->n; i++)
		if (addr - r->v[i].addr < r->v[i].len)
			fail_msg("0x%llx is planned", (unsigned long long)addr);
}

/* What each step asks for is what the next one reads: with nothing else in the image. */
static void plans(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		_cleanup_vec_ struct ranges want = VEC_INIT, dead = VEC_INIT;
		struct unstable u = { NULL };
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		fake_load(&f, true);
		bad(spans_plan_headers(f.p, &want), ERR_FAULT);
		ok(image_need1(f.img, f.moduledata, f.noptrbss_end - f.moduledata));
		bad(spans_plan_headers(f.p, &want), ERR_FAULT);
		ok(image_need1(f.img, f.allspans, FAKE_NSPANS * f.fmt.word));
		want.n = 0;
		ok(spans_plan_headers(f.p, &want));
		assert_int_equal(want.n, FAKE_NSPANS);
		for (unsigned i = 0; i < FAKE_NSPANS; i++)
			holds(&want, f.spans[i].mspan, layout_size(&f.l, LS_mspan));
		bad(spans_load(f.p, fake_spans(&f), &u), ERR_FAULT);
		spans_deinit(fake_spans(&f));
		ok(image_need(f.img, &want, 0));
		ok(spans_load(f.p, fake_spans(&f), &u));
		assert_null(u.why);
		want.n = 0;
		ok(spans_plan_bits(f.p, fake_spans(&f), &want));
		for (unsigned i = 0; i < FAKE_STACKS; i++)
			holds(&want, f.spans[i].alloc_bits, (f.spans[i].nelems + 7) / 8);
		ok(image_need(f.img, &want, 0));
		ok(spans_settle(f.p, fake_spans(&f), false, &u));
		assert_null(u.why);
		want.n = 0;
		ok(spans_plan_contents(f.p, fake_spans(&f), &want, &dead));
		holds(&want, fake_node(&f, NODE_ROOT), NODE_N * f.spans[FAKE_NODES].elemsize);
		holds(&want, fake_object(&f, FAKE_HUGE, 0), 5 * GO_PAGE);
		misses(&want, fake_leaf(&f, LEAF_ROOT));
		misses(&want, f.stack[0]);
		fake_free(&f);
	}
}

/* Not swept yet: what survives is in the mark bits, and for Green Tea in the span itself. */
static void unswept(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		const struct span *sp;
		struct fake_span *s;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		s = &f.spans[FAKE_NODES];
		fake_set(&f, s->mspan, L_mspan_sweepgen,
			 fake_get(&f, f.mheap, L_mheap_sweepgen) - 2);
		memset(fake_at(&f, s->mark_bits, 4), 0, 4);
		*fake_at(&f, s->mark_bits, 1) = 1 << NODE_ROOT;
		if (f.green_tea)
			*fake_at(&f, s->base + GO_PAGE - INLINE_MARKS + INLINE_MARKS_OFF, 1) =
				1 << NODE_NEXT;
		fake_load(&f, true);
		ok(fake_read_spans(&f));
		sp = fake_span_of(&f, FAKE_NODES);
		assert_true(sp->unswept);
		assert_int_equal(sp->alloc_count, NODE_N - 1);
		for (uint32_t i = 0; i < s->nelems; i++)
			assert_int_equal(span_alive(sp, i),
					 i == NODE_ROOT || (f.green_tea && i == NODE_NEXT));
		fake_free(&f);
	}
}

/* Behind freeIndexForScan, and neither marked nor allocated at the last sweep: being made. */
static void being_made(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		struct fake_span *s;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		s = &f.spans[FAKE_NODES];
		fake_set(&f, s->mspan, L_mspan_freeIndexForScan, 1);
		*fake_at(&f, s->mark_bits, 1) |= 1 << 1;
		fake_load(&f, true);
		ok(fake_read_spans(&f));
		assert_true(span_alive(fake_span_of(&f, FAKE_NODES), 0));
		assert_true(span_alive(fake_span_of(&f, FAKE_NODES), 1));
		assert_int_equal(span_alive(fake_span_of(&f, FAKE_NODES), 2),
				 !layout_has(&f.l, L_mspan_freeIndexForScan));
		fake_free(&f);
	}
}

struct damage {
	const char *why; /* part of what it is called; NULL: the error's code tells */
	enum layout_id id;
	uint64_t v;
	bool slice; /* of the slice mheap.allspans: its length */
	enum err_code code;
};

/* One field of FAKE_NODES' mspan, or mheap.allspans, is wrong. */
static void damaged(void **state)
{
	static const struct damage all[] = {
		{ "makes no sense", L_mspan_nelems, 0 },
		{ "makes no sense", L_mspan_elemsize, 0 },
		{ "makes no sense", L_mspan_nelems, 60000 },
		{ "makes no sense", L_mspan_elemsize, 3 * GO_PAGE },
		{ "makes no sense", L_mspan_npages, 0 },
		{ "makes no sense", L_mspan_npages, 1ull << 60 },
		{ "makes no sense", L_mspan_startAddr, 12345 },
		{ "makes no sense", L_mspan_limit, 1 },
		{ "makes no sense", L_mspan_limit, 1ull << 62 },
		{ "makes no sense", L_mspan_freeindex, 50000 },
		{ "without its allocation bits", L_mspan_allocBits, 8 },
		{ "a slot being allocated", L_mspan_allocCount, NODE_N },
		{ "two spans over one page", L_mspan_npages, 2 },
		{ "being swept", L_mspan_sweepgen, 7 },
		{ NULL, LAYOUT_N, 1ull << 30, true, ERR_FAULT },
		{ NULL, LAYOUT_N, FAKE_NSPANS + 1, true, ERR_FAULT },
	};

	for (size_t e = 0; e < fake_neras; e++)
		for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
			const struct damage *d = &all[i];
			struct err *err;
			struct fake f;

			fake_make(&f, &fake_eras[e]);
			if (d->slice)
				fake_word(&f,
					  f.mheap + layout_off(&f.l, L_mheap_allspans) + f.fmt.word,
					  d->v);
			else
				fake_set(&f, f.spans[FAKE_NODES].mspan, d->id, d->v);
			fake_load(&f, true);
			err = fake_read_spans(&f);
			if (!err || (d->why && !strstr(err->msg, d->why)))
				fail_msg("%s %s, damage %zu: %s", f.era.version, f.era.goarch, i,
					 err ? err->msg : "no error");
			bad(err, d->why ? ERR_BADDATA : d->code);
			fake_free(&f);
		}
}

/* The image ends in the middle of an mspan. */
static void cut(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		struct unstable u = { NULL };
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		fake_load(&f, true);
		ok(image_need1(f.img, f.moduledata, f.noptrbss_end - f.moduledata));
		ok(image_need1(f.img, f.sys,
			       f.spans[FAKE_BIG].mspan + layout_size(&f.l, LS_mspan) / 2 - f.sys));
		fake_cut(&f);
		bad(spans_load(f.p, fake_spans(&f), &u), ERR_FAULT);
		fake_free(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_era),   cmocka_unit_test(plans),   cmocka_unit_test(unswept),
		cmocka_unit_test(being_made), cmocka_unit_test(damaged), cmocka_unit_test(cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
