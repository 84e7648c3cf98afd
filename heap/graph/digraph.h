/*
 * A directed graph in compressed rows, whatever its vertices are.
 *
 * Vertex 0 is the top, which leads to the roots.  All edges of a vertex are added one after the
 * other; which vertex comes first does not matter.
 */
#ifndef GRF_HEAP_GRAPH_DIGRAPH_H
#define GRF_HEAP_GRAPH_DIGRAPH_H

#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"

#define DIGRAPH_NONE UINT32_MAX
#define DIGRAPH_LAST (1u << 31)        /* in `to`: a row's last edge */
#define DIGRAPH_MAX (DIGRAPH_LAST - 1) /* vertices */

struct digraph {
	uint32_t n;       /* vertices */
	uint32_t *row;    /* by vertex: where its edges begin in `to`; DIGRAPH_NONE: it has none */
	VEC(uint32_t) to; /* vertices; DIGRAPH_LAST is added to a row's last */
	uint32_t from;    /* whose row is being written */
};

/* With so many vertices and no edges.  ERR_LIMIT: more than DIGRAPH_MAX. */
ERR_MUST_CHECK struct err *digraph_init(struct digraph *g, uint64_t n);
void digraph_deinit(struct digraph *g);

/* Adds vertices without edges, behind those that are there. */
ERR_MUST_CHECK struct err *digraph_grow(struct digraph *g, uint64_t more);

/* ERR_LIMIT: more edges than a row's 32 bits can tell apart. */
ERR_MUST_CHECK struct err *digraph_too_many(void);

/* Adds an edge.  One that is the last one again, or leads back to its own vertex, says nothing. */
ERR_MUST_CHECK static inline struct err *digraph_edge(struct digraph *g, uint32_t from, uint32_t to)
{
	uint32_t *last = g->to.n ? &g->to.v[g->to.n - 1] : NULL;

	if (from == to)
		return NULL;
	if (g->to.n == UINT32_MAX - 1)
		return digraph_too_many();
	if (last && g->from == from) {
		if ((*last & ~DIGRAPH_LAST) == to)
			return NULL;
		*last &= ~DIGRAPH_LAST;
	} else {
		g->from = from;
		g->row[from] = (uint32_t)g->to.n;
	}
	return vec_push(&g->to, to | DIGRAPH_LAST);
}

/*
 * Finds what each class of roots alone leads to.  Roots are the vertices from first_root on; a
 * root's owner is its class, from 1 on, and all other owners are 0.  Then an owner is the class
 * that alone leads to that vertex, or DIGRAPH_SEVERAL.  Edges to roots are not followed.
 */
#define DIGRAPH_SEVERAL UINT32_MAX
ERR_MUST_CHECK struct err *digraph_own(const struct digraph *g, uint32_t first_root,
				       uint32_t *owner);

#endif
