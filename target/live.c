/*
 * A process behind a stub as a target: its memory as a mem_source, its threads with
 * their registers by name.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "rsp/rsp.h"
#include "target/target_int.h"

/* Ranges handed to rsp/ at a time: enough that the pipe never runs dry, 2 MB of memory. */
enum { BATCH = 65536, WATCHED_BATCH = 64 << 20, STATUS_MAX = 1 << 16 };

struct live {
	struct target t; /* first */
	struct rsp *rsp;
	struct err *(*watch)(void *arg);
	void *watch_arg;
	uint64_t fetched; /* by earlier batches, for progress */
};

static struct live *live_of(struct target *t)
{
	return (struct live *)t;
}

static void batch_progress(void *arg, uint64_t bytes)
{
	struct live *l = arg;

	l->t.progress(l->t.progress_arg, l->fetched + bytes);
}

static struct err *live_readv(struct mem_source *src, struct mem_range *ranges, size_t n)
{
	struct live *t = (struct live *)src;
	size_t max = n < BATCH ? n : BATCH;
	_cleanup_free_ struct rsp_range *r = NULL;

	if (!n)
		return NULL;
	r = calloc(max, sizeof(*r));
	if (!r)
		return err_nomem();
	t->fetched = 0;
	for (size_t i = 0, k; i < n; i += k) {
		uint64_t bytes = 0;
		struct err *err = t->watch ? t->watch(t->watch_arg) : NULL;

		if (err)
			return err;
		for (k = 0; k < max && i + k < n && (!k || !t->watch || bytes < WATCHED_BATCH);
		     k++) {
			r[k] = (struct rsp_range){ ranges[i + k].addr, ranges[i + k].len,
						   ranges[i + k].dst, 0, ranges[i + k].guess };
			bytes += ranges[i + k].len;
		}
		err = rsp_read_memory(t->rsp, r, k, t->t.progress ? batch_progress : NULL, t);
		if (err)
			return err;
		for (size_t j = 0; j < k; j++) {
			ranges[i + j].got = r[j].got;
			t->fetched += r[j].got;
		}
	}
	return NULL;
}

static void live_destroy(struct target *t)
{
	free(t);
}

struct rsp *target_rsp(const struct target *t)
{
	return live_of((struct target *)t)->rsp;
}

void target_set_watch(struct target *t, struct err *(*watch)(void *arg), void *arg)
{
	live_of(t)->watch = watch;
	live_of(t)->watch_arg = arg;
}

/* ------------------------------------------------------------------ threads */

/* Where a register of the table is in the reply to `g`. */
struct place {
	uint32_t offset, size; /* size 0: nowhere */
};

static struct err *find_places(struct target *t, struct place *places)
{
	const struct arch *a = t->arch;
	const struct rsp_reg *regs;
	const char *name;
	uint32_t offset = 0;
	size_t n;
	struct err *err = rsp_registers(live_of(t)->rsp, &regs, &n, &name);

	if (err)
		return err;
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

struct err *target_reg_place(struct target *t, const char *name, uint32_t *offset, bool *found)
{
	struct place places[ARCH_MAX_REGS];
	struct err *err = find_places(t, places);

	*found = false;
	for (unsigned i = 0; i < t->arch->nregs && !err; i++) {
		if (!strcmp(t->arch->reg_names[i], name) && places[i].size == t->arch->fmt.word) {
			*offset = places[i].offset;
			*found = true;
		}
	}
	return err;
}

static bool all_set(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!p[i])
			return false;
	}
	return true;
}

static void fill_thread(const struct arch *a, const struct place *places, const struct buf *raw,
			const struct buf *avail, struct thread *th)
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

static struct err *list_threads(struct target *t, struct rsp_threads *list)
{
	struct rsp *rsp = live_of(t)->rsp;
	uint64_t pid = rsp_pid(rsp);
	size_t kept = 0;
	struct err *err = rsp_threads(rsp, list);

