/* Goroutines by group (--goroutines), and the story of what waits for finalizers. */
#include "output/internal.h"

#include <inttypes.h>

enum { SHOWN = 40 };

static struct err *add_wait(struct buf *b, const struct goroutine_group *g)
{
	char lo[TEXT_TIME_SIZE], hi[TEXT_TIME_SIZE];

	if (!g->wait_max_ns)
		return NULL;
	if (g->count == 1)
		return buf_addf(b, ", at least %s", text_time(g->wait_max_ns, hi));
	return buf_addf(b, ", at least %s to %s", text_time(g->wait_min_ns, lo),
			text_time(g->wait_max_ns, hi));
}

static struct err *add_group(struct buf *b, const struct goroutine_group *g)
{
	char bytes[TEXT_BYTES_SIZE], n[TEXT_COUNT_SIZE], s[TEXT_BYTES_SIZE];
	struct err *err;

	err = buf_addf(b, "\n%s goroutine%s ", text_count(g->count, n), g->count == 1 ? "" : "s");
	if (!err)
		err = g->count == 1 ? buf_addf(b, "(%" PRIu64 ") ", g->goid) :
				      buf_addf(b, "(the first is %" PRIu64 ") ", g->goid);
	if (!err)
		err = text_add_clean(b, g->state, false);
	if (!err)
		err = add_wait(b, g);
	if (!err)
		err = buf_addf(b, "; alone keep%s %s in %s object%s", g->count == 1 ? "s" : "",
			       text_bytes(g->alone.bytes, bytes), text_count(g->alone.objects, n),
			       g->alone.objects == 1 ? "" : "s");
	if (!err)
		err = buf_addf(b, "; stacks %s\n", text_bytes(g->stack_bytes, s));
	for (uint32_t i = g->nframes; i-- && !err;) {
		err = buf_addstr(b, "        ");
		if (!err)
			err = text_add_clean(b, g->frames[i], false);
		if (!err)
			err = buf_addstr(b, "\n");
	}
	if (!err && g->created_by) {
		err = buf_addstr(b, "    created by ");
		if (!err)
			err = text_add_clean(b, g->created_by, false);
		if (!err)
			err = buf_addstr(b, "\n");
	}
	return err;
}

struct err *goroutines_add(struct buf *b, const struct goroutine_report *r, bool all)
{
	uint64_t left = 0;
	char n[TEXT_COUNT_SIZE];
	struct err *err;

	if (!r->grouped)
		return NULL;
	err = buf_addf(b,
		       "\ngoroutines   %s groups of equal stacks, the innermost function first\n",
		       text_count(r->groups.n, n));
	for (size_t i = 0; i < r->groups.n && !err; i++) {
		if (i >= SHOWN && !all)
			left += r->groups.v[i].count;
		else
			err = add_group(b, &r->groups.v[i]);
	}
	if (!err && left)
		err = buf_addf(b, "\n(%s more goroutines; *.txt has all)\n", text_count(left, n));
	return err;
}

static struct err *add_worker(struct buf *b, const struct finalizer_worker *w)
{
	char t[TEXT_TIME_SIZE];
	struct err *err;

	err = buf_addf(b, "             goroutine %" PRIu64 ", which runs %s, is in ", w->goid,
		       w->cleanups ? "cleanups" : "finalizers");
	if (!err)
		err = text_add_clean(b, w->function, false);
	if (!err && w->blocked_in != w->function) {
		err = buf_addstr(b, ", there in ");
		if (!err)
			err = text_add_clean(b, w->blocked_in, false);
	}
	if (!err)
		err = buf_addstr(b, ": ");
	if (!err)
		err = text_add_clean(b, w->state, false);
	if (!err && w->wait_ns)
		err = buf_addf(b, ", for at least %s", text_time(w->wait_ns, t));
	return err ? err : buf_addstr(b, "\n");
}

/* Nothing if nothing waits and nobody is at work. */
struct err *finalizers_add(struct buf *b, const struct report *r)
{
	const struct account *a = &r->account;
	uint64_t behind = a->live[LIVE_QUEUED].bytes;
	char s[TEXT_BYTES_SIZE], n[TEXT_COUNT_SIZE], m[TEXT_COUNT_SIZE];
	bool busy = false;
	struct err *err;

	for (size_t i = 0; i < r->goroutines_of.workers.n; i++)
		busy |= r->goroutines_of.workers.v[i].busy;
	if (!busy && !a->finalizers_queued && !a->cleanups_queued)
		return NULL;
	err = buf_addf(b,
		       "\nfinalizers   %s finalizer%s and %s cleanup%s are due; %s wait for them\n",
		       text_count(a->finalizers_queued, n), a->finalizers_queued == 1 ? "" : "s",
		       text_count(a->cleanups_queued, m), a->cleanups_queued == 1 ? "" : "s",
		       text_bytes(behind, s));
	for (size_t i = 0; i < r->goroutines_of.workers.n && !err; i++)
		if (r->goroutines_of.workers.v[i].busy)
			err = add_worker(b, &r->goroutines_of.workers.v[i]);
	return err;
}
