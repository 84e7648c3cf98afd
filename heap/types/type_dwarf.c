/*
 * Types from DWARF, as Go's linker writes them (cmd/link/internal/ld/dwarf.go
 * newtype and synthesize*types): a named struct, slice or string is a
 * structure_type with a kind; map, chan and interface are typedefs with a kind, of the
 * runtime's internals; a typedef without a kind is only a second name.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "heap/types/type_int.h"

/* Without the compiler's mark on types that need no equality and hash functions. */
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

/* What a typedef, and one of that, names.  ret->die is 0 if there is nothing. */
static struct err *strip(struct dwarf *d, uint64_t die, struct dwarf_type *ret)
{
	for (int i = 0; die && i < LIMIT_TYPE_DEPTH; i++) {
		struct err *err = dwarf_type(d, die, ret);

		if (err || ret->tag != DWARF_T_TYPEDEF)
			return err;
		die = ret->elem;
	}
	*ret = (struct dwarf_type){ .name = "" };
	return NULL;
}

/* Behind n pointers; ret->die 0: not that many, or to nothing. */
static struct err *deref(struct dwarf *d, uint64_t die, int n, struct dwarf_type *ret)
{
	struct err *err = strip(d, die, ret);

	while (!err && n--) {
		if (ret->tag != DWARF_T_POINTER || !ret->elem) {
			*ret = (struct dwarf_type){ .name = "" };
			return NULL;
		}
		err = strip(d, ret->elem, ret);
	}
	return err;
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
		struct err *err;
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
			err = dwarf_members(d, type.die, &m, &n);
			if (err || n != 1)
				return err;
			next = m[0].type;
			break;
		default:
			return NULL;
		}
		do {
			err = dwarf_type(d, next, &type);
			next = type.elem;
		} while (!err && type.tag == DWARF_T_TYPEDEF && !type.go_kind && next &&
			 ++i < LIMIT_TYPE_DEPTH);
		if (err)
			return err;
	}
	return NULL;
}

static struct err *make(struct types *t, size_t module, const struct dwarf_type *d,
			struct go_type **ret)
{
	const struct types_module *m = &t->modules[module];
	struct dwarf_type iface;
	struct go_type *type;
	uint64_t rtype = 0;
	bool known = false;
	struct err *err;

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
	err = type_new(t, kind_of(d), plain_name(d->name), d->size, &type);
	if (err)
		return err;
	type->die = d->die;
	type->rtype = rtype;
	type->len = d->count;
	if (type->kind == KIND_INTERFACE) {
		err = type_absorb(strip(m->dwarf, d->elem, &iface));
		if (err)
			return err;
		type->is_iface_empty = iface.die && !strcmp(iface.name, "runtime.eface");
		if (!type->size)
			type->size = 2u * t->fmt.word;
	}
	if (rtype) {
		err = type_read_direct(t, rtype, &known, &type->direct);
		if (!err)
			err = type_remember(&t->by_rtype, rtype, type);
	}
	if (!err && !known && type->size == t->fmt.word)
		err = type_absorb(shape_direct(m->dwarf, *d, &type->direct));
	if (!err)
		*ret = type;
	return err;
}

struct err *types_from_die(struct types *t, size_t module, uint64_t die, struct go_type **ret)
{
	struct dwarf_type d = { .name = "" };
	uint64_t at = die;
	struct go_type *type = NULL;
	struct err *err;

	*ret = NULL;
	if (!die || module >= t->nmodules || !t->modules[module].dwarf)
		return NULL;
	for (int i = 0;; i++) {
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
		err = make(t, module, &d, &type);
		if (!err)
			err = type_remember(&t->by_die[module], at, type);
		if (err)
			return err;
	}
	if (at != die) {
		err = type_remember(&t->by_die[module], die, type);
		if (err)
			return err;
	}
	*ret = type;
	return NULL;
}

/* ------------------------------------------------------------------ maps */

struct members {
	struct dwarf_member *m;
	size_t n;
};

static void members_free(struct members *m)
{
	free(m->m);
}
#define MEMBERS_GUARD __attribute__((cleanup(members_free)))

static const struct dwarf_member *member(const struct members *m, const char *name)
{
	for (size_t i = 0; i < m->n; i++)
		if (!strcmp(m->m[i].name, name))
			return &m->m[i];
	return NULL;
}

/* {ctrl, slots [8]struct{key, elem}}, or keys and elements apart (go1.27,
 * GOEXPERIMENT=mapsplitgroup). */
