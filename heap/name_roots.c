/*
 * Which variable, local or queue a root is.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "heap/name.h"

struct locals {
	struct dwarf_local *v;
	size_t n;
};

struct namer {
	struct heap *h;
	struct types *types;
	struct dwarf *dwarf; /* NULL: none */
	struct arena *arena;
	const struct dwarf_var *vars;
	size_t nvars;
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

/* A variable without a name: its section and offset in it. */
static struct err *section_label(struct namer *n, uint64_t addr, const char **ret)
{
	const struct elf_section *s = elf_section_at(n->h->proc.exe, addr - n->h->proc.bias);

	*ret = s ? arena_printf(n->arena, "%s+0x%" PRIx64, s->name, addr - n->h->proc.bias - s->addr) :
		   arena_printf(n->arena, ".data+0x%" PRIx64, addr);
	return *ret ? NULL : err_nomem();
}

static struct err *name_variable(struct namer *n, struct mark_root *r)
{
	uint64_t addr = r->r.addr - n->h->proc.bias;
	size_t lo = 0, hi = n->nvars;
	const struct dwarf_var *v;
	struct err *err;

	r->pass = PASS_VARIABLES;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (n->vars[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo)
		return section_label(n, r->r.addr, &r->label);
	v = &n->vars[lo - 1];
	if (addr - v->addr >= (v->size ? v->size : 8))
		return section_label(n, r->r.addr, &r->label);
	if (runtime_variable(v->name))
		r->pass = PASS_RUNTIME;
	r->label = v->name;
	r->var_off = addr - v->addr;
	err = v->type ? types_from_die(n->types, 0, v->type, &r->type) : NULL;
	return err;
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

static struct err *name_local(struct namer *n, struct mark_root *r)
{
	const struct gframe *f;
	const struct locals *l;
	struct err *err;
	int64_t off;

	r->pass = PASS_GOROUTINES;
	if (r->r.frame == UINT32_MAX)
		return NULL;
	f = &n->h->stacks.frames.v[r->r.frame];
	if (f->func->in_runtime)
		r->pass = PASS_GOROUTINES_RUNTIME;
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
		return v->type ? types_from_die(n->types, 0, v->type, &r->type) : NULL;
	}
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

struct err *name_roots(struct heap *h, struct types *types, struct dwarf *dwarf, struct arena *arena,
		       struct mark_root **ret, size_t *nret)
{
	struct namer n = { .h = h, .types = types, .dwarf = dwarf, .arena = arena };
	struct mark_root *roots = calloc(h->roots.n ? h->roots.n : 1, sizeof(*roots));
	struct err *err = roots ? NULL : err_nomem();

	if (!err && dwarf)
		err = dwarf_globals(dwarf, &n.vars, &n.nvars);
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
