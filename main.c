/*
 * grf-rsp: who keeps a Go process's memory alive, through a debug stub.
 *
 * The command line, and the order in which the parts are called.  Only this file prints errors and
 * sets the exit status: 0, 1 (it failed), 2 (usage), 3 (a --limit is exceeded), 128 + the signal
 * that ended it.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/intr.h"
#include "base/oom.h"
#include "base/option.h"
#include "base/standard_fds.h"
#include "output/limits.h"
#include "output/progress.h"
#include "heap/acquire/acquire.h"
#include "heap/acquire/privilege.h"
#include "heap/acquire/save.h"
#include "heap/acquire/series.h"
#include "output/output.h"
#include "output/version.h"
#include "target/core.h"

enum { DEFAULT_DEPTH = 256, DEFAULT_NODES = 50000, STATUS_EXCEEDED = 3 };

struct options {
	struct acquire_options acquire;
	VEC(const char *) outputs, debug_files;
	struct analyse_options analyse;
	VEC(const char *) bases;
	struct series_options series;
	struct limits limits;
	bool verbose, quiet;
	bool goroutines; /* the summary has their groups */
	bool no_graph;
	bool save_only;
	const char *all_objects; /* an output that hands them on; NULL: there is none */
	unsigned top;            /* rows of a list that machines read; 0: the usual */
	bool all; /* the profile has all of the process's memory, not only live objects */
};

/* ------------------------------------------------------------------ the options */

/* Codes of options without a letter; the others' codes are their letters. */
enum {
	OPT_DEBUG = OPTION_LONG,
	OPT_FORK,
	OPT_MAX_STOP,
	OPT_UNTIL,
	OPT_AFTER,
	OPT_SAVE_ONLY,
	OPT_SCRUB,
	OPT_FULL,
	OPT_GOROUTINES,
	OPT_ALL,
	OPT_STACK_ROOTS,
	OPT_FOLD,
	OPT_TREE,
	OPT_WHY,
	OPT_GRAPH,
	OPT_TOP,
	OPT_NODES,
	OPT_DEPTH,
	OPT_BASE,
	OPT_EVERY,
	OPT_TIMES,
	OPT_LIMIT,
	OPT_NTH,
	OPT_TIMEOUT,
	OPT_FORCE,
	OPT_HELP,
	OPT_VERSION,
};

/* The one list of options: getopt's, that of --help, the manual's and the completions' are made of
 * it. */
