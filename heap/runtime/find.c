#include "heap/runtime/find_int.h"

#include <inttypes.h>
#include <string.h>

#include "base/limits.h"

/* ------------------------------------------------------------------ candidates in memory */

/* The words of all variables, also those without pointers to the collector (mheap_ is one). */
enum { REGION_DATA = 1, REGION_ZERO = 2 };

static size_t regions(const struct proc *p, struct range out[4])
{
	const struct module *m = &p->modules.v.v[0];

	out[0] = (struct range){ m->noptrdata, m->enoptrdata - m->noptrdata };
	out[1] = (struct range){ m->data.start, m->data.end - m->data.start };
	out[2] = (struct range){ m->bss.start, m->bss.end - m->bss.start };
	out[3] = (struct range){ m->noptrbss, m->enoptrbss - m->noptrbss };
	return 4;
}

/*
 * The words of variables that start as zero: .bss and .noptrbss.  All that is looked for is there
 * but itabTable, which starts as &itabTableInit, in .data; in .noptrdata are a large program's
 * tables of numbers, which look like anything.
 */
struct err *find_each_word(struct proc *p, const struct spans *s, find_test test, bool initialised,
			   struct addrs *out)
{
	struct range r[4];
	size_t n = regions(p, r);
	struct err *err = NULL;

	for (size_t i = initialised ? REGION_DATA : REGION_ZERO;
	     i < (initialised ? REGION_DATA + 1 : n) && !err; i++)
		for (uint64_t a = r[i].addr; a + 3 * p->fmt.word <= r[i].addr + r[i].len && !err;
		     a += p->fmt.word)
			if (test(p, s, a))
				err = vec_push(out, a);
	return err;
}

/* Keeps the candidates that pass, after fetching what the test reads. */
struct err *find_narrow(struct proc *p, const struct spans *s, find_plan plan, find_test test,
			struct addrs *c)
{
	struct ranges want = VEC_INIT;
	struct err *err = NULL;
	size_t n = 0;

	for (size_t i = 0; i < c->n && !err; i++)
		err = plan(p, s, c->v[i], &want);
	if (!err)
		err = image_try(p->img, &want);
	vec_deinit(&want);
	for (size_t i = 0; i < c->n && !err; i++)
		if (test(p, s, c->v[i]))
			c->v[n++] = c->v[i];
	c->n = n;
	return err;
}

static struct err *one(const struct addrs *c, const char *what, uint64_t *ret)
{
	if (c->n != 1)
		return err_create(ERR_NODEBUG,
				  "runtime.%s was not found without symbols (%zu candidates)", what,
				  c->n);
	*ret = c->v[0];
	return NULL;
}

/* ------------------------------------------------------------------ slices of pointers */

enum { LOOK = 64 }; /* elements that are looked at */

static bool slice_at(struct proc *p, uint64_t addr, uint64_t *ptr, uint64_t *len, uint64_t *cap)
{
	return proc_try_word(p, addr, ptr) && proc_try_word(p, addr + p->fmt.word, len) &&
	       proc_try_word(p, addr + 2 * p->fmt.word, cap) && *ptr >= 4096 &&
	       !(*ptr & (p->fmt.word - 1)) && *len && *len <= *cap && *cap < LIMIT_SPANS;
}

static bool test_slice(struct proc *p, const struct spans *s, uint64_t addr)
{
	uint64_t ptr, len, cap;

	return slice_at(p, addr, &ptr, &len, &cap);
}

/* allspans' array is from the system, 64 KB at least (mheap.go, recordspan@go1.17-1.27). */
static bool test_system_slice(struct proc *p, const struct spans *s, uint64_t addr)
{
	enum { ARRAY_MIN = 64 << 10, SYSTEM_PAGE = 4096 };
	uint64_t ptr, len, cap;

	return slice_at(p, addr, &ptr, &len, &cap) && !(ptr & (SYSTEM_PAGE - 1)) &&
	       cap >= ARRAY_MIN / p->fmt.word && !binary_at(p, ptr);
}

