/*
 * *.prom: text for Prometheus, of one process at one moment, for node_exporter's textfile collector
 * or a push.  It is OpenMetrics and Prometheus' older text at once: gauges only, no times, "# EOF".
 *
 * Each series names the process, so that the files of several can lie in one folder.  A list has
 * --top rows at most, and what is beyond is one row named "[other]": what a target names, however
 * much, makes no more series.  docs/EXPORTS.md has the list.
 */
#include "output/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "heap/profile/profile_roots.h"

enum { TOP = 20, LABEL_MAX = 200 }; /* rows without --top; bytes of a label's value */

struct prom {
	FILE *f;
	const struct report *r;
	struct buf process; /* the labels that all series have */
	struct buf text;
	uint32_t top;
};

/* Cuts a value where a character of UTF-8 begins. */
static void label_bound(struct buf *b)
{
	if (b->len <= LABEL_MAX)
		return;
	b->len = LABEL_MAX;
	while (b->len && (b->data[b->len] & 0xc0) == 0x80)
		b->len--;
	b->data[b->len] = 0;
}

/* Adds `key="value"`, the value as Prometheus wants it. */
static struct err *label_add(struct buf *b, const char *key, const char *value)
{
	_cleanup_buf_ struct buf clean = BUF_INIT;

	TRY(text_add_clean(&clean, value ? value : "", false)); /* leaves no line breaks */
	label_bound(&clean);
	TRY(buf_addf(b, "%s%s=\"", b->len ? "," : "", key));
	for (const uint8_t *c = clean.data; *c; c++) {
		if (*c == '"' || *c == '\\')
			TRY(buf_addstr(b, "\\"));
		TRY(buf_add(b, c, 1));
	}
	return buf_addstr(b, "\"");
}

