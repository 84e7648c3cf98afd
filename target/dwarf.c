/*
 * The units of .debug_info and the tables made of their top levels.
 *
 * Go writes all its type DIEs into one unit (the linker's runtime unit:
 * cmd/link/internal/ld/dwarf.go, ctxt.runtimeCU), which is a quarter of the
 * whole, so types can be had without the rest; functions and variables are in
 * their packages' units.  Nothing below the top level is kept: a function's
 * variables are read again when they are asked for (dwarf_locals.c).
 */
#include "target/dwarf.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
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

bool dwarf_present(const struct elf *e)
{
	return elf_section(e, ".debug_info") || elf_section(e, ".zdebug_info");
}

struct err *dwarf_create(struct elf *e, struct dwarf **ret)
{
	_cleanup_(cleanup_dwarf_destroy) struct dwarf *d = calloc(1, sizeof(*d));
	Dwarf_Error de = NULL;
	struct err *err;
	int rc;

	if (!d)
		return err_nomem();
	d->elf = e;
	err = dwarf_sections_create(e, &d->sections);
	if (!err)
		err = dwarf_lists_create(d->sections, &d->lists);
	if (err)
		return err;
	rc = dwarf_object_open(d->sections, &d->object, &d->dbg, &de);
	if (rc == DW_DLV_NO_ENTRY)
		return err_create(ERR_NODEBUG, "no DWARF");
	if (rc != DW_DLV_OK)
		return dwarf_lib_err(d, de, "opening");
	*ret = TAKE_PTR(d);
	return NULL;
}

/* ------------------------------------------------------------------ units */

/* Is it the types' unit?  "<unspecified>" (dwarfGenerateDebugInfo, ld/dwarf.go) is among its
 * first children. */
