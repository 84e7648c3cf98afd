/*
 * What the output formats share.  Not for use outside output/.
 */
#ifndef GRF_OUTPUT_INTERNAL_H
#define GRF_OUTPUT_INTERNAL_H

#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "heap/profile/objects.h"
#include "heap/profile/profile.h"

/* Nodes that are written between two looks whether a signal asks to stop. */
enum { NODES_PER_CHECK = 4096 };

/* The formats.  They write to f and leave it open: a full disk is an error here, or when the caller
 * closes f. */
ERR_MUST_CHECK struct err *folded_write(FILE *f, const struct profile *p);
ERR_MUST_CHECK struct err *html_write(FILE *f, const struct profile *p, const struct report *r);
ERR_MUST_CHECK struct err *json_write(FILE *f, const struct profile *p, const struct report *r);
/* Adds the members of JSON's object but for the tree. */
struct json;
ERR_MUST_CHECK struct err *json_add_report(struct json *j, const struct profile *p,
					   const struct report *r);
ERR_MUST_CHECK struct err *pprof_write(FILE *f, const struct profile *p, const struct report *r);
ERR_MUST_CHECK struct err *hprof_write(FILE *f, bool gzip, const struct objects *o,
				       const struct report *r);
ERR_MUST_CHECK struct err *heapsnapshot_write(FILE *f, const struct objects *o);
/* Of a *.sqlite, at the path of an empty file. */
ERR_MUST_CHECK struct err *sqlite_write(const char *path, const struct objects *o,
					const struct profile *p, const struct report *r);
bool sqlite_is_built(void);
/* "SQLite 3.40.1", "no SQLite" */
const char *sqlite_version(void);
ERR_MUST_CHECK struct err *prom_write(FILE *f, const struct profile *p, const struct report *r);

/* JSON's part about growth (output/json_growth.c). */
ERR_MUST_CHECK struct err *json_add_growth(struct json *j, const struct report *r);

/*
 * Adds a string that came from the target, made safe for terminals and for readers that insist on
 * UTF-8: control characters and bytes that are no UTF-8 become '?'.  With `folded`, characters that
 * mean something in that format are changed too: ';' becomes ':', a line break ' '.
 */
ERR_MUST_CHECK struct err *text_add_clean(struct buf *b, const char *s, bool folded);

/* Adds "live 95.4 MiB (100034560 bytes, 1204331 objects) + unreachable ...": one line, without its
 * newline. */
ERR_MUST_CHECK struct err *text_add_coverage(struct buf *b, const struct report *r);
/* The same for a screen: with its label, as lines. */
ERR_MUST_CHECK struct err *text_add_coverage_short(struct buf *b, const struct report *r);

/* Add the account (heap/profile/account.h): for people, and in two lines for scripts
 * (docs/OUTPUT.md). */
ERR_MUST_CHECK struct err *memory_add(struct buf *b, const struct report *r);
/* Adds memory that is not Go's, and live memory that is not there. */
ERR_MUST_CHECK struct err *outside_add(struct buf *b, const struct report *r);
/* The same in a line or two. */
ERR_MUST_CHECK struct err *memory_add_short(struct buf *b, const struct report *r);
ERR_MUST_CHECK struct err *memory_add_memstats(struct buf *b, const struct account *a);

/* Add the groups of --goroutines, with `all` however many there are, and what holds up
 * finalizers. */
ERR_MUST_CHECK struct err *goroutines_add(struct buf *b, const struct goroutine_report *r,
					  bool all);
ERR_MUST_CHECK struct err *finalizers_add(struct buf *b, const struct report *r);

/* Adds what grew between captures, where there are several; with `all` all rows, and types. */
ERR_MUST_CHECK struct err *growth_add(struct buf *b, const struct report *r, bool all);

/* Adds what live objects do not use, where it was measured: the largest, or with `all` all rows. */
ERR_MUST_CHECK struct err *waste_add(struct buf *b, const struct report *r, bool all);
/* As text_add_clean(), of a function or a variable, with its package's name in the place of the
 * import path: a screen has no room for that. */
ERR_MUST_CHECK struct err *text_add_short(struct buf *b, const char *name);
/* Adds " (server/main.go:57)"; nothing where the place is not known. */
ERR_MUST_CHECK struct err *text_add_place(struct buf *b, const struct code_line *at);
/* Adds the steps of a path as words: "main.sessions > byID > values". */
ERR_MUST_CHECK struct err *text_add_path(struct buf *b, const char *const *frames, uint32_t n);

/* Adds the ways of --why; with `all` all that are known, and examples. */
ERR_MUST_CHECK struct err *why_add(struct buf *b, const struct report *r, bool all);

/* Add the suspects, and who keeps what as a small tree; where there is a graph of objects. */
ERR_MUST_CHECK struct err *verdict_add(struct buf *b, const struct report *r);
/* Adds what is said of one of the suspects: lines, the first of which is its headline. */
ERR_MUST_CHECK struct err *verdict_add_suspect(struct buf *b, const struct report *r, size_t i);
ERR_MUST_CHECK struct err *owners_add(struct buf *b, const struct report *r);

/* Adds the line about the stop, or about the core file, and all that a terminal shows. */
ERR_MUST_CHECK struct err *summary_add_stop(struct buf *b, const struct report *r);
ERR_MUST_CHECK struct err *summary_add(struct buf *b, const struct profile *p,
				       const struct report *r);

/* Adds the text with its long lines broken at blanks; what follows begins where the line's words
 * did. */
ERR_MUST_CHECK struct err *text_add_wrapped(struct buf *b, const char *text);

/* "812 bytes", "95.4 MiB" */
#define TEXT_BYTES_SIZE 24
const char *text_bytes(uint64_t n, char out[TEXT_BYTES_SIZE]);

/* "1,204,331" */
#define TEXT_COUNT_SIZE 28
const char *text_count(uint64_t n, char out[TEXT_COUNT_SIZE]);

/* "850 us", "412 ms", "38.2 s" */
#define TEXT_TIME_SIZE 24
const char *text_time(uint64_t ns, char out[TEXT_TIME_SIZE]);

#endif
