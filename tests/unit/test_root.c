/*
 * heap/runtime/root.c on a hand-made heap of each era: variables, specials, queues, tiny blocks;
 * and chains that lead nowhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "heap/runtime/root.h"
#include "tests/unit/check.h"
#include "tests/unit/fakeheap.h"

static struct err *collect(struct fake *f, struct roots *roots)
{
	struct gcmasks masks = { .by_type = MAP64_INIT, .arena = ARENA_INIT };
	struct err *err = roots_collect(f->p, fake_spans(f), &masks, roots);

	gcmasks_deinit(&masks);
	return err;
}

/* How many roots of this kind lead to value; *ret: the last of them, NULL: none. */
static size_t count(const struct roots *r, enum root_kind kind, uint64_t value,
		    const struct root **ret)
{
	size_t n = 0;

	*ret = NULL;
	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].kind == kind && r->v[i].value == value) {
			*ret = &r->v[i];
			n++;
		}
	return n;
}

static const struct root *expect(const struct fake *f, const struct roots *r, enum root_kind kind,
				 uint64_t value, uint64_t addr)
{
	const struct root *x = NULL;

	if (count(r, kind, value, &x) != 1)
		fail_msg("%s %s: roots of kind %d to 0x%lx", f->era.version, f->era.goarch,
			 (int)kind, (unsigned long)value);
	if (addr)
		assert_int_equal(x->addr, addr);
	assert_int_equal(x->frame, UINT32_MAX);
	assert_false(x->conservative);
	return x;
}

static void each_era(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		_cleanup_vec_ struct roots roots = VEC_INIT;
		_cleanup_vec_ struct ranges objs = VEC_INIT;
		uint64_t finalizers = 0, cleanups = 0;
		const struct root *x;
		size_t n = 9;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		fake_load(&f, true);
		ok(fake_read_modules(&f));
		ok(fake_read_spans(&f));
		ok(collect(&f, &roots));
		expect(&f, &roots, ROOT_DATA, fake_node(&f, NODE_ROOT), f.var_root);
		/* inside the object */
		expect(&f, &roots, ROOT_DATA, fake_node(&f, NODE_SECOND) + 4, f.var_second);
		expect(&f, &roots, ROOT_DATA, fake_node(&f, NODE_ALLGS), f.allgs);
		expect(&f, &roots, ROOT_DATA, fake_node(&f, NODE_ALLP), f.allp);
		/* not the object itself */
		x = expect(&f, &roots, ROOT_FIN_OBJ, fake_node(&f, NODE_OF_FINALIZED),
			   fake_node(&f, NODE_FINALIZED));
		assert_int_equal(x->object, fake_node(&f, NODE_FINALIZED));
		assert_int_equal(x->type, f.types[FAKE_T_PNODE]);
		expect(&f, &roots, ROOT_FIN_FN, fake_leaf(&f, LEAF_FIN_FN), 0);
		expect(&f, &roots, ROOT_FIN_QUEUE, fake_leaf(&f, LEAF_FIN_FN), 0);
		x = expect(&f, &roots, ROOT_FIN_QUEUE, fake_node(&f, NODE_QUEUED), 0);
		assert_int_equal(x->type, f.types[FAKE_T_PNODE]);
		expect(&f, &roots, ROOT_TINY, fake_leaf(&f, LEAF_TINY), 0);
		if (layout_has(
			    &f.l,
			    L_cleanupFn_call)) { /* a function called, one to call, its argument */
			assert_int_equal(
				count(&roots, ROOT_CLEANUP_QUEUE, fake_leaf(&f, LEAF_CLEANUP), &x),
				2);
			expect(&f, &roots, ROOT_CLEANUP_QUEUE_ARG, fake_leaf(&f, LEAF_CLEANUP), 0);
			n += 3;
		} else if (layout_has(&f.l, L_cleanupQueue_all)) {
			expect(&f, &roots, ROOT_CLEANUP_QUEUE, fake_leaf(&f, LEAF_CLEANUP), 0);
			n++;
		}
		assert_int_equal(roots.n, n);

		ok(roots_finalized(f.p, fake_spans(&f), &objs));
		assert_int_equal(objs.n, 1);
		assert_int_equal(objs.v[0].addr, fake_node(&f, NODE_FINALIZED));
		assert_int_equal(objs.v[0].len, f.spans[FAKE_NODES].elemsize);
		ok(roots_queued(f.p, &finalizers, &cleanups));
		assert_int_equal(finalizers, 1);
		assert_int_equal(cleanups, layout_has(&f.l, L_cleanupQueue_all));
		fake_free(&f);
	}
}

