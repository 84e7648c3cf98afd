/*
 * Whether memory has the shape that the layout says (heap/capture/shape.h).  Each function tallies,
 * field by field, how often it was looked at and how often it could not be what it is said to be;
 * judge() turns a field that is wrong too often into an error.
 */
#include "heap/capture/shape.h"

#include <inttypes.h>
#include <string.h>

#include "base/intr.h"
#include "base/limits.h"

/* One field: how often it was looked at, how often it could not be what it is said to be. */
struct tally {
	const char *field;
	uint64_t n, bad;
};

static void look(struct tally *t, bool fits)
{
	t->n++;
	t->bad += !fits;
}

static struct err *judge(const struct tally *t, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (t[i].n && (t[i].bad == t[i].n || t[i].bad > 1 + t[i].n / 4))
			return err_create(ERR_VERSION,
					  "runtime.%s makes no sense in %" PRIu64 " of %" PRIu64
					  " places",
					  t[i].field, t[i].bad, t[i].n);
	return NULL;
}

/* The i-th of the pointers at ptr, and what it points to, size bytes; NULL: not in the image. */
static const uint8_t *element(const struct proc *p, uint64_t ptr, uint64_t i, uint64_t size,
			      uint64_t *at)
{
	if (!proc_try_word(p, ptr + i * p->fmt.word, at) || !*at)
		return NULL;
	return image_ptr(p->img, *at, size, NULL);
}

/* A word of the struct at addr. */
static bool word_at(const struct proc *p, uint64_t addr, enum layout_id id, uint64_t *ret)
{
	return proc_try_word(p, addr + layout_off(&p->layout, id), ret);
}

/* ------------------------------------------------------------------ variables */

/* lo <= hi, both in (or at the end of) one segment of the first module's file. */
static bool in_segment(const struct proc *p, uint64_t lo, uint64_t hi, bool exec)
{
	const struct elf_segment *segs;
	size_t n = elf_segments(p->exe, &segs);

	for (size_t i = 0; i < n; i++)
		if (segs[i].exec == exec && lo <= hi && lo >= segs[i].addr + p->bias &&
		    hi <= segs[i].addr + p->bias + segs[i].memsz)
			return true;
	return false;
}

struct err *shape_modules(const struct proc *p)
{
	static const struct {
		const char *field;
		enum layout_id lo, hi;
		/* in code; wherever: linkers put what is only read beside the code, too */
		bool exec, any;
	} ranges[] = {
		{ "moduledata.text", L_moduledata_text, L_moduledata_etext, true },
		{ "moduledata.noptrdata", L_moduledata_noptrdata, L_moduledata_enoptrdata, false },
		{ "moduledata.data", L_moduledata_data, L_moduledata_edata, false },
		{ "moduledata.bss", L_moduledata_bss, L_moduledata_ebss, false },
		{ "moduledata.noptrbss", L_moduledata_noptrbss, L_moduledata_enoptrbss, false },
		{ "moduledata.types", L_moduledata_types, L_moduledata_etypes, false, true },
	};
	uint64_t md = p->var.firstmoduledata, lo, hi;
	struct tally t = { 0 };

	for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
		t = (struct tally){ ranges[i].field, 0, 0 };
		if (word_at(p, md, ranges[i].lo, &lo) && word_at(p, md, ranges[i].hi, &hi))
			look(&t, in_segment(p, lo, hi, ranges[i].exec) ||
					 (ranges[i].any && in_segment(p, lo, hi, true)));
		if (t.bad)
			break;
	}
	return judge(&t, 1);
}

/*
 * mallocinit, then modulesinit, which makes the masks of variables, are schedinit's; a PIE may not
 * be relocated before.  Without symbols a layout that does not fit looks alike, but a program that
 * has started has several threads.
 */
