/*
 * How far a phase is, ten times a second at most, with its rate and the time left; and lines that
 * are of interest before the process is stopped.
 */
#include "output/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/intr.h"
#include "output/output.h"

/* A line before the process is stopped. */
void progress_say(void *arg, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	progress_clear(arg);
	output_line(stderr, "", text);
	free(text);
}

/* Shows how far a phase is in one line, ten times a second at most: rate and time left, too. */
void progress_line(void *arg, const char *phase, double done, double total, const char *unit)
{
	struct progress *p = arg;
	uint64_t now = clock_now_ns();
	double s, rate;

	if (intr_held() && !p->ending)
		progress_say(p, "the series ends with this capture; ^C once more: at once");
	p->ending = intr_held();
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

void progress_clear(struct progress *p)
{
	if (p->on)
		fputs("\r\033[K", stderr);
}
