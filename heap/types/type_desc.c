/*
 * Descriptors, read from the image field by field where the layout has them, and checked: a process
 * may have anything where one is looked for.
 */
#include "heap/types/type_desc.h"

#include <string.h>

enum {
	KIND_MASK = 0x1f,         /* abi.KindMask: the bits above are flags, up to go1.25 */
	KIND_DIRECT_IFACE = 0x20, /* abi.KindDirectIface, up to go1.25 */
	/* abi.TFlagDirectIface, since go1.26; earlier releases do not use the bit */
	TFLAG_DIRECT_IFACE = 0x20,
	NAME_TAG = 2, /* bits of an abi.Name's first byte */
	NAME_EMBEDDED = 8,
};

struct err *desc_get(struct types *t, uint64_t addr, unsigned size, uint64_t *ret, bool *ok)
{
	uint8_t b[8];
	struct err *err = image_read(t->img, addr, b, size);

	*ok = !err;
	*ret = 0;
	if (err)
		return type_absorb(err);
	*ret = bytes_uint(t->fmt, b, size);
	return NULL;
}

struct err *desc_word(struct types *t, uint64_t addr, uint64_t *ret, bool *ok)
{
	return desc_get(t, addr, t->fmt.word, ret, ok);
}

struct err *desc_uint(struct types *t, uint64_t addr, enum layout_id id, uint64_t *ret, bool *ok)
{
	uint32_t size = layout_size(t->layout, id);

	*ok = false;
	*ret = 0;
	if (!layout_has(t->layout, id) || (size != 1 && size != 2 && size != 4 && size != 8))
		return NULL;
	return desc_get(t, addr + layout_off(t->layout, id), size, ret, ok);
}

struct err *desc_uints(struct types *t, uint64_t addr, const enum layout_id *ids, unsigned n,
		       uint64_t *ret, bool *ok)
{
	bool all = true;

	for (unsigned i = 0; i < n; i++) {
		TRY(desc_uint(t, addr, ids[i], &ret[i], ok));
		all &= *ok;
	}
	*ok = all;
	return NULL;
}

struct err *desc_read(struct types *t, uint64_t addr, struct desc *ret, bool *ok)
{
	enum { SIZE, PTRDATA, TFLAG, KIND, STR, FIELDS };
	static const enum layout_id ids[] = { L_type_size, L_type_ptrdata, L_type_tflag,
					      L_type_kind, L_type_str };
	uint64_t v[FIELDS];

	*ok = false;
	if (!addr || addr % t->fmt.word)
		return NULL;
	TRY(desc_uints(t, addr, ids, FIELDS, v, ok));
	if (!*ok)
		return NULL;
	*ret = (struct desc){
		.addr = addr,
		.size = v[SIZE],
		.kind = v[KIND] & KIND_MASK,
		.tflag = (uint8_t)v[TFLAG],
		.direct = v[KIND] & KIND_DIRECT_IFACE || v[TFLAG] & TFLAG_DIRECT_IFACE,
		.str = (int32_t)(uint32_t)v[STR],
		.module = types_module_of(t, addr),
	};
	*ok = ret->kind && ret->kind <= KIND_UNSAFE_POINTER && v[PTRDATA] <= v[SIZE] &&
	      v[SIZE] < 1ull << 48; /* less than all addresses */
	return NULL;
}

struct err *type_read_direct(struct types *t, uint64_t rtype, bool *known, bool *direct)
{
	struct desc d;

	TRY(desc_read(t, rtype, &d, known));
	if (*known)
		*direct = d.direct;
	return NULL;
}

/* Whether something could be read, for callers to whom all that hinders it is the same. */
static bool was_read(struct err *err, const bool *ok)
{
	bool failed = err;

	err_destroy(err);
	return !failed && *ok;
}

