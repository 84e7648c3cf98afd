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
#include "base/intr.h"
#include "base/search.h"
#include "target/guest_int.h"

enum {
	FRAMES = 256, /* looked at together: their stacks and tasks are in memory */
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

/* Adds the words of frame i's stack that may point to a task, each once.  seen: in which stack each
 * was found last. */
static struct err *add_suspects(const struct guest *g, const struct pieces_at *stacks, size_t i,
				struct map64 *seen, struct suspects *ret)
{
	for (size_t off = 0; off < GUEST_PAGE; off += 8) {
		uint64_t v = pieces_word(g, stacks, i, off), *in;
		bool is_new;

		if (v % TASK_ALIGN || !in_direct(g, v))
			continue;
		TRY(map64_put(seen, v, i, &in, &is_new));
		if (!is_new && *in == i)
			continue;
		*in = i;
		TRY(vec_push(ret, ((struct suspect){ i, v })));
	}
	return NULL;
}

static struct err *find_suspects(struct guest *g, const struct guest_frame *f, size_t n,
				 struct suspects *ret)
{
	_cleanup_(pieces_at_deinit) struct pieces_at stacks = { .len = GUEST_PAGE };
	_cleanup_(map64_deinit) struct map64 seen = MAP64_INIT;

	for (size_t i = 0; i < n; i++)
		TRY(pieces_add(&stacks, f[i].stack));
	TRY(pieces_read(g, &stacks));
	for (size_t i = 0; i < n; i++)
		TRY(add_suspects(g, &stacks, i, &seen, ret));
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

/* What says which tasks run. */
struct running {
	struct map64 tls;    /* the TLS pointers of vCPUs in user mode */
	VEC(uint64_t) tasks; /* where all tasks begin, physical: sorted */
};

static void running_deinit(struct running *r)
{
	map64_deinit(&r->tls);
	vec_deinit(&r->tasks);
}

/* Equal ones are alike. */
static int address_cmp(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static struct err *running_init(const struct guest *g, const struct guest_frame *f, size_t n,
				struct running *ret)
{
	uint64_t *val;

	for (size_t i = 0; i < g->vcpus.n; i++)
		if (vcpu_is_user(&g->vcpus.v[i]) && g->vcpus.v[i].tls)
			TRY(map64_put(&ret->tls, g->vcpus.v[i].tls, 0, &val, NULL));
	for (size_t i = 0; i < n; i++)
		if (f[i].task)
			TRY(vec_push(&ret->tasks, f[i].task - g->direct));
	if (ret->tasks.n)
		qsort(ret->tasks.v, ret->tasks.n, sizeof(*ret->tasks.v), address_cmp);
	return NULL;
}

struct task_key {
	const uint64_t *v;
	uint64_t pa;
};

static bool begins_behind(const void *arg, size_t i)
{
	const struct task_key *key = arg;

	return key->v[i] > key->pa;
}

/* Does task i run in user mode?  Then its TLS pointer, before the next task begins, is what a vCPU
 * has there, and what was saved of it is old. */
static bool task_runs(const struct guest *g, const struct running *r, const struct pieces_at *tasks,
		      size_t i)
{
	const struct task_key key = { r->tasks.v, tasks->v.v[i].addr };
	size_t next = search_first(r->tasks.n, begins_behind, &key);
	uint64_t end = next < r->tasks.n ? r->tasks.v[next] - key.pa : TASK_ALL;

	for (uint64_t off = 0; off < TASK_ALL && off < end; off += 8)
		if (map64_get(&r->tls, pieces_word(g, tasks, i, off)))
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

VEC_NAMED(frame_list, struct guest_frame *);

static struct err *find_owners(struct guest *g, const struct running *r, struct guest_frame *f,
			       size_t n)
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

		of.v[i]->runs |= task_runs(g, r, &tasks, i);
		TRY(task_is_ours(g, &tasks, i, &ours));
		if (ours)
			of.v[i]->owner = OWNER_PROCESS;
		else if (of.v[i]->owner == OWNER_UNKNOWN)
			of.v[i]->owner = OWNER_OTHER;
	}
	return NULL;
}

static struct err *find_tasks(struct guest *g, struct guest_frame *frames, size_t n)
{
	_cleanup_vec_ struct suspects s = VEC_INIT;

	TRY(find_suspects(g, frames, n, &s));
	return confirm(g, frames, &s);
}

struct err *guest_find_owners(struct guest *g, struct guest_frame *frames, size_t n)
{
	_cleanup_(running_deinit) struct running r = { MAP64_INIT, VEC_INIT };

	if (!n)
		return NULL;
	TRY(find_kernel(g));
	if (!g->direct)
		return NULL;
	for (size_t i = 0; i < n; i += FRAMES) {
		TRY(intr_check());
		TRY(find_tasks(g, frames + i, n - i < FRAMES ? n - i : FRAMES));
	}
	TRY(running_init(g, frames, n, &r));
	for (size_t i = 0; i < n; i += FRAMES) {
		TRY(intr_check());
		TRY(find_owners(g, &r, frames + i, n - i < FRAMES ? n - i : FRAMES));
	}
	return NULL;
}
