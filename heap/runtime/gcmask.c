/*
 * Masks of types.  A mask is in the descriptor (GCData), or is built on demand by the
 * runtime (TFlagGCMaskOnDemand, 1.24+) and then by us too, from the elements' masks.
 */
#include "heap/runtime/ptrmap.h"

#include <inttypes.h>
#include <string.h>

#include "base/limits.h"
#include "heap/types/type.h"

/* from 1.24; in 1.22 and 1.23 TFlagUnrolledBitmap: a plain mask */
enum { TFLAG_GCMASK_ON_DEMAND = 1 << 4 };
enum { KIND_GCPROG = 1 << 6 }; /* until 1.23 */
/* The largest mask we build: 1 << 34 words are 128 GB of one object. */
#define GCMASK_MAX_WORDS (1ull << 34)

void gcmasks_deinit(struct gcmasks *m)
{
	map64_deinit(&m->by_type);
	arena_deinit(&m->arena);
}

struct raw_type {
	uint64_t size, ptrdata, gcdata;
	uint8_t kind;
	bool on_demand, gcprog;
};

/* Masks are built on demand since 1.24, the release that brought cleanups; GC programs went
 * then. */
static bool has_on_demand(const struct proc *p)
{
	return layout_has(&p->layout, L_specialCleanup_fn) ||
	       layout_has(&p->layout, L_specialCleanup_cleanup);
}

static bool raw_type_read(const struct proc *p, uint64_t type, struct raw_type *t)
{
	const uint8_t *b = image_ptr(p->img, type, layout_size(&p->layout, LS_type), NULL);

	if (!b)
		return false;
	t->size = proc_peek(p, b, L_type_size);
	t->ptrdata = proc_peek(p, b, L_type_ptrdata);
	t->gcdata = proc_peek(p, b, L_type_gcdata);
	t->kind = proc_peek(p, b, L_type_kind) & KIND_MASK;
	t->on_demand = has_on_demand(p) && proc_peek(p, b, L_type_tflag) & TFLAG_GCMASK_ON_DEMAND;
	t->gcprog = !has_on_demand(p) && proc_peek(p, b, L_type_kind) & KIND_GCPROG;
	return t->size < LIMIT_READ && t->ptrdata <= t->size && !(t->ptrdata % p->fmt.word);
}

static void bits_or(uint8_t *dst, uint64_t at, const uint8_t *src, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (src[i >> 3] >> (i & 7) & 1)
			dst[(at + i) >> 3] |= (uint8_t)(1 << ((at + i) & 7));
}

/*
 * A GC program (mbitmap.go:runGCProg): 0 ends; 0nnnnnnn emits n bits that follow; 1nnnnnnn c
 * repeats the last n bits c times (n = 0: n is a varint).  Writes up to `want` bits at `at`.
 */
static bool gcprog_run(const struct proc *p, uint64_t prog, uint8_t *dst, uint64_t at,
		       uint64_t want, uint64_t nbits)
{
	uint64_t left, done = 0;
	const uint8_t *data = image_ptr(p->img, prog, 1, &left);
	struct cursor c;

	if (!data || at + want > nbits)
		return false;
	c = cursor_make(data, left, p->fmt);
	while (done < want) {
		uint64_t op = cursor_uint(&c, 1), n = op & 0x7f, times;

		if (c.bad || !op)
			return !c.bad; /* the rest are no pointers */
		if (!(op & 0x80)) {
			const uint8_t *bits = c.p;

			if (!cursor_skip(&c, (n + 7) / 8))
				return false;
			if (n > want - done)
				n = want - done;
			bits_or(dst, at + done, bits, n);
			done += n;
			continue;
		}
		if (!n)
			n = cursor_uvarint(&c);
		times = cursor_uvarint(&c);
		if (c.bad || !n || n > done)
			return false;
		for (uint64_t i = 0; i < times && done < want; i++)
			for (uint64_t b = 0; b < n && done < want; b++, done++) {
				uint64_t from = at + done - n, to = at + done;

				if (dst[from >> 3] >> (from & 7) & 1)
					dst[to >> 3] |= (uint8_t)(1 << (to & 7));
			}
	}
	return true;
}

bool gcprog_mask(const struct proc *p, uint64_t prog, uint8_t *dst, uint64_t nbits)
{
	return gcprog_run(p, prog + 4, dst, 0, nbits, nbits);
}

