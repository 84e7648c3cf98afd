/*
 * The roots that marking and naming walk from.  A million goroutines have some six each, so that
 * what many share, which is how they are called, is kept once.
 */
#ifndef GRF_HEAP_MARK_ROOT_LIST_H
#define GRF_HEAP_MARK_ROOT_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/vec.h"
#include "heap/runtime/goroutine.h"
#include "heap/types/type.h"

/* How a root is called.  */
struct root_name {
	const char *group;    /* the frame before the label ("timers"); NULL: none */
	const char *label;    /* its first frame; NULL: `function` is */
	const char *function; /* of a slot without a variable: the innermost of the program */
	struct go_type *type; /* of the variable it is in; NULL: unknown */
	bool func_value;      /* it holds a func value, whatever the type */
};

/* A root while it gets its name. */
struct named_root {
	struct root r;
	uint8_t pass; /* enum mark_pass */
	struct root_name name;
	uint64_t var_off; /* in the variable that has name's type */
};

/* A root, as the walk orders it. */
struct mark_root {
	uint64_t addr;    /* as struct root has it */
	uint64_t value;   /* the pointer */
	uint32_t frame;   /* index into gframes; UINT32_MAX: none */
	uint32_t name;    /* index into root_list.names */
	uint32_t var_off; /* its offset in the variable that has name's type */
	uint32_t age;     /* of its goroutine among all, the oldest is 1; 0: it has none */
	uint32_t outer;   /* frames between its own and the goroutine's outermost */
	uint8_t kind;     /* enum root_kind */
	uint8_t pass;     /* enum mark_pass */
	uint8_t layer;    /* enum package_layer, of the frame's function or the label */
	bool conservative : 1;
	bool foreign : 1; /* it is not the main module's */
};

struct root_list {
	VEC(struct mark_root) roots; /* sorted by pass, address */
	VEC(struct root_name) names;
	struct map64 by_name; /* a name's hash -> its index */
	struct strtab labels; /* that many roots have */
};

/* clang-format off */
#define ROOT_LIST_INIT { VEC_INIT, VEC_INIT, MAP64_INIT, STRTAB_INIT }
/* clang-format on */

void root_list_deinit(struct root_list *l);

/* Gives the number of a name. */
ERR_MUST_CHECK struct err *root_list_name(struct root_list *l, const struct root_name *name,
					  uint32_t *ret);

ERR_MUST_CHECK struct err *root_list_push(struct root_list *l, const struct named_root *r);

/* "FUNCTION.VARIABLE", kept once. */
ERR_MUST_CHECK struct err *root_list_label(struct root_list *l, const char *function,
					   const char *variable, const char **ret);

static inline const struct root_name *root_name_of(const struct root_list *l,
						   const struct mark_root *r)
{
	return &l->names.v[r->name];
}

#endif
