/*
 * heap/runtime/goroutine.c, unwind.c and stack.c on hand-made goroutines of each era: frames, what
 * their maps, stack objects and registers hold, and stacks that make no sense.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "heap/heap.h"
#include "tests/unit/check.h"
#include "tests/unit/fakeheap.h"

enum { PARKED, SPINNING };

static void walk(struct fake *f, size_t g)
{
	ok(stacks_walk(f->p, fake_stacks(f), g));
}

static const struct gframe *frame_of(struct fake *f, size_t g, uint32_t i)
{
	const struct goroutine *x = &fake_stacks(f)->gs.v[g];

	assert_in_range(i, 0, x->nframes - 1);
	return &fake_stacks(f)->frames.v[x->first_frame + i];
}

static void check_frames(struct fake *f, size_t g, const char *const *names, uint32_t n)
{
	const struct goroutine *x = &fake_stacks(f)->gs.v[g];

	walk(f, g);
	if (x->nframes != n || x->partial)
		fail_msg("%s %s: goroutine %zu has %u frames%s%s", f->era.version, f->era.goarch, g,
			 x->nframes, x->partial ? ", " : "", x->partial ? x->why : "");
	for (uint32_t i = 0; i < n; i++) {
		const struct gframe *fr = frame_of(f, g, i);

		assert_string_equal(fr->func->name, names[i]);
		assert_int_equal(fr->g, g);
		if (i + 1 < n)
			assert_int_equal(frame_of(f, g, i + 1)->sp, frame_fp(fr));
	}
	assert_int_equal(frame_of(f, g, n - 1)->sp, x->top_sp);
}

static const struct root *find_root(const struct roots *r, uint64_t value)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].value == value)
			return &r->v[i];
	return NULL;
}

static void check_root(struct fake *f, const struct roots *r, uint64_t value, enum root_kind kind,
		       bool conservative, const char *func, uint64_t addr)
{
	const struct root *x = find_root(r, value);

	if (!x)
		fail_msg("%s %s: 0x%lx is no root", f->era.version, f->era.goarch,
			 (unsigned long)value);
	assert_int_equal(x->kind, kind);
	assert_int_equal(x->conservative, conservative);
	assert_string_equal(fake_stacks(f)->frames.v[x->frame].func->name, func);
	if (addr)
		assert_int_equal(x->addr, addr);
}

static void each_era(void **state)
{
	static const char *const parked[] = { "runtime.gopark", "main.worker", "runtime.goexit" };
	static const char *const spinning[] = { "main.spin", "runtime.goexit" };

	for (size_t e = 0; e < fake_neras; e++) {
		_cleanup_vec_ struct ranges want = VEC_INIT;
		_cleanup_vec_ struct roots roots = VEC_INIT;
		struct unstable u = { NULL };
		const struct gframe *worker;
		const struct goroutine *g;
		struct stacks *s;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		fake_load(&f, true);
		ok(fake_read_stacks(&f));
		s = fake_stacks(&f);
		ok(machines_check(f.p, s, &u));
		assert_null(u.why);
		assert_int_equal(s->ms.n, 1);
		assert_int_equal(s->ms.v[0].addr, f.m0);
		assert_int_equal(s->ms.v[0].thread, 0);
		assert_int_equal(s->ms.v[0].curg, f.gs[SPINNING]);
		assert_int_equal(s->ms.v[0].g0_lo, f.stack[2]);
		assert_int_equal(s->gs.n, 2);
		g = &s->gs.v[PARKED];
		assert_int_equal(g->addr, f.gs[PARKED]);
		assert_int_equal(g->goid, 1);
		assert_int_equal(g->status, G_WAITING);
		assert_int_equal(g->lo, f.stack[0]);
		assert_int_equal(g->hi, f.stack[0] + f.stack_len[0]);

		/* from sp on; of what runs, machines_check() has brought it */
		ok(stacks_plan(f.p, s, &want));
		assert_int_equal(want.n, 1);
		assert_int_equal(want.v[0].addr, g->sched_sp);
		assert_int_equal(want.v[0].addr + want.v[0].len, g->hi);

		check_frames(&f, PARKED, parked, 3);
		check_frames(&f, SPINNING, spinning, 2);
		worker = frame_of(&f, PARKED, 1);
		assert_int_equal(frame_varp(f.p, worker) - 4 * f.fmt.word, f.local);
		assert_int_equal(frame_argp(f.p, worker), f.arg);
		assert_false(worker->conservative);
		assert_true(frame_of(&f, SPINNING, 0)->conservative);
		assert_false(frame_of(&f, SPINNING, 1)->conservative);

		ok(stacks_scan(f.p, s, fake_spans(&f), PARKED, &roots));
		assert_int_equal(roots.n, 3);
		check_root(&f, &roots, fake_node(&f, NODE_LOCAL), ROOT_STACK, false, "main.worker",
			   f.local);
		check_root(&f, &roots, fake_node(&f, NODE_ARG), ROOT_STACK, false, "main.worker",
			   f.arg);
		check_root(&f, &roots, fake_node(&f, NODE_ON_STACK), ROOT_STACK, false,
			   "main.worker", f.local_object);
		roots.n = 0;
		ok(stacks_scan(f.p, s, fake_spans(&f), SPINNING, &roots));
		assert_int_equal(roots.n, 2);
		check_root(&f, &roots, fake_node(&f, NODE_REGISTER), ROOT_REGISTER, true,
			   "main.spin", 0);
		check_root(&f, &roots, fake_node(&f, NODE_GUESSED), ROOT_STACK, true, "main.spin",
			   f.guessed);
		fake_free(&f);
	}
}