bool shape_unborn(const struct proc *p, size_t nthreads)
{
	uint64_t mask = p->var.firstmoduledata + layout_off(&p->layout, L_moduledata_gcdatamask), v;

	if (!proc_try_word(p, mask + layout_off(&p->layout, L_bitvector_bytedata), &v) || v)
		return false;
	if (p->stripped)
		return nthreads <= 1;
	return proc_try_word(p, p->var.mheap_ + layout_off(&p->layout, L_mheap_allspans), &v) && !v;
}

struct err *shape_mheap(const struct proc *p)
{
	uint64_t spans = p->var.mheap_ + layout_off(&p->layout, L_mheap_allspans), ptr, len, cap,
		 gen = 1;
	struct tally t[] = { { "mheap.allspans", 1, 1 }, { "mheap.sweepgen", 1, 1 } };

	if (proc_try_word(p, spans, &ptr) && proc_try_word(p, spans + p->fmt.word, &len) &&
	    proc_try_word(p, spans + 2 * p->fmt.word, &cap))
		t[0].bad = !(proc_is_pointer(p, ptr) && len <= cap && len <= LIMIT_SPANS);
	if (proc_try_uint(p, p->var.mheap_ + layout_off(&p->layout, L_mheap_sweepgen), 4, &gen))
		t[1].bad = gen & 1;
	return judge(t, 2);
}

/* ------------------------------------------------------------------ spans */

/* mspan.sweepgen is at most this far from mheap.sweepgen (mheap.go). */
enum { SWEEPGEN_BEHIND = 2, SWEEPGEN_AHEAD = 3 };

/* What the spans of one class have in common, as the first of them has it. */
struct span_class {
	uint64_t elemsize, npages;
};

enum {
	T_STATE,
	T_START,
	T_PAGES,
	T_LIMIT,
	T_CLASS,
	T_SIZE,
	T_NELEMS,
	T_FREE,
	T_COUNT,
	T_BITS,
	T_MARKS,
	T_GEN,
	NT_SPAN
};

static void look_span(const struct proc *p, const uint8_t *b, uint64_t sweepgen,
		      struct span_class *classes, struct tally *t)
{
	uint64_t state = proc_peek(p, b, L_mspan_state), start, bytes, npages, class, size, n;
	struct span_class *c;
	int32_t gen;

	look(&t[T_STATE], state <= SPAN_MANUAL);
	if (state != SPAN_IN_USE && state != SPAN_MANUAL)
		return;
	start = proc_peek(p, b, L_mspan_startAddr);
	npages = proc_peek(p, b, L_mspan_npages);
	bytes = npages * GO_PAGE;
	look(&t[T_START], start && !(start & (GO_PAGE - 1)));
	look(&t[T_PAGES], npages && npages <= LIMIT_READ / GO_PAGE);
	if (state != SPAN_IN_USE)
		return;
	class = proc_peek(p, b, L_mspan_spanclass);
	size = proc_peek(p, b, L_mspan_elemsize);
	n = proc_peek(p, b, L_mspan_nelems);
	look(&t[T_LIMIT], proc_peek(p, b, L_mspan_limit) - start <= bytes);
	look(&t[T_CLASS], class < NUM_SPAN_CLASSES);
	if (class < NUM_SPAN_CLASSES && spanclass_size(class)) {
		/* All of a class are alike, and larger classes have larger slots: the first of
		 * each is the measure. */
		c = &classes[spanclass_size(class)];
		if (!c->npages)
			*c = (struct span_class){ size, npages };
		look(&t[T_SIZE], size >= 8 && size <= MAX_SMALL_SIZE && !(size & 7) &&
					 c->elemsize == size && c->npages == npages);
		/* bitmaps and inline marks take up to a sixteenth */
		look(&t[T_NELEMS],
		     n && size && n <= bytes / size && (n + 1) * size > bytes - bytes / 16);
	} else {
		look(&t[T_SIZE], size && size <= bytes);
		look(&t[T_NELEMS], n == 1);
	}
	look(&t[T_FREE], proc_peek(p, b, L_mspan_freeindex) <= n);
	look(&t[T_COUNT], proc_peek(p, b, L_mspan_allocCount) <= n);
	look(&t[T_BITS], proc_peek(p, b, L_mspan_allocBits) >= MIN_LEGAL_POINTER);
	look(&t[T_MARKS], proc_peek(p, b, L_mspan_gcmarkBits) >= MIN_LEGAL_POINTER);
	gen = (int32_t)(uint32_t)(proc_peek(p, b, L_mspan_sweepgen) - sweepgen);
	look(&t[T_GEN], gen >= -SWEEPGEN_BEHIND && gen <= SWEEPGEN_AHEAD);
}

