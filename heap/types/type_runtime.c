/*
 * Types from the runtime's own descriptors (heap/types/type_desc.h).  Where DWARF has a DIE for a
 * descriptor its type is taken from there; the others are made of what the descriptor says.
 */
#include <inttypes.h>
#include <string.h>

#include "heap/types/type_desc.h"

enum {
	SWISS_MAP_INDIRECT_KEY = 1 << 2, /* abi.SwissMapIndirectKey (internal/abi/map_swiss.go) */
	SWISS_MAP_INDIRECT_ELEM = 1 << 3,
	OLD_MAP_INDIRECT_KEY = 1 << 0, /* abi.OldMapIndirectKey (map_noswiss.go; runtime/type.go) */
	OLD_MAP_INDIRECT_ELEM = 1 << 1,
	GROUP_SLOTS = 8, /* abi.SwissMapGroupSlots, abi.OldMapBucketCount */
	GROUP_CTRL = 8,  /* a control byte, or a tophash byte, of each */
};

/* ------------------------------------------------------------------ types */

/* The type that DWARF has under this descriptor's offset; NULL: none. */
static struct err *from_die(struct types *t, const struct desc *d, struct go_type **ret)
{
	const struct types_module *m = &t->modules[d->module];
	struct go_type *type = NULL;
	uint64_t die = 0;

	*ret = NULL;
	if (!m->dwarf)
		return NULL;
	TRY(type_absorb(dwarf_type_by_runtime(m->dwarf, d->addr - m->types, &die)));
	if (die)
		TRY(types_from_die(t, d->module, die, &type));
	/* DWARF may be of another build, but the process has what the descriptor says. */
	if (!type || type->kind != d->kind || type->size != d->size)
		return NULL;
	type->rtype = d->addr;
	type->direct = d->direct;
	*ret = type;
	return NULL;
}

static struct err *iface_is_empty(struct types *t, const struct desc *d, bool *ret)
{
	uint64_t n;
	bool ok;

	/* InterfaceType{Type; PkgPath Name; Methods []Imethod} */
	TRY(desc_word(t, d->addr + layout_size(t->layout, LS_type) + 2u * t->fmt.word, &n, &ok));
	*ret = ok && !n;
	return NULL;
}

/* A type that only the descriptor knows. */
static struct err *desc_make_type(struct types *t, const struct desc *d, struct type_chain *chain,
				  struct go_type **ret)
{
	struct go_type *type;
	const char *name;
	struct err *err;
	bool ok;

	chain->addr[chain->n++] = d->addr;
	err = type_full_name(t, d, chain, &name);
	chain->n--;
	TRY(err);
	TRY(type_new(t, d->kind, name, d->size, &type));
	type->rtype = d->addr;
	type->direct = d->direct;
	if (type->kind == KIND_INTERFACE)
		TRY(iface_is_empty(t, d, &type->is_iface_empty));
	if (type->kind == KIND_ARRAY) {
		TRY(desc_word(t, d->addr + layout_off(t->layout, L_arraytype_len), &type->len,
			      &ok));
		if (!ok)
			type->len = 0;
	}
	*ret = type;
	return NULL;
}

struct err *type_from_desc(struct types *t, uint64_t addr, struct type_chain *chain,
			   struct go_type **ret)
{
	struct go_type *type = type_recall(&t->by_rtype, addr);
	struct desc d;
	bool ok;

	*ret = type;
	if (type || chain->n >= LIMIT_TYPE_DEPTH)
		return NULL;
	for (int i = 0; i < chain->n; i++)
		if (chain->addr[i] == addr)
			return NULL;
	TRY(desc_read(t, addr, &d, &ok));
	if (!ok)
		return NULL;
	if (d.module < t->nmodules)
		TRY(from_die(t, &d, &type));
	if (!type)
		TRY(desc_make_type(t, &d, chain, &type));
	TRY(type_remember(&t->by_rtype, addr, type));
	*ret = type;
	return NULL;
}

struct err *types_from_runtime(struct types *t, uint64_t addr, struct go_type **ret)
{
	struct type_chain chain = { .n = 0 };

	return type_from_desc(t, addr, &chain, ret);
}

/* ------------------------------------------------------------------ what is inside */

static struct err *type_at(struct types *t, uint64_t slot, struct go_type **ret)
{
	uint64_t addr;
	bool ok;

	*ret = NULL;
	TRY(desc_word(t, slot, &addr, &ok));
	return ok ? types_from_runtime(t, addr, ret) : NULL;
}

static struct err *expand_struct(struct types *t, const struct desc *d, struct go_type *type)
{
	uint64_t at, n;
	struct go_field *fields;
	bool ok;

