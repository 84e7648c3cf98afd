/*
 * JSON: all that the report and the profile say, "schema": "grf-rsp/1".  docs/grf-rsp.schema.json
 * describes it; names there are a contract: new ones are added, none changes its meaning.  What is
 * not known is left out.
 */
#include "output/internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/intr.h"
#include "heap/profile/profile_roots.h"
#include "heap/profile/schema.h"
#include "output/json_writer.h"

static struct err *add_process(struct json *j, const struct report *r)
{
	const char *exe = r->exe && *r->exe ? r->exe : NULL;

	json_object(j, "process");
	if (r->pid)
		json_uint(j, "pid", r->pid);
	TRY(json_string(j, "target", r->target));
	if (exe)
		TRY(json_string(j, "exe", exe));
	TRY(json_string(j, "go", r->version));
	TRY(json_string(j, "goarch", r->goarch));
	if (r->build_id && *r->build_id)
		TRY(json_string(j, "build_id", r->build_id));
	if (r->started_ticks)
		json_uint(j, "started_ticks", r->started_ticks);
	if (r->started_ns)
		json_uint(j, "started_ns", r->started_ns);
	json_int(j, "time", r->time_unix_ns);
	json_uint(j, "threads", r->threads);
	json_uint(j, "goroutines", r->goroutines);
	json_object_end(j);
	return NULL;
}

static struct err *add_stop(struct json *j, const struct report *r)
{
	json_object(j, "stop");
	json_uint(j, "stopped_ns", r->stopped_ns);
	TRY(json_string(j, "mode", r->mode ? r->mode : "core"));
	json_uint(j, "bytes_read", r->captured_bytes);
	json_uint(j, "stops", r->stops);
	json_uint(j, "stopped_total_ns", r->stopped_total_ns);
	json_uint(j, "capture_ns", r->capture_ns);
	json_uint(j, "analyse_ns", r->analyse_ns);
	json_object_end(j);
	return NULL;
}

/* What the tree is: trees of different rules cannot be compared. */
static struct err *add_rules(struct json *j, const struct report *r)
{
	json_object(j, "rules");
	TRY(json_string(j, "fold", r->folded ? "recursion" : "none"));
	TRY(json_string(j, "tree", r->dominators ? "dominators" : "paths"));
	TRY(json_string(j, "stack_roots", r->stack_paths ? "path" : "var"));
	json_object_end(j);
	return NULL;
}

static void add_coverage(struct json *j, const struct report *r)
{
	json_object(j, "coverage");
	json_uint(j, "live_bytes", r->live_bytes);
	json_uint(j, "live_objects", r->live_objects);
	json_uint(j, "unreachable_bytes", r->unreachable_bytes);
	json_uint(j, "unreachable_objects", r->unreachable_objects);
	json_uint(j, "allocated_bytes", r->allocated_bytes);
	json_uint(j, "allocated_objects", r->allocated_objects);
	json_uint(j, "unnamed_bytes", r->unnamed_bytes);
	json_uint(j, "opaque_bytes", r->opaque_bytes);
	json_uint(j, "unnamed_steps", r->unnamed_steps);
	json_uint(j, "smaller_bytes", r->smaller.bytes);
	json_uint(j, "smaller_nodes", r->smaller.nodes);
	json_uint(j, "failed_reads", r->failed_reads);
	json_uint(j, "failed_bytes", r->failed_bytes);
	json_uint(j, "goroutines_partial", r->goroutines_partial);
	json_object_end(j);
}

/* The account: what is live by kind of root, and all else. */
static void add_memory(struct json *j, const struct report *r)
{
	const struct account *a = &r->account;

	if (!a->heap)
		return;
	json_object(j, "memory");
	json_object(j, "live");
	for (unsigned i = 0; i < LIVE_N; i++)
		json_uint(j, live_kind_name(i), a->live[i].bytes);
	json_object_end(j);
	json_uint(j, "garbage_bytes", a->garbage.bytes);
	json_uint(j, "unswept_bytes", a->unswept.bytes);
	json_uint(j, "waiting_for_finalizers_bytes", a->waiting.bytes);
	json_uint(j, "free_slots_bytes", a->free_slots.bytes);
	json_uint(j, "span_ends_bytes", a->tails);
	json_uint(j, "heap_inuse_bytes", a->heap_inuse);
	json_uint(j, "stack_inuse_bytes", a->stack_inuse);
	json_uint(j, "finalizers_queued", a->finalizers_queued);
	json_uint(j, "cleanups_queued", a->cleanups_queued);
	if (a->counters) {
		json_uint(j, "heap_idle_bytes", a->heap_idle);
		json_uint(j, "heap_released_bytes", a->heap_released);
		json_uint(j, "gc_bytes", account_gc_sys(a));
		json_uint(j, "mspan_bytes", a->mspan_sys);
		json_uint(j, "mcache_bytes", a->mcache_sys);
		json_uint(j, "buckhash_bytes", a->buckhash_sys);
		json_uint(j, "thread_stacks_bytes", a->stack_sys_own);
		json_uint(j, "other_bytes", a->other_sys);
		json_uint(j, "sys_bytes", a->sys);
	}
	json_object_end(j);
}

