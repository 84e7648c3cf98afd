/*
 * The queues of finalizers and cleanups, which may be empty: chains of blocks in the runtime's own
 * memory.
 */
#include "base/intr.h"
#include "base/limits.h"
#include "heap/runtime/find_int.h"

/* Blocks are in the runtime's own memory: neither in the heap nor in a file. */
bool find_test_block(struct proc *p, const struct spans *s, uint64_t addr)
{
	uint64_t v;

	return proc_try_word(p, addr, &v) && proc_is_pointer(p, v) && !spans_find(s, v) &&
	       !binary_at(p, v);
}

/* One kind of linked blocks: finalizers or cleanups waiting to run. */
struct queue {
	enum layout_id size, link, n;
	/*
	 * Blocks are parts of persistent chunks, aligned to words only (mfinal.go,
	 * queuefinalizer@go1.17-1.27).  The runtime's list of those chunks themselves (malloc.go,
	 * persistentChunks) looks like a queue without entries, and is as long as the heap is
	 * large; they begin where pages do.
	 */
	bool inside_chunks;
	/* Whether what is in a block's first n entries can be entries. */
	bool (*entries)(struct proc *p, const struct spans *s, uint64_t block, uint64_t n);
};

/* Each has a function, and an argument on the heap. */
static bool finalizer_entries(struct proc *p, const struct spans *s, uint64_t block, uint64_t n)
{
	const struct layout *l = &p->layout;
	uint64_t fn, arg;

	if (n > (layout_size(l, LS_finblock) - layout_off(l, L_finblock_fin)) /
			layout_size(l, LS_finalizer))
		return false;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t f =
			block + layout_off(l, L_finblock_fin) + i * layout_size(l, LS_finalizer);

		if (!proc_try_word(p, f + layout_off(l, L_finalizer_fn), &fn) ||
		    fn < MIN_LEGAL_POINTER ||
		    !proc_try_word(p, f + layout_off(l, L_finalizer_arg), &arg) ||
		    (arg && !spans_find(s, arg)))
			return false;
	}
	return true;
}

static bool cleanup_entries(struct proc *p, const struct spans *s, uint64_t block, uint64_t n)
{
	const struct layout *l = &p->layout;
	uint64_t words = layout_has(l, L_cleanupFn_call) ?
				 layout_size(l, LS_cleanupFn) / p->fmt.word :
				 1,
		 v;
	uint64_t room = (layout_size(l, LS_cleanupBlock) - layout_off(l, L_cleanupBlock_cleanups)) /
			p->fmt.word;

	if (n > room / words)
		return false;
	for (uint64_t i = 0; i < n * words; i++)
		if (!proc_try_word(p,
				   block + layout_off(l, L_cleanupBlock_cleanups) + i * p->fmt.word,
				   &v) ||
		    !proc_is_pointer(p, v))
			return false;
	return true;
}

enum { BLOCK_HEAD = 64, CHUNK_ALIGN = 4096, CHUNKS = 4 };

/* A candidate's chain of blocks, as far as it was followed. */
struct walk {
	uint64_t var, block;
	uint64_t asked; /* the block that was last fetched */
	uint64_t len, entries;
	uint64_t pages; /* blocks that begin where a page does */
	uint64_t mark;  /* a block passed at the last power of two: met again, it is a ring */
};

VEC_NAMED(walks, struct walk);

/* Follows the chain as far as the image goes; false: it is none. */
static bool walk_on(struct proc *p, const struct spans *s, const struct queue *q, struct walk *w)
{
	uint64_t n;

	/* Of a block without entries the head is enough. */
	while (w->block &&
	       proc_try_uint(p, w->block + layout_off(&p->layout, q->n),
			     layout_size(&p->layout, q->n), &n) &&
	       image_ptr(p->img, w->block, n ? layout_size(&p->layout, q->size) : BLOCK_HEAD,
			 NULL)) {
		if (w->block & (p->fmt.word - 1) || w->block == w->mark || w->len > LIMIT_BLOCKS ||
		    !q->entries(p, s, w->block, n))
			return false;
		w->entries += n;
		w->len++;
		w->pages += !(w->block & (CHUNK_ALIGN - 1));
		if (q->inside_chunks && !w->entries && w->len >= CHUNKS && w->pages == w->len)
			return false;
		if (!(w->len & (w->len - 1)))
			w->mark = w->block;
		if (!proc_try_word(p, w->block + layout_off(&p->layout, q->link), &w->block))
			return false;
	}
	return true;
}

