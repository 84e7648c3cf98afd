/*
 * grf-rsp: who keeps a Go process's memory alive, through a debug stub.
 *
 * The command line and the wiring; the only place that prints errors or sets the exit
 * status: 0, 1 (it failed), 2 (usage), 128 + signal.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/intr.h"
#include "heap/heap.h"
#include "output/output.h"
#include "rsp/rsp.h"
#include "target/fetch.h"
#include "target/fork.h"
#include "target/library.h"
#include "target/target.h"

enum { STOPS_MAX = 20, DEFAULT_DEPTH = 256, AT_ENTRY_TYPE = 9 };

enum fork_mode { FORK_NO, FORK_YES, FORK_AUTO, FORK_FORCE };

struct options {
	const char *target;
	const char *exe;
	VEC(const char *) outputs, debug_files;
	unsigned long max_depth;
	uint64_t pid;
	int timeout_ms;
	enum fork_mode fork;
	bool verbose, quiet, force;
};

static const char usage_text[] =
	"usage: grf-rsp [options] TARGET [EXE]\n"
	"\n"
	"Says who keeps a Go process's memory alive.  TARGET is a debug stub that holds\n"
	"the process, as gdb spells it:\n"
	"    HOST:PORT  :PORT  [V6]:PORT  unix:PATH  '| COMMAND'\n"
	"for example one of\n"
	"    gdbserver --attach :2345 PID                 and  grf-rsp localhost:2345 ./exe\n"
	"    grf-rsp '| ssh HOST gdbserver --once - --attach PID' ./exe\n"
	"EXE is the program that runs; without it, it is fetched from the stub.\n"
	"\n"
	"  -o FILE           write FILE (repeatable): *.folded collapsed stacks, *.txt the\n"
	"                    summary, everything else a pprof profile (default grf.out)\n"
	"  -p PID            attach to PID (with gdbserver --multi)\n"
	"      --debug FILE  take names from FILE: an unstripped build of the same source, or\n"
	"                    what strip split off (repeatable: plugins)\n"
	"      --fork        stop the process only to fork it, and read the copy; it needs memory for\n"
	"                    what the process writes to meanwhile (--fork=auto: if it is safe;\n"
	"                    --fork=force: whatever memory is left)\n"
	"      --max-depth N frames of a path before [deeper] (default 256)\n"
	"      --timeout S   give up after S seconds of silence (default 30)\n"
	"      --force       go on although EXE is not what runs\n"
	"  -v, --verbose     more in the summary\n"
	"  -q, --quiet       no summary, no progress\n"
	"      --help        this text\n"
	"      --version     the version\n"
	"\n"
	"The profile opens with: go tool pprof -http=:8080 grf.out\n";

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* ------------------------------------------------------------------ command line */

static bool parse_number(const char *s, unsigned long min, unsigned long max, unsigned long *ret)
{
	char *end;
	unsigned long v = strtoul(s, &end, 10);

	if (*s < '0' || *s > '9' || *end || v < min || v > max)
		return false;
	*ret = v;
	return true;
}