struct err *shape_spans(const struct proc *p)
{
	struct tally t[NT_SPAN] = {
		[T_STATE] = { "mspan.state" },      [T_START] = { "mspan.startAddr" },
		[T_PAGES] = { "mspan.npages" },     [T_LIMIT] = { "mspan.limit" },
		[T_CLASS] = { "mspan.spanclass" },  [T_SIZE] = { "mspan.elemsize" },
		[T_NELEMS] = { "mspan.nelems" },    [T_FREE] = { "mspan.freeindex" },
		[T_COUNT] = { "mspan.allocCount" }, [T_BITS] = { "mspan.allocBits" },
		[T_MARKS] = { "mspan.gcmarkBits" }, [T_GEN] = { "mspan.sweepgen" },
	};
	uint32_t size = layout_size(&p->layout, LS_mspan);
	struct span_class classes[NUM_SIZE_CLASSES] = { 0 };
	uint64_t ptr, len, at, sweepgen;

	TRY(proc_slice(p, p->var.mheap_ + layout_off(&p->layout, L_mheap_allspans), &ptr, &len));
	TRY(proc_get(p, p->var.mheap_, L_mheap_sweepgen, &sweepgen));
	for (uint64_t i = 0; i < len; i++) {
		const uint8_t *b = element(p, ptr, i, size, &at);

		TRY(intr_check());
		if (b)
			look_span(p, b, sweepgen, classes, t);
	}
	if (t[T_STATE].n && !t[T_CLASS].n) /* none is in use */
		t[T_STATE].bad = t[T_STATE].n;
	return judge(t, NT_SPAN);
}

struct err *shape_bits(const struct proc *p, const struct spans *s)
{
	struct tally t = { "mspan.allocCount" };

	for (size_t i = 0; i < s->n; i++) {
		const struct span *x = &s->v[i];
		const uint8_t *bits = image_ptr(p->img, x->alloc_bits, (x->nelems + 7) / 8, NULL);
		uint32_t count = x->freeindex;

		TRY(intr_check());
		for (uint32_t j = x->freeindex; bits && j < x->nelems; j++)
			count += bits[j >> 3] >> (j & 7) & 1;
		look(&t, bits && count == x->alloc_count);
	}
	return judge(&t, 1);
}

/* ------------------------------------------------------------------ ms, gs, ps */

/* Whether the field of the struct at addr leads back, or, where `unset`, is just being set or
 * cleared. */
static bool leads_back(const struct proc *p, uint64_t addr, enum layout_id id, uint64_t back,
		       bool unset)
{
	uint64_t v;

	return word_at(p, addr, id, &v) && (v == back || (unset && !v));
}

struct err *shape_machines(const struct proc *p, const struct stacks *s)
{
	struct tally t[] = { { "m.g0" }, { "m.curg" }, { "m.gsignal" }, { "m.id" } };
	uint64_t v, id, next;

	for (size_t i = 0; i < s->ms.n; i++) {
		uint64_t m = s->ms.v[i].addr;

		TRY(intr_check());
		/* An m that is being made has no g0 yet; curg is set before curg.m, and cleared
		 * after it. */
		if (word_at(p, m, L_m_g0, &v) && v)
			look(&t[0], leads_back(p, v, L_g_m, m, false));
		if (word_at(p, m, L_m_curg, &v) && v)
			look(&t[1], leads_back(p, v, L_g_m, m, true));
		if (word_at(p, m, L_m_gsignal, &v) && v)
			look(&t[2], leads_back(p, v, L_g_m, m, true));
		/* the last one is the first that was made, and it alone is number 0 */
		if (proc_try_uint(p, m + layout_off(&p->layout, L_m_id), 8, &id) &&
		    word_at(p, m, L_m_alllink, &next))
			look(&t[3], id < UINT32_MAX && !id == !next);
	}
	return judge(t, sizeof(t) / sizeof(*t));
}

