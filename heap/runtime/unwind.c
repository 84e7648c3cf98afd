/*
 * Goes from one physical frame to the next by pcsp deltas: runtime/traceback.go's unwinder, without
 * its assertions; and finds where the walk of a goroutine begins, which is not where its thread is
 * if that runs a signal handler, or C, or on g0.
 */
#include "heap/runtime/goroutine.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/intr.h"
#include "base/limits.h"

/* Fills pi, fp and lr for pc and sp. */
bool unwind_frame(struct proc *p, struct unwind *u)
{
	bool lr_machine = p->arch->min_frame > 0;
	struct err *err;

	err = pcinfo_find(p, u->pc, &u->pi);
	if (err || !u->pi || u->pi->spdelta < 0) {
		err_destroy(err);
		return false;
	}
	u->fp = u->sp + (uint64_t)u->pi->spdelta;
	if (!lr_machine)
		u->fp += p->fmt.word; /* the return address that CALL pushed */
	if (u->pi->func->flag & FUNC_FLAG_TOPFRAME) {
		u->lr = 0;
		return true;
	}
	if (!lr_machine)
		return proc_try_word(p, u->fp - p->fmt.word, &u->lr);
	if ((u->innermost && u->sp < u->fp) || !u->lr)
		return proc_try_word(p, u->sp, &u->lr);
	return true;
}

bool unwind_next(struct proc *p, struct unwind *u)
{
	enum func_class cls = u->pi->func->cls;
	uint64_t x, align = p->arch->stack_align;

	if (!u->lr)
		return false;
	u->pc = u->lr;
	u->sp = u->fp;
	u->lr = 0;
	if (p->arch->min_frame &&
	    (cls == FUNC_SIGPANIC || cls == FUNC_ASYNC_PREEMPT || cls == FUNC_DEBUG_CALL)) {
		const struct pcinfo *pi;
		struct err *err;

		if (!proc_try_word(p, u->sp, &x))
			return false;
		u->sp += (p->arch->min_frame + align - 1) & ~(align - 1);
		err = pcinfo_find(p, u->pc, &pi);
		if (err) {
			err_destroy(err);
			return false;
		}
		if (!pi)
			u->pc = x;
		else if (!pi->spdelta)
			u->lr = x;
	}
	u->innermost = false;
	return unwind_frame(p, u);
}

static const struct thread *machine_thread(const struct stacks *s, const struct machine *m)
{
	return m && m->thread >= 0 ? &s->threads->v[m->thread] : NULL;
}

/* Replaces the registers by those that a signal handler interrupted: the kernel saved them where
 * sigtramp's frame begins. */
static bool sigcontext(struct proc *p, struct gcontext *ctx)
{
	enum { HANDLER_DEPTH = 1000 };
	struct unwind u = { .pc = ctx->pc, .sp = ctx->sp, .innermost = true };
	const struct arch *a = p->machine;

	if (a->lr >= 0)
		u.lr = ctx->regs[a->lr];
	if (!unwind_frame(p, &u))
		return false;
	for (int depth = 0; u.pi->func->cls != FUNC_SIGTRAMP; depth++)
		if (depth > HANDLER_DEPTH || !unwind_next(p, &u))
			return false;
	for (const struct arch_saved *s = a->saved; s->n; s++)
		for (unsigned i = 0; i < s->n; i++)
			if (!proc_try_word(p, u.fp + s->off + i * s->step, &ctx->regs[s->reg + i]))
				return false;
	ctx->pc = ctx->regs[a->pc];
	ctx->sp = ctx->regs[a->sp];
	return true;
}

static enum func_class class_at(struct proc *p, uint64_t pc)
{
	const struct func *f;
	struct err *err = func_find(p, pc, &f);

	err_destroy(err);
	return !err && f ? f->cls : FUNC_NORMAL;
}

/* Whether a walk from here ends where the stack does; sp is at a return address.  *steps: how many
 * frames may still be looked at. */
static bool reaches_top(struct proc *p, const struct goroutine *g, uint64_t pc, uint64_t sp,
			unsigned *steps)
{
	struct unwind u = { .pc = pc, .sp = sp + p->fmt.word };

	if (!unwind_frame(p, &u))
		return false;
	while (u.lr) {
		if (!*steps || intr_signal() || u.fp > g->hi || !unwind_next(p, &u))
			return false;
		--*steps;
	}
	return u.sp == g->top_sp;
}

/* Is pc behind a call (amd64's E8, rel32) of one of the race detector's entries? */
static bool behind_racecall(struct proc *p, uint64_t pc)
{
	const struct func *f;
	uint64_t op, rel;
	struct err *err;

	if (!proc_try_uint(p, pc - 5, 1, &op) || op != 0xe8 || !proc_try_uint(p, pc - 4, 4, &rel))
		return false;
	err = func_find(p, pc + (uint64_t)(int64_t)(int32_t)rel, &f);
	err_destroy(err);
	return !err && f &&
	       (!strncmp(f->name, "race", 4) || !strncasecmp(f->name, "runtime.race", 12));
}

/*
 * The race detector's code, in C, runs on g0, and racecall (race_amd64.s) switches there without
 * saving but in R12, which C functions keep, perhaps in their frames.  So the goroutine's sp is in
 * R12 or between the thread's sp and where g0's stack was taken up; it is where a call of the race
 * detector returns to, and the stack can be walked to its end from there. The C code's frames may
 * hold older ones: those of calls further down the stack than this one.
 */
