/*
 * The face of heap/ (heap/heap.h) up to the moment when the process runs again: what EXE says of
 * itself before the stop, where it lies in the process, whether it is what runs there, and the
 * calls into heap/capture/.  The analysis is heap/analyse.c.
 */
#include "heap/heap.h"

#include <elfutils/version.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "heap/capture/capture.h"
#include "heap/heap_int.h"
#include "heap/runtime/find.h"
#include "heap/runtime/function.h"

struct known heap_known(void)
{
	struct known k = { .libelf = _ELFUTILS_VERSION, .libdwarf = dwarf_library_version() };

	layout_known(&k.oldest, &k.newest, &k.newest_patch);
	return k;
}

DEFINE_CLEANUP(heap_destroy, struct heap *)

/* ------------------------------------------------------------------ before the stop */

/* Every variable of struct runtime_vars, and whether the analysis can do without it. */
static const struct {
	const char *name;
	size_t off;
	bool required;
} runtime_vars[] = {
	{ "runtime.firstmoduledata", offsetof(struct runtime_vars, firstmoduledata), true },
	{ "runtime.mheap_", offsetof(struct runtime_vars, mheap_), true },
	{ "runtime.allgptr", offsetof(struct runtime_vars, allgptr), true },
	{ "runtime.allglen", offsetof(struct runtime_vars, allglen), true },
	{ "runtime.allm", offsetof(struct runtime_vars, allm), true },
	{ "runtime.allp", offsetof(struct runtime_vars, allp), true },
	{ "runtime.allfin", offsetof(struct runtime_vars, allfin), true },
	{ "runtime.gcCleanups", offsetof(struct runtime_vars, gcCleanups), false },
	{ "runtime.itabTable", offsetof(struct runtime_vars, itabTable), false },
	{ "runtime.memstats", offsetof(struct runtime_vars, memstats), false },
	{ "runtime.gcController", offsetof(struct runtime_vars, gcController), false },
	{ "runtime.sched", offsetof(struct runtime_vars, sched), false },
	{ "runtime.waitReasonStrings", offsetof(struct runtime_vars, waitReasons), false },
	{ "runtime.runtimeInitTime", offsetof(struct runtime_vars, initTime), false },
};

enum { RUNTIME_VARS = sizeof(runtime_vars) / sizeof(*runtime_vars) };

static uint64_t *runtime_var(struct runtime_vars *v, size_t i)
{
	return (uint64_t *)((char *)v + runtime_vars[i].off);
}

static struct err *find_arch(struct proc *p)
{
	p->machine = arch_find(elf_machine(p->exe), elf_fmt(p->exe));
	p->arch = p->machine ? goarch_find(p->machine->name) : NULL;
	if (!p->arch)
		return err_create(ERR_UNSUPPORTED,
				  "%s is for %s, which is not supported yet (amd64 is)",
				  elf_path(p->exe), arch_machine_name(elf_machine(p->exe)));
	return NULL;
}

/*
 * Finds the runtime's variables in the symbol table (link-time addresses until heap_attach()), or,
 * where there is none, moduledata alone.
 */
static struct err *find_symbols(struct proc *p)
{
	struct runtime_vars *v = &p->var;
	uint64_t size;

	p->stripped = false;
	for (size_t i = 0; i < RUNTIME_VARS; i++) {
		uint64_t *addr = runtime_var(v, i);

		if (binary_symbol(&p->binaries.v[0], runtime_vars[i].name, addr, &size))
			TRY(vec_push(&p->var_symbols, ((struct range){ *addr, size })));
		else if (runtime_vars[i].required)
			p->stripped = true;
	}
	if (!p->stripped)
		return NULL;
	memset(v, 0, sizeof(*v));
	return find_moduledata(p, &v->firstmoduledata);
}

static struct layout_program layout_program(struct heap *h)
{
	const struct proc *p = &h->captured.proc;

	return (struct layout_program){ p->version, p->arch->name, debug_dwarf, h };
}

