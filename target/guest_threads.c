/*
 * The threads of a process in a guest, as far as registers can be had: vCPUs in user mode; what the
 * kernel saved at the end of a kernel stack when it was entered.  Such a frame stays there when the
 * thread goes back to user mode, and when the stack is freed; target/guest_task.c tells those
 * apart, and the threads of other processes.  Whoever looks a thread up by its stack takes the
 * first that fits: vCPUs come first, and what is least sure last.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "target/guest_int.h"

VEC_NAMED(guest_frames, struct guest_frame);

static bool ours(struct guest *g, uint64_t root)
{
	const struct mem_range top = { 0, 1, NULL, 0 };
	struct err *err = pages_fetch(&g->pages, root, &top, 1);

	err_destroy(err);
	return !err &&
	       pages_second(&g->pages, root, elf_entry(g->exe) + g->process.bias) == g->process.key;
}

/* Only where the process has both: its stack and its code. */
static bool may_be_ours(struct guest *g, const struct thread *th)
{
	uint64_t pc = th->regs[g->arch->pc], sp = th->regs[g->arch->sp];
	const struct mem_range at[] = { { pc, 1, NULL, 0 }, { sp, 1, NULL, 0 } };
	struct err *err = pages_fetch(&g->pages, g->process.root, at, 2);
	struct page code = pages_walk(&g->pages, g->process.root, pc),
		    stack = pages_walk(&g->pages, g->process.root, sp);

	err_destroy(err);
	return !err && code.kind == PAGE_MAPPED && stack.kind == PAGE_MAPPED && stack.write;
}

static struct thread from_frame(const struct guest *g, const uint8_t *frame)
{
	const struct arch_guest *ag = g->arch->guest;
	struct thread th = { .valid = true };

	for (unsigned i = 0; i < GUEST_FRAME_REGS && ag->frame[i]; i++)
		for (unsigned r = 0; r < g->arch->nregs; r++)
			if (!strcmp(g->arch->reg_names[r], ag->frame[i])) {
				th.regs[r] = bytes_u64(g->arch->fmt, frame + 8 * i);
				th.have[r] = true;
			}
	return th;
}

VEC_NAMED(stack_pages, uint64_t);

/* The stack of a vCPU that the kernel runs on, for the process: kernel threads have no user
 * registers there. */
static struct err *add_current(struct guest *g, const struct vcpu *v, struct stack_pages *current)
{
	const struct arch_guest *ag = g->arch->guest;
	uint64_t end = (v->th.regs[g->arch->sp] & ~(ag->stack_size - 1)) + ag->stack_size;
	uint64_t root = v->root;
	struct mem_range at = { end - GUEST_PAGE, GUEST_PAGE, NULL, 0 };
	struct page pg;
	struct err *err = pages_fetch(&g->pages, root, &at, 1);

	pg = pages_walk(&g->pages, root, at.addr);
	if (err || pg.kind != PAGE_MAPPED)
		return err;
	err = vec_push(current, pg.pa);
	if (err)
		return err;
	for (size_t i = 0; i < g->stacks.n; i++)
		if (g->stacks.v[i] == pg.pa)
			return NULL;
	return vec_push(&g->stacks, pg.pa);
}

/* All that the kernel saved, of threads that may be the process's. */
static struct err *read_frames(struct guest *g, struct guest_frames *ret)
{
	const unsigned size = g->arch->guest->frame_size;
	VEC(struct mem_range) r = VEC_INIT;
	_cleanup_free_ uint8_t *bytes = malloc(g->stacks.n * size + 1);
	struct err *err = bytes ? NULL : err_nomem();

	for (size_t i = 0; i < g->stacks.n && !err; i++)
		err = vec_push(&r, ((struct mem_range){ g->stacks.v[i] + GUEST_PAGE - size, size,
							bytes + i * size, 0 }));
	if (!err)
		err = guest_read_phys(g, r.v, r.n);
	for (size_t i = 0; i < r.n && !err; i++) {
		struct guest_frame f = { .stack = g->stacks.v[i] };

		if (!guest_is_frame(g, r.v[i].dst))
			continue;
		f.th = from_frame(g, r.v[i].dst);
		if (may_be_ours(g, &f.th))
			err = vec_push(ret, f);
	}
	vec_deinit(&r);
	return err;
}

struct err *guest_threads(struct guest *g, struct threads *ret)
{
	struct threads threads = VEC_INIT;
	struct guest_frames frames = VEC_INIT;
	struct stack_pages current = VEC_INIT;
	struct err *err = guest_read_vcpus(g);

	for (size_t i = 0; i < g->vcpus.n && !err; i++) {
		const struct vcpu *v = &g->vcpus.v[i];

		if (!ours(g, v->root))
			continue;
		if ((v->privilege & 3) == 3)
			err = vec_push(&threads, v->th);
		else
			err = add_current(g, v, &current);
	}
	g->stats.user = (unsigned)threads.n;
	if (!err)
		err = read_frames(g, &frames);
	if (!err)
		err = guest_find_owners(g, frames.v, frames.n);
	for (size_t i = 0; i < frames.n; i++)
		for (size_t j = 0; j < current.n; j++)
			if (frames.v[i].stack == current.v[j] && frames.v[i].owner == OWNER_UNKNOWN)
				frames.v[i].owner = OWNER_PROCESS;
	/* Whose owner is not known comes last, and only where it cannot be another process of
	 * the same program. */
	for (int pass = OWNER_PROCESS; pass >= OWNER_UNKNOWN && !err; pass--)
		for (size_t i = 0; i < frames.n && !err; i++)
			if (frames.v[i].owner == (unsigned)pass && !frames.v[i].runs &&
			    (pass == OWNER_PROCESS || (g->searched && g->found.n == 1)))
				err = vec_push(&threads, frames.v[i].th);
	g->stats.frames = g->stats.owned = 0;
	for (size_t i = 0; i < frames.n; i++) {
		g->stats.frames += frames.v[i].owner != OWNER_OTHER;
		g->stats.owned += frames.v[i].owner == OWNER_PROCESS;
	}
	vec_deinit(&frames);
	vec_deinit(&current);
	if (err) {
		vec_deinit(&threads);
		return err;
	}
	vec_deinit(ret);
	*ret = threads;
	return NULL;
}
