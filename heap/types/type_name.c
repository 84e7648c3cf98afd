/*
 * Full names from descriptors.  A descriptor's own string has package names only ("http.Server");
 * full names are put together: of named types from the package path in the uncommon part, of the
 * others from their elements.
 */
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "heap/types/type_desc.h"

enum {
	CHAN_RECV = 1,
	CHAN_SEND = 2,
};

/* "http.Server" of package "net/http": "net/http.Server".  Type arguments have their full paths
 * already. */
static struct err *add_named(struct types *t, const struct desc *d, const char *str, struct buf *b)
{
	const char *end = str + strcspn(str, "["), *dot = end;
	struct desc_name path = { 0 };
	struct err *err;
	uint64_t off;
	bool ok;

	while (dot > str && dot[-1] != '.')
		dot--;
	if (!strncmp(str, "go.shape.", 9)) /* what generic code is compiled for; of no package */
		dot = str;
	if (d->tflag & TFLAG_UNCOMMON && dot > str) {
		err = desc_get(t, d->addr + desc_uncommon(t, d->kind), 4, &off, &ok);
		if (!err && ok)
			err = desc_read_name_off(t, d, (int32_t)(uint32_t)off, &path);
		if (err)
			return err;
	}
	if (path.s && *path.s)
		return buf_addf(b, "%s.%s", path.s, dot);
	return buf_addstr(b, str);
}

static struct err *add_type_at(struct types *t, uint64_t slot, struct type_chain *chain,
			       struct buf *b, bool *ok)
{
	struct go_type *type = NULL;
	uint64_t addr;
	struct err *err = desc_word(t, slot, &addr, ok);

	if (!err && *ok)
		err = type_from_desc(t, addr, chain, &type);
	if (err)
		return err;
	*ok = type != NULL;
	if (b->len > LIMIT_NAME)
		*ok = false;
	return *ok ? buf_addstr(b, type->name) : NULL;
}

static struct err *add_func(struct types *t, const struct desc *d, struct type_chain *chain,
			    struct buf *b, bool *ok)
{
	uint64_t base = d->addr + layout_size(t->layout, LS_type), in, out, at, w = t->fmt.word, i;
	struct err *err = desc_get(t, base, 2, &in, ok);
	bool variadic;

	if (!err && *ok)
		err = desc_get(t, base + 2, 2, &out, ok);
	if (err || !*ok)
		return err;
	variadic = out & FUNC_VARIADIC;
	out &= ~(uint64_t)FUNC_VARIADIC;
	at = d->addr + desc_uncommon(t, KIND_FUNC) + (d->tflag & TFLAG_UNCOMMON ? 16 : 0);
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
		if (!err && *ok && dots && b->len >= start + 2 &&
		    !memcmp(b->data + start, "[]", 2)) {
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

static struct err *add_struct(struct types *t, const struct desc *d, struct type_chain *chain,
			      struct buf *b, bool *ok)
{
	uint64_t at, n, i;
	struct err *err = desc_fields(t, d, &at, &n, ok);

	if (!err && *ok)
		err = buf_addstr(b, n ? "struct { " : "struct {");
	for (i = 0; i < n && !err && *ok; i++, at += layout_size(t->layout, LS_structfield)) {
		struct desc_name name = { 0 };
		uint64_t type = 0, offset;

		err = desc_field(t, at, &name, &type, &offset, ok);
		if (err || !*ok)
			break;
		if (i)
			err = buf_addstr(b, "; ");
		if (!err && !name.embedded)
			err = buf_addf(b, "%s ", name.s);
		if (!err)
			err = add_type_at(t, at + layout_off(t->layout, L_structfield_typ), chain,
					  b, ok);
		if (!err && *ok && name.tag)
			err = add_quoted(b, name.tag);
	}
	if (!err && *ok)
		err = buf_addstr(b, n ? " }" : "}");
	return err;
}

static struct err *add_chan(struct types *t, const struct desc *d, struct type_chain *chain,
			    struct buf *b, bool *ok)
{
	uint64_t base = d->addr + layout_size(t->layout, LS_type), dir;
	struct err *err = desc_word(t, base + t->fmt.word, &dir, ok);
	size_t start;

	if (err || !*ok)
		return err;
	err = buf_addstr(b, dir == CHAN_RECV ? "<-chan " : dir == CHAN_SEND ? "chan<- " : "chan ");
	start = b->len;
	if (!err)
		err = add_type_at(t, base, chain, b, ok);
	/* chan (<-chan T): else it would read as (chan<-) chan T */
	if (!err && *ok && dir != CHAN_SEND && b->len > start + 2 &&
	    !memcmp(b->data + start, "<-", 2)) {
		err = buf_addstr(b, "()");
		if (!err) {
			memmove(b->data + start + 1, b->data + start, b->len - start - 2);
			b->data[start] = '(';
			b->data[b->len - 1] = ')';
		}
	}
	return err;
}

static struct err *add_composite(struct types *t, const struct desc *d, struct type_chain *chain,
				 struct buf *b, bool *ok)
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
		err = desc_word(t, d->addr + layout_off(t->layout, L_arraytype_len), &len, ok);
		if (!err && *ok)
			err = buf_addf(b, "[%" PRIu64 "]", len);
		if (!err && *ok)
			err = add_type_at(t, d->addr + layout_off(t->layout, L_arraytype_elem),
					  chain, b, ok);
		return err;
	case KIND_MAP:
		err = buf_addstr(b, "map[");
		if (!err)
			err = add_type_at(t, d->addr + layout_off(t->layout, L_maptype_key), chain,
					  b, ok);
		if (!err && *ok)
			err = buf_addstr(b, "]");
		if (!err && *ok)
			err = add_type_at(t, d->addr + layout_off(t->layout, L_maptype_elem), chain,
					  b, ok);
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

struct err *type_full_name(struct types *t, const struct desc *d, struct type_chain *chain,
			   const char **ret)
{
	static const char *const kinds[] = {
		[KIND_FUNC] = "func",   [KIND_INTERFACE] = "interface", [KIND_STRUCT] = "struct",
		[KIND_MAP] = "map",     [KIND_CHAN] = "chan",           [KIND_POINTER] = "pointer",
		[KIND_SLICE] = "slice", [KIND_ARRAY] = "array",         [KIND_UNSAFE_POINTER] = ""
	};
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct desc_name str = { 0 };
	struct err *err = NULL;
	bool ok = false;

	if (!(d->tflag & TFLAG_NAMED)) {
		err = add_composite(t, d, chain, &b, &ok);
		if (err)
			return err;
	}
	if (!ok || b.len > LIMIT_NAME) {
		buf_reset(&b);
		err = desc_read_name_off(t, d, d->str, &str);
		if (!err && str.s && *str.s) {
			const char *s = str.s + (d->tflag & TFLAG_EXTRA_STAR && *str.s == '*');

			err = d->tflag & TFLAG_NAMED ? add_named(t, d, s, &b) : buf_addstr(&b, s);
		} else if (!err) {
			err = buf_addstr(&b,
					 kinds[d->kind] && *kinds[d->kind] ? kinds[d->kind] : "?");
		}
		if (err)
			return err;
	}
	*ret = arena_strndup(&t->arena, (const char *)b.data, b.len);
	return *ret ? NULL : err_nomem();
}