/* Takes the program's own layout where it has one that differs: *again. */
static struct err *fit_layout(struct heap *h, bool *again)
{
	struct layout_program x = layout_program(h);
	struct proc *p = &h->captured.proc;
	double start = clock_cpu_seconds();
	struct err *err = layout_compare(&x, &p->layout, &h->layout, again);

	h->names_cpu += clock_cpu_seconds() - start;
	TRY(err);
	if (*again && p->stripped) {
		TRY(find_moduledata(p, &p->var.firstmoduledata));
		p->var.firstmoduledata += p->bias;
	}
	return NULL;
}

struct err *heap_check_layout(struct heap *h, struct err *failed, bool *again)
{
	struct layout_program x = layout_program(h);
	struct err *err = fit_layout(h, again);

	if (!err && !*again && failed)
		return layout_misfit(&x, &h->layout, failed);
	err_destroy(failed);
	return err;
}

struct err *heap_create(struct elf *exe, const char *const *debug, size_t ndebug, struct heap **ret)
{
	_cleanup_(cleanup_heap_destroy) struct heap *h = calloc(1, sizeof(*h));
	struct layout_program x;
	const char *modinfo;
	struct proc *p;
	struct err *err;
	bool again;

	if (!h)
		return err_nomem();
	p = &h->captured.proc;
	p->exe = exe;
	p->fmt = elf_fmt(exe);
	TRY(elf_go_buildinfo(exe, &p->version, &modinfo));
	TRY(find_arch(p));
	TRY(binary_add_exe(p, exe));
	TRY(debug_find(h, debug, ndebug));
	x = layout_program(h);
	TRY(layout_pick(&x, &p->layout, &h->layout));
	err = find_symbols(p);
	if (err_is(err, ERR_NODEBUG)) /* or the table's moduledata is not this program's */
		err = heap_check_layout(h, err, &again);
	TRY(err);
	*ret = TAKE_PTR(h);
	return NULL;
}

void heap_destroy(struct heap *h)
{
	if (!h)
		return;
	captured_deinit(&h->captured);
	for (size_t i = 0; i < h->debug_files.n; i++) {
		elf_destroy(h->debug_files.v[i].elf);
		err_destroy(h->debug_files.v[i].why);
	}
	vec_deinit(&h->debug_files);
	layout_choice_deinit(&h->layout);
	free(h);
}

const struct arch *heap_machine(const struct heap *h)
{
	return h->captured.proc.machine;
}

void heap_set_progress(struct heap *h,
		       void (*progress)(void *arg, const char *phase, uint64_t done,
					uint64_t total),
		       void *arg)
{
	h->captured.progress = progress;
	h->captured.progress_arg = arg;
}

/* ------------------------------------------------------------------ the process */

struct err *heap_attach(struct heap *h, struct target *target, struct image *img, uint64_t bias)
{
	struct proc *p = &h->captured.proc;
	const struct elf_segment *segs;
	size_t n = elf_segments(p->exe, &segs);

	TRY(binary_place(&p->binaries.v[0], bias));
	h->captured.target = target;
	p->img = img;
	p->bias = bias;
	for (size_t i = 0; i < RUNTIME_VARS; i++)
		if (*runtime_var(&p->var, i))
			*runtime_var(&p->var, i) += bias;
	for (size_t i = 0; i < n; i++)
		if (!segs[i].write && segs[i].filesz)
			TRY(image_lend(img, segs[i].addr + bias, segs[i].data, segs[i].filesz));
	h->ready_cpu = clock_cpu_seconds();
	return NULL;
}

struct err *heap_function(struct heap *h, const char *name, uint64_t *ret)
{
	return function_find(&h->captured.proc, name, ret);
}

struct captured *heap_captured(struct heap *h)
{
	return &h->captured;
}

/* ------------------------------------------------------------------ is it EXE that runs? */

enum {
	SAMPLES = 32, /* pieces of code and constants */
	SAMPLE = 256, /* bytes of each */
	NOTE_MAX = 1024,
	EHDR_PAGE = 4096 /* where the ELF header is, with the program headers */
};