	if (err)
		return err;
	/* The stub may hold another process as well: gdbserver --multi, a forked snapshot. */
	for (size_t i = 0; i < list->n; i++) {
		if (!pid || !list->v[i].pid || list->v[i].pid == pid)
			list->v[kept++] = list->v[i];
	}
	list->n = kept;
	return NULL;
}

static struct err *live_threads(struct target *t, struct threads *ret)
{
	struct rsp_threads list = VEC_INIT;
	struct threads threads = VEC_INIT;
	struct place places[ARCH_MAX_REGS];
	struct buf *raw = NULL, *avail;
	struct err *err;

	err = find_places(t, places);
	if (!err)
		err = list_threads(t, &list);
	if (!err)
		err = vec_reserve(&threads, list.n);
	if (!err && list.n) {
		raw = calloc(list.n * 2, sizeof(*raw));
		if (!raw)
			err = err_nomem();
	}
	avail = raw ? raw + list.n : NULL;
	if (!err)
		err = rsp_read_registers(live_of(t)->rsp, list.v, list.n, raw, avail);
	for (size_t i = 0; !err && i < list.n; i++) {
		struct thread th = { .tid = list.v[i].tid };

		fill_thread(t->arch, places, &raw[i], &avail[i], &th);
		threads.v[threads.n++] = th;
	}
	for (size_t i = 0; raw && i < list.n * 2; i++)
		buf_deinit(&raw[i]);
	free(raw);
	vec_deinit(&list);
	if (err) {
		vec_deinit(&threads);
		return err;
	}
	threads_sort(&threads);
	vec_deinit(ret);
	*ret = threads;
	return NULL;
}

/* The last number of NSpid in a /proc/.../status, and how many there are; 0: none. */
static struct err *read_nspid(struct rsp *rsp, const char *path, unsigned *levels, uint64_t *pid)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	bool found; /* or the thread is gone */
	struct err *err = rsp_file_try(rsp, path, STATUS_MAX, &text, &found);
	const char *s;

	*levels = 0;
	if (err || !found)
		return err;
	s = strstr((const char *)text.data, "\nNSpid:");
	for (s = s ? s + 7 : ""; *s == '\t' || *s == ' ';) {
		char *end;

		*pid = strtoull(s, &end, 10);
		*levels += end != s;
		s = end;
	}
	return NULL;
}

struct err *target_pid_levels(struct rsp *rsp, uint64_t pid, unsigned *levels)
{
	uint64_t own;
	char path[40];

	*levels = 0;
	if (!pid || !rsp_features(rsp)->vfile)
		return NULL;
	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/status", pid);
	return read_nspid(rsp, path, levels, &own);
}

struct err *target_own_tids(struct target *t, struct threads *threads)
{
	struct rsp *rsp = live_of(t)->rsp;
	uint64_t pid = rsp_pid(rsp), tid;
	struct err *err = NULL;
	unsigned levels;
	char path[80];

	for (size_t i = 0; i < threads->n && !err; i++) {
		snprintf(path, sizeof(path), "/proc/%" PRIu64 "/task/%" PRIu64 "/status", pid,
			 threads->v[i].tid);
		err = read_nspid(rsp, path, &levels, &tid);
		if (!err && levels)
			threads->v[i].tid = tid;
	}
	threads_sort(threads);
	return err;
}

/* ------------------------------------------------------------------ auxiliary vector */

static struct err *live_auxv(struct target *t, struct buf *ret)
{
	struct rsp *rsp = live_of(t)->rsp;

	if (!rsp_features(rsp)->xfer_auxv)
		return err_create(ERR_NODEBUG, "the stub has no auxiliary vector");
	return rsp_xfer(rsp, "auxv", "", ret);
}

/* ------------------------------------------------------------------ the target */

static const struct target_ops live_ops = { live_destroy, live_threads, live_auxv };

struct err *target_create(struct rsp *rsp, const struct arch *arch, struct target **ret)
{
	struct live *l = calloc(1, sizeof(*l));

	if (!l)
		return err_nomem();
	l->t = (struct target){
		.source = { live_readv }, .ops = &live_ops, .arch = arch, .auxv = BUF_INIT
	};
	l->rsp = rsp;
	*ret = &l->t;
	return NULL;
}
