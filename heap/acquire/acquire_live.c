/*
 * The steps of a run on a process behind a stub, up to the moment when it runs again, in order from
 * the bottom of this file: connect, stop, verify, capture, let go.
 *
 * A capture may have to be made again: the process was stopped where it cannot be read exactly, the
 * snapshot that it was read from is gone, or the layout of the runtime was not the program's.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/intr.h"
#include "heap/acquire/acquire_int.h"
#include "heap/acquire/forecast.h"
#include "heap/acquire/outside.h"
#include "heap/acquire/process_name.h"
#include "heap/acquire/save.h"
#include "rsp/rsp.h"
#include "target/fetch.h"
#include "target/fork.h"
#include "target/guest.h"
#include "target/precheck.h"
#include "target/process_start.h"
#include "target/until.h"

enum { STOPS_MAX = 20 };

/* What was read of a stop is of no use for the next one. */
static void forget(struct acquire *a)
{
	image_forget(a->img);
	guest_forget(a->guest);
}

/* ------------------------------------------------------------------ before the capture */

/* The process runs until it enters the function n more times. */
static struct err *run_until(struct acquire *a, uint64_t n)
{
	struct until u = { 0 };
	struct err *err = live_run_until(a->live, a->until, n, &u), *e = NULL;

	if (u.writes && !a->until_noted)
		e = report_note(a->report,
				"the stub's breakpoint for --until was written into the program's "
				"text until it was reached");
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

	if (!rsp_features(a->rsp)->stops_again)
		return err_create(ERR_UNSUPPORTED,
				  "--after: this stub cannot stop a program that runs; --until "
				  "FUNC can wait for the program to get somewhere");
	TRY(rsp_detach(a->rsp));
	poll(&p, 1, (int)seconds * 1000);
	TRY(intr_check());
	return rsp_stop(a->rsp);
}

static struct err *run_to_function(struct acquire *a)
{
	if (a->guest)
		return err_create(ERR_UNSUPPORTED,
				  "--until: a breakpoint would stop every process of the machine "
				  "that has something there");
	TRY(heap_function(a->heap, a->o.until, &a->until));
	TRY(target_until_place(a->target, &a->until));
	return run_until(a, a->o.until_n);
}

/* The process runs to where the user wants it to be captured. */
static struct err *run_before(struct acquire *a)
{
	struct timespec ts;

	bool first = !a->earlier_ns; /* of a series; before another one it has run */

	if (first && a->o.until)
		TRY(run_to_function(a));
	else if (first && a->o.after_s)
		TRY(run_for(a, a->o.after_s));
	forget(a);
	clock_gettime(CLOCK_REALTIME, &ts);
	a->report->time_unix_ns = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
	return NULL;
}

/* --fork cannot be done, or not any more: err says why.  With --fork=auto it is done without. */
static struct err *without_fork(struct acquire *a, struct err *err)
{
	struct err *e;

	if (a->o.fork != FORK_AUTO && a->o.fork != FORK_LONG)
		return err_wrapf(err, "--fork");
	e = report_note(a->report, "read while the process was stopped, not from a fork: %s",
			err->msg);
	err_destroy(err);
	fork_destroy(a->fork);
	a->fork = NULL;
	return e;
}

/* Is a fork wanted, or may it be? */
static bool may_fork(const struct acquire *a)
{
	return a->o.fork != FORK_NO && !(a->o.fork == FORK_DEFAULT && a->o.until);
}

static bool wants_fork(const struct acquire *a)
{
	return a->o.fork != FORK_NO && a->o.fork != FORK_DEFAULT;
}

/* Asks, while the process still runs, whether it may be forked. */
static struct err *prepare_fork(struct acquire *a, struct rsp *rsp, uint64_t pid)
{
	struct err *err;

	if (!wants_fork(a))
		return forecast_refuse(a);
	err = fork_create(rsp, heap_machine(a->heap), a->exe, a->o.fork == FORK_FORCE, &a->fork);
	if (!err)
		err = fork_check(a->fork, pid, a->o.fork == FORK_SECCOMP);
	if (!err && fork_evidence(a->fork))
		err = report_note(a->report, "%s", fork_evidence(a->fork));
	if (!err && a->o.fork == FORK_LONG)
		err = report_note(
			a->report,
			"read from a fork, since reading it while it was stopped could have "
			"taken %.1f s (--fork=no: no forks)",
			(double)a->report->forecast_most_ns / 1e9);
	if (err_is(err, ERR_UNSUPPORTED))
		err = without_fork(a, err);
	return err ? err : forecast_refuse(a);
}

