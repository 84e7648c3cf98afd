/*
 * What a goroutine's stack holds: frames by stack maps, stack objects that are pointed to,
 * defers and panics, and, where it was stopped while running, registers.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "heap/runtime/goroutine.h"
#include "heap/runtime/ptrmap.h"

struct stack_object {
	uint64_t addr, size;
	const uint8_t *mask; /* NULL: the synthetic RegArgs object */
	uint64_t ptr_words;  /* bits */
	uint32_t frame;
	bool done;
};

struct stack_ptr {
	uint64_t value;
	bool conservative;
};

struct stack_scan {
	struct proc *p;
	const struct spans *spans;
	const struct goroutine *g;
	const uint8_t *mem; /* of the stack, from mem_lo on */
	uint64_t mem_lo, mem_hi;
	struct roots *roots;
	VEC(struct stack_object) objs;
	VEC(struct stack_ptr) precise, cons; /* pointers into this stack, still to be looked at */
};

static bool stack_word(const struct stack_scan *s, uint64_t addr, uint64_t *v)
{
	if (addr < s->mem_lo || addr + s->p->fmt.word > s->mem_hi)
		return false;
	*v = bytes_word(s->p->fmt, s->mem + (addr - s->mem_lo));
	return true;
}

static bool stack_byte(const struct stack_scan *s, uint64_t addr, uint8_t *v)
{
	if (addr < s->mem_lo || addr >= s->mem_hi)
		return false;
	*v = s->mem[addr - s->mem_lo];
	return true;
}

/* One word that may be a pointer: into this stack, or to an object. */
static struct err *scan_value(struct stack_scan *s, uint64_t addr, uint64_t v, uint32_t frame,
			      enum root_kind kind, bool conservative)
{
	const struct span *sp;
	uint32_t i;

	if (v < 4096)
		return NULL;
	if (v >= s->g->lo && v < s->g->hi) {
		struct stack_ptr sptr = { v, conservative };

		return conservative ? vec_push(&s->cons, sptr) : vec_push(&s->precise, sptr);
	}
	sp = spans_find(s->spans, v);
	if (!sp)
		return NULL;
	i = span_index(sp, v);
	if (!span_alive(sp, i))
		return NULL;
	return vec_push(s->roots, ((struct root){ .addr = addr,
						  .value = v,
						  .frame = frame,
						  .kind = (uint8_t)kind,
						  .conservative = conservative }));
}

/* scanblock: the words of [addr, addr + nbits) that the mask names (NULL: all). */
static struct err *scan_words(struct stack_scan *s, uint64_t addr, uint64_t nbits,
			      const uint8_t *mask, uint32_t frame, bool conservative)
{
	struct err *err = NULL;
	uint64_t v;

	for (uint64_t i = 0; i < nbits && !err; i++)
		if ((!mask || mask[i >> 3] >> (i & 7) & 1) &&
		    stack_word(s, addr + i * s->p->fmt.word, &v))
			err = scan_value(s, addr + i * s->p->fmt.word, v, frame, ROOT_STACK,
					 conservative);
	return err;
}

static const uint8_t *stackmap(const struct proc *p, uint64_t map, int32_t idx, uint32_t *nbit)
{
	uint8_t head[8];
	struct err *err;
	int32_t n;

	*nbit = 0;
	err = map ? image_read(p->img, map, head, sizeof(head)) : NULL;
	if (!map || err) {
		err_destroy(err);
		return NULL;
	}
	n = (int32_t)bytes_u32(p->fmt, head);
	*nbit = bytes_u32(p->fmt, head + 4);
	if (idx < 0 || idx >= n || *nbit > INT32_MAX / 2)
		return NULL;
	return image_ptr(p->img, map + 8 + (uint64_t)idx * ((*nbit + 7) / 8), (*nbit + 7) / 8,
			 NULL);
}

