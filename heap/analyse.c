/*
 * The analysis, from the image alone: walks and scans stacks, collects roots, marks, names, and
 * fills the report.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/intr.h"
#include "heap/graph/domtree.h"
#include "heap/graph/objects_graph.h"
#include "heap/graph/why.h"
#include "heap/heap_int.h"
#include "heap/mark/mark.h"
#include "heap/mark/name.h"
#include "heap/profile/profile_bound.h"
#include "heap/report/account_heap.h"
#include "heap/report/goroutine_heap.h"
#include "heap/report/outside_heap.h"
#include "heap/report/suspects.h"
#include "heap/report/waste_heap.h"
#include "heap/runtime/find.h"

DEFINE_CLEANUP(types_destroy, struct types *)

/* ------------------------------------------------------------------ stacks and roots */

static void goroutine_partial(struct captured *c, struct goroutine *g, const struct err *why)
{
	g->partial = true;
	g->why = arena_strdup(&c->proc.modules.arena, why->msg);
	if (!g->why)
		g->why = "its stack maps make no sense";
}

static bool is_damage(const struct err *err)
{
	return err_is(err, ERR_FAULT) || err_is(err, ERR_BADDATA) || err_is(err, ERR_UNSUPPORTED);
}

/* Walks and scans one stack.  One whose maps cannot be used is scanned conservatively. */
static struct err *scan_stack(struct captured *c, size_t i)
{
	size_t before = c->roots.n;
	struct err *err;

	TRY(stacks_walk(&c->proc, &c->stacks, i));
	err = stacks_scan(&c->proc, &c->stacks, &c->spans, i, &c->roots);
	if (!is_damage(err))
		return err;
	goroutine_partial(c, &c->stacks.gs.v[i], err);
	err_destroy(err);
	c->roots.n = before;
	/* Where this fails, its defers cannot be read either. */
	err_destroy(stacks_scan(&c->proc, &c->stacks, &c->spans, i, &c->roots));
	return NULL;
}

static struct err *scheduler_add(struct captured *c, uint64_t addr)
{
	struct span *sp = spans_find(&c->spans, addr);
	uint64_t *val;

	if (!sp)
		return NULL;
	sp->scheduler = true;
	return map64_put(&c->scheduler, sp->first_id + span_index(sp, addr), 1, &val, NULL);
}

/* Finds the objects that marking enters last: ps, gs and ms. */
static struct err *find_scheduler(struct captured *c)
{
	uint64_t ptr, len, pp;

	TRY(proc_slice(&c->proc, c->proc.var.allp, &ptr, &len));
	for (uint64_t i = 0; i < len; i++) {
		TRY(image_read_word(c->proc.img, ptr + i * c->proc.fmt.word, &pp));
		TRY(scheduler_add(c, pp));
	}
	for (size_t i = 0; i < c->stacks.gs.n; i++)
		TRY(scheduler_add(c, c->stacks.gs.v[i].addr));
	for (size_t i = 0; i < c->stacks.ms.n; i++)
		TRY(scheduler_add(c, c->stacks.ms.v[i].addr));
	return NULL;
}

/* ------------------------------------------------------------------ the report */

enum { PARTIAL_NOTES = 5 };

static uint32_t count_machines(const struct captured *c)
{
	uint32_t n = 0;

	for (size_t i = 0; i < c->stacks.ms.n; i++)
		n += c->stacks.ms.v[i].procid != 0;
	return n;
}

/* A thread that runs a goroutine, and whose registers nobody could give. */
static bool is_mute(const struct machine *m)
{
	return m->thread < 0 && m->curg && m->procid;
}

/* Notes them. */
static struct err *note_machines(const struct captured *c, struct report *r)
{
	_cleanup_(map64_deinit) struct map64 by_g = MAP64_INIT; /* curg -> its m's number */
	uint64_t *slot;
	unsigned n = 0;

