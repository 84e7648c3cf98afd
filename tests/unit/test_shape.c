/*
 * heap/capture/shape.c and moved.c on a hand-made heap of each era: a sound one fits its layout,
 * and a field that is not what the layout says is called by its name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "heap/capture/shape.h"
#include "heap/heap.h"
#include "tests/unit/check.h"
#include "tests/unit/fakeheap.h"

enum shape { MODULES, MHEAP, SPANS, BITS, MACHINES, GOROUTINES, PS, CACHES, SPECIALS, SHAPES };

static struct err *look(struct fake *f, enum shape i)
{
	switch (i) {
	case MODULES:
		return shape_modules(f->p);
	case MHEAP:
		return shape_mheap(f->p);
	case SPANS:
		return shape_spans(f->p);
	case BITS:
		return shape_bits(f->p, fake_spans(f));
	case MACHINES:
		return shape_machines(f->p, fake_stacks(f));
	case GOROUTINES:
		return shape_goroutines(f->p, fake_spans(f), fake_stacks(f));
	case PS:
		return shape_ps(f->p, fake_spans(f));
	case CACHES:
		return shape_caches(f->p);
	default:
		return shape_specials(f->p, fake_spans(f));
	}
}

static void sound(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		_cleanup_vec_ struct ranges want = VEC_INIT;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		fake_load(&f, true);
		ok(fake_read_stacks(&f));
		for (unsigned i = 0; i < SHAPES; i++)
			ok(look(&f, i));
		assert_false(shape_unborn(f.p, 1));
		ok(shape_plan_caches(f.p, &want));
		assert_int_equal(want.n, 1);
		assert_int_equal(want.v[0].addr, f.mcache);
		assert_int_equal(want.v[0].len, layout_size(&f.l, LS_mcache));
		fake_free(&f);
	}
}

/* Nothing in the image is nothing to complain of; only what lists must have is an error. */
static void nothing_captured(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		fake_load(&f, true);
		fake_cut(&f);
		assert_false(shape_unborn(f.p, 1));
		ok(shape_modules(f.p));
		bad(shape_mheap(f.p), ERR_VERSION);
		bad(shape_spans(f.p), ERR_FAULT);
		ok(shape_bits(f.p, fake_spans(&f)));
		ok(shape_machines(f.p, fake_stacks(&f)));
		ok(shape_goroutines(f.p, fake_spans(&f), fake_stacks(&f)));
		bad(shape_ps(f.p, fake_spans(&f)), ERR_FAULT);
		bad(shape_caches(f.p), ERR_FAULT);
		ok(shape_specials(f.p, fake_spans(&f)));
		fake_free(&f);
	}
}

/* What a field is set to, in each struct of its kind, and what must be said. */
struct change {
	enum shape shape;
	enum layout_id id;
	uint64_t v;
	const char *field;
};

static const struct change changes[] = {
	{ MODULES, L_moduledata_etext, 0x100, "moduledata.text" },
	{ MODULES, L_moduledata_text, 0x480000, "moduledata.text" },
	{ MODULES, L_moduledata_enoptrdata, 0x10, "moduledata.noptrdata" },
	{ MODULES, L_moduledata_data, 0x400000, "moduledata.data" },
	{ MODULES, L_moduledata_ebss, 0x7ffffff0, "moduledata.bss" },
	{ MODULES, L_moduledata_types, 0x10, "moduledata.types" },
	{ MHEAP, L_mheap_sweepgen, 7, "mheap.sweepgen" },
	{ SPANS, L_mspan_state, 3, "mspan.state" },
	{ SPANS, L_mspan_startAddr, 0x123, "mspan.startAddr" },
	{ SPANS, L_mspan_npages, 0, "mspan.npages" },
	{ SPANS, L_mspan_limit, 0x10, "mspan.limit" },
	{ SPANS, L_mspan_spanclass, 255, "mspan.spanclass" },
	{ SPANS, L_mspan_elemsize, 12, "mspan.elemsize" },
	{ SPANS, L_mspan_nelems, 0, "mspan.nelems" },
	{ SPANS, L_mspan_freeindex, 60000, "mspan.freeindex" },
	{ SPANS, L_mspan_allocCount, 60000, "mspan.allocCount" },
	{ SPANS, L_mspan_allocBits, 8, "mspan.allocBits" },
	{ SPANS, L_mspan_gcmarkBits, 8, "mspan.gcmarkBits" },
	{ SPANS, L_mspan_sweepgen, 1000, "mspan.sweepgen" },
	{ MACHINES, L_m_id, 1ull << 40, "m.id" },
	{ GOROUTINES, L_g_atomicstatus, 77, "g.atomicstatus" },
	{ GOROUTINES, L_g_goid, 0, "g.goid" },
	{ GOROUTINES, L_g_stktopsp, 1, "g.stktopsp" },
	{ GOROUTINES, L_g_startpc, 1, "g.startpc" },
	{ GOROUTINES, L_g_gopc, 1, "g.gopc" },
	{ PS, L_p_id, 1, "p.id" },
	{ PS, L_p_status, 5, "p.status" },
	{ PS, L_p_mcache, 1, "p.mcache" },
	{ SPECIALS, L_special_offset, 0xffff, "special.offset" },
	{ SPECIALS, L_special_kind, 0, "special.kind" },
};

