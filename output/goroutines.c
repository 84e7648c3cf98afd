/*
 * Goroutines in the summary: the groups of --goroutines, with what each alone keeps alive, and
 * which goroutine holds up the finalizers and cleanups that are due.
 */
#include "output/internal.h"

#include <inttypes.h>

enum { SHOWN = 40 }; /* groups on a terminal; files have all */

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

/* "        main.serve  /src/server/main.go:42" */
static struct err *add_line(struct buf *b, const char *before, const struct code_line *at)
{
	TRY(buf_addstr(b, before));
	TRY(text_add_clean(b, at->function, false));
	if (at->file) {
		TRY(buf_addstr(b, "  "));
		TRY(text_add_clean(b, at->file, false));
		TRY(buf_addf(b, ":%" PRIu32, at->line));
	}
	return buf_addstr(b, "\n");
}

static struct err *add_group(struct buf *b, const struct goroutine_group *g)
{
	char bytes[TEXT_BYTES_SIZE], n[TEXT_COUNT_SIZE], s[TEXT_BYTES_SIZE];

	TRY(buf_addf(b, "\n%s goroutine%s ", text_count(g->count, n), g->count == 1 ? "" : "s"));
	TRY(g->count == 1 ? buf_addf(b, "(%" PRIu64 ") ", g->goid) :
			    buf_addf(b, "(the first is %" PRIu64 ") ", g->goid));
	TRY(text_add_clean(b, g->state, false));
	if (g->verdict == VERDICT_LEAKED)
		TRY(buf_addstr(b, ", leaked"));
	TRY(add_wait(b, g));
	TRY(buf_addf(b, "; alone keep%s %s in %s object%s", g->count == 1 ? "s" : "",
		     text_bytes(g->alone.bytes, bytes), text_count(g->alone.objects, n),
		     g->alone.objects == 1 ? "" : "s"));
	TRY(buf_addf(b, "; stacks %s\n", text_bytes(g->stack_bytes, s)));
	for (uint32_t i = g->nframes; i--;)
		TRY(add_line(b, "        ", &g->stack[i]));
	return g->created_by.function ? add_line(b, "    created by ", &g->created_by) : NULL;
}

struct err *goroutines_add(struct buf *b, const struct goroutine_report *r, bool all)
{
	uint64_t left = 0, own = 0;
	size_t shown = 0;
	char n[TEXT_COUNT_SIZE];

	if (!r->grouped || r->hidden)
		return NULL;
	TRY(buf_addf(b, "\ngoroutines   %s groups, by the program's function that they are in\n",
		     text_count(r->groups.n, n)));
	if (r->leaked)
		TRY(buf_addf(b, "             %s leaked: nothing can wake %s\n",
			     text_count(r->leaked, n), r->leaked == 1 ? "it" : "them"));
	for (size_t i = 0; i < r->groups.n; i++) {
		if (r->groups.v[i].own && !all)
			own += r->groups.v[i].count;
		else if (shown >= SHOWN && !all)
			left += r->groups.v[i].count;
		else
			TRY(add_group(b, &r->groups.v[i]));
		shown += all || !r->groups.v[i].own;
	}
	if (left)
		TRY(buf_addf(b, "\n(%s more goroutines; *.txt has all)\n", text_count(left, n)));
	if (own)
		TRY(buf_addf(b, "\n(%s of the runtime's own; -v has them)\n", text_count(own, n)));
	return NULL;
}

static struct err *add_worker(struct buf *b, const struct finalizer_worker *w)
{
	char t[TEXT_TIME_SIZE];

	TRY(buf_addf(b, "             goroutine %" PRIu64 ", which runs %s, is in ", w->goid,
		     w->cleanups ? "cleanups" : "finalizers"));
	TRY(text_add_clean(b, w->function, false));
	if (w->blocked_in != w->function) {
		TRY(buf_addstr(b, ", there in "));
		TRY(text_add_clean(b, w->blocked_in, false));
	}
	TRY(buf_addstr(b, ": "));
	TRY(text_add_clean(b, w->state, false));
	if (w->wait_ns)
		TRY(buf_addf(b, ", for at least %s", text_time(w->wait_ns, t)));
	return buf_addstr(b, "\n");
}

/* Adds nothing if nothing is due and no finalizer runs. */
struct err *finalizers_add(struct buf *b, const struct report *r)
{
	const struct account *a = &r->account;
	uint64_t behind = a->live[LIVE_QUEUED].bytes;
	char s[TEXT_BYTES_SIZE], n[TEXT_COUNT_SIZE], m[TEXT_COUNT_SIZE];
	bool busy = false;

	for (size_t i = 0; i < r->goroutines_of.workers.n; i++)
		busy |= r->goroutines_of.workers.v[i].busy;
	if (!busy && !a->finalizers_queued && !a->cleanups_queued)
		return NULL;
	TRY(buf_addf(b,
		     "\nfinalizers   %s finalizer%s and %s cleanup%s are due; %s wait for them\n",
		     text_count(a->finalizers_queued, n), a->finalizers_queued == 1 ? "" : "s",
		     text_count(a->cleanups_queued, m), a->cleanups_queued == 1 ? "" : "s",
		     text_bytes(behind, s)));
	for (size_t i = 0; i < r->goroutines_of.workers.n; i++)
		if (r->goroutines_of.workers.v[i].busy)
			TRY(add_worker(b, &r->goroutines_of.workers.v[i]));
	return NULL;
}
