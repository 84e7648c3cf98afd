/*
 * The way into a run and out of it: what TARGET is decides which file goes the steps in between,
 * heap/acquire/acquire_live.c (a stub) or heap/acquire/acquire_core.c (a core file).
 */
#include "heap/acquire/acquire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/oom.h"
#include "heap/acquire/acquire_int.h"
#include "heap/acquire/local.h"
#include "rsp/rsp.h"
#include "target/core.h"
#include "target/fork.h"

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

void acquire_release(struct acquire *a)
{
	fork_destroy(TAKE_PTR(a->fork));
	target_destroy(TAKE_PTR(a->target));
	heap_destroy(TAKE_PTR(a->heap));
	image_destroy(TAKE_PTR(a->img));
	a->live = NULL; /* the target's, as is the guest */
	a->guest = NULL;
	vec_deinit(&a->threads);
	if (a->rsp)
		a->earlier_ns = rsp_stopped_total_ns(a->rsp);
}

struct err *acquire_close(struct acquire *a, struct err *err)
{
	return a->rsp ? rsp_close(TAKE_PTR(a->rsp), err) : err;
}

/* What is spelled as a file's path is one, or nothing. */
static struct err *check_path(const char *target)
{
	bool address = *target == '|' || !strncmp(target, "unix:", 5) ||
		       (strchr(target, ':') && !strchr(target, '/'));
	struct stat st;

	if (address || core_is_file(target))
		return NULL;
	if (stat(target, &st))
		return err_create(ERR_USAGE,
				  "%s: %s; TARGET is a core file, the id of a process here, or a "
				  "stub: HOST:PORT, :PORT, [V6]:PORT, unix:PATH or '| COMMAND'",
				  target, strerror(errno));
	return err_create(ERR_USAGE, "%s: not a regular file, and so no core", target);
}

struct err *acquire(struct acquire *a, struct report *report)
{
	a->report = report;
	TRY(local_choose(&a->o, a->local_exe));
	TRY(check_path(a->o.target));
	report->target = a->o.target;
	if (a->rsp)
		return acquire_live_again(a);
	if (a->o.exe)
		TRY(acquire_open_exe(a, a->o.exe));
	return core_is_file(a->o.target) ? acquire_core(a) : acquire_live(a);
}

/* ------------------------------------------------------------------ figures */

static struct err *wire_details(struct acquire *a)
{
	const struct rsp_stats st = a->rsp ? rsp_stats(a->rsp) : a->wire;

	return report_detail(
		a->report,
		"wire: %" PRIu64 " requests, %.1f MB of memory in %.1f MB of packets, %.1f MB/s",
		st.packets_out, (double)st.memory_bytes / 1e6, (double)st.bytes_in / 1e6,
		st.memory_ns ? (double)st.memory_bytes * 1e3 / (double)st.memory_ns : 0);
}

static struct err *image_details(struct acquire *a)
{
	const struct image_stats is = image_stats(a->img);
	_cleanup_buf_ struct buf rounds = BUF_INIT;

	TRY(report_detail(a->report, "plan: %.1f MB needed, %.1f MB asked for: %.3f of it",
			  (double)is.needed / 1e6, (double)is.asked / 1e6,
			  is.needed ? (double)is.asked / (double)is.needed : 0));
	for (uint64_t i = 0; i < is.fetches && i < IMAGE_ROUNDS; i++)
		TRY(buf_addf(&rounds, "%s%s %.2f MB %.1f ms", i ? ", " : "",
			     is.rounds[i].purpose ? is.rounds[i].purpose : "other",
			     (double)is.rounds[i].bytes / 1e6, (double)is.rounds[i].ns / 1e6));
	return report_detail(a->report, "rounds of the last stop: %s",
			     rounds.len ? (const char *)rounds.data : "none");
}

struct err *acquire_details(struct acquire *a)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	if (a->rsp || a->hung_up)
		TRY(wire_details(a));
	TRY(image_details(a));
	TRY(report_detail(a->report, "here: analysis %.2f s, peak memory %.1f MB",
			  (double)a->report->analyse_ns / 1e9, (double)ru.ru_maxrss / 1e3));
	if (oom_offered())
		TRY(report_detail(a->report,
				  "here: oom_score_adj 1000, so that we are killed first "
				  "if memory runs out"));
	return a->guest ? acquire_guest_details(a) : NULL;
}
