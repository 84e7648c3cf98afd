/*
 * Location lists and range lists, DWARF 4 and 5, are decoded from the sections' bytes here:
 * libdwarf 20210528 crashes on damaged DWARF 5 lists.  What is damaged covers nothing.
 */
#ifndef GRF_TARGET_DWARF_LISTS_H
#define GRF_TARGET_DWARF_LISTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "target/dwarf_sections.h"

struct dwarf_cu;
struct dwarf_lists;

/* s must outlive it. */
ERR_MUST_CHECK struct err *dwarf_lists_create(struct dwarf_sections *s, struct dwarf_lists **ret);
void dwarf_lists_destroy(struct dwarf_lists *l);

/* Is pc in the range list at off (DW_AT_ranges)?  A damaged list covers nothing from the damage
 * on. */
ERR_MUST_CHECK struct err *dwarf_ranges_cover(struct dwarf_lists *l, const struct dwarf_cu *cu,
					      uint64_t off, uint64_t pc, bool *ret);

/* The expression in force at pc in the location list at off; *expr NULL: none.  It lives as long
 * as the sections. */
ERR_MUST_CHECK struct err *dwarf_loclist_at(struct dwarf_lists *l, const struct dwarf_cu *cu,
					    uint64_t off, uint64_t pc, const uint8_t **expr,
					    uint64_t *len);

/* The lowest pc of the location list at off; UINT64_MAX: it has none. */
ERR_MUST_CHECK struct err *dwarf_loclist_begin(struct dwarf_lists *l, const struct dwarf_cu *cu,
					       uint64_t off, uint64_t *pc);

#endif
