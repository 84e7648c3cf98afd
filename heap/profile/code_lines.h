/*
 * Where the functions are that frames of a profile name: closures, calls, what goroutines are in
 * and have locals of.  Of other frames (fields, elements, package variables) nothing is known.
 */
#ifndef GRF_HEAP_PROFILE_CODE_LINES_H
#define GRF_HEAP_PROFILE_CODE_LINES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/vec.h"

/* A place in the source, as the function tables have it. */
struct code_line {
	const char *function;
	const char *file; /* NULL: unknown */
	uint32_t line;    /* 0: unknown */
};

/* The line's strings are borrowed from the module. */
struct code_line_of {
	const char *frame;
	struct code_line at;
};

struct code_lines {
	struct map64 index; /* hash of a frame -> index in v */
	VEC(struct code_line_of) v;
	struct arena arena;
};

/* Whether the frame names the function, or a local of it: "main.f", "main.f.x". */
bool code_line_is_of(const char *function, const char *frame);

/* Does nothing if the frame has a line. */
ERR_MUST_CHECK struct err *code_lines_add(struct code_lines *l, const char *frame,
					  struct code_line at);
/* NULL: not known. */
const struct code_line *code_lines_find(const struct code_lines *l, const char *frame);
void code_lines_deinit(struct code_lines *l);

#endif