bool type_pointee(struct types *t, uint64_t rtype, uint64_t *elem)
{
	struct desc d;
	bool ok;

	return was_read(desc_read(t, rtype, &d, &ok), &ok) && d.kind == KIND_POINTER &&
	       was_read(desc_word(t, rtype + layout_size(t->layout, LS_type), elem, &ok), &ok);
}

bool type_map_group(struct types *t, uint64_t rtype, uint64_t *group)
{
	enum layout_id id =
		layout_has(t->layout, L_maptype_group) ? L_maptype_group : L_maptype_bucket;
	struct desc d;
	bool ok;

	return was_read(desc_read(t, rtype, &d, &ok), &ok) && d.kind == KIND_MAP &&
	       was_read(desc_word(t, rtype + layout_off(t->layout, id), group, &ok), &ok);
}

/* A length in seven-bit groups, and so many bytes; *ret NULL: it cannot be read. */
static struct err *read_counted(struct types *t, uint64_t *addr, char **ret)
{
	uint64_t len = 0, b, shift;
	struct err *err;
	bool ok;

	*ret = NULL;
	for (shift = 0; shift < 28; shift += 7) {
		TRY(desc_get(t, (*addr)++, 1, &b, &ok));
		if (!ok)
			return NULL;
		len |= (b & 0x7f) << shift;
		if (!(b & 0x80))
			break;
	}
	if (shift >= 28 || len > LIMIT_NAME)
		return NULL;
	t->name_bytes += len;
	if (t->name_bytes > LIMIT_TYPE_NAMES)
		return NULL;
	*ret = arena_alloc(&t->arena, len + 1);
	if (!*ret)
		return err_nomem();
	if (!len)
		return NULL;
	err = image_read(t->img, *addr, *ret, len);
	if (err) {
		*ret = NULL;
		return type_absorb(err);
	}
	*addr += len;
	return NULL;
}

/* abi.Name: a flag byte, a counted string, a counted tag if there is one. */
static struct err *desc_read_name(struct types *t, uint64_t addr, struct desc_name *ret)
{
	uint64_t flags;
	bool ok;

	*ret = (struct desc_name){ 0 };
	if (!addr)
		return NULL;
	TRY(desc_get(t, addr++, 1, &flags, &ok));
	if (!ok)
		return NULL;
	ret->embedded = flags & NAME_EMBEDDED;
	TRY(read_counted(t, &addr, &ret->s));
	if (ret->s && flags & NAME_TAG)
		TRY(read_counted(t, &addr, &ret->tag));
	return NULL;
}

struct err *desc_read_name_off(struct types *t, const struct desc *d, int32_t off,
			       struct desc_name *ret)
{
	*ret = (struct desc_name){ 0 };
	if (d->module == t->nmodules || off <= 0)
		return NULL;
	return desc_read_name(t, t->modules[d->module].types + (uint64_t)off, ret);
}

uint64_t desc_uncommon(const struct types *t, uint8_t kind)
{
	const struct layout *l = t->layout;
	uint64_t base = layout_size(l, LS_type), w = t->fmt.word;

	switch (kind) {
	case KIND_STRUCT:
		return layout_off(l, L_structtype_fields) + 3 * w;
	case KIND_POINTER:
	case KIND_SLICE:
		return base + w;
	case KIND_FUNC: /* two 16-bit counts */
		return base + (w > 4 ? w : 4);
	case KIND_ARRAY:
		return layout_off(l, L_arraytype_len) + w;
	case KIND_CHAN:
		return base + 2 * w;
	case KIND_MAP: /* flags is the last field */
		return (layout_off(l, L_maptype_flags) + 4 + w - 1) & ~(w - 1);
	case KIND_INTERFACE:
		return base + 4 * w;
	default:
		return base;
	}
}

