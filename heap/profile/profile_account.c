/* What is not live, as roots of their own: with them a profile adds up to what the process has
 * of the system. */
#include <inttypes.h>
#include <stdio.h>

#include "heap/profile/profile.h"

/* Below node `at` (0: a root), with what it holds itself. */
static struct err *add(struct profile *p, uint32_t at, const char *frame, uint64_t bytes,
		       uint64_t objects)
{
	struct err *err;
	uint32_t node;

	if (!bytes)
		return NULL;
	err = profile_child(p, at, frame, &node);
	if (err)
		return err;
	if (!at)
		p->nodes.v[node].kind = LIVE_N;
	p->nodes.v[node].bytes += bytes;
	p->nodes.v[node].objects += objects;
	return NULL;
}

static struct err *root(struct profile *p, const char *frame, uint32_t *ret)
{
	struct err *err = profile_child(p, 0, frame, ret);

	if (!err)
		p->nodes.v[*ret].kind = LIVE_N;
	return err;
}

static struct err *add_stack(struct profile *p, uint32_t at, const char *of,
			     const struct stack_amount *a)
{
	uint32_t node;
	struct err *err;

	if (!a->bytes)
		return NULL;
	err = profile_child(p, at, of, &node);
	if (!err)
		err = add(p, node, "used", a->used, a->count);
	return err ? err : add(p, node, "unused", a->bytes - a->used, 0);
}

static struct err *add_stacks(struct profile *p, const struct account *a)
{
	uint32_t at;
	struct err *err = root(p, "[stacks]", &at);

	for (unsigned i = 0; i < STACK_N && !err; i++) {
		char name[64];

		snprintf(name, sizeof(name), "goroutines %s", stack_state_name(i));
		err = add_stack(p, at, name, &a->stacks[i]);
	}
	if (!err)
		err = add(p, at, "ended goroutines", a->dead_stacks.bytes, a->dead_stacks.count);
	if (!err)
		err = add_stack(p, at, "threads", &a->thread_stacks);
	if (!err)
		err = add(p, at, "free", a->stack_pool, 0);
	return err ? err : add(p, at, "of threads, not the heap's", a->stack_sys_own, 0);
}

static struct err *add_free(struct profile *p, const struct account *a)
{
	uint32_t at;
	struct err *err = root(p, "[free slots]", &at);

	for (unsigned i = 1; i < SIZE_CLASSES && !err; i++) {
		char name[64];

		snprintf(name, sizeof(name), "%" PRIu64 " bytes", a->class_size[i]);
		err = add(p, at, name, a->free_class[i].bytes, a->free_class[i].objects);
	}
	return err;
}

struct err *profile_add_account(struct profile *p, const struct account *a)
{
	uint32_t at;
	struct err *err = root(p, "[unreachable]", &at);

	if (!err)
		err = add(p, at, "garbage", a->garbage.bytes, a->garbage.objects);
	if (!err)
		err = add(p, at, "not swept yet", a->unswept.bytes, a->unswept.objects);
	if (!err)
		err = add(p, at, "waiting for their finalizers", a->waiting.bytes,
			  a->waiting.objects);
	if (!err)
		err = add_free(p, a);
	if (!err)
		err = add(p, 0, "[ends of spans]", a->tails, 0);
	if (!err)
		err = add_stacks(p, a);
	if (err || !a->counters)
		return err;
	err = root(p, "[idle spans]", &at);
	if (!err)
		err = add(p, at, "kept", a->heap_idle - a->heap_released, 0);
	if (!err)
		err = add(p, at, "released to the system", a->heap_released, 0);
	if (!err)
		err = root(p, "[the runtime's structures]", &at);
	if (!err)
		err = add(p, at, "for the collector", account_gc_sys(a), 0);
	if (!err)
		err = add(p, at, "span tables", a->mspan_sys, 0);
	if (!err)
		err = add(p, at, "caches", a->mcache_sys, 0);
	if (!err)
		err = add(p, at, "profiling buckets", a->buckhash_sys, 0);
	return err ? err : add(p, at, "other", a->other_sys, 0);
}
