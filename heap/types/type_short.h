/*
 * Types' names as people read them: as Go's %T prints them, with packages' names in place of import
 * paths, and long anonymous structs cut.
 *
 *	*github.com/hashicorp/golang-lru/v2.entry[string,net/http.Header]
 *	*lru.entry[string,http.Header]
 */
#ifndef GRF_HEAP_TYPES_TYPE_SHORT_H
#define GRF_HEAP_TYPES_TYPE_SHORT_H

#include "base/buf.h"
#include "base/err.h"

/* Appends the short form of a full name (struct go_type's).  "interface {}" alone is "any". */
ERR_MUST_CHECK struct err *type_short(const char *name, struct buf *out);

#endif
