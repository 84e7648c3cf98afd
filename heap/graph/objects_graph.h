/* The stream of heap/profile/objects.h, from the graph. */
#ifndef GRF_HEAP_GRAPH_OBJECTS_GRAPH_H
#define GRF_HEAP_GRAPH_OBJECTS_GRAPH_H

#include "heap/graph/typing.h"
#include "heap/profile/objects.h"

struct objects_graph {
	struct objects o; /* first: what it is to outputs */
	const struct graph *g;
	struct typing typing;
	struct strtab fields;
	uint32_t *field_of; /* by edge: 1 + its field; 0: not looked up yet */
	size_t nfield_of;
	uint32_t *at; /* by root: where its edges begin in g->root_edges */
};

/* After graph_dominate(), g having kept its root edges and parents; p: the profile of paths, before
 * it is bounded. */
ERR_MUST_CHECK struct err *objects_graph_init(struct objects_graph *x, const struct graph *g,
					      const struct profile *p);
void objects_graph_deinit(struct objects_graph *x);

#endif
