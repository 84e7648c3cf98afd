/*
 * Puts what is asked of a target to rsp/: memory as a mem_source, threads with their registers by
 * name, the auxiliary vector.
 */
#include "target/live.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "rsp/rsp.h"
#include "target/target_int.h"

enum {
	BATCH = 65536, /* ranges handed to rsp/ at a time: so many that the pipe never runs dry */
	WATCHED_BATCH = 64 << 20, /* bytes handed over between two calls of the watch */
};

struct live {
	struct target t; /* first */
	struct rsp *rsp;
	struct err *(*watch)(void *arg);
	void *watch_arg;
	uint64_t fetched; /* by earlier batches, for progress */
};

static void batch_progress(void *arg, uint64_t bytes)
{
	struct live *l = arg;

	l->t.progress(l->t.progress_arg, l->fetched + bytes);
}

/* Hands over the next ranges; *n gets how many. */
static struct err *live_read_batch(struct live *l, struct mem_range *ranges, struct rsp_range *r,
				   size_t max, size_t *n)
{
	uint64_t bytes = 0;
	size_t k = 0;

	for (; k < max && (!k || !l->watch || bytes < WATCHED_BATCH); k++) {
		r[k] = (struct rsp_range){ ranges[k].addr, ranges[k].len, ranges[k].dst, 0,
					   ranges[k].guess };
		bytes += ranges[k].len;
	}
	TRY(rsp_read_memory(l->rsp, r, k, l->t.progress ? batch_progress : NULL, l));
	for (size_t i = 0; i < k; i++) {
		ranges[i].got = r[i].got;
		l->fetched += r[i].got;
	}
	*n = k;
	return NULL;
}

static struct err *live_readv(struct mem_source *src, struct mem_range *ranges, size_t n)
{
	struct live *l = (struct live *)src;
	size_t max = n < BATCH ? n : BATCH;
	_cleanup_free_ struct rsp_range *r = NULL;

	if (!n)
		return NULL;
	r = calloc(max, sizeof(*r));
	if (!r)
		return err_nomem();
	l->fetched = 0;
	for (size_t i = 0, k = 0; i < n; i += k) {
		if (l->watch)
			TRY(l->watch(l->watch_arg));
		TRY(live_read_batch(l, ranges + i, r, n - i < max ? n - i : max, &k));
	}
	return NULL;
}

static void live_destroy(struct target *t)
{
	free(t);
}

struct target *live_target(struct live *l)
{
	return &l->t;
}

struct rsp *live_rsp(const struct live *l)
{
	return l->rsp;
}

void live_set_watch(struct live *l, struct err *(*watch)(void *arg), void *arg)
{
	l->watch = watch;
	l->watch_arg = arg;
}

/* ------------------------------------------------------------------ threads */

/* Where a register of the table is in the reply to `g`. */
struct place {
	uint32_t offset, size; /* size 0: nowhere */
};

/* target.xml says where registers are; where there is none, `g` has those of the table in order. */
static struct err *find_places(const struct live *l, struct place *places)
{
	const struct arch *a = l->t.arch;
	const struct rsp_reg *regs;
	const char *name;
	uint32_t offset = 0;
	size_t n;

	TRY(rsp_registers(l->rsp, &regs, &n, &name));
	for (unsigned i = 0; i < a->nregs; i++) {
		places[i] = (struct place){ 0, 0 };
		if (!n && *a->reg_names[i])
			places[i] = (struct place){ offset, a->reg_sizes[i] };
		offset += a->reg_sizes[i];
		for (size_t j = 0; j < n; j++) {
			if (*a->reg_names[i] && !strcmp(regs[j].name, a->reg_names[i]) &&
			    regs[j].offset != UINT32_MAX) {
				places[i] = (struct place){ regs[j].offset, regs[j].size };
				break;
			}
		}
	}
	return NULL;
}

struct err *live_reg_place(struct live *l, const char *name, uint32_t *offset, bool *found)
{
	const struct arch *a = l->t.arch;
	struct place places[ARCH_MAX_REGS];

	TRY(find_places(l, places));
	*found = false;
	for (unsigned i = 0; i < a->nregs; i++) {
		if (!strcmp(a->reg_names[i], name) && places[i].size == a->fmt.word) {
			*offset = places[i].offset;
			*found = true;
		}
	}
	return NULL;
}

static bool all_set(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!p[i])
			return false;
	}
	return true;
}

static void live_fill_thread(const struct arch *a, const struct place *places,
			     const struct buf *raw, const struct buf *avail, struct thread *th)
{
	for (unsigned i = 0; i < a->nregs; i++) {
		struct place p = places[i];

		/* 1, 2, 4 or 8 bytes; nobody asks for what is wider. */
		if (!p.size || p.size > 8 || (p.size & (p.size - 1)))
			continue;
		if (p.offset > raw->len || raw->len - p.offset < p.size)
			continue;
		if (!all_set(avail->data + p.offset, p.size))
			continue;
		th->regs[i] = bytes_uint(a->fmt, raw->data + p.offset, p.size);
		th->have[i] = true;
	}
	th->valid = th->have[a->pc] && th->have[a->sp];
}

