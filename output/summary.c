/*
 * The summary, for someone woken up by an alert.  It answers in this order: what is this process,
 * can I trust what I see, who keeps its memory, what do I type next.
 */
#include "heap/profile/profile_roots.h"
#include "output/internal.h"
#include "output/output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TOP_ROOTS = 10 };

/* Lines are collected in a buffer, and strings of the target are cleaned on their way in. */
static struct err *add_process(struct buf *b, const struct report *r, bool build_id)
{
	const char *exe = r->exe && *r->exe ? r->exe : r->target;
	char n[TEXT_COUNT_SIZE];

	TRY(buf_addstr(b, "process      "));
	TRY(text_add_clean(b, exe ? exe : "?", false));
	if (r->pid)
		TRY(buf_addf(b, ", pid %" PRIu64, r->pid));
	TRY(buf_addstr(b, "\n             "));
	TRY(text_add_clean(b, r->version ? r->version : "go?", false));
	if (r->goarch && *r->goarch)
		TRY(buf_addstr(b, " "));
	if (r->goarch && *r->goarch)
		TRY(text_add_clean(b, r->goarch, false));
	TRY(buf_addf(b, ", %s thread%s", text_count(r->threads, n), r->threads == 1 ? "" : "s"));
	TRY(buf_addf(b, ", %s goroutine%s", text_count(r->goroutines, n),
		     r->goroutines == 1 ? "" : "s"));
	if (!build_id)
		return buf_addstr(b, "\n");
	TRY(buf_addstr(b, "\nbuild id     "));
	TRY(text_add_clean(b, r->build_id && *r->build_id ? r->build_id : "unknown", false));
	return buf_addstr(b, "\n");
}

static struct err *add_coverage(struct buf *b, const struct report *r)
{
	TRY(buf_addstr(b, "coverage     "));
	TRY(text_add_coverage(b, r));
	return buf_addstr(b, "\n");
}

static double share(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0.0;
}

static struct err *add_root_name(struct buf *b, const struct profile *p,
				 const struct profile_node *node)
{
	if (node->parent) {
		TRY(text_add_clean(b, p->frames.str[p->nodes.v[node->parent].frame], false));
		TRY(buf_addstr(b, ";"));
	}
	return text_add_clean(b, p->frames.str[node->frame], false);
}

static struct err *add_roots(struct buf *b, const struct profile *p, const struct report *r,
			     const struct profile_roots *roots)
{
	size_t top = roots->n < TOP_ROOTS ? roots->n : TOP_ROOTS;
	char bytes[TEXT_BYTES_SIZE], count[TEXT_COUNT_SIZE];
	struct profile_root rest = { 0 };

	TRY(buf_addf(b, "\n%12s  %7s  %12s  who keeps it\n", "live", "share", "objects"));
	for (size_t i = 0; i < roots->n; i++) {
		const struct profile_root *root = &roots->v[i];

		if (i >= top) {
			rest.bytes += root->bytes;
			rest.objects += root->objects;
			continue;
		}
		TRY(buf_addf(b, "%12s  %5.1f %%  %12s  ", text_bytes(root->bytes, bytes),
			     share(root->bytes, r->live_bytes), text_count(root->objects, count)));
		TRY(add_root_name(b, p, &p->nodes.v[root->node]));
		TRY(buf_addstr(b, "\n"));
	}
	if (top < roots->n)
		TRY(buf_addf(b, "%12s  %5.1f %%  %12s  (%zu more root%s)\n",
			     text_bytes(rest.bytes, bytes), share(rest.bytes, r->live_bytes),
			     text_count(rest.objects, count), roots->n - top,
			     roots->n - top == 1 ? "" : "s"));
	return NULL;
}

/* Of a core file nothing was stopped. */
static struct err *add_core(struct buf *b, const struct report *r)
{
	time_t s = (time_t)(r->time_unix_ns / 1000000000);
	char bytes[TEXT_BYTES_SIZE], when[64] = "";
	struct tm tm;

