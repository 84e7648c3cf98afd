/*
 * Three things are looked at, each as the kernel does (kernel/ptrace.c, kernel/signal.c):
 *
 * Frozen: the cgroup's freezer holds every thread where it is, so that none can report a stop, and
 * the stub waits for them.
 *
 * Signals: gdbserver stops threads by SIGSTOP, for which it has the target's user id, or CAP_KILL.
 * Without, it attaches to the first thread and waits for the others, holding it (seen).
 *
 * Memory: who may open /proc/PID/mem passes ptrace's own check (ids, capabilities, Yama, whether
 * the process may dump core) and that of the file's owner.  Without, it attaches, and every read
 * fails (seen).
 */
#include "target/precheck.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "rsp/rsp.h"
#include "target/cgroup.h"

/* include/uapi/linux/capability.h */
enum { CAP_DAC_OVERRIDE = 1, CAP_KILL = 5, CAP_SYS_PTRACE = 19 };

struct party {
	bool known;
	uint64_t pid, tracer;
	uint64_t uid[3]; /* real, effective, saved */
	uint64_t caps;   /* effective */
	char state;
};

static struct err *read_party(struct rsp *rsp, const char *who, struct party *ret)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	const char *s, *t;
	char *end;

	TRY(rsp_file_text(rsp, &text, &ret->known, "/proc/%s/status", who));
	if (!ret->known)
		return NULL;
	t = (const char *)text.data;
	s = text_field(t, "Uid:");
	for (int i = 0; i < 3 && s; i++, s = end)
		ret->uid[i] = strtoull(s, &end, 10);
	ret->known = s != NULL;
	s = text_field(t, "State:");
	ret->state = s ? *s : 0;
	s = text_field(t, "CapEff:");
	ret->caps = s ? strtoull(s, NULL, 16) : UINT64_MAX;
	s = text_field(t, "Pid:");
	ret->pid = s ? strtoull(s, NULL, 10) : 0;
	s = text_field(t, "TracerPid:");
	ret->tracer = s ? strtoull(s, NULL, 10) : 0;
	return NULL;
}

static bool has_cap(const struct party *p, int cap)
{
	return p->caps >> cap & 1;
}

/* kill_ok_by_cred() */
static bool may_signal(const struct party *stub, const struct party *target)
{
	for (int i = 0; i < 2; i++) {
		if (stub->uid[i] == target->uid[0] || stub->uid[i] == target->uid[2])
			return true;
	}
	return has_cap(stub, CAP_KILL);
}

static struct err *check_signals(const struct party *stub, const struct party *target, uint64_t pid)
{
	if (may_signal(stub, target))
		return NULL;
	return err_create(ERR_UNSUPPORTED,
			  "the stub runs as user %" PRIu64 ", process %" PRIu64 " as %" PRIu64
			  ", and it may not signal it, which is how it stops threads: it needs "
			  "CAP_KILL (--cap-add KILL), or that user (--user %" PRIu64 ")",
			  stub->uid[1], pid, target->uid[0], target->uid[0]);
}

static struct err *check_tracer(struct rsp *rsp, const struct party *stub,
				const struct party *target, uint64_t pid)
{
	_cleanup_buf_ struct buf name = BUF_INIT;
	bool found;

	if (!target->tracer || target->tracer == stub->pid)
		return NULL;
	TRY(rsp_file_text(rsp, &name, &found, "/proc/%" PRIu64 "/comm", target->tracer));
	if (found)
		((char *)name.data)[strcspn((char *)name.data, "\n")] = 0;
	return err_create(ERR_UNSUPPORTED,
			  "process %" PRIu64 " is traced already, by process %" PRIu64
			  " (%.40s): end that first (kill %" PRIu64 ")",
			  pid, target->tracer,
			  found ? (const char *)name.data : "of another namespace", target->tracer);
}

