/*
 * What a goroutine's stack holds: frames by their stack maps, stack objects that are pointed to,
 * defers and panics, and, where it was stopped while running, registers.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/intr.h"
#include "base/limits.h"
#include "base/search.h"
#include "heap/runtime/goroutine.h"
#include "heap/runtime/ptrmap.h"
#include "heap/runtime/ring.h"

struct stack_object {
	uint64_t addr, size;
	const uint8_t *mask; /* NULL: the synthetic RegArgs object */
	uint64_t ptr_words;  /* bits */
	uint32_t frame;
	uint32_t order; /* in which it was found */
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
	uint8_t *copy;           /* mem, where the image has it packed */
	uint64_t words, records; /* looked at, by maps and as stack objects: see scan_spend() */
	struct roots *roots;
	VEC(struct stack_object) objs;
	VEC(struct stack_ptr) precise, cons; /* pointers into this stack, still to be looked at */
};

static void stack_scan_deinit(struct stack_scan *s)
{
	free(s->copy);
	vec_deinit(&s->objs);
	vec_deinit(&s->precise);
	vec_deinit(&s->cons);
}

/* The innermost frame. */
static uint32_t first_frame(const struct goroutine *g)
{
	return g->nframes ? g->first_frame : UINT32_MAX;
}

static bool stack_word(const struct stack_scan *s, uint64_t addr, uint64_t *v)
{
	if (addr < s->mem_lo || addr >= s->mem_hi || s->mem_hi - addr < s->p->fmt.word)
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

	if (v < MIN_LEGAL_POINTER)
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

/*
 * Each word of a stack belongs to one frame, as one of its locals, one of its arguments, or a part
 * of a stack object: maps that name more words than there are, several times over, are damage, and
 * would cost frames * words.
 */
static struct err *scan_spend(const struct stack_scan *s, uint64_t *spent, uint64_t n)
{
	enum { TIMES = 16, SOME = 1 << 12 };

	*spent += n;
	TRY(intr_check());
	if (*spent > TIMES * ((s->mem_hi - s->mem_lo) / s->p->fmt.word) + SOME)
		return err_create(ERR_BADDATA, "the maps of its frames name more than its stack");
	return NULL;
}

/* Of the n words from addr on those in the stack: from the *first-th on, so many. */
static uint64_t words_in_stack(const struct stack_scan *s, uint64_t addr, uint64_t n,
			       uint64_t *first)
{
	uint64_t word = s->p->fmt.word, len = s->mem_hi - s->mem_lo, left;

	/* The distance up to the stack, which may be around the end of the address space. */
	*first = addr - s->mem_lo < len ? 0 : (s->mem_lo - addr + word - 1) / word;
	if (*first >= n || addr + *first * word - s->mem_lo >= len)
		return 0;
	left = (s->mem_hi - (addr + *first * word) + word - 1) / word;
	return n - *first < left ? n - *first : left;
}

/* scanblock(): the nbits words from addr on that the mask names (NULL: all). */
static struct err *scan_words(struct stack_scan *s, uint64_t addr, uint64_t nbits,
			      const uint8_t *mask, uint32_t frame, bool conservative)
{
	uint64_t v, first, end = words_in_stack(s, addr, nbits, &first);

	TRY(scan_spend(s, &s->words, end));
	end += first;
	for (uint64_t i = first; i < end; i++)
		if ((!mask || mask[i >> 3] >> (i & 7) & 1) &&
		    stack_word(s, addr + i * s->p->fmt.word, &v))
			TRY(scan_value(s, addr + i * s->p->fmt.word, v, frame, ROOT_STACK,
				       conservative));
	return NULL;
}

/* ------------------------------------------------------------------ frames */

/* Entry idx of the stack map at `map` ({n, nbit int32; bytedata}); NULL: it has none, or (*nbit is
 * not 0) it cannot be read. */
static const uint8_t *stackmap(const struct proc *p, uint64_t map, int32_t idx, uint32_t *nbit)
{
	enum { HEAD = 8 };
	uint64_t n, bits;

	*nbit = 0;
	if (!map || !proc_try_uint(p, map, 4, &n) || !proc_try_uint(p, map + 4, 4, &bits))
		return NULL;
	*nbit = (uint32_t)bits;
	if (idx < 0 || idx >= (int32_t)n || *nbit > INT32_MAX / 2)
		return NULL;
	return image_ptr(p->img, map + HEAD + (uint64_t)idx * ((*nbit + 7) / 8), (*nbit + 7) / 8,
			 NULL);
}

/* Where a stack object is; 0: not in the stack. */
static uint64_t object_addr(const struct stack_scan *s, const struct gframe *f, int32_t off,
			    uint64_t size)
{
	uint64_t addr =
		(off < 0 ? frame_varp(s->p, f) : frame_argp(s->p, f)) + (uint64_t)(int64_t)off;

	return addr < f->sp || addr >= s->g->hi || size > s->g->hi - addr ? 0 : addr;
}

static struct err *add_object(struct stack_scan *s, uint64_t addr, uint64_t size, uint32_t frame,
			      const uint8_t *mask, uint64_t ptr_words)
{
	return vec_push(&s->objs, ((struct stack_object){ .addr = addr,
							  .size = size,
							  .mask = mask,
							  .ptr_words = ptr_words,
							  .frame = frame,
							  .order = (uint32_t)s->objs.n }));
}

/*
 * The bits of a stack object's GC program, which is run once (until 1.23, of large ones).  A
 * program is one type's, and always as long; all of them together are no longer than stacks can be.
 */
static struct err *object_program(struct stack_scan *s, uint64_t program, uint64_t words,
				  const uint8_t **ret)
{
	struct modules *m = &s->p->modules;
	struct program_bits *b;
	uint64_t *slot;
	bool is_new;

	TRY(map64_put(&m->programs, program, 0, &slot, &is_new));
	if (is_new) {
		m->program_bytes += words / 8 + 8;
		if (m->program_bytes > LIMIT_STACK_PROGRAMS)
			return err_create(ERR_LIMIT, "stack objects with masks of more than %u MB",
					  LIMIT_STACK_PROGRAMS >> 20);
		b = arena_alloc(&m->arena, sizeof(*b) + words / 8 + 8);
		if (!b)
			return err_nomem();
		b->words = words;
		if (gcprog_mask(s->p, program, b->bits, words))
			*slot = (uintptr_t)b;
	}
	b = (struct program_bits *)(uintptr_t)*slot;
	if (!b || b->words < words)
		return err_fault(program, "the GC program of a stack object cannot be read");
	*ret = b->bits;
	return NULL;
}

/* The mask of a stack object; what does not stay where it is (it is in a stack or the heap, as no
 * program has it) cannot be read. */
static const uint8_t *object_mask(const struct proc *p, uint64_t mask, uint64_t words)
{
	uint64_t left;

	return image_packed(p->img, mask, &left) ? NULL :
						   image_ptr(p->img, mask, (words + 7) / 8, NULL);
}

/* One stackObjectRecord, at r. */
static struct err *scan_object_record(struct stack_scan *s, const struct gframe *f, uint32_t frame,
				      uint64_t r)
{
	const struct proc *p = s->p;
	const uint8_t *b =
		image_ptr(p->img, r, layout_size(&p->layout, LS_stackObjectRecord), NULL);
	const uint8_t *bits = (const uint8_t *)"";
	uint64_t mask, words, addr, size;
	int32_t ptrdata;

	if (!b)
		return err_fault(r, "stack object record");
	ptrdata = (int32_t)proc_peek(p, b, L_stackObjectRecord_ptrdata);
	words = (uint64_t)(ptrdata < 0 ? -(int64_t)ptrdata : ptrdata) / p->fmt.word;
	size = proc_peek(p, b, L_stackObjectRecord_size);
	addr = object_addr(s, f, (int32_t)proc_peek(p, b, L_stackObjectRecord_off), size);
	TRY(scan_spend(s, &s->records, 1));
	if (!addr)
		return NULL;
	if (words > size / p->fmt.word)
		return err_create(ERR_BADDATA, "a stack object of %s has more pointers than words",
				  f->func->name);
	mask = layout_has(&p->layout, L_stackObjectRecord_gcdataoff) ?
		       f->func->mod->rodata + proc_peek(p, b, L_stackObjectRecord_gcdataoff) :
		       proc_peek(p, b, L_stackObjectRecord_gcdata);
	if (ptrdata < 0)
		TRY(object_program(s, mask, words, &bits));
	else if (words)
		bits = object_mask(p, mask, words);
	if (!bits)
		return err_fault(mask, "the mask of a stack object cannot be read");
	return add_object(s, addr, size, frame, bits, words);
}

static struct err *scan_objects(struct stack_scan *s, const struct gframe *f, uint32_t frame)
{
	const struct proc *p = s->p;
	uint64_t table = func_funcdata(p, f->func, FUNCDATA_STACK_OBJECTS), n;

	if (!table)
		return NULL;
	TRY(image_read_word(p->img, table, &n));
	if (n > UINT16_MAX)
		return err_create(ERR_BADDATA, "%s has %" PRIu64 " stack objects", f->func->name,
				  n);
	for (uint64_t i = 0; i < n; i++)
		TRY(scan_object_record(s, f, frame,
				       table + p->fmt.word +
					       i * layout_size(&p->layout, LS_stackObjectRecord)));
	return NULL;
}

/*
 * abi.RegArgs, which lies on top of a reflect stub's locals: Ints [9]uintptr, Floats [15]uint64,
 * Ptrs [9]unsafe.Pointer, ReturnIsPtr.  Where arguments are on the stack it is empty, and the frame
 * has no room for one.
 */
static struct err *add_reg_args(struct stack_scan *s, const struct gframe *f, uint32_t frame)
{
	const struct proc *p = s->p;
	uint64_t word = p->fmt.word, ints = p->arch->int_arg_regs, ptrs, size, at;

	if (!ints)
		return NULL;
	ptrs = ints * word + p->arch->float_arg_regs * 8u;
	size = (ptrs + ints * word + (ints + 7) / 8 + 7) & ~7ull;
	if (frame_varp(p, f) < f->sp || frame_varp(p, f) - f->sp < size + 4 * word)
		return NULL;
	at = object_addr(s, f, -(int32_t)size, size);
	return at ? add_object(s, at, size, frame, NULL, ptrs / word + ints) : NULL;
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

	if (arg0 >= (p->arch->min_frame ? frame_fp(f) : frame_fp(f) - word))
		return NULL; /* not started: no locals, no arguments */
	if (!stack_word(s, arg0, &mv) || !stack_byte(s, arg0 + 4 * word, &valid))
		return NULL;
	TRY(image_read_word(p->img, mv + word, &bv));
	TRY(image_read_word(p->img, mv + 2 * word, &arglen));
	TRY(image_read_uint(p->img, bv, 4, &n));
	TRY(image_read_word(p->img, bv + word, &data));
	if (!valid && arglen / word < n)
		n = arglen / word;
	if (n > UINT16_MAX)
		return err_create(ERR_BADDATA, "a reflect stub with %" PRIu64 " argument words", n);
	if (n) {
		mask = image_ptr(p->img, data, (n + 7) / 8, NULL);
		if (!mask)
			return err_fault(data, "the argument map of %s was not captured",
					 f->func->name);
		TRY(scan_words(s, frame_argp(p, f), n, mask, frame, false));
	}
	return add_reg_args(s, f, frame);
}

/* All words of a frame that is no safe point. */
static struct err *scan_conservative(struct stack_scan *s, const struct gframe *f, uint32_t frame)
{
	uint64_t varp = frame_varp(s->p, f), word = s->p->fmt.word;

	if (varp > f->sp)
		TRY(scan_words(s, f->sp, (varp - f->sp) / word, NULL, frame, true));
	if (f->func->args > 0)
		TRY(scan_words(s, frame_argp(s->p, f), (uint64_t)f->func->args / word, NULL, frame,
			       true));
	return NULL;
}

/* The mask of a frame's locals or arguments; *nbit is 0 where it has no pointers. */
static struct err *frame_map(const struct proc *p, const struct gframe *f, unsigned table,
			     int32_t idx, const char *what, const uint8_t **mask, uint32_t *nbit)
{
	uint64_t map = func_funcdata(p, f->func, table);

	*mask = stackmap(p, map, idx, nbit);
	if (!*mask && (*nbit || !map))
		return err_create(ERR_BADDATA, "%s at 0x%" PRIx64 " has no map of its %s",
				  f->func->name, f->pc, what);
	return NULL;
}

/* The frame's own words, by its maps (getStackMap). */
static struct err *scan_frame(struct stack_scan *s, const struct gframe *f, uint32_t frame)
{
	struct proc *p = s->p;
	uint64_t varp = frame_varp(p, f);
	const struct pcinfo *pi;
	const uint8_t *mask;
	uint32_t nbit;
	int32_t idx;

	if (f->conservative)
		return scan_conservative(s, f, frame);
	if (f->goes_on == FRAME_NEVER)
		return NULL;
	TRY(pcinfo_find(
		p, f->goes_on == FRAME_HERE ? f->pc : f->func->entry + f->func->deferreturn + 1,
		&pi));
	if (!pi)
		return NULL;
	idx = pi->stackmap < 0 ? 0 : pi->stackmap;
	if (varp > f->sp && varp - f->sp > p->arch->min_locals) {
		TRY(frame_map(p, f, FUNCDATA_LOCALS, idx, "locals", &mask, &nbit));
		if (nbit)
			TRY(scan_words(s, varp - (uint64_t)nbit * p->fmt.word, nbit, mask, frame,
				       false));
	}
	if (f->func->args == FUNC_ARGS_UNKNOWN && f->func->cls == FUNC_REFLECT_STUB)
		return scan_reflect_stub(s, f, frame);
	if (f->func->args > 0) {
		TRY(frame_map(p, f, FUNCDATA_ARGS, idx, "arguments", &mask, &nbit));
		if (nbit)
			TRY(scan_words(s, frame_argp(p, f), nbit, mask, frame, false));
	}
	return scan_objects(s, f, frame);
}

/* ------------------------------------------------------------------ objects on the stack */

/* By address; of several at one address the one that was found first comes first. */
static int object_cmp(const void *a, const void *b)
{
	const struct stack_object *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

struct object_key {
	const struct stack_object *v;
	uint64_t addr;
};

static bool object_behind(const void *arg, size_t i)
{
	const struct object_key *k = arg;

	return k->v[i].addr > k->addr;
}

/* The object that holds addr; NULL: none. */
static struct stack_object *object_at(const struct stack_scan *s, uint64_t addr)
{
	struct object_key k = { s->objs.v, addr };
	size_t i = search_first(s->objs.n, object_behind, &k);
	struct stack_object *o = i ? &s->objs.v[i - 1] : NULL;

	return o && addr - o->addr < o->size ? o : NULL;
}

static struct err *scan_object(struct stack_scan *s, const struct stack_object *o,
			       bool conservative)
{
	uint64_t ints = s->p->arch->int_arg_regs;

	if (o->mask)
		return scan_words(s, o->addr, o->ptr_words, o->mask, o->frame, conservative);
	/* RegArgs: only its last words, Ptrs, are pointers */
	return scan_words(s, o->addr + (o->ptr_words - ints) * s->p->fmt.word, ints, NULL, o->frame,
			  conservative);
}

/* Objects on the stack live only if something points to them. */
static struct err *scan_pointed(struct stack_scan *s)
{
	if (s->objs.n > 1)
		qsort(s->objs.v, s->objs.n, sizeof(*s->objs.v), object_cmp);
	while (s->precise.n || s->cons.n) {
		struct stack_ptr ptr =
			s->precise.n ? s->precise.v[--s->precise.n] : s->cons.v[--s->cons.n];
		struct stack_object *o = object_at(s, ptr.value);

		if (!o || o->done)
			continue;
		o->done = true;
		TRY(scan_object(s, o, ptr.conservative));
	}
	return NULL;
}

/* ------------------------------------------------------------------ defers and registers */

struct frame_key {
	const struct gframe *frames;
	uint64_t addr;
};

static bool frame_is_above(const void *arg, size_t i)
{
	const struct frame_key *k = arg;

	return k->addr < frame_fp(&k->frames[i]);
}

/* The frame whose part of the stack holds addr; else the outermost.  Frames go up the stack: each
 * begins where the one before it ends. */
static uint32_t frame_at(const struct stacks *st, const struct goroutine *g, uint64_t addr)
{
	struct frame_key k = { &st->frames.v[g->first_frame], addr };
	size_t i = search_first(g->nframes, frame_is_above, &k);

	if (!g->nframes)
		return UINT32_MAX;
	return g->first_frame + (i < g->nframes ? (uint32_t)i : g->nframes - 1);
}

/*
 * Until 1.17 the arguments of a deferred call stand behind its record, where there is no register
 * ABI (all but amd64), as the function's own map of its arguments has them (traceback.go,
 * tracebackdefers).
 */
static struct err *scan_defer_args(struct stack_scan *s, uint64_t d, uint64_t fn, uint32_t frame)
{
	struct proc *p = s->p;
	uint64_t args = d + layout_size(&p->layout, LS_defer), word = p->fmt.word, size, pc, v;
	const struct func *f;
	const uint8_t *mask;
	uint32_t nbit;

	if (!fn || layout_has(&p->layout, L_func_entryOff))
		return NULL;
	TRY(image_read_uint(p->img, d, 4, &size)); /* _defer.siz is its first field */
	if (!size)
		return NULL;
	TRY(image_read_word(p->img, fn, &pc));
	TRY(func_find(p, pc, &f));
	if (!f || f->args == FUNC_ARGS_UNKNOWN)
		return err_create(ERR_BADDATA, "a deferred call whose arguments are not known");
	mask = stackmap(p, func_funcdata(p, f, FUNCDATA_ARGS), 0, &nbit);
	for (uint32_t i = 0; mask && i < nbit && i < size / word; i++) {
		if (!(mask[i >> 3] >> (i & 7) & 1))
			continue;
		TRY(image_read_word(p->img, args + i * word, &v));
		TRY(scan_value(s, args + i * word, v, frame, ROOT_DEFER, false));
	}
	return NULL;
}

/* One defer record; *link is the next one. */
static struct err *scan_defer(struct stack_scan *s, const struct stacks *st, uint64_t d,
			      uint64_t *link)
{
	const struct proc *p = s->p;
	uint64_t fn, heap, sp;
	uint32_t frame;

	TRY(proc_get(p, d, L_defer_fn, &fn));
	TRY(proc_get(p, d, L_defer_link, link));
	TRY(proc_get(p, d, L_defer_heap, &heap));
	TRY(proc_get(p, d, L_defer_sp, &sp));
	frame = frame_at(st, s->g, sp);
	TRY(scan_defer_args(s, d, fn, frame));
	TRY(scan_value(s, d + layout_off(&p->layout, L_defer_fn), fn, frame, ROOT_DEFER_FN, false));
	TRY(scan_value(s, d + layout_off(&p->layout, L_defer_link), *link, frame, ROOT_DEFER,
		       false));
	return heap & 0xff ? scan_value(s, d, d, frame, ROOT_DEFER, false) : NULL;
}

static struct err *scan_defers(struct stack_scan *s, const struct stacks *st)
{
	struct ring ring = { 0 };
	uint64_t d, pan;

	TRY(proc_get(s->p, s->g->addr, L_g__defer, &d));
	TRY(proc_get(s->p, s->g->addr, L_g__panic, &pan));
	while (d) {
		if (ring.steps > LIMIT_FRAMES)
			return err_create(ERR_LIMIT, "a goroutine with too many defers");
		TRY(ring_check(&ring, d, "a goroutine's defers"));
		TRY(scan_defer(s, st, d, &d));
	}
	return pan ? vec_push(&s->precise, ((struct stack_ptr){ pan, false })) : NULL;
}

static struct err *scan_registers(struct stack_scan *s, const struct stacks *st)
{
	const struct arch *a = s->p->machine;
	const uint64_t *i = map64_get(&st->by_curg, s->g->addr);
	const struct machine *m = NULL;
	struct gcontext ctx;
	bool conservative;
	const char *why;

	if (i && st->ms.v[*i].addr == s->g->m)
		m = &st->ms.v[*i];
	if (!stack_start(s->p, st, s->g, m, &ctx, &conservative, &why) || !ctx.have_regs)
		return NULL;
	for (int r = 0; r < a->nregs; r++)
		if (r != a->pc && r != a->sp && a->reg_sizes[r] == s->p->fmt.word)
			TRY(scan_value(s, ctx.sp, ctx.regs[r], first_frame(s->g), ROOT_REGISTER,
				       true));
	return NULL;
}

/* ------------------------------------------------------------------ the order */

/* Takes the stack's bytes from lo on. */
static struct err *stack_memory(struct stack_scan *s, uint64_t lo)
{
	uint64_t left = image_run(s->p->img, lo), packed;

	if (left > s->g->hi - lo)
		left = s->g->hi - lo;
	s->mem_lo = lo;
	s->mem_hi = lo + left;
	free(TAKE_PTR(s->copy));
	if (!left)
		return NULL;
	if (!image_packed(s->p->img, lo, &packed)) {
		s->mem = image_ptr(s->p->img, lo, 1, NULL);
		return NULL;
	}
	s->mem = s->copy = malloc(left);
	return s->copy ? image_read(s->p->img, lo, s->copy, left) : err_nomem();
}

/* All of the used part, where the stack could not be walked. */
static struct err *scan_partial(struct stack_scan *s)
{
	const struct goroutine *g = s->g;
	/* what sched has of one that runs is an old one */
	bool sched = g->status != G_RUNNING && g->sched_sp > g->lo && g->sched_sp < g->hi;

	TRY(stack_memory(s, sched ? g->sched_sp : g->lo));
	TRY(scan_words(s, s->mem_lo, (s->mem_hi - s->mem_lo) / s->p->fmt.word, NULL, first_frame(g),
		       true));
	s->cons.n = 0;
	return NULL;
}

static struct err *scan_stack(struct stack_scan *s, const struct stacks *st)
{
	const struct goroutine *g = s->g;
	const struct layout *l = &s->p->layout;
	uint64_t ctxt = g->addr + layout_off(l, L_g_sched) + layout_off(l, L_gobuf_ctxt);

	if (g->nframes)
		TRY(stack_memory(s, st->frames.v[g->first_frame].sp));
	TRY(scan_value(s, ctxt, g->sched_ctxt, first_frame(g), ROOT_STACK, false));
	if (g->partial)
		TRY(scan_partial(s));
	for (uint32_t i = 0; i < g->nframes && !g->partial; i++)
		TRY(scan_frame(s, &st->frames.v[g->first_frame + i], g->first_frame + i));
	if (g->status == G_RUNNING)
		TRY(scan_registers(s, st));
	TRY(scan_defers(s, st));
	return scan_pointed(s);
}

struct err *stacks_scan(struct proc *p, struct stacks *st, const struct spans *spans, size_t gi,
			struct roots *roots)
{
	const struct goroutine *g = &st->gs.v[gi];
	_cleanup_(stack_scan_deinit) struct stack_scan s = {
		.p = p, .spans = spans, .g = g, .roots = roots
	};

	if (goroutine_is_dead(g))
		return NULL;
	return err_wrapf(scan_stack(&s, st), "scanning goroutine %" PRIu64, g->goid);
}
