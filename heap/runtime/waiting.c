/*
 * Channels are in the chain of sudogs that begins at g.waiting.  For a semaphore and, since 1.26, a
 * Cond the sudog is a local of the runtime's function that waits, and its elem leads to what it
 * waits for (runtime/sema.go).  Older releases' Conds have their sudogs in a list (notifyList); a
 * Cond that sync.(*Cond).Wait's frame points to is known by the list in it.
 *
 * A sudog begins with {g *g; next, prev *sudog} in all releases (runtime/runtime2.go).
 */
#include "heap/runtime/waiting.h"

#include <inttypes.h>
#include <string.h>

#include "base/intr.h"
#include "base/limits.h"

enum {
	REASON_LEN = 64,
	COND_WORDS = 8,         /* of a sync.Cond, before the end of its list's head */
	FRAMES_SIZE = 64 << 10, /* of the functions that wait, together; they are small */
};

void waiting_deinit(struct waiting *w)
{
	map64_deinit(&w->conds);
	map64_deinit(&w->conds_seen);
}

/* ------------------------------------------------------------------ reasons */

/* runtime.waitReasonStrings[reason] */
static const char *reason_name(struct waiting *w, uint64_t reason)
{
	const struct proc *p = w->p;
	uint64_t at = p->var.waitReasons + reason * 2 * p->fmt.word, ptr, len;
	const uint8_t *s;

	if (!p->var.waitReasons || !proc_try_word(p, at, &ptr) ||
	    !proc_try_word(p, at + p->fmt.word, &len) || len > REASON_LEN ||
	    !(s = image_ptr(p->img, ptr, len, NULL)))
		return arena_printf(w->arena, "waiting, reason %" PRIu64, reason);
	return len ? arena_printf(w->arena, "%.*s", (int)len, (const char *)s) : "waiting";
}

const char *waiting_reason(struct waiting *w, const struct goroutine *g)
{
	uint64_t reason;

	if (!proc_get_try(w->p, g->addr, L_g_waitreason, &reason) || reason >= REASONS_MAX)
		return "waiting";
	if (!w->reasons[reason])
		w->reasons[reason] = reason_name(w, reason);
	return w->reasons[reason];
}

static bool is_one_of(const char *s, const char *const *names)
{
	for (; *names; names++)
		if (!strcmp(s, *names))
			return true;
	return false;
}

/* ------------------------------------------------------------------ channels */

/* A pointer field of a sudog.  Since 1.26 it is a pair, of which the second word always has the
 * address (maybeTraceablePtr). */
static uint64_t sudog_pointer(const struct proc *p, uint64_t sudog, enum layout_id id)
{
	uint64_t at = sudog + layout_off(&p->layout, id), v = 0;

	if (!layout_has(&p->layout, id) || !proc_try_word(p, at, &v))
		return 0;
	if (!v && layout_size(&p->layout, id) > p->fmt.word &&
	    !proc_try_word(p, at + p->fmt.word, &v))
		return 0;
	return v;
}

static struct err *wait_channels(struct waiting *w, const struct goroutine *g, struct wait *ret)
{
	const struct proc *p = w->p;
	uint64_t sudog = 0;

	if (!proc_get_try(p, g->addr, L_g_waiting, &sudog))
		return NULL;
	for (uint32_t i = 0; sudog && i < LIMIT_WAITING && w->steps++ < w->spans->nids; i++) {
		uint64_t c = sudog_pointer(p, sudog, L_sudog_c);

		if (!c) /* not what it seems: nothing is known */
			return NULL;
		TRY(vec_push(&ret->on, c));
		if (!proc_get_try(p, sudog, L_sudog_waitlink, &sudog))
			return NULL;
	}
	if (ret->on.n && !sudog)
		ret->kind = WAIT_OBJECTS;
	return NULL;
}

/* ------------------------------------------------------------------ semaphores, Conds */

/* Whether addr is the beginning of an object whose first word is g, and that can be a sudog. */
static bool is_sudog_of(const struct waiting *w, uint64_t addr, uint64_t g)
{
	const struct span *sp = spans_find(w->spans, addr);
	uint64_t first;

	return sp && sp->elemsize >= layout_size(&w->p->layout, LS_sudog) &&
	       sp->elemsize < 2 * (uint64_t)layout_size(&w->p->layout, LS_sudog) &&
	       span_slot(sp, span_index(sp, addr)) == addr && proc_try_word(w->p, addr, &first) &&
	       first == g;
}

/* The sudogs that wait in the list at addr, if it is one, by their goroutines. */
static struct err *cond_read(struct waiting *w, uint64_t addr)
{
	uint64_t word = w->p->fmt.word, sudog, g, *slot;
	bool is_new;

