/*
 * The type table.  A type has one go_type, whichever reader met it first: the maps lead to it from
 * its DIE and from its descriptor.  Types that no reader has are made up here: pointers to types of
 * the program, and the objects of closures.
 */
#include "heap/types/type.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "heap/types/type_int.h"

void types_destroy(struct types *t)
{
	if (!t)
		return;
	for (size_t i = 0; t->by_die && i < t->nmodules; i++)
		map64_deinit(&t->by_die[i]);
	free(t->by_die);
	free(t->modules);
	map64_deinit(&t->by_rtype);
	map64_deinit(&t->pointers);
	vec_deinit(&t->structs);
	map64_deinit(&t->closures);
	map64_deinit(&t->boxes);
	map64_deinit(&t->listed_by_name);
	map64_deinit(&t->listed_at);
	vec_deinit(&t->listed);
	map64_deinit(&t->map_by_group);
	map64_deinit(&t->dict_by_base);
	vec_deinit(&t->dicts);
	arena_deinit(&t->arena);
	free(t);
}

DEFINE_CLEANUP(types_destroy, struct types *)

struct err *types_create(const struct image *img, const struct layout *layout,
			 const struct types_module *modules, size_t nmodules, struct types **ret)
{
	_cleanup_(cleanup_types_destroy) struct types *t = calloc(1, sizeof(*t));

	if (!t)
		return err_nomem();
	t->img = img;
	t->fmt = image_fmt(img);
	t->layout = layout;
	t->nmodules = nmodules;
	t->modules = calloc(nmodules + 1, sizeof(*t->modules));
	t->by_die = calloc(nmodules + 1, sizeof(*t->by_die));
	if (!t->modules || !t->by_die)
		return err_nomem();
	if (nmodules)
		memcpy(t->modules, modules, nmodules * sizeof(*modules));
	*ret = TAKE_PTR(t);
	return NULL;
}

size_t types_module_of(const struct types *t, uint64_t rtype)
{
	size_t i;

	for (i = 0; i < t->nmodules; i++)
		if (rtype >= t->modules[i].types && rtype < t->modules[i].etypes)
			break;
	return i;
}

struct err *type_new(struct types *t, uint8_t kind, const char *name, uint64_t size,
		     struct go_type **ret)
{
	struct go_type *type = arena_alloc(&t->arena, sizeof(*type));

	if (!type)
		return err_nomem();
	type->kind = kind;
	type->name = name;
	type->size = size;
	type->id = ++t->n;
	*ret = type;
	return NULL;
}

struct err *type_remember(struct map64 *m, uint64_t key, struct go_type *type)
{
	uint64_t *val;

	TRY(map64_put(m, key, 0, &val, NULL));
	*val = (uint64_t)(uintptr_t)type;
	return NULL;
}

struct go_type *type_recall(const struct map64 *m, uint64_t key)
{
	uint64_t *val = map64_get(m, key);

	return val ? (struct go_type *)(uintptr_t)*val : NULL;
}

struct err *type_absorb(struct err *err)
{
	static const enum err_code codes[] = { ERR_FAULT, ERR_BADDATA, ERR_NODEBUG, ERR_LIMIT,
					       ERR_UNSUPPORTED };

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		if (err_catch(&err, codes[i]))
			return NULL;
	return err;
}

static int cmp_field(const void *a, const void *b)
{
	const struct go_field *x = a, *y = b;
	uint32_t xid = x->type ? x->type->id : 0, yid = y->type ? y->type->id : 0;
	int c;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	c = strcmp(x->name, y->name);
	return c ? c : xid < yid ? -1 : xid > yid;
}

void type_sort_fields(struct go_field *f, uint32_t n)
{
	/* They come sorted, and then fields of no size keep their order.  In a damaged file they
	 * may come otherwise. */
	for (uint32_t i = 1; i < n; i++) {
		if (f[i].offset < f[i - 1].offset) {
			qsort(f, n, sizeof(*f), cmp_field);
			return;
		}
	}
}

