/*
 * Types from the runtime's own descriptors: internal/abi/type.go@go1.26, runtime/type.go up to
 * go1.20.  Field offsets come from the layout; what follows abi.Type in each
 * kind's struct is {Elem}, {Elem, Slice, Len} and so on in all releases.
 *
 * A descriptor's own string has package names only ("http.Server"); full names are put together:
 * of named types from the package path in the uncommon part, of the others from
 * their elements.
 */
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "heap/type_int.h"

enum {
	KIND_MASK = 0x1f,	  /* above it flags, up to go1.25 */
	KIND_DIRECT_IFACE = 0x20, /* up to go1.25 */
	TFLAG_UNCOMMON = 1,
	TFLAG_EXTRA_STAR = 2,
	TFLAG_NAMED = 4,
	TFLAG_DIRECT_IFACE = 0x20, /* go1.26; unused before */
	NAME_TAG = 2,
	NAME_EMBEDDED = 8,
	SWISS_INDIRECT_KEY = 4, /* internal/abi/map_swiss.go */
	SWISS_INDIRECT_ELEM = 8,
	OLD_INDIRECT_KEY = 1, /* internal/abi/map_noswiss.go, runtime/type.go */
	OLD_INDIRECT_ELEM = 2,
	GROUP_CTRL = 8, /* control bytes, or tophash bytes */
	GROUP_SLOTS = 8,
	CHAN_RECV = 1,
	CHAN_SEND = 2,
	FUNC_VARIADIC = 0x8000, /* in outCount */
};

struct desc {
	uint64_t addr, size;
	uint8_t kind, tflag;
	bool direct;
	int32_t str;
	size_t module; /* nmodules: made by reflect */
};

/* Types whose names are being put together: one inside itself is damaged. */
struct chain {
	uint64_t addr[LIMIT_TYPE_DEPTH];
	int n;
};

/* ------------------------------------------------------------------ reading */

/* false, and no error: not there. */
static struct err *get(struct types *t, uint64_t addr, unsigned size, uint64_t *ret, bool *ok)
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

static struct err *get_word(struct types *t, uint64_t addr, uint64_t *ret, bool *ok)
{
	return get(t, addr, t->fmt.word, ret, ok);
}

static struct err *get_field(struct types *t, uint64_t addr, enum layout_id id, uint64_t *ret, bool *ok)
{
	uint32_t size = layout_size(t->layout, id);

	*ok = false;
	*ret = 0;
	if (!layout_has(t->layout, id) || (size != 1 && size != 2 && size != 4 && size != 8))
		return NULL;
	return get(t, addr + layout_off(t->layout, id), size, ret, ok);
}

/* *ok false: no descriptor. */
static struct err *read_desc(struct types *t, uint64_t addr, struct desc *ret, bool *ok)
{
	uint64_t size, ptrdata, tflag, kind, str;
	struct err *err;

	*ok = false;
	if (!addr || addr % t->fmt.word)
		return NULL;
	err = get_field(t, addr, L_type_size, &size, ok);
	if (!err && *ok)
		err = get_field(t, addr, L_type_ptrdata, &ptrdata, ok);
	if (!err && *ok)
		err = get_field(t, addr, L_type_tflag, &tflag, ok);
	if (!err && *ok)
		err = get_field(t, addr, L_type_kind, &kind, ok);
	if (!err && *ok)
		err = get_field(t, addr, L_type_str, &str, ok);
	if (err || !*ok)
		return err;
	*ret = (struct desc){ .addr = addr,
			      .size = size,
			      .kind = kind & KIND_MASK,
			      .tflag = (uint8_t)tflag,
			      .direct = kind & KIND_DIRECT_IFACE || tflag & TFLAG_DIRECT_IFACE,
			      .str = (int32_t)(uint32_t)str,
			      .module = types_module_of(t, addr) };
	*ok = ret->kind && ret->kind <= KIND_UNSAFE_POINTER && ptrdata <= size && size < 1ull << 48;
	return NULL;
}

struct err *type_read_direct(struct types *t, uint64_t rtype, bool *known, bool *direct)
{
	struct desc d;
	struct err *err = read_desc(t, rtype, &d, known);

	if (!err && *known)
		*direct = d.direct;
	return err;
}

bool type_pointee(struct types *t, uint64_t rtype, uint64_t *elem)
{
	struct desc d;
	bool ok;
	struct err *err = read_desc(t, rtype, &d, &ok);

	if (!err && ok)
		err = get_word(t, rtype + layout_size(t->layout, LS_type), elem, &ok);
	if (err) {
		err_destroy(err);
		return false;
	}
	return ok && d.kind == KIND_POINTER;
}