/* The arrays of allgs and allp are in the heap. */
static bool test_heap_slice(struct proc *p, const struct spans *s, uint64_t addr)
{
	uint64_t ptr, len, cap;

	return slice_at(p, addr, &ptr, &len, &cap) && spans_find(s, ptr);
}

static struct err *plan_elements(struct proc *p, const struct spans *s, uint64_t addr,
				 struct ranges *want)
{
	uint64_t ptr, len, cap;

	if (!slice_at(p, addr, &ptr, &len, &cap))
		return NULL;
	return vec_push(want, ((struct range){ ptr, (len < LOOK ? len : LOOK) * p->fmt.word }));
}

/* All elements looked at are pointers. */
static bool test_pointers(struct proc *p, const struct spans *s, uint64_t addr)
{
	uint64_t ptr, len, cap, v;

	if (!slice_at(p, addr, &ptr, &len, &cap))
		return false;
	for (uint64_t i = 0; i < len && i < LOOK; i++)
		if (!proc_try_word(p, ptr + i * p->fmt.word, &v) || v < 4096 ||
		    v & (p->fmt.word - 1))
			return false;
	return true;
}

static struct err *plan_pointees(struct proc *p, uint64_t addr, uint64_t size, struct ranges *want)
{
	uint64_t ptr, len, cap, v;
	struct err *err = NULL;

	if (!slice_at(p, addr, &ptr, &len, &cap))
		return NULL;
	for (uint64_t i = 0; i < len && i < LOOK && !err; i++)
		if (proc_try_word(p, ptr + i * p->fmt.word, &v))
			err = vec_push(want, ((struct range){ v, size }));
	return err;
}

/* The bytes of element i's struct, NULL if they cannot be had. */
static const uint8_t *element(struct proc *p, uint64_t addr, uint64_t i, uint64_t size,
			      uint64_t *at)
{
	uint64_t ptr;

	if (!proc_try_word(p, addr, &ptr) || !proc_try_word(p, ptr + i * p->fmt.word, at))
		return NULL;
	return image_ptr(p->img, *at, size, NULL);
}

static struct err *plan_all_elements(struct proc *p, const struct spans *s, uint64_t addr,
				     struct ranges *want)
{
	uint64_t ptr, len, cap;

	return slice_at(p, addr, &ptr, &len, &cap) ?
		       vec_push(want, ((struct range){ ptr, len * p->fmt.word })) :
		       NULL;
}

static bool slice_has(struct proc *p, uint64_t addr, uint64_t elem)
{
	uint64_t ptr, len, cap, v;

	if (!slice_at(p, addr, &ptr, &len, &cap))
		return false;
	for (uint64_t i = 0; i < len; i++)
		if (proc_try_word(p, ptr + i * p->fmt.word, &v) && v == elem)
			return true;
	return false;
}

/* Every element of `part` that was looked at is in `whole`, too. */
static bool slice_within(struct proc *p, uint64_t part, uint64_t whole)
{
	uint64_t ptr, len, cap, v;

	if (!slice_at(p, part, &ptr, &len, &cap))
		return false;
	for (uint64_t i = 0; i < len && i < LOOK; i++)
		if (!proc_try_word(p, ptr + i * p->fmt.word, &v) || !slice_has(p, whole, v))
			return false;
	return true;
}

/*
 * The slice of all ps (or gs): words that happen to look like a slice of some of them can stand
 * beside it, so it is the longest, which must have what the others have.
 */
static struct err *widest(struct proc *p, const struct spans *s, struct addrs *c, const char *what,
			  uint64_t *ret)
{
	uint64_t ptr, len, cap, most = 0, best = 0;
	struct err *err = c->n > 1 ? find_narrow(p, s, plan_all_elements, test_slice, c) : NULL;

	for (size_t i = 0; i < c->n && !err; i++) {
		if (!slice_at(p, c->v[i], &ptr, &len, &cap) || len <= most)
			continue;
		most = len;
		best = c->v[i];
	}
	for (size_t i = 0; i < c->n && !err; i++)
		if (c->v[i] != best && !slice_within(p, c->v[i], best))
			return one(c, what, ret);
	if (!err && !best)
		return one(c, what, ret);
	*ret = best;
	return err;
}

