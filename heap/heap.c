#include "heap/heap.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "heap/find.h"
#include "heap/heap_int.h"
#include "heap/mark.h"
#include "heap/name.h"

/* ------------------------------------------------------------------ before the stop */

static struct err *find_arch(struct heap *h)
{
	struct proc *p = &h->proc;

	p->machine = arch_find(elf_machine(p->exe), elf_fmt(p->exe));
	p->arch = p->machine ? goarch_find(p->machine->name) : NULL;
	if (!p->arch)
		return err_create(ERR_UNSUPPORTED, "%s is for %s, which is not supported yet (amd64 is)",
				  elf_path(p->exe), arch_machine_name(elf_machine(p->exe)));
	return NULL;
}

/* The runtime's variables by the symbol table; without one, moduledata alone. */
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
	};
	uint64_t size;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!elf_symbol(h->proc.exe, names[i].name, names[i].addr, &size) && names[i].required)
			h->proc.stripped = true;
	if (!h->proc.stripped)
		return NULL;
	memset(v, 0, sizeof(*v));
	return find_moduledata(&h->proc, &v->firstmoduledata);
}

/* The program's debug information, wherever it is; ERR_NODEBUG: none.  The heap keeps it. */
static struct err *open_dwarf(void *arg, struct dwarf **ret)
{
	struct heap *h = arg;
	struct err *err = h->dwarf ? NULL : dwarf_create(h->proc.exe, &h->dwarf);

	*ret = h->dwarf;
	return err;
}

static struct layout_program layout_program(struct heap *h)
{
	return (struct layout_program){ h->proc.version, h->proc.arch->name, open_dwarf, h };
}

struct err *heap_check_layout(struct heap *h, struct err *failed, bool *again)
{
	struct layout_program x = layout_program(h);
	struct runtime_vars *v = &h->proc.var;
	struct err *err;

	err = layout_compare(&x, &h->proc.layout, &h->layout, again);
	if (!err && *again && h->proc.stripped) {
		err = find_moduledata(&h->proc, &v->firstmoduledata);
		v->firstmoduledata += h->proc.bias;
	}
	if (!err && !*again && failed)
		return h->unborn ? failed : layout_misfit(&x, &h->layout, failed);
	err_destroy(failed);
	return err;
}

struct err *heap_create(struct elf *exe, struct heap **ret)
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
	layout_choice_deinit(&h->layout);
	dwarf_destroy(h->dwarf);
	free(h->why);
	free(h);
}

const struct arch *heap_machine(const struct heap *h)
{
	return h->proc.machine;
}

void heap_set_progress(struct heap *h,
		       void (*progress)(void *arg, const char *phase, uint64_t done, uint64_t total),
		       void *arg)
{
	h->progress = progress;
	h->progress_arg = arg;
}

/* ------------------------------------------------------------------ the process */

struct err *heap_attach(struct heap *h, struct image *img, uint64_t bias)
{
	static const char *const stubs[] = { "reflect.makeFuncStub", "reflect.methodValueCall" };
	struct proc *p = &h->proc;
	const struct elf_segment *segs;
	size_t n = elf_segments(p->exe, &segs);
	uint64_t *vars[] = { &p->var.firstmoduledata, &p->var.mheap_, &p->var.allgptr, &p->var.allglen, &p->var.allm,
			     &p->var.allp, &p->var.allfin, &p->var.gcCleanups,
			     &p->var.itabTable };
	uint64_t addr, size;
	struct err *err = NULL;

	p->img = img;
	p->bias = bias;
	for (size_t i = 0; i < sizeof(vars) / sizeof(*vars); i++)
		if (*vars[i])
			*vars[i] += bias;
	for (size_t i = 0; i < n && !err; i++)
		if (!segs[i].write && segs[i].filesz)
			err = image_lend(img, segs[i].addr + bias, segs[i].data, segs[i].filesz);
	h->struct_of = elf_symbol(p->exe, "reflect.StructOf", &addr, &size);
	for (size_t i = 0; i < 2; i++) {
		if (!elf_symbol(p->exe, stubs[i], &addr, &size))
			continue;
		addr += bias;
		if (!h->reflect_lo || addr < h->reflect_lo)
			h->reflect_lo = addr;
		if (addr + size > h->reflect_hi)
			h->reflect_hi = addr + size;
	}
	return err;
}

enum { SAMPLES = 32, SAMPLE = 256, NOTES = 2, NOTE_MAX = 1024 };

/* Adds a piece that the file has too. */
static void sample(const struct heap *h, uint64_t addr, uint64_t len, uint8_t *buf, struct mem_range *r,
		   size_t *n)
{
	if (elf_data(h->proc.exe, addr, len))
		r[(*n)++] = (struct mem_range){ addr + h->proc.bias, len, buf, 0 };
}

struct err *heap_verify(struct heap *h, struct mem_source *src)
{
	static const char *const notes[NOTES] = { ".note.go.buildid", ".note.gnu.build-id" };
	const struct elf_segment *segs;
	size_t nsegs = elf_segments(h->proc.exe, &segs), n = 0;
	struct mem_range r[SAMPLES + NOTES];
	uint8_t buf[SAMPLES][SAMPLE], note[NOTES][NOTE_MAX];
	struct err *err;