static struct err *add_outside(struct json *j, const struct report *r)
{
	const struct outside *o = &r->outside;

	if (!o->known)
		return NULL;
	json_object(j, "outside");
	json_uint(j, o->core ? "core_bytes" : "rss_bytes", o->rss);
	json_uint(j, "go_heap_bytes", o->heap);
	json_uint(j, "go_runtime_bytes", o->runtime);
	json_uint(j, "c_heap_bytes", o->c_heap);
	json_uint(j, "anonymous_bytes", o->anonymous);
	json_uint(j, "files_bytes", o->files);
	json_uint(j, "stacks_bytes", o->stacks);
	json_uint(j, "other_bytes", o->other);
	json_uint(j, "huge_pages_bytes", o->huge);
	json_uint(j, "live_not_resident_bytes", o->live_absent);
	json_bool(j, "live_not_resident_exact", o->absent_known);
	if (o->absent_root)
		TRY(json_string(j, "live_not_resident_root", o->absent_root));
	json_object_end(j);
	return NULL;
}

/* "timers;time.AfterFunc" */
static struct err *add_root_name(struct json *j, const struct profile *p, uint32_t node)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	uint32_t above = p->nodes.v[node].parent;

	if (above) {
		TRY(buf_addstr(&b, p->frames.str[p->nodes.v[above].frame]));
		TRY(buf_addstr(&b, ";"));
	}
	TRY(buf_addstr(&b, p->frames.str[p->nodes.v[node].frame]));
	return json_string(j, "name", (const char *)b.data);
}

static struct err *add_roots(struct json *j, const struct profile *p, const struct report *r)
{
	_cleanup_vec_ struct profile_roots roots = VEC_INIT;

	TRY(profile_roots_make(p, &roots));
	json_array(j, "roots");
	for (size_t i = 0; i < roots.n; i++) {
		const struct profile_root *root = &roots.v[i];
		const uint64_t *alone =
			map64_get(&r->graph.alone, profile_root_name(p, root->node));

		json_line(j);
		json_object(j, NULL);
		TRY(add_root_name(j, p, root->node));
		TRY(json_string(j, "kind", live_kind_name(profile_root_kind(p, root->node))));
		json_uint(j, "live_bytes", root->bytes);
		json_uint(j, "objects", root->objects);
		if (alone)
			json_uint(j, "retained_bytes", *alone);
		json_object_end(j);
	}
	json_array_end(j);
	return NULL;
}

static const char *suspect_kind_name(enum suspect_kind kind)
{
	static const char *const names[] = {
		[SUSPECT_VARIABLE] = "variable",     [SUSPECT_LOCAL] = "local",
		[SUSPECT_GOROUTINES] = "goroutines", [SUSPECT_GARBAGE] = "garbage",
		[SUSPECT_HOLES] = "holes",           [SUSPECT_FINALIZERS] = "finalizers",
		[SUSPECT_OUTSIDE] = "outside",       [SUSPECT_LEAKED] = "leaked",
	};

	return names[kind];
}

static struct err *add_path(struct json *j, const char *const *path, uint32_t n)
{
	json_array(j, "path");
	for (uint32_t i = 0; i < n; i++)
		TRY(json_string(j, NULL, path[i]));
	json_array_end(j);
	return NULL;
}

