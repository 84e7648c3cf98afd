/*
 * Slots of stacks: the frame's locals by DWARF; a closure that lies in the frame, by its function's
 * entry; what a goroutine is about to send or receive, by its sudog.  A slot that none of them
 * knows is the innermost function's of the program.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/intr.h"
#include "base/limits.h"
#include "base/search.h"
#include "heap/mark/namer.h"
#include "heap/runtime/source.h"

static struct err *locals_at(struct namer *n, const struct func *f, uint64_t pc,
			     const struct locals **ret)
{
	uint64_t *slot;
	bool is_new;

	TRY(map64_put(&n->locals, pc, n->pcs.n, &slot, &is_new));
	if (is_new) {
		struct locals l = { NULL, 0 };

		TRY(vec_reserve(&n->pcs, 1));
		TRY(dwarf_locals(binary_of(n, f)->dwarf, binary_pc(binary_of(n, f), pc), &l.v,
				 &l.n));
		n->pcs.v[n->pcs.n++] = l;
	}
	*ret = &n->pcs.v[*slot];
	return NULL;
}

static int slot_cmp(const void *a, const void *b)
{
	const struct typed_slot *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return x->type->id < y->type->id ? -1 : x->type->id > y->type->id;
}

/*
 * What a goroutine that waits for a channel is about to send, or where it will receive, is in a
 * slot of its stack that no variable describes; its sudog (g.waiting) points there, and the channel
 * knows the type.
 */
static struct err *read_waiting_of(struct namer *n, const struct goroutine *g, uint64_t *left)
{
	const struct proc *p = &n->h->proc;
	uint64_t elem = layout_off(&p->layout, L_sudog_elem), c = layout_off(&p->layout, L_sudog_c);
	uint64_t link = layout_off(&p->layout, L_sudog_waitlink);
	uint64_t elemtype = layout_off(&p->layout, L_hchan_elemtype);
	uint64_t s, chan, rtype;

	if (!proc_try_word(p, g->addr + layout_off(&p->layout, L_g_waiting), &s))
		return NULL;
	for (uint64_t steps = 0; s && steps < LIMIT_WAITING && *left; steps++, --*left) {
		struct typed_slot slot;

		if (proc_try_word(p, s + elem, &slot.addr) && proc_try_word(p, s + c, &chan) &&
		    slot.addr >= g->lo && slot.addr < g->hi &&
		    proc_try_word(p, chan + elemtype, &rtype)) {
			TRY(types_from_runtime(n->types, rtype, &slot.type));
			if (slot.type)
				TRY(vec_push(&n->slots, slot));
		}
		if (!proc_try_word(p, s + link, &s))
			break;
	}
	return NULL;
}

struct err *name_locals_read(struct namer *n)
{
	const struct stacks *s = &n->h->stacks;
	uint64_t left = n->h->spans.nids; /* each sudog is an object, and one goroutine's */

	for (size_t i = 0; i < s->gs.n; i++) {
		TRY(intr_check());
		if (s->gs.v[i].status == G_WAITING)
			TRY(read_waiting_of(n, &s->gs.v[i], &left));
	}
	if (n->slots.n > 1)
		qsort(n->slots.v, n->slots.n, sizeof(*n->slots.v), slot_cmp);
	return NULL;
}

static bool slot_behind(const void *arg, size_t i)
{
	const struct namer_key *k = arg;

	return k->n->slots.v[i].addr > k->addr;
}

static void type_by_slot(const struct namer *n, struct named_root *r)
{
	size_t lo = search_first(n->slots.n, slot_behind, &(struct namer_key){ n, r->r.addr });

	if (!lo || r->r.addr - n->slots.v[lo - 1].addr >= n->slots.v[lo - 1].type->size)
		return;
	r->name.type = n->slots.v[lo - 1].type;
	r->var_off = r->r.addr - n->slots.v[lo - 1].addr;
}

/*
 * An interface's data word is typed by the word before it, which the compiler leaves out of the
 * frame where it knows the type: then nobody knows it here.
 */
