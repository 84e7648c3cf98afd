/*
 * At most all anonymous memory of the process is read, and most likely half of it: objects without
 * pointers, free spans and what C has are not (docs/PERFORMANCE.md: a fourth of a service's heap
 * that is two thirds []byte).  How fast it comes is gdbserver's rate, or the link's, where EXE was
 * fetched through it: memory comes as hex digits, two for a byte.
 */
#include "heap/acquire/forecast.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "rsp/rsp.h"
#include "target/process_start.h"

enum {
	RATE = 100000000,    /* bytes a second: gdbserver 13's on one core */
	RATE_FROM = 4 << 20, /* bytes of EXE that tell the link's rate */
	MOST_MORE = 1 << 30,
	LIMIT_FORECASTS = 3,
	LIMIT_S = 3600,
	LIMIT_LATE_S = 2,
};

/* ------------------------------------------------------------------ before the stop */

static uint64_t rate_of(const struct acquire *a)
{
	uint64_t link;

	if (a->fetched_bytes < RATE_FROM || !a->fetch_ns)
		return RATE;
	link = (uint64_t)((double)a->fetched_bytes * 1e9 / 2 / (double)a->fetch_ns);
	return link < RATE ? link + 1 : RATE;
}

/* RssAnon is there since Linux 4.5; before it there is only what includes mapped files. */
static uint64_t anonymous_bytes(const char *status)
{
	const char *s = text_field(status, "RssAnon:");

	s = s ? s : text_field(status, "VmRSS:");
	return s ? strtoull(s, NULL, 10) * 1024 : 0;
}

/* All that is mapped, twice, since it may grow until it is read. */
static void note_most(struct acquire *a, const char *status)
{
	const char *s = text_field(status, "VmSize:");
	uint64_t kb = s ? strtoull(s, NULL, 10) : 0;

	if (!kb || kb > INT64_MAX / 4096)
		return;
	a->most = 2048 * kb + MOST_MORE;
	snprintf(a->most_why, sizeof(a->most_why), "the process has %.1f GB (VmSize)",
		 (double)kb * 1024 / 1e9);
}

struct err *forecast_make(struct acquire *a, struct rsp *rsp, uint64_t pid)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct report *r = a->report;
	bool found = false;

	if (pid && rsp_features(rsp)->vfile)
		TRY(rsp_file_text(rsp, &text, &found, "/proc/%" PRIu64 "/status", pid));
	if (found)
		note_most(a, (const char *)text.data);
	r->forecast_bytes = found ? anonymous_bytes((const char *)text.data) : 0;
	if (r->forecast_bytes > INT64_MAX / 1000) /* it makes no sense */
		r->forecast_bytes = 0;
	r->forecast_rate = rate_of(a);
	r->forecast_most_ns =
		(uint64_t)((double)r->forecast_bytes * 1e9 / (double)r->forecast_rate);
	r->forecast_ns = r->forecast_most_ns / 2;
	if (!r->forecast_bytes)
		return NULL;
	if (a->o.say)
		a->o.say(a->o.arg, "forecast: %.1f s, at most %.1f s, to read %.0f MB at %.0f MB/s",
			 (double)r->forecast_ns / 1e9, (double)r->forecast_most_ns / 1e9,
			 (double)r->forecast_bytes / 1e6, (double)r->forecast_rate / 1e6);
	return report_detail(r,
			     "forecast: %.3f s, at most %.3f s, for %.1f MB of anonymous memory at "
			     "%.1f MB/s",
			     (double)r->forecast_ns / 1e9, (double)r->forecast_most_ns / 1e9,
			     (double)r->forecast_bytes / 1e6, (double)r->forecast_rate / 1e6);
}

/*
 * A stop for which nobody said how long it may be is meant to be over long before: the limit is
 * three times what the forecast has at most, and an hour for whatever the stub says of the process.
 */
static uint64_t default_limit(const struct acquire *a)
{
	uint64_t ns = rsp_first_stop_limit(a->o.timeout_ms),
		 likely = a->report->forecast_most_ns / 1000 * LIMIT_FORECASTS * 1000;

	if (likely > LIMIT_S * 1000000000ull)
		likely = LIMIT_S * 1000000000ull;
	return ns < likely ? likely : ns;
}