	TRY(buf_addstr(b, "core         "));
	if (gmtime_r(&s, &tm))
		strftime(when, sizeof(when), ", of %Y-%m-%d %H:%M:%S UTC", &tm);
	TRY(text_add_clean(b, r->target, false));
	return buf_addf(b, "%s; %s read\n", when, text_bytes(r->captured_bytes, bytes));
}

struct err *summary_add_stop(struct buf *b, const struct report *r)
{
	char t[TEXT_TIME_SIZE], bytes[TEXT_BYTES_SIZE];

	if (!r->stops)
		return add_core(b, r);
	TRY(buf_addstr(b, "stopped      "));
	if (r->held_before)
		TRY(buf_addstr(b, "since gdbserver attached"));
	if (r->held_before && r->held_before_ns)
		TRY(buf_addf(b, ", %s", text_time(r->held_before_ns + r->stopped_ns, t)));
	TRY(buf_addf(b, "%s%s%s", r->held_before ? "; " : "", text_time(r->stopped_ns, t),
		     r->held_before ? " of that by grf-rsp" : ""));
	if (r->stops > 1)
		TRY(buf_addf(b, " (stop %" PRIu32 " was the one; all stops together %s)", r->stops,
			     text_time(r->stopped_total_ns, t)));
	if (r->captured_bytes)
		TRY(buf_addf(b, ", %s read", text_bytes(r->captured_bytes, bytes)));
	if (r->stopped_ns)
		TRY(buf_addstr(b, r->still_held ? "; it does NOT run again (see the notes)" :
						  "; it runs again"));
	return buf_addstr(b, "\n");
}

static struct err *add_lines(struct buf *b, const char *label, const char *const *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		TRY(buf_addf(b, "%-12s ", label));
		TRY(text_add_clean(b, v[i], false));
		TRY(buf_addstr(b, "\n"));
	}
	return NULL;
}

/* One line for scripts; docs/OUTPUT.md promises its form. */
static struct err *add_totals(struct buf *b, const struct report *r)
{
	return buf_addf(
		b,
		"totals: live_bytes=%" PRIu64 " live_objects=%" PRIu64 " unreachable_bytes=%" PRIu64
		" unreachable_objects=%" PRIu64 " allocated_bytes=%" PRIu64
		" allocated_objects=%" PRIu64 " unnamed_bytes=%" PRIu64 " failed_reads=%" PRIu64
		" failed_bytes=%" PRIu64 " threads=%" PRIu32 " goroutines=%" PRIu32
		" goroutines_partial=%" PRIu32 " stops=%" PRIu32 " stopped_ns=%" PRIu64
		" stopped_total_ns=%" PRIu64 " captured_bytes=%" PRIu64 " capture_ns=%" PRIu64
		" analyse_ns=%" PRIu64 " opaque_bytes=%" PRIu64 " unnamed_steps=%" PRIu64
		" smaller_bytes=%" PRIu64 " smaller_nodes=%" PRIu64 "\n",
		r->live_bytes, r->live_objects, r->unreachable_bytes, r->unreachable_objects,
		r->allocated_bytes, r->allocated_objects, r->unnamed_bytes, r->failed_reads,
		r->failed_bytes, r->threads, r->goroutines, r->goroutines_partial, r->stops,
		r->stopped_ns, r->stopped_total_ns, r->captured_bytes, r->capture_ns, r->analyse_ns,
		r->opaque_bytes, r->unnamed_steps, r->smaller.bytes, r->smaller.nodes);
}

/* A file name as a shell reads it, in quotes if any character is unusual. */
static struct err *add_quoted(struct buf *b, const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_-./,:=@%+";

	if (*s && !s[strspn(s, plain)])
		return buf_addstr(b, s);
	TRY(buf_addstr(b, "'"));
	for (; *s; s++)
		TRY(*s == '\'' ? buf_addstr(b, "'\\''") : buf_add(b, s, 1));
	return buf_addstr(b, "'");
}

