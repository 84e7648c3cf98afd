/*
 * What grew between the captures of a set: heap/profile/growth.h is the result, docs/GROWTH.md has
 * the rules.
 */
#ifndef GRF_HEAP_REPORT_GROWTH_HEAP_H
#define GRF_HEAP_REPORT_GROWTH_HEAP_H

#include "base/limits.h"
#include "heap/report/growth_set.h"

enum {
	GROWTH_LEAST = 1024,          /* bytes of a path or type that are told of */
	GROWTH_LEAST_ONCE = 4096,     /* the same of what grew in one interval, and may be gone in
				       * the next: what pools keep, ... */
	GROWTH_RUNTIME = 16,          /* so many times as much of the runtime's own */
	GROWTH_LEAST_OUTSIDE = 65536, /* of other memory, which comes in pages */
};

/* What is less is not told of; n captures. */
static inline int64_t growth_least(enum growth_way way, size_t n)
{
	return n == 2 || way == GROWTH_APPEARED ? GROWTH_LEAST_ONCE : GROWTH_LEAST;
}

/* Fills r's growth and difference, of which it is the last capture's report.  Uses up the set's
 * tree: afterwards it can only be deinitialized. */
ERR_MUST_CHECK struct err *growth_make(struct growth_set *s, struct report *r);

/* heap/report/growth_way.c.  How n values grew. */
enum growth_way growth_way(const uint64_t *values, size_t n);
/* Fills in what is known from the values by capture; way is the caller's. */
struct growth_sum growth_sum(const struct growth *g, const struct amount *at, enum growth_way way);
/* By way, then the fastest first. */
int growth_sum_cmp(const struct growth_sum *a, const struct growth_sum *b);
/* The values of a table's row, in g's arena; NULL: no memory. */
const struct amount *growth_table_row(struct growth *g, const struct growth_columns *columns,
				      size_t row);

/* heap/report/growth_tree.c.  The captures' trees as one, with what hangs below each node. */
struct growth_tree {
	const struct profile *p;
	size_t n; /* captures */
	size_t nodes;
	/* [capture * nodes + node] */
	struct amount *own, *all;
	/* what a node is counted with; itself, but for what "[smaller]" has in another capture */
	uint32_t *into;
	uint32_t *first, *next; /* children that count by themselves; 0: none */
	const struct growth_set *set;
};
ERR_MUST_CHECK struct err *growth_tree_init(struct growth_tree *t, struct growth_set *s);
void growth_tree_deinit(struct growth_tree *t);

static inline struct amount growth_own(const struct growth_tree *t, size_t capture, uint32_t node)
{
	return t->own[capture * t->nodes + node];
}

static inline struct amount growth_all(const struct growth_tree *t, size_t capture, uint32_t node)
{
	return t->all[capture * t->nodes + node];
}

/* From the first capture to the last, bytes of all that hangs below the node. */
static inline int64_t growth_of(const struct growth_tree *t, uint32_t node)
{
	return (int64_t)(growth_all(t, t->n - 1, node).bytes - growth_all(t, 0, node).bytes);
}

/* heap/report/growth_used.c.  What is used of the node's own bytes, by capture.  false: that is not
 * known of all of them, or all is used in each. */
bool growth_used(const struct growth_tree *t, uint32_t node, uint64_t used[LIMIT_CAPTURES]);

/* heap/report/growth_paths.c.  Fills r->growth.paths, without shares. */
ERR_MUST_CHECK struct err *growth_paths_make(const struct growth_tree *t, struct report *r);

/* heap/report/growth_parts.c.  What the growth below a node is made of: in a's arena, most
 * first. */
ERR_MUST_CHECK struct err *growth_parts_make(const struct growth_tree *t, uint32_t node,
					     struct arena *a, const struct growth_part **parts,
					     uint32_t *n);
/* Growth of objects of one type, by the frames' words, below `node`, but not below `but`. */
ERR_MUST_CHECK struct err *growth_type_below(const struct growth_tree *t, uint32_t node,
					     uint32_t but, const char *type, int64_t *objects);

#endif
