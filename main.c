/*
 * grf-rsp: who keeps a Go process's memory alive, through a debug stub.
 *
 * The command line and the wiring; the only place that prints errors or sets the exit
 * status: 0, 1 (it failed), 2 (usage), 128 + signal.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/intr.h"
#include "heap/acquire/acquire.h"
#include "output/output.h"
#include "target/core.h"

enum { DEFAULT_DEPTH = 256 };

struct options {
	struct acquire_options acquire;
	VEC(const char *) outputs, debug_files;
	struct analyse_options analyse;
	bool verbose, quiet;
	bool save_only;
	bool all; /* of the process's memory in the profile, not the live objects only */
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
	"or a core file.  EXE is the program that runs; without it, it is fetched from the stub,\n"
	"or is what the core says.\n"
	"\n"
	"  -o FILE           write FILE (repeatable): *.folded collapsed stacks, *.txt the\n"
	"                    summary, *.core what was captured, as a core file, everything else\n"
	"                    a pprof profile (default grf.out)\n"
	"  -p PID            attach to PID (with gdbserver --multi)\n"
	"      --debug FILE  take names from FILE: an unstripped build of the same source, or\n"
	"                    what strip split off (repeatable: plugins)\n"
	"      --fork        stop the process only to fork it, and read the copy; it needs memory for\n"
	"                    what the process writes to meanwhile (--fork=auto: if it is safe;\n"
	"                    --fork=force: whatever memory is left)\n"
	"      --until FUNC[:N]\n"
	"                    let the program run until it enters FUNC (for the Nth time), then look:\n"
	"                    for stubs that start it, or cannot interrupt it (QEMU's user mode)\n"
	"      --after S     let it run for S seconds first\n"
	"      --all         in the profile also what is not live: garbage, free slots, idle spans, stacks, the\n"
	"                    runtime's structures\n"
	"      --goroutines  group goroutines by their stacks, and say what each group alone keeps alive\n"
	"      --stack-roots=path  begin a local's path with its goroutine's calls (default: var)\n"
	"      --save-only   write the *.core, and analyse nothing\n"
	"      --scrub       a *.core with every word zeroed that is no pointer\n"
	"      --full        a *.core with all of the process's memory\n"
	"      --max-depth N frames of a path before [deeper] (default 256)\n"
	"      --nth N       of a QEMU guest's processes that run EXE, the Nth\n"
	"      --timeout S   give up after S seconds of silence (default 30)\n"
	"      --force       go on although EXE is not what runs\n"
	"  -v, --verbose     more in the summary\n"
	"  -q, --quiet       no summary, no progress\n"
	"      --help        this text\n"
	"      --version     the version\n"
	"\n"
	"The profile opens with: go tool pprof -http=:8080 grf.out\n";

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

/* FUNC[:N]; cuts the number off, as argv is ours. */
static bool parse_until(char *s, struct acquire_options *o)
{
	char *colon = strrchr(s, ':');
	unsigned long n = 1;

	if (colon && !parse_number(colon + 1, 1, 1000000000, &n))
		return false;
	if (colon)
		*colon = 0;
	o->until = s;
	o->until_n = n;
	return *s;
}

/* Whether they go together. */
static struct err *check_options(struct options *o)
{
	for (size_t i = 0; i < o->outputs.n; i++) {
		bool core = output_kind(o->outputs.v[i]) == OUTPUT_CORE;

		o->acquire.save |= core;
		if (o->save_only && !core)
			return err_create(ERR_USAGE,
					  "--save-only analyses nothing: -o %s cannot be written",
					  o->outputs.v[i]);
	}
	if (!o->acquire.save && (o->save_only || o->acquire.scrub || o->acquire.full))
		return err_create(ERR_USAGE, "%s is about -o FILE.core",
				  o->save_only     ? "--save-only" :
				  o->acquire.scrub ? "--scrub" :
						     "--full");
	if (o->acquire.scrub && o->acquire.full)
		return err_create(ERR_USAGE,
				  "--full memory cannot be scrubbed: only what Go manages can");
	return NULL;
}

