#include "heap/heap.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "heap/report/account_heap.h"
#include "heap/runtime/find.h"
#include "heap/report/goroutine_heap.h"
#include "heap/heap_int.h"
#include "heap/mark/mark.h"
#include "heap/mark/name.h"

double heap_cpu_seconds(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	       (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
}

/* ------------------------------------------------------------------ before the stop */

static struct err *find_arch(struct heap *h)
{
	struct proc *p = &h->proc;

	p->machine = arch_find(elf_machine(p->exe), elf_fmt(p->exe));
	p->arch = p->machine ? goarch_find(p->machine->name) : NULL;
	if (!p->arch)
		return err_create(ERR_UNSUPPORTED,
				  "%s is for %s, which is not supported yet (amd64 is)",
				  elf_path(p->exe), arch_machine_name(elf_machine(p->exe)));
	return NULL;
}

/*
 * The runtime's variables by the symbol table (link-time addresses until heap_attach()); without
 * one, moduledata alone.
 */
static struct err *find_symbols(struct heap *h)
{
	struct runtime_vars *v = &h->proc.var;
	const struct {
		const char *name;
		uint64_t *addr;
		bool required;
	} names[] = {
		{ "runtime.firstmoduledata", &v->firstmoduledata, true },
		{ "runtime.mheap_", &v->mheap_, true },
		{ "runtime.allgptr", &v->allgptr, true },
		{ "runtime.allglen", &v->allglen, true },
		{ "runtime.allm", &v->allm, true },
		{ "runtime.allp", &v->allp, true },
		{ "runtime.allfin", &v->allfin, true },
		{ "runtime.gcCleanups", &v->gcCleanups, false },
		{ "runtime.itabTable", &v->itabTable, false },
		{ "runtime.memstats", &v->memstats, false },
		{ "runtime.gcController", &v->gcController, false },
		{ "runtime.sched", &v->sched, false },
		{ "runtime.waitReasonStrings", &v->waitReasons, false },
	};
	uint64_t size;

	h->proc.stripped = false;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!binary_symbol(&h->proc.binaries.v[0], names[i].name, names[i].addr, &size) &&
		    names[i].required)
			h->proc.stripped = true;
	if (!h->proc.stripped)
		return NULL;
	memset(v, 0, sizeof(*v));
	return find_moduledata(&h->proc, &v->firstmoduledata);
}

static struct layout_program layout_program(struct heap *h)
{
	return (struct layout_program){ h->proc.version, h->proc.arch->name, debug_dwarf, h };
}

struct err *heap_check_layout(struct heap *h, struct err *failed, bool *again)
{
	struct layout_program x = layout_program(h);
	struct runtime_vars *v = &h->proc.var;
	double start = heap_cpu_seconds();
	struct err *err = layout_compare(&x, &h->proc.layout, &h->layout, again);

	h->names_cpu += heap_cpu_seconds() - start;
	if (!err && *again && h->proc.stripped) {
		err = find_moduledata(&h->proc, &v->firstmoduledata);
		v->firstmoduledata += h->proc.bias;
	}
	if (!err && !*again && failed)
		return layout_misfit(&x, &h->layout, failed);
	err_destroy(failed);
	return err;
}

struct err *heap_create(struct elf *exe, const char *const *debug, size_t ndebug, struct heap **ret)
{
	struct heap *h = calloc(1, sizeof(*h));
	struct proc *p = &h->proc;
	struct layout_program x;
	const char *modinfo;
	struct err *err;
	bool again;

	if (!h)
		return err_nomem();
	p->exe = exe;
	p->fmt = elf_fmt(exe);
	err = elf_go_buildinfo(exe, &p->version, &modinfo);
	if (!err)
		err = find_arch(h);
	if (!err)
		err = binary_add_exe(p, exe);
	if (!err)
		err = debug_find(h, debug, ndebug);
	if (!err) {
		x = layout_program(h);
		err = layout_pick(&x, &p->layout, &h->layout);
	}
	if (!err) {
		err = find_symbols(h);
		if (err_is(err, ERR_NODEBUG)) /* or the table's moduledata is not this program's */
			err = heap_check_layout(h, err, &again);
	}
	if (err) {
		heap_destroy(h);
		return err;
	}
	*ret = h;
	return NULL;
}

