/*
 * Roots beside the stacks, as heap/runtime/root.h has them.  While the process is stopped their
 * linked structures are fetched, all chains at once; afterwards they are read from the image.
 */
#include "heap/runtime/root.h"

#include <inttypes.h>
#include <string.h>

#include "base/hash.h"
#include "base/intr.h"
#include "base/limits.h"
#include "heap/runtime/ring.h"

/*
 * Special kinds (mheap.go: _KindSpecialFinalizer, _KindSpecialWeakHandle, _KindSpecialCleanup) are
 * renumbered between releases; what structures exist tells which numbering it is.
 */
struct special_kinds {
	unsigned finalizer, weak, cleanup;
};

enum { NO_SPECIAL = 255 };

static struct special_kinds special_kinds(const struct layout *l)
{
	if (layout_has(l, L_cleanupQueue_all)) /* 1.25+: specialTinyBlock came first */
		return (struct special_kinds){ 2, 3, 7 };
	if (layout_has(l, L_specialCleanup_fn)) /* 1.24 */
		return (struct special_kinds){ 1, 2, 6 };
	return (struct special_kinds){ 1,
				       layout_has(l, L_specialWeakHandle_handle) ? 2 : NO_SPECIAL,
				       NO_SPECIAL };
}

enum { SPECIAL_BYTES = 64 }; /* no special is larger */
/* Chains are fetched by pages; the next links of a long one are likely in the same chunk of
 * persistent memory. */
enum { PAGE = 4096, WIDE = 64 << 10 };

/* ------------------------------------------------------------------ fetching */

enum chase_kind { CHASE_SPECIAL, CHASE_FINBLOCK, CHASE_CLEANUPBLOCK };

struct chase {
	uint64_t addr;
	enum chase_kind kind;
	struct ring ring;
};

VEC_NAMED(chases, struct chase);

static uint64_t chase_len(const struct proc *p, enum chase_kind kind)
{
	switch (kind) {
	case CHASE_FINBLOCK:
		return layout_size(&p->layout, LS_finblock);
	case CHASE_CLEANUPBLOCK:
		return layout_size(&p->layout, LS_cleanupBlock);
	default:
		return SPECIAL_BYTES;
	}
}

static enum layout_id chase_next(enum chase_kind kind)
{
	switch (kind) {
	case CHASE_FINBLOCK:
		return L_finblock_alllink;
	case CHASE_CLEANUPBLOCK:
		return L_cleanupBlock_alllink;
	default:
		return L_special_next;
	}
}

/* Where all chains begin: each span's specials, the two queues. */
static struct err *chase_start(struct proc *p, const struct spans *spans, struct chases *todo)
{
	uint64_t addr = 0;

	for (size_t i = 0; i < spans->n; i++)
		if (spans->v[i].specials)
			TRY(vec_push(todo,
				     ((struct chase){ spans->v[i].specials, CHASE_SPECIAL })));
	if (p->var.allfin)
		TRY(image_read_word(p->img, p->var.allfin, &addr));
	if (addr)
		TRY(vec_push(todo, ((struct chase){ addr, CHASE_FINBLOCK })));
	if (!p->var.gcCleanups || !layout_has(&p->layout, L_cleanupQueue_all))
		return NULL;
	TRY(proc_get(p, p->var.gcCleanups, L_cleanupQueue_all, &addr));
	return addr ? vec_push(todo, ((struct chase){ addr, CHASE_CLEANUPBLOCK })) : NULL;
}

/* The mcache of the i-th p of those at allp; 0: it has none. */
static struct err *mcache_of(const struct proc *p, uint64_t allp, uint64_t i, uint64_t *ret)
{
	uint64_t pp;

	*ret = 0;
	TRY(image_read_word(p->img, allp + i * p->fmt.word, &pp));
	return pp ? proc_get(p, pp, L_p_mcache, ret) : NULL;
}

