/*
 * Structures that lead back to themselves, or out of the address space: the work and the memory
 * that they cost have a bound, and nothing is read that is not there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "heap/runtime/root.h"
#include "heap/types/type.h"
#include "tests/unit/check.h"
#include "tests/unit/fakeheap.h"

/*
 * A stack at a low address, and a map of more locals than there are words below them: the first
 * words' addresses wrap around.
 */
static void map_below_address_zero(void **state)
{
	enum { LOW = 0x10000, LEN = 2048, MORE = 64 };

	for (size_t e = 0; e < fake_neras; e++) {
		_cleanup_vec_ struct roots roots = VEC_INIT;
		uint64_t g, stack, sched, by, map, n, at;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		fake_add(&f, LOW, LEN);
		memcpy(fake_at(&f, LOW, LEN), fake_at(&f, f.stack[0], LEN), LEN);
		by = f.stack[0] - LOW;
		g = f.gs[0];
		stack = g + layout_off(&f.l, L_g_stack);
		sched = g + layout_off(&f.l, L_g_sched);
		fake_set(&f, stack, L_stack_lo, LOW);
		fake_set(&f, stack, L_stack_hi, LOW + LEN);
		fake_set(&f, sched, L_gobuf_sp, fake_get(&f, sched, L_gobuf_sp) - by);
		fake_set(&f, g, L_g_stktopsp, fake_get(&f, g, L_g_stktopsp) - by);
		n = (LOW + LEN) / f.fmt.word + MORE;
		map = fake_constant(&f, 8 + n / 8 + 8);
		fake_put(&f, map, 1, 4);
		fake_put(&f, map + 4, n, 4);
		memset(fake_at(&f, map + 8, n / 8), 0xff, n / 8);
		/* FUNCDATA_LOCALS of main.worker */
		at = f.records[FAKE_WORKER] + layout_off(&f.l, L_func_nfuncdata) + 9;
		if (layout_has(&f.l, L_moduledata_gofunc))
			fake_put(&f, at + 4, map - f.gofunc, 4);
		else
			fake_word(&f, (at + f.fmt.word - 1) / f.fmt.word * f.fmt.word + f.fmt.word,
				  map);
		fake_load(&f, true);
		ok(fake_read_stacks(&f));
		ok(stacks_walk(f.p, fake_stacks(&f), 0));
		ok(stacks_scan(f.p, fake_stacks(&f), fake_spans(&f), 0, &roots));
		fake_free(&f);
	}
}

/* A frame of no bytes that returns to itself, where return addresses are in a register. */
static void frames_that_do_not_grow(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		uint64_t sched, pc;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		if (!f.arch->min_frame) {
			fake_free(&f);
			continue;
		}
		sched = f.gs[0] + layout_off(&f.l, L_g_sched);
		pc = f.funcs[FAKE_GOPARK] + FAKE_PROLOGUE / 2;
		fake_set(&f, sched, L_gobuf_pc, pc);
		fake_set(&f, sched, L_gobuf_lr, pc);
		fake_word(&f, fake_get(&f, sched, L_gobuf_sp), pc);
		fake_load(&f, true);
		ok(fake_read_stacks(&f));
		ok(stacks_walk(f.p, fake_stacks(&f), 0));
		assert_true(fake_stacks(&f)->gs.v[0].partial);
		assert_in_range(fake_stacks(&f)->gs.v[0].nframes, 0, 1000);
		fake_free(&f);
	}
}

/* Structs of two fields each, 40 deep: 2^40 leaves. */
static void masks_that_double(void **state)
{
	enum { DEPTH = 40, ON_DEMAND = 16 };

	for (size_t e = 0; e < fake_neras; e++) {
		struct gcmasks m = { .by_type = MAP64_INIT, .arena = ARENA_INIT };
		const struct gcmask *mask;
		uint64_t type, below;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		type = f.types[FAKE_T_PNODE];
		for (int i = 0; i < DEPTH; i++) {
			uint64_t size = layout_size(&f.l, LS_structfield),
				 fields = fake_constant(&f, 2 * size);

			below = type;
			type = fake_constant(&f, layout_off(&f.l, L_structtype_fields) + 24);
			fake_set(&f, type, L_type_size, 2u * f.fmt.word);
			fake_set(&f, type, L_type_ptrdata, 2u * f.fmt.word);
			fake_set(&f, type, L_type_kind, KIND_STRUCT);
			fake_set(&f, type, L_type_tflag, ON_DEMAND);
			fake_word(&f, type + layout_off(&f.l, L_structtype_fields), fields);
			fake_word(&f, type + layout_off(&f.l, L_structtype_fields) + f.fmt.word, 2);
			for (unsigned k = 0; k < 2; k++)
				fake_set(&f, fields + k * size, L_structfield_typ, below);
		}
		fake_load(&f, true);
		ok(gcmask_find(f.p, &m, type, &mask));
		gcmasks_deinit(&m);
		fake_free(&f);
	}
}

