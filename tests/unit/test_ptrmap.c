/*
 * heap/runtime/ptrmap.c, gcmask.c and arena_bits.c on a hand-made heap of each era: which words of
 * an object are pointers, by bitmaps, headers, masks and GC programs; and damaged ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "heap/types/type.h"
#include "tests/unit/check.h"
#include "tests/unit/fakeheap.h"

/* The pointer words of a slot are exactly these; none, and *unread: the map cannot be read. */
static void check_words(struct fake *f, enum fake_span_id id, uint32_t slot, const uint64_t *want,
			size_t n, bool unread)
{
	const struct span *sp = fake_span_of(f, id);
	struct gcmasks masks = { .by_type = MAP64_INIT, .arena = ARENA_INIT };
	struct ptr_iter it;
	uint64_t word;
	bool is_bad = false;
	size_t got = 0;

	if (ptr_iter_init(&it, f->p, &masks, sp, slot, &is_bad))
		for (; ptr_iter_next(&it, &word); got++)
			if (got >= n || word != want[got])
				fail_msg("%s %s, span %d, slot %u: word %lu is a pointer",
					 f->era.version, f->era.goarch, (int)id, slot,
					 (unsigned long)word);
	if (got != n || is_bad != unread)
		fail_msg("%s %s, span %d, slot %u: %zu of %zu pointers%s", f->era.version,
			 f->era.goarch, (int)id, slot, got, n, is_bad ? ", unread" : "");
	gcmasks_deinit(&masks);
}

/*
 * Of the large object: the first and the third word of each element are pointers.  A mask is
 * repeated to the slot's end, where there is room for a part of one more element.
 */
enum { HUGE_ELEMENTS = 40, HUGE_POINTERS = 2 * HUGE_ELEMENTS + 2 };

static size_t huge_words(const struct fake *f, uint64_t words[HUGE_POINTERS])
{
	for (uint64_t i = 0; i < HUGE_POINTERS; i++)
		words[i] = i / 2 * (FAKE_BIG_SIZE / f->fmt.word) + i % 2 * 2;
	return layout_has(&f->l, L_mspan_largeType) ? HUGE_POINTERS : 2 * HUGE_ELEMENTS;
}

static void each_era(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		uint64_t two[] = { 0, 2 }, slice[] = { 0, 1 }, big[2], huge[HUGE_POINTERS], bits,
			 header;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		fake_load(&f, true);
		ok(fake_read_spans(&f));
		for (uint32_t i = 0; i < NODE_N; i++)
			check_words(&f, FAKE_NODES, i, i == NODE_ALLGS ? slice : two, 2, false);
		check_words(&f, FAKE_NODES, NODE_N, NULL, 0, false);
		check_words(&f, FAKE_LEAVES, 0, NULL, 0, false);
		header = fake_has_header(&f, FAKE_BIG) ? 8 / f.fmt.word : 0;
		big[0] = header;
		big[1] = header + 2;
		check_words(&f, FAKE_BIG, 0, big, 2, false);
		check_words(&f, FAKE_HUGE, 0, huge, huge_words(&f, huge), false);
		check_words(&f, FAKE_GS, 0, NULL, 0, false);
		check_words(&f, FAKE_PS, 0, NULL, 0, false);

		assert_true(ptr_first_bits(f.p, fake_span_of(&f, FAKE_NODES), NODE_ROOT, &bits));
		assert_int_equal(bits, FAKE_POINTERS);
		assert_true(ptr_first_bits(f.p, fake_span_of(&f, FAKE_NODES), NODE_ALLGS, &bits));
		assert_int_equal(bits, 3);
		fake_free(&f);
	}
}

