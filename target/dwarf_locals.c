/*
 * A function's variables at one pc, read from its DIE when asked for.
 *
 * What Go emits (cmd/internal/dwarf/dwarf.go putvar, cmd/compile/internal/ssa/debug.go; seen in
 * 1.17-1.27): an expression or a location list of fbreg N, call_frame_cfa, registers and pieces of
 * these; Go's frame base is always the CFA.  A variable that escaped stands there as "&x", a
 * pointer in the frame.  go1.25 and later also say fbreg N, deref for x itself where it has no
 * location of its own; N is then the slot of "&x" whether or not it was ever stored, so that is not
 * used.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "target/dwarf_int.h"

enum {
	MAX_ORIGINS = 8,   /* abstract_origin of abstract_origin ... */
	MAX_PIECES = 4096, /* of one variable */
	MAX_DEPTH = 256,   /* of blocks and inlined calls in one another */
	MAX_FOLD = 4096,   /* locals that are compared with one another */
};

VEC_NAMED(locals, struct dwarf_local);

/* ------------------------------------------------------------------ expressions */

struct expr {
	enum { NOWHERE, FRAME, ELSEWHERE } kind;
	int64_t off;  /* FRAME: from the CFA */
	int64_t push; /* a constant waiting for its DW_OP_plus */
	bool pushed;
	uint64_t var_off;
};

static int64_t sleb(struct cursor *c)
{
	uint64_t v = 0;
	unsigned shift;

	for (shift = 0; c->p < c->end && shift < 64; shift += 7) {
		uint8_t b = *c->p++;

		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			if ((b & 0x40) && shift + 7 < 64)
				v |= ~0ull << (shift + 7);
			return (int64_t)v;
		}
	}
	c->bad = true;
	return 0;
}

/* One operation; false: one that Go does not emit, or that says nothing about the frame. */
static bool expr_step(struct expr *x, struct cursor *c)
{
	unsigned op = (unsigned)cursor_uint(c, 1);

	if (op >= DW_OP_reg0 && op <= DW_OP_reg31) {
		x->kind = ELSEWHERE;
		return true;
	}
	switch (op) {
	case DW_OP_call_frame_cfa:
		x->kind = FRAME;
		x->off = 0;
		return true;
	case DW_OP_fbreg:
		x->kind = FRAME;
		x->off = sleb(c);
		return true;
	case DW_OP_consts:
		x->push = sleb(c);
		x->pushed = true;
		return true;
	case DW_OP_plus_uconst:
		x->push = (int64_t)cursor_uvarint(c);
		break;
	case DW_OP_plus:
		if (!x->pushed)
			return false;
		x->pushed = false;
		break;
	case DW_OP_regx:
		cursor_uvarint(c);
		x->kind = ELSEWHERE;
		return true;
	default:
		return false;
	}
	return x->kind == FRAME && !__builtin_add_overflow(x->off, x->push, &x->off);
}

static struct err *push_piece(struct locals *out, const struct dwarf_local *proto,
			      const struct expr *x, uint64_t size)
{
	struct dwarf_local l = *proto;

	if (x->kind != FRAME || x->pushed || !size)
		return NULL;
	l.cfa_off = x->off;
	l.var_off = x->var_off;
	l.size = size;
	return vec_push(out, l);
}

/*
 * go1.17 writes each piece of a split parameter twice (seen: 48 bytes of pieces for a 24-byte
 * slice). A piece that repeats its predecessor is dropped where the pieces are more than the
 * variable.
 */
static void drop_repeated(struct locals *out, size_t first, uint64_t var_size, uint64_t total)
{
	size_t i, n = first;

	if (!var_size || total != 2 * var_size)
		return;
	for (i = first; i < out->n; i++) {
		if (n > first && out->v[n - 1].cfa_off == out->v[i].cfa_off &&
		    out->v[n - 1].size == out->v[i].size)
			continue;
		out->v[n] = out->v[i];
		/* Each piece stood twice, those in registers too: twice as far along. */
		out->v[n].var_off = out->v[i].var_off / 2;
		n++;
	}
	out->n = n;
}

static struct err *add_pieces(struct dwarf *d, const struct dwarf_local *proto, const uint8_t *p,
			      uint64_t len, struct locals *out)
{
	struct cursor c = cursor_make(p, len, elf_fmt(d->elf));
	uint64_t var_size = dwarf_type_size(d, proto->type), size;
	struct expr x = { 0 };
	size_t first = out->n;
	struct err *err;
	int pieces = 0;

	while (cursor_left(&c)) {
		if (*c.p != DW_OP_piece) {
			if (!expr_step(&x, &c) || c.bad)
				return NULL;
			continue;
		}
		c.p++;
		size = cursor_uvarint(&c);
		if (c.bad || size > UINT32_MAX || ++pieces > MAX_PIECES)
			return NULL;
		err = push_piece(out, proto, &x, size);
		if (err)
			return err;
		x = (struct expr){ .var_off = x.var_off + size };
	}
	if (!pieces)
		return push_piece(out, proto, &x, var_size);
	drop_repeated(out, first, var_size, x.var_off);
	return NULL;
}

