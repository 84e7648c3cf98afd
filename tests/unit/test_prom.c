/*
 * *.prom of hostile names: each line is one that the format allows, however many names there are
 * and whatever is in them.
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
#include "tests/unit/check.h"

static const char *const hostile[] = {
	"plain",
	"\"} 1\ngrf_live_bytes{a=\"",
	"\\",
	"back\\\"slash",
	"line\nbreak\ttab\rreturn\x01\x1f\x7f",
	"\xff\xfe no UTF-8 \xc0\x80 \xed\xa0\x80",
	"\xe2\x80\xa8 \xf0\x9f\x92\xa9",
	"",
	"[other]",
	/* 200 bytes end within a character; what follows is cut, and the names are one */
	"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	"xxxxxxxxxx\xe2\x80\xa8 one",
	"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	"xxxxxxxxxx\xe2\x80\xa8 two",
};

enum { HOSTILE = sizeof(hostile) / sizeof(*hostile), MANY = 500, TOP = 7 };

/* After name="value": the closing quote; NULL: a character that has to be escaped is not. */
static const char *label_end(const char *s)
{
	for (; *s != '"'; s++) {
		if (!*s || (unsigned char)*s < 0x20 || (*s == '\\' && !strchr("\\\"n", *++s)))
			return NULL;
	}
	return s;
}

/* NAME{a="b",c="d"} NUMBER, or a comment. */
static bool is_line(char *line)
{
	const char *s = line + strspn(line, "abcdefghijklmnopqrstuvwxyz_");

	if (*line == '#')
		return true;
	if (s == line || *s++ != '{')
		return false;
	while (*s != '}') {
		const char *from;

		s += strspn(s, "abcdefghijklmnopqrstuvwxyz_");
		if (*s++ != '=' || *s++ != '"')
			return false;
		from = s;
		s = label_end(s);
		/* each character may take two */
		if (!s || s - from > 400)
			return false;
		s += s[1] == ',' ? 2 : 1;
	}
	return s[1] == ' ' && s[2 + strspn(s + 2, "0123456789.")] == 0;
}

static void make_profile(struct profile *p)
{
	uint32_t node;

	ok(profile_init(p));
	for (unsigned i = 0; i < HOSTILE + MANY; i++) {
		char name[32];

		snprintf(name, sizeof(name), "main.v%u", i);
		ok(profile_child(p, 0, i < HOSTILE ? hostile[i] : name, &node));
		p->nodes.v[node].bytes = i < HOSTILE ? 1000000 : 1;
	}
}

static char *written(const char *s, unsigned top)
{
	struct code_line at = { s, s, 1 };
	struct goroutine_group groups[2] = {
		{ .count = 1, .function = s, .state = s, .created_by = at },
		{ .count = 2, .function = s, .state = "other", .created_by = at }
	};
	struct report r = {
		.exe = s, .version = s, .goarch = s, .build_id = s, .pid = 1, .top = top
	};
	struct profile p;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	r.account.heap = r.account.counters = r.graph.made = r.outside.known = true;
	r.goroutines_of.grouped = true;
	r.goroutines_of.groups = (struct goroutine_groups){ groups, 2, 2 };
	make_profile(&p);
	ok(prom_write(f, &p, &r));
	fclose(f);
	profile_deinit(&p);
	assert_int_equal(strlen(text), len);
	return text;
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *s = text; (s = strstr(s, what)); s++)
		n++;
	return n;
}

static void lines_are_lines(void **state)
{
	for (size_t i = 0; i < HOSTILE; i++) {
		_cleanup_free_ char *text = written(hostile[i], 100);
		char *save;

		for (char *line = strtok_r(text, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save))
			if (!is_line(line))
				fail_msg("no line of the format: %s", line);
	}
}

/* Whatever the target names, there are so many series. */
static void series_are_bounded(void **state)
{
	_cleanup_free_ char *text = written("main.f", TOP);

	assert_int_equal(count(text, "\ngrf_root_live_bytes{"), TOP + 1);
	assert_int_equal(count(text, "root=\"[other]\",kind=\"[other]\""), 2);
	assert_int_equal(count(text, "\ngrf_group_goroutines{"), 1);
	assert_non_null(strstr(text, "verdict=\"running\"} 3\n"));
}

/* Names that are equal once they are cut are one series, and the cut leaves whole characters. */
static void cut_names_are_one(void **state)
{
	_cleanup_free_ char *text = written("main.f", HOSTILE + MANY);

	assert_int_equal(count(text, "xxx\xe2"), 0);
	assert_int_equal(count(text, "\ngrf_root_live_bytes{"), HOSTILE - 1 + MANY);
	assert_non_null(strstr(text, "} 2000000\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_lines),
		cmocka_unit_test(series_are_bounded),
		cmocka_unit_test(cut_names_are_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
