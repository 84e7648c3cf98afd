/*
 * What is made at run time outside the captured spans: reflect's types have their masks and names
 * in pointer-free objects, its function stubs their argument maps; itabs are in persistent memory.
 * Source: reflect/type.go (StructOf, ...), reflect/makefunc.go.
 */
#include <inttypes.h>
#include <string.h>

#include "base/limits.h"
#include "heap/heap_int.h"

/*
 * Which of reflect's functions are linked in, and where: by the symbol table; a stripped program's
 * are looked up in pclntab, once.
 */
struct err *capture_find_reflect(struct heap *h)
{
	static const char *const names[] = { "reflect.makeFuncStub", "reflect.methodValueCall",
					     "reflect.StructOf" };
	struct proc *p = &h->proc;
	struct err *err = NULL;

	for (size_t i = 0; i < 3 && !err && !h->reflect_known; i++) {
		uint64_t addr = 0, size = 0;

		if (p->stripped) {
			const struct func *f;

			err = func_named(p, &p->modules.v.v[0], names[i], &f);
			if (!err && f) {
				addr = f->entry;
				size = f->end - f->entry;
			}
		} else if (!binary_symbol(&p->binaries.v[0], names[i], &addr, &size)) {
			addr = 0;
		}
		if (!addr)
			continue;
		if (i == 2) {
			h->struct_of = true;
			continue;
		}
		if (!h->reflect_lo || addr < h->reflect_lo)
			h->reflect_lo = addr;
		if (addr + size > h->reflect_hi)
			h->reflect_hi = addr + size;
	}
	h->reflect_known = !err;
	return err;
}

/* Types made by reflect: descriptors in heap objects (captured), their masks and
 * names in pointer-free ones (not). */
struct err *capture_plan_types(struct heap *h, struct ranges *want)
{
	struct proc *p = &h->proc;
	struct map64 seen = MAP64_INIT;
	struct err *err = NULL;

	for (size_t i = 0; i < h->spans.n && !err; i++) {
		const struct span *x = &h->spans.v[i];

		if (x->ptrs != SPAN_HEADER && x->ptrs != SPAN_LARGE)
			continue;
		for (uint32_t j = 0; j < x->nelems && !err; j++) {
			uint64_t type = x->large_type, *slot;
			bool is_new;

			if (!span_alive(x, j))
				continue;
			if (x->ptrs == SPAN_HEADER) {
				uint64_t left;
				const uint8_t *b =
					image_ptr(p->img, span_slot(x, j), p->fmt.word, &left);

				if (!b)
					continue;
				type = bytes_word(p->fmt, b);
				if (!spans_find(&h->spans, type))
					/* in a module; or what was there before the slot was
					 * used */
					continue;
			}
			if (!type)
				continue; /* allocated, not published yet */
			err = map64_put(&seen, type, 0, &slot, &is_new);
			if (!err && is_new)
				err = gcmask_plan(p, type, want);
		}
	}
	map64_deinit(&seen);
	return err;
}

/* Does a stub's address stand on the goroutine's stack, as a return address would? */
static bool shows_stub(const struct heap *h, const struct goroutine *g)
{
	const struct proc *p = &h->proc;
	uint64_t sp = g->syscall_sp ? g->syscall_sp : g->sched_sp, left, v;
	const uint8_t *b;

	if (g->status == G_DEAD || g->status == G_DEADEXTRA || sp < g->lo || sp >= g->hi)
		return false;
	b = image_ptr(p->img, sp, p->fmt.word, &left);
	if (b && left > g->hi - sp)
		left = g->hi - sp;
	for (uint64_t at = 0; b && at + p->fmt.word <= left; at += p->fmt.word) {
		v = bytes_word(p->fmt, b + at);
		if (v >= h->reflect_lo && v < h->reflect_hi)
			return true;
	}
	return false;
}

/*
 * The argument maps of reflect's stubs (makeFuncStub, methodValueCall): pointer-free memory that a
 * frame's first word leads to.  Only stacks that show one are walked.
 */
static struct err *plan_frames(struct heap *h, struct ranges *want)
{
	struct proc *p = &h->proc;
	uint64_t word = p->fmt.word;
	struct err *err = NULL;

