/*
 * Roots' names, types and passes.  A root in writable data is named by DWARF's variables, then by
 * the symbol table, then by its section; one on a stack by its frame's locals; specials and queues
 * by what made them.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/search.h"
#include "heap/mark/name.h"
#include "heap/mark/name_static.h"
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
	struct captured *h;
	struct types *types;
	struct arena *arena;
	struct places *places;
	struct static_vars vars;     /* by DWARF */
	struct static_vars nameless; /* what they lead to */
	VEC(struct symbol) symbols;  /* sorted; only what DWARF does not name is looked up here */
	bool symbols_read;
	VEC(struct typed_slot) slots; /* sorted */
	struct map64 locals;          /* pc -> index into pcs */
	VEC(struct locals) pcs;
};

static struct err *name_defer(struct namer *n, struct mark_root *r)
{
	struct go_type *record;

	r->pass = PASS_GOROUTINES;
	if (r->r.kind == ROOT_DEFER_FN) {
		r->func_value = true;
		return NULL;
	}
	TRY(types_by_name(n->types, "runtime._defer", &record));
	return record ? types_pointer_to(n->types, record, &r->type) : NULL;
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

/* What the sorted arrays of a namer are searched with. */
struct namer_key {
	const struct namer *n;
	uint64_t addr;
};

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

static struct err *name_variable(struct namer *n, struct mark_root *r)
{
	struct static_var *v = static_vars_at(&n->vars, r->r.addr);

	r->pass = PASS_VARIABLES;
	if (!v)
		v = static_vars_at(&n->nameless, r->r.addr);
	if (!v) {
		r->label = found_variable(&n->h->proc, r->r.addr);
		if (!r->label)
			TRY(symbol_label(n, r->r.addr, &r->label));
		if (runtime_variable(r->label))
			r->pass = PASS_RUNTIME;
		return NULL;
	}
	if (runtime_variable(v->name))
		r->pass = PASS_RUNTIME;
	r->label = v->name;
	r->var_off = r->r.addr - v->addr;
	TRY(static_var_type(n->types, v, &r->type));
	if (r->type && r->type->size)
		r->var_off %= r->type->size;
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

static struct err *read_variables(struct namer *n)
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

/* What f was loaded from. */
static const struct binary *binary_of(const struct namer *n, const struct func *f)
{
	return &n->h->proc.binaries.v[f->mod->binary];
}

static struct err *locals_at(struct namer *n, const struct func *f, uint64_t pc,
			     const struct locals **ret)
{
	uint64_t *slot;
	bool is_new;

	TRY(map64_put(&n->locals, pc, n->pcs.n, &slot, &is_new));
	if (is_new) {
		struct locals l = { NULL, 0 };

		TRY(vec_reserve(&n->pcs, 1));
		TRY(dwarf_locals(binary_of(n, f)->dwarf, binary_pc(binary_of(n, f), pc), &l.v,
				 &l.n));
		n->pcs.v[n->pcs.n++] = l;
	}
	*ret = &n->pcs.v[*slot];
	return NULL;
}

static int slot_cmp(const void *a, const void *b)
{
	const struct typed_slot *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return x->type->id < y->type->id ? -1 : x->type->id > y->type->id;
}

/*
 * What a goroutine that waits for a channel is about to send, or where it will receive, is in a
 * slot of its stack that no variable describes; its sudog (g.waiting) points there, and the channel
 * knows the type.
 */
static struct err *read_waiting_of(struct namer *n, const struct goroutine *g)
{
	const struct proc *p = &n->h->proc;
	uint64_t elem = layout_off(&p->layout, L_sudog_elem), c = layout_off(&p->layout, L_sudog_c);
	uint64_t link = layout_off(&p->layout, L_sudog_waitlink);
	uint64_t elemtype = layout_off(&p->layout, L_hchan_elemtype);
	uint64_t s, chan, rtype;

	if (!proc_try_word(p, g->addr + layout_off(&p->layout, L_g_waiting), &s))
		return NULL;
	for (uint64_t steps = 0; s && steps < LIMIT_WAITING; steps++) {
		struct typed_slot slot;

		if (proc_try_word(p, s + elem, &slot.addr) && proc_try_word(p, s + c, &chan) &&
		    slot.addr >= g->lo && slot.addr < g->hi &&
		    proc_try_word(p, chan + elemtype, &rtype)) {
			TRY(types_from_runtime(n->types, rtype, &slot.type));
			if (slot.type)
				TRY(vec_push(&n->slots, slot));
		}
		if (!proc_try_word(p, s + link, &s))
			break;
	}
	return NULL;
}

static struct err *read_waiting(struct namer *n)
{
	const struct stacks *s = &n->h->stacks;

