/* map64: any key, also those that mean something inside, and those made to belong in one place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "tests/unit/check.h"

static void keys(void **state)
{
	const uint64_t odd[] = { 0, UINT64_MAX, MAP64_EMPTY };
	struct map64 m = MAP64_INIT;
	uint64_t *v;
	bool is_new;

	for (size_t i = 0; i < 3; i++)
		assert_null(map64_get(&m, odd[i]));
	for (uint64_t k = 1; k <= 100000; k++) {
		ok(map64_put(&m, k * k, k, &v, &is_new));
		assert_true(is_new);
	}
	for (size_t i = 0; i < 3; i++) {
		assert_null(map64_get(&m, odd[i]));
		ok(map64_put(&m, odd[i], i, &v, &is_new));
		assert_true(is_new);
		assert_int_equal(*v, i);
		*v = 7 + i;
		ok(map64_put(&m, odd[i], 1, &v, &is_new));
		assert_false(is_new);
		assert_int_equal(*v, 7 + i);
		assert_ptr_equal(map64_get(&m, odd[i]), v);
	}
	assert_int_equal(m.n, 100003);
	for (uint64_t k = 1; k <= 100000; k++)
		assert_int_equal(*map64_get(&m, k * k), k);
	assert_null(map64_get(&m, 2));
	map64_deinit(&m);
	assert_null(map64_get(&m, 1));
}

/* The key of which hash64() makes h. */
static uint64_t unhash64(uint64_t h)
{
	uint64_t inverse = 1;

	/* Newton: each step doubles the bits that are right. */
	for (int i = 0; i < 6; i++)
		inverse *= 2 - 0xd6e8feb86659fd93ull * inverse;
	h ^= h >> 32;
	h *= inverse;
	h ^= h >> 32;
	h *= inverse;
	return h ^ h >> 32;
}

/* The longest run of slots that are taken. */
static size_t longest_run(const struct map64 *m)
{
	size_t longest = 0, run = 0;

	for (size_t i = 0; i < m->cap; i++) {
		run = m->slots[i].key == MAP64_EMPTY ? 0 : run + 1;
		longest = run > longest ? run : longest;
	}
	return longest;
}

/* Keys that a process may have made so that all belong in one slot lie apart. */
static void made_keys(void **state)
{
	struct map64 m = MAP64_INIT;
	uint64_t *v;

	assert_int_equal(hash64(unhash64(12345)), 12345);
	for (uint64_t k = 1; k <= 20000; k++)
		ok(map64_put(&m, unhash64(k << 40), k, &v, NULL));
	assert_in_range(longest_run(&m), 1, 500);
	map64_deinit(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(keys), cmocka_unit_test(made_keys) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
