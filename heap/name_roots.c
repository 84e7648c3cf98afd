/*
 * Which variable, local or queue a root is.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "heap/name.h"
#include "heap/name_static.h"
#include "target/symname.h"

struct locals {
	struct dwarf_local *v;
	size_t n;
};

/* A named place in writable memory. */
struct symbol {
	uint64_t addr, size;
	const char *name;
};

/* A stack slot whose type a waiting goroutine's sudog tells. */
struct typed_slot {
	uint64_t addr;
	struct go_type *type;
};

struct namer {
	struct heap *h;
	struct types *types;
	struct dwarf *dwarf; /* NULL: none */
	struct arena *arena;
	struct places *places;
	struct static_vars vars;     /* by DWARF */
	struct static_vars nameless; /* what they lead to */
	VEC(struct symbol) symbols; /* sorted; only what DWARF does not name is looked up here */
	bool symbols_read;
	VEC(struct typed_slot) slots; /* sorted */
	struct map64 locals; /* pc -> index into pcs */
	VEC(struct locals) pcs;
};

static struct err *name_defer(struct namer *n, struct mark_root *r)
{
	struct go_type *record;
	struct err *err;

	r->pass = PASS_GOROUTINES;
	if (r->r.kind == ROOT_DEFER_FN) {
		r->func_value = true;
		return NULL;
	}
	err = types_by_name(n->types, "runtime._defer", &record);
	return err || !record ? err : types_pointer_to(n->types, record, &r->type);
}

/* The runtime's own variables come last: they reach everything (allgs, allp, ...). */
static bool runtime_variable(const char *name)
{
	return !strncmp(name, "runtime.", 8) || !strncmp(name, "internal/runtime/", 17) ||
	       !strcmp(name, "sync.allPools") || !strcmp(name, "sync.oldPools");
}

