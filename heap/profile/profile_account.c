/*
 * What is not live, as roots of their own (--all): with them a profile adds up to all that the
 * process has of the system.
 */
#include <inttypes.h>
#include <stdio.h>

#include "heap/profile/profile.h"

/* Adds a frame below node `at` (0: a root), and what it holds itself.  What is empty is left
 * out. */
static struct err *add_node(struct profile *p, uint32_t at, const char *frame, uint64_t bytes,
			    uint64_t objects)
{
	uint32_t node;

	if (!bytes)
		return NULL;
	TRY(profile_child(p, at, frame, &node));
	if (!at)
		p->nodes.v[node].kind = LIVE_N;
	p->nodes.v[node].bytes += bytes;
	p->nodes.v[node].objects += objects;
	return NULL;
}

static struct err *add_root(struct profile *p, const char *frame, uint32_t *ret)
{
	TRY(profile_child(p, 0, frame, ret));
	p->nodes.v[*ret].kind = LIVE_N;
	return NULL;
}

static struct err *add_stack(struct profile *p, uint32_t at, const char *of,
			     const struct stack_amount *a)
{
	uint32_t node;

	if (!a->bytes)
		return NULL;
	TRY(profile_child(p, at, of, &node));
	TRY(add_node(p, node, "used", a->used, a->count));
	return add_node(p, node, "unused", a->bytes - a->used, 0);
}

static struct err *add_stacks(struct profile *p, const struct account *a)
{
	uint32_t at;

	TRY(add_root(p, "[stacks]", &at));
	for (unsigned i = 0; i < STACK_N; i++) {
		char name[64];

		snprintf(name, sizeof(name), "goroutines %s", stack_state_name(i));
		TRY(add_stack(p, at, name, &a->stacks[i]));
	}
	TRY(add_node(p, at, "ended goroutines", a->dead_stacks.bytes, a->dead_stacks.count));
	TRY(add_stack(p, at, "threads", &a->thread_stacks));
	TRY(add_node(p, at, "free", a->stack_pool, 0));
	return add_node(p, at, "of threads, not the heap's", a->stack_sys_own, 0);
}

static struct err *add_free(struct profile *p, const struct account *a)
{
	uint32_t at;

	TRY(add_root(p, "[free slots]", &at));
	for (unsigned i = 1; i < SIZE_CLASSES; i++) {
		char name[64];

		snprintf(name, sizeof(name), "%" PRIu64 " bytes", a->class_size[i]);
		TRY(add_node(p, at, name, a->free_class[i].bytes, a->free_class[i].objects));
	}
	return NULL;
}

/* What only the runtime's own counters know. */
static struct err *add_counted(struct profile *p, const struct account *a)
{
	uint32_t at;

	TRY(add_root(p, "[idle spans]", &at));
	TRY(add_node(p, at, "kept", a->heap_idle - a->heap_released, 0));
	TRY(add_node(p, at, "released to the system", a->heap_released, 0));
	TRY(add_root(p, "[the runtime's structures]", &at));
	TRY(add_node(p, at, "for the collector", account_gc_sys(a), 0));
	TRY(add_node(p, at, "span tables", a->mspan_sys, 0));
	TRY(add_node(p, at, "caches", a->mcache_sys, 0));
	TRY(add_node(p, at, "profiling buckets", a->buckhash_sys, 0));
	return add_node(p, at, "other", a->other_sys, 0);
}

struct err *profile_add_account(struct profile *p, const struct account *a)
{
	uint32_t at;

	TRY(add_root(p, "[unreachable]", &at));
	TRY(add_node(p, at, "garbage", a->garbage.bytes, a->garbage.objects));
	TRY(add_node(p, at, "not swept yet", a->unswept.bytes, a->unswept.objects));
	TRY(add_node(p, at, "waiting for their finalizers", a->waiting.bytes, a->waiting.objects));
	TRY(add_free(p, a));
	TRY(add_node(p, 0, "[ends of spans]", a->tails, 0));
	TRY(add_stacks(p, a));
	return a->counters ? add_counted(p, a) : NULL;
}