static struct err *add_suspect(struct json *j, const struct suspect *x)
{
	json_line(j);
	json_object(j, NULL);
	TRY(json_string(j, "kind", suspect_kind_name(x->kind)));
	TRY(json_string(j, "what", x->what));
	json_double(j, "share", x->whole ? (double)x->retained / (double)x->whole : 0);
	json_uint(j, "retained_bytes", x->retained);
	json_uint(j, "alone_bytes", x->alone);
	TRY(add_path(j, x->path, x->npath));
	if (x->at.count) {
		json_object(j, "at");
		TRY(json_string(j, "frame", x->at.frame));
		TRY(json_string(j, "type", *x->at.type ? x->at.type : "[unknown]"));
		json_uint(j, "count", x->at.count);
		json_uint(j, "bytes", x->at.bytes);
		json_object_end(j);
	}
	if (x->absent)
		json_uint(j, "not_resident_bytes", x->absent);
	if (x->stack_bytes)
		json_uint(j, "stack_bytes", x->stack_bytes);
	if (x->leaked)
		json_uint(j, "leaked", x->leaked);
	if (x->source.function)
		TRY(json_add_code_line(j, "source", &x->source));
	if (x->created_by.function)
		TRY(json_add_code_line(j, "created_by", &x->created_by));
	json_object_end(j);
	return NULL;
}

static struct err *add_suspects(struct json *j, const struct report *r)
{
	json_array(j, "suspects");
	for (size_t i = 0; i < r->graph.suspects.n; i++)
		TRY(add_suspect(j, &r->graph.suspects.v[i]));
	json_array_end(j);
	return NULL;
}

static struct err *add_types(struct json *j, const struct report *r)
{
	json_array(j, "types");
	for (size_t i = 0; i < r->graph.types.n; i++) {
		const struct type_row *t = &r->graph.types.v[i];

		json_line(j);
		json_object(j, NULL);
		TRY(json_string(j, "type", t->name));
		json_uint(j, "objects", t->own.objects);
		json_uint(j, "bytes", t->own.bytes);
		json_uint(j, "retained_bytes", t->retained);
		json_object_end(j);
	}
	json_array_end(j);
	return NULL;
}

static struct err *add_group(struct json *j, const struct goroutine_group *g)
{
	static const char *const verdicts[] = { [VERDICT_RUNNING] = "running",
						[VERDICT_WAITING] = "waiting",
						[VERDICT_LEAKED] = "leaked" };

	json_line(j);
	json_object(j, NULL);
	TRY(json_string(j, "function", g->function));
	json_uint(j, "count", g->count);
	json_uint(j, "goid", g->goid);
	TRY(json_string(j, "state", g->state));
	TRY(json_string(j, "verdict", verdicts[g->verdict]));
	json_uint(j, "wait_ns_min", g->wait_min_ns);
	json_uint(j, "wait_ns_max", g->wait_max_ns);
	json_array(j, "stack"); /* the innermost first, as Go prints them */
	for (uint32_t i = g->nframes; i--;)
		TRY(json_add_code_line(j, NULL, &g->stack[i]));
	json_array_end(j);
	if (g->created_by.function)
		TRY(json_add_code_line(j, "created_by", &g->created_by));
	json_uint(j, "alone_bytes", g->alone.bytes);
	json_uint(j, "alone_objects", g->alone.objects);
	json_uint(j, "stack_bytes", g->stack_bytes);
	json_object_end(j);
	return NULL;
}

static struct err *add_goroutines(struct json *j, const struct report *r)
{
	if (!r->goroutines_of.grouped)
		return NULL;
	json_array(j, "goroutines");
	for (size_t i = 0; i < r->goroutines_of.groups.n; i++)
		TRY(add_group(j, &r->goroutines_of.groups.v[i]));
	json_array_end(j);
	return NULL;
}

static struct err *add_waste_rows(struct json *j, const char *key, const struct waste_rows *rows,
				  bool maps)
{
	json_array(j, key);
	for (size_t i = 0; i < rows->n; i++) {
		const struct waste_row *w = &rows->v[i];

		json_line(j);
		json_object(j, NULL);
		TRY(add_path(j, w->path, w->npath));
		json_uint(j, "count", w->count);
		if (maps)
			json_uint(j, "entries", w->entries);
		json_uint(j, "bytes", w->bytes);
		json_uint(j, "wasted_bytes", w->wasted);
		json_object_end(j);
	}
	json_array_end(j);
	return NULL;
}

static struct err *add_waste(struct json *j, const struct report *r)
{
	const struct waste_report *w = &r->waste;