void heap_destroy(struct heap *h)
{
	if (!h)
		return;
	spans_deinit(&h->spans);
	stacks_deinit(&h->stacks);
	gcmasks_deinit(&h->masks);
	modules_deinit(&h->proc.modules);
	map64_deinit(&h->proc.arenas);
	vec_deinit(&h->roots);
	map64_deinit(&h->scheduler);
	binaries_deinit(&h->proc.binaries);
	libraries_deinit(&h->libs);
	for (size_t i = 0; i < h->debug_files.n; i++) {
		elf_destroy(h->debug_files.v[i].elf);
		err_destroy(h->debug_files.v[i].why);
	}
	vec_deinit(&h->debug_files);
	layout_choice_deinit(&h->layout);
	free(h->why);
	free(h);
}

const struct arch *heap_machine(const struct heap *h)
{
	return h->proc.machine;
}

void heap_set_progress(struct heap *h,
		       void (*progress)(void *arg, const char *phase, uint64_t done,
					uint64_t total),
		       void *arg)
{
	h->progress = progress;
	h->progress_arg = arg;
}

/* ------------------------------------------------------------------ the process */

struct err *heap_attach(struct heap *h, struct target *target, struct image *img, uint64_t bias)
{
	struct proc *p = &h->proc;
	const struct elf_segment *segs;
	size_t n = elf_segments(p->exe, &segs);
	uint64_t *vars[] = { &p->var.firstmoduledata, &p->var.mheap_,       &p->var.allgptr,
			     &p->var.allglen,         &p->var.allm,         &p->var.allp,
			     &p->var.allfin,          &p->var.gcCleanups,   &p->var.itabTable,
			     &p->var.memstats,        &p->var.gcController, &p->var.sched,
			     &p->var.waitReasons };
	struct err *err = binary_place(&p->binaries.v[0], bias);

	h->target = target;
	p->img = img;
	p->bias = bias;
	for (size_t i = 0; i < sizeof(vars) / sizeof(*vars); i++)
		if (*vars[i])
			*vars[i] += bias;
	for (size_t i = 0; i < n && !err; i++)
		if (!segs[i].write && segs[i].filesz)
			err = image_lend(img, segs[i].addr + bias, segs[i].data, segs[i].filesz);
	h->ready_cpu = heap_cpu_seconds();
	return err;
}

enum { SAMPLES = 32, SAMPLE = 256, NOTE_MAX = 1024, EHDR_PAGE = 4096 };

/* Adds a piece that the file has too; link-time address. */
static struct err *sample(const struct heap *h, uint64_t addr, uint64_t len, struct ranges *ret)
{
	return elf_data(h->proc.exe, addr, len) ?
		       vec_push(ret, ((struct range){ addr + h->proc.bias, len })) :
		       NULL;
}

/* The build ids, and code and constants spread over the file: at most so many pieces. */
static struct err *verify_plan(const struct heap *h, struct ranges *ret)
{
	const struct elf_segment *segs;
	size_t nsegs = elf_segments(h->proc.exe, &segs);
	struct err *err = NULL;

	for (unsigned i = 0; i < ELF_ID_NOTES && !err; i++) {
		const struct elf_section *s = elf_id_note(h->proc.exe, i);

		if (s && s->size <= NOTE_MAX)
			err = sample(h, s->addr, s->size, ret);
	}
	for (size_t i = 0, k = 0; i < nsegs; i++) {
		uint64_t step;

		if (segs[i].write || segs[i].filesz < SAMPLE)
			continue;
		step = (segs[i].filesz - SAMPLE) / (SAMPLES / 2);
		for (unsigned j = 0; j < SAMPLES / 2 && k < SAMPLES && !err; j++, k++)
			err = sample(h, segs[i].addr + j * step, SAMPLE, ret);
	}
	return err;
}

struct err *heap_samples(const struct heap *h, struct ranges *ret)
{
	const struct elf_segment *segs;
	struct err *err =
		elf_segments(h->proc.exe, &segs) ? sample(h, segs[0].addr, EHDR_PAGE, ret) : NULL;

