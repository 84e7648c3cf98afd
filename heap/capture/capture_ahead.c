/*
 * What a later step of the capture will most likely need, fetched with an earlier one: each way
 * there and back costs the process's time.  These are guesses: the step itself fetches what they
 * miss, and what cannot be read counts as no failed read.
 */
#include "base/intr.h"
#include "base/limits.h"
#include "heap/capture/capture_int.h"

enum {
	/* spans of one class that may hold ms or gs: with more, most hold something else */
	CLASS_MAX = 1 << 20,
	ARRAY_MAX = 1 << 20,
};

/* The tops of the threads' stacks. */
struct err *ahead_tops(const struct proc *p, const struct threads *threads, struct ranges *ahead)
{
	for (size_t i = 0; i < threads->n; i++)
		if (threads->v[i].valid)
			TRY(vec_push(ahead, ((struct range){ threads->v[i].regs[p->machine->sp],
							     STACK_TOP })));
	return NULL;
}

static struct err *ahead_array(const struct proc *p, uint64_t ptr, uint64_t len,
			       struct ranges *ahead)
{
	return ptr && len && len <= ARRAY_MAX / p->fmt.word ?
		       vec_push(ahead, ((struct range){ ptr, len * p->fmt.word })) :
		       NULL;
}

/* `size` bytes at `off` behind where each of the len pointers at ptr leads. */
static struct err *ahead_elements(const struct proc *p, uint64_t ptr, uint64_t len, uint64_t off,
				  uint64_t size, struct ranges *ahead)
{
	uint64_t at;

	if (len > ARRAY_MAX / size)
		return NULL;
	for (uint64_t i = 0; i < len; i++)
		if (proc_try_word(p, ptr + i * p->fmt.word, &at) && at)
			TRY(vec_push(ahead, ((struct range){ at + off, size })));
	return NULL;
}

/* runtime.itabTable, as far as it is known: its head, its entries, the itabs (capture_itabs()). */
static struct err *ahead_itabs(const struct proc *p, struct ranges *ahead)
{
	uint64_t table, size, itab, len = layout_size(&p->layout, LS_itab), word = p->fmt.word;

	if (!p->var.itabTable || !proc_try_word(p, p->var.itabTable, &table))
		return NULL;
	if (!proc_try_word(p, table, &size))
		return vec_push(ahead, ((struct range){ table, 2 * word }));
	if (size > LIMIT_ITABS)
		return NULL;
	if (!image_ptr(p->img, table + 2 * word, size * word, NULL))
		return vec_push(ahead, ((struct range){ table + 2 * word, size * word }));
	for (uint64_t i = 0; i < size; i++)
		if (proc_try_word(p, table + (2 + i) * word, &itab) && itab &&
		    !image_ptr(p->img, itab, len, NULL))
			TRY(vec_push(ahead, ((struct range){ itab, len })));
	return NULL;
}

/* The used part of the stack of the g whose struct is b, if it runs or waits in a system call. */
static struct err *ahead_stack(const struct proc *p, const uint8_t *b,
			       const struct threads *threads, struct ranges *ahead)
{
	const uint8_t *stack = b + layout_off(&p->layout, L_g_stack);
	uint64_t lo = proc_peek(p, stack, L_stack_lo), hi = proc_peek(p, stack, L_stack_hi);
	uint64_t status = proc_peek(p, b, L_g_atomicstatus) & ~(uint64_t)G_SCAN;
	uint64_t sp = proc_peek(p, b, L_g_syscallsp);

	for (size_t t = 0; t < threads->n && status == G_RUNNING; t++)
		if (threads->v[t].valid && threads->v[t].regs[p->machine->sp] - lo < hi - lo)
			sp = threads->v[t].regs[p->machine->sp];
	if (lo < sp && sp < hi && hi - lo <= ARRAY_MAX)
		return vec_push(ahead, ((struct range){ sp, hi - sp }));
	return NULL;
}

