/*
 * What a fork needs of the program and the architecture is looked up here: code in EXE that makes a
 * system call and then exits, where `g` has the registers, and a thread that waits.
 */
#include "target/fork.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "rsp/inject.h"
#include "rsp/rsp.h"
#include "target/fork_room.h"
#include "target/reaper.h"
#include "target/seccomp.h"

struct fork {
	struct rsp *rsp;
	const struct arch *arch;
	const struct elf *exe;
	bool force;
	bool orphans_are_reaped;
	enum inject_filter filter;
	struct buf evidence;           /* of what a seccomp filter does; empty: there is none */
	uint64_t code, text, text_end; /* link-time */
	struct live *live;             /* a snapshot is there */
	struct room room;
	int64_t next_look; /* at it */
};

static bool fork_is_code(const struct arch_fork *a, const uint8_t *p)
{
	for (unsigned i = 0; i < a->code_len; i++) {
		if (a->mask[i] && p[i] != a->code[i])
			return false;
	}
	return true;
}

static bool fork_find_code(struct fork *f)
{
	const struct arch_fork *a = f->arch->fork;
	const struct elf_segment *segs;
	size_t n = elf_segments(f->exe, &segs);

	for (size_t i = 0; i < n; i++) {
		const struct elf_segment *s = &segs[i];
		const uint8_t *p = s->data, *end = p + s->filesz, *hit;
		/* The rarest part first: the instruction and what follows. */
		const uint8_t *rare = a->code + a->call_off;
		size_t rare_len = (size_t)a->code_len - a->call_off;

		if (!s->exec)
			continue;
		for (; p < end && (hit = memmem(p, (size_t)(end - p), rare, rare_len));
		     p = hit + 1) {
			if (hit - s->data < a->call_off || !fork_is_code(a, hit - a->call_off))
				continue;
			f->code = s->addr + (uint64_t)(hit - s->data) - a->call_off;
			f->text = s->addr;
			f->text_end = s->addr + s->memsz;
			return true;
		}
	}
	return false;
}

static struct err *no_code(const struct elf *exe)
{
	return err_create(ERR_UNSUPPORTED, "%s has no code that could be used for it",
			  elf_path(exe));
}

struct err *fork_create(struct rsp *rsp, const struct arch *arch, const struct elf *exe, bool force,
			struct fork **ret)
{
	const struct rsp_features *rf = rsp_features(rsp);
	struct fork f = { .rsp = rsp, .arch = arch, .exe = exe, .force = force };

	if (!arch->fork)
		return err_create(ERR_UNSUPPORTED, "not on %s", arch->name);
	if (!rf->fork_events || !rf->vfork_events || !rf->multiprocess || !rf->extended ||
	    !rf->vfile)
		return err_create(ERR_UNSUPPORTED,
				  "the stub does not report forks (gdbserver does)");
	if (!fork_find_code(&f))
		return no_code(exe);
	*ret = malloc(sizeof(f));
	if (!*ret)
		return err_nomem();
	**ret = f;
	return NULL;
}

void fork_destroy(struct fork *f)
{
	if (!f)
		return;
	room_deinit(&f->room);
	buf_deinit(&f->evidence);
	free(f);
}

bool fork_taken(const struct fork *f)
{
	return f && f->live;
}

struct err *fork_check(struct fork *f, uint64_t pid, bool consent)
{
	bool known;

	TRY(seccomp_check(f->rsp, pid, consent, &known, &f->evidence));
	f->filter = !f->evidence.len ? INJECT_NO_FILTER : known ? INJECT_KNOWN : INJECT_UNKNOWN;
	TRY(reaper_reaps(f->rsp, pid, &f->orphans_are_reaped));
	return room_check(&f->room, f->rsp, pid, f->force);
}

const char *fork_evidence(const struct fork *f)
{
	return f->evidence.len ? (const char *)f->evidence.data : NULL;
}

/* Called while the snapshot is read: each page that the process writes to meanwhile is copied. */
static struct err *watch(void *arg)
{
	struct fork *f = arg;
	int64_t now = clock_now_ns();
	struct err *err;

	/* Looking takes a tenth of the time at most: each look is several ways there and back. */
	if (f->force || now < f->next_look)
		return NULL;
	err = room_left(&f->room, f->rsp);
	f->next_look = clock_now_ns() + 10 * (clock_now_ns() - now);
	return err;
}

static struct err *place(struct live *l, const char *name, uint16_t *ret)
{
	uint32_t offset;
	bool found;

	TRY(live_reg_place(l, name, &offset, &found));
	if (!found || offset > INJECT_REGS - sizeof(uint64_t))
		return err_create(ERR_UNSUPPORTED, "the stub does not say where the register %s is",
				  name);
	*ret = (uint16_t)offset;
	return NULL;
}

static int reg_index(const struct arch *a, const char *name)
{
	for (int i = 0; i < a->nregs; i++) {
		if (!strcmp(a->reg_names[i], name))
			return i;
	}
	return -1;
}

/* A thread that waits in a system call, by its registers; 0: none.  rsp/inject_choose.c looks at
 * what else must hold. */
static uint64_t likely(const struct arch *a, const struct threads *threads)
{
	const struct arch_fork *f = a->fork;
	int restart = f->restart ? reg_index(a, f->restart) : -1;
	int nr = reg_index(a, f->nr), limit = reg_index(a, f->args[f->wait_limit]);

	for (size_t i = 0; i < threads->n; i++) {
		const struct thread *t = &threads->v[i];

		if (restart >= 0 ? t->have[restart] && t->regs[restart] <= INT64_MAX :
				   t->have[nr] && t->regs[nr] == f->wait && !t->regs[limit])
			return t->tid;
	}
	return 0;
}

struct err *fork_take(struct fork *f, struct live *l, const struct threads *threads, uint64_t bias)
{
	const struct arch_fork *a = f->arch->fork;
	const uint8_t *code = elf_data(f->exe, f->code, a->code_len);
	struct inject_machine m = {
		.fmt = f->arch->fmt,
		.restart = UINT16_MAX,
		.nr_wait = a->wait,
		.wait_limit = a->wait_limit,
		.nr_clone = a->clone,
		.nr_wait4 = a->wait4,
		.nr_waitid = a->waitid,
		.nr_close_range = a->close_range,
		.nr_sigaction = a->rt_sigaction,
		.nr_exit = a->exit,
		.nr_alarm = a->alarm,
		.code_len = a->code_len,
		.call_off = a->call_off,
		.call_len = a->call_len,
		.code_at = f->code + bias,
		.text = f->text + bias,
		.text_end = f->text_end + bias,
		.seccomp = f->filter,
		.own_child = !f->orphans_are_reaped,
	};

	TRY(place(l, a->nr, &m.nr));
	TRY(place(l, a->ret, &m.ret));
	if (a->restart)
		TRY(place(l, a->restart, &m.restart));
	TRY(place(l, f->arch->reg_names[f->arch->pc], &m.pc));
	TRY(place(l, f->arch->reg_names[f->arch->sp], &m.sp));
	for (int i = 0; i < 6; i++)
		TRY(place(l, a->args[i], &m.args[i]));
	if (!code)
		return no_code(f->exe);
	memcpy(m.code, code, a->code_len);
	TRY(rsp_fork(f->rsp, &m, likely(f->arch, threads)));
	f->live = l;
	live_set_watch(l, watch, f);
	return NULL;
}

struct err *fork_end(struct fork *f)
{
	if (!fork_taken(f))
		return NULL;
	live_set_watch(f->live, NULL, NULL);
	f->live = NULL;
	return rsp_end_snapshot(f->rsp);
}