static struct err *drop_lone_data(struct namer *n, const struct locals *l,
				  const struct dwarf_local *v, struct named_root *r)
{
	uint64_t word = n->h->proc.fmt.word;
	const struct edge *e;

	if (!r->name.type || v->var_off < word || r->var_off != v->var_off)
		return NULL;
	for (size_t i = 0; i < l->n; i++) {
		const struct dwarf_local *o = &l->v[i];

		if (o->type == v->type && !strcmp(o->name, v->name) &&
		    o->cfa_off - (int64_t)o->var_off == v->cfa_off - (int64_t)v->var_off &&
		    o->var_off + o->size == v->var_off)
			return NULL;
	}
	TRY(edge_of_type(n->places, r->name.type, r->var_off, &e));
	if (e->target == EDGE_LEAF && e->leaf_off == word &&
	    (e->type->kind == KIND_INTERFACE || e->type->kind == KIND_STRUCT))
		r->name.type = NULL;
	return NULL;
}

/* The local's name and type; in generic code those of the instance. */
static struct err *local_type(struct namer *n, const struct gframe *f, const struct dwarf_local *v,
			      struct named_root *r)
{
	enum { WORDS = 8 }; /* a receiver of some words comes before the dictionary */
	const struct proc *p = &n->h->proc;
	const char *func = v->func, *instance = NULL;
	uint64_t words[WORDS];
	struct go_type *real = NULL;
	size_t nwords = 0;

	if (v->type)
		TRY(types_from_die(n->types, binary_of(n, f->func)->module, v->type,
				   &r->name.type));
	if (v->dict && r->name.type) {
		/* The caller's frame has room for each argument that came in a register
		 * (abi-internal.md, "spill space"). */
		while (nwords < WORDS && proc_try_word(p,
						       frame_fp(f) + (uint64_t)p->arch->min_frame +
							       nwords * p->fmt.word,
						       &words[nwords]))
			nwords++;
		TRY(types_instance(n->types, func, v->dict - 1, r->name.type, words, nwords, &real,
				   &instance));
	}
	if (real) {
		r->name.type = real;
		func = instance;
	}
	return root_list_label(n->list, func, v->name, &r->name.label);
}

/* Arguments lie above a frame: what is further up than this is no slot of it. */
enum { ARGS_MAX = 4096 };

/* "main.serve.gowrap1": what the compiler makes of `go f(x)` and `defer f(x)` (cmd/compile, since
 * 1.18 by these names). */
static bool is_wrapper(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && (!strncmp(dot, ".gowrap", 7) || !strncmp(dot, ".deferwrap", 10));
}

/* What the frame is in, if that is a function of this layer or one above.  A wrapper is no function
 * of anybody's: what is inlined into it was called. */
static const char *function_at(const struct namer *n, const struct gframe *f, int least)
{
	const char *name = f->func->name, *inlined = NULL;

	if (is_wrapper(name))
		inlined = source_inlined(&n->h->proc, f->func, f->pc);
	if (inlined)
		name = inlined;
	return (int)package_layer(&n->places->packages, name) >= least ? name : NULL;
}

/* The same, looked up once per pc: a million goroutines are in a few places. */
static struct err *function_of_layer(struct namer *n, const struct gframe *f, int least,
				     const char **ret)
{
	uint64_t *slot;
	bool is_new;

	TRY(map64_put(&n->functions, f->pc << 2 | (unsigned)least, 0, &slot, &is_new));
	if (is_new)
		*slot = (uint64_t)(uintptr_t)function_at(n, f, least);
	*ret = (const char *)(uintptr_t)*slot;
	return NULL;
}

/*
 * The first function of this layer or one above among the frames from `first` on; NULL: none.  What
 * is known of a frame on the way is what is known of all before it, so that a deep stack is gone
 * through once.  *at: as far as it was looked.
 */
static struct err *find_in_layer(struct namer *n, uint32_t first, uint32_t end, int least,
				 const char **ret, uint32_t *at)
{
	*ret = NULL;
	for (*at = first; *at < end && !*ret; ++*at) {
		const char *known = n->around[*at];

		TRY(intr_check());
		if (known) {
			if ((int)package_layer(&n->places->packages, known) >= least)
				*ret = known;
			return NULL;
		}
		TRY(function_of_layer(n, &n->h->stacks.frames.v[*at], least, ret));
	}
	return NULL;
}

static struct err *find_around(struct namer *n, uint32_t first)
{
	const struct gframe *v = n->h->stacks.frames.v;
	const struct goroutine *g = &n->h->stacks.gs.v[v[first].g];
	uint32_t end = g->first_frame + g->nframes, at = end;
	const char *name = NULL;