/* Looks ahead: how long will it take, and is that better done by a fork? */
static struct err *look_ahead(struct acquire *a, struct rsp *rsp, uint64_t pid)
{
	TRY(forecast_make(a, rsp, pid));
	forecast_choose(a, rsp);
	forecast_limit(a, rsp);
	return NULL;
}

/*
 * Reads CLOCK_MONOTONIC of the process's machine, if its stub gives files; else it stays 0.  How
 * long goroutines have waited is counted from there.  (The clock of /proc/uptime goes on while the
 * machine sleeps.)
 */
static struct err *read_clock(struct acquire *a, struct rsp *rsp)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	bool found;

	if (a->report->time_mono_ns || !rsp_features(rsp)->vfile)
		return NULL;
	TRY(rsp_file_text(rsp, &text, &found, "/proc/uptime"));
	if (found)
		a->report->time_mono_ns = (uint64_t)(strtod((const char *)text.data, NULL) * 1e9);
	return NULL;
}

static struct err *find_pid_levels(struct acquire *a, struct rsp *rsp, uint64_t pid)
{
	if (!a->pid_levels_known)
		TRY(live_pid_levels(rsp, pid, &a->pid_levels));
	a->pid_levels_known = true;
	return NULL;
}

/* ------------------------------------------------------------------ stops */

/* The process is stopped: takes its registers, and, with --fork, its copy, after which it runs. */
static struct err *take_stop(struct acquire *a)
{
	struct err *err = target_threads(a->target, &a->threads);

	a->report->stops++;
	TRY(err);
	if (a->fork) {
		err = fork_take(a->fork, a->live, &a->threads, a->bias);
		a->pause_ns = rsp_stopped_ns(a->rsp);
		if (err_is(err, ERR_UNSUPPORTED))
			err = without_fork(a, err);
		TRY(err);
	}
	if (a->img && a->o.max_stop_ns)
		image_set_deadline(a->img, fork_taken(a->fork) ?
						   0 :
						   clock_now_ns() -
							   (int64_t)rsp_stopped_ns(a->rsp) +
							   (int64_t)a->o.max_stop_ns);
	TRY(find_pid_levels(a, a->rsp, rsp_pid(a->rsp)));
	return a->pid_levels < 2 ? NULL : live_own_tids(a->live, &a->threads);
}

/* Stops the process once more, for another capture.  why: what was wrong with the last one;
 * NULL: the layout. */
static struct err *stop_again(struct acquire *a, const char *why)
{
	struct err *err = rsp_stop(a->rsp);

	if (err_catch(&err, ERR_UNSUPPORTED)) {
		if (why)
			return err_create(ERR_UNSUPPORTED,
					  "the stop cannot be read exactly (%s), and this stub "
					  "cannot stop the process again: try once more",
					  why);
		return err_create(ERR_UNSUPPORTED,
				  "the runtime is not laid out as the table has it, and this stub "
				  "cannot stop the process again: one that can is needed "
				  "(gdbserver --multi, and -p PID)");
	}
	TRY(err);
	forget(a);
	if (a->look_through)
		TRY(guest_search(a->guest));
	return take_stop(a);
}

/* A stub that does not hold all threads: notes what the others did meanwhile. */
static struct err *look_back(struct acquire *a)
{
	uint64_t moved;

