/*
 * Masks of types.  A mask is in the descriptor (GCData), or the runtime builds it on demand
 * (TFlagGCMaskOnDemand, 1.24+) and then so do we, from the elements' masks.
 */
#include "heap/runtime/ptrmap.h"

#include <inttypes.h>
#include <string.h>

#include "base/intr.h"
#include "base/limits.h"
#include "heap/types/type.h"

/* from 1.24; in 1.22 and 1.23 TFlagUnrolledBitmap: a plain mask */
enum { TFLAG_GCMASK_ON_DEMAND = 1 << 4 };
enum { KIND_GCPROG = 1 << 6 }; /* until 1.23 */
/* What all masks that we build have: 1 << 34 words are 128 GB of one object, or one of each of many
 * types. */
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

/* Masks are built on demand since 1.24, which brought cleanups and took GC programs away. */
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

static bool bit_get(const uint8_t *bits, uint64_t i)
{
	return bits[i >> 3] >> (i & 7) & 1;
}

static void bits_or(uint8_t *dst, uint64_t at, const uint8_t *src, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (bit_get(src, i))
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
	while (done < want && !intr_signal()) {
		uint64_t op = cursor_uint(&c, 1), n = op & 0x7f, times;

		if (c.bad || !op)
			return !c.bad; /* none of the rest is a pointer */
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
		for (uint64_t i = 0; i < times && done < want && !intr_signal(); i++)
			for (uint64_t b = 0; b < n && done < want; b++, done++) {
				uint64_t from = at + done - n, to = at + done;

				if (bit_get(dst, from))
					dst[to >> 3] |= (uint8_t)(1 << (to & 7));
			}
	}
	return done == want;
}

bool gcprog_mask(const struct proc *p, uint64_t prog, uint8_t *dst, uint64_t nbits)
{
	return gcprog_run(p, prog + 4, dst, 0, nbits, nbits);
}

/* A mask on its way: nbits of dst are asked for. */
struct mask {
	const struct proc *p;
	uint8_t *dst;
	uint64_t nbits;
	uint64_t budget; /* what it may still cost */
};

/*
 * Each part of a type that has pointers has words of its own, at each depth: parts that share types
 * without taking room are damage, and would be built 2^depth times.
 */
static bool mask_spend(struct mask *m, uint64_t words)
{
	if (m->budget <= words || intr_signal())
		return false;
	m->budget -= words + 1;
	return true;
}

static bool mask_build(struct mask *m, uint64_t type, uint64_t at, int depth);

/* An array's mask is the first element's, and copies of that for the others. */
static bool mask_build_array(struct mask *m, uint64_t type, uint64_t size, uint64_t at, int depth)
{
	const struct proc *p = m->p;
	uint64_t word = p->fmt.word, elem, n;
	struct raw_type et;

	if (!proc_try_word(p, type + layout_off(&p->layout, L_arraytype_elem), &elem) ||
	    !proc_try_word(p, type + layout_off(&p->layout, L_arraytype_len), &n) ||
	    !raw_type_read(p, elem, &et) || !et.size || !n || n > size / et.size ||
	    !mask_build(m, elem, at, depth + 1))
		return false;
	for (uint64_t i = 1; i < n; i++) {
		uint64_t to = at + i * et.size / word;

		if (!mask_spend(m, et.ptrdata / word))
			return false;
		for (uint64_t w = 0; w < et.ptrdata / word; w++) {
			if (to + w >= m->nbits)
				return false;
			if (bit_get(m->dst, at + w))
				m->dst[(to + w) >> 3] |= (uint8_t)(1 << ((to + w) & 7));
		}
	}
	return true;
}

/* A struct's mask is its fields', at their offsets. */
static bool mask_build_struct(struct mask *m, uint64_t type, uint64_t size, uint64_t at, int depth)
{
	const struct proc *p = m->p;
	uint64_t word = p->fmt.word, slice = type + layout_off(&p->layout, L_structtype_fields);
	uint64_t fields, n;

	if (!proc_try_word(p, slice, &fields) || !proc_try_word(p, slice + word, &n) ||
	    n > LIMIT_TYPE_FIELDS)
		return false;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t f = fields + i * layout_size(&p->layout, LS_structfield), ft, off;
		struct raw_type t;

		if (!proc_try_word(p, f + layout_off(&p->layout, L_structfield_typ), &ft) ||
		    !proc_try_word(p, f + layout_off(&p->layout, L_structfield_offset), &off) ||
		    off > size || !raw_type_read(p, ft, &t))
			return false;
		if (t.ptrdata && !mask_build(m, ft, at + off / word, depth + 1))
			return false;
	}
	return true;
}

/* buildGCMask (type.go@1.24+): the type's bits begin at `at`. */
static bool mask_build(struct mask *m, uint64_t type, uint64_t at, int depth)
{
	const struct proc *p = m->p;
	struct raw_type t;
	const uint8_t *src;
	uint64_t words;

	if (depth > LIMIT_GCMASK_DEPTH || !raw_type_read(p, type, &t))
		return false;
	words = t.ptrdata / p->fmt.word;
	if (!words)
		return true;
	if (!mask_spend(m, t.on_demand ? 0 : words))
		return false;
	if (t.gcprog)
		return gcprog_run(p, t.gcdata + 4, m->dst, at, words, m->nbits);
	if (t.on_demand && t.kind == KIND_ARRAY)
		return mask_build_array(m, type, t.size, at, depth);
	if (t.on_demand)
		return t.kind == KIND_STRUCT && mask_build_struct(m, type, t.size, at, depth);
	src = image_ptr(p->img, t.gcdata, (words + 7) / 8, NULL);
	if (!src || at + words > m->nbits)
		return false;
	bits_or(m->dst, at, src, words);
	return true;
}

static struct err *gcmask_make(const struct proc *p, struct gcmasks *all, uint64_t type,
			       struct gcmask **ret)
{
	struct gcmask *g = arena_alloc(&all->arena, sizeof(*g));
	struct raw_type t;
	struct mask m;
	uint64_t bytes;

	if (!g)
		return err_nomem();
	*ret = g;
	g->type = type;
	if (!raw_type_read(p, type, &t) || !t.size)
		return NULL;
	g->words = (t.size + p->fmt.word - 1) / p->fmt.word;
	g->ptr_words = t.ptrdata / p->fmt.word;
	bytes = (g->ptr_words + 63) / 64 * 8;
	all->words += g->ptr_words;
	if (all->words > GCMASK_MAX_WORDS)
		return NULL;
	m = (struct mask){ p, arena_alloc(&all->arena, bytes ? bytes : 8), g->ptr_words,
			   2 * (g->ptr_words + 1) * (LIMIT_GCMASK_DEPTH + 1) };
	if (!m.dst)
		return err_nomem();
	if (mask_build(&m, type, 0, 0))
		g->bits = m.dst;
	return NULL;
}

struct err *gcmask_find(const struct proc *p, struct gcmasks *m, uint64_t type,
			const struct gcmask **ret)
{
	struct gcmask *g = NULL;
	uint64_t *slot;
	bool is_new;

	TRY(map64_put(&m->by_type, type, 0, &slot, &is_new));
	if (is_new) {
		TRY(gcmask_make(p, m, type, &g));
		TRY(intr_check());
		*slot = (uintptr_t)g;
	}
	*ret = (const struct gcmask *)(uintptr_t)*slot;
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
