/*
 * TARGET is a whole machine: finds the process in it that runs EXE, and tells what is peculiar to
 * reading it there.
 */
#include <inttypes.h>

#include "heap/acquire/acquire_int.h"
#include "rsp/rsp.h"
#include "target/guest.h"

static void progress_search(void *arg, uint64_t done, uint64_t total)
{
	struct acquire *a = arg;

	if (a->o.progress)
		a->o.progress(a->o.arg, "searching", (double)done / 1e6, (double)total / 1e6, "MB");
}

struct err *acquire_guest_open(struct acquire *a)
{
	struct err *err;

	if (a->o.until)
		return err_create(ERR_UNSUPPORTED,
				  "--until: a machine's stub would stop whatever process gets to "
				  "that address; --after can be used");
	TRY(guest_create(a->rsp, heap_machine(a->heap), target_memory(a->target), a->exe,
			 &a->guest));
	err = guest_target_create(a->target, a->guest, &a->target);
	if (err) {
		guest_destroy(a->guest);
		a->guest = NULL;
		return err;
	}
	guest_set_search_progress(a->guest, progress_search, a);
	return guest_find(a->guest, a->o.nth);
}

/* What of the profile's meaning depends on the machine. */
static struct err *guest_notes(struct acquire *a, const struct guest_stats *s)
{
	bool searched = guest_searched(a->guest);

	if (s->swapped)
		TRY(report_note(a->report,
				"%.1f KB that were asked for are swapped out in the guest and "
				"could not be read: what is kept from there alone counts as "
				"unreachable",
				(double)s->swapped / 1e3));
	if (!searched)
		TRY(report_note(a->report,
				"the process that a vCPU had loaded; the guest's memory was not "
				"looked through for others that run EXE (--nth 1 does)"));
	if (searched && s->processes > 1 && !a->o.nth)
		TRY(report_note(a->report,
				"the process that a vCPU had loaded, of %u that run EXE: --nth %u",
				s->processes, s->nth));
	return NULL;
}

struct err *acquire_guest_details(struct acquire *a)
{
	const struct guest_stats s = guest_stats(a->guest);

	TRY(guest_notes(a, &s));
	TRY(report_detail(a->report,
			  "guest: %.0f MB of RAM, %u vCPUs, %u of them in user mode in the "
			  "process; page tables at 0x%" PRIx64 ", loaded at 0x%" PRIx64
			  "; %.1f KB it never touched, read as what it would see",
			  (double)s.ram / (1 << 20), s.vcpus, s.user, s.root, a->bias,
			  (double)s.untouched / 1e3));
	if (!guest_searched(a->guest))
		return NULL;
	return report_detail(a->report,
			     "search: %u slices, the longest %.0f ms; %u top page tables looked "
			     "at, number %u of %u that run EXE; %u kernel stacks with user "
			     "registers, %u of them this process's and %u perhaps",
			     s.slices, (double)s.slice_ns / 1e6, s.tables, s.nth, s.processes,
			     s.kernel_stacks, s.owned, s.frames - s.owned);
}