static struct err *ahead_gs(const struct proc *p, const struct threads *threads,
			    struct ranges *ahead)
{
	uint32_t gsize = layout_size(&p->layout, LS_g);
	uint64_t ptr, len, at;

	if (!p->var.allgptr || !proc_try_word(p, p->var.allgptr, &ptr) ||
	    !proc_try_word(p, p->var.allglen, &len))
		return NULL;
	TRY(ahead_array(p, ptr, len, ahead));
	TRY(ahead_elements(p, ptr, len, 0, gsize, ahead));
	TRY(intr_check());
	for (uint64_t i = 0; i < len && i < ARRAY_MAX / gsize; i++) {
		const uint8_t *b = proc_try_word(p, ptr + i * p->fmt.word, &at) ?
					   image_ptr(p->img, at, gsize, NULL) :
					   NULL;

		if (b)
			TRY(ahead_stack(p, b, threads, ahead));
	}
	return NULL;
}

/* allp, which may not be there yet: no error. */
static bool allp_known(const struct proc *p, uint64_t *ptr, uint64_t *len)
{
	return p->var.allp && proc_try_word(p, p->var.allp, ptr) &&
	       proc_try_word(p, p->var.allp + p->fmt.word, len);
}

static struct err *ahead_ps(const struct proc *p, struct ranges *ahead)
{
	const struct layout *l = &p->layout;
	uint64_t ptr, len, at, cache;

	if (!allp_known(p, &ptr, &len))
		return NULL;
	TRY(ahead_array(p, ptr, len, ahead));
	TRY(ahead_elements(p, ptr, len, layout_off(l, L_p_mcache), p->fmt.word, ahead));
	for (uint64_t i = 0; i < len && i < LIMIT_PS; i++)
		if (proc_try_word(p, ptr + i * p->fmt.word, &at) &&
		    proc_try_word(p, at + layout_off(l, L_p_mcache), &cache) && cache)
			TRY(vec_push(ahead, ((struct range){ cache, layout_size(l, LS_mcache) })));
	return NULL;
}

/* gs, ps and their caches, the stacks of what runs or waits in a system call: the next link of
 * each. */
struct err *ahead_scheduler(const struct proc *p, const struct threads *threads,
			    struct ranges *ahead)
{
	TRY(ahead_gs(p, threads, ahead));
	TRY(ahead_ps(p, ahead));
	return ahead_itabs(p, ahead);
}

/* Objects of one size class that has pointers. */
static bool is_scan_class(const struct span *s)
{
	return s->spanclass >> 1 && !(s->spanclass & 1);
}

/* All spans whose slots are the smallest that `size` bytes fit into, if they are few. */
static struct err *ahead_class(const struct spans *s, uint64_t size, struct ranges *ahead)
{
	uint64_t slot = UINT64_MAX, total = 0;
	size_t first = ahead->n;

	for (size_t i = 0; i < s->n; i++)
		if (is_scan_class(&s->v[i]) && s->v[i].elemsize >= size && s->v[i].elemsize < slot)
			slot = s->v[i].elemsize;
	for (size_t i = 0; i < s->n && total <= CLASS_MAX; i++) {
		const struct span *x = &s->v[i];

		if (x->elemsize != slot || x->spanclass & 1)
			continue;
		total += x->npages * GO_PAGE;
		TRY(vec_push(ahead, ((struct range){ x->base, x->npages * GO_PAGE })));
	}
	if (total > CLASS_MAX)
		ahead->n = first;
	return NULL;
}

/* Spans with slots of an m's or a g's size. */
struct err *ahead_spans(const struct captured *c, struct ranges *ahead)
{
	TRY(ahead_class(&c->spans, layout_size(&c->proc.layout, LS_m), ahead));
	return ahead_class(&c->spans, layout_size(&c->proc.layout, LS_g), ahead);
}
