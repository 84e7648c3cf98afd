/*
 * What is fetched while the target is stopped.  The capture is a list of steps (the table at the
 * end of this file); each needs what the one before it brought.  A step plans what it needs, which
 * is then fetched as one pipelined list, together with guesses at what later steps will need
 * (capture_ahead.c), and checks what came: it reads it, and holds it against the layout by shape
 * (shape.h).
 *
 * Two checks may find that the process was stopped where it cannot be read exactly.  The capture
 * ends there, unless the caller has no other stop to hope for.
 */
#include "heap/capture/capture.h"

#include <stdlib.h>
#include <string.h>

#include "base/intr.h"
#include "base/limits.h"
#include "heap/capture/capture_int.h"
#include "heap/capture/shape.h"
#include "heap/runtime/find.h"
#include "heap/runtime/labels.h"
#include "target/ranges.h"

/* Ranges this close are one request: a round of headers costs more than the bytes between. */
enum { GAP = 512, GAP_SPANS = 4096 };

/* One capture on its way. */
struct capture {
	struct captured *c;
	const struct threads *threads;
	bool last; /* go on where the process cannot be read exactly */
	struct unstable *u;
	struct ranges want, ahead; /* what the next fetch brings; what it brings if it can */
};

static void capture_deinit(struct capture *k)
{
	vec_deinit(&k->want);
	vec_deinit(&k->ahead);
}

static struct err *capture_fetch(struct capture *k, uint64_t gap)
{
	struct image *img = k->c->proc.img;
	struct err *err = k->ahead.n ? image_need_ahead(img, &k->want, &k->ahead, gap) :
				       image_need(img, &k->want, gap);

	k->want.n = k->ahead.n = 0;
	return err;
}

/* ------------------------------------------------------------------ variables, modules */

enum { NOPTR_HEAD = 64 << 10 };

/*
 * The collector finds no roots in these sections, which may be large: crypto/internal/fips140/drbg
 * alone has 32 MB of zeros there from Go 1.26 on.  What is needed of them is found by its symbol;
 * but without symbols, and for a core, the begin of each is fetched.  The linker sorts variables by
 * size (cmd/link/internal/ld/data.go, dodataSect@go1.17-1.27), so that the begin has all small
 * ones, among them those that are looked for without symbols, and those that debuggers expect in a
 * core.
 */
static struct err *noptr_tails(const struct proc *p, struct ranges *ret)
{
	static const char *const names[] = { ".noptrdata", ".noptrbss" };
	uint64_t head = p->stripped || image_remembers(p->img) ? NOPTR_HEAD : 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const struct elf_section *s = elf_section(p->exe, names[i]);

		if (s && s->alloc && s->write && s->size > head)
			TRY(vec_push(ret, ((struct range){ s->addr + head, s->size - head })));
	}
	ranges_sort(ret);
	return NULL;
}

/* [at, end) without what is in `skip`, all of them link-time addresses. */
static struct err *plan_without(const struct proc *p, uint64_t at, uint64_t end,
				const struct ranges *skip, struct ranges *want)
{
	for (size_t i = 0; i < skip->n && at < end; i++) {
		const struct range *r = &skip->v[i];

		if (r->addr < at || r->addr >= end)
			continue;
		TRY(vec_push(want, ((struct range){ at + p->bias, r->addr - at })));
		at = r->addr + r->len;
	}
	return at < end ? vec_push(want, ((struct range){ at + p->bias, end - at })) : NULL;
}

static struct err *plan_variables(struct capture *k)
{
	const struct proc *p = &k->c->proc;
	_cleanup_vec_ struct ranges tails = VEC_INIT;
	const struct elf_segment *segs;
	size_t n = elf_segments(p->exe, &segs);

	TRY(noptr_tails(p, &tails));
	for (size_t i = 0; i < n; i++)
		if (segs[i].write)
			TRY(plan_without(p, segs[i].addr, segs[i].addr + segs[i].memsz, &tails,
					 &k->want));
	for (size_t i = 0; i < p->var_symbols.n; i++)
		TRY(vec_push(&k->want, ((struct range){ p->var_symbols.v[i].addr + p->bias,
							p->var_symbols.v[i].len })));
	TRY(vec_push(&k->want, ((struct range){ p->var.firstmoduledata,
						layout_size(&p->layout, LS_moduledata) })));
	return ahead_tops(p, k->threads, &k->ahead);
}

static struct err *read_libraries(void *arg, struct libraries *ret)
{
	struct captured *c = arg;

	return libraries_read(c->target, c->proc.fmt, ret);
}

static struct err *check_variables(struct capture *k)
{
	struct captured *c = k->c;
	struct proc *p = &c->proc;

