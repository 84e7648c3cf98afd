/*
 * --limit NAME=MOST: what an alarm or a test asks of a process.  docs/GROWTH.md has the names.
 */
#ifndef GRF_OUTPUT_LIMITS_H
#define GRF_OUTPUT_LIMITS_H

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"
#include "base/vec.h"
#include "heap/profile/profile.h"

struct limit {
	const struct limit_kind *kind;
	const char *text; /* as given; borrowed */
	double most;      /* bytes, bytes a minute, or a number */
};

struct limits {
	VEC(struct limit) v;
};

void limits_deinit(struct limits *l);

/* text: "live=2G"; borrowed.  ERR_USAGE: there is no such limit. */
ERR_MUST_CHECK struct err *limits_add(struct limits *l, const char *text);

/* What has to be looked at for them. */
struct limits_need {
	bool growth, goroutines, outside;
	const char *growth_text; /* the limit that is about growth */
};
struct limits_need limits_need(const struct limits *l);

/* Writes a line for each that is exceeded to f.  ERR_UNSUPPORTED: one of them is about what is not
 * known here. */
ERR_MUST_CHECK struct err *limits_check(const struct limits *l, const struct report *r, FILE *f,
					bool *exceeded);

#endif
