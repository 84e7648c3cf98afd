/*
 * Groups of goroutines.  Those in the same function of the program, with the same state, verdict
 * and creator, are one group, found by a hash over all of these; what each group alone keeps alive
 * heap/report/alone.c counts.  Goroutines that run finalizers and cleanups are looked for by the
 * runtime's functions at the bottom of their stacks.
 */
#include "heap/report/goroutine_heap.h"

#include <stdlib.h>
#include <string.h>

#include "heap/mark/package.h"
#include "heap/report/leaked.h"
#include "heap/runtime/source.h"

/* The innermost functions of a frame, inlined ones too, of these layers; NULL: none. */
struct place_at {
	const char *program, *library;
};

struct grouping {
	struct captured *h;
	struct goroutine_report *r;
	uint64_t now;
	struct waiting waiting;
	struct leaked leaked;
	struct packages packages;
	struct map64 at_pc; /* pc -> index of what is there */
	VEC(struct place_at) places;
	struct map64 by_gopc; /* pc of a go statement -> index of where it is */
	VEC(struct code_line) creators;
	struct map64 by_hash; /* hash of state, creator and function -> a group's index */
	struct map64 of_g;    /* index of a goroutine -> index of its group */
};

static void grouping_deinit(struct grouping *x)
{
	waiting_deinit(&x->waiting);
	leaked_deinit(&x->leaked);
	map64_deinit(&x->at_pc);
	vec_deinit(&x->places);
	map64_deinit(&x->by_gopc);
	vec_deinit(&x->creators);
	map64_deinit(&x->by_hash);
	map64_deinit(&x->of_g);
}

/* ------------------------------------------------------------------ states */

static const char *state_name(struct grouping *x, const struct goroutine *g)
{
	switch (g->status) {
	case G_RUNNABLE:
		return "runnable";
	case G_RUNNING:
		return "running";
	case G_SYSCALL:
		return "in a system call";
	case G_WAITING:
	case G_LEAKED: /* a mark of Go 1.27's own profile */
		return waiting_reason(&x->waiting, g);
	case G_COPYSTACK:
		return "its stack being moved";
	case G_PREEMPTED:
		return "preempted";
	default:
		return "in an unknown state";
	}
}

/* The newest time that the runtime has noted anywhere: the capture is not older. */
static uint64_t newest_time(const struct captured *h)
{
	const struct proc *p = &h->proc;
	uint64_t now = 0, v;

	if (p->var.sched && proc_get_try(p, p->var.sched, L_schedt_lastpoll, &v) && v < INT64_MAX)
		now = v;
	if (p->var.memstats && proc_get_try(p, p->var.memstats, L_mstats_last_gc_nanotime, &v) &&
	    v > now && v < INT64_MAX)
		now = v;
	for (size_t i = 0; i < h->stacks.gs.n; i++)
		if (!goroutine_is_dead(&h->stacks.gs.v[i]) &&
		    proc_get_try(p, h->stacks.gs.v[i].addr, L_g_waitsince, &v) && v > now &&
		    v < INT64_MAX)
			now = v;
	return now;
}

static uint64_t waited(const struct proc *p, const struct goroutine *g, uint64_t now)
{
	uint64_t since;

	if (g->status != G_WAITING || !proc_get_try(p, g->addr, L_g_waitsince, &since) || !since ||
	    since >= now)
		return 0;
	return now - since;
}

/* ------------------------------------------------------------------ functions */

static const struct gframe *frame_at(const struct captured *h, const struct goroutine *g,
				     uint32_t outer)
{
	return &h->stacks.frames.v[g->first_frame + g->nframes - 1 - outer];
}

static const struct func *frame_func(const struct captured *h, const struct goroutine *g,
				     uint32_t outer)
{
	return frame_at(h, g, outer)->func;
}

/* Whether a frame's pc is where a call returns to. */
static bool returns_there(const struct goroutine *g, uint32_t outer)
{
	return g->status != G_RUNNING || outer + 1 < g->nframes;
}

static struct err *place_make(struct grouping *x, const struct goroutine *g, uint32_t outer,
			      struct place_at *ret)
{
	_cleanup_vec_ struct source_lines lines = VEC_INIT;
	const struct gframe *f = frame_at(x->h, g, outer);

	*ret = (struct place_at){ NULL, NULL };
	TRY(source_at(&x->h->proc, f->func, f->pc, returns_there(g, outer), &lines));
	for (size_t i = 0; i < lines.n; i++) {
		const char *name = lines.v[i].function;
		enum package_layer layer = package_layer(&x->packages, name);

		if (source_is_gowrap(name))
			continue;
		if (!ret->program && layer >= LAYER_DEPENDENCY)
			ret->program = name;
		if (!ret->library && layer >= LAYER_STD)
			ret->library = name;
	}
	return NULL;
}

static struct err *place_find(struct grouping *x, const struct goroutine *g, uint32_t outer,
			      struct place_at *ret)
{
	uint64_t *slot;
	bool is_new;

