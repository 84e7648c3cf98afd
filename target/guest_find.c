/*
 * Physical memory is searched in slices: the machine is stopped for SLICE_MS at most, and runs as
 * long in between.  Only the end of every page of RAM is read.  It shows whether the page is a top
 * page table, all of which have the kernel's entry last; and whether it is the last one of a kernel
 * stack, which ends with user registers.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "rsp/rsp.h"
#include "target/guest_int.h"

enum {
	SLICE_MS = 100,
	READ_MS = 40,   /* of a slice: then no more is asked for */
	BATCH_MIN = 64, /* pages asked for at a time, so many that it takes BATCH_MS */
	BATCH_MAX = 1024,
	BATCH_MS = 4,
};

#define NS_PER_MS 1000000ull

struct search {
	struct guest *g;
	size_t ram; /* which range of RAM is next, and from where */
	uint64_t at;
	size_t batch;
	uint64_t pages, all;
	uint8_t *bytes; /* BATCH_MAX pages' ends */
	size_t matched; /* of g->roots */
};

bool guest_is_frame(const struct guest *g, const uint8_t *frame)
{
	const struct arch_guest *ag = g->arch->guest;
	bool cs = false, ss = false;

	for (unsigned i = 0; i < GUEST_FRAME_REGS && ag->frame[i]; i++) {
		uint64_t v = bytes_u64(g->arch->fmt, frame + 8 * i);

		if (!strcmp(ag->frame[i], "cs"))
			cs = v == ag->user_cs;
		if (!strcmp(ag->frame[i], "ss"))
			ss = v == ag->user_ss;
	}
	return cs && ss;
}

/* Remembers what the kernel's part of a vCPU's top table ends with. */
static struct err *add_ref(struct guest *g, uint64_t root)
{
	const struct arch_guest *ag = g->arch->guest;
	uint8_t b[8];
	struct mem_range r = { root + GUEST_PAGE - sizeof(b), sizeof(b), b, 0 };
	uint64_t e;

	TRY(guest_read_phys(g, &r, 1));
	e = bytes_u64(g->arch->fmt, b) & ~ag->ignore;
	if (!(e & ag->present))
		return NULL;
	for (size_t i = 0; i < g->refs.n; i++)
		if (g->refs.v[i] == e)
			return NULL;
	return g->refs.n < LIMIT_GUEST_REFS ? vec_push(&g->refs, e) : NULL;
}

/* Looks at the end of the page at pa. */
static struct err *take_page(struct guest *g, uint64_t pa, const uint8_t *end)
{
	const struct arch_guest *ag = g->arch->guest;
	uint64_t e = bytes_u64(g->arch->fmt, end + ag->frame_size - 8) & ~ag->ignore;

	for (size_t i = 0; i < g->refs.n; i++)
		if (e == g->refs.v[i] && g->roots.n < LIMIT_GUEST_TABLES)
			TRY(vec_push(&g->roots, pa));
	if (guest_is_frame(g, end) && g->stacks.n < LIMIT_THREADS)
		TRY(vec_push(&g->stacks, pa));
	return NULL;
}

/* The ends of the next pages; how many there are. */
static size_t plan_batch(struct search *s, struct mem_range r[BATCH_MAX])
{
	const unsigned len = s->g->arch->guest->frame_size;
	size_t n = 0;

	while (n < s->batch && s->ram < s->g->ram.n) {
		const struct ram *ram = &s->g->ram.v[s->ram];

		if (s->at < ram->start)
			s->at = ram->start;
		if (s->at >= ram->end) {
			s->ram++;
			continue;
		}
		r[n] = (struct mem_range){ s->at + GUEST_PAGE - len, len, s->bytes + n * len, 0 };
		s->at += GUEST_PAGE;
		n++;
	}
	return n;
}

/* Reads a batch of pages' ends; *more is false at the end of RAM. */
static struct err *read_batch(struct search *s, bool *more)
{
	struct guest *g = s->g;
	uint64_t start = rsp_stopped_ns(g->rsp), took;
	struct mem_range r[BATCH_MAX];
	size_t n = plan_batch(s, r);

	*more = n;
	TRY(guest_read_phys(g, r, n));
	for (size_t i = 0; i < n; i++)
		TRY(take_page(g, r[i].addr & ~(uint64_t)(GUEST_PAGE - 1), r[i].dst));
	s->pages += n;
	took = rsp_stopped_ns(g->rsp) - start;
	if (took > BATCH_MS * NS_PER_MS && s->batch > BATCH_MIN)
		s->batch /= 2;
	else if (took < BATCH_MS * NS_PER_MS / 2 && s->batch < BATCH_MAX)
		s->batch *= 2;
	return NULL;
}

static bool is_found(const struct guest *g, uint64_t root)
{
	for (size_t i = 0; i < g->found.n; i++)
		if (g->found.v[i].root == root)
			return true;
	return false;
}

/* Matches the next of the top page tables that were found. */
static struct err *match_next(struct search *s)
{
	uint64_t root = s->g->roots.v[s->matched++];

	return is_found(s->g, root) ? NULL : guest_match(s->g, root);
}

/* Searches on until it is done or the slice's time is up. */
static struct err *search_slice(struct search *s, bool *done)
{
	struct guest *g = s->g;
	bool more = true;