	for (size_t i = 0; i < s->gs.n; i++)
		if (s->gs.v[i].status == G_WAITING)
			TRY(read_waiting_of(n, &s->gs.v[i]));
	if (n->slots.n > 1)
		qsort(n->slots.v, n->slots.n, sizeof(*n->slots.v), slot_cmp);
	return NULL;
}

static bool slot_behind(const void *arg, size_t i)
{
	const struct namer_key *k = arg;

	return k->n->slots.v[i].addr > k->addr;
}

static void type_by_slot(const struct namer *n, struct mark_root *r)
{
	size_t lo = search_first(n->slots.n, slot_behind, &(struct namer_key){ n, r->r.addr });

	if (!lo || r->r.addr - n->slots.v[lo - 1].addr >= n->slots.v[lo - 1].type->size)
		return;
	r->type = n->slots.v[lo - 1].type;
	r->var_off = r->r.addr - n->slots.v[lo - 1].addr;
}

/*
 * An interface's data word is typed by the word before it, which the compiler leaves out of the
 * frame where it knows the type: then nobody knows it here.
 */
static struct err *drop_lone_data(struct namer *n, const struct locals *l,
				  const struct dwarf_local *v, struct mark_root *r)
{
	uint64_t word = n->h->proc.fmt.word;
	const struct edge *e;

	if (!r->type || v->var_off < word || r->var_off != v->var_off)
		return NULL;
	for (size_t i = 0; i < l->n; i++) {
		const struct dwarf_local *o = &l->v[i];

		if (o->type == v->type && !strcmp(o->name, v->name) &&
		    o->cfa_off - (int64_t)o->var_off == v->cfa_off - (int64_t)v->var_off &&
		    o->var_off + o->size == v->var_off)
			return NULL;
	}
	TRY(edge_of_type(n->places, r->type, r->var_off, &e));
	if (e->target == EDGE_LEAF && e->leaf_off == word &&
	    (e->type->kind == KIND_INTERFACE || e->type->kind == KIND_STRUCT))
		r->type = NULL;
	return NULL;
}

/* The local's name and type; in generic code those of the instance. */
static struct err *local_type(struct namer *n, const struct gframe *f, const struct dwarf_local *v,
			      struct mark_root *r)
{
	enum { WORDS = 8 }; /* a receiver of some words comes before the dictionary */
	const struct proc *p = &n->h->proc;
	const char *func = v->func, *instance = NULL;
	uint64_t words[WORDS];
	struct go_type *real = NULL;
	size_t nwords = 0;

	if (v->type)
		TRY(types_from_die(n->types, binary_of(n, f->func)->module, v->type, &r->type));
	if (v->dict && r->type) {
		/* The caller's frame has room for each argument that came in a register
		 * (abi-internal.md, "spill space"). */
		while (nwords < WORDS &&
		       proc_try_word(p, f->fp + (uint64_t)p->arch->min_frame + nwords * p->fmt.word,
				     &words[nwords]))
			nwords++;
		TRY(types_instance(n->types, func, v->dict - 1, r->type, words, nwords, &real,
				   &instance));
	}
	if (real) {
		r->type = real;
		func = instance;
	}
	r->label = arena_printf(n->arena, "%s.%s", func, v->name);
	return r->label ? NULL : err_nomem();
}

/* Arguments lie above a frame: what is further up than this is no slot of it. */
enum { ARGS_MAX = 4096 };

static struct err *name_local(struct namer *n, struct mark_root *r)
{
	const struct gframe *f;
	const struct locals *l;
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
	if (r->r.kind == ROOT_REGISTER)
		return NULL;
	/* A defer record or the saved context is no slot of the frame. */
	if (r->r.addr < f->sp || r->r.addr >= f->fp + ARGS_MAX)
		return NULL;
	if (!binary_of(n, f->func)->dwarf) {
		type_by_slot(n, r);
		return NULL;
	}
	/* A return address belongs to the call before it. */
	TRY(locals_at(n, f->func, f->pc > f->func->entry ? f->pc - 1 : f->pc, &l));
	off = (int64_t)(r->r.addr - f->fp);
	for (size_t i = 0; i < l->n; i++) {
		const struct dwarf_local *v = &l->v[i];

		if (off < v->cfa_off || off >= v->cfa_off + (int64_t)v->size)
			continue;
		r->var_off = v->var_off + (uint64_t)(off - v->cfa_off);
		r->pass = own;
		TRY(local_type(n, f, v, r));
		return drop_lone_data(n, l, v, r);
	}
	type_by_slot(n, r);
	return NULL;
}

/* A cleanup's argument is a copy on the heap, of the type that the cleanup function takes. */
static struct err *name_cleanup_arg(struct namer *n, struct mark_root *r)
{
	const struct func *f = NULL;
	struct go_type *t = NULL;
	uint64_t entry, die = 0;

