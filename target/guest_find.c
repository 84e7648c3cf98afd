/*
 * The search of physical memory, in slices: the machine is stopped for SLICE_MS at most, and runs
 * as long in between. Of every page of RAM only the end is read, which is both: the last entry of a
 * top page table, where all of them have the kernel's; and the user registers at the end of a
 * kernel stack.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "rsp/rsp.h"
#include "target/guest_int.h"

enum {
	SLICE_MS = 100,
	READ_MS = 40, /* of a slice: then no more is asked for */
	BATCH_MIN = 64,
	BATCH_MAX = 1024, /* pages asked for at a time */
	BATCH_MS = 4,
	NEAR_MAX = 1 << 20,
};

struct search {
	struct guest *g;
	size_t ram; /* which range of RAM is next, and from where */
	uint64_t at;
	size_t batch;
	uint64_t pages, all;
	uint8_t *bytes;
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

/* What the kernel's part of a vCPU's top table ends with. */
static struct err *add_ref(struct guest *g, uint64_t root)
{
	const struct arch_guest *ag = g->arch->guest;
	uint8_t b[8];
	struct mem_range r = { root + GUEST_PAGE - sizeof(b), sizeof(b), b, 0 };
	struct err *err = guest_read_phys(g, &r, 1);
	uint64_t e = bytes_u64(g->arch->fmt, b) & ~ag->ignore;

	if (err || !(e & ag->present))
		return err;
	for (size_t i = 0; i < g->refs.n; i++)
		if (g->refs.v[i] == e)
			return NULL;
	return vec_push(&g->refs, e);
}

static struct err *take_page(struct guest *g, uint64_t pa, const uint8_t *end)
{
	const struct arch_guest *ag = g->arch->guest;
	uint64_t e = bytes_u64(g->arch->fmt, end + ag->frame_size - 8) & ~ag->ignore;
	struct err *err = NULL;

	for (size_t i = 0; i < g->refs.n && !err; i++)
		if (e == g->refs.v[i] && g->roots.n < NEAR_MAX)
			err = vec_push(&g->roots, pa);
	if (!err && guest_is_frame(g, end) && g->stacks.n < NEAR_MAX)
		err = vec_push(&g->stacks, pa);
	return err;
}

/* A batch of pages' ends; false in *more: RAM is at its end. */
static struct err *read_batch(struct search *s, bool *more)
{
	struct guest *g = s->g;
	const unsigned len = g->arch->guest->frame_size;
	uint64_t start = rsp_stopped_ns(g->rsp), took;
	struct mem_range r[BATCH_MAX];
	size_t n = 0;
	struct err *err;

	while (n < s->batch && s->ram < g->ram.n) {
		const struct ram *ram = &g->ram.v[s->ram];

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
	*more = n;
	err = guest_read_phys(g, r, n);
	for (size_t i = 0; i < n && !err; i++)
		err = take_page(g, r[i].addr & ~(uint64_t)(GUEST_PAGE - 1), r[i].dst);
	s->pages += n;
	took = rsp_stopped_ns(g->rsp) - start;
	if (took > BATCH_MS * 1000000ull && s->batch > BATCH_MIN)
		s->batch /= 2;
	else if (took < BATCH_MS * 500000ull && s->batch < BATCH_MAX)
		s->batch *= 2;
	return err;
}

static bool known(const struct guest *g, uint64_t root)
{
	for (size_t i = 0; i < g->found.n; i++)
		if (g->found.v[i].root == root)
			return true;
	return false;
}

/* Until it is done or the slice's time is up. */
static struct err *slice(struct search *s, bool *done)
{
	struct guest *g = s->g;
	struct err *err = NULL;
	bool more = true;

