/*
 * What is made at run time outside the captured spans: reflect's types have their masks and names
 * in pointer-free objects, its function stubs their argument maps; itabs are in persistent memory.
 * Source: reflect/type.go (StructOf, ...), reflect/makefunc.go.
 */
#include <inttypes.h>
#include <string.h>

#include "base/intr.h"
#include "base/limits.h"
#include "heap/capture/capture_int.h"
#include "heap/types/type.h"

/* ------------------------------------------------------------------ what is linked in */

/* The text of a function of EXE by the symbol table, or, in a stripped program, by pclntab. */
static struct err *linked_function(struct proc *p, const char *name, struct range *ret)
{
	const struct func *f;

	*ret = (struct range){ 0, 0 };
	if (!p->stripped) {
		if (!binary_symbol(&p->binaries.v[0], name, &ret->addr, &ret->len))
			ret->addr = 0;
		return NULL;
	}
	TRY(func_named(p, &p->modules.v.v[0], name, &f));
	if (f)
		*ret = (struct range){ f->entry, f->end - f->entry };
	return NULL;
}

/* Finds which of reflect's functions are linked in, and where; once. */
struct err *capture_find_reflect(struct captured *c)
{
	static const char *const stubs[] = { "reflect.makeFuncStub", "reflect.methodValueCall" };
	struct captured_reflect *r = &c->reflect;
	struct range text;

	if (r->known)
		return NULL;
	for (size_t i = 0; i < sizeof(stubs) / sizeof(*stubs); i++) {
		TRY(linked_function(&c->proc, stubs[i], &text));
		if (!text.addr)
			continue;
		if (!r->lo || text.addr < r->lo)
			r->lo = text.addr;
		if (text.addr + text.len > r->hi)
			r->hi = text.addr + text.len;
	}
	TRY(linked_function(&c->proc, "reflect.StructOf", &text));
	r->struct_of = text.addr;
	r->known = true;
	return NULL;
}

/* ------------------------------------------------------------------ masks of types */

/*
 * The type of slot i, where a span or slot says it and it may have been made at run time; 0: none,
 * or the slot was allocated and its type is not published yet.
 */
static uint64_t slot_type(const struct captured *c, const struct span *x, uint32_t i)
{
	const struct proc *p = &c->proc;
	uint64_t type;

	if (x->ptrs == SPAN_LARGE)
		return x->large_type;
	if (!proc_try_word(p, span_slot(x, i), &type) ||
	    !spans_find(&c->spans, type)) /* in a module; or what was there before */
		return 0;
	return type;
}

/* Types made by reflect: their descriptors are heap objects, which are captured, their masks and
 * names are pointer-free ones, which are not. */
struct err *capture_plan_types(const struct captured *c, struct ranges *want)
{
	_cleanup_(map64_deinit) struct map64 seen = MAP64_INIT;

	for (size_t i = 0; i < c->spans.n; i++) {
		const struct span *x = &c->spans.v[i];

		TRY(intr_check());
		if (x->ptrs != SPAN_HEADER && x->ptrs != SPAN_LARGE)
			continue;
		for (uint32_t j = 0; j < x->nelems; j++) {
			uint64_t type = span_alive(x, j) ? slot_type(c, x, j) : 0, *slot;
			bool is_new;

			if (!type)
				continue;
			TRY(map64_put(&seen, type, 0, &slot, &is_new));
			if (is_new)
				TRY(gcmask_plan(&c->proc, type, want));
		}
	}
	return NULL;
}

/* ------------------------------------------------------------------ stubs' argument maps */

/* Does a stub's address stand on the goroutine's stack, as a return address would? */
static bool shows_stub(const struct captured *c, const struct goroutine *g)
{
	const struct proc *p = &c->proc;
	uint64_t sp = g->syscall_sp ? g->syscall_sp : g->sched_sp, left, v;

	if (g->status == G_DEAD || g->status == G_DEADEXTRA || sp < g->lo || sp >= g->hi)
		return false;
	left = image_run(p->img, sp);
	if (left > g->hi - sp)
		left = g->hi - sp;
	for (uint64_t at = 0; at + p->fmt.word <= left; at += p->fmt.word) {
		if (proc_try_word(p, sp + at, &v) && v >= c->reflect.lo && v < c->reflect.hi)
			return true;
	}
	return false;
}

/* The argument map of a stub's frame; false: it has none, or what is there is
 * a stale word.  reflect makes its bit vectors on the heap. */
static bool stub_map(const struct captured *c, const struct gframe *f, struct range *ret)
{
	const struct proc *p = &c->proc;
	uint64_t word = p->fmt.word, method, vector, n;

	if (f->func->cls != FUNC_REFLECT_STUB ||
	    !proc_try_word(p, f->sp + p->arch->min_frame, &method) ||
	    !proc_try_word(p, method + word, &vector) || !proc_try_uint(p, vector, 4, &n) ||
	    !proc_try_word(p, vector + word, &ret->addr) || n > UINT16_MAX ||
	    !spans_find(&c->spans, ret->addr))
		return false;
	ret->len = (n + 7) / 8;
	return true;
}

