/*
 * Recursion, folded: a list, a tree, a trie or a chain of wrappers is one node of the profile per
 * type, whatever its depth.
 *
 * The types seen in this heap make a graph: T leads to U if T holds a pointer to, an element, a
 * key, a value or a field of type U, or an interface behind which a U was seen.  An empty interface
 * leads to JSON-like data only (map[string]any), since anything may be behind it.  While a path
 * stays inside one strongly connected component of that graph, it is in one run; a step to a type
 * that its run has been at goes back to that node.  So a sync.Map of structs that have sync.Maps
 * stays two levels, and a tree of interfaces is one.
 *
 * Where types lead to each other in many orders, as in syntax trees, a run has many paths: from
 * FOLD_RUN_MAX nodes on a type that any path of the run has been at gets no second node.
 */
#ifndef GRF_HEAP_MARK_FOLD_H
#define GRF_HEAP_MARK_FOLD_H

#include "heap/mark/edge.h"
#include "heap/profile/profile.h"

/* Where a path is, by the profile's node. */
enum { FOLD_RUN_MAX = 32 };

struct fold_node {
	uint32_t type;      /* as fold_type() has it; 0: not known */
	uint32_t component; /* of the run that it is in; 0: in none */
	uint32_t start;     /* the run's first node */
	uint32_t run_nodes; /* of that first node: how many the run has */
};

VEC_NAMED(fold_nodes, struct fold_node);

struct fold {
	uint32_t *component; /* by type; 0: it is not recursive */
	uint32_t ntypes;
	struct fold_nodes nodes; /* by node; as far as they were stepped to */
	struct map64 first; /* a run's first node and a type -> the run's first node of that type */
};

/* From all edges that marking has made.  Without p->fold nothing will be folded. */
ERR_MUST_CHECK struct err *fold_init(struct fold *f, struct places *p);
void fold_deinit(struct fold *f);

/* The node above, or at, `node` that a step along this frame goes back to; 0: the step is new. */
uint32_t fold_back(const struct fold *f, const struct profile *p, uint32_t node,
		   const struct frame *frame);
/* `child` is what the step from `node` led to. */
ERR_MUST_CHECK struct err *fold_stepped(struct fold *f, uint32_t node, const struct frame *frame,
					uint32_t child);

#endif
