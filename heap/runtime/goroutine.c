/*
 * Goroutines: their descriptors, and the walk over their frames (runtime/traceback.go's rules on
 * what one frame says of the next).
 */
#include "heap/runtime/goroutine.h"

#include <inttypes.h>
#include <string.h>

#include "base/intr.h"
#include "base/limits.h"

void stacks_deinit(struct stacks *s)
{
	vec_deinit(&s->gs);
	vec_deinit(&s->ms);
	map64_deinit(&s->by_curg);
	vec_deinit(&s->frames);
}

struct err *goroutine_load(const struct proc *p, uint64_t addr, struct goroutine *g)
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

static struct err *allgs_load(const struct proc *p, struct stacks *s)
{
	uint64_t ptr, len, addr;

	TRY(image_read_word(p->img, p->var.allglen, &len));
	TRY(image_read_word(p->img, p->var.allgptr, &ptr));
	if (len > LIMIT_GOROUTINES)
		return err_create(ERR_LIMIT, "runtime.allgs has %" PRIu64 " entries", len);
	for (uint64_t i = 0; i < len; i++) {
		struct goroutine g;

		TRY(image_read_word(p->img, ptr + i * p->fmt.word, &addr));
		TRY(goroutine_load(p, addr, &g));
		TRY(vec_push(&s->gs, g));
	}
	return NULL;
}

struct err *stacks_load(struct proc *p, struct stacks *s)
{
	s->gs.n = 0;
	s->frames.n = 0;
	return err_wrapf(allgs_load(p, s), "reading runtime.allgs");
}

struct err *stacks_plan(struct proc *p, const struct stacks *s, struct ranges *want)
{
	for (size_t i = 0; i < s->gs.n; i++) {
		const struct goroutine *g = &s->gs.v[i];
		uint64_t sp = goroutine_sp(g);

		if (goroutine_is_dead(g))
			continue;
		if (g->status == G_RUNNING)
			continue; /* machines_check() has it */
		if (g->hi - g->lo > LIMIT_READ || sp < g->lo || sp >= g->hi)
			continue; /* stacks_walk() will say so */
		TRY(vec_push(want, ((struct range){ sp, g->hi - sp })));
	}
	return NULL;
}

/* ------------------------------------------------------------------ the walk */

static struct err *frame_push(struct stacks *s, const struct unwind *w, uint32_t g,
			      enum frame_goes_on goes_on, bool conservative)
{
	return vec_push(
		&s->frames,
		((struct gframe){ .pc = w->pc,
				  .sp = w->sp,
				  .func = w->pi->func,
				  .g = g,
				  .size = (uint32_t)((w->fp - w->sp) / FRAME_UNIT) & FRAME_SIZE_MAX,
				  .conservative = conservative,
				  .goes_on = (unsigned)goes_on & 3 }));
}

/* Functions whose frame holds registers of their caller, which is at no safe point: both are
 * scanned conservatively. */
static bool saves_registers(const struct func *f)
{
	return f->cls == FUNC_ASYNC_PREEMPT || f->cls == FUNC_DEBUG_CALL ||
	       f->cls == FUNC_WRITE_BARRIER;
}

/* A walk on its way: what the frame before says of the next one. */
struct stack_walk {
	struct proc *p;
	struct stacks *s;
	struct goroutine *g;
	uint32_t gi;
	struct unwind w;
	bool conservative; /* the innermost frame, of a thread that was running */
	bool saved;        /* what this frame called saved its registers */
	bool sigpanic;     /* what this frame called is sigpanic */
	bool still;        /* what this frame called has no bytes */
	const struct pcinfo *last;
};

/* Notes which m runs the goroutine; NULL: none. */
static const struct machine *find_machine(const struct stacks *s, struct goroutine *g)
{
	const uint64_t *i = map64_get(&s->by_curg, g->addr);
	const struct machine *m = i ? &s->ms.v[*i] : NULL;

	if (m) {
		g->m = m->addr;
		g->thread = m->thread;
	}
	return m;
}

