/*
 * How roots get their names: what the files name_*.c of this folder share.
 *
 * name_roots.c goes through all roots; each kind has a file: variables (name_variable.c), slots of
 * stacks (name_local.c), specials and queues (name_special.c), timers and goroutines' own
 * structures (name_own.c).  root_order.c then says which comes before which.
 */
#ifndef GRF_HEAP_MARK_NAMER_H
#define GRF_HEAP_MARK_NAMER_H

#include "base/arena.h"
#include "heap/mark/edge.h"
#include "heap/mark/name_static.h"
#include "heap/mark/walk.h"

/* DWARF's locals at one pc. */
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
	struct root_list *list; /* what is made */
	uint32_t *ages;         /* of goroutines, as struct mark_root has them */
	struct places *places;
	struct static_vars vars;     /* by DWARF */
	struct static_vars nameless; /* what they lead to */
	VEC(struct symbol) symbols;  /* sorted; only what DWARF does not name is looked up here */
	bool symbols_read;
	VEC(struct typed_slot) slots; /* sorted */
	struct map64 locals;          /* pc -> index into pcs */
	VEC(struct locals) pcs;
	const char **around;    /* by frame: name_function_around(); NULL: not asked for yet */
	struct map64 functions; /* pc and layer -> const char *: function_of_layer() */
};

/* What the sorted arrays of a namer are searched with. */
struct namer_key {
	const struct namer *n;
	uint64_t addr;
};

/* What f was loaded from. */
static inline const struct binary *binary_of(const struct namer *n, const struct func *f)
{
	return &n->h->proc.binaries.v[f->mod->binary];
}

/* Each fills in r's pass, label and type from r->r, as far as they can be known. */
ERR_MUST_CHECK struct err *name_variables_read(struct namer *n);
ERR_MUST_CHECK struct err *name_variable(struct namer *n, struct named_root *r);

/* Gives variables without a name that of who uses them. */
ERR_MUST_CHECK struct err *name_users(struct namer *n);

ERR_MUST_CHECK struct err *name_locals_read(struct namer *n);
ERR_MUST_CHECK struct err *name_local(struct namer *n, struct named_root *r);
ERR_MUST_CHECK struct err *name_defer(struct namer *n, struct named_root *r);
/* The innermost function of the program at or around this frame of its goroutine. */
ERR_MUST_CHECK struct err *name_function_around(struct namer *n, uint32_t frame, const char **ret);

ERR_MUST_CHECK struct err *name_special(struct namer *n, struct named_root *r);

/* Appends timers, and goroutines for what they cost by themselves. */
ERR_MUST_CHECK struct err *name_own(struct namer *n);

/* Sorts roots as naming takes them: by pass, and within a pass as people expect an owner. */
ERR_MUST_CHECK struct err *root_order(struct namer *n);

#endif