/* Slots of all sizes up to 64 words, so that a slot's bits lie across the bitmap's words. */
static void bits_across_words(void **state)
{
	for (size_t e = 0; e < fake_neras; e++)
		for (unsigned words = 2; words <= 64; words += 2) {
			uint64_t nelems, bitmap, at, want[3];
			struct fake_span *s;
			struct fake f;

			fake_make(&f, &fake_eras[e]);
			s = &f.spans[FAKE_BIG];
			if (!fake_has_header(&f, FAKE_BIG) || words > 8u * f.fmt.word) {
				fake_free(&f);
				break;
			}
			nelems = (GO_PAGE - GO_PAGE / f.fmt.word / 8 - INLINE_MARKS) /
				 (words * f.fmt.word);
			bitmap = s->base + GO_PAGE - GO_PAGE / f.fmt.word / 8 -
				 (f.green_tea && words * f.fmt.word >= 16 ? INLINE_MARKS : 0);
			memset(fake_at(&f, s->base, GO_PAGE), 0, GO_PAGE);
			fake_set(&f, s->mspan, L_mspan_elemsize, words * f.fmt.word);
			fake_set(&f, s->mspan, L_mspan_nelems, nelems);
			at = fake_alloc(&f, nelems / 8 + 8, 8);
			fake_set(&f, s->mspan, L_mspan_allocBits, at);
			*fake_at(&f, at, 1) = 1;
			fake_set(&f, s->mspan, L_mspan_limit,
				 s->base + nelems * words * f.fmt.word);
			for (uint64_t i = 0; i < nelems; i++)
				for (uint64_t k = 0; k < 3; k++) {
					uint64_t bit = i * words + (k == 0 ? 0 :
								    k == 1 ? words / 2 :
									     words - 1);
					unsigned per = 8u * f.fmt.word;
					uint8_t *b;

					at = bitmap + bit / per * f.fmt.word;
					b = fake_at(&f, at, f.fmt.word);
					fake_word(&f, at, bytes_word(f.fmt, b) | 1ull << bit % per);
				}
			fake_load(&f, true);
			ok(fake_read_spans(&f));
			want[0] = 0;
			want[1] = words / 2;
			want[2] = words - 1;
			for (uint32_t i = 0; i < nelems; i++)
				if (words == 2)
					check_words(&f, FAKE_BIG, i, (uint64_t[]){ 0, 1 }, 2,
						    false);
				else
					check_words(&f, FAKE_BIG, i, want, 3, false);
			fake_free(&f);
		}
}

/* 1.20: behind a word of the bitmap that says so there are no more pointers, whatever its bits. */
static void no_more_pointers(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		uint64_t at, bitmap, last;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		if (!layout_has(&f.l, L_heapArena_noMorePtrs) ||
		    !layout_has(&f.l, L_heapArena_bitmap)) {
			fake_free(&f);
			continue;
		}
		/* the last words of the main.big look like pointers, too */
		at = (f.spans[FAKE_BIG].base - f.spans[0].base) / f.fmt.word;
		last = (at + 1024 / f.fmt.word - 1) / (8u * f.fmt.word);
		bitmap = f.heap_arena + layout_off(&f.l, L_heapArena_bitmap);
		fake_word(&f, bitmap + last * f.fmt.word, 1);
		fake_load(&f, true);
		ok(fake_read_spans(&f));
		check_words(&f, FAKE_BIG, 0,
			    (uint64_t[]){ 0, 2, 1024 / f.fmt.word - 8u * f.fmt.word }, 3, false);
		image_forget(f.img);
		at /= 8u * f.fmt.word;
		*fake_at(&f, f.heap_arena + layout_off(&f.l, L_heapArena_noMorePtrs) + at / 8, 1) =
			(uint8_t)(1 << (at & 7));
		ok(fake_read_spans(&f));
		check_words(&f, FAKE_BIG, 0, (uint64_t[]){ 0, 2 }, 2, false);
		fake_free(&f);
	}
}

/* The heap and the arenas were not captured: not read, rather than without pointers. */
static void not_captured(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		struct unstable u = { NULL };
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		fake_load(&f, true);
		ok(image_need1(f.img, f.moduledata, f.noptrbss_end - f.moduledata));
		ok(image_need1(f.img, f.sys, f.sys_at - f.sys));
		fake_cut(&f);
		ok(spans_load(f.p, fake_spans(&f), &u));
		ok(spans_settle(f.p, fake_spans(&f), false, &u));
		assert_null(u.why);
		ok(spans_attach(f.p, fake_spans(&f)));
		check_words(&f, FAKE_NODES, NODE_ROOT, NULL, 0, true);
		check_words(&f, FAKE_BIG, 0, NULL, 0, true);
		check_words(&f, FAKE_HUGE, 0, NULL, 0, true);
		check_words(&f, FAKE_LEAVES, 0, NULL, 0, false);
		fake_free(&f);
	}
}

