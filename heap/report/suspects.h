/* How suspects are found; their shape is in heap/profile/graph_report.h, the rules in
 * docs/VERDICTS.md. */
#ifndef GRF_HEAP_REPORT_SUSPECTS_H
#define GRF_HEAP_REPORT_SUSPECTS_H

#include "heap/profile/profile.h"

/* Fills r->graph.suspects from r->owners, whole, and from the account and the goroutines' report.
 * */
ERR_MUST_CHECK struct err *suspects_make(struct report *r);

/* Adds what the groups of goroutines say (suspect_goroutines.c). */
ERR_MUST_CHECK struct err *suspects_of_goroutines(struct report *r);

#endif