	for (size_t i = 0; i < c->stacks.ms.n; i++)
		if (is_mute(&c->stacks.ms.v[i])) {
			TRY(map64_put(&by_g, c->stacks.ms.v[i].curg, 0, &slot, NULL));
			*slot = c->stacks.ms.v[i].procid;
		}
	for (size_t j = 0; by_g.n && j < c->stacks.gs.n; j++) {
		const struct goroutine *g = &c->stacks.gs.v[j];
		const uint64_t *procid = map64_get(&by_g, g->addr);

		if (procid && g->status == G_RUNNING && n++ < PARTIAL_NOTES)
			TRY(report_note(r,
					"the registers of thread %" PRIu64
					" could not be had: goroutine %" PRIu64
					"'s stack was scanned without them",
					*procid, g->goid));
	}
	return n > PARTIAL_NOTES ?
		       report_note(r, "and those of %u more threads", n - PARTIAL_NOTES) :
		       NULL;
}

static struct err *note_goroutines(const struct captured *c, struct report *r)
{
	for (size_t i = 0; i < c->stacks.gs.n; i++) {
		const struct goroutine *g = &c->stacks.gs.v[i];

		if (goroutine_is_dead(g))
			continue;
		r->goroutines++;
		if (!g->partial)
			continue;
		if (r->goroutines_partial++ < PARTIAL_NOTES)
			TRY(report_note(r, "goroutine %" PRIu64 " was scanned conservatively: %s",
					g->goid, g->why));
	}
	if (r->goroutines_partial > PARTIAL_NOTES)
		TRY(report_note(r, "and %u more goroutines",
				r->goroutines_partial - PARTIAL_NOTES));
	if (!r->threads)
		r->threads = count_machines(c);
	return note_machines(c, r);
}

static struct err *detail_heap(const struct captured *c, const struct mark *m, struct report *r)
{
	const struct image_stats st = image_stats(c->proc.img);
	const struct runtime_vars *v = &c->proc.var;

	TRY(report_detail(r,
			  "reads: %" PRIu64 " rounds, %" PRIu64 " holes (%" PRIu64
			  " bytes, the first at 0x%" PRIx64 "), %" PRIu64 " objects unread",
			  st.fetches, st.holes, st.hole_bytes, st.first_hole, m->unread));
	if (c->proc.stripped)
		TRY(report_detail(r,
				  "found by shape: mheap_ 0x%" PRIx64 ", allgs 0x%" PRIx64
				  ", allp 0x%" PRIx64 ", allm 0x%" PRIx64 ", allfin 0x%" PRIx64
				  ", gcCleanups 0x%" PRIx64 ", itabTable 0x%" PRIx64,
				  v->mheap_, v->allgptr, v->allp, v->allm, v->allfin, v->gcCleanups,
				  v->itabTable));
	return report_detail(
		r, "heap: %zu spans in use, %" PRIu64 " slots, sweep generation %" PRIu64 "%s",
		c->spans.n, c->spans.nids, c->spans.sweepgen,
		c->spans.green_tea ? ", inline mark bits" : "");
}

static struct err *fill_report(const struct heap *h, const struct mark *m, struct report *r)
{
	const struct captured *c = &h->captured;
	const struct image_stats st = image_stats(c->proc.img);

	r->version = c->proc.version;
	r->goarch = c->proc.arch->name;
	if (h->layout.note)
		TRY(report_note(r, "%s", h->layout.note));
	if (!c->proc.var.initTime ||
	    !proc_try_uint(&c->proc, c->proc.var.initTime, 8, &r->started_ns))
		r->started_ns = 0;
	r->live_bytes = m->live_bytes;
	r->live_objects = m->live_objects;
	for (size_t i = 0; i < c->spans.n; i++) {
		const struct span *s = &c->spans.v[i];

		r->allocated_objects += s->alloc_count;
		r->allocated_bytes += s->alloc_count * s->elemsize;
	}
	r->unreachable_objects = c->spans.allocated - m->live_objects;
	r->unreachable_bytes = c->spans.allocated_bytes - m->live_bytes;
	r->failed_reads = st.holes + m->unread;
	r->failed_bytes = st.hole_bytes;
	TRY(note_goroutines(c, r));
	return detail_heap(c, m, r);
}

/* CPU time and the most memory so far of each phase of the analysis, for -v. */
struct phases {
	double cpu;
	struct {
		const char *name;
		double cpu, peak_mb;
	} v[12];
	size_t n;
};

static void phase_done(struct phases *ph, const char *name)
{
	double now = clock_cpu_seconds();
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	ph->v[ph->n].name = name;
	ph->v[ph->n].cpu = now - ph->cpu;
	ph->v[ph->n++].peak_mb = (double)ru.ru_maxrss * 1024 / 1e6;
	ph->cpu = now;
}

