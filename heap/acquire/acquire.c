/*
 * The steps of a run up to the moment when the process runs again, in order from the bottom of this
 * file.
 */
#include <elf.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/intr.h"
#include "heap/acquire/acquire_int.h"
#include "heap/acquire/save.h"
#include "rsp/rsp.h"
#include "target/core.h"
#include "target/fetch.h"
#include "target/fork.h"
#include "target/guest.h"
#include "target/library.h"
#include "target/until.h"

enum { STOPS_MAX = 20 };

void acquire_init(struct acquire *a, const struct acquire_options *o)
{
	*a = (struct acquire){ .o = *o };
}

void acquire_deinit(struct acquire *a)
{
	/* First of all the process runs again. */
	fork_destroy(a->fork);
	target_destroy(a->target);
	rsp_destroy(a->rsp);
	core_destroy(a->core);
	heap_destroy(a->heap);
	image_destroy(a->img);
	elf_destroy(a->exe);
	free(a->remote_exe);
	vec_deinit(&a->threads);
}

/* ------------------------------------------------------------------ progress */

static void progress_read(void *arg, uint64_t bytes)
{
	struct acquire *a = arg;

	image_settle(a->img, bytes);
	if (a->o.progress)
		a->o.progress(a->o.arg, "reading", (double)bytes / 1e6,
			      (double)image_stats(a->img).planned / 1e6, "MB");
}

static void progress_heap(void *arg, const char *phase, uint64_t done, uint64_t total)
{
	struct acquire *a = arg;

	if (a->o.progress)
		a->o.progress(a->o.arg, phase, (double)done / 1e6, (double)total / 1e6,
			      "M objects");
}

/* ------------------------------------------------------------------ the steps */

/* A shared object's place: where the dynamic linker has what this file is. */
static struct err *find_library(struct acquire *a, uint64_t *bias)
{
	struct libraries libs = VEC_INIT;
	struct err *err = libraries_read(a->target, elf_fmt(a->exe), &libs);
	bool found = false;

	for (size_t i = 0; i < libs.n && !err && !found; i++) {
		*bias = libs.v[i].bias;
		err = library_is(a->target, &libs.v[i], a->exe, &found);
	}
	libraries_deinit(&libs);
	if (!err && !found)
		err = err_create(
			ERR_BADDATA,
			"%s is not among the process's shared libraries (or another build of it is)",
			elf_path(a->exe));
	return err;
}

/* A PIE's or shared object's place; everything else is where it was linked. */
static struct err *find_bias(struct acquire *a, uint64_t *bias)
{
	uint64_t entry;
	struct err *err;

	*bias = 0;
	if (a->guest)
		*bias = guest_bias(a->guest);
	if (a->guest || !elf_is_dyn(a->exe))
		return NULL;
	if (elf_is_library(a->exe))
		return find_library(a, bias);
	err = target_auxv(a->target, AT_ENTRY, &entry);
	if (err)
		return err_wrapf(err, "finding where %s is loaded", elf_path(a->exe));
	*bias = entry - elf_entry(a->exe);
	return NULL;
}

/* The process runs until it enters the function n more times. */
static struct err *run_until(struct acquire *a, uint64_t n)
{
	struct until u = { 0 };
	struct err *err = live_run_until(a->live, a->until, n, &u), *e = NULL;

	if (u.writes && !a->until_noted)
		e = report_note(
			a->report,
			"the stub's breakpoint for --until was written into the program's text until it was reached");
	a->until_noted |= u.writes;
	if (!e && u.signals)
		e = report_detail(a->report, "--until: %" PRIu64 " signals passed on", u.signals);
	if (!e)
		return err_wrapf(err, "--until %s", a->o.until);
	err_destroy(err);
	return e;
}

static struct err *run_for(struct acquire *a, unsigned seconds)
{
	struct pollfd p = { .fd = intr_fd(), .events = POLLIN };
	struct err *err;

	if (!rsp_features(a->rsp)->stops_again)
		return err_create(
			ERR_UNSUPPORTED,
			"--after: this stub cannot stop a program that runs; --until FUNC can wait for "
			"the program to get somewhere");
	err = rsp_detach(a->rsp);
	if (!err) {
		poll(&p, 1, (int)seconds * 1000);
		err = intr_check();
	}
	return err ? err : rsp_stop(a->rsp);
}