/* A stack object lives only while something points to it. */
static void unreferenced_object(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		_cleanup_vec_ struct roots roots = VEC_INIT;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		fake_word(&f, f.local + f.fmt.word, 0);
		fake_load(&f, true);
		ok(fake_read_stacks(&f));
		walk(&f, PARKED);
		ok(stacks_scan(f.p, fake_stacks(&f), fake_spans(&f), PARKED, &roots));
		assert_int_equal(roots.n, 2);
		assert_null(find_root(&roots, fake_node(&f, NODE_ON_STACK)));
		fake_free(&f);
	}
}

/* In a system call: where that was entered counts, not sched. */
static void system_call(void **state)
{
	static const char *const names[] = { "runtime.gopark", "main.worker", "runtime.goexit" };

	for (size_t e = 0; e < fake_neras; e++) {
		uint64_t sched;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		sched = f.gs[PARKED] + layout_off(&f.l, L_g_sched);
		fake_set(&f, f.gs[PARKED], L_g_atomicstatus, G_SYSCALL);
		fake_set(&f, f.gs[PARKED], L_g_syscallsp, fake_get(&f, sched, L_gobuf_sp));
		fake_set(&f, f.gs[PARKED], L_g_syscallpc, fake_get(&f, sched, L_gobuf_pc));
		fake_set(&f, sched, L_gobuf_sp, 0);
		fake_set(&f, sched, L_gobuf_pc, 0);
		fake_load(&f, true);
		ok(fake_read_stacks(&f));
		check_frames(&f, PARKED, names, 3);
		fake_free(&f);
	}
}

/* A nil func was called, where calls push their return address: the caller is on top. */
static void nil_func(void **state)
{
	static const char *const names[] = { "main.worker", "runtime.goexit" };

	for (size_t e = 0; e < fake_neras; e++) {
		uint64_t sched, sp;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		if (f.arch->min_frame) {
			fake_free(&f);
			continue;
		}
		sched = f.gs[PARKED] + layout_off(&f.l, L_g_sched);
		sp = fake_get(&f, sched, L_gobuf_sp) + f.frame;
		fake_set(&f, sched, L_gobuf_sp, sp);
		fake_set(&f, sched, L_gobuf_pc, 0);
		fake_load(&f, true);
		ok(fake_read_stacks(&f));
		check_frames(&f, PARKED, names, 2);
		fake_free(&f);
	}
}