static struct err *parse_options(int argc, char **argv, struct options *o)
{
	enum {
		OPT_HELP = 256,
		OPT_VERSION,
		OPT_DEPTH,
		OPT_TIMEOUT,
		OPT_FORCE,
		OPT_DEBUG,
		OPT_FORK,
		OPT_UNTIL,
		OPT_AFTER,
		OPT_SAVE_ONLY,
		OPT_SCRUB,
		OPT_FULL,
		OPT_GOROUTINES,
		OPT_STACK_ROOTS,
		OPT_ALL,
		OPT_NTH
	};
	static const struct option longs[] = {
		{ "help", no_argument, NULL, OPT_HELP },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ "debug", required_argument, NULL, OPT_DEBUG },
		{ "fork", optional_argument, NULL, OPT_FORK },
		{ "until", required_argument, NULL, OPT_UNTIL },
		{ "after", required_argument, NULL, OPT_AFTER },
		{ "goroutines", no_argument, NULL, OPT_GOROUTINES },
		{ "stack-roots", required_argument, NULL, OPT_STACK_ROOTS },
		{ "all", no_argument, NULL, OPT_ALL },
		{ "full", no_argument, NULL, OPT_FULL },
		{ "save-only", no_argument, NULL, OPT_SAVE_ONLY },
		{ "scrub", no_argument, NULL, OPT_SCRUB },
		{ "max-depth", required_argument, NULL, OPT_DEPTH },
		{ "nth", required_argument, NULL, OPT_NTH },
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
			o->acquire.pid = n;
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
			if (!parse_number(optarg, 1, 1000000, &n))
				return err_create(ERR_USAGE,
						  "--max-depth %s: not a number from 1 to 1000000",
						  optarg);
			o->analyse.max_depth = (unsigned)n;
			break;
		case OPT_TIMEOUT:
			if (!parse_number(optarg, 1, 86400, &n))
				return err_create(
					ERR_USAGE,
					"--timeout %s: not a number of seconds from 1 to 86400",
					optarg);
			o->acquire.timeout_ms = (int)n * 1000;
			break;
		case OPT_NTH:
			if (!parse_number(optarg, 1, 1000000, &n))
				return err_create(ERR_USAGE,
						  "--nth %s: not a number from 1 to 1000000",
						  optarg);
			o->acquire.nth = (unsigned)n;
			break;
		case OPT_FORK:
			if (!optarg)
				o->acquire.fork = FORK_YES;
			else if (!strcmp(optarg, "auto"))
				o->acquire.fork = FORK_AUTO;
			else if (!strcmp(optarg, "force"))
				o->acquire.fork = FORK_FORCE;
			else
				return err_create(ERR_USAGE, "--fork=%s: auto or force", optarg);
			break;
		case OPT_UNTIL:
			if (!parse_until(optarg, &o->acquire))
				return err_create(
					ERR_USAGE,
					"--until %s: FUNC or FUNC:N, N from 1 to 1000000000",
					optarg);
			break;
		case OPT_AFTER:
			if (!parse_number(optarg, 1, 1000000, &n))
				return err_create(
					ERR_USAGE,
					"--after %s: not a number of seconds from 1 to 1000000",
					optarg);
			o->acquire.after_s = (unsigned)n;
			break;
		case OPT_ALL:
			o->all = true;
			break;
		case OPT_GOROUTINES:
			o->analyse.goroutines = true;
			break;
		case OPT_STACK_ROOTS:
			o->analyse.stack_paths = !strcmp(optarg, "path");
			if (strcmp(optarg, "path") && strcmp(optarg, "var"))
				return err_create(ERR_USAGE, "--stack-roots=%s: var or path",
						  optarg);
			break;
		case OPT_SAVE_ONLY:
			o->save_only = true;
			o->acquire.spare_memory = true;
			break;
		case OPT_SCRUB:
			o->acquire.scrub = true;
			break;
		case OPT_FULL:
			o->acquire.full = true;
			break;
		case OPT_FORCE:
			o->acquire.force = true;
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
	if (o->acquire.until && o->acquire.after_s)
		return err_create(ERR_USAGE, "--until and --after: one or the other");
	o->acquire.target = argv[optind];
	if (core_is_file(o->acquire.target) && (o->acquire.pid || o->acquire.fork != FORK_NO ||
						o->acquire.until || o->acquire.after_s))
		return err_create(ERR_USAGE, "%s is about a process: %s is a file",
				  o->acquire.pid     ? "-p" :
				  o->acquire.until   ? "--until" :
				  o->acquire.after_s ? "--after" :
						       "--fork",
				  o->acquire.target);
	o->acquire.exe = argv[optind + 1];
	o->acquire.debug = o->debug_files.v;
	o->acquire.ndebug = o->debug_files.n;
	err = o->outputs.n ? NULL : vec_push(&o->outputs, "grf.out");
	return err ? err : check_options(o);
}