static struct err *parse_options(int argc, char **argv, struct options *o)
{
	enum { OPT_HELP = 256, OPT_VERSION, OPT_DEPTH, OPT_TIMEOUT, OPT_FORCE, OPT_DEBUG, OPT_FORK };
	static const struct option longs[] = {
		{ "help", no_argument, NULL, OPT_HELP },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ "debug", required_argument, NULL, OPT_DEBUG },
		{ "fork", optional_argument, NULL, OPT_FORK },
		{ "max-depth", required_argument, NULL, OPT_DEPTH },
		{ "timeout", required_argument, NULL, OPT_TIMEOUT },
		{ "force", no_argument, NULL, OPT_FORCE },
		{ "output", required_argument, NULL, 'o' },
		{ "pid", required_argument, NULL, 'p' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "quiet", no_argument, NULL, 'q' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned long n;
	struct err *err;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":o:p:vq", longs, NULL)) != -1) {
		switch (c) {
		case 'o':
			if (!*optarg)
				return err_create(ERR_USAGE, "-o needs a file name");
			err = vec_push(&o->outputs, optarg);
			if (err)
				return err;
			break;
		case 'p':
			if (!parse_number(optarg, 1, INT32_MAX, &n))
				return err_create(ERR_USAGE, "-p %s: not a process id", optarg);
			o->pid = n;
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'q':
			o->quiet = true;
			break;
		case OPT_DEBUG:
			err = vec_push(&o->debug_files, optarg);
			if (err)
				return err;
			break;
		case OPT_DEPTH:
			if (!parse_number(optarg, 1, 1000000, &o->max_depth))
				return err_create(ERR_USAGE, "--max-depth %s: not a number from 1 to 1000000", optarg);
			break;
		case OPT_TIMEOUT:
			if (!parse_number(optarg, 1, 86400, &n))
				return err_create(ERR_USAGE, "--timeout %s: not a number of seconds from 1 to 86400",
						  optarg);
			o->timeout_ms = (int)n * 1000;
			break;
		case OPT_FORK:
			if (!optarg)
				o->fork = FORK_YES;
			else if (!strcmp(optarg, "auto"))
				o->fork = FORK_AUTO;
			else if (!strcmp(optarg, "force"))
				o->fork = FORK_FORCE;
			else
				return err_create(ERR_USAGE, "--fork=%s: auto or force", optarg);
			break;
		case OPT_FORCE:
			o->force = true;
			break;
		case OPT_HELP:
			fputs(usage_text, stdout);
			exit(fflush(stdout) ? 1 : 0);
		case OPT_VERSION:
			puts("grf-rsp " GRF_VERSION);
			exit(fflush(stdout) ? 1 : 0);
		case ':':
			return err_create(ERR_USAGE, "%s needs an argument", argv[optind - 1]);
		default:
			return err_create(ERR_USAGE, "unknown option %s", argv[optind - 1]);
		}
	}
	if (optind == argc)
		return err_create(ERR_USAGE, "no TARGET given");
	if (argc - optind > 2)
		return err_create(ERR_USAGE, "too many arguments: %s", argv[optind + 2]);
	o->target = argv[optind];
	o->exe = argv[optind + 1];
	return o->outputs.n ? NULL : vec_push(&o->outputs, "grf.out");
}

/* ------------------------------------------------------------------ progress */

struct progress {
	bool on;
	uint64_t start_ns, last_ns;
	const char *phase;
};

/* One line, ten times a second at most: phase, how far, rate, time left. */
static void progress_line(struct progress *p, const char *phase, double done, double total,
			  const char *unit)
{
	uint64_t now = now_ns();
	double s, rate;

	if (!p->on)
		return;
	if (p->phase != phase) {
		p->phase = phase;
		p->start_ns = now;
	}
	if (now - p->last_ns < 100000000)
		return;
	p->last_ns = now;
	s = (double)(now - p->start_ns) / 1e9;
	rate = s > 0 ? done / s : 0;
	fprintf(stderr, "\r\033[K%s: %.1f of %.1f %s, %.1f/s", phase, done, total, unit, rate);
	if (rate > 0 && total > done)
		fprintf(stderr, ", %.0f s left", (total - done) / rate);
	fflush(stderr);
}

static void progress_clear(struct progress *p)
{
	if (p->on)
		fputs("\r\033[K", stderr);
}

/* ------------------------------------------------------------------ the run */

struct run {
	const struct options *o;
	struct output **outputs;
	struct elf *exe;
	char *remote_exe; /* its path over there, if it was fetched */
	struct heap *heap;
	struct rsp *rsp;
	struct target *target;
	struct image *img;
	struct fork *fork; /* NULL: memory is read while the process is stopped */
	uint64_t bias;
	uint64_t pause_ns; /* the last stop that counts */
	struct threads threads;
	struct profile profile;
	struct report report;
	struct progress progress;
};

