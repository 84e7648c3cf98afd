/* Profiles of at most so many nodes: nothing is lost, the largest paths are kept whole. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"

#include "heap/profile/profile_bound.h"

enum { ROOTS = 7, KIDS = 11, GRANDKIDS = 5 };

static uint32_t add(struct profile *p, uint32_t parent, const char *kind, unsigned i,
		    uint64_t bytes)
{
	char frame[32];
	uint32_t node;

	snprintf(frame, sizeof(frame), "%s%u", kind, i);
	if (parent) {
		ok(profile_child(p, parent, frame, &node));
	} else {
		uint32_t id;

		ok(strtab_add(&p->frames, frame, &id));
		ok(profile_root(p, 0, id, &node));
		p->nodes.v[node].kind = LIVE_GOROUTINES;
	}
	p->nodes.v[node].bytes = bytes;
	p->nodes.v[node].objects = 1;
	return node;
}

static void make(struct profile *p)
{
	ok(profile_init(p));
	for (unsigned i = 0; i < ROOTS; i++) {
		uint32_t root = add(p, 0, "root", i, i);

		for (unsigned k = 0; k < KIDS; k++) {
			uint32_t kid = add(p, root, "kid", k, k * k);

			for (unsigned g = 0; g < GRANDKIDS; g++)
				add(p, kid, "grandkid", g, (i + 1) * 100 * (g == k % GRANDKIDS));
		}
	}
}

static void totals(const struct profile *p, uint64_t *bytes, uint64_t *objects)
{
	*bytes = *objects = 0;
	for (size_t i = 1; i < p->nodes.n; i++) {
		const struct profile_node *v = &p->nodes.v[i];

		assert_true(v->parent < i);
		assert_int_equal(v->depth, p->nodes.v[v->parent].depth + 1);
		*bytes += v->bytes;
		*objects += v->objects;
	}
}

static void nothing_is_lost(void **state)
{
	for (uint32_t max = 1; max < 600; max += max < 20 ? 1 : 37) {
		struct profile p;
		struct profile_smaller smaller;
		uint64_t bytes, objects, now_bytes, now_objects;
		size_t before;

		make(&p);
		before = p.nodes.n - 1;
		totals(&p, &bytes, &objects);
		ok(profile_bound(&p, max, &smaller));
		totals(&p, &now_bytes, &now_objects);
		assert_int_equal(now_bytes, bytes);
		assert_int_equal(now_objects, objects);
		assert_true(p.nodes.n - 1 <= max);
		assert_int_equal(smaller.nodes > 0, before > max);
		profile_deinit(&p);
	}
}

/* The path to the largest node stays. */
static void largest_stays(void **state)
{
	struct profile p;
	struct profile_smaller smaller;
	uint32_t big, root, node;

	make(&p);
	root = add(&p, 0, "root", 3, 3);
	big = add(&p, root, "kid", 5, 25);
	add(&p, add(&p, big, "deep", 0, 0), "deeper", 0, 1000000);
	ok(profile_bound(&p, 12, &smaller));
	ok(profile_child(&p, 0, "root3", &root));
	ok(profile_child(&p, root, "kid5", &big));
	ok(profile_child(&p, big, "deep0", &node));
	ok(profile_child(&p, node, "deeper0", &node));
	assert_int_equal(p.nodes.v[node].bytes, 1000000);
	assert_int_equal(p.nodes.v[root].kind, LIVE_GOROUTINES);
	profile_deinit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost),
		cmocka_unit_test(largest_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
