#include "heap/runtime/goroutine.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

void stacks_deinit(struct stacks *s)
{
	vec_deinit(&s->gs);
	vec_deinit(&s->ms);
	vec_deinit(&s->frames);
}

static struct err *g_load(const struct proc *p, uint64_t addr, struct goroutine *g)
{
	const struct layout *l = &p->layout;
	uint32_t len = layout_size(l, LS_g);
	const uint8_t *b = image_ptr(p->img, addr, len, NULL), *sched, *stack;

	memset(g, 0, sizeof(*g));
	if (!b)
		return err_fault(addr, "a goroutine's descriptor at 0x%" PRIx64 " cannot be read",
				 addr);
	stack = b + layout_off(l, L_g_stack);
	sched = b + layout_off(l, L_g_sched);
	g->addr = addr;
	g->thread = -1;
	g->lo = proc_peek(p, stack, L_stack_lo);
	g->hi = proc_peek(p, stack, L_stack_hi);
	g->sched_sp = proc_peek(p, sched, L_gobuf_sp);
	g->sched_pc = proc_peek(p, sched, L_gobuf_pc);
	g->sched_lr = proc_peek(p, sched, L_gobuf_lr);
	g->sched_ctxt = proc_peek(p, sched, L_gobuf_ctxt);
	g->syscall_sp = proc_peek(p, b, L_g_syscallsp);
	g->syscall_pc = proc_peek(p, b, L_g_syscallpc);
	g->top_sp = proc_peek(p, b, L_g_stktopsp);
	g->status = proc_peek(p, b, L_g_atomicstatus) & ~(uint64_t)G_SCAN;
	g->goid = proc_peek(p, b, L_g_goid);
	g->m = proc_peek(p, b, L_g_m);
	return NULL;
}

