/*
 * Objects that are only known by pointers to one of their fields (&m.index): what struct it is that
 * has such a field there.
 */
#ifndef GRF_HEAP_MARK_INTERIOR_H
#define GRF_HEAP_MARK_INTERIOR_H

#include "heap/mark/mark.h"

/* Gives such objects the place of that struct, where it is the only one that fits the slot and
 * explains all its pointers; their scan ids are appended to `changed`. */
ERR_MUST_CHECK struct err *interior_settle(struct mark *m, const uint8_t *seen,
					   struct scan_ids *changed);

#endif