	if (proc_try_word(&n->h->proc, r->r.object, &entry))
		TRY(func_find(&n->h->proc, entry, &f));
	if (f && binary_of(n, f)->dwarf)
		TRY(dwarf_first_param(binary_of(n, f)->dwarf, binary_pc(binary_of(n, f), entry),
				      &die));
	if (die)
		TRY(types_from_die(n->types, binary_of(n, f)->module, die, &t));
	return t ? types_pointer_to(n->types, t, &r->type) : NULL;
}

/* A word of an object that has a finalizer, which is given the object as a *T. */
static struct err *name_finalized(struct namer *n, struct mark_root *r, struct go_type *ptr)
{
	r->label = "runtime.SetFinalizer.obj";
	if (!ptr)
		return NULL;
	TRY(types_expand(n->types, ptr));
	if (ptr->elem && r->r.addr - r->r.object < ptr->elem->size) {
		r->type = ptr->elem;
		r->var_off = r->r.addr - r->r.object;
	}
	return NULL;
}

static struct err *name_special(struct namer *n, struct mark_root *r)
{
	struct go_type *ptr = NULL;

	r->pass = PASS_SPECIALS;
	if (r->r.type)
		TRY(types_from_runtime(n->types, r->r.type, &ptr));
	switch (r->r.kind) {
	case ROOT_FIN_OBJ:
		return name_finalized(n, r, ptr);
	case ROOT_FIN_FN:
		r->label = "runtime.SetFinalizer.fn";
		r->func_value = true;
		return NULL;
	case ROOT_CLEANUP:
		r->label = "runtime.AddCleanup.fn";
		r->func_value = true;
		return NULL;
	case ROOT_CLEANUP_ARG:
		r->label = "runtime.AddCleanup.arg";
		return name_cleanup_arg(n, r);
	case ROOT_CLEANUP_QUEUE_ARG:
		r->label = "runtime.AddCleanup.queued";
		return name_cleanup_arg(n, r);
	case ROOT_WEAK:
		r->label = "weak.Pointer.handle";
		return NULL;
	case ROOT_FIN_QUEUE:
		r->label = "runtime.SetFinalizer.queued";
		r->type = ptr;
		r->func_value = !ptr;
		return NULL;
	case ROOT_CLEANUP_QUEUE:
		r->label = "runtime.AddCleanup.queued";
		r->func_value = true;
		return NULL;
	default:
		r->label = "runtime.mcache.tiny";
		r->pass = PASS_RUNTIME;
		return NULL;
	}
}

/* A total order, so that equal images give equal bytes. */
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
	if (x->r.value != y->r.value)
		return x->r.value < y->r.value ? -1 : 1;
	if (x->r.kind != y->r.kind)
		return x->r.kind < y->r.kind ? -1 : 1;
	return x->r.frame < y->r.frame ? -1 : x->r.frame > y->r.frame;
}

static struct err *name_root(struct namer *n, struct mark_root *r)
{
	switch (r->r.kind) {
	case ROOT_DATA:
		return name_variable(n, r);
	case ROOT_STACK:
	case ROOT_REGISTER:
		return name_local(n, r);
	case ROOT_DEFER:
	case ROOT_DEFER_FN:
		return name_defer(n, r);
	default:
		return name_special(n, r);
	}
}

static void namer_deinit(struct namer *n)
{
	for (size_t i = 0; i < n->pcs.n; i++)
		free(n->pcs.v[i].v);
	vec_deinit(&n->pcs);
	vec_deinit(&n->symbols);
	vec_deinit(&n->vars);
	vec_deinit(&n->nameless);
	vec_deinit(&n->slots);
	map64_deinit(&n->locals);
}

static struct err *name_all(struct namer *n, struct mark_root *roots)
{
	const struct roots *all = &n->h->roots;

	TRY(read_variables(n));
	TRY(read_waiting(n));
	for (size_t i = 0; i < all->n; i++) {
		roots[i].r = all->v[i];
		TRY(name_root(n, &roots[i]));
	}
	return NULL;
}

struct err *name_roots(struct captured *h, struct places *places, struct arena *arena,
		       struct mark_root **ret, size_t *nret)
{
	_cleanup_(namer_deinit) struct namer n = {
		.h = h, .places = places, .types = places->types, .arena = arena
	};
	_cleanup_free_ struct mark_root *roots = calloc(h->roots.n + 1, sizeof(*roots));
	struct err *err;

	if (!roots)
		return err_nomem();
	err = name_all(&n, roots);
	if (err)
		return err_wrapf(err, "naming roots");
	qsort(roots, h->roots.n, sizeof(*roots), root_cmp);
	*ret = TAKE_PTR(roots);
	*nret = h->roots.n;
	return NULL;
}