/* Chains of specials and of blocks that lead back to themselves. */
static void rings(void **state)
{
	for (size_t e = 0; e < fake_neras; e++)
		for (int blocks = 0; blocks < 2; blocks++) {
			struct gcmasks m = { .by_type = MAP64_INIT, .arena = ARENA_INIT };
			_cleanup_vec_ struct roots roots = VEC_INIT;
			struct err *err;
			struct fake f;

			fake_make(&f, &fake_eras[e]);
			if (blocks)
				fake_set(&f, f.finblock, L_finblock_alllink, f.finblock);
			else
				fake_set(&f, f.special, L_special_next, f.special);
			fake_load(&f, true);
			ok(fake_read_modules(&f));
			ok(fake_read_spans(&f));
			err = roots_collect(f.p, fake_spans(&f), &m, &roots);
			assert_non_null(err);
			assert_int_not_equal(err->code, ERR_NOMEM);
			assert_in_range(roots.n, 0, 1000000);
			err_destroy(err);
			gcmasks_deinit(&m);
			fake_free(&f);
		}
}

/* Deltas of a pc table that add up to more than 31 bits (undefined, where they are signed). */
static void large_deltas(void **state)
{
	static const uint8_t table[] = { 0xff, 0xff, 0xff, 0xff, 0x0f, 1,    0xff, 0xff, 0xff,
					 0xff, 0x0f, 1,    0xff, 0xff, 0xff, 0xff, 0x0f, 1 };

	for (size_t e = 0; e < fake_neras; e++) {
		const struct pcinfo *pi;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		memcpy(fake_at(&f, f.pctab + 1, sizeof(table)), table, sizeof(table));
		fake_load(&f, true);
		ok(fake_read_modules(&f));
		ok(pcinfo_find(f.p, f.funcs[FAKE_WORKER] + FAKE_PC, &pi));
		fake_free(&f);
	}
}

/* A module without names: no function has one. */
static void no_names(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		const struct func *fn;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		fake_word(&f,
			  f.moduledata + layout_off(&f.l, L_moduledata_funcnametab) + f.fmt.word,
			  0);
		fake_load(&f, true);
		ok(fake_read_modules(&f));
		ok(func_named(f.p, &f.p->modules.v.v[0], "main.spin", &fn));
		assert_null(fn);
		fake_free(&f);
	}
}

/* What was attached once, and is not in the image any more. */
static void attached_again(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		fake_load(&f, true);
		ok(fake_read_spans(&f));
		image_forget(f.img);
		fake_cut(&f);
		ok(spans_attach(f.p, fake_spans(&f)));
		if (fake_span_of(&f, FAKE_NODES)->ptrs == SPAN_BITS)
			assert_null(fake_span_of(&f, FAKE_NODES)->bits);
		fake_free(&f);
	}
}

/* EXE's own module is the next one after itself. */
static void module_ring(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		struct unstable u = { NULL };
		struct err *err;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		fake_set(&f, f.moduledata, L_moduledata_next, f.moduledata);
		fake_load(&f, true);
		err = heap_capture(f.heap, &f.threads, true, &u);
		assert_true(err_is(err, ERR_LIMIT));
		err_destroy(err);
		fake_free(&f);
	}
}

/* Slots whose sizes add up to 2^64, and so to 0. */
static void slots_beyond_the_address_space(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		struct unstable u = { NULL };
		uint64_t mspan;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		if (f.fmt.word < 8 || layout_size(&f.l, L_mspan_nelems) < 4) {
			fake_free(&f);
			continue;
		}
		mspan = f.spans[FAKE_NODES].mspan;
		fake_set(&f, mspan, L_mspan_npages, 1 << 26);
		fake_set(&f, mspan, L_mspan_elemsize, 1ull << 36);
		fake_set(&f, mspan, L_mspan_nelems, 1 << 28);
		fake_set(&f, mspan, L_mspan_freeindex, 0);
		fake_load(&f, true);
		fake_fetch(&f);
		ok(spans_load(f.p, fake_spans(&f), &u));
		assert_string_equal(u.why, "a span that makes no sense");
		fake_free(&f);
	}
}

/* Scans the goroutine that is parked in main.worker. */
static struct err *scan_worker(struct fake *f, struct roots *roots)
{
	fake_load(f, true);
	ok(fake_read_stacks(f));
	ok(stacks_walk(f->p, fake_stacks(f), 0));
	assert_false(fake_stacks(f)->gs.v[0].partial);
	return stacks_scan(f->p, fake_stacks(f), fake_spans(f), 0, roots);
}

