/*
 * What grew between captures of one process: paths of the folded tree, types, groups of goroutines,
 * memory outside Go's heap.  docs/GROWTH.md has the rules.
 *
 * Every row has a value for each capture, the oldest first, the run's own last.
 */
#ifndef GRF_HEAP_PROFILE_GROWTH_H
#define GRF_HEAP_PROFILE_GROWTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/vec.h"
#include "heap/profile/account.h"
#include "heap/profile/code_lines.h"

/* How it grew, in the order in which rows are told. */
enum growth_way {
	GROWTH_EVERY,    /* in every interval */
	GROWTH_STEPS,    /* in several intervals, and it never shrank */
	GROWTH_APPEARED, /* not in the first capture, and it has not shrunk since it came */
	GROWTH_NONE,     /* it did not grow, or comes and goes: not told */
};
/* "every", "steps", "appeared", "none" */
const char *growth_way_name(enum growth_way way);

/* What is said of a capture as a whole. */
struct growth_capture {
	const char *source; /* --base's file; NULL: captured by this run */
	int64_t time_ns;    /* since 1970; 0: unknown */
	struct amount live, unreachable;
	uint64_t goroutines, stack_bytes;
	bool leaked_known;
	uint64_t leaked;     /* goroutines */
	uint64_t stopped_ns; /* 0: a core */
	bool outside_known;
	bool anonymous_known; /* apart from what the runtime has of the system */
	uint64_t rss, c_heap, anonymous, files;
};

VEC_NAMED(growth_captures, struct growth_capture);

/* From the first capture to the last. */
struct growth_sum {
	enum growth_way way;
	int64_t bytes, objects;  /* of goroutines: objects are these */
	double bytes_per_minute; /* 0: the time between is not known */
	double share;            /* of all growth, from 0 to 1 */
};

/* Objects of one type that a path's growth is made of. */
struct growth_part {
	const char *type;
	int64_t bytes, objects;
};

/* A place of the tree, with all that hangs below it. */
struct growth_path {
	const char *const *path; /* frames, root first: of the report's difference */
	uint32_t npath;
	struct growth_sum sum;
	const struct amount *at; /* by capture */
	bool used;               /* of a map or a slice: what is in it, not what it has room for */
	/* what the growth is made of, most first */
	const struct growth_part *parts;
	uint32_t nparts;
	struct code_line source; /* of a path that begins with a function; function NULL: none */
};

VEC_NAMED(growth_paths, struct growth_path);

struct growth_type {
	const char *type;
	struct growth_sum sum;
	const struct amount *at;
};

VEC_NAMED(growth_types, struct growth_type);

/* Goroutines in one function of the program, made at one place, in whatever state. */
struct growth_group {
	const char *function;
	struct code_line source;     /* where in it they are; function NULL: not known */
	struct code_line created_by; /* function NULL: nobody, or not known */
	struct growth_sum sum;       /* bytes: what they alone keep, with their stacks */
	const struct amount *at;     /* objects: how many they are */
	uint64_t leaked;             /* in the last capture: nothing can wake them */
};

VEC_NAMED(growth_groups, struct growth_group);

/* Memory that is not Go's heap, by what it is: "C heap". */
struct growth_other {
	const char *what;
	struct growth_sum sum;
	const struct amount *at; /* objects: 0 */
};

VEC_NAMED(growth_others, struct growth_other);

struct growth {
	bool made;
	bool interrupted; /* the series was ended before its time */
	struct growth_captures captures;
	uint64_t ns;    /* from the first to the last; 0: unknown */
	int64_t live;   /* growth of live bytes; less than nothing: they shrank */
	uint64_t whole; /* what shares are of */
	/* by way, of these the fastest first */
	struct growth_paths paths;
	struct growth_types types;
	struct growth_groups goroutines;
	struct growth_others outside;
	struct amount
		small; /* growth in every interval of what is too small to be told; objects: how
			      * many paths */
	struct arena arena;
};

void growth_deinit(struct growth *g);

#endif
