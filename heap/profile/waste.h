/*
 * Memory that live objects take and do not use: buffers that small slices and strings pin, slices'
 * unused capacity, maps with room for many more.  docs/VERDICTS.md has the rules.
 */
#ifndef GRF_HEAP_PROFILE_WASTE_H
#define GRF_HEAP_PROFILE_WASTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/vec.h"

/* All of one place in the program: a path of the profile. */
struct waste_row {
	const char *const
		*path; /* frames, root first: the variable, and the field that holds them */
	uint32_t npath;
	uint64_t count;   /* buffers, slices, maps */
	uint64_t entries; /* of maps */
	uint64_t bytes, wasted;
};

VEC_NAMED(waste_rows, struct waste_row);

struct waste_report {
	bool made;
	struct waste_rows pinned, slack, maps; /* most wasted first, the first of them only */
	uint64_t pinned_bytes, slack_bytes, maps_bytes; /* wasted, of all */
	/* of live bytes: objects of WASTE_LEAST bytes or more, and those of them of which it is
	 * known how much is used */
	uint64_t large_bytes, measured_bytes;
	struct arena arena;
};

enum {
	WASTE_LEAST = 256,
	WASTE_ROWS = 50,           /* the most of a kind that are told */
	WASTE_ROW_LEAST = 4 << 10, /* wasted bytes of a row */
};

void waste_report_deinit(struct waste_report *r);

#endif