/* What the user wants to see before the capture. */
static struct err *run_before(struct acquire *a)
{
	struct timespec ts;
	struct err *err = NULL;

	if (a->o.until && a->guest)
		return err_create(
			ERR_UNSUPPORTED,
			"--until: a breakpoint would stop every process of the machine that has something there");
	if (a->o.until) {
		err = heap_function(a->heap, a->o.until, &a->until);
		if (!err)
			err = target_until_place(a->target, &a->until);
		if (!err)
			err = run_until(a, a->o.until_n);
	} else if (a->o.after_s) {
		err = run_for(a, a->o.after_s);
	}
	if (!err) {
		image_forget(a->img);
		guest_forget(a->guest);
	}
	clock_gettime(CLOCK_REALTIME, &ts);
	a->report->time_unix_ns = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
	return err;
}

/* --fork cannot be done, or not any more: err says why.  With --fork=auto it is done without. */
static struct err *without_fork(struct acquire *a, struct err *err)
{
	struct err *e;

	if (a->o.fork != FORK_AUTO)
		return err_wrapf(err, "--fork");
	e = report_note(a->report, "read while the process was stopped, not from a fork: %s",
			err->msg);
	err_destroy(err);
	fork_destroy(a->fork);
	a->fork = NULL;
	return e;
}

/* Looked at better while the process runs: may it be forked? */
static struct err *prepare_fork(struct acquire *a, struct rsp *rsp, uint64_t pid)
{
	struct err *err;

	if (a->o.fork == FORK_NO)
		return NULL;
	err = fork_create(rsp, heap_machine(a->heap), a->exe, a->o.fork == FORK_FORCE, &a->fork);
	if (!err)
		err = fork_check(a->fork, pid);
	return err_is(err, ERR_UNSUPPORTED) ? without_fork(a, err) : err;
}

/* CLOCK_MONOTONIC of the process's machine, if its stub gives files; 0 else.  How long
 * goroutines have waited is counted from there.  (The clock of /proc/uptime goes on while the
 * machine sleeps.) */
static struct err *read_clock(struct acquire *a, struct rsp *rsp)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct err *err;
	bool found;

	if (a->report->time_mono_ns || !rsp_features(rsp)->vfile)
		return NULL;
	err = rsp_file_text(rsp, &text, &found, "/proc/uptime");
	if (!err && found)
		a->report->time_mono_ns = (uint64_t)(strtod((const char *)text.data, NULL) * 1e9);
	return err;
}

static struct err *find_pid_levels(struct acquire *a, struct rsp *rsp, uint64_t pid)
{
	struct err *err = a->pid_levels_known ? NULL : live_pid_levels(rsp, pid, &a->pid_levels);

	a->pid_levels_known |= !err;
	return err;
}

/* The process is stopped: its registers, and, with --fork, its copy; then it runs. */
static struct err *take_stop(struct acquire *a)
{
	struct err *err = target_threads(a->target, &a->threads);

	a->report->stops++;
	if (!err && a->fork) {
		err = fork_take(a->fork, a->live, &a->threads, a->bias);
		a->pause_ns = rsp_stopped_ns(a->rsp);
		if (err_is(err, ERR_UNSUPPORTED))
			err = without_fork(a, err);
	}
	if (!err)
		err = find_pid_levels(a, a->rsp, rsp_pid(a->rsp));
	return err || a->pid_levels < 2 ? err : live_own_tids(a->live, &a->threads);
}

/* Stops the process once more, for another capture.  why: what was wrong with the last one;
 * NULL: the layout. */
static struct err *stop_again(struct acquire *a, const char *why)
{
	struct err *err = rsp_stop(a->rsp);

