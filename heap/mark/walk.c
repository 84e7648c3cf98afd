/*
 * The walk: levels, each sorted by (root, address), and batches of pointers within them.  Memory is
 * prefetched some entries ahead of the one that is expanded, since nearly every look misses the
 * caches.
 */
#include "heap/mark/walk.h"

#include <stdlib.h>
#include <string.h>

#include "base/intr.h"

enum {
	PENDING = 256,        /* pointers of a batch */
	AHEAD = 16,           /* objects */
	TOUCH = 1 << 12,      /* bytes of a large object, at a time */
	CHECK_EVERY = 100000, /* objects, between two looks for signals */
	RADIX_FROM = 4096,    /* entries of a root: fewer are sorted by comparison */
};

/* ------------------------------------------------------------------ a batch */

/* Where the batch leads, then what becomes of it. */
static struct err *walk_flush(struct walk *w)
{
	const struct spans *s = &w->h->spans;
	size_t n = w->npending;

	w->npending = 0;
	TRY(intr_check()); /* an object may have any number of pointers */
	for (size_t i = 0; i < n; i++) {
		struct walk_ptr *p = &w->pending[i];

		p->sp = spans_page(s, p->value);
		if (p->sp)
			__builtin_prefetch(p->sp);
	}
	for (size_t i = 0; i < n; i++) {
		struct walk_ptr *p = &w->pending[i];
		uint32_t id;

		if (!p->sp)
			continue;
		if (p->value < p->sp->base || p->value >= p->sp->limit) {
			p->sp = NULL;
			continue;
		}
		p->index = span_index(p->sp, p->value);
		id = p->sp->first_id + p->index;
		__builtin_prefetch(&w->seen[id >> 3]);
		__builtin_prefetch(&p->sp->alive[p->index >> 3]);
		if (p->sp->ptrs != SPAN_NOSCAN)
			__builtin_prefetch(&w->by_scan[p->sp->first_scan + p->index]);
	}
	for (size_t i = 0; i < n; i++) {
		struct walk_ptr *p = &w->pending[i];

		if (p->sp && !span_alive(p->sp, p->index))
			p->sp = NULL;
	}
	if (w->observe)
		TRY(w->observe(w->observer, w->pending, n));
	return w->visit(w, w->pending, n);
}

static struct err *pend(struct walk *w, const struct walk_ptr *p)
{
	w->pending[w->npending++] = *p;
	return w->npending == PENDING ? walk_flush(w) : NULL;
}

/* All pointers of one object, slot `index` of sp. */
static struct err *expand(struct walk *w, const struct span *sp, uint32_t scan_id, uint32_t root,
			  uint32_t tag, bool again)
{
	const struct proc *p = &w->h->proc;
	uint32_t index = scan_id - sp->first_scan;
	uint64_t slot = span_slot(sp, index), word;
	struct walk_ptr ptr = { .holder = scan_id, .root = root, .tag = tag, .first = true };
	uint64_t touched = 0;
	struct ptr_iter it;
	bool bad = false;

	if (!ptr_iter_init(&it, p, &w->h->masks, sp, index, &bad)) {
		if (bad && !again)
			w->unread++;
		return NULL;
	}
	ptr_iter_touch(&it, p->img, 0);
	while (ptr_iter_next(&it, &word)) {
		ptr.off = word * p->fmt.word;
		if (sp->elemsize > TOUCH && ptr.off / TOUCH != touched / TOUCH) {
			touched = ptr.off;
			ptr_iter_touch(&it, p->img, ptr.off);
		}
		ptr.value = ptr_iter_value(&it, p->fmt, word);
		if (ptr.value < MIN_LEGAL_POINTER)
			continue;
		ptr.addr = slot + ptr.off;
		TRY(pend(w, &ptr));
		ptr.first = false;
	}
	return NULL;
}

struct err *walk_again(struct walk *w, uint32_t scan_id)
{
	TRY(expand(w, spans_of_scan(&w->h->spans, scan_id), scan_id, 0, 0, true));
	return walk_flush(w);
}

/* ------------------------------------------------------------------ levels */

static int entry_cmp(const void *a, const void *b)
{
	walk_entry_t x = *(const walk_entry_t *)a, y = *(const walk_entry_t *)b;

	return x < y ? -1 : x > y;
}

/* By digits of the id, an even number of them, so that the result ends up where it began. */
static void entries_radix(walk_entry_t *v, walk_entry_t *tmp, size_t n, uint64_t nids)
{
	unsigned bits = 64 - (unsigned)__builtin_clzll(nids | 1), digits = bits <= 24 ? 2 : 4;
	unsigned width = (bits + digits - 1) / digits;

	for (unsigned d = 0; d < digits; d++) {
		unsigned shift = 32 + d * width, mask = (1u << width) - 1;
		size_t count[1 << 12] = { 0 }, sum = 0;
		walk_entry_t *t = v;

		for (size_t i = 0; i < n; i++)
			count[v[i] >> shift & mask]++;
		for (size_t i = 0; i <= mask; i++) {
			size_t c = count[i];

			count[i] = sum;
			sum += c;
		}
		for (size_t i = 0; i < n; i++)
			tmp[count[v[i] >> shift & mask]++] = v[i];
		v = tmp;
		tmp = t;
	}
}

/* Each root's entries by address.  What was the frontier before gives the room for it. */
static struct err *frontier_sort(struct walk *w)
{
	struct walk_entries *f = &w->now;
	size_t start = 0;

