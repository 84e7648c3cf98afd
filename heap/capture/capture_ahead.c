/*
 * What a later step of the capture will most likely need, fetched with an earlier one: each way
 * there and back costs the process's time.  Guesses only: what they miss, the step itself fetches;
 * what cannot be read is no failed read.
 */
#include "base/limits.h"
#include "heap/heap_int.h"

enum {
	TOP = 16 << 10, /* as machines_check() */
	/* spans of one class that may hold ms or gs: with more, most hold something else */
	CLASS_MAX = 1 << 20,
	ARRAY_MAX = 1 << 20,
	BLOCK = 16 << 10, /* fixalloc's chunks, persistentalloc's blocks are multiples of it */
};

/* With the variables: the tops of the threads' stacks. */
struct err *ahead_tops(const struct heap *h, const struct threads *threads, struct ranges *ahead)
{
	const struct arch *m = h->proc.machine;
	struct err *err = NULL;

	for (size_t i = 0; i < threads->n && !err; i++)
		if (threads->v[i].valid)
			err = vec_push(ahead, ((struct range){ threads->v[i].regs[m->sp], TOP }));
	return err;
}

static struct err *ahead_array(const struct proc *p, uint64_t ptr, uint64_t len,
			       struct ranges *ahead)
{
	return ptr && len && len <= ARRAY_MAX / p->fmt.word ?
		       vec_push(ahead, ((struct range){ ptr, len * p->fmt.word })) :
		       NULL;
}

/* What the len pointers at ptr lead to. */
static struct err *ahead_elements(const struct proc *p, uint64_t ptr, uint64_t len, uint64_t off,
				  uint64_t size, struct ranges *ahead)
{
	struct err *err = NULL;
	uint64_t at;

	if (len > ARRAY_MAX / size)
		return NULL;
	for (uint64_t i = 0; i < len && !err; i++)
		if (proc_try_word(p, ptr + i * p->fmt.word, &at) && at)
			err = vec_push(ahead, ((struct range){ at + off, size }));
	return err;
}

/* runtime.itabTable, as far as it is known: its head, its entries, the itabs (capture_itabs()). */
static struct err *ahead_itabs(const struct proc *p, struct ranges *ahead)
{
	uint64_t table, size, itab, len = layout_size(&p->layout, LS_itab);
	struct err *err = NULL;

	if (!p->var.itabTable || !proc_try_word(p, p->var.itabTable, &table))
		return NULL;
	if (!proc_try_word(p, table, &size))
		return vec_push(ahead, ((struct range){ table, 2 * p->fmt.word }));
	if (size > LIMIT_ITABS)
		return NULL;
	if (!image_ptr(p->img, table + 2 * p->fmt.word, size * p->fmt.word, NULL))
		return vec_push(ahead,
				((struct range){ table + 2 * p->fmt.word, size * p->fmt.word }));
	for (uint64_t i = 0; i < size && !err; i++)
		if (proc_try_word(p, table + (2 + i) * p->fmt.word, &itab) && itab &&
		    !image_ptr(p->img, itab, len, NULL))
			err = vec_push(ahead, ((struct range){ itab, len }));
	return err;
}

/* gs, ps and their caches, the stacks of what runs or waits in a system call: the next link of
 * each. */
struct err *ahead_scheduler(const struct heap *h, const struct threads *threads,
			    struct ranges *ahead)
{
	const struct proc *p = &h->proc;
	const struct layout *l = &p->layout;
	uint32_t gsize = layout_size(l, LS_g);
	uint64_t ptr, len, at, cache;
	struct err *err = NULL;

	if (p->var.allgptr && proc_try_word(p, p->var.allgptr, &ptr) &&
	    proc_try_word(p, p->var.allglen, &len)) {
		err = ahead_array(p, ptr, len, ahead);
		if (!err)
			err = ahead_elements(p, ptr, len, 0, gsize, ahead);
		for (uint64_t i = 0; i < len && i < ARRAY_MAX / gsize && !err; i++) {
			const uint8_t *b = proc_try_word(p, ptr + i * p->fmt.word, &at) ?
						   image_ptr(p->img, at, gsize, NULL) :
						   NULL;
			uint64_t lo, hi, sp, status;

			if (!b)
				continue;
			lo = proc_peek(p, b + layout_off(l, L_g_stack), L_stack_lo);
			hi = proc_peek(p, b + layout_off(l, L_g_stack), L_stack_hi);
			sp = proc_peek(p, b, L_g_syscallsp);
			status = proc_peek(p, b, L_g_atomicstatus) & ~(uint64_t)G_SCAN;
			for (size_t t = 0; t < threads->n && status == G_RUNNING; t++)
				if (threads->v[t].valid &&
				    threads->v[t].regs[p->machine->sp] - lo < hi - lo)
					sp = threads->v[t].regs[p->machine->sp];
			if (lo < sp && sp < hi && hi - lo <= ARRAY_MAX)
				err = vec_push(ahead, ((struct range){ sp, hi - sp }));
		}
	}
	if (!err && p->var.allp && !proc_slice(p, p->var.allp, &ptr, &len)) {
		err = ahead_array(p, ptr, len, ahead);
		if (!err)
			err = ahead_elements(p, ptr, len, layout_off(l, L_p_mcache), p->fmt.word,
					     ahead);
		for (uint64_t i = 0; i < len && i < LIMIT_PS && !err; i++)
			if (proc_try_word(p, ptr + i * p->fmt.word, &at) &&
			    proc_try_word(p, at + layout_off(l, L_p_mcache), &cache) && cache)
				err = vec_push(ahead, ((struct range){
							      cache, layout_size(l, LS_mcache) }));
	}
	return err ? err : ahead_itabs(p, ahead);
}

/* Spans with slots of an m's or a g's size, all of them if they are few; and where the lists of
 * specials begin. */
struct err *ahead_spans(const struct heap *h, struct ranges *ahead)
{
	const uint64_t sizes[] = { layout_size(&h->proc.layout, LS_m),
				   layout_size(&h->proc.layout, LS_g) };
	struct err *err = NULL;

	for (size_t k = 0; k < 2 && !err; k++) {
		size_t first = ahead->n;
		uint64_t slot = UINT64_MAX, total = 0;

		for (size_t i = 0; i < h->spans.n; i++)
			if (h->spans.v[i].spanclass >> 1 && !(h->spans.v[i].spanclass & 1) &&
			    h->spans.v[i].elemsize >= sizes[k] && h->spans.v[i].elemsize < slot)
				slot = h->spans.v[i].elemsize;
		for (size_t i = 0; i < h->spans.n && !err && total <= CLASS_MAX; i++) {
			const struct span *x = &h->spans.v[i];

			if (x->elemsize != slot || x->spanclass & 1)
				continue;
			total += x->npages * GO_PAGE;
			err = vec_push(ahead, ((struct range){ x->base, x->npages * GO_PAGE }));
		}
		if (total > CLASS_MAX)
			ahead->n = first;
	}
	return err;
}
