/*
 * What closures capture and what functions take, which the DIEs of their subprograms say.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/intr.h"
#include "target/dwarf_int.h"

static int cmp_capture(const void *a, const void *b)
{
	const struct dwarf_capture *x = a, *y = b;
	int names;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	names = strcmp(x->name, y->name);
	if (names)
		return names;
	return x->type < y->type ? -1 : x->type > y->type;
}

VEC_NAMED(captures, struct dwarf_capture);

/*
 * Could the function have DW_AT_go_closure_offset, which came with Go 1.23?  Its unit's producer
 * says so: "Go cmd/compile go1.26.8; regabi".
 */
static bool has_closure_offsets(struct dwarf *d, const struct dwarf_func *f)
{
	const struct dwarf_cu *cu = dwarf_cu_of(d, f->die);
	DIE_GUARD Dwarf_Die die = NULL;
	const char *producer =
		cu && dwarf_die_at(d, cu->die, &die) ? dwarf_die_str(d, die, DW_AT_producer) : NULL;
	const char *go = producer ? strstr(producer, " go1.") : NULL;

	return !go || strtoul(go + strlen(" go1."), NULL, 10) >= 23;
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

/* The function that a closure was written in: "main.f[...]" of "main.f[...].func1.2", as the linker
 * writes names. */
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
 * Go 1.23 and later have DW_AT_go_closure_offset on the variables of a closure's own subprogram.  A
 * variable that the closure does not load whole may lack it; so may all of them where the closure
 * was also inlined (putvar writes the offset only where it writes the name).
 */
static struct err *captures_by_offset(struct dwarf *d, const struct dwarf_func *f,
				      struct captures *out)
{
	DIE_GUARD Dwarf_Die die = NULL, v = NULL;

	if (!dwarf_die_at(d, f->die, &die) || !dwarf_die_child(d, die, &v))
		return dwarf_settle(d);
	do {
		struct dwarf_capture c = { 0 };

		if (dwarf_die_tag(d, v) == DW_TAG_variable &&
		    dwarf_origin_val(d, v, GO_AT_closure_offset, dwarf_die_uint, &c.offset) &&
		    c.offset && capture_of(d, v, &c))
			TRY(vec_push(out, c));
	} while (dwarf_die_next(d, &v));
	return dwarf_settle(d);
}

/*
 * A variable that the program names, and the line that declares it.  A call that was inlined leaves
 * its unnamed results behind, "~r0" on the line of the call (ir.IsSynthetic@go1.17-1.22).
 */
static bool is_declared_on(struct dwarf *d, Dwarf_Die v, uint64_t *line)
{
	const char *name = dwarf_origin_str(d, v, DW_AT_name);

	return name && name[0] != '~' && dwarf_die_tag(d, v) == DW_TAG_variable &&
	       dwarf_origin_val(d, v, DW_AT_decl_line, dwarf_die_uint, line);
}

/* The line of the first variables: the closure's own, or that of the first use in it. */
static uint64_t first_line(struct dwarf *d, Dwarf_Die fn)
{
	DIE_GUARD Dwarf_Die v = NULL;
	uint64_t line, first = UINT64_MAX;

	if (!dwarf_die_child(d, fn, &v))
		return first;
	do {
		if (is_declared_on(d, v, &line) && line && line < first)
			first = line;
	} while (dwarf_die_next(d, &v));
	return first;
}

/* Does a call end right before pc?  Not all forms are known, and no other architectures. */
static bool is_behind_call(const struct dwarf *d, uint64_t pc)
{
	enum { X86_LONG = 5, X86_SHORT = 2, A64_LEN = 4 };
	const struct elf *e = d->elf;
	const uint8_t *b;

	if (elf_machine(e) == EM_X86_64 || elf_machine(e) == EM_386)
		return ((b = elf_data(e, pc - X86_LONG, X86_LONG)) && b[0] == 0xe8) ||
		       ((b = elf_data(e, pc - X86_SHORT, X86_SHORT)) && b[0] == 0xff &&
			(b[1] & 0xf8) == 0xd0); /* CALL rel32; CALL reg */
	if (elf_machine(e) != EM_AARCH64 || !(b = elf_data(e, pc - A64_LEN, A64_LEN)))
		return false;
	return (bytes_u32(elf_fmt(e), b) & 0xfc000000) == 0x94000000 || /* BL */
	       (bytes_u32(elf_fmt(e), b) & 0xfffffc1f) == 0xd63f0000;   /* BLR */
}

/* A result of a call begins where the call ends.  A captured variable is loaded before: calls
 * change the register that leads to the closure. */
static struct err *is_result(struct dwarf *d, const struct dwarf_func *f, Dwarf_Die v, bool *ret)
{
	const struct dwarf_cu *cu = dwarf_cu_of(d, f->die);
	const uint8_t *expr;
	uint64_t list, pc;

	*ret = false;
	if (!cu || !dwarf_die_block(d, v, DW_AT_location, &expr, &list) || expr)
		return NULL;
	TRY(dwarf_loclist_begin(d->lists, cu, list, &pc));
	*ret = pc != UINT64_MAX && is_behind_call(d, pc);
	return NULL;
}

/* Puts the variable behind what is there, as the compiler lays out structs. */
static struct err *lay_out(struct dwarf *d, struct dwarf_capture *c, uint64_t *end)
{
	const uint64_t word = elf_fmt(d->elf).word;
	struct dwarf_type t;
	uint64_t align;

	TRY(dwarf_type(d, c->type, &t));
	align = t.size >= 8 ? 8 : t.size >= 4 ? 4 : t.size >= 2 ? 2 : 1;
	if (align > word)
		align = word;
	c->offset = (*end + align - 1) & ~(align - 1);
	c->guessed = true;
	*end = c->offset + t.size;
	return NULL;
}

/*
 * Before Go 1.23 a closure's captured variables are declared on its own line or where they are
 * first used, before its locals, but not in the order of the closure struct's fields.  Locals on
 * that line look the same, but for results of calls.  The layout is therefore one of several, and
 * the caller holds them against the collector's own map of the object.
 */
static struct err *captures_by_line(struct dwarf *d, const struct dwarf_func *f,
				    struct captures *out)
{
	DIE_GUARD Dwarf_Die die = NULL, v = NULL;
	uint64_t line, first, end = elf_fmt(d->elf).word;

	if (!dwarf_die_at(d, f->die, &die) || !dwarf_die_child(d, die, &v))
		return dwarf_settle(d);
	first = first_line(d, die);
	do {
		struct dwarf_capture c = { 0 };
		bool result;

		if (!is_declared_on(d, v, &line) || line != first || !capture_of(d, v, &c))
			continue;
		TRY(is_result(d, f, v, &result));
		if (result)
			continue;
		TRY(lay_out(d, &c, &end));
		TRY(vec_push(out, c));
	} while (dwarf_die_next(d, &v));
	return dwarf_settle(d);
}

/* The function that starts at entry; NULL: none. */
static const struct dwarf_func *func_at(const struct dwarf *d, uint64_t entry)
{
	const struct dwarf_func *f = dwarf_find_func(d, entry);

	return f && f->low == entry ? f : NULL;
}

struct err *dwarf_captures(struct dwarf *d, uint64_t entry, struct dwarf_capture **ret, size_t *n)
{
	_cleanup_vec_ struct captures out = VEC_INIT;
	const struct dwarf_func *f;

	TRY(dwarf_need_index(d));
	f = func_at(d, entry);
	if (f)
		TRY(captures_by_offset(d, f, &out));
	if (f && !out.n && !has_closure_offsets(d, f))
		TRY(captures_by_line(d, f, &out));
	TRY(intr_check());
	if (out.n) {
		qsort(out.v, out.n, sizeof(*out.v), cmp_capture);
		dict_of_outer(d, f, &out);
	}
	TRY(dwarf_settle(d));
	*n = out.n;
	*ret = TAKE_PTR(out.v);
	return NULL;
}

const char *dwarf_func_name(struct dwarf *d, uint64_t entry)
{
	DIE_GUARD Dwarf_Die die = NULL;
	const struct dwarf_func *f = d->have_index ? func_at(d, entry) : NULL;
	const char *name =
		f && dwarf_die_at(d, f->die, &die) ? dwarf_origin_str(d, die, DW_AT_name) : NULL;

	return name ? symname_plain(&d->strings, name) : NULL;
}

struct err *dwarf_first_param(struct dwarf *d, uint64_t entry, uint64_t *type)
{
	DIE_GUARD Dwarf_Die die = NULL, v = NULL;
	const struct dwarf_func *f;

	*type = 0;
	TRY(dwarf_need_index(d));
	f = func_at(d, entry);
	if (!f || !dwarf_die_at(d, f->die, &die) || !dwarf_die_child(d, die, &v))
		return dwarf_settle(d);
	do {
		/* Results are formal parameters, too, and come behind them. */
		if (dwarf_die_tag(d, v) == DW_TAG_formal_parameter) {
			if (!dwarf_origin_val(d, v, DW_AT_type, dwarf_die_ref, type))
				*type = 0;
			return dwarf_settle(d);
		}
	} while (dwarf_die_next(d, &v));
	return dwarf_settle(d);
}