static struct err *fetch_mcaches(struct proc *p)
{
	_cleanup_vec_ struct ranges want = VEC_INIT;
	uint64_t word = p->fmt.word, len_tiny = layout_off(&p->layout, L_mcache_tiny) + 2 * word;
	uint64_t ptr, len, pp, mcache;

	TRY(proc_slice(p, p->var.allp, &ptr, &len));
	if (len > LIMIT_PS)
		return err_create(ERR_LIMIT, "runtime.allp has %" PRIu64 " entries", len);
	TRY(image_need1(p->img, ptr, len * word));
	for (uint64_t i = 0; i < len; i++) {
		TRY(image_read_word(p->img, ptr + i * word, &pp));
		if (pp)
			TRY(vec_push(
				&want,
				((struct range){ pp + layout_off(&p->layout, L_p_mcache), word })));
	}
	TRY(image_need(p->img, &want, 0));
	want.n = 0;
	for (uint64_t i = 0; i < len; i++) {
		TRY(mcache_of(p, ptr, i, &mcache));
		if (mcache)
			TRY(vec_push(&want, ((struct range){ mcache, len_tiny })));
	}
	return image_need(p->img, &want, 0);
}

/* The mcaches of all ps, for their tiny blocks. */
static struct err *mcaches_fetch(struct proc *p)
{
	return err_wrapf(fetch_mcaches(p), "reading runtime.allp");
}

/* The pages of the block at addr. */
static struct range chase_pages(const struct proc *p, const struct chase *c)
{
	uint64_t lo = c->addr & ~(uint64_t)(PAGE - 1);
	uint64_t hi = (c->addr + chase_len(p, c->kind) + PAGE - 1) & ~(uint64_t)(PAGE - 1);

	return (struct range){ lo, hi - lo };
}

static bool chase_has(const struct proc *p, const struct chase *c)
{
	return image_ptr(p->img, c->addr, chase_len(p, c->kind), NULL);
}

/* How many specials there can be: an object may have several, but whole chains that many spans
 * share are damage. */
static uint64_t specials_max(const struct spans *spans)
{
	enum { OF_AN_OBJECT = 16, SOME = 1 << 20 };
	uint64_t n = spans->nids * OF_AN_OBJECT + SOME;

	return n < LIMIT_SPECIALS ? n : LIMIT_SPECIALS;
}

/* Follows the chain as far as the image goes; c->addr is 0 at its end. */
static struct err *chase_follow(const struct proc *p, struct chase *c, uint64_t *left)
{
	while (c->addr && chase_has(p, c)) {
		if (!--*left)
			return err_create(ERR_LIMIT, "a chain of specials without end");
		TRY(intr_check());
		TRY(ring_check(&c->ring, c->addr, "a chain of specials or queued finalizers"));
		TRY(proc_get(p, c->addr, chase_next(c->kind), &c->addr));
	}
	return NULL;
}

struct err *roots_plan(struct proc *p, const struct spans *spans, struct ranges *ahead)
{
	_cleanup_vec_ struct chases todo = VEC_INIT;
	uint64_t left = specials_max(spans) + LIMIT_BLOCKS;

	TRY(chase_start(p, spans, &todo));
	for (size_t i = 0; i < todo.n; i++) {
		struct chase *c = &todo.v[i];
		struct err *err = intr_check();

		TRY(err);
		err = chase_follow(p, c, &left);

		if (err_catch(&err, ERR_LIMIT) || err_catch(&err, ERR_BADDATA))
			return NULL; /* roots_fetch() will say so */
		TRY(err);
		if (c->addr)
			TRY(vec_push(ahead, chase_pages(p, c)));
	}
	return NULL;
}

/* Fetches the next blocks of all chains. */
static struct err *chase_fetch(struct proc *p, const struct chases *todo, bool long_chains)
{
	_cleanup_vec_ struct ranges want = VEC_INIT, wide = VEC_INIT;

	for (size_t i = 0; i < todo->n; i++) {
		struct range pages = chase_pages(p, &todo->v[i]);

		if (chase_has(p, &todo->v[i]))
			continue;
		TRY(vec_push(&want, pages));
		if (long_chains)
			TRY(vec_push(&wide,
				     ((struct range){ pages.addr & ~(uint64_t)(WIDE - 1), WIDE })));
	}
	TRY(image_try(p->img, &wide));
	return image_need(p->img, &want, PAGE);
}