struct err *types_expand(struct types *t, struct go_type *type)
{
	if (type->expanded)
		return NULL;
	type->expanded = true; /* also where it fails: a second try would not do better */
	if (type->die) {
		for (size_t i = 0; i < t->nmodules; i++)
			if (type_recall(&t->by_die[i], type->die) == type)
				return type_expand_dwarf(t, i, type);
	}
	return type->rtype ? type_expand_runtime(t, type) : NULL;
}

/* ------------------------------------------------------------------ types made up here */

struct err *types_by_name(struct types *t, const char *name, struct go_type **ret)
{
	*ret = NULL;
	for (size_t i = 0; i < t->nmodules && !*ret; i++) {
		uint64_t die = 0;

		if (!t->modules[i].dwarf)
			continue;
		TRY(type_absorb(dwarf_type_by_name(t->modules[i].dwarf, name, &die)));
		if (die)
			TRY(types_from_die(t, i, die, ret));
	}
	return *ret ? NULL : types_listed(t, name, ret);
}

/* The program may have the pointer's type itself, which then is the one. */
static struct err *find_pointer_to(struct types *t, const char *name, const struct go_type *elem,
				   struct go_type **ret)
{
	struct go_type *same;

	*ret = NULL;
	TRY(types_by_name(t, name, &same));
	if (!same || same->kind != KIND_POINTER)
		return NULL;
	TRY(types_expand(t, same));
	if (same->elem == elem)
		*ret = same;
	return NULL;
}

struct err *types_pointer_to(struct types *t, struct go_type *elem, struct go_type **ret)
{
	struct go_type *type = type_recall(&t->pointers, elem->id);
	char *name;

	if (type) {
		*ret = type;
		return NULL;
	}
	name = arena_printf(&t->arena, "*%s", elem->name);
	if (!name)
		return err_nomem();
	TRY(find_pointer_to(t, name, elem, &type));
	if (!type) {
		TRY(type_new(t, KIND_POINTER, name, t->fmt.word, &type));
		type->elem = elem;
		type->direct = true;
		type->expanded = true;
	}
	TRY(type_remember(&t->pointers, elem->id, type));
	*ret = type;
	return NULL;
}

struct err *types_struct_of(struct types *t, const char *field, struct go_type *type,
			    struct go_type **ret)
{
	struct go_type *st = type_recall(&t->boxes, type->id);

	if (!st) {
		TRY(type_new(t, KIND_STRUCT, field, type->size, &st));
		st->fields = arena_alloc(&t->arena, sizeof(*st->fields));
		if (!st->fields)
			return err_nomem();
		st->fields[0] = (struct go_field){ .name = field, .type = type };
		st->nfields = 1;
		st->expanded = true;
		TRY(type_remember(&t->boxes, type->id, st));
	}
	*ret = st;
	return NULL;
}

/* ------------------------------------------------------------------ closures */

/* A captured variable's type; in generic code, the type that it has in this instance. */
static struct err *capture_type(struct types *t, size_t module, uint64_t entry,
				const struct dwarf_capture *c, struct go_type **ret)
{
	const char *func = c->dict ? dwarf_func_name(t->modules[module].dwarf, entry) : NULL, *name;
	struct go_type *real;

	TRY(types_from_die(t, module, c->type, ret));
	if (!func)
		return NULL;
	TRY(types_instance(t, func, c->dict - 1, *ret, NULL, 0, &real, &name));
	if (real)
		*ret = real;
	return NULL;
}

/* The next multiple of the type's alignment, which is taken to be its size up to a word. */
static uint64_t align_for(const struct types *t, const struct go_type *type, uint64_t offset)
{
	uint64_t align = type->size >= t->fmt.word ? t->fmt.word :
			 type->size >= 4           ? 4 :
			 type->size >= 2           ? 2 :
						     1;

	return (offset + align - 1) & ~(align - 1);
}

