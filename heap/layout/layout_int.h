/* What layouts are made of; not for use outside heap/layout/. */
#ifndef GRF_HEAP_LAYOUT_LAYOUT_INT_H
#define GRF_HEAP_LAYOUT_LAYOUT_INT_H

#include "heap/layout/layout.h"

/* Of the runtime's source: "a|b" are alternatives, "a.b" is a field of a field. */
struct layout_entry {
	const char *strct, *field; /* field NULL: the entry is the struct's size */
	bool required;
};

extern const struct layout_entry layout_entries[LAYOUT_N];

#endif
