/*
 * The threads of a process in a guest, as far as registers can be had: vCPUs in user mode; what the kernel saved
 * at the end of a kernel stack when it was entered.  Such a frame stays there when the thread goes back to user mode, and when
 * the stack is freed: whoever looks a thread up by its stack takes the first that fits, and vCPUs come first.
 */
#include <stdlib.h>
#include <string.h>

#include "target/guest_int.h"

static bool ours(struct guest *g, uint64_t root)
{
	const struct mem_range top = { 0, 1, NULL, 0 };
	struct err *err = pages_fetch(&g->pages, root, &top, 1);

	err_destroy(err);
	return !err && pages_second(&g->pages, root, elf_entry(g->exe) + g->process.bias) == g->process.key;
}

/* Only where the process has both: its stack and its code. */
static bool may_be_ours(struct guest *g, const struct thread *th)
{
	uint64_t pc = th->regs[g->arch->pc], sp = th->regs[g->arch->sp];
	const struct mem_range at[] = { { pc, 1, NULL, 0 }, { sp, 1, NULL, 0 } };
	struct err *err = pages_fetch(&g->pages, g->process.root, at, 2);
	struct page code = pages_walk(&g->pages, g->process.root, pc), stack = pages_walk(&g->pages, g->process.root, sp);

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

/* The stack of a vCPU that the kernel runs on, for the process. */
static struct err *add_current(struct guest *g, const struct vcpu *v)
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
	for (size_t i = 0; i < g->stacks.n; i++)
		if (g->stacks.v[i] == pg.pa)
			return NULL;
	return vec_push(&g->stacks, pg.pa);
}

struct err *guest_threads(struct guest *g, struct threads *ret)
{
	const struct arch_guest *ag = g->arch->guest;
	struct threads threads = VEC_INIT;
	VEC(struct mem_range) frames = VEC_INIT;
	uint8_t *bytes = NULL;
	struct err *err = guest_read_vcpus(g);

	for (size_t i = 0; i < g->vcpus.n && !err; i++) {
		const struct vcpu *v = &g->vcpus.v[i];

		if (!ours(g, v->root))
			continue;
		if ((v->privilege & 3) == 3)
			err = vec_push(&threads, v->th);
		else
			err = add_current(g, v);
	}
	g->stats.user = (unsigned)threads.n;
	if (!err) {
		bytes = malloc(g->stacks.n * ag->frame_size + 1);
		err = bytes ? NULL : err_nomem();
	}
	for (size_t i = 0; i < g->stacks.n && !err; i++)
		err = vec_push(&frames, ((struct mem_range){ g->stacks.v[i] + GUEST_PAGE - ag->frame_size, ag->frame_size,
							     bytes + i * ag->frame_size, 0 }));
	if (!err)
		err = guest_read_phys(g, frames.v, frames.n);
	for (size_t i = 0; i < frames.n && !err; i++) {
		struct thread th;

		if (!guest_is_frame(g, frames.v[i].dst))
			continue;
		th = from_frame(g, frames.v[i].dst);
		if (may_be_ours(g, &th))
			err = vec_push(&threads, th);
	}
	g->stats.frames = (unsigned)threads.n - g->stats.user;
	free(bytes);
	vec_deinit(&frames);
	if (err) {
		vec_deinit(&threads);
		return err;
	}
	vec_deinit(ret);
	*ret = threads;
	return NULL;
}
