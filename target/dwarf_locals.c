/*
 * A function's variables at one pc, which are read from its DIE when they are asked for.
 *
 * Go (cmd/internal/dwarf/dwarf.go putvar, cmd/compile/internal/ssa/debug.go; seen in 1.17 to 1.27)
 * emits an expression or a location list of fbreg N, call_frame_cfa, registers and pieces of these;
 * its frame base is always the CFA.  A variable that escaped stands there as "&x", a pointer in the
 * frame.  Go 1.25 and later also say fbreg N, deref for x itself where it has no location of its
 * own; N is then the slot of "&x", whether or not it was ever stored, and is therefore not used.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/intr.h"
#include "base/limits.h"
#include "target/dwarf_int.h"

enum {
	MAX_PIECES = 4096,    /* of one variable */
	MAX_DEPTH = 256,      /* of blocks and inlined calls in one another */
	MAX_FOLD = 4096,      /* locals that are compared with one another */
	MAX_LOCALS = 1 << 16, /* of one function */
	/* of a variable, and how far from the CFA it can be: stacks have 1 GB at most */
	MAX_SIZE = 1 << 30,
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

static int64_t cursor_svarint(struct cursor *c)
{
	uint64_t v = 0;

	for (unsigned shift = 0; c->p < c->end && shift < 64; shift += 7) {
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

/* Does one operation.  False: Go does not emit it, or it says nothing about the frame. */
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
		x->off = cursor_svarint(c);
		return true;
	case DW_OP_consts:
		x->push = cursor_svarint(c);
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

	if (x->kind != FRAME || x->pushed || !size || size > MAX_SIZE || x->off > MAX_SIZE ||
	    x->off < -MAX_SIZE)
		return NULL;
	l.cfa_off = x->off;
	l.var_off = x->var_off;
	l.size = size;
	return vec_push(out, l);
}

/*
 * Go 1.17 writes each piece of a split parameter twice (seen: 48 bytes of pieces for a 24-byte
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
		TRY(push_piece(out, proto, &x, size));
		x = (struct expr){ .var_off = x.var_off + size };
	}
	if (!pieces)
		return push_piece(out, proto, &x, var_size);
	drop_repeated(out, first, var_size, x.var_off);
	return NULL;
}

/* ------------------------------------------------------------------ DIEs */

static uint64_t frame_bytes(const struct locals *l, size_t from, size_t to)
{
	uint64_t n = 0;

	for (; from < to; from++)
		n += l->v[from].size;
	return n;
}

struct block {
	const uint8_t *p; /* NULL, or len 0: none */
	uint64_t len;
};

/* Where a variable is at pc, and where it is right behind that, if a location list says so. */
static struct err *find_location(struct dwarf *d, const struct dwarf_cu *cu, Dwarf_Die die,
				 uint64_t pc, struct block *at, struct block *after)
{
	uint64_t list;

	*after = (struct block){ NULL, 0 };
	if (!dwarf_die_block(d, die, DW_AT_location, &at->p, &at->len) || at->p)
		return NULL;
	list = at->len;
	TRY(dwarf_loclist_at(d->lists, cu, list, pc, &at->p, &at->len));
	return dwarf_loclist_at(d->lists, cu, list, pc + 1, &after->p, &after->len);
}

/*
 * Adds the pieces of whichever entry has more of the variable in the frame.  A call is where
 * registers end: up to its last byte (return address - 1) Go's list says "in RAX", and "in the
 * frame" from the return address on, though the value was spilled before the call.
 */
static struct err *add_better(struct dwarf *d, const struct dwarf_local *l, struct block at,
			      struct block after, struct locals *out)
{
	size_t first = out->n, mid;

	if (at.p && at.len)
		TRY(add_pieces(d, l, at.p, at.len, out));
	if (!after.p || !after.len || after.p == at.p)
		return NULL;
	mid = out->n;
	TRY(add_pieces(d, l, after.p, after.len, out));
	if (frame_bytes(out, mid, out->n) > frame_bytes(out, first, mid)) {
		memmove(&out->v[first], &out->v[mid], (out->n - mid) * sizeof(*out->v));
		out->n -= mid - first;
	} else {
		out->n = mid;
	}
	return NULL;
}

static struct err *add_local(struct dwarf *d, const struct dwarf_cu *cu, Dwarf_Die die, bool param,
			     const char *func, uint64_t pc, struct locals *out)
{
	struct dwarf_local l = { .func = func, .param = param };
	struct block at, after;

	TRY(find_location(d, cu, die, pc, &at, &after));
	if ((!at.p || !at.len) && (!after.p || !after.len))
		return NULL;
	l.name = dwarf_origin_str(d, die, DW_AT_name);
	if (!l.name || !dwarf_var_type(d, die, &l.type, &l.dict))
		return NULL;
	if (l.name[0] == '&') {
		l.name++;
		l.by_ref = true;
	}
	return add_better(d, &l, at, after, out);
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

/* Blocks and inlined calls in one another. */
struct scopes {
	struct {
		Dwarf_Die die; /* the child at hand */
		const char *func;
	} v[MAX_DEPTH + 1];
	int n;
};

static void scopes_deinit(struct scopes *s)
{
	while (s->n)
		dwarf_die_free(&s->v[--s->n].die);
}

static const char *func_name(struct dwarf *d, Dwarf_Die die)
{
	const char *name = dwarf_origin_str(d, die, DW_AT_name);

	return name ? symname_plain(&d->strings, name) : "";
}

/* Goes into a DIE that has children.  func: the function they were written in; NULL: out of
 * memory. */
static struct err *scopes_enter(struct scopes *s, struct dwarf *d, Dwarf_Die die, const char *func,
				bool *entered)
{
	*entered = dwarf_die_child(d, die, &s->v[s->n].die);
	if (!*entered)
		return NULL;
	s->v[s->n++].func = func;
	return func ? NULL : err_nomem();
}

static struct err *walk_scopes(struct dwarf *d, const struct dwarf_cu *cu, Dwarf_Die fn,
			       uint64_t pc, struct locals *out)
{
	_cleanup_(scopes_deinit) struct scopes s = { .n = 0 };
	bool in;

	TRY(scopes_enter(&s, d, fn, func_name(d, fn), &in));
	while (s.n && out->n < MAX_LOCALS) {
		Dwarf_Die die = s.v[s.n - 1].die;
		const char *func = s.v[s.n - 1].func;
		uint16_t tag = dwarf_die_tag(d, die);
		bool here = false;

		TRY(intr_check());
		if (tag == DW_TAG_formal_parameter || tag == DW_TAG_variable)
			TRY(add_local(d, cu, die, tag == DW_TAG_formal_parameter, func, pc, out));
		if ((tag == DW_TAG_lexical_block || tag == DW_TAG_inlined_subroutine) &&
		    s.n < MAX_DEPTH)
			TRY(die_covers(d, cu, die, pc, &here));
		if (here) {
			if (tag == DW_TAG_inlined_subroutine)
				func = func_name(d, die);
			TRY(scopes_enter(&s, d, die, func, &in));
			if (in)
				continue;
		}
		while (s.n && !dwarf_die_next(d, &s.v[s.n - 1].die))
			s.n--;
	}
	return NULL;
}

/* Does another variable, not a part of one, share memory with local i?  Of those before i only the
 * first `kept` are looked at. */
static bool is_covered(const struct locals *l, size_t i, size_t kept, const struct dwarf_local *x)
{
	for (size_t j = 0; j < l->n; j++) {
		const struct dwarf_local *o = &l->v[j];

		if (j != i && (j < kept || j > i) && !strchr(o->name, '.') &&
		    o->cfa_off < x->cfa_off + (int64_t)x->size &&
		    x->cfa_off < o->cfa_off + (int64_t)o->size)
			return true;
	}
	return false;
}

/*
 * Go 1.27 also lists the parts that a variable was split into: "str.ptr", "str.len", each with one
 * place for the whole function, beside "str" with its list.  A part counts only where nothing else
 * names its place, and then by the variable's name.
 */
static struct err *fold_parts(struct dwarf *d, struct locals *l)
{
	size_t n = 0;

	if (l->n > MAX_FOLD)
		return NULL;
	for (size_t i = 0; i < l->n; i++) {
		struct dwarf_local x = l->v[i];
		const char *dot = strchr(x.name, '.');

		TRY(intr_check());
		if (dot && dot > x.name) {
			if (is_covered(l, i, n, &x))
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

struct err *dwarf_locals(struct dwarf *d, uint64_t pc, struct dwarf_local **ret, size_t *n)
{
	_cleanup_vec_ struct locals out = VEC_INIT;
	DIE_GUARD Dwarf_Die die = NULL;
	const struct dwarf_func *f;
	const struct dwarf_cu *cu;

	TRY(dwarf_need_index(d));
	f = dwarf_find_func(d, pc);
	cu = f ? dwarf_cu_of(d, f->die) : NULL;
	if (cu && dwarf_die_at(d, f->die, &die)) {
		TRY(walk_scopes(d, cu, die, pc, &out));
		TRY(fold_parts(d, &out));
	}
	TRY(dwarf_settle(d));
	*n = out.n;
	*ret = TAKE_PTR(out.v);
	return NULL;
}

void dwarf_locals_done(struct dwarf *d)
{
	for (int i = DWARF_S_SHOWN; i < DWARF_S_COUNT; i++)
		dwarf_section_drop(d->sections, i);
}