static int symbol_cmp(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* Variables in the symbol table: without DWARF all of them, with it the compiler's own ("main..stmp_3"). */
static struct err *read_symbols(struct namer *n)
{
	const struct elf *e = n->h->proc.exe;
	uint64_t count = elf_symbol_count(e);
	struct err *err = NULL;

	n->symbols_read = true;
	for (uint64_t i = 0; i < count && !err; i++) {
		const struct elf_section *sec;
		struct symbol s;

		if (!elf_symbol_get(e, i, &s.name, &s.addr, &s.size) || !s.size)
			continue;
		sec = elf_section_at(e, s.addr);
		if (sec && sec->write)
			err = vec_push(&n->symbols, s);
	}
	if (n->symbols.n > 1)
		qsort(n->symbols.v, n->symbols.n, sizeof(*n->symbols.v), symbol_cmp);
	return err;
}

/* A variable that DWARF does not name: its symbol; else its section and offset in it. */
static struct err *symbol_label(struct namer *n, uint64_t addr, const char **ret)
{
	const struct elf_section *s = elf_section_at(n->h->proc.exe, addr - n->h->proc.bias);
	size_t lo = 0, hi;
	struct err *err = n->symbols_read ? NULL : read_symbols(n);

	if (err)
		return err;
	for (hi = n->symbols.n; lo < hi;) {
		size_t mid = (lo + hi) / 2;

		if (n->symbols.v[mid].addr <= addr - n->h->proc.bias)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo && addr - n->h->proc.bias - n->symbols.v[lo - 1].addr < n->symbols.v[lo - 1].size) {
		*ret = symname_plain(n->arena, n->symbols.v[lo - 1].name);
		return *ret ? NULL : err_nomem();
	}
	*ret = s ? arena_printf(n->arena, "%s+0x%" PRIx64, s->name, addr - n->h->proc.bias - s->addr) :
		   arena_printf(n->arena, ".data+0x%" PRIx64, addr);
	return *ret ? NULL : err_nomem();
}

static struct err *name_variable(struct namer *n, struct mark_root *r)
{
	struct static_var *v = static_vars_at(&n->vars, r->r.addr);
	struct err *err;

	r->pass = PASS_VARIABLES;
	if (!v)
		v = static_vars_at(&n->nameless, r->r.addr);
	if (!v)
		return symbol_label(n, r->r.addr, &r->label);
	if (runtime_variable(v->name))
		r->pass = PASS_RUNTIME;
	r->label = v->name;
	r->var_off = r->r.addr - v->addr;
	err = static_var_type(n->types, v, &r->type);
	if (!err && r->type && r->type->size)
		r->var_off %= r->type->size;
	return err;
}

static struct err *read_variables(struct namer *n)
{
	const struct dwarf_var *vars;
	size_t nvars;
	struct err *err = dwarf_globals(n->dwarf, &vars, &nvars);

	for (size_t i = 0; i < nvars && !err; i++)
		err = vec_push(&n->vars, ((struct static_var){ .addr = vars[i].addr + n->h->proc.bias,
							       .size = vars[i].size ? vars[i].size : n->h->proc.fmt.word,
							       .name = vars[i].name,
							       .die = vars[i].type }));
	return err ? err : static_vars_find(n->h, n->places, &n->vars, &n->nameless);
}

static struct err *locals_at(struct namer *n, uint64_t pc, const struct locals **ret)
{
	uint64_t *slot;
	bool is_new;
	struct err *err = map64_put(&n->locals, pc, n->pcs.n, &slot, &is_new);

	if (!err && is_new) {
		struct locals l = { NULL, 0 };

		err = dwarf_locals(n->dwarf, pc - n->h->proc.bias, &l.v, &l.n);
		if (!err)
			err = vec_push(&n->pcs, l);
		if (err)
			free(l.v);
	}
	if (!err)
		*ret = &n->pcs.v[*slot];
	return err;
}

static int slot_cmp(const void *a, const void *b)
{
	const struct typed_slot *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/*
 * What a goroutine that waits for a channel is about to send, or where it will receive, is in a slot
 * of its stack that no variable describes; its sudog (g.waiting) points there, and the channel
 * knows the type.
 */
static struct err *read_waiting(struct namer *n)
{
	const struct proc *p = &n->h->proc;
	uint64_t elem = layout_off(&p->layout, L_sudog_elem), c = layout_off(&p->layout, L_sudog_c);
	uint64_t link = layout_off(&p->layout, L_sudog_waitlink);
	struct err *err = NULL;

	for (size_t i = 0; i < n->h->stacks.gs.n && !err; i++) {
		const struct goroutine *g = &n->h->stacks.gs.v[i];
		uint64_t s, chan, rtype, steps = 0;
		struct typed_slot slot;

		if (g->status != G_WAITING || !proc_try_word(p, g->addr + layout_off(&p->layout, L_g_waiting), &s))
			continue;
		for (; s && steps++ < LIMIT_WAITING && !err; s = proc_try_word(p, s + link, &s) ? s : 0) {
			if (!proc_try_word(p, s + elem, &slot.addr) ||
			    !proc_try_word(p, s + c, &chan) ||
			    slot.addr < g->lo || slot.addr >= g->hi ||
			    !proc_try_word(p, chan + layout_off(&p->layout, L_hchan_elemtype), &rtype))
				continue;
			err = types_from_runtime(n->types, rtype, &slot.type);
			if (!err && slot.type)
				err = vec_push(&n->slots, slot);
		}
	}
	if (n->slots.n > 1)
		qsort(n->slots.v, n->slots.n, sizeof(*n->slots.v), slot_cmp);
	return err;
}

static void type_by_slot(const struct namer *n, struct mark_root *r)
{
	size_t lo = 0, hi = n->slots.n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (n->slots.v[mid].addr <= r->r.addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo || r->r.addr - n->slots.v[lo - 1].addr >= n->slots.v[lo - 1].type->size)
		return;
	r->type = n->slots.v[lo - 1].type;
	r->var_off = r->r.addr - n->slots.v[lo - 1].addr;
}

static struct err *name_local(struct namer *n, struct mark_root *r)
{
	const struct gframe *f;
	const struct locals *l;
	struct err *err;
	int64_t off;
	uint8_t own;

	r->pass = PASS_GOROUTINES;
	if (r->r.frame == UINT32_MAX)
		return NULL;
	f = &n->h->stacks.frames.v[r->r.frame];
	if (f->func->in_runtime)
		r->pass = PASS_GOROUTINES_RUNTIME;
	own = r->pass;
	if (r->r.conservative)
		r->pass = PASS_GOROUTINES_GUESSED;
	if (!n->dwarf || r->r.kind == ROOT_REGISTER)
		return NULL;
	if (r->r.addr < f->sp || r->r.addr >= f->fp + 4096)
		return NULL; /* a defer record or the saved context: no slot of the frame */
	/* A return address belongs to the call before it. */
	err = locals_at(n, f->pc > f->func->entry ? f->pc - 1 : f->pc, &l);
	if (err)
		return err;
	off = (int64_t)(r->r.addr - f->fp);
	for (size_t i = 0; i < l->n; i++) {
		const struct dwarf_local *v = &l->v[i];

		if (off < v->cfa_off || off >= v->cfa_off + (int64_t)v->size)
			continue;
		r->label = arena_printf(n->arena, "%s.%s", v->func, v->name);
		if (!r->label)
			return err_nomem();
		r->var_off = v->var_off + (uint64_t)(off - v->cfa_off);
		r->pass = own;
		return v->type ? types_from_die(n->types, 0, v->type, &r->type) : NULL;
	}
	type_by_slot(n, r);
	return NULL;
}

/* A cleanup's argument is a copy on the heap, of the type that the cleanup function takes. */
static struct err *name_cleanup_arg(struct namer *n, struct mark_root *r)
{
	struct go_type *t = NULL;
	uint64_t entry, die = 0;
	struct err *err = NULL;

	if (n->dwarf && proc_try_word(&n->h->proc, r->r.object, &entry))
		err = dwarf_first_param(n->dwarf, entry - n->h->proc.bias, &die);
	if (!err && die)
		err = types_from_die(n->types, 0, die, &t);
	return err || !t ? err : types_pointer_to(n->types, t, &r->type);
}

static struct err *name_special(struct namer *n, struct mark_root *r)
{
	struct go_type *ptr = NULL;
	struct err *err = NULL;

	r->pass = PASS_SPECIALS;
	if (r->r.type)
		err = types_from_runtime(n->types, r->r.type, &ptr);
	if (err)
		return err;
	switch (r->r.kind) {
	case ROOT_FIN_OBJ:
		r->label = "runtime.SetFinalizer.obj";
		if (ptr && !(err = types_expand(n->types, ptr)) && ptr->elem &&
		    r->r.addr - r->r.object < ptr->elem->size) {
			r->type = ptr->elem;
			r->var_off = r->r.addr - r->r.object;
		}
		break;
	case ROOT_FIN_FN:
		r->label = "runtime.SetFinalizer.fn";
		r->func_value = true;
		break;
	case ROOT_CLEANUP:
		r->label = "runtime.AddCleanup.fn";
		r->func_value = true;
		break;
	case ROOT_CLEANUP_ARG:
	case ROOT_CLEANUP_QUEUE_ARG:
		r->label = r->r.kind == ROOT_CLEANUP_ARG ? "runtime.AddCleanup.arg" :
							   "runtime.AddCleanup.queued";
		err = name_cleanup_arg(n, r);
		break;
	case ROOT_WEAK:
		r->label = "weak.Pointer.handle";
		break;
	case ROOT_FIN_QUEUE:
		r->label = "runtime.SetFinalizer.queued";
		r->type = ptr;
		r->func_value = !ptr;
		break;
	case ROOT_CLEANUP_QUEUE:
		r->label = "runtime.AddCleanup.queued";
		r->func_value = true;
		break;
	default:
		r->label = "runtime.mcache.tiny";
		r->pass = PASS_RUNTIME;
		break;
	}
	return err;
}

static int root_cmp(const void *a, const void *b)
{
	const struct mark_root *x = a, *y = b;

	if (x->pass != y->pass)
		return x->pass < y->pass ? -1 : 1;
	if (x->r.addr != y->r.addr)
		return x->r.addr < y->r.addr ? -1 : 1;
	/* the same word by its variable's map and by a conservative look: the map first */
	if (x->r.conservative != y->r.conservative)
		return x->r.conservative ? 1 : -1;
	return x->r.value < y->r.value ? -1 : x->r.value > y->r.value;
}

struct err *name_roots(struct heap *h, struct places *places, struct dwarf *dwarf, struct arena *arena,
		       struct mark_root **ret, size_t *nret)
{
	struct namer n = { .h = h, .places = places, .types = places->types, .dwarf = dwarf, .arena = arena };
	struct mark_root *roots = calloc(h->roots.n ? h->roots.n : 1, sizeof(*roots));
	struct err *err = roots ? NULL : err_nomem();

	if (!err && dwarf)
		err = read_variables(&n);
	if (!err)
		err = read_waiting(&n);
	for (size_t i = 0; i < h->roots.n && !err; i++) {
		struct mark_root *r = &roots[i];

		r->r = h->roots.v[i];
		if (r->r.kind == ROOT_DATA)
			err = name_variable(&n, r);
		else if (r->r.kind == ROOT_STACK || r->r.kind == ROOT_REGISTER)
			err = name_local(&n, r);
		else if (r->r.kind == ROOT_DEFER || r->r.kind == ROOT_DEFER_FN)
			err = name_defer(&n, r);
		else
			err = name_special(&n, r);
	}
	for (size_t i = 0; i < n.pcs.n; i++)
		free(n.pcs.v[i].v);
	vec_deinit(&n.pcs);
	vec_deinit(&n.symbols);
	vec_deinit(&n.vars);
	vec_deinit(&n.nameless);
	vec_deinit(&n.slots);
	map64_deinit(&n.locals);
	if (err) {
		free(roots);
		return err_wrapf(err, "naming roots");
	}
	qsort(roots, h->roots.n, sizeof(*roots), root_cmp);
	*ret = roots;
	*nret = h->roots.n;
	return NULL;
}