/* Keeps the chains that go on in blocks which are not there yet; a hole is asked for only once. */
static struct err *chase_on(const struct proc *p, struct chases *todo, uint64_t *left)
{
	size_t n = 0;

	for (size_t i = 0; i < todo->n; i++) {
		struct chase c = todo->v[i];

		TRY(chase_follow(p, &c, left));
		if (c.addr && c.addr != todo->v[i].addr)
			todo->v[n++] = c;
	}
	todo->n = n;
	return NULL;
}

static struct err *fetch_chains(struct proc *p, const struct spans *spans)
{
	enum { LONG = 2 }; /* rounds */
	_cleanup_vec_ struct chases todo = VEC_INIT;
	uint64_t left = specials_max(spans) + LIMIT_BLOCKS;

	TRY(mcaches_fetch(p));
	TRY(chase_start(p, spans, &todo));
	for (int round = 0; todo.n; round++) {
		TRY(intr_check());
		TRY(chase_fetch(p, &todo, round >= LONG));
		TRY(chase_on(p, &todo, &left));
	}
	return NULL;
}

struct err *roots_fetch(struct proc *p, const struct spans *spans)
{
	return err_wrapf(fetch_chains(p, spans), "reading specials");
}

/* ------------------------------------------------------------------ collecting */

static struct err *root_add(const struct spans *spans, struct roots *roots, uint64_t addr,
			    uint64_t value, enum root_kind kind, uint64_t type)
{
	const struct span *sp = spans_find(spans, value);

	if (!sp || !span_alive(sp, span_index(sp, value)))
		return NULL;
	return vec_push(roots, ((struct root){ .addr = addr,
					       .value = value,
					       .type = type,
					       .frame = UINT32_MAX,
					       .kind = (uint8_t)kind }));
}

static struct err *root_add_word(struct proc *p, const struct spans *spans, struct roots *roots,
				 uint64_t addr, enum root_kind kind, uint64_t type)
{
	uint64_t v;

	TRY(image_read_word(p->img, addr, &v));
	return root_add(spans, roots, addr, v, kind, type);
}

static struct err *collect_segment(struct proc *p, const struct spans *spans,
				   const struct bitmap_root *seg, struct roots *roots)
{
	uint64_t word = p->fmt.word;
	const uint8_t *mask = image_ptr(p->img, seg->mask, (seg->nbits + 7) / 8, NULL);
	const uint8_t *data = image_ptr(p->img, seg->start, seg->end - seg->start, NULL);

	if (!seg->nbits || seg->start == seg->end)
		return NULL;
	if (!mask)
		return err_fault(seg->mask, "a module's pointer mask cannot be read");
	if (!data)
		return err_fault(seg->start, "a module's variables cannot be read");
	for (uint64_t i = 0; i < seg->nbits; i++) {
		if (!(i & 0xffff))
			TRY(intr_check());
		if (!mask[i >> 3]) {
			i |= 7;
			continue;
		}
		if (mask[i >> 3] >> (i & 7) & 1)
			TRY(root_add(spans, roots, seg->start + i * word,
				     bytes_word(p->fmt, data + i * word), ROOT_DATA, 0));
	}
	return NULL;
}

/* ------------------------------------------------------------------ specials */

static void span_revive(struct span *sp, uint32_t i)
{
	((uint8_t *)(uintptr_t)sp->alive)[i >> 3] |= (uint8_t)(1 << (i & 7));
}

