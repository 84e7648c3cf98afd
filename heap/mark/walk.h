/*
 * The breadth-first walk over the heap, which marking and naming both make, one as the other: what
 * the first decides at each pointer need not be kept for the second, which finds it again.
 *
 * Pointers come in batches.  Where they lead is looked up for a whole batch before the first of
 * them is decided on, so that the misses of memory overlap; decided on they are one by one, in
 * order.
 */
#ifndef GRF_HEAP_MARK_WALK_H
#define GRF_HEAP_MARK_WALK_H

#include "heap/capture/captured.h"
#include "heap/mark/root_list.h"

/* Roots are taken pass by pass (root_order.c). */
enum mark_pass {
	PASS_VARIABLES,
	PASS_GOROUTINES,      /* locals, by a name that one goroutine alone has, of one of a kind */
	PASS_GOROUTINES_KIND, /* the same, of goroutines of which there are several of a kind */
	PASS_GOROUTINES_MANY, /* other locals */
	PASS_BORROWED,        /* what naming has put off: walk_defer() */
	PASS_GOROUTINES_UNLABELLED,
	/* frames of the runtime itself: what the program's own frames don't hold */
	PASS_GOROUTINES_RUNTIME,
	/* words of a conservative look that are no variable's: often stale */
	PASS_GOROUTINES_GUESSED,
	PASS_SPECIALS,
	PASS_TIMERS,
	PASS_OWN, /* goroutines' own structures */
	PASS_RUNTIME,
	PASS_N
};

#define WALK_ROOT UINT32_MAX

/* One pointer word, in an object or a root. */
struct walk_ptr {
	uint64_t value;
	/* what it leads to is alive: slot `index` of sp; NULL: to nothing of the heap */
	const struct span *sp;
	uint32_t index;
	uint32_t holder;  /* scan id (span.h) of the object that it is in; WALK_ROOT: a root */
	uint32_t root;    /* where the path began */
	uint32_t tag;     /* the holder's, from walk_enter() */
	uint64_t addr;    /* of the word */
	uint64_t off;     /* in the holder, bytes */
	bool first;       /* of its holder */
	bool again;       /* it was put off: visit has had it before */
	const void *kept; /* from walk_later(); else NULL */
};

VEC_NAMED(walk_ptrs, struct walk_ptr);

enum walk_state { WALK_DEAD, WALK_SEEN, WALK_NEW, WALK_LATER };

/* A frontier's entry: the scan id above, the tag below.  Sorting by value is sorting by address. */
typedef uint64_t walk_entry_t;
VEC_NAMED(walk_entries, walk_entry_t);

/* Entries of one root lie together, and roots come in order. */
struct walk_run {
	uint32_t root;
	size_t end;
};
VEC_NAMED(walk_runs, struct walk_run);

struct walk {
	struct captured *h;
	const struct mark_root *roots; /* sorted by pass, address */
	size_t nroots;
	const char *phase;

	/* What to do with these pointers, in order. */
	struct err *(*visit)(struct walk *w, struct walk_ptr *v, size_t n);
	/* what visit will look at of each holder and of what it points to, by scan id */
	const uint32_t *by_scan;
	/* NULL, or: a level is done. */
	struct err *(*level_done)(struct walk *w);
	/* NULL, or: sees what visit will get, an object's pointers in order. */
	struct err *(*observe)(void *arg, const struct walk_ptr *v, size_t n);
	void *observer;

	/* NULL, or: objects that count as seen from the start, and are not gone to */
	const uint8_t *closed;

	uint8_t pass;
	uint8_t *seen; /* a bit per object id */
	struct walk_entries now, next;
	struct walk_runs now_runs, next_runs;
	/* ways into the scheduler's structures, kept for the last pass */
	struct walk_ptrs later;
	struct walk_ptrs deferred; /* by walk_defer() */
	uint64_t objects, bytes;   /* seen */
	uint64_t unread;           /* objects whose contents or map could not be read */
	size_t widest;             /* frontier */
	uint64_t since_check;
	size_t npending;
	struct walk_ptr *pending;
};

/* visit, h, roots, nroots and phase are set. */
ERR_MUST_CHECK struct err *walk_run(struct walk *w);
void walk_deinit(struct walk *w);

/* From level_done: visits the pointers of one object again. */
ERR_MUST_CHECK struct err *walk_again(struct walk *w, uint32_t scan_id);

/* The word n words behind the one that p is in (before it, if n is below 0).  A holder's
 * contents were just read: the image need not be searched for them. */
static inline bool walk_word(const struct captured *h, const struct walk_ptr *p, int n,
			     uint64_t *ret)
{
	uint64_t word = h->proc.fmt.word, at = p->addr + (uint64_t)((int64_t)n * (int64_t)word);
	const struct span *sp;

	if (p->holder == WALK_ROOT)
		return proc_try_word(&h->proc, at, ret);
	sp = spans_of_scan(&h->spans, p->holder);
	if (!sp->data || at < sp->base || at - sp->base + word > sp->data_len)
		return false;
	*ret = span_word(sp, h->proc.fmt, at - sp->base);
	return true;
}

/* What p leads to, as of now. */
static inline enum walk_state walk_state(const struct walk *w, const struct walk_ptr *p)
{
	uint32_t id;

	if (!p->sp)
		return WALK_DEAD;
	id = p->sp->first_id + p->index;
	if (w->seen[id >> 3] >> (id & 7) & 1)
		return WALK_SEEN;
	/* PASS_OWN enters goroutines by their roots: ms and ps are runtime.allm's and allp's */
	if (p->sp->scheduler &&
	    (w->pass < PASS_OWN || (w->pass == PASS_OWN && p->holder != WALK_ROOT)) &&
	    map64_get(&w->h->scheduler, id))
		return WALK_LATER;
	return WALK_NEW;
}

/* It is new, and on p's path. */
ERR_MUST_CHECK static inline struct err *walk_enter(struct walk *w, const struct walk_ptr *p,
						    uint32_t tag)
{
	uint32_t id = p->sp->first_id + p->index;

	w->seen[id >> 3] |= (uint8_t)(1 << (id & 7));
	w->objects++;
	w->bytes += p->sp->elemsize;
	if (p->sp->ptrs == SPAN_NOSCAN)
		return NULL;
	if (!w->next_runs.n || w->next_runs.v[w->next_runs.n - 1].root != p->root) {
		struct err *err =
			vec_push(&w->next_runs, ((struct walk_run){ p->root, w->next.n }));

		if (err)
			return err;
	}
	w->next_runs.v[w->next_runs.n - 1].end++;
	return vec_push(&w->next, (walk_entry_t)(p->sp->first_scan + p->index) << 32 | tag);
}

/* visit gets it again in PASS_BORROWED, if that has not been yet. */
ERR_MUST_CHECK static inline struct err *walk_defer(struct walk *w, const struct walk_ptr *p)
{
	struct err *err = vec_push(&w->deferred, *p);

	if (!err)
		w->deferred.v[w->deferred.n - 1].again = true;
	return err;
}

/* visit gets it again in the last pass, with `kept`. */
ERR_MUST_CHECK static inline struct err *walk_later(struct walk *w, const struct walk_ptr *p,
						    const void *kept)
{
	struct err *err = vec_push(&w->later, *p);

	if (!err) {
		w->later.v[w->later.n - 1].kept = kept;
		w->later.v[w->later.n - 1].again = true;
	}
	return err;
}

#endif
