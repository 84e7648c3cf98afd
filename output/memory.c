/*
 * The account in the summary (heap/profile/account.h): where all of the process's memory is, a line
 * for each part of it.
 */
#include "output/internal.h"

#include <inttypes.h>

static struct err *add_line(struct buf *b, uint64_t bytes, const char *what)
{
	char s[TEXT_BYTES_SIZE];

	return buf_addf(b, "%12s  %s", text_bytes(bytes, s), what);
}

/* ", 12.0 MiB goroutines" */
static struct err *add_part(struct buf *b, bool *first, uint64_t bytes, const char *what)
{
	char s[TEXT_BYTES_SIZE];
	struct err *err;

	if (!bytes)
		return NULL;
	err = buf_addf(b, "%s%s %s", *first ? ": " : ", ", text_bytes(bytes, s), what);
	*first = false;
	return err;
}

static struct err *add_live(struct buf *b, const struct account *a, uint64_t live)
{
	bool first = true;

	TRY(add_line(b, live, "live"));
	for (unsigned i = 0; i < LIVE_N; i++)
		TRY(add_part(b, &first, a->live[i].bytes, live_kind_name(i)));
	return buf_addstr(b, "\n");
}

/* How much of the live bytes no object needs, as far as that is known. */
static struct err *add_rounding(struct buf *b, const struct account *a, uint64_t live)
{
	char s[TEXT_BYTES_SIZE];

	TRY(buf_addf(b, "                of that size classes cost %s",
		     text_bytes(a->class_waste, s)));
	TRY(buf_addf(b, " (known of %.0f %%), ends of large objects %s",
		     live ? 100.0 * (double)a->sized.bytes / (double)live : 0,
		     text_bytes(a->large_rounding, s)));
	return buf_addf(b, "; tiny blocks are %s\n", text_bytes(a->tiny.bytes, s));
}

static struct err *add_unreachable(struct buf *b, const struct account *a)
{
	bool first = true;

	TRY(add_line(b, account_unreachable(a), "unreachable"));
	TRY(add_part(b, &first, a->garbage.bytes, "garbage"));
	TRY(add_part(b, &first, a->unswept.bytes, "garbage of the last collection, not swept yet"));
	TRY(add_part(b, &first, a->waiting.bytes, "waiting only for their finalizers"));
	return buf_addstr(b, "\n");
}

/* Names the size of slots whose free ones take most. */
static struct err *add_free(struct buf *b, const struct account *a)
{
	char s[TEXT_BYTES_SIZE];
	unsigned most = 0;

	TRY(add_line(b, a->free_slots.bytes, "free slots in spans that are in use"));
	for (unsigned i = 1; i < SIZE_CLASSES; i++)
		if (a->free_class[i].bytes > a->free_class[most].bytes)
			most = i;
	if (a->free_class[most].bytes)
		TRY(buf_addf(b, ": most in those of %" PRIu64 " bytes, %s", a->class_size[most],
			     text_bytes(a->free_class[most].bytes, s)));
	return buf_addstr(b, "\n");
}

static struct err *add_stacks(struct buf *b, const struct account *a)
{
	char s[TEXT_BYTES_SIZE], n[TEXT_COUNT_SIZE];
	bool first = true;

	TRY(add_line(b, a->stack_inuse, "stacks"));
	for (unsigned i = 0; i < STACK_N; i++) {
		if (!a->stacks[i].count)
			continue;
		TRY(buf_addf(b, "%s%s goroutine%s %s ", first ? ": " : ", ",
			     text_count(a->stacks[i].count, n), a->stacks[i].count == 1 ? "" : "s",
			     stack_state_name(i)));
		TRY(buf_addf(b, "%s", text_bytes(a->stacks[i].bytes, s)));
		TRY(buf_addf(b, " (%s used)", text_bytes(a->stacks[i].used, s)));
		first = false;
	}
	TRY(add_part(b, &first, a->dead_stacks.bytes, "of ended goroutines"));
	TRY(add_part(b, &first, a->thread_stacks.bytes, "of threads"));
	TRY(add_part(b, &first, a->stack_pool, "free"));
	return buf_addstr(b, "\n");
}

static struct err *add_runtime(struct buf *b, const struct account *a)
{
	uint64_t all = a->mspan_sys + a->mcache_sys + a->buckhash_sys + account_gc_sys(a) +
		       a->other_sys + a->stack_sys_own;
	bool first = true;

	TRY(add_line(b, all, "the runtime's structures"));
	TRY(add_part(b, &first, account_gc_sys(a), "for the collector"));
	TRY(add_part(b, &first, a->mspan_sys, "span tables"));
	TRY(add_part(b, &first, a->mcache_sys, "caches"));
	TRY(add_part(b, &first, a->buckhash_sys, "profiling buckets"));
	TRY(add_part(b, &first, a->stack_sys_own, "threads' stacks"));
	TRY(add_part(b, &first, a->other_sys, "other"));
	return buf_addstr(b, "\n");
}

struct err *memory_add(struct buf *b, const struct report *r)
{
	const struct account *a = &r->account;
	char s[TEXT_BYTES_SIZE];

	if (!a->heap)
		return NULL;
	TRY(buf_addf(b, "\nmemory       %s %s\n",
		     text_bytes(a->counters ? a->sys : a->heap_inuse + a->manual, s),
		     a->counters ? "obtained from the system" :
				   "in spans; what else there is cannot be found without symbols"));
	TRY(add_live(b, a, r->live_bytes));
	TRY(add_rounding(b, a, r->live_bytes));
	TRY(add_unreachable(b, a));
	TRY(add_free(b, a));
	TRY(add_line(b, a->tails, "ends of spans, and pointer bitmaps there\n"));
	if (a->counters)
		TRY(add_line(b, a->heap_idle - a->heap_released, "idle spans\n"));
	if (a->counters)
		TRY(add_line(b, a->heap_released, "idle spans released to the system\n"));
	TRY(add_stacks(b, a));
	if (a->counters)
		TRY(add_runtime(b, a));
	return NULL;
}

