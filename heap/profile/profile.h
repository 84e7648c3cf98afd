/*
 * The reference profile: a tree of frames.  A node is one path from a root; its bytes
 * and objects are those held exactly there (not those below it).
 *
 * heap/mark/name.c makes it, outputs read it.  Node 0 is the invisible top.  A node's parent
 * always has a smaller index.  The same image makes the same nodes in the same order.
 */
#ifndef GRF_HEAP_PROFILE_PROFILE_H
#define GRF_HEAP_PROFILE_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/vec.h"
#include "heap/profile/account.h"
#include "heap/profile/code_lines.h"
#include "heap/profile/goroutine_report.h"
#include "heap/profile/graph_report.h"
#include "heap/profile/growth.h"
#include "heap/profile/outside.h"
#include "heap/profile/waste.h"
#include "heap/profile/why.h"

struct profile_node {
	uint32_t parent;
	uint32_t frame; /* string id in frames; of node 0: unused */
	uint32_t depth; /* frames from the root: node 0 has 0 */
	/* of depth 1: */
	uint32_t label; /* 1 + id in labels of the goroutine's labels; 0: none */
	uint8_t kind;   /* enum live_kind; LIVE_N: no live objects */
	bool group;     /* its children are what a reader calls roots: "timers", "[goroutines]" */
	uint64_t bytes; /* slot sizes (elemsize) of the objects held here */
	uint64_t objects;
};

VEC_NAMED(profile_nodes, struct profile_node);

/* What the graph of objects knows of a node besides. */
struct profile_more {
	uint64_t retained; /* bytes that would be free without its objects and those below it */
	/* of a dominator tree: its objects, but those inside containers; of the retained bytes,
	 * what is kept by several roots */
	uint64_t instances, shared;
	uint64_t stacks; /* of goroutines, beside the heap */
};

VEC_NAMED(profile_mores, struct profile_more);

struct profile {
	struct profile_nodes nodes;
	struct profile_mores more; /* by node; empty: there was no graph */
	struct strtab frames;
	struct strtab labels;  /* goroutines' labels: "key=value", one to a line */
	struct map64 children; /* (parent << 32 | frame) -> node */
};

ERR_MUST_CHECK struct err *profile_init(struct profile *p);
void profile_deinit(struct profile *p);
/* The child of `parent` with this frame, which is made if there is none. */
ERR_MUST_CHECK struct err *profile_child(struct profile *p, uint32_t parent, const char *frame,
					 uint32_t *ret);
ERR_MUST_CHECK struct err *profile_child_id(struct profile *p, uint32_t parent, uint32_t frame,
					    uint32_t *ret);

/* What people call the root of a node's path: 1 + the frame of its group ("timers"), 0 without one,
 * above that frame. */
uint64_t profile_root_name(const struct profile *p, uint32_t node);

/* The root with this frame and label (as struct profile_node has it). */
ERR_MUST_CHECK struct err *profile_root(struct profile *p, uint32_t label, uint32_t frame,
					uint32_t *ret);

/* Roots "[unreachable]", "[free slots]", ...: what is not live (heap/profile/profile_account.c). */
ERR_MUST_CHECK struct err *profile_add_account(struct profile *p, const struct account *a);

VEC_NAMED(report_lines, char *);
/* What was put together as "[smaller]" (heap/profile/profile_bound.h). */
struct profile_smaller {
	uint64_t nodes, bytes, objects;
};

/* What the summary and the profile's comments say about the process and the run. */
struct report {
	const char *target;  /* as given: "localhost:2345" */
	const char *exe;     /* path */
	const char *version; /* "go1.26.8" */
	const char *goarch;
	const char *build_id; /* Go or GNU build id, "" unknown */
	/* When the process was started: in ticks since its machine's start, by the stub's files; by
	 * the runtime's own clock.  0: unknown. */
	uint64_t started_ticks, started_ns;
	uint64_t pid; /* 0 unknown */
	uint32_t threads;
	uint32_t goroutines; /* not dead */

	/* coverage */
	uint64_t live_bytes, live_objects;
	uint64_t unreachable_bytes, unreachable_objects;
	/* the sum of allocCount * elemsize over the spans, which is counted apart */
	uint64_t allocated_bytes, allocated_objects;
	bool folded;  /* --fold=recursion */
	unsigned top; /* --top: of a list, so many at most where machines read it; 0: the usual */
	bool dominators, stack_paths;
	/* on steps that say "something", where nothing below them is known either */
	uint64_t unnamed_bytes;
	uint64_t opaque_bytes;          /* the same, where only an unsafe.Pointer leads there */
	uint64_t unnamed_steps;         /* with known ones below them */
	struct profile_smaller smaller; /* what --max-nodes put together */
	uint64_t failed_reads, failed_bytes;
	uint32_t goroutines_partial; /* not walked to their end, scanned conservatively */

	struct account account;
	struct goroutine_report goroutines_of; /* groups and finalizers' goroutines */
	struct code_lines lines;               /* of frames that name functions */
	struct graph_report graph;
	struct waste_report waste;
	struct why_report why;
	struct outside outside;
	struct growth growth;
	/* With growth: the last capture's tree less the first one's, numbers below 0 as two's
	 * complements. */
	struct profile difference;
	/* the tree of dominators, at their owners' paths (heap/graph/domtree.h); no nodes: none */
	struct profile owners;

	/* Before the stop: most of what could be read, the rate, and how long that was expected to
	 * take, most likely and at most; 0: unknown. */
	uint64_t forecast_bytes, forecast_rate, forecast_ns, forecast_most_ns;

	/* the stop */
	bool held_before;        /* the stub had stopped it before we came */
	uint64_t held_before_ns; /* for so long; 0: unknown */
	uint64_t stopped_ns;     /* the stop that was captured */
	const char *mode; /* "stop", "fork", "guest"; NULL: a core file, nothing was stopped */
	uint64_t stopped_total_ns;
	bool still_held; /* it does not run again: a note says why */
	uint32_t stops;  /* 1, or more when a stop was let go and taken again */
	uint64_t captured_bytes;
	uint64_t capture_ns, analyse_ns;
	int64_t time_unix_ns;  /* when it was captured */
	uint64_t time_mono_ns; /* the same by the clock that the process counts with; 0 unknown */

	/* More lines for the summary, each of them whole and without a newline: notes and, under
	 * -v, details. */
	struct report_lines notes, details;
};

/* Adds a line; printf-like. */
ERR_MUST_CHECK struct err *report_note(struct report *r, const char *fmt, ...) ERR_PRINTF(2, 3);
ERR_MUST_CHECK struct err *report_detail(struct report *r, const char *fmt, ...) ERR_PRINTF(2, 3);
void report_deinit(struct report *r);

#endif