static void dead(void **state)
{
	static const uint64_t statuses[] = { G_IDLE, G_DEAD, G_DEADEXTRA, G_DEAD | G_SCAN };

	for (size_t e = 0; e < fake_neras; e++)
		for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++) {
			_cleanup_vec_ struct roots roots = VEC_INIT;
			struct fake f;

			fake_make(&f, &fake_eras[e]);
			fake_set(&f, f.gs[PARKED], L_g_atomicstatus, statuses[i]);
			fake_load(&f, true);
			ok(fake_read_stacks(&f));
			walk(&f, PARKED);
			assert_int_equal(fake_stacks(&f)->gs.v[PARKED].nframes, 0);
			assert_false(fake_stacks(&f)->gs.v[PARKED].partial);
			ok(stacks_scan(f.p, fake_stacks(&f), fake_spans(&f), PARKED, &roots));
			assert_int_equal(roots.n, 0);
			fake_free(&f);
		}
}

/* ------------------------------------------------------------------ threads */

/* A thread whose number the runtime does not know is matched by its stack, or by its g. */
static void threads_by_stack(void **state)
{
	for (size_t e = 0; e < fake_neras; e++)
		for (int by_g = 0; by_g < 2; by_g++) {
			struct thread *t;
			struct fake f;

			fake_make(&f, &fake_eras[e]);
			t = &f.threads.v[0];
			t->tid = by_g;
			for (int r = 0; by_g && f.arch->g_reg && r < f.machine->nregs; r++)
				if (!strcmp(f.machine->reg_names[r], f.arch->g_reg))
					t->regs[r] = f.gs[SPINNING];
			fake_load(&f, true);
			ok(fake_read_stacks(&f));
			assert_int_equal(fake_stacks(&f)->ms.v[0].thread,
					 by_g && !f.arch->g_reg ? -1 : 0);
			fake_free(&f);
		}
}

/* Functions in which nothing can be read exactly. */
static void unstable_functions(void **state)
{
	static const struct {
		const char *name, *why;
	} all[] = {
		{ "runtime.copystack", "a stack being moved" },
		{ "runtime.(*mheap).allocSpan", "a span being set up" },
		{ "runtime.(*sweepLocked).sweep", "a span being swept" },
		{ "gogo", "a switch of goroutines" },
	};

	for (size_t e = 0; e < fake_neras; e++)
		for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
			struct unstable u = { NULL };
			struct fake f;

			fake_make(&f, &fake_eras[e]);
			strcpy((char *)fake_at(&f, f.names[FAKE_SPIN], FAKE_NAME - 1), all[i].name);
			fake_load(&f, true);
			ok(fake_read_stacks(&f));
			ok(machines_check(f.p, fake_stacks(&f), &u));
			assert_non_null(u.why);
			assert_string_equal(u.why, all[i].why);
			fake_free(&f);
		}
}

/* Nothing is known of the thread that runs it: all of its stack is looked at. */
static void no_registers(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		_cleanup_vec_ struct roots roots = VEC_INIT;
		struct unstable u = { NULL };
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		f.threads.n = 0;
		fake_load(&f, true);
		ok(fake_read_stacks(&f));
		assert_int_equal(fake_stacks(&f)->ms.v[0].thread, -1);
		ok(machines_check(f.p, fake_stacks(&f), &u));
		assert_non_null(u.why);
		assert_true(u.registers);
		walk(&f, SPINNING);
		assert_true(fake_stacks(&f)->gs.v[SPINNING].partial);
		ok(stacks_scan(f.p, fake_stacks(&f), fake_spans(&f), SPINNING, &roots));
		assert_int_equal(roots.n, 1);
		assert_int_equal(roots.v[0].value, fake_node(&f, NODE_GUESSED));
		assert_true(roots.v[0].conservative);
		fake_free(&f);
	}
}

static void rename_func(struct fake *f, enum fake_func i, const char *name)
{
	strcpy((char *)fake_at(f, f->names[i], FAKE_NAME - 1), name);
}