	if (!err) {
		image_forget(a->img);
		guest_forget(a->guest);
		if (a->look_through)
			err = guest_search(a->guest);
		return err ? err : take_stop(a);
	}
	if (!err_is(err, ERR_UNSUPPORTED))
		return err;
	err_destroy(err);
	if (why)
		return err_create(ERR_UNSUPPORTED,
				  "the stop cannot be read exactly (%s), and this stub cannot "
				  "stop the process again: try once more",
				  why);
	return err_create(
		ERR_UNSUPPORTED,
		"the runtime is not laid out as the table has it, and this stub cannot stop the "
		"process again: one that can is needed (gdbserver --multi, and -p PID)");
}

/* Where a stop does not hold all threads: what they did meanwhile. */
static struct err *look_back(struct acquire *a)
{
	uint64_t moved;
	struct err *err;

	if (!rsp_features(a->rsp)->others_run)
		return NULL;
	err = heap_moved(a->heap, target_memory(a->target), &moved);
	if (err || !moved)
		return err;
	return report_note(
		a->report,
		"the heap moved while it was read (%" PRIu64
		" spans), as this stub stops one thread only: the "
		"profile is not exact; start the program with GOMAXPROCS=1 GODEBUG=asyncpreemptoff=1",
		moved);
}

/* What was captured from is not needed any more. */
static struct err *let_go(struct acquire *a)
{
	struct err *err;

	if (!fork_taken(a->fork)) {
		err = rsp_detach(a->rsp);
		if (!a->fork)
			a->pause_ns = rsp_stopped_ns(a->rsp);
		return err;
	}
	err = fork_end(a->fork);
	/* The init of a pid namespace had to be stopped again. */
	if (rsp_stopped_ns(a->rsp) > a->pause_ns)
		a->pause_ns = rsp_stopped_ns(a->rsp);
	return err;
}

/* The snapshot may be lost under our hands: killed for want of memory, or given up before it
 * comes to that. */
static struct err *snapshot_lost(struct acquire *a, struct err *err, bool *again)
{
	struct err *e;

	*again = false;
	if (!fork_taken(a->fork) || (!err_is(err, ERR_EXITED) && !err_is(err, ERR_LIMIT)))
		return err;
	if (err_is(err, ERR_EXITED)) {
		err_destroy(err);
		err = err_create(
			ERR_REMOTE,
			"the snapshot is gone: it was killed, for want of memory most likely");
	}
	e = let_go(a);
	if (e) {
		err_destroy(err);
		return e;
	}
	err = without_fork(a, err);
	if (!err)
		err = stop_again(a, "the snapshot is gone");
	*again = !err;
	return err;
}

static struct err *capture(struct acquire *a)
{
	struct err *err = NULL;
	bool changed, again;

	for (unsigned stop = 1;; stop++) {
		struct unstable u = { NULL, 0, false };
		bool last = stop == STOPS_MAX;

		err = heap_capture(a->heap, &a->threads, last, &u);
		if (err) {
			err = snapshot_lost(a, err, &again);
			if (err || !again)
				return err;
			continue;
		}
		if (!u.why)
			return save_fetch(a);
		err = report_detail(a->report, "stop %u: %s at 0x%" PRIx64, a->report->stops, u.why,
				    u.addr);
		if (err)
			return err;
		if (last) {
			err = report_note(a->report,
					  "after %u stops the heap is still not exact: %s", stop,
					  u.why);
			return err ? err : save_fetch(a);
		}
		/* Let it run for a moment and stop it elsewhere. */
		if (a->until && !fork_taken(a->fork)) {
			err = heap_check_layout(a->heap, NULL, &changed);
			if (!err)
				err = run_until(a, 1);
			if (err)
				return err;
			image_forget(a->img);
			err = take_stop(a);
			if (err)
				return err;
			continue;
		}
		err = let_go(a);
		if (!err)
			err = heap_check_layout(a->heap, NULL, &changed);
		if (err)
			return err;
		usleep(1000);
		a->look_through = a->guest && u.registers;
		err = stop_again(a, changed ? NULL : u.why);
		if (err)
			return err;
	}
}

/* Captured with the layout that is the program's own, and the process runs. */
static struct err *capture_fitting(struct acquire *a)
{
	struct err *err = capture(a), *e = NULL;
	bool again, held = !rsp_features(a->rsp)->stops_again && !fork_taken(a->fork);

