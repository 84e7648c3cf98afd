/*
 * The tables made of the units' top levels: types by name and by runtime type, functions and
 * variables by address.
 *
 * Go writes all its type DIEs into one unit (the linker's runtime unit:
 * cmd/link/internal/ld/dwarf.go, ctxt.runtimeCU), which is a quarter of the whole, so that types
 * can be had without the rest; functions and variables are in their packages' units.  Nothing
 * below the top level is kept: a function's variables are read again when they are asked for
 * (dwarf_locals.c).
 *
 * One Go type can be two DIEs: a named struct is a structure_type and a typedef of the same name,
 * an interface two typedefs of which one has the kind.  The one that says more is found.
 */
#include <stdlib.h>
#include <string.h>

#include "base/intr.h"
#include "base/search.h"
#include "target/dwarf_int.h"

/* ------------------------------------------------------------------ types by name */

enum { RANK_STRUCT = 4 };

static uint8_t type_rank(struct dwarf *d, Dwarf_Die die, uint16_t tag)
{
	uint64_t v;

	if (tag == DW_TAG_structure_type)
		return RANK_STRUCT;
	if (tag != DW_TAG_typedef)
		return 3;
	return dwarf_die_uint(d, die, GO_AT_kind, &v) && v ? 2 : 1;
}

static struct err *add_type(struct dwarf *d, Dwarf_Die die, uint16_t tag)
{
	struct dwarf_name n = { 0 };
	uint64_t runtime, *slot;
	bool is_new;

	n.name = dwarf_die_str(d, die, DW_AT_name);
	if (!n.name)
		return NULL;
	n.name = symname_plain(&d->strings, n.name);
	if (!n.name)
		return err_nomem();
	n.die = dwarf_die_off(d, die);
	n.rank = type_rank(d, die, tag);
	runtime = dwarf_type_runtime(d, die, n.name);
	TRY(vec_push(&d->names, n));
	if (!runtime)
		return NULL;
	TRY(map64_put(&d->by_runtime, runtime, d->names.n - 1, &slot, &is_new));
	if (!is_new && d->names.v[*slot].rank < n.rank)
		*slot = d->names.n - 1;
	return NULL;
}

/* The slot of a name, or the empty one where it belongs. */
static uint32_t find_name(const struct dwarf *d, const char *name)
{
	uint32_t i = hash_name(name, strlen(name)) & (d->nname_slots - 1);

	while (d->name_slots[i] && strcmp(d->names.v[d->name_slots[i] - 1].name, name))
		i = (i + 1) & (d->nname_slots - 1);
	return i;
}

static struct err *hash_names(struct dwarf *d)
{
	uint64_t nslots = 64;

	if (d->names.n >= UINT32_MAX / 4)
		return err_create(ERR_LIMIT, "%zu types in DWARF", d->names.n);
	while (nslots < d->names.n * 2)
		nslots *= 2;
	free(d->name_slots);
	d->name_slots = calloc(nslots, sizeof(*d->name_slots));
	if (!d->name_slots)
		return err_nomem();
	d->nname_slots = (uint32_t)nslots;
	for (size_t i = 0; i < d->names.n; i++) {
		uint32_t *slot = &d->name_slots[find_name(d, d->names.v[i].name)];

		TRY(intr_check());
		if (!*slot || d->names.v[*slot - 1].rank < d->names.v[i].rank)
			*slot = (uint32_t)i + 1;
	}
	return NULL;
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

static struct err *add_die(struct dwarf *d, Dwarf_Die die, const struct dwarf_cu *cu, bool types)
{
	uint16_t tag = dwarf_die_tag(d, die);

	switch (tag) {
	case DW_TAG_subprogram:
		return add_func(d, die);
	case DW_TAG_variable:
		return add_var(d, die, cu);
	case DW_TAG_constant:
	case 0:
		return NULL;
	default:
		return types ? add_type(d, die, tag) : NULL;
	}
}

/* Adds what is at the top level of a unit to the tables. */
static struct err *walk_cu(struct dwarf *d, struct dwarf_cu *cu, bool types)
{
	DIE_GUARD Dwarf_Die top = NULL, die = NULL;

