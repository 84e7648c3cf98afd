/*
 * Leaked goroutines: those that nothing can ever wake.
 *
 * Who waits for a channel, a lock, a WaitGroup or a Cond can be woken only by somebody who reaches
 * that object.  All is marked from the roots, but for the stacks of such goroutines; when the
 * object that one of them waits for is marked, its stack is a root, too.  Who is left is leaked.
 * This is what Go 1.27's goroutineleak profile does (runtime/mgc.go, findGoroutineLeaks), from
 * outside and for every release.
 *
 * As there, what is not in the heap counts as reached; a goroutine that waits for the runtime, a
 * timer or the network is never leaked; and the main goroutine in `select {}` is not told of,
 * though it wakes nobody.  The sudog by which a goroutine waits for a semaphore is in the runtime's
 * table of all waiters: its pointer to the semaphore is no way there.  Other than in Go, neither
 * are the goroutine's own deferred calls, which run when it has been woken.
 *
 * The marking ends as soon as no goroutine is left to find: where nothing is leaked it is short.
 */
#include "heap/report/leaked.h"

#include <string.h>

#include "base/huge.h"
#include "base/intr.h"
#include "base/search.h"

enum { NONE = UINT32_MAX };

/* An object that a goroutine waits for. */
struct watcher {
	uint32_t g;    /* index of the goroutine */
	uint32_t next; /* of the same object; NONE */
};

VEC_NAMED(scan_ids, uint32_t);
VEC_NAMED(root_ids, uint32_t);

struct leak_search {
	struct captured *h;
	uint8_t *asleep;          /* by goroutine: it waits for objects of which none is reached */
	uint64_t nasleep, nfound; /* of them: those whose reach decides, and those now awake */
	uint8_t *seen;            /* a bit per object id */
	struct map64 watched;     /* object id -> the last watcher */
	VEC(struct watcher) watchers;
	struct map64 sleepers; /* object id of a g that is asleep */
	struct map64 sudogs;   /* object ids of semaphores' sudogs */
	uint64_t sudog_size;   /* of their slots */
	struct root_ids roots; /* of goroutines, sorted by them */
	struct scan_ids now, next;
	VEC(uint32_t) woken; /* goroutines */
};

static void leak_search_deinit(struct leak_search *s)
{
	free(s->asleep);
	free(s->seen);
	map64_deinit(&s->watched);
	map64_deinit(&s->sleepers);
	map64_deinit(&s->sudogs);
	vec_deinit(&s->watchers);
	vec_deinit(&s->roots);
	vec_deinit(&s->now);
	vec_deinit(&s->next);
	vec_deinit(&s->woken);
}

/* *id is the object that addr is in; false: it is in none that is alive. */
static bool object_at(const struct captured *h, uint64_t addr, const struct span **sp, uint32_t *id)
{
	uint32_t index;

	*sp = spans_find(&h->spans, addr);
	if (!*sp)
		return false;
	index = span_index(*sp, addr);
	*id = (*sp)->first_id + index;
	return span_alive(*sp, index);
}

/* ------------------------------------------------------------------ who sleeps */

static struct err *watch(struct leak_search *s, uint32_t g, uint32_t object)
{
	uint64_t *slot;
	bool is_new;

	TRY(map64_put(&s->watched, object, NONE, &slot, &is_new));
	TRY(vec_push(&s->watchers, ((struct watcher){ g, (uint32_t)*slot })));
	*slot = s->watchers.n - 1;
	return NULL;
}

/* Whether one of what g waits for is not in the heap, and so counts as reached. */
static bool waits_outside(const struct captured *h, const struct wait *w)
{
	const struct span *sp;
	uint32_t id;

	for (size_t i = 0; i < w->on.n; i++)
		if (!object_at(h, w->on.v[i], &sp, &id))
			return true;
	return false;
}

static struct err *put_asleep(struct leak_search *s, uint32_t g, const struct wait *w)
{
	const struct goroutine *gs = s->h->stacks.gs.v;
	const struct span *sp;
	uint32_t id;

	if (w->kind == WAIT_ELSE || waits_outside(s->h, w) ||
	    !object_at(s->h, gs[g].addr, &sp, &id))
		return NULL;
	s->asleep[g] = 1;
	s->nasleep += w->kind == WAIT_OBJECTS;
	TRY(map64_put(&s->sleepers, id, g, &(uint64_t *){ NULL }, NULL));
	for (size_t i = 0; i < w->on.n; i++) {
		object_at(s->h, w->on.v[i], &sp, &id);
		TRY(watch(s, g, id));
	}
	if (w->sudog && object_at(s->h, w->sudog, &sp, &id)) {
		s->sudog_size = sp->elemsize;
		TRY(map64_put(&s->sudogs, id, 0, &(uint64_t *){ NULL }, NULL));
	}
	return NULL;
}

static struct err *find_sleepers(struct leak_search *s, struct waiting *waiting)
{
	const struct goroutines *gs = &s->h->stacks.gs;
	struct wait w = { 0 };
	struct err *err = NULL;

	for (uint32_t i = 0; i < gs->n && !err; i++) {
		if (!(i & 0xfff))
			err = intr_check();
		if (!err)
			err = waiting_for(waiting, &gs->v[i], &w);
		if (!err)
			err = put_asleep(s, i, &w);
	}
	vec_deinit(&w.on);
	return err;
}

/* ------------------------------------------------------------------ marking */

/* The goroutine whose stack a root is of; NONE. */
static uint32_t goroutine_of(const struct captured *h, uint32_t root)
{
	const struct root *r = &h->roots.v[root];

	return r->frame == UINT32_MAX ? NONE : h->stacks.frames.v[r->frame].g;
}