	if (!rsp_features(a->rsp)->others_run)
		return NULL;
	TRY(heap_moved(a->heap, target_memory(a->target), &moved));
	if (!moved)
		return NULL;
	return report_note(a->report,
			   "the heap moved while it was read (%" PRIu64
			   " spans), as this stub stops one thread only: the profile is not exact; "
			   "start the program with GOMAXPROCS=1 GODEBUG=asyncpreemptoff=1",
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

/*
 * The snapshot may be lost under our hands: killed for want of memory, or given up before it comes
 * to that.  If err (taken) says so, and it may be done without, the process is stopped: *again.
 */
static struct err *snapshot_lost(struct acquire *a, struct err *err, bool *again)
{
	struct err *e;

	*again = false;
	if (!fork_taken(a->fork) || (!err_is(err, ERR_EXITED) && !err_is(err, ERR_LIMIT)))
		return err;
	if (err_catch(&err, ERR_EXITED))
		err = err_create(ERR_REMOTE,
				 "the snapshot is gone: it was killed, for want of memory most "
				 "likely");
	e = let_go(a);
	if (e) {
		err_destroy(err);
		return e;
	}
	TRY(without_fork(a, err));
	TRY(stop_again(a, "the snapshot is gone"));
	*again = true;
	return NULL;
}

/* ------------------------------------------------------------------ capture */

/* Lets the process run for a moment and stops it elsewhere. */
static struct err *stop_elsewhere(struct acquire *a, const struct unstable *u)
{
	bool changed;

	if (a->until && !fork_taken(a->fork)) {
		TRY(heap_check_layout(a->heap, NULL, &changed));
		TRY(run_until(a, 1));
		image_forget(a->img);
		return take_stop(a);
	}
	TRY(let_go(a));
	TRY(heap_check_layout(a->heap, NULL, &changed));
	usleep(1000);
	a->look_through = a->guest && u->registers;
	return stop_again(a, changed ? NULL : u->why);
}

static struct err *capture(struct acquire *a)
{
	for (unsigned stop = 1;; stop++) {
		struct unstable u = { NULL, 0, false };
		bool last = stop == STOPS_MAX, again;
		struct err *err = heap_capture(a->heap, &a->threads, last, &u);

		if (err) {
			TRY(snapshot_lost(a, err, &again));
			continue;
		}
		if (!u.why)
			return save_fetch(a);
		TRY(report_detail(a->report, "stop %u: %s at 0x%" PRIx64, a->report->stops, u.why,
				  u.addr));
		if (last) {
			TRY(report_note(a->report, "after %u stops the heap is still not exact: %s",
					stop, u.why));
			return save_fetch(a);
		}
		TRY(stop_elsewhere(a, &u));
	}
}

/* Captures once more, with the layout that is the program's own, and lets go. */
static struct err *capture_again(struct acquire *a, bool held)
{
	if (held)
		image_forget(a->img);
	else
		TRY(stop_again(a, NULL));
	TRY(capture(a));
	return let_go(a);
}

/* Captures with the layout that is the program's own, and the process runs. */
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
	TRY(heap_check_layout(a->heap, err, &again));
	if (!again)
		return held ? let_go(a) : NULL;
	err = capture_again(a, held);
	return heap_capture_misfit(err) ? heap_check_layout(a->heap, err, &again) : err;
}

/* ------------------------------------------------------------------ connecting */

/* EXE from the stub, while the process runs. */
static struct err *fetch_and_open(struct acquire *a, struct rsp *rsp, uint64_t pid)
{
	_cleanup_free_ char *path = NULL;
	int64_t start = clock_now_ns();
	uint64_t before;
	bool temporary;
	struct err *err;

	before = rsp_stats(rsp).bytes_in;
	TRY(fetch_exe(rsp, pid, &path, &a->remote_exe, &temporary));
	a->fetched_bytes = rsp_stats(rsp).bytes_in - before;
	a->fetch_ns = (uint64_t)(clock_now_ns() - start);
	err = acquire_open_exe(a, path);
	if (temporary)
		unlink(path);
	return err;
}

static struct err *find_pid(void *arg, struct rsp *rsp, uint64_t *pid)
{
	struct acquire *a = arg;

	TRY(process_name_there(rsp, a->o.pid_name, &a->o.pid));
	*pid = a->o.pid;
	return NULL;
}

static struct err *before_attach(void *arg, struct rsp *rsp)
{
	struct acquire *a = arg;

	TRY(precheck(rsp, a->o.pid));
	if (!a->exe)
		TRY(fetch_and_open(a, rsp, a->o.pid));
	else
		TRY(acquire_compare(a, rsp, a->o.pid));
	TRY(find_pid_levels(a, rsp, a->o.pid));
	TRY(read_clock(a, rsp));
	TRY(look_ahead(a, rsp, a->o.pid));
	return prepare_fork(a, rsp, a->o.pid);
}

/* Afterwards we are connected, the process is stopped, and the executable is at hand. */
static struct err *connect_target(struct acquire *a)
{
	struct rsp_options ro = { .timeout_ms = a->o.timeout_ms,
				  .pid = a->o.pid,
				  .find_pid = a->o.pid_name && !a->o.pid ? find_pid : NULL,
				  .forks = may_fork(a),
				  .before_attach = before_attach,
				  .arg = a };