	if (shape_unborn(p, k->threads->n))
		return err_create(
			ERR_UNSUPPORTED,
			"the program has not started its Go runtime yet: let it run "
			"first, with --until FUNC (main.main, or what it calls when it is "
			"up) or --after SECONDS");
	TRY(binaries_fetch(p, &c->libs, read_libraries, c));
	TRY(modules_load(p));
	TRY(shape_modules(p));
	TRY(capture_find_reflect(c));
	if (p->stripped)
		TRY(find_mheap(p));
	return shape_mheap(p);
}

/* ------------------------------------------------------------------ spans */

static struct err *plan_masks(const struct proc *p, struct ranges *want)
{
	for (size_t i = 0; i < p->modules.v.n; i++) {
		const struct module *m = &p->modules.v.v[i];

		TRY(vec_push(want, ((struct range){ m->data.mask, (m->data.nbits + 7) / 8 })));
		TRY(vec_push(want, ((struct range){ m->bss.mask, (m->bss.nbits + 7) / 8 })));
	}
	return NULL;
}

/* Modules' masks are in persistent memory; their other tables are in EXE, and lent. */
static struct err *plan_span_table(struct capture *k)
{
	const struct proc *p = &k->c->proc;
	uint64_t ptr, len;

	TRY(plan_masks(p, &k->want));
	TRY(proc_slice(p, p->var.mheap_ + layout_off(&p->layout, L_mheap_allspans), &ptr, &len));
	TRY(vec_push(&k->want, ((struct range){ ptr, len * p->fmt.word })));
	return ahead_scheduler(p, k->threads, &k->ahead);
}

static struct err *plan_spans(struct capture *k)
{
	struct proc *p = &k->c->proc;

	TRY(spans_plan_headers(p, &k->want));
	return ahead_scheduler(p, k->threads, &k->ahead);
}

static struct err *check_spans(struct capture *k)
{
	struct proc *p = &k->c->proc;

	TRY(shape_spans(p));
	return spans_load(p, &k->c->spans, k->u);
}

static struct err *plan_bits(struct capture *k)
{
	struct captured *c = k->c;
	struct proc *p = &c->proc;

	TRY(spans_plan_bits(p, &c->spans, &k->want));
	TRY(ahead_scheduler(p, k->threads, &k->ahead));
	TRY(ahead_spans(c, &k->ahead));
	return p->stripped ? find_plan_vars(p, &c->spans, &k->ahead) :
			     roots_plan(p, &c->spans, &k->ahead);
}

/* Finds the variables of a stripped program, then guesses what ahead_scheduler() could not know
 * before. */
static struct err *find_vars_stripped(struct capture *k)
{
	struct captured *c = k->c;
	struct proc *p = &c->proc;

	TRY(find_plan_vars(p, &c->spans, &k->ahead));
	TRY(capture_fetch(k, 0));
	TRY(find_vars(p, &c->spans));
	TRY(ahead_scheduler(p, k->threads, &k->ahead));
	TRY(roots_plan(p, &c->spans, &k->ahead));
	return capture_fetch(k, 0);
}

static struct err *check_bits(struct capture *k)
{
	struct proc *p = &k->c->proc;

	if (p->stripped)
		TRY(find_vars_stripped(k));
	TRY(spans_settle(p, &k->c->spans, k->last, k->u));
	return k->u->why ? shape_bits(p, &k->c->spans) : NULL;
}

/* ------------------------------------------------------------------ threads, contents, stacks */

static struct err *check_threads(struct capture *k)
{
	struct captured *c = k->c;
	struct proc *p = &c->proc;

	TRY(machines_load(p, &c->spans, k->threads, &c->stacks));
	TRY(shape_machines(p, &c->stacks));
	return machines_check(p, &c->stacks, k->u);
}

static struct err *plan_contents(struct capture *k)
{
	_cleanup_vec_ struct ranges dead = VEC_INIT;
	struct captured *c = k->c;

	TRY(arenas_fetch(&c->proc, &c->spans));
	TRY(spans_plan_contents(&c->proc, &c->spans, &k->want, &dead));
	TRY(image_skip(c->proc.img, &dead));
	return roots_plan(&c->proc, &c->spans, &k->ahead);
}

static struct err *check_contents(struct capture *k)
{
	struct captured *c = k->c;

	TRY(stacks_load(&c->proc, &c->stacks));
	TRY(shape_goroutines(&c->proc, &c->spans, &c->stacks));
	return shape_ps(&c->proc, &c->spans);
}

/* Is it a pointer-free object? */
static bool is_noscan(const struct spans *s, uint64_t addr)
{
	const struct span *sp = spans_find(s, addr);

	return sp && sp->ptrs == SPAN_NOSCAN;
}

/*
 * The channels that goroutines wait for: one without a buffer is a pointer-free object, whose
 * contents are not captured, but it knows the type of what is sent.
 */
static struct err *plan_channels(const struct captured *c, struct ranges *want)
{
	const struct proc *p = &c->proc;
	uint64_t left = c->spans.nids; /* each sudog is an object, and one goroutine's */

