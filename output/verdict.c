/*
 * The verdict: the first lines of the summary, for someone who will read no more.  What is wrong,
 * as far as that can be told from one look: docs/VERDICTS.md has the rules.
 */
#include "output/internal.h"

#include <inttypes.h>
#include <string.h>

static unsigned percent(uint64_t part, uint64_t whole)
{
	return whole ? (unsigned)((double)part * 100 / (double)whole + 0.5) : 0;
}

/* "20,000 x *main.session, 420 bytes each" */
static struct err *add_many(struct buf *b, const struct suspect *x)
{
	char n[TEXT_COUNT_SIZE], each[TEXT_BYTES_SIZE];

	if (!x->at.count || (x->at.count == 1 && !*x->at.type))
		return NULL;
	TRY(buf_addstr(b, ": "));
	if (x->at.count == 1)
		TRY(buf_addstr(b, "one "));
	else
		TRY(buf_addf(b, "%s × ", text_count(x->at.count, n)));
	TRY(text_add_clean(b, *x->at.type ? x->at.type : "objects", false));
	return buf_addf(b, ", %s%s", text_bytes(x->at.bytes / x->at.count, each),
			x->at.count == 1 ? "" : " each");
}

/* "main.request (server/main.go:57)" */
static struct err *add_call(struct buf *b, const struct code_line *at)
{
	TRY(text_add_short(b, at->function));
	return text_add_place(b, at);
}

/* Where the goroutines are, and where they were made. */
static struct err *add_source(struct buf *b, const struct suspect *x)
{
	TRY(add_call(b, &x->source));
	if (!x->created_by.function)
		return NULL;
	TRY(buf_addstr(b, ", made by "));
	return add_call(b, &x->created_by);
}

static struct err *add_root(struct buf *b, const struct suspect *x)
{
	bool shared = x->alone < x->retained - x->retained / 10;
	char s[TEXT_BYTES_SIZE];

	TRY(text_add_short(b, x->what));
	TRY(buf_addf(b, " keeps %s, %u %% of what is live", text_bytes(x->retained, s),
		     percent(x->retained, x->whole)));
	if (shared && x->alone)
		TRY(buf_addf(b, ", %u %% of it alone", percent(x->alone, x->retained)));
	else if (shared)
		TRY(buf_addstr(b, ", though not alone"));
	if (x->absent >= x->retained / 10 + 1)
		TRY(buf_addf(b, "\n       %s of it are not in memory: never written to, or in swap",
			     text_bytes(x->absent, s)));
	TRY(buf_addstr(b, "\n       "));
	TRY(text_add_path(b, x->path, x->npath));
	TRY(add_many(b, x));
	if (x->source.file) {
		TRY(buf_addstr(b, "\n       at "));
		TRY(add_source(b, x));
	}
	if (!shared || !*x->at.type || strchr(x->at.type, '\''))
		return NULL;
	TRY(buf_addstr(b, "\n       who else does: --why '"));
	TRY(text_add_clean(b, x->at.type, false));
	return buf_addstr(b, "'");
}

/* Where they are, what they do there, for how long, who made them. */
static struct err *add_group(struct buf *b, const struct goroutine_group *g)
{
	const struct code_line *at = g ? goroutine_group_line(g) : NULL;
	char t[TEXT_TIME_SIZE];

	if (!g)
		return NULL;
	TRY(buf_addf(b, "\n       %s",
		     g->verdict == VERDICT_LEAKED ? "leaked, nothing can wake them: " : ""));
	TRY(text_add_clean(b, g->state, false));
	if (at) {
		TRY(buf_addstr(b, " in "));
		TRY(add_call(b, at));
	}
	if (g->wait_max_ns)
		TRY(buf_addf(b, ", for at least %s", text_time(g->wait_max_ns, t)));
	if (!g->created_by.function)
		return NULL;
	TRY(buf_addstr(b, "\n       made by "));
	return add_call(b, &g->created_by);
}

static struct err *add_goroutines(struct buf *b, const struct suspect *x, const struct report *r)
{
	char n[TEXT_COUNT_SIZE], s[TEXT_BYTES_SIZE], each[TEXT_BYTES_SIZE];
	uint64_t all = x->retained + x->stack_bytes;

