/*
 * What each group of goroutines alone keeps alive.
 *
 * Every object gets an owner: none, a group, or several.  It changes at most twice, so that each
 * object is expanded at most twice, whatever the number of groups.
 *
 * gs, ms and ps lead everywhere and are owned by nobody: what a g points to is its goroutine's.
 */
#include <stdlib.h>

#include "base/huge.h"
#include "base/intr.h"
#include "heap/report/goroutine_heap.h"

enum { NOBODY = 0, SEVERAL = UINT32_MAX };

struct owning {
	struct heap *h;
	uint32_t *owner;    /* by object id: a group's index + 1 */
	VEC(uint32_t) todo; /* scan ids */
};

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
	struct err *err = NULL;
	struct ptr_iter it;
	uint64_t word;
	bool bad = false;

	if (!ptr_iter_init(&it, p, &o->h->masks, sp, index, &bad))
		return NULL;
	image_touch(p->img, it.data);
	while (!err && ptr_iter_next(&it, &word))
		err = own(o, bytes_word(p->fmt, it.data + word * p->fmt.word), owner);
	return err;
}

/* What a g, m or p itself points to. */
static struct err *expand_at(struct owning *o, uint64_t addr, uint32_t owner)
{
	const struct span *sp = spans_find(&o->h->spans, addr);

	return sp && sp->ptrs != SPAN_NOSCAN ? expand(o, sp, span_index(sp, addr), owner) : NULL;
}

static struct err *own_roots(struct owning *o, const struct map64 *of_g)
{
	const struct heap *h = o->h;
	uint64_t ptr, len = 0, pp;
	struct err *err = NULL;

	for (size_t i = 0; i < h->roots.n && !err; i++) {
		const struct root *r = &h->roots.v[i];
		uint64_t *group = r->frame == UINT32_MAX ?
					  NULL :
					  map64_get(of_g, h->stacks.frames.v[r->frame].g);

		err = own(o, r->value, group ? (uint32_t)*group + 1 : SEVERAL);
	}
	for (size_t i = 0; i < h->stacks.gs.n && !err; i++) {
		uint64_t *group = map64_get(of_g, i);

		err = expand_at(o, h->stacks.gs.v[i].addr, group ? (uint32_t)*group + 1 : SEVERAL);
	}
	for (size_t i = 0; i < h->stacks.ms.n && !err; i++)
		err = expand_at(o, h->stacks.ms.v[i].addr, SEVERAL);
	if (!err)
		err = proc_slice(&h->proc, h->proc.var.allp, &ptr, &len);
	for (uint64_t i = 0; i < len && !err; i++)
		if (proc_try_word(&h->proc, ptr + i * h->proc.fmt.word, &pp))
			err = expand_at(o, pp, SEVERAL);
	return err;
}

struct err *alone_count(struct heap *h, const struct map64 *of_g, struct goroutine_groups *groups)
{
	struct owning o = { .h = h, .owner = calloc(h->spans.nids + 1, sizeof(*o.owner)) };
	struct err *err = o.owner ? own_roots(&o, of_g) : err_nomem();
	uint64_t steps = 0;

	if (o.owner)
		huge_empty(o.owner, h->spans.nids * sizeof(*o.owner));
	while (!err && o.todo.n) {
		uint32_t scan = o.todo.v[--o.todo.n];
		const struct span *sp = spans_of_scan(&h->spans, scan);
		uint32_t index = scan - sp->first_scan;

		if (!(++steps & 0xffff))
			err = intr_check();
		if (!err)
			err = expand(&o, sp, index, o.owner[sp->first_id + index]);
	}
	for (size_t i = 0; i < h->spans.n && !err; i++)
		for (uint32_t k = 0; k < h->spans.v[i].nelems; k++) {
			uint32_t owner = o.owner[h->spans.v[i].first_id + k];

			if (owner == NOBODY || owner == SEVERAL)
				continue;
			groups->v[owner - 1].alone.objects++;
			groups->v[owner - 1].alone.bytes += h->spans.v[i].elemsize;
		}
	vec_deinit(&o.todo);
	free(o.owner);
	return err;
}
