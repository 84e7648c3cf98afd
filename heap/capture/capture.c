/*
 * What is fetched while the target is stopped.  Each step needs what the one before
 * brought; within a step everything is one pipelined list.
 *
 *	1 the executable's writable segments		variables, moduledata
 *	2 mheap_.allspans, the modules' masks
 *	3 mspans
 *	4 allocation bits				a slot being allocated: stop again
 *	5 ms, what runs, tops of stacks			a thread where nothing is exact: stop again
 *	6 spans that can hold pointers; until 1.21 their arenas' bitmaps
 *	7 stacks; specials and queues; metadata of types made by reflect
 *
 * What each step brought is held against the layout by shape.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "heap/runtime/find.h"
#include "heap/report/goroutine_heap.h"
#include "heap/heap_int.h"
#include "heap/capture/shape.h"

/* Ranges this close are one request: a round of headers costs more than the bytes between. */
enum { GAP = 512, GAP_SPANS = 4096 };

static struct err *writable_ranges(const struct heap *h, struct ranges *want)
{
	const struct elf_segment *segs;
	size_t n = elf_segments(h->proc.exe, &segs);
	struct err *err = NULL;

	for (size_t i = 0; i < n && !err; i++)
		if (segs[i].write)
			err = vec_push(want, ((struct range){ segs[i].addr + h->proc.bias,
							      segs[i].memsz }));
	return err;
}

static struct err *need(struct heap *h, struct ranges *want, uint64_t gap)
{
	struct err *err = image_need(h->proc.img, want, gap);

	want->n = 0;
	return err;
}

static struct err *need_ahead(struct heap *h, struct ranges *want, struct ranges *ahead,
			      uint64_t gap)
{
	struct err *err = image_need_ahead(h->proc.img, want, ahead, gap);

	want->n = ahead->n = 0;
	return err;
}

/* Modules' masks are in persistent memory, their tables in the executable (lent). */
static struct err *plan_masks(struct heap *h, struct ranges *want)
{
	struct proc *p = &h->proc;
	struct err *err = NULL;

	for (size_t i = 0; i < p->modules.v.n && !err; i++) {
		const struct module *m = &p->modules.v.v[i];

		err = vec_push(want, ((struct range){ m->data.mask, (m->data.nbits + 7) / 8 }));
		if (!err)
			err = vec_push(want,
				       ((struct range){ m->bss.mask, (m->bss.nbits + 7) / 8 }));
	}
	return err;
}

/*
 * The channels that goroutines wait for: one without a buffer is a pointer-free object, whose
 * contents are not captured, but it knows the type of what is sent.
 */
static struct err *plan_channels(struct heap *h, struct ranges *want)
{
	struct proc *p = &h->proc;
	struct err *err = NULL;

	for (size_t i = 0; i < h->stacks.gs.n && !err; i++) {
		const struct goroutine *g = &h->stacks.gs.v[i];
		uint64_t s, c, steps = 0;

		if (g->status != G_WAITING ||
		    !proc_try_word(p, g->addr + layout_off(&p->layout, L_g_waiting), &s))
			continue;
		while (s && steps++ < LIMIT_WAITING && !err) {
			if (proc_try_word(p, s + layout_off(&p->layout, L_sudog_c), &c) &&
			    spans_find(&h->spans, c) &&
			    spans_find(&h->spans, c)->ptrs == SPAN_NOSCAN)
				err = vec_push(want, ((struct range){ c, layout_size(&p->layout,
										     LS_hchan) }));
			if (!proc_try_word(p, s + layout_off(&p->layout, L_sudog_waitlink), &s))
				break;
		}
	}
	return err;
}

static struct err *read_libraries(void *arg, struct libraries *ret)
{
	struct heap *h = arg;

	return libraries_read(h->target, h->proc.fmt, ret);
}

/* The variables of a stripped program; then what ahead_scheduler() could not know before. */
static struct err *find_vars_stripped(struct heap *h, const struct threads *threads,
				      struct ranges *ahead)
{
	struct proc *p = &h->proc;
	struct ranges none = VEC_INIT;
	struct err *err = find_plan_vars(p, &h->spans, ahead);

	if (!err)
		err = need_ahead(h, &none, ahead, 0);
	if (!err)
		err = find_vars(p, &h->spans);
	if (!err)
		err = ahead_scheduler(h, threads, ahead);
	if (!err)
		err = roots_plan(p, &h->spans, ahead);
	if (!err)
		err = need_ahead(h, &none, ahead, 0);
	return err;
}

struct err *heap_capture(struct heap *h, const struct threads *threads, bool last,
			 struct unstable *u)
{
	struct proc *p = &h->proc;
	struct ranges want = VEC_INIT, ahead = VEC_INIT;
	uint64_t ptr, len;
	struct err *err;