static bool cu_has_types(struct dwarf *d, Dwarf_Die cu)
{
	DIE_GUARD Dwarf_Die die = NULL;
	const char *name = dwarf_die_str(d, cu, DW_AT_name);
	int n = 0;

	if (!name || strcmp(name, "runtime") || !dwarf_die_child(d, cu, &die))
		return false;
	do {
		if (dwarf_die_tag(d, die) == DW_TAG_unspecified_type)
			return true;
	} while (++n < 4 && dwarf_die_next(d, &die));
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

struct err *dwarf_need_cus(struct dwarf *d)
{
	struct err *err;

	if (d->have_cus)
		return NULL;
	for (;;) {
		Dwarf_Unsigned len, typeoff, next = 0;
		Dwarf_Half version, addr_size, off_size, ext_size, type;
		Dwarf_Off abbrev;
		Dwarf_Sig8 sig;
		Dwarf_Error e = NULL;
		DIE_GUARD Dwarf_Die die = NULL;
		struct dwarf_cu cu = { 0 };
		int rc = dwarf_next_cu_header_d(d->dbg, true, &len, &version, &abbrev, &addr_size,
						&off_size, &ext_size, &sig, &typeoff, &next, &type,
						&e);

		if (rc == DW_DLV_NO_ENTRY)
			break;
		if (rc != DW_DLV_OK) {
			/* The units before the damage are good. */
			if (!d->cus.n)
				return dwarf_lib_err(d, e, "units");
			dwarf_lib_drop(d, &e);
			break;
		}
		cu.version = (uint8_t)version;
		cu.addr_size = (uint8_t)addr_size;
		cu.end = next;
		rc = dwarf_siblingof_b(d->dbg, NULL, true, &die, &e);
		if (rc != DW_DLV_OK) {
			if (rc == DW_DLV_ERROR)
				dwarf_lib_drop(d, &e);
			continue;
		}
		cu_read_die(d, die, &cu);
		err = vec_push(&d->cus, cu);
		if (err)
			return err;
	}
	if (!d->cus.n)
		return err_create(ERR_NODEBUG, "%s: no DWARF", elf_path(d->elf));
	d->have_cus = true;
	return NULL;
}

const struct dwarf_cu *dwarf_cu_of(const struct dwarf *d, uint64_t die)
{
	size_t lo = 0, hi = d->cus.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (d->cus.v[mid].die <= die)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && die < d->cus.v[lo - 1].end ? &d->cus.v[lo - 1] : NULL;
}

/* ------------------------------------------------------------------ top level of a unit */

static struct err *add_func(struct dwarf *d, Dwarf_Die die)
{
	struct dwarf_func f = { 0 };

	/* Abstract instances of inlined functions have no code of their own. */
	if (!dwarf_die_range(d, die, &f.low, &f.high) || f.low == f.high)
		return NULL;
	f.die = dwarf_die_off(d, die);
	return vec_push(&d->funcs, f);
}

static struct err *add_var(struct dwarf *d, Dwarf_Die die, const struct dwarf_cu *cu)
{
	struct dwarf_var v = { 0 };
	const uint8_t *block;
	uint64_t len;

	/* Go writes DW_OP_addr in a block, always (18,127 of 18,127 in a 412 MB program). */
	if (!dwarf_die_block(d, die, DW_AT_location, &block, &len) || !block || cu->addr_size > 8 ||
	    len != 1u + cu->addr_size || block[0] != DW_OP_addr ||
	    (cu->addr_size != 4 && cu->addr_size != 8))
		return NULL;
	v.addr = bytes_uint(elf_fmt(d->elf), block + 1, cu->addr_size);
	v.name = dwarf_die_str(d, die, DW_AT_name);
	if (!v.name || !dwarf_die_ref(d, die, DW_AT_type, &v.type))
		return NULL;
	v.name = symname_plain(&d->strings, v.name);
	return v.name ? vec_push(&d->vars, v) : err_nomem();
}

struct err *dwarf_walk_cu(struct dwarf *d, struct dwarf_cu *cu, bool types)
{
	DIE_GUARD Dwarf_Die top = NULL, die = NULL;
	struct err *err = NULL;

	if (cu->walked)
		return NULL;
	cu->walked = true;
	if (!dwarf_die_at(d, cu->die, &top) || !dwarf_die_child(d, top, &die))
		return NULL;
	do {
		uint16_t tag = dwarf_die_tag(d, die);

		switch (tag) {
		case DW_TAG_subprogram:
			err = add_func(d, die);
			break;
		case DW_TAG_variable:
			err = add_var(d, die, cu);
			break;
		case DW_TAG_constant:
		case 0:
			break;
		default:
			if (types)
				err = dwarf_add_type(d, die, tag);
		}
	} while (!err && dwarf_die_next(d, &die));
	return err;
}

struct err *dwarf_need_types(struct dwarf *d)
{
	bool any = false;
	struct err *err;
	size_t i;

	if (d->have_types)
		return NULL;
	err = dwarf_need_cus(d);
	if (err)
		return err;
	for (i = 0; i < d->cus.n; i++)
		any |= d->cus.v[i].types;
	/* No unit is marked: a linker that does it another way.  Then types may be anywhere. */
	for (i = 0; i < d->cus.n; i++) {
		if (!d->cus.v[i].types && (any || !d->cus.v[i].go))
			continue;
		err = dwarf_walk_cu(d, &d->cus.v[i], true);
		if (err)
			return err;
	}
	err = dwarf_hash_names(d);
	if (err)
		return err;
	d->have_types = true;
	return NULL;
}

static int cmp_func(const void *a, const void *b)
{
	const struct dwarf_func *x = a, *y = b;

	return x->low != y->low ? (x->low < y->low ? -1 : 1) :
				  (x->die < y->die ? -1 : x->die > y->die);
}

static int cmp_var(const void *a, const void *b)
{
	const struct dwarf_var *x = a, *y = b;

	return x->addr != y->addr ? (x->addr < y->addr ? -1 : 1) : strcmp(x->name, y->name);
}

struct err *dwarf_need_index(struct dwarf *d)
{
	struct err *err;
	size_t i;

	if (d->have_index)
		return NULL;
	err = dwarf_need_types(d); /* the types' unit is walked there */
	if (err)
		return err;
	for (i = 0; i < d->cus.n; i++) {
		if (!d->cus.v[i].go)
			continue; /* C: nothing of Go's heap hangs there by name */
		err = dwarf_walk_cu(d, &d->cus.v[i], false);
		if (err)
			return err;
	}
	if (d->funcs.n)
		qsort(d->funcs.v, d->funcs.n, sizeof(*d->funcs.v), cmp_func);
	if (d->vars.n)
		qsort(d->vars.v, d->vars.n, sizeof(*d->vars.v), cmp_var);
	for (i = 0; i < d->vars.n; i++)
		d->vars.v[i].size = dwarf_type_size(d, d->vars.v[i].type);
	d->have_index = true;
	return NULL;
}

struct err *dwarf_globals(struct dwarf *d, const struct dwarf_var **ret, size_t *n)
{
	struct err *err = dwarf_need_index(d);

	if (err)
		return err;
	*ret = d->vars.v;
	*n = d->vars.n;
	return NULL;
}
