/*
 * The summary, for someone woken up by an alert: what is this process, can I trust what I see, who
 * keeps its memory, what do I type next.
 */
#include "output/internal.h"
#include "output/output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TOP_ROOTS = 10 };

struct root {
	uint32_t node;
	uint64_t bytes, objects; /* of the node and all below it */
};

struct roots {
	struct root *v;
	size_t n;
};

static int root_cmp(const void *pa, const void *pb)
{
	const struct root *a = pa, *b = pb;

	if (a->bytes != b->bytes)
		return a->bytes < b->bytes ? 1 : -1;
	return a->node < b->node ? -1 : a->node > b->node;
}

/* The roots with what they keep, biggest first; those that differ in labels only are one. */
static struct err *roots_make(const struct profile *p, struct roots *ret)
{
	uint32_t *slot = malloc(p->nodes.n * sizeof(*slot)); /* node -> its root's place in v */
	struct map64 by_frame = MAP64_INIT;
	struct err *err = slot ? NULL : err_nomem();
	VEC(struct root) v = VEC_INIT;

	for (uint32_t i = 1; i < p->nodes.n && !err; i++) {
		const struct profile_node *node = &p->nodes.v[i];
		uint64_t *at;
		bool is_new = false;

		if (node->parent) {
			slot[i] = slot[node->parent];
		} else if (node->kind == LIVE_N) {
			slot[i] = UINT32_MAX;
		} else {
			err = map64_put(&by_frame, node->frame, v.n, &at, &is_new);
			if (!err && is_new)
				err = vec_push(&v, ((struct root){ .node = i }));
			if (err)
				break;
			slot[i] = (uint32_t)*at;
		}
		if (slot[i] == UINT32_MAX)
			continue;
		v.v[slot[i]].bytes += node->bytes;
		v.v[slot[i]].objects += node->objects;
	}
	free(slot);
	map64_deinit(&by_frame);
	if (err) {
		vec_deinit(&v);
		return err;
	}
	if (v.n)
		qsort(v.v, v.n, sizeof(*v.v), root_cmp);
	*ret = (struct roots){ v.v, v.n };
	return NULL;
}

/* Lines are collected in a buffer: strings of the target are cleaned on their way in. */
static struct err *add_process(struct buf *b, const struct report *r)
{
	const char *exe = r->exe && *r->exe ? r->exe : r->target;
	char n[TEXT_COUNT_SIZE];
	struct err *err;

	err = buf_addstr(b, "process      ");
	if (!err)
		err = text_add_clean(b, exe ? exe : "?", false);
	if (!err && r->pid)
		err = buf_addf(b, ", pid %" PRIu64, r->pid);
	if (!err)
		err = buf_addstr(b, "\n             ");
	if (!err)
		err = text_add_clean(b, r->version ? r->version : "go?", false);
	if (!err && r->goarch && *r->goarch)
		err = buf_addstr(b, " ");
	if (!err && r->goarch && *r->goarch)
		err = text_add_clean(b, r->goarch, false);
	if (!err)
		err = buf_addf(b, ", %s thread%s", text_count(r->threads, n),
			       r->threads == 1 ? "" : "s");
	if (!err)
		err = buf_addf(b, ", %s goroutine%s", text_count(r->goroutines, n),
			       r->goroutines == 1 ? "" : "s");
	if (!err)
		err = buf_addstr(b, "\nbuild id     ");
	if (!err)
		err = text_add_clean(b, r->build_id && *r->build_id ? r->build_id : "unknown",
				     false);
	if (!err)
		err = buf_addstr(b, "\n");
	return err;
}

static struct err *add_coverage(struct buf *b, const struct report *r)
{
	struct err *err = buf_addstr(b, "coverage     ");

	if (!err)
		err = text_add_coverage(b, r);
	if (!err)
		err = buf_addstr(b, "\n");
	return err;
}

static double share(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0.0;
}

static struct err *add_roots(struct buf *b, const struct profile *p, const struct report *r,
			     const struct roots *roots)
{
	size_t top = roots->n < TOP_ROOTS ? roots->n : TOP_ROOTS;
	char bytes[TEXT_BYTES_SIZE], count[TEXT_COUNT_SIZE];
	struct root rest = { 0 };
	struct err *err;

	err = buf_addf(b, "\n%12s  %7s  %12s  who keeps it\n", "live", "share", "objects");
	for (size_t i = 0; !err && i < roots->n; i++) {
		const struct root *root = &roots->v[i];

		if (i >= top) {
			rest.bytes += root->bytes;
			rest.objects += root->objects;
			continue;
		}
		err = buf_addf(b, "%12s  %5.1f %%  %12s  ", text_bytes(root->bytes, bytes),
			       share(root->bytes, r->live_bytes), text_count(root->objects, count));
		if (!err)
			err = text_add_clean(b, p->frames.str[p->nodes.v[root->node].frame], false);
		if (!err)
			err = buf_addstr(b, "\n");
	}
	if (!err && top < roots->n)
		err = buf_addf(b, "%12s  %5.1f %%  %12s  (%zu more root%s)\n",
			       text_bytes(rest.bytes, bytes), share(rest.bytes, r->live_bytes),
			       text_count(rest.objects, count), roots->n - top,
			       roots->n - top == 1 ? "" : "s");
	return err;
}

/* Nothing was stopped. */
static struct err *add_core(struct buf *b, const struct report *r)
{
	time_t s = (time_t)(r->time_unix_ns / 1000000000);
	char bytes[TEXT_BYTES_SIZE], when[64] = "";
	struct err *err = buf_addstr(b, "\ncore         ");
	struct tm tm;