/* A thread that reads the clock is on g0's stack without having saved: the m says where from. */
static void clock_reader(void **state)
{
	static const char *const names[] = { "main.spin", "runtime.goexit" };

	for (size_t e = 0; e < fake_neras; e++) {
		uint64_t *regs;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		regs = f.threads.v[0].regs;
		fake_set(&f, f.m0, L_m_vdsoSP, regs[f.machine->sp]);
		fake_set(&f, f.m0, L_m_vdsoPC, regs[f.machine->pc]);
		regs[f.machine->sp] = f.stack[2] + 1024;
		regs[f.machine->pc] = f.funcs[FAKE_GOPARK] + FAKE_PC;
		fake_load(&f, true);
		ok(fake_read_stacks(&f));
		check_frames(&f, SPINNING, names, 2);
		assert_false(frame_of(&f, SPINNING, 0)->conservative);
		fake_free(&f);
	}
}

/* A signal came while it ran: what the kernel saved for the handler says where, and its registers
 * are the goroutine's. */
static void signal_handler(void **state)
{
	static const char *const names[] = { "main.spin", "runtime.goexit" };
	enum { LEN = 4096 };

	for (size_t e = 0; e < fake_neras; e++) {
		_cleanup_vec_ struct roots roots = VEC_INIT;
		uint64_t gsignal, stack, lo, fp, *regs;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		rename_func(&f, FAKE_GOPARK, "runtime.sigtramp");
		gsignal = fake_alloc(&f, layout_size(&f.l, LS_g), 64);
		lo = fake_alloc(&f, LEN, 64);
		stack = gsignal + layout_off(&f.l, L_g_stack);
		fake_set(&f, stack, L_stack_lo, lo);
		fake_set(&f, stack, L_stack_hi, lo + LEN);
		fake_set(&f, f.m0, L_m_gsignal, gsignal);
		regs = f.threads.v[0].regs;
		fp = lo + 512 + f.frame + (f.arch->min_frame ? 0 : f.fmt.word);
		for (const struct arch_saved *x = f.machine->saved; x->n; x++)
			for (unsigned i = 0; i < x->n; i++)
				fake_word(&f, fp + x->off + i * x->step, regs[x->reg + i]);
		memset(regs, 0, sizeof(f.threads.v[0].regs));
		regs[f.machine->sp] = lo + 512;
		regs[f.machine->pc] = f.funcs[FAKE_GOPARK] + FAKE_PC;
		fake_load(&f, true);
		ok(fake_read_stacks(&f));
		check_frames(&f, SPINNING, names, 2);
		assert_true(frame_of(&f, SPINNING, 0)->conservative);
		ok(stacks_scan(f.p, fake_stacks(&f), fake_spans(&f), SPINNING, &roots));
		check_root(&f, &roots, fake_node(&f, NODE_REGISTER), ROOT_REGISTER, true,
			   "main.spin", 0);
		fake_free(&f);
	}
}

/* The handler's own frames cannot be passed. */
static void lost_signal_context(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		uint64_t gsignal, stack, lo, *regs;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		gsignal = fake_alloc(&f, layout_size(&f.l, LS_g), 64);
		lo = fake_alloc(&f, 4096, 64);
		stack = gsignal + layout_off(&f.l, L_g_stack);
		fake_set(&f, stack, L_stack_lo, lo);
		fake_set(&f, stack, L_stack_hi, lo + 4096);
		fake_set(&f, f.m0, L_m_gsignal, gsignal);
		regs = f.threads.v[0].regs;
		regs[f.machine->sp] = lo + 512;
		regs[f.machine->pc] = f.funcs[FAKE_GOPARK] + FAKE_PC;
		fake_load(&f, true);
		ok(fake_read_stacks(&f));
		walk(&f, SPINNING);
		assert_string_equal(fake_stacks(&f)->gs.v[SPINNING].why,
				    "a signal handler whose context was not found");
		fake_free(&f);
	}
}