	/* The build ids, and code and constants spread over the file. */
	for (size_t i = 0; i < NOTES; i++) {
		const struct elf_section *s = elf_section(h->proc.exe, notes[i]);

		if (s && s->alloc && s->size <= NOTE_MAX)
			sample(h, s->addr, s->size, note[i], r, &n);
	}
	for (size_t i = 0, k = 0; i < nsegs; i++) {
		uint64_t step;

		if (segs[i].write || segs[i].filesz < SAMPLE)
			continue;
		step = (segs[i].filesz - SAMPLE) / (SAMPLES / 2);
		for (unsigned j = 0; j < SAMPLES / 2 && k < SAMPLES; j++, k++)
			sample(h, segs[i].addr + j * step, SAMPLE, buf[k], r, &n);
	}
	err = src->readv(src, r, n);
	if (err)
		return err;
	for (size_t i = 0; i < n; i++) {
		if (r[i].got < r[i].len)
			return err_fault(r[i].addr,
					 "%s is not what runs there: no memory at 0x%" PRIx64 ", where its code should be",
					 elf_path(h->proc.exe), r[i].addr);
		if (memcmp(elf_data(h->proc.exe, r[i].addr - h->proc.bias, r[i].len), r[i].dst, r[i].len))
			return err_create(ERR_BADDATA, "%s is not what runs there: %s at 0x%" PRIx64 " differs",
					  elf_path(h->proc.exe), r[i].dst == note[0] || r[i].dst == note[1] ?
					  "the build id" : "the code", r[i].addr);
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
		if (err_is(err, ERR_FAULT) || err_is(err, ERR_BADDATA) || err_is(err, ERR_UNSUPPORTED)) {
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

static struct err *make_types(struct heap *h, struct dwarf *dwarf, struct types **ret)
{
	struct types_module *mods = calloc(h->proc.modules.v.n, sizeof(*mods));
	struct err *err;

	if (!mods)
		return err_nomem();
	for (size_t i = 0; i < h->proc.modules.v.n; i++) {
		const struct module *m = &h->proc.modules.v.v[i];

		mods[i] = (struct types_module){ m->types, m->etypes, h->proc.bias, i ? NULL : dwarf };
	}
	err = types_create(h->proc.img, &h->proc.layout, mods, h->proc.modules.v.n, ret);
	free(mods);
	return err;
}

enum { PARTIAL_NOTES = 5 };

static struct err *fill_report(struct heap *h, const struct mark *m, struct report *r)
{
	struct image_stats st = image_stats(h->proc.img);
	uint64_t slots = 0, slot_bytes = 0;
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
		slots += s->allocated;
		slot_bytes += s->allocated * s->elemsize;
	}
	r->unreachable_objects = slots - m->live_objects;
	r->unreachable_bytes = slot_bytes - m->live_bytes;
	r->failed_reads = st.holes + m->unread;
	r->failed_bytes = st.hole_bytes;
	r->captured_bytes = st.fetched;
	for (size_t i = 0; i < h->stacks.gs.n && !err; i++) {
		const struct goroutine *g = &h->stacks.gs.v[i];

		if (g->status == G_DEAD || g->status == G_DEADEXTRA || g->status == G_IDLE)
			continue;
		r->goroutines++;
		if (!g->partial)
			continue;
		if (r->goroutines_partial++ < PARTIAL_NOTES)
			err = report_note(r, "goroutine %" PRIu64 " was scanned conservatively: %s", g->goid, g->why);
	}
	if (!err && r->goroutines_partial > PARTIAL_NOTES)
		err = report_note(r, "and %u more goroutines", r->goroutines_partial - PARTIAL_NOTES);
	if (!err)
		err = report_detail(r, "reads: %" PRIu64 " holes (%" PRIu64 " bytes, the first at 0x%" PRIx64
				    "), %" PRIu64 " objects unread", st.holes, st.hole_bytes, st.first_hole,
				    m->unread);
	if (!err)
		err = report_detail(r, "heap: %zu spans in use, %" PRIu64 " slots, sweep generation %" PRIu64
				    "%s", h->spans.n, h->spans.nids, h->spans.sweepgen,
				    h->spans.green_tea ? ", inline mark bits" : "");
	return err;
}

struct err *heap_analyse(struct heap *h, unsigned max_depth, struct profile *profile,
			 struct report *r)
{
	struct dwarf *dwarf = NULL;
	struct types *types = NULL;
	struct places places = { 0 };
	struct arena arena = ARENA_INIT;
	struct mark_root *roots = NULL;
	struct mark mark = { 0 };
	size_t nroots;
	struct err *err;

	spans_attach(&h->proc, &h->spans);
	err = scan_stacks(h);
	if (!err)
		err = roots_collect(&h->proc, &h->spans, &h->masks, &h->roots);
	if (!err)
		err = find_scheduler(h);
	if (!err) {
		err = open_dwarf(h, &dwarf);
		if (err_is(err, ERR_NODEBUG)) {
			err_destroy(err);
			err = report_note(r, "no DWARF: names come from the runtime's own type information");
		}
	}
	if (!err)
		err = make_types(h, dwarf, &types);
	if (!err)
		err = places_init(&places, h, types, &profile->frames);
	if (!err)
		err = name_roots(h, &places, dwarf, &arena, &roots, &nroots);
	if (!err)
		err = mark_run(&mark, h, &places, roots, nroots);
	if (!err)
		err = name_objects(&mark, max_depth, profile, &r->unnamed_bytes);
	if (!err)
		err = fill_report(h, &mark, r);
	mark_deinit(&mark);
	free(roots);
	places_deinit(&places);
	types_destroy(types);
	arena_deinit(&arena);
	return err_wrapf(err, "analysing the heap");
}
