/*
 * What is used of a map or a slice.  Their memory grows in steps, which come seldom where they are
 * large, while what is in them grows all the time: len and capacity, entries and groups tell
 * (heap/report/waste.c).
 *
 * The waste report has the largest rows only.  A node that has none in a capture that has them all
 * uses all it has, but for less than the least of a row; in another capture nothing is known of it.
 */
#include "heap/report/growth_heap.h"

bool growth_used(const struct growth_tree *t, uint32_t node, uint64_t used[LIMIT_CAPTURES])
{
	const struct growth_set *s = t->set;
	bool any = false;

	for (size_t c = 0; c < t->n; c++) {
		struct growth_cell unused = growth_cell_at(&s->unused.v[c], node);
		uint64_t own = growth_own(t, c, node).bytes;

		if (!unused.there && s->unused_of.v[c] != UNUSED_OF_ALL)
			return false;
		if (unused.bytes > own)
			return false;
		used[c] = own - unused.bytes;
		any |= unused.there;
	}
	return any;
}