	TRY(map64_put(&x->at_pc, frame_at(x->h, g, outer)->pc, x->places.n, &slot, &is_new));
	if (is_new) {
		TRY(place_make(x, g, outer, ret));
		return vec_push(&x->places, *ret);
	}
	*ret = x->places.v[*slot];
	return NULL;
}

/* What a goroutine began with whose stack cannot be read. */
static const char *began_with(struct grouping *x, const struct goroutine *g)
{
	const struct func *f = NULL;
	uint64_t pc;

	if (proc_get_try(&x->h->proc, g->addr, L_g_startpc, &pc))
		err_destroy(func_find(&x->h->proc, pc, &f));
	return f ? f->name : "?";
}

/* The innermost function of the program, else of the library, else what it began with. */
static struct err *function_of(struct grouping *x, const struct goroutine *g, const char **ret,
			       bool *own)
{
	const char *library = NULL;
	struct place_at at;

	*ret = NULL;
	for (uint32_t i = g->nframes; i-- > 0 && !*ret;) {
		TRY(place_find(x, g, i, &at));
		*ret = at.program;
		if (!library)
			library = at.library;
	}
	if (!*ret)
		*ret = library;
	*own = !*ret && g->nframes;
	for (uint32_t i = 0; i < g->nframes && (!*ret || !strcmp(*ret, "runtime.goexit")); i++)
		*ret = frame_func(x->h, g, i)->name;
	if (!*ret)
		*ret = began_with(x, g);
	return NULL;
}

/* Where the go statement at pc is; no function: nobody's. */
static struct err *creator_at(struct grouping *x, uint64_t pc, struct code_line *ret)
{
	_cleanup_vec_ struct source_lines lines = VEC_INIT;
	struct proc *p = &x->h->proc;
	const struct func *f = NULL;

	*ret = (struct code_line){ 0 };
	err_destroy(func_find(p, pc, &f));
	/* The main goroutine and the runtime's first ones were made before there were any. */
	if (!f || !strcmp(f->name, "runtime.newproc"))
		return NULL;
	TRY(source_at(p, f, pc, true, &lines));
	*ret = (struct code_line){ lines.v[0].function, lines.v[0].file, lines.v[0].line };
	return NULL;
}

/* Where g was made; looked up once per go statement: a million goroutines come from a few. */
static struct err *creator(struct grouping *x, const struct goroutine *g, struct code_line *ret)
{
	uint64_t pc, *slot;
	bool is_new;

	*ret = (struct code_line){ 0 };
	if (!proc_get_try(&x->h->proc, g->addr, L_g_gopc, &pc) || !pc)
		return NULL;
	TRY(map64_put(&x->by_gopc, pc, x->creators.n, &slot, &is_new));
	if (is_new) {
		TRY(creator_at(x, pc, ret));
		return vec_push(&x->creators, *ret);
	}
	*ret = x->creators.v[*slot];
	return NULL;
}

/* ------------------------------------------------------------------ groups */

static uint64_t mix(uint64_t h, uint64_t v)
{
	return (h ^ v) * 0x9e3779b97f4a7c15ull;
}

static uint64_t mix_name(uint64_t h, const char *name)
{
	return mix(h, name ? hash_str(name, strlen(name)) : 0);
}

static enum goroutine_verdict verdict_of(const struct grouping *x, const struct goroutine *g)
{
	if (x->leaked.lost && x->leaked.lost[g - x->h->stacks.gs.v])
		return VERDICT_LEAKED;
	return g->status == G_WAITING || g->status == G_LEAKED ? VERDICT_WAITING : VERDICT_RUNNING;
}