	if (gmtime_r(&s, &tm))
		strftime(when, sizeof(when), ", of %Y-%m-%d %H:%M:%S UTC", &tm);
	if (!err)
		err = text_add_clean(b, r->target, false);
	return err ? err : buf_addf(b, "%s; %s read\n", when, text_bytes(r->captured_bytes, bytes));
}

static struct err *add_stop(struct buf *b, const struct report *r)
{
	char t[TEXT_TIME_SIZE], bytes[TEXT_BYTES_SIZE];
	struct err *err;

	if (!r->stops)
		return add_core(b, r);
	err = buf_addf(b, "\nstopped      %s", text_time(r->stopped_ns, t));
	if (!err && r->stops > 1)
		err = buf_addf(b, " (stop %" PRIu32 " was the one; all stops together %s)",
			       r->stops, text_time(r->stopped_total_ns, t));
	if (!err && r->captured_bytes)
		err = buf_addf(b, ", %s read", text_bytes(r->captured_bytes, bytes));
	if (!err && r->stopped_ns)
		err = buf_addstr(b, "; it runs again");
	if (!err)
		err = buf_addstr(b, "\n");
	return err;
}

static struct err *add_lines(struct buf *b, const char *label, char *const *v, size_t n)
{
	struct err *err = NULL;

	for (size_t i = 0; !err && i < n; i++) {
		err = buf_addf(b, "%-12s ", label);
		if (!err)
			err = text_add_clean(b, v[i], false);
		if (!err)
			err = buf_addstr(b, "\n");
	}
	return err;
}

/* One line for scripts; docs/OUTPUT.md promises its form. */
static struct err *add_totals(struct buf *b, const struct report *r)
{
	return buf_addf(b,
			"totals: live_bytes=%" PRIu64 " live_objects=%" PRIu64
			" unreachable_bytes=%" PRIu64 " unreachable_objects=%" PRIu64
			" allocated_bytes=%" PRIu64 " allocated_objects=%" PRIu64
			" unnamed_bytes=%" PRIu64 " failed_reads=%" PRIu64 " failed_bytes=%" PRIu64
			" threads=%" PRIu32 " goroutines=%" PRIu32 " goroutines_partial=%" PRIu32
			" stops=%" PRIu32 " stopped_ns=%" PRIu64 " stopped_total_ns=%" PRIu64
			" captured_bytes=%" PRIu64 " capture_ns=%" PRIu64 " analyse_ns=%" PRIu64
			"\n",
			r->live_bytes, r->live_objects, r->unreachable_bytes,
			r->unreachable_objects, r->allocated_bytes, r->allocated_objects,
			r->unnamed_bytes, r->failed_reads, r->failed_bytes, r->threads,
			r->goroutines, r->goroutines_partial, r->stops, r->stopped_ns,
			r->stopped_total_ns, r->captured_bytes, r->capture_ns, r->analyse_ns);
}

/* A file name as a shell reads it: in quotes if it has anything unusual. */
static struct err *add_quoted(struct buf *b, const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_-./,:=@%+";
	struct err *err;

	if (*s && !s[strspn(s, plain)])
		return buf_addstr(b, s);
	err = buf_addstr(b, "'");
	for (; !err && *s; s++)
		err = *s == '\'' ? buf_addstr(b, "'\\''") : buf_add(b, s, 1);
	return err ? err : buf_addstr(b, "'");
}

struct err *output_summary(FILE *f, const struct profile *p, const struct report *r,
			   const char *profile_path, bool verbose)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct roots roots = { 0 };
	struct err *err;

	err = add_process(&b, r);
	if (!err)
		err = add_coverage(&b, r);
	if (!err)
		err = roots_make(p, &roots);
	if (!err)
		err = add_roots(&b, p, r, &roots);
	if (!err)
		err = memory_add(&b, r);
	if (!err)
		err = finalizers_add(&b, r);
	if (!err)
		err = goroutines_add(&b, &r->goroutines_of, f != stdout);
	if (!err)
		err = add_stop(&b, r);
	if (!err)
		err = add_lines(&b, "note", r->notes.v, r->notes.n);
	if (!err && verbose)
		err = add_lines(&b, "detail", r->details.v, r->details.n);
	if (!err && verbose)
		err = add_totals(&b, r);
	if (!err && verbose)
		err = memory_add_memstats(&b, &r->account);
	if (!err && profile_path) {
		err = buf_addstr(&b, "next         go tool pprof -http=:8080 ");
		if (!err)
			err = add_quoted(&b, profile_path);
		if (!err)
			err = buf_addstr(&b, "\n");
	}
	free(roots.v);
	if (!err && fwrite(b.data, 1, b.len, f) != b.len)
		err = err_os(errno, "write");
	return err;
}

struct err *output_saved(FILE *f, const struct report *r, const char *const *paths, size_t n)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct err *err = NULL;

	for (size_t i = 0; i < n && !err; i++) {
		err = buf_addstr(&b, "saved        ");
		if (!err)
			err = text_add_clean(&b, paths[i], false);
		if (!err)
			err = buf_addstr(&b, "\n");
	}
	if (!err)
		err = add_stop(&b, r);
	if (!err)
		err = add_lines(&b, "note", r->notes.v, r->notes.n);
	if (!err && fwrite(b.data, 1, b.len, f) != b.len)
		err = err_os(errno, "write");
	return err;
}
