/* Captures for growth that are files of ours. */
#ifndef GRF_HEAP_REPORT_GROWTH_BASE_H
#define GRF_HEAP_REPORT_GROWTH_BASE_H

#include "heap/report/growth_set.h"

/*
 * Adds a *.json as the next capture.  Errors: ERR_BADDATA: it is none of ours, or damaged;
 * ERR_VERSION: of a later schema; those of growth_set_begin().
 */
ERR_MUST_CHECK struct err *growth_base_json(struct growth_set *s, const char *path,
					    bool any_process);

#endif