static void progress_read(void *arg, uint64_t bytes)
{
	struct run *r = arg;

	image_settle(r->img, bytes);
	progress_line(&r->progress, "reading", (double)bytes / 1e6,
		      (double)image_stats(r->img).planned / 1e6, "MB");
}

static void progress_heap(void *arg, const char *phase, uint64_t done, uint64_t total)
{
	struct run *r = arg;

	progress_line(&r->progress, phase, (double)done / 1e6, (double)total / 1e6, "M objects");
}

/* A shared object's place: where the dynamic linker has what this file is. */
static struct err *find_library(struct run *r, uint64_t *bias)
{
	struct libraries libs = VEC_INIT;
	struct err *err = libraries_read(r->target, elf_fmt(r->exe), &libs);
	bool found = false;

	for (size_t i = 0; i < libs.n && !err && !found; i++) {
		*bias = libs.v[i].bias;
		err = library_is(r->target, &libs.v[i], r->exe, &found);
	}
	libraries_deinit(&libs);
	if (!err && !found)
		err = err_create(ERR_BADDATA, "%s is not among the process's shared libraries (or another build of it is)",
				 elf_path(r->exe));
	return err;
}

/* A PIE's or shared object's place; everything else is where it was linked. */
static struct err *find_bias(struct run *r, uint64_t *bias)
{
	uint64_t entry;
	struct err *err;

	*bias = 0;
	if (!elf_is_dyn(r->exe))
		return NULL;
	if (elf_is_library(r->exe))
		return find_library(r, bias);
	err = target_auxv(r->target, AT_ENTRY_TYPE, &entry);
	if (err)
		return err_wrapf(err, "finding where %s is loaded", elf_path(r->exe));
	*bias = entry - elf_entry(r->exe);
	return NULL;
}

/* Stops the process once more, for another capture.  why: what was wrong with the last one; NULL: the layout. */
static struct err *stop_again(struct run *r, const char *why)
{
	struct err *err = rsp_stop(r->rsp);

	if (!err)
		image_forget(r->img);
	if (!err_is(err, ERR_UNSUPPORTED))
		return err;
	err_destroy(err);
	if (why)
		return err_create(ERR_UNSUPPORTED, "the stop cannot be read exactly (%s), and this stub cannot "
				  "stop the process again: try once more", why);
	return err_create(ERR_UNSUPPORTED, "the runtime is not laid out as the table has it, and this stub cannot stop the "
			  "process again: one that can is needed (gdbserver --multi, and -p PID)");
}

/* --fork cannot be done, or not any more: err says why.  With --fork=auto it is done without. */
static struct err *without_fork(struct run *r, struct err *err)
{
	struct err *e;

	if (r->o->fork != FORK_AUTO)
		return err_wrapf(err, "--fork");
	e = report_note(&r->report, "read while the process was stopped, not from a fork: %s", err->msg);
	err_destroy(err);
	fork_destroy(r->fork);
	r->fork = NULL;
	return e;
}

/* Looked at better while the process runs: may it be forked? */
static struct err *prepare_fork(struct run *r, struct rsp *rsp, uint64_t pid)
{
	struct err *err;

	if (r->o->fork == FORK_NO)
		return NULL;
	err = fork_create(rsp, heap_machine(r->heap), r->exe, r->o->fork == FORK_FORCE, &r->fork);
	if (!err)
		err = fork_check(r->fork, pid);
	return err_is(err, ERR_UNSUPPORTED) ? without_fork(r, err) : err;
}

/* The process is stopped: its registers, and, with --fork, its copy; then it runs. */
static struct err *take_stop(struct run *r)
{
	struct err *err = target_threads(r->target, &r->threads);

	r->report.stops++;
	if (!err && r->fork) {
		err = fork_take(r->fork, r->target, r->bias);
		r->pause_ns = rsp_stopped_ns(r->rsp);
		if (err_is(err, ERR_UNSUPPORTED))
			err = without_fork(r, err);
	}
	return err ? err : target_own_tids(r->target, &r->threads);
}

/* What was captured from is not needed any more. */
static struct err *let_go(struct run *r)
{
	struct err *err;