static const struct option_row option_rows[] = {
	{ 0, "Getting in", NULL, NULL },
	{ 'p', "pid", "PID|NAME",
	  "attach to PID, or to the one process of this name: with gdbserver --multi, or, without "
	  "TARGET, on this machine" },
	{ OPT_DEBUG, "debug", "FILE",
	  "take names from FILE: an unstripped build of the same source, or what strip split off "
	  "(repeatable: plugins)" },
	{ OPT_FORK, "fork", "[=auto|force|no|seccomp]",
	  "stop the process only to fork it, and read the copy; it needs memory for what the "
	  "process writes to meanwhile (auto: if it is safe, which is the default where the stop "
	  "could take over 2 s; force: whatever memory is left; no: never; seccomp: under a filter "
	  "that is not known, too)" },
	{ OPT_MAX_STOP, "max-stop", "S",
	  "do not begin a stop that would take longer than S seconds, and let go when it has "
	  "(default: as long as it likely takes, and minutes more)" },
	{ OPT_UNTIL, "until", "FUNC[:N]",
	  "let the program run until it enters FUNC (for the Nth time), then look: for stubs that "
	  "start it, or cannot interrupt it (QEMU's user mode)" },
	{ OPT_AFTER, "after", "S", "let it run for S seconds first" },

	{ 0, "Output", NULL, NULL },
	{ 'o', "output", "FILE",
	  "write FILE (repeatable): *.folded collapsed stacks, *.txt the summary, *.json "
	  "all that is known, *.html a page to look at, *.core what was captured, as a "
	  "core file, *.prom for Prometheus; with all objects *.sqlite tables, "
	  "*.heapsnapshot for Chrome's DevTools, *.hprof for VisualVM; everything else a "
	  "pprof profile (default grf.out); - is standard output" },
	{ OPT_SAVE_ONLY, "save-only", NULL, "write the *.core, and analyse nothing" },
	{ OPT_SCRUB, "scrub", NULL, "a *.core with every word zeroed that is no pointer" },
	{ OPT_FULL, "full", NULL, "a *.core with all of the process's memory" },
	{ 'v', "verbose", NULL, "more in the summary" },
	{ 'q', "quiet", NULL, "no summary, no progress" },

	{ 0, "Answers", NULL, NULL },
	{ OPT_WHY, "why", "PATTERN",
	  "say which roots keep what PATTERN says, by which ways: a type, a root, an address, or a "
	  "regular expression" },
	{ OPT_GOROUTINES, "goroutines", NULL,
	  "group goroutines by the function of the program that they are in, with files and "
	  "lines; say which are leaked, and what each group alone keeps alive" },
	{ OPT_ALL, "all", NULL,
	  "in the profile also what is not live: garbage, free slots, idle spans, stacks, the "
	  "runtime's structures" },
	{ OPT_STACK_ROOTS, "stack-roots", "var|path",
	  "begin a local's path with its variable (the default), or with its goroutine's calls" },
	{ OPT_FOLD, "fold", "recursion|none",
	  "a list or a tree is one node per type, and containers read as what they are (the "
	  "default); or each step by itself" },
	{ OPT_TREE, "tree", "paths|dominators",
	  "the profile's tree: each object at the shortest path from its owner (the default); or "
	  "below what alone keeps it, so that a frame's cumulative value is its retained size" },
	{ OPT_GRAPH, "graph", "yes|no",
	  "no: no suspects, retained sizes, waste; less than half of the time and memory" },
	{ OPT_TOP, "top", "N", "rows of each list of a *.prom (default 20)" },
	{ OPT_NODES, "max-nodes", "N",
	  "put the smallest subtrees together beyond N nodes (default 50000)" },
	{ OPT_DEPTH, "max-depth", "N", "frames of a path before [deeper] (default 256)" },

	{ 0, "Growth", NULL, NULL },
	{ OPT_BASE, "base", "FILE",
	  "say what grew since FILE, a *.json or *.core of this process (repeatable, the oldest "
	  "first); a pprof profile is the difference then" },
	{ OPT_EVERY, "every", "TIME",
	  "look again every 30s (5m, 1h), and say what grew each time; ^C ends it; best with "
	  "--fork" },
	{ OPT_TIMES, "times", "N", "so many times (default 4)" },
	{ OPT_LIMIT, "limit", "NAME=MOST",
	  "exit with status 3 if live, growth, unreachable, rss or outside (2G), growth-rate "
	  "(1M/min), goroutines or leaked-goroutines (0) is more (repeatable)" },

	{ 0, "Rarely needed", NULL, NULL },
	{ OPT_NTH, "nth", "N", "of a QEMU guest's processes that run EXE, the Nth" },
	{ OPT_TIMEOUT, "timeout", "S",
	  "give up when a reply takes more than S seconds (default 30)" },
	{ OPT_FORCE, "force", NULL, "go on although EXE is not what runs" },
	{ OPT_HELP, "help", NULL, "this text" },
	{ OPT_VERSION, "version", NULL,
	  "the version, those of the libraries, and the Go releases that are known" },
};

static const struct option_table option_table = { option_rows,
						  sizeof(option_rows) / sizeof(*option_rows) };

static void help(void)
{
	fputs("usage: grf-rsp [options] TARGET [EXE]\n"
	      "\n"
	      "Says who keeps a Go process's memory alive.  TARGET is the id of a process here,\n"
	      "or a debug stub, as gdb spells it:\n"
	      "    HOST:PORT  :PORT  [V6]:PORT  unix:PATH  '| COMMAND'\n"
	      "for example one of\n"
	      "    grf-rsp PID\n"
	      "    grf-rsp -p PID '| ssh HOST gdbserver --once --multi -'\n"
	      "    gdbserver --multi :2345                 and  grf-rsp -p PID HOST:2345\n"
	      "or a core file.  EXE is the program that runs; without it, it is fetched from\n"
	      "the stub, or is what the core says.\n",
	      stdout);
	option_help(stdout, &option_table);
	puts("\nThe profile opens with: go tool pprof -http=:8080 grf.out");
}

