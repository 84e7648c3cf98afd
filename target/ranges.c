#include "target/ranges.h"

#include <stdlib.h>
#include <string.h>

static int range_cmp(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

void ranges_sort(struct ranges *r)
{
	if (r->n > 1)
		qsort(r->v, r->n, sizeof(struct range), range_cmp);
}

void ranges_merge(struct ranges *r, uint64_t gap)
{
	size_t i, n = 0;

	for (i = 0; i < r->n; i++)
		if (r->v[i].len && r->v[i].addr + (r->v[i].len - 1) >= r->v[i].addr)
			r->v[n++] = r->v[i];
	r->n = n;
	if (n < 2)
		return;
	ranges_sort(r);
	for (i = 1, n = 0; i < r->n; i++) {
		struct range *last = &r->v[n], *x = &r->v[i];
		uint64_t end = last->addr + last->len, xend = x->addr + x->len;

		if (x->addr <= end || x->addr - end <= gap) {
			if (xend > end)
				last->len = xend - last->addr;
		} else {
			r->v[++n] = *x;
		}
	}
	r->n = n + 1;
}

size_t ranges_lookup(const struct ranges *r, uint64_t addr)
{
	size_t lo = 0, hi = r->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (r->v[mid].addr + (r->v[mid].len - 1) < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool ranges_hold(const struct ranges *r, uint64_t addr, uint64_t len)
{
	size_t i = ranges_lookup(r, addr);

	return i < r->n && r->v[i].addr <= addr && r->v[i].len - (addr - r->v[i].addr) >= len;
}

bool ranges_touch(const struct ranges *r, uint64_t addr, uint64_t len)
{
	size_t i = ranges_lookup(r, addr);

	return i < r->n && r->v[i].addr <= addr + (len - 1);
}
struct err *ranges_append(struct ranges *to, const struct ranges *from)
{
	struct err *err = vec_reserve(to, from->n);

	if (!err && from->n) {
		memcpy(to->v + to->n, from->v, from->n * sizeof(*from->v));
		to->n += from->n;
	}
	return err;
}