	u->why = NULL;
	spans_deinit(&h->spans);
	stacks_deinit(&h->stacks);
	modules_deinit(&p->modules);
	memset(&p->modules, 0, sizeof(p->modules));

	err = writable_ranges(h, &want);
	if (!err)
		err = ahead_tops(h, threads, &ahead);
	if (!err)
		err = need_ahead(h, &want, &ahead, 0);
	if (!err && shape_unborn(p, threads->n))
		err = err_create(
			ERR_UNSUPPORTED,
			"the program has not started its Go runtime yet: let it run first, with --until "
			"FUNC (main.main, or what it calls when it is up) or --after SECONDS");
	if (!err)
		err = binaries_fetch(p, &h->libs, read_libraries, h);
	if (!err)
		err = modules_load(p);
	if (!err)
		err = shape_modules(p);
	if (!err)
		err = capture_find_reflect(h);
	if (!err && p->stripped)
		err = find_mheap(p);
	if (!err)
		err = shape_mheap(p);
	if (!err)
		err = plan_masks(h, &want);
	if (!err)
		err = proc_slice(p, p->var.mheap_ + layout_off(&p->layout, L_mheap_allspans), &ptr,
				 &len);
	if (!err)
		err = vec_push(&want, ((struct range){ ptr, len * p->fmt.word }));
	if (!err)
		err = ahead_scheduler(h, threads, &ahead);
	if (!err)
		err = need_ahead(h, &want, &ahead, 0);
	if (!err)
		err = spans_plan_headers(p, &want);
	if (!err)
		err = ahead_scheduler(h, threads, &ahead);
	if (!err)
		err = need_ahead(h, &want, &ahead, GAP);
	if (!err)
		err = shape_spans(p);
	if (!err)
		err = spans_load(p, &h->spans, u);
	if (err || u->why)
		goto out;
	err = spans_plan_bits(p, &h->spans, &want);
	if (!err)
		err = ahead_scheduler(h, threads, &ahead);
	if (!err)
		err = ahead_spans(h, &ahead);
	if (!err)
		err = p->stripped ? find_plan_vars(p, &h->spans, &ahead) :
				    roots_plan(p, &h->spans, &ahead);
	if (!err)
		err = need_ahead(h, &want, &ahead, GAP);
	if (!err && p->stripped)
		err = find_vars_stripped(h, threads, &ahead);
	if (!err)
		err = spans_settle(p, &h->spans, last, u);
	if (!err && u->why)
		err = shape_bits(p, &h->spans);
	if (err || (u->why && !last))
		goto out;
	err = machines_load(p, &h->spans, threads, &h->stacks);
	if (!err)
		err = shape_machines(p, &h->stacks);
	if (!err)
		err = machines_check(p, &h->stacks, u);
	if (err || (u->why && !last))
		goto out;
	err = arenas_fetch(p, &h->spans);
	if (!err)
		err = spans_plan_contents(p, &h->spans, &want);
	if (!err)
		err = roots_plan(p, &h->spans, &ahead);
	if (!err)
		err = need_ahead(h, &want, &ahead, GAP_SPANS);
	if (!err)
		err = stacks_load(p, &h->stacks);
	if (!err)
		err = shape_goroutines(p, &h->spans, &h->stacks);
	if (!err)
		err = shape_ps(p, &h->spans);
	if (!err)
		err = shape_plan_caches(p, &want);
	if (!err)
		err = stacks_plan(p, &h->stacks, &want);
	if (!err)
		err = plan_channels(h, &want);
	if (!err)
		err = capture_plan_types(h, &want);
	if (!err)
		err = roots_plan(p, &h->spans, &ahead);
	if (!err)
		err = need_ahead(h, &want, &ahead, GAP);
	if (!err) /* again: the masks of the types that this brought */
		err = capture_plan_types(h, &want);
	if (!err)
		err = capture_plan_reflect(h, &want);
	if (!err)
		err = labels_plan(h, &want);
	if (!err)
		err = need(h, &want, GAP);
	if (!err)
		err = roots_fetch(p, &h->spans);
	if (!err)
		err = shape_caches(p);
	if (!err)
		err = shape_specials(p, &h->spans);
	if (!err)
		err = capture_itabs(h);
out:
	vec_deinit(&want);
	vec_deinit(&ahead);
	if (!last && (err_is(err, ERR_FAULT) || err_is(err, ERR_BADDATA))) {
		/* A table caught while it changes looks like damage: only if it stays so it is. */
		free(h->why);
		h->why = strdup(err->msg);
		err_destroy(err);
		*u = (struct unstable){ h->why ? h->why : "a table that makes no sense", 0 };
		return NULL;
	}
	return err_wrapf(err, "capturing the heap");
}