/* ------------------------------------------------------------------ DIEs */

/* A name or a type may stand in the abstract instance of an inlined function. */
const char *dwarf_origin_str(struct dwarf *d, Dwarf_Die die, uint16_t at)
{
	const char *s = dwarf_die_str(d, die, at);
	DIE_GUARD Dwarf_Die cur = NULL;
	uint64_t off;

	for (int i = 0; !s && i < MAX_ORIGINS; i++) {
		Dwarf_Die next;

		if (!dwarf_die_ref(d, cur ? cur : die, DW_AT_abstract_origin, &off) ||
		    !dwarf_die_at(d, off, &next))
			return NULL;
		dwarf_die_free(&cur);
		cur = next;
		s = dwarf_die_str(d, cur, at);
	}
	return s;
}

bool dwarf_origin_val(struct dwarf *d, Dwarf_Die die, uint16_t at,
		      bool (*get)(struct dwarf *, Dwarf_Die, uint16_t, uint64_t *), uint64_t *ret)
{
	DIE_GUARD Dwarf_Die cur = NULL;
	uint64_t off;

	if (get(d, die, at, ret))
		return true;
	for (int i = 0; i < MAX_ORIGINS; i++) {
		Dwarf_Die next;

		if (!dwarf_die_ref(d, cur ? cur : die, DW_AT_abstract_origin, &off) ||
		    !dwarf_die_at(d, off, &next))
			return false;
		dwarf_die_free(&cur);
		cur = next;
		if (get(d, cur, at, ret))
			return true;
	}
	return false;
}

bool dwarf_var_type(struct dwarf *d, Dwarf_Die var, uint64_t *type, uint32_t *dict)
{
	DIE_GUARD Dwarf_Die die = NULL;
	uint64_t v;

	*dict = 0;
	if (!dwarf_origin_val(d, var, DW_AT_type, dwarf_die_ref, type))
		return false;
	if (dwarf_die_at(d, *type, &die) && dwarf_die_tag(d, die) == DW_TAG_typedef &&
	    dwarf_die_uint(d, die, GO_AT_dict_index, &v) && v < UINT16_MAX)
		*dict = (uint32_t)v + 1;
	return true;
}

static uint64_t frame_bytes(const struct locals *l, size_t from, size_t to)
{
	uint64_t n = 0;

	for (; from < to; from++)
		n += l->v[from].size;
	return n;
}

static struct err *add_local(struct dwarf *d, const struct dwarf_cu *cu, Dwarf_Die die, bool param,
			     const char *func, uint64_t pc, struct locals *out)
{
	struct dwarf_local l = { .func = func, .param = param };
	const uint8_t *p, *after = NULL;
	uint64_t len, after_len = 0, list, here;
	size_t first, mid;
	struct err *err;

	if (!dwarf_die_block(d, die, DW_AT_location, &p, &len))
		return NULL;
	list = len;
	if (!p) {
		err = dwarf_loclist_at(d->lists, cu, list, pc, &p, &len);
		if (!err)
			err = dwarf_loclist_at(d->lists, cu, list, pc + 1, &after, &after_len);
		if (err)
			return err;
	}
	if ((!p || !len) && (!after || !after_len))
		return NULL;
	l.name = dwarf_origin_str(d, die, DW_AT_name);
	if (!l.name || !dwarf_var_type(d, die, &l.type, &l.dict))
		return NULL;
	if (l.name[0] == '&') {
		l.name++;
		l.by_ref = true;
	}
	first = out->n;
	if (p && len) {
		err = add_pieces(d, &l, p, len, out);
		if (err)
			return err;
	}
	/*
	 * A call is where registers end: up to its last byte (return address - 1) Go's list says
	 * "in RAX", from the return address on "in the frame", though the value was spilled before
	 * the call. So the entry with more of the variable in the frame is taken.
	 */
	if (after && after_len && after != p) {
		here = frame_bytes(out, first, out->n);
		mid = out->n;
		err = add_pieces(d, &l, after, after_len, out);
		if (err)
			return err;
		if (frame_bytes(out, mid, out->n) > here) {
			memmove(&out->v[first], &out->v[mid], (out->n - mid) * sizeof(*out->v));
			out->n -= mid - first;
		} else {
			out->n = mid;
		}
	}
	return NULL;
}