/* The structures are fetched as they are followed: nothing of them is in the image before. */
static void fetches(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		_cleanup_vec_ struct roots roots = VEC_INIT;
		_cleanup_vec_ struct ranges ahead = VEC_INIT;
		uint64_t second, last;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		/* a chain of two more specials and two more blocks, far from the first */
		second = fake_alloc(&f, 64, 64 << 10);
		fake_set(&f, f.special, L_special_next, second);
		fake_set(&f, second, L_special_kind, 200); /* one that is no root */
		last = fake_alloc(&f, layout_size(&f.l, LS_finblock), 64 << 10);
		fake_set(&f, f.finblock, L_finblock_alllink, last);
		fake_set(&f, last, L_finblock_cnt, 1);
		fake_set(&f, last + layout_off(&f.l, L_finblock_fin), L_finalizer_fn,
			 fake_leaf(&f, LEAF_ROOT));
		fake_load(&f, true);
		ok(fake_read_modules(&f));
		ok(fake_read_spans(&f));
		image_forget(f.img);
		ok(image_need1(f.img, f.moduledata, f.noptrbss_end - f.moduledata));
		bad(collect(&f, &roots), ERR_FAULT);
		ok(roots_plan(f.p, fake_spans(&f), &ahead));
		assert_in_range(ahead.n, 2, 3);
		ok(roots_fetch(f.p, fake_spans(&f)));
		assert_non_null(image_ptr(f.img, second, 64, NULL));
		assert_non_null(image_ptr(f.img, last, layout_size(&f.l, LS_finblock), NULL));
		assert_non_null(image_ptr(f.img, f.mcache + layout_off(&f.l, L_mcache_tiny),
					  f.fmt.word, NULL));
		fake_fetch(&f);
		fake_cut(&f);
		ok(spans_attach(f.p, fake_spans(&f)));
		roots.n = 0;
		ok(collect(&f, &roots));
		expect(&f, &roots, ROOT_FIN_QUEUE, fake_leaf(&f, LEAF_ROOT), 0);
		fake_free(&f);
	}
}

/* Weak handles and cleanups, where a release has them. */
static void weak_and_cleanup(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		_cleanup_vec_ struct roots roots = VEC_INIT;
		bool queue, cleanup;
		uint64_t weak, clean, fn;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		queue = layout_has(&f.l, L_cleanupQueue_all);
		cleanup = layout_has(&f.l, L_specialCleanup_fn) ||
			  layout_has(&f.l, L_specialCleanup_cleanup);
		weak = fake_alloc(&f, 64, 8);
		clean = fake_alloc(&f, 64, 8);
		fake_set(&f, f.special, L_special_next, weak);
		fake_set(&f, weak, L_special_kind, queue ? 3 : 2);
		fake_set(&f, weak, L_specialWeakHandle_handle, fake_leaf(&f, LEAF_BIG));
		fake_set(&f, weak, L_special_next, clean);
		fake_set(&f, clean, L_special_kind, queue ? 7 : 6);
		fn = clean + (layout_has(&f.l, L_specialCleanup_cleanup) ?
				      layout_off(&f.l, L_specialCleanup_cleanup) :
				      0);
		fake_set(&f, clean, L_specialCleanup_fn, fake_leaf(&f, LEAF_HUGE));
		if (layout_has(&f.l, L_cleanupFn_call)) {
			fake_set(&f, fn, L_cleanupFn_fn, fake_leaf(&f, LEAF_HUGE));
			fake_set(&f, fn, L_cleanupFn_arg, fake_leaf(&f, LEAF_ROOT));
		}
		fake_load(&f, true);
		ok(fake_read_modules(&f));
		ok(fake_read_spans(&f));
		ok(collect(&f, &roots));
		if (layout_has(&f.l, L_specialWeakHandle_handle))
			expect(&f, &roots, ROOT_WEAK, fake_leaf(&f, LEAF_BIG), 0);
		if (cleanup)
			expect(&f, &roots, ROOT_CLEANUP, fake_leaf(&f, LEAF_HUGE), 0);
		if (layout_has(&f.l, L_cleanupFn_call)) {
			const struct root *x =
				expect(&f, &roots, ROOT_CLEANUP_ARG, fake_leaf(&f, LEAF_ROOT), 0);

			assert_int_equal(x->object, fake_leaf(&f, LEAF_HUGE));
		}
		fake_free(&f);
	}
}

