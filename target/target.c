/* What all kinds of targets share; their own parts are in target/live.c, core.c, guest_target.c. */
#include "target/target.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "target/target_int.h"

void target_destroy(struct target *t)
{
	if (!t)
		return;
	vec_deinit(&t->peeked);
	buf_deinit(&t->auxv);
	t->ops->destroy(t);
}

struct mem_source *target_memory(struct target *t)
{
	return &t->source;
}

const struct arch *target_arch(const struct target *t)
{
	return t->arch;
}

struct err *target_peek(struct target *t, struct mem_range *r)
{
	TRY(t->source.readv(&t->source, r, 1));
	return r->got ? vec_push(&t->peeked, ((struct range){ r->addr, r->got })) : NULL;
}

const struct ranges *target_peeked(const struct target *t)
{
	return &t->peeked;
}

void target_set_progress(struct target *t, void (*progress)(void *arg, uint64_t bytes), void *arg)
{
	t->progress = progress;
	t->progress_arg = arg;
}

void target_set_most(struct target *t, uint64_t bytes, const char *why)
{
	t->source.most = bytes;
	t->source.most_why = why;
}

struct err *target_threads(struct target *t, struct threads *ret)
{
	return t->ops->threads(t, ret);
}

/* A damaged core can have a tid twice. */
static int thread_cmp(const void *a, const void *b)
{
	const struct thread *x = a, *y = b;

	if (x->tid != y->tid)
		return x->tid < y->tid ? -1 : 1;
	return memcmp(x->regs, y->regs, sizeof(x->regs));
}

void threads_sort(struct threads *threads)
{
	if (threads->n)
		qsort(threads->v, threads->n, sizeof(*threads->v), thread_cmp);
}

struct err *target_auxv_bytes(struct target *t, const struct buf **ret)
{
	if (!t->auxv_read)
		TRY(t->ops->auxv(t, &t->auxv));
	t->auxv_read = true;
	*ret = &t->auxv;
	return NULL;
}

struct err *target_auxv(struct target *t, uint64_t type, uint64_t *ret)
{
	const struct buf *auxv;
	struct cursor c;

	TRY(target_auxv_bytes(t, &auxv));
	c = cursor_make(auxv->data, auxv->len, t->arch->fmt);
	while (cursor_left(&c)) {
		uint64_t key = cursor_word(&c), val = cursor_word(&c);

		if (c.bad || key == 0)
			break;
		if (key == type) {
			*ret = val;
			return NULL;
		}
	}
	return err_create(ERR_NODEBUG, "the auxiliary vector has no entry %" PRIu64, type);
}