/* ------------------------------------------------------------------ masks */

static void masks(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		struct gcmasks m = { .by_type = MAP64_INIT, .arena = ARENA_INIT };
		uint64_t words[HUGE_POINTERS];
		const struct gcmask *g, *again;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		fake_load(&f, true);
		ok(gcmask_find(f.p, &m, f.types[FAKE_T_BIG], &g));
		assert_int_equal(g->words, FAKE_BIG_SIZE / f.fmt.word);
		assert_int_equal(g->ptr_words, 3);
		assert_int_equal(g->bits[0], FAKE_POINTERS);
		ok(gcmask_find(f.p, &m, f.types[FAKE_T_BIG], &again));
		assert_ptr_equal(g, again);
		ok(gcmask_find(f.p, &m, f.types[FAKE_T_UINTPTR], &g));
		assert_int_equal(g->ptr_words, 0);
		ok(gcmask_find(f.p, &m, f.types[FAKE_T_HUGE], &g));
		huge_words(&f, words);
		assert_int_equal(g->ptr_words, words[2 * HUGE_ELEMENTS - 1] + 1);
		for (uint64_t w = 0, i = 0; w < g->ptr_words; w++) {
			bool set = g->bits[w / 8] >> (w & 7) & 1;

			assert_int_equal(set, w == words[i]);
			i += set;
		}
		/* no type there: no mask, and no error */
		ok(gcmask_find(f.p, &m, 0x10, &g));
		assert_null(g->bits);
		gcmasks_deinit(&m);
		fake_free(&f);
	}
}

static void damaged_masks(void **state)
{
	static const struct {
		enum layout_id id;
		uint64_t v;
	} all[] = {
		{ L_type_size, 0 },    { L_type_size, 1ull << 62 }, { L_type_ptrdata, 1ull << 30 },
		{ L_type_ptrdata, 3 }, { L_type_gcdata, 0x10 },
	};

	for (size_t e = 0; e < fake_neras; e++)
		for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
			struct gcmasks m = { .by_type = MAP64_INIT, .arena = ARENA_INIT };
			const struct gcmask *g;
			struct fake f;

			fake_make(&f, &fake_eras[e]);
			if (all[i].v >> 32 && f.fmt.word == 4) {
				fake_free(&f);
				continue;
			}
			fake_set(&f, f.types[FAKE_T_BIG], all[i].id, all[i].v);
			fake_load(&f, true);
			ok(gcmask_find(f.p, &m, f.types[FAKE_T_BIG], &g));
			assert_null(g->bits);
			/* neither of an array of them */
			if (layout_has(&f.l, L_specialCleanup_fn)) {
				ok(gcmask_find(f.p, &m, f.types[FAKE_T_HUGE], &g));
				assert_null(g->bits);
			}
			ok(fake_read_spans(&f));
			if (fake_has_header(&f, FAKE_BIG))
				check_words(&f, FAKE_BIG, 0, NULL, 0, true);
			gcmasks_deinit(&m);
			fake_free(&f);
		}
}

/* Headers that were not written yet are no damage. */
static void headers(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		if (!fake_has_header(&f, FAKE_BIG)) {
			fake_free(&f);
			continue;
		}
		fake_word(&f, f.spans[FAKE_BIG].base, 0);
		fake_word(&f, f.spans[FAKE_BIG].base + 1024, f.types[FAKE_T_UINTPTR]);
		fake_word(&f, f.spans[FAKE_BIG].base + 2048, 0x10);
		fake_set(&f, f.spans[FAKE_HUGE].mspan, L_mspan_largeType, 0);
		fake_load(&f, true);
		ok(fake_read_spans(&f));
		check_words(&f, FAKE_BIG, 0, NULL, 0, false);
		check_words(&f, FAKE_BIG, 1, NULL, 0, false);
		check_words(&f, FAKE_BIG, 2, NULL, 0, true);
		check_words(&f, FAKE_HUGE, 0, NULL, 0, false);
		fake_free(&f);
	}
}