static void family(struct prom *x, const char *name, const char *help)
{
	fprintf(x->f, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

/* A series with labels of its own; NULL: it has none. */
static void series(struct prom *x, const char *name, const struct buf *labels)
{
	bool own = labels && labels->len;

	fprintf(x->f, "%s{%s%s%s} ", name, (const char *)x->process.data, own ? "," : "",
		own ? (const char *)labels->data : "");
}

static void series_uint(struct prom *x, const char *name, const struct buf *labels, uint64_t v)
{
	series(x, name, labels);
	fprintf(x->f, "%" PRIu64 "\n", v);
}

static void gauge(struct prom *x, const char *name, const char *help, uint64_t v)
{
	family(x, name, help);
	series_uint(x, name, NULL, v);
}

static void gauge_ns(struct prom *x, const char *name, const char *help, uint64_t ns)
{
	family(x, name, help);
	series(x, name, NULL);
	fprintf(x->f, "%" PRIu64 ".%09" PRIu64 "\n", ns / 1000000000, ns % 1000000000);
}

/* A family's series that differ in one label, whose values are words of ours. */
static struct err *part(struct prom *x, const char *name, const char *word, uint64_t v)
{
	buf_reset(&x->text);
	TRY(label_add(&x->text, "part", word));
	series_uint(x, name, &x->text, v);
	return NULL;
}

/* ------------------------------------------------------------------ the process */

static struct err *process_labels(struct prom *x)
{
	const char *exe = x->r->exe && *x->r->exe ? x->r->exe : "unknown";
	const char *slash = strrchr(exe, '/');

	TRY(label_add(&x->process, "exe", slash ? slash + 1 : exe));
	return x->r->pid ? buf_addf(&x->process, ",pid=\"%" PRIu64 "\"", x->r->pid) : NULL;
}

static struct err *add_info(struct prom *x)
{
	buf_reset(&x->text);
	TRY(label_add(&x->text, "go", x->r->version));
	TRY(label_add(&x->text, "goarch", x->r->goarch));
	TRY(label_add(&x->text, "build_id", x->r->build_id));
	family(x, "grf_info", "The process that was looked at.");
	series_uint(x, "grf_info", &x->text, 1);
	return NULL;
}

static void add_coverage(struct prom *x)
{
	const struct report *r = x->r;
	int64_t ns = r->time_unix_ns > 0 ? r->time_unix_ns : 0;

	gauge_ns(x, "grf_captured_timestamp_seconds", "When it was looked at, Unix time.",
		 (uint64_t)ns);
	gauge(x, "grf_live_bytes", "Bytes of heap objects that roots lead to.", r->live_bytes);
	gauge(x, "grf_live_objects", "Heap objects that roots lead to.", r->live_objects);
	gauge(x, "grf_unreachable_bytes", "Bytes of garbage.", r->unreachable_bytes);
	gauge(x, "grf_allocated_bytes", "Bytes of heap objects, as the allocator counts them.",
	      r->allocated_bytes);
	gauge(x, "grf_unnamed_bytes", "Live bytes of unknown type.", r->unnamed_bytes);
	gauge(x, "grf_failed_read_bytes", "Bytes that could not be read.", r->failed_bytes);
	gauge(x, "grf_threads", "Threads.", r->threads);
}

static void add_stop(struct prom *x)
{
	const struct report *r = x->r;

	gauge_ns(x, "grf_stopped_seconds", "How long the process stood still for this look.",
		 r->stopped_total_ns);
	gauge(x, "grf_stops", "How often it was stopped for it.", r->stops);
	gauge(x, "grf_captured_bytes", "Bytes read while it stood still.", r->captured_bytes);
	gauge_ns(x, "grf_analyse_seconds", "How long the analysis took.", r->analyse_ns);
}

/* ------------------------------------------------------------------ memory */

/* The parts add up to all that the runtime has of the system. */
static struct err *add_memory(struct prom *x)
{
	static const char name[] = "grf_memory_bytes";
	const struct account *a = &x->r->account;

	if (!a->heap)
		return NULL;
	family(x, name, "Memory that the Go runtime has of the system, by what it is.");
	TRY(part(x, name, "live", x->r->live_bytes));
	TRY(part(x, name, "garbage", account_unreachable(a)));
	TRY(part(x, name, "holes", a->free_slots.bytes + a->tails));
	TRY(part(x, name, "stacks", a->stack_inuse));
	if (!a->counters)
		return NULL;
	TRY(part(x, name, "idle", a->heap_idle - a->heap_released));
	TRY(part(x, name, "released", a->heap_released));
	return part(x, name, "runtime",
		    a->mspan_sys + a->mcache_sys + a->buckhash_sys + account_gc_sys(a) +
			    a->other_sys + a->stack_sys_own);
}

static struct err *add_outside(struct prom *x)
{
	static const char name[] = "grf_resident_bytes";
	const struct outside *o = &x->r->outside;

	if (!o->known || o->core)
		return NULL;
	family(x, name, "Resident memory of the process, Go's and other, by what it is.");
	TRY(part(x, name, "go_heap", o->heap));
	TRY(part(x, name, "go_runtime", o->runtime));
	TRY(part(x, name, "c_heap", o->c_heap));
	TRY(part(x, name, "anonymous", o->anonymous));
	TRY(part(x, name, "files", o->files));
	TRY(part(x, name, "stacks", o->stacks));
	TRY(part(x, name, "other", o->other));
	gauge(x, "grf_live_not_resident_bytes", "Live bytes that are not in memory.",
	      o->live_absent);
	return NULL;
}

/* ------------------------------------------------------------------ lists */

/* One row of a list: a label set that no other row has, and its values. */
struct row {
	const char *labels;
	uint64_t v[3];
};

struct rows {
	struct strtab labels; /* -> index in v, until they are sorted */
	VEC(struct row) v;
};

static void rows_deinit(struct rows *t)
{
	strtab_deinit(&t->labels);
	vec_deinit(&t->v);
}

/* Adds to the row with these labels: different things may be called the same once their names are
 * cut. */
static struct err *rows_add(struct rows *t, const struct buf *labels, uint64_t v0, uint64_t v1,
			    uint64_t v2)
{
	uint32_t id;

	TRY(strtab_add(&t->labels, (const char *)labels->data, &id));
	if (id == t->v.n)
		TRY(vec_push(&t->v, ((struct row){ 0 })));
	t->v.v[id].labels = t->labels.str[id];
	t->v.v[id].v[0] += v0;
	t->v.v[id].v[1] += v1;
	t->v.v[id].v[2] += v2;
	return NULL;
}

static int row_cmp(const void *pa, const void *pb)
{
	const struct row *a = pa, *b = pb;

	if (a->v[0] != b->v[0])
		return a->v[0] < b->v[0] ? 1 : -1;
	return strcmp(a->labels, b->labels);
}

/* The first `top` rows of value i, the largest of value 0 first; the rest are one, with these
 * labels. */
static void rows_write(struct prom *x, struct rows *t, const char *name, const char *help, int i,
		       const char *other)
{
	struct buf labels = BUF_INIT;
	uint64_t rest = 0;

	if (t->v.n)
		qsort(t->v.v, t->v.n, sizeof(*t->v.v), row_cmp);
	family(x, name, help);
	for (size_t k = 0; k < t->v.n; k++) {
		if (k >= x->top) {
			rest += t->v.v[k].v[i];
			continue;
		}
		labels.data = (uint8_t *)(uintptr_t)t->v.v[k].labels;
		labels.len = strlen(t->v.v[k].labels);
		series_uint(x, name, &labels, t->v.v[k].v[i]);
	}
	labels.data = (uint8_t *)(uintptr_t)other;
	labels.len = strlen(other);
	if (t->v.n > x->top)
		series_uint(x, name, &labels, rest);
}

/* "timers;time.AfterFunc" */
static struct err *root_labels(struct buf *b, const struct profile *p, uint32_t node)
{
	_cleanup_buf_ struct buf name = BUF_INIT;
	uint32_t above = p->nodes.v[node].parent;

	if (above)
		TRY(buf_addf(&name, "%s;", p->frames.str[p->nodes.v[above].frame]));
	TRY(buf_addstr(&name, p->frames.str[p->nodes.v[node].frame]));
	buf_reset(b);
	TRY(label_add(b, "root", (const char *)name.data));
	return label_add(b, "kind", live_kind_name(profile_root_kind(p, node)));
}

static struct err *add_roots(struct prom *x, const struct profile *p)
{
	_cleanup_vec_ struct profile_roots roots = VEC_INIT;
	_cleanup_(rows_deinit) struct rows t = { .labels = STRTAB_INIT };
	static const char other[] = "root=\"[other]\",kind=\"[other]\"";

	TRY(profile_roots_make(p, &roots));
	for (size_t i = 0; i < roots.n; i++) {
		const struct profile_root *root = &roots.v[i];
		const uint64_t *alone =
			map64_get(&x->r->graph.alone, profile_root_name(p, root->node));

		TRY(root_labels(&x->text, p, root->node));
		TRY(rows_add(&t, &x->text, root->bytes, root->objects, alone ? *alone : 0));
	}
	rows_write(x, &t, "grf_root_live_bytes",
		   "Live bytes on paths from this root, the largest roots only.", 0, other);
	if (x->r->graph.made)
		rows_write(x, &t, "grf_root_retained_bytes",
			   "Bytes that would be free without this root, the same roots.", 2, other);
	return NULL;
}

static const char *verdict_name(enum goroutine_verdict v)
{
	return v == VERDICT_LEAKED ? "leaked" : v == VERDICT_RUNNING ? "running" : "waiting";
}

static struct err *add_groups(struct prom *x)
{
	_cleanup_(rows_deinit) struct rows t = { .labels = STRTAB_INIT };
	const struct goroutine_report *g = &x->r->goroutines_of;
	static const char other[] =
		"function=\"[other]\",created_by=\"[other]\",verdict=\"[other]\"";

	for (size_t i = 0; i < g->groups.n; i++) {
		const struct goroutine_group *v = &g->groups.v[i];

		buf_reset(&x->text);
		TRY(label_add(&x->text, "function", v->function));
		TRY(label_add(&x->text, "created_by", v->created_by.function));
		TRY(label_add(&x->text, "verdict", verdict_name(v->verdict)));
		TRY(rows_add(&t, &x->text, v->count, v->stack_bytes, 0));
	}
	rows_write(x, &t, "grf_group_goroutines",
		   "Goroutines by the function of the program that they are in, the most only.", 0,
		   other);
	rows_write(x, &t, "grf_group_stack_bytes", "Bytes of their stacks, the same groups.", 1,
		   other);
	gauge(x, "grf_leaked_goroutines", "Goroutines that nothing can wake.", g->leaked);
	return NULL;
}

/* ------------------------------------------------------------------ the file */

static struct err *add_all(struct prom *x, const struct profile *p)
{
	TRY(process_labels(x));
	TRY(add_info(x));
	add_coverage(x);
	add_stop(x);
	TRY(add_memory(x));
	TRY(add_outside(x));
	TRY(add_roots(x, p));
	gauge(x, "grf_goroutines", "Goroutines.", x->r->goroutines);
	if (x->r->goroutines_of.grouped)
		TRY(add_groups(x));
	fputs("# EOF\n", x->f);
	return fflush(x->f) || ferror(x->f) ? err_os(errno, "write") : NULL;
}

struct err *prom_write(FILE *f, const struct profile *p, const struct report *r)
{
	struct prom x = { .f = f, .r = r, .top = r->top ? r->top : TOP };
	struct err *err = add_all(&x, p);

	buf_deinit(&x.process);
	buf_deinit(&x.text);
	return err;
}
