/*
 * The graph of live objects as a stream, for outputs that hand all of it on: every object, every
 * pointer between them, every root.  Nothing is copied: what is asked for is read from the analysis
 * again, so that an output of any size takes no memory, and may go over it as often as it likes.
 *
 * Ids are dense: 0 is the top, objects are 1 to n in the order of their addresses, roots come
 * behind them.  A root is a package variable (all words of one name), a goroutine, or a local of
 * one.  The pointers are those that dominators are made of (heap/graph/graph.h): pointers to the
 * runtime's own gs, ms and ps are left out.
 */
#ifndef GRF_HEAP_PROFILE_OBJECTS_H
#define GRF_HEAP_PROFILE_OBJECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum object_shape {
	OBJECT_PLAIN, /* no pointers, or nothing is known of it */
	OBJECT_ONE,   /* one value of its type: its pointers have fields' names */
	OBJECT_ROW,   /* values of one type, one after the other */
};

struct object {
	uint32_t id;
	uint32_t type; /* below ntypes */
	uint32_t root; /* the root that its path begins with */
	/* the object that its path comes through, or the root */
	uint32_t parent;
	uint32_t dominator; /* an object, a root, or 0: it is several roots' */
	enum object_shape shape;
	bool pointers; /* it may have any */
	uint64_t address;
	uint64_t bytes;    /* its slot's */
	uint64_t retained; /* with it */
	/* of OBJECT_ROW: where the first value begins, and bytes after which they repeat; 0: not
	 * known */
	uint64_t start, unit;
};

/* A pointer from an object or a root; one word each. */
struct object_edge {
	uint32_t source, target;
	uint32_t field;   /* objects_field() */
	uint64_t offset;  /* in the source; of a root: 0, 1, ... */
	uint64_t address; /* of the target */
};

struct object_root {
	uint32_t id;
	const char *group; /* "timers", what the name is below; NULL: nothing */
	const char *name;
	const char *kind;
	uint64_t goroutine; /* id of the goroutine whose it is; 0: none's */
	bool itself;        /* the goroutine, not a local of it */
	uint32_t parent;    /* of a local: the goroutine's id, if that is a root; else 0 */
	uint64_t retained;  /* by this one alone */
};

struct objects;

/* What is called for each; any may be NULL. */
struct objects_visitor {
	struct err *(*object)(void *arg, const struct object *o);
	/* after its object or root, by offset */
	struct err *(*edge)(void *arg, const struct object_edge *e);
	struct err *(*root)(void *arg, const struct object_root *r);
	void *arg;
};

struct objects {
	uint32_t n, nroots;
	const char *const *types; /* by type: names, as types of the report have them */
	uint32_t ntypes;
	unsigned word; /* bytes of a pointer */

	struct err *(*walk)(const struct objects *o, const struct objects_visitor *v);
	/* The name of an edge's field: "cart.items", "[].next", "$mapval"; "": not known.  More are
	 * there the more edges were seen. */
	const char *(*field)(const struct objects *o, uint32_t id);
};

/* Objects first, then roots, each in the order of ids. */
ERR_MUST_CHECK static inline struct err *objects_walk(const struct objects *o,
						      const struct objects_visitor *v)
{
	return o->walk(o, v);
}

static inline const char *objects_field(const struct objects *o, uint32_t id)
{
	return o->field(o, id);
}

#endif
