/*
 * Types from the runtime's own descriptors (heap/types/type_desc.h).
 */
#include <inttypes.h>
#include <string.h>

#include "heap/types/type_desc.h"

enum {
	SWISS_INDIRECT_KEY = 4, /* internal/abi/map_swiss.go */
	SWISS_INDIRECT_ELEM = 8,
	OLD_INDIRECT_KEY = 1, /* internal/abi/map_noswiss.go, runtime/type.go */
	OLD_INDIRECT_ELEM = 2,
	GROUP_CTRL = 8, /* control bytes, or tophash bytes */
	GROUP_SLOTS = 8,
};

/* ------------------------------------------------------------------ types */

/* By the DIE that has this descriptor's offset. */
static struct err *from_die(struct types *t, const struct desc *d, struct go_type **ret)
{
	const struct types_module *m = &t->modules[d->module];
	uint64_t die = 0;
	struct err *err;

	*ret = NULL;
	if (!m->dwarf)
		return NULL;
	err = type_absorb(dwarf_type_by_runtime(m->dwarf, d->addr - m->types, &die));
	if (!err && die)
		err = types_from_die(t, d->module, die, ret);
	if (err || !*ret)
		return err;
	/* DWARF of another build: the descriptor is what the process has. */
	if ((*ret)->kind != d->kind || (*ret)->size != d->size) {
		*ret = NULL;
		return NULL;
	}
	(*ret)->rtype = d->addr;
	(*ret)->direct = d->direct;
	return NULL;
}

static struct err *iface_is_empty(struct types *t, const struct desc *d, bool *ret)
{
	uint64_t n;
	bool ok;
	/* InterfaceType{Type; PkgPath Name; Methods []Imethod} */
	struct err *err =
		desc_word(t, d->addr + layout_size(t->layout, LS_type) + 2u * t->fmt.word, &n, &ok);

	*ret = !err && ok && !n;
	return err;
}

struct err *type_from_desc(struct types *t, uint64_t addr, struct type_chain *chain,
			   struct go_type **ret)
{
	struct go_type *type = type_recall(&t->by_rtype, addr);
	const char *name;
	struct desc d;
	struct err *err;
	bool ok;

	*ret = type;
	if (type || chain->n >= LIMIT_TYPE_DEPTH)
		return NULL;
	for (int i = 0; i < chain->n; i++)
		if (chain->addr[i] == addr)
			return NULL;
	err = desc_read(t, addr, &d, &ok);
	if (err || !ok)
		return err;
	if (d.module < t->nmodules) {
		err = from_die(t, &d, &type);
		if (err)
			return err;
	}
	if (!type) {
		chain->addr[chain->n++] = addr;
		err = type_full_name(t, &d, chain, &name);
		chain->n--;
		if (!err)
			err = type_new(t, d.kind, name, d.size, &type);
		if (err)
			return err;
		type->rtype = addr;
		type->direct = d.direct;
		if (type->kind == KIND_INTERFACE)
			err = iface_is_empty(t, &d, &type->is_iface_empty);
		if (!err && type->kind == KIND_ARRAY) {
			err = desc_word(t, addr + layout_off(t->layout, L_arraytype_len),
					&type->len, &ok);
			if (!ok)
				type->len = 0;
		}
		if (err)
			return err;
	}
	err = type_remember(&t->by_rtype, addr, type);
	if (!err)
		*ret = type;
	return err;
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
	struct err *err = desc_word(t, slot, &addr, &ok);

	*ret = NULL;
	return err || !ok ? err : types_from_runtime(t, addr, ret);
}

static struct err *expand_struct(struct types *t, const struct desc *d, struct go_type *type)
{
	uint64_t at, n;
	struct go_field *fields;
	bool ok;
	struct err *err = desc_fields(t, d, &at, &n, &ok);

