/*
 * Writes an image as a core file.  It is sparse: it has what was captured and nothing else.  gdb,
 * delve and target/core.c read it.
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
	/* Sees what is written, piece by piece, and may change it.  NULL: none. */
	struct err *(*filter)(void *arg, uint64_t addr, uint8_t *b, uint64_t len);
	void *arg;
};

/* Writes it from where f is on; zeros become holes if f is at the begin of a file that can be
 * sought in.  ERR_OS; ERR_UNSUPPORTED: a machine whose registers have no known place in a core. */
ERR_MUST_CHECK struct err *core_write(FILE *f, const struct core_contents *c);

#endif
