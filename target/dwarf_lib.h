/*
 * libdwarf, whichever there is: 20210528 (Debian 12) or 0.4 and later (Debian
 * 13 has 0.11).  The few calls that changed are spelled here and nowhere else.
 */
#ifndef GRF_TARGET_DWARF_LIB_H
#define GRF_TARGET_DWARF_LIB_H

#include <stddef.h>

/* pkg-config gives newer ones their own directory; elfutils has a dwarf.h of the same name. */
#if __has_include(<libdwarf.h>)
#include <libdwarf.h>

#include <dwarf.h>
#else
#include <libdwarf/libdwarf.h>

#include <libdwarf/dwarf.h>
#endif

#ifndef DW_LIBDWARF_VERSION /* 20210528; newer ones define it */
#define GRF_LIBDWARF_OLD 1
#endif

static inline int lib_init(int fd, Dwarf_Debug *dbg, Dwarf_Error *e)
{
#ifdef GRF_LIBDWARF_OLD
	return dwarf_init_b(fd, DW_DLC_READ, DW_GROUPNUMBER_ANY, NULL, NULL, dbg, e);
#else
	return dwarf_init_b(fd, DW_GROUPNUMBER_ANY, NULL, NULL, dbg, e);
#endif
}

static inline void lib_finish(Dwarf_Debug dbg)
{
#ifdef GRF_LIBDWARF_OLD
	Dwarf_Error e = NULL;

	dwarf_finish(dbg, &e);
#else
	dwarf_finish(dbg);
#endif
}

/* Go's own attributes (cmd/internal/dwarf/dwarf.go); libdwarf names only the first five. */
enum {
	GO_AT_kind = 0x2900,
	GO_AT_key = 0x2901,
	GO_AT_elem = 0x2902,
	GO_AT_embedded_field = 0x2903,
	GO_AT_runtime_type = 0x2904,
	GO_AT_dict_index = 0x2906,     /* go1.18 */
	GO_AT_closure_offset = 0x2907, /* go1.23 */
};

#endif