bool type_map_group(struct types *t, uint64_t rtype, uint64_t *group)
{
	enum layout_id id = layout_has(t->layout, L_maptype_group) ? L_maptype_group : L_maptype_bucket;
	struct desc d;
	bool ok;
	struct err *err = read_desc(t, rtype, &d, &ok);

	if (!err && ok && d.kind == KIND_MAP)
		err = get_word(t, rtype + layout_off(t->layout, id), group, &ok);
	if (err) {
		err_destroy(err);
		return false;
	}
	return ok && d.kind == KIND_MAP;
}

struct name {
	char *s; /* NULL: unreadable; in the arena */
	bool embedded;
	char *tag; /* NULL: none */
};

static struct err *read_counted(struct types *t, uint64_t *addr, char **ret)
{
	uint64_t len = 0, b, shift;
	struct err *err;
	bool ok;

	*ret = NULL;
	for (shift = 0; shift < 28; shift += 7) {
		err = get(t, (*addr)++, 1, &b, &ok);
		if (err || !ok)
			return err;
		len |= (b & 0x7f) << shift;
		if (!(b & 0x80))
			break;
	}
	if (shift >= 28 || len > LIMIT_NAME)
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
static struct err *read_name(struct types *t, uint64_t addr, struct name *ret)
{
	struct err *err;
	uint64_t flags;
	bool ok;

	*ret = (struct name){ 0 };
	if (!addr)
		return NULL;
	err = get(t, addr++, 1, &flags, &ok);
	if (err || !ok)
		return err;
	ret->embedded = flags & NAME_EMBEDDED;
	err = read_counted(t, &addr, &ret->s);
	if (!err && ret->s && flags & NAME_TAG)
		err = read_counted(t, &addr, &ret->tag);
	return err;
}

/* A nameOff: from the module's types.  Those of types made by reflect are keys of a runtime map: not looked up. */
static struct err *read_name_off(struct types *t, const struct desc *d, int32_t off, struct name *ret)
{
	*ret = (struct name){ 0 };
	if (d->module == t->nmodules || off <= 0)
		return NULL;
	return read_name(t, t->modules[d->module].types + (uint64_t)off, ret);
}

/* ------------------------------------------------------------------ names */

static struct err *from_runtime(struct types *t, uint64_t addr, struct chain *chain, struct go_type **ret);

/* Where the uncommon part is: right behind the kind's own struct. */
static uint64_t uncommon_off(const struct types *t, uint8_t kind)
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
	struct err *err = read_desc(t, rtype, &d, &ok);
	const uint8_t *b = NULL;
	struct cursor c;
	uint64_t left;

	if (err || !ok || !(d.tflag & TFLAG_NAMED) || d.module == t->nmodules || d.str <= 0)
		err_destroy(err);
	else
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
	struct err *err = NULL;

	*ret = 0;
	*ok = true;
	switch (d->kind) {
	case KIND_FUNC: /* parameters and results */
		err = get(t, base, 2, &in, ok);
		if (!err && *ok)
			err = get(t, base + 2, 2, &out, ok);
		if (!err && *ok)
			*ret = (in + (out & ~(uint64_t)FUNC_VARIADIC)) * w;
		break;
	case KIND_INTERFACE: /* []Imethod, of two int32 */
		err = get_word(t, base + 2 * w, ret, ok);
		*ret *= 8;
		break;
	case KIND_STRUCT:
		err = get_word(t, d->addr + layout_off(t->layout, L_structtype_fields) + w, ret, ok);
		*ret *= layout_size(t->layout, LS_structfield);
		break;
	default:
		break;
	}
	return err;
}

uint64_t type_desc_size(struct types *t, uint64_t rtype)
{
	enum { UNCOMMON = 16, MCOUNT = 4, METHOD = 16 };
	uint64_t size, tail = 0, methods = 0;
	struct desc d;
	bool ok;
	struct err *err = read_desc(t, rtype, &d, &ok);

	if (!err && ok)
		err = desc_tail(t, &d, &tail, &ok);
	size = ok ? uncommon_off(t, d.kind) : 0;
	if (!err && ok && d.tflag & TFLAG_UNCOMMON) {
		err = get(t, rtype + size + MCOUNT, 2, &methods, &ok);
		size += UNCOMMON;
	}
	size += methods * METHOD + tail;
	if (err || !ok || size > LIMIT_TYPE_FIELDS * 64) {
		err_destroy(err);
		return 0;
	}
	return size;
}