	return err ? err : verify_plan(h, ret);
}

static bool is_id_note(const struct heap *h, uint64_t addr)
{
	for (unsigned i = 0; i < ELF_ID_NOTES; i++)
		if (elf_id_note(h->proc.exe, i) && elf_id_note(h->proc.exe, i)->addr == addr)
			return true;
	return false;
}

struct err *heap_verify(struct heap *h, struct mem_source *src, size_t *compared)
{
	struct ranges plan = VEC_INIT;
	struct mem_range r[SAMPLES + ELF_ID_NOTES];
	uint8_t buf[SAMPLES + ELF_ID_NOTES][NOTE_MAX];
	size_t n;
	struct err *err = verify_plan(h, &plan);

	n = plan.n;
	for (size_t i = 0; i < n; i++)
		r[i] = (struct mem_range){ plan.v[i].addr, plan.v[i].len, buf[i], 0 };
	vec_deinit(&plan);
	if (err)
		return err;
	err = src->readv(src, r, n);
	if (err)
		return err;
	for (size_t i = 0; i < n; i++) {
		if (r[i].got < r[i].len && compared)
			continue;
		if (r[i].got < r[i].len)
			return err_fault(r[i].addr,
					 "%s is not what runs there: no memory at 0x%" PRIx64
					 ", where its code should be",
					 elf_path(h->proc.exe), r[i].addr);
		if (memcmp(elf_data(h->proc.exe, r[i].addr - h->proc.bias, r[i].len), r[i].dst,
			   r[i].len))
			return err_create(ERR_BADDATA,
					  "%s is not what runs there: %s at 0x%" PRIx64 " differs",
					  elf_path(h->proc.exe),
					  is_id_note(h, r[i].addr - h->proc.bias) ? "the build id" :
										    "the code",
					  r[i].addr);
		if (compared)
			++*compared;
	}
	return NULL;
}

/* ------------------------------------------------------------------ analysis */

static void goroutine_partial(struct heap *h, struct goroutine *g, struct err *err)
{
	g->partial = true;
	g->why = arena_strdup(&h->proc.modules.arena, err->msg);
	if (!g->why)
		g->why = "its stack maps make no sense";
	err_destroy(err);
}

static struct err *scan_stacks(struct heap *h)
{
	struct proc *p = &h->proc;
	struct err *err = NULL;

	for (size_t i = 0; i < h->stacks.gs.n && !err; i++) {
		struct goroutine *g = &h->stacks.gs.v[i];
		size_t before = h->roots.n;

		err = stacks_walk(p, &h->stacks, i);
		if (err)
			break;
		err = stacks_scan(p, &h->stacks, &h->spans, i, &h->roots);
		if (err_is(err, ERR_FAULT) || err_is(err, ERR_BADDATA) ||
		    err_is(err, ERR_UNSUPPORTED)) {
			goroutine_partial(h, g, err);
			h->roots.n = before;
			err = stacks_scan(p, &h->stacks, &h->spans, i, &h->roots);
			if (err) { /* its defers cannot be read either */
				err_destroy(err);
				err = NULL;
			}
		}
	}
	return err;
}

static struct err *scheduler_add(struct heap *h, uint64_t addr)
{
	struct span *sp = spans_find(&h->spans, addr);
	uint64_t *val;

	if (!sp)
		return NULL;
	sp->scheduler = true;
	return map64_put(&h->scheduler, sp->first_id + span_index(sp, addr), 1, &val, NULL);
}

/* The objects that marking enters last. */
static struct err *find_scheduler(struct heap *h)
{
	uint64_t ptr, len, pp;
	struct err *err = proc_slice(&h->proc, h->proc.var.allp, &ptr, &len);

	for (uint64_t i = 0; i < len && !err; i++) {
		err = image_read_word(h->proc.img, ptr + i * h->proc.fmt.word, &pp);
		if (!err)
			err = scheduler_add(h, pp);
	}
	for (size_t i = 0; i < h->stacks.gs.n && !err; i++)
		err = scheduler_add(h, h->stacks.gs.v[i].addr);
	for (size_t i = 0; i < h->stacks.ms.n && !err; i++)
		err = scheduler_add(h, h->stacks.ms.v[i].addr);
	return err;
}

