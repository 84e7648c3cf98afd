/* Types' names as people read them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"

#include "heap/types/type_short.h"

static void check_short(const char *name, const char *want)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	ok(type_short(name, &b));
	assert_string_equal(b.len ? (const char *)b.data : "", want);
}

static void packages(void **state)
{
	check_short("int", "int");
	check_short("main.T", "main.T");
	check_short("*net/http.Server", "*http.Server");
	check_short("map[string]*a.b/c/d.T", "map[string]*d.T");
	check_short("[]github.com/a/b.T", "[]b.T");
	check_short("func(net/http.ResponseWriter, *net/http.Request)",
		    "func(http.ResponseWriter, *http.Request)");
	check_short("func(...net/url.Values)", "func(...url.Values)");
	check_short("chan<- a/b.T", "chan<- b.T");
}

static void versions(void **state)
{
	check_short("github.com/a/lru/v2.Cache[string,int]", "lru.Cache[string,int]");
	check_short("gopkg.in/yaml.v3.Node", "yaml.Node");
	check_short("gopkg.in/yaml%2ev3.Node", "yaml.Node");
	check_short("example.com/v2.T", "example.com.T");
	check_short("a/vault.T", "vault.T");
	check_short("a/v2x.T", "v2x.T");
}

static void generics(void **state)
{
	check_short("a/b.Box[c/d.T]", "b.Box[d.T]");
	check_short("a/b.Box[go.shape.*uint8]", "b.Box[go.shape.*uint8]");
	check_short("a/b.Pair[string,map[c/d.K]*e/f.V]", "b.Pair[string,map[d.K]*f.V]");
}

static void interfaces(void **state)
{
	check_short("interface {}", "any");
	check_short("[]interface {}", "[]interface {}");
	check_short("map[string]interface {}", "map[string]interface {}");
}

static void structs(void **state)
{
	check_short("struct { a int }", "struct { a int }");
	check_short("struct { F a/b.T \"json:\\\"x/y.z\\\"\" }",
		    "struct { F b.T \"json:\\\"x/y.z\\\"\" }");
	check_short(
		"*struct { aaaaaaaaaaaaaaaaaa int; bbbbbbbbbbbbbbbbbbbbbbb int; ccccccccccc int }",
		"*struct {…}");
	check_short("struct { s struct { t int }; aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa int }",
		    "struct {…}");
}

/* Names come from the process: none of these may run on. */
static void damaged(void **state)
{
	check_short("", "");
	check_short("struct { a", "struct { a");
	check_short("struct { a \"x", "struct { a \"x");
	check_short("\"\\", "\"\\");
	check_short("/", "/");
	check_short("a/", "a/");
	check_short("a/.", ".");
	check_short(".....", ".....");
	check_short("[[[[", "[[[[");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packages), cmocka_unit_test(versions),
		cmocka_unit_test(generics), cmocka_unit_test(interfaces),
		cmocka_unit_test(structs),  cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