	if (!err)
		err = look_back(a);
	if (err && !heap_capture_misfit(err))
		return err;
	if (!held) /* else there is one stop only, and what may need another one comes first */
		e = let_go(a);
	if (e) {
		err_destroy(err);
		return e;
	}
	err = heap_check_layout(a->heap, err, &again);
	if (!err && held && !again)
		err = let_go(a);
	if (err || !again)
		return err;
	if (held)
		image_forget(a->img);
	else
		err = stop_again(a, NULL);
	if (!err)
		err = capture(a);
	if (!err)
		err = let_go(a);
	return heap_capture_misfit(err) ? heap_check_layout(a->heap, err, &again) : err;
}

struct err *acquire_open_exe(struct acquire *a, const char *path)
{
	struct err *err = elf_open(path, &a->exe);

	if (!err)
		err = heap_create(a->exe, a->o.debug, a->o.ndebug, &a->heap);
	if (err)
		return err;
	a->report->exe = elf_path(a->exe);
	a->report->build_id =
		*elf_go_build_id(a->exe) ? elf_go_build_id(a->exe) : elf_gnu_build_id(a->exe);
	heap_set_progress(a->heap, progress_heap, a);
	return NULL;
}

/* EXE from the stub, while the process runs. */
static struct err *fetch_and_open(struct acquire *a, struct rsp *rsp, uint64_t pid)
{
	_cleanup_free_ char *path = NULL;
	bool temporary;
	struct err *err = fetch_exe(rsp, pid, &path, &a->remote_exe, &temporary);

	if (err)
		return err;
	err = acquire_open_exe(a, path);
	if (temporary)
		unlink(path);
	a->report->exe = a->remote_exe;
	return err;
}

static struct err *before_attach(void *arg, struct rsp *rsp)
{
	struct acquire *a = arg;
	struct err *err = a->exe ? NULL : fetch_and_open(a, rsp, a->o.pid);

	if (!err)
		err = find_pid_levels(a, rsp, a->o.pid);
	if (!err)
		err = read_clock(a, rsp);
	return err ? err : prepare_fork(a, rsp, a->o.pid);
}

/* Connected, the process stopped, and the executable at hand. */
static struct err *connect_target(struct acquire *a)
{
	struct rsp_options ro = { .timeout_ms = a->o.timeout_ms,
				  .pid = a->o.pid,
				  .forks = a->o.fork != FORK_NO,
				  .before_attach = before_attach,
				  .arg = a };
	struct err *err = rsp_create(a->o.target, &ro, &a->rsp);
	bool fork = a->o.fork != FORK_NO && !a->o.pid;

	if (!err && !a->exe && rsp_features(a->rsp)->phys_mem)
		return err_create(
			ERR_UNSUPPORTED,
			"%s is a whole machine, whose files the stub does not show: give EXE, the "
			"file that runs in it",
			a->o.target);
	if (err || (a->exe && !fork))
		return err;
	/* A stub that could not stop it again cannot fork it either. */
	if (a->exe && !rsp_features(a->rsp)->extended)
		return prepare_fork(a, a->rsp, rsp_pid(a->rsp));
	/* Better while it runs, but where it can be stopped again. */
	if (!rsp_features(a->rsp)->stops_again)
		return fetch_and_open(a, a->rsp, rsp_pid(a->rsp));
	err = rsp_detach(a->rsp);
	if (!err && !a->exe)
		err = fetch_and_open(a, a->rsp, rsp_pid(a->rsp));
	if (!err && fork)
		err = prepare_fork(a, a->rsp, rsp_pid(a->rsp));
	return err ? err : rsp_stop(a->rsp);
}

/* Refuses an executable that is not what runs, unless told otherwise. */
struct err *acquire_verify(struct acquire *a, size_t *compared)
{
	struct err *err = heap_verify(a->heap, target_memory(a->target), compared), *e;

	if (!err_is(err, ERR_BADDATA) && !err_is(err, ERR_FAULT))
		return err;
	if (a->o.force)
		e = report_note(a->report, "%s (--force)", err->msg);
	else
		e = err_create(err->code, "%s; give the file that was started, or --force to go on",
			       err->msg);
	err_destroy(err);
	return e;
}

