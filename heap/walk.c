#include "heap/walk.h"

#include <stdlib.h>
#include <string.h>

#include "base/intr.h"
#include "heap/walk_thread.h"

enum {
	AHEAD = 16,    /* objects */
	TOUCH = 1 << 12, /* of a large object, at a time */
	CHECK_EVERY = 200000, /* pointers */
};

/* ------------------------------------------------------------------ a batch */

void walk_look_up(const struct walk *w, struct walk_batch *b)
{
	const struct spans *s = &w->h->spans;
	size_t n = b->n;

	for (size_t i = 0; i < n; i++) {
		struct walk_ptr *p = &b->v[i];

		p->sp = spans_page(s, p->value);
		if (p->sp)
			__builtin_prefetch(p->sp);
	}
	for (size_t i = 0; i < n; i++) {
		struct walk_ptr *p = &b->v[i];

		if (!p->sp)
			continue;
		if (p->value < p->sp->base || p->value >= p->sp->limit) {
			p->sp = NULL;
			continue;
		}
		p->index = span_index(p->sp, p->value);
		__builtin_prefetch(&p->sp->alive[p->index >> 3]);
	}
	for (size_t i = 0; i < n; i++) {
		struct walk_ptr *p = &b->v[i];

		if (p->sp && !span_alive(p->sp, p->index))
			p->sp = NULL;
	}
}

static struct err *check(struct walk *w)
{
	w->since_check = 0;
	if (w->h->progress)
		w->h->progress(w->h->progress_arg, w->phase, w->objects, w->h->spans.nids);
	return intr_check();
}

struct err *walk_visit(struct walk *w, struct walk_batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct walk_ptr *p = &b->v[i];

		if (p->sp)
			__builtin_prefetch(&w->seen[(p->sp->first_id + p->index) >> 3]);
		if (p->first && p->holder != WALK_ROOT)
			__builtin_prefetch(&w->by_scan[p->holder]);
	}
	w->since_check += b->n;
	if (w->since_check > CHECK_EVERY) {
		struct err *err = check(w);

		if (err)
			return err;
	}
	return w->visit(w, b->v, b->n);
}

/* The sink of what is walked here and now. */
static struct err *visit_now(struct walk_sink *s)
{
	struct err *err;

	walk_look_up(s->w, s->b);
	err = walk_visit(s->w, s->b);
	s->b->n = 0;
	return err;
}

static struct err *put(struct walk_sink *s, const struct walk_ptr *p)
{
	s->b->v[s->b->n++] = *p;
	return s->b->n == WALK_BATCH ? s->full(s) : NULL;
}

/* All pointers of one object, slot `index` of sp. */
static struct err *expand(struct walk_sink *s, const struct span *sp, uint32_t scan_id, uint32_t root, uint32_t tag,
			  bool again)
{
	struct walk *w = s->w;
	const struct proc *p = &w->h->proc;
	uint32_t index = scan_id - sp->first_scan;
	uint64_t slot = span_slot(sp, index), word;
	struct walk_ptr ptr = { .holder = scan_id, .root = root, .tag = tag, .first = true };
	uint64_t touched = 0;
	struct ptr_iter it;
	bool bad = false;
	struct err *err = NULL;

	if (!ptr_iter_init(&it, p, &w->masks, sp, index, &bad)) {
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
		err = put(s, &ptr);
		ptr.first = false;
	}
	return err;
}

struct err *walk_again(struct walk *w, uint32_t scan_id)
{
	struct err *err = expand(&w->sink, spans_of_scan(&w->h->spans, scan_id), scan_id, 0, 0, true);

	return err ? err : visit_now(&w->sink);
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

/*
 * Some entries ahead of the one that is expanded its span is looked up, and then its contents are asked for, so that
 * both are there when its turn comes.
 */
struct err *walk_expand_level(struct walk *w, struct walk_sink *s)
{
	enum { RING = 4 * AHEAD };
	const struct span *ring[RING];
	size_t run = 0, n = w->now.n;
	struct err *err = NULL;

	for (size_t i = 0; i < n + 2 * AHEAD && !err; i++) {
		if (i < n) {
			const struct span *sp = spans_of_scan(&w->h->spans, (uint32_t)(w->now.v[i] >> 32));

			ring[i % RING] = sp;
			__builtin_prefetch(sp);
		}
		if (i >= AHEAD && i - AHEAD < n) {
			const struct span *sp = ring[(i - AHEAD) % RING];
			uint32_t id = (uint32_t)(w->now.v[i - AHEAD] >> 32);

			span_prefetch(sp, id - sp->first_scan);
		}
		if (i >= 2 * AHEAD) {
			size_t k = i - 2 * AHEAD;

			while (k >= w->now_runs.v[run].end)
				run++;
			err = expand(s, ring[k % RING], (uint32_t)(w->now.v[k] >> 32), w->now_runs.v[run].root,
				     (uint32_t)w->now.v[k], false);
		}
	}
	return err;
}

/* Everything that the frontier leads to, level by level. */
static struct err *walk_levels(struct walk *w)
{
	struct err *err = visit_now(&w->sink);

	while (!err && w->next.n) {
		swap_frontiers(w);
		if (w->now.n > w->widest)
			w->widest = w->now.n;
		err = frontier_sort(w);
		if (!err && w->thread && w->now.n >= WALK_THREAD_LEVEL) {
			err = walk_thread_level(w->thread);
		} else if (!err) {
			err = walk_expand_level(w, &w->sink);
			if (!err)
				err = visit_now(&w->sink);
		}
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

		err = put(&w->sink, &(struct walk_ptr){ .value = r->r.value, .addr = r->r.addr, .holder = WALK_ROOT,
						  .root = (uint32_t)*at, .first = true });
	}
	if (!err)
		err = walk_levels(w);
	if (pass == PASS_RUNTIME)
		for (size_t i = 0; i < w->later.n && !err; i++) {
			err = put(&w->sink, &w->later.v[i]);
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
	w->batch = calloc(1, sizeof(*w->batch));
	if (!w->seen || !w->batch)
		return err_nomem();
	w->sink = (struct walk_sink){ w, w->batch, visit_now };
	w->thread = walk_thread_start(w);
	for (uint8_t pass = 0; pass < PASS_N && !err; pass++)
		err = walk_pass(w, &at, pass);
	return err;
}

void walk_deinit(struct walk *w)
{
	walk_thread_end(w->thread);
	free(w->seen);
	free(w->batch);
	gcmasks_deinit(&w->masks);
	vec_deinit(&w->now);
	vec_deinit(&w->next);
	vec_deinit(&w->now_runs);
	vec_deinit(&w->next_runs);
	vec_deinit(&w->later);
}
