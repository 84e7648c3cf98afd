/*
 * The dominator tree of a graph: v dominates w if every way from the top to w goes through v, so
 * that w would be free without v.  The nearest of them is w's immediate dominator, its parent in
 * the tree.
 *
 * T. Lengauer, R. E. Tarjan, "A fast algorithm for finding dominators in a flowgraph", TOPLAS 1
 * (1979): the simple version, O(edges * log vertices) whatever the graph.
 */
#ifndef GRF_HEAP_GRAPH_DOMINATOR_H
#define GRF_HEAP_GRAPH_DOMINATOR_H

#include "heap/graph/digraph.h"

/*
 * The tree in preorder: position 0 is the top, a vertex comes before what it dominates, and that
 * lies together, from its position to end[] of it.
 */
struct dominators {
	uint32_t n;
	uint32_t *vertex;   /* by position */
	uint32_t *position; /* by vertex */
	uint32_t *parent;   /* by position: that of the immediate dominator; of the top 0 */
	uint32_t *end;      /* by position: one past the last that it dominates */
};

/* Takes the graph's edges: g has none afterwards.  Vertices that the top does not lead to count as
 * if it did. */
ERR_MUST_CHECK struct err *dominators_find(struct digraph *g, struct dominators *ret);
void dominators_deinit(struct dominators *d);

#endif