	TRY(rsp_create(a->o.target, &ro, &a->rsp));
	if (!a->o.pid)
		forecast_limit(a, a->rsp);
	if (a->o.series && !rsp_features(a->rsp)->stops_again)
		return err_create(ERR_UNSUPPORTED,
				  "--every: this stub cannot stop the process a second time; what "
				  "can is the id of a process here, gdbserver --multi with -p PID, "
				  "or a QEMU machine");
	if (!a->exe && rsp_features(a->rsp)->phys_mem)
		return err_create(ERR_UNSUPPORTED,
				  "%s is a whole machine, whose files the stub does not show: give "
				  "EXE, the file that runs in it",
				  a->o.target);
	if (a->o.pid)
		return NULL;
	if (a->exe)
		TRY(look_ahead(a, a->rsp, rsp_pid(a->rsp)));
	if (a->exe && !wants_fork(a))
		return forecast_refuse(a);
	/* A stub that could not stop it again cannot fork it either. */
	if (a->exe && !rsp_features(a->rsp)->extended)
		return prepare_fork(a, a->rsp, rsp_pid(a->rsp));
	/* Better while it runs, but where it can be stopped again. */
	if (!rsp_features(a->rsp)->stops_again)
		return fetch_and_open(a, a->rsp, rsp_pid(a->rsp));
	TRY(rsp_detach(a->rsp));
	if (!a->exe) {
		TRY(fetch_and_open(a, a->rsp, rsp_pid(a->rsp)));
		TRY(look_ahead(a, a->rsp, rsp_pid(a->rsp)));
	}
	TRY(prepare_fork(a, a->rsp, rsp_pid(a->rsp)));
	return rsp_stop(a->rsp);
}

/* It was let go: does it run? */
static struct err *look_back_at_process(struct acquire *a)
{
	_cleanup_buf_ struct buf held = BUF_INIT;

	TRY(rsp_still_held(a->rsp, &held));
	a->report->still_held = held.len != 0;
	return held.len ? report_note(a->report, "%s", (const char *)held.data) : NULL;
}

/* When was it started?  All is done that needs the stub: one that is gone by now is no loss. */
static struct err *find_start(struct acquire *a)
{
	struct err *err = NULL;

	if (a->report->pid && rsp_features(a->rsp)->extended)
		err = process_start(a->rsp, a->report->pid, &a->report->started_ticks);
	if (err_is(err, ERR_INTR) || err_is(err, ERR_NOMEM))
		return err;
	err_destroy(err);
	return NULL;
}

/* From the place of EXE in the process to the first stop, which is verified. */
static struct err *first_stop(struct acquire *a)
{
	TRY(acquire_attach(a));
	TRY(run_before(a));
	TRY(take_stop(a));
	TRY(read_clock(a, a->rsp));
	return acquire_verify(a, NULL);
}

/* The process is stopped: afterwards it runs, and what is of interest of it is at hand. */
static struct err *capture_connected(struct acquire *a)
{
	uint64_t start;
	bool again;

	TRY(live_create(a->rsp, heap_machine(a->heap), &a->live));
	a->target = live_target(a->live);
	if (rsp_features(a->rsp)->phys_mem)
		TRY(acquire_guest_open(a));
	start = clock_now_ns();
	a->report->pid = a->guest ? 0 : rsp_pid(a->rsp);
	TRY(snapshot_lost(a, first_stop(a), &again));
	if (again)
		TRY(acquire_verify(a, NULL));
	TRY(capture_fitting(a));
	TRY(look_back_at_process(a));
	TRY(find_start(a));
	image_set_source(a->img, NULL);
	a->report->captured_bytes = image_stats(a->img).fetched;
	a->report->capture_ns = clock_now_ns() - start;
	a->report->stopped_ns = a->pause_ns;
	a->report->mode = a->guest ? "guest" : a->fork ? "fork" : "stop";
	a->report->stopped_total_ns = rsp_stopped_total_ns(a->rsp) - a->earlier_ns;
	/* a machine lists none: as the runtime has them */
	a->report->threads = a->guest ? 0 : (uint32_t)a->threads.n;
	return a->o.outside ? outside_look(a) : NULL;
}

struct err *acquire_live(struct acquire *a)
{
	int64_t connected = clock_now_ns();

	TRY(connect_target(a));
	TRY(capture_connected(a));
	return forecast_held_before(a, connected);
}

struct err *acquire_live_again(struct acquire *a)
{
	uint64_t pid = rsp_pid(a->rsp);

	TRY(acquire_make_heap(a));
	TRY(look_ahead(a, a->rsp, pid));
	TRY(prepare_fork(a, a->rsp, pid));
	TRY(rsp_stop(a->rsp));
	return capture_connected(a);
}