	TRY(buf_addf(b, "%s goroutines in ", text_count(x->at.count, n)));
	TRY(text_add_short(b, x->what));
	TRY(buf_addf(b, " keep %s, %u %% of what is live", text_bytes(x->retained, s),
		     percent(x->retained, x->whole)));
	TRY(buf_addf(b, "\n       and %s of stacks: %s each", text_bytes(x->stack_bytes, s),
		     text_bytes(x->at.count ? all / x->at.count : all, each)));
	if (x->leaked && x->leaked < x->at.count)
		TRY(buf_addf(b, "\n       %s of them %s leaked: nothing can ever wake %s",
			     text_count(x->leaked, n), x->leaked == 1 ? "is" : "are",
			     x->leaked == 1 ? "it" : "them"));
	return add_group(
		b, goroutine_group_in(&r->goroutines_of, x->npath > 1 ? x->path[1] : x->what));
}

static struct err *add_leaked(struct buf *b, const struct suspect *x)
{
	char n[TEXT_COUNT_SIZE], s[TEXT_BYTES_SIZE];

	TRY(buf_addf(b, "%s goroutine%s leaked, with %s of stacks: nothing can ever wake %s",
		     text_count(x->leaked, n), x->leaked == 1 ? " is" : "s are",
		     text_bytes(x->stack_bytes, s), x->leaked == 1 ? "it" : "them"));
	TRY(buf_addf(b, "\n       %s of them in ", text_count(x->at.count, n)));
	return add_source(b, x);
}

static struct err *add_finalizers(struct buf *b, const struct suspect *x, const struct report *r)
{
	const struct account *a = &r->account;
	char s[TEXT_BYTES_SIZE], n[TEXT_COUNT_SIZE], t[TEXT_TIME_SIZE];
	uint64_t due = a->finalizers_queued + a->cleanups_queued;

	TRY(buf_addf(b, "finalizers do not run: %s due, %s wait for them", text_count(due, n),
		     text_bytes(x->retained, s)));
	for (size_t i = 0; i < r->goroutines_of.workers.n; i++) {
		const struct finalizer_worker *w = &r->goroutines_of.workers.v[i];

		if (!w->busy)
			continue;
		TRY(buf_addf(b, "\n       goroutine %" PRIu64 " is in ", w->goid));
		TRY(text_add_short(b, w->function));
		TRY(buf_addstr(b, ": "));
		TRY(text_add_clean(b, w->state, false));
		if (w->wait_ns)
			TRY(buf_addf(b, ", for at least %s", text_time(w->wait_ns, t)));
		break;
	}
	return NULL;
}

static struct err *add_suspect(struct buf *b, const struct suspect *x, const struct report *r)
{
	char s[TEXT_BYTES_SIZE];

	switch (x->kind) {
	case SUSPECT_VARIABLE:
	case SUSPECT_LOCAL:
		return add_root(b, x);
	case SUSPECT_GOROUTINES:
		return add_goroutines(b, x, r);
	case SUSPECT_LEAKED:
		return add_leaked(b, x);
	case SUSPECT_GARBAGE:
		return buf_addf(
			b,
			"%s are garbage, %u %% of what is allocated: nothing keeps it\n"
			"       the collector has not run: GOGC=off, or a large GOMEMLIMIT?",
			text_bytes(x->retained, s), percent(x->retained, x->whole));
	case SUSPECT_HOLES:
		return buf_addf(
			b,
			"%s are holes, %u %% of the heap's spans\n"
			"       a few live objects in each span keep it: they were many once",
			text_bytes(x->retained, s), percent(x->retained, x->whole));
	case SUSPECT_FINALIZERS:
		return add_finalizers(b, x, r);
	case SUSPECT_OUTSIDE:
		return buf_addf(b,
				"%s are not Go's, %u %% of what is in memory\n"
				"       C's malloc, or mmap: no heap profile of Go has it",
				text_bytes(x->retained, s), percent(x->retained, x->whole));
	default:
		return text_add_clean(b, x->what, false);
	}
}

struct err *verdict_add_suspect(struct buf *b, const struct report *r, size_t i)
{
	return add_suspect(b, &r->graph.suspects.v[i], r);
}

struct err *verdict_add(struct buf *b, const struct report *r)
{
	const struct suspects *v = &r->graph.suspects;

	if (!r->graph.made)
		return NULL;
	if (!v->n)
		return buf_addstr(b,
				  "\nsuspects     none: nothing keeps a large part of the heap\n");
	TRY(buf_addstr(b, "\nsuspects\n"));
	for (size_t i = 0; i < v->n; i++) {
		TRY(buf_addf(b, "  %zu    ", i + 1));
		TRY(add_suspect(b, &v->v[i], r));
		TRY(buf_addstr(b, "\n"));
	}
	return NULL;
}