	if (err || !ok || !n)
		return err;
	fields = arena_alloc(&t->arena, n * sizeof(*fields));
	if (!fields)
		return err_nomem();
	for (uint64_t i = 0; i < n; i++, at += layout_size(t->layout, LS_structfield)) {
		struct desc_name name = { 0 };
		uint64_t ftype;

		err = desc_field(t, at, &name, &ftype, &fields[i].offset, &ok);
		if (err || !ok)
			return err;
		fields[i].name = name.s;
		err = types_from_runtime(t, ftype, &fields[i].type);
		if (err)
			return err;
	}
	type_sort_fields(fields, (uint32_t)n);
	type->fields = fields;
	type->nfields = (uint32_t)n;
	return NULL;
}

/* The map's numbers as this release's MapType has them; *ok false: unreadable. */
static struct err *map_numbers(struct types *t, const struct desc *d, const struct go_type *type,
			       struct go_map *m, bool *ok)
{
	const struct layout *l = t->layout;
	uint64_t flags, group, v[4];
	struct desc g;
	struct err *err = desc_uint(t, d->addr, L_maptype_flags, &flags, ok);

	if (err || !*ok)
		return err;
	m->swiss = layout_has(l, L_maptype_group);
	err = desc_word(t, d->addr + layout_off(l, m->swiss ? L_maptype_group : L_maptype_bucket),
			&group, ok);
	if (!err && *ok)
		err = desc_read(t, group, &g, ok);
	if (err || !*ok)
		return err;
	m->group_size = (uint32_t)g.size;
	if (!m->swiss) {
		m->indirect_key = flags & OLD_INDIRECT_KEY;
		m->indirect_elem = flags & OLD_INDIRECT_ELEM;
		m->keys_off = GROUP_CTRL;
		m->key_stride = m->indirect_key ? t->fmt.word : (uint32_t)type->key->size;
		m->elems_off = GROUP_CTRL + GROUP_SLOTS * m->key_stride;
		m->elem_stride = m->indirect_elem ? t->fmt.word : (uint32_t)type->elem->size;
		m->overflow_off = m->group_size - t->fmt.word;
		return NULL;
	}
	m->indirect_key = flags & SWISS_INDIRECT_KEY;
	m->indirect_elem = flags & SWISS_INDIRECT_ELEM;
	if (layout_has(l, L_maptype_keysOff)) { /* go1.27 */
		static const enum layout_id ids[] = { L_maptype_keysOff, L_maptype_keyStride,
						      L_maptype_elemsOff, L_maptype_elemStride };

		for (int i = 0; i < 4 && *ok; i++) {
			err = desc_uint(t, d->addr, ids[i], &v[i], ok);
			if (err)
				return err;
		}
		if (!*ok)
			return NULL;
	} else {
		err = desc_uint(t, d->addr, L_maptype_slotSize, &v[1], ok);
		if (!err && *ok)
			err = desc_uint(t, d->addr, L_maptype_elemOff, &v[2], ok);
		if (err || !*ok)
			return err;
		v[0] = GROUP_CTRL;
		v[2] += GROUP_CTRL;
		v[3] = v[1];
	}
	for (int i = 0; i < 4; i++)
		*ok &= v[i] <= g.size;
	m->keys_off = (uint32_t)v[0];
	m->key_stride = (uint32_t)v[1];
	m->elems_off = (uint32_t)v[2];
	m->elem_stride = (uint32_t)v[3];
	return NULL;
}

static struct err *expand_map(struct types *t, const struct desc *d, struct go_type *type)
{
	struct go_map *m;
	struct err *err = type_at(t, d->addr + layout_off(t->layout, L_maptype_key), &type->key);
	bool ok;

	if (!err)
		err = type_at(t, d->addr + layout_off(t->layout, L_maptype_elem), &type->elem);
	if (err || !type->key || !type->elem)
		return err;
	m = arena_alloc(&t->arena, sizeof(*m));
	if (!m)
		return err_nomem();
	err = map_numbers(t, d, type, m, &ok);
	if (!err && ok)
		type->map = m;
	return err;
}

struct err *type_expand_runtime(struct types *t, struct go_type *type)
{
	uint64_t base = type->rtype + layout_size(t->layout, LS_type);
	struct desc d;
	bool ok;
	struct err *err = desc_read(t, type->rtype, &d, &ok);

	if (err || !ok || d.kind != type->kind)
		return err;
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
