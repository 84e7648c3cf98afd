/*
 * The graph of live objects: who would free what.
 *
 * Its vertices are the top (0), the live objects in the order of their addresses (from 1 on), and
 * the roots: a variable, a goroutine and each of its locals, a finalizer, a timer.  The top leads
 * to the roots, a goroutine to its locals and to its g, roots and objects to what they point to.
 * The runtime's own tables are no owners: pointers to gs, ms and ps, and those from a p to its
 * timers, are left out, so that what hangs on a g, or on a timer, hangs on nothing else by that.
 *
 *	graph_init()		after marking: vertices
 *	name_objects(watch)	the edges, in naming's walk
 *	graph_roots()		roots and their edges; what each root's name alone keeps
 *	graph_dominate()	the tree
 */
#ifndef GRF_HEAP_GRAPH_GRAPH_H
#define GRF_HEAP_GRAPH_GRAPH_H

#include "base/rank.h"
#include "heap/graph/digraph.h"
#include "heap/graph/dominator.h"
#include "heap/mark/mark.h"
#include "heap/mark/name.h"
#include "heap/profile/profile.h"

struct graph_edge {
	uint32_t from, to;
};

VEC_NAMED(graph_edges, struct graph_edge);

/* A root, as a vertex. */
struct graph_root {
	uint32_t class; /* index in classes */
	uint32_t g;     /* index of the goroutine whose local or whose own it is; UINT32_MAX */
	bool goroutine; /* the goroutine itself, not a local of it */
};

/* Roots that people call by one name. */
struct graph_class {
	uint64_t name; /* profile_root_name() */
	uint8_t kind;  /* enum live_kind */
	/* of the first root's word, where that is a pointer, a slice, ... by itself; else NULL */
	const struct go_type *type;
	struct amount alone;
	uint64_t stacks; /* of goroutines: bytes of theirs */
};

struct graph {
	struct captured *h;
	const struct mark *m;
	struct rank ids; /* object id -> number from 0; the vertex is one more */
	struct digraph rows;
	uint32_t *nodes;        /* by number: naming's (name.h) */
	struct fold_nodes fold; /* by node of the profile */
	VEC(struct graph_root) roots;
	VEC(struct graph_class) classes;
	uint32_t *class_of; /* by root of marking */
	/* for who goes over all objects afterwards (graph_keep()); else NULL and none */
	struct name_from *from;        /* by number: naming's */
	uint32_t *vertex_of;           /* by root of marking */
	struct graph_edges root_edges; /* from the top and the roots, by vertex */
	struct dominators dom;
	uint64_t *retained; /* by position of dom: bytes */

	/* while edges are collected */
	struct map64 timer_arrays; /* scan ids of what ps keep their timers in */
	uint32_t holder, holder_vertex;
	bool holder_timers;
	/* there is no graph: it would have more vertices or edges than 32 bits tell apart */
	bool limit;
	struct name_watch watch;
};

ERR_MUST_CHECK struct err *graph_init(struct graph *g, struct captured *h, const struct mark *m);
void graph_deinit(struct graph *g);

/* Before naming: keeps what objects_graph.h wants, 8 bytes an object. */
ERR_MUST_CHECK struct err *graph_keep(struct graph *g);

/* After naming, which has had graph.watch.  Fills classes. */
ERR_MUST_CHECK struct err *graph_roots(struct graph *g, struct profile *p, bool stack_paths);

/* Fills dom and retained. */
ERR_MUST_CHECK struct err *graph_dominate(struct graph *g);

static inline uint32_t graph_first_root(const struct graph *g)
{
	return 1 + (uint32_t)g->ids.n;
}

static inline bool graph_is_object(const struct graph *g, uint32_t vertex)
{
	return vertex && vertex < graph_first_root(g);
}

/* The object with this scan id (span.h). */
static inline uint32_t graph_vertex_of_scan(const struct graph *g, uint32_t scan)
{
	const struct span *sp = spans_of_scan(&g->h->spans, scan);

	return 1 + (uint32_t)rank_of(&g->ids, sp->first_id + (scan - sp->first_scan));
}

/* A g, an m or a p: who points to it is left out, but for its root. */
static inline bool graph_is_scheduler(const struct graph *g, const struct span *sp, uint32_t index)
{
	return sp->scheduler && map64_get(&g->h->scheduler, sp->first_id + index);
}

/* The object that value leads to, slot *index of *sp; 0: to none, but *sp is NULL only where no
 * span is. */
static inline uint32_t graph_vertex_at(const struct graph *g, uint64_t value,
				       const struct span **sp, uint32_t *index)
{
	uint32_t id;

	*sp = spans_find(&g->h->spans, value);
	if (!*sp)
		return 0;
	*index = span_index(*sp, value);
	id = (*sp)->first_id + *index;
	return rank_has(&g->ids, id) ? 1 + (uint32_t)rank_of(&g->ids, id) : 0;
}

/* Of an object, by its number: bytes; address. */
uint64_t graph_size(const struct graph *g, uint32_t number);
uint64_t graph_address(const struct graph *g, uint32_t number);

/* Calls f for every live object, in the order of addresses: its number, and where it is. */
ERR_MUST_CHECK struct err *graph_each(const struct graph *g,
				      struct err *(*f)(void *arg, uint32_t number,
						       const struct span *sp, uint32_t index),
				      void *arg);

#endif