/* An object with a finalizer does not live by it, but what it points to does. */
static struct err *collect_finalized(struct proc *p, const struct spans *spans,
				     struct gcmasks *masks, const struct span *sp, uint32_t index,
				     uint64_t type, struct roots *roots)
{
	uint64_t slot = span_slot(sp, index), word;
	size_t first = roots->n;
	struct ptr_iter it;
	bool bad = false;

	if (!ptr_iter_init(&it, p, masks, sp, index, &bad))
		return NULL;
	while (ptr_iter_next(&it, &word))
		TRY(root_add(spans, roots, slot + word * p->fmt.word,
			     ptr_iter_value(&it, p->fmt, word), ROOT_FIN_OBJ, type));
	for (size_t i = first; i < roots->n; i++)
		roots->v[i].object = slot + span_data_off(sp);
	return NULL;
}

/* A cleanupFn {call, fn, arg} (mcleanup.go@1.26). */
static struct err *collect_cleanup_fn(struct proc *p, const struct spans *spans,
				      struct roots *roots, uint64_t at, enum root_kind fn_kind,
				      enum root_kind arg_kind)
{
	const struct layout *l = &p->layout;
	size_t before;
	uint64_t fn;

	TRY(root_add_word(p, spans, roots, at + layout_off(l, L_cleanupFn_call), fn_kind, 0));
	TRY(root_add_word(p, spans, roots, at + layout_off(l, L_cleanupFn_fn), fn_kind, 0));
	TRY(proc_get(p, at, L_cleanupFn_fn, &fn));
	before = roots->n;
	TRY(root_add_word(p, spans, roots, at + layout_off(l, L_cleanupFn_arg), arg_kind, 0));
	if (roots->n > before)
		roots->v[before].object = fn;
	return NULL;
}

/* A finalizer, of slot `index`.  The sweep of a dead object would queue it and revive the
 * object. */
static struct err *collect_finalizer(struct proc *p, struct spans *spans, struct gcmasks *masks,
				     struct span *sp, uint32_t index, uint64_t obj, uint64_t s,
				     struct roots *roots)
{
	bool dead = sp->unswept && !span_alive(sp, index);
	uint64_t ot;

	TRY(proc_get(p, s, L_specialfinalizer_ot, &ot));
	if (dead) {
		span_revive(sp, index);
		TRY(root_add(spans, roots, s, obj, ROOT_FIN_QUEUE, ot));
	} else {
		TRY(collect_finalized(p, spans, masks, sp, index, ot, roots));
	}
	return root_add_word(p, spans, roots, s + layout_off(&p->layout, L_specialfinalizer_fn),
			     ROOT_FIN_FN, 0);
}

static struct err *collect_special(struct proc *p, struct spans *spans, struct gcmasks *masks,
				   const struct special_kinds *kinds, struct span *sp, uint64_t s,
				   struct roots *roots)
{
	const struct layout *l = &p->layout;
	uint64_t kind, off;
	uint32_t index;

	TRY(proc_get(p, s, L_special_kind, &kind));
	TRY(proc_get(p, s, L_special_offset, &off));
	if (off >= sp->limit - sp->base)
		return err_create(ERR_BADDATA, "a special behind its span's end");
	index = span_index(sp, sp->base + off);
	if (kind == kinds->finalizer)
		return collect_finalizer(p, spans, masks, sp, index, sp->base + off, s, roots);
	if (kind == kinds->weak && (!sp->unswept || span_alive(sp, index)))
		return root_add_word(p, spans, roots, s + layout_off(l, L_specialWeakHandle_handle),
				     ROOT_WEAK, 0);
	if (kind != kinds->cleanup)
		return NULL;
	if (!layout_has(l, L_specialCleanup_cleanup))
		return root_add_word(p, spans, roots, s + layout_off(l, L_specialCleanup_fn),
				     ROOT_CLEANUP, 0);
	return collect_cleanup_fn(p, spans, roots, s + layout_off(l, L_specialCleanup_cleanup),
				  ROOT_CLEANUP, ROOT_CLEANUP_ARG);
}

/* The next special of a span's chain; *left: how many all may still have. */
static struct err *special_next(const struct proc *p, uint64_t *s, struct ring *ring,
				uint64_t *left)
{
	if (!--*left)
		return err_create(ERR_LIMIT, "a chain of specials without end");
	TRY(ring_check(ring, *s, "a chain of specials"));
	return proc_get(p, *s, L_special_next, s);
}