bool type_named(struct types *t, uint64_t rtype, const char **s, size_t *len)
{
	struct desc d;
	bool ok;
	const uint8_t *b;
	struct cursor c;
	uint64_t left;

	if (!was_read(desc_read(t, rtype, &d, &ok), &ok) || !(d.tflag & TFLAG_NAMED) ||
	    d.module == t->nmodules || d.str <= 0)
		return false;
	b = image_ptr(t->img, t->modules[d.module].types + (uint64_t)d.str, 2, &left);
	if (!b)
		return false;
	c = cursor_make(b + 1, left - 1, t->fmt); /* a flag byte; a counted string */
	*len = cursor_uvarint(&c);
	*s = (const char *)c.p;
	if (c.bad || *len > LIMIT_NAME || !cursor_skip(&c, *len))
		return false;
	if (d.tflag & TFLAG_EXTRA_STAR && *len) {
		++*s;
		--*len;
	}
	return true;
}

/* How many bytes follow the kind's own struct and the uncommon part. */
static struct err *desc_tail(struct types *t, const struct desc *d, uint64_t *ret, bool *ok)
{
	uint64_t base = d->addr + layout_size(t->layout, LS_type), w = t->fmt.word, in, out;

	*ret = 0;
	*ok = true;
	switch (d->kind) {
	case KIND_FUNC: /* parameters and results */
		TRY(desc_get(t, base, 2, &in, ok));
		if (*ok)
			TRY(desc_get(t, base + 2, 2, &out, ok));
		if (*ok)
			*ret = (in + (out & ~(uint64_t)FUNC_VARIADIC)) * w;
		break;
	case KIND_INTERFACE: /* []Imethod, of two int32 */
		TRY(desc_word(t, base + 2 * w, ret, ok));
		*ret *= 8;
		break;
	case KIND_STRUCT:
		TRY(desc_word(t, d->addr + layout_off(t->layout, L_structtype_fields) + w, ret,
			      ok));
		*ret *= layout_size(t->layout, LS_structfield);
		break;
	default:
		break;
	}
	return NULL;
}

uint64_t type_desc_size(struct types *t, uint64_t rtype)
{
	enum { MCOUNT = 4, METHOD = 16 }; /* abi.UncommonType.Mcount, size of an abi.Method */
	uint64_t size, tail, methods = 0;
	struct desc d;
	bool ok;

	if (!was_read(desc_read(t, rtype, &d, &ok), &ok) ||
	    !was_read(desc_tail(t, &d, &tail, &ok), &ok))
		return 0;
	size = desc_uncommon(t, d.kind);
	if (d.tflag & TFLAG_UNCOMMON) {
		if (!was_read(desc_get(t, rtype + size + MCOUNT, 2, &methods, &ok), &ok))
			return 0;
		size += UNCOMMON_SIZE;
	}
	size += methods * METHOD + tail;
	return size <= LIMIT_TYPE_FIELDS * 64 ? size : 0;
}

struct err *desc_fields(struct types *t, const struct desc *d, uint64_t *at, uint64_t *n, bool *ok)
{
	uint64_t slice = d->addr + layout_off(t->layout, L_structtype_fields);

	TRY(desc_word(t, slice, at, ok));
	if (*ok)
		TRY(desc_word(t, slice + t->fmt.word, n, ok));
	if (*ok)
		*ok = *n <= LIMIT_TYPE_FIELDS;
	return NULL;
}

struct err *desc_field(struct types *t, uint64_t at, struct desc_name *name, uint64_t *type,
		       uint64_t *offset, bool *ok)
{
	uint64_t addr;

	TRY(desc_word(t, at + layout_off(t->layout, L_structfield_name), &addr, ok));
	if (*ok)
		TRY(desc_word(t, at + layout_off(t->layout, L_structfield_typ), type, ok));
	if (*ok)
		TRY(desc_word(t, at + layout_off(t->layout, L_structfield_offset), offset, ok));
	if (*ok)
		TRY(desc_read_name(t, addr, name));
	if (!*ok)
		return NULL;
	if (layout_has(t->layout, L_structfield_offsetAnon)) { /* up to go1.18 */
		name->embedded = *offset & 1;
		*offset >>= 1;
	}
	*ok = name->s != NULL;
	return NULL;
}
