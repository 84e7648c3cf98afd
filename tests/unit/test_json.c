/*
 * JSON of hostile strings: whatever the target says, what is written is JSON (RFC 8259) in UTF-8,
 * held by a small reader of its grammar.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "output/internal.h"
#include "output/json_writer.h"
#include "tests/unit/check.h"

/* ------------------------------------------------------------------ a reader */

static const char *value(const char *s, unsigned depth);

static const char *blank(const char *s)
{
	return s ? s + strspn(s, " \n\t\r") : NULL;
}

static const char *string(const char *s)
{
	if (!s || *s != '"')
		return NULL;
	for (s++; *s != '"'; s++) {
		if ((unsigned char)*s < 0x20)
			return NULL;
		if (*s == '\\' && !strchr("\"\\/bfnrtu", *++s))
			return NULL;
	}
	return s + 1;
}

static const char *members(const char *s, char end, unsigned depth)
{
	s = blank(s + 1);
	if (s && *s == end)
		return s + 1;
	while (s) {
		if (end == '}') {
			s = blank(string(blank(s)));
			if (!s || *s++ != ':')
				return NULL;
		}
		s = blank(value(s, depth));
		if (!s || *s == end)
			return s ? s + 1 : NULL;
		if (*s++ != ',')
			return NULL;
	}
	return NULL;
}

static const char *value(const char *s, unsigned depth)
{
	char *end;

	s = blank(s);
	if (!s || !depth)
		return NULL;
	if (*s == '"')
		return string(s);
	if (*s == '{' || *s == '[')
		return members(s, *s == '{' ? '}' : ']', depth - 1);
	for (size_t i = 0; i < 3; i++) {
		static const char *const words[] = { "true", "false", "null" };

		if (!strncmp(s, words[i], strlen(words[i])))
			return s + strlen(words[i]);
	}
	strtod(s, &end);
	return end > s ? end : NULL;
}

static bool is_json(const char *s)
{
	s = blank(value(s, 32));
	return s && !*s;
}

static void the_reader_refuses(void **state)
{
	static const char *const wrong[] = { "",      "{",      "{\"a\" 1}", "[1,]",
					     "[1 2]", "\"\n\"", "\"\\x\"",   "{\"a\":1,}",
					     "{a:1}", "[1]]",   "nul" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_false(is_json(wrong[i]));
	assert_true(is_json("{\"a\":[1,-2.5,true,null,\"\\\"\"],\n\"b\":{}}"));
}

/* ------------------------------------------------------------------ what is written */

static const char *const hostile[] = {
	"plain",
	"\"quotes\" and \\back\\slashes\\",
	"line\nbreak\ttab\rreturn\x01\x1f\x7f",
	"\xff\xfe no UTF-8 \xc0\x80 \xed\xa0\x80",
	"</script><img onerror=alert(1)>",
	"\xe2\x80\xa8 \xf0\x9f\x92\xa9 \xc2\x85",
	"\\u0000\"}],\"schema\":\"other\"",
	"",
};

enum { HOSTILE = sizeof(hostile) / sizeof(*hostile) };

static void written(struct err *(*write)(FILE *f, void *arg), void *arg)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	ok(write(f, arg));
	fclose(f);
	assert_int_equal(strlen(text), len);
	if (!is_json(text))
		fail_msg("this is no JSON: %s", text);
}

static struct err *write_strings(FILE *f, void *arg)
{
	struct json j;

	json_init(&j, f);
	json_object(&j, NULL);
	json_array(&j, "strings");
	for (size_t i = 0; i < HOSTILE; i++) {
		json_line(&j);
		TRY(json_string(&j, NULL, hostile[i]));
	}
	TRY(json_string(&j, NULL, NULL));
	json_array_end(&j);
	json_line(&j);
	json_array(&j, "empty");
	json_array_end(&j);
	json_line(&j);
	json_object(&j, "numbers");
	json_uint(&j, "most", UINT64_MAX);
	json_int(&j, "least", INT64_MIN);
	json_double(&j, "third", 1 / 3.0);
	json_bool(&j, "no", false);
	json_object_end(&j);
	json_object_end(&j);
	TRY(json_finish(&j));
	json_deinit(&j);
	return NULL;
}

