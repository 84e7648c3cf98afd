/*
 * Named types by name, and maps by their groups, without DWARF: from the list of descriptors that
 * each module has for reflect.  Up to go1.26 it is moduledata.typelinks, which lists pointers and
 * other composites, so that a named type is found behind its pointer.  Since go1.27 the module's
 * descriptors stand one after another (runtime/type.go, moduleTypelinks).
 */
#include <inttypes.h>
#include <string.h>

#include "base/intr.h"
#include "base/limits.h"
#include "heap/types/type_int.h"

/* Under the descriptor's string, which has no package path ("http.Server"), so that several types
 * can share it. */
static struct err *index_add(struct types *t, uint64_t addr)
{
	struct type_listed x = { .addr = addr };
	uint64_t *slot;
	const char *s;
	bool is_new;
	size_t len;

	if (!type_named(t, addr, &s, &len))
		return NULL;
	TRY(map64_put(&t->listed_at, addr, 0, &slot, &is_new));
	if (!is_new)
		return NULL;
	TRY(map64_put(&t->listed_by_name, hash_str(s, len), t->listed.n, &slot, &is_new));
	if (!is_new) {
		x.next = (uint32_t)*slot + 1;
		*slot = t->listed.n;
	}
	return vec_push(&t->listed, x);
}

static struct err *index_add_listed(struct types *t, uint64_t addr)
{
	uint64_t elem, group;

	TRY(intr_check());
	TRY(index_add(t, addr));
	if (type_pointee(t, addr, &elem))
		TRY(index_add(t, elem));
	if (type_map_group(t, addr, &group))
		TRY(map64_put(&t->map_by_group, group, addr, &(uint64_t *){ NULL }, NULL));
	return NULL;
}

static bool word_at(const struct types *t, uint64_t addr, uint64_t *ret)
{
	const uint8_t *b = image_ptr(t->img, addr, t->fmt.word, NULL);

	if (b)
		*ret = bytes_word(t->fmt, b);
	return b;
}

/* moduledata.typelinks: offsets from the module's types. */
static struct err *list_typelinks(struct types *t, const struct types_module *m)
{
	uint64_t list = m->moduledata + layout_off(t->layout, L_moduledata_typelinks), n, at;

	if (!word_at(t, list, &at) || !word_at(t, list + t->fmt.word, &n))
		return NULL;
	for (uint64_t i = 0; i < n; i++) {
		const uint8_t *b = image_ptr(t->img, at + 4 * i, 4, NULL);

		if (!b)
			break;
		TRY(index_add_listed(t, m->types + bytes_u32(t->fmt, b)));
	}
	return NULL;
}

/* Descriptors behind one another, in the first moduledata.typedesclen bytes. */
static struct err *list_typedescs(struct types *t, const struct types_module *m)
{
	uint64_t word = t->fmt.word, n, at, end;

	if (!word_at(t, m->moduledata + layout_off(t->layout, L_moduledata_typedesclen), &n) ||
	    n > m->etypes - m->types)
		return NULL;
	end = m->types + n;
	for (at = m->types + word; at < end; at += n) {
		at = (at + word - 1) & ~(word - 1);
		n = type_desc_size(t, at);
		if (!n)
			break;
		TRY(index_add_listed(t, at));
	}
	return NULL;
}

static struct err *list_module(struct types *t, const struct types_module *m)
{
	if (layout_has(t->layout, L_moduledata_typelinks))
		return list_typelinks(t, m);
	return layout_has(t->layout, L_moduledata_typedesclen) ? list_typedescs(t, m) : NULL;
}

struct err *types_list(struct types *t)
{
	if (t->have_listed)
		return NULL;
	t->have_listed = true;
	for (size_t i = 0; i < t->nmodules; i++)
		if (!t->modules[i].dwarf && t->modules[i].moduledata)
			TRY(list_module(t, &t->modules[i]));
	return NULL;
}

struct err *types_map_of_group(struct types *t, uint64_t rtype, struct go_type **ret)
{
	uint64_t *map;

	*ret = NULL;
	TRY(types_list(t));
	map = map64_get(&t->map_by_group, rtype);
	return map ? types_from_runtime(t, *map, ret) : NULL;
}

struct err *types_listed(struct types *t, const char *name, struct go_type **ret)
{
	const char *args = name + strcspn(name, "["), *start = args;
	uint64_t *slot;
	unsigned n = 0;

	*ret = NULL;
	TRY(types_list(t));
	while (start > name && start[-1] != '/')
		start--;
	slot = map64_get(&t->listed_by_name, hash_str(start, strlen(start)));
	for (uint64_t i = slot ? *slot + 1 : 0; i && n++ < LIMIT_NAMESAKES;
	     i = t->listed.v[i - 1].next) {
		struct go_type *type;

		TRY(types_from_runtime(t, t->listed.v[i - 1].addr, &type));
		if (type && !strcmp(type->name, name)) {
			*ret = type;
			break;
		}
	}
	return NULL;
}
