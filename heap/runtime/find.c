/*
 * The runtime's variables in a stripped executable: mheap_ when the variables are there, the others
 * when the spans are known.  Each is found by what it leads to.
 */
#include "base/limits.h"
#include "heap/runtime/find_int.h"
#include "heap/runtime/goroutine.h"

/* ------------------------------------------------------------------ mheap_ */

static struct err *plan_spans(struct proc *p, const struct spans *s, uint64_t addr,
			      struct ranges *want)
{
	return find_plan_pointees(p, addr, layout_size(&p->layout, LS_mspan), want);
}

/* Whether b is an mspan; *in_use counts those in use. */
static bool is_span(const struct proc *p, const uint8_t *b, uint64_t *in_use)
{
	uint64_t start = proc_peek(p, b, L_mspan_startAddr);
	uint64_t npages = proc_peek(p, b, L_mspan_npages);
	uint64_t state = proc_peek(p, b, L_mspan_state);

	if (state > SPAN_MANUAL || proc_peek(p, b, L_mspan_spanclass) >= NUM_SPAN_CLASSES ||
	    start & (GO_PAGE - 1) || npages > LIMIT_READ / GO_PAGE)
		return false;
	if (state != SPAN_IN_USE)
		return true;
	++*in_use;
	return start && npages && proc_peek(p, b, L_mspan_elemsize);
}

static bool test_allspans(struct proc *p, const struct spans *s, uint64_t addr)
{
	enum { SPANS_MIN = 8 };
	uint64_t mheap = addr - layout_off(&p->layout, L_mheap_allspans), at, in_use = 0, sweepgen;
	struct slice x;

	if (!find_slice(p, addr, &x) || x.len < SPANS_MIN)
		return false;
	for (uint64_t i = 0; i < x.len && i < FIND_LOOK; i++) {
		const uint8_t *b = find_element(p, addr, i, layout_size(&p->layout, LS_mspan), &at);

		if (!b || !is_span(p, b, &in_use))
			return false;
	}
	/* sweepgen, elsewhere in the same struct, is even: 0 until the first collection. */
	return in_use &&
	       proc_try_uint(p, mheap + layout_off(&p->layout, L_mheap_sweepgen), 4, &sweepgen) &&
	       !(sweepgen & 1);
}

struct err *find_mheap(struct proc *p)
{
	_cleanup_vec_ struct addrs c = VEC_INIT;
	uint64_t addr;

	TRY(find_each_word(p, NULL, find_test_system_slice, false, &c));
	TRY(find_narrow(p, NULL, find_plan_elements, find_test_pointers, &c));
	TRY(find_narrow(p, NULL, plan_spans, test_allspans, &c));
	TRY(find_one(&c, "mheap_", &addr));
	p->var.mheap_ = addr - layout_off(&p->layout, L_mheap_allspans);
	return NULL;
}

/* ------------------------------------------------------------------ allgs, allp */

static struct err *plan_gs(struct proc *p, const struct spans *s, uint64_t addr,
			   struct ranges *want)
{
	return find_plan_pointees(p, addr, layout_size(&p->layout, LS_g), want);
}

static bool is_g(struct proc *p, const uint8_t *b, uint64_t at)
{
	enum { GOID_BITS = 48 }; /* more than any program makes */
	const struct layout *l = &p->layout;
	const uint8_t *stack = b + layout_off(l, L_g_stack), *sched = b + layout_off(l, L_g_sched);
	uint64_t lo = proc_peek(p, stack, L_stack_lo), hi = proc_peek(p, stack, L_stack_hi);
	uint64_t self = proc_peek(p, sched, L_gobuf_g), size = hi - lo;
	uint64_t status = proc_peek(p, b, L_g_atomicstatus) & ~(uint64_t)G_SCAN;

	return (self == 0 || self == at) && status <= G_DEADEXTRA &&
	       (lo || hi ? hi > lo && !(size & (size - 1)) : true) &&
	       proc_peek(p, b, L_g_goid) < 1ull << GOID_BITS;
}

static bool test_allgs(struct proc *p, const struct spans *s, uint64_t addr)
{
	uint64_t at, running = 0;
	struct slice x;

	if (!find_slice(p, addr, &x))
		return false;
	for (uint64_t i = 0; i < x.len && i < FIND_LOOK; i++) {
		const uint8_t *b = find_element(p, addr, i, layout_size(&p->layout, LS_g), &at);

		/* g0s have no id, and are in no list of goroutines */
		if (!b || !spans_find(s, at) || !is_g(p, b, at) || !proc_peek(p, b, L_g_goid))
			return false;
		running += proc_peek(p, b + layout_off(&p->layout, L_g_sched), L_gobuf_g) == at;
	}
	return running;
}