	if (!fork_taken(r->fork)) {
		err = rsp_detach(r->rsp);
		if (!r->fork)
			r->pause_ns = rsp_stopped_ns(r->rsp);
		return err;
	}
	err = fork_end(r->fork);
	/* The init of a pid namespace had to be stopped again. */
	if (rsp_stopped_ns(r->rsp) > r->pause_ns)
		r->pause_ns = rsp_stopped_ns(r->rsp);
	return err;
}

/* The snapshot may be lost under our hands: killed for want of memory, or given up before it comes to that. */
static struct err *snapshot_lost(struct run *r, struct err *err, bool *again)
{
	struct err *e;

	*again = false;
	if (!fork_taken(r->fork) || (!err_is(err, ERR_EXITED) && !err_is(err, ERR_LIMIT)))
		return err;
	if (err_is(err, ERR_EXITED)) {
		err_destroy(err);
		err = err_create(ERR_REMOTE, "the snapshot is gone: it was killed, for want of memory most likely");
	}
	e = let_go(r);
	if (e) {
		err_destroy(err);
		return e;
	}
	err = without_fork(r, err);
	if (!err)
		err = stop_again(r, "the snapshot is gone");
	*again = !err;
	return err;
}

static struct err *capture(struct run *r)
{
	struct err *err = NULL;
	bool changed, again;

	for (unsigned stop = 1;; stop++) {
		struct unstable u = { NULL, 0 };
		bool last = stop == STOPS_MAX;

		if (!fork_taken(r->fork))
			err = take_stop(r);
		if (!err)
			err = heap_capture(r->heap, &r->threads, last, &u);
		if (err) {
			err = snapshot_lost(r, err, &again);
			if (err || !again)
				return err;
			continue;
		}
		if (!u.why)
			return NULL;
		err = report_detail(&r->report, "stop %u: %s at 0x%" PRIx64, r->report.stops, u.why, u.addr);
		if (err)
			return err;
		if (last)
			return report_note(&r->report, "after %u stops the heap is still not exact: %s", stop, u.why);
		/* Let it run for a moment and stop it elsewhere. */
		err = let_go(r);
		if (!err)
			err = heap_check_layout(r->heap, NULL, &changed);
		if (err)
			return err;
		usleep(1000);
		err = stop_again(r, changed ? NULL : u.why);
		if (err)
			return err;
	}
}

/* Captured with the layout that is the program's own, and the process runs. */
static struct err *capture_fitting(struct run *r)
{
	struct err *err = capture(r), *e;
	bool again;

	if (err && !heap_capture_misfit(err))
		return err;
	e = let_go(r);
	if (e) {
		err_destroy(err);
		return e;
	}
	err = heap_check_layout(r->heap, err, &again);
	if (err || !again)
		return err;
	err = stop_again(r, NULL);
	if (!err)
		err = capture(r);
	if (!err)
		err = let_go(r);
	return heap_capture_misfit(err) ? heap_check_layout(r->heap, err, &again) : err;
}

static struct err *open_exe(struct run *r, const char *path)
{
	struct err *err = elf_open(path, &r->exe);

	if (!err)
		err = heap_create(r->exe, r->o->debug_files.v, r->o->debug_files.n, &r->heap);
	if (err)
		return err;
	r->report.exe = elf_path(r->exe);
	r->report.build_id = *elf_go_build_id(r->exe) ? elf_go_build_id(r->exe) : elf_gnu_build_id(r->exe);
	heap_set_progress(r->heap, progress_heap, r);
	return NULL;
}

/* EXE from the stub, while the process runs. */
static struct err *fetch_and_open(struct run *r, struct rsp *rsp, uint64_t pid)
{
	_cleanup_free_ char *path = NULL;
	bool temporary;
	struct err *err = fetch_exe(rsp, pid, &path, &r->remote_exe, &temporary);

	if (err)
		return err;
	err = open_exe(r, path);
	if (temporary)
		unlink(path);
	r->report.exe = r->remote_exe;
	return err;
}