static struct err *closure_make(struct types *t, size_t module, uint64_t entry,
				const struct dwarf_capture *c, size_t n, struct go_type **ret)
{
	struct go_type *type = NULL, *uintptr_;

	TRY(types_by_name(t, "uintptr", &uintptr_));
	TRY(type_new(t, KIND_STRUCT, "", 0, &type));
	type->expanded = true;
	type->closure = true;
	type->fields = arena_alloc(&t->arena, (n + 2) * sizeof(*type->fields));
	if (!type->fields)
		return err_nomem();
	type->fields[0] = (struct go_field){ .name = "F", .type = uintptr_ };
	type->size = t->fmt.word;
	type->nfields = 1;
	for (size_t i = 0; i < n; i++) {
		struct go_field *f = &type->fields[type->nfields];
		uint64_t offset;

		TRY(capture_type(t, module, entry, &c[i], &f->type));
		offset = c[i].guessed && f->type ? align_for(t, f->type, type->size) : c[i].offset;
		if (offset < type->size) /* it overlaps the one before: damaged */
			continue;
		f->name = c[i].name;
		f->offset = offset;
		if (__builtin_add_overflow(f->offset, f->type ? f->type->size : 0, &type->size))
			return err_create(ERR_BADDATA, "a closure of a senseless size");
		type->nfields++;
	}
	*ret = type;
	return NULL;
}

/* Brings what a closure captures into the k-th of its possible orders; false: there are not so
 * many, or the order is known. */
static bool permute(struct dwarf_capture *c, size_t n, unsigned k)
{
	enum { PERMUTED_MAX = 4 }; /* 24 orders */

	if (!k)
		return true;
	if (!c[0].guessed || n > PERMUTED_MAX)
		return false;
	for (size_t i = 0; i + 1 < n; i++) {
		unsigned left = (unsigned)(n - i), pick = k % left;
		struct dwarf_capture t = c[i + pick];

		k /= left;
		memmove(&c[i + 1], &c[i], pick * sizeof(*c));
		c[i] = t;
	}
	return !k;
}

struct err *types_method_value(struct types *t, uint64_t entry, const char *name,
			       struct go_type *receiver, struct go_type **ret)
{
	uint64_t key = entry << 5 | 31; /* a variant that types_closure() does not get to */
	struct go_type *type = type_recall(&t->closures, key);

	if (!type) {
		TRY(closure_make(t, 0, 0, NULL, 0, &type));
		type->name = name;
		type->fields[1] = (struct go_field){ "", t->fmt.word, receiver };
		type->nfields = 2;
		type->size = t->fmt.word + receiver->size;
		TRY(type_remember(&t->closures, key, type));
	}
	*ret = type;
	return NULL;
}

struct err *types_closure(struct types *t, uint64_t entry, const char *name, unsigned variant,
			  struct go_type **ret)
{
	uint64_t key = entry << 5 | (variant & 31), *known = map64_get(&t->closures, key);
	struct go_type *type = NULL;

	if (known) {
		*ret = (struct go_type *)(uintptr_t)*known;
		return NULL;
	}
	for (size_t i = 0; i < t->nmodules && !type; i++) {
		_cleanup_free_ struct dwarf_capture *c = NULL;
		size_t n = 0;

		if (!t->modules[i].dwarf ||
		    (t->modules[i].etext &&
		     entry - t->modules[i].text >= t->modules[i].etext - t->modules[i].text))
			continue;
		TRY(type_absorb(
			dwarf_captures(t->modules[i].dwarf, entry - t->modules[i].bias, &c, &n)));
		if (n && permute(c, n, variant))
			TRY(type_absorb(
				closure_make(t, i, entry - t->modules[i].bias, c, n, &type)));
	}
	if (!type && !variant)
		TRY(closure_make(t, 0, 0, NULL, 0, &type));
	if (type)
		type->name = name;
	TRY(type_remember(&t->closures, key, type));
	*ret = type;
	return NULL;
}
