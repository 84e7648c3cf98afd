/*
 * What the standard library hides behind unsafe.Pointer and behind smaller types: facts about its
 * own structures that neither descriptors nor DWARF state.  Each row has its source.  Without them
 * names are poorer; what is live does not depend on them.
 */
#ifndef GRF_HEAP_TYPES_KNOWN_H
#define GRF_HEAP_TYPES_KNOWN_H

#include <stdbool.h>

#include "base/arena.h"

/* What an unsafe.Pointer field of a struct points to: a type's name, tiled or one; NULL:
 * unknown.  box: what lies there is a container's slot, and this is what the step to it is called;
 * NULL: nothing of the kind. */
struct known_pointer {
	const char *type;
	bool tile;
	const char *box;
};
const struct known_pointer *known_field(const char *strct, const char *field);

/*
 * The standard library's containers as a reader knows them.  A step to a field of a struct is
 * called this ("$mapval", "$elem"), is no step at all (""), or is what it is (NULL).
 * known_element() says the same of elements of this type.  known_wrapper(): calls of this
 * function's closures are no steps.
 */
const char *known_step(const char *strct, const char *field);
const char *known_element(const char *type);
bool known_wrapper(const char *func);
/* What a container keeps in an interface of its own: no type that people should read. */
bool known_inside(const char *type);

/* The type that really lies behind a pointer to `type`; NULL: just that. */
const char *known_pointee(const char *type);

/* The struct whose field `type` usually is, when a pointer leads into the middle of an object. */
struct known_container {
	const char *inner, *outer, *field;
};
const struct known_container *known_container(const char *type);

/* A struct {type, data} that is an interface in all but name. */
bool known_interface(const char *type);

/*
 * What a closure holds behind its code pointer, by its function's name: the name of its type, which
 * may be made in `arena`, and in *off where that begins, in bytes.  NULL: unknown.
 */
const char *known_closure(const char *func, unsigned word, struct arena *arena, unsigned *off);

#endif
