/*
 * Tells whose a kernel stack is.  Two processes of one program have the same addresses, so that
 * what their threads' registers point to does not tell them apart; and what the kernel saved of a
 * thread that runs in user mode now is old.  No symbols are needed: a stack holds a pointer to its
 * own task somewhere, and a task is told by its pointer back to the stack.
 *
 *	kernel stack ...
 *	struct task_struct { ..., void *stack, ...,
 *			     struct mm_struct *mm, *active_mm, ..., fsbase }
 *	struct mm_struct { ..., pgd_t *pgd, ... }
 *
 * All of these lie in the kernel's map of physical memory (the direct map), whose place the page
 * tables show.  Source: Linux include/linux/sched.h, mm_types.h, Documentation/x86/x86_64/mm.rst.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "target/guest_int.h"

enum {
	TASK_ALIGN = 64,
	TASK_STACK = 0x80, /* the pointer to the stack is within so much of a task's begin */
	TASK_MM = 0x1000,  /* mm and active_mm */
	TASK_ALL = 0x3000,
	MM_PGD = 0x100,
	KNOWN_PA = 16 << 20, /* an address that is memory in every guest */
	GB_SHIFT = 30,
	TABLE_ENTRIES = 512,
	TABLE_BITS = 9,
	TABLE_SHIFT = 39, /* what an entry of a top table of four levels maps: 512 GB */
};

static bool direct_at(const struct pages *p, uint64_t root, uint64_t base)
{
	struct page pg = pages_walk(p, root, base + KNOWN_PA);

	return pg.kind == PAGE_MAPPED && pg.pa == KNOWN_PA;
}

/* Looks at each GB of the 512 GB at base; *ret stays 0 if the map does not begin there. */
static struct err *find_direct_in(struct guest *g, uint64_t root, uint64_t base, uint64_t *ret)
{
	struct mem_range r[TABLE_ENTRIES];

	for (uint64_t k = 0; k < TABLE_ENTRIES; k++)
		r[k] = (struct mem_range){ base + (k << GB_SHIFT) + KNOWN_PA, 1, NULL, 0 };
	TRY(pages_fetch(&g->pages, root, r, TABLE_ENTRIES));
	for (uint64_t k = 0; k < TABLE_ENTRIES && !*ret; k++)
		if (direct_at(&g->pages, root, base + (k << GB_SHIFT)))
			*ret = base + (k << GB_SHIFT);
	return NULL;
}

/* Where the kernel maps all of physical memory: the first place that begins with it.  0: it does
 * not in this table. */
static struct err *find_direct(struct guest *g, uint64_t root, uint64_t *ret)
{
	/* log2 of what a top table's entry maps */
	const unsigned per = TABLE_SHIFT + (g->pages.levels > 4 ? TABLE_BITS : 0);
	const unsigned parts = 1u << (per - TABLE_SHIFT);

	*ret = 0;
	for (uint64_t i = g->arch->guest->user_half; i < TABLE_ENTRIES && !*ret; i++) {
		uint64_t base = (UINT64_MAX << (per + TABLE_BITS)) | i << per;

		if (!pages_second(&g->pages, root, base))
			continue;
		for (unsigned part = 0; part < parts && !*ret; part++)
			TRY(find_direct_in(g, root, base + ((uint64_t)part << TABLE_SHIFT), ret));
	}
	return NULL;
}

/* Sets the process's table that has all of the kernel, and that map's place there; 0: not found. */
static struct err *find_kernel(struct guest *g)
{
	const uint64_t root = g->process.root, twin = root ^ g->arch->guest->twin;
	const struct mem_range none = { 0, 1, NULL, 0 };

	TRY(pages_fetch(&g->pages, root, &none, 1));
	g->kernel_root = root;
	TRY(find_direct(g, root, &g->direct));
	if (g->direct)
		return NULL;
	/* Page-table isolation, and this is the table of user mode. */
	TRY(pages_fetch(&g->pages, twin, &none, 1));
	if (pages_second(&g->pages, twin, elf_entry(g->exe) + g->process.bias) != g->process.key)
		return NULL;
	g->kernel_root = twin;
	return find_direct(g, twin, &g->direct);
}

