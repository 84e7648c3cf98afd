/*
 * What each group of goroutines alone keeps alive.
 *
 * Every object gets an owner: nobody, one group, or several.  Its owner changes at most twice, so
 * that each object is expanded at most twice, whatever the number of groups.
 *
 * The runtime's structs g, m and p lead everywhere, and nobody owns them: what a g points to
 * belongs to its goroutine.
 */
#include <stdlib.h>

#include "base/huge.h"
#include "base/intr.h"
#include "heap/report/goroutine_heap.h"

enum { NOBODY = 0, SEVERAL = UINT32_MAX };

struct owning {
	struct captured *h;
	uint32_t *owner;    /* by object id: a group's index + 1 */
	VEC(uint32_t) todo; /* scan ids */
};

static void owning_deinit(struct owning *o)
{
	free(o->owner);
	vec_deinit(&o->todo);
}

/* What a pointer leads to is now owned by `owner`, too. */
static struct err *own(struct owning *o, uint64_t value, uint32_t owner)
{
	const struct span *sp = spans_find(&o->h->spans, value);
	uint32_t index, *now;

	if (!sp)
		return NULL;
	index = span_index(sp, value);
	now = &o->owner[sp->first_id + index];
	if (*now == owner || *now == SEVERAL || !span_alive(sp, index) ||
	    (sp->scheduler && map64_get(&o->h->scheduler, sp->first_id + index)))
		return NULL;
	*now = *now == NOBODY ? owner : SEVERAL;
	return sp->ptrs == SPAN_NOSCAN ? NULL : vec_push(&o->todo, sp->first_scan + index);
}

static struct err *expand(struct owning *o, const struct span *sp, uint32_t index, uint32_t owner)
{
	const struct proc *p = &o->h->proc;
	struct ptr_iter it;
	uint64_t word;
	bool bad = false;

	if (!ptr_iter_init(&it, p, &o->h->masks, sp, index, &bad))
		return NULL;
	ptr_iter_touch(&it, p->img, 0);
	while (ptr_iter_next(&it, &word))
		TRY(own(o, ptr_iter_value(&it, p->fmt, word), owner));
	return NULL;
}

/* What a g, m or p itself points to. */
static struct err *expand_at(struct owning *o, uint64_t addr, uint32_t owner)
{
	const struct span *sp = spans_find(&o->h->spans, addr);

	return sp && sp->ptrs != SPAN_NOSCAN ? expand(o, sp, span_index(sp, addr), owner) : NULL;
}

static struct err *own_roots(struct owning *o, const struct map64 *of_g)
{
	const struct captured *h = o->h;
	uint64_t ptr, len, pp;

	for (size_t i = 0; i < h->roots.n; i++) {
		const struct root *r = &h->roots.v[i];
		uint64_t *group = r->frame == UINT32_MAX ?
					  NULL :
					  map64_get(of_g, h->stacks.frames.v[r->frame].g);

		TRY(own(o, r->value, group ? (uint32_t)*group + 1 : SEVERAL));
	}
	for (size_t i = 0; i < h->stacks.gs.n; i++) {
		uint64_t *group = map64_get(of_g, i);

		TRY(expand_at(o, h->stacks.gs.v[i].addr, group ? (uint32_t)*group + 1 : SEVERAL));
	}
	for (size_t i = 0; i < h->stacks.ms.n; i++)
		TRY(expand_at(o, h->stacks.ms.v[i].addr, SEVERAL));
	TRY(proc_slice(&h->proc, h->proc.var.allp, &ptr, &len));
	for (uint64_t i = 0; i < len; i++)
		if (proc_try_word(&h->proc, ptr + i * h->proc.fmt.word, &pp))
			TRY(expand_at(o, pp, SEVERAL));
	return NULL;
}

static struct err *own_reached(struct owning *o)
{
	uint64_t steps = 0;

	while (o->todo.n) {
		uint32_t scan = o->todo.v[--o->todo.n];
		const struct span *sp = spans_of_scan(&o->h->spans, scan);
		uint32_t index = scan - sp->first_scan;

		if (!(++steps & 0xffff))
			TRY(intr_check());
		TRY(expand(o, sp, index, o->owner[sp->first_id + index]));
	}
	return NULL;
}

struct err *alone_count(struct captured *h, const struct map64 *of_g,
			struct goroutine_groups *groups)
{
	_cleanup_(owning_deinit) struct owning o = { .h = h };

	o.owner = calloc(h->spans.nids + 1, sizeof(*o.owner));
	if (!o.owner)
		return err_nomem();
	huge_empty(o.owner, h->spans.nids * sizeof(*o.owner));
	TRY(own_roots(&o, of_g));
	TRY(own_reached(&o));
	for (size_t i = 0; i < h->spans.n; i++) {
		for (uint32_t k = 0; k < h->spans.v[i].nelems; k++) {
			uint32_t owner = o.owner[h->spans.v[i].first_id + k];

			if (owner == NOBODY || owner == SEVERAL)
				continue;
			groups->v[owner - 1].alone.objects++;
			groups->v[owner - 1].alone.bytes += h->spans.v[i].elemsize;
		}
	}
	return NULL;
}
