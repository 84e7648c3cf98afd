/*
 * Full names from descriptors.  A descriptor's own string has package names only ("http.Server").
 * The full name of a named type is put together from the package path in its uncommon part, that of
 * any other type from its elements' names.
 */
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "heap/types/type_desc.h"

enum {
	CHAN_RECV_DIR = 1, /* abi.RecvDir */
	CHAN_SEND_DIR = 2, /* abi.SendDir */
};

/* "http.Server" of package "net/http": "net/http.Server".  Type arguments have their full paths
 * already. */
static struct err *add_named(struct types *t, const struct desc *d, const char *str, struct buf *b)
{
	const char *end = str + strcspn(str, "["), *dot = end;
	struct desc_name path = { 0 };
	uint64_t off;
	bool ok;

	while (dot > str && dot[-1] != '.')
		dot--;
	if (!strncmp(str, "go.shape.", 9)) /* what generic code is compiled for; of no package */
		dot = str;
	if (d->tflag & TFLAG_UNCOMMON && dot > str) {
		TRY(desc_get(t, d->addr + desc_uncommon(t, d->kind), 4, &off, &ok));
		if (ok)
			TRY(desc_read_name_off(t, d, (int32_t)(uint32_t)off, &path));
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

	TRY(desc_word(t, slot, &addr, ok));
	if (*ok)
		TRY(type_from_desc(t, addr, chain, &type));
	*ok = type != NULL;
	if (b->len > LIMIT_NAME)
		*ok = false;
	return *ok ? buf_addstr(b, type->name) : NULL;
}

static struct err *add_func(struct types *t, const struct desc *d, struct type_chain *chain,
			    struct buf *b, bool *ok)
{
	uint64_t base = d->addr + layout_size(t->layout, LS_type), in, out, at, w = t->fmt.word, i;
	bool variadic;

	TRY(desc_get(t, base, 2, &in, ok));
	if (*ok)
		TRY(desc_get(t, base + 2, 2, &out, ok));
	if (!*ok)
		return NULL;
	variadic = out & FUNC_VARIADIC;
	out &= ~(uint64_t)FUNC_VARIADIC;
	at = d->addr + desc_uncommon(t, KIND_FUNC) +
	     (d->tflag & TFLAG_UNCOMMON ? UNCOMMON_SIZE : 0);
	TRY(buf_addstr(b, "func("));
	for (i = 0; i < in + out && *ok; i++, at += w) {
		bool dots = variadic && i + 1 == in; /* "...T" for the last parameter, a []T */
		size_t start;

		if (i == in)
			TRY(buf_addstr(b, out > 1 ? ") (" : ") "));
		else if (i)
			TRY(buf_addstr(b, ", "));
		if (dots)
			TRY(buf_addstr(b, "..."));
		start = b->len;
		TRY(add_type_at(t, at, chain, b, ok));
		if (*ok && dots && b->len >= start + 2 && !memcmp(b->data + start, "[]", 2)) {
			memmove(b->data + start, b->data + start + 2, b->len - start - 2);
			b->len -= 2;
		}
	}
	if (*ok && (!out || out > 1))
		TRY(buf_addstr(b, ")"));
	return NULL;
}

static struct err *add_quoted(struct buf *b, const char *s)
{
	TRY(buf_addstr(b, " \""));
	for (; *s; s++)
		TRY(*s == '"' || *s == '\\' ? buf_addf(b, "\\%c", *s) : buf_add(b, s, 1));
	return buf_addstr(b, "\"");
}

static struct err *add_struct(struct types *t, const struct desc *d, struct type_chain *chain,
			      struct buf *b, bool *ok)
{
	uint64_t at, n, i;

	TRY(desc_fields(t, d, &at, &n, ok));
	if (*ok)
		TRY(buf_addstr(b, n ? "struct { " : "struct {"));
	for (i = 0; i < n && *ok; i++, at += layout_size(t->layout, LS_structfield)) {
		struct desc_name name = { 0 };
		uint64_t type = 0, offset;

		TRY(desc_field(t, at, &name, &type, &offset, ok));
		if (!*ok)
			break;
		if (i)
			TRY(buf_addstr(b, "; "));
		if (!name.embedded)
			TRY(buf_addf(b, "%s ", name.s));
		TRY(add_type_at(t, at + layout_off(t->layout, L_structfield_typ), chain, b, ok));
		if (*ok && name.tag)
			TRY(add_quoted(b, name.tag));
	}
	if (*ok)
		TRY(buf_addstr(b, n ? " }" : "}"));
	return NULL;
}

static struct err *add_chan(struct types *t, const struct desc *d, struct type_chain *chain,
			    struct buf *b, bool *ok)
{
	uint64_t base = d->addr + layout_size(t->layout, LS_type), dir;
	size_t start;

