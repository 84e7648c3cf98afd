/*
 * The graph of objects: dominators and what classes of roots alone keep, against what a naive
 * reader finds, who takes each vertex out and looks what can still be reached.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rank.h"
#include "heap/graph/digraph.h"
#include "heap/graph/dominator.h"
#include "tests/unit/check.h"

enum { MAX = 48 };

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(random_state >> 33) % n;
}

/* The same graph for both. */
struct plain {
	uint32_t n;
	bool edge[MAX][MAX];
};

static void plain_random(struct plain *p, uint32_t n, uint32_t edges)
{
	memset(p, 0, sizeof(*p));
	p->n = n;
	for (uint32_t i = 0; i < edges; i++)
		p->edge[random_below(n)][random_below(n)] = true;
}

static void plain_load(const struct plain *p, struct digraph *g)
{
	ok(digraph_init(g, p->n));
	/* rows come in any order */
	for (uint32_t i = 0; i < p->n; i++) {
		uint32_t from = (i * 7 + 3) % p->n;

		if (p->n % 7 == 0)
			from = i;
		for (uint32_t to = 0; to < p->n; to++)
			if (p->edge[from][to])
				ok(digraph_edge(g, from, to));
	}
}

static void reach(const struct plain *p, uint32_t from, uint32_t without, bool *seen)
{
	uint32_t todo[MAX * MAX], n = 0;

	if (from == without || seen[from])
		return;
	seen[from] = true;
	todo[n++] = from;
	while (n) {
		uint32_t v = todo[--n];

		for (uint32_t to = 0; to < p->n; to++)
			if (p->edge[v][to] && to != without && !seen[to]) {
				seen[to] = true;
				todo[n++] = to;
			}
	}
}

/* From the top, and from all that it does not lead to, as dominators_find() has it: the lowest
 * vertex first. */
static void plain_complete(struct plain *p)
{
	bool seen[MAX] = { false };

	reach(p, 0, MAX, seen);
	for (uint32_t v = 1; v < p->n; v++) {
		if (seen[v])
			continue;
		p->edge[0][v] = true;
		reach(p, v, MAX, seen);
	}
}

static bool dominates(const struct dominators *d, uint32_t v, uint32_t w)
{
	uint32_t a = d->position[v], b = d->position[w];

	return a <= b && b < d->end[a];
}

static void check_tree(const struct dominators *d)
{
	for (uint32_t at = 1; at < d->n; at++) {
		assert_true(d->parent[at] < at);
		assert_true(d->end[at] > at && d->end[at] <= d->end[d->parent[at]]);
		assert_int_equal(d->position[d->vertex[at]], at);
	}
}

static void check_dominators(struct plain *p)
{
	struct digraph g;
	struct dominators d;

	plain_load(p, &g);
	plain_complete(p);
	ok(dominators_find(&g, &d));
	digraph_deinit(&g);
	assert_int_equal(d.n, p->n);
	check_tree(&d);
	for (uint32_t v = 1; v < p->n; v++) {
		bool seen[MAX] = { false };

		reach(p, 0, v, seen);
		for (uint32_t w = 1; w < p->n; w++)
			if (dominates(&d, v, w) != (w == v || !seen[w]))
				fail_msg("%u of %u vertices: %u, %u", v, p->n, v, w);
	}
	dominators_deinit(&d);
}

static void dominators_of_random_graphs(void **state)
{
	for (uint32_t seed = 0; seed < 3000; seed++) {
		struct plain p;
		uint32_t n = 2 + seed % (MAX - 2);

		random_state = seed;
		plain_random(&p, n, random_below(3 * n) + n / 2);
		for (uint32_t i = 0; i < 1 + seed % 4; i++)
			p.edge[0][random_below(n)] = true;
		check_dominators(&p);
	}
}