static bool racecall_sp(struct proc *p, const struct goroutine *g, const struct machine *m,
			struct gcontext *ctx)
{
	uint64_t word = p->fmt.word, found = 0, v, pc, n, at;
	const struct arch *a = p->machine;
	unsigned steps = LIMIT_RACE_STEPS;

	n = image_run(p->img, ctx->sp);
	if (n > m->g0_sched_sp - ctx->sp)
		n = m->g0_sched_sp - ctx->sp;
	for (int r = 0; r < a->nregs; r++)
		if (!strcmp(a->reg_names[r], p->arch->race_reg) &&
		    stack_holds(ctx->regs[r], g->lo, g->hi) &&
		    proc_try_word(p, ctx->regs[r], &pc) && behind_racecall(p, pc) &&
		    reaches_top(p, g, pc, ctx->regs[r], &steps))
			found = ctx->regs[r];
	for (at = 0; at + word <= n && steps && !intr_signal(); at += word) {
		if (proc_try_word(p, ctx->sp + at, &v) && v > found &&
		    stack_holds(v, g->lo, g->hi) && !(v & (word - 1)) && proc_try_word(p, v, &pc) &&
		    behind_racecall(p, pc) && reaches_top(p, g, pc, v, &steps))
			found = v;
	}
	if (!found || !proc_try_word(p, found, &ctx->pc))
		return false;
	ctx->sp = found + word;
	return true;
}

/*
 * Is the thread in the race detector's code?  racecall aligns the sp and calls; so do others that
 * use g0's stack, with their own return address or argument there.
 */
static bool in_racecall(struct proc *p, const struct machine *m, const struct gcontext *ctx)
{
	uint64_t pc;

	if (!p->arch->race_reg || !stack_holds(ctx->sp, m->g0_lo, m->g0_sched_sp) ||
	    m->g0_sched_sp > m->g0_hi)
		return false;
	return class_at(p, ctx->pc) == FUNC_RACECALL ||
	       (proc_try_word(p, (m->g0_sched_sp & ~15ull) - p->fmt.word, &pc) &&
		class_at(p, pc) == FUNC_RACECALL);
}

/* Of a goroutine that does not run: what it saved. */
static bool start_parked(const struct goroutine *g, struct gcontext *ctx, const char **why)
{
	if (g->status == G_COPYSTACK) {
		*why = "its stack is being moved";
		return false;
	}
	ctx->pc = g->syscall_sp ? g->syscall_pc : g->sched_pc;
	ctx->sp = goroutine_sp(g);
	ctx->lr = g->syscall_sp ? 0 : g->sched_lr;
	return true;
}

/* Of a goroutine whose thread is on g0, or on a stack of C's: what was saved at the switch. */
static bool start_switched(struct proc *p, const struct goroutine *g, const struct machine *m,
			   struct gcontext *ctx, const char **why)
{
	/* What sched has may be left from a call of C. */
	if (in_racecall(p, m, ctx)) {
		*why = "the race detector's code, and where it was called was not found";
		return racecall_sp(p, g, m, ctx);
	}
	if (!g->sched_sp) {
		*why = "its thread switched stacks without saving where it was";
		return false;
	}
	ctx->pc = g->sched_pc;
	ctx->sp = g->sched_sp;
	ctx->lr = g->sched_lr;
	return true;
}

bool stack_start(struct proc *p, const struct stacks *s, const struct goroutine *g,
		 const struct machine *m, struct gcontext *ctx, bool *conservative,
		 const char **why)
{
	enum { HANDLERS_MAX = 3 };
	const struct thread *t = machine_thread(s, m);

	*conservative = false;
	memset(ctx, 0, sizeof(*ctx));
	if (g->status != G_RUNNING)
		return start_parked(g, ctx, why);
	if (!t || !t->valid) {
		*why = "it runs on a thread whose registers cannot be had";
		return false;
	}
	ctx->pc = t->regs[p->machine->pc];
	ctx->sp = t->regs[p->machine->sp];
	memcpy(ctx->regs, t->regs, sizeof(ctx->regs));
	for (int depth = 0; depth < HANDLERS_MAX; depth++) {
		enum func_class cls = class_at(p, ctx->pc);
		bool on_signal = stack_holds(ctx->sp, m->sig_lo, m->sig_hi);

		if (cls == FUNC_GOGO) {
			*why = "a switch of goroutines (gogo)";
			return false;
		}
		/* nanotime1 and its like switch to g0 without saving; the m says where they came
		 * from. */
		if (m->vdso_sp && stack_holds(m->vdso_sp, g->lo, g->hi) && !on_signal &&
		    (cls == FUNC_NANOTIME1 || !stack_holds(ctx->sp, g->lo, g->hi))) {
			ctx->pc = m->vdso_pc;
			ctx->sp = m->vdso_sp;
			return true;
		}
		if (stack_holds(ctx->sp, g->lo, g->hi)) {
			*conservative = true;
			ctx->have_regs = true;
			if (p->machine->lr >= 0)
				ctx->lr = ctx->regs[p->machine->lr];
			return true;
		}
		if (!on_signal || stack_holds(ctx->sp, m->g0_lo, m->g0_hi))
			return start_switched(p, g, m, ctx, why);
		if (!sigcontext(p, ctx)) {
			*why = "a signal handler whose context was not found";
			return false;
		}
	}
	*why = "nested signal handlers";
	return false;
}