	TRY(desc_word(t, base + t->fmt.word, &dir, ok));
	if (!*ok)
		return NULL;
	TRY(buf_addstr(b, dir == CHAN_RECV_DIR ? "<-chan " :
			  dir == CHAN_SEND_DIR ? "chan<- " :
						 "chan "));
	start = b->len;
	TRY(add_type_at(t, base, chain, b, ok));
	/* chan (<-chan T): without the parentheses it would mean (chan<-) chan T */
	if (*ok && dir != CHAN_SEND_DIR && b->len > start + 2 &&
	    !memcmp(b->data + start, "<-", 2)) {
		TRY(buf_addstr(b, "()"));
		memmove(b->data + start + 1, b->data + start, b->len - start - 2);
		b->data[start] = '(';
		b->data[b->len - 1] = ')';
	}
	return NULL;
}

static struct err *add_composite(struct types *t, const struct desc *d, struct type_chain *chain,
				 struct buf *b, bool *ok)
{
	uint64_t base = d->addr + layout_size(t->layout, LS_type), len;

	*ok = true;
	switch (d->kind) {
	case KIND_POINTER:
		TRY(buf_addstr(b, "*"));
		return add_type_at(t, base, chain, b, ok);
	case KIND_SLICE:
		TRY(buf_addstr(b, "[]"));
		return add_type_at(t, base, chain, b, ok);
	case KIND_ARRAY:
		TRY(desc_word(t, d->addr + layout_off(t->layout, L_arraytype_len), &len, ok));
		if (*ok)
			TRY(buf_addf(b, "[%" PRIu64 "]", len));
		if (*ok)
			TRY(add_type_at(t, d->addr + layout_off(t->layout, L_arraytype_elem), chain,
					b, ok));
		return NULL;
	case KIND_MAP:
		TRY(buf_addstr(b, "map["));
		TRY(add_type_at(t, d->addr + layout_off(t->layout, L_maptype_key), chain, b, ok));
		if (*ok)
			TRY(buf_addstr(b, "]"));
		if (*ok)
			TRY(add_type_at(t, d->addr + layout_off(t->layout, L_maptype_elem), chain,
					b, ok));
		return NULL;
	case KIND_CHAN:
		return add_chan(t, d, chain, b, ok);
	case KIND_FUNC:
		return add_func(t, d, chain, b, ok);
	case KIND_STRUCT:
		return add_struct(t, d, chain, b, ok);
	default: /* an interface: its own string has its methods' names, which is enough */
		*ok = false;
		return NULL;
	}
}

/* The descriptor's own string, with the package's path where the type is named; the kind's name
 * where there is no string. */
static struct err *add_own_string(struct types *t, const struct desc *d, struct buf *b)
{
	static const char *const kinds[KIND_UNSAFE_POINTER + 1] = {
		[KIND_FUNC] = "func",   [KIND_INTERFACE] = "interface", [KIND_STRUCT] = "struct",
		[KIND_MAP] = "map",     [KIND_CHAN] = "chan",           [KIND_POINTER] = "pointer",
		[KIND_SLICE] = "slice", [KIND_ARRAY] = "array",
	};
	struct desc_name str;
	const char *s;

	TRY(desc_read_name_off(t, d, d->str, &str));
	if (!str.s || !*str.s)
		return buf_addstr(b, kinds[d->kind] ? kinds[d->kind] : "?");
	s = str.s + (d->tflag & TFLAG_EXTRA_STAR && *str.s == '*');
	return d->tflag & TFLAG_NAMED ? add_named(t, d, s, b) : buf_addstr(b, s);
}

struct err *type_full_name(struct types *t, const struct desc *d, struct type_chain *chain,
			   const char **ret)
{
	enum { SHORT = 64 }; /* of a name, where all together are too long */
	_cleanup_buf_ struct buf b = BUF_INIT;
	bool ok = false;

	if (!(d->tflag & TFLAG_NAMED))
		TRY(add_composite(t, d, chain, &b, &ok));
	if (!ok || b.len > LIMIT_NAME) {
		buf_reset(&b);
		TRY(add_own_string(t, d, &b));
	}
	t->name_bytes += b.len;
	if (t->name_bytes > LIMIT_TYPE_NAMES && b.len > SHORT)
		b.len = SHORT;
	*ret = arena_strndup(&t->arena, (const char *)b.data, b.len);
	return *ret ? NULL : err_nomem();
}
