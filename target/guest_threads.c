/*
 * The threads of a process in a guest, as far as registers can be had: those of vCPUs in user mode,
 * and what the kernel saved at the end of a kernel stack when it was entered.  Such a frame stays
 * there when the thread goes back to user mode, and when the stack is freed; target/guest_task.c
 * tells those apart, and the threads of other processes.  Whoever looks a thread up by its stack
 * takes the first that fits: vCPUs come first, therefore, and what is least sure last.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/intr.h"
#include "target/guest_int.h"

enum { INTR_EVERY = 256 }; /* frames */

VEC_NAMED(guest_frames, struct guest_frame);

/* Is it a top page table of the process? */
static bool is_our_table(struct guest *g, uint64_t root)
{
	const struct mem_range top = { 0, 1, NULL, 0 };
	struct err *err = pages_fetch(&g->pages, root, &top, 1);
	bool fetched = !err;

	err_destroy(err);
	return fetched &&
	       pages_second(&g->pages, root, elf_entry(g->exe) + g->process.bias) == g->process.key;
}

/* May it be a thread of the process?  Then the process has both its code and its stack. */
static bool may_be_ours(struct guest *g, const struct thread *th)
{
	uint64_t pc = th->regs[g->arch->pc], sp = th->regs[g->arch->sp];
	const struct mem_range at[] = { { pc, 1, NULL, 0 }, { sp, 1, NULL, 0 } };
	struct err *err = pages_fetch(&g->pages, g->process.root, at, 2);
	bool fetched = !err;
	struct page code = pages_walk(&g->pages, g->process.root, pc),
		    stack = pages_walk(&g->pages, g->process.root, sp);

	err_destroy(err);
	return fetched && code.kind == PAGE_MAPPED && stack.kind == PAGE_MAPPED && stack.write;
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

/* Stacks' last pages: those that the kernel runs on now, and all that are known. */
struct stack_pages {
	struct map64 current, known;
};

static void stack_pages_deinit(struct stack_pages *s)
{
	map64_deinit(&s->current);
	map64_deinit(&s->known);
}

static struct err *stack_pages_init(const struct guest *g, struct stack_pages *s)
{
	uint64_t *val;

	for (size_t i = 0; i < g->stacks.n; i++)
		TRY(map64_put(&s->known, g->stacks.v[i], 0, &val, NULL));
	return NULL;
}

/* Adds the stack that the kernel runs on for the process, on this vCPU.  Kernel threads have no
 * user registers there. */
static struct err *add_current(struct guest *g, const struct vcpu *v, struct stack_pages *s)
{
	const struct arch_guest *ag = g->arch->guest;
	uint64_t end = (v->th.regs[g->arch->sp] & ~(ag->stack_size - 1)) + ag->stack_size;
	const struct mem_range at = { end - GUEST_PAGE, GUEST_PAGE, NULL, 0 };
	uint64_t *val;
	struct page pg;
	bool is_new;

	TRY(pages_fetch(&g->pages, v->root, &at, 1));
	pg = pages_walk(&g->pages, v->root, at.addr);
	if (pg.kind != PAGE_MAPPED)
		return NULL;
	TRY(map64_put(&s->current, pg.pa, 0, &val, NULL));
	TRY(map64_put(&s->known, pg.pa, 0, &val, &is_new));
	return is_new ? vec_push(&g->stacks, pg.pa) : NULL;
}

/* Reads all that the kernel saved of threads that may be the process's. */
static struct err *read_frames(struct guest *g, struct guest_frames *ret)
{
	const unsigned size = g->arch->guest->frame_size;
	_cleanup_vec_ VEC(struct mem_range) r = VEC_INIT;
	_cleanup_free_ uint8_t *bytes = malloc(g->stacks.n * size + 1);

	if (!bytes)
		return err_nomem();
	for (size_t i = 0; i < g->stacks.n; i++)
		TRY(vec_push(&r, ((struct mem_range){ g->stacks.v[i] + GUEST_PAGE - size, size,
						      bytes + i * size, 0 })));
	TRY(guest_read_phys(g, r.v, r.n));
	for (size_t i = 0; i < r.n; i++) {
		struct guest_frame f = { .stack = g->stacks.v[i] };

		if (!guest_is_frame(g, r.v[i].dst))
			continue;
		if (i % INTR_EVERY == 0)
			TRY(intr_check());
		f.th = from_frame(g, r.v[i].dst);
		if (may_be_ours(g, &f.th))
			TRY(vec_push(ret, f));
	}
	return NULL;
}

/* The process's vCPUs: threads in user mode, and the stacks of those that the kernel runs on. */
static struct err *read_vcpus(struct guest *g, struct threads *threads, struct stack_pages *s)
{
	TRY(guest_read_vcpus(g));
	for (size_t i = 0; i < g->vcpus.n; i++) {
		const struct vcpu *v = &g->vcpus.v[i];

		if (!is_our_table(g, v->root))
			continue;
		if (vcpu_is_user(v))
			TRY(vec_push(threads, v->th));
		else
			TRY(add_current(g, v, s));
	}
	g->stats.user = (unsigned)threads->n;
	return NULL;
}

/* Frames with their owners.  A stack that the kernel runs on for the process is the process's. */
static struct err *read_owned(struct guest *g, const struct stack_pages *s,
			      struct guest_frames *ret)
{
	TRY(read_frames(g, ret));
	TRY(guest_find_owners(g, ret->v, ret->n));
	for (size_t i = 0; i < ret->n; i++)
		if (ret->v[i].owner == OWNER_UNKNOWN && map64_get(&s->current, ret->v[i].stack))
			ret->v[i].owner = OWNER_PROCESS;
	return NULL;
}

static struct err *add_frames(const struct guest_frames *frames, unsigned owner,
			      struct threads *threads)
{
	for (size_t i = 0; i < frames->n; i++)
		if (frames->v[i].owner == owner && !frames->v[i].runs)
			TRY(vec_push(threads, frames->v[i].th));
	return NULL;
}

struct err *guest_threads(struct guest *g, struct threads *ret)
{
	_cleanup_vec_ struct threads threads = VEC_INIT;
	_cleanup_vec_ struct guest_frames frames = VEC_INIT;
	_cleanup_(stack_pages_deinit) struct stack_pages s = { MAP64_INIT, MAP64_INIT };

	TRY(stack_pages_init(g, &s));
	TRY(read_vcpus(g, &threads, &s));
	TRY(read_owned(g, &s, &frames));
	TRY(add_frames(&frames, OWNER_PROCESS, &threads));
	/* Whose owner is not known comes last, and only where it cannot be another process of
	 * the same program. */
	if (g->searched && g->found.n == 1)
		TRY(add_frames(&frames, OWNER_UNKNOWN, &threads));
	g->stats.frames = g->stats.owned = 0;
	for (size_t i = 0; i < frames.n; i++) {
		g->stats.frames += frames.v[i].owner != OWNER_OTHER;
		g->stats.owned += frames.v[i].owner == OWNER_PROCESS;
	}
	vec_deinit(ret);
	*ret = threads;
	threads = (struct threads)VEC_INIT;
	return NULL;
}
