/*
 * What closures capture, and what functions take: by the DIEs of their subprograms.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#include "target/dwarf_int.h"

static int cmp_capture(const void *a, const void *b)
{
	const struct dwarf_capture *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

VEC_NAMED(captures, struct dwarf_capture);

/*
 * DW_AT_go_closure_offset came with go1.23; whether a function could have it its unit's producer
 * says: "Go cmd/compile go1.26.8; regabi".
 */
static bool has_closure_offsets(struct dwarf *d, const struct dwarf_func *f)
{
	const struct dwarf_cu *cu = dwarf_cu_of(d, f->die);
	DIE_GUARD Dwarf_Die die = NULL;
	const char *producer =
		cu && dwarf_die_at(d, cu->die, &die) ? dwarf_die_str(d, die, DW_AT_producer) : NULL;
	const char *go = producer ? strstr(producer, " go1.") : NULL;

	return !go || strtoul(go + 5, NULL, 10) >= 23;
}

/* Name and type of a captured variable. */
static bool capture_of(struct dwarf *d, Dwarf_Die v, struct dwarf_capture *c)
{
	c->name = dwarf_origin_str(d, v, DW_AT_name);
	if (!c->name || !dwarf_var_type(d, v, &c->type, &c->dict))
		return false;
	if (c->name[0] == '&') {
		c->name++;
		c->by_ref = true;
	}
	return true;
}

/* The function that a closure was written in: "main.f[...].func1.2" -> "main.f[...]"; as the
 * linker writes it. */
static const struct dwarf_func *outer_func(struct dwarf *d, const char *closure)
{
	_cleanup_free_ char *name = NULL;
	const char *args = strchr(closure, ']'), *cut = args ? strstr(args, ".func") : NULL;
	uint64_t addr, size;

	if (!cut || !(name = strndup(closure, (size_t)(cut - closure))) ||
	    !elf_symbol(d->elf, name, &addr, &size))
		return NULL;
	return dwarf_find_func(d, addr);
}

/*
 * A generic function's closure does not say which of its dictionary's types a captured variable
 * has; the function around it has a typedef of the same type, which does.
 */
static void dict_of_outer(struct dwarf *d, const struct dwarf_func *closure, struct captures *c)
{
	DIE_GUARD Dwarf_Die die = NULL, fn = NULL, v = NULL;
	const char *name =
		dwarf_die_at(d, closure->die, &die) ? dwarf_origin_str(d, die, DW_AT_name) : NULL;
	const struct dwarf_func *outer =
		name && strstr(name, "[go.shape.") ? outer_func(d, name) : NULL;
	uint64_t type, index;

	if (!outer || !dwarf_die_at(d, outer->die, &fn) || !dwarf_die_child(d, fn, &v))
		return;
	do {
		if (dwarf_die_tag(d, v) != DW_TAG_typedef ||
		    !dwarf_die_ref(d, v, DW_AT_type, &type) ||
		    !dwarf_die_uint(d, v, GO_AT_dict_index, &index) || index >= UINT16_MAX)
			continue;
		for (size_t i = 0; i < c->n; i++)
			if (c->v[i].type == type && !c->v[i].dict)
				c->v[i].dict = (uint32_t)index + 1;
	} while (dwarf_die_next(d, &v));
}

/*
 * go1.23 and later: DW_AT_go_closure_offset on the variables of a closure's own subprogram.  A
 * variable that the closure does not load whole may be missing; so may all of them where the
 * closure was also inlined (putvar writes the offset only where it writes the name).
 */
static struct err *captures_by_offset(struct dwarf *d, const struct dwarf_func *f,
				      struct captures *out)
{
	DIE_GUARD Dwarf_Die die = NULL, v = NULL;
	struct err *err = NULL;

	if (!dwarf_die_at(d, f->die, &die) || !dwarf_die_child(d, die, &v))
		return NULL;
	do {
		struct dwarf_capture c = { 0 };

		if (dwarf_die_tag(d, v) == DW_TAG_variable &&
		    dwarf_origin_val(d, v, GO_AT_closure_offset, dwarf_die_uint, &c.offset) &&
		    c.offset && capture_of(d, v, &c))
			err = vec_push(out, c);
	} while (!err && dwarf_die_next(d, &v));
	return err;
}

