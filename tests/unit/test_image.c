/* The sparse image: what is fetched, swallowed, lent, and what is a hole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "target/target.h"

/* Memory of 1 MB at BASE, some pages unreadable; counts what is asked of it. */
enum { BASE = 0x10000, SIZE = 1 << 20, PAGE = 4096 };

struct fake {
	struct mem_source src;
	bool bad[SIZE / PAGE];
	uint64_t asked, calls;
};

static uint8_t byte_at(uint64_t addr)
{
	return (uint8_t)(addr ^ addr >> 8 ^ addr >> 16);
}

static struct err *fake_readv(struct mem_source *src, struct mem_range *r, size_t n)
{
	struct fake *f = (struct fake *)src;

	f->calls++;
	for (size_t i = 0; i < n; i++) {
		f->asked += r[i].len;
		for (r[i].got = 0; r[i].got < r[i].len; r[i].got++) {
			uint64_t a = r[i].addr + r[i].got;

			if (a < BASE || a >= BASE + SIZE || f->bad[(a - BASE) / PAGE])
				break;
			r[i].dst[r[i].got] = byte_at(a);
		}
	}
	return NULL;
}

/* Nothing can be read, and what is asked is counted. */
static struct err *no_readv(struct mem_source *src, struct mem_range *r, size_t n)
{
	((struct fake *)src)->calls += n;
	return NULL;
}

static struct image *make(struct fake *f)
{
	struct image *img;

	memset(f, 0, sizeof(*f));
	f->src.readv = fake_readv;
	assert_null(image_create((struct bytes_fmt){ 8, false }, &img));
	image_set_source(img, &f->src);
	return img;
}

static void need(struct image *img, uint64_t addr, uint64_t len)
{
	assert_null(image_need1(img, addr, len));
}

static void check(struct image *img, uint64_t addr, uint64_t len)
{
	uint8_t *b = malloc(len);

	assert_null(image_read(img, addr, b, len));
	for (uint64_t i = 0; i < len; i++)
		assert_int_equal(b[i], byte_at(addr + i));
	free(b);
}

static void check_fault(struct image *img, uint64_t addr, uint64_t len, uint64_t at)
{
	uint8_t *b = malloc(len);
	struct err *err = image_read(img, addr, b, len);

	assert_true(err_is(err, ERR_FAULT));
	assert_int_equal(err->addr, at);
	err_destroy(err);
	free(b);
}

static void reads_what_was_fetched(void **state)
{
	struct fake f;
	struct image *img = make(&f);

	need(img, BASE + 100, 50);
	check(img, BASE + 100, 50);
	check_fault(img, BASE + 99, 2, BASE + 99);
	check_fault(img, BASE + 149, 2, BASE + 150);
	assert_int_equal(image_stats(img).fetched, 50);
	need(img, BASE + 110, 10); /* all there */
	assert_int_equal(f.calls, 1);
	image_destroy(img);
}

static void swallows_what_it_overlaps(void **state)
{
	struct fake f;
	struct image *img = make(&f);

	need(img, BASE + 100, 50);
	need(img, BASE + 200, 50);
	need(img, BASE + 120, 200);
	assert_int_equal(f.asked, 50 + 50 + 50 + 70); /* only what was missing */
	assert_non_null(image_ptr(img, BASE + 100, 220, NULL));
	check(img, BASE + 100, 220);
	image_destroy(img);
}

static void bridges_gaps(void **state)
{
	struct fake f;
	struct image *img = make(&f);
	struct range v[] = { { BASE + 300, 10 }, { BASE, 10 }, { BASE + 5000, 10 } };
	struct ranges r = { v, 3, 3 };

	assert_null(image_need(img, &r, 512));
	assert_non_null(image_ptr(img, BASE, 310, NULL));
	check_fault(img, BASE + 310, 1, BASE + 310);
	check(img, BASE + 5000, 10);
	image_destroy(img);
}

static void holes_are_counted_once(void **state)
{
	struct fake f;
	struct image *img = make(&f);
	uint64_t calls;

	f.bad[3] = f.bad[5] = true;
	need(img, BASE, 8 * PAGE);
	check(img, BASE, 3 * PAGE);
	check(img, BASE + 4 * PAGE, PAGE);
	check(img, BASE + 6 * PAGE, 2 * PAGE);
	check_fault(img, BASE + 2 * PAGE, 3 * PAGE, BASE + 3 * PAGE);
	assert_int_equal(image_stats(img).hole_bytes, 2 * PAGE);
	assert_null(image_ptr(img, BASE + 3 * PAGE, 1, NULL));
	calls = f.calls;
	need(img, BASE + 3 * PAGE, 10);
	assert_int_equal(f.calls, calls); /* a hole is asked for once */
	image_destroy(img);
}

static void bridged_holes_do_not_count(void **state)
{
	struct fake f;
	struct image *img = make(&f);
	struct range v[] = { { BASE, PAGE }, { BASE + 2 * PAGE, PAGE } };
	struct ranges r = { v, 2, 2 };

	f.bad[1] = true;
	assert_null(image_need(img, &r, PAGE));
	check(img, BASE, PAGE);
	check(img, BASE + 2 * PAGE, PAGE);
	assert_int_equal(image_stats(img).holes, 0);
	image_destroy(img);
}