/* buildGCMask (type.go@1.24+): elements at their offsets.  dst has room for nbits. */
static bool mask_build(const struct proc *p, uint64_t type, uint8_t *dst, uint64_t at,
		       uint64_t nbits, int depth)
{
	uint64_t word = p->fmt.word, elem, n, fields, i;
	struct raw_type t, et;

	if (depth > LIMIT_GCMASK_DEPTH || !raw_type_read(p, type, &t))
		return false;
	if (!t.ptrdata)
		return true;
	if (t.gcprog)
		return gcprog_run(p, t.gcdata + 4, dst, at, t.ptrdata / word, nbits);
	if (!t.on_demand) {
		const uint8_t *src = image_ptr(p->img, t.gcdata, (t.ptrdata / word + 7) / 8, NULL);

		if (!src || at + t.ptrdata / word > nbits)
			return false;
		bits_or(dst, at, src, t.ptrdata / word);
		return true;
	}
	if (t.kind == KIND_ARRAY) {
		if (!proc_try_word(p, type + layout_off(&p->layout, L_arraytype_elem), &elem) ||
		    !proc_try_word(p, type + layout_off(&p->layout, L_arraytype_len), &n))
			return false;
		if (!raw_type_read(p, elem, &et) || !et.size || n > t.size / et.size)
			return false;
		if (!n || !mask_build(p, elem, dst, at, nbits, depth + 1))
			return false;
		/* the other elements are copies of the first */
		for (i = 1; i < n; i++) {
			uint64_t to = at + i * et.size / word;

			for (uint64_t w = 0; w < et.ptrdata / word; w++) {
				if (to + w >= nbits)
					return false;
				if (dst[(at + w) >> 3] >> ((at + w) & 7) & 1)
					dst[(to + w) >> 3] |= (uint8_t)(1 << ((to + w) & 7));
			}
		}
		return true;
	}
	if (t.kind != KIND_STRUCT)
		return false;
	if (!proc_try_word(p, type + layout_off(&p->layout, L_structtype_fields), &fields) ||
	    !proc_try_word(p, type + layout_off(&p->layout, L_structtype_fields) + word, &n) ||
	    n > LIMIT_TYPE_FIELDS)
		return false;
	for (i = 0; i < n; i++) {
		uint64_t f = fields + i * layout_size(&p->layout, LS_structfield), ft, off;

		if (!proc_try_word(p, f + layout_off(&p->layout, L_structfield_typ), &ft) ||
		    !proc_try_word(p, f + layout_off(&p->layout, L_structfield_offset), &off) ||
		    off > t.size || !raw_type_read(p, ft, &et))
			return false;
		if (et.ptrdata && !mask_build(p, ft, dst, at + off / word, nbits, depth + 1))
			return false;
	}
	return true;
}

struct err *gcmask_find(const struct proc *p, struct gcmasks *m, uint64_t type,
			const struct gcmask **ret)
{
	struct gcmask *g;
	struct raw_type t;
	uint64_t *slot, bytes;
	struct err *err;
	bool is_new;

	err = map64_put(&m->by_type, type, 0, &slot, &is_new);
	if (err)
		return err;
	if (!is_new) {
		*ret = (const struct gcmask *)(uintptr_t)*slot;
		return NULL;
	}
	g = arena_alloc(&m->arena, sizeof(*g));
	if (!g)
		return err_nomem();
	*slot = (uintptr_t)g;
	*ret = g;
	g->type = type;
	if (!raw_type_read(p, type, &t) || !t.size)
		return NULL;
	g->words = (t.size + p->fmt.word - 1) / p->fmt.word;
	g->ptr_words = t.ptrdata / p->fmt.word;
	bytes = (g->ptr_words + 63) / 64 * 8;
	if (g->ptr_words <= GCMASK_MAX_WORDS) {
		uint8_t *bits = arena_alloc(&m->arena, bytes ? bytes : 8);

		if (!bits)
			return err_nomem();
		if (mask_build(p, type, bits, 0, g->ptr_words, 0))
			g->bits = bits;
	}
	return NULL;
}

struct err *gcmask_plan(const struct proc *p, uint64_t type, struct ranges *want)
{
	struct raw_type t;

	if (!raw_type_read(p, type, &t))
		return vec_push(want, ((struct range){ type, layout_size(&p->layout, LS_type) }));
	if (t.on_demand || t.gcprog || !t.ptrdata)
		return NULL;
	return vec_push(want,
			((struct range){ t.gcdata, (t.ptrdata / p->fmt.word + 63) / 64 * 8 }));
}
