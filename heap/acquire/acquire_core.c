/* A core file: an image that already exists.  The stop cannot be taken again: it is read as it
 * is. */
#include <inttypes.h>

#include "heap/acquire/acquire_int.h"
#include "base/clock.h"
#include "heap/acquire/save.h"
#include "target/core.h"

/* EXE as the command line has it, or as the core does. */
static struct err *open_exe(struct acquire *a)
{
	const char *path = core_info(a->core).exe;
	struct err *err;

	if (a->exe)
		return NULL;
	if (!path)
		return err_create(ERR_NODEBUG,
				  "%s does not say which program it is of: give EXE, too",
				  a->o.target);
	err = acquire_open_exe(a, path);
	return err_wrapf(err, "EXE was not given, and what %s names cannot be used", a->o.target);
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

static struct err *capture(struct acquire *a)
{
	struct unstable u = { NULL, 0 };
	struct err *err = target_threads(a->target, &a->threads);
	bool again = false;

	if (!err)
		err = heap_capture(a->heap, &a->threads, true, &u);
	if (err && !heap_capture_misfit(err))
		return err;
	err = heap_check_layout(a->heap, err, &again);
	if (!err && again) {
		image_forget(a->img);
		err = heap_capture(a->heap, &a->threads, true, &u);
		if (heap_capture_misfit(err))
			err = heap_check_layout(a->heap, err, &again);
	}
	if (!err)
		err = save_fetch(a);
	if (!err && u.why)
		err = report_note(
			a->report,
			"the process was at a point where its heap is not exact: %s at 0x%" PRIx64,
			u.why, u.addr);
	return err;
}

/* With what is missing, if that may be the reason. */
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
			 " on), and the runtime's tables are "
			 "in the missing part: a whole core is needed",
			 a->o.target, cut, at);
}

struct err *acquire_core(struct acquire *a)
{
	uint64_t start = clock_now_ns();
	struct core_info info;
	size_t compared = 0;
	struct err *err = core_open(a->o.target, &a->core);

	if (!err)
		err = open_exe(a);
	if (!err)
		err = core_target(a->core, heap_machine(a->heap), &a->target);
	if (err)
		return err;
	info = core_info(a->core);
	a->report->pid = info.pid;
	a->report->time_unix_ns = info.time_ns;
	a->report->time_mono_ns = info.mono_ns;
	err = acquire_attach(a);
	if (!err)
		err = acquire_verify(a, &compared);
	if (!err && !compared)
		err = report_note(
			a->report,
			"%s has nothing of EXE's code or build id: that they belong together is taken on trust",
			a->o.target);
	if (err)
		return err;
	core_set_exe(a->core, a->exe, a->bias);
	err = say_missing(a);
	if (!err)
		err = explain(a, capture(a), compared);
	if (!err && core_from_exe(a->core))
		err = report_note(a->report,
				  "%" PRIu64
				  " bytes of variables are not in the core: taken as EXE has them",
				  core_from_exe(a->core));
	if (err)
		return err;
	image_set_source(a->img, NULL);
	a->report->captured_bytes = image_stats(a->img).fetched;
	a->report->capture_ns = clock_now_ns() - start;
	a->report->threads = (uint32_t)a->threads.n;
	return NULL;
}
