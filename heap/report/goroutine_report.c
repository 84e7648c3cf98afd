/*
 * Groups of goroutines.  Those with the same state, creator and functions on their stacks are one
 * group, found by a hash over all of these; what each group alone keeps alive heap/report/alone.c
 * counts.  Goroutines that run finalizers and cleanups are looked for by the runtime's functions at
 * the bottom of their stacks.
 */
#include "heap/report/goroutine_heap.h"

#include <stdlib.h>
#include <string.h>

#include "heap/report/leaked.h"

struct grouping {
	struct captured *h;
	struct goroutine_report *r;
	uint64_t now;
	struct waiting waiting;
	struct leaked leaked;
	struct map64 by_hash; /* hash of state, creator and stack -> a group's index */
	struct map64 of_g;    /* index of a goroutine -> index of its group */
};

static void grouping_deinit(struct grouping *x)
{
	waiting_deinit(&x->waiting);
	leaked_deinit(&x->leaked);
	map64_deinit(&x->by_hash);
	map64_deinit(&x->of_g);
}

/* ------------------------------------------------------------------ states */

static const char *state_name(struct grouping *x, const struct goroutine *g)
{
	switch (g->status) {
	case G_RUNNABLE:
		return "runnable";
	case G_RUNNING:
		return "running";
	case G_SYSCALL:
		return "in a system call";
	case G_WAITING:
	case G_LEAKED: /* a mark of Go 1.27's own profile */
		return waiting_reason(&x->waiting, g);
	case G_COPYSTACK:
		return "its stack being moved";
	case G_PREEMPTED:
		return "preempted";
	default:
		return "in an unknown state";
	}
}

/* The newest time that the runtime has noted anywhere: the capture is not older. */
static uint64_t newest_time(const struct captured *h)
{
	const struct proc *p = &h->proc;
	uint64_t now = 0, v;

	if (p->var.sched && proc_get_try(p, p->var.sched, L_schedt_lastpoll, &v) && v < INT64_MAX)
		now = v;
	if (p->var.memstats && proc_get_try(p, p->var.memstats, L_mstats_last_gc_nanotime, &v) &&
	    v > now && v < INT64_MAX)
		now = v;
	for (size_t i = 0; i < h->stacks.gs.n; i++)
		if (!goroutine_is_dead(&h->stacks.gs.v[i]) &&
		    proc_get_try(p, h->stacks.gs.v[i].addr, L_g_waitsince, &v) && v > now &&
		    v < INT64_MAX)
			now = v;
	return now;
}

static uint64_t waited(const struct proc *p, const struct goroutine *g, uint64_t now)
{
	uint64_t since;

	if (g->status != G_WAITING || !proc_get_try(p, g->addr, L_g_waitsince, &since) || !since ||
	    since >= now)
		return 0;
	return now - since;
}

/* ------------------------------------------------------------------ groups */

static const char *creator(struct proc *p, const struct goroutine *g)
{
	const struct func *f = NULL;
	uint64_t pc;
	struct err *err;

	if (!proc_get_try(p, g->addr, L_g_gopc, &pc) || !pc)
		return NULL;
	err = func_find(p, pc, &f);
	err_destroy(err);
	/* The main goroutine and the runtime's first ones were made before there were any. */
	return f && strcmp(f->name, "runtime.newproc") ? f->name : NULL;
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	return (h ^ v) * 0x9e3779b97f4a7c15ull;
}

static const struct func *frame_func(const struct captured *h, const struct goroutine *g,
				     uint32_t outer)
{
	return h->stacks.frames.v[g->first_frame + g->nframes - 1 - outer].func;
}

static enum goroutine_verdict verdict_of(const struct grouping *x, const struct goroutine *g)
{
	if (x->leaked.lost[g - x->h->stacks.gs.v])
		return VERDICT_LEAKED;
	return g->status == G_WAITING || g->status == G_LEAKED ? VERDICT_WAITING : VERDICT_RUNNING;
}

static bool fits(const struct grouping *x, const struct goroutine_group *gg,
		 const struct goroutine *g, const char *state, const char *by)
{
	if (gg->nframes != g->nframes || strcmp(gg->state, state) || gg->created_by != by ||
	    gg->verdict != verdict_of(x, g))
		return false;
	for (uint32_t i = 0; i < g->nframes; i++)
		if (gg->frames[i] != frame_func(x->h, g, i)->name)
			return false;
	return true;
}

static struct err *new_group(struct grouping *x, const struct goroutine *g, const char *state,
			     const char *by)
{
	struct goroutine_group gg = {
		.goid = g->goid,
		.state = state,
		.verdict = verdict_of(x, g),
		.created_by = by,
		.nframes = g->nframes,
		.order = (uint32_t)x->r->groups.n,
	};
	const char **frames = arena_alloc(&x->r->arena, (g->nframes + 1) * sizeof(*frames));

	if (!frames)
		return err_nomem();
	for (uint32_t i = 0; i < g->nframes; i++)
		frames[i] = frame_func(x->h, g, i)->name;
	gg.frames = frames;
	return vec_push(&x->r->groups, gg);
}

