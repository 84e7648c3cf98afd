/*
 * Threads as the runtime has them (ms), which of the target's threads each is, and whether one of
 * them was stopped where the heap or a stack cannot be read exactly.
 */
#include <string.h>

#include "base/limits.h"
#include "base/search.h"
#include "heap/runtime/goroutine.h"
#include "heap/runtime/ring.h"

/* ------------------------------------------------------------------ whose thread it is */

struct tid_key {
	const struct threads *threads;
	uint64_t tid;
};

static bool tid_reaches(const void *arg, size_t i)
{
	const struct tid_key *k = arg;

	return k->threads->v[i].tid >= k->tid;
}

static int32_t thread_index(const struct threads *threads, uint64_t tid)
{
	size_t i = search_first(threads->n, tid_reaches, &(struct tid_key){ threads, tid });

	return i < threads->n && threads->v[i].tid == tid ? (int32_t)i : -1;
}

/* Threads without a number (target/guest.h) are known by the stack they are on: the first that
 * fits. */
static int32_t thread_by_stack(const struct proc *p, const struct threads *threads,
			       const struct machine *m, const struct goroutine *curg)
{
	for (size_t i = 0; i < threads->n && !threads->v[i].tid; i++) {
		uint64_t sp = threads->v[i].regs[p->machine->sp];

		if (stack_holds(sp, m->g0_lo, m->g0_hi) || stack_holds(sp, m->sig_lo, m->sig_hi) ||
		    (m->curg && stack_holds(sp, curg->lo, curg->hi)))
			return (int32_t)i;
	}
	return -1;
}

/*
 * The simplest stubs do not number threads as the kernel does.  Then the register that holds g says
 * whose a thread is, as far as it runs Go code.
 */
static struct err *match_by_g(const struct proc *p, struct stacks *s)
{
	_cleanup_(map64_deinit) struct map64 by_g = MAP64_INIT; /* g -> m's index */
	const struct arch *a = p->machine;
	uint64_t *slot;
	int r = 0;

	for (size_t i = 0; i < s->ms.n; i++)
		if (s->ms.v[i].thread >= 0)
			return NULL;
	while (r < a->nregs && (!p->arch->g_reg || strcmp(a->reg_names[r], p->arch->g_reg)))
		r++;
	for (size_t i = 0; r < a->nregs && i < s->ms.n; i++) {
		const struct machine *m = &s->ms.v[i];
		const uint64_t gs[] = { m->curg, m->g0, m->gsignal };

		for (size_t k = 0; k < sizeof(gs) / sizeof(*gs); k++)
			TRY(map64_put(&by_g, gs[k], i, &slot, NULL));
	}
	for (size_t t = 0; r < a->nregs && t < s->threads->n; t++) {
		uint64_t g = s->threads->v[t].have[r] ? s->threads->v[t].regs[r] : 0;
		const uint64_t *i = g ? map64_get(&by_g, g) : NULL;

		if (i)
			s->ms.v[*i].thread = (int32_t)t;
	}
	return NULL;
}

/* ------------------------------------------------------------------ allm */

/* Fetches and reads the m at addr; its gs are for later. */
static struct err *machine_load(struct proc *p, const struct spans *spans, uint64_t addr,
				struct machine *m)
{
	struct range r = spans_around(spans, addr, layout_size(&p->layout, LS_m));

	*m = (struct machine){ .addr = addr };
	TRY(image_need1(p->img, r.addr, r.len));
	TRY(proc_get(p, addr, L_m_procid, &m->procid));
	TRY(proc_get(p, addr, L_m_curg, &m->curg));
	TRY(proc_get(p, addr, L_m_vdsoSP, &m->vdso_sp));
	TRY(proc_get(p, addr, L_m_vdsoPC, &m->vdso_pc));
	TRY(proc_get(p, addr, L_m_g0, &m->g0));
	return proc_get(p, addr, L_m_gsignal, &m->gsignal);
}

/* Plans the g at addr, if there is one. */
static struct err *want_g(const struct proc *p, const struct spans *spans, uint64_t addr,
			  struct ranges *want)
{
	uint64_t len = layout_size(&p->layout, LS_g);