static struct err *list_threads(struct rsp *rsp, struct rsp_threads *list)
{
	uint64_t pid = rsp_pid(rsp);
	size_t kept = 0;

	TRY(rsp_threads(rsp, list));
	/* The stub may hold another process as well: gdbserver --multi, a forked snapshot. */
	for (size_t i = 0; i < list->n; i++) {
		if (!pid || !list->v[i].pid || list->v[i].pid == pid)
			list->v[kept++] = list->v[i];
	}
	list->n = kept;
	return NULL;
}

/* The replies to `g` of n threads. */
struct replies {
	struct buf *raw, *avail; /* n of each, in one piece */
	size_t n;
};

static struct err *replies_init(struct replies *r, size_t n)
{
	r->raw = calloc(n ? n * 2 : 1, sizeof(*r->raw));
	if (!r->raw)
		return err_nomem();
	r->avail = r->raw + n;
	r->n = n;
	return NULL;
}

static void replies_deinit(struct replies *r)
{
	for (size_t i = 0; i < r->n * 2; i++)
		buf_deinit(&r->raw[i]);
	free(r->raw);
}

static struct err *live_threads(struct target *t, struct threads *ret)
{
	const struct live *l = (const struct live *)t;
	_cleanup_(replies_deinit) struct replies r = { 0 };
	_cleanup_vec_ struct rsp_threads list = VEC_INIT;
	_cleanup_vec_ struct threads threads = VEC_INIT;
	struct place places[ARCH_MAX_REGS];

	TRY(find_places(l, places));
	TRY(list_threads(l->rsp, &list));
	TRY(replies_init(&r, list.n));
	TRY(rsp_read_registers(l->rsp, list.v, list.n, r.raw, r.avail));
	TRY(vec_reserve(&threads, list.n));
	for (size_t i = 0; i < list.n; i++) {
		struct thread th = { .tid = list.v[i].tid };

		live_fill_thread(t->arch, places, &r.raw[i], &r.avail[i], &th);
		threads.v[threads.n++] = th;
	}
	threads_sort(&threads);
	vec_deinit(ret);
	*ret = threads;
	threads = (struct threads)VEC_INIT;
	return NULL;
}

/* The last number of NSpid in a /proc/.../status, and how many there are. */
static unsigned nspid(const struct buf *status, uint64_t *pid)
{
	const char *s = text_field((const char *)status->data, "NSpid:");
	unsigned levels = 0;

	while (s && *s >= '0' && *s <= '9') {
		char *end;

		*pid = strtoull(s, &end, 10);
		s = end + strspn(end, " \t");
		levels++;
	}
	return levels;
}

struct err *live_pid_levels(struct rsp *rsp, uint64_t pid, unsigned *levels)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	uint64_t own;
	bool found = false;

	if (pid && rsp_features(rsp)->vfile)
		TRY(rsp_file_text(rsp, &text, &found, "/proc/%" PRIu64 "/status", pid));
	*levels = found ? nspid(&text, &own) : 0;
	return NULL;
}

struct err *live_own_tids(const struct live *l, struct threads *threads)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	uint64_t pid = rsp_pid(l->rsp);
	bool found; /* or the thread is gone */

	for (size_t i = 0; i < threads->n; i++) {
		uint64_t *tid = &threads->v[i].tid;

		TRY(rsp_file_text(l->rsp, &text, &found,
				  "/proc/%" PRIu64 "/task/%" PRIu64 "/status", pid, *tid));
		if (found)
			nspid(&text, tid);
	}
	threads_sort(threads);
	return NULL;
}

/* ------------------------------------------------------------------ auxiliary vector */

static struct err *live_auxv(struct target *t, struct buf *ret)
{
	struct rsp *rsp = ((struct live *)t)->rsp;

	if (!rsp_features(rsp)->xfer_auxv)
		return err_create(ERR_NODEBUG, "the stub has no auxiliary vector");
	return rsp_xfer(rsp, "auxv", "", ret);
}

/* ------------------------------------------------------------------ the target */

static const struct target_ops live_ops = { live_destroy, live_threads, live_auxv };

struct err *live_create(struct rsp *rsp, const struct arch *arch, struct live **ret)
{
	struct live *l = calloc(1, sizeof(*l));

	if (!l)
		return err_nomem();
	l->t = (struct target){
		.source = { live_readv }, .ops = &live_ops, .arch = arch, .auxv = BUF_INIT
	};
	l->rsp = rsp;
	*ret = l;
	return NULL;
}