/* The group's index; a new one is made if there is none. */
static struct err *find_group(struct grouping *x, const struct goroutine *g, const char *state,
			      size_t *ret)
{
	const char *by = creator(&x->h->proc, g);
	uint64_t hash = mix(mix(verdict_of(x, g), (uintptr_t)by), g->nframes), *slot;
	bool is_new;

	for (const char *c = state; *c; c++)
		hash = mix(hash, (uint8_t)*c);
	for (uint32_t k = 0; k < g->nframes; k++)
		hash = mix(hash, (uintptr_t)frame_func(x->h, g, k)->name);
	for (;; hash++) { /* where unequal groups have equal hashes the next slot is tried */
		TRY(map64_put(&x->by_hash, hash, x->r->groups.n, &slot, &is_new));
		if (is_new)
			TRY(new_group(x, g, state, by));
		else if (!fits(x, &x->r->groups.v[*slot], g, state, by))
			continue;
		*ret = *slot;
		return NULL;
	}
}

static struct err *add_goroutine(struct grouping *x, size_t i)
{
	const struct goroutine *g = &x->h->stacks.gs.v[i];
	uint64_t wait = waited(&x->h->proc, g, x->now);
	const char *state = state_name(x, g);
	struct goroutine_group *gg;
	size_t at;

	if (!state)
		return err_nomem();
	TRY(find_group(x, g, state, &at));
	gg = &x->r->groups.v[at];
	gg->count++;
	gg->stack_bytes += g->hi - g->lo;
	if (g->goid < gg->goid)
		gg->goid = g->goid;
	if (wait && (!gg->wait_min_ns || wait < gg->wait_min_ns))
		gg->wait_min_ns = wait;
	if (wait > gg->wait_max_ns)
		gg->wait_max_ns = wait;
	return map64_put(&x->of_g, i, at, &(uint64_t *){ NULL }, NULL);
}

/* ------------------------------------------------------------------ finalizers */

static struct err *add_worker(struct grouping *x, const struct goroutine *g)
{
	struct finalizer_worker w = { .goid = g->goid, .wait_ns = waited(&x->h->proc, g, x->now) };
	uint32_t at = UINT32_MAX;

	for (uint32_t i = 0; i < g->nframes && at == UINT32_MAX; i++) {
		const char *name = frame_func(x->h, g, i)->name;

		if (!strcmp(name, "runtime.runfinq") || !strcmp(name, "runtime.runFinalizers"))
			at = i;
		if (!strcmp(name, "runtime.runCleanups")) {
			at = i;
			w.cleanups = true;
		}
		if (i > 2)
			break;
	}
	if (at == UINT32_MAX)
		return NULL;
	w.state = state_name(x, g);
	for (uint32_t i = at + 1; i < g->nframes; i++) {
		const struct func *f = frame_func(x->h, g, i);

		if (f->in_runtime || !strncmp(f->name, "reflect.", 8) ||
		    !strncmp(f->name, "internal/", 9) || !strncmp(f->name, "sync.", 5) ||
		    strstr(f->name, ".runtime_"))
			continue;
		if (!w.function)
			w.function = f->name;
		w.blocked_in = f->name;
	}
	w.busy = w.function;
	return w.state ? vec_push(&x->r->workers, w) : err_nomem();
}

/* ------------------------------------------------------------------ the report */

static int group_cmp(const void *a, const void *b)
{
	const struct goroutine_group *x = a, *y = b;

	if (x->alone.bytes != y->alone.bytes)
		return x->alone.bytes < y->alone.bytes ? 1 : -1;
	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	if (x->goid != y->goid)
		return x->goid < y->goid ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static struct err *report_fill(struct grouping *x, bool groups)
{
	const struct stacks *s = &x->h->stacks;
	struct goroutine_report *r = x->r;

	if (groups)
		TRY(leaked_find(x->h, &x->waiting, &x->leaked));
	r->leaked = x->leaked.n;
	for (size_t i = 0; i < s->gs.n; i++) {
		if (goroutine_is_dead(&s->gs.v[i]))
			continue;
		TRY(add_worker(x, &s->gs.v[i]));
		if (groups)
			TRY(add_goroutine(x, i));
	}
	if (!groups)
		return NULL;
	TRY(alone_count(x->h, &x->of_g, &r->groups));
	if (r->groups.n)
		qsort(r->groups.v, r->groups.n, sizeof(*r->groups.v), group_cmp);
	r->grouped = true;
	return NULL;
}

struct err *goroutine_report_make(struct captured *h, bool groups, uint64_t now_ns,
				  struct goroutine_report *r)
{
	_cleanup_(grouping_deinit) struct grouping x = { .h = h, .r = r, .now = newest_time(h) };

	x.waiting = (struct waiting){
		.p = &h->proc, .spans = &h->spans, .stacks = &h->stacks, .arena = &r->arena
	};

	if (now_ns > x.now)
		x.now = now_ns;
	return err_wrapf(report_fill(&x, groups), "grouping goroutines");
}
