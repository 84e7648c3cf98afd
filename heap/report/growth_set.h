/*
 * Captures of one process, as far as growth needs them: their folded trees as one, with the bytes
 * and objects of each capture beside every node; types, groups of goroutines and other memory
 * likewise.  Nothing in it belongs to a capture, so that images and heaps can go.
 *
 *	growth_set_init()
 *	growth_set_begin()	for each capture, the oldest first
 *	growth_set_node() ...	what is in it, from a profile (growth_set_add()) or a file
 *	growth_make()		heap/report/growth_heap.h
 */
#ifndef GRF_HEAP_REPORT_GROWTH_SET_H
#define GRF_HEAP_REPORT_GROWTH_SET_H

#include "heap/profile/profile.h"

/* there: the capture has this node, this type. */
struct growth_cell {
	uint64_t bytes;
	uint64_t objects : 63, there : 1;
};

VEC_NAMED(growth_column, struct growth_cell);
VEC_NAMED(growth_columns, struct growth_column);

/* Rows by their keys, a column for each capture; a column has no cells for rows made later. */
struct growth_table {
	struct strtab keys;
	struct growth_columns columns;
};

/* A group of goroutines; in its table by all of this but what is told of the last capture. */
struct growth_set_group {
	const char *function;
	struct code_line source, created_by;
	uint64_t leaked, most; /* most: of the group's parts the one that source is of */
	size_t capture;        /* that these are of */
};

/* What has to be the same in all captures. */
struct growth_identity {
	const char *build_id;               /* "" or NULL: unknown */
	uint64_t pid;                       /* 0: unknown */
	uint64_t started_ticks, started_ns; /* 0: unknown */
	bool folded, dominators, stack_paths;
};

enum growth_unused { UNUSED_UNKNOWN, UNUSED_OF_LARGEST, UNUSED_OF_ALL };

struct growth_set {
	struct profile tree;
	struct growth_columns nodes;
	/* What maps and slices at a node have room for and do not use, where that is known of the
	 * capture: of all nodes, or of the largest ones. */
	struct growth_columns unused;
	VEC(enum growth_unused) unused_of;
	struct growth_table types, groups;
	VEC(struct growth_set_group) group_rows;
	struct growth_captures captures;
	bool types_known; /* of all captures so far */
	bool groups_known;
	struct growth_identity identity;
	const char *identity_of; /* the capture that it is of, for messages */
	struct arena arena;
};

ERR_MUST_CHECK struct err *growth_set_init(struct growth_set *s);
void growth_set_deinit(struct growth_set *s);

/*
 * The next capture; its strings are copied.  Errors: ERR_BADDATA: it is of another process, or of
 * one that was started again; ERR_USAGE: it is older than the one before, or its tree was made by
 * other rules.  any_process: nothing is asked about that (--force).
 */
ERR_MUST_CHECK struct err *growth_set_begin(struct growth_set *s, const struct growth_capture *c,
					    const struct growth_identity *id, bool any_process);
/* Adds to the node with this frame below `parent` (0: a root), which is returned. */
ERR_MUST_CHECK struct err *growth_set_node(struct growth_set *s, uint32_t parent, const char *frame,
					   struct amount a, uint32_t *ret);
ERR_MUST_CHECK struct err *growth_set_type(struct growth_set *s, const char *type, struct amount a);
/* a: their number as objects, and what they keep, with their stacks.  g's strings are copied. */
ERR_MUST_CHECK struct err *growth_set_group(struct growth_set *s, const struct growth_set_group *g,
					    struct amount a);

/* The rows of the waste report: paths, and what is wasted there; more: there were more of them. */
ERR_MUST_CHECK struct err *growth_set_unused(struct growth_set *s, const char *const *path,
					     uint32_t n, uint64_t wasted);
void growth_set_unused_of(struct growth_set *s, enum growth_unused of);

/* A capture of this run, or of a core, after heap_analyse(); source: as struct growth_capture. */
ERR_MUST_CHECK struct err *growth_set_add(struct growth_set *s, const struct profile *p,
					  const struct report *r, const char *source,
					  bool any_process);

/* Roots that hold nothing live (--all), by their frames. */
bool growth_is_dead_root(const char *frame);

static inline struct growth_cell growth_cell_at(const struct growth_column *c, size_t row)
{
	return row < c->n ? c->v[row] : (struct growth_cell){ 0 };
}

#endif
