/*
 * The account (heap/profile/account.h), made in three steps that know nothing of each other: slots
 * are counted span by span from what was marked, stacks goroutine by goroutine, and the runtime's
 * own counters are read.  Where the two sides differ the report gets a note.
 */
#include "heap/report/account_heap.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/search.h"
#include "target/ranges.h"

static bool was_seen(const struct mark *m, const struct span *sp, uint32_t i)
{
	uint32_t id = sp->first_id + i;

	return m->seen[id >> 3] >> (id & 7) & 1;
}

/* ------------------------------------------------------------------ the heap */

static void count_span(struct account *a, const struct mark *m, const struct span *s)
{
	unsigned class = s->spanclass >> 1; /* spanClass.sizeclass(); 0: a large object */
	uint64_t slots = s->nelems * s->elemsize, live = 0, alive = 0;

	for (uint32_t i = 0; i < s->nelems; i++) {
		alive += span_alive(s, i);
		live += was_seen(m, s, i);
	}
	a->heap_inuse += s->npages * GO_PAGE;
	a->heap_alloc += s->alloc_count * s->elemsize;
	a->tails += s->npages * GO_PAGE - slots;
	if (s->alloc_count > alive) {
		a->unswept.objects += s->alloc_count - alive;
		a->unswept.bytes += (s->alloc_count - alive) * s->elemsize;
	}
	a->garbage.objects += alive - live;
	a->garbage.bytes += (alive - live) * s->elemsize;
	if (!class) {
		a->large_rounding +=
			s->base + s->elemsize > s->limit ? s->base + s->elemsize - s->limit : 0;
	} else if (s->nelems > s->alloc_count) {
		uint64_t n = s->nelems - s->alloc_count;

		a->free_slots.objects += n;
		a->free_slots.bytes += n * s->elemsize;
		if (class < SIZE_CLASSES) {
			a->free_class[class].objects += n;
			a->free_class[class].bytes += n * s->elemsize;
			a->class_size[class] = s->elemsize;
		}
	}
	if (s->spanclass == TINY_SPAN_CLASS) {
		a->tiny.objects += s->alloc_count;
		a->tiny.bytes += s->alloc_count * s->elemsize;
	}
}

/* Objects that nothing but their own finalizers lead to: counted as garbage before. */
static struct err *count_waiting(struct captured *h, const struct mark *m, struct account *a)
{
	_cleanup_vec_ struct ranges objs = VEC_INIT;

	TRY(roots_finalized(&h->proc, &h->spans, &objs));
	for (size_t i = 0; i < objs.n; i++) {
		const struct span *sp = spans_find(&h->spans, objs.v[i].addr);
		uint32_t k = sp ? span_index(sp, objs.v[i].addr) : 0;

		if (!sp || !span_alive(sp, k) || was_seen(m, sp, k))
			continue;
		a->waiting.objects++;
		a->waiting.bytes += sp->elemsize;
		a->garbage.objects--;
		a->garbage.bytes -= sp->elemsize;
	}
	return NULL;
}

/* Live bytes by the kinds of the roots that the profile's nodes hang from. */
static struct err *count_live(const struct profile *p, struct account *a)
{
	_cleanup_free_ uint8_t *kind = calloc(p->nodes.n, 1);

	if (!kind)
		return err_nomem();
	for (size_t i = 1; i < p->nodes.n; i++) {
		const struct profile_node *v = &p->nodes.v[i];

		kind[i] = v->parent ? kind[v->parent] : v->kind;
		a->live[kind[i]].bytes += v->bytes;
		a->live[kind[i]].objects += v->objects;
	}
	return NULL;
}

/* ------------------------------------------------------------------ stacks */

/* Spans that are neither free nor the heap's. */
static struct err *manual_spans(const struct proc *p, struct ranges *ret)
{
	uint32_t size = layout_size(&p->layout, LS_mspan);
	uint64_t ptr, len, at;