/* What called a function that saves its caller's registers is at no safe point. */
static void preempted(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		_cleanup_vec_ struct roots roots = VEC_INIT;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		rename_func(&f, FAKE_GOPARK, "runtime.gcWriteBarrier2");
		fake_load(&f, true);
		ok(fake_read_stacks(&f));
		walk(&f, PARKED);
		assert_true(frame_of(&f, PARKED, 0)->conservative);
		assert_true(frame_of(&f, PARKED, 1)->conservative);
		assert_false(frame_of(&f, PARKED, 2)->conservative);
		ok(stacks_scan(f.p, fake_stacks(&f), fake_spans(&f), PARKED, &roots));
		check_root(&f, &roots, fake_node(&f, NODE_LOCAL), ROOT_STACK, true, "main.worker",
			   f.local);
		/* no map says that it is none */
		assert_non_null(find_root(&roots, fake_node(&f, NODE_GARBAGE)));
		fake_free(&f);
	}
}

/* What panicked goes on only where its deferred calls return to; without any it is done. */
static void panicked(void **state)
{
	for (size_t e = 0; e < fake_neras; e++)
		for (int defers = 0; defers < 2; defers++) {
			_cleanup_vec_ struct roots roots = VEC_INIT;
			struct fake f;

			fake_make(&f, &fake_eras[e]);
			if (f.arch->min_frame) { /* the kernel's own frame lies between */
				fake_free(&f);
				continue;
			}
			rename_func(&f, FAKE_GOPARK, "runtime.sigpanic");
			if (defers)
				fake_set(&f, f.records[FAKE_WORKER], L_func_deferreturn, FAKE_PC);
			fake_load(&f, true);
			ok(fake_read_stacks(&f));
			walk(&f, PARKED);
			assert_int_equal(frame_of(&f, PARKED, 1)->goes_on,
					 defers ? FRAME_AT_DEFERRETURN : FRAME_NEVER);
			ok(stacks_scan(f.p, fake_stacks(&f), fake_spans(&f), PARKED, &roots));
			assert_int_equal(roots.n, defers ? 3 : 0);
			fake_free(&f);
		}
}

/* A deferred function, by its record; which frame's it is tells the record's sp. */
static void deferred(void **state)
{
	for (size_t e = 0; e < fake_neras; e++)
		for (int lost = 0; lost < 2; lost++) {
			_cleanup_vec_ struct roots roots = VEC_INIT;
			uint64_t d;
			struct fake f;

			fake_make(&f, &fake_eras[e]);
			d = fake_alloc(&f, layout_size(&f.l, LS_defer), 8);
			fake_set(&f, f.gs[PARKED], L_g__defer, d);
			fake_set(&f, d, L_defer_fn, fake_leaf(&f, LEAF_BIG));
			fake_set(&f, d, L_defer_sp, f.local);
			if (lost)
				fake_set(&f, d, L_defer_link, 0x10);
			fake_load(&f, true);
			ok(fake_read_stacks(&f));
			walk(&f, PARKED);
			if (lost) {
				bad(stacks_scan(f.p, fake_stacks(&f), fake_spans(&f), PARKED,
						&roots),
				    ERR_FAULT);
			} else {
				ok(stacks_scan(f.p, fake_stacks(&f), fake_spans(&f), PARKED,
					       &roots));
				assert_int_equal(roots.n, 4);
				check_root(&f, &roots, fake_leaf(&f, LEAF_BIG), ROOT_DEFER_FN,
					   false, "main.worker", 0);
			}
			fake_free(&f);
		}
}

/* ------------------------------------------------------------------ damage */

/* A field of the parked goroutine, or a word of its stack, is wrong: it is walked in part, and then
 * all of its used stack is looked at. */