void forecast_limit(const struct acquire *a, struct rsp *rsp)
{
	/* Of its own limit the image says more, if it can. */
	uint64_t ns = a->o.max_stop_ns ? a->o.max_stop_ns + LIMIT_LATE_S * 1000000000ull :
					 default_limit(a);
	char text[200];

	snprintf(text, sizeof(text),
		 "the process was stopped for %.0f s, and let go before it was read: --max-stop S "
		 "gives it longer, --fork stops it for a moment only",
		 (double)ns / 1e9);
	rsp_set_stop_limit(rsp, ns, text);
}

void forecast_choose(struct acquire *a, struct rsp *rsp)
{
	uint64_t allowed = FORECAST_FORK_MS * 1000000ull;

	if (a->o.fork != FORK_DEFAULT || a->o.until || !rsp_features(rsp)->extended)
		return;
	if (a->o.max_stop_ns && a->o.max_stop_ns < allowed)
		allowed = a->o.max_stop_ns;
	if (a->report->forecast_most_ns > allowed)
		a->o.fork = FORK_LONG;
}

/* Without --max-stop: it would be let go before all is read. */
static struct err *refuse_hopeless(const struct acquire *a)
{
	const struct report *r = a->report;

	if (r->forecast_ns <= default_limit(a))
		return NULL;
	return err_create(ERR_LIMIT,
			  "reading %.0f MB at %.1f MB/s would stop the process for %.1f hours most "
			  "likely: --max-stop SECONDS says that it may; --fork reads a copy",
			  (double)r->forecast_bytes / 1e6, (double)r->forecast_rate / 1e6,
			  (double)r->forecast_ns / 3600e9);
}

struct err *forecast_refuse(const struct acquire *a)
{
	const struct report *r = a->report;

	if (a->fork)
		return NULL;
	if (!a->o.max_stop_ns)
		return refuse_hopeless(a);
	if (r->forecast_ns <= a->o.max_stop_ns)
		return NULL;
	return err_create(
		ERR_LIMIT,
		"--max-stop: reading %.0f MB at %.0f MB/s would stop the process for %.1f s "
		"most likely, not %.1f s; %s",
		(double)r->forecast_bytes / 1e6, (double)r->forecast_rate / 1e6,
		(double)r->forecast_ns / 1e9, (double)a->o.max_stop_ns / 1e9,
		a->o.fork == FORK_NO ? "leave --fork=no out to have it forked" :
				       "--fork says why it cannot be forked");
}

/* ------------------------------------------------------------------ after it */

/* In nanoseconds since the machine's start; 0: unknown. */
static struct err *start_time(struct rsp *rsp, uint64_t pid, uint64_t *ret)
{
	TRY(process_start(rsp, pid, ret));
	*ret *= 1000000000ull / TICKS_PER_SECOND;
	return NULL;
}

static struct err *held_before(struct acquire *a, int64_t connected_ns)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	uint64_t stub, process, now;
	bool found;

	if (a->o.pid || a->guest || !rsp_features(a->rsp)->extended ||
	    !rsp_features(a->rsp)->vfile || !rsp_pid(a->rsp))
		return NULL;
	TRY(start_time(a->rsp, 0, &stub));
	TRY(start_time(a->rsp, rsp_pid(a->rsp), &process));
	/* Started by the stub itself, it had not run before. */
	if (!stub || !process || process >= stub)
		return NULL;
	a->report->held_before = true;
	TRY(rsp_file_text(a->rsp, &text, &found, "/proc/uptime"));
	now = found ? (uint64_t)(strtod((const char *)text.data, NULL) * 1e9) : 0;
	now -= (uint64_t)(clock_now_ns() - connected_ns);
	if (found && now > stub && now - stub < INT64_MAX)
		a->report->held_before_ns = now - stub;
	return NULL;
}

struct err *forecast_held_before(struct acquire *a, int64_t connected_ns)
{
	struct err *err = held_before(a, connected_ns);

	if (err_is(err, ERR_INTR) || err_is(err, ERR_NOMEM))
		return err;
	/* All is done that needs the stub: one that is gone by now is no loss. */
	err_destroy(err);
	return NULL;
}