static struct err *add_next(struct buf *b, const char *profile_path)
{
	TRY(buf_addstr(b, "next         go tool pprof -http=:8080 "));
	TRY(add_quoted(b, profile_path));
	return buf_addstr(b, "\n");
}

static struct err *write_all(FILE *f, const struct buf *b)
{
	return fwrite(b->data, 1, b->len, f) == b->len ? NULL : err_os(errno, "write");
}

/* All that is known: -v, *.txt, and where there is no graph of objects. */
static struct err *add_details(struct buf *b, const struct profile *p, const struct report *r,
			       bool all)
{
	_cleanup_vec_ struct profile_roots roots = VEC_INIT;

	TRY(profile_roots_make(p, &roots));
	TRY(add_roots(b, p, r, &roots));
	TRY(memory_add(b, r));
	TRY(outside_add(b, r));
	TRY(waste_add(b, r, true));
	TRY(finalizers_add(b, r));
	return goroutines_add(b, &r->goroutines_of, all);
}

/* One screen. */
static struct err *add_screen(struct buf *b, const struct report *r, bool all)
{
	TRY(memory_add_short(b, r));
	TRY(outside_add(b, r));
	TRY(waste_add(b, r, false));
	return goroutines_add(b, &r->goroutines_of, all);
}

static struct err *add_summary(struct buf *b, const struct profile *p, const struct report *r,
			       bool verbose, bool all)
{
	bool details = verbose || !r->graph.made;

	TRY(add_process(b, r, details));
	TRY(details ? add_coverage(b, r) : text_add_coverage_short(b, r));
	TRY(why_add(b, r, details));
	TRY(growth_add(b, r, details));
	if (details || (!r->why.pattern && !r->growth.made)) {
		TRY(verdict_add(b, r));
		TRY(r->graph.made ? owners_add(b, r) : NULL);
	}
	TRY(details ? add_details(b, p, r, all || verbose) : add_screen(b, r, all));
	if (details)
		TRY(buf_addstr(b, "\n"));
	TRY(summary_add_stop(b, r));
	TRY(add_lines(b, "note", (const char *const *)r->notes.v, r->notes.n));
	if (!verbose)
		return NULL;
	TRY(add_lines(b, "detail", (const char *const *)r->details.v, r->details.n));
	TRY(add_totals(b, r));
	return memory_add_memstats(b, &r->account);
}

struct err *summary_add(struct buf *b, const struct profile *p, const struct report *r)
{
	_cleanup_buf_ struct buf whole = BUF_INIT;

	TRY(add_summary(&whole, p, r, false, false));
	return text_add_wrapped(b, (const char *)whole.data);
}

struct err *output_summary(FILE *f, const struct profile *p, const struct report *r,
			   const char *profile_path, bool verbose)
{
	_cleanup_buf_ struct buf b = BUF_INIT, screen = BUF_INIT;

	TRY(add_summary(&b, p, r, verbose, f != stdout && f != stderr));
	if (profile_path)
		TRY(add_next(&b, profile_path));
	if (verbose || !r->graph.made)
		return write_all(f, &b);
	TRY(text_add_wrapped(&screen, (const char *)b.data));
	return write_all(f, &screen);
}

struct err *output_growth(FILE *f, const struct report *r)
{
	_cleanup_buf_ struct buf b = BUF_INIT, screen = BUF_INIT;

	TRY(growth_add(&b, r, false));
	if (b.len)
		TRY(text_add_wrapped(&screen, (const char *)b.data));
	return screen.len ? write_all(f, &screen) : NULL;
}

struct err *output_saved(FILE *f, const struct report *r, const char *const *paths, size_t n)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	TRY(add_lines(&b, "saved", paths, n));
	TRY(summary_add_stop(&b, r));
	TRY(add_lines(&b, "note", (const char *const *)r->notes.v, r->notes.n));
	return write_all(f, &b);
}

void output_line(FILE *f, const char *start, const char *text)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct err *err = text_add_clean(&b, text, false);

	fprintf(f, "%s%s\n", start, err ? "out of memory" : (const char *)b.data);
	err_destroy(err);
}
