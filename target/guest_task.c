/*
 * Whose is a kernel stack?  Two processes of one program have the same addresses, so that what
 * their threads' registers point to does not tell them apart; and what the kernel saved of a thread
 * that runs in user mode now is old. No symbols are needed: a stack holds pointers to its own task
 * somewhere, and that is told by the pointer it has back.
 *
 *	kernel stack ... struct task_struct { ..., void *stack, ..., struct mm_struct *mm, *active_mm, ..., fsbase }
 *	struct mm_struct { ..., pgd_t *pgd, ... }
 *
 * All of these lie in the kernel's map of physical memory, whose place the page tables show.
 * Source: Linux include/linux/sched.h, mm_types.h, Documentation/x86/x86_64/mm.rst.
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
	TOP_ENTRIES = 512,
};

static bool direct_at(const struct pages *p, uint64_t root, uint64_t base)
{
	struct page pg = pages_walk(p, root, base + KNOWN_PA);

	return pg.kind == PAGE_MAPPED && pg.pa == KNOWN_PA;
}

/* Where the kernel maps all of physical memory: the first place that begins with it.  0: not in
 * this table. */
static struct err *find_direct(struct guest *g, uint64_t root, uint64_t *ret)
{
	/* log2 of what a top table's entry maps */
	const unsigned per = g->pages.levels > 4 ? 48 : 39;
	struct mem_range r[TOP_ENTRIES];

	*ret = 0;
	for (uint64_t i = g->arch->guest->user_half; i < TOP_ENTRIES && !*ret; i++) {
		uint64_t base = (UINT64_MAX << (per + 9)) | i << per;
		unsigned n = 1u << (per - 39);

		if (!pages_second(&g->pages, root, base))
			continue;
		for (unsigned part = 0; part < n && !*ret; part++, base += 1ull << 39) {
			struct err *err;

			for (uint64_t k = 0; k < TOP_ENTRIES; k++)
				r[k] = (struct mem_range){ base + (k << GB_SHIFT) + KNOWN_PA, 1,
							   NULL, 0 };
			err = pages_fetch(&g->pages, root, r, TOP_ENTRIES);
			if (err)
				return err;
			for (uint64_t k = 0; k < TOP_ENTRIES && !*ret; k++)
				if (direct_at(&g->pages, root, base + (k << GB_SHIFT)))
					*ret = base + (k << GB_SHIFT);
		}
	}
	return NULL;
}

/* The process's table with all of the kernel, and that map's place; 0: not found. */
static struct err *find_kernel(struct guest *g)
{
	const uint64_t root = g->process.root, twin = root ^ g->arch->guest->twin;
	const struct mem_range none = { 0, 1, NULL, 0 };
	struct err *err = pages_fetch(&g->pages, root, &none, 1);

	g->kernel_root = root;
	if (!err)
		err = find_direct(g, root, &g->direct);
	if (err || g->direct)
		return err;
	/* Page-table isolation, and this is the table of user mode. */
	err = pages_fetch(&g->pages, twin, &none, 1);
	if (!err &&
	    pages_second(&g->pages, twin, elf_entry(g->exe) + g->process.bias) == g->process.key) {
		g->kernel_root = twin;
		err = find_direct(g, twin, &g->direct);
	}
	return err;
}

static bool in_direct(const struct guest *g, uint64_t v)
{
	return g->direct && v - g->direct < g->pages.end;
}

struct bytes_at {
	uint64_t pa;
	uint8_t *b;
};

/* Reads len bytes at each; the caller frees *all. */
static struct err *read_all(struct guest *g, struct bytes_at *v, size_t n, size_t len,
			    uint8_t **all)
{
	struct mem_range *r = calloc(n + 1, sizeof(*r));
	struct err *err;

	*all = malloc(n * len + 1);
	err = r && *all ? NULL : err_nomem();
	for (size_t i = 0; i < n && !err; i++) {
		v[i].b = *all + i * len;
		r[i] = (struct mem_range){ v[i].pa, len, v[i].b, 0 };
	}
	if (!err)
		err = guest_read_phys(g, r, n);
	free(r);
	return err;
}

struct suspect {
	size_t frame;
	uint64_t task; /* virtual */
};

VEC_NAMED(suspects, struct suspect);

static uint64_t word_at(const struct guest *g, const uint8_t *b, size_t off)
{
	return bytes_u64(g->arch->fmt, b + off);
}

/* Everything on the stacks that may be a task. */
static struct err *find_suspects(struct guest *g, const struct guest_frame *f, size_t n,
				 struct suspects *ret)
{
	VEC(struct bytes_at) at = VEC_INIT;
	_cleanup_free_ uint8_t *all = NULL;
	struct err *err = NULL;

	for (size_t i = 0; i < n && !err; i++)
		err = vec_push(&at, ((struct bytes_at){ f[i].stack, NULL }));
	if (!err)
		err = read_all(g, at.v, at.n, GUEST_PAGE, &all);
	for (size_t i = 0; i < at.n && !err; i++) {
		size_t first = ret->n;

		for (size_t off = 0; off < GUEST_PAGE && !err; off += 8) {
			uint64_t v = word_at(g, at.v[i].b, off);
			bool again = v % TASK_ALIGN || !in_direct(g, v);

			for (size_t j = first; j < ret->n && !again; j++)
				again = ret->v[j].task == v;
			if (!again)
				err = vec_push(ret, ((struct suspect){ i, v }));
		}
	}
	vec_deinit(&at);
	return err;
}

