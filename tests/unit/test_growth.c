/*
 * What is told to have grown: ways of growing, the place in the tree, objects that only moved,
 * trees of which parts are put together, and files of --base that lie.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"

#include "heap/report/growth_base.h"
#include "heap/report/growth_heap.h"
#include "output/limits.h"

/* One node of a capture: its path, and what hangs exactly there. */
struct at {
	const char *path; /* "main.x|[]. (T)" */
	uint64_t bytes, objects;
};

static void add_path(struct profile *p, const struct at *a)
{
	char path[256], *rest = NULL;
	uint32_t node = 0;

	snprintf(path, sizeof(path), "%s", a->path);
	for (char *f = strtok_r(path, "|", &rest); f; f = strtok_r(NULL, "|", &rest))
		ok(profile_child(p, node, f, &node));
	p->nodes.v[node].bytes += a->bytes;
	p->nodes.v[node].objects += a->objects;
}

/* A capture of those nodes, up to one without a path, `second` seconds after 1970. */
static void capture(struct growth_set *s, const struct at *nodes, unsigned second)
{
	struct report r = { .time_unix_ns = second * 1000000000ll, .folded = true };
	struct profile p;

	ok(profile_init(&p));
	for (; nodes->path; nodes++) {
		add_path(&p, nodes);
		r.live_bytes += nodes->bytes;
	}
	ok(growth_set_add(s, &p, &r, NULL, false));
	profile_deinit(&p);
}

enum { MOST = 8 };

static void compare(const struct at captures[][MOST], unsigned n, struct report *r)
{
	struct growth_set s;

	*r = (struct report){ 0 };
	ok(growth_set_init(&s));
	for (unsigned i = 0; i < n; i++)
		capture(&s, captures[i], 60 * (i + 1));
	ok(growth_make(&s, r));
	growth_set_deinit(&s);
}

static void expect_path(const struct growth *g, size_t i, const char *path, enum growth_way way,
			int64_t bytes)
{
	char text[512] = "";

	assert_true(i < g->paths.n);
	for (uint32_t f = 0; f < g->paths.v[i].npath; f++) {
		strcat(text, f ? "|" : "");
		strcat(text, g->paths.v[i].path[f]);
	}
	assert_string_equal(text, path);
	assert_int_equal(g->paths.v[i].sum.way, way);
	assert_int_equal(g->paths.v[i].sum.bytes, bytes);
}

static void ways(void **state)
{
	static const struct {
		uint64_t v[5];
		size_t n;
		enum growth_way way;
	} t[] = {
		{ { 1, 2 }, 2, GROWTH_EVERY },
		{ { 2, 1 }, 2, GROWTH_NONE },
		{ { 1, 1 }, 2, GROWTH_NONE },
		{ { 0, 1 }, 2, GROWTH_APPEARED },
		{ { 1, 2, 3, 4 }, 4, GROWTH_EVERY },
		{ { 0, 2, 3, 4 }, 4, GROWTH_EVERY },
		{ { 1, 2, 3, 2 }, 4, GROWTH_NONE },
		{ { 1, 1, 2, 2 }, 4, GROWTH_NONE },
		{ { 1, 2, 2, 4 }, 4, GROWTH_STEPS },
		{ { 0, 0, 3, 3 }, 4, GROWTH_APPEARED },
		{ { 0, 0, 0, 3 }, 4, GROWTH_NONE },
		{ { 0, 5, 3, 5 }, 4, GROWTH_NONE },
		{ { 100000, 200000, 200010, 200020 }, 4, GROWTH_NONE },
		{ { 100000, 200000, 200010, 300000 }, 4, GROWTH_STEPS },
		{ { 100000, 200000, 200100, 200200 }, 4, GROWTH_EVERY },
		{ { 7 }, 1, GROWTH_NONE },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++)
		assert_int_equal(growth_way(t[i].v, t[i].n), t[i].way);
}

