/* map64: any key, also those that mean something inside. */
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

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(keys) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