/* Yama's mode; 0 where there is none. */
static struct err *read_yama(struct rsp *rsp, unsigned *ret)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	bool found;

	TRY(rsp_file_text(rsp, &text, &found, "/proc/sys/kernel/yama/ptrace_scope"));
	*ret = found ? (unsigned)strtoul((const char *)text.data, NULL, 10) : 0;
	return NULL;
}

/* What is missing, where /proc/PID/mem could not be opened. */
static struct err *no_memory(struct rsp *rsp, const struct party *stub, const struct party *target,
			     uint64_t pid, const char *how)
{
	bool same = stub->uid[0] == target->uid[0];
	unsigned yama;

	TRY(read_yama(rsp, &yama));
	if (yama == 3)
		return err_create(
			ERR_UNSUPPORTED,
			"nobody may trace processes there: kernel.yama.ptrace_scope is 3");
	if (!has_cap(stub, CAP_SYS_PTRACE))
		return err_create(ERR_UNSUPPORTED,
				  "the stub (user %" PRIu64 ") may not trace process %" PRIu64
				  " (user %" PRIu64 "): it needs CAP_SYS_PTRACE (--cap-add "
				  "SYS_PTRACE)%s",
				  stub->uid[1], pid, target->uid[0],
				  same && yama ? ", as kernel.yama.ptrace_scope is set" : "");
	if (!same && !has_cap(stub, CAP_DAC_OVERRIDE))
		return err_create(ERR_UNSUPPORTED,
				  "the stub runs as user %" PRIu64 ", process %" PRIu64
				  " as %" PRIu64 ", and it may not open its memory: it needs "
				  "CAP_DAC_OVERRIDE (--cap-add DAC_OVERRIDE), or that user (--user "
				  "%" PRIu64 ")",
				  stub->uid[1], pid, target->uid[0], target->uid[0]);
	return err_create(ERR_UNSUPPORTED,
			  "the stub may not open the memory of process %" PRIu64
			  " (%s): another user namespace, or a security module, forbids it",
			  pid, how);
}

static struct err *check_memory(struct rsp *rsp, const struct party *stub,
				const struct party *target, uint64_t pid)
{
	_cleanup_buf_ struct buf none = BUF_INIT;
	char path[40];
	struct err *err, *e;

	/* Opening is the check; a process without memory, a kernel's thread, has none to read. */
	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/mem", pid);
	err = rsp_file_read_at(rsp, path, 0, 0, &none);
	if (!err_is(err, ERR_REMOTE))
		return err;
	e = no_memory(rsp, stub, target, pid, err->msg);
	err_destroy(err);
	return e;
}

static struct err *check_frozen(struct rsp *rsp, uint64_t pid)
{
	bool frozen;

	TRY(cgroup_frozen(rsp, pid, &frozen));
	if (!frozen)
		return NULL;
	return err_create(ERR_UNSUPPORTED,
			  "process %" PRIu64 " is frozen, by its cgroup's freezer: no debugger can "
			  "stop it so; thaw it first (podman unpause, docker unpause)",
			  pid);
}

struct err *precheck(struct rsp *rsp, uint64_t pid)
{
	struct party stub = { 0 }, target = { 0 };
	char who[24];

	if (!rsp_features(rsp)->vfile)
		return NULL;
	snprintf(who, sizeof(who), "%" PRIu64, pid);
	TRY(read_party(rsp, "self", &stub));
	TRY(read_party(rsp, who, &target));
	if (!stub.known || !target.known)
		return NULL;
	if (target.state == 'Z' || target.state == 'X')
		return err_create(ERR_EXITED, "process %" PRIu64 " has ended (it is a zombie)",
				  pid);
	TRY(check_tracer(rsp, &stub, &target, pid));
	if (target.tracer)
		return NULL; /* a run before us has left it behind */
	TRY(check_frozen(rsp, pid));
	TRY(check_signals(&stub, &target, pid));
	return check_memory(rsp, &stub, &target, pid);
}