	if (cu->walked)
		return NULL;
	cu->walked = true;
	if (!dwarf_die_at(d, cu->die, &top) || !dwarf_die_child(d, top, &die))
		return NULL;
	do
		TRY(add_die(d, die, cu, types));
	while (dwarf_die_next(d, &die));
	return intr_check();
}

/* Makes the tables of types, once, and no others. */
static struct err *need_types(struct dwarf *d)
{
	bool any = false;

	if (d->have_types)
		return NULL;
	TRY(dwarf_need_cus(d));
	for (size_t i = 0; i < d->cus.n; i++)
		any |= d->cus.v[i].types;
	/* Where no unit is marked, a linker did it another way, and types may be anywhere. */
	for (size_t i = 0; i < d->cus.n; i++)
		if (d->cus.v[i].types || (!any && d->cus.v[i].go))
			TRY(walk_cu(d, &d->cus.v[i], true));
	TRY(dwarf_settle(d));
	TRY(hash_names(d));
	d->have_types = true;
	return NULL;
}

static int cmp_func(const void *a, const void *b)
{
	const struct dwarf_func *x = a, *y = b;

	if (x->low != y->low)
		return x->low < y->low ? -1 : 1;
	return x->die < y->die ? -1 : x->die > y->die;
}

static int cmp_var(const void *a, const void *b)
{
	const struct dwarf_var *x = a, *y = b;

	int names;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	names = strcmp(x->name, y->name);
	if (names)
		return names;
	return x->type < y->type ? -1 : x->type > y->type;
}

struct err *dwarf_need_index(struct dwarf *d)
{
	if (d->have_index)
		return NULL;
	TRY(need_types(d)); /* the types' unit is walked there */
	for (size_t i = 0; i < d->cus.n; i++)
		if (d->cus.v[i].go) /* C's names lead to nothing of Go's heap */
			TRY(walk_cu(d, &d->cus.v[i], false));
	if (d->funcs.n)
		qsort(d->funcs.v, d->funcs.n, sizeof(*d->funcs.v), cmp_func);
	if (d->vars.n)
		qsort(d->vars.v, d->vars.n, sizeof(*d->vars.v), cmp_var);
	for (size_t i = 0; i < d->vars.n; i++) {
		TRY(intr_check());
		d->vars.v[i].size = dwarf_type_size(d, d->vars.v[i].type);
	}
	TRY(dwarf_settle(d));
	d->have_index = true;
	return NULL;
}

struct err *dwarf_globals(struct dwarf *d, const struct dwarf_var **ret, size_t *n)
{
	TRY(dwarf_need_index(d));
	*ret = d->vars.v;
	*n = d->vars.n;
	return NULL;
}

struct err *dwarf_type_by_name(struct dwarf *d, const char *name, uint64_t *die)
{
	uint32_t i;

	TRY(need_types(d));
	i = d->name_slots[find_name(d, name)];
	*die = i ? d->names.v[i - 1].die : 0;
	return NULL;
}

struct err *dwarf_next_struct(struct dwarf *d, size_t *at, uint64_t *die)
{
	*die = 0;
	TRY(need_types(d));
	while (*at < d->names.n && !*die) {
		const struct dwarf_name *n = &d->names.v[(*at)++];

		if (n->rank == RANK_STRUCT)
			*die = n->die;
	}
	return NULL;
}

struct err *dwarf_type_by_runtime(struct dwarf *d, uint64_t offset, uint64_t *die)
{
	uint64_t *i;

	TRY(need_types(d));
	i = map64_get(&d->by_runtime, offset);
	*die = i ? d->names.v[*i].die : 0;
	return NULL;
}

struct func_key {
	const struct dwarf_func *v;
	uint64_t pc;
};

static bool func_begins_behind(const void *arg, size_t i)
{
	const struct func_key *key = arg;

	return key->v[i].low > key->pc;
}

const struct dwarf_func *dwarf_find_func(const struct dwarf *d, uint64_t pc)
{
	const struct func_key key = { d->funcs.v, pc };
	size_t i = search_first(d->funcs.n, func_begins_behind, &key);

	return i && pc < d->funcs.v[i - 1].high ? &d->funcs.v[i - 1] : NULL;
}
