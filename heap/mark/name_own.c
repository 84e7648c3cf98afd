/*
 * Roots that the collector reaches through the runtime's tables, and that people know by other
 * names: timers by what they will do, and goroutines' own structures by the function that they are
 * in.
 */
#include <string.h>

#include "base/intr.h"
#include "heap/mark/namer.h"

/* ------------------------------------------------------------------ timers */

enum { TIMER_WORDS = 12 }; /* of a runtime.timer; its function is among them */

/* The function of the func value that the word at `at` holds; NULL: it holds none. */
static const struct func *func_at(struct namer *n, uint64_t at)
{
	const struct func *f = NULL;
	uint64_t fn, entry;

	if (!proc_try_word(&n->h->proc, at, &fn) || fn < MIN_LEGAL_POINTER ||
	    !proc_try_word(&n->h->proc, fn, &entry))
		return NULL;
	err_destroy(func_find(&n->h->proc, entry, &f));
	return f && f->entry == entry ? f : NULL;
}

/*
 * What the timer is called to whoever made it: by its function, the first word that holds one
 * (runtime/time.go: timer.f; where in the struct it is differs by release).
 */
static const char *timer_label(struct namer *n, uint64_t timer)
{
	static const struct {
		const char *function, *label;
	} known[] = {
		{ "time.goFunc", "time.AfterFunc" },  /* time/sleep.go */
		{ "time.sendTime", "time.NewTimer" }, /* and NewTicker, After, Tick */
		{ "runtime.goroutineReady", "time.Sleep" },
		{ "runtime.netpollDeadline", "net deadline" },
		{ "runtime.netpollReadDeadline", "net deadline" },
		{ "runtime.netpollWriteDeadline", "net deadline" },
	};
	const struct func *f = NULL;

	for (unsigned i = 0; i < TIMER_WORDS && !f; i++)
		f = func_at(n, timer + i * n->h->proc.fmt.word);
	for (size_t i = 0; f && i < sizeof(known) / sizeof(*known); i++)
		if (!strcmp(known[i].function, f->name))
			return known[i].label;
	return f ? f->name : "timer";
}

static struct err *name_timer(struct namer *n, uint64_t slot)
{
	struct named_root r = { .r = { .addr = slot, .frame = UINT32_MAX, .kind = ROOT_TIMER },
				.pass = PASS_TIMERS,
				.name.group = "timers" };
	struct go_type *t = NULL;

	if (!proc_try_word(&n->h->proc, slot, &r.r.value) || !r.r.value)
		return NULL;
	r.name.label = timer_label(n, r.r.value);
	TRY(types_by_name(n->types, "runtime.timer", &t));
	if (t)
		TRY(types_pointer_to(n->types, t, &r.name.type));
	return root_list_push(n->list, &r);
}

/* A slice at `at` whose array of so many bytes an element lies in one object. */
static bool slice_at(const struct namer *n, uint64_t at, uint64_t stride, uint64_t *ptr,
		     uint64_t *len)
{
	const struct proc *p = &n->h->proc;
	const struct span *sp;
	uint64_t cap;

	if (!proc_try_word(p, at, ptr) || !proc_try_word(p, at + p->fmt.word, len) ||
	    !proc_try_word(p, at + 2u * p->fmt.word, &cap))
		return false;
	sp = spans_find(&n->h->spans, *ptr);
	return sp && *len && *len <= cap && cap <= sp->elemsize / stride;
}

/* p.timers is []*timer; since 1.23 a struct with a []timerWhen{*timer, when int64} in it behind a
 * lock (runtime/time.go). */
static struct err *name_timers_of(struct namer *n, uint64_t pp, uint64_t *left)
{
	const struct proc *p = &n->h->proc;
	const struct layout *l = &p->layout;
	uint64_t at = pp + layout_off(l, L_p_timers), size = layout_size(l, L_p_timers);
	uint64_t word = p->fmt.word, stride = word, ptr, len = 0;

	if (size > 3 * word) {
		stride = (word + 8 + 7) & ~7ull;
		for (uint64_t off = word; off + 3 * word <= size; off += word)
			if (slice_at(n, at + off, stride, &ptr, &len))
				break;
			else
				len = 0;
	} else if (!slice_at(n, at, stride, &ptr, &len)) {
		return NULL;
	}
	for (uint64_t i = 0; i < len && *left; i++, --*left)
		TRY(name_timer(n, ptr + i * stride));
	return intr_check();
}

static struct err *name_timers(struct namer *n)
{
	const struct proc *p = &n->h->proc;
	/* each timer is an object, and in one p's list */
	uint64_t left = n->h->spans.nids, ptr, len, pp;

	TRY(proc_slice(p, p->var.allp, &ptr, &len));
	for (uint64_t i = 0; i < len; i++)
		if (proc_try_word(p, ptr + i * p->fmt.word, &pp))
			TRY(name_timers_of(n, pp, &left));
	return NULL;
}

/* ------------------------------------------------------------------ goroutines */

static struct err *name_goroutine(struct namer *n, const struct goroutine *g)
{
	struct named_root r = {
		.r = { .addr = g->addr, .value = g->addr, .frame = UINT32_MAX, .kind = ROOT_G },
		.pass = PASS_OWN,
		.name.group = "[goroutines]",
		.name.label = "[ended]"
	};
	struct go_type *t = NULL;

	if (!goroutine_is_dead(g) && !g->nframes)
		r.name.label = "[unknown]";
	else if (!goroutine_is_dead(g))
		TRY(name_function_around(n, g->first_frame, &r.name.label));
	TRY(types_by_name(n->types, "runtime.g", &t));
	if (t)
		TRY(types_pointer_to(n->types, t, &r.name.type));
	return root_list_push(n->list, &r);
}

struct err *name_own(struct namer *n)
{
	TRY(name_timers(n));
	for (size_t i = 0; i < n->h->stacks.gs.n; i++)
		TRY(name_goroutine(n, &n->h->stacks.gs.v[i]));
	return NULL;
}
