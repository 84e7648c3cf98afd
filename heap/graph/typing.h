/*
 * The type of every live object, as people call it: "main.T", "[]main.T", "map[string]*main.T",
 * "closure main.f.func1"; of what has no pointers by the path that leads there; "[unknown]".
 */
#ifndef GRF_HEAP_GRAPH_TYPING_H
#define GRF_HEAP_GRAPH_TYPING_H

#include "heap/graph/graph.h"

struct typing {
	const struct graph *g;
	const struct profile *p;
	struct strtab names;          /* by type */
	uint32_t *of_object;          /* by number: the type */
	VEC(struct type_row) rows;    /* by type: own */
	uint32_t *of_place, *of_node; /* 1 + the type; 0: not looked up yet */
	struct map64 of_root;         /* profile_root_name() -> the type of a root's word */
};

/* p: the profile of paths, before it is bounded. */
ERR_MUST_CHECK struct err *typing_init(struct typing *t, const struct graph *g,
				       const struct profile *p);
void typing_deinit(struct typing *t);

#endif