	TRY(proc_slice(p, p->var.mheap_ + layout_off(&p->layout, L_mheap_allspans), &ptr, &len));
	for (uint64_t i = 0; i < len; i++) {
		const uint8_t *b = proc_try_word(p, ptr + i * p->fmt.word, &at) ?
					   image_ptr(p->img, at, size, NULL) :
					   NULL;

		if (b && proc_peek(p, b, L_mspan_state) == SPAN_MANUAL)
			TRY(vec_push(ret, ((struct range){ proc_peek(p, b, L_mspan_startAddr),
							   proc_peek(p, b, L_mspan_npages) *
								   GO_PAGE })));
	}
	return NULL;
}

struct among_key {
	const struct ranges *r;
	uint64_t addr;
};

static bool range_is_behind(const void *arg, size_t i)
{
	const struct among_key *k = arg;

	return k->r->v[i].addr > k->addr;
}

/* r is sorted. */
static bool among(const struct ranges *r, uint64_t addr)
{
	size_t i = search_first(r->n, range_is_behind, &(struct among_key){ r, addr });

	return i && addr - r->v[i - 1].addr < r->v[i - 1].len;
}

static enum stack_state stack_state(uint64_t status)
{
	switch (status) {
	case G_RUNNING:
		return STACK_RUNNING;
	case G_RUNNABLE:
	case G_PREEMPTED:
		return STACK_RUNNABLE;
	case G_WAITING:
		return STACK_WAITING;
	case G_SYSCALL:
		return STACK_SYSCALL;
	default:
		return STACK_OTHER;
	}
}

static void add_stack(struct stack_amount *a, uint64_t bytes, uint64_t used)
{
	a->count++;
	a->bytes += bytes;
	a->used += used < bytes ? used : bytes;
}

static void count_stacks(const struct captured *h, const struct ranges *manual, struct account *a)
{
	const struct stacks *s = &h->stacks;
	uint64_t known;

	for (size_t i = 0; i < s->gs.n; i++) {
		const struct goroutine *g = &s->gs.v[i];
		uint64_t sp = g->nframes    ? s->frames.v[g->first_frame].sp :
			      g->syscall_sp ? g->syscall_sp :
					      g->sched_sp;

		if (!g->lo || g->hi <= g->lo)
			continue;
		if (goroutine_is_dead(g))
			add_stack(&a->dead_stacks, g->hi - g->lo, 0);
		else
			add_stack(&a->stacks[stack_state(g->status)], g->hi - g->lo,
				  sp > g->lo && sp < g->hi ? g->hi - sp : 0);
	}
	for (size_t i = 0; i < s->ms.n; i++) {
		const struct machine *m = &s->ms.v[i];

		if (m->g0_lo && among(manual, m->g0_lo))
			add_stack(&a->thread_stacks, m->g0_hi - m->g0_lo,
				  m->g0_hi - m->g0_sched_sp);
		if (m->sig_lo && among(manual, m->sig_lo))
			add_stack(&a->thread_stacks, m->sig_hi - m->sig_lo, 0);
	}
	known = a->dead_stacks.bytes + a->thread_stacks.bytes;
	for (unsigned i = 0; i < STACK_N; i++)
		known += a->stacks[i].bytes;
	a->stack_pool = a->stack_inuse > known ? a->stack_inuse - known : 0;
}

/* ------------------------------------------------------------------ counters */

static uint64_t counter(const struct proc *p, uint64_t base, enum layout_id id)
{
	uint64_t v = 0;

	if (base && layout_has(&p->layout, id) &&
	    !proc_try_uint(p, base + layout_off(&p->layout, id), layout_size(&p->layout, id), &v))
		v = 0;
	return v;
}

/* A field of memstats.heapStats, which is kept in three generations whose sum is the value
 * (mstats.go: consistentHeapStats). */
static uint64_t consistent(const struct proc *p, enum layout_id id)
{
	const struct layout *l = &p->layout;
	uint64_t sum = 0, at = p->var.memstats + layout_off(l, L_mstats_heapStats) +
			       layout_off(l, L_consistentHeapStats_stats);

	for (unsigned i = 0; i < 3; i++)
		sum += counter(p, at + i * layout_size(l, LS_heapStatsDelta), id);
	return sum;
}