/* ------------------------------------------------------------------ mheap_ */

static struct err *plan_spans(struct proc *p, const struct spans *s, uint64_t addr,
			      struct ranges *want)
{
	return plan_pointees(p, addr, layout_size(&p->layout, LS_mspan), want);
}

static bool test_allspans(struct proc *p, const struct spans *s, uint64_t addr)
{
	uint64_t ptr, len, cap, at, in_use = 0, sweepgen;

	if (!slice_at(p, addr, &ptr, &len, &cap) || len < 8)
		return false;
	for (uint64_t i = 0; i < len && i < LOOK; i++) {
		const uint8_t *b = element(p, addr, i, layout_size(&p->layout, LS_mspan), &at);
		uint64_t start, npages;

		if (!b || proc_peek(p, b, L_mspan_state) > SPAN_MANUAL ||
		    proc_peek(p, b, L_mspan_spanclass) >= 136)
			return false;
		start = proc_peek(p, b, L_mspan_startAddr);
		npages = proc_peek(p, b, L_mspan_npages);
		if (start & (GO_PAGE - 1) || npages > LIMIT_READ / GO_PAGE)
			return false;
		if (proc_peek(p, b, L_mspan_state) == SPAN_IN_USE) {
			if (!start || !npages || !proc_peek(p, b, L_mspan_elemsize))
				return false;
			in_use++;
		}
	}
	/* sweepgen, elsewhere in the same struct, is even. */
	return in_use &&
	       proc_try_uint(p,
			     addr - layout_off(&p->layout, L_mheap_allspans) +
				     layout_off(&p->layout, L_mheap_sweepgen),
			     4, &sweepgen) &&
	       sweepgen && !(sweepgen & 1);
}

struct err *find_mheap(struct proc *p)
{
	struct addrs c = VEC_INIT;
	uint64_t addr = 0;
	struct err *err = find_each_word(p, NULL, test_system_slice, false, &c);

	if (!err)
		err = find_narrow(p, NULL, plan_elements, test_pointers, &c);
	if (!err)
		err = find_narrow(p, NULL, plan_spans, test_allspans, &c);
	if (!err)
		err = one(&c, "mheap_", &addr);
	if (!err)
		p->var.mheap_ = addr - layout_off(&p->layout, L_mheap_allspans);
	vec_deinit(&c);
	return err;
}

/* ------------------------------------------------------------------ allgs, allp */

static struct err *plan_gs(struct proc *p, const struct spans *s, uint64_t addr,
			   struct ranges *want)
{
	return plan_pointees(p, addr, layout_size(&p->layout, LS_g), want);
}

static bool is_g(struct proc *p, const uint8_t *b, uint64_t at)
{
	const struct layout *l = &p->layout;
	const uint8_t *stack = b + layout_off(l, L_g_stack), *sched = b + layout_off(l, L_g_sched);
	uint64_t lo = proc_peek(p, stack, L_stack_lo), hi = proc_peek(p, stack, L_stack_hi);
	uint64_t self = proc_peek(p, sched, L_gobuf_g), size = hi - lo;
	uint64_t status = proc_peek(p, b, L_g_atomicstatus) & ~(uint64_t)0x1000;

	return (self == 0 || self == at) && status <= 11 &&
	       (lo || hi ? hi > lo && !(size & (size - 1)) : true) &&
	       proc_peek(p, b, L_g_goid) < 1ull << 48;
}

static bool test_allgs(struct proc *p, const struct spans *s, uint64_t addr)
{
	uint64_t ptr, len, cap, at, running = 0;

	if (!slice_at(p, addr, &ptr, &len, &cap))
		return false;
	for (uint64_t i = 0; i < len && i < LOOK; i++) {
		const uint8_t *b = element(p, addr, i, layout_size(&p->layout, LS_g), &at);

		/* g0s have no id, and are in no list of goroutines */
		if (!b || !spans_find(s, at) || !is_g(p, b, at) || !proc_peek(p, b, L_g_goid))
			return false;
		running += proc_peek(p, b + layout_off(&p->layout, L_g_sched), L_gobuf_g) == at;
	}
	return running;
}