	TRY(desc_fields(t, d, &at, &n, &ok));
	if (!ok || !n)
		return NULL;
	fields = arena_alloc(&t->arena, n * sizeof(*fields));
	if (!fields)
		return err_nomem();
	for (uint64_t i = 0; i < n; i++, at += layout_size(t->layout, LS_structfield)) {
		struct desc_name name = { 0 };
		uint64_t ftype;

		TRY(desc_field(t, at, &name, &ftype, &fields[i].offset, &ok));
		if (!ok)
			return NULL;
		fields[i].name = name.s;
		TRY(types_from_runtime(t, ftype, &fields[i].type));
	}
	type_sort_fields(fields, (uint32_t)n);
	type->fields = fields;
	type->nfields = (uint32_t)n;
	return NULL;
}

/* runtime.bmap: control bytes, keys, elements, and a pointer to the next bucket at the end. */
static void map_numbers_old(const struct types *t, const struct go_type *type, uint64_t flags,
			    struct go_map *m)
{
	m->indirect_key = flags & OLD_MAP_INDIRECT_KEY;
	m->indirect_elem = flags & OLD_MAP_INDIRECT_ELEM;
	m->keys_off = GROUP_CTRL;
	m->key_stride = m->indirect_key ? t->fmt.word : (uint32_t)type->key->size;
	m->elems_off = GROUP_CTRL + GROUP_SLOTS * m->key_stride;
	m->elem_stride = m->indirect_elem ? t->fmt.word : (uint32_t)type->elem->size;
	m->overflow_off = m->group_size - t->fmt.word;
}

/* internal/runtime/maps.group: keys and elements are apart since go1.27, before that in pairs. */
static struct err *map_numbers_swiss(struct types *t, const struct desc *d, uint64_t flags,
				     struct go_map *m, bool *ok)
{
	static const enum layout_id apart[] = { L_maptype_keysOff, L_maptype_keyStride,
						L_maptype_elemsOff, L_maptype_elemStride };
	static const enum layout_id pairs[] = { L_maptype_slotSize, L_maptype_elemOff };
	uint64_t v[4];

	m->indirect_key = flags & SWISS_MAP_INDIRECT_KEY;
	m->indirect_elem = flags & SWISS_MAP_INDIRECT_ELEM;
	if (layout_has(t->layout, L_maptype_keysOff)) {
		TRY(desc_uints(t, d->addr, apart, 4, v, ok));
	} else {
		TRY(desc_uints(t, d->addr, pairs, 2, v, ok));
		v[3] = v[0];
		v[2] = v[1] + GROUP_CTRL;
		v[1] = v[0];
		v[0] = GROUP_CTRL;
	}
	for (int i = 0; i < 4; i++)
		*ok &= v[i] <= m->group_size;
	m->keys_off = (uint32_t)v[0];
	m->key_stride = (uint32_t)v[1];
	m->elems_off = (uint32_t)v[2];
	m->elem_stride = (uint32_t)v[3];
	return NULL;
}

/* Where keys and elements are, as this release's MapType says; *ok false: it cannot be read. */
static struct err *map_numbers(struct types *t, const struct desc *d, const struct go_type *type,
			       struct go_map *m, bool *ok)
{
	uint64_t flags, group;
	struct desc g;

	TRY(desc_uint(t, d->addr, L_maptype_flags, &flags, ok));
	if (!*ok)
		return NULL;
	m->swiss = layout_has(t->layout, L_maptype_group);
	TRY(desc_word(
		t, d->addr + layout_off(t->layout, m->swiss ? L_maptype_group : L_maptype_bucket),
		&group, ok));
	if (*ok)
		TRY(desc_read(t, group, &g, ok));
	if (!*ok)
		return NULL;
	m->group_size = (uint32_t)g.size;
	if (m->swiss)
		return map_numbers_swiss(t, d, flags, m, ok);
	map_numbers_old(t, type, flags, m);
	return NULL;
}

static struct err *expand_map(struct types *t, const struct desc *d, struct go_type *type)
{
	struct go_map *m;
	bool ok;

	TRY(type_at(t, d->addr + layout_off(t->layout, L_maptype_key), &type->key));
	TRY(type_at(t, d->addr + layout_off(t->layout, L_maptype_elem), &type->elem));
	if (!type->key || !type->elem)
		return NULL;
	m = arena_alloc(&t->arena, sizeof(*m));
	if (!m)
		return err_nomem();
	TRY(map_numbers(t, d, type, m, &ok));
	if (ok)
		type->map = m;
	return NULL;
}

struct err *type_expand_runtime(struct types *t, struct go_type *type)
{
	uint64_t base = type->rtype + layout_size(t->layout, LS_type);
	struct desc d;
	bool ok;

	TRY(desc_read(t, type->rtype, &d, &ok));
	if (!ok || d.kind != type->kind)
		return NULL;
	switch (d.kind) {
	case KIND_POINTER:
	case KIND_SLICE:
	case KIND_CHAN:
		return type_at(t, base, &type->elem);
	case KIND_ARRAY:
		return type_at(t, type->rtype + layout_off(t->layout, L_arraytype_elem),
			       &type->elem);
	case KIND_MAP:
		return expand_map(t, &d, type);
	case KIND_STRUCT:
		return expand_struct(t, &d, type);
	default:
		return NULL;
	}
}