/* The container is told of, with its elements' types; what is above and below it is not. */
static void place(void **state)
{
	static const struct at c[][MOST] = {
		{ { "main.srv", 100, 1 },
		  { "main.srv|hub. (*hub)|q. ([]*msg)", 1000, 1 },
		  { "main.srv|hub. (*hub)|q. ([]*msg)|[]. (*msg)", 10000, 10 },
		  { "main.srv|hub. (*hub)|q. ([]*msg)|[]. (*msg)|body. ([]uint8)", 50000, 10 },
		  { "main.srv|cache. (map[int]*page)|$mapval. (*page)", 90000, 10 } },
		{ { "main.srv", 100, 1 },
		  { "main.srv|hub. (*hub)|q. ([]*msg)", 1000, 1 },
		  { "main.srv|hub. (*hub)|q. ([]*msg)|[]. (*msg)", 20000, 20 },
		  { "main.srv|hub. (*hub)|q. ([]*msg)|[]. (*msg)|body. ([]uint8)", 100000, 20 },
		  { "main.srv|cache. (map[int]*page)|$mapval. (*page)", 9000, 1 } },
		{ { "main.srv", 100, 1 },
		  { "main.srv|hub. (*hub)|q. ([]*msg)", 2000, 1 },
		  { "main.srv|hub. (*hub)|q. ([]*msg)|[]. (*msg)", 30000, 30 },
		  { "main.srv|hub. (*hub)|q. ([]*msg)|[]. (*msg)|body. ([]uint8)", 150000, 30 },
		  { "main.srv|cache. (map[int]*page)|$mapval. (*page)", 180000, 20 } },
	};
	struct report r;

	compare(c, 3, &r);
	assert_int_equal(r.growth.paths.n, 1);
	expect_path(&r.growth, 0, "main.srv|hub. (*hub)|q. ([]*msg)", GROWTH_EVERY, 121000);
	assert_int_equal(r.growth.paths.v[0].nparts, 3);
	assert_string_equal(r.growth.paths.v[0].parts[0].type, "[]uint8");
	assert_int_equal(r.growth.paths.v[0].parts[0].objects, 20);
	assert_true(r.growth.paths.v[0].sum.bytes_per_minute == 121000 / 2.);
	report_deinit(&r);
}

/* A map that got nothing new in one interval, while one of its values grew a little, is the place all
 * the same. */
static void uneven(void **state)
{
	static const struct at c[][MOST] = {
		{ { "main.m|$mapval. (*T)", 10000, 10 },
		  { "main.m|$mapval. (*T)|a. ([]uint8)", 40000, 10 },
		  { "main.m|$mapval. (*T)|b. ([]uint8)", 40000, 10 } },
		{ { "main.m|$mapval. (*T)", 20000, 20 },
		  { "main.m|$mapval. (*T)|a. ([]uint8)", 80000, 20 },
		  { "main.m|$mapval. (*T)|b. ([]uint8)", 80000, 20 } },
		{ { "main.m|$mapval. (*T)", 30000, 30 },
		  { "main.m|$mapval. (*T)|a. ([]uint8)", 120000, 30 },
		  { "main.m|$mapval. (*T)|b. ([]uint8)", 120000, 30 } },
		{ { "main.m|$mapval. (*T)", 30000, 30 },
		  { "main.m|$mapval. (*T)|a. ([]uint8)", 121000, 30 },
		  { "main.m|$mapval. (*T)|b. ([]uint8)", 120000, 30 } },
	};
	struct report r;

	compare(c, 4, &r);
	assert_int_equal(r.growth.paths.n, 1);
	expect_path(&r.growth, 0, "main.m", GROWTH_EVERY, 181000);
	report_deinit(&r);
}

/* The left and the right of a tree are one thing. */
static void recursion(void **state)
{
	static const struct at c[][MOST] = {
		{ { "main.tree", 24, 1 },
		  { "main.tree|l. (*T)", 10000, 10 },
		  { "main.tree|r. (*T)", 30000, 30 } },
		{ { "main.tree", 24, 1 },
		  { "main.tree|l. (*T)", 40000, 40 },
		  { "main.tree|r. (*T)", 50000, 50 } },
	};
	struct report r;

	compare(c, 2, &r);
	assert_int_equal(r.growth.paths.n, 1);
	expect_path(&r.growth, 0, "main.tree", GROWTH_EVERY, 50000);
	report_deinit(&r);
}