static void partial(void **state)
{
	enum { SP, PC, TOP, STATUS, LO, HI, HUGE_HI, RETURN, RETURN_SELF, N };
	static const char *const why[N] = { [SP] = "its stack pointer is not in its stack",
					    [STATUS] = "its stack is being moved",
					    [LO] = "its stack pointer is not in its stack",
					    [HI] = "its stack pointer is not in its stack" };

	for (size_t e = 0; e < fake_neras; e++)
		for (int i = 0; i < N; i++) {
			_cleanup_vec_ struct roots roots = VEC_INIT;
			uint64_t g, stack, sched, sp;
			const struct goroutine *x;
			struct fake f;

			fake_make(&f, &fake_eras[e]);
			g = f.gs[PARKED];
			stack = g + layout_off(&f.l, L_g_stack);
			sched = g + layout_off(&f.l, L_g_sched);
			sp = fake_get(&f, sched, L_gobuf_sp);
			switch (i) {
			case SP:
				fake_set(&f, sched, L_gobuf_sp, f.stack[1] + 64);
				break;
			case PC:
				fake_set(&f, sched, L_gobuf_pc, 0x10);
				break;
			case TOP:
				fake_set(&f, g, L_g_stktopsp, sp);
				break;
			case STATUS:
				fake_set(&f, g, L_g_atomicstatus, G_COPYSTACK);
				break;
			case LO:
				fake_set(&f, stack, L_stack_lo, f.stack[1]);
				break;
			case HI:
				fake_set(&f, stack, L_stack_hi, f.stack[0]);
				break;
			case HUGE_HI: /* its end is not in the image: still walkable */
				fake_set(&f, stack, L_stack_hi, f.stack[0] + (1 << 20));
				break;
			case RETURN:
				fake_word(&f, f.arch->min_frame ? sp : sp + f.frame, 0x10);
				break;
			case RETURN_SELF: /* gopark over gopark, to the stack's end */
				for (uint64_t at = sp; at < f.stack[0] + f.stack_len[0];
				     at += f.fmt.word)
					fake_word(&f, at, f.funcs[FAKE_GOPARK] + FAKE_PC);
				break;
			}
			fake_load(&f, true);
			ok(fake_read_stacks(&f));
			walk(&f, PARKED);
			x = &fake_stacks(&f)->gs.v[PARKED];
			if (i == HUGE_HI) {
				assert_false(x->partial);
			} else {
				assert_true(x->partial);
				if (why[i])
					assert_string_equal(x->why, why[i]);
			}
			ok(stacks_scan(f.p, fake_stacks(&f), fake_spans(&f), PARKED, &roots));
			for (size_t k = 0; k < roots.n && i != HUGE_HI; k++)
				assert_true(roots.v[k].conservative);
			/* what the map has said is among what is guessed */
			if (i == PC || i == TOP || i == STATUS || i == RETURN)
				assert_non_null(find_root(&roots, fake_node(&f, NODE_LOCAL)));
			fake_free(&f);
		}
}

/* Maps that make no sense: an error, after which the caller scans conservatively. */
static void damaged_maps(void **state)
{
	enum { NO_MAP, NO_ENTRY, WIDE, NO_ARGS, OBJECTS, NO_OBJECTS, N };

	for (size_t e = 0; e < fake_neras; e++)
		for (int i = 0; i < N; i++) {
			_cleanup_vec_ struct roots roots = VEC_INIT;
			struct err *err;
			struct fake f;

			fake_make(&f, &fake_eras[e]);
			switch (i) {
			case NO_MAP: /* nor anything else */
				fake_set(&f, f.records[FAKE_WORKER], L_func_nfuncdata, 0);
				break;
			case NO_ENTRY:
				fake_put(&f, f.locals_map, 0, 4);
				break;
			case WIDE:
				fake_put(&f, f.locals_map + 4, INT32_MAX, 4);
				break;
			case NO_ARGS:
				fake_put(&f, f.args_map, UINT32_MAX, 4);
				break;
			case OBJECTS:
				fake_word(&f, f.stack_objects, UINT16_MAX + 1);
				break;
			default:
				fake_word(&f, f.stack_objects, UINT16_MAX);
			}
			fake_load(&f, true);
			ok(fake_read_stacks(&f));
			walk(&f, PARKED);
			assert_false(fake_stacks(&f)->gs.v[PARKED].partial);
			err = stacks_scan(f.p, fake_stacks(&f), fake_spans(&f), PARKED, &roots);
			if (!err_is(err, ERR_BADDATA) && !err_is(err, ERR_FAULT))
				fail_msg("%s %s, damage %d: %s", f.era.version, f.era.goarch, i,
					 err ? err->msg : "no error");
			err_destroy(err);
			fake_free(&f);
		}
}