static bool in_direct(const struct guest *g, uint64_t v)
{
	return g->direct && v - g->direct < g->pages.end;
}

/* Pieces of memory, len bytes each. */
struct pieces_at {
	VEC(struct mem_range) v;
	size_t len;
	uint8_t *all;
};

static void pieces_at_deinit(struct pieces_at *p)
{
	vec_deinit(&p->v);
	free(p->all);
	p->all = NULL;
}

static struct err *pieces_add(struct pieces_at *p, uint64_t pa)
{
	return vec_push(&p->v, ((struct mem_range){ pa, p->len, NULL, 0 }));
}

static struct err *pieces_read(struct guest *g, struct pieces_at *p)
{
	p->all = malloc(p->v.n * p->len + 1);
	if (!p->all)
		return err_nomem();
	for (size_t i = 0; i < p->v.n; i++)
		p->v.v[i].dst = p->all + i * p->len;
	return guest_read_phys(g, p->v.v, p->v.n);
}

/* A word of piece i. */
static uint64_t pieces_word(const struct guest *g, const struct pieces_at *p, size_t i, size_t off)
{
	return bytes_u64(g->arch->fmt, p->v.v[i].dst + off);
}

/* What may be the task of a frame's stack. */
struct suspect {
	size_t frame;
	uint64_t task; /* virtual */
};

VEC_NAMED(suspects, struct suspect);

/* Adds the words of frame i's stack that may point to a task, each once. */
static struct err *add_suspects(const struct guest *g, const struct pieces_at *stacks, size_t i,
				struct suspects *ret)
{
	size_t first = ret->n;

	for (size_t off = 0; off < GUEST_PAGE; off += 8) {
		uint64_t v = pieces_word(g, stacks, i, off);
		bool again = v % TASK_ALIGN || !in_direct(g, v);

		for (size_t j = first; j < ret->n && !again; j++)
			again = ret->v[j].task == v;
		if (!again)
			TRY(vec_push(ret, ((struct suspect){ i, v })));
	}
	return NULL;
}

static struct err *find_suspects(struct guest *g, const struct guest_frame *f, size_t n,
				 struct suspects *ret)
{
	_cleanup_(pieces_at_deinit) struct pieces_at stacks = { .len = GUEST_PAGE };

	for (size_t i = 0; i < n; i++)
		TRY(pieces_add(&stacks, f[i].stack));
	TRY(pieces_read(g, &stacks));
	for (size_t i = 0; i < n; i++)
		TRY(add_suspects(g, &stacks, i, ret));
	return NULL;
}

/* May it be a task's pointer to its stack? */
static bool may_be_stack(uint64_t v)
{
	return v % GUEST_PAGE == 0 && v >> 63;
}

/* Notes the tasks among the suspects: those that have a pointer to this very stack. */
static struct err *confirm(struct guest *g, struct guest_frame *f, const struct suspects *s)
{
	const uint64_t last = g->arch->guest->stack_size - GUEST_PAGE;
	_cleanup_(pieces_at_deinit) struct pieces_at tasks = { .len = TASK_STACK };
	_cleanup_vec_ VEC(struct mem_range) vas = VEC_INIT;

	for (size_t i = 0; i < s->n; i++)
		TRY(pieces_add(&tasks, s->v[i].task - g->direct));
	TRY(pieces_read(g, &tasks));
	for (size_t i = 0; i < s->n; i++)
		for (size_t off = 0; off < TASK_STACK; off += 8) {
			uint64_t v = pieces_word(g, &tasks, i, off);

			if (may_be_stack(v))
				TRY(vec_push(&vas, ((struct mem_range){ v + last, 1, NULL, 0 })));
		}
	TRY(pages_fetch(&g->pages, g->kernel_root, vas.v, vas.n));
	for (size_t i = 0; i < s->n; i++)
		for (size_t off = 0; off < TASK_STACK; off += 8) {
			uint64_t v = pieces_word(g, &tasks, i, off);
			struct guest_frame *fr = &f[s->v[i].frame];
			struct page pg;

			if (!may_be_stack(v))
				continue;
			pg = pages_walk(&g->pages, g->kernel_root, v + last);
			if (pg.kind == PAGE_MAPPED && pg.pa == fr->stack)
				fr->task = s->v[i].task;
		}
	return NULL;
}