static void read_counters(const struct proc *p, struct account *a)
{
	uint64_t ms = p->var.memstats, gc = p->var.gcController, mh = p->var.mheap_;

	a->counters = ms && layout_has(&p->layout, L_mstats_heapStats);
	if (!a->counters)
		return;
	if (layout_has(&p->layout, L_mstats_heap_sys)) { /* until 1.18 */
		a->heap_released = counter(p, ms, L_mstats_heap_released);
		a->heap_idle =
			counter(p, ms, L_mstats_heap_sys) - counter(p, ms, L_mstats_heap_inuse);
	} else {
		a->heap_released = counter(p, gc, L_gcController_heapReleased);
		a->heap_idle = counter(p, gc, L_gcController_heapFree) + a->heap_released;
	}
	a->stack_inuse = consistent(p, L_heapStatsDelta_inStacks);
	a->work_bufs = consistent(p, L_heapStatsDelta_inWorkBufs);
	a->ptr_bits = consistent(p, L_heapStatsDelta_inPtrScalarBits);
	a->stack_sys_own = counter(p, ms, L_mstats_stacks_sys);
	a->mspan_inuse =
		counter(p, mh + layout_off(&p->layout, L_mheap_spanalloc), L_fixalloc_inuse);
	a->mspan_sys = counter(p, ms, L_mstats_mspan_sys);
	a->mcache_inuse =
		counter(p, mh + layout_off(&p->layout, L_mheap_cachealloc), L_fixalloc_inuse);
	a->mcache_sys = counter(p, ms, L_mstats_mcache_sys);
	a->buckhash_sys = counter(p, ms, L_mstats_buckhash_sys);
	a->gc_misc_sys = counter(p, ms, L_mstats_gcMiscSys);
	a->other_sys = counter(p, ms, L_mstats_other_sys);
	a->sys = a->heap_inuse + a->heap_idle + a->stack_inuse + a->stack_sys_own + a->mspan_sys +
		 a->mcache_sys + a->buckhash_sys + account_gc_sys(a) + a->other_sys;
}

/* The runtime's own count of spans in use. */
static uint64_t counted_inuse(const struct proc *p)
{
	return layout_has(&p->layout, L_mstats_heap_inuse) ?
		       counter(p, p->var.memstats, L_mstats_heap_inuse) :
		       counter(p, p->var.gcController, L_gcController_heapInUse);
}

static struct err *compare(const struct proc *p, const struct account *a, struct report *r)
{
	uint64_t manual = a->stack_inuse + a->work_bufs + a->ptr_bits;

	if (a->heap_inuse != counted_inuse(p))
		TRY(report_note(r,
				"spans in use are %" PRIu64 " bytes; the runtime counts %" PRIu64,
				a->heap_inuse, counted_inuse(p)));
	if (a->manual != manual)
		TRY(report_note(r,
				"spans of stacks and of the collector are %" PRIu64
				" bytes; the runtime counts %" PRIu64,
				a->manual, manual));
	return NULL;
}

static struct err *account_fill(struct captured *h, const struct mark *m, const struct profile *p,
				struct report *r)
{
	_cleanup_vec_ struct ranges manual = VEC_INIT;
	struct account *a = &r->account;

	for (size_t i = 0; i < h->spans.n; i++)
		count_span(a, m, &h->spans.v[i]);
	a->heap = true;
	TRY(count_live(p, a));
	TRY(count_waiting(h, m, a));
	TRY(roots_queued(&h->proc, &a->finalizers_queued, &a->cleanups_queued));
	TRY(manual_spans(&h->proc, &manual));
	for (size_t i = 0; i < manual.n; i++)
		a->manual += manual.v[i].len;
	read_counters(&h->proc, a);
	if (!a->counters) /* then the work buffers are taken for stacks, too */
		a->stack_inuse = a->manual;
	ranges_merge(&manual, 0);
	count_stacks(h, &manual, a);
	return a->counters ? compare(&h->proc, a, r) : NULL;
}

struct err *account_make(struct captured *h, const struct mark *m, const struct profile *p,
			 struct report *r)
{
	return err_wrapf(account_fill(h, m, p, r), "accounting");
}