static struct err *collect_specials(struct proc *p, struct spans *spans, struct gcmasks *masks,
				    struct roots *roots)
{
	struct special_kinds kinds = special_kinds(&p->layout);
	uint64_t left = specials_max(spans);

	for (size_t i = 0; i < spans->n; i++) {
		struct ring ring = { 0 };

		for (uint64_t s = spans->v[i].specials; s;) {
			TRY(collect_special(p, spans, masks, &kinds, &spans->v[i], s, roots));
			TRY(special_next(p, &s, &ring, &left));
		}
	}
	return NULL;
}

/* ------------------------------------------------------------------ queues, tiny blocks */

/* An entry of the finalizers' queue. */
static struct err *collect_queued(struct proc *p, const struct spans *spans, uint64_t f,
				  struct roots *roots)
{
	const struct layout *l = &p->layout;
	uint64_t ot;

	TRY(proc_get(p, f, L_finalizer_ot, &ot));
	TRY(root_add_word(p, spans, roots, f + layout_off(l, L_finalizer_fn), ROOT_FIN_QUEUE, 0));
	TRY(root_add_word(p, spans, roots, f + layout_off(l, L_finalizer_arg), ROOT_FIN_QUEUE, ot));
	TRY(root_add_word(p, spans, roots, f + layout_off(l, L_finalizer_fint), ROOT_FIN_QUEUE, 0));
	return root_add(spans, roots, f + layout_off(l, L_finalizer_ot), ot, ROOT_FIN_QUEUE, 0);
}

static struct err *collect_finblocks(struct proc *p, const struct spans *spans, struct roots *roots)
{
	const struct layout *l = &p->layout;
	uint64_t size = layout_size(l, LS_finalizer), block, count;
	struct ring ring = { 0 };
	uint64_t room = (layout_size(l, LS_finblock) - layout_off(l, L_finblock_fin)) / size;

	if (!p->var.allfin)
		return NULL;
	TRY(image_read_word(p->img, p->var.allfin, &block));
	while (block) {
		if (ring.steps > LIMIT_BLOCKS)
			return err_create(ERR_LIMIT, "a finalizer queue without end");
		TRY(ring_check(&ring, block, "a finalizer queue"));
		TRY(proc_get(p, block, L_finblock_cnt, &count));
		for (uint64_t i = 0; i < count && i < room; i++)
			TRY(collect_queued(
				p, spans, block + layout_off(l, L_finblock_fin) + i * size, roots));
		TRY(proc_get(p, block, L_finblock_alllink, &block));
	}
	return NULL;
}

/* One block of the cleanups' queue.  An entry is a *funcval in 1.25, a cleanupFn of three pointers
 * after it. */
static struct err *collect_cleanup_block(struct proc *p, const struct spans *spans, uint64_t block,
					 struct roots *roots)
{
	const struct layout *l = &p->layout;
	bool funcval = !layout_has(l, L_cleanupFn_call);
	uint64_t size = funcval ? p->fmt.word : layout_size(l, LS_cleanupFn), n;

	TRY(proc_get(p, block, L_cleanupBlock_n, &n));
	if (n > layout_size(l, LS_cleanupBlock) / size)
		return err_create(ERR_BADDATA, "a cleanup block with %" PRIu64 " entries", n);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t at = block + layout_off(l, L_cleanupBlock_cleanups) + i * size;

		if (funcval)
			TRY(root_add_word(p, spans, roots, at, ROOT_CLEANUP_QUEUE, 0));
		else
			TRY(collect_cleanup_fn(p, spans, roots, at, ROOT_CLEANUP_QUEUE,
					       ROOT_CLEANUP_QUEUE_ARG));
	}
	return NULL;
}

static struct err *collect_cleanups(struct proc *p, const struct spans *spans, struct roots *roots)
{
	struct ring ring = { 0 };
	uint64_t block;

