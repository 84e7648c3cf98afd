#include "heap/mark/walk.h"

#include <stdlib.h>
#include <string.h>

#include "base/intr.h"

enum {
	PENDING = 256,   /* pointers of a batch */
	AHEAD = 16,      /* objects */
	TOUCH = 1 << 12, /* of a large object, at a time */
};

/* ------------------------------------------------------------------ a batch */

/* Where the batch leads, then what becomes of it. */
static struct err *flush(struct walk *w)
{
	const struct spans *s = &w->h->spans;
	size_t n = w->npending;

	w->npending = 0;
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
	return w->visit(w, w->pending, n);
}

static struct err *pend(struct walk *w, const struct walk_ptr *p)
{
	w->pending[w->npending++] = *p;
	return w->npending == PENDING ? flush(w) : NULL;
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
	struct err *err = NULL;

	if (!ptr_iter_init(&it, p, &w->h->masks, sp, index, &bad)) {
		if (bad && !again)
			w->unread++;
		return NULL;
	}
	image_touch(p->img, it.data);
	while (!err && ptr_iter_next(&it, &word)) {
		ptr.off = word * p->fmt.word;
		if (sp->elemsize > TOUCH && ptr.off / TOUCH != touched / TOUCH) {
			touched = ptr.off;
			image_touch(p->img, it.data + ptr.off);
		}
		ptr.value = bytes_word(p->fmt, it.data + ptr.off);
		if (ptr.value < 4096)
			continue;
		ptr.addr = slot + ptr.off;
		err = pend(w, &ptr);
		ptr.first = false;
	}
	return err;
}

struct err *walk_again(struct walk *w, uint32_t scan_id)
{
	struct err *err = expand(w, spans_of_scan(&w->h->spans, scan_id), scan_id, 0, 0, true);

	return err ? err : flush(w);
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
		size_t count[4096] = { 0 }, sum = 0;
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
		if (n < 4096) {
			qsort(v, n, sizeof(*v), entry_cmp);
		} else {
			struct err *err = vec_reserve(&w->next, n);

			if (err)
				return err;
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

static struct err *check(struct walk *w)
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
	struct err *err = NULL;

	for (size_t i = 0; i < n + 2 * AHEAD && !err; i++) {
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
		if (i >= 2 * AHEAD) {
			size_t k = i - 2 * AHEAD;

			while (k >= w->now_runs.v[run].end)
				run++;
			err = expand(w, ring[k % RING], (uint32_t)(w->now.v[k] >> 32),
				     w->now_runs.v[run].root, (uint32_t)w->now.v[k], false);
			if (!err && ++w->since_check > 100000)
				err = check(w);
		}
	}
	return err ? err : flush(w);
}

/* Everything that the frontier leads to, level by level. */
static struct err *walk_levels(struct walk *w)
{
	struct err *err = flush(w);

	while (!err && w->next.n) {
		swap_frontiers(w);
		if (w->now.n > w->widest)
			w->widest = w->now.n;
		err = frontier_sort(w);
		if (!err)
			err = expand_level(w);
		if (!err && w->level_done)
			err = w->level_done(w);
	}
	return err;
}

static struct err *walk_pass(struct walk *w, size_t *at, uint8_t pass)
{
	struct err *err = NULL;

	w->pass = pass;
	for (; *at < w->nroots && w->roots[*at].pass == pass && !err; ++*at) {
		const struct mark_root *r = &w->roots[*at];

		err = pend(w, &(struct walk_ptr){ .value = r->r.value,
						  .addr = r->r.addr,
						  .holder = WALK_ROOT,
						  .root = (uint32_t)*at,
						  .first = true });
	}
	if (!err)
		err = walk_levels(w);
	if (pass == PASS_RUNTIME)
		for (size_t i = 0; i < w->later.n && !err; i++) {
			err = pend(w, &w->later.v[i]);
			if (!err)
				err = walk_levels(w);
		}
	return err;
}

struct err *walk_run(struct walk *w)
{
	struct err *err = NULL;
	size_t at = 0;

	w->seen = calloc(w->h->spans.nids / 8 + 1, 1);
	w->pending = malloc(PENDING * sizeof(*w->pending));
	if (!w->seen || !w->pending)
		return err_nomem();
	for (uint8_t pass = 0; pass < PASS_N && !err; pass++)
		err = walk_pass(w, &at, pass);
	return err;
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
}