static bool is_code(const struct proc *p, uint64_t pc)
{
	for (size_t i = 0; i < p->modules.v.n; i++)
		if (pc >= p->modules.v.v[i].minpc && pc < p->modules.v.v[i].maxpc)
			return true;
	return false;
}

/* Is the slot around addr one of an object of this size? */
static bool is_slot_of(const struct spans *spans, uint64_t addr, uint64_t size)
{
	const struct span *sp = spans_find(spans, addr);

	return sp && span_slot(sp, span_index(sp, addr)) + span_data_off(sp) == addr &&
	       sp->elemsize - span_data_off(sp) >= size;
}

struct err *shape_goroutines(const struct proc *p, const struct spans *spans,
			     const struct stacks *s)
{
	enum { SLOT, STATUS, STACK, GOID, SELF, SP, PC, TOP, START, GOPC, M, NT };
	struct tally t[NT] = {
		[SLOT] = { "allgs" },      [STATUS] = { "g.atomicstatus" },
		[STACK] = { "g.stack" },   [GOID] = { "g.goid" },
		[SELF] = { "g.sched.g" },  [SP] = { "g.sched.sp" },
		[PC] = { "g.sched.pc" },   [TOP] = { "g.stktopsp" },
		[START] = { "g.startpc" }, [GOPC] = { "g.gopc" },
		[M] = { "g.m" },
	};
	uint32_t size = layout_size(&p->layout, LS_g);

	for (size_t i = 0; i < s->gs.n; i++) {
		const struct goroutine *g = &s->gs.v[i];
		const uint8_t *b = image_ptr(p->img, g->addr, size, NULL);
		uint64_t self, start, gopc, len = g->hi - g->lo;

		TRY(intr_check());
		if (!b)
			continue;
		look(&t[SLOT], is_slot_of(spans, g->addr, size));
		look(&t[STATUS],
		     g->status <= G_DEADEXTRA && g->status != G_MORIBUND && g->status != G_ENQUEUE);
		if (goroutine_is_dead(g))
			continue; /* without a stack, or not for long */
		self = proc_peek(p, b + layout_off(&p->layout, L_g_sched), L_gobuf_g);
		start = proc_peek(p, b, L_g_startpc);
		gopc = proc_peek(p, b, L_g_gopc);
		look(&t[STACK], g->lo && g->hi > g->lo && !(len & (len - 1)));
		look(&t[GOID], g->goid && g->goid < 1ull << 48 && !spans_find(spans, g->goid));
		look(&t[SELF], !self || self == g->addr);
		look(&t[TOP], g->top_sp > g->lo && g->top_sp <= g->hi);
		look(&t[START], !start || is_code(p, start)); /* 0: the g of a thread that C made */
		look(&t[GOPC], !gopc || is_code(p, gopc));    /* 0: main's */
		/* also of one that waits: mark workers.  m.curg is set first and cleared last */
		if (g->m)
			look(&t[M], leads_back(p, g->m, L_m_curg, g->addr, false));
		if (!g->m && (g->status == G_WAITING || g->status == G_RUNNABLE)) {
			look(&t[SP], g->sched_sp > g->lo && g->sched_sp <= g->hi);
			look(&t[PC], is_code(p, g->sched_pc));
		}
	}
	return judge(t, NT);
}

struct err *shape_ps(const struct proc *p, const struct spans *spans)
{
	struct tally t[] = { { "allp" }, { "p.id" }, { "p.status" }, { "p.m" }, { "p.mcache" } };
	uint64_t size = layout_off(&p->layout, L_p_mcache) + p->fmt.word, ptr, len, at;