	if (!p->var.gcCleanups || !layout_has(&p->layout, L_cleanupQueue_all))
		return NULL;
	TRY(proc_get(p, p->var.gcCleanups, L_cleanupQueue_all, &block));
	while (block) {
		if (ring.steps > LIMIT_BLOCKS)
			return err_create(ERR_LIMIT, "a cleanup queue without end");
		TRY(ring_check(&ring, block, "a cleanup queue"));
		TRY(collect_cleanup_block(p, spans, block, roots));
		TRY(proc_get(p, block, L_cleanupBlock_alllink, &block));
	}
	return NULL;
}

static struct err *collect_tiny(struct proc *p, const struct spans *spans, struct roots *roots)
{
	uint64_t ptr, len, mcache;

	TRY(proc_slice(p, p->var.allp, &ptr, &len));
	for (uint64_t i = 0; i < len; i++) {
		TRY(mcache_of(p, ptr, i, &mcache));
		if (mcache)
			TRY(root_add_word(p, spans, roots,
					  mcache + layout_off(&p->layout, L_mcache_tiny), ROOT_TINY,
					  0));
	}
	return NULL;
}

struct err *roots_collect(struct proc *p, struct spans *spans, struct gcmasks *masks,
			  struct roots *roots)
{
	for (size_t i = 0; i < p->modules.v.n; i++) {
		TRY(collect_segment(p, spans, &p->modules.v.v[i].data, roots));
		TRY(collect_segment(p, spans, &p->modules.v.v[i].bss, roots));
	}
	TRY(collect_specials(p, spans, masks, roots));
	TRY(err_wrapf(collect_finblocks(p, spans, roots), "reading the finalizer queue"));
	TRY(err_wrapf(collect_cleanups(p, spans, roots), "reading the cleanup queue"));
	return err_wrapf(collect_tiny(p, spans, roots), "reading tiny blocks");
}

/* ------------------------------------------------------------------ counting */

struct err *roots_finalized(struct proc *p, const struct spans *spans, struct ranges *objs)
{
	struct special_kinds kinds = special_kinds(&p->layout);
	uint64_t kind, off, left = specials_max(spans);

	for (size_t i = 0; i < spans->n; i++) {
		const struct span *sp = &spans->v[i];
		struct ring ring = { 0 };

		for (uint64_t s = sp->specials; s;) {
			TRY(proc_get(p, s, L_special_kind, &kind));
			TRY(proc_get(p, s, L_special_offset, &off));
			if (kind == kinds.finalizer && off < sp->limit - sp->base)
				TRY(vec_push(objs,
					     ((struct range){
						     span_slot(sp, span_index(sp, sp->base + off)),
						     sp->elemsize })));
			TRY(special_next(p, &s, &ring, &left));
		}
	}
	return NULL;
}

/* Sums a count over a chain of blocks. */
static struct err *count_blocks(struct proc *p, uint64_t block, enum layout_id next,
				enum layout_id count, uint64_t *ret)
{
	struct ring ring = { 0 };
	uint64_t n, sum = 0;

	while (block) {
		if (ring.steps > LIMIT_BLOCKS)
			return err_create(ERR_LIMIT, "a queue without end");
		TRY(ring_check(&ring, block, "a queue"));
		TRY(proc_get(p, block, count, &n));
		TRY(proc_get(p, block, next, &block));
		sum += n;
	}
	*ret = sum;
	return NULL;
}

struct err *roots_queued(struct proc *p, uint64_t *finalizers, uint64_t *cleanups)
{
	uint64_t block = 0;

	*finalizers = *cleanups = 0;
	if (p->var.allfin)
		TRY(image_read_word(p->img, p->var.allfin, &block));
	TRY(count_blocks(p, block, L_finblock_alllink, L_finblock_cnt, finalizers));
	if (!p->var.gcCleanups || !layout_has(&p->layout, L_cleanupQueue_all))
		return NULL;
	TRY(proc_get(p, p->var.gcCleanups, L_cleanupQueue_all, &block));
	return count_blocks(p, block, L_cleanupBlock_alllink, L_cleanupBlock_n, cleanups);
}
