/* Distances between words, for "did you mean". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/similar.h"

static void distances(void **state)
{
	assert_int_equal(similar_distance("timeout", "timeout"), 0);
	assert_int_equal(similar_distance("timout", "timeout"), 1);
	assert_int_equal(similar_distance("timeoutt", "timeout"), 1);
	assert_int_equal(similar_distance("tomeout", "timeout"), 1);
	assert_int_equal(similar_distance("scurb", "scrub"), 1); /* swapped */
	assert_int_equal(similar_distance("stack_root", "stack-roots"), 2);
	assert_int_equal(similar_distance("", "all"), 3);
	assert_int_equal(similar_distance("all", ""), 3);
	assert_int_equal(similar_distance("", ""), 0);
}

static void too_long(void **state)
{
	assert_int_equal(similar_distance("12345678901234567890123456789012", ""), SIMILAR_MAX);
	assert_int_equal(similar_distance("123456789012345678901234567890123",
					  "123456789012345678901234567890123"),
			 SIMILAR_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(distances),
		cmocka_unit_test(too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
