/*
 * The binary search that everything sorted is searched with, in the form of Go's sort.Search.
 *
 *	static bool ends_behind(const void *arg, size_t i) ...
 *	i = search_first(n, ends_behind, &key);
 */
#ifndef GRF_BASE_SEARCH_H
#define GRF_BASE_SEARCH_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The smallest i below n for which holds(arg, i) is true, n if there is none.  holds() must be
 * false up to some index and true from there on.  It is inlined where it is a constant.
 */
__attribute__((always_inline)) static inline size_t search_first(
	size_t n, bool (*holds)(const void *arg, size_t i), const void *arg)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (holds(arg, mid))
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

#endif
