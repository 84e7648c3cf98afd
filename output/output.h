/*
 * Output files, chosen by name: *.folded (FlameGraph's collapsed stacks, bytes), *.txt (the
 * summary), *.json (all that is known), *.html (the same as a page to look at), *.core (what was
 * captured, as a core file), *.prom (for Prometheus), *.sqlite (all objects, as tables),
 * *.heapsnapshot (the same for V8's viewers), *.hprof and *.hprof.gz (for Java's), everything else
 * pprof (gzipped profile.proto).
 *
 * output_open() makes the temporary file beside the final one, so that a path that cannot be
 * written shows before the target is stopped.  output_write() fills and renames it, whole or not at
 * all; "-" is standard output, as a profile.  output_destroy() removes a file that was not renamed.
 */
#ifndef GRF_OUTPUT_OUTPUT_H
#define GRF_OUTPUT_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"
#include "heap/profile/objects.h"
#include "heap/profile/profile.h"

struct output;

enum output_kind {
	OUTPUT_PPROF,
	OUTPUT_FOLDED,
	OUTPUT_TEXT,
	OUTPUT_JSON,
	OUTPUT_HTML,
	OUTPUT_CORE,
	OUTPUT_PROM,
	OUTPUT_SQLITE,
	OUTPUT_HEAPSNAPSHOT,
	OUTPUT_HPROF,
};
enum output_kind output_kind(const char *path);
bool output_is_stdout(const char *path);

ERR_MUST_CHECK struct err *output_open(const char *path, struct output **ret);
ERR_MUST_CHECK struct err *output_write(struct output *o, const struct profile *p,
					const struct report *r);
/* The folder where it gets its name, malloc'd; NULL: it is no file of its own. */
char *output_folder(const struct output *o);
/* The folder where it makes temporary files while it is written; NULL: it makes none. */
const char *output_temp_folder(const struct output *o);
/* Whether it hands on all objects: output_write_objects() writes it then. */
bool output_wants_objects(enum output_kind kind);
ERR_MUST_CHECK struct err *output_write_objects(struct output *o, const struct objects *objects,
						const struct profile *p, const struct report *r);
/* As output_write(), with what the caller writes: a *.core. */
ERR_MUST_CHECK struct err *output_fill(struct output *o, struct err *(*write)(void *arg, FILE *f),
				       void *arg);
void output_destroy(struct output *o); /* NULL is fine */

/* One line on a terminal, which a stub, a file or a process may have had a part in. */
void output_line(FILE *f, const char *start, const char *text);

/* The terminal's summary; also the contents of *.txt.  The line with the next command names
 * profile_path; with NULL there is no such line. */
ERR_MUST_CHECK struct err *output_summary(FILE *f, const struct profile *p, const struct report *r,
					  const char *profile_path, bool verbose);

/* What grew, alone: when there is no summary. */
ERR_MUST_CHECK struct err *output_growth(FILE *f, const struct report *r);

/* What is printed with --save-only: the files that were written, and the stop. */
ERR_MUST_CHECK struct err *output_saved(FILE *f, const struct report *r, const char *const *paths,
					size_t n);

/* A stream keeps no reason: the errno that its descriptor gives to one byte more. */
int output_why_failed(int fd);

#endif
