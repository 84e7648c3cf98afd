/* What a closure holds, by its function's name; names as people read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "heap/types/known.h"
#include "target/symname.h"

static void check(const char *func, const char *want, unsigned want_off)
{
	struct arena a = ARENA_INIT;
	unsigned off;
	const char *got = known_closure(func, 8, &a, &off);

	if (want)
		assert_string_equal(got, want);
	else
		assert_null(got);
	assert_int_equal(off, want_off);
	arena_deinit(&a);
}

static void method_values(void **state)
{
	check("main.(*holder).Ptr-fm", "*main.holder", 8);
	check("main.holder.Val-fm", "main.holder", 8);
	check("github.com/a/b.v2/c.(*T).M-fm", "*github.com/a/b.v2/c.T", 8);
	check("net/http.Header.Get-fm", "net/http.Header", 8);
}

static void reflect_stubs(void **state)
{
	check("reflect.makeFuncStub", "reflect.makeFuncImpl", 0);
	check("reflect.methodValueCall", "reflect.methodValue", 0);
}

static void ordinary_closures(void **state)
{
	check("main.main.func1", NULL, 0);
	check("-fm", NULL, 0);
	check("x-fm", NULL, 0);
	check("", NULL, 0);
}

static void fields(void **state)
{
	assert_string_equal(known_field("sync.Pool", "local")->type, "sync.poolLocal");
	assert_true(known_field("sync.Pool", "local")->tile);
	assert_null(known_field("sync.Pool", "noCopy"));
	assert_null(known_field("main.Pool", "local"));
	assert_string_equal(known_pointee("time.Timer"), "runtime.timeTimer");
	assert_null(known_pointee("time.Time"));
	assert_string_equal(known_container("runtime.timer")->outer, "runtime.timeTimer");
	assert_true(known_interface("sync.eface"));
	assert_false(known_interface("main.eface"));
}

static void plain_names(void **state)
{
	struct arena a = ARENA_INIT;
	const char *s = "main.f";

	assert_ptr_equal(symname_plain(&a, s), s);
	assert_string_equal(symname_plain(&a, "gopkg.in/yaml%2ev3.Node"), "gopkg.in/yaml.v3.Node");
	assert_string_equal(symname_plain(&a, "100%"), "100%");
	assert_string_equal(symname_plain(&a, "%2"), "%2");
	assert_string_equal(symname_plain(&a, "%zz%41"), "%zzA");
	arena_deinit(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(method_values),     cmocka_unit_test(reflect_stubs),
		cmocka_unit_test(ordinary_closures), cmocka_unit_test(fields),
		cmocka_unit_test(plain_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
