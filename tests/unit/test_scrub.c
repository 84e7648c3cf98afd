/*
 * heap/acquire/scrub.c on a hand-made heap of each era: numbers go, pointers and the runtime's own
 * structures stay, and what is left gives the same profile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "heap/acquire/scrub.h"
#include "heap/heap.h"
#include "tests/unit/check.h"
#include "tests/unit/fakeheap.h"

static void capture(struct fake *f)
{
	struct unstable u = { NULL };

	fake_load(f, true);
	ok(heap_capture(f->heap, &f->threads, false, &u));
	assert_null(u.why);
}

/* Scrubs all captured memory of the pieces that are not EXE's code and constants, in windows of
 * `step` bytes (0: whole pieces). */
static void scrub_all(struct fake *f, struct scrub *s, uint64_t step)
{
	for (size_t i = 0; i < f->pieces.n; i++) {
		const struct fake_piece *p = &f->pieces.v[i];
		uint64_t n = step ? step : p->len;

		if (p->addr == f->text || p->addr == f->rodata)
			continue;
		for (uint64_t off = 0; off < p->len; off += n)
			ok(scrub_words(s, p->addr + off, p->data + off,
				       p->len - off < n ? p->len - off : n));
	}
}

static uint64_t word_at(struct fake *f, uint64_t addr)
{
	return bytes_word(f->fmt, fake_at(f, addr, f->fmt.word));
}

static void each_era(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		uint64_t word, g, root, moduledata[64], number = 0;
		struct scrub *s = NULL;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		word = f.fmt.word;
		fake_word(&f, f.var_root + word, 0x1234);                    /* a variable */
		fake_word(&f, f.guessed - word, 0x5678);                     /* on a stack */
		fake_word(&f, fake_node(&f, NODE_LOCAL) + word, f.funcs[0]); /* a closure's */
		f.threads.v[0].regs[f.machine->pc == 0] = 0x9abc;
		capture(&f);
		ok(scrub_create(fake_captured(&f), &s));
		memcpy(moduledata, fake_at(&f, f.moduledata, sizeof(moduledata)),
		       sizeof(moduledata));
		scrub_all(&f, s, 0);
		root = fake_node(&f, NODE_ROOT);
		assert_int_equal(word_at(&f, root), fake_node(&f, NODE_NEXT));
		assert_int_equal(word_at(&f, root + word), 0); /* the number between two pointers */
		assert_int_equal(word_at(&f, root + 2 * word), fake_leaf(&f, LEAF_ROOT));
		assert_int_equal(word_at(&f, fake_node(&f, NODE_LOCAL) + word), f.funcs[0]);
		/* a free slot: nothing; garbage is an object like others */
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(word_at(&f, fake_node(&f, NODE_FREE) + i * word), 0);
		assert_int_equal(word_at(&f, fake_node(&f, NODE_GARBAGE)),
				 fake_node(&f, NODE_LATE));
		assert_int_equal(word_at(&f, fake_node(&f, NODE_GARBAGE) + word), 0);
		/* variables by their mask; the runtime's own whole */
		assert_int_equal(word_at(&f, f.var_root), root);
		assert_int_equal(word_at(&f, f.var_root + word), 0);
		assert_memory_equal(moduledata, fake_at(&f, f.moduledata, sizeof(moduledata)),
				    layout_size(&f.l, LS_moduledata) < sizeof(moduledata) ?
					    layout_size(&f.l, LS_moduledata) :
					    sizeof(moduledata));
		assert_int_equal(fake_get(&f, f.mheap, L_mheap_sweepgen), 8);
		/* stacks: pointers, return addresses */
		assert_int_equal(word_at(&f, f.local), fake_node(&f, NODE_LOCAL));
		assert_int_equal(word_at(&f, f.local + word), f.local_object);
		assert_int_equal(word_at(&f, f.guessed), fake_node(&f, NODE_GUESSED));
		assert_int_equal(word_at(&f, f.guessed - word), 0);
		/* gs and ps are whole */
		g = f.gs[0];
		assert_int_equal(fake_get(&f, g, L_g_goid), 1);
		assert_int_equal(fake_get(&f, g, L_g_atomicstatus), G_WAITING);
		assert_int_equal(fake_get(&f, f.ps[0], L_p_status), 1);
		if (fake_has_header(&f, FAKE_BIG))
			assert_int_equal(word_at(&f, f.spans[FAKE_BIG].base), f.types[FAKE_T_BIG]);
		scrub_threads(s, &f.threads);
		for (int r = 0; r < f.machine->nregs; r++)
			number += f.threads.v[0].regs[r] == 0x9abc;
		assert_int_equal(number, 0);
		assert_int_equal(f.threads.v[0].regs[f.machine->sp], f.stack[1] + 1024);
		assert_int_equal(f.threads.v[0].regs[f.machine->pc], f.funcs[FAKE_SPIN] + FAKE_PC);
		scrub_destroy(&s);
		fake_free(&f);
	}
}

static void analyse(struct fake *f, struct profile *p, struct report *r)
{
	const struct analyse_options o = { .max_depth = 100 };

	memset(r, 0, sizeof(*r));
	ok(profile_init(p));
	ok(fake_analyse(f, &o, p, r));
}

/* The profile of what was scrubbed is the profile of what was there, whatever the windows. */
static void same_profile(void **state)
{
	static const uint64_t steps[] = { 0, 4096, 64, 8 };

	for (size_t e = 0; e < fake_neras; e++)
		for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
			struct profile p, q;
			struct report r, t;
			struct scrub *s = NULL;
			struct fake f, g;

			fake_make(&f, &fake_eras[e]);
			capture(&f);
			ok(scrub_create(fake_captured(&f), &s));
			scrub_all(&f, s, steps[i]);
			scrub_threads(s, &f.threads);
			scrub_destroy(&s);
			image_forget(f.img);
			analyse(&f, &p, &r);
			fake_make(&g, &fake_eras[e]);
			fake_load(&g, true);
			analyse(&g, &q, &t);
			assert_int_equal(p.nodes.n, q.nodes.n);
			assert_memory_equal(p.nodes.v, q.nodes.v, p.nodes.n * sizeof(*p.nodes.v));
			assert_int_equal(r.live_bytes, t.live_bytes);
			profile_deinit(&p);
			profile_deinit(&q);
			report_deinit(&r);
			report_deinit(&t);
			fake_free(&f);
			fake_free(&g);
		}
}

/* Which variables are the runtime's is known by symbols only. */
static void without_symbols(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		struct unstable u = { NULL };
		struct scrub *s = NULL;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		fake_load(&f, false);
		ok(heap_capture(f.heap, &f.threads, false, &u));
		bad(scrub_create(fake_captured(&f), &s), ERR_UNSUPPORTED);
		assert_null(s);
		fake_free(&f);
	}
}

/* A span whose contents or map were not captured keeps no numbers. */
static void unreadable_map(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		struct scrub *s = NULL;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		if (!fake_has_header(&f, FAKE_BIG)) {
			fake_free(&f);
			continue;
		}
		fake_word(&f, f.spans[FAKE_BIG].base, 0x12345678);
		capture(&f);
		ok(scrub_create(fake_captured(&f), &s));
		scrub_all(&f, s, 0);
		for (uint64_t off = 8; off < 1024; off += f.fmt.word)
			assert_int_equal(word_at(&f, f.spans[FAKE_BIG].base + off), 0);
		scrub_destroy(&s);
		fake_free(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_era),
		cmocka_unit_test(same_profile),
		cmocka_unit_test(without_symbols),
		cmocka_unit_test(unreadable_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
