#include "heap/profile/goroutine_report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "heap/report/goroutine_heap.h"

void goroutine_report_deinit(struct goroutine_report *r)
{
	vec_deinit(&r->groups);
	vec_deinit(&r->workers);
	arena_deinit(&r->arena);
}

enum { REASONS = 256 };

struct grouping {
	struct heap *h;
	struct goroutine_report *r;
	uint64_t now;
	const char *reasons[REASONS]; /* why goroutines wait, as asked for */
	struct map64 by_hash;         /* of what makes a group -> its index */
	struct map64 of_g;            /* index of a goroutine -> index of its group */
};

/* ------------------------------------------------------------------ states */

/* runtime.waitReasonStrings[reason]; without symbols its number. */
static const char *wait_reason(const struct proc *p, uint64_t reason, struct arena *arena)
{
	uint64_t at = p->var.waitReasons + reason * 2 * p->fmt.word, ptr, len;
	const uint8_t *s;

	if (!p->var.waitReasons || !proc_try_word(p, at, &ptr) ||
	    !proc_try_word(p, at + p->fmt.word, &len) || len > 64 ||
	    !(s = image_ptr(p->img, ptr, len, NULL)))
		return arena_printf(arena, "waiting, reason %" PRIu64, reason);
	return len ? arena_printf(arena, "%.*s", (int)len, (const char *)s) : "waiting";
}

static const char *state_name(struct grouping *x, const struct goroutine *g)
{
	const struct proc *p = &x->h->proc;
	uint64_t reason;

	switch (g->status) {
	case G_RUNNABLE:
		return "runnable";
	case G_RUNNING:
		return "running";
	case G_SYSCALL:
		return "in a system call";
	case G_WAITING:
		if (!proc_get_try(p, g->addr, L_g_waitreason, &reason) || reason >= REASONS)
			return "waiting";
		if (!x->reasons[reason])
			x->reasons[reason] = wait_reason(p, reason, &x->r->arena);
		return x->reasons[reason];
	case G_COPYSTACK:
		return "its stack being moved";
	case G_PREEMPTED:
		return "preempted";
	case G_LEAKED:
		return "leaked";
	default:
		return "in an unknown state";
	}
}

/* The newest time that the runtime has noted: now is not earlier. */
static uint64_t newest_time(const struct heap *h)
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
	/* main's, and the runtime's first ones: made before there were goroutines */
	return f && strcmp(f->name, "runtime.newproc") ? f->name : NULL;
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	return (h ^ v) * 0x9e3779b97f4a7c15ull;
}

static const struct func *frame_func(const struct heap *h, const struct goroutine *g,
				     uint32_t outer)
{
	return h->stacks.frames.v[g->first_frame + g->nframes - 1 - outer].func;
}

static bool fits(const struct grouping *x, const struct goroutine_group *gg,
		 const struct goroutine *g, const char *state, const char *by)
{
	if (gg->nframes != g->nframes || strcmp(gg->state, state) || gg->created_by != by)
		return false;
	for (uint32_t i = 0; i < g->nframes; i++)
		if (gg->frames[i] != frame_func(x->h, g, i)->name)
			return false;
	return true;
}

static struct err *new_group(struct grouping *x, const struct goroutine *g, const char *state,
			     const char *by, size_t *ret)
{
	struct goroutine_group gg = {
		.goid = g->goid, .state = state, .created_by = by, .nframes = g->nframes
	};
	const char **frames = arena_alloc(&x->r->arena, (g->nframes + 1) * sizeof(*frames));

	if (!frames)
		return err_nomem();
	for (uint32_t i = 0; i < g->nframes; i++)
		frames[i] = frame_func(x->h, g, i)->name;
	gg.frames = frames;
	*ret = x->r->groups.n;
	return vec_push(&x->r->groups, gg);
}

static struct err *add_goroutine(struct grouping *x, size_t i)
{
	const struct goroutine *g = &x->h->stacks.gs.v[i];
	const char *by = creator(&x->h->proc, g), *state = state_name(x, g);
	uint64_t hash = mix(mix(g->status, (uintptr_t)by), g->nframes),
		 wait = waited(&x->h->proc, g, x->now), *slot;
	struct goroutine_group *gg;
	struct err *err;
	size_t at;
	bool is_new;

	if (!state)
		return err_nomem();
	for (const char *c = state; *c; c++)
		hash = mix(hash, (uint8_t)*c);
	for (uint32_t k = 0; k < g->nframes; k++)
		hash = mix(hash, (uintptr_t)frame_func(x->h, g, k)->name);
	for (;; hash++) { /* equal hashes of unequal groups: the next */
		err = map64_put(&x->by_hash, hash, x->r->groups.n, &slot, &is_new);
		if (err)
			return err;
		at = *slot;
		if (is_new) {
			err = new_group(x, g, state, by, &at);
			break;
		}
		if (fits(x, &x->r->groups.v[at], g, state, by))
			break;
	}
	if (err)
		return err;
	gg = &x->r->groups.v[at];
	gg->count++;
	gg->stack_bytes += g->hi - g->lo;
	if (g->goid < gg->goid)
		gg->goid = g->goid;
	if (wait && (!gg->wait_min_ns || wait < gg->wait_min_ns))
		gg->wait_min_ns = wait;
	if (wait > gg->wait_max_ns)
		gg->wait_max_ns = wait;
	return map64_put(&x->of_g, i, at, &slot, &is_new);
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
	return x->goid < y->goid ? -1 : x->goid > y->goid;
}

struct err *goroutine_report_make(struct heap *h, bool groups, uint64_t now_ns,
				  struct goroutine_report *r)
{
	struct grouping x = { .h = h, .r = r, .now = newest_time(h) };
	struct err *err = NULL;

	if (now_ns > x.now)
		x.now = now_ns;
	for (size_t i = 0; i < h->stacks.gs.n && !err; i++) {
		if (goroutine_is_dead(&h->stacks.gs.v[i]))
			continue;
		err = add_worker(&x, &h->stacks.gs.v[i]);
		if (!err && groups)
			err = add_goroutine(&x, i);
	}
	if (!err && groups) {
		err = alone_count(h, &x.of_g, &r->groups);
		r->grouped = !err;
	}
	if (!err && r->groups.n)
		qsort(r->groups.v, r->groups.n, sizeof(*r->groups.v), group_cmp);
	map64_deinit(&x.by_hash);
	map64_deinit(&x.of_g);
	return err_wrapf(err, "grouping goroutines");
}