	for (size_t i = 0; i < c->stacks.gs.n; i++) {
		const struct goroutine *g = &c->stacks.gs.v[i];
		uint64_t s, chan, steps = 0;

		TRY(intr_check());
		if (g->status != G_WAITING ||
		    !proc_try_word(p, g->addr + layout_off(&p->layout, L_g_waiting), &s))
			continue;
		while (s && steps++ < LIMIT_WAITING && left) {
			left--;
			if (proc_try_word(p, s + layout_off(&p->layout, L_sudog_c), &chan) &&
			    is_noscan(&c->spans, chan))
				TRY(vec_push(want,
					     ((struct range){
						     chan, layout_size(&p->layout, LS_hchan) })));
			if (!proc_try_word(p, s + layout_off(&p->layout, L_sudog_waitlink), &s))
				break;
		}
	}
	return NULL;
}

static struct err *plan_stacks(struct capture *k)
{
	struct captured *c = k->c;
	struct proc *p = &c->proc;

	TRY(shape_plan_caches(p, &k->want));
	TRY(stacks_plan(p, &c->stacks, &k->want));
	TRY(plan_channels(c, &k->want));
	TRY(capture_plan_types(c, &k->want));
	return roots_plan(p, &c->spans, &k->ahead);
}

/* The descriptors of types came with the stacks; their masks come now. */
static struct err *plan_types(struct capture *k)
{
	struct captured *c = k->c;

	TRY(capture_plan_types(c, &k->want));
	TRY(capture_plan_reflect(c, &k->want));
	return labels_plan(&c->proc, &c->spans, &c->stacks, &k->want);
}

static struct err *check_roots(struct capture *k)
{
	struct captured *c = k->c;
	struct proc *p = &c->proc;

	TRY(roots_fetch(p, &c->spans));
	TRY(shape_caches(p));
	TRY(shape_specials(p, &c->spans));
	return capture_itabs(c);
}

/* ------------------------------------------------------------------ the steps */

static const struct capture_step {
	const char *name;
	struct err *(*plan)(struct capture *k);
	uint64_t gap;
	struct err *(*check)(struct capture *k);
	bool packs; /* it brings much, which is mostly pointers and zeros */
	bool vital; /* what is unstable here leaves nothing for later steps to read */
} capture_steps[] = {
	{ "variables and modules", plan_variables, 0, check_variables },
	{ "the table of spans", plan_span_table, 0, NULL },
	{ "spans", plan_spans, GAP, check_spans, .vital = true },
	{ "allocation bits", plan_bits, GAP, check_bits },
	{ "threads", NULL, 0, check_threads },
	{ "objects", plan_contents, GAP_SPANS, check_contents, .packs = true },
	{ "stacks", plan_stacks, GAP, NULL, .packs = true },
	{ "types, labels and roots", plan_types, GAP, check_roots },
};

static struct err *capture_step(struct capture *k, const struct capture_step *s)
{
	struct image *img = k->c->proc.img;
	struct err *err;

	if (s->plan) {
		TRY(s->plan(k));
		image_set_packing(img, s->packs);
		err = capture_fetch(k, s->gap);
		image_set_packing(img, false);
		TRY(err);
	}
	return s->check ? s->check(k) : NULL;
}

static struct err *capture_steps_run(struct capture *k)
{
	for (size_t i = 0; i < sizeof(capture_steps) / sizeof(*capture_steps); i++) {
		const struct capture_step *s = &capture_steps[i];

		image_set_purpose(k->c->proc.img, s->name);
		TRY(err_wrapf(capture_step(k, s), "%s", s->name));
		if (k->u->why && (!k->last || s->vital))
			return NULL;
	}
	return NULL;
}

/* Forgets an earlier capture. */
static void capture_reset(struct captured *c)
{
	spans_deinit(&c->spans);
	stacks_deinit(&c->stacks);
	modules_deinit(&c->proc.modules);
	memset(&c->proc.modules, 0, sizeof(c->proc.modules));
}

struct err *capture_run(struct captured *c, const struct threads *threads, bool last,
			struct unstable *u)
{
	_cleanup_(capture_deinit) struct capture k = {
		.c = c, .threads = threads, .last = last, .u = u
	};
	struct err *err;

	u->why = NULL;
	capture_reset(c);
	err = capture_steps_run(&k);
	if (!last && (err_is(err, ERR_FAULT) || err_is(err, ERR_BADDATA))) {
		/* A table caught while it changes looks like damage: only if it stays so it is. */
		free(c->why);
		c->why = strdup(err->msg);
		err_destroy(err);
		*u = (struct unstable){ c->why ? c->why : "a table that makes no sense", 0 };
		return NULL;
	}
	return err_wrapf(err, "capturing the heap");
}