/* "http.Server" of package "net/http": "net/http.Server".  Type arguments have their full paths already. */
static struct err *add_named(struct types *t, const struct desc *d, const char *str, struct buf *b)
{
	const char *end = str + strcspn(str, "["), *dot = end;
	struct name path = { 0 };
	struct err *err;
	uint64_t off;
	bool ok;

	while (dot > str && dot[-1] != '.')
		dot--;
	if (!strncmp(str, "go.shape.", 9)) /* what generic code is compiled for; of no package */
		dot = str;
	if (d->tflag & TFLAG_UNCOMMON && dot > str) {
		err = get(t, d->addr + uncommon_off(t, d->kind), 4, &off, &ok);
		if (!err && ok)
			err = read_name_off(t, d, (int32_t)(uint32_t)off, &path);
		if (err)
			return err;
	}
	if (path.s && *path.s)
		return buf_addf(b, "%s.%s", path.s, dot);
	return buf_addstr(b, str);
}

static struct err *add_type_at(struct types *t, uint64_t slot, struct chain *chain, struct buf *b, bool *ok)
{
	struct go_type *type = NULL;
	uint64_t addr;
	struct err *err = get_word(t, slot, &addr, ok);

	if (!err && *ok)
		err = from_runtime(t, addr, chain, &type);
	if (err)
		return err;
	*ok = type != NULL;
	if (b->len > LIMIT_NAME)
		*ok = false;
	return *ok ? buf_addstr(b, type->name) : NULL;
}

static struct err *add_func(struct types *t, const struct desc *d, struct chain *chain, struct buf *b, bool *ok)
{
	uint64_t base = d->addr + layout_size(t->layout, LS_type), in, out, at, w = t->fmt.word, i;
	struct err *err = get(t, base, 2, &in, ok);
	bool variadic;

	if (!err && *ok)
		err = get(t, base + 2, 2, &out, ok);
	if (err || !*ok)
		return err;
	variadic = out & FUNC_VARIADIC;
	out &= ~(uint64_t)FUNC_VARIADIC;
	at = d->addr + uncommon_off(t, KIND_FUNC) + (d->tflag & TFLAG_UNCOMMON ? 16 : 0);
	err = buf_addstr(b, "func(");
	for (i = 0; i < in + out && !err && *ok; i++, at += w) {
		bool dots = variadic && i + 1 == in; /* "...T" for the last parameter, a []T */
		size_t start;

		if (i == in)
			err = buf_addstr(b, out > 1 ? ") (" : ") ");
		else if (i)
			err = buf_addstr(b, ", ");
		if (!err && dots)
			err = buf_addstr(b, "...");
		start = b->len;
		if (!err)
			err = add_type_at(t, at, chain, b, ok);
		if (!err && *ok && dots && b->len >= start + 2 && !memcmp(b->data + start, "[]", 2)) {
			memmove(b->data + start, b->data + start + 2, b->len - start - 2);
			b->len -= 2;
		}
	}
	if (!err && *ok && (!out || out > 1))
		err = buf_addstr(b, ")");
	return err;
}

static struct err *add_quoted(struct buf *b, const char *s)
{
	struct err *err = buf_addstr(b, " \"");

	for (; *s && !err; s++)
		err = *s == '"' || *s == '\\' ? buf_addf(b, "\\%c", *s) : buf_add(b, s, 1);
	return err ? err : buf_addstr(b, "\"");
}

/* The slice of fields; *ok false: unreadable. */
static struct err *struct_fields(struct types *t, const struct desc *d, uint64_t *at, uint64_t *n, bool *ok)
{
	uint64_t slice = d->addr + layout_off(t->layout, L_structtype_fields);
	struct err *err = get_word(t, slice, at, ok);

	if (!err && *ok)
		err = get_word(t, slice + t->fmt.word, n, ok);
	if (!err && *ok)
		*ok = *n <= LIMIT_TYPE_FIELDS;
	return err;
}

static struct err *struct_field(struct types *t, uint64_t at, struct name *name, uint64_t *type, uint64_t *offset,
				bool *ok)
{
	uint64_t addr;
	struct err *err = get_word(t, at + layout_off(t->layout, L_structfield_name), &addr, ok);

	if (!err && *ok)
		err = get_word(t, at + layout_off(t->layout, L_structfield_typ), type, ok);
	if (!err && *ok)
		err = get_word(t, at + layout_off(t->layout, L_structfield_offset), offset, ok);
	if (!err && *ok)
		err = read_name(t, addr, name);
	if (err || !*ok)
		return err;
	if (layout_has(t->layout, L_structfield_offsetAnon)) { /* up to go1.18 */
		name->embedded = *offset & 1;
		*offset >>= 1;
	}
	*ok = name->s != NULL;
	return NULL;
}