static void a_look_may_miss(void **state)
{
	struct fake f;
	struct image *img = make(&f);
	struct range v[] = { { BASE + SIZE - PAGE, 4 * PAGE } };
	struct ranges r = { v, 1, 1 };

	assert_null(image_try(img, &r));
	check(img, BASE + SIZE - PAGE, PAGE);
	assert_int_equal(image_stats(img).hole_bytes, 0);
	image_destroy(img);
}

static void lent_segments_stay(void **state)
{
	static uint8_t rodata[PAGE];
	struct fake f;
	struct image *img = make(&f);
	struct err *err;

	for (unsigned i = 0; i < PAGE; i++)
		rodata[i] = byte_at(BASE + PAGE + i);
	assert_null(image_lend(img, BASE + PAGE, rodata, PAGE));
	err = image_lend(img, BASE + PAGE + 10, rodata, 10);
	assert_true(err_is(err, ERR_BADDATA));
	err_destroy(err);
	need(img, BASE, 3 * PAGE);
	assert_int_equal(f.asked, 2 * PAGE);
	assert_ptr_equal(image_ptr(img, BASE + PAGE + 5, 10, NULL), rodata + 5);
	check(img, BASE, 3 * PAGE);
	image_forget(img);
	check(img, BASE + PAGE, PAGE);
	check_fault(img, BASE, 1, BASE);
	need(img, BASE, 10);
	check(img, BASE, 10);
	image_destroy(img);
}

static void random_ranges(void **state)
{
	struct fake f;
	struct image *img = make(&f);
	bool *asked = calloc(SIZE, 1);

	srand(1);
	for (unsigned i = 0; i < SIZE / PAGE; i++)
		f.bad[i] = rand() % 5 == 0;
	for (int round = 0; round < 60; round++) {
		struct ranges r = VEC_INIT;

		for (int i = 0; i < 20; i++) {
			struct range x = { (uint64_t)rand() % (SIZE - 20000),
					   (uint64_t)rand() % 20000 };

			memset(asked + x.addr, 1, x.len);
			x.addr += BASE;
			assert_null(vec_push(&r, x));
		}
		assert_null(image_need(img, &r, (uint64_t)rand() % 3000));
		vec_deinit(&r);
	}
	for (uint64_t a = 0; a < SIZE; a++) {
		uint8_t b;
		struct err *err;

		if (!asked[a])
			continue;
		err = image_read(img, BASE + a, &b, 1);
		if (f.bad[a / PAGE]) {
			assert_true(err_is(err, ERR_FAULT));
			err_destroy(err);
		} else {
			assert_null(err);
			assert_int_equal(b, byte_at(BASE + a));
		}
	}
	free(asked);
	image_destroy(img);
}

static void without_a_source_nothing_is_fetched(void **state)
{
	struct fake f;
	struct image *img = make(&f);

	image_set_source(img, NULL);
	need(img, BASE, 10);
	assert_int_equal(f.calls, 0);
	check_fault(img, BASE, 10, BASE);
	image_destroy(img);
}

/* The runtime's structures can say any size. */
static void test_most(void **state)
{
	struct fake f;
	struct image *img = make(&f);
	struct err *err;

	f.src.most = 16 * PAGE;
	f.src.most_why = "the core has no more";
	need(img, BASE, 16 * PAGE);
	err = image_need1(img, BASE + 100 * PAGE, 60ull << 30);
	assert_non_null(err);
	assert_int_equal(err->code, ERR_LIMIT);
	assert_non_null(strstr(err->msg, "64.4 GB"));
	assert_non_null(strstr(err->msg, "the core has no more"));
	err_destroy(err);
	assert_int_equal(f.calls, 1);
	need(img, BASE + 100 * PAGE, 16 * PAGE);
	image_destroy(img);
}

/* 4 GB that cannot be read are a million pages: they are not asked for one by one. */
static void test_much_is_missing(void **state)
{
	struct fake f;
	struct image *img = make(&f);

	f.src.readv = no_readv;
	need(img, 1ull << 40, 4ull << 30);
	assert_true(f.calls <= (1 << 18) + 3);
	assert_int_equal(image_stats(img).hole_bytes, 4ull << 30);
	image_destroy(img);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_most),
		cmocka_unit_test(test_much_is_missing),
		cmocka_unit_test(reads_what_was_fetched),
		cmocka_unit_test(swallows_what_it_overlaps),
		cmocka_unit_test(bridges_gaps),
		cmocka_unit_test(holes_are_counted_once),
		cmocka_unit_test(bridged_holes_do_not_count),
		cmocka_unit_test(a_look_may_miss),
		cmocka_unit_test(lent_segments_stay),
		cmocka_unit_test(random_ranges),
		cmocka_unit_test(without_a_source_nothing_is_fetched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
