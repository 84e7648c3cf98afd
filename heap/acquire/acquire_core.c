/*
 * The steps of a run on a core file: an image that already exists.  The stop cannot be taken again;
 * it is read as it is.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "heap/acquire/acquire_int.h"
#include "heap/acquire/outside.h"
#include "heap/acquire/save.h"
#include "target/core.h"

/* EXE as the command line has it, or as the core does. */
static struct err *open_exe(struct acquire *a)
{
	const char *path = core_info(a->core).exe;

	if (a->exe)
		return NULL;
	if (!path)
		return err_create(ERR_NODEBUG,
				  "%s does not say which program it is of: give EXE, too",
				  a->o.target);
	return err_wrapf(acquire_open_exe(a, path),
			 "EXE was not given, and what %s names cannot be used", a->o.target);
}

static struct err *say_missing(struct acquire *a)
{
	uint64_t at = 0, cut = core_cut(a->core, &at);

	if (!cut)
		return NULL;
	return report_note(a->report,
			   "%s is cut: %" PRIu64
			   " bytes of memory are missing, the first at 0x%" PRIx64
			   "; what is reached through them only is not in the profile",
			   a->o.target, cut, at);
}

/* Captures with the table's layout, and, if that was not the program's, once more. */
static struct err *capture_fitting(struct acquire *a, struct unstable *u)
{
	struct err *err = heap_capture(a->heap, &a->threads, true, u);
	bool again;

	if (err && !heap_capture_misfit(err))
		return err;
	TRY(heap_check_layout(a->heap, err, &again));
	if (!again)
		return NULL;
	image_forget(a->img);
	err = heap_capture(a->heap, &a->threads, true, u);
	return heap_capture_misfit(err) ? heap_check_layout(a->heap, err, &again) : err;
}

static struct err *capture(struct acquire *a)
{
	struct unstable u = { NULL, 0 };

	TRY(target_threads(a->target, &a->threads));
	TRY(capture_fitting(a, &u));
	TRY(save_fetch(a));
	if (!u.why)
		return NULL;
	return report_note(
		a->report,
		"the process was at a point where its heap is not exact: %s at 0x%" PRIx64, u.why,
		u.addr);
}

/* Adds to err (taken) that memory is missing, if that may be the reason.  known: something of EXE
 * was found in the core. */
static struct err *explain(struct acquire *a, struct err *err, bool known)
{
	uint64_t at = 0, cut = core_cut(a->core, &at);

	if (!err || !heap_capture_misfit(err))
		return err;
	if (!cut)
		return known ? err :
			       err_wrapf(err, "%s has nothing of %s: it may be of another program",
					 a->o.target, elf_path(a->exe));
	return err_wrapf(err,
			 "%s is cut (%" PRIu64 " bytes are missing, from 0x%" PRIx64
			 " on), and the runtime's tables are in the missing part: a whole core is "
			 "needed",
			 a->o.target, cut, at);
}

/* EXE from the command line or the core, found in it and compared. */
static struct err *attach_core(struct acquire *a, size_t *compared)
{
	struct core_info info;

	TRY(core_open(a->o.target, &a->core));
	TRY(open_exe(a));
	TRY(core_target(a->core, heap_machine(a->heap), &a->target));
	info = core_info(a->core);
	a->report->pid = info.pid;
	a->report->time_unix_ns = info.time_ns;
	a->report->time_mono_ns = info.mono_ns;
	TRY(acquire_attach(a));
	TRY(acquire_verify(a, compared));
	if (!*compared)
		TRY(report_note(a->report,
				"%s has nothing of EXE's code or build id: that they belong "
				"together is taken on trust",
				a->o.target));
	core_set_exe(a->core, a->exe, a->bias);
	return say_missing(a);
}

struct err *acquire_core(struct acquire *a)
{
	uint64_t start = clock_now_ns();
	size_t compared = 0;

	TRY(attach_core(a, &compared));
	TRY(explain(a, capture(a), compared));
	if (core_from_exe(a->core))
		TRY(report_note(a->report,
				"%" PRIu64
				" bytes of variables are not in the core: taken as EXE has them",
				core_from_exe(a->core)));
	image_set_source(a->img, NULL);
	a->report->captured_bytes = image_stats(a->img).fetched;
	a->report->capture_ns = clock_now_ns() - start;
	a->report->threads = (uint32_t)a->threads.n;
	return outside_of_core(a);
}
