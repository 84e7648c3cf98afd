/*
 * Named types by name, and maps by their groups, without DWARF, from the list of descriptors that
 * each module has for reflect: up to go1.26 moduledata.typelinks, which lists pointers and other
 * composites (a named type is found behind its pointer); from go1.27 on all descriptors, one after
 * another (runtime/type.go, moduleTypelinks).
 */
#include <inttypes.h>
#include <string.h>

#include "heap/types/type_int.h"

/* By the descriptor's string, which has no package path ("http.Server"), so that several types
 * can share it. */
static struct err *add(struct types *t, uint64_t addr)
{
	struct type_listed x = { .addr = addr };
	uint64_t *slot;
	struct err *err;
	const char *s;
	bool is_new;
	size_t len;

	if (!type_named(t, addr, &s, &len))
		return NULL;
	err = map64_put(&t->listed_by_name, hash_str(s, len), t->listed.n, &slot, &is_new);
	if (err)
		return err;
	if (!is_new) {
		for (uint64_t i = *slot;; i = t->listed.v[i].next - 1) {
			if (t->listed.v[i].addr == addr)
				return NULL;
			if (!t->listed.v[i].next)
				break;
		}
		x.next = (uint32_t)*slot + 1;
		*slot = t->listed.n;
	}
	return vec_push(&t->listed, x);
}

static struct err *add_listed(struct types *t, uint64_t addr)
{
	struct err *err = add(t, addr);
	uint64_t elem, group;

	if (!err && type_pointee(t, addr, &elem))
		err = add(t, elem);
	if (!err && type_map_group(t, addr, &group))
		err = map64_put(&t->map_by_group, group, addr, &(uint64_t *){ NULL }, NULL);
	return err;
}

static bool word_at(const struct types *t, uint64_t addr, uint64_t *ret)
{
	const uint8_t *b = image_ptr(t->img, addr, t->fmt.word, NULL);

	if (b)
		*ret = bytes_word(t->fmt, b);
	return b;
}

static struct err *list_module(struct types *t, const struct types_module *m)
{
	const struct layout *l = t->layout;
	uint64_t list, n, at, end;
	struct err *err = NULL;

	if (layout_has(l, L_moduledata_typelinks)) {
		list = m->moduledata + layout_off(l, L_moduledata_typelinks);
		if (!word_at(t, list, &at) || !word_at(t, list + t->fmt.word, &n))
			return NULL;
		for (uint64_t i = 0; i < n && !err; i++) {
			const uint8_t *b = image_ptr(t->img, at + 4 * i, 4, NULL);

			if (!b)
				break;
			err = add_listed(t, m->types + bytes_u32(t->fmt, b));
		}
	} else if (layout_has(l, L_moduledata_typedesclen) &&
		   word_at(t, m->moduledata + layout_off(l, L_moduledata_typedesclen), &n) &&
		   n <= m->etypes - m->types) {
		end = m->types + n;
		for (at = m->types + t->fmt.word; at < end && !err; at += n) {
			at = (at + t->fmt.word - 1) & ~(uint64_t)(t->fmt.word - 1);
			n = type_desc_size(t, at);
			if (!n)
				break;
			err = add_listed(t, at);
		}
	}
	return err;
}

static struct err *list_all(struct types *t)
{
	struct err *err = NULL;

	if (t->have_listed)
		return NULL;
	t->have_listed = true;
	for (size_t i = 0; i < t->nmodules && !err; i++)
		if (!t->modules[i].dwarf && t->modules[i].moduledata)
			err = list_module(t, &t->modules[i]);
	return err;
}

struct err *types_map_of_group(struct types *t, uint64_t rtype, struct go_type **ret)
{
	uint64_t *map;
	struct err *err = list_all(t);

	*ret = NULL;
	map = err ? NULL : map64_get(&t->map_by_group, rtype);
	return map ? types_from_runtime(t, *map, ret) : err;
}

struct err *types_listed(struct types *t, const char *name, struct go_type **ret)
{
	const char *args = name + strcspn(name, "["), *start = args;
	uint64_t *slot;
	struct err *err = list_all(t);

	*ret = NULL;
	while (start > name && start[-1] != '/')
		start--;
	slot = err ? NULL : map64_get(&t->listed_by_name, hash_str(start, strlen(start)));
	for (uint64_t i = slot ? *slot + 1 : 0; i && !err; i = t->listed.v[i - 1].next) {
		struct go_type *type;

		err = types_from_runtime(t, t->listed.v[i - 1].addr, &type);
		if (!err && type && !strcmp(type->name, name)) {
			*ret = type;
			break;
		}
	}
	return err;
}