static struct err *die_covers(struct dwarf *d, const struct dwarf_cu *cu, Dwarf_Die die,
			      uint64_t pc, bool *ret)
{
	const uint8_t *p;
	uint64_t low, high;

	if (dwarf_die_block(d, die, DW_AT_ranges, &p, &low) && !p)
		return dwarf_ranges_cover(d->lists, cu, low, pc, ret);
	*ret = dwarf_die_range(d, die, &low, &high) && pc >= low && pc < high;
	return NULL;
}

struct scope {
	Dwarf_Die die; /* the child at hand */
	const char *func;
};

static const char *func_name(struct dwarf *d, Dwarf_Die die)
{
	const char *name = dwarf_origin_str(d, die, DW_AT_name);

	return name ? symname_plain(&d->strings, name) : "";
}

static struct err *walk_scopes(struct dwarf *d, const struct dwarf_cu *cu, Dwarf_Die fn,
			       uint64_t pc, struct locals *out)
{
	struct scope stack[MAX_DEPTH + 1];
	struct err *err = NULL;
	int n = 0;

	stack[0].func = func_name(d, fn);
	if (!stack[0].func)
		return err_nomem();
	if (dwarf_die_child(d, fn, &stack[0].die))
		n = 1;
	while (n && !err) {
		struct scope *s = &stack[n - 1], *sub = &stack[n];
		uint16_t tag = dwarf_die_tag(d, s->die);
		bool here = false;

		if (tag == DW_TAG_formal_parameter || tag == DW_TAG_variable)
			err = add_local(d, cu, s->die, tag == DW_TAG_formal_parameter, s->func, pc,
					out);
		if ((tag == DW_TAG_lexical_block || tag == DW_TAG_inlined_subroutine) &&
		    n < MAX_DEPTH)
			err = die_covers(d, cu, s->die, pc, &here);
		if (here && dwarf_die_child(d, s->die, &sub->die)) {
			sub->func = s->func;
			if (tag == DW_TAG_inlined_subroutine)
				sub->func = func_name(d, s->die);
			n++;
			if (sub->func)
				continue;
			err = err_nomem();
			break;
		}
		while (n && !dwarf_die_next(d, &stack[n - 1].die))
			n--;
	}
	while (n)
		dwarf_die_free(&stack[--n].die);
	return err;
}

/*
 * go1.27 also lists the parts that a variable was split into: "str.ptr", "str.len", each with one
 * place for the whole function, beside "str" with its list.  A part counts only where nothing else
 * names its place, and then by the variable's name.
 */
static struct err *fold_parts(struct dwarf *d, struct locals *l)
{
	size_t n = 0, i, j;

	if (l->n > MAX_FOLD)
		return NULL;
	for (i = 0; i < l->n; i++) {
		struct dwarf_local x = l->v[i];
		const char *dot = strchr(x.name, '.');
		bool covered = false;

		if (dot && dot > x.name) {
			for (j = 0; j < l->n && !covered; j++) {
				const struct dwarf_local *o = &l->v[j];

				covered = j != i && (j < n || j > i) && !strchr(o->name, '.') &&
					  o->cfa_off < x.cfa_off + (int64_t)x.size &&
					  x.cfa_off < o->cfa_off + (int64_t)o->size;
			}
			if (covered)
				continue;
			x.name = arena_strndup(&d->strings, x.name, (size_t)(dot - x.name));
			if (!x.name)
				return err_nomem();
		}
		l->v[n++] = x;
	}
	l->n = n;
	return NULL;
}

const struct dwarf_func *dwarf_find_func(const struct dwarf *d, uint64_t pc)
{
	size_t lo = 0, hi = d->funcs.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (d->funcs.v[mid].low <= pc)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && pc < d->funcs.v[lo - 1].high ? &d->funcs.v[lo - 1] : NULL;
}

struct err *dwarf_locals(struct dwarf *d, uint64_t pc, struct dwarf_local **ret, size_t *n)
{
	struct locals out = VEC_INIT;
	DIE_GUARD Dwarf_Die die = NULL;
	const struct dwarf_func *f;
	const struct dwarf_cu *cu;
	struct err *err = dwarf_need_index(d);

	if (err)
		return err;
	f = dwarf_find_func(d, pc);
	cu = f ? dwarf_cu_of(d, f->die) : NULL;
	if (cu && dwarf_die_at(d, f->die, &die)) {
		err = walk_scopes(d, cu, die, pc, &out);
		if (!err)
			err = fold_parts(d, &out);
	}
	if (err) {
		vec_deinit(&out);
		return err;
	}
	*ret = out.v;
	*n = out.n;
	return NULL;
}

void dwarf_locals_done(struct dwarf *d)
{
	for (int i = DWARF_S_SHOWN; i < DWARF_S_COUNT; i++)
		dwarf_section_drop(d->sections, i);
}
