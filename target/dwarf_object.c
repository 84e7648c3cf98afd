/*
 * Shows libdwarf the sections of dwarf_sections.c, uncompressed, but none of the lists.  Sections
 * are thus inflated once for all readers, and libdwarf cannot stumble over damaged lists, whose
 * headers it would read, and trust, along with the first unit.
 */
#include "target/dwarf_int.h"

static int get_section_info(void *obj, lib_index i, lib_section *ret, int *error)
{
	const struct dwarf_sections *s = obj;

	if (i > DWARF_S_SHOWN)
		return DW_DLV_NO_ENTRY;
	*ret = i ? lib_section_make(dwarf_section_name(s, i - 1u), dwarf_section_len(s, i - 1u)) :
		   lib_section_make("", 0);
	return DW_DLV_OK;
}

static int load_section(void *obj, lib_index i, Dwarf_Small **ret, int *error)
{
	const uint8_t *data = NULL;
	uint64_t len;
	struct err *err;

	if (!i || i > DWARF_S_SHOWN)
		return DW_DLV_NO_ENTRY;
	err = dwarf_section_load(obj, i - 1u, &data, &len);
	if (err) {
		*error = err_is(err, ERR_NOMEM) ? DW_DLE_ALLOC_FAIL : DW_DLE_ZLIB_DATA_ERROR;
		err_destroy(err);
		return DW_DLV_ERROR;
	}
	*ret = (Dwarf_Small *)data; /* it is only read */
	return data ? DW_DLV_OK : DW_DLV_NO_ENTRY;
}

static lib_endian get_byte_order(void *obj)
{
	return LIB_ENDIAN(elf_fmt(dwarf_sections_elf(obj)).big);
}

static Dwarf_Small get_word(void *obj)
{
	return elf_fmt(dwarf_sections_elf(obj)).word;
}

static Dwarf_Unsigned get_section_count(void *obj)
{
	return DWARF_S_SHOWN + 1;
}

#ifndef GRF_LIBDWARF_OLD
/* libdwarf checks sizes against this: they are those of dwarf_sections.c, which has checked them.
 * */
static Dwarf_Unsigned get_filesize(void *obj)
{
	Dwarf_Unsigned n = 0;

	for (int i = 0; i < DWARF_S_SHOWN; i++)
		n += dwarf_section_len(obj, i);
	return n;
}
#endif

static const lib_methods methods = {
	.LIB_METHOD(get_section_info) = get_section_info,
	.LIB_METHOD(get_byte_order) = get_byte_order,
	.LIB_METHOD(get_length_size) = get_word,
	.LIB_METHOD(get_pointer_size) = get_word,
	.LIB_METHOD(get_section_count) = get_section_count,
	.LIB_METHOD(load_section) = load_section,
#ifndef GRF_LIBDWARF_OLD
	.LIB_METHOD(get_filesize) = get_filesize,
#endif
};

int dwarf_object_open(struct dwarf_sections *s, lib_object *o, Dwarf_Debug *dbg, Dwarf_Error *e)
{
	*o = (lib_object)LIB_OBJECT(s, &methods);
	return dwarf_object_init_b(o, NULL, NULL, DW_GROUPNUMBER_ANY, dbg, e);
}