	if (!w->made)
		return NULL;
	json_object(j, "waste");
	TRY(add_waste_rows(j, "pinned", &w->pinned, false));
	TRY(add_waste_rows(j, "slack", &w->slack, false));
	TRY(add_waste_rows(j, "maps", &w->maps, true));
	json_uint(j, "pinned_bytes", w->pinned_bytes);
	json_uint(j, "slack_bytes", w->slack_bytes);
	json_uint(j, "maps_bytes", w->maps_bytes);
	json_uint(j, "large_bytes", w->large_bytes);
	json_uint(j, "measured_bytes", w->measured_bytes);
	json_uint(j, "size_classes_bytes", r->account.class_waste);
	json_uint(j, "size_classes_measured_bytes", r->account.sized.bytes);
	json_object_end(j);
	return NULL;
}

static struct err *add_why(struct json *j, const struct report *r)
{
	const struct why_report *w = &r->why;

	if (!w->pattern)
		return NULL;
	json_object(j, "why");
	TRY(json_string(j, "pattern", w->pattern));
	if (w->nothing)
		TRY(json_string(j, "nothing", w->nothing));
	json_uint(j, "objects", w->asked.objects);
	json_uint(j, "bytes", w->asked.bytes);
	json_uint(j, "types", w->types);
	json_uint(j, "roots", w->roots + w->roots_left);
	json_uint(j, "roots_left", w->roots_left);
	json_uint(j, "ways_left", w->ways_left);
	json_array(j, "ways");
	for (size_t i = 0; i < w->ways.n; i++) {
		const struct why_way *v = &w->ways.v[i];
		char addr[24];

		json_line(j);
		json_object(j, NULL);
		TRY(add_path(j, v->path, v->npath));
		json_uint(j, "root", v->root);
		json_uint(j, "objects", v->behind.objects);
		json_uint(j, "bytes", v->behind.bytes);
		snprintf(addr, sizeof(addr), "0x%" PRIx64, v->example);
		TRY(json_string(j, "example", addr));
		json_object_end(j);
	}
	json_array_end(j);
	json_object_end(j);
	return NULL;
}

/* A node's parent is its index in the array; -1: it is a root. */
static struct err *add_tree(struct json *j, const struct profile *p, const struct report *r)
{
	json_array(j, "tree");
	for (size_t i = 1; i < p->nodes.n; i++) {
		const struct profile_node *v = &p->nodes.v[i];
		const struct code_line *at = code_lines_find(&r->lines, p->frames.str[v->frame]);

		if (i % NODES_PER_CHECK == 0)
			TRY(intr_check());
		json_line(j);
		json_object(j, NULL);
		json_int(j, "parent", (int64_t)v->parent - 1);
		TRY(json_string(j, "frame", p->frames.str[v->frame]));
		json_uint(j, "bytes", v->bytes);
		json_uint(j, "objects", v->objects);
		if (i < p->more.n)
			json_uint(j, "retained_bytes", p->more.v[i].retained);
		if (at) {
			TRY(json_string(j, "file", at->file));
			json_uint(j, "line", at->line);
		}
		json_object_end(j);
	}
	json_array_end(j);
	return NULL;
}

static struct err *add_notes(struct json *j, const struct report *r)
{
	json_array(j, "notes");
	for (size_t i = 0; i < r->notes.n; i++)
		TRY(json_string(j, NULL, r->notes.v[i]));
	json_array_end(j);
	return NULL;
}

struct err *json_add_report(struct json *j, const struct profile *p, const struct report *r)
{
	TRY(json_string(j, "schema", JSON_SCHEMA));
	json_line(j);
	TRY(add_process(j, r));
	json_line(j);
	TRY(add_stop(j, r));
	json_line(j);
	TRY(add_rules(j, r));
	json_line(j);
	add_coverage(j, r);
	json_line(j);
	add_memory(j, r);
	json_line(j);
	TRY(add_outside(j, r));
	json_line(j);
	TRY(add_roots(j, p, r));
	json_line(j);
	TRY(add_suspects(j, r));
	json_line(j);
	TRY(add_types(j, r));
	json_line(j);
	TRY(add_goroutines(j, r));
	json_line(j);
	TRY(add_waste(j, r));
	json_line(j);
	TRY(add_why(j, r));
	json_line(j);
	TRY(json_add_growth(j, r));
	json_line(j);
	return add_notes(j, r);
}

static struct err *add_all(struct json *j, const struct profile *p, const struct report *r)
{
	json_object(j, NULL);
	TRY(json_add_report(j, p, r));
	json_line(j);
	TRY(add_tree(j, p, r));
	json_object_end(j);
	return json_finish(j);
}

struct err *json_write(FILE *f, const struct profile *p, const struct report *r)
{
	struct json j;
	struct err *err;

	json_init(&j, f);
	err = add_all(&j, p, r);
	json_deinit(&j);
	return err;
}
