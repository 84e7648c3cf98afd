/* Memory that is packed without loss, alone and as an image has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "target/pack.h"
#include "target/target.h"

/* A word of a kind that heaps have: zero, small, a pointer near by, one far away, anything. */
static uint64_t some_word(uint64_t base)
{
	uint64_t r = (uint64_t)rand() << 33 ^ (uint64_t)rand() << 11 ^ (uint64_t)rand();

	switch (rand() % 7) {
	case 0:
	case 1:
		return 0;
	case 2:
		return r & UINT32_MAX;
	case 3:
		return (base & ~(uint64_t)7) + (r & 0xfffffff8);
	case 4:
		return base + (r & 0xffffffff);
	case 5:
		return (1ull << 35) * (uint64_t)(rand() % 3) + (uint64_t)(rand() % 2) * UINT32_MAX +
		       (uint64_t)(rand() % 2);
	default:
		return r;
	}
}

static uint8_t *some_memory(uint64_t base, uint64_t len)
{
	uint8_t *m = malloc(len + 8);

	for (uint64_t i = 0; i < len; i += 8) {
		uint64_t v = some_word(base);

		/* long runs of zeros, too */
		v = i >> 9 & 1 ? v : 0;
		memcpy(m + i, &v, 8);
	}
	return m;
}

static const uint64_t bases[] = { 0xc000000000,      0xc000000008,         0xc0000003f9,
				  0x7ffffffe00,      (23ull << 35) - 4096, 0x1000,
				  0xfffffffff0000000 };

static void gives_back_what_it_was_given(void **state)
{
	enum { LEN = 40000 };

	for (size_t b = 0; b < sizeof(bases) / sizeof(*bases); b++) {
		uint64_t base = bases[b], len = LEN - (uint64_t)(rand() % 9);
		uint8_t *m = some_memory(base, len), *out = malloc(len);
		struct pack *pack;
		struct packed *p;

		assert_null(pack_create(len, 1, &pack));
		p = pack_piece(pack, base, len);
		/* in parts that end where blocks do */
		for (uint64_t at = 0, n; at < len; at += n) {
			n = (uint64_t)(rand() % 5) * PACK_BLOCK + PACK_BLOCK;
			n -= (base + at + n) & (PACK_BLOCK - 1);
			n = n < len - at ? n : len - at;
			pack_fill(pack, p, base + at, m + at, n);
		}
		packed_read(p, base, out, len);
		assert_memory_equal(out, m, len);
		for (int i = 0; i < 20000; i++) {
			uint64_t at = (uint64_t)rand() % len, n = (uint64_t)rand() % 40;

			n = n < len - at ? n : len - at;
			packed_read(p, base + at, out, n);
			assert_memory_equal(out, m + at, n);
		}
		pack_destroy(pack);
		free(m);
		free(out);
	}
}

/* ------------------------------------------------------------------ in an image */

enum { SIZE = 12 << 20, PAGE = 4096 };
#define BASE 0xc000000000

struct fake {
	struct mem_source src;
	uint8_t *memory;
	bool bad[SIZE / PAGE];
	struct image *img;
	uint64_t largest; /* bytes asked for at a time */
};

static struct err *fake_readv(struct mem_source *src, struct mem_range *r, size_t n)
{
	struct fake *f = (struct fake *)src;
	uint64_t bytes = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t at = r[i].addr - BASE;

		for (r[i].got = 0; r[i].got < r[i].len; r[i].got++, at++) {
			if (at >= SIZE || f->bad[at / PAGE])
				break;
			r[i].dst[r[i].got] = f->memory[at];
		}
		bytes += r[i].len;
		image_settle(f->img, bytes); /* as a source's progress does */
	}
	f->largest = bytes > f->largest ? bytes : f->largest;
	return NULL;
}

static void check(const struct fake *f, uint64_t at, uint64_t len)
{
	uint8_t *got = malloc(len);
	bool bad = false;
	struct err *err = image_read(f->img, BASE + at, got, len);

	for (uint64_t a = at / PAGE; a <= (at + len - 1) / PAGE; a++)
		bad |= f->bad[a];
	assert_int_equal(bad, err_is(err, ERR_FAULT));
	if (!bad)
		assert_memory_equal(got, f->memory + at, len);
	err_destroy(err);
	free(got);
}

static void an_image_packs_what_is_much(void **state)
{
	struct fake f = { .src.readv = fake_readv };
	struct ranges r = VEC_INIT;
	uint64_t left, v, want;

	srand(7);
	f.memory = some_memory(BASE, SIZE);
	for (int i = 0; i < 40; i++)
		f.bad[rand() % (SIZE / PAGE)] = true;
	assert_null(image_create((struct bytes_fmt){ 8, false }, &f.img));
	image_set_source(f.img, &f.src);
	/* something is there before, as it is; then most of the rest, in pieces of many sizes */
	assert_null(image_need1(f.img, BASE + 100, 3000));
	assert_null(image_need1(f.img, BASE + (9 << 20) - 50, 100));
	for (uint64_t at = 0; at < SIZE - 200000;) {
		uint64_t len =
			rand() % 4 ? (uint64_t)(rand() % 900) * 8 : (uint64_t)(rand() % 200000);

		assert_null(vec_push(&r, ((struct range){ BASE + at, len })));
		at += len + (uint64_t)(rand() % 3) * 264;
	}
	image_set_packing(f.img, true);
	assert_null(image_need(f.img, &r, 64));
	image_set_packing(f.img, false);
	assert_non_null(image_packed(f.img, r.v[r.n - 1].addr, &left));
	assert_true(f.largest <= 9 << 20);
	for (size_t i = 0; i < r.n; i++)
		check(&f, r.v[i].addr - BASE, r.v[i].len);
	for (int i = 0; i < 20000; i++) {
		const struct range *x = &r.v[(size_t)rand() % r.n];
		uint64_t at = x->addr - BASE + (uint64_t)rand() % x->len;

		if (at - (x->addr - BASE) + 8 > x->len)
			continue;
		if (f.bad[at / PAGE] || f.bad[(at + 7) / PAGE]) {
			assert_false(image_try_uint(f.img, BASE + at, 8, &v));
			assert_null(image_ptr(f.img, BASE + at, 8, NULL));
			continue;
		}
		memcpy(&want, f.memory + at, 8);
		assert_true(image_try_uint(f.img, BASE + at, 8, &v));
		assert_int_equal(v, want);
		assert_memory_equal(image_ptr(f.img, BASE + at, 8, NULL), &want, 8);
	}
	/* Lengths that nothing has, one of which half as much again is 32. */
	assert_non_null(image_packed(f.img, r.v[r.n - 1].addr, &left));
	assert_null(image_ptr(f.img, r.v[r.n - 1].addr, 12297829382473034432u, NULL));
	assert_null(image_ptr(f.img, r.v[r.n - 1].addr, UINT64_MAX, NULL));
	assert_null(image_ptr(f.img, r.v[r.n - 1].addr, 1ull << 46, NULL));
	/* What overlaps packed pieces later. */
	assert_null(image_need1(f.img, BASE + (1 << 20), 3 << 20));
	check(&f, 1 << 20, 3 << 20);
	vec_deinit(&r);
	image_destroy(f.img);
	free(f.memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_back_what_it_was_given),
		cmocka_unit_test(an_image_packs_what_is_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