static struct err *before_attach(void *arg, struct rsp *rsp)
{
	struct run *r = arg;
	struct err *err = r->exe ? NULL : fetch_and_open(r, rsp, r->o->pid);

	return err ? err : prepare_fork(r, rsp, r->o->pid);
}

/* Connected, the process stopped, and the executable at hand. */
static struct err *connect_target(struct run *r)
{
	struct rsp_options ro = { .timeout_ms = r->o->timeout_ms,
				  .pid = r->o->pid,
				  .forks = r->o->fork != FORK_NO,
				  .before_attach = before_attach,
				  .arg = r };
	struct err *err = rsp_create(r->o->target, &ro, &r->rsp);
	bool fork = r->o->fork != FORK_NO && !r->o->pid;

	if (err || (r->exe && !fork))
		return err;
	/* A stub that could not stop it again cannot fork it either. */
	if (r->exe && !rsp_features(r->rsp)->extended)
		return prepare_fork(r, r->rsp, rsp_pid(r->rsp));
	err = rsp_detach(r->rsp);
	if (!err && !r->exe)
		err = fetch_and_open(r, r->rsp, rsp_pid(r->rsp));
	if (!err && fork)
		err = prepare_fork(r, r->rsp, rsp_pid(r->rsp));
	return err ? err : rsp_stop(r->rsp);
}

/* Refuses an executable that is not what runs, unless told otherwise. */
static struct err *verify(struct run *r)
{
	struct err *err = heap_verify(r->heap, target_memory(r->target)), *e;

	if (!err_is(err, ERR_BADDATA) && !err_is(err, ERR_FAULT))
		return err;
	if (r->o->force)
		e = report_note(&r->report, "%s (--force)", err->msg);
	else
		e = err_create(err->code, "%s; give the file that was started, or --force to go on", err->msg);
	err_destroy(err);
	return e;
}

/* Everything up to the moment when the process runs again. */
static struct err *acquire(struct run *r)
{
	uint64_t start;
	struct timespec ts;
	struct err *err;

	err = connect_target(r);
	if (!err)
		err = target_create(r->rsp, heap_machine(r->heap), &r->target);
	if (err)
		return err;
	start = now_ns();
	clock_gettime(CLOCK_REALTIME, &ts);
	r->report.time_unix_ns = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
	r->report.pid = rsp_pid(r->rsp);
	err = find_bias(r, &r->bias);
	if (!err)
		err = image_create(elf_fmt(r->exe), &r->img);
	if (!err)
		target_set_progress(r->target, progress_read, r);
	if (!err)
		err = heap_attach(r->heap, r->target, r->img, r->bias);
	if (!err) {
		image_set_source(r->img, target_memory(r->target));
		if (r->fork) /* at once: the copy can be read at leisure */
			err = take_stop(r);
	}
	if (!err)
		err = verify(r);
	if (!err)
		err = capture_fitting(r);
	if (err)
		return err;
	image_set_source(r->img, NULL);
	r->report.capture_ns = now_ns() - start;
	r->report.stopped_ns = r->pause_ns;
	r->report.stopped_total_ns = rsp_stopped_total_ns(r->rsp);
	r->report.threads = (uint32_t)r->threads.n;
	return NULL;
}

static struct err *wire_details(struct run *r)
{
	struct rsp_stats st = rsp_stats(r->rsp);
	struct image_stats is = image_stats(r->img);
	char rounds[IMAGE_ROUNDS * 32] = "";
	struct rusage ru;
	size_t n = 0;
	struct err *err;