static void set_all(struct fake *f, const struct change *c)
{
	switch (c->shape) {
	case MODULES:
		fake_set(f, f->moduledata, c->id, c->v);
		break;
	case MHEAP:
		fake_set(f, f->mheap, c->id, c->v);
		break;
	case SPANS:
		for (unsigned i = 0; i < FAKE_NSPANS; i++)
			fake_set(f, f->spans[i].mspan, c->id, c->v);
		break;
	case MACHINES:
		fake_set(f, f->m0, c->id, c->v);
		break;
	case GOROUTINES:
		fake_set(f, f->gs[0], c->id, c->v);
		fake_set(f, f->gs[1], c->id, c->v);
		break;
	case PS:
		fake_set(f, f->ps[0], c->id, c->v);
		break;
	default:
		fake_set(f, f->special, c->id, c->v);
	}
}

static void by_name(void **state)
{
	for (size_t e = 0; e < fake_neras; e++)
		for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
			const struct change *c = &changes[i];
			struct err *err;
			struct fake f;

			fake_make(&f, &fake_eras[e]);
			fake_load(&f, true);
			if (c->shape != MODULES && c->shape != MHEAP && c->shape != SPANS)
				ok(fake_read_stacks(&f));
			image_forget(f.img);
			set_all(&f, c);
			fake_fetch(&f);
			if (c->shape == GOROUTINES)
				ok(stacks_load(f.p, fake_stacks(&f)));
			err = look(&f, c->shape);
			if (!err || !strstr(err->msg, c->field))
				fail_msg("%s %s, %s: %s", f.era.version, f.era.goarch, c->field,
					 err ? err->msg : "no error");
			bad(err, ERR_VERSION);
			fake_free(&f);
		}
}

/* Stopped anywhere, one in five may be half-made. */
static void one_may_be_wrong(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		fake_set(&f, f.spans[FAKE_BIG].mspan, L_mspan_elemsize, 12);
		fake_load(&f, true);
		fake_fetch(&f);
		ok(shape_spans(f.p));
		fake_free(&f);
	}
}

/* Before the runtime's schedinit() nothing can be looked at. */
static void unborn(void **state)
{
	for (size_t e = 0; e < fake_neras; e++)
		for (int symbols = 0; symbols < 2; symbols++) {
			const struct analyse_options o = { .max_depth = 10 };
			uint64_t mask;
			struct profile p;
			struct report r = { 0 };
			struct fake f;

			fake_make(&f, &fake_eras[e]);
			mask = f.moduledata + layout_off(&f.l, L_moduledata_gcdatamask);
			fake_set(&f, mask, L_bitvector_bytedata, 0);
			fake_word(&f, f.mheap + layout_off(&f.l, L_mheap_allspans), 0);
			fake_load(&f, symbols);
			ok(profile_init(&p));
			bad(fake_analyse(&f, &o, &p, &r), ERR_UNSUPPORTED);
			assert_true(shape_unborn(f.p, 1));
			assert_int_equal(shape_unborn(f.p, 2), symbols);
			profile_deinit(&p);
			fake_free(&f);
		}
}

/* Each allocation and each sweep changes a span's head. */
static void moved(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		struct unstable u = { NULL };
		uint64_t n;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		fake_load(&f, true);
		ok(heap_capture(f.heap, &f.threads, false, &u));
		assert_null(u.why);
		ok(heap_moved(f.heap, &f.src, &n));
		assert_int_equal(n, 0);
		fake_set(&f, f.spans[FAKE_NODES].mspan, L_mspan_freeindex, 4);
		fake_set(&f, f.spans[FAKE_BIG].mspan, L_mspan_sweepgen, 10);
		ok(heap_moved(f.heap, &f.src, &n));
		assert_int_equal(n, 2);
		/* one more span */
		fake_word(&f, f.mheap + layout_off(&f.l, L_mheap_allspans) + f.fmt.word,
			  FAKE_NSPANS + 1);
		ok(heap_moved(f.heap, &f.src, &n));
		assert_int_equal(n, 3);
		fake_free(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sound),   cmocka_unit_test(nothing_captured),
		cmocka_unit_test(by_name), cmocka_unit_test(one_may_be_wrong),
		cmocka_unit_test(unborn),  cmocka_unit_test(moved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