/*
 * Before go1.23: a closure's captured variables are declared on its own line or where they are
 * first used, before its locals, but not in the order of the closure struct's fields.  Locals of a
 * closure written on one line look the same.  So the layout is one of several: the caller holds
 * them against the collector's own map of the object.
 */
static struct err *captures_by_line(struct dwarf *d, const struct dwarf_func *f,
				    struct captures *out)
{
	DIE_GUARD Dwarf_Die die = NULL, v = NULL, w = NULL;
	uint64_t line, first = UINT64_MAX, at = elf_fmt(d->elf).word;
	struct err *err = NULL;

	if (!dwarf_die_at(d, f->die, &die) || !dwarf_die_child(d, die, &v))
		return NULL;
	do { /* the first variables: of the closure's own line, or of the first use in it */
		if (dwarf_die_tag(d, v) == DW_TAG_variable &&
		    dwarf_origin_val(d, v, DW_AT_decl_line, dwarf_die_uint, &line) && line &&
		    line < first)
			first = line;
	} while (dwarf_die_next(d, &v));
	if (!dwarf_die_child(d, die, &w))
		return NULL;
	do {
		struct dwarf_capture c = { 0 };
		struct dwarf_type t;
		uint64_t align;

		if (dwarf_die_tag(d, w) != DW_TAG_variable ||
		    !dwarf_origin_val(d, w, DW_AT_decl_line, dwarf_die_uint, &line) ||
		    line != first || !capture_of(d, w, &c))
			continue;
		err = dwarf_type(d, c.type, &t);
		if (err)
			break;
		align = t.size >= 8 ? 8 : t.size >= 4 ? 4 : t.size >= 2 ? 2 : 1;
		if (align > elf_fmt(d->elf).word)
			align = elf_fmt(d->elf).word;
		at = (at + align - 1) & ~(align - 1);
		c.offset = at;
		c.guessed = true;
		at += t.size;
		err = vec_push(out, c);
	} while (!err && dwarf_die_next(d, &w));
	return err;
}

struct err *dwarf_captures(struct dwarf *d, uint64_t entry, struct dwarf_capture **ret, size_t *n)
{
	struct captures out = VEC_INIT;
	const struct dwarf_func *f;
	struct err *err = dwarf_need_index(d);

	if (err)
		return err;
	f = dwarf_find_func(d, entry);
	if (f && f->low == entry)
		err = captures_by_offset(d, f, &out);
	if (!err && f && f->low == entry && !out.n && !has_closure_offsets(d, f))
		err = captures_by_line(d, f, &out);
	if (err) {
		vec_deinit(&out);
		return err;
	}
	if (out.n) {
		qsort(out.v, out.n, sizeof(*out.v), cmp_capture);
		dict_of_outer(d, f, &out);
	}
	*ret = out.v;
	*n = out.n;
	return NULL;
}

const char *dwarf_func_name(struct dwarf *d, uint64_t entry)
{
	DIE_GUARD Dwarf_Die die = NULL;
	const struct dwarf_func *f = d->have_index ? dwarf_find_func(d, entry) : NULL;
	const char *name = f && f->low == entry && dwarf_die_at(d, f->die, &die) ?
				   dwarf_origin_str(d, die, DW_AT_name) :
				   NULL;

	return name ? symname_plain(&d->strings, name) : NULL;
}

struct err *dwarf_first_param(struct dwarf *d, uint64_t entry, uint64_t *type)
{
	DIE_GUARD Dwarf_Die die = NULL, v = NULL;
	const struct dwarf_func *f;
	struct err *err = dwarf_need_index(d);

	*type = 0;
	if (err)
		return err;
	f = dwarf_find_func(d, entry);
	if (!f || f->low != entry || !dwarf_die_at(d, f->die, &die) || !dwarf_die_child(d, die, &v))
		return NULL;
	do {
		/* results are formal parameters too, marked by DW_AT_variable_parameter */
		if (dwarf_die_tag(d, v) == DW_TAG_formal_parameter) {
			if (!dwarf_origin_val(d, v, DW_AT_type, dwarf_die_ref, type))
				*type = 0;
			return NULL;
		}
	} while (dwarf_die_next(d, &v));
	return NULL;
}
