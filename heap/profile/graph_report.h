/*
 * What the graph of live objects says beside the profile: what each root alone keeps, types, and
 * the suspects.  docs/VERDICTS.md has the rules.
 *
 * The retained size of a thing is what would be free without it.
 */
#ifndef GRF_HEAP_PROFILE_GRAPH_REPORT_H
#define GRF_HEAP_PROFILE_GRAPH_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/vec.h"
#include "heap/profile/account.h"
#include "heap/profile/goroutine_report.h"

/* All objects of one type; "[]T" and "map[K]V" are what slices and maps are made of. */
struct type_row {
	const char *name; /* "[unknown]": of those that nothing is known of */
	struct amount own;
	uint64_t retained; /* by those that no other object of the type dominates */
};

VEC_NAMED(type_rows, struct type_row);

enum suspect_kind {
	SUSPECT_VARIABLE,   /* a package variable, or another root that is no goroutine's */
	SUSPECT_LOCAL,      /* a local of a function that goroutines are in */
	SUSPECT_GOROUTINES, /* goroutines themselves */
	SUSPECT_LEAKED,     /* goroutines that nothing can wake, and no suspect above says so */
	SUSPECT_GARBAGE,
	SUSPECT_HOLES,      /* free slots in spans that are in use */
	SUSPECT_FINALIZERS, /* finalizers or cleanups that are due, and do not run */
	SUSPECT_OUTSIDE,    /* memory that is not Go's */
};

struct suspect {
	enum suspect_kind kind;
	const char *what;        /* the root's name, or a word for what is no root */
	const char *const *path; /* frames, root first, down to what holds the many */
	uint32_t npath;
	uint64_t retained; /* bytes, of live ones where it is a root */
	uint64_t alone;    /* of them the root alone keeps */
	uint64_t whole;    /* what the share is of: live bytes, or all memory of the process */
	/* what there are many of, or the one that is large; count 0: nothing to say */
	struct {
		const char *frame; /* as in the path: "[]. (*main.Session)" */
		const char *type;
		uint64_t count, bytes;
	} at;
	uint64_t stack_bytes; /* of goroutines: beside the heap */
	uint64_t leaked;      /* goroutines of it that nothing can wake */
	/* where the function is that goroutines wait in, and where they were made; function NULL:
	 * not known, or no goroutine's */
	struct code_line source, created_by;
	uint64_t absent; /* of retained: not in memory, never written to or in swap */
};

VEC_NAMED(suspects, struct suspect);

struct graph_report {
	bool made;
	struct map64 alone;     /* profile_root_name() -> bytes that this root's name alone keeps */
	struct type_rows types; /* most retained first */
	struct suspects suspects; /* the worst first */
	struct arena arena;
};

void graph_report_deinit(struct graph_report *r);

#endif
