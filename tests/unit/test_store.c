/* Where a big fetch's bytes are: a file keeps them whatever of it is in memory, and little of it
 * is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "target/store.h"
#include "tests/unit/check.h"

enum { LEN = 200 << 20, STEP = 4096 };

static void in_a_file(void **state)
{
	const char *why = NULL;
	struct store *s;
	uint8_t *p;

	ok(store_file(LEN, 0, &s, &why));
	if (!s) {
		assert_non_null(why); /* TMPDIR is memory, or full */
		skip();
	}
	p = store_alloc(s, LEN);
	assert_non_null(p);
	assert_null(store_alloc(s, STORE_PIECE + 1));
	assert_int_equal((uintptr_t)p % STORE_PIECE, 0);
	for (uint32_t i = 0; i < LEN / STEP; i++) {
		memcpy(p + (uint64_t)i * STEP, &i, sizeof(i));
		if (i % 1000 == 0)
			store_trim(s);
	}
	store_full(s);
	assert_int_equal(s->nin, 0);
	for (uint32_t k = 0; k < 3 * (LEN / STEP); k++) {
		uint32_t i = k * 7919u % (LEN / STEP), v;

		assert_true(store_has(s, p + (uint64_t)i * STEP));
		store_touch(s, p + (uint64_t)i * STEP);
		memcpy(&v, p + (uint64_t)i * STEP, sizeof(v));
		assert_int_equal(v, i);
		assert_true(s->nin <= STORE_BUDGET / STORE_PIECE);
	}
	store_destroy(s);
}

static void no_disk(void **state)
{
	char *old = getenv("TMPDIR") ? strdup(getenv("TMPDIR")) : NULL;
	const char *why = NULL;
	struct store *s;

	setenv("TMPDIR", "/proc", 1);
	ok(store_file(LEN, 0, &s, &why));
	assert_null(s);
	assert_non_null(why);
	if (old)
		setenv("TMPDIR", old, 1);
	else
		unsetenv("TMPDIR");
	free(old);
	ok(store_file(1ull << 60, 0, &s, &why));
	assert_null(s);
}

static void in_memory(void **state)
{
	const char *why;
	struct store *s;
	uint8_t *p;

	ok(store_for(STORE_MIN - 1, &s, &why));
	assert_null(s);
	ok(store_for(STORE_MIN, &s, &why));
	assert_non_null(s);
	p = store_alloc(s, STORE_MIN);
	assert_non_null(p);
	memset(p, 1, STORE_MIN);
	store_trim(s);
	store_full(s);
	assert_int_equal(p[STORE_MIN - 1], 1);
	store_destroy(s);
}

/* Neither memory nor a disk: the kernel would promise it, and kill somebody later. */
static void nowhere(void **state)
{
	const char *why;
	struct store *s;
	struct err *err;

	setenv("TMPDIR", "/proc", 1);
	err = store_for(store_memory_left() * 2, &s, &why);
	assert_non_null(err);
	assert_int_equal(err->code, ERR_LIMIT);
	assert_non_null(strstr(err->msg, "no local disk"));
	err_destroy(err);
	assert_null(s);
	unsetenv("TMPDIR");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_a_file),
		cmocka_unit_test(no_disk),
		cmocka_unit_test(in_memory),
		cmocka_unit_test(nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
