/* What is not begun, since it would be let go before its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "heap/acquire/forecast.h"
#include "tests/unit/check.h"

#define SECOND 1000000000ull

static void refused(void **state)
{
	struct report r = { .forecast_bytes = 8ull << 30, .forecast_rate = 1000000 };
	struct acquire a = { .report = &r };

	r.forecast_ns = 100 * SECOND;
	r.forecast_most_ns = 200 * SECOND;
	ok(forecast_refuse(&a));
	r.forecast_ns = 1000 * SECOND; /* as long as three times the most, up to an hour */
	r.forecast_most_ns = 2000 * SECOND;
	ok(forecast_refuse(&a));
	r.forecast_ns = 4300 * SECOND;
	r.forecast_most_ns = 8600 * SECOND;
	bad(forecast_refuse(&a), ERR_LIMIT);
	a.o.timeout_ms = 600 * 1000; /* ten times that */
	ok(forecast_refuse(&a));
	a.o.timeout_ms = 0;
	a.o.max_stop_ns = 5000 * SECOND;
	ok(forecast_refuse(&a));
	a.o.max_stop_ns = 4000 * SECOND;
	bad(forecast_refuse(&a), ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(refused) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
