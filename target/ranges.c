/*
 * Lists of address ranges are merged by sorting them, and searched by halving them.  No range wraps
 * around the address space once a list was merged, but one may end with it: ends are therefore
 * compared by the last byte.
 */
#include "target/ranges.h"

#include <stdlib.h>
#include <string.h>

#include "base/search.h"

/* Of two that begin at one address the longer one comes first, so that it holds what follows. */
static int range_cmp(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return x->len > y->len ? -1 : x->len < y->len;
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

struct range_key {
	const struct range *v;
	uint64_t addr;
};

static bool range_ends_behind(const void *arg, size_t i)
{
	const struct range_key *key = arg;

	return key->v[i].addr + (key->v[i].len - 1) >= key->addr;
}

size_t ranges_lookup(const struct ranges *r, uint64_t addr)
{
	const struct range_key key = { r->v, addr };

	return search_first(r->n, range_ends_behind, &key);
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
	if (!from->n)
		return NULL;
	TRY(vec_reserve(to, from->n));
	memcpy(to->v + to->n, from->v, from->n * sizeof(*from->v));
	to->n += from->n;
	return NULL;
}
