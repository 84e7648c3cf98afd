/*
 * The captures of a series come one after the other: the next one begins when all that belonged to
 * the last one is gone, but EXE and the connection.
 */
#include "heap/acquire/series.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/intr.h"
#include "base/regular.h"
#include "heap/report/growth_base.h"
#include "heap/report/growth_heap.h"

struct err *series_init(struct series *s, const struct series_options *o)
{
	*s = (struct series){ .o = *o };
	if (o->every_ns)
		TRY(intr_hold(true));
	return growth_set_init(&s->set);
}

void series_deinit(struct series *s)
{
	growth_set_deinit(&s->set);
}

/* ------------------------------------------------------------------ bases */

/* A core begins with ELF's magic number; what is no file at all is told by who opens it. */
static bool is_elf(const char *path)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	char magic[4];

	err_destroy(regular_open(path, &fd, &st));
	return fd >= 0 && read(fd, magic, sizeof(magic)) == sizeof(magic) &&
	       !memcmp(magic, "\177ELF", sizeof(magic));
}

/* EXE as the command line has it, or that of a process here; else it is what the core says. */
static const char *base_exe(const struct acquire_options *o, char local[LOCAL_EXE_PATH])
{
	if (o->exe || o->target || !o->pid)
		return o->exe;
	snprintf(local, LOCAL_EXE_PATH, "/proc/%" PRIu32 "/exe", (uint32_t)o->pid);
	return local;
}

static struct err *analyse_core(struct series *s, struct acquire *a, const char *path)
{
	_cleanup_(report_deinit) struct report r = { 0 };
	_cleanup_(profile_deinit) struct profile p = { 0 };
	struct analyse_options o = *s->o.analyse;

	o.why = NULL;
	TRY(profile_init(&p));
	TRY(acquire(a, &r));
	TRY(heap_analyse(a->heap, &o, &p, &r));
	return growth_set_add(&s->set, &p, &r, path, s->o.acquire->force);
}

static struct err *add_core(struct series *s, const char *path)
{
	const struct acquire_options *all = s->o.acquire;
	char local[LOCAL_EXE_PATH];
	struct acquire_options o = {
		.target = path,
		.exe = base_exe(all, local),
		.debug = all->debug,
		.ndebug = all->ndebug,
		.force = all->force,
		.progress = all->progress,
		.say = all->say,
		.arg = all->arg,
	};
	struct acquire a;
	struct err *err;

	acquire_init(&a, &o);
	err = analyse_core(s, &a, path);
	acquire_deinit(&a);
	return err_wrapf(err, "--base");
}

struct err *series_bases(struct series *s)
{
	for (size_t i = 0; i < s->o.nbases; i++)
		TRY(is_elf(s->o.bases[i]) ?
			    add_core(s, s->o.bases[i]) :
			    growth_base_json(&s->set, s->o.bases[i], s->o.acquire->force));
	return NULL;
}

/* ------------------------------------------------------------------ the series */

void series_begin(struct series *s)
{
	s->began = clock_now_ns();
}

/* Until the next capture is due; *more false: the user has asked to end. */
static struct err *wait_for_next(struct series *s, bool *more)
{
	int64_t due = s->began + (int64_t)s->o.every_ns;

	for (;;) {
		struct pollfd p[2] = { { .fd = intr_fd(), .events = POLLIN },
				       { .fd = intr_held_fd(), .events = POLLIN } };
		int64_t left = due - clock_now_ns(), ms = (left + 999999) / 1000000;

		TRY(intr_check());
		*more = !intr_held();
		if (!*more || left <= 0)
			return NULL;
		if (poll(p, 2, ms > INT32_MAX ? INT32_MAX : (int)ms) < 0 && errno != EINTR)
			return err_os(errno, "poll");
	}
}

static void say_next(const struct series *s, const struct report *r)
{
	const struct acquire_options *o = s->o.acquire;
	int64_t left = s->began + (int64_t)s->o.every_ns - clock_now_ns();

	if (o->say)
		o->say(o->arg,
		       "capture %u of %u: live %.1f MB; the next one in %.0f s, "
		       "^C ends here",
		       s->taken, s->o.times, (double)r->live_bytes / 1e6,
		       left > 0 ? (double)left / 1e9 : 0);
}

static struct err *again(struct acquire *a, struct profile *p, struct report *r)
{
	profile_deinit(p);
	report_deinit(r);
	*r = (struct report){ 0 };
	acquire_release(a);
	return profile_init(p);
}

struct err *series_next(struct series *s, struct acquire *a, struct profile *p, struct report *r,
			bool *more)
{
	TRY(growth_set_add(&s->set, p, r, NULL, s->o.acquire->force));
	s->taken++;
	*more = s->o.every_ns && s->taken < s->o.times && !intr_held();
	if (*more) {
		say_next(s, r);
		TRY(wait_for_next(s, more));
	}
	if (*more)
		return again(a, p, r);
	TRY(intr_hold(false));
	r->growth.interrupted = s->o.every_ns && s->taken < s->o.times;
	if (s->set.captures.n < 2)
		TRY(report_note(r, "there is one capture only, and nothing to compare it with"));
	return growth_make(&s->set, r);
}

struct err *series_rest(struct series *s, struct report *r)
{
	return s->set.captures.n < 2 ? NULL : growth_make(&s->set, r);
}