	for (size_t r = 0; r < w->now_runs.n; start = w->now_runs.v[r++].end) {
		walk_entry_t *v = f->v + start;
		size_t n = w->now_runs.v[r].end - start;
		bool sorted = true;

		for (size_t i = 1; i < n && sorted; i++)
			sorted = v[i - 1] <= v[i];
		if (sorted)
			continue;
		if (n < RADIX_FROM) {
			qsort(v, n, sizeof(*v), entry_cmp);
		} else {
			TRY(vec_reserve(&w->next, n));
			entries_radix(v, w->next.v, n, w->h->spans.nscan);
		}
	}
	return NULL;
}

static void swap_frontiers(struct walk *w)
{
	struct walk_entries t = w->now;
	struct walk_runs r = w->now_runs;

	w->now = w->next;
	w->next = t;
	w->next.n = 0;
	w->now_runs = w->next_runs;
	w->next_runs = r;
	w->next_runs.n = 0;
}

static struct err *walk_check(struct walk *w)
{
	w->since_check = 0;
	if (w->h->progress)
		w->h->progress(w->h->progress_arg, w->phase, w->objects, w->h->spans.nids);
	return intr_check();
}

/*
 * Some entries ahead of the one that is expanded its span is looked up, and then its contents are
 * asked for, so that both are there when its turn comes.
 */
static struct err *expand_level(struct walk *w)
{
	enum { RING = 4 * AHEAD };
	const struct span *ring[RING];
	size_t run = 0, n = w->now.n;

	for (size_t i = 0; i < n + 3 * AHEAD; i++) {
		if (i < n) {
			const struct span *sp =
				spans_of_scan(&w->h->spans, (uint32_t)(w->now.v[i] >> 32));

			ring[i % RING] = sp;
			__builtin_prefetch(sp);
		}
		if (i >= AHEAD && i - AHEAD < n) {
			const struct span *sp = ring[(i - AHEAD) % RING];
			uint32_t id = (uint32_t)(w->now.v[i - AHEAD] >> 32);

			span_prefetch(sp, id - sp->first_scan);
			__builtin_prefetch(&w->by_scan[id]);
		}
		if (i >= 2 * AHEAD && i - 2 * AHEAD < n) {
			const struct span *sp = ring[(i - 2 * AHEAD) % RING];

			span_prefetch_packed(sp, (uint32_t)(w->now.v[i - 2 * AHEAD] >> 32) -
							 sp->first_scan);
		}
		if (i >= 3 * AHEAD) {
			size_t k = i - 3 * AHEAD;

			while (k >= w->now_runs.v[run].end)
				run++;
			TRY(expand(w, ring[k % RING], (uint32_t)(w->now.v[k] >> 32),
				   w->now_runs.v[run].root, (uint32_t)w->now.v[k], false));
			if (++w->since_check > CHECK_EVERY)
				TRY(walk_check(w));
		}
	}
	return walk_flush(w);
}

/* Everything that the frontier leads to, level by level. */
static struct err *walk_levels(struct walk *w)
{
	TRY(walk_flush(w));
	while (w->next.n) {
		swap_frontiers(w);
		if (w->now.n > w->widest)
			w->widest = w->now.n;
		TRY(frontier_sort(w));
		TRY(expand_level(w));
		if (w->level_done)
			TRY(w->level_done(w));
	}
	return NULL;
}

static int deferred_cmp(const void *a, const void *b)
{
	const struct walk_ptr *x = a, *y = b;

	if (x->root != y->root)
		return x->root < y->root ? -1 : 1;
	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* In the order of their roots, as all frontiers are. */
static struct err *walk_deferred(struct walk *w)
{
	if (w->deferred.n > 1)
		qsort(w->deferred.v, w->deferred.n, sizeof(*w->deferred.v), deferred_cmp);
	for (size_t i = 0; i < w->deferred.n; i++)
		TRY(pend(w, &w->deferred.v[i]));
	return walk_levels(w);
}

static struct err *walk_pass(struct walk *w, size_t *at, uint8_t pass)
{
	w->pass = pass;
	if (pass == PASS_BORROWED)
		return walk_deferred(w);
	for (; *at < w->nroots && w->roots[*at].pass == pass; ++*at) {
		const struct mark_root *r = &w->roots[*at];

		TRY(pend(w, &(struct walk_ptr){ .value = r->value,
						.addr = r->addr,
						.holder = WALK_ROOT,
						.root = (uint32_t)*at,
						.first = true }));
	}
	return walk_levels(w);
}

/* What was kept for the end: the ways into the scheduler's structures. */
static struct err *walk_kept(struct walk *w)
{
	for (size_t i = 0; i < w->later.n; i++) {
		TRY(pend(w, &w->later.v[i]));
		TRY(walk_levels(w));
	}
	return NULL;
}

struct err *walk_run(struct walk *w)
{
	size_t at = 0;

	w->seen = calloc(w->h->spans.nids / 8 + 1, 1);
	w->pending = malloc(PENDING * sizeof(*w->pending));
	if (!w->seen || !w->pending)
		return err_nomem();
	if (w->closed)
		memcpy(w->seen, w->closed, w->h->spans.nids / 8 + 1);
	for (uint8_t pass = 0; pass < PASS_N; pass++)
		TRY(walk_pass(w, &at, pass));
	return walk_kept(w);
}

void walk_deinit(struct walk *w)
{
	free(w->seen);
	free(w->pending);
	vec_deinit(&w->now);
	vec_deinit(&w->next);
	vec_deinit(&w->now_runs);
	vec_deinit(&w->next_runs);
	vec_deinit(&w->later);
	vec_deinit(&w->deferred);
}
