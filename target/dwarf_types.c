/*
 * One type of Go's, as its DIE has it: kind, size, members.
 */
#include <string.h>

#include "base/intr.h"
#include "base/limits.h"
#include "target/dwarf_int.h"

enum { KIND_MASK = 0x1f }; /* above it the runtime keeps flags (Go 1.17 to 1.25) */

/*
 * DW_AT_go_runtime_type is an offset from moduledata.types, of class address.  Up to Go 1.22 the
 * one DIE "uintptr" holds an absolute address instead: it is made before the linker's switch to
 * offsets.
 */
uint64_t dwarf_type_runtime(struct dwarf *d, Dwarf_Die die, const char *name)
{
	uint64_t v, types, size;

	if (!dwarf_die_addr(d, die, GO_AT_runtime_type, &v))
		return 0;
	if (v && !strcmp(name, "uintptr")) {
		if (!elf_symbol(d->elf, "runtime.types", &types, &size))
			return 0;
		if (v >= types)
			v -= types;
	}
	return v;
}

static enum dwarf_type_tag tag_of(uint16_t tag)
{
	switch (tag) {
	case DW_TAG_base_type:
		return DWARF_T_BASE;
	case DW_TAG_pointer_type:
		return DWARF_T_POINTER;
	case DW_TAG_structure_type:
		return DWARF_T_STRUCT;
	case DW_TAG_array_type:
		return DWARF_T_ARRAY;
	case DW_TAG_subroutine_type:
		return DWARF_T_FUNC;
	case DW_TAG_typedef:
		return DWARF_T_TYPEDEF;
	default:
		return DWARF_T_OTHER;
	}
}

static uint64_t array_count(struct dwarf *d, Dwarf_Die die)
{
	DIE_GUARD Dwarf_Die sub = NULL;
	uint64_t v;

	if (!dwarf_die_child(d, die, &sub))
		return 0;
	do {
		if (dwarf_die_tag(d, sub) != DW_TAG_subrange_type)
			continue;
		if (dwarf_die_uint(d, sub, DW_AT_count, &v))
			return v;
		if (dwarf_die_uint(d, sub, DW_AT_upper_bound, &v))
			return v + 1;
	} while (dwarf_die_next(d, &sub));
	return 0;
}

/*
 * Go 1.17 and later write no size into pointers, functions and typedefs: pointers and functions are
 * a word, and a typedef has the size of what it names.
 */
static uint64_t die_size(struct dwarf *d, Dwarf_Die first)
{
	DIE_GUARD Dwarf_Die die = NULL;
	uint64_t n = 1, v, off;

	for (int depth = 0; depth < LIMIT_TYPE_DEPTH; depth++) {
		Dwarf_Die cur = die ? die : first;

		if (dwarf_die_uint(d, cur, DW_AT_byte_size, &v))
			return __builtin_mul_overflow(n, v, &v) ? 0 : v;
		switch (dwarf_die_tag(d, cur)) {
		case DW_TAG_pointer_type:
		case DW_TAG_subroutine_type: /* a func value is a pointer to a closure */
			return __builtin_mul_overflow(n, elf_fmt(d->elf).word, &v) ? 0 : v;
		case DW_TAG_array_type:
			if (__builtin_mul_overflow(n, array_count(d, cur), &n))
				return 0;
			break;
		case DW_TAG_typedef:
			break;
		default:
			return 0;
		}
		if (!dwarf_die_ref(d, cur, DW_AT_type, &off))
			return 0;
		dwarf_die_free(&die);
		if (!dwarf_die_at(d, off, &die))
			return 0;
	}
	return 0;
}

uint64_t dwarf_type_size(struct dwarf *d, uint64_t off)
{
	DIE_GUARD Dwarf_Die die = NULL;

	return dwarf_die_at(d, off, &die) ? die_size(d, die) : 0;
}

static struct err *no_entry(const struct dwarf *d, uint64_t off)
{
	TRY(dwarf_settle(d));
	return err_create(ERR_BADDATA, "%s: no DWARF entry at 0x%llx", elf_path(d->elf),
			  (unsigned long long)off);
}

struct err *dwarf_type(struct dwarf *d, uint64_t off, struct dwarf_type *ret)
{
	DIE_GUARD Dwarf_Die die = NULL;
	struct dwarf_type t = { .die = off };
	uint64_t v;

	TRY(dwarf_need_cus(d));
	if (!dwarf_die_at(d, off, &die))
		return no_entry(d, off);
	t.tag = tag_of(dwarf_die_tag(d, die));
	t.name = dwarf_die_str(d, die, DW_AT_name);
	t.name = symname_plain(&d->strings, t.name ? t.name : "");
	if (!t.name)
		return err_nomem();
	t.size = die_size(d, die);
	if (t.tag == DWARF_T_ARRAY)
		t.count = array_count(d, die);
	dwarf_die_ref(d, die, DW_AT_type, &t.elem);
	dwarf_die_ref(d, die, GO_AT_elem, &t.go_elem);
	dwarf_die_ref(d, die, GO_AT_key, &t.go_key);
	if (dwarf_die_uint(d, die, GO_AT_kind, &v))
		t.go_kind = v & KIND_MASK;
	t.go_runtime_type = dwarf_type_runtime(d, die, t.name);
	TRY(dwarf_settle(d));
	*ret = t;
	return NULL;
}

/* False: it has no type. */
static bool read_member(struct dwarf *d, Dwarf_Die die, struct dwarf_member *ret)
{
	struct dwarf_member f = { .name = dwarf_die_str(d, die, DW_AT_name) };
	uint64_t v;

	if (!f.name)
		f.name = "";
	if (!dwarf_die_ref(d, die, DW_AT_type, &f.type))
		return false;
	dwarf_die_uint(d, die, DW_AT_data_member_location, &f.offset);
	f.embedded = dwarf_die_uint(d, die, GO_AT_embedded_field, &v) && v;
	*ret = f;
	return true;
}

struct err *dwarf_members(struct dwarf *d, uint64_t off, struct dwarf_member **ret, size_t *n)
{
	DIE_GUARD Dwarf_Die die = NULL, m = NULL;
	_cleanup_vec_ VEC(struct dwarf_member) members = VEC_INIT;
	bool more;

	TRY(dwarf_need_cus(d));
	if (!dwarf_die_at(d, off, &die))
		return no_entry(d, off);
	for (more = dwarf_die_child(d, die, &m); more; more = dwarf_die_next(d, &m)) {
		struct dwarf_member f;

		if (dwarf_die_tag(d, m) != DW_TAG_member || !read_member(d, m, &f))
			continue;
		if (members.n >= LIMIT_TYPE_FIELDS)
			return err_create(ERR_BADDATA, "%s: a type with too many fields",
					  elf_path(d->elf));
		TRY(vec_push(&members, f));
	}
	TRY(intr_check());
	TRY(dwarf_settle(d));
	*n = members.n;
	*ret = TAKE_PTR(members.v);
	return NULL;
}
