/*
 * Variables that only the compiler knows: `var srv = &server{...}` makes main.srv and a nameless
 * server in .bss, which is a root of its own.  Their name and type come from the variable that
 * points to them.
 */
#ifndef GRF_HEAP_MARK_NAME_STATIC_H
#define GRF_HEAP_MARK_NAME_STATIC_H

#include "heap/mark/place.h"

struct static_var {
	uint64_t addr, size;  /* run-time */
	const char *name;     /* of the variable that leads here */
	size_t module;        /* whose DWARF die is in */
	uint64_t die;         /* of its type; 0: none */
	struct go_type *type; /* from addr on, once or tiled; NULL: unknown, or not asked for yet */
};

VEC_NAMED(static_vars, struct static_var);

/* named: the variables with names, sorted by address.  Appends what they lead to and is in no named
 * one, sorted by address; labels are borrowed from `named`. */
ERR_MUST_CHECK struct err *static_vars_find(struct captured *h, struct places *places,
					    const struct static_vars *named,
					    struct static_vars *ret);

/* The one that holds addr; NULL: none. */
struct static_var *static_vars_at(const struct static_vars *v, uint64_t addr);
/* Its type, by its DIE if need be; NULL: unknown. */
ERR_MUST_CHECK struct err *static_var_type(struct types *types, struct static_var *v,
					   struct go_type **ret);

#endif