/* The graph of Lengauer and Tarjan's paper; a chain with a second way in; a ring; a gate. */
static void dominators_of_known_shapes(void **state)
{
	static const char *const shapes[] = {
		"AB AC AD BA BD BE CF CG DL EH FI GI GJ HE HK IK JI KI KA LH",
		"AB BC CD DE EF AD",
		"AB BC CD DB CE",
		"AB AC BD CD DE DF DG EH FH GH",
		"AB BC CB CA BA",
	};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
		struct plain p = { 0 };

		for (const char *c = shapes[i]; *c; c += c[2] ? 3 : 2) {
			p.edge[c[0] - 'A'][c[1] - 'A'] = true;
			for (int k = 0; k < 2; k++)
				if ((uint32_t)(c[k] - 'A') >= p.n)
					p.n = (uint32_t)(c[k] - 'A') + 1;
		}
		check_dominators(&p);
	}
}

/* What would end a recursive search, and would take a quadratic one long: a chain of a million
 * whose links all lead to its first and its last. */
static void dominators_of_a_long_chain(void **state)
{
	enum { N = 1000000 };
	struct digraph g;
	struct dominators d;

	ok(digraph_init(&g, N));
	for (uint32_t v = 0; v < N - 2; v++) {
		ok(digraph_edge(&g, v, v + 1));
		if (v) {
			ok(digraph_edge(&g, v, 1));
			ok(digraph_edge(&g, v, N - 1));
		}
	}
	ok(dominators_find(&g, &d));
	digraph_deinit(&g);
	check_tree(&d);
	assert_int_equal(d.vertex[d.parent[d.position[N - 1]]], 1);
	assert_int_equal(d.vertex[d.parent[d.position[N - 2]]], N - 3);
	dominators_deinit(&d);
}

/* Roots are the last vertices; a class alone keeps what no root of another class leads to. */
static void owners_of_random_graphs(void **state)
{
	for (uint32_t seed = 0; seed < 2000; seed++) {
		struct plain p;
		struct digraph g;
		uint32_t n = 4 + seed % (MAX - 4), first, owner[MAX] = { 0 }, classes = 3;
		bool seen[4][MAX] = { { false } };

		random_state = seed;
		plain_random(&p, n, 2 * n);
		first = n - 1 - random_below(n / 2);
		for (uint32_t v = first; v < n; v++)
			owner[v] = 1 + random_below(classes);
		plain_load(&p, &g);
		/* roots lead on, but nothing leads to roots */
		for (uint32_t v = 0; v < n; v++)
			for (uint32_t w = first; w < n; w++)
				p.edge[v][w] = false;
		for (uint32_t v = first; v < n; v++)
			reach(&p, v, MAX, seen[owner[v]]);
		ok(digraph_own(&g, first, owner));
		digraph_deinit(&g);
		for (uint32_t v = 0; v < first; v++) {
			uint32_t by = 0, expected = 0;

			for (uint32_t c = 1; c <= classes; c++)
				if (seen[c][v]) {
					expected = by++ ? DIGRAPH_SEVERAL : c;
				}
			assert_int_equal(owner[v], expected);
		}
	}
}

static void ranks(void **state)
{
	uint8_t bits[40];
	struct rank r;
	uint64_t n = 0;

	random_state = 1;
	for (size_t i = 0; i < sizeof(bits); i++)
		bits[i] = (uint8_t)random_below(256);
	ok(rank_init(&r, bits, sizeof(bits) * 8));
	for (uint64_t i = 0; i < sizeof(bits) * 8; i++) {
		assert_int_equal(rank_has(&r, i), bits[i / 8] >> i % 8 & 1);
		if (rank_has(&r, i))
			assert_int_equal(rank_of(&r, i), n++);
	}
	assert_int_equal(r.n, n);
	rank_deinit(&r);
}

/* More than 32 bits can tell apart is an error before any room is taken. */
static void limits(void **state)
{
	struct digraph g;

	bad(digraph_init(&g, 1ull << 31), ERR_LIMIT);
	digraph_deinit(&g);
	bad(digraph_too_many(), ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dominators_of_random_graphs),
		cmocka_unit_test(dominators_of_known_shapes),
		cmocka_unit_test(dominators_of_a_long_chain),
		cmocka_unit_test(owners_of_random_graphs),
		cmocka_unit_test(ranks),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
