/*
 * Go's types as DWARF has them, by name, by runtime type, and one by one.
 *
 * One Go type can be two DIEs: a named struct is a structure_type and a
 * typedef of the same name, an interface two typedefs of which one has the
 * kind.  The one that says more is found.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "target/dwarf_int.h"

enum { KIND_MASK = 0x1f }; /* above it the runtime keeps flags (go1.17-1.25) */

static uint8_t type_rank(struct dwarf *d, Dwarf_Die die, uint16_t tag)
{
	uint64_t v;

	if (tag == DW_TAG_structure_type)
		return 4;
	if (tag != DW_TAG_typedef)
		return 3;
	return dwarf_die_uint(d, die, GO_AT_kind, &v) && v ? 2 : 1;
}

/*
 * DW_AT_go_runtime_type is an offset from moduledata.types, of class address.
 * Up to go1.22 the one DIE "uintptr" holds an absolute address instead (it is
 * made before the linker's switch to offsets); 0 is none.
 */
static uint64_t type_runtime(struct dwarf *d, Dwarf_Die die, const char *name)
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

struct err *dwarf_add_type(struct dwarf *d, Dwarf_Die die, uint16_t tag)
{
	struct dwarf_name n = { 0 };
	uint64_t runtime, *slot;
	struct err *err;
	bool is_new;

	n.name = dwarf_die_str(d, die, DW_AT_name);
	if (!n.name)
		return NULL;
	n.name = symname_plain(&d->strings, n.name);
	if (!n.name)
		return err_nomem();
	n.die = dwarf_die_off(d, die);
	n.rank = type_rank(d, die, tag);
	runtime = type_runtime(d, die, n.name);
	err = vec_push(&d->names, n);
	if (err || !runtime)
		return err;
	err = map64_put(&d->by_runtime, runtime, d->names.n - 1, &slot, &is_new);
	if (!err && !is_new && d->names.v[*slot].rank < n.rank)
		*slot = d->names.n - 1;
	return err;
}

/* The slot of name, or the empty one where it belongs. */
static uint32_t find_name(const struct dwarf *d, const char *name)
{
	uint32_t i = hash_str(name, strlen(name)) & (d->nname_slots - 1);

	while (d->name_slots[i] && strcmp(d->names.v[d->name_slots[i] - 1].name, name))
		i = (i + 1) & (d->nname_slots - 1);
	return i;
}

struct err *dwarf_hash_names(struct dwarf *d)
{
	uint64_t nslots = 64;
	size_t i;

	if (d->names.n >= UINT32_MAX / 4)
		return err_create(ERR_LIMIT, "%zu types in DWARF", d->names.n);
	while (nslots < d->names.n * 2)
		nslots *= 2;
	free(d->name_slots);
	d->name_slots = calloc(nslots, sizeof(*d->name_slots));
	if (!d->name_slots)
		return err_nomem();
	d->nname_slots = (uint32_t)nslots;
	for (i = 0; i < d->names.n; i++) {
		uint32_t *slot = &d->name_slots[find_name(d, d->names.v[i].name)];

		if (!*slot || d->names.v[*slot - 1].rank < d->names.v[i].rank)
			*slot = (uint32_t)i + 1;
	}
	return NULL;
}

struct err *dwarf_type_by_name(struct dwarf *d, const char *name, uint64_t *die)
{
	struct err *err = dwarf_need_types(d);
	uint32_t i;

	if (err)
		return err;
	i = d->name_slots[find_name(d, name)];
	*die = i ? d->names.v[i - 1].die : 0;
	return NULL;
}

struct err *dwarf_type_by_runtime(struct dwarf *d, uint64_t offset, uint64_t *die)
{
	struct err *err = dwarf_need_types(d);
	uint64_t *i;

	if (err)
		return err;
	i = map64_get(&d->by_runtime, offset);
	*die = i ? d->names.v[*i].die : 0;
	return NULL;
}

/* ------------------------------------------------------------------ one type */

static enum dwarf_type_tag type_tag(uint16_t tag)
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
 * go1.17 and later write no size into pointers, functions and typedefs: those
 * are a word, or what they name.
 */
static uint64_t die_size(struct dwarf *d, Dwarf_Die first)
{
	DIE_GUARD Dwarf_Die die = NULL;
	uint64_t n = 1, v, off;
	int depth;

	for (depth = 0; depth < LIMIT_TYPE_DEPTH; depth++) {
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

struct err *dwarf_type(struct dwarf *d, uint64_t off, struct dwarf_type *ret)
{
	DIE_GUARD Dwarf_Die die = NULL;
	struct dwarf_type t = { .die = off };
	struct err *err = dwarf_need_cus(d);
	uint64_t v;

	if (err)
		return err;
	if (!dwarf_die_at(d, off, &die))
		return err_create(ERR_BADDATA, "%s: no DWARF entry at 0x%llx", elf_path(d->elf),
				  (unsigned long long)off);
	t.tag = type_tag(dwarf_die_tag(d, die));
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
	t.go_runtime_type = type_runtime(d, die, t.name);
	*ret = t;
	return NULL;
}

struct err *dwarf_members(struct dwarf *d, uint64_t off, struct dwarf_member **ret, size_t *n)
{
	DIE_GUARD Dwarf_Die die = NULL, m = NULL;
	VEC(struct dwarf_member) members = VEC_INIT;
	struct err *err = dwarf_need_cus(d);

	if (err)
		return err;
	if (!dwarf_die_at(d, off, &die))
		return err_create(ERR_BADDATA, "%s: no DWARF entry at 0x%llx", elf_path(d->elf),
				  (unsigned long long)off);
	if (dwarf_die_child(d, die, &m)) {
		do {
			struct dwarf_member f = { 0 };
			uint64_t v;

			if (dwarf_die_tag(d, m) != DW_TAG_member)
				continue;
			f.name = dwarf_die_str(d, m, DW_AT_name);
			if (!f.name)
				f.name = "";
			if (!dwarf_die_ref(d, m, DW_AT_type, &f.type))
				continue;
			dwarf_die_uint(d, m, DW_AT_data_member_location, &f.offset);
			f.embedded = dwarf_die_uint(d, m, GO_AT_embedded_field, &v) && v;
			if (members.n >= LIMIT_TYPE_FIELDS)
				err = err_create(ERR_BADDATA, "%s: a type with too many fields",
						 elf_path(d->elf));
			else
				err = vec_push(&members, f);
		} while (!err && dwarf_die_next(d, &m));
	}
	if (err) {
		vec_deinit(&members);
		return err;
	}
	*ret = members.v;
	*n = members.n;
	return NULL;
}

struct err *dwarf_field(struct dwarf *d, const char *strct, const char *field, uint64_t *offset,
			uint64_t *size)
{
	struct dwarf_member *m = NULL;
	size_t n = 0, i;
	uint64_t die;
	struct err *err = dwarf_type_by_name(d, strct, &die);

	if (err)
		return err;
	if (!die)
		return err_create(ERR_NODEBUG, "%s: no %s in DWARF", elf_path(d->elf), strct);
	err = dwarf_members(d, die, &m, &n);
	if (err)
		return err;
	for (i = 0; i < n; i++)
		if (!strcmp(m[i].name, field))
			break;
	if (i == n) {
		free(m);
		return err_create(ERR_NODEBUG, "%s: no %s.%s in DWARF", elf_path(d->elf), strct,
				  field);
	}
	*offset = m[i].offset;
	*size = dwarf_type_size(d, m[i].type);
	free(m);
	return NULL;
}
