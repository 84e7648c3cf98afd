/*
 * One DIE and its attributes: libdwarf's calls, with their errors absorbed.  What is damaged is as
 * good as absent here: every caller can do without.
 */
#include "base/intr.h"
#include "target/dwarf_int.h"

enum { MAX_ORIGINS = 8 }; /* DW_AT_abstract_origin of a DIE that has one, and so on */

struct err *dwarf_lib_err(struct dwarf *d, Dwarf_Error e, const char *what)
{
	struct err *err = err_create(ERR_BADDATA, "%s: damaged DWARF: %s: %s", elf_path(d->elf),
				     what, e ? dwarf_errmsg(e) : "unexpected end");

	dwarf_lib_drop(d, &e);
	if (d->no_memory) {
		err_destroy(err);
		return err_nomem();
	}
	return err;
}

void dwarf_lib_drop(struct dwarf *d, Dwarf_Error *e)
{
	/* The second one is what stands for an error that there was no memory for. */
	if (*e &&
	    (dwarf_errno(*e) == DW_DLE_ALLOC_FAIL || dwarf_errno(*e) == DW_DLE_FAILSAFE_ERRVAL))
		d->no_memory = true;
	if (*e)
		dwarf_dealloc_error(d->dbg, *e);
	*e = NULL;
}

struct err *dwarf_settle(const struct dwarf *d)
{
	return d->no_memory ? err_nomem() : NULL;
}

void dwarf_die_free(Dwarf_Die *die)
{
	if (*die)
		dwarf_dealloc_die(*die);
	*die = NULL;
}

static bool die_ok(struct dwarf *d, int rc, Dwarf_Error *e)
{
	if (rc == DW_DLV_OK)
		return true;
	if (rc == DW_DLV_ERROR)
		dwarf_lib_drop(d, e);
	return false;
}

bool dwarf_die_at(struct dwarf *d, uint64_t off, Dwarf_Die *ret)
{
	Dwarf_Error e = NULL;

	*ret = NULL;
	return off && die_ok(d, dwarf_offdie_b(d->dbg, off, true, ret, &e), &e);
}

bool dwarf_die_child(struct dwarf *d, Dwarf_Die die, Dwarf_Die *ret)
{
	Dwarf_Error e = NULL;

	*ret = NULL;
	return die_ok(d, dwarf_child(die, ret, &e), &e);
}

bool dwarf_die_next(struct dwarf *d, Dwarf_Die *die)
{
	Dwarf_Error e = NULL;
	Dwarf_Die next = NULL;
	uint64_t off = dwarf_die_off(d, *die);
	/* Who was interrupted will not come back; callers that keep what they find say so. */
	bool ok = !intr_signal() && die_ok(d, dwarf_siblingof_b(d->dbg, *die, true, &next, &e), &e);

	/* A DW_AT_sibling that points backwards would go round for ever. */
	if (ok && dwarf_die_off(d, next) <= off) {
		dwarf_die_free(&next);
		ok = false;
	}
	dwarf_die_free(die);
	*die = ok ? next : NULL;
	return ok;
}

uint16_t dwarf_die_tag(struct dwarf *d, Dwarf_Die die)
{
	Dwarf_Error e = NULL;
	Dwarf_Half tag = 0;

	return die_ok(d, dwarf_tag(die, &tag, &e), &e) ? tag : 0;
}

uint64_t dwarf_die_off(struct dwarf *d, Dwarf_Die die)
{
	Dwarf_Error e = NULL;
	Dwarf_Off off = 0;

	return die_ok(d, dwarf_dieoffset(die, &off, &e), &e) ? off : 0;
}

static void attr_free(Dwarf_Attribute *a)
{
	if (*a)
		dwarf_dealloc_attribute(*a);
}
#define ATTR_GUARD __attribute__((cleanup(attr_free)))

static bool die_attr(struct dwarf *d, Dwarf_Die die, uint16_t at, Dwarf_Attribute *ret)
{
	Dwarf_Error e = NULL;

	return die_ok(d, dwarf_attr(die, at, ret, &e), &e);
}

const char *dwarf_die_str(struct dwarf *d, Dwarf_Die die, uint16_t at)
{
	ATTR_GUARD Dwarf_Attribute a = NULL;
	Dwarf_Error e = NULL;
	char *s = NULL;

	if (!die_attr(d, die, at, &a) || !die_ok(d, dwarf_formstring(a, &s, &e), &e))
		return NULL;
	return s;
}

bool dwarf_die_uint(struct dwarf *d, Dwarf_Die die, uint16_t at, uint64_t *ret)
{
	ATTR_GUARD Dwarf_Attribute a = NULL;
	Dwarf_Error e = NULL;
	Dwarf_Unsigned u;
	Dwarf_Signed s;
	Dwarf_Bool b;

	if (!die_attr(d, die, at, &a))
		return false;
	if (die_ok(d, dwarf_formudata(a, &u, &e), &e)) {
		*ret = u;
		return true;
	}
	if (die_ok(d, dwarf_formsdata(a, &s, &e), &e) && s >= 0) {
		*ret = (uint64_t)s;
		return true;
	}
	if (die_ok(d, dwarf_formflag(a, &b, &e), &e)) {
		*ret = !!b;
		return true;
	}
	return false;
}