/* ------------------------------------------------------------------ owners */

VEC_NAMED(frame_list, struct guest_frame *);

/* Is it the TLS pointer of a vCPU in user mode? */
static bool is_running_tls(const struct guest *g, uint64_t v)
{
	for (size_t i = 0; i < g->vcpus.n; i++)
		if (vcpu_is_user(&g->vcpus.v[i]) && g->vcpus.v[i].tls && v == g->vcpus.v[i].tls)
			return true;
	return false;
}

/* Does another task begin between task i and off bytes behind its begin? */
static bool has_nearer(const struct pieces_at *tasks, size_t i, size_t off)
{
	uint64_t pa = tasks->v.v[i].addr;

	for (size_t j = 0; j < tasks->v.n; j++)
		if (tasks->v.v[j].addr > pa && tasks->v.v[j].addr <= pa + off)
			return true;
	return false;
}

/* Does task i run in user mode?  Then its TLS pointer is what a vCPU has there, and what was saved
 * of it is old. */
static bool task_runs(const struct guest *g, const struct pieces_at *tasks, size_t i)
{
	for (size_t off = 0; off < TASK_ALL; off += 8)
		if (is_running_tls(g, pieces_word(g, tasks, i, off)) && !has_nearer(tasks, i, off))
			return true;
	return false;
}

/* Is task i the process's?  mm and active_mm are two equal pointers side by side to what names its
 * top page table. */
static struct err *task_is_ours(struct guest *g, const struct pieces_at *tasks, size_t i, bool *ret)
{
	_cleanup_(pieces_at_deinit) struct pieces_at mms = { .len = MM_PGD };
	uint64_t pgd = g->direct + g->kernel_root;

	*ret = false;
	for (size_t off = 0; off < TASK_MM; off += 8) {
		uint64_t v = pieces_word(g, tasks, i, off);

		if (v && v == pieces_word(g, tasks, i, off + 8) && in_direct(g, v))
			TRY(pieces_add(&mms, v - g->direct));
	}
	TRY(pieces_read(g, &mms));
	for (size_t k = 0; k < mms.v.n; k++)
		for (size_t off = 0; off < MM_PGD; off += 8)
			*ret |= pieces_word(g, &mms, k, off) == pgd;
	return NULL;
}

static struct err *find_owners(struct guest *g, struct guest_frame *f, size_t n)
{
	_cleanup_(pieces_at_deinit) struct pieces_at tasks = { .len = TASK_ALL };
	_cleanup_vec_ struct frame_list of = VEC_INIT;

	for (size_t i = 0; i < n; i++)
		if (f[i].task) {
			TRY(pieces_add(&tasks, f[i].task - g->direct));
			TRY(vec_push(&of, &f[i]));
		}
	TRY(pieces_read(g, &tasks));
	for (size_t i = 0; i < of.n; i++) {
		bool ours;

		of.v[i]->runs |= task_runs(g, &tasks, i);
		TRY(task_is_ours(g, &tasks, i, &ours));
		if (ours)
			of.v[i]->owner = OWNER_PROCESS;
		else if (of.v[i]->owner == OWNER_UNKNOWN)
			of.v[i]->owner = OWNER_OTHER;
	}
	return NULL;
}

struct err *guest_find_owners(struct guest *g, struct guest_frame *frames, size_t n)
{
	_cleanup_vec_ struct suspects s = VEC_INIT;

	if (!n)
		return NULL;
	TRY(find_kernel(g));
	if (!g->direct)
		return NULL;
	TRY(find_suspects(g, frames, n, &s));
	TRY(confirm(g, frames, &s));
	return find_owners(g, frames, n);
}
