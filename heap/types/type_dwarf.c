/*
 * Types from DWARF, as Go's linker writes them (cmd/link/internal/ld/dwarf.go, newtype and
 * synthesize*types).  A named struct, slice or string is a structure_type with a kind.  A map,
 * channel or interface is a typedef with a kind, which names the runtime's internal struct.  A
 * typedef without a kind is only a second name.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "heap/types/type_int.h"

/* A name without the compiler's mark on types that need no equality and hash functions. */
static const char *plain_name(const char *s)
{
	static const char noalg[] = "noalg.";

	return !strncmp(s, noalg, sizeof(noalg) - 1) ? s + sizeof(noalg) - 1 : s;
}

static uint8_t kind_of(const struct dwarf_type *d)
{
	if (d->go_kind && d->go_kind <= KIND_UNSAFE_POINTER)
		return d->go_kind;
	switch (d->tag) {
	/* "unsafe.Pointer" never has a kind, nor have some of go1.17's pointers */
	case DWARF_T_POINTER:
		return d->elem ? KIND_POINTER : KIND_UNSAFE_POINTER;
	case DWARF_T_STRUCT:
		return KIND_STRUCT;
	case DWARF_T_ARRAY:
		return KIND_ARRAY;
	case DWARF_T_FUNC:
		return KIND_FUNC;
	default:
		return KIND_INVALID;
	}
}

/* The type at the end of a chain of typedefs.  ret->die is 0 if there is none. */
static struct err *die_strip(struct dwarf *d, uint64_t die, struct dwarf_type *ret)
{
	for (int i = 0; die && i < LIMIT_TYPE_DEPTH; i++) {
		TRY(dwarf_type(d, die, ret));
		if (ret->tag != DWARF_T_TYPEDEF)
			return NULL;
		die = ret->elem;
	}
	*ret = (struct dwarf_type){ .name = "" };
	return NULL;
}

/* The type behind n pointers.  ret->die is 0 if there are fewer, or if they point to nothing. */
static struct err *die_deref(struct dwarf *d, uint64_t die, int n, struct dwarf_type *ret)
{
	TRY(die_strip(d, die, ret));
	while (n--) {
		if (ret->tag != DWARF_T_POINTER || !ret->elem) {
			*ret = (struct dwarf_type){ .name = "" };
			return NULL;
		}
		TRY(die_strip(d, ret->elem, ret));
	}
	return NULL;
}

/*
 * Pointer-shaped by its shape: one field, or one element, of a pointer (cmd/compile/internal/types
 * IsDirectIface@go1.17-1.25; from go1.26 on fields of no size may stand beside it, which
 * only the descriptor tells).
 */
static struct err *shape_direct(struct dwarf *d, struct dwarf_type type, bool *ret)
{
	*ret = false;
	for (int i = 0; i < LIMIT_TYPE_DEPTH; i++) {
		_cleanup_free_ struct dwarf_member *m = NULL;
		size_t n = 0;
		uint64_t next;

		switch (kind_of(&type)) {
		case KIND_POINTER:
		case KIND_UNSAFE_POINTER:
		case KIND_CHAN:
		case KIND_MAP:
		case KIND_FUNC:
			*ret = true;
			return NULL;
		case KIND_ARRAY:
			if (type.count != 1)
				return NULL;
			next = type.elem;
			break;
		case KIND_STRUCT:
			TRY(dwarf_members(d, type.die, &m, &n));
			if (n != 1)
				return NULL;
			next = m[0].type;
			break;
		default:
			return NULL;
		}
		do {
			TRY(dwarf_type(d, next, &type));
			next = type.elem;
		} while (type.tag == DWARF_T_TYPEDEF && !type.go_kind && next &&
			 ++i < LIMIT_TYPE_DEPTH);
	}
	return NULL;
}

/* The type of a DIE that is no typedef: that of its descriptor, if it is there already. */
static struct err *die_make_type(struct types *t, size_t module, const struct dwarf_type *d,
				 struct go_type **ret)
{
	const struct types_module *m = &t->modules[module];
	struct dwarf_type iface;
	struct go_type *type;
	uint64_t rtype = 0;
	bool known = false;

	*ret = NULL;
	if (d->go_runtime_type && d->go_runtime_type < m->etypes - m->types) {
		rtype = m->types + d->go_runtime_type;
		type = type_recall(&t->by_rtype, rtype);
		if (type) {
			if (!type->die && !type->expanded)
				type->die = d->die;
			*ret = type;
			return NULL;
		}
	}
	TRY(type_new(t, kind_of(d), plain_name(d->name), d->size, &type));
	type->die = d->die;
	type->rtype = rtype;
	type->len = d->count;
	if (type->kind == KIND_INTERFACE) {
		TRY(type_absorb(die_strip(m->dwarf, d->elem, &iface)));
		type->is_iface_empty = iface.die && !strcmp(iface.name, "runtime.eface");
		if (!type->size)
			type->size = 2u * t->fmt.word;
	}
	if (rtype) {
		TRY(type_read_direct(t, rtype, &known, &type->direct));
		TRY(type_remember(&t->by_rtype, rtype, type));
	}
	if (!known && type->size == t->fmt.word)
		TRY(type_absorb(shape_direct(m->dwarf, *d, &type->direct)));
	*ret = type;
	return NULL;
}