/* Adds a piece, at a link-time address, if the file has it. */
static struct err *sample(const struct proc *p, uint64_t addr, uint64_t len, struct ranges *ret)
{
	return elf_data(p->exe, addr, len) ?
		       vec_push(ret, ((struct range){ addr + p->bias, len })) :
		       NULL;
}

/* Appends the build ids, and at most SAMPLES pieces of code and constants from all over the
 * file. */
static struct err *verify_plan(const struct proc *p, struct ranges *ret)
{
	const struct elf_segment *segs;
	size_t nsegs = elf_segments(p->exe, &segs);

	for (unsigned i = 0; i < ELF_ID_NOTES; i++) {
		const struct elf_section *s = elf_id_note(p->exe, i);

		if (s && s->size <= NOTE_MAX)
			TRY(sample(p, s->addr, s->size, ret));
	}
	for (size_t i = 0, k = 0; i < nsegs; i++) {
		uint64_t step;

		if (segs[i].write || segs[i].filesz < SAMPLE)
			continue;
		step = (segs[i].filesz - SAMPLE) / (SAMPLES / 2);
		for (unsigned j = 0; j < SAMPLES / 2 && k < SAMPLES; j++, k++)
			TRY(sample(p, segs[i].addr + j * step, SAMPLE, ret));
	}
	return NULL;
}

struct err *heap_samples(const struct heap *h, struct ranges *ret)
{
	const struct proc *p = &h->captured.proc;
	const struct elf_segment *segs;

	if (elf_segments(p->exe, &segs))
		TRY(sample(p, segs[0].addr, EHDR_PAGE, ret));
	return verify_plan(p, ret);
}

static bool is_id_note(const struct proc *p, uint64_t addr)
{
	for (unsigned i = 0; i < ELF_ID_NOTES; i++)
		if (elf_id_note(p->exe, i) && elf_id_note(p->exe, i)->addr == addr)
			return true;
	return false;
}

/* Compares one piece, as it was read, with the file's. */
static struct err *verify_piece(const struct proc *p, const struct mem_range *r)
{
	if (r->got < r->len)
		return err_fault(r->addr,
				 "%s is not what runs there: no memory at 0x%" PRIx64
				 ", where its code should be",
				 elf_path(p->exe), r->addr);
	if (memcmp(elf_data(p->exe, r->addr - p->bias, r->len), r->dst, r->len))
		return err_create(
			ERR_BADDATA, "%s is not what runs there: %s at 0x%" PRIx64 " differs",
			elf_path(p->exe),
			is_id_note(p, r->addr - p->bias) ? "the build id" : "the code", r->addr);
	return NULL;
}

struct err *heap_verify(struct heap *h, struct mem_source *src, size_t *compared)
{
	const struct proc *p = &h->captured.proc;
	_cleanup_vec_ struct ranges plan = VEC_INIT;
	struct mem_range r[SAMPLES + ELF_ID_NOTES];
	uint8_t buf[SAMPLES + ELF_ID_NOTES][NOTE_MAX];

	TRY(verify_plan(p, &plan));
	for (size_t i = 0; i < plan.n; i++)
		r[i] = (struct mem_range){ plan.v[i].addr, plan.v[i].len, buf[i], 0 };
	TRY(src->readv(src, r, plan.n));
	for (size_t i = 0; i < plan.n; i++) {
		if (r[i].got < r[i].len && compared)
			continue;
		TRY(verify_piece(p, &r[i]));
		if (compared)
			++*compared;
	}
	return NULL;
}

/* ------------------------------------------------------------------ capture */

struct err *heap_capture(struct heap *h, const struct threads *threads, bool last,
			 struct unstable *u)
{
	return capture_run(&h->captured, threads, last, u);
}

struct err *heap_moved(const struct heap *h, struct mem_source *src, uint64_t *moved)
{
	return capture_moved(&h->captured, src, moved);
}