/* ------------------------------------------------------------------ command line */

/* FUNC[:N]; the number is cut off in argv itself. */
static struct err *parse_until(char *s, struct acquire_options *o)
{
	char *colon = strrchr(s, ':');
	unsigned long n = 1;

	if (!*s || colon == s || (colon && !option_number(colon + 1, 1, 1000000000, &n)))
		return err_create(ERR_USAGE, "--until %s: FUNC or FUNC:N, N from 1 to 1000000000",
				  s);
	if (colon)
		*colon = 0;
	o->until = s;
	o->until_n = n;
	return NULL;
}

static struct err *parse_fork(const char *way, enum fork_mode *ret)
{
	if (!way)
		*ret = FORK_YES;
	else if (!strcmp(way, "auto"))
		*ret = FORK_AUTO;
	else if (!strcmp(way, "force"))
		*ret = FORK_FORCE;
	else if (!strcmp(way, "no"))
		*ret = FORK_NO;
	else if (!strcmp(way, "seccomp"))
		*ret = FORK_SECCOMP;
	else
		return err_create(ERR_USAGE, "--fork=%s: auto, force, no or seccomp", way);
	return NULL;
}

/* Seconds, of which there may be parts. */
static struct err *parse_max_stop(const char *s, uint64_t *ret)
{
	char *end;
	double v = strtod(s, &end);

	if (!((*s >= '0' && *s <= '9') || *s == '.') || *end || !(v >= 0.001 && v <= 86400))
		return err_create(ERR_USAGE,
				  "--max-stop %s: not a number of seconds from 0.001 to 86400", s);
	*ret = (uint64_t)(v * 1e9);
	return NULL;
}

static void version(void)
{
	struct known known = heap_known();

	version_print(stdout, &known);
}

/* One option, as getopt gives it. */
static struct err *parse_option(int code, char **argv, struct options *o)
{
	unsigned long pid;
	unsigned n;

	switch (code) {
	case 'o':
		if (!*optarg)
			return err_create(ERR_USAGE, "-o needs a file name");
		return vec_push(&o->outputs, optarg);
	case 'p':
		if (option_number(optarg, 1, INT32_MAX, &pid))
			o->acquire.pid = pid;
		else if (*optarg && !(*optarg >= '0' && *optarg <= '9'))
			o->acquire.pid_name = optarg;
		else
			return err_create(ERR_USAGE, "-p %s: not a process id, nor a name", optarg);
		return NULL;
	case 'v':
		o->verbose = o->acquire.verbose = true;
		return NULL;
	case 'q':
		o->quiet = true;
		return NULL;
	case OPT_DEBUG:
		return vec_push(&o->debug_files, optarg);
	case OPT_FORK:
		return parse_fork(optarg, &o->acquire.fork);
	case OPT_MAX_STOP:
		return parse_max_stop(optarg, &o->acquire.max_stop_ns);
	case OPT_UNTIL:
		return parse_until(optarg, &o->acquire);
	case OPT_AFTER:
		return option_count("--after", " of seconds", 1000000, &o->acquire.after_s);
	case OPT_SAVE_ONLY:
		o->save_only = true;
		o->acquire.spare_memory = true;
		return NULL;
	case OPT_SCRUB:
		o->acquire.scrub = true;
		return NULL;
	case OPT_FULL:
		o->acquire.full = true;
		return NULL;
	case OPT_GOROUTINES:
		o->analyse.goroutines = o->goroutines = true;
		return NULL;
	case OPT_ALL:
		o->all = true;
		return NULL;
	case OPT_STACK_ROOTS:
		o->analyse.stack_paths = !strcmp(optarg, "path");
		if (strcmp(optarg, "path") && strcmp(optarg, "var"))
			return err_create(ERR_USAGE, "--stack-roots=%s: var or path", optarg);
		return NULL;
	case OPT_FOLD:
		o->analyse.fold = !strcmp(optarg, "recursion");
		if (strcmp(optarg, "recursion") && strcmp(optarg, "none"))
			return err_create(ERR_USAGE, "--fold=%s: recursion or none", optarg);
		return NULL;
	case OPT_GRAPH:
		o->no_graph = !strcmp(optarg, "no");
		if (strcmp(optarg, "no") && strcmp(optarg, "yes"))
			return err_create(ERR_USAGE, "--graph=%s: yes or no", optarg);
		return NULL;
	case OPT_WHY:
		if (!*optarg)
			return err_create(ERR_USAGE, "--why needs a type, a root or an address");
		o->analyse.why = optarg;
		return NULL;
	case OPT_TREE:
		o->analyse.dominators = !strcmp(optarg, "dominators");
		if (strcmp(optarg, "dominators") && strcmp(optarg, "paths"))
			return err_create(ERR_USAGE, "--tree=%s: paths or dominators", optarg);
		return NULL;
	case OPT_TOP:
		return option_count("--top", "", 1000, &o->top);
	case OPT_NODES:
		return option_count("--max-nodes", "", 1000000000, &o->analyse.max_nodes);
	case OPT_DEPTH:
		return option_count("--max-depth", "", 1000000, &o->analyse.max_depth);
	case OPT_BASE:
		return vec_push(&o->bases, optarg);
	case OPT_EVERY:
		return series_parse_every(optarg, &o->series.every_ns);
	case OPT_TIMES:
		TRY(option_count("--times", "", 100, &o->series.times));
		return o->series.times > 1 ? NULL :
					     err_create(ERR_USAGE, "--times 1: nothing to compare");
	case OPT_LIMIT:
		return limits_add(&o->limits, optarg);
	case OPT_NTH:
		return option_count("--nth", "", 1000000, &o->acquire.nth);
	case OPT_TIMEOUT:
		TRY(option_count("--timeout", " of seconds", 86400, &n));
		o->acquire.timeout_ms = (int)n * 1000;
		return NULL;
	case OPT_FORCE:
		o->acquire.force = true;
		return NULL;
	case OPT_HELP:
		help();
		exit(fflush(stdout) ? 1 : 0);
	case OPT_VERSION:
		version();
		exit(fflush(stdout) ? 1 : 0);
	case ':':
		return err_create(ERR_USAGE, "%s needs an argument", argv[optind - 1]);
	default:
		return option_unknown(&option_table, argv);
	}
}

