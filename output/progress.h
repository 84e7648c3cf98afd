/* Progress on a terminal: one line, which is written over. */
#ifndef GRF_OUTPUT_PROGRESS_H
#define GRF_OUTPUT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct progress {
	bool on;
	uint64_t start_ns, last_ns;
	const char *phase;
	bool ending; /* it was said that ^C ends the series */
};

/* As struct acquire_options has them; arg: a struct progress. */
void progress_line(void *arg, const char *phase, double done, double total, const char *unit);
void progress_say(void *arg, const char *fmt, ...) ERR_PRINTF(2, 3);

void progress_clear(struct progress *p);

#endif