/* As much of a p as is looked at. */
static uint64_t p_size(const struct proc *p)
{
	return layout_off(&p->layout, L_p_mcache) + p->fmt.word;
}

static struct err *plan_ps(struct proc *p, const struct spans *s, uint64_t addr,
			   struct ranges *want)
{
	return find_plan_pointees(p, addr, p_size(p), want);
}

/* A p is in the heap, p.id is its index, and its mcache is a pointer to neither. */
static bool is_p(const struct proc *p, const struct spans *s, const uint8_t *b, uint64_t at,
		 uint64_t i)
{
	uint64_t mcache = proc_peek(p, b, L_p_mcache);

	return spans_find(s, at) && proc_peek(p, b, L_p_id) == i &&
	       proc_peek(p, b, L_p_status) <= P_DEAD && proc_is_pointer(p, mcache) &&
	       !binary_at(p, mcache) && !spans_find(s, mcache);
}

static bool test_allp(struct proc *p, const struct spans *s, uint64_t addr)
{
	struct slice x;
	uint64_t at;

	if (!find_slice(p, addr, &x) || x.len > LIMIT_PS)
		return false;
	for (uint64_t i = 0; i < x.len && i < FIND_LOOK; i++) {
		const uint8_t *b = find_element(p, addr, i, p_size(p), &at);

		if (!b || !is_p(p, s, b, at, i))
			return false;
	}
	return true;
}

/* Both are slices in the heap: what passes as one of pointers is tried as either. */
static struct err *find_allgs_allp(struct proc *p, const struct spans *s)
{
	_cleanup_vec_ struct addrs c = VEC_INIT, gs = VEC_INIT;

	TRY(find_each_word(p, s, find_test_heap_slice, false, &c));
	TRY(find_narrow(p, s, find_plan_elements, find_test_pointers, &c));
	for (size_t i = 0; i < c.n; i++)
		TRY(vec_push(&gs, c.v[i]));
	TRY(find_narrow(p, s, plan_gs, test_allgs, &gs));
	TRY(find_widest(p, s, &gs, "allgs", &p->var.allgptr));
	p->var.allglen = p->var.allgptr + p->fmt.word;
	TRY(find_narrow(p, s, plan_ps, test_allp, &c));
	return find_widest(p, s, &c, "allp", &p->var.allp);
}

/* ------------------------------------------------------------------ all of them */

/* One kind of candidates: what passes `test` is planned; what passes `second` then, further. */
static const struct find_step {
	find_test test, second;
	find_plan plan, next[2];
	bool initialised;
} find_steps[] = {
	{ find_test_heap_slice, find_test_pointers, find_plan_elements, { plan_gs, plan_ps } },
	{ find_test_m_pointer, find_test_m_links, find_plan_m, { find_plan_m_g0 } },
	{ find_test_block, find_test_block, find_plan_block },
	{ find_test_table_pointer,
	  find_test_table_head,
	  find_plan_table_head,
	  { find_plan_table },
	  true },
};

static struct err *plan_step(struct proc *p, const struct spans *s, const struct find_step *f,
			     struct ranges *want)
{
	_cleanup_vec_ struct addrs c = VEC_INIT;

	TRY(find_each_word(p, s, f->test, f->initialised, &c));
	for (size_t i = 0; i < c.n; i++) {
		TRY(f->plan(p, s, c.v[i], want));
		for (int k = 0; k < 2 && f->next[k] && f->second(p, s, c.v[i]); k++)
			TRY(f->next[k](p, s, c.v[i], want));
	}
	return NULL;
}

/*
 * The same steps as find_vars() takes, all at once: first what each candidate's word leads to,
 * then, with that in the image, what those that passed lead to.  What is in the image already is
 * not asked for again.
 */
struct err *find_plan_vars(struct proc *p, const struct spans *s, struct ranges *want)
{
	for (size_t i = 0; i < sizeof(find_steps) / sizeof(*find_steps); i++)
		TRY(plan_step(p, s, &find_steps[i], want));
	return NULL;
}

static struct err *find_others(struct proc *p, const struct spans *s)
{
	TRY(find_allgs_allp(p, s));
	TRY(find_allm(p, s));
	TRY(find_queues(p, s));
	return find_itab_table(p, s);
}

struct err *find_vars(struct proc *p, const struct spans *s)
{
	return err_wrapf(find_others(p, s), "%s is stripped", elf_path(p->exe));
}