struct err *memory_add_short(struct buf *b, const struct report *r)
{
	const struct account *a = &r->account;
	char s[TEXT_BYTES_SIZE];
	bool first = true;

	if (!a->heap)
		return NULL;
	TRY(buf_addf(b, "\nmemory       %s",
		     text_bytes(a->counters ? a->sys : a->heap_inuse + a->manual, s)));
	TRY(add_part(b, &first, r->live_bytes, "live"));
	TRY(add_part(b, &first, account_unreachable(a), "garbage"));
	TRY(add_part(b, &first, a->free_slots.bytes + a->tails, "holes"));
	TRY(buf_addstr(b, ",\n            "));
	first = true;
	TRY(buf_addf(b, " %s stacks", text_bytes(a->stack_inuse, s)));
	first = false;
	if (a->counters) {
		TRY(add_part(b, &first, a->heap_idle - a->heap_released, "idle"));
		TRY(add_part(b, &first,
			     a->mspan_sys + a->mcache_sys + a->buckhash_sys + account_gc_sys(a) +
				     a->other_sys + a->stack_sys_own,
			     "of the runtime"));
	}
	return buf_addstr(b, "\n");
}

struct err *memory_add_memstats(struct buf *b, const struct account *a)
{
	if (!a->heap)
		return NULL;
	return buf_addf(
		b,
		"memstats: HeapAlloc=%" PRIu64 " HeapInuse=%" PRIu64 " HeapIdle=%" PRIu64
		" HeapReleased=%" PRIu64 " HeapSys=%" PRIu64 " StackInuse=%" PRIu64
		" StackSys=%" PRIu64 " MSpanInuse=%" PRIu64 " MSpanSys=%" PRIu64
		" MCacheInuse=%" PRIu64 " MCacheSys=%" PRIu64 " BuckHashSys=%" PRIu64
		" GCSys=%" PRIu64 " OtherSys=%" PRIu64 " Sys=%" PRIu64 "\n"
		"account: live=%" PRIu64 " garbage=%" PRIu64 " unswept=%" PRIu64 " waiting=%" PRIu64
		" free_slots=%" PRIu64 " tails=%" PRIu64 " large_rounding=%" PRIu64
		" sized=%" PRIu64 " class_waste=%" PRIu64 " tiny=%" PRIu64
		" finalizers_queued=%" PRIu64 " cleanups_queued=%" PRIu64 " stacks_dead=%" PRIu64
		" stacks_threads=%" PRIu64 " stacks_free=%" PRIu64 " live_variables=%" PRIu64
		" live_goroutines=%" PRIu64 " live_finalizers=%" PRIu64 " live_cleanups=%" PRIu64
		" live_queued=%" PRIu64 " live_weak=%" PRIu64 " live_timers=%" PRIu64
		" live_runtime=%" PRIu64 "\n",
		a->heap_alloc, a->heap_inuse, a->heap_idle, a->heap_released,
		a->heap_inuse + a->heap_idle, a->stack_inuse, a->stack_inuse + a->stack_sys_own,
		a->mspan_inuse, a->mspan_sys, a->mcache_inuse, a->mcache_sys, a->buckhash_sys,
		account_gc_sys(a), a->other_sys, a->sys, a->heap_alloc - account_unreachable(a),
		a->garbage.bytes, a->unswept.bytes, a->waiting.bytes, a->free_slots.bytes, a->tails,
		a->large_rounding, a->sized.bytes, a->class_waste, a->tiny.bytes,
		a->finalizers_queued, a->cleanups_queued, a->dead_stacks.bytes,
		a->thread_stacks.bytes, a->stack_pool, a->live[LIVE_VARIABLES].bytes,
		a->live[LIVE_GOROUTINES].bytes, a->live[LIVE_FINALIZERS].bytes,
		a->live[LIVE_CLEANUPS].bytes, a->live[LIVE_QUEUED].bytes, a->live[LIVE_WEAK].bytes,
		a->live[LIVE_TIMERS].bytes, a->live[LIVE_RUNTIME].bytes);
}

struct err *outside_add(struct buf *b, const struct report *r)
{
	const struct outside *o = &r->outside;
	char s[TEXT_BYTES_SIZE], whole[TEXT_BYTES_SIZE];
	bool first = true;

	if (!o->known)
		return NULL;
	TRY(buf_addf(b, "outside      %s of %s in %s are not Go's",
		     text_bytes(o->rss - o->heap - o->runtime, s), text_bytes(o->rss, whole),
		     o->core ? "the core (used or not)" : "memory"));
	TRY(add_part(b, &first, o->c_heap, "C heap"));
	TRY(add_part(b, &first, o->anonymous, "anonymous mappings"));
	TRY(add_part(b, &first, o->files, "files"));
	TRY(add_part(b, &first, o->stacks + o->other, "other"));
	TRY(buf_addstr(b, "\n"));
	if (o->live_absent < r->live_bytes / 100 + 1)
		return NULL;
	TRY(buf_addf(b, "             of what is live %s%s are not in memory",
		     o->absent_known ? "" : "at least ", text_bytes(o->live_absent, s)));
	if (o->absent_root && o->absent_root_bytes >= o->live_absent / 2) {
		TRY(buf_addf(b, ": %s of ", text_bytes(o->absent_root_bytes, s)));
		TRY(text_add_clean(b, o->absent_root, false));
	}
	return buf_addstr(b, "\n");
}