/* Whether the options about *.core files go together with the outputs. */
static struct err *check_outputs(struct options *o)
{
	for (size_t i = 0; i < o->outputs.n; i++) {
		bool core = output_kind(o->outputs.v[i]) == OUTPUT_CORE;

		o->acquire.save |= core;
		o->analyse.graph |= !core && output_kind(o->outputs.v[i]) != OUTPUT_PPROF &&
				    output_kind(o->outputs.v[i]) != OUTPUT_FOLDED;
		o->analyse.goroutines |= output_kind(o->outputs.v[i]) == OUTPUT_JSON ||
					 output_kind(o->outputs.v[i]) == OUTPUT_HTML ||
					 output_kind(o->outputs.v[i]) == OUTPUT_TEXT;
		if (output_wants_objects(output_kind(o->outputs.v[i])))
			o->all_objects = o->outputs.v[i];
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

/* Whether the options about the process go together, and with TARGET. */
static struct err *check_process(const struct acquire_options *o)
{
	if (o->until && o->after_s)
		return err_create(ERR_USAGE, "--until and --after: one or the other");
	if (!o->target)
		return NULL;
	if (core_is_file(o->target) &&
	    (o->pid || o->pid_name || o->fork > FORK_NO || o->until || o->after_s))
		return err_create(ERR_USAGE, "%s is about a process: %s is a file",
				  o->pid || o->pid_name ? "-p" :
				  o->until              ? "--until" :
				  o->after_s            ? "--after" :
							  "--fork",
				  o->target);
	return NULL;
}

/*
 * TARGET and EXE.  TARGET is left out if -p says which of this machine's processes it is: what
 * stands alone then is EXE if it is a program's file.
 */
static struct err *parse_arguments(char *const *argv, int n, struct acquire_options *o)
{
	bool by_p = o->pid || o->pid_name;
	unsigned long pid;

	if (n > 2)
		return err_create(ERR_USAGE, "too many arguments: %s", argv[2]);
	if (!n && !by_p)
		return err_create(ERR_USAGE, "no TARGET given");
	if (!n || (n == 1 && by_p && core_is_file(argv[0]) && !access(argv[0], X_OK))) {
		o->exe = argv[0];
		return NULL;
	}
	o->exe = argv[1];
	if (argv[0][strspn(argv[0], "0123456789")] || !*argv[0]) {
		o->target = argv[0];
		return NULL;
	}
	if (by_p)
		return err_create(ERR_USAGE, "%s and -p are a process each: one or the other",
				  argv[0]);
	if (!option_number(argv[0], 1, INT32_MAX, &pid))
		return err_create(ERR_USAGE, "%s: not a process id", argv[0]);
	o->pid = pid;
	return NULL;
}

/* Whether the graph of objects is made, and what goes with it. */
static struct err *check_graph(struct options *o)
{
	if (o->no_graph && (o->analyse.dominators || o->analyse.why))
		return err_create(ERR_USAGE, "%s needs the graph: not with --graph=no",
				  o->analyse.why ? "--why" : "--tree=dominators");
	if (o->no_graph && o->all_objects)
		return err_create(ERR_USAGE, "-o %s needs the graph: not with --graph=no",
				  o->all_objects);
	o->analyse.sizes = o->analyse.graph;
	o->analyse.graph &= !o->no_graph;
	o->analyse.goroutines &= o->analyse.graph || o->goroutines;
	o->acquire.outside = o->analyse.graph && !o->save_only;
	return NULL;
}

/* Whether the captures that are compared, and the limits, go with the rest. */
static struct err *check_growth(struct options *o)
{
	struct limits_need need = limits_need(&o->limits);
	struct series_options *s = &o->series;

	s->bases = o->bases.v;
	s->nbases = o->bases.n;
	if (o->save_only && (series_wanted(s) || o->limits.v.n))
		return err_create(ERR_USAGE, "--save-only analyses nothing: not with %s",
				  s->nbases   ? "--base" :
				  s->every_ns ? "--every" :
						"--limit");
	if (need.growth && !series_wanted(s))
		return err_create(ERR_USAGE,
				  "--limit %s: growth since when?  --base or --every says so",
				  need.growth_text);
	if (o->all_objects && s->every_ns)
		return err_create(ERR_USAGE, "%s has all objects of one capture: not with --every",
				  o->all_objects);
	o->acquire.outside |= need.outside;
	o->analyse.goroutines |= need.goroutines;
	return series_check(s, &o->acquire, &o->analyse);
}

static struct err *parse_options(int argc, char **argv, struct options *o)
{
	int code;

	while ((code = option_next(&option_table, argc, argv)) != -1)
		TRY(parse_option(code, argv, o));
	TRY(parse_arguments(argv + optind, argc - optind, &o->acquire));
	TRY(check_process(&o->acquire));
	o->analyse.graph = !o->quiet || o->analyse.dominators || o->analyse.why;
	o->analyse.goroutines |= !o->quiet;
	o->acquire.debug = o->debug_files.v;
	o->acquire.ndebug = o->debug_files.n;
	if (!o->outputs.n)
		TRY(vec_push(&o->outputs, "grf.out"));
	if (!o->analyse.max_nodes && o->analyse.fold)
		o->analyse.max_nodes = DEFAULT_NODES;
	TRY(check_outputs(o));
	TRY(check_graph(o));
	return check_growth(o);
}

/* ------------------------------------------------------------------ the run */

struct run {
	const struct options *o;
	struct output **outputs;
	FILE *say;                /* where the summary goes */
	const char *profile_path; /* of the first of them that is a profile; NULL: none is */
	struct acquire acquire;
	struct series series;
	struct profile profile;
	struct report report;
	bool exceeded; /* a --limit is */
	bool sandboxed;
	struct progress progress;
	struct err *failed;  /* of writing all objects */
	uint64_t objects_ns; /* how long that took */
};

/* Makes the outputs' files, so that one that cannot be written shows before the process is
 * stopped.  The first profile among them is what the summary's next command opens. */
static struct err *run_open(struct run *r)
{
	const struct options *o = r->o;

	r->say = stdout;
	r->outputs = calloc(o->outputs.n, sizeof(*r->outputs));
	if (!r->outputs)
		return err_nomem();
	for (size_t i = 0; i < o->outputs.n; i++) {
		TRY(output_open(o->outputs.v[i], &r->outputs[i]));
		if (output_is_stdout(o->outputs.v[i]))
			r->say = stderr;
		else if (!r->profile_path && output_kind(o->outputs.v[i]) == OUTPUT_PPROF)
			r->profile_path = o->outputs.v[i];
	}
	return NULL;
}

/* While the objects are there.  An error of writing is no error of the analysis: it is kept, and
 * the other outputs are written. */
static struct err *write_objects(void *arg, const struct objects *objects, const struct profile *p,
				 const struct report *report)
{
	struct run *r = arg;
	const struct options *o = r->o;
	uint64_t start = clock_now_ns();

	progress_clear(&r->progress);
	for (size_t i = 0; i < o->outputs.n && !r->failed; i++)
		if (output_wants_objects(output_kind(o->outputs.v[i])))
			r->failed = output_write_objects(r->outputs[i], objects, p, report);
	r->objects_ns = clock_now_ns() - start;
	return err_is(r->failed, ERR_INTR) ? TAKE_PTR(r->failed) : NULL;
}

static struct err *run_heap(struct run *r)
{
	struct analyse_options analyse = r->o->analyse;

	if (r->o->all_objects) {
		analyse.objects = write_objects;
		analyse.objects_arg = r;
	}
	TRY(heap_analyse(r->acquire.heap, &analyse, &r->profile, &r->report));
	if (r->o->all_objects && !r->report.graph.made)
		r->failed = err_create(ERR_LIMIT,
				       "cannot write '%s': the heap has too many objects or "
				       "pointers for their graph",
				       r->o->all_objects);
	return NULL;
}

static struct err *write_core(void *acquire, FILE *f)
{
	return save_write(acquire, f);
}

static struct err *write_cores(struct run *r)
{
	for (size_t i = 0; i < r->o->outputs.n; i++)
		if (output_kind(r->o->outputs.v[i]) == OUTPUT_CORE)
			TRY(output_fill(r->outputs[i], write_core, &r->acquire));
	return NULL;
}

/* *more: it is one of a series, and not the last one. */
static struct err *run_analyse(struct run *r, bool *more)
{
	const struct options *o = r->o;
	uint64_t start = clock_now_ns();

	r->report.goroutines_of.hidden = !o->goroutines;
	r->report.top = o->top;
	TRY(run_heap(r));
	r->report.analyse_ns = clock_now_ns() - start - r->objects_ns;
	*more = false;
	return series_wanted(&r->series.o) ?
		       series_next(&r->series, &r->acquire, &r->profile, &r->report, more) :
		       NULL;
}

/* Who reads an empty summary would take it for an answer. */
static struct err *check_said(const struct run *r)
{
	if (ferror(r->say))
		return err_os(output_why_failed(fileno(r->say)),
			      "the summary could not be written");
	return fflush(r->say) ? err_os(errno, "the summary could not be written") : NULL;
}

static struct err *run_answer(struct run *r)
{
	const struct options *o = r->o;

	if (o->all)
		TRY(profile_add_account(&r->profile, &r->report.account));
	TRY(acquire_details(&r->acquire));
	for (size_t i = 0; i < o->outputs.n; i++)
		if (output_kind(o->outputs.v[i]) != OUTPUT_CORE &&
		    !output_wants_objects(output_kind(o->outputs.v[i])))
			TRY(output_write(r->outputs[i], &r->profile, &r->report));
	progress_clear(&r->progress);
	if (!o->quiet)
		TRY(output_summary(r->say, &r->profile, &r->report, r->profile_path, o->verbose));
	TRY(check_said(r));
	TRY(limits_check(&o->limits, &r->report, stderr, &r->exceeded));
	return TAKE_PTR(r->failed);
}

/* All is captured: from here on files are written, and nothing else is done. */
static struct err *run_enter_sandbox(struct run *r)
{
	const size_t n = r->o->outputs.n;
	_cleanup_free_ char **folders = calloc(2 * n + 1, sizeof(*folders));
	bool makes = false;
	struct err *err;
	size_t k = 0;

	if (r->sandboxed)
		return NULL;
	r->sandboxed = true;
	if (!folders)
		return err_nomem();
	for (size_t i = 0; i < n; i++) {
		const char *temp = output_temp_folder(r->outputs[i]);

		folders[k] = output_folder(r->outputs[i]);
		k += folders[k] != NULL;
		folders[k] = temp ? strdup(temp) : NULL;
		k += folders[k] != NULL;
		makes |= temp != NULL;
	}
	err = privilege_drop(&r->acquire, (const char *const *)folders, k, makes);
	while (k)
		free(folders[--k]);
	return err;
}

/* The only capture, or those of a series; a core is of the last one. */
static struct err *run_captures(struct run *r)
{
	const bool series = r->o->series.every_ns;
	bool more;

	do {
		series_begin(&r->series);
		TRY(acquire(&r->acquire, &r->report));
		if (series_is_last(&r->series))
			TRY(run_enter_sandbox(r));
		if (!series)
			TRY(write_cores(r));
		if (r->o->save_only)
			return NULL;
		TRY(run_analyse(r, &more));
	} while (more);
	TRY(run_enter_sandbox(r)); /* ^C has ended a series */
	return series ? write_cores(r) : NULL;
}

static struct err *run(struct run *r)
{
	const struct options *o = r->o;

	TRY(intr_install());
	oom_offer();
	TRY(run_open(r));
	TRY(series_init(&r->series, &o->series));
	TRY(series_bases(&r->series));
	TRY(profile_init(&r->profile));
	TRY(run_captures(r));
	if (!o->save_only)
		return run_answer(r);
	if (!o->quiet)
		TRY(output_saved(r->say, &r->report, o->outputs.v, o->outputs.n));
	return check_said(r);
}

/* What a series has found before it failed is not lost. */
static void run_rest(struct run *r)
{
	struct report rest = { 0 };
	struct err *err = series_rest(&r->series, &rest);

	if (!err && r->say && !r->o->quiet)
		err = output_growth(r->say, &rest);
	err_destroy(err);
	report_deinit(&rest);
}

static void run_deinit(struct run *r)
{
	acquire_deinit(&r->acquire); /* first of all, so that the process runs again */
	series_deinit(&r->series);
	profile_deinit(&r->profile);
	report_deinit(&r->report);
	for (size_t i = 0; r->outputs && i < r->o->outputs.n; i++)
		output_destroy(r->outputs[i]);
	free(r->outputs);
	err_destroy(r->failed);
}

/* Says what went wrong; returns the exit status. */
static int report_error(const struct err *err)
{
	output_line(stderr, "grf-rsp: ", err->msg);
	if (err->code == ERR_USAGE)
		fputs("grf-rsp --help shows how to use it\n", stderr);
	return err->code == ERR_USAGE                 ? 2 :
	       err->code == ERR_INTR && intr_signal() ? 128 + intr_signal() :
							1;
}

int main(int argc, char **argv)
{
	struct options o = { .analyse = { .max_depth = DEFAULT_DEPTH, .fold = true } };
	struct run r = { .o = &o };
	struct err *err;
	int status = 0;

	standard_fds_hold();
	signal(SIGPIPE, SIG_IGN); /* a closed pipe and a file at its limit are errors, not deaths */
	signal(SIGXFSZ, SIG_IGN);
	err = parse_options(argc, argv, &o);
	r.progress.on = !o.quiet && isatty(STDERR_FILENO);
	if (r.progress.on) {
		o.acquire.progress = progress_line;
		o.acquire.say = progress_say;
		o.acquire.arg = &r.progress;
	}
	acquire_init(&r.acquire, &o.acquire);
	if (!err)
		err = run(&r);
	if (err) {
		err = acquire_close(&r.acquire, err);
		progress_clear(&r.progress);
		if (!err_is(err, ERR_USAGE) && !intr_signal())
			run_rest(&r);
		status = report_error(err);
		err_destroy(err);
	} else if (r.exceeded) {
		status = STATUS_EXCEEDED;
	}
	run_deinit(&r);
	vec_deinit(&o.outputs);
	vec_deinit(&o.debug_files);
	vec_deinit(&o.bases);
	limits_deinit(&o.limits);
	return status;
}