	return addr ? vec_push(want, spans_around(spans, addr, len)) : NULL;
}

/* All gs of ms, in one round. */
static struct err *fetch_gs(struct proc *p, const struct spans *spans, const struct machines *ms)
{
	_cleanup_vec_ struct ranges want = VEC_INIT;

	for (size_t i = 0; i < ms->n; i++) {
		TRY(want_g(p, spans, ms->v[i].g0, &want));
		TRY(want_g(p, spans, ms->v[i].gsignal, &want));
		TRY(want_g(p, spans, ms->v[i].curg, &want));
	}
	return image_need(p->img, &want, 0);
}

/* Reads the g at addr; *g stays as it is where there is none. */
static struct err *load_g(const struct proc *p, uint64_t addr, struct goroutine *g)
{
	return addr ? goroutine_load(p, addr, g) : NULL;
}

/* Which stacks m has, and which thread it is. */
static struct err *machine_stacks(const struct proc *p, const struct threads *threads,
				  struct machine *m)
{
	struct goroutine g0 = { 0 }, gsignal = { 0 }, curg = { 0 };

	TRY(load_g(p, m->g0, &g0));
	TRY(load_g(p, m->gsignal, &gsignal));
	TRY(load_g(p, m->curg, &curg));
	m->g0_lo = g0.lo;
	m->g0_hi = g0.hi;
	m->g0_sched_sp = g0.sched_sp;
	m->sig_lo = gsignal.lo;
	m->sig_hi = gsignal.hi;
	m->thread = m->procid ? thread_index(threads, m->procid) : -1;
	if (m->thread < 0)
		m->thread = thread_by_stack(p, threads, m, &curg);
	return NULL;
}

static struct err *allm_load(struct proc *p, const struct spans *spans, struct stacks *s)
{
	struct ring ring = { 0 };
	struct machine m;
	uint64_t addr;

	TRY(image_read_word(p->img, p->var.allm, &addr));
	while (addr) {
		if (s->ms.n >= LIMIT_MS)
			return err_create(ERR_LIMIT, "more than %u threads in runtime.allm",
					  LIMIT_MS);
		TRY(ring_check(&ring, addr, "runtime.allm"));
		TRY(machine_load(p, spans, addr, &m));
		TRY(vec_push(&s->ms, m));
		TRY(proc_get(p, addr, L_m_alllink, &addr));
	}
	TRY(fetch_gs(p, spans, &s->ms));
	for (size_t i = 0; i < s->ms.n; i++) {
		uint64_t *slot;

		TRY(machine_stacks(p, s->threads, &s->ms.v[i]));
		TRY(map64_put(&s->by_curg, s->ms.v[i].curg, i, &slot, NULL));
		*slot = i;
	}
	return NULL;
}

struct err *machines_load(struct proc *p, const struct spans *spans, const struct threads *threads,
			  struct stacks *s)
{
	s->threads = threads;
	s->ms.n = 0;
	map64_deinit(&s->by_curg);
	TRY(err_wrapf(allm_load(p, spans, s), "reading runtime.allm"));
	return match_by_g(p, s);
}

/* ------------------------------------------------------------------ is the stop exact? */

static const char *class_unstable(enum func_class cls)
{
	switch (cls) {
	case FUNC_COPYSTACK:
		return "a stack being moved";
	case FUNC_SPAN_SETUP:
		return "a span being set up";
	case FUNC_SWEEP:
		return "a span being swept";
	case FUNC_GOGO:
		return "a switch of goroutines";
	default:
		return NULL;
	}
}

/* Looks at the functions that a thread is in, whatever stack it is on. */
static void thread_check(struct proc *p, const struct thread *t, struct unstable *u)
{
	enum { DEPTH_MAX = 200 };
	struct unwind w = { .pc = t->regs[p->machine->pc],
			    .sp = t->regs[p->machine->sp],
			    .innermost = true };
	bool ok;

	if (p->machine->lr >= 0)
		w.lr = t->regs[p->machine->lr];
	ok = unwind_frame(p, &w);
	for (int depth = 0; ok && depth < DEPTH_MAX && !u->why; depth++) {
		u->why = class_unstable(w.pi->func->cls);
		if (u->why)
			u->addr = w.pc;
		ok = unwind_next(p, &w);
	}
}