enum { PARTIAL_NOTES = 5 };

static uint32_t count_machines(const struct heap *h)
{
	uint32_t n = 0;

	for (size_t i = 0; i < h->stacks.ms.n; i++)
		n += h->stacks.ms.v[i].procid != 0;
	return n;
}

/* Threads that run a goroutine, and whose registers nobody could give. */
static struct err *note_machines(const struct heap *h, struct report *r)
{
	unsigned n = 0;
	struct err *err = NULL;

	for (size_t i = 0; i < h->stacks.ms.n && !err; i++) {
		const struct machine *m = &h->stacks.ms.v[i];

		if (m->thread >= 0 || !m->curg || !m->procid)
			continue;
		for (size_t j = 0; j < h->stacks.gs.n && !err; j++) {
			const struct goroutine *g = &h->stacks.gs.v[j];

			if (g->addr == m->curg && g->status == G_RUNNING && n++ < PARTIAL_NOTES)
				err = report_note(r,
						  "the registers of thread %" PRIu64
						  " could not be had: goroutine %" PRIu64
						  "'s stack was scanned without them",
						  m->procid, g->goid);
		}
	}
	return !err && n > PARTIAL_NOTES ?
		       report_note(r, "and those of %u more threads", n - PARTIAL_NOTES) :
		       err;
}

static struct err *fill_report(struct heap *h, const struct mark *m, struct report *r)
{
	struct image_stats st = image_stats(h->proc.img);
	struct err *err = NULL;

	r->version = h->proc.version;
	r->goarch = h->proc.arch->name;
	if (h->layout.note)
		err = report_note(r, "%s", h->layout.note);
	r->live_bytes = m->live_bytes;
	r->live_objects = m->live_objects;
	for (size_t i = 0; i < h->spans.n; i++) {
		const struct span *s = &h->spans.v[i];

		r->allocated_objects += s->alloc_count;
		r->allocated_bytes += s->alloc_count * s->elemsize;
	}
	r->unreachable_objects = h->spans.allocated - m->live_objects;
	r->unreachable_bytes = h->spans.allocated_bytes - m->live_bytes;
	r->failed_reads = st.holes + m->unread;
	r->failed_bytes = st.hole_bytes;
	for (size_t i = 0; i < h->stacks.gs.n && !err; i++) {
		const struct goroutine *g = &h->stacks.gs.v[i];

		if (goroutine_is_dead(g))
			continue;
		r->goroutines++;
		if (!g->partial)
			continue;
		if (r->goroutines_partial++ < PARTIAL_NOTES)
			err = report_note(r, "goroutine %" PRIu64 " was scanned conservatively: %s",
					  g->goid, g->why);
	}
	if (!err && r->goroutines_partial > PARTIAL_NOTES)
		err = report_note(r, "and %u more goroutines",
				  r->goroutines_partial - PARTIAL_NOTES);
	if (!r->threads)
		r->threads = count_machines(h);
	if (!err)
		err = note_machines(h, r);
	if (!err)
		err = report_detail(r,
				    "reads: %" PRIu64 " rounds, %" PRIu64 " holes (%" PRIu64
				    " bytes, the first at 0x%" PRIx64 "), %" PRIu64
				    " objects unread",
				    st.fetches, st.holes, st.hole_bytes, st.first_hole, m->unread);
	if (!err && h->proc.stripped)
		err = report_detail(r,
				    "found by shape: mheap_ 0x%" PRIx64 ", allgs 0x%" PRIx64
				    ", allp 0x%" PRIx64 ", allm 0x%" PRIx64 ", allfin 0x%" PRIx64
				    ", gcCleanups 0x%" PRIx64 ", itabTable 0x%" PRIx64,
				    h->proc.var.mheap_, h->proc.var.allgptr, h->proc.var.allp,
				    h->proc.var.allm, h->proc.var.allfin, h->proc.var.gcCleanups,
				    h->proc.var.itabTable);
	if (!err)
		err = report_detail(r,
				    "heap: %zu spans in use, %" PRIu64
				    " slots, sweep generation %" PRIu64 "%s",
				    h->spans.n, h->spans.nids, h->spans.sweepgen,
				    h->spans.green_tea ? ", inline mark bits" : "");
	return err;
}