	*done = false;
	while (!*done && rsp_stopped_ns(g->rsp) < READ_MS * NS_PER_MS) {
		if (more)
			TRY(read_batch(s, &more));
		else if (s->matched < g->roots.n)
			TRY(match_next(s));
		else
			*done = true;
	}
	if (g->search_progress)
		g->search_progress(g->search_arg, s->pages * GUEST_PAGE, s->all);
	return NULL;
}

/* A total order: no two of those found have one top table. */
static int process_cmp(const void *a, const void *b)
{
	const struct guest_process *x = a, *y = b;

	return x->root < y->root ? -1 : x->root > y->root;
}

/* Lets the machine run for half of SLICE_MS. */
static struct err *let_run(struct guest *g)
{
	const struct timespec nap = { 0, SLICE_MS * NS_PER_MS / 2 };
	struct err *err;
	uint64_t stopped;

	TRY(rsp_detach(g->rsp));
	stopped = rsp_stopped_ns(g->rsp);
	g->stats.slices++;
	if (stopped > g->stats.slice_ns)
		g->stats.slice_ns = stopped;
	nanosleep(&nap, NULL);
	err = rsp_stop(g->rsp);
	pages_forget(&g->pages);
	return err;
}

static void count_found(struct guest *g)
{
	g->stats.processes = (unsigned)g->found.n;
	for (size_t i = 0; i < g->found.n; i++)
		if (g->found.v[i].root == g->process.root)
			g->stats.nth = (unsigned)i + 1;
}

static struct err *search_all(struct guest *g)
{
	_cleanup_free_ uint8_t *bytes = malloc((size_t)BATCH_MAX * g->arch->guest->frame_size);
	struct search s = { .g = g, .batch = BATCH_MIN, .all = g->stats.ram, .bytes = bytes };
	bool done;

	if (!bytes)
		return err_nomem();
	for (size_t i = 0; i < g->vcpus.n; i++)
		TRY(add_ref(g, g->vcpus.v[i].root));
	if (!g->refs.n)
		return err_create(ERR_BADDATA,
				  "no vCPU of the guest has page tables: let it boot first");
	for (;;) {
		TRY(search_slice(&s, &done));
		if (done)
			return NULL;
		TRY(let_run(g));
	}
}

struct err *guest_search(struct guest *g)
{
	struct err *err;

	if (g->searched)
		return NULL;
	g->roots.n = g->stacks.n = 0;
	TRY(err_wrapf(search_all(g), "looking through the guest's memory"));
	/* The capture begins with a stop of its own. */
	err = let_run(g);
	g->searched = true;
	g->stats.kernel_stacks = (unsigned)g->stacks.n;
	if (g->found.n)
		qsort(g->found.v, g->found.n, sizeof(*g->found.v), process_cmp);
	count_found(g);
	return err;
}

/* ------------------------------------------------------------------ which it is */

static struct err *none_found(const struct guest *g)
{
	char near[160] = "";

	if (g->best.mapped)
		snprintf(near, sizeof(near),
			 "; the nearest has %" PRIu64 " pages where its text would be, and %" PRIu64
			 " of %" PRIu64 " looked at are equal",
			 g->best.mapped, g->best.equal, g->best.compared);
	return err_create(ERR_BADDATA,
			  "no process of this guest runs %s: looked at %u vCPUs and %.0f MB of "
			  "memory, with %u top page tables%s; give the very file that runs in the "
			  "guest, and wait until it has started",
			  elf_path(g->exe), g->stats.vcpus, (double)g->stats.ram / (1 << 20),
			  g->stats.tables, near);
}

/* Lists them, one to a line. */
static struct err *several_found(const struct guest *g, unsigned nth)
{
	_cleanup_buf_ struct buf list = BUF_INIT;

	for (size_t i = 0; i < g->found.n; i++) {
		const struct guest_process *p = &g->found.v[i];

		TRY(buf_addf(&list, "\n  --nth %zu: page tables at 0x%" PRIx64 ", %s", i + 1,
			     p->root, *p->args ? p->args : "(arguments not found)"));
	}
	if (nth)
		return err_create(ERR_BADDATA, "--nth %u: %zu process%s of this guest run%s %s:%s",
				  nth, g->found.n, g->found.n == 1 ? "" : "es",
				  g->found.n == 1 ? "s" : "", elf_path(g->exe), (char *)list.data);
	return err_create(ERR_BADDATA, "%zu processes of this guest run %s; say which:%s",
			  g->found.n, elf_path(g->exe), (char *)list.data);
}

struct err *guest_find(struct guest *g, unsigned nth)
{
	size_t i = nth ? nth - 1 : 0;

	for (size_t v = 0; v < g->vcpus.n; v++)
		if (g->vcpus.v[v].root && !is_found(g, g->vcpus.v[v].root))
			TRY(guest_match(g, g->vcpus.v[v].root));
	if (nth || g->found.n != 1)
		TRY(guest_search(g));
	if (!g->found.n)
		return none_found(g);
	if (i >= g->found.n || (!nth && g->found.n > 1))
		return several_found(g, nth);
	g->process = g->found.v[i];
	g->stats.root = g->process.root;
	count_found(g);
	return NULL;
}