static int32_t thread_index(const struct threads *threads, uint64_t tid)
{
	size_t lo = 0, hi = threads->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (threads->v[mid].tid < tid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < threads->n && threads->v[lo].tid == tid ? (int32_t)lo : -1;
}

static bool in_stack(uint64_t sp, uint64_t lo, uint64_t hi)
{
	return sp > lo && sp <= hi;
}

/* Threads without a number (target/guest.h) are known by the stack they are on: the first that
 * fits. */
static int32_t thread_by_stack(const struct proc *p, const struct threads *threads,
			       const struct machine *m, const struct goroutine *curg)
{
	for (size_t i = 0; i < threads->n && !threads->v[i].tid; i++) {
		uint64_t sp = threads->v[i].regs[p->machine->sp];

		if (in_stack(sp, m->g0_lo, m->g0_hi) || in_stack(sp, m->sig_lo, m->sig_hi) ||
		    (m->curg && in_stack(sp, curg->lo, curg->hi)))
			return (int32_t)i;
	}
	return -1;
}

static struct err *need_object(struct proc *p, const struct spans *spans, uint64_t addr,
			       uint64_t len)
{
	struct range r = spans_around(spans, addr, len);

	return image_need1(p->img, r.addr, r.len);
}

/*
 * The simplest stubs do not number threads as the kernel does.  Then the register that holds g says
 * whose a thread is, as far as it runs Go code.
 */
static void match_by_g(const struct proc *p, struct stacks *s)
{
	const struct arch *a = p->machine;
	int r = 0;

	for (size_t i = 0; i < s->ms.n; i++)
		if (s->ms.v[i].thread >= 0)
			return;
	while (r < a->nregs && (!p->arch->g_reg || strcmp(a->reg_names[r], p->arch->g_reg)))
		r++;
	for (size_t t = 0; r < a->nregs && t < s->threads->n; t++)
		for (size_t i = 0; i < s->ms.n && s->threads->v[t].have[r]; i++) {
			struct machine *m = &s->ms.v[i];
			uint64_t g = s->threads->v[t].regs[r];

			if (g && (g == m->curg || g == m->g0 || g == m->gsignal))
				m->thread = (int32_t)t;
		}
}

struct err *machines_load(struct proc *p, const struct spans *spans, const struct threads *threads,
			  struct stacks *s)
{
	uint32_t msize = layout_size(&p->layout, LS_m), gsize = layout_size(&p->layout, LS_g);
	uint64_t addr, next;
	struct err *err = image_read_word(p->img, p->var.allm, &addr);

	s->threads = threads;
	s->ms.n = 0;
	for (; !err && addr; addr = next) {
		struct machine m = { .addr = addr };
		struct goroutine g, curg;

		if (s->ms.n >= LIMIT_MS)
			return err_create(ERR_LIMIT, "more than %u threads in runtime.allm",
					  LIMIT_MS);
		if ((err = need_object(p, spans, addr, msize)) ||
		    (err = proc_get(p, addr, L_m_alllink, &next)) ||
		    (err = proc_get(p, addr, L_m_procid, &m.procid)) ||
		    (err = proc_get(p, addr, L_m_curg, &m.curg)) ||
		    (err = proc_get(p, addr, L_m_vdsoSP, &m.vdso_sp)) ||
		    (err = proc_get(p, addr, L_m_vdsoPC, &m.vdso_pc)) ||
		    (err = proc_get(p, addr, L_m_g0, &m.g0)) ||
		    (err = proc_get(p, addr, L_m_gsignal, &m.gsignal)))
			break;
		if (m.g0) {
			if ((err = need_object(p, spans, m.g0, gsize)) ||
			    (err = g_load(p, m.g0, &g)))
				break;
			m.g0_lo = g.lo;
			m.g0_hi = g.hi;
			m.g0_sched_sp = g.sched_sp;
		}
		if (m.gsignal) {
			if ((err = need_object(p, spans, m.gsignal, gsize)) ||
			    (err = g_load(p, m.gsignal, &g)))
				break;
			m.sig_lo = g.lo;
			m.sig_hi = g.hi;
		}
		if (m.curg && ((err = need_object(p, spans, m.curg, gsize)) ||
			       (err = g_load(p, m.curg, &curg))))
			break;
		m.thread = m.procid ? thread_index(threads, m.procid) : -1;
		if (m.thread < 0)
			m.thread = thread_by_stack(p, threads, &m, &curg);
		err = vec_push(&s->ms, m);
	}
	if (!err)
		match_by_g(p, s);
	return err_wrapf(err, "reading runtime.allm");
}

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

/* The functions a thread is in, whatever stack it is on. */
static struct err *thread_check(struct proc *p, const struct thread *t, struct unstable *u)
{
	struct unwind w = { .pc = t->regs[p->machine->pc],
			    .sp = t->regs[p->machine->sp],
			    .innermost = true };
	bool ok;

	if (p->machine->lr >= 0)
		w.lr = t->regs[p->machine->lr];
	ok = unwind_frame(p, &w);
	for (int depth = 0; ok && depth < 200; depth++) {
		u->why = class_unstable(w.pi->func->cls);
		if (u->why) {
			u->addr = w.pc;
			return NULL;
		}
		ok = unwind_next(p, &w);
	}
	return NULL;
}

struct err *machines_check(struct proc *p, struct stacks *s, struct unstable *u)
{
	struct ranges want = VEC_INIT;
	struct err *err = NULL;
	size_t i;

	/* 16 KB from each thread's sp: beyond what the runtime's own functions use. */
	for (i = 0; i < s->threads->n && !err; i++) {
		const struct thread *t = &s->threads->v[i];

		if (t->valid)
			err = vec_push(&want,
				       ((struct range){ t->regs[p->machine->sp], 16 << 10 }));
	}
	/* What a signal handler interrupted may have been on g0. */
	for (i = 0; i < s->ms.n && !err; i++) {
		const struct machine *m = &s->ms.v[i];
		uint64_t sp = m->thread >= 0 ? s->threads->v[m->thread].regs[p->machine->sp] : 0,
			 lo = m->g0_lo;

		if (sp <= m->sig_lo || sp >= m->sig_hi || m->g0_sched_sp <= lo)
			continue;
		if (m->g0_sched_sp - lo > 16 << 10)
			lo = m->g0_sched_sp - (16 << 10);
		err = vec_push(&want, ((struct range){ lo, m->g0_sched_sp - lo }));
	}
	if (!err)
		err = image_try(p->img, &want);
	for (i = 0; i < s->threads->n && !err && !u->why; i++)
		if (s->threads->v[i].valid)
			err = thread_check(p, &s->threads->v[i], u);
	/* What runs must be walkable; all of its stack is needed later anyway. */
	want.n = 0;
	for (i = 0; i < s->ms.n && !err; i++) {
		struct goroutine g;

		if (!s->ms.v[i].curg)
			continue;
		err = g_load(p, s->ms.v[i].curg, &g);
		if (!err && g.lo && g.hi > g.lo && g.hi - g.lo < LIMIT_READ) {
			uint64_t lo = g.lo;

			if (g.status != G_RUNNING) {
				lo = g.syscall_sp ? g.syscall_sp : g.sched_sp;
			} else if (s->ms.v[i].thread >= 0) {
				uint64_t sp = s->threads->v[s->ms.v[i].thread].regs[p->machine->sp];

				if (sp > g.lo && sp < g.hi)
					lo = sp; /* else all of it: sched.sp may be an old one */
			}
			if (lo >= g.lo && lo < g.hi)
				err = vec_push(&want, ((struct range){ lo, g.hi - lo }));
		}
		if (!err && s->ms.v[i].sig_hi && s->ms.v[i].thread >= 0) {
			uint64_t sp = s->threads->v[s->ms.v[i].thread].regs[p->machine->sp];

			if (sp > s->ms.v[i].sig_lo && sp < s->ms.v[i].sig_hi)
				err = vec_push(&want,
					       ((struct range){ sp, s->ms.v[i].sig_hi - sp }));
		}
	}
	if (!err)
		err = image_need(p->img, &want, 0);
	vec_deinit(&want);
	for (i = 0; i < s->ms.n && !err && !u->why; i++) {
		struct stacks one = { .threads = s->threads, .ms = s->ms };
		struct goroutine g;

		if (!s->ms.v[i].curg)
			continue;
		err = g_load(p, s->ms.v[i].curg, &g);
		if (err || g.status == G_DEAD || g.status == G_DEADEXTRA)
			continue;
		err = vec_push(&one.gs, g);
		if (!err)
			err = stacks_walk(p, &one, 0);
		if (!err && one.gs.v[0].partial)
			*u = (struct unstable){ one.gs.v[0].why, g.addr, s->ms.v[i].thread < 0 };
		vec_deinit(&one.gs);
		vec_deinit(&one.frames);
	}
	return err;
}

struct err *stacks_load(struct proc *p, struct stacks *s)
{
	uint64_t ptr, len, addr;
	struct err *err = image_read_word(p->img, p->var.allglen, &len);

	if (!err)
		err = image_read_word(p->img, p->var.allgptr, &ptr);
	if (!err && len > LIMIT_GOROUTINES)
		err = err_create(ERR_LIMIT, "runtime.allgs has %" PRIu64 " entries", len);
	s->gs.n = 0;
	s->frames.n = 0;
	for (uint64_t i = 0; !err && i < len; i++) {
		struct goroutine g;

		err = image_read_word(p->img, ptr + i * p->fmt.word, &addr);
		if (!err)
			err = g_load(p, addr, &g);
		if (!err)
			err = vec_push(&s->gs, g);
	}
	return err_wrapf(err, "reading runtime.allgs");
}

struct err *stacks_plan(struct proc *p, const struct stacks *s, struct ranges *want)
{
	struct err *err = NULL;

	for (size_t i = 0; i < s->gs.n && !err; i++) {
		const struct goroutine *g = &s->gs.v[i];
		uint64_t sp = g->syscall_sp ? g->syscall_sp : g->sched_sp;

		if (goroutine_is_dead(g))
			continue;
		if (g->status == G_RUNNING)
			continue; /* machines_check() has it */
		if (g->hi - g->lo > LIMIT_READ || sp < g->lo || sp >= g->hi)
			continue; /* stacks_walk() will say so */
		err = vec_push(want, ((struct range){ sp, g->hi - sp }));
	}
	return err;
}

static struct err *frame_push(struct proc *p, struct stacks *s, const struct unwind *w, uint32_t g,
			      uint64_t continpc, bool conservative)
{
	uint64_t word = p->fmt.word;
	struct gframe f = { .pc = w->pc,
			    .continpc = continpc,
			    .sp = w->sp,
			    .fp = w->fp,
			    .varp = w->fp,
			    .func = w->pi->func,
			    .g = g,
			    .conservative = conservative };

	if (!p->arch->min_frame)
		f.varp -= word;
	if (p->arch->saved_fp && f.varp > f.sp)
		f.varp -= word;
	f.argp = f.fp + p->arch->min_frame;
	return vec_push(&s->frames, f);
}

/* Functions whose frame holds registers of their caller, which is at no safe point: both are
 * scanned conservatively. */
static bool saves_registers(const struct func *f)
{
	return f->cls == FUNC_ASYNC_PREEMPT || f->cls == FUNC_DEBUG_CALL ||
	       f->cls == FUNC_WRITE_BARRIER;
}

struct err *stacks_walk(struct proc *p, struct stacks *s, size_t gi)
{
	struct goroutine *g = &s->gs.v[gi];
	const struct machine *m = NULL;
	struct unwind w = { .innermost = true };
	bool conservative, parent_cons = false, sigpanic = false, ok;
	const struct pcinfo *last = NULL;
	struct gcontext ctx;
	struct err *err;

	g->first_frame = (uint32_t)s->frames.n;
	g->nframes = 0;
	g->partial = false;
	if (goroutine_is_dead(g))
		return NULL;
	for (size_t i = 0; i < s->ms.n; i++)
		if (s->ms.v[i].curg == g->addr)
			m = &s->ms.v[i];
	if (m) {
		g->m = m->addr;
		g->thread = m->thread;
	}
	g->partial = true;
	if (!stack_start(p, s, g, m, &ctx, &conservative, &g->why))
		return NULL;
	g->why = "its stack pointer is not in its stack";
	if (ctx.sp <= g->lo || ctx.sp > g->hi)
		return NULL;
	w.pc = ctx.pc;
	w.sp = ctx.sp;
	if (p->machine->lr >= 0)
		w.lr = ctx.lr;
	g->why = "its stack could not be walked to its end";
	if (!w.pc && !p->arch->min_frame) { /* a call of a nil func: the caller is next */
		err = image_read_word(p->img, w.sp, &w.pc);
		if (err) {
			err_destroy(err);
			return NULL;
		}
		w.sp += p->fmt.word;
	}
	for (ok = unwind_frame(p, &w); ok; ok = unwind_next(p, &w)) {
		const struct func *f = w.pi->func;
		bool cons = conservative || parent_cons;
		uint64_t continpc = w.pc;

		if (g->nframes >= LIMIT_FRAMES || w.fp > g->hi + p->fmt.word || w.fp < w.sp)
			return NULL;
		if (sigpanic) /* what panicked goes on only at its deferreturn */
			continpc = f->deferreturn ? f->entry + f->deferreturn + 1 : 0;
		/*
		 * Called at an unsafe point, and running: its pointers may be only in registers,
		 * which what it called saved in its own frame.
		 */
		if (last && w.pi->unsafe && !f->in_runtime && !sigpanic && last->func->in_runtime &&
		    g->status == G_RUNNING) {
			cons = true;
			s->frames.v[s->frames.n - 1].conservative = true;
		}
		if (saves_registers(f))
			cons = true;
		err = frame_push(p, s, &w, (uint32_t)gi, continpc, cons);
		if (err)
			return err;
		g->nframes++;
		parent_cons = saves_registers(f);
		sigpanic = f->cls == FUNC_SIGPANIC;
		conservative = false;
		last = w.pi;
		if (!w.lr) { /* the top: goexit, or main's end */
			if (w.sp == g->top_sp)
				g->partial = false;
			return NULL;
		}
		/* A frame that moves sp cannot be passed, except where the runtime itself does. */
		if (f->flag & FUNC_FLAG_SPWRITE && g->nframes > 1 && f->cls != FUNC_CGOCALLBACK)
			return NULL;
	}
	return NULL;
}