static bool same_name(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool same_group(const struct goroutine_group *a, const struct goroutine_group *b)
{
	return a->verdict == b->verdict && same_name(a->function, b->function) &&
	       same_name(a->state, b->state) &&
	       same_name(a->created_by.function, b->created_by.function) &&
	       a->created_by.line == b->created_by.line;
}

/* The index of the group that is like `like`; it is made if there is none. */
static struct err *find_group(struct grouping *x, const struct goroutine_group *like, size_t *ret)
{
	uint64_t hash = mix(like->verdict, like->created_by.line), *slot;
	bool is_new;

	hash = mix_name(mix_name(hash, like->function), like->state);
	hash = mix_name(hash, like->created_by.function);
	for (;; hash++) { /* where unequal groups have equal hashes the next slot is tried */
		TRY(map64_put(&x->by_hash, hash, x->r->groups.n, &slot, &is_new));
		if (is_new)
			TRY(vec_push(&x->r->groups, *like));
		else if (!same_group(&x->r->groups.v[*slot], like))
			continue;
		*ret = *slot;
		return NULL;
	}
}

/* The stack of g becomes the group's example. */
static struct err *take_stack(struct grouping *x, const struct goroutine *g,
			      struct goroutine_group *gg)
{
	_cleanup_vec_ struct source_lines lines = VEC_INIT;
	struct code_line *stack;

	for (uint32_t i = g->nframes; i-- > 0;) {
		const struct gframe *f = frame_at(x->h, g, i);

		TRY(source_at(&x->h->proc, f->func, f->pc, returns_there(g, i), &lines));
	}
	stack = arena_alloc(&x->r->arena, (lines.n + 1) * sizeof(*stack));
	if (!stack)
		return err_nomem();
	for (size_t i = 0; i < lines.n; i++)
		stack[lines.n - 1 - i] =
			(struct code_line){ lines.v[i].function, lines.v[i].file, lines.v[i].line };
	gg->stack = stack;
	gg->nframes = (uint32_t)lines.n;
	return NULL;
}

static struct err *add_goroutine(struct grouping *x, size_t i)
{
	const struct goroutine *g = &x->h->stacks.gs.v[i];
	uint64_t wait = waited(&x->h->proc, g, x->now);
	struct goroutine_group *gg, like = { .goid = g->goid,
					     .state = state_name(x, g),
					     .verdict = verdict_of(x, g),
					     .order = (uint32_t)x->r->groups.n };
	size_t at;

	if (!like.state)
		return err_nomem();
	TRY(function_of(x, g, &like.function, &like.own));
	TRY(creator(x, g, &like.created_by));
	TRY(find_group(x, &like, &at));
	gg = &x->r->groups.v[at];
	gg->count++;
	gg->stack_bytes += g->hi - g->lo;
	if (gg->count == 1 || g->goid < gg->goid) {
		gg->goid = g->goid;
		gg->example = (uint32_t)i;
	}
	if (wait && (!gg->wait_min_ns || wait < gg->wait_min_ns))
		gg->wait_min_ns = wait;
	if (wait > gg->wait_max_ns)
		gg->wait_max_ns = wait;
	return map64_put(&x->of_g, i, at, &(uint64_t *){ NULL }, NULL);
}

/* ------------------------------------------------------------------ finalizers */

static struct err *add_worker(struct grouping *x, const struct goroutine *g)
{
	struct finalizer_worker w = { .goid = g->goid, .wait_ns = waited(&x->h->proc, g, x->now) };
	uint32_t at = UINT32_MAX;

	for (uint32_t i = 0; i < g->nframes && at == UINT32_MAX; i++) {
		const char *name = frame_func(x->h, g, i)->name;

		if (!strcmp(name, "runtime.runfinq") || !strcmp(name, "runtime.runFinalizers"))
			at = i;
		if (!strcmp(name, "runtime.runCleanups")) {
			at = i;
			w.cleanups = true;
		}
		if (i > 2)
			break;
	}
	if (at == UINT32_MAX)
		return NULL;
	w.state = state_name(x, g);
	for (uint32_t i = at + 1; i < g->nframes; i++) {
		const struct func *f = frame_func(x->h, g, i);

		if (f->in_runtime || !strncmp(f->name, "reflect.", 8) ||
		    !strncmp(f->name, "internal/", 9) || !strncmp(f->name, "sync.", 5) ||
		    strstr(f->name, ".runtime_"))
			continue;
		if (!w.function)
			w.function = f->name;
		w.blocked_in = f->name;
	}
	w.busy = w.function;
	return w.state ? vec_push(&x->r->workers, w) : err_nomem();
}

/* ------------------------------------------------------------------ the report */

static int group_cmp(const void *a, const void *b)
{
	const struct goroutine_group *x = a, *y = b;

	if (x->alone.bytes != y->alone.bytes)
		return x->alone.bytes < y->alone.bytes ? 1 : -1;
	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	if (x->goid != y->goid)
		return x->goid < y->goid ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static struct err *report_fill(struct grouping *x, enum goroutine_depth depth)
{
	const struct stacks *s = &x->h->stacks;
	struct goroutine_report *r = x->r;
	bool groups = depth >= GOROUTINES_GROUPS;

	if (groups)
		TRY(leaked_find(x->h, &x->waiting, &x->leaked));
	r->leaked = x->leaked.n;
	for (size_t i = 0; i < s->gs.n; i++) {
		if (goroutine_is_dead(&s->gs.v[i]))
			continue;
		TRY(add_worker(x, &s->gs.v[i]));
		if (groups)
			TRY(add_goroutine(x, i));
	}
	if (!groups)
		return NULL;
	for (size_t i = 0; i < r->groups.n; i++)
		TRY(take_stack(x, &s->gs.v[r->groups.v[i].example], &r->groups.v[i]));
	if (depth == GOROUTINES_ALONE)
		TRY(alone_count(x->h, &x->of_g, &r->groups));
	if (r->groups.n)
		qsort(r->groups.v, r->groups.n, sizeof(*r->groups.v), group_cmp);
	r->grouped = true;
	return NULL;
}

struct err *goroutine_report_make(struct captured *h, enum goroutine_depth depth, uint64_t now_ns,
				  struct goroutine_report *r)
{
	_cleanup_(grouping_deinit) struct grouping x = { .h = h, .r = r, .now = newest_time(h) };

	x.waiting = (struct waiting){
		.p = &h->proc, .spans = &h->spans, .stacks = &h->stacks, .arena = &r->arena
	};
	TRY(packages_init(&x.packages, h->proc.exe));
	if (now_ns > x.now)
		x.now = now_ns;
	return err_wrapf(report_fill(&x, depth), "grouping goroutines");
}