static struct err *add_object(struct stack_scan *s, const struct gframe *f, uint32_t frame,
			      int32_t off, uint64_t size, const uint8_t *mask, uint64_t ptr_words)
{
	uint64_t addr = (off < 0 ? f->varp : f->argp) + (uint64_t)(int64_t)off;

	if (addr < f->sp || addr >= s->g->hi || size > s->g->hi - addr)
		return NULL;
	return vec_push(&s->objs,
			((struct stack_object){ addr, size, mask, ptr_words, frame, false }));
}

/* A stack object's mask; until 1.23 that of a large one is a GC program, run once. */
static struct err *object_mask(struct stack_scan *s, uint64_t mask, uint64_t words, bool program,
			       const uint8_t **ret)
{
	struct modules *m = &s->p->modules;
	uint64_t *slot;
	uint8_t *bits;
	struct err *err;
	bool is_new;

	if (!program) {
		*ret = words ? image_ptr(s->p->img, mask, (words + 7) / 8, NULL) :
			       (const uint8_t *)"";
		return *ret ? NULL : err_fault(mask, "the mask of a stack object cannot be read");
	}
	err = map64_put(&m->programs, mask, 0, &slot, &is_new);
	if (err)
		return err;
	if (is_new) {
		bits = arena_alloc(&m->arena, words / 8 + 8);
		if (!bits)
			return err_nomem();
		if (!gcprog_mask(s->p, mask, bits, words))
			return err_fault(mask, "the GC program of a stack object cannot be read");
		*slot = (uintptr_t)bits;
	}
	*ret = (const uint8_t *)(uintptr_t)*slot;
	return *ret ? NULL : err_fault(mask, "the GC program of a stack object cannot be read");
}

static struct err *scan_objects(struct stack_scan *s, const struct gframe *f, uint32_t frame)
{
	const struct proc *p = s->p;
	uint64_t table = func_funcdata(p, f->func, FUNCDATA_STACK_OBJECTS), n;
	uint32_t elem = layout_size(&p->layout, LS_stackObjectRecord);
	struct err *err;

	if (!table)
		return NULL;
	err = image_read_word(p->img, table, &n);
	if (err)
		return err;
	if (n > UINT16_MAX)
		return err_create(ERR_BADDATA, "%s has %" PRIu64 " stack objects", f->func->name,
				  n);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t r = table + p->fmt.word + i * elem, mask, words;
		const uint8_t *bits, *b = image_ptr(p->img, r, elem, NULL);
		int32_t ptrdata;

		if (!b)
			return err_fault(r, "stack object record");
		ptrdata = (int32_t)proc_peek(p, b, L_stackObjectRecord_ptrdata);
		words = (uint64_t)(ptrdata < 0 ? -(int64_t)ptrdata : ptrdata) / p->fmt.word;
		mask = layout_has(&p->layout, L_stackObjectRecord_gcdataoff) ?
			       f->func->mod->rodata +
				       proc_peek(p, b, L_stackObjectRecord_gcdataoff) :
			       proc_peek(p, b, L_stackObjectRecord_gcdata);
		err = object_mask(s, mask, words, ptrdata < 0, &bits);
		if (!err)
			err = add_object(s, f, frame,
					 (int32_t)proc_peek(p, b, L_stackObjectRecord_off),
					 proc_peek(p, b, L_stackObjectRecord_size), bits, words);
		if (err)
			return err;
	}
	return NULL;
}

/*
 * reflect.makeFuncStub and methodValueCall: the argument map is in the reflect.methodValue at
 * 0(SP), and an abi.RegArgs lies on top of the locals (stkframe.go:argMapInternal).
 */
static struct err *scan_reflect_stub(struct stack_scan *s, const struct gframe *f, uint32_t frame)
{
	const struct proc *p = s->p;
	uint64_t word = p->fmt.word, arg0 = f->sp + p->arch->min_frame, mv, bv, n, data, arglen;
	const uint8_t *mask;
	uint8_t valid;
	struct err *err;