	for (int least = LAYER_DEPENDENCY; least >= LAYER_STD && !name; least--)
		TRY(find_in_layer(n, first, end, least, &name, &at));
	/* The runtime's own goroutines are known by what they were started with. */
	if (!name) {
		while (end > first + 1 && !strcmp(v[end - 1].func->name, "runtime.goexit"))
			end--;
		name = v[end - 1].func->name;
		at = end;
	}
	for (uint32_t i = first; i < at; i++)
		n->around[i] = name;
	return NULL;
}

struct err *name_function_around(struct namer *n, uint32_t frame, const char **ret)
{
	const struct gframes *frames = &n->h->stacks.frames;

	if (!n->around)
		n->around = calloc(frames->n, sizeof(*n->around));
	if (!n->around)
		return err_nomem();
	if (!n->around[frame])
		TRY(find_around(n, frame));
	*ret = n->around[frame];
	return NULL;
}

/*
 * A closure that the compiler has put into the frame itself: some words before the slot is its
 * function's entry.  What it captures are variables of this frame's function.
 */
static struct err *name_captured(struct namer *n, const struct gframe *f, struct named_root *r)
{
	enum { WORDS = 16 }; /* more captured variables than that are rare */
	struct proc *p = &n->h->proc;
	uint64_t word = p->fmt.word;

	for (unsigned back = 1; back < WORDS && r->r.addr - back * word >= f->sp; back++) {
		const struct func *fn = NULL;
		struct go_type *t = NULL;
		uint64_t entry;

		if (!proc_try_word(p, r->r.addr - back * word, &entry))
			return NULL;
		err_destroy(func_find(p, entry, &fn));
		if (!fn || fn->entry != entry)
			continue;
		TRY(types_closure(n->types, entry, fn->name, 0, &t));
		for (uint32_t i = 1; t && i < t->nfields; i++) {
			const struct go_field *c = &t->fields[i];

			if (!c->type || back * word < c->offset ||
			    back * word - c->offset >= c->type->size)
				continue;
			r->name.type = c->type;
			r->var_off = back * word - c->offset;
			return root_list_label(n->list, f->func->name, c->name + (*c->name == '&'),
					       &r->name.label);
		}
		return NULL;
	}
	return NULL;
}

struct err *name_local(struct namer *n, struct named_root *r)
{
	const struct gframe *f;
	const struct locals *l;
	int64_t off;
	uint8_t own;

	r->pass = PASS_GOROUTINES;
	if (r->r.frame == UINT32_MAX)
		return NULL;
	f = &n->h->stacks.frames.v[r->r.frame];
	TRY(name_function_around(n, r->r.frame, &r->name.function));
	if (f->func->in_runtime)
		r->pass = PASS_GOROUTINES_RUNTIME;
	own = r->pass;
	if (r->r.conservative)
		r->pass = PASS_GOROUTINES_GUESSED;
	if (r->r.kind == ROOT_REGISTER)
		return NULL;
	/* A defer record or the saved context is no slot of the frame. */
	if (r->r.addr < f->sp || r->r.addr >= frame_fp(f) + ARGS_MAX)
		return NULL;
	if (!binary_of(n, f->func)->dwarf) {
		type_by_slot(n, r);
		return NULL;
	}
	/* A return address belongs to the call before it. */
	TRY(locals_at(n, f->func, f->pc > f->func->entry ? f->pc - 1 : f->pc, &l));
	off = (int64_t)(r->r.addr - frame_fp(f));
	for (size_t i = 0; i < l->n; i++) {
		const struct dwarf_local *v = &l->v[i];

		if (off < v->cfa_off || off >= v->cfa_off + (int64_t)v->size)
			continue;
		r->var_off = v->var_off + (uint64_t)(off - v->cfa_off);
		r->pass = own;
		TRY(local_type(n, f, v, r));
		if (f->func->in_runtime)
			r->name.label = NULL; /* what it works on belongs to who called it */
		return drop_lone_data(n, l, v, r);
	}
	type_by_slot(n, r);
	return r->name.type ? NULL : name_captured(n, f, r);
}

struct err *name_defer(struct namer *n, struct named_root *r)
{
	struct go_type *record;

	r->pass = PASS_GOROUTINES;
	if (r->r.frame != UINT32_MAX)
		TRY(name_function_around(n, r->r.frame, &r->name.function));
	if (r->r.kind == ROOT_DEFER_FN) {
		r->name.func_value = true;
		return NULL;
	}
	TRY(types_by_name(n->types, "runtime._defer", &record));
	return record ? types_pointer_to(n->types, record, &r->name.type) : NULL;
}
