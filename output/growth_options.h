/* The command line's part about growth: --base, --every, --times, --limit. */
#ifndef GRF_OUTPUT_GROWTH_OPTIONS_H
#define GRF_OUTPUT_GROWTH_OPTIONS_H

#include "base/err.h"
#include "base/vec.h"
#include "heap/acquire/series.h"
#include "output/limits.h"

struct growth_options {
	VEC(const char *) bases;
	uint64_t every_ns; /* 0: one capture */
	unsigned times;    /* 0: not said */
	struct limits limits;
};

void growth_options_deinit(struct growth_options *g);

/* "30s", "500ms", "5m", "1h"; a number alone is of seconds. */
ERR_MUST_CHECK struct err *growth_parse_every(const char *s, struct growth_options *g);

/* Whether they go together, and with the others; what they need of these is switched on. */
ERR_MUST_CHECK struct err *growth_options_check(struct growth_options *g,
						struct acquire_options *acquire,
						struct analyse_options *analyse, bool save_only);

#endif