bool dwarf_die_addr(struct dwarf *d, Dwarf_Die die, uint16_t at, uint64_t *ret)
{
	ATTR_GUARD Dwarf_Attribute a = NULL;
	Dwarf_Error e = NULL;
	Dwarf_Addr addr;

	if (!die_attr(d, die, at, &a) || !die_ok(d, dwarf_formaddr(a, &addr, &e), &e))
		return false;
	*ret = addr;
	return true;
}

bool dwarf_die_ref(struct dwarf *d, Dwarf_Die die, uint16_t at, uint64_t *ret)
{
	ATTR_GUARD Dwarf_Attribute a = NULL;
	Dwarf_Error e = NULL;
	Dwarf_Off off;

	if (!die_attr(d, die, at, &a) || !die_ok(d, dwarf_global_formref(a, &off, &e), &e))
		return false;
	*ret = off;
	return true;
}

bool dwarf_die_range(struct dwarf *d, Dwarf_Die die, uint64_t *low, uint64_t *high)
{
	Dwarf_Error e = NULL;
	Dwarf_Addr lo, hi;
	Dwarf_Half form;
	enum Dwarf_Form_Class class;

	if (!die_ok(d, dwarf_lowpc(die, &lo, &e), &e) ||
	    !die_ok(d, dwarf_highpc_b(die, &hi, &form, &class, &e), &e))
		return false;
	/* go1.25 and later write the length, before them the end. */
	if (class == DW_FORM_CLASS_CONSTANT)
		hi += lo;
	if (hi < lo)
		return false;
	*low = lo;
	*high = hi;
	return true;
}

bool dwarf_die_block(struct dwarf *d, Dwarf_Die die, uint16_t at, const uint8_t **block,
		     uint64_t *len)
{
	ATTR_GUARD Dwarf_Attribute a = NULL;
	Dwarf_Error e = NULL;
	Dwarf_Block *b;
	Dwarf_Unsigned n;
	Dwarf_Ptr p;
	Dwarf_Off off;

	*block = NULL;
	*len = 0;
	if (!die_attr(d, die, at, &a))
		return false;
	if (die_ok(d, dwarf_formblock(a, &b, &e), &e)) {
		*block = b->bl_data;
		*len = b->bl_len;
		dwarf_dealloc(d->dbg, b, DW_DLA_BLOCK);
		return *block;
	}
	if (die_ok(d, dwarf_formexprloc(a, &n, &p, &e), &e)) {
		*block = p;
		*len = n;
		return *block;
	}
	if (die_ok(d, dwarf_global_formref(a, &off, &e), &e)) {
		*len = off;
		return true;
	}
	return false;
}

/* ------------------------------------------------------------------ abstract origins */

/* A name or a type may stand in the abstract instance of an inlined function. */
const char *dwarf_origin_str(struct dwarf *d, Dwarf_Die die, uint16_t at)
{
	const char *s = dwarf_die_str(d, die, at);
	DIE_GUARD Dwarf_Die cur = NULL;
	uint64_t off;

	for (int i = 0; !s && i < MAX_ORIGINS; i++) {
		Dwarf_Die next;

		if (!dwarf_die_ref(d, cur ? cur : die, DW_AT_abstract_origin, &off) ||
		    !dwarf_die_at(d, off, &next))
			return NULL;
		dwarf_die_free(&cur);
		cur = next;
		s = dwarf_die_str(d, cur, at);
	}
	return s;
}

bool dwarf_origin_val(struct dwarf *d, Dwarf_Die die, uint16_t at,
		      bool (*get)(struct dwarf *, Dwarf_Die, uint16_t, uint64_t *), uint64_t *ret)
{
	DIE_GUARD Dwarf_Die cur = NULL;
	uint64_t off;

	if (get(d, die, at, ret))
		return true;
	for (int i = 0; i < MAX_ORIGINS; i++) {
		Dwarf_Die next;

		if (!dwarf_die_ref(d, cur ? cur : die, DW_AT_abstract_origin, &off) ||
		    !dwarf_die_at(d, off, &next))
			return false;
		dwarf_die_free(&cur);
		cur = next;
		if (get(d, cur, at, ret))
			return true;
	}
	return false;
}

bool dwarf_var_type(struct dwarf *d, Dwarf_Die var, uint64_t *type, uint32_t *dict)
{
	DIE_GUARD Dwarf_Die die = NULL;
	uint64_t v;

	*dict = 0;
	if (!dwarf_origin_val(d, var, DW_AT_type, dwarf_die_ref, type))
		return false;
	if (dwarf_die_at(d, *type, &die) && dwarf_die_tag(d, die) == DW_TAG_typedef &&
	    dwarf_die_uint(d, die, GO_AT_dict_index, &v) && v < UINT16_MAX)
		*dict = (uint32_t)v + 1;
	return true;
}