	for (size_t i = 0; i < h->stacks.gs.n && !err; i++) {
		struct stacks one = { .threads = h->stacks.threads, .ms = h->stacks.ms };

		if (!shows_stub(h, &h->stacks.gs.v[i]))
			continue;
		err = vec_push(&one.gs, h->stacks.gs.v[i]);
		if (!err)
			err = stacks_walk(p, &one, 0);
		for (size_t k = 0; k < one.frames.n && !err; k++) {
			uint64_t mv, bv, n, data;

			if (one.frames.v[k].func->cls != FUNC_REFLECT_STUB ||
			    !proc_try_word(p, one.frames.v[k].sp + p->arch->min_frame, &mv) ||
			    !proc_try_word(p, mv + word, &bv) || !proc_try_uint(p, bv, 4, &n) ||
			    !proc_try_word(p, bv + word, &data) || n > UINT16_MAX ||
			    !spans_find(&h->spans, data))
				/* a stale word; reflect makes its bit vectors on the heap */
				continue;
			err = vec_push(want, ((struct range){ data, (n + 7) / 8 }));
		}
		vec_deinit(&one.gs);
		vec_deinit(&one.frames);
	}
	return err;
}

/*
 * Itabs made at run time (a type assertion, reflect) lie in persistent memory; they are found in
 * runtime.itabTable: {size, count uintptr; entries [size]*itab} (runtime/iface.go).
 */
struct err *capture_itabs(struct heap *h)
{
	struct proc *p = &h->proc;
	uint64_t word = p->fmt.word, table, size, itab;
	struct ranges want = VEC_INIT;
	struct err *err;

	if (!p->var.itabTable)
		return NULL;
	err = image_read_word(p->img, p->var.itabTable, &table);
	if (!err)
		err = image_need1(p->img, table, 2 * word);
	if (!err)
		err = image_read_word(p->img, table, &size);
	if (!err && size > LIMIT_ITABS)
		err = err_create(ERR_LIMIT, "runtime.itabTable has %" PRIu64 " entries", size);
	if (!err)
		err = image_need1(p->img, table + 2 * word, size * word);
	for (uint64_t i = 0; !err && i < size; i++) {
		err = image_read_word(p->img, table + (2 + i) * word, &itab);
		if (!err && itab &&
		    !image_ptr(p->img, itab, layout_size(&p->layout, LS_itab), NULL))
			err = vec_push(&want,
				       ((struct range){ itab, layout_size(&p->layout, LS_itab) }));
	}
	if (!err)
		err = image_need(p->img, &want, 256);
	vec_deinit(&want);
	return err_wrapf(err, "reading runtime.itabTable");
}

/* A name is its own small object; longer ones (tags) are cut. */
static struct err *plan_name(struct heap *h, uint64_t bytes, struct ranges *want)
{
	const struct span *sp = spans_find(&h->spans, bytes);
	uint64_t left;

	if (!sp)
		return NULL;
	left = span_slot(sp, span_index(sp, bytes)) + sp->elemsize - bytes;
	return vec_push(want, ((struct range){ bytes, left < 1024 ? left : 1024 }));
}

/* The field names of structs made by StructOf: their descriptors are heap objects of one size. */
static struct err *plan_names(struct heap *h, struct ranges *want)
{
	enum { STRUCT = 25, UNCOMMON = 16, CLASS_STEP = 16, FIELDS_MAX = 1000 };
	struct proc *p = &h->proc;
	const struct layout *l = &p->layout;
	uint64_t size = layout_off(l, L_structtype_fields) + 3u * p->fmt.word, f, n, name;
	struct err *err = NULL;

	for (size_t i = 0; i < h->spans.n && !err; i++) {
		const struct span *x = &h->spans.v[i];

		if (!span_untyped(x) || x->elemsize < size ||
		    x->elemsize > size + UNCOMMON + CLASS_STEP)
			continue;
		for (uint32_t j = 0; j < x->nelems && !err; j++) {
			const uint8_t *b = image_ptr(p->img, span_slot(x, j), size, NULL);

			if (!b || !span_alive(x, j) ||
			    (proc_peek(p, b, L_type_kind) & 31) != STRUCT)
				continue;
			f = bytes_word(p->fmt, b + layout_off(l, L_structtype_fields));
			n = bytes_word(p->fmt,
				       b + layout_off(l, L_structtype_fields) + p->fmt.word);
			if (!spans_find(&h->spans, f) || !n || n > FIELDS_MAX)
				continue;
			for (uint64_t k = 0; k < n && !err; k++)
				if (proc_try_word(p,
						  f + k * layout_size(l, LS_structfield) +
							  layout_off(l, L_structfield_name),
						  &name))
					err = plan_name(h, name, want);
		}
	}
	return err;
}

struct err *capture_plan_reflect(struct heap *h, struct ranges *want)
{
	struct err *err = NULL;

	if (h->reflect_lo)
		err = plan_frames(h, want);
	if (!err && h->struct_of)
		err = plan_names(h, want);
	return err;
}
