/*
 * How a row of values grew.  Only what never shrank counts: a cache that fills and empties is no
 * leak, however much larger it is in the end.  And a growth of less than a thousandth of what there
 * is in an interval on the average is none: what a cache that is full by now has more of.
 */
#include <string.h>

#include "heap/report/growth_heap.h"

enum { SLIGHT = 1000 };

enum growth_way growth_way(const uint64_t *v, size_t n)
{
	uint64_t least = n > 1 && v[n - 1] > v[0] ? (v[n - 1] - v[0]) / (n - 1) / SLIGHT : 0;
	size_t ups = 0, there = 0;

	for (size_t i = 0; i < n; i++) {
		there += v[i] != 0;
		if (!i)
			continue;
		if (v[i] < v[i - 1])
			return GROWTH_NONE;
		ups += v[i] > v[i - 1] && v[i] - v[i - 1] >= least;
	}
	if (n < 2 || !ups)
		return GROWTH_NONE;
	/* from nothing, in one interval: it may as well be gone in the next */
	if (!v[0] && (n == 2 || ups < n - 1))
		return n == 2 || there > 1 ? GROWTH_APPEARED : GROWTH_NONE;
	if (ups == n - 1)
		return GROWTH_EVERY;
	/* a map or a slice that doubles */
	return ups > 1 && ups * 3 >= n - 1 ? GROWTH_STEPS : GROWTH_NONE;
}

struct growth_sum growth_sum(const struct growth *g, const struct amount *at, enum growth_way way)
{
	const struct amount *last = &at[g->captures.n - 1];
	struct growth_sum s = {
		.way = way,
		.bytes = (int64_t)(last->bytes - at[0].bytes),
		.objects = (int64_t)(last->objects - at[0].objects),
	};

	if (g->ns)
		s.bytes_per_minute = (double)s.bytes * 60e9 / (double)g->ns;
	return s;
}

int growth_sum_cmp(const struct growth_sum *a, const struct growth_sum *b)
{
	if (a->way != b->way)
		return a->way < b->way ? -1 : 1;
	if (a->bytes != b->bytes)
		return a->bytes > b->bytes ? -1 : 1;
	return a->objects > b->objects ? -1 : a->objects < b->objects;
}

const struct amount *growth_table_row(struct growth *g, const struct growth_columns *columns,
				      size_t row)
{
	struct amount *at = arena_alloc(&g->arena, columns->n * sizeof(*at));

	for (size_t i = 0; at && i < columns->n; i++) {
		struct growth_cell c = growth_cell_at(&columns->v[i], row);

		at[i] = (struct amount){ c.bytes, c.objects };
	}
	return at;
}