/* Finds the innermost frame; false: the goroutine cannot be walked (g->why). */
static bool walk_start(struct stack_walk *k)
{
	const struct machine *m = find_machine(k->s, k->g);
	struct proc *p = k->p;
	struct gcontext ctx;

	if (!stack_start(p, k->s, k->g, m, &ctx, &k->conservative, &k->g->why))
		return false;
	k->g->why = "its stack pointer is not in its stack";
	if (!stack_holds(ctx.sp, k->g->lo, k->g->hi))
		return false;
	k->g->why = "its stack could not be walked to its end";
	k->w.pc = ctx.pc;
	k->w.sp = ctx.sp;
	if (p->machine->lr >= 0)
		k->w.lr = ctx.lr;
	if (!k->w.pc && !p->arch->min_frame) { /* a call of a nil func: the caller is next */
		if (!proc_try_word(p, k->w.sp, &k->w.pc))
			return false;
		k->w.sp += p->fmt.word;
	}
	return true;
}

/* Appends the frame at k->w, with what its callee says of how it is to be scanned. */
static struct err *walk_push(struct stack_walk *k)
{
	const struct func *f = k->w.pi->func;
	bool cons = k->conservative || k->saved || saves_registers(f);
	enum frame_goes_on goes_on = FRAME_HERE;

	if (k->sigpanic) /* what panicked goes on only at its deferreturn */
		goes_on = f->deferreturn ? FRAME_AT_DEFERRETURN : FRAME_NEVER;
	/*
	 * Called at an unsafe point, and running: its pointers may be only in registers, which what
	 * it called saved in its own frame.
	 */
	if (k->last && k->w.pi->unsafe && !f->in_runtime && !k->sigpanic &&
	    k->last->func->in_runtime && k->g->status == G_RUNNING) {
		cons = true;
		k->s->frames.v[k->s->frames.n - 1].conservative = true;
	}
	TRY(frame_push(k->s, &k->w, k->gi, goes_on, cons));
	k->g->nframes++;
	k->saved = saves_registers(f);
	k->sigpanic = f->cls == FUNC_SIGPANIC;
	k->conservative = false;
	k->last = k->w.pi;
	return NULL;
}

struct err *stacks_walk(struct proc *p, struct stacks *s, size_t gi)
{
	struct goroutine *g = &s->gs.v[gi];
	struct stack_walk k = {
		.p = p, .s = s, .g = g, .gi = (uint32_t)gi, .w = { .innermost = true }
	};
	bool ok;

	g->first_frame = (uint32_t)s->frames.n;
	g->nframes = 0;
	g->partial = !goroutine_is_dead(g);
	if (!g->partial || !walk_start(&k))
		return NULL;
	for (ok = unwind_frame(p, &k.w); ok; ok = unwind_next(p, &k.w)) {
		const struct func *f = k.w.pi->func;

		TRY(intr_check());
		if (s->frames.n >= UINT32_MAX)
			return err_create(ERR_LIMIT, "more than %u frames", UINT32_MAX);
		if (g->nframes >= LIMIT_FRAMES || k.w.fp > g->hi + p->fmt.word || k.w.fp < k.w.sp ||
		    (k.w.fp - k.w.sp) / FRAME_UNIT > FRAME_SIZE_MAX ||
		    (k.w.fp - k.w.sp) % FRAME_UNIT)
			return NULL;
		/* A leaf has no bytes where return addresses are in a register; what calls has. */
		if (k.still && k.w.fp == k.w.sp)
			return NULL;
		k.still = k.w.fp == k.w.sp;
		TRY(walk_push(&k));
		if (!k.w.lr) { /* the top: goexit, or main's end */
			if (k.w.sp == g->top_sp)
				g->partial = false;
			return NULL;
		}
		/* A frame that moves sp cannot be passed, except where the runtime itself does. */
		if (f->flag & FUNC_FLAG_SPWRITE && g->nframes > 1 && f->cls != FUNC_CGOCALLBACK)
			return NULL;
	}
	return NULL;
}