/* Which of them have this very stack: those stay. */
static struct err *confirm(struct guest *g, struct guest_frame *f, const struct suspects *s)
{
	const uint64_t last = g->arch->guest->stack_size - GUEST_PAGE;
	VEC(struct bytes_at) at = VEC_INIT;
	VEC(struct mem_range) vas = VEC_INIT;
	_cleanup_free_ uint8_t *all = NULL;
	struct err *err = NULL;

	for (size_t i = 0; i < s->n && !err; i++)
		err = vec_push(&at, ((struct bytes_at){ s->v[i].task - g->direct, NULL }));
	if (!err)
		err = read_all(g, at.v, at.n, TASK_STACK, &all);
	for (int pass = 0; pass < 2 && !err; pass++) {
		for (size_t i = 0; i < at.n && !err; i++)
			for (size_t off = 0; off < TASK_STACK && !err; off += 8) {
				uint64_t v = word_at(g, at.v[i].b, off);
				struct page pg;

				if (v % GUEST_PAGE || v >> 63 == 0)
					continue;
				if (!pass) {
					err = vec_push(
						&vas, ((struct mem_range){ v + last, 1, NULL, 0 }));
					continue;
				}
				pg = pages_walk(&g->pages, g->kernel_root, v + last);
				if (pg.kind == PAGE_MAPPED && pg.pa == f[s->v[i].frame].stack)
					f[s->v[i].frame].task = s->v[i].task;
			}
		if (!pass && !err)
			err = pages_fetch(&g->pages, g->kernel_root, vas.v, vas.n);
	}
	vec_deinit(&at);
	vec_deinit(&vas);
	return err;
}

/* The owner of each task: two equal pointers side by side to what names a top page table. */
static struct err *find_owners(struct guest *g, struct guest_frame *f, size_t n)
{
	VEC(struct bytes_at) tasks = VEC_INIT, mms = VEC_INIT;
	VEC(size_t) of = VEC_INIT;
	_cleanup_free_ uint8_t *all = NULL, *all_mms = NULL;
	uint64_t pgd = g->direct + g->kernel_root;
	struct err *err = NULL;

	for (size_t i = 0; i < n && !err; i++)
		if (f[i].task) {
			err = vec_push(&tasks, ((struct bytes_at){ f[i].task - g->direct, NULL }));
			if (!err)
				err = vec_push(&of, i);
		}
	if (!err)
		err = read_all(g, tasks.v, tasks.n, TASK_ALL, &all);
	for (size_t i = 0; i < tasks.n && !err; i++) {
		struct guest_frame *fr = &f[of.v[i]];

		/* A thread that runs in user mode has there what its vCPU has: what was saved is
		 * old. */
		for (size_t off = 0; off < TASK_ALL; off += 8)
			for (size_t v = 0; v < g->vcpus.n; v++)
				if ((g->vcpus.v[v].privilege & 3) == 3 && g->vcpus.v[v].tls &&
				    word_at(g, tasks.v[i].b, off) == g->vcpus.v[v].tls) {
					bool nearer = false;

					for (size_t j = 0; j < tasks.n; j++)
						nearer |= tasks.v[j].pa > tasks.v[i].pa &&
							  tasks.v[j].pa <= tasks.v[i].pa + off;
					fr->runs |= !nearer;
				}
	}
	for (size_t i = 0, k = 0; i < tasks.n && !err; i++) {
		struct guest_frame *fr = &f[of.v[i]];

		for (size_t off = 0; off < TASK_MM && !err; off += 8) {
			uint64_t v = word_at(g, tasks.v[i].b, off);

			if (v && v == word_at(g, tasks.v[i].b, off + 8) && in_direct(g, v))
				err = vec_push(&mms, ((struct bytes_at){ v - g->direct, NULL }));
		}
		if (err)
			break;
		free(all_mms);
		all_mms = NULL;
		err = read_all(g, mms.v, mms.n, MM_PGD, &all_mms);
		for (k = 0; k < mms.n && !err; k++)
			for (size_t off = 0; off < MM_PGD; off += 8)
				if (word_at(g, mms.v[k].b, off) == pgd)
					fr->owner = OWNER_PROCESS;
		if (fr->owner == OWNER_UNKNOWN)
			fr->owner = OWNER_OTHER;
		mms.n = 0;
	}
	vec_deinit(&tasks);
	vec_deinit(&mms);
	vec_deinit(&of);
	return err;
}

struct err *guest_find_owners(struct guest *g, struct guest_frame *frames, size_t n)
{
	struct suspects s = VEC_INIT;
	struct err *err = n ? find_kernel(g) : NULL;

	if (!err && n && g->direct) {
		err = find_suspects(g, frames, n, &s);
		if (!err)
			err = confirm(g, frames, &s);
		if (!err)
			err = find_owners(g, frames, n);
	}
	vec_deinit(&s);
	return err;
}
