/* Specials and queues: finalizers, cleanups, weak handles, by what made them. */
#include "heap/mark/namer.h"

/* A cleanup's argument is a copy on the heap, of the type that the cleanup function takes. */
static struct err *name_cleanup_arg(struct namer *n, struct named_root *r)
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
	return t ? types_pointer_to(n->types, t, &r->name.type) : NULL;
}

/* A word of an object that has a finalizer, which is given the object as a *T. */
static struct err *name_finalized(struct namer *n, struct named_root *r, struct go_type *ptr)
{
	r->name.label = "runtime.SetFinalizer.obj";
	if (!ptr)
		return NULL;
	TRY(types_expand(n->types, ptr));
	if (ptr->elem && r->r.addr - r->r.object < ptr->elem->size) {
		r->name.type = ptr->elem;
		r->var_off = r->r.addr - r->r.object;
	}
	return NULL;
}

struct err *name_special(struct namer *n, struct named_root *r)
{
	struct go_type *ptr = NULL;

	r->pass = PASS_SPECIALS;
	if (r->r.type)
		TRY(types_from_runtime(n->types, r->r.type, &ptr));
	switch (r->r.kind) {
	case ROOT_FIN_OBJ:
		return name_finalized(n, r, ptr);
	case ROOT_FIN_FN:
		r->name.label = "runtime.SetFinalizer.fn";
		r->name.func_value = true;
		return NULL;
	case ROOT_CLEANUP:
		r->name.label = "runtime.AddCleanup.fn";
		r->name.func_value = true;
		return NULL;
	case ROOT_CLEANUP_ARG:
		r->name.label = "runtime.AddCleanup.arg";
		return name_cleanup_arg(n, r);
	case ROOT_CLEANUP_QUEUE_ARG:
		r->name.label = "runtime.AddCleanup.queued";
		return name_cleanup_arg(n, r);
	case ROOT_WEAK:
		r->name.label = "weak.Pointer.handle";
		return NULL;
	case ROOT_FIN_QUEUE:
		r->name.label = "runtime.SetFinalizer.queued";
		r->name.type = ptr;
		r->name.func_value = !ptr;
		return NULL;
	case ROOT_CLEANUP_QUEUE:
		r->name.label = "runtime.AddCleanup.queued";
		r->name.func_value = true;
		return NULL;
	default:
		r->name.label = "runtime.mcache.tiny";
		r->pass = PASS_RUNTIME;
		return NULL;
	}
}
