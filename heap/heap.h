/*
 * A Go process's heap, which is captured while the process is stopped and analysed after it runs
 * again.
 *
 *	heap_create(exe)		before the stop: release, layout
 *	heap_attach(image, bias)	the executable's read-only parts, lent to the image
 *	heap_verify(source)		is it this executable that runs?
 *	heap_capture(threads)		while stopped: all that the analysis can need
 *	heap_check_layout()		when it runs again: was the layout the program's?
 *	heap_analyse(profile, report)	from the image alone
 */
#ifndef GRF_HEAP_HEAP_H
#define GRF_HEAP_HEAP_H

#include "base/err.h"
#include "heap/profile/known.h"
#include "heap/profile/objects.h"
#include "heap/profile/profile.h"
#include "heap/runtime/unstable.h"
#include "target/elf.h"
#include "target/target.h"

struct heap;

/* What is known here, and by which libraries. */
struct known heap_known(void);

/*
 * exe is borrowed.  debug: paths of files to take names from, of EXE or plugins, matched by build
 * id.  ERR_NODEBUG: not a Go program; ERR_VERSION: no layout for its release
 * (heap/layout/layout_pick.h); ERR_UNSUPPORTED: a GOARCH without tables; ERR_BADDATA: a debug file
 * of another build (said by heap_analyse() if EXE may have plugins).
 */
ERR_MUST_CHECK struct err *heap_create(struct elf *exe, const char *const *debug, size_t ndebug,
				       struct heap **ret);
void heap_destroy(struct heap *h);

const struct arch *heap_machine(const struct heap *h);

/* Says where EXE is in the process, once.  target (until the capture is done) and img are borrowed;
 * bias is run-time minus link-time addresses. */
ERR_MUST_CHECK struct err *heap_attach(struct heap *h, struct target *target, struct image *img,
				       uint64_t bias);

/*
 * Compares sampled code and the build id with the process's.  ERR_BADDATA: it is another program;
 * ERR_FAULT: the program is not where it should be.  With compared, what src does not have is no
 * contradiction, and the pieces that it has are counted; with NULL it must have all.
 */
ERR_MUST_CHECK struct err *heap_verify(struct heap *h, struct mem_source *src, size_t *compared);

/* Appends, at run-time addresses, EXE's ELF header and the pieces that heap_verify() compares. */
ERR_MUST_CHECK struct err *heap_samples(const struct heap *h, struct ranges *ret);

/*
 * Finds where a function of EXE begins in the process, by its name in the symbol table or the
 * function tables ("main.main", "main.(*T).Method"); after heap_attach().  ERR_NODEBUG: it has none
 * of this name.
 */
ERR_MUST_CHECK struct err *heap_function(struct heap *h, const char *name, uint64_t *ret);

/*
 * Fetches into the image what the analysis can need.  When the process is at a point where it
 * cannot be read exactly, u->why is set and the capture is incomplete: let it run for a
 * moment, image_forget(), and call again; with `last` the capture goes on as far as it can.
 * ERR_VERSION: the structures are not where the layout has them (heap/capture/shape.h).
 * threads is borrowed until heap_analyse() returns.
 */
ERR_MUST_CHECK struct err *heap_capture(struct heap *h, const struct threads *threads, bool last,
					struct unstable *u);

/* Counts, after heap_capture() and before the process is let go, how many spans, or the table of
 * them, have changed since. */
ERR_MUST_CHECK struct err *heap_moved(const struct heap *h, struct mem_source *src,
				      uint64_t *moved);

/* A capture that failed so may have been made with a wrong layout: heap_check_layout() knows
 * more. */
static inline bool heap_capture_misfit(const struct err *err)
{
	return err_is(err, ERR_VERSION) || err_is(err, ERR_FAULT) || err_is(err, ERR_BADDATA) ||
	       err_is(err, ERR_NODEBUG);
}

/*
 * Compares, while the process runs, the layout of the runtime that captures are made with with that
 * of the program's own debug information.  *again: they differed, and the program's is used from
 * now on: capture once more.  failed (taken) is what the capture ended with; it is returned, with
 * what can be done, unless *again.  Cheap after the first time.
 */
ERR_MUST_CHECK struct err *heap_check_layout(struct heap *h, struct err *failed, bool *again);

struct analyse_options {
	unsigned max_depth; /* frames of a path before "[deeper]" */
	unsigned max_nodes; /* of the profile; beyond, the smallest subtrees are put together */
	bool fold;          /* recursion is folded, containers read as what they are */
	bool graph;         /* the graph of objects: retained sizes, suspects */
	bool sizes;         /* what size classes cost (heap/mark/slot_use.h) */
	const char *why;    /* which objects' ways are asked for (heap/graph/why.h); NULL: none */
	bool dominators;    /* the profile is the tree of dominators, not that of paths */
	bool goroutines;    /* what each group of goroutines alone keeps alive */
	bool stack_paths;   /* a local's path begins with its goroutine's call path */
	/* NULL, or: called at the end, once, with all objects (heap/profile/objects.h); it wants
	 * the graph, and is not called where that is too large */
	struct err *(*objects)(void *arg, const struct objects *o, const struct profile *p,
			       const struct report *r);
	void *objects_arg;
};

/* Fills the heap's part of r. */
ERR_MUST_CHECK struct err *heap_analyse(struct heap *h, const struct analyse_options *o,
					struct profile *p, struct report *r);

/* What was captured.  It is h's. */
struct captured;
struct captured *heap_captured(struct heap *h);

/* progress is called now and then with the phase's name and what is done of it. */
void heap_set_progress(struct heap *h,
		       void (*progress)(void *arg, const char *phase, uint64_t done,
					uint64_t total),
		       void *arg);

#endif