	*done = false;
	while (!err && !*done && rsp_stopped_ns(g->rsp) < READ_MS * 1000000ull) {
		if (more)
			err = read_batch(s, &more);
		else if (s->matched < g->roots.n) {
			if (!known(g, g->roots.v[s->matched]))
				err = guest_match(g, g->roots.v[s->matched]);
			s->matched++;
		} else
			*done = true;
	}
	if (!err && g->search_progress)
		g->search_progress(g->search_arg, s->pages * GUEST_PAGE, s->all);
	return err;
}

static int by_root(const void *a, const void *b)
{
	const struct guest_process *x = a, *y = b;

	return x->root < y->root ? -1 : x->root > y->root;
}

static struct err *let_run(struct guest *g, uint64_t ns)
{
	struct timespec nap = { 0, (long)ns };
	struct err *err = rsp_detach(g->rsp);
	uint64_t stopped = rsp_stopped_ns(g->rsp);

	if (err)
		return err;
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

struct err *guest_search(struct guest *g)
{
	struct search s = { .g = g, .batch = BATCH_MIN, .all = g->stats.ram };
	bool done = false;
	struct err *err = NULL;

	if (g->searched)
		return NULL;
	g->roots.n = g->stacks.n = 0;
	for (size_t i = 0; i < g->vcpus.n && !err; i++)
		err = add_ref(g, g->vcpus.v[i].root);
	if (!err && !g->refs.n)
		err = err_create(ERR_BADDATA,
				 "no vCPU of the guest has page tables: let it boot first");
	s.bytes = malloc((size_t)BATCH_MAX * g->arch->guest->frame_size);
	if (!err && !s.bytes)
		err = err_nomem();
	while (!err) {
		err = slice(&s, &done);
		if (err || done)
			break;
		err = let_run(g, SLICE_MS * 1000000ull / 2);
	}
	free(s.bytes);
	if (err)
		return err_wrapf(err, "looking through the guest's memory");
	/* The capture begins with a stop of its own. */
	err = let_run(g, SLICE_MS * 1000000ull / 2);
	g->searched = true;
	g->stats.kernel_stacks = (unsigned)g->stacks.n;
	if (g->found.n)
		qsort(g->found.v, g->found.n, sizeof(*g->found.v), by_root);
	count_found(g);
	return err;
}

/* ------------------------------------------------------------------ which it is */

static struct err *none(const struct guest *g)
{
	char near[160] = "";

	if (g->best.mapped)
		snprintf(near, sizeof(near),
			 "; the nearest has %" PRIu64 " pages where its text would be, and %" PRIu64
			 " of %" PRIu64 " looked at are equal",
			 g->best.mapped, g->best.equal, g->best.compared);
	return err_create(
		ERR_BADDATA,
		"no process of this guest runs %s: looked at %u vCPUs and %.0f MB of memory, with %u top page "
		"tables%s; give the very file that runs in the guest, and wait until it has started",
		elf_path(g->exe), g->stats.vcpus, (double)g->stats.ram / (1 << 20), g->stats.tables,
		near);
}

/* One line each. */
static struct err *several(const struct guest *g, unsigned nth)
{
	_cleanup_buf_ struct buf list = BUF_INIT;
	struct err *err = NULL;

	for (size_t i = 0; i < g->found.n && !err; i++) {
		const struct guest_process *p = &g->found.v[i];
		char line[256];

		snprintf(line, sizeof(line), "\n  --nth %zu: page tables at 0x%" PRIx64 ", %s",
			 i + 1, p->root, *p->args ? p->args : "(arguments not found)");
		err = buf_addstr(&list, line);
	}
	if (err)
		return err;
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
	struct err *err = NULL;

	for (size_t v = 0; v < g->vcpus.n && !err; v++)
		if (g->vcpus.v[v].root && !known(g, g->vcpus.v[v].root))
			err = guest_match(g, g->vcpus.v[v].root);
	if (!err && (nth || g->found.n != 1))
		err = guest_search(g);
	if (err)
		return err;
	if (!g->found.n)
		return none(g);
	if (i >= g->found.n || (!nth && g->found.n > 1))
		return several(g, nth);
	g->process = g->found.v[i];
	g->stats.root = g->process.root;
	count_found(g);
	return NULL;
}