static double per_second(uint64_t objects, double cpu)
{
	return cpu > 0 ? (double)objects / cpu / 1e6 : 0;
}

static struct err *report_costs(const struct captured *c, const struct mark *m,
				const struct profile *p, const struct phases *ph, struct report *r)
{
	const struct image_stats st = image_stats(c->proc.img);
	const struct spans *s = &c->spans;
	uint64_t spans = s->n * sizeof(*s->v) + s->ntables * PAGE_TABLE * sizeof(uint32_t);
	uint64_t marks = (s->nscan * sizeof(*m->place)) + s->nids / 4;
	uint64_t looked =
		st.asked + st.skipped - s->planned + spans_live_contents(&c->proc, s, m->seen);
	uint64_t nodes = p->nodes.n * (sizeof(*p->nodes.v) + 2 * sizeof(struct map64_slot));

	for (size_t i = 0; i < ph->n; i++)
		TRY(report_detail(r, "CPU: %s %.2f s, %.1f M objects/s; peak memory so far %.1f MB",
				  ph->v[i].name, ph->v[i].cpu,
				  per_second(m->live_objects, ph->v[i].cpu), ph->v[i].peak_mb));
	TRY(report_detail(r,
			  "memory: image %.1f MB, spans %.1f MB, marks %.1f MB (%.1f bytes per "
			  "slot), frontier %.1f MB (%zu objects), profile %.1f MB",
			  (double)st.fetched / 1e6, (double)spans / 1e6, (double)marks / 1e6,
			  s->nids ? (double)marks / (double)s->nids : 0,
			  (double)m->widest * 2 * sizeof(walk_entry_t) / 1e6, m->widest,
			  (double)nodes / 1e6));
	TRY(report_detail(r, "looked at: %.1f MB of the %.1f MB that were asked for: %.3f of it",
			  (double)looked / 1e6, (double)st.asked / 1e6,
			  looked ? (double)st.asked / (double)looked : 0));
	if (st.file_bytes)
		return report_detail(r,
				     "image: %.1f MB of it in an unlinked file below TMPDIR, at "
				     "most %.1f MB of that in memory",
				     (double)st.file_bytes / 1e6, (double)st.file_budget / 1e6);
	if (st.no_file)
		return report_detail(r, "image: all in memory: %s", st.no_file);
	return NULL;
}

/* ------------------------------------------------------------------ the order */

static struct err *find_roots(struct captured *c)
{
	TRY(spans_attach(&c->proc, &c->spans));
	for (size_t i = 0; i < c->stacks.gs.n; i++)
		TRY(scan_stack(c, i));
	TRY(roots_collect(&c->proc, &c->spans, &c->masks, &c->roots));
	if (!c->proc.var.waitReasons)
		TRY(find_wait_reasons(&c->proc, &c->spans));
	return find_scheduler(c);
}

/* What the graph says, once it is whole. */
static struct err *graph_answers(struct graph *g, const struct analyse_options *o,
				 struct profile *p, struct report *r, struct phases *ph,
				 struct objects_graph *objects)
{
	if (g->limit)
		return report_note(r,
				   "the heap has too many objects or pointers for their graph: no "
				   "retained sizes, no suspects");
	TRY(graph_roots(g, p, o->stack_paths));
	phase_done(ph, "roots of the graph");
	if (o->why) {
		struct name_options names = { .max_depth = o->max_depth,
					      .stack_paths = o->stack_paths };

		TRY(why_make(g, o->why, p, &names, &r->why));
		phase_done(ph, "ways");
	}
	TRY(graph_dominate(g));
	phase_done(ph, "dominators");
	TRY(retained_roots(g, &r->graph));
	TRY(retained_nodes(g, p, &r->graph.alone));
	TRY(retained_types(g, p, &r->graph));
	TRY(profile_init(&r->owners));
	TRY(domtree_make(g, p, false, o->max_depth, &r->owners));
	phase_done(ph, "retained sizes");
	r->graph.made = true;
	return o->objects ? objects_graph_init(objects, g, p) : NULL;
}