	getrusage(RUSAGE_SELF, &ru);
	err = report_detail(&r->report, "wire: %" PRIu64 " requests, %.1f MB of memory in %.1f MB of packets, %.1f MB/s",
			    st.packets_out, (double)st.memory_bytes / 1e6, (double)st.bytes_in / 1e6,
			    st.memory_ns ? (double)st.memory_bytes * 1e3 / (double)st.memory_ns : 0);
	if (!err)
		err = report_detail(&r->report, "plan: %.1f MB needed, %.1f MB asked for: %.3f of it",
				    (double)is.needed / 1e6, (double)is.asked / 1e6,
				    is.needed ? (double)is.asked / (double)is.needed : 0);
	for (uint64_t i = 0; i < is.fetches && i < IMAGE_ROUNDS; i++)
		n += (size_t)snprintf(rounds + n, sizeof(rounds) - n, "%s%.2f MB %.1f ms", i ? ", " : "",
				      (double)is.rounds[i].bytes / 1e6, (double)is.rounds[i].ns / 1e6);
	if (!err)
		err = report_detail(&r->report, "rounds of the last stop: %s", rounds);
	if (!err)
		err = report_detail(&r->report, "here: analysis %.2f s, peak memory %.1f MB",
				    (double)r->report.analyse_ns / 1e9, (double)ru.ru_maxrss / 1e3);
	return err;
}

static struct err *run(struct run *r)
{
	const struct options *o = r->o;
	const char *profile_path = NULL;
	uint64_t start;
	struct err *err;

	r->outputs = calloc(o->outputs.n, sizeof(*r->outputs));
	if (!r->outputs)
		return err_nomem();
	for (size_t i = 0; i < o->outputs.n; i++) {
		size_t len = strlen(o->outputs.v[i]);

		err = output_open(o->outputs.v[i], &r->outputs[i]);
		if (err)
			return err;
		if (!profile_path && !(len > 4 && !strcmp(o->outputs.v[i] + len - 4, ".txt")) &&
		    !(len > 7 && !strcmp(o->outputs.v[i] + len - 7, ".folded")))
			profile_path = o->outputs.v[i];
	}
	r->report.target = o->target;
	err = profile_init(&r->profile);
	if (!err && o->exe)
		err = open_exe(r, o->exe);
	if (!err)
		err = acquire(r);
	if (err)
		return err;
	start = now_ns();
	err = heap_analyse(r->heap, (unsigned)o->max_depth, &r->profile, &r->report);
	if (err)
		return err;
	r->report.analyse_ns = now_ns() - start;
	err = wire_details(r);
	for (size_t i = 0; i < o->outputs.n && !err; i++)
		err = output_write(r->outputs[i], &r->profile, &r->report);
	progress_clear(&r->progress);
	if (!err && !o->quiet)
		err = output_summary(stdout, &r->profile, &r->report, profile_path, o->verbose);
	return err;
}

static void run_deinit(struct run *r)
{
	/* First of all the process runs again. */
	fork_destroy(r->fork);
	target_destroy(r->target);
	rsp_destroy(r->rsp);
	heap_destroy(r->heap);
	image_destroy(r->img);
	elf_destroy(r->exe);
	free(r->remote_exe);
	vec_deinit(&r->threads);
	profile_deinit(&r->profile);
	report_deinit(&r->report);
	for (size_t i = 0; r->outputs && i < r->o->outputs.n; i++)
		output_destroy(r->outputs[i]);
	free(r->outputs);
}

int main(int argc, char **argv)
{
	struct options o = { .max_depth = DEFAULT_DEPTH };
	struct run r = { .o = &o };
	struct err *err;
	int status = 0;

	signal(SIGPIPE, SIG_IGN); /* a closed pipe and a file at its limit are errors, not deaths */
	signal(SIGXFSZ, SIG_IGN);
	err = parse_options(argc, argv, &o);
	r.progress.on = !o.quiet && isatty(STDERR_FILENO);
	if (!err)
		err = intr_install();
	if (!err)
		err = run(&r);
	if (err) {
		progress_clear(&r.progress);
		fprintf(stderr, "grf-rsp: %s\n", err->msg);
		if (err_is(err, ERR_USAGE))
			fputs("grf-rsp --help shows how to use it\n", stderr);
		status = err_is(err, ERR_USAGE) ? 2 : 1;
		if (err_is(err, ERR_INTR))
			status = 128 + intr_signal();
		err_destroy(err);
	}
	run_deinit(&r);
	vec_deinit(&o.outputs);
	vec_deinit(&o.debug_files);
	return status;
}