static struct err *add_struct(struct types *t, const struct desc *d, struct chain *chain, struct buf *b, bool *ok)
{
	uint64_t at, n, i;
	struct err *err = struct_fields(t, d, &at, &n, ok);

	if (!err && *ok)
		err = buf_addstr(b, n ? "struct { " : "struct {");
	for (i = 0; i < n && !err && *ok; i++, at += layout_size(t->layout, LS_structfield)) {
		struct name name = { 0 };
		uint64_t type = 0, offset;

		err = struct_field(t, at, &name, &type, &offset, ok);
		if (err || !*ok)
			break;
		if (i)
			err = buf_addstr(b, "; ");
		if (!err && !name.embedded)
			err = buf_addf(b, "%s ", name.s);
		if (!err)
			err = add_type_at(t, at + layout_off(t->layout, L_structfield_typ), chain, b, ok);
		if (!err && *ok && name.tag)
			err = add_quoted(b, name.tag);
	}
	if (!err && *ok)
		err = buf_addstr(b, n ? " }" : "}");
	return err;
}

static struct err *add_chan(struct types *t, const struct desc *d, struct chain *chain, struct buf *b, bool *ok)
{
	uint64_t base = d->addr + layout_size(t->layout, LS_type), dir;
	struct err *err = get_word(t, base + t->fmt.word, &dir, ok);
	size_t start;

	if (err || !*ok)
		return err;
	err = buf_addstr(b, dir == CHAN_RECV ? "<-chan " : dir == CHAN_SEND ? "chan<- " : "chan ");
	start = b->len;
	if (!err)
		err = add_type_at(t, base, chain, b, ok);
	/* chan (<-chan T): else it would read as (chan<-) chan T */
	if (!err && *ok && dir != CHAN_SEND && b->len > start + 2 && !memcmp(b->data + start, "<-", 2)) {
		err = buf_addstr(b, "()");
		if (!err) {
			memmove(b->data + start + 1, b->data + start, b->len - start - 2);
			b->data[start] = '(';
			b->data[b->len - 1] = ')';
		}
	}
	return err;
}

static struct err *add_composite(struct types *t, const struct desc *d, struct chain *chain, struct buf *b, bool *ok)
{
	uint64_t base = d->addr + layout_size(t->layout, LS_type), len;
	struct err *err = NULL;

	*ok = true;
	switch (d->kind) {
	case KIND_POINTER:
		err = buf_addstr(b, "*");
		return err ? err : add_type_at(t, base, chain, b, ok);
	case KIND_SLICE:
		err = buf_addstr(b, "[]");
		return err ? err : add_type_at(t, base, chain, b, ok);
	case KIND_ARRAY:
		err = get_word(t, d->addr + layout_off(t->layout, L_arraytype_len), &len, ok);
		if (!err && *ok)
			err = buf_addf(b, "[%" PRIu64 "]", len);
		if (!err && *ok)
			err = add_type_at(t, d->addr + layout_off(t->layout, L_arraytype_elem), chain, b, ok);
		return err;
	case KIND_MAP:
		err = buf_addstr(b, "map[");
		if (!err)
			err = add_type_at(t, d->addr + layout_off(t->layout, L_maptype_key), chain, b, ok);
		if (!err && *ok)
			err = buf_addstr(b, "]");
		if (!err && *ok)
			err = add_type_at(t, d->addr + layout_off(t->layout, L_maptype_elem), chain, b, ok);
		return err;
	case KIND_CHAN:
		return add_chan(t, d, chain, b, ok);
	case KIND_FUNC:
		return add_func(t, d, chain, b, ok);
	case KIND_STRUCT:
		return add_struct(t, d, chain, b, ok);
	default: /* interface: its methods' names are enough in its own string */
		*ok = false;
		return NULL;
	}
}

static struct err *full_name(struct types *t, const struct desc *d, struct chain *chain, const char **ret)
{
	static const char *const kinds[] = { [KIND_FUNC] = "func", [KIND_INTERFACE] = "interface", [KIND_STRUCT] = "struct",
					     [KIND_MAP] = "map", [KIND_CHAN] = "chan", [KIND_POINTER] = "pointer",
					     [KIND_SLICE] = "slice", [KIND_ARRAY] = "array", [KIND_UNSAFE_POINTER] = "" };
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct name str = { 0 };
	struct err *err = NULL;
	bool ok = false;

