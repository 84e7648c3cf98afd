/*
 * Which struct types have a field of some type at some offset: what an object may be that is only
 * known by a pointer to one of its fields.
 *
 * All struct types are listed once, by size, which takes no look at their fields.  Fields are read
 * of those whose size fits.
 */
#include <stdlib.h>

#include "base/intr.h"
#include "base/limits.h"
#include "base/search.h"
#include "heap/types/type_int.h"

static struct err *structs_add(struct types *t, struct go_type *type)
{
	return type && type->kind == KIND_STRUCT && type->size ? vec_push(&t->structs, type) : NULL;
}

static struct err *structs_of_module(struct types *t, size_t module)
{
	struct go_type *type;
	size_t at = 0;
	uint64_t die;

	for (;;) {
		TRY(type_absorb(dwarf_next_struct(t->modules[module].dwarf, &at, &die)));
		if (!die)
			return NULL;
		TRY(types_from_die(t, module, die, &type));
		TRY(structs_add(t, type));
	}
}

static int struct_cmp(const void *a, const void *b)
{
	const struct go_type *x = *(struct go_type *const *)a, *y = *(struct go_type *const *)b;

	if (x->size != y->size)
		return x->size < y->size ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static struct err *structs_list(struct types *t)
{
	struct go_type *type;

	if (t->have_structs)
		return NULL;
	t->have_structs = true;
	for (size_t i = 0; i < t->nmodules; i++)
		if (t->modules[i].dwarf)
			TRY(structs_of_module(t, i));
	TRY(types_list(t));
	for (size_t i = 0; i < t->listed.n; i++) {
		TRY(types_from_runtime(t, t->listed.v[i].addr, &type));
		TRY(structs_add(t, type));
	}
	if (t->structs.n > 1)
		qsort(t->structs.v, t->structs.n, sizeof(*t->structs.v), struct_cmp);
	return NULL;
}

/* Goes down from `type` to what is at off, until that is an inner. */
static struct err *has_at(struct types *t, struct go_type *type, const struct go_type *inner,
			  uint64_t off, bool *ret)
{
	*ret = false;
	for (int depth = 0; type && depth < LIMIT_TYPE_DEPTH; depth++) {
		struct go_type *next = NULL;

		if (type == inner && !off) {
			*ret = true;
			return NULL;
		}
		TRY(types_expand(t, type));
		if (type->kind == KIND_ARRAY && type->elem && type->elem->size) {
			next = type->elem;
			off %= next->size;
		}
		for (uint32_t i = 0; type->kind == KIND_STRUCT && i < type->nfields; i++) {
			const struct go_field *f = &type->fields[i];

			if (f->type && f->offset <= off && off - f->offset < f->type->size) {
				next = f->type;
				off -= f->offset;
				break;
			}
		}
		type = next;
	}
	return NULL;
}

struct size_key {
	const struct types *t;
	uint64_t min;
};

static bool is_larger(const void *arg, size_t i)
{
	const struct size_key *k = arg;

	return k->t->structs.v[i]->size > k->min;
}

struct err *types_around(struct types *t, const struct go_type *inner, uint64_t off, uint64_t min,
			 uint64_t max, struct err *(*found)(void *arg, struct go_type *outer),
			 void *arg)
{
	bool has;

	TRY(structs_list(t));
	for (size_t i = search_first(t->structs.n, is_larger, &(struct size_key){ t, min });
	     i < t->structs.n && t->structs.v[i]->size <= max; i++) {
		TRY(intr_check());
		TRY(has_at(t, t->structs.v[i], inner, off, &has));
		if (has)
			TRY(found(arg, t->structs.v[i]));
	}
	return NULL;
}