static struct err *plan_ps(struct proc *p, const struct spans *s, uint64_t addr,
			   struct ranges *want)
{
	return plan_pointees(p, addr, layout_off(&p->layout, L_p_mcache) + p->fmt.word, want);
}

/* p.id is its index, and its mcache is a pointer. */
static bool test_allp(struct proc *p, const struct spans *s, uint64_t addr)
{
	uint64_t ptr, len, cap, at;

	if (!slice_at(p, addr, &ptr, &len, &cap) || len > LIMIT_PS)
		return false;
	for (uint64_t i = 0; i < len && i < LOOK; i++) {
		const uint8_t *b =
			element(p, addr, i, layout_off(&p->layout, L_p_mcache) + p->fmt.word, &at);

		if (!b || proc_peek(p, b, L_p_mcache) & (p->fmt.word - 1) ||
		    binary_at(p, proc_peek(p, b, L_p_mcache)) || !spans_find(s, at) ||
		    proc_peek(p, b, L_p_id) != i || proc_peek(p, b, L_p_status) > 4 ||
		    proc_peek(p, b, L_p_mcache) < 4096 ||
		    spans_find(s, proc_peek(p, b, L_p_mcache)))
			return false;
	}
	return true;
}

/* ------------------------------------------------------------------ allm */

static bool in_variables(const struct proc *p, uint64_t addr)
{
	struct range r[4];

	for (size_t i = 0, n = regions(p, r); i < n; i++)
		if (addr - r[i].addr < r[i].len)
			return true;
	return false;
}

/* Can an m or a g be at addr?  The first ones are variables, the others objects of their size. */
static bool can_be(const struct proc *p, const struct spans *s, uint64_t addr, uint64_t size)
{
	const struct span *sp;

	if (addr < 4096 || addr & (p->fmt.word - 1))
		return false;
	sp = spans_find(s, addr);
	return sp ? sp->elemsize >= size && sp->elemsize < 2 * size : in_variables(p, addr);
}

static bool test_m_pointer(struct proc *p, const struct spans *s, uint64_t addr)
{
	uint64_t v;

	return proc_try_word(p, addr, &v) && can_be(p, s, v, layout_size(&p->layout, LS_m));
}

/* An m that has a g0, and leads to another m. */
static bool test_m_links(struct proc *p, const struct spans *s, uint64_t addr)
{
	uint64_t m, g0, next;

	return proc_try_word(p, addr, &m) &&
	       proc_try_word(p, m + layout_off(&p->layout, L_m_g0), &g0) &&
	       can_be(p, s, g0, layout_size(&p->layout, LS_g)) &&
	       proc_try_word(p, m + layout_off(&p->layout, L_m_alllink), &next) &&
	       (!next || can_be(p, s, next, layout_size(&p->layout, LS_m)));
}

static struct err *plan_m(struct proc *p, const struct spans *s, uint64_t addr, struct ranges *want)
{
	uint64_t v;

	return proc_try_word(p, addr, &v) ?
		       vec_push(want, ((struct range){ v, layout_size(&p->layout, LS_m) })) :
		       NULL;
}

static struct err *plan_m_g0(struct proc *p, const struct spans *s, uint64_t addr,
			     struct ranges *want)
{
	uint64_t m, g0;

	if (!proc_try_word(p, addr, &m) ||
	    !proc_try_word(p, m + layout_off(&p->layout, L_m_g0), &g0))
		return NULL;
	return vec_push(want, ((struct range){ g0, layout_size(&p->layout, LS_g) }));
}

/* m.g0.m is m. */
static bool is_m(struct proc *p, uint64_t m)
{
	uint64_t g0, back;

	return proc_try_word(p, m + layout_off(&p->layout, L_m_g0), &g0) && g0 >= 4096 &&
	       proc_try_word(p, g0 + layout_off(&p->layout, L_g_m), &back) && back == m;
}