	if (!(d->tflag & TFLAG_NAMED)) {
		err = add_composite(t, d, chain, &b, &ok);
		if (err)
			return err;
	}
	if (!ok || b.len > LIMIT_NAME) {
		buf_reset(&b);
		err = read_name_off(t, d, d->str, &str);
		if (!err && str.s && *str.s) {
			const char *s = str.s + (d->tflag & TFLAG_EXTRA_STAR && *str.s == '*');

			err = d->tflag & TFLAG_NAMED ? add_named(t, d, s, &b) : buf_addstr(&b, s);
		} else if (!err) {
			err = buf_addstr(&b, kinds[d->kind] && *kinds[d->kind] ? kinds[d->kind] : "?");
		}
		if (err)
			return err;
	}
	*ret = arena_strndup(&t->arena, (const char *)b.data, b.len);
	return *ret ? NULL : err_nomem();
}

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
	struct err *err = get_word(t, d->addr + layout_size(t->layout, LS_type) + 2u * t->fmt.word, &n, &ok);

	*ret = !err && ok && !n;
	return err;
}

static struct err *from_runtime(struct types *t, uint64_t addr, struct chain *chain, struct go_type **ret)
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
	err = read_desc(t, addr, &d, &ok);
	if (err || !ok)
		return err;
	if (d.module < t->nmodules) {
		err = from_die(t, &d, &type);
		if (err)
			return err;
	}
	if (!type) {
		chain->addr[chain->n++] = addr;
		err = full_name(t, &d, chain, &name);
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
			err = get_word(t, addr + layout_off(t->layout, L_arraytype_len), &type->len, &ok);
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
	struct chain chain = { .n = 0 };

	return from_runtime(t, addr, &chain, ret);
}

/* ------------------------------------------------------------------ what is inside */

static struct err *type_at(struct types *t, uint64_t slot, struct go_type **ret)
{
	uint64_t addr;
	bool ok;
	struct err *err = get_word(t, slot, &addr, &ok);

	*ret = NULL;
	return err || !ok ? err : types_from_runtime(t, addr, ret);
}

static struct err *expand_struct(struct types *t, const struct desc *d, struct go_type *type)
{
	uint64_t at, n;
	struct go_field *fields;
	bool ok;
	struct err *err = struct_fields(t, d, &at, &n, &ok);

	if (err || !ok || !n)
		return err;
	fields = arena_alloc(&t->arena, n * sizeof(*fields));
	if (!fields)
		return err_nomem();
	for (uint64_t i = 0; i < n; i++, at += layout_size(t->layout, LS_structfield)) {
		struct name name = { 0 };
		uint64_t ftype;

		err = struct_field(t, at, &name, &ftype, &fields[i].offset, &ok);
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
static struct err *map_numbers(struct types *t, const struct desc *d, const struct go_type *type, struct go_map *m,
			       bool *ok)
{
	const struct layout *l = t->layout;
	uint64_t flags, group, v[4];
	struct desc g;
	struct err *err = get_field(t, d->addr, L_maptype_flags, &flags, ok);

	if (err || !*ok)
		return err;
	m->swiss = layout_has(l, L_maptype_group);
	err = get_word(t, d->addr + layout_off(l, m->swiss ? L_maptype_group : L_maptype_bucket), &group, ok);
	if (!err && *ok)
		err = read_desc(t, group, &g, ok);
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
		static const enum layout_id ids[] = { L_maptype_keysOff, L_maptype_keyStride, L_maptype_elemsOff,
						      L_maptype_elemStride };

		for (int i = 0; i < 4 && *ok; i++) {
			err = get_field(t, d->addr, ids[i], &v[i], ok);
			if (err)
				return err;
		}
		if (!*ok)
			return NULL;
	} else {
		err = get_field(t, d->addr, L_maptype_slotSize, &v[1], ok);
		if (!err && *ok)
			err = get_field(t, d->addr, L_maptype_elemOff, &v[2], ok);
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
	struct err *err = read_desc(t, type->rtype, &d, &ok);

	if (err || !ok || d.kind != type->kind)
		return err;
	switch (d.kind) {
	case KIND_POINTER:
	case KIND_SLICE:
	case KIND_CHAN:
		return type_at(t, base, &type->elem);
	case KIND_ARRAY:
		return type_at(t, type->rtype + layout_off(t->layout, L_arraytype_elem), &type->elem);
	case KIND_MAP:
		return expand_map(t, &d, type);
	case KIND_STRUCT:
		return expand_struct(t, &d, type);
	default:
		return NULL;
	}
}