/* 1.24: arrays and structs whose masks are made from their elements, and do not make sense. */
static void damaged_on_demand(void **state)
{
	for (size_t e = 0; e < fake_neras; e++)
		for (int i = 0; i < 5; i++) {
			struct gcmasks m = { .by_type = MAP64_INIT, .arena = ARENA_INIT };
			uint64_t fields;
			const struct gcmask *g;
			struct fake f;
			uint64_t huge;

			fake_make(&f, &fake_eras[e]);
			huge = f.types[FAKE_T_HUGE];
			fields = huge + layout_off(&f.l, L_structtype_fields);
			if (!layout_has(&f.l, L_specialCleanup_fn) &&
			    !layout_has(&f.l, L_specialCleanup_cleanup)) {
				fake_free(&f);
				break;
			}
			switch (i) {
			case 0: /* of itself */
				fake_set(&f, huge, L_arraytype_elem, huge);
				fake_set(&f, huge, L_arraytype_len, 1);
				break;
			case 1:
				fake_set(&f, huge, L_arraytype_len, 1u << 30);
				break;
			case 2:
				fake_set(&f, huge, L_arraytype_elem, 0x10);
				break;
			case 3: /* neither array nor struct */
				fake_set(&f, huge, L_type_kind, KIND_POINTER);
				break;
			default: /* more fields than there are */
				fake_set(&f, huge, L_type_kind, KIND_STRUCT);
				fake_word(&f, fields, f.rodata);
				fake_word(&f, fields + f.fmt.word, 60000);
			}
			fake_load(&f, true);
			ok(gcmask_find(f.p, &m, huge, &g));
			assert_null(g->bits);
			gcmasks_deinit(&m);
			fake_free(&f);
		}
}

/* ------------------------------------------------------------------ GC programs */

struct program {
	uint8_t code[16];
	size_t len;
	uint64_t nbits;
	const char *want; /* NULL: damaged */
};

static void programs(void **state)
{
	static const struct program all[] = {
		{ { 0 }, 1, 4, "0000" },
		{ { 3, 5, 0 }, 3, 3, "101" },
		{ { 3, 5, 0 }, 3, 6, "101000" },
		{ { 9, 0xff, 1, 0 }, 4, 9, "111111111" },
		{ { 3, 5, 0x83, 2, 0 }, 5, 9, "101101101" },
		{ { 3, 5, 0x80, 3, 2, 0 }, 6, 9, "101101101" },
		{ { 3, 6, 0x82, 1, 0 }, 5, 5, "01111" },
		{ { 3, 5, 0x83, 100, 0 }, 5, 7, "1011011" }, /* more than is asked for */
		{ { 3, 5, 0x84, 1, 0 }, 5, 9, NULL },        /* repeats more than there is */
		{ { 0x81, 1, 0 }, 3, 9, NULL },
		{ { 0x80, 0, 1, 0 }, 4, 9, NULL },
		{ { 3, 5, 0x83 }, 3, 9, NULL },
		{ { 40, 5 }, 2, 40, NULL },
		{ { 1, 1 }, 2, 9, NULL },
		{ { 3, 5, 0x80, 0xff, 0xff, 0xff }, 6, 9, NULL },
	};

	for (size_t e = 0; e < fake_neras; e++)
		for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
			const struct program *x = &all[i];
			uint64_t at = 0x20000000;
			uint8_t bits[16] = { 0 };
			struct fake f;
			bool fine;

			fake_make(&f, &fake_eras[e]);
			fake_add(&f, at, 4 + x->len); /* nothing lies behind it */
			memcpy(fake_at(&f, at + 4, x->len), x->code, x->len);
			fake_load(&f, true);
			fake_fetch(&f);
			fine = gcprog_mask(f.p, at, bits, x->nbits);
			if (fine != (x->want != NULL))
				fail_msg("program %zu: %d", i, fine);
			for (uint64_t k = 0; fine && k < x->nbits; k++)
				if ((bits[k / 8] >> (k & 7) & 1) != (x->want[k] == '1'))
					fail_msg("program %zu, bit %lu", i, (unsigned long)k);
			fake_free(&f);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_era),
		cmocka_unit_test(bits_across_words),
		cmocka_unit_test(no_more_pointers),
		cmocka_unit_test(not_captured),
		cmocka_unit_test(masks),
		cmocka_unit_test(damaged_masks),
		cmocka_unit_test(headers),
		cmocka_unit_test(damaged_on_demand),
		cmocka_unit_test(programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