/* Objects that two maps lead to hang in one of them, whichever that is. */
static void moved(void **state)
{
	static const struct at still[][MOST] = {
		{ { "main.s|byID. (map[int]*T)|$mapval. (*T)", 10000, 10 },
		  { "main.s|byName. (map[string]*T)|$mapval. (*T)", 90000, 90 } },
		{ { "main.s|byID. (map[int]*T)|$mapval. (*T)", 90000, 90 },
		  { "main.s|byName. (map[string]*T)|$mapval. (*T)", 10000, 10 } },
	};
	static const struct at grew[][MOST] = {
		{ { "main.s|byID. (map[int]*T)|$mapval. (*T)", 10000, 10 },
		  { "main.s|byName. (map[string]*T)|$mapval. (*T)", 90000, 90 } },
		{ { "main.s|byID. (map[int]*T)|$mapval. (*T)", 100000, 100 },
		  { "main.s|byName. (map[string]*T)|$mapval. (*T)", 10000, 10 } },
	};
	/* what shrank is of another type: that is a cache, and the other one did grow */
	static const struct at other[][MOST] = {
		{ { "main.s|byID. (map[int]*T)|$mapval. (*T)", 10000, 10 },
		  { "main.s|pages. (map[string]*P)|$mapval. (*P)", 90000, 90 } },
		{ { "main.s|byID. (map[int]*T)|$mapval. (*T)", 100000, 100 },
		  { "main.s|pages. (map[string]*P)|$mapval. (*P)", 10000, 10 } },
	};
	struct report r;

	compare(still, 2, &r);
	assert_int_equal(r.growth.paths.n, 0);
	report_deinit(&r);
	compare(grew, 2, &r);
	assert_int_equal(r.growth.paths.n, 1);
	expect_path(&r.growth, 0, "main.s", GROWTH_EVERY, 10000);
	report_deinit(&r);
	compare(other, 2, &r);
	assert_int_equal(r.growth.paths.n, 1);
	expect_path(&r.growth, 0, "main.s|byID. (map[int]*T)", GROWTH_EVERY, 90000);
	report_deinit(&r);
}

/* Frames that differ by the number of an element only are one. */
static void elements(void **state)
{
	static const struct at c[][MOST] = {
		{ { "main.s|[0]. (*T)", 10000, 1 }, { "main.s|[10+]. (*T)", 10000, 1 } },
		{ { "main.s|[1]. (*T)", 10000, 1 }, { "main.s|[9]. (*T)", 10000, 1 } },
	};
	struct report r;

	compare(c, 2, &r);
	assert_int_equal(r.growth.paths.n, 0);
	assert_int_equal(r.difference.nodes.n, 3);
	report_deinit(&r);
}

/* What is put together in one capture, and not in the other one, did not grow for that. */
static void smaller(void **state)
{
	static const struct at c[][MOST] = {
		{ { "main.a", 10, 1 },
		  { "main.a|x. (*X)", 5000, 5 },
		  { "main.a|[smaller]", 14000, 14 },
		  { "main.b", 5000, 1 } },
		{ { "main.a", 10, 1 },
		  { "main.a|x. (*X)", 5000, 5 },
		  { "main.a|y. (*Y)", 6000, 6 },
		  { "main.a|z. (*Z)", 100000, 100 },
		  { "main.a|[smaller]", 8000, 8 },
		  { "main.b", 5000, 1 } },
	};
	struct report r;
	uint64_t all = 0;

	compare(c, 2, &r);
	assert_int_equal(r.growth.paths.n, 1);
	expect_path(&r.growth, 0, "main.a|z. (*Z)", GROWTH_APPEARED, 100000);
	for (size_t i = 1; i < r.difference.nodes.n; i++)
		all += r.difference.nodes.v[i].bytes;
	assert_int_equal(all, 100000);
	report_deinit(&r);
}

