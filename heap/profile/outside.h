/*
 * The process's resident memory by what it is, Go's and other, and which live bytes are not
 * resident.  Source: /proc/PID/smaps and pagemap of the process's machine (Linux,
 * Documentation/filesystems/proc.rst).
 */
#ifndef GRF_HEAP_PROFILE_OUTSIDE_H
#define GRF_HEAP_PROFILE_OUTSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"

/* Pages that have no memory behind them. */
struct absent_pages {
	uint64_t addr, n;
	uint8_t *bits; /* a bit a page of ABSENT_PAGE bytes */
};

enum { ABSENT_PAGE = 4096 };

/* A mapping of Go's arenas. */
struct go_mapping {
	uint64_t start, end, rss;
	uint64_t live; /* bytes */
};

struct outside {
	bool known;
	bool core; /* of a core file: what it holds; that is not told apart, and may be absent */
	/* resident bytes; the parts add up to rss */
	uint64_t rss;
	uint64_t heap;      /* Go's arenas */
	uint64_t runtime;   /* anonymous, as much as the runtime has of the system beside these */
	uint64_t c_heap;    /* the C library's: [heap], and its threads' arenas */
	uint64_t anonymous; /* all other: mmap, and the C library's large blocks */
	uint64_t files;     /* mapped: executables, libraries, data */
	uint64_t stacks;    /* the first thread's */
	uint64_t other;
	uint64_t huge; /* of all: in huge pages */

	VEC(struct go_mapping) arenas;   /* by address */
	bool absent_known;               /* page by page; else live_absent is a lower bound */
	VEC(struct absent_pages) absent; /* by address */
	uint64_t live_absent;            /* live bytes on such pages */
	char *absent_root;               /* whose they are for the most part; NULL: not known */
	uint64_t absent_root_bytes;
};

void outside_deinit(struct outside *o);

#endif