static struct err *map_group(struct dwarf *d, const struct dwarf_type *group, struct go_map *ret,
			     bool *ok)
{
	MEMBERS_GUARD struct members g = { 0 }, s = { 0 };
	const struct dwarf_member *slots, *key, *elem;
	struct dwarf_type a, k;
	struct err *err = dwarf_members(d, group->die, &g.m, &g.n);

	if (err)
		return err;
	slots = member(&g, "slots");
	key = member(&g, "keys");
	elem = member(&g, "elems");
	ret->group_size = (uint32_t)group->size;
	if (slots) {
		err = strip(d, slots->type, &a);
		if (!err && a.tag == DWARF_T_ARRAY)
			err = strip(d, a.elem, &a);
		if (!err && a.die)
			err = dwarf_members(d, a.die, &s.m, &s.n);
		if (err)
			return err;
		key = member(&s, "key");
		elem = member(&s, "elem");
		if (!key || !elem)
			return NULL;
		ret->keys_off = (uint32_t)(slots->offset + key->offset);
		ret->elems_off = (uint32_t)(slots->offset + elem->offset);
		ret->key_stride = ret->elem_stride = (uint32_t)a.size;
		*ok = true;
	} else if (key && elem) {
		err = strip(d, key->type, &k);
		if (!err)
			err = strip(d, elem->type, &a);
		if (err || k.tag != DWARF_T_ARRAY || a.tag != DWARF_T_ARRAY || !k.count || !a.count)
			return err;
		ret->keys_off = (uint32_t)key->offset;
		ret->elems_off = (uint32_t)elem->offset;
		ret->key_stride = (uint32_t)(k.size / k.count);
		ret->elem_stride = (uint32_t)(a.size / a.count);
		*ok = true;
	}
	return NULL;
}

/* map<K,V>.dirPtr -> -> table<K,V>.groups = groupReference<K,V>.data -> the group. */
static struct err *map_swiss(struct dwarf *d, const struct dwarf_member *dir, struct go_map *ret,
			     bool *ok)
{
	MEMBERS_GUARD struct members table = { 0 }, ref = { 0 };
	const struct dwarf_member *f;
	struct dwarf_type x;
	struct err *err = deref(d, dir->type, 2, &x);

	if (err || !x.die)
		return err;
	err = dwarf_members(d, x.die, &table.m, &table.n);
	if (err || !(f = member(&table, "groups")))
		return err;
	err = strip(d, f->type, &x);
	if (err || !x.die)
		return err;
	err = dwarf_members(d, x.die, &ref.m, &ref.n);
	if (err || !(f = member(&ref, "data")))
		return err;
	err = deref(d, f->type, 1, &x);
	if (err || !x.die)
		return err;
	ret->swiss = true;
	return map_group(d, &x, ret, ok);
}

/* hash<K,V>.buckets -> bucket<K,V>{tophash, keys, values, overflow}. */
static struct err *map_bucket(struct dwarf *d, const struct dwarf_member *buckets,
			      struct go_map *ret, bool *ok)
{
	MEMBERS_GUARD struct members b = { 0 };
	const struct dwarf_member *keys, *values, *overflow;
	struct dwarf_type x, k, v;
	struct err *err = deref(d, buckets->type, 1, &x);

	if (err || !x.die)
		return err;
	err = dwarf_members(d, x.die, &b.m, &b.n);
	if (err)
		return err;
	keys = member(&b, "keys");
	values = member(&b, "values");
	overflow = member(&b, "overflow");
	if (!keys || !values || !overflow)
		return NULL;
	err = strip(d, keys->type, &k);
	if (!err)
		err = strip(d, values->type, &v);
	if (err || k.tag != DWARF_T_ARRAY || v.tag != DWARF_T_ARRAY || !k.count || !v.count)
		return err;
	ret->group_size = (uint32_t)x.size;
	ret->keys_off = (uint32_t)keys->offset;
	ret->key_stride = (uint32_t)(k.size / k.count);
	ret->elems_off = (uint32_t)values->offset;
	ret->elem_stride = (uint32_t)(v.size / v.count);
	ret->overflow_off = (uint32_t)overflow->offset;
	*ok = true;
	return NULL;
}

static struct err *map_layout(struct dwarf *d, uint64_t internals, struct go_map *ret, bool *ok)
{
	MEMBERS_GUARD struct members m = { 0 };
	const struct dwarf_member *f;
	struct dwarf_type x;
	struct err *err = deref(d, internals, 1, &x);

	*ok = false;
	if (err || !x.die)
		return err;
	err = dwarf_members(d, x.die, &m.m, &m.n);
	if (err)
		return err;
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
	struct err *err;
	bool ok = false;

	if (!map)
		return err_nomem();
	err = types_from_die(t, module, d->go_key, &type->key);
	if (!err)
		err = types_from_die(t, module, d->go_elem, &type->elem);
	if (!err)
		err = type_absorb(map_layout(t->modules[module].dwarf, d->elem, map, &ok));
	if (err)
		return err;
	if (!ok || !type->key || !type->elem) /* the descriptor has it too */
		return type->rtype ? type_expand_runtime(t, type) : NULL;
	map->indirect_key = type->key->size > MAP_MAX_INLINE;
	map->indirect_elem = type->elem->size > MAP_MAX_INLINE;
	type->map = map;
	return NULL;
}

static struct err *expand_struct(struct types *t, size_t module, struct go_type *type)
{
	MEMBERS_GUARD struct members m = { 0 };
	struct err *err =
		type_absorb(dwarf_members(t->modules[module].dwarf, type->die, &m.m, &m.n));
	struct go_field *fields;

	if (err || !m.n)
		return err;
	fields = arena_alloc(&t->arena, m.n * sizeof(*fields));
	if (!fields)
		return err_nomem();
	for (size_t i = 0; i < m.n; i++) {
		fields[i].name = m.m[i].name;
		fields[i].offset = m.m[i].offset;
		err = types_from_die(t, module, m.m[i].type, &fields[i].type);
		if (err)
			return err;
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
