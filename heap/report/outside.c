/*
 * Live bytes on pages without memory: a large array that was never written to, or memory that is in
 * swap.  They are counted page by page, and told by the root that has most of them.
 *
 * gdbserver up to 13 reads files up to 2 GB only, and since Go 1.26 heaps lie where pagemap has its
 * entries beyond.  And a page that was read only is present, though it has no memory of its own.
 * Of each mapping it is known how much of it is resident: what is live beyond that is not, a lower
 * bound.
 */
#include "heap/report/outside_heap.h"

#include <stdlib.h>
#include <string.h>

#include "base/search.h"

struct absence {
	const struct graph *g;
	const struct profile *p;
	struct outside *o;
	uint64_t *by_node; /* bytes */
};

struct range_key {
	const struct outside *o;
	uint64_t addr;
};

static bool range_behind(const void *arg, size_t i)
{
	const struct range_key *k = arg;

	return k->o->absent.v[i].addr > k->addr;
}

/* How many of the len bytes at addr are on absent pages. */
static uint64_t absent_bytes(const struct outside *o, uint64_t addr, uint64_t len)
{
	size_t i = search_first(o->absent.n, range_behind, &(struct range_key){ o, addr });
	const struct absent_pages *p;
	uint64_t sum = 0, end = addr + len;

	if (!i)
		return 0;
	p = &o->absent.v[i - 1];
	while (addr < end && (addr - p->addr) / ABSENT_PAGE < p->n) {
		uint64_t page = (addr - p->addr) / ABSENT_PAGE;
		uint64_t to = p->addr + (page + 1) * ABSENT_PAGE;

		if (to > end)
			to = end;
		if (p->bits[page / 8] >> page % 8 & 1)
			sum += to - addr;
		addr = to;
	}
	return sum;
}

static bool mapping_behind(const void *arg, size_t i)
{
	const struct range_key *k = arg;

	return k->o->arenas.v[i].start > k->addr;
}

static struct go_mapping *mapping_of(struct outside *o, uint64_t addr)
{
	size_t i = search_first(o->arenas.n, mapping_behind, &(struct range_key){ o, addr });

	return i && addr < o->arenas.v[i - 1].end ? &o->arenas.v[i - 1] : NULL;
}

static struct err *count_live(void *arg, uint32_t number, const struct span *sp, uint32_t index)
{
	struct absence *a = arg;
	struct go_mapping *m = mapping_of(a->o, span_slot(sp, index));

	if (m)
		m->live += sp->elemsize;
	return NULL;
}

/* Of mappings in which more is live than is resident. */
static struct err *count_excess(void *arg, uint32_t number, const struct span *sp, uint32_t index)
{
	struct absence *a = arg;
	const struct go_mapping *m = mapping_of(a->o, span_slot(sp, index));

	if (m && m->live > m->rss)
		a->by_node[a->g->nodes[number] & ~NAME_HIDDEN] += sp->elemsize;
	return NULL;
}

static struct err *count_object(void *arg, uint32_t number, const struct span *sp, uint32_t index)
{
	struct absence *a = arg;
	uint64_t bytes = absent_bytes(a->o, span_slot(sp, index), sp->elemsize);

	a->o->live_absent += bytes;
	a->by_node[a->g->nodes[number] & ~NAME_HIDDEN] += bytes;
	return NULL;
}

/* Sums up to the roots, and names the one with most; of its bytes so many may be resident. */
static struct err *name_root(struct absence *a, uint64_t resident)
{
	uint32_t best = 0;

	for (uint32_t i = (uint32_t)a->p->nodes.n; --i > 0;) {
		uint32_t above = a->p->nodes.v[i].parent;

		if (above && !a->p->nodes.v[above].group)
			a->by_node[above] += a->by_node[i];
		else if (!best || a->by_node[i] > a->by_node[best])
			best = i;
	}
	if (!best || a->by_node[best] <= resident)
		return NULL;
	a->o->absent_root_bytes = a->by_node[best] - resident;
	a->o->absent_root = strdup(a->p->frames.str[a->p->nodes.v[best].frame]);
	return a->o->absent_root ? NULL : err_nomem();
}

/* What the runtime has of the system beside its heap is anonymous memory, too, where the kernel
 * does not tell it by name. */
static void take_runtime(struct outside *o, const struct account *a)
{
	uint64_t own = a->mspan_sys + a->mcache_sys + a->buckhash_sys + account_gc_sys(a) +
		       a->other_sys + a->stack_sys_own;
	uint64_t more = own > o->runtime ? own - o->runtime : 0;

	if (!a->counters)
		return;
	more = more < o->anonymous ? more : o->anonymous;
	o->runtime += more;
	o->anonymous -= more;
}

/* What is live beyond what is resident; returns what is resident in such mappings. */
static uint64_t beyond_resident(const struct outside *o, uint64_t *beyond)
{
	uint64_t resident = 0;

	*beyond = 0;
	for (size_t i = 0; i < o->arenas.n; i++) {
		const struct go_mapping *m = &o->arenas.v[i];

		if (m->live <= m->rss)
			continue;
		*beyond += m->live - m->rss;
		resident += m->rss;
	}
	return resident;
}

struct err *outside_count(const struct graph *g, const struct profile *p, struct report *r)
{
	_cleanup_free_ uint64_t *by_node = NULL;
	struct absence a = { g, p, &r->outside, NULL };
	uint64_t resident, beyond;

	if (!r->outside.known)
		return NULL;
	take_runtime(&r->outside, &r->account);
	a.by_node = by_node = calloc(p->nodes.n + 1, sizeof(*by_node));
	if (!by_node)
		return err_nomem();
	if (r->outside.absent_known)
		TRY(graph_each(g, count_object, &a));
	TRY(graph_each(g, count_live, &a));
	resident = beyond_resident(&r->outside, &beyond);
	if (beyond > r->outside.live_absent) {
		r->outside.absent_known = false;
		r->outside.live_absent = beyond;
		memset(by_node, 0, p->nodes.n * sizeof(*by_node));
		TRY(graph_each(g, count_excess, &a));
		return name_root(&a, resident);
	}
	return name_root(&a, 0);
}