/* ------------------------------------------------------------------ progress */

struct progress {
	bool on;
	uint64_t start_ns, last_ns;
	const char *phase;
};

/* One line, ten times a second at most: phase, how far, rate, time left. */
static void progress_line(void *arg, const char *phase, double done, double total, const char *unit)
{
	struct progress *p = arg;
	uint64_t now = clock_now_ns();
	double s, rate;

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
	struct acquire acquire;
	struct profile profile;
	struct report report;
	struct progress progress;
};

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
		err = output_open(o->outputs.v[i], &r->outputs[i]);
		if (err)
			return err;
		if (!profile_path && output_kind(o->outputs.v[i]) == OUTPUT_PPROF)
			profile_path = o->outputs.v[i];
	}
	err = profile_init(&r->profile);
	if (!err)
		err = acquire(&r->acquire, &r->report);
	if (err)
		return err;
	for (size_t i = 0; i < o->outputs.n && !err; i++)
		if (output_kind(o->outputs.v[i]) == OUTPUT_CORE)
			err = output_save(r->outputs[i], &r->acquire);
	if (!err && o->save_only && !o->quiet)
		err = output_saved(stdout, &r->report, o->outputs.v, o->outputs.n);
	if (err || o->save_only)
		return err;
	start = clock_now_ns();
	err = heap_analyse(r->acquire.heap, &o->analyse, &r->profile, &r->report);
	if (err)
		return err;
	r->report.analyse_ns = clock_now_ns() - start;
	err = o->all ? profile_add_account(&r->profile, &r->report.account) : NULL;
	if (!err)
		err = acquire_details(&r->acquire);
	for (size_t i = 0; i < o->outputs.n && !err; i++)
		if (output_kind(o->outputs.v[i]) != OUTPUT_CORE)
			err = output_write(r->outputs[i], &r->profile, &r->report);
	progress_clear(&r->progress);
	if (!err && !o->quiet)
		err = output_summary(stdout, &r->profile, &r->report, profile_path, o->verbose);
	return err;
}

static void run_deinit(struct run *r)
{
	acquire_deinit(&r->acquire); /* first of all: the process runs again */
	profile_deinit(&r->profile);
	report_deinit(&r->report);
	for (size_t i = 0; r->outputs && i < r->o->outputs.n; i++)
		output_destroy(r->outputs[i]);
	free(r->outputs);
}

int main(int argc, char **argv)
{
	struct options o = { .analyse.max_depth = DEFAULT_DEPTH };
	struct run r = { .o = &o };
	struct err *err;
	int status = 0;

	signal(SIGPIPE, SIG_IGN); /* a closed pipe and a file at its limit are errors, not deaths */
	signal(SIGXFSZ, SIG_IGN);
	err = parse_options(argc, argv, &o);
	r.progress.on = !o.quiet && isatty(STDERR_FILENO);
	if (r.progress.on) {
		o.acquire.progress = progress_line;
		o.acquire.arg = &r.progress;
	}
	acquire_init(&r.acquire, &o.acquire);
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
