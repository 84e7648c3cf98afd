/*
 * A core file as a target: gcore's, the kernel's, QEMU's, or one of ours.  Nothing of it is read
 * before it is asked for.
 *
 * A core may be partial (coredump_filter leaves pages out that are as in their file) or cut.
 */
#ifndef GRF_TARGET_CORE_H
#define GRF_TARGET_CORE_H

#include "base/err.h"
#include "target/elf.h"
#include "target/target.h"

struct core;

/* Does TARGET of the command line name a file?  Then it is meant as a core, whatever it holds. */
bool core_is_file(const char *target);

/* ERR_BADDATA: the file is no core (the message says what it is, also if it is compressed, and what
 * to do), or one too damaged to be read. */
ERR_MUST_CHECK struct err *core_open(const char *path, struct core **ret);
void core_destroy(struct core *c);

/* What the core says of itself. */
struct core_info {
	const char *exe;  /* the program's path, by NT_FILE; NULL: unknown */
	uint64_t pid;     /* 0: unknown */
	int64_t time_ns;  /* when it was captured, or else written */
	uint64_t mono_ns; /* the same by CLOCK_MONOTONIC there; 0: unknown */
	bool ours;        /* written by -o FILE.core */
	bool full;        /* and that with --full */
};
struct core_info core_info(const struct core *c);

/* Bytes that the program headers promise, and that would lie behind the file's end; *at: the first
 * such address. */
uint64_t core_cut(const struct core *c, uint64_t *at);
/* Of the bytes read so far, those of EXE's variables that were taken from EXE, since the core has
 * none of their pages. */
uint64_t core_from_exe(const struct core *c);

/* The core as a target, which borrows it.  ERR_BADDATA: it is of another architecture. */
ERR_MUST_CHECK struct err *core_target(struct core *c, const struct arch *arch,
				       struct target **ret);
/* Pages that the core left out come from exe, which is borrowed; bias: its place. */
void core_set_exe(struct core *c, const struct elf *exe, uint64_t bias);

/* All memory that the core holds, sorted. */
ERR_MUST_CHECK struct err *core_ranges(const struct core *c, struct ranges *ret);

#endif
