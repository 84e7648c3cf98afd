/*
 * Generic code is compiled once for all type arguments of one shape: "main.hold[go.shape.*uint8]"
 * for every pointer.  Its variables' types are of shapes; what they really are is in the dictionary
 * that each instance has, "main..dict.hold[*main.Item]": words of which DW_AT_go_dict_index
 * (go1.18) names one for a variable, the address of its type's descriptor
 * (cmd/compile/internal/noder/reader.go, readDict and varDictIndex).  Methods have their type's:
 * "main..dict.Pair[int,string]", in 1.18 and 1.19 one of their own:
 * "main..dict.(*Pair[int,string]).wait".
 *
 * The frame says which dictionary it is, where the function keeps the pointer to it.  Otherwise
 * only an instance that is the only one of its shape is certain.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "heap/types/type_int.h"

#define DICT "..dict."

/* A name around its first type arguments: "main.(*Pair" "[int,string]" ").wait". */
struct split {
	size_t args, post; /* where these begin */
};

static bool split_name(const char *s, struct split *ret)
{
	const char *p = strchr(s, '[');
	int depth = 0;

	if (!p)
		return false;
	ret->args = (size_t)(p - s);
	for (; *p; p++) {
		depth += (*p == '[') - (*p == ']');
		if (!depth) {
			ret->post = (size_t)(p + 1 - s);
			return true;
		}
	}
	return false;
}

/* The key of "main.(*Pair" is that of "main.Pair", by which the dictionary of its type goes. */
static uint64_t base_key(const char *s, size_t len)
{
	uint64_t h = HASH_START;

	for (size_t i = 0; i < len; i++) {
		if (s[i] == '(' || s[i] == '*')
			continue;
		h = hash_step(h, (uint8_t)s[i]);
	}
	return h;
}

struct err *types_add_dict(struct types *t, const char *symbol, uint64_t addr, uint64_t size)
{
	const char *mark = strstr(symbol, DICT);
	struct type_dict d = { .addr = addr, .size = size };
	struct split at;
	uint64_t *slot;
	bool is_new;
	char *name;

	if (!mark)
		return NULL;
	name = arena_printf(&t->arena, "%.*s.%s", (int)(mark - symbol), symbol,
			    mark + sizeof(DICT) - 1);
	if (!name)
		return err_nomem();
	if (!split_name(name, &at))
		return NULL;
	d.name = name;
	TRY(map64_put(&t->dict_by_base, base_key(name, at.args), t->dicts.n, &slot, &is_new));
	if (!is_new) {
		d.next = (uint32_t)*slot + 1;
		*slot = t->dicts.n;
	}
	return vec_push(&t->dicts, d);
}

/* The type that the dictionary has for a variable of this shape; NULL: it does not fit. */
static struct err *entry_type(struct types *t, const struct type_dict *d, uint32_t index,
			      const struct go_type *shape, struct go_type **ret)
{
	uint64_t off = (uint64_t)index * t->fmt.word;
	const uint8_t *b =
		off < d->size ? image_ptr(t->img, d->addr + off, t->fmt.word, NULL) : NULL;
	struct go_type *type = NULL;

	if (b)
		TRY(types_from_runtime(t, bytes_word(t->fmt, b), &type));
	*ret = type && type->kind == shape->kind && type->size == shape->size ? type : NULL;
	return NULL;
}

/* Whether a dictionary's name goes on as the function's does behind the type arguments. */
static bool same_rest(const char *func, const struct split *f, const char *dict,
		      const struct split *d)
{
	return !strncmp(func + f->post, dict + d->post, strlen(dict + d->post));
}

/* "main.(*Pair[go.shape.int]).wait" with the arguments of its dictionary. */
static const char *real_name(struct types *t, const char *func, const struct split *f,
			     const char *dict, const struct split *d)
{
	return arena_printf(&t->arena, "%.*s%.*s%s", (int)f->args, func, (int)(d->post - d->args),
			    dict + d->args, func + f->post);
}

struct err *types_instance(struct types *t, const char *func, uint32_t index,
			   const struct go_type *shape, const uint64_t *words, size_t nwords,
			   struct go_type **ret, const char **name)
{
	const struct type_dict *best = NULL;
	struct split f, at, best_at = { 0, 0 };
	struct go_type *best_type = NULL;
	bool certain = false, many = false;
	uint64_t *slot;

	*ret = NULL;
	*name = NULL;
	if (!shape || !split_name(func, &f))
		return NULL;
	slot = map64_get(&t->dict_by_base, base_key(func, f.args));
	for (uint32_t i = slot ? (uint32_t)*slot + 1 : 0, n = 0;
	     i && !certain && n < LIMIT_NAMESAKES; i = t->dicts.v[i - 1].next, n++) {
		const struct type_dict *d = &t->dicts.v[i - 1];
		struct go_type *type;

		if (!split_name(d->name, &at) || !same_rest(func, &f, d->name, &at))
			continue;
		TRY(entry_type(t, d, index, shape, &type));
		if (!type)
			continue;
		for (size_t k = 0; k < nwords; k++)
			certain |= words[k] == d->addr;
		many |= best != NULL;
		best = d;
		best_at = at;
		best_type = type;
	}
	if (!best || (many && !certain))
		return NULL;
	*name = real_name(t, func, &f, best->name, &best_at);
	if (!*name)
		return err_nomem();
	*ret = best_type;
	return NULL;
}