static void strings(void **state)
{
	written(write_strings, NULL);
}

/* A whole report in which everything that comes from the target is hostile. */
static struct err *write_report(FILE *f, void *arg)
{
	const char *s = arg;
	const char *path[] = { s, s };
	struct code_line line = { s, s, 7 };
	struct goroutine_group group = { .count = 1,
					 .function = s,
					 .state = s,
					 .stack = &line,
					 .nframes = 1,
					 .created_by = line };
	struct suspect suspect = { .what = s, .path = path, .npath = 2, .at = { s, s, 2, 4 } };
	struct type_row type = { .name = s };
	struct waste_row row = { .path = path, .npath = 2 };
	struct why_way way = { .path = path, .npath = 2 };
	struct report r = { .target = s, .exe = s, .version = s, .goarch = s, .build_id = s };
	struct profile p;
	uint32_t root, node;
	struct err *err;

	r.goroutines_of.grouped = r.graph.made = r.waste.made = r.outside.known = true;
	r.outside.absent_root = (char *)s;
	r.why.pattern = s;
	r.goroutines_of.groups = (struct goroutine_groups){ &group, 1, 1 };
	r.graph.suspects = (struct suspects){ &suspect, 1, 1 };
	r.graph.types = (struct type_rows){ &type, 1, 1 };
	r.waste.pinned = r.waste.slack = r.waste.maps = (struct waste_rows){ &row, 1, 1 };
	r.why.ways = (struct why_ways){ &way, 1, 1 };
	ok(profile_init(&p));
	ok(profile_child(&p, 0, s, &root));
	ok(profile_child(&p, root, s, &node));
	ok(report_note(&r, "%s", s));
	err = json_write(f, &p, &r);
	free(r.notes.v[0]);
	vec_deinit(&r.notes);
	profile_deinit(&p);
	return err;
}

/* A graph in which all names are hostile, of `nobjects` objects, of which the first alone is told. */
struct fake {
	struct objects o;
	const char *name;
};

static const char *fake_field(const struct objects *o, uint32_t id)
{
	return ((const struct fake *)o)->name;
}

static struct err *fake_walk(const struct objects *o, const struct objects_visitor *v)
{
	const char *s = ((const struct fake *)o)->name;

	if (v->object)
		TRY(v->object(v->arg, &(struct object){ .id = 1, .root = 2, .bytes = 16 }));
	if (v->edge)
		TRY(v->edge(v->arg, &(struct object_edge){ 1, 1, 0, 8 }));
	if (v->root)
		TRY(v->root(v->arg, &(struct object_root){ .id = 2, s, s, s, .goroutine = 7 }));
	return v->edge ? v->edge(v->arg, &(struct object_edge){ 2, 1, 0, 0 }) : NULL;
}

static struct err *write_snapshot(FILE *f, void *arg)
{
	const char *s = arg;
	struct fake x = { { .n = 1,
			    .nroots = 1,
			    .types = &s,
			    .ntypes = 1,
			    .word = 8,
			    .walk = fake_walk,
			    .field = fake_field },
			  s };

	return heapsnapshot_write(f, &x.o);
}

static void snapshots(void **state)
{
	for (size_t i = 0; i < HOSTILE; i++)
		written(write_snapshot, (void *)hostile[i]);
}

/* More nodes than readers take: nothing is written, and it says what else there is. */
static void snapshot_of_too_much(void **state)
{
	struct fake x = { { .n = 1 << 24, .walk = fake_walk, .field = fake_field }, "" };
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	struct err *err = heapsnapshot_write(f, &x.o);

	fclose(f);
	assert_int_equal(len, 0);
	assert_non_null(err);
	assert_non_null(strstr(err->msg, "*.sqlite"));
	bad(err, ERR_LIMIT);
}

static void reports(void **state)
{
	for (size_t i = 0; i < HOSTILE; i++)
		written(write_report, (void *)hostile[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reader_refuses),
		cmocka_unit_test(strings),
		cmocka_unit_test(reports),
		cmocka_unit_test(snapshots),
		cmocka_unit_test(snapshot_of_too_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