/* A GC program that says one pointer, and then nothing. */
static uint64_t short_program(struct fake *f)
{
	uint64_t at = fake_constant(f, 16);

	*fake_at(f, at + 4, 1) = 1;
	*fake_at(f, at + 5, 1) = 1;
	return at;
}

/* FUNCDATA i of main.worker. */
static void set_funcdata(struct fake *f, unsigned i, uint64_t to)
{
	uint64_t at = f->records[FAKE_WORKER] + layout_off(&f->l, L_func_nfuncdata) + 9;

	if (layout_has(&f->l, L_moduledata_gofunc))
		fake_put(f, at + 4 * i, to - f->gofunc, 4);
	else
		fake_word(f, (at + f->fmt.word - 1) / f->fmt.word * f->fmt.word + i * f->fmt.word,
			  to);
}

/* A record of an object of so many words, at the lower end of main.worker's arguments. */
static void set_object(struct fake *f, uint64_t r, uint64_t mask, uint64_t words, int64_t ptrs)
{
	fake_set(f, r, L_stackObjectRecord_size, words * f->fmt.word);
	fake_set(f, r, L_stackObjectRecord_ptrdata, (uint64_t)(ptrs * f->fmt.word));
	fake_set(f, r, L_stackObjectRecord_gcdataoff, mask - f->rodata);
	fake_set(f, r, L_stackObjectRecord_gcdata, mask);
}

/*
 * Stack objects whose masks are longer than they are: by bits, by a program; and one whose program
 * was run before for a record that has fewer of its bits.
 */
static void objects_with_long_masks(void **state)
{
	static const struct {
		uint64_t words[2];
		int64_t ptrs[2];
		enum err_code code;
	} all[] = {
		{ { 2, 2 }, { 3, 1 }, ERR_BADDATA },
		{ { 2, 2 }, { -3, -1 }, ERR_BADDATA },
		{ { 2, 2 }, { -(1 << 27), -1 }, ERR_BADDATA },
		{ { 2, 4 }, { -1, -3 }, ERR_FAULT },
	};

	for (size_t e = 0; e < fake_neras; e++)
		for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
			_cleanup_vec_ struct roots roots = VEC_INIT;
			uint64_t at, size, program;
			struct fake f;

			fake_make(&f, &fake_eras[e]);
			program = short_program(&f);
			size = layout_size(&f.l, LS_stackObjectRecord);
			at = fake_constant(&f, f.fmt.word + 2 * size);
			fake_word(&f, at, 2);
			for (unsigned k = 0; k < 2; k++)
				set_object(&f, at + f.fmt.word + k * size, program, all[i].words[k],
					   all[i].ptrs[k]);
			set_funcdata(&f, FUNCDATA_STACK_OBJECTS, at);
			bad(scan_worker(&f, &roots), all[i].code);
			fake_free(&f);
		}
}

/* Far more records than the stack has words. */
static void objects_without_number(void **state)
{
	enum { MANY = 65535, AT = 32 << 20 };

	for (size_t e = 0; e < fake_neras; e++) {
		_cleanup_vec_ struct roots roots = VEC_INIT;
		uint64_t size, program;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		size = layout_size(&f.l, LS_stackObjectRecord);
		program = short_program(&f);
		fake_add(&f, AT, f.fmt.word + MANY * size);
		fake_word(&f, AT, MANY);
		for (uint64_t i = 0; i < MANY; i++)
			set_object(&f, AT + f.fmt.word + i * size, program, 1, 1);
		set_funcdata(&f, FUNCDATA_STACK_OBJECTS, AT);
		bad(scan_worker(&f, &roots), ERR_BADDATA);
		fake_free(&f);
	}
}

/* A list of defers that leads back to itself. */
static void ring_of_defers(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		_cleanup_vec_ struct roots roots = VEC_INIT;
		uint64_t d;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		d = fake_alloc(&f, layout_size(&f.l, LS_defer), 8);
		fake_set(&f, f.gs[0], L_g__defer, d);
		fake_set(&f, d, L_defer_fn, fake_leaf(&f, LEAF_BIG));
		fake_set(&f, d, L_defer_link, d);
		bad(scan_worker(&f, &roots), ERR_BADDATA);
		assert_in_range(roots.n, 0, 100);
		fake_free(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(map_below_address_zero),
		cmocka_unit_test(frames_that_do_not_grow),
		cmocka_unit_test(masks_that_double),
		cmocka_unit_test(rings),
		cmocka_unit_test(large_deltas),
		cmocka_unit_test(no_names),
		cmocka_unit_test(attached_again),
		cmocka_unit_test(module_ring),
		cmocka_unit_test(slots_beyond_the_address_space),
		cmocka_unit_test(objects_with_long_masks),
		cmocka_unit_test(objects_without_number),
		cmocka_unit_test(ring_of_defers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