struct err *types_from_die(struct types *t, size_t module, uint64_t die, struct go_type **ret)
{
	struct dwarf_type d = { .name = "" };
	struct go_type *type = NULL;
	uint64_t at = die;

	*ret = NULL;
	if (!die || module >= t->nmodules || !t->modules[module].dwarf)
		return NULL;
	for (int i = 0;; i++) {
		struct err *err;

		type = type_recall(&t->by_die[module], at);
		if (type)
			break;
		err = dwarf_type(t->modules[module].dwarf, at, &d);
		if (err)
			return type_absorb(err);
		if (d.tag != DWARF_T_TYPEDEF || d.go_kind)
			break;
		at = d.elem; /* a second name */
		if (!at || i >= LIMIT_TYPE_DEPTH)
			return NULL;
	}
	if (!type) {
		TRY(die_make_type(t, module, &d, &type));
		TRY(type_remember(&t->by_die[module], at, type));
	}
	if (at != die)
		TRY(type_remember(&t->by_die[module], die, type));
	*ret = type;
	return NULL;
}

/* ------------------------------------------------------------------ maps */

struct members {
	struct dwarf_member *m;
	size_t n;
};

static void members_deinit(struct members *m)
{
	free(m->m);
}

static struct err *members_read(struct dwarf *d, uint64_t die, struct members *ret)
{
	return dwarf_members(d, die, &ret->m, &ret->n);
}

static const struct dwarf_member *member(const struct members *m, const char *name)
{
	for (size_t i = 0; i < m->n; i++)
		if (!strcmp(m->m[i].name, name))
			return &m->m[i];
	return NULL;
}

/* Keys, or elements, in an array of their own. */
static struct err *map_array(struct dwarf *d, const struct dwarf_member *f, uint32_t *off,
			     uint32_t *stride, bool *ok)
{
	struct dwarf_type a;

	TRY(die_strip(d, f->type, &a));
	*ok = a.tag == DWARF_T_ARRAY && a.count;
	if (!*ok)
		return NULL;
	*off = (uint32_t)f->offset;
	*stride = (uint32_t)(a.size / a.count);
	return NULL;
}

static struct err *map_arrays(struct dwarf *d, const struct dwarf_member *keys,
			      const struct dwarf_member *elems, struct go_map *ret, bool *ok)
{
	TRY(map_array(d, keys, &ret->keys_off, &ret->key_stride, ok));
	return *ok ? map_array(d, elems, &ret->elems_off, &ret->elem_stride, ok) : NULL;
}

/* slots [8]struct{key, elem} */
static struct err *map_slots(struct dwarf *d, const struct dwarf_member *slots, struct go_map *ret,
			     bool *ok)
{
	_cleanup_(members_deinit) struct members m = { 0 };
	const struct dwarf_member *key, *elem;
	struct dwarf_type slot;

	TRY(die_strip(d, slots->type, &slot));
	if (slot.tag == DWARF_T_ARRAY)
		TRY(die_strip(d, slot.elem, &slot));
	if (slot.die)
		TRY(members_read(d, slot.die, &m));
	key = member(&m, "key");
	elem = member(&m, "elem");
	if (!key || !elem)
		return NULL;
	ret->keys_off = (uint32_t)(slots->offset + key->offset);
	ret->elems_off = (uint32_t)(slots->offset + elem->offset);
	ret->key_stride = ret->elem_stride = (uint32_t)slot.size;
	*ok = true;
	return NULL;
}

/* {ctrl, slots}, or keys and elements apart (go1.27, GOEXPERIMENT=mapsplitgroup). */
static struct err *map_group(struct dwarf *d, const struct dwarf_type *group, struct go_map *ret,
			     bool *ok)
{
	_cleanup_(members_deinit) struct members m = { 0 };
	const struct dwarf_member *slots, *keys, *elems;

	TRY(members_read(d, group->die, &m));
	slots = member(&m, "slots");
	keys = member(&m, "keys");
	elems = member(&m, "elems");
	ret->group_size = (uint32_t)group->size;
	if (slots)
		return map_slots(d, slots, ret, ok);
	return keys && elems ? map_arrays(d, keys, elems, ret, ok) : NULL;
}

/* The members of the struct behind n pointers; none where there is no such struct. */
static struct err *members_behind(struct dwarf *d, uint64_t die, int n, struct dwarf_type *strct,
				  struct members *ret)
{
	TRY(die_deref(d, die, n, strct));
	return strct->die ? members_read(d, strct->die, ret) : NULL;
}

