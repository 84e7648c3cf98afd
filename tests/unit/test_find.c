/*
 * heap/runtime/find.c, find_module.c and find_queue.c on a stripped executable of each era: the
 * runtime's variables by their shapes, and an error where there is none, or more than one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "heap/runtime/find.h"
#include "tests/unit/check.h"
#include "tests/unit/fakeheap.h"

/* What find_mheap() and find_vars() come behind, and they. */
static struct err *find_all(struct fake *f)
{
	TRY(fake_read_modules(f));
	TRY(find_mheap(f->p));
	TRY(fake_read_spans(f));
	return find_vars(f->p, fake_spans(f));
}

static void each_era(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		uint64_t moduledata = 0;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		fake_load(&f, false);
		assert_true(f.p->stripped);
		ok(find_moduledata(f.p, &moduledata));
		assert_int_equal(moduledata, f.moduledata);
		assert_int_equal(f.p->var.firstmoduledata, f.moduledata);
		ok(find_all(&f));
		assert_int_equal(f.p->var.mheap_, f.mheap);
		assert_int_equal(f.p->var.allgptr, f.allgs);
		assert_int_equal(f.p->var.allglen, f.allgs + f.fmt.word);
		assert_int_equal(f.p->var.allp, f.allp);
		assert_int_equal(f.p->var.allm, f.allm);
		assert_int_equal(f.p->var.allfin, f.allfin);
		assert_int_equal(f.p->var.gcCleanups,
				 layout_has(&f.l, L_cleanupQueue_all) ? f.cleanups : 0);
		assert_int_equal(f.p->var.itabTable, f.itab_table);
		fake_free(&f);
	}
}

/* What find_vars() reads is what find_plan_vars() plans, but for the far ends of chains. */
static void plans(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		_cleanup_vec_ struct ranges want = VEC_INIT;
		uint64_t before;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		fake_load(&f, false);
		ok(fake_read_modules(&f));
		ok(find_mheap(f.p));
		ok(fake_read_spans(&f));
		image_forget(f.img);
		ok(image_need1(f.img, f.moduledata, f.noptrbss_end - f.moduledata));
		for (int round = 0; round < 3; round++) {
			want.n = 0;
			ok(find_plan_vars(f.p, fake_spans(&f), &want));
			assert_true(want.n);
			ok(image_try(f.img, &want));
		}
		before = image_stats(f.img).fetches;
		ok(find_vars(f.p, fake_spans(&f)));
		assert_int_equal(f.p->var.allgptr, f.allgs);
		assert_int_equal(f.p->var.itabTable, f.itab_table);
		assert_in_range(image_stats(f.img).fetches - before, 0, 8);
		fake_free(&f);
	}
}

/* Queues without entries, and without blocks, are no error: there is nothing to find. */
static void empty_queues(void **state)
{
	for (size_t e = 0; e < fake_neras; e++)
		for (int blocks = 0; blocks < 2; blocks++) {
			struct fake f;

			fake_make(&f, &fake_eras[e]);
			fake_set(&f, f.finblock, L_finblock_cnt, 0);
			if (!blocks)
				fake_word(&f, f.allfin, 0);
			fake_set(&f, f.cleanups, L_cleanupQueue_all, 0);
			fake_load(&f, false);
			ok(find_all(&f));
			assert_int_equal(f.p->var.allfin, 0);
			assert_int_equal(f.p->var.gcCleanups, 0);
			assert_int_equal(f.p->var.allgptr, f.allgs);
			fake_free(&f);
		}
}

/* Blocks that lead to themselves are no queue. */
static void rings(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		fake_set(&f, f.finblock, L_finblock_alllink, f.finblock);
		fake_load(&f, false);
		ok(find_all(&f));
		assert_int_equal(f.p->var.allfin, 0);
		fake_free(&f);
	}
}

/* Two that fit, or none. */
static void not_found(void **state)
{
	enum { TWO_MHEAPS, NO_MHEAP, NO_GS, NO_PS, NO_MS, SPANS_NOWHERE, N };

	for (size_t e = 0; e < fake_neras; e++)
		for (int i = 0; i < N; i++) {
			uint64_t spans;
			struct err *err;
			struct fake f;

			fake_make(&f, &fake_eras[e]);
			spans = f.mheap + layout_off(&f.l, L_mheap_allspans);
			switch (i) {
			case TWO_MHEAPS: { /* the same words once more, in .bss */
				uint64_t gen = layout_off(&f.l, L_mheap_sweepgen),
					 all = layout_off(&f.l, L_mheap_allspans),
					 lo = gen < all ? gen : all, copy = f.bss + 0x800;
				uint64_t hi = (gen < all ? all : gen) + 32;

				assert_in_range(hi - lo, 1, 0x700);
				memcpy(fake_at(&f, copy, hi - lo),
				       fake_at(&f, f.mheap + lo, hi - lo), hi - lo);
				break;
			}
			case NO_MHEAP:
				fake_word(&f, spans + f.fmt.word, 3); /* too few spans for a heap */
				break;
			case NO_GS:
				fake_set(&f, f.gs[0], L_g_goid, 0);
				break;
			case NO_PS:
				fake_set(&f, f.ps[0], L_p_id, 7);
				break;
			case NO_MS:
				fake_set(&f, f.g0, L_g_m, 0);
				break;
			default:
				fake_word(&f, f.allspans, 0x10);
			}
			fake_load(&f, false);
			err = find_all(&f);
			if (!err_is(err, ERR_NODEBUG))
				fail_msg("%s %s, case %d: %s", f.era.version, f.era.goarch, i,
					 err ? err->msg : "found");
			err_destroy(err);
			fake_free(&f);
		}
}

/* Two moduledata, and a pclntab whose tables are not where they should be. */
static void no_moduledata(void **state)
{
	for (size_t e = 0; e < fake_neras; e++)
		for (int i = 0; i < 2; i++) {
			struct fake f;

			fake_make(&f, &fake_eras[e]);
			if (i)
				fake_set(&f, f.pclntab, L_pcHeader_pctabOffset, 8);
			else
				memcpy(fake_at(&f, f.moduledata + 0x800,
					       layout_size(&f.l, LS_moduledata)),
				       fake_at(&f, f.moduledata, layout_size(&f.l, LS_moduledata)),
				       layout_size(&f.l, LS_moduledata));
			bad(fake_open(&f, false), ERR_VERSION);
			fake_free(&f);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_era),     cmocka_unit_test(plans),
		cmocka_unit_test(empty_queues), cmocka_unit_test(rings),
		cmocka_unit_test(not_found),    cmocka_unit_test(no_moduledata),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