/* The sp of the thread that m is on; 0: it is not known. */
static uint64_t machine_sp(const struct proc *p, const struct stacks *s, const struct machine *m)
{
	return m->thread >= 0 ? s->threads->v[m->thread].regs[p->machine->sp] : 0;
}

/* The tops of all stacks that threads are on, and of g0's that a signal handler may have
 * interrupted. */
static struct err *plan_tops(const struct proc *p, const struct stacks *s, struct ranges *want)
{
	for (size_t i = 0; i < s->threads->n; i++) {
		const struct thread *t = &s->threads->v[i];

		if (t->valid)
			TRY(vec_push(want, ((struct range){ t->regs[p->machine->sp], STACK_TOP })));
	}
	for (size_t i = 0; i < s->ms.n; i++) {
		const struct machine *m = &s->ms.v[i];
		uint64_t sp = machine_sp(p, s, m), lo = m->g0_lo;

		if (sp <= m->sig_lo || sp >= m->sig_hi || m->g0_sched_sp <= lo)
			continue;
		if (m->g0_sched_sp - lo > STACK_TOP)
			lo = m->g0_sched_sp - STACK_TOP;
		TRY(vec_push(want, ((struct range){ lo, m->g0_sched_sp - lo })));
	}
	return NULL;
}

/* The used part of the stack of m's current goroutine. */
static struct err *plan_curg(const struct proc *p, const struct stacks *s, const struct machine *m,
			     struct ranges *want)
{
	uint64_t lo, sp = machine_sp(p, s, m);
	struct goroutine g;

	TRY(goroutine_load(p, m->curg, &g));
	if (!g.lo || g.hi <= g.lo || g.hi - g.lo >= LIMIT_READ)
		return NULL;
	lo = g.lo;
	if (g.status != G_RUNNING)
		lo = goroutine_sp(&g);
	else if (sp > g.lo && sp < g.hi)
		lo = sp; /* else all of it: sched.sp may be an old one */
	return lo >= g.lo && lo < g.hi ? vec_push(want, ((struct range){ lo, g.hi - lo })) : NULL;
}

/* What runs must be walkable; all of its stack is needed later anyway. */
static struct err *plan_running(const struct proc *p, const struct stacks *s, struct ranges *want)
{
	for (size_t i = 0; i < s->ms.n; i++) {
		const struct machine *m = &s->ms.v[i];
		uint64_t sp = machine_sp(p, s, m);

		if (!m->curg)
			continue;
		TRY(plan_curg(p, s, m, want));
		if (sp > m->sig_lo && sp < m->sig_hi)
			TRY(vec_push(want, ((struct range){ sp, m->sig_hi - sp })));
	}
	return NULL;
}

/* Can the stack of m's current goroutine be walked to its end? */
static struct err *curg_check(struct proc *p, const struct stacks *s, const struct machine *m,
			      struct unstable *u)
{
	struct goroutine g;
	_cleanup_(stacks_one_deinit) struct stacks one = stacks_one(s, &g);

	TRY(goroutine_load(p, m->curg, &g));
	if (g.status == G_DEAD || g.status == G_DEADEXTRA)
		return NULL;
	TRY(stacks_walk(p, &one, 0));
	if (g.partial)
		*u = (struct unstable){ g.why, g.addr, m->thread < 0 };
	return NULL;
}

struct err *machines_check(struct proc *p, struct stacks *s, struct unstable *u)
{
	_cleanup_vec_ struct ranges want = VEC_INIT;

	TRY(plan_tops(p, s, &want));
	TRY(image_try(p->img, &want));
	for (size_t i = 0; i < s->threads->n && !u->why; i++)
		if (s->threads->v[i].valid)
			thread_check(p, &s->threads->v[i], u);
	want.n = 0;
	TRY(plan_running(p, s, &want));
	TRY(image_need(p->img, &want, 0));
	for (size_t i = 0; i < s->ms.n && !u->why; i++)
		if (s->ms.v[i].curg)
			TRY(curg_check(p, s, &s->ms.v[i], u));
	return NULL;
}