/* Of the analysis, for -v: CPU and the most memory so far, phase by phase. */
struct phases {
	double cpu;
	struct {
		const char *name;
		double cpu, peak_mb;
	} v[8];
	size_t n;
};

static void phase_done(struct phases *ph, const char *name)
{
	double now = heap_cpu_seconds();
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

static struct err *report_costs(const struct heap *h, const struct mark *m, const struct profile *p,
				const struct phases *ph, struct report *r)
{
	const struct image_stats st = image_stats(h->proc.img);
	const struct spans *s = &h->spans;
	uint64_t spans = s->n * sizeof(*s->v) + s->ntables * 8192 * sizeof(uint32_t);
	uint64_t marks = (s->nscan * sizeof(*m->place)) + s->nids / 4;
	uint64_t nodes = p->nodes.n * (sizeof(*p->nodes.v) + 2 * sizeof(struct map64_slot));
	struct err *err = NULL;

	for (size_t i = 0; i < ph->n && !err; i++)
		err = report_detail(r,
				    "CPU: %s %.2f s, %.1f M objects/s; peak memory so far %.1f MB",
				    ph->v[i].name, ph->v[i].cpu,
				    per_second(m->live_objects, ph->v[i].cpu), ph->v[i].peak_mb);
	if (!err)
		err = report_detail(
			r,
			"memory: image %.1f MB, spans %.1f MB, marks %.1f MB (%.1f bytes per slot), frontier "
			"%.1f MB (%zu objects), profile %.1f MB",
			(double)st.fetched / 1e6, (double)spans / 1e6, (double)marks / 1e6,
			s->nids ? (double)marks / (double)s->nids : 0,
			(double)m->widest * 2 * sizeof(walk_entry_t) / 1e6, m->widest,
			(double)nodes / 1e6);
	if (!err && st.file_bytes)
		err = report_detail(
			r,
			"image: %.1f MB of it in an unlinked file below TMPDIR, at most %.1f MB of that in memory",
			(double)st.file_bytes / 1e6, (double)st.file_budget / 1e6);
	else if (!err && st.no_file)
		err = report_detail(r, "image: all in memory: %s", st.no_file);
	return err;
}

struct err *heap_analyse(struct heap *h, const struct analyse_options *o, struct profile *profile,
			 struct report *r)
{
	struct types *types = NULL;
	struct places places = { 0 };
	struct arena arena = ARENA_INIT;
	struct mark_root *roots = NULL;
	struct mark mark = { 0 };
	struct phases ph = { 0 };
	size_t nroots;
	struct err *err;

	phase_done(&ph, "capture");
	err = spans_attach(&h->proc, &h->spans);
	if (!err)
		err = scan_stacks(h);
	if (!err)
		err = roots_collect(&h->proc, &h->spans, &h->masks, &h->roots);
	if (!err)
		err = find_scheduler(h);
	if (!err)
		err = debug_open(h, r);
	if (!err)
		err = debug_types(h, &types);
	if (!err)
		err = places_init(&places, h, types, &profile->frames);
	if (!err)
		err = name_roots(h, &places, &arena, &roots, &nroots);
	binaries_locals_done(&h->proc.binaries);
	phase_done(&ph, "stacks and roots");
	if (!err)
		err = mark_run(&mark, h, &places, roots, nroots);
	phase_done(&ph, "marking");
	if (!err)
		err = name_objects(&mark, o, profile, r);
	phase_done(&ph, "naming");
	if (!err)
		err = fill_report(h, &mark, r);
	if (!err)
		err = account_make(h, &mark, profile, r);
	if (!err)
		err = goroutine_report_make(h, o->goroutines, r->time_mono_ns, &r->goroutines_of);
	if (!err)
		err = report_costs(h, &mark, profile, &ph, r);
	mark_deinit(&mark);
	free(roots);
	places_deinit(&places);
	types_destroy(types);
	arena_deinit(&arena);
	return err_wrapf(err, "analysing the heap");
}