/*
 * The argument maps of reflect's stubs (makeFuncStub, methodValueCall): pointer-free memory that a
 * frame's first word leads to.  Only stacks that show one are walked.
 */
static struct err *plan_frames(struct captured *c, struct ranges *want)
{
	for (size_t i = 0; i < c->stacks.gs.n; i++) {
		struct goroutine g = c->stacks.gs.v[i];
		_cleanup_(stacks_one_deinit) struct stacks one = stacks_one(&c->stacks, &g);
		struct range map;

		TRY(intr_check());
		if (!shows_stub(c, &g))
			continue;
		TRY(stacks_walk(&c->proc, &one, 0));
		for (size_t k = 0; k < one.frames.n; k++)
			if (stub_map(c, &one.frames.v[k], &map))
				TRY(vec_push(want, map));
	}
	return NULL;
}

/* ------------------------------------------------------------------ names of fields */

/* A name is its own small object; longer ones (tags) are cut. */
static struct err *plan_name(const struct captured *c, uint64_t bytes, struct ranges *want)
{
	enum { NAME_MAX = 1024 };
	const struct span *sp = spans_find(&c->spans, bytes);
	uint64_t left;

	if (!sp)
		return NULL;
	left = span_slot(sp, span_index(sp, bytes)) + sp->elemsize - bytes;
	return vec_push(want, ((struct range){ bytes, left < NAME_MAX ? left : NAME_MAX }));
}

/* The names of n fields, whose descriptors are at `fields`. */
static struct err *plan_fields(const struct captured *c, uint64_t fields, uint64_t n,
			       struct ranges *want)
{
	const struct layout *l = &c->proc.layout;
	uint64_t name;

	for (uint64_t i = 0; i < n; i++)
		if (proc_try_word(&c->proc,
				  fields + i * layout_size(l, LS_structfield) +
					  layout_off(l, L_structfield_name),
				  &name))
			TRY(plan_name(c, name, want));
	return NULL;
}

/* The field names of structs made by StructOf: their descriptors are heap objects of one size. */
static struct err *plan_names(const struct captured *c, struct ranges *want)
{
	enum { UNCOMMON = 16, CLASS_STEP = 16, FIELDS_MAX = 1000 };
	const struct proc *p = &c->proc;
	uint64_t off = layout_off(&p->layout, L_structtype_fields), fields, n;
	uint64_t size = off + 3u * p->fmt.word;

	for (size_t i = 0; i < c->spans.n; i++) {
		const struct span *x = &c->spans.v[i];

		TRY(intr_check());
		if (!span_untyped(x) || x->elemsize < size ||
		    x->elemsize > size + UNCOMMON + CLASS_STEP)
			continue;
		for (uint32_t j = 0; j < x->nelems; j++) {
			const uint8_t *b = image_ptr(p->img, span_slot(x, j), size, NULL);

			if (!b || !span_alive(x, j) ||
			    (proc_peek(p, b, L_type_kind) & KIND_MASK) != KIND_STRUCT)
				continue;
			fields = bytes_word(p->fmt, b + off);
			n = bytes_word(p->fmt, b + off + p->fmt.word);
			if (spans_find(&c->spans, fields) && n <= FIELDS_MAX)
				TRY(plan_fields(c, fields, n, want));
		}
	}
	return NULL;
}

struct err *capture_plan_reflect(struct captured *c, struct ranges *want)
{
	if (c->reflect.lo)
		TRY(plan_frames(c, want));
	return c->reflect.struct_of ? plan_names(c, want) : NULL;
}

/* ------------------------------------------------------------------ itabs */

static struct err *fetch_itabs(const struct proc *p)
{
	_cleanup_vec_ struct ranges want = VEC_INIT;
	uint64_t word = p->fmt.word, len = layout_size(&p->layout, LS_itab), table, size, itab;

	TRY(image_read_word(p->img, p->var.itabTable, &table));
	TRY(image_need1(p->img, table, 2 * word));
	TRY(image_read_word(p->img, table, &size));
	if (size > LIMIT_ITABS)
		return err_create(ERR_LIMIT, "runtime.itabTable has %" PRIu64 " entries", size);
	TRY(image_need1(p->img, table + 2 * word, size * word));
	for (uint64_t i = 0; i < size; i++) {
		TRY(image_read_word(p->img, table + (2 + i) * word, &itab));
		if (itab && !image_ptr(p->img, itab, len, NULL))
			TRY(vec_push(&want, ((struct range){ itab, len })));
	}
	return image_need(p->img, &want, 256);
}

/*
 * Itabs made at run time (by a type assertion, by reflect) lie in persistent memory; they are found
 * in runtime.itabTable: {size, count uintptr; entries [size]*itab} (runtime/iface.go).
 */
struct err *capture_itabs(const struct captured *c)
{
	if (!c->proc.var.itabTable)
		return NULL;
	return err_wrapf(fetch_itabs(&c->proc), "reading runtime.itabTable");
}
