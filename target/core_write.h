/*
 * An image as a core file: sparse, with what was captured and nothing else, so that gdb and delve
 * read it, and target/core.c.
 */
#ifndef GRF_TARGET_CORE_WRITE_H
#define GRF_TARGET_CORE_WRITE_H

#include <stdio.h>

#include "base/err.h"
#include "target/target.h"

struct core_file { /* a part of a file that the process has mapped */
	uint64_t start, end, off;
	const char *path;
};

struct core_contents {
	const struct arch *arch;
	const struct threads *threads;
	const struct buf *auxv; /* NULL: unknown */
	const char *exe;
	uint64_t pid;
	int64_t time_ns;  /* of the capture */
	uint64_t mono_ns; /* the same by CLOCK_MONOTONIC; 0: unknown */
	bool scrubbed, full;
	const struct core_file *files;
	size_t nfiles;
	const struct image *img;
	const struct ranges *ranges; /* sorted, apart, all of them in img */
	/* Looks through what is written, and may change it.  NULL: none. */
	struct err *(*filter)(void *arg, uint64_t addr, uint8_t *b, uint64_t len);
	void *arg;
};

/* To where f is; where that can be sought in, zeros become holes.  ERR_OS; ERR_UNSUPPORTED: a
 * machine whose registers have no place in a core. */
ERR_MUST_CHECK struct err *core_write(FILE *f, const struct core_contents *c);

#endif