/* Dead before its sweep: that would queue its finalizer, and so keep it. */
static void revived(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		_cleanup_vec_ struct roots roots = VEC_INIT;
		struct fake_span *s;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		s = &f.spans[FAKE_NODES];
		fake_set(&f, s->mspan, L_mspan_sweepgen,
			 fake_get(&f, f.mheap, L_mheap_sweepgen) - 2);
		memset(fake_at(&f, s->mark_bits, 8), 0, 8);
		fake_load(&f, true);
		ok(fake_read_modules(&f));
		ok(fake_read_spans(&f));
		assert_false(span_alive(fake_span_of(&f, FAKE_NODES), NODE_FINALIZED));
		ok(collect(&f, &roots));
		assert_true(span_alive(fake_span_of(&f, FAKE_NODES), NODE_FINALIZED));
		expect(&f, &roots, ROOT_FIN_QUEUE, fake_node(&f, NODE_FINALIZED), 0);
		fake_free(&f);
	}
}

static void damaged(void **state)
{
	enum { OFFSET, NEXT, MASK, DATA, FIN_NEXT, FIN_COUNT, CLEANUP_COUNT, ALLP, P, N };
	static const enum err_code codes[N] = {
		[OFFSET] = ERR_BADDATA, [NEXT] = ERR_FAULT,     [MASK] = ERR_FAULT,
		[DATA] = ERR_FAULT,     [FIN_NEXT] = ERR_FAULT, [CLEANUP_COUNT] = ERR_BADDATA,
		[ALLP] = ERR_FAULT,     [P] = ERR_FAULT
	};

	for (size_t e = 0; e < fake_neras; e++)
		for (int i = 0; i < N; i++) {
			_cleanup_vec_ struct roots roots = VEC_INIT;
			uint64_t md, block;
			struct err *err;
			struct fake f;

			fake_make(&f, &fake_eras[e]);
			md = f.moduledata;
			switch (i) {
			case OFFSET:
				fake_set(&f, f.special, L_special_offset, 0xffff);
				break;
			case NEXT:
				fake_set(&f, f.special, L_special_next, 0x10);
				break;
			case MASK:
				fake_set(&f, md + layout_off(&f.l, L_moduledata_gcdatamask),
					 L_bitvector_bytedata, 0x10);
				break;
			case DATA: /* its end is in no memory */
				fake_set(&f, md, L_moduledata_ebss, 0x10000000);
				break;
			case FIN_NEXT:
				fake_set(&f, f.finblock, L_finblock_alllink, 0x10);
				break;
			case FIN_COUNT: /* more than a block has: they are looked at, no more */
				fake_set(&f, f.finblock, L_finblock_cnt, UINT32_MAX);
				break;
			case CLEANUP_COUNT:
				if (!layout_has(&f.l, L_cleanupQueue_all))
					break;
				block = fake_get(&f, f.cleanups, L_cleanupQueue_all);
				fake_set(&f, block, L_cleanupBlock_n, UINT32_MAX);
				break;
			case ALLP:
				fake_word(&f, f.allp, 0x10);
				break;
			default:
				fake_word(&f, fake_node(&f, NODE_ALLP), 0x10);
			}
			fake_load(&f, true);
			ok(fake_read_modules(&f));
			ok(fake_read_spans(&f));
			err = collect(&f, &roots);
			if (!codes[i] ||
			    (i == CLEANUP_COUNT && !layout_has(&f.l, L_cleanupQueue_all)))
				ok(err);
			else
				bad(err, codes[i]);
			fake_free(&f);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_era),         cmocka_unit_test(fetches),
		cmocka_unit_test(weak_and_cleanup), cmocka_unit_test(revived),
		cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