static void damaged_lists(void **state)
{
	enum { MANY, FEW_BYTES, NOWHERE, G_NOWHERE, M_NOWHERE, M_G0_NOWHERE, N };

	for (size_t e = 0; e < fake_neras; e++)
		for (int i = 0; i < N; i++) {
			struct fake f;

			fake_make(&f, &fake_eras[e]);
			switch (i) {
			case MANY:
				fake_word(&f, f.allgs + f.fmt.word, 1u << 31);
				break;
			case FEW_BYTES:
				fake_word(&f, f.allgs + f.fmt.word, 1u << 26);
				break;
			case NOWHERE:
				fake_word(&f, f.allgs, 0x10);
				break;
			case G_NOWHERE:
				fake_word(&f, fake_node(&f, NODE_ALLGS), 0x10);
				break;
			case M_NOWHERE:
				fake_word(&f, f.allm, 0x10);
				break;
			default:
				fake_set(&f, f.m0, L_m_g0, 0x10);
			}
			fake_load(&f, true);
			bad(fake_read_stacks(&f), i == MANY ? ERR_LIMIT : ERR_FAULT);
			fake_free(&f);
		}
}

/* allm leads back to itself. */
static void ring_of_machines(void **state)
{
	struct fake f;

	fake_make(&f, &fake_eras[0]);
	fake_set(&f, f.m0, L_m_alllink, f.m0);
	fake_load(&f, true);
	bad(fake_read_stacks(&f), ERR_BADDATA);
	fake_free(&f);
}

/* Where nothing of a stack can be read, a group has the function that its goroutine began with. */
static void no_frames(void **state)
{
	const struct analyse_options o = { .max_depth = 10, .graph = true, .goroutines = true };

	for (size_t e = 0; e < fake_neras; e++)
		for (int known = 0; known < 2; known++) {
			struct report r = { 0 };
			struct profile p;
			struct fake f;
			size_t n = 0;

			fake_make(&f, &fake_eras[e]);
			fake_set(&f, f.gs[PARKED], L_g_atomicstatus, G_COPYSTACK);
			if (!known)
				fake_set(&f, f.gs[PARKED], L_g_startpc, 0x10);
			fake_load(&f, true);
			ok(profile_init(&p));
			ok(fake_analyse(&f, &o, &p, &r));
			for (size_t i = 0; i < r.goroutines_of.groups.n; i++) {
				const struct goroutine_group *g = &r.goroutines_of.groups.v[i];

				assert_non_null(g->function);
				n += !strcmp(g->function, known ? "main.worker" : "?");
			}
			assert_int_equal(n, 1);
			report_deinit(&r);
			profile_deinit(&p);
			fake_free(&f);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_era),
		cmocka_unit_test(unreferenced_object),
		cmocka_unit_test(system_call),
		cmocka_unit_test(nil_func),
		cmocka_unit_test(dead),
		cmocka_unit_test(threads_by_stack),
		cmocka_unit_test(unstable_functions),
		cmocka_unit_test(no_registers),
		cmocka_unit_test(clock_reader),
		cmocka_unit_test(signal_handler),
		cmocka_unit_test(lost_signal_context),
		cmocka_unit_test(preempted),
		cmocka_unit_test(panicked),
		cmocka_unit_test(deferred),
		cmocka_unit_test(partial),
		cmocka_unit_test(no_frames),
		cmocka_unit_test(damaged_maps),
		cmocka_unit_test(damaged_lists),
		cmocka_unit_test(ring_of_machines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