/* What the next link of a chain takes; one of a long chain is likely near, in persistent memory. */
static struct err *walk_plan(const struct walk *w, uint64_t size, struct ranges *want)
{
	enum { WIDE = 16 << 10, LONG = 2 };

	TRY(vec_push(want, ((struct range){ w->block, size })));
	if (w->len <= LONG)
		return NULL;
	return vec_push(want, ((struct range){ w->block & ~(uint64_t)(WIDE - 1), WIDE }));
}

/* Follows all chains, link by link at once; those that lead nowhere are taken out. */
static struct err *walk_all(struct proc *p, const struct spans *s, const struct queue *q,
			    struct walks *all)
{
	_cleanup_vec_ struct ranges want = VEC_INIT;
	size_t n, asked;

	do {
		want.n = n = 0;
		for (size_t i = 0; i < all->n; i++) {
			struct walk *w = &all->v[i];

			TRY(intr_check());
			if (!walk_on(p, s, q, w) || (w->block && w->block == w->asked))
				continue; /* no block, or no memory */
			w->asked = w->block;
			if (w->block)
				TRY(walk_plan(w, layout_size(&p->layout, q->size), &want));
			all->v[n++] = *w;
		}
		all->n = n;
		asked = want.n;
		TRY(image_try(p->img, &want));
	} while (asked);
	return NULL;
}

/* The head of the block: walk_all() fetches the rest of what is likely. */
struct err *find_plan_block(struct proc *p, const struct spans *s, uint64_t addr,
			    struct ranges *want)
{
	uint64_t v;

	return proc_try_word(p, addr, &v) ? vec_push(want, ((struct range){ v, BLOCK_HEAD })) :
					    NULL;
}

/* Whether the variable leads to a block, whose head alone tells most of them apart. */
static bool walk_begin(const struct proc *p, const struct queue *q, uint64_t var, struct walk *w)
{
	const struct layout *l = &p->layout;
	uint64_t entries, link;

	*w = (struct walk){ .var = var };
	return proc_try_word(p, var, &w->block) &&
	       proc_try_uint(p, w->block + layout_off(l, q->n), layout_size(l, q->n), &entries) &&
	       entries <= layout_size(l, q->size) / p->fmt.word &&
	       proc_try_word(p, w->block + layout_off(l, q->link), &link) &&
	       (!link || proc_is_pointer(p, link));
}

/*
 * The variable that leads to all blocks that have entries: the chain with the most.  No entries
 * anywhere: there is nothing to find, *ret is 0.
 */
static struct err *find_queue(struct proc *p, const struct spans *s, const struct queue *q,
			      uint64_t *ret)
{
	_cleanup_vec_ struct addrs c = VEC_INIT;
	_cleanup_vec_ struct walks walks = VEC_INIT;
	uint64_t best = 0, longest = 0;

	*ret = 0;
	TRY(find_each_word(p, s, find_test_block, false, &c));
	TRY(find_narrow(p, s, find_plan_block, find_test_block, &c));
	for (size_t i = 0; i < c.n; i++) {
		struct walk w;

		if (walk_begin(p, q, c.v[i], &w))
			TRY(vec_push(&walks, w));
	}
	TRY(walk_all(p, s, q, &walks));
	for (size_t i = 0; i < walks.n; i++) {
		const struct walk *w = &walks.v[i];

		/* The queue's own head can lead to all that have entries, too: then either is
		 * right. */
		if (w->entries > best || (best && w->entries == best && w->len > longest)) {
			best = w->entries;
			longest = w->len;
			*ret = w->var;
		}
	}
	return NULL;
}

struct err *find_queues(struct proc *p, const struct spans *s)
{
	static const struct queue finalizers = { LS_finblock, L_finblock_alllink, L_finblock_cnt,
						 true, finalizer_entries };
	static const struct queue cleanups = { LS_cleanupBlock, L_cleanupBlock_alllink,
					       L_cleanupBlock_n, false, cleanup_entries };

	TRY(find_queue(p, s, &finalizers, &p->var.allfin));
	if (!layout_has(&p->layout, L_cleanupQueue_all))
		return NULL;
	TRY(find_queue(p, s, &cleanups, &p->var.gcCleanups));
	if (p->var.gcCleanups)
		p->var.gcCleanups -= layout_off(&p->layout, L_cleanupQueue_all);
	return NULL;
}
