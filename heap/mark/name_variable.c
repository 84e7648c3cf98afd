/*
 * Package variables: by DWARF; the compiler's own by the variable that points to them, then by the
 * symbol table; without any by section and offset.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/intr.h"
#include "base/search.h"
#include "heap/mark/namer.h"
#include "target/symname.h"

/* The runtime's own variables come last: they reach everything (allgs, allp, ...). */
static bool runtime_variable(const char *name)
{
	return !strncmp(name, "runtime.", 8) || !strncmp(name, "internal/runtime/", 17) ||
	       !strcmp(name, "sync.allPools") || !strcmp(name, "sync.oldPools");
}

/* Each assertion to an interface type, and each such switch, has a cache of the runtime's
 * (cmd/compile/internal/ssagen, since 1.22). */
static bool is_assert_cache(const char *name)
{
	return strstr(name, "..typeAssert.") || strstr(name, "..interfaceSwitch.");
}

static int symbol_cmp(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	if (x->size != y->size)
		return x->size < y->size ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* Variables in the symbol table: without DWARF all of them, with it the compiler's own
 * ("main..stmp_3"). */
static struct err *read_symbols(struct namer *n)
{
	const struct binaries *bs = &n->h->proc.binaries;

	n->symbols_read = true;
	for (size_t i = 0; i < bs->n; i++) {
		const struct binary *b = &bs->v[i];
		const struct elf *e = b->debug.elf;

		for (uint64_t k = 0; e && k < elf_symbol_count(e); k++) {
			const struct elf_section *sec;
			struct symbol s;

			TRY(intr_check());
			if (!elf_symbol_get(e, k, &s.name, &s.addr, &s.size) || !s.size)
				continue;
			sec = elf_section_at(e, s.addr);
			s.addr = binary_data(b, s.addr);
			if (sec && sec->write)
				TRY(vec_push(&n->symbols, s));
		}
	}
	if (n->symbols.n > 1)
		qsort(n->symbols.v, n->symbols.n, sizeof(*n->symbols.v), symbol_cmp);
	return NULL;
}

/* ".bss+0x120"; in a plugin "cache.so .bss+0x120", or by its offset in the file's image. */
static const char *section_label(struct namer *n, uint64_t addr)
{
	const struct proc *p = &n->h->proc;
	const struct binary *b = binary_at(p, addr);
	const char *file = b && b->path ? b->path : "";
	const struct elf_section *s;

	if (!b)
		return arena_printf(n->arena, ".data+0x%" PRIx64, addr);
	file = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
	s = b->elf ? elf_section_at(b->elf, addr - b->bias) : NULL;
	if (!s)
		return arena_printf(n->arena, "%s+0x%" PRIx64, file, addr - b->bias);
	return arena_printf(n->arena, "%s%s%s+0x%" PRIx64, file, *file ? " " : "", s->name,
			    addr - b->bias - s->addr);
}

static bool symbol_behind(const void *arg, size_t i)
{
	const struct namer_key *k = arg;

	return k->n->symbols.v[i].addr > k->addr;
}

/* A variable that DWARF does not name: its symbol; else its section and offset in it. */
static struct err *symbol_label(struct namer *n, uint64_t addr, const char **ret)
{
	size_t lo;

	if (!n->symbols_read)
		TRY(read_symbols(n));
	lo = search_first(n->symbols.n, symbol_behind, &(struct namer_key){ n, addr });
	if (lo && addr - n->symbols.v[lo - 1].addr < n->symbols.v[lo - 1].size) {
		*ret = symname_plain(n->arena, n->symbols.v[lo - 1].name);
		return *ret ? NULL : err_nomem();
	}
	*ret = section_label(n, addr);
	return *ret ? NULL : err_nomem();
}

/* The runtime's variables that were found without a name; NULL: addr is in none of them. */
static const char *found_variable(const struct proc *p, uint64_t addr)
{
	const struct runtime_vars *v = &p->var;
	const struct {
		const char *name;
		uint64_t addr, size;
	} vars[] = {
		{ "runtime.allgs", v->allgptr, p->fmt.word },
		{ "runtime.allm", v->allm, p->fmt.word },
		{ "runtime.allp", v->allp, 3u * p->fmt.word },
		{ "runtime.allfin", v->allfin, p->fmt.word },
		{ "runtime.gcCleanups", v->gcCleanups,
		  layout_off(&p->layout, L_cleanupQueue_all) + p->fmt.word },
		{ "runtime.itabTable", v->itabTable, p->fmt.word },
	};

	for (size_t i = 0; i < sizeof(vars) / sizeof(*vars); i++)
		if (vars[i].addr && addr - vars[i].addr < vars[i].size)
			return vars[i].name;
	return NULL;
}

struct err *name_variable(struct namer *n, struct named_root *r)
{
	struct static_var *v = static_vars_at(&n->vars, r->r.addr);

	r->pass = PASS_VARIABLES;
	if (!v)
		v = static_vars_at(&n->nameless, r->r.addr);
	if (!v) {
		r->name.label = found_variable(&n->h->proc, r->r.addr);
		if (!r->name.label)
			TRY(symbol_label(n, r->r.addr, &r->name.label));
		if (is_assert_cache(r->name.label))
			r->name.label = "runtime.typeAssert";
		if (runtime_variable(r->name.label))
			r->pass = PASS_RUNTIME;
		return NULL;
	}
	if (runtime_variable(v->name))
		r->pass = PASS_RUNTIME;
	r->name.label = v->name;
	r->var_off = r->r.addr - v->addr;
	TRY(static_var_type(n->types, v, &r->name.type));
	if (r->name.type && r->name.type->size)
		r->var_off %= r->name.type->size;
	return NULL;
}

static int var_cmp(const void *a, const void *b)
{
	const struct static_var *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	if (strcmp(x->name, y->name))
		return strcmp(x->name, y->name);
	return x->size < y->size ? -1 : x->size > y->size;
}

struct err *name_variables_read(struct namer *n)
{
	const struct binaries *bs = &n->h->proc.binaries;

	for (size_t i = 0; i < bs->n; i++) {
		const struct binary *b = &bs->v[i];
		const struct dwarf_var *vars;
		size_t nvars;

		if (!b->dwarf)
			continue;
		TRY(dwarf_globals(b->dwarf, &vars, &nvars));
		for (size_t k = 0; k < nvars; k++) {
			uint64_t size = vars[k].size ? vars[k].size : n->h->proc.fmt.word;
			struct static_var v = { .addr = binary_data(b, vars[k].addr),
						.size = size,
						.name = vars[k].name,
						.module = b->module,
						.die = vars[k].type };

			TRY(vec_push(&n->vars, v));
		}
	}
	if (n->vars.n > 1)
		qsort(n->vars.v, n->vars.n, sizeof(*n->vars.v), var_cmp);
	return static_vars_find(n->h, n->places, &n->vars, &n->nameless);
}