struct err *acquire_attach(struct acquire *a)
{
	struct err *err = find_bias(a, &a->bias);

	if (!err)
		err = image_create(elf_fmt(a->exe), &a->img);
	if (!err && a->o.save)
		image_remember(a->img);
	if (!err && a->o.spare_memory)
		image_spare_memory(a->img);
	if (!err)
		target_set_progress(a->target, progress_read, a);
	if (!err)
		err = heap_attach(a->heap, a->target, a->img, a->bias);
	if (!err)
		image_set_source(a->img, target_memory(a->target));
	return err;
}

static struct err *acquire_live(struct acquire *a)
{
	uint64_t start;
	bool again = false;
	struct err *err;

	err = connect_target(a);
	if (!err)
		err = live_create(a->rsp, heap_machine(a->heap), &a->live);
	if (!err)
		a->target = live_target(a->live);
	if (!err && rsp_features(a->rsp)->phys_mem)
		err = acquire_guest_open(a);
	if (err)
		return err;
	start = clock_now_ns();
	a->report->pid = a->guest ? 0 : rsp_pid(a->rsp);
	err = acquire_attach(a);
	if (!err)
		err = run_before(a);
	if (!err)
		err = take_stop(a);
	if (!err)
		err = read_clock(a, a->rsp);
	if (!err)
		err = acquire_verify(a, NULL);
	if (err)
		err = snapshot_lost(a, err, &again);
	if (!err && again)
		err = acquire_verify(a, NULL);
	if (!err)
		err = capture_fitting(a);
	if (err)
		return err;
	image_set_source(a->img, NULL);
	a->report->captured_bytes = image_stats(a->img).fetched;
	a->report->capture_ns = clock_now_ns() - start;
	a->report->stopped_ns = a->pause_ns;
	a->report->stopped_total_ns = rsp_stopped_total_ns(a->rsp);
	/* a machine lists none: as the runtime has them */
	a->report->threads = a->guest ? 0 : (uint32_t)a->threads.n;
	return NULL;
}

struct err *acquire(struct acquire *a, struct report *report)
{
	struct err *err = NULL;

	a->report = report;
	report->target = a->o.target;
	if (a->o.exe)
		err = acquire_open_exe(a, a->o.exe);
	if (err)
		return err;
	return core_is_file(a->o.target) ? acquire_core(a) : acquire_live(a);
}

struct err *acquire_details(struct acquire *a)
{
	struct rsp_stats st = a->rsp ? rsp_stats(a->rsp) : (struct rsp_stats){ 0 };
	struct image_stats is = image_stats(a->img);
	char rounds[IMAGE_ROUNDS * 32] = "";
	struct rusage ru;
	size_t n = 0;
	struct err *err = NULL;

	getrusage(RUSAGE_SELF, &ru);
	if (a->rsp)
		err = report_detail(
			a->report,
			"wire: %" PRIu64
			" requests, %.1f MB of memory in %.1f MB of packets, %.1f MB/s",
			st.packets_out, (double)st.memory_bytes / 1e6, (double)st.bytes_in / 1e6,
			st.memory_ns ? (double)st.memory_bytes * 1e3 / (double)st.memory_ns : 0);
	if (!err)
		err = report_detail(a->report,
				    "plan: %.1f MB needed, %.1f MB asked for: %.3f of it",
				    (double)is.needed / 1e6, (double)is.asked / 1e6,
				    is.needed ? (double)is.asked / (double)is.needed : 0);
	for (uint64_t i = 0; i < is.fetches && i < IMAGE_ROUNDS; i++)
		n += (size_t)snprintf(rounds + n, sizeof(rounds) - n, "%s%.2f MB %.1f ms",
				      i ? ", " : "", (double)is.rounds[i].bytes / 1e6,
				      (double)is.rounds[i].ns / 1e6);
	if (!err)
		err = report_detail(a->report, "rounds of the last stop: %s", rounds);
	if (!err)
		err = report_detail(a->report, "here: analysis %.2f s, peak memory %.1f MB",
				    (double)a->report->analyse_ns / 1e9,
				    (double)ru.ru_maxrss / 1e3);
	if (!err && a->guest)
		err = acquire_guest_details(a);
	return err;
}