/* A map's memory grows in steps, its entries in every interval. */
static void used(void **state)
{
	static const uint64_t map[] = { 100000, 100000, 100000, 200000 },
			      unused[] = { 60000, 40000, 20000, 100000 };
	static const char *const path[] = { "main.m" };

	for (unsigned known = 0; known < 2; known++) {
		struct report r = { 0 };
		struct growth_set s;

		ok(growth_set_init(&s));
		for (unsigned i = 0; i < 4; i++) {
			const struct at c[] = { { "main.m", map[i], 1 }, { 0 } };

			capture(&s, c, i + 1);
			growth_set_unused_of(&s, i == 2 && !known ? UNUSED_UNKNOWN : UNUSED_OF_ALL);
			if (i != 2 || known)
				ok(growth_set_unused(&s, path, 1, unused[i]));
		}
		ok(growth_make(&s, &r));
		assert_int_equal(r.growth.paths.n, known);
		if (known)
			expect_path(&r.growth, 0, "main.m", GROWTH_EVERY, 60000);
		assert_true(!known || r.growth.paths.v[0].used);
		report_deinit(&r);
		growth_set_deinit(&s);
	}
}

/* ------------------------------------------------------------------ the same process? */

static void processes(void **state)
{
	static const struct growth_capture early = { .time_ns = 1000 }, late = { .time_ns = 2000 };
	static const struct growth_identity a = { .build_id = "x",
						  .started_ns = 5,
						  .folded = true },
					    build = { .build_id = "y", .folded = true },
					    again = { .build_id = "x",
						      .started_ns = 6,
						      .folded = true },
					    unknown = { .folded = true }, rules = { 0 };
	struct growth_set s;

	ok(growth_set_init(&s));
	ok(growth_set_begin(&s, &late, &a, false));
	bad(growth_set_begin(&s, &early, &a, false), ERR_USAGE);
	bad(growth_set_begin(&s, &late, &build, false), ERR_BADDATA);
	bad(growth_set_begin(&s, &late, &again, false), ERR_BADDATA);
	bad(growth_set_begin(&s, &late, &rules, false), ERR_USAGE);
	ok(growth_set_begin(&s, &late, &unknown, false));
	/* what the first one knew still holds */
	bad(growth_set_begin(&s, &late, &again, false), ERR_BADDATA);
	ok(growth_set_begin(&s, &late, &again, true));
	growth_set_deinit(&s);
}

/* ------------------------------------------------------------------ files */

#define HEAD "{\"schema\":\"grf-rsp/1\",\"process\":{\"time\":1},\"coverage\":{}"
#define GOOD                                                                                                \
	HEAD ",\"types\":[{\"type\":\"T\",\"bytes\":5,\"objects\":1}],\"goroutines\":[{\"function\":"       \
	     "\"main.f\",\"count\":3,\"stack\":[{\"function\":\"main.f\",\"file\":\"f.go\",\"line\":7}]}]," \
	     "\"tree\":[{\"parent\":-1,\"frame\":\"main.x\",\"bytes\":9,\"objects\":1},"                    \
	     "{\"parent\":0,\"frame\":\"[]. (*T)\",\"bytes\":5,\"objects\":1},"                             \
	     "{\"parent\":-1,\"frame\":\"[unreachable]\",\"bytes\":9,\"objects\":1},"                       \
	     "{\"parent\":2,\"frame\":\"garbage\",\"bytes\":9,\"objects\":1}]}"

static struct err *read_text(struct growth_set *s, const char *text, size_t n)
{
	char path[] = "/tmp/test_growth.XXXXXX";
	int fd = mkstemp(path);
	struct err *err;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	close(fd);
	ok(growth_set_init(s));
	err = growth_base_json(s, path, false);
	unlink(path);
	return err;
}