	TRY(proc_slice(p, p->var.allp, &ptr, &len));
	if (len > LIMIT_PS)
		return err_create(ERR_LIMIT, "runtime.allp has %" PRIu64 " entries", len);
	for (uint64_t i = 0; i < len; i++) {
		const uint8_t *b = element(p, ptr, i, size, &at);
		uint64_t m, mcache;

		if (!b)
			continue;
		m = proc_peek(p, b, L_p_m);
		mcache = proc_peek(p, b, L_p_mcache);
		look(&t[0], is_slot_of(spans, at, size));
		look(&t[1], proc_peek(p, b, L_p_id) == i);
		look(&t[2], proc_peek(p, b, L_p_status) <= P_DEAD);
		if (m)
			look(&t[3], leads_back(p, m, L_m_p, at, true));
		/* off the heap; only a dead p has none */
		look(&t[4], mcache ? proc_is_pointer(p, mcache) && !spans_find(spans, mcache) :
				     proc_peek(p, b, L_p_status) == P_DEAD);
	}
	return judge(t, sizeof(t) / sizeof(*t));
}

/* ------------------------------------------------------------------ mcaches, specials */

/* The mcache of the i-th p; 0: none, or not in the image. */
static uint64_t cache_of(const struct proc *p, uint64_t i, uint64_t allp)
{
	uint64_t pp, mcache;

	if (!proc_try_word(p, allp + i * p->fmt.word, &pp) || !pp ||
	    !word_at(p, pp, L_p_mcache, &mcache))
		return 0;
	return mcache & (p->fmt.word - 1) ? 0 : mcache;
}

struct err *shape_plan_caches(const struct proc *p, struct ranges *want)
{
	uint64_t ptr, len, mcache;

	TRY(proc_slice(p, p->var.allp, &ptr, &len));
	for (uint64_t i = 0; i < len && i < LIMIT_PS; i++)
		if ((mcache = cache_of(p, i, ptr)))
			TRY(vec_push(want, ((struct range){ mcache,
							    layout_size(&p->layout, LS_mcache) })));
	return NULL;
}

/* mcache.alloc[i] leads to a span of class i; or to one for none, which is not in use. */
struct err *shape_caches(const struct proc *p)
{
	uint64_t n = layout_size(&p->layout, L_mcache_alloc) / p->fmt.word, ptr, len, mcache, at;
	struct tally t = { "mcache.alloc" };

	TRY(proc_slice(p, p->var.allp, &ptr, &len));
	for (uint64_t i = 0; i < len && i < LIMIT_PS; i++) {
		mcache = cache_of(p, i, ptr);
		TRY(intr_check());
		for (uint64_t j = 0; mcache && j < n; j++) {
			const uint8_t *b =
				element(p, mcache + layout_off(&p->layout, L_mcache_alloc), j,
					layout_size(&p->layout, LS_mspan), &at);

			if (b && proc_peek(p, b, L_mspan_state) == SPAN_IN_USE)
				look(&t, proc_peek(p, b, L_mspan_spanclass) == j);
		}
	}
	return judge(&t, 1);
}

/* The first special of each span: its offset is in the span. */
struct err *shape_specials(const struct proc *p, const struct spans *s)
{
	enum { SPECIAL_KINDS = 32 }; /* more than any release has */
	struct tally t[] = { { "special.offset" }, { "special.kind" } };

	for (size_t i = 0; i < s->n; i++) {
		const uint8_t *b;

		TRY(intr_check());
		if (!s->v[i].specials ||
		    !(b = image_ptr(p->img, s->v[i].specials, layout_size(&p->layout, LS_special),
				    NULL)))
			continue;
		look(&t[0], proc_peek(p, b, L_special_offset) < s->v[i].npages * GO_PAGE);
		look(&t[1], proc_peek(p, b, L_special_kind) &&
				    proc_peek(p, b, L_special_kind) < SPECIAL_KINDS);
	}
	return judge(t, 2);
}