	if (arg0 >= (p->arch->min_frame ? f->fp : f->fp - word))
		return NULL; /* not started: no locals, no arguments */
	if (!stack_word(s, arg0, &mv) || !stack_byte(s, arg0 + 4 * word, &valid))
		return NULL;
	if ((err = image_read_word(p->img, mv + word, &bv)) ||
	    (err = image_read_word(p->img, mv + 2 * word, &arglen)) ||
	    (err = image_read_uint(p->img, bv, 4, &n)) ||
	    (err = image_read_word(p->img, bv + word, &data)))
		return err;
	if (!valid && arglen / word < n)
		n = arglen / word;
	if (n > UINT16_MAX)
		return err_create(ERR_BADDATA, "a reflect stub with %" PRIu64 " argument words", n);
	if (n) {
		mask = image_ptr(p->img, data, (n + 7) / 8, NULL);
		if (!mask)
			return err_fault(data, "the argument map of %s was not captured",
					 f->func->name);
		err = scan_words(s, f->argp, n, mask, frame, false);
		if (err)
			return err;
	}
	/* abi.RegArgs: Ints [9]uintptr, Floats [15]uint64, Ptrs [9]unsafe.Pointer, ReturnIsPtr;
	 * where arguments are on the stack it is empty, and the frame has no room for one. */
	if (p->arch->int_arg_regs) {
		uint64_t ints = p->arch->int_arg_regs, floats = p->arch->float_arg_regs;
		uint64_t ptrs = ints * word + floats * 8;
		uint64_t size = (ptrs + ints * word + (ints + 7) / 8 + 7) & ~7ull;

		if (f->varp < f->sp || f->varp - f->sp < size + 4 * word)
			return NULL;
		return add_object(s, f, frame, -(int32_t)size, size, NULL, ptrs / word + ints);
	}
	return NULL;
}

/* The frame's own words, by its maps (getStackMap). */
static struct err *scan_frame(struct stack_scan *s, const struct gframe *f, uint32_t frame)
{
	struct proc *p = s->p;
	const struct pcinfo *pi;
	const uint8_t *mask;
	uint32_t nbit;
	uint64_t map;
	struct err *err;
	int32_t idx;

	if (f->conservative) {
		uint64_t end = f->varp;

		if (end > f->sp &&
		    (err = scan_words(s, f->sp, (end - f->sp) / p->fmt.word, NULL, frame, true)))
			return err;
		if (f->func->args > 0)
			return scan_words(s, f->argp, (uint64_t)f->func->args / p->fmt.word, NULL,
					  frame, true);
		return NULL;
	}
	if (!f->continpc)
		return NULL;
	err = pcinfo_find(p, f->continpc, &pi);
	if (err || !pi)
		return err;
	idx = pi->stackmap < 0 ? 0 : pi->stackmap;
	if (f->varp > f->sp && f->varp - f->sp > p->arch->min_locals) {
		map = func_funcdata(p, f->func, FUNCDATA_LOCALS);
		mask = stackmap(p, map, idx, &nbit);
		if (!mask && (nbit || !map))
			return err_create(ERR_BADDATA,
					  "%s at 0x%" PRIx64 " has no map of its locals",
					  f->func->name, f->pc);
		if (nbit && (err = scan_words(s, f->varp - (uint64_t)nbit * p->fmt.word, nbit, mask,
					      frame, false)))
			return err;
	}
	if (f->func->args == FUNC_ARGS_UNKNOWN && f->func->cls == FUNC_REFLECT_STUB)
		return scan_reflect_stub(s, f, frame);
	if (f->func->args > 0) {
		map = func_funcdata(p, f->func, FUNCDATA_ARGS);
		mask = stackmap(p, map, idx, &nbit);
		if (!mask && (nbit || !map))
			return err_create(ERR_BADDATA,
					  "%s at 0x%" PRIx64 " has no map of its arguments",
					  f->func->name, f->pc);
		if (nbit && (err = scan_words(s, f->argp, nbit, mask, frame, false)))
			return err;
	}
	return scan_objects(s, f, frame);
}