static void files(void **state)
{
	static const struct {
		const char *text;
		enum err_code code;
	} t[] = {
		{ "", ERR_BADDATA },
		{ "{", ERR_BADDATA },
		{ "[]", ERR_BADDATA },
		{ "no", ERR_BADDATA },
		{ "{\"schema\":\"other\"}", ERR_BADDATA },
		{ "{\"schema\":\"grf-rsp/2\"}", ERR_VERSION },
		{ "{\"schema\":\"grf-rsp/1\"}", ERR_BADDATA },
		{ HEAD "}", ERR_BADDATA },
		{ HEAD ",\"tree\":[{\"parent\":0,\"frame\":\"x\"}]}", ERR_BADDATA },
		{ HEAD ",\"tree\":[{\"parent\":-2,\"frame\":\"x\"}]}", ERR_BADDATA },
		{ HEAD ",\"tree\":[{\"parent\":-1,\"frame\":7}]}", ERR_BADDATA },
		{ HEAD ",\"tree\":[{\"frame\":\"x\"}]}", ERR_BADDATA },
		{ HEAD ",\"tree\":[7]}", ERR_BADDATA },
	};
	char deep[400] = "";
	struct growth_set s;

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		bad(read_text(&s, t[i].text, strlen(t[i].text)), t[i].code);
		growth_set_deinit(&s);
	}
	memset(deep, '[', sizeof(deep) - 1);
	bad(read_text(&s, deep, strlen(deep)), ERR_BADDATA);
	growth_set_deinit(&s);

	ok(read_text(&s, GOOD, strlen(GOOD)));
	assert_int_equal(s.tree.nodes.n, 3); /* nothing of what is not live */
	assert_int_equal(growth_cell_at(&s.nodes.v[0], 2).bytes, 5);
	assert_int_equal(s.group_rows.n, 1);
	assert_int_equal(s.group_rows.v[0].source.line, 7);
	growth_set_deinit(&s);
}

/* Whatever is in a file: an error, or numbers that make no trouble. */
static void damaged_files(void **state)
{
	static const char *const bits[] = {
		"-1",    "99999999999999999999", "null", "{", "]", "\"", "\\u0000",
		"1e400", "[unreachable]",        "2"
	};
	char text[sizeof(GOOD) + 64];
	struct growth_set s;

	srand(17);
	for (unsigned i = 0; i < 3000; i++) {
		size_t n = strlen(GOOD), at = (size_t)rand() % n;
		const char *bit = bits[(unsigned)rand() % (sizeof(bits) / sizeof(*bits))];
		struct err *err;

		memcpy(text, GOOD, n + 1);
		memcpy(text + at, bit, at + strlen(bit) < n ? strlen(bit) : 1);
		if (i % 3 == 0)
			n = at;
		err = read_text(&s, text, n);
		if (!err) {
			struct report r = { 0 };

			ok(growth_set_begin(
				&s, &s.captures.v[0],
				&(struct growth_identity){ .folded = s.identity.folded }, true));
			ok(growth_make(&s, &r));
			report_deinit(&r);
		}
		err_destroy(err);
		growth_set_deinit(&s);
	}
}

/* ------------------------------------------------------------------ --limit */

static void limits(void **state)
{
	static const char *const wrong[] = { "live",
					     "live=",
					     "life=2G",
					     "live=-1",
					     "live=2X",
					     "live=2Gx",
					     "live=nan",
					     "live=0x10",
					     "live=1e30",
					     "growth-rate=1M",
					     "growth-rate=1M/fortnight",
					     "goroutines=1k",
					     "leaked-goroutines=1.5" };
	struct report r = { .live_bytes = 2048, .goroutines = 3 };
	struct limits l = { .v = VEC_INIT };
	bool exceeded;
	FILE *f = fopen("/dev/null", "w");

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		bad(limits_add(&l, wrong[i]), ERR_USAGE);
	ok(limits_add(&l, "live=2K"));
	ok(limits_add(&l, "goroutines=3"));
	ok(limits_check(&l, &r, f, &exceeded));
	assert_false(exceeded);
	r.live_bytes++;
	ok(limits_check(&l, &r, f, &exceeded));
	assert_true(exceeded);
	ok(limits_add(&l, "growth-rate=60M/h"));
	bad(limits_check(&l, &r, f, &exceeded), ERR_UNSUPPORTED);
	r.growth = (struct growth){ .made = true, .ns = 60000000000, .live = 1 << 20 };
	r.live_bytes = 2048;
	ok(limits_check(&l, &r, f, &exceeded));
	assert_false(exceeded);
	r.growth.live++;
	ok(limits_check(&l, &r, f, &exceeded));
	assert_true(exceeded);
	limits_deinit(&l);
	fclose(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ways),          cmocka_unit_test(place),
		cmocka_unit_test(uneven),        cmocka_unit_test(recursion),
		cmocka_unit_test(used),          cmocka_unit_test(moved),
		cmocka_unit_test(elements),      cmocka_unit_test(smaller),
		cmocka_unit_test(processes),     cmocka_unit_test(files),
		cmocka_unit_test(damaged_files), cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