/* What naming fills for the graph. */
static struct err *graph_begin(struct graph *g, struct captured *c, const struct mark *m,
			       const struct analyse_options *o, struct waste *waste)
{
	TRY(graph_init(g, c, m));
	if (o->objects)
		TRY(graph_keep(g));
	return waste_init(waste, g);
}

/* The tree of dominators takes the place of that of paths, which goes to *paths, since frames are
 * numbered there. */
static struct err *swap_dominators(const struct graph *g, const struct analyse_options *o,
				   struct profile *p, struct profile *paths, struct report *r)
{
	struct profile tree;
	struct err *err;

	TRY(profile_init(&tree));
	err = domtree_make(g, p, true, o->max_depth, &tree);
	if (err) {
		profile_deinit(&tree);
		return err;
	}
	*paths = *p;
	*p = tree;
	g->m->places->frames = &paths->frames;
	r->dominators = true;
	return NULL;
}

/* Suspects, from the whole tree of owners. */
static struct err *judge(const struct analyse_options *o, struct report *r)
{
	TRY(intr_check());
	if (!r->graph.made)
		return NULL;
	TRY(suspects_make(r));
	return o->max_nodes ?
		       profile_bound(&r->owners, o->max_nodes, &(struct profile_smaller){ 0 }) :
		       NULL;
}

static struct err *analyse(struct heap *h, const struct analyse_options *o, struct profile *profile,
			   struct report *r)
{
	struct name_options names = { .max_depth = o->max_depth,
				      .stack_paths = o->stack_paths,
				      .sizes = o->sizes };
	struct captured *c = &h->captured;
	_cleanup_(cleanup_types_destroy) struct types *types = NULL;
	_cleanup_(places_deinit) struct places places = { 0 };
	_cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
	_cleanup_(root_list_deinit) struct root_list roots = ROOT_LIST_INIT;
	_cleanup_(mark_deinit) struct mark mark = { 0 };
	_cleanup_(graph_deinit) struct graph graph = { 0 };
	_cleanup_(profile_deinit) struct profile paths = { 0 };
	_cleanup_(waste_deinit) struct waste waste = { 0 };
	_cleanup_(objects_graph_deinit) struct objects_graph objects = { 0 };
	struct phases ph = { 0 };

	phase_done(&ph, "capture");
	TRY(find_roots(c));
	TRY(debug_open(h, r));
	TRY(debug_types(h, &types));
	TRY(places_init(&places, c, types, &profile->frames, o->fold));
	c->roots_once = !o->goroutines;
	places.lines = &r->lines;
	TRY(name_roots(c, &places, &arena, &roots));
	binaries_locals_done(&c->proc.binaries);
	phase_done(&ph, "stacks and roots");
	TRY(mark_run(&mark, c, &places, &roots));
	phase_done(&ph, "marking");
	r->folded = o->fold;
	r->stack_paths = o->stack_paths;
	if (o->graph) {
		TRY(graph_begin(&graph, c, &mark, o, &waste));
		names.watch = &graph.watch;
	}
	TRY(name_objects(&mark, &names, profile, r));
	phase_done(&ph, "naming");
	if (o->graph)
		TRY(waste_make(&waste, profile, r));
	if (o->graph)
		TRY(graph_answers(&graph, o, profile, r, &ph, &objects));
	TRY(fill_report(h, &mark, r));
	TRY(account_make(c, &mark, profile, r));
	if (o->graph)
		TRY(outside_count(&graph, profile, r));
	if (o->dominators && r->graph.made)
		TRY(swap_dominators(&graph, o, profile, &paths, r));
	if (o->max_nodes)
		TRY(profile_bound(profile, o->max_nodes, &r->smaller));
	TRY(goroutine_report_make(c,
				  o->goroutines ? GOROUTINES_ALONE :
				  o->graph      ? GOROUTINES_GROUPS :
						  GOROUTINES_WORKERS,
				  r->time_mono_ns, &r->goroutines_of));
	TRY(judge(o, r));
	TRY(report_costs(c, &mark, profile, &ph, r));
	return o->objects && r->graph.made ? o->objects(o->objects_arg, &objects.o, profile, r) :
					     NULL;
}

struct err *heap_analyse(struct heap *h, const struct analyse_options *o, struct profile *profile,
			 struct report *r)
{
	return err_wrapf(analyse(h, o, profile, r), "analysing the heap");
}