static int object_cmp(const void *a, const void *b)
{
	const struct stack_object *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* Objects on the stack live only if something points to them. */
static struct err *scan_pointed(struct stack_scan *s)
{
	struct err *err = NULL;

	if (s->objs.n > 1)
		qsort(s->objs.v, s->objs.n, sizeof(*s->objs.v), object_cmp);
	while (!err && (s->precise.n || s->cons.n)) {
		struct stack_ptr ptr =
			s->precise.n ? s->precise.v[--s->precise.n] : s->cons.v[--s->cons.n];
		size_t lo = 0, hi = s->objs.n;
		struct stack_object *o;

		while (lo < hi) {
			size_t mid = (lo + hi) / 2;

			if (s->objs.v[mid].addr <= ptr.value)
				lo = mid + 1;
			else
				hi = mid;
		}
		if (!lo)
			continue;
		o = &s->objs.v[lo - 1];
		if (ptr.value - o->addr >= o->size || o->done)
			continue;
		o->done = true;
		if (!o->mask) { /* RegArgs: only its last words, Ptrs, are pointers */
			uint64_t ints = s->p->arch->int_arg_regs;

			err = scan_words(s, o->addr + (o->ptr_words - ints) * s->p->fmt.word, ints,
					 NULL, o->frame, ptr.conservative);
			continue;
		}
		err = scan_words(s, o->addr, o->ptr_words, o->mask, o->frame, ptr.conservative);
	}
	return err;
}

/* The frame whose part of the stack holds addr; else the outermost. */
static uint32_t frame_at(const struct stacks *st, const struct goroutine *g, uint64_t addr)
{
	for (uint32_t i = 0; i < g->nframes; i++)
		if (addr < st->frames.v[g->first_frame + i].fp)
			return g->first_frame + i;
	return g->nframes ? g->first_frame + g->nframes - 1 : UINT32_MAX;
}

/*
 * Until 1.17 the arguments of a deferred call stand behind its record, where there is no register
 * ABI (all but amd64), as the function's own map of its arguments has them (traceback.go,
 * tracebackdefers).
 */
static struct err *scan_defer_args(struct stack_scan *s, uint64_t d, uint64_t fn, uint32_t frame)
{
	struct proc *p = s->p;
	uint64_t args = d + layout_size(&p->layout, LS_defer), size, pc, v;
	const struct func *f;
	const uint8_t *mask;
	uint32_t nbit;
	struct err *err;

	if (!fn || layout_has(&p->layout, L_func_entryOff))
		return NULL;
	if ((err = image_read_uint(p->img, d, 4, &size)) || !size ||
	    (err = image_read_word(p->img, fn, &pc)) || (err = func_find(p, pc, &f)))
		return err; /* _defer.siz is its first field */
	if (!f || f->args == FUNC_ARGS_UNKNOWN)
		return err_create(ERR_BADDATA, "a deferred call whose arguments are not known");
	mask = stackmap(p, func_funcdata(p, f, FUNCDATA_ARGS), 0, &nbit);
	for (uint32_t i = 0; mask && i < nbit && i < size / p->fmt.word && !err; i++)
		if (mask[i >> 3] >> (i & 7) & 1 &&
		    !(err = image_read_word(p->img, args + i * p->fmt.word, &v)))
			err = scan_value(s, args + i * p->fmt.word, v, frame, ROOT_DEFER, false);
	return err;
}

static struct err *scan_defers(struct stack_scan *s, const struct stacks *st)
{
	const struct proc *p = s->p;
	uint64_t d, fn, link, heap, sp, pan, steps = 0;
	struct err *err;

	if ((err = proc_get(p, s->g->addr, L_g__defer, &d)) ||
	    (err = proc_get(p, s->g->addr, L_g__panic, &pan)))
		return err;
	for (; d; d = link) {
		uint32_t frame;

		if (++steps > LIMIT_FRAMES)
			return err_create(ERR_LIMIT, "a goroutine with too many defers");
		if ((err = proc_get(p, d, L_defer_fn, &fn)) ||
		    (err = proc_get(p, d, L_defer_link, &link)) ||
		    (err = proc_get(p, d, L_defer_heap, &heap)) ||
		    (err = proc_get(p, d, L_defer_sp, &sp)))
			return err;
		frame = frame_at(st, s->g, sp);
		if ((err = scan_defer_args(s, d, fn, frame)) ||
		    (err = scan_value(s, d + layout_off(&p->layout, L_defer_fn), fn, frame,
				      ROOT_DEFER_FN, false)) ||
		    (err = scan_value(s, d + layout_off(&p->layout, L_defer_link), link, frame,
				      ROOT_DEFER, false)))
			return err;
		if (heap & 0xff && (err = scan_value(s, d, d, frame, ROOT_DEFER, false)))
			return err;
	}
	if (pan)
		return vec_push(&s->precise, ((struct stack_ptr){ pan, false }));
	return NULL;
}

static struct err *scan_registers(struct stack_scan *s, const struct stacks *st)
{
	const struct goroutine *g = s->g;
	struct gcontext ctx;
	bool conservative;
	const char *why;
	struct err *err = NULL;
	const struct machine *m = NULL;

	for (size_t i = 0; i < st->ms.n; i++)
		if (st->ms.v[i].addr == g->m)
			m = &st->ms.v[i];
	if (!stack_start(s->p, st, g, m, &ctx, &conservative, &why) || !ctx.have_regs)
		return NULL;
	for (int r = 0; r < s->p->machine->nregs && !err; r++)
		if (r != s->p->machine->pc && r != s->p->machine->sp &&
		    s->p->machine->reg_sizes[r] == s->p->fmt.word)
			err = scan_value(s, ctx.sp, ctx.regs[r],
					 g->nframes ? g->first_frame : UINT32_MAX, ROOT_REGISTER,
					 true);
	return err;
}

struct err *stacks_scan(struct proc *p, struct stacks *st, const struct spans *spans, size_t gi,
			struct roots *roots)
{
	const struct goroutine *g = &st->gs.v[gi];
	struct stack_scan s = { .p = p, .spans = spans, .g = g, .roots = roots };
	uint64_t left;
	struct err *err = NULL;

	if (goroutine_is_dead(g))
		return NULL;
	if (g->nframes) {
		s.mem_lo = st->frames.v[g->first_frame].sp;
		s.mem = image_ptr(p->img, s.mem_lo, 1, &left);
		if (s.mem)
			s.mem_hi = s.mem_lo + left < g->hi ? s.mem_lo + left : g->hi;
	}
	err = scan_value(
		&s,
		g->addr + layout_off(&p->layout, L_g_sched) + layout_off(&p->layout, L_gobuf_ctxt),
		g->sched_ctxt, g->nframes ? g->first_frame : UINT32_MAX, ROOT_STACK, false);
	if (g->partial) { /* all of the used part, as we do not know better */
		/* Of one that runs it is an old one. */
		bool sched = g->status != G_RUNNING && g->sched_sp > g->lo && g->sched_sp < g->hi;
		uint64_t lo = sched ? g->sched_sp : g->lo;

		s.mem = image_ptr(p->img, lo, 1, &left);
		s.mem_lo = lo;
		s.mem_hi = s.mem ? (lo + left < g->hi ? lo + left : g->hi) : lo;
		if (!err)
			err = scan_words(&s, lo, (s.mem_hi - lo) / p->fmt.word, NULL,
					 g->nframes ? g->first_frame : UINT32_MAX, true);
		s.cons.n = 0;
	} else {
		for (uint32_t i = 0; i < g->nframes && !err; i++)
			err = scan_frame(&s, &st->frames.v[g->first_frame + i], g->first_frame + i);
	}
	if (!err && g->status == G_RUNNING)
		err = scan_registers(&s, st);
	if (!err)
		err = scan_defers(&s, st);
	if (!err)
		err = scan_pointed(&s);
	vec_deinit(&s.objs);
	vec_deinit(&s.precise);
	vec_deinit(&s.cons);
	return err_wrapf(err, "scanning goroutine %" PRIu64, g->goid);
}