	TRY(map64_put(&w->conds_seen, addr, 0, &slot, &is_new));
	if (!is_new || !proc_try_word(w->p, addr, &sudog))
		return NULL;
	for (size_t i = 0; sudog && i <= w->stacks->gs.n; i++) {
		if (!(i & 0xffff))
			TRY(intr_check());
		if (!proc_try_word(w->p, sudog, &g) || !is_sudog_of(w, sudog, g))
			return NULL;
		TRY(map64_put(&w->conds, g, addr, &slot, &is_new));
		if (!is_new || !proc_try_word(w->p, sudog + word, &sudog))
			return NULL;
	}
	return NULL;
}

/* The Cond whose list g is in, where v may point to that Cond, or to its list. */
static struct err *cond_at(struct waiting *w, const struct goroutine *g, uint64_t v,
			   struct wait *ret)
{
	uint64_t word = w->p->fmt.word;
	const uint64_t *list;

	for (uint64_t i = 0; i < COND_WORDS && !map64_get(&w->conds, g->addr); i++)
		TRY(cond_read(w, v + i * word));
	list = map64_get(&w->conds, g->addr);
	if (!list)
		return NULL;
	ret->kind = WAIT_OBJECTS;
	return vec_push(&ret->on, *list);
}

/* A word of the frames of the functions that wait. */
static struct err *frame_word(struct waiting *w, const struct goroutine *g, uint64_t v, bool cond,
			      struct wait *ret)
{
	uint64_t elem;

	if (!spans_find(w->spans, v))
		return NULL;
	if (!is_sudog_of(w, v, g->addr))
		return cond ? cond_at(w, g, v, ret) : NULL;
	elem = sudog_pointer(w->p, v, L_sudog_elem);
	if (!elem)
		return NULL;
	ret->kind = WAIT_OBJECTS;
	ret->sudog = v;
	return vec_push(&ret->on, elem);
}

/* The functions by which package sync waits, where all have names: of semaphores ... */
static bool waits_for_semaphore(const char *name)
{
	return !strncmp(name, "sync.runtime_Semacquire", 23) ||
	       !strncmp(name, "internal/sync.runtime_Semacquire", 32);
}

/* ... and of Conds, whose caller has the Cond. */
static bool waits_for_cond(const char *name)
{
	return !strcmp(name, "sync.runtime_notifyListWait");
}

/* The frame of g up to which what it waits for is to be looked for; NULL: it is not package sync
 * that waits. */
static const struct gframe *waiting_frame(const struct stacks *s, const struct goroutine *g,
					  bool *cond)
{
	const struct gframe *f = &s->frames.v[g->first_frame];
	uint32_t n = g->nframes < WAIT_FRAMES_MAX ? g->nframes : WAIT_FRAMES_MAX;

	for (uint32_t i = 0; i < n; i++) {
		*cond = waits_for_cond(f[i].func->name);
		if (*cond)
			return i + 1 < n ? &f[i + 1] : &f[i];
		if (waits_for_semaphore(f[i].func->name))
			return &f[i];
	}
	return NULL;
}

static struct err *wait_sync(struct waiting *w, const struct goroutine *g, struct wait *ret)
{
	uint64_t word = w->p->fmt.word, v;
	bool cond;
	const struct gframe *f = waiting_frame(w->stacks, g, &cond);

	if (!f || frame_fp(f) - goroutine_sp(g) > FRAMES_SIZE)
		return NULL;
	for (uint64_t at = goroutine_sp(g) & ~(word - 1);
	     at < frame_fp(f) && ret->kind == WAIT_ELSE; at += word)
		if (proc_try_word(w->p, at, &v))
			TRY(frame_word(w, g, v, cond, ret));
	return NULL;
}

/* ------------------------------------------------------------------ all */

struct err *waiting_for(struct waiting *w, const struct goroutine *g, struct wait *ret)
{
	static const char *const forever[] = { "chan receive (nil chan)", "chan send (nil chan)",
					       "select (no cases)", NULL };
	static const char *const channels[] = { "chan receive", "chan send", "select", NULL };
	const char *reason;

	ret->kind = WAIT_ELSE;
	ret->on.n = 0;
	ret->sudog = 0;
	if (g->status != G_WAITING && g->status != G_LEAKED)
		return NULL;
	reason = waiting_reason(w, g);
	if (!reason)
		return err_nomem();
	if (is_one_of(reason, forever))
		ret->kind = WAIT_FOREVER;
	else if (is_one_of(reason, channels))
		return wait_channels(w, g, ret);
	else if (!g->partial)
		return wait_sync(w, g, ret);
	return NULL;
}
