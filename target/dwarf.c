/*
 * Opening a file's DWARF, and the units of .debug_info.  The tables that are made of the units' top
 * levels are dwarf_index.c's.
 */
#include "target/dwarf.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/intr.h"
#include "base/search.h"
#include "target/dwarf_int.h"

void dwarf_destroy(struct dwarf *d)
{
	if (!d)
		return;
	if (d->dbg)
		lib_finish(d->dbg);
	dwarf_lists_destroy(d->lists);
	dwarf_sections_destroy(d->sections);
	vec_deinit(&d->cus);
	vec_deinit(&d->names);
	vec_deinit(&d->funcs);
	vec_deinit(&d->vars);
	free(d->name_slots);
	map64_deinit(&d->by_runtime);
	arena_deinit(&d->strings);
	free(d);
}

DEFINE_CLEANUP(dwarf_destroy, struct dwarf *)

const char *dwarf_library_version(void)
{
	return dwarf_package_version();
}

bool dwarf_present(const struct elf *e)
{
	return elf_section(e, ".debug_info") || elf_section(e, ".zdebug_info");
}

struct err *dwarf_create(struct elf *e, struct dwarf **ret)
{
	_cleanup_(cleanup_dwarf_destroy) struct dwarf *d = calloc(1, sizeof(*d));
	Dwarf_Error de = NULL;
	int rc;

	if (!d)
		return err_nomem();
	d->elf = e;
	TRY(dwarf_sections_create(e, &d->sections));
	TRY(dwarf_lists_create(d->sections, &d->lists));
	rc = dwarf_object_open(d->sections, &d->object, &d->dbg, &de);
	if (rc == DW_DLV_NO_ENTRY)
		return err_create(ERR_NODEBUG, "no DWARF");
	if (rc != DW_DLV_OK)
		return dwarf_lib_err(d, de, "opening");
	*ret = TAKE_PTR(d);
	return NULL;
}

/* ------------------------------------------------------------------ units */

/* Is it the types' unit?  "<unspecified>" (dwarfGenerateDebugInfo, ld/dwarf.go) is among its first
 * children. */
static bool cu_has_types(struct dwarf *d, Dwarf_Die cu)
{
	enum { FIRST_CHILDREN = 4 };
	DIE_GUARD Dwarf_Die die = NULL;
	const char *name = dwarf_die_str(d, cu, DW_AT_name);
	int n = 0;

	if (!name || strcmp(name, "runtime") || !dwarf_die_child(d, cu, &die))
		return false;
	do {
		if (dwarf_die_tag(d, die) == DW_TAG_unspecified_type)
			return true;
	} while (++n < FIRST_CHILDREN && dwarf_die_next(d, &die));
	return false;
}

static void cu_read_die(struct dwarf *d, Dwarf_Die die, struct dwarf_cu *cu)
{
	Dwarf_Error e = NULL;
	Dwarf_Addr low;
	uint64_t v;
	int rc;

	cu->die = dwarf_die_off(d, die);
	cu->go = dwarf_die_uint(d, die, DW_AT_language, &v) && v == DW_LANG_Go;
	if (!cu->go)
		return;
	rc = dwarf_lowpc(die, &low, &e);
	if (rc == DW_DLV_OK)
		cu->low_pc = low;
	else if (rc == DW_DLV_ERROR)
		dwarf_lib_drop(d, &e);
	dwarf_die_ref(d, die, DW_AT_addr_base, &cu->addr_base);
	cu->types = cu_has_types(d, die);
}

/* The next unit's header, and its DIE, which is NULL if that is damaged.  *more is false behind the
 * last unit, and where the headers are damaged behind units that are good. */
static struct err *cu_next(struct dwarf *d, struct dwarf_cu *cu, Dwarf_Die *die, bool *more)
{
	Dwarf_Unsigned len, typeoff, next = 0;
	Dwarf_Half version, addr_size, off_size, ext_size, type;
	Dwarf_Off abbrev;
	Dwarf_Sig8 sig;
	Dwarf_Error e = NULL;
	int rc = dwarf_next_cu_header_d(d->dbg, true, &len, &version, &abbrev, &addr_size,
					&off_size, &ext_size, &sig, &typeoff, &next, &type, &e);

	*more = rc == DW_DLV_OK;
	if (rc == DW_DLV_NO_ENTRY)
		return NULL;
	if (rc != DW_DLV_OK) {
		if (!d->cus.n)
			return dwarf_lib_err(d, e, "units");
		dwarf_lib_drop(d, &e);
		return NULL;
	}
	*cu = (struct dwarf_cu){ .version = (uint8_t)version,
				 .addr_size = (uint8_t)addr_size,
				 .end = next };
	rc = dwarf_siblingof_b(d->dbg, NULL, true, die, &e);
	if (rc == DW_DLV_ERROR)
		dwarf_lib_drop(d, &e);
	return NULL;
}

struct err *dwarf_need_cus(struct dwarf *d)
{
	bool more = true;

	if (d->have_cus)
		return NULL;
	while (more) {
		DIE_GUARD Dwarf_Die die = NULL;
		struct dwarf_cu cu;

		TRY(intr_check());
		TRY(cu_next(d, &cu, &die, &more));
		if (!more || !die)
			continue;
		cu_read_die(d, die, &cu);
		TRY(vec_push(&d->cus, cu));
	}
	TRY(dwarf_settle(d));
	if (!d->cus.n)
		return err_create(ERR_NODEBUG, "%s: no DWARF", elf_path(d->elf));
	d->have_cus = true;
	return NULL;
}

struct cu_key {
	const struct dwarf_cu *v;
	uint64_t die;
};

static bool cu_begins_behind(const void *arg, size_t i)
{
	const struct cu_key *key = arg;

	return key->v[i].die > key->die;
}

const struct dwarf_cu *dwarf_cu_of(const struct dwarf *d, uint64_t die)
{
	const struct cu_key key = { d->cus.v, die };
	size_t i = search_first(d->cus.n, cu_begins_behind, &key);

	return i && die < d->cus.v[i - 1].end ? &d->cus.v[i - 1] : NULL;
}