/* map<K,V>.dirPtr -> -> table<K,V>.groups = groupReference<K,V>.data -> the group. */
static struct err *map_swiss(struct dwarf *d, const struct dwarf_member *dir, struct go_map *ret,
			     bool *ok)
{
	_cleanup_(members_deinit) struct members table = { 0 }, ref = { 0 };
	const struct dwarf_member *f;
	struct dwarf_type x;

	TRY(members_behind(d, dir->type, 2, &x, &table));
	f = member(&table, "groups");
	if (!f)
		return NULL;
	TRY(members_behind(d, f->type, 0, &x, &ref));
	f = member(&ref, "data");
	if (!f)
		return NULL;
	TRY(die_deref(d, f->type, 1, &x));
	if (!x.die)
		return NULL;
	ret->swiss = true;
	return map_group(d, &x, ret, ok);
}

/* hash<K,V>.buckets -> bucket<K,V>{tophash, keys, values, overflow}. */
static struct err *map_bucket(struct dwarf *d, const struct dwarf_member *buckets,
			      struct go_map *ret, bool *ok)
{
	_cleanup_(members_deinit) struct members m = { 0 };
	const struct dwarf_member *keys, *values, *overflow;
	struct dwarf_type bucket;

	TRY(members_behind(d, buckets->type, 1, &bucket, &m));
	keys = member(&m, "keys");
	values = member(&m, "values");
	overflow = member(&m, "overflow");
	if (!keys || !values || !overflow)
		return NULL;
	ret->group_size = (uint32_t)bucket.size;
	ret->overflow_off = (uint32_t)overflow->offset;
	return map_arrays(d, keys, values, ret, ok);
}

/* internals: the struct behind the map's pointer.  *ok false: it is none that is known. */
static struct err *map_layout(struct dwarf *d, uint64_t internals, struct go_map *ret, bool *ok)
{
	_cleanup_(members_deinit) struct members m = { 0 };
	const struct dwarf_member *f;
	struct dwarf_type x;

	*ok = false;
	TRY(members_behind(d, internals, 1, &x, &m));
	f = member(&m, "dirPtr");
	if (f)
		return map_swiss(d, f, ret, ok);
	f = member(&m, "buckets");
	return f ? map_bucket(d, f, ret, ok) : NULL;
}

/* ------------------------------------------------------------------ what is inside */

static struct err *expand_map(struct types *t, size_t module, const struct dwarf_type *d,
			      struct go_type *type)
{
	struct go_map *map = arena_alloc(&t->arena, sizeof(*map));
	bool ok = false;

	if (!map)
		return err_nomem();
	TRY(types_from_die(t, module, d->go_key, &type->key));
	TRY(types_from_die(t, module, d->go_elem, &type->elem));
	TRY(type_absorb(map_layout(t->modules[module].dwarf, d->elem, map, &ok)));
	if (!ok || !type->key || !type->elem) /* the descriptor says it as well */
		return type->rtype ? type_expand_runtime(t, type) : NULL;
	map->indirect_key = type->key->size > MAP_MAX_INLINE;
	map->indirect_elem = type->elem->size > MAP_MAX_INLINE;
	type->map = map;
	return NULL;
}

static struct err *expand_struct(struct types *t, size_t module, struct go_type *type)
{
	_cleanup_(members_deinit) struct members m = { 0 };
	struct go_field *fields;

	TRY(type_absorb(members_read(t->modules[module].dwarf, type->die, &m)));
	if (!m.n)
		return NULL;
	fields = arena_alloc(&t->arena, m.n * sizeof(*fields));
	if (!fields)
		return err_nomem();
	for (size_t i = 0; i < m.n; i++) {
		fields[i].name = m.m[i].name;
		fields[i].offset = m.m[i].offset;
		TRY(types_from_die(t, module, m.m[i].type, &fields[i].type));
	}
	type_sort_fields(fields, (uint32_t)m.n);
	type->fields = fields;
	type->nfields = (uint32_t)m.n;
	return NULL;
}

struct err *type_expand_dwarf(struct types *t, size_t module, struct go_type *type)
{
	struct dwarf_type d;
	struct err *err = dwarf_type(t->modules[module].dwarf, type->die, &d);

	if (err)
		return type_absorb(err);
	switch (type->kind) {
	case KIND_STRUCT:
		return expand_struct(t, module, type);
	case KIND_MAP:
		return expand_map(t, module, &d, type);
	case KIND_SLICE:
	case KIND_CHAN:
		return types_from_die(t, module, d.go_elem, &type->elem);
	case KIND_POINTER:
	case KIND_ARRAY:
		return types_from_die(t, module, d.elem, &type->elem);
	default:
		return NULL;
	}
}
