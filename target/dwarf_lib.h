/*
 * libdwarf, whichever there is: 20210528 (Debian 12) or 0.4 and later (Debian
 * 13 has 0.11).  The few calls that changed are spelled here and nowhere else.
 */
#ifndef GRF_TARGET_DWARF_LIB_H
#define GRF_TARGET_DWARF_LIB_H

#include <stddef.h>
#include <stdint.h>

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

/*
 * The object that libdwarf reads is ours (dwarf_object.c): sections by number, 0 being nobody's.
 */
#ifdef GRF_LIBDWARF_OLD
typedef Dwarf_Obj_Access_Interface lib_object;
typedef Dwarf_Obj_Access_Methods lib_methods;
typedef Dwarf_Obj_Access_Section lib_section;
typedef Dwarf_Half lib_index;
typedef Dwarf_Endianness lib_endian;
#define LIB_ENDIAN(big) ((big) ? DW_OBJECT_MSB : DW_OBJECT_LSB)
#define LIB_METHOD(name) name
#define LIB_OBJECT(o, m)                      \
	{                                     \
		.object = (o), .methods = (m) \
	}
#else
typedef Dwarf_Obj_Access_Interface_a lib_object;
typedef Dwarf_Obj_Access_Methods_a lib_methods;
typedef Dwarf_Obj_Access_Section_a lib_section;
typedef Dwarf_Unsigned lib_index;
typedef Dwarf_Small lib_endian;
#define LIB_ENDIAN(big) ((big) ? DW_END_big : DW_END_little)
#define LIB_METHOD(name) om_##name
#define LIB_OBJECT(o, m)                            \
	{                                           \
		.ai_object = (o), .ai_methods = (m) \
	}
#endif

static inline lib_section lib_section_make(const char *name, uint64_t size)
{
#ifdef GRF_LIBDWARF_OLD
	return (lib_section){ .name = name, .size = size };
#else
	return (lib_section){ .as_name = name, .as_size = size };
#endif
}

static inline void lib_finish(Dwarf_Debug dbg)
{
#ifdef GRF_LIBDWARF_OLD
	Dwarf_Error e = NULL;

	dwarf_object_finish(dbg, &e);
#else
	dwarf_object_finish(dbg);
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