static struct err *wake_watchers(struct leak_search *s, uint32_t object)
{
	const uint64_t *last = map64_get(&s->watched, object);

	for (uint32_t i = last ? (uint32_t)*last : NONE; i != NONE; i = s->watchers.v[i].next) {
		uint32_t g = s->watchers.v[i].g;

		if (!s->asleep[g])
			continue;
		s->asleep[g] = 0;
		s->nfound++;
		TRY(vec_push(&s->woken, g));
	}
	return NULL;
}

static struct err *reach(struct leak_search *s, uint64_t value)
{
	const struct span *sp;
	const uint64_t *g;
	uint32_t id;

	if (!object_at(s->h, value, &sp, &id) || (s->seen[id >> 3] >> (id & 7) & 1))
		return NULL;
	if (sp->scheduler) {
		g = map64_get(&s->sleepers, id);
		if (g && s->asleep[*g])
			return NULL; /* it is entered when it is woken */
	}
	s->seen[id >> 3] |= (uint8_t)(1 << (id & 7));
	TRY(wake_watchers(s, id));
	return sp->ptrs == SPAN_NOSCAN ? NULL :
					 vec_push(&s->next, sp->first_scan + (id - sp->first_id));
}

static struct err *expand(struct leak_search *s, uint32_t scan)
{
	const struct proc *p = &s->h->proc;
	const struct span *sp = spans_of_scan(&s->h->spans, scan);
	uint32_t index = scan - sp->first_scan;
	uint64_t word, skip = UINT64_MAX;
	struct ptr_iter it;
	bool bad = false;

	if (!ptr_iter_init(&it, p, &s->h->masks, sp, index, &bad))
		return NULL;
	if (s->sudog_size == sp->elemsize && map64_get(&s->sudogs, sp->first_id + index))
		skip = layout_off(&p->layout, L_sudog_elem) / p->fmt.word;
	ptr_iter_touch(&it, p->img, 0);
	while (ptr_iter_next(&it, &word))
		if (word != skip)
			TRY(reach(s, ptr_iter_value(&it, p->fmt, word)));
	return NULL;
}

struct by_goroutine {
	const struct captured *h;
	const struct root_ids *roots;
	uint32_t g;
};

static bool root_reached(const void *arg, size_t i)
{
	const struct by_goroutine *k = arg;

	return goroutine_of(k->h, k->roots->v[i]) >= k->g;
}

/* What a woken goroutine's stack, and it itself, lead to. */
static struct err *enter_goroutine(struct leak_search *s, uint32_t g)
{
	struct captured *h = s->h;
	size_t i =
		search_first(s->roots.n, root_reached, &(struct by_goroutine){ h, &s->roots, g });

	TRY(reach(s, h->stacks.gs.v[g].addr));
	for (; i < s->roots.n && goroutine_of(h, s->roots.v[i]) == g; i++)
		TRY(reach(s, h->roots.v[s->roots.v[i]].value));
	return NULL;
}

static int root_cmp(const void *a, const void *b, void *arg)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	uint32_t g = goroutine_of(arg, x), k = goroutine_of(arg, y);

	if (g != k)
		return g < k ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* The roots of who sleeps are kept; of who is woken meanwhile some may be entered twice. */
static struct err *enter_roots(struct leak_search *s)
{
	struct captured *h = s->h;

	for (uint32_t i = 0; i < h->roots.n; i++) {
		uint32_t g = goroutine_of(h, i);

		if (g != NONE && s->asleep[g])
			TRY(vec_push(&s->roots, i));
		else
			TRY(reach(s, h->roots.v[i].value));
	}
	if (s->roots.n > 1)
		qsort_r(s->roots.v, s->roots.n, sizeof(*s->roots.v), root_cmp, h);
	return NULL;
}

static struct err *mark_level(struct leak_search *s)
{
	struct scan_ids level = s->next;

	s->next = s->now;
	s->next.n = 0;
	s->now = level;
	for (size_t i = 0; i < s->now.n; i++) {
		if (!(i & 0xffff))
			TRY(intr_check());
		TRY(expand(s, s->now.v[i]));
	}
	return NULL;
}

static struct err *mark_all(struct leak_search *s)
{
	TRY(enter_roots(s));
	while ((s->next.n || s->woken.n) && s->nfound < s->nasleep) {
		while (s->woken.n)
			TRY(enter_goroutine(s, s->woken.v[--s->woken.n]));
		TRY(mark_level(s));
	}
	return NULL;
}

/* ------------------------------------------------------------------ the verdict */

/* runtime.main's goroutine in `select {}`: a server's way to stay. */
static bool is_patient_main(struct waiting *w, const struct goroutine *g)
{
	const char *reason = waiting_reason(w, g);

	return g->goid == 1 && reason && !strcmp(reason, "select (no cases)");
}

struct err *leaked_find(struct captured *h, struct waiting *w, struct leaked *ret)
{
	_cleanup_(leak_search_deinit) struct leak_search s = { .h = h };
	const struct goroutines *gs = &h->stacks.gs;

	s.asleep = calloc(gs->n + 1, 1);
	s.seen = calloc(h->spans.nids / 8 + 1, 1);
	ret->lost = calloc(gs->n + 1, 1);
	if (!s.asleep || !s.seen || !ret->lost)
		return err_nomem();
	huge_empty(s.seen, h->spans.nids / 8);
	TRY(find_sleepers(&s, w));
	if (s.nasleep)
		TRY(mark_all(&s));
	for (size_t i = 0; i < gs->n; i++) {
		if (!s.asleep[i] || is_patient_main(w, &gs->v[i]))
			continue;
		ret->lost[i] = 1;
		ret->n++;
	}
	return NULL;
}