static bool test_m(struct proc *p, const struct spans *s, uint64_t addr)
{
	uint64_t m;

	return proc_try_word(p, addr, &m) && is_m(p, m);
}

static struct err *try_object(struct proc *p, const struct spans *s, uint64_t addr, uint64_t len)
{
	struct range r = spans_around(s, addr, len);
	struct ranges want = { &r, 1, 1 };

	return image_ptr(p->img, addr, len, NULL) ? NULL : image_try(p->img, &want);
}

/* Length of the alllink chain, fetched as it goes; 0: it leads out of the ms. */
static struct err *chain_length(struct proc *p, const struct spans *s, uint64_t m, uint64_t *len)
{
	uint64_t g0;
	struct err *err;

	for (*len = 0; m; ++*len) {
		err = try_object(p, s, m, layout_size(&p->layout, LS_m));
		if (!err && proc_try_word(p, m + layout_off(&p->layout, L_m_g0), &g0))
			err = try_object(p, s, g0, layout_size(&p->layout, LS_g));
		if (err)
			return err;
		if (*len > LIMIT_MS || !is_m(p, m) ||
		    !proc_try_word(p, m + layout_off(&p->layout, L_m_alllink), &m)) {
			*len = 0;
			return NULL;
		}
	}
	return NULL;
}

/* allm is the head of the list of all ms: of the pointers to ms, the one with the longest way. */
static struct err *find_allm(struct proc *p, const struct spans *s)
{
	struct addrs c = VEC_INIT;
	uint64_t best = 0, head = 0, len;
	struct err *err = find_each_word(p, s, test_m_pointer, false, &c);

	if (!err)
		err = find_narrow(p, s, plan_m, test_m_links, &c);
	if (!err)
		err = find_narrow(p, s, plan_m_g0, test_m, &c);
	for (size_t i = 0; i < c.n && !err; i++) {
		uint64_t m;

		if (!proc_try_word(p, c.v[i], &m))
			continue;
		err = chain_length(p, s, m, &len);
		if (len > best) { /* a second pointer to the head is as good as the first */
			best = len;
			head = m;
			p->var.allm = c.v[i];
		}
	}
	if (!err && !head)
		err = err_create(ERR_NODEBUG, "runtime.allm was not found without symbols");
	vec_deinit(&c);
	return err;
}

/* ------------------------------------------------------------------ itabTable */

/* {size, count uintptr; entries [size]*itab}: never more than three quarters full
 * (runtime/iface.go, itabAdd). */
static bool table_head(struct proc *p, uint64_t addr, uint64_t *table, uint64_t *size,
		       uint64_t *count)
{
	return proc_try_word(p, addr, table) && proc_try_word(p, *table, size) &&
	       proc_try_word(p, *table + p->fmt.word, count) && *size >= 64 &&
	       *size <= LIMIT_ITABS && !(*size & (*size - 1)) && *count && *count <= *size / 4 * 3;
}

static bool test_table_head(struct proc *p, const struct spans *s, uint64_t addr)
{
	uint64_t table, size, count;

	return table_head(p, addr, &table, &size, &count);
}

static bool test_table_pointer(struct proc *p, const struct spans *s, uint64_t addr)
{
	uint64_t v;

	return proc_try_word(p, addr, &v) && v >= 4096 && !(v & (p->fmt.word - 1)) &&
	       !spans_find(s, v) && (in_variables(p, v) || !binary_at(p, v));
}

static struct err *plan_table_head(struct proc *p, const struct spans *s, uint64_t addr,
				   struct ranges *want)
{
	uint64_t v;

	return proc_try_word(p, addr, &v) ? vec_push(want, ((struct range){ v, 2 * p->fmt.word })) :
					    NULL;
}

static struct err *plan_table(struct proc *p, const struct spans *s, uint64_t addr,
			      struct ranges *want)
{
	uint64_t table, size, count;

	if (!table_head(p, addr, &table, &size, &count))
		return NULL;
	return vec_push(want, ((struct range){ table, (2 + size) * p->fmt.word }));
}

static bool in_types(const struct proc *p, uint64_t v)
{
	for (size_t i = 0; i < p->modules.v.n; i++)
		if (v - p->modules.v.v[i].types <
		    p->modules.v.v[i].etypes - p->modules.v.v[i].types)
			return true;
	return false;
}

/* As many entries as it says; those at hand (the linker's) are of types in a module. */
static bool test_itab_table(struct proc *p, const struct spans *s, uint64_t addr)
{
	uint64_t table, size, count, v, type, n = 0, known = 0;

	if (!table_head(p, addr, &table, &size, &count))
		return false;
	for (uint64_t i = 0; i < size; i++) {
		if (!proc_try_word(p, table + (2 + i) * p->fmt.word, &v))
			return false;
		if (!v)
			continue;
		n++;
		if (!proc_try_word(p, v + layout_off(&p->layout, L_itab_type), &type))
			continue;
		if (!in_types(p, type))
			return false;
		known++;
	}
	return known && n - count <= 1; /* one may be on its way in */
}

/* None, or several: the itabs that are made at run time stay unknown, and names poorer. */
static struct err *find_itab_table(struct proc *p, const struct spans *s)
{
	struct addrs c = VEC_INIT;
	struct err *err = find_each_word(p, s, test_table_pointer, true, &c);

	if (!err)
		err = find_narrow(p, s, plan_table_head, test_table_head, &c);
	if (!err)
		err = find_narrow(p, s, plan_table, test_itab_table, &c);
	p->var.itabTable = !err && c.n == 1 ? c.v[0] : 0;
	vec_deinit(&c);
	return err;
}

/*
 * The same steps as find_vars() takes, all at once: first what each candidate's word leads to,
 * then, with that in the image, what those that passed lead to.  What is in the image already is
 * not asked for again.
 */
struct err *find_plan_vars(struct proc *p, const struct spans *s, struct ranges *want)
{
	static const struct {
		find_test test, second;
		find_plan plan, next[2];
		bool initialised;
	} steps[] = {
		{ test_heap_slice, test_pointers, plan_elements, { plan_gs, plan_ps } },
		{ test_m_pointer, test_m_links, plan_m, { plan_m_g0 } },
		{ find_test_block, find_test_block, find_plan_block },
		{ test_table_pointer, test_table_head, plan_table_head, { plan_table }, true },
	};
	struct err *err = NULL;

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps) && !err; i++) {
		struct addrs c = VEC_INIT;

		err = find_each_word(p, s, steps[i].test, steps[i].initialised, &c);
		for (size_t j = 0; j < c.n && !err; j++) {
			err = steps[i].plan(p, s, c.v[j], want);
			for (int k = 0;
			     k < 2 && !err && steps[i].next[k] && steps[i].second(p, s, c.v[j]);
			     k++)
				err = steps[i].next[k](p, s, c.v[j], want);
		}
		vec_deinit(&c);
	}
	return err;
}

struct err *find_vars(struct proc *p, const struct spans *s)
{
	struct addrs c = VEC_INIT, gs = VEC_INIT;
	uint64_t addr = 0;
	struct err *err = find_each_word(p, s, test_heap_slice, false, &c);

	if (!err)
		err = find_narrow(p, s, plan_elements, test_pointers, &c);
	for (size_t i = 0; i < c.n && !err; i++)
		err = vec_push(&gs, c.v[i]);
	if (!err)
		err = find_narrow(p, s, plan_gs, test_allgs, &gs);
	if (!err)
		err = widest(p, s, &gs, "allgs", &addr);
	p->var.allgptr = addr;
	p->var.allglen = addr + p->fmt.word;
	if (!err)
		err = find_narrow(p, s, plan_ps, test_allp, &c);
	if (!err)
		err = widest(p, s, &c, "allp", &p->var.allp);
	if (!err)
		err = find_allm(p, s);
	if (!err)
		err = find_queues(p, s);
	if (!err)
		err = find_itab_table(p, s);
	vec_deinit(&c);
	vec_deinit(&gs);
	return err_wrapf(err, "%s is stripped", elf_path(p->exe));
}
