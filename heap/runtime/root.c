#include "heap/runtime/root.h"

#include <inttypes.h>
#include <string.h>

#include "base/hash.h"
#include "base/limits.h"

/* Special kinds are renumbered between releases; what structures exist tells which numbering. */
struct special_kinds {
	unsigned finalizer, weak, cleanup;
};

static struct special_kinds special_kinds(const struct layout *l)
{
	if (layout_has(l, L_cleanupQueue_all)) /* 1.25+: specialTinyBlock came first */
		return (struct special_kinds){ 2, 3, 7 };
	if (layout_has(l, L_specialCleanup_fn)) /* 1.24 */
		return (struct special_kinds){ 1, 2, 6 };
	return (struct special_kinds){ 1, layout_has(l, L_specialWeakHandle_handle) ? 2 : 255,
				       255 };
}

enum { SPECIAL_BYTES = 64 }; /* no special is larger */
enum { PAGE = 4096, WIDE = 64 << 10 };

/* ------------------------------------------------------------------ fetching */

enum chase_kind { CHASE_SPECIAL, CHASE_FINBLOCK, CHASE_CLEANUPBLOCK };

struct chase {
	uint64_t addr;
	enum chase_kind kind;
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

static struct err *chase_start(struct proc *p, const struct spans *spans, struct chases *todo)
{
	uint64_t addr;
	struct err *err;

	for (size_t i = 0; i < spans->n; i++)
		if (spans->v[i].specials &&
		    (err = vec_push(todo, ((struct chase){ spans->v[i].specials, CHASE_SPECIAL }))))
			return err;
	addr = 0;
	err = p->var.allfin ? image_read_word(p->img, p->var.allfin, &addr) : NULL;
	if (!err && addr)
		err = vec_push(todo, ((struct chase){ addr, CHASE_FINBLOCK }));
	if (!err && p->var.gcCleanups && layout_has(&p->layout, L_cleanupQueue_all)) {
		err = proc_get(p, p->var.gcCleanups, L_cleanupQueue_all, &addr);
		if (!err && addr)
			err = vec_push(todo, ((struct chase){ addr, CHASE_CLEANUPBLOCK }));
	}
	return err;
}

/* The mcaches of all Ps, for their tiny blocks. */
static struct err *mcaches_fetch(struct proc *p)
{
	uint64_t ptr, len, pp, mcache;
	struct ranges want = VEC_INIT;
	struct err *err = proc_slice(p, p->var.allp, &ptr, &len);

	if (!err && len > LIMIT_PS)
		err = err_create(ERR_LIMIT, "runtime.allp has %" PRIu64 " entries", len);
	if (!err)
		err = image_need1(p->img, ptr, len * p->fmt.word);
	for (uint64_t i = 0; i < len && !err; i++) {
		err = image_read_word(p->img, ptr + i * p->fmt.word, &pp);
		if (!err && pp)
			err = vec_push(&want,
				       ((struct range){ pp + layout_off(&p->layout, L_p_mcache),
							p->fmt.word }));
	}
	if (!err)
		err = image_need(p->img, &want, 0);
	want.n = 0;
	for (uint64_t i = 0; i < len && !err; i++) {
		err = image_read_word(p->img, ptr + i * p->fmt.word, &pp);
		if (!err && pp)
			err = proc_get(p, pp, L_p_mcache, &mcache);
		if (!err && pp && mcache)
			err = vec_push(&want, ((struct range){ mcache, layout_off(&p->layout,
										  L_mcache_tiny) +
									       2 * p->fmt.word }));
	}
	if (!err)
		err = image_need(p->img, &want, 0);
	vec_deinit(&want);
	return err_wrapf(err, "reading runtime.allp");
}

/* The pages of the block at addr. */
static struct range chase_pages(const struct proc *p, const struct chase *c)
{
	uint64_t lo = c->addr & ~(uint64_t)(PAGE - 1);
	uint64_t hi = (c->addr + chase_len(p, c->kind) + PAGE - 1) & ~(uint64_t)(PAGE - 1);

	return (struct range){ lo, hi - lo };
}

struct err *roots_plan(struct proc *p, const struct spans *spans, struct ranges *ahead)
{
	struct chases todo = VEC_INIT;
	struct err *err = chase_start(p, spans, &todo);
	uint64_t steps = 0;

	for (size_t i = 0; i < todo.n && !err; i++) {
		struct chase *c = &todo.v[i];

		while (c->addr && image_ptr(p->img, c->addr, chase_len(p, c->kind), NULL) && !err &&
		       steps++ < LIMIT_SPECIALS)
			err = proc_get(p, c->addr, chase_next(c->kind), &c->addr);
		if (!err && c->addr)
			err = vec_push(ahead, chase_pages(p, c));
	}
	vec_deinit(&todo);
	return err;
}

struct err *roots_fetch(struct proc *p, const struct spans *spans)
{
	struct chases todo = VEC_INIT, next = VEC_INIT;
	struct ranges want = VEC_INIT, wide = VEC_INIT;
	uint64_t steps = 0;
	struct err *err = mcaches_fetch(p);

	if (!err)
		err = chase_start(p, spans, &todo);
	for (int round = 0; !err && todo.n; round++) {
		want.n = wide.n = next.n = 0;
		for (size_t i = 0; i < todo.n && !err; i++) {
			struct range pages = chase_pages(p, &todo.v[i]);

			if (image_ptr(p->img, todo.v[i].addr, chase_len(p, todo.v[i].kind), NULL))
				continue;
			err = vec_push(&want, pages);
			/* A long chain: its next links are likely in the same 16 KB chunks. */
			if (!err && round > 1)
				err = vec_push(&wide,
					       ((struct range){ pages.addr & ~(uint64_t)(WIDE - 1),
								WIDE }));
		}
		if (!err && wide.n)
			err = image_try(p->img, &wide);
		if (!err)
			err = image_need(p->img, &want, PAGE);
		/* Follow each chain as far as the image goes. */
		for (size_t i = 0; i < todo.n && !err; i++) {
			struct chase c = todo.v[i];

			while (!err && c.addr) {
				if (++steps > LIMIT_SPECIALS) {
					err = err_create(ERR_LIMIT,
							 "a chain of specials without end");
				} else if (!image_ptr(p->img, c.addr, chase_len(p, c.kind), NULL)) {
					/* not there yet; a hole is asked for only once */
					if (c.addr != todo.v[i].addr)
						err = vec_push(&next, c);
					break;
				} else {
					err = proc_get(p, c.addr, chase_next(c.kind), &c.addr);
				}
			}
		}
		struct chases t = todo;

		todo = next;
		next = t;
	}
	vec_deinit(&todo);
	vec_deinit(&next);
	vec_deinit(&want);
	vec_deinit(&wide);
	return err_wrapf(err, "reading specials");
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
	struct err *err = image_read_word(p->img, addr, &v);

	return err ? err : root_add(spans, roots, addr, v, kind, type);
}

static struct err *collect_segment(struct proc *p, const struct spans *spans,
				   const struct bitmap_root *seg, struct roots *roots)
{
	uint64_t word = p->fmt.word;
	const uint8_t *mask = image_ptr(p->img, seg->mask, (seg->nbits + 7) / 8, NULL);
	const uint8_t *data = image_ptr(p->img, seg->start, seg->end - seg->start, NULL);
	struct err *err = NULL;

	if (!seg->nbits || seg->start == seg->end)
		return NULL;
	if (!mask)
		return err_fault(seg->mask, "a module's pointer mask cannot be read");
	if (!data)
		return err_fault(seg->start, "a module's variables cannot be read");
	for (uint64_t i = 0; i < seg->nbits && !err; i++) {
		if (!mask[i >> 3]) {
			i |= 7;
			continue;
		}
		if (mask[i >> 3] >> (i & 7) & 1)
			err = root_add(spans, roots, seg->start + i * word,
				       bytes_word(p->fmt, data + i * word), ROOT_DATA, 0);
	}
	return err;
}

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
	struct err *err = NULL;
	struct ptr_iter it;
	bool bad = false;

	if (!ptr_iter_init(&it, p, masks, sp, index, &bad))
		return NULL;
	while (!err && ptr_iter_next(&it, &word))
		err = root_add(spans, roots, slot + word * p->fmt.word,
			       bytes_word(p->fmt, it.data + word * p->fmt.word), ROOT_FIN_OBJ,
			       type);
	for (size_t i = first; i < roots->n; i++)
		roots->v[i].object = slot + span_data_off(sp);
	return err;
}

/* A cleanupFn {call, fn, arg} (mcleanup.go@1.26). */
static struct err *collect_cleanup_fn(struct proc *p, const struct spans *spans,
				      struct roots *roots, uint64_t at, enum root_kind fn_kind,
				      enum root_kind arg_kind)
{
	const struct layout *l = &p->layout;
	size_t before;
	uint64_t fn;
	struct err *err;

	if ((err = root_add_word(p, spans, roots, at + layout_off(l, L_cleanupFn_call), fn_kind,
				 0)) ||
	    (err = root_add_word(p, spans, roots, at + layout_off(l, L_cleanupFn_fn), fn_kind,
				 0)) ||
	    (err = proc_get(p, at, L_cleanupFn_fn, &fn)))
		return err;
	before = roots->n;
	err = root_add_word(p, spans, roots, at + layout_off(l, L_cleanupFn_arg), arg_kind, 0);
	if (!err && roots->n > before)
		roots->v[before].object = fn;
	return err;
}

static struct err *collect_special(struct proc *p, struct spans *spans, struct gcmasks *masks,
				   const struct special_kinds *kinds, struct span *sp, uint64_t s,
				   struct roots *roots)
{
	const struct layout *l = &p->layout;
	uint64_t kind, off, obj, ot = 0;
	uint32_t index;
	bool dead;
	struct err *err;

	if ((err = proc_get(p, s, L_special_kind, &kind)) ||
	    (err = proc_get(p, s, L_special_offset, &off)))
		return err;
	if (off >= sp->limit - sp->base)
		return err_create(ERR_BADDATA, "a special behind its span's end");
	obj = sp->base + off;
	index = span_index(sp, obj);
	dead = sp->unswept && !span_alive(sp, index);
	if (kind == kinds->finalizer) {
		err = proc_get(p, s, L_specialfinalizer_ot, &ot);
		if (err)
			return err;
		if (dead) { /* its sweep would queue the finalizer and revive the object */
			span_revive(sp, index);
			if ((err = root_add(spans, roots, s, obj, ROOT_FIN_QUEUE, ot)))
				return err;
		} else if ((err = collect_finalized(p, spans, masks, sp, index, ot, roots))) {
			return err;
		}
		return root_add_word(p, spans, roots, s + layout_off(l, L_specialfinalizer_fn),
				     ROOT_FIN_FN, 0);
	}
	if (kind == kinds->weak && !dead)
		return root_add_word(p, spans, roots, s + layout_off(l, L_specialWeakHandle_handle),
				     ROOT_WEAK, 0);
	if (kind == kinds->cleanup) {
		if (!layout_has(l, L_specialCleanup_cleanup))
			return root_add_word(p, spans, roots,
					     s + layout_off(l, L_specialCleanup_fn), ROOT_CLEANUP,
					     0);
		return collect_cleanup_fn(p, spans, roots,
					  s + layout_off(l, L_specialCleanup_cleanup), ROOT_CLEANUP,
					  ROOT_CLEANUP_ARG);
	}
	return NULL;
}

static struct err *collect_finblocks(struct proc *p, const struct spans *spans, struct roots *roots)
{
	const struct layout *l = &p->layout;
	uint64_t b, cnt, next, max, ot;
	uint32_t steps = 0;
	struct err *err;

	if (!p->var.allfin)
		return NULL;
	err = image_read_word(p->img, p->var.allfin, &b);
	max = (layout_size(l, LS_finblock) - layout_off(l, L_finblock_fin)) /
	      layout_size(l, LS_finalizer);
	for (; !err && b; b = next) {
		if (++steps > LIMIT_BLOCKS)
			return err_create(ERR_LIMIT, "a finalizer queue without end");
		if ((err = proc_get(p, b, L_finblock_alllink, &next)) ||
		    (err = proc_get(p, b, L_finblock_cnt, &cnt)))
			break;
		for (uint64_t i = 0; !err && i < cnt && i < max; i++) {
			uint64_t f = b + layout_off(l, L_finblock_fin) +
				     i * layout_size(l, LS_finalizer);

			if ((err = proc_get(p, f, L_finalizer_ot, &ot)) ||
			    (err = root_add_word(p, spans, roots, f + layout_off(l, L_finalizer_fn),
						 ROOT_FIN_QUEUE, 0)) ||
			    (err = root_add_word(p, spans, roots,
						 f + layout_off(l, L_finalizer_arg), ROOT_FIN_QUEUE,
						 ot)) ||
			    (err = root_add_word(p, spans, roots,
						 f + layout_off(l, L_finalizer_fint),
						 ROOT_FIN_QUEUE, 0)))
				break;
			err = root_add(spans, roots, f + layout_off(l, L_finalizer_ot), ot,
				       ROOT_FIN_QUEUE, 0);
		}
	}
	return err_wrapf(err, "reading the finalizer queue");
}

static struct err *collect_cleanups(struct proc *p, const struct spans *spans, struct roots *roots)
{
	const struct layout *l = &p->layout;
	uint64_t b, n, next, words;
	uint32_t steps = 0;
	struct err *err;

	if (!p->var.gcCleanups || !layout_has(l, L_cleanupQueue_all))
		return NULL;
	/* an entry is a *funcval in 1.25, a cleanupFn of three pointers after it */
	words = layout_has(l, L_cleanupFn_call) ? layout_size(l, LS_cleanupFn) / p->fmt.word : 1;
	err = proc_get(p, p->var.gcCleanups, L_cleanupQueue_all, &b);
	for (; !err && b; b = next) {
		if (++steps > LIMIT_BLOCKS)
			return err_create(ERR_LIMIT, "a cleanup queue without end");
		if ((err = proc_get(p, b, L_cleanupBlock_alllink, &next)) ||
		    (err = proc_get(p, b, L_cleanupBlock_n, &n)))
			break;
		if (n * words * p->fmt.word > layout_size(l, LS_cleanupBlock))
			return err_create(ERR_BADDATA, "a cleanup block with %" PRIu64 " entries",
					  n);
		for (uint64_t i = 0; !err && i < n; i++) {
			uint64_t at = b + layout_off(l, L_cleanupBlock_cleanups) +
				      i * words * p->fmt.word;

			if (words == 1)
				err = root_add_word(p, spans, roots, at, ROOT_CLEANUP_QUEUE, 0);
			else
				err = collect_cleanup_fn(p, spans, roots, at, ROOT_CLEANUP_QUEUE,
							 ROOT_CLEANUP_QUEUE_ARG);
		}
	}
	return err_wrapf(err, "reading the cleanup queue");
}

static struct err *collect_tiny(struct proc *p, const struct spans *spans, struct roots *roots)
{
	uint64_t ptr, len, pp, mcache;
	struct err *err = proc_slice(p, p->var.allp, &ptr, &len);

	for (uint64_t i = 0; i < len && !err; i++) {
		err = image_read_word(p->img, ptr + i * p->fmt.word, &pp);
		if (!err && pp)
			err = proc_get(p, pp, L_p_mcache, &mcache);
		if (!err && pp && mcache)
			err = root_add_word(p, spans, roots,
					    mcache + layout_off(&p->layout, L_mcache_tiny),
					    ROOT_TINY, 0);
	}
	return err_wrapf(err, "reading tiny blocks");
}

struct err *roots_collect(struct proc *p, struct spans *spans, struct gcmasks *masks,
			  struct roots *roots)
{
	struct special_kinds kinds = special_kinds(&p->layout);
	struct err *err = NULL;
	uint64_t steps = 0, s;

	for (size_t i = 0; i < p->modules.v.n && !err; i++) {
		err = collect_segment(p, spans, &p->modules.v.v[i].data, roots);
		if (!err)
			err = collect_segment(p, spans, &p->modules.v.v[i].bss, roots);
	}
	for (size_t i = 0; i < spans->n && !err; i++)
		for (s = spans->v[i].specials; s && !err;) {
			if (++steps > LIMIT_SPECIALS)
				return err_create(ERR_LIMIT, "a chain of specials without end");
			err = collect_special(p, spans, masks, &kinds, &spans->v[i], s, roots);
			if (!err)
				err = proc_get(p, s, L_special_next, &s);
		}
	if (!err)
		err = collect_finblocks(p, spans, roots);
	if (!err)
		err = collect_cleanups(p, spans, roots);
	if (!err)
		err = collect_tiny(p, spans, roots);
	return err;
}

/* ------------------------------------------------------------------ counting */

struct err *roots_finalized(struct proc *p, const struct spans *spans, struct ranges *objs)
{
	struct special_kinds kinds = special_kinds(&p->layout);
	uint64_t s, kind, off, steps = 0;
	struct err *err = NULL;

	for (size_t i = 0; i < spans->n && !err; i++)
		for (s = spans->v[i].specials; s && !err;) {
			const struct span *sp = &spans->v[i];

			if (++steps > LIMIT_SPECIALS)
				return err_create(ERR_LIMIT, "a chain of specials without end");
			err = proc_get(p, s, L_special_kind, &kind);
			if (!err)
				err = proc_get(p, s, L_special_offset, &off);
			if (!err && kind == kinds.finalizer && off < sp->limit - sp->base)
				err = vec_push(
					objs, ((struct range){
						      span_slot(sp, span_index(sp, sp->base + off)),
						      sp->elemsize }));
			if (!err)
				err = proc_get(p, s, L_special_next, &s);
		}
	return err;
}

/* Sums a count over a chain of blocks. */
static struct err *count_blocks(struct proc *p, uint64_t block, enum layout_id next,
				enum layout_id count, uint64_t *ret)
{
	uint32_t steps = 0;
	uint64_t n;
	struct err *err = NULL;

	while (block && !err) {
		if (++steps > LIMIT_BLOCKS)
			return err_create(ERR_LIMIT, "a queue without end");
		err = proc_get(p, block, count, &n);
		if (!err)
			err = proc_get(p, block, next, &block);
		if (!err)
			*ret += n;
	}
	return err;
}

struct err *roots_queued(struct proc *p, uint64_t *finalizers, uint64_t *cleanups)
{
	uint64_t block = 0;
	struct err *err = p->var.allfin ? image_read_word(p->img, p->var.allfin, &block) : NULL;

	if (!err)
		err = count_blocks(p, block, L_finblock_alllink, L_finblock_cnt, finalizers);
	if (err || !p->var.gcCleanups || !layout_has(&p->layout, L_cleanupQueue_all))
		return err;
	err = proc_get(p, p->var.gcCleanups, L_cleanupQueue_all, &block);
	return err ? err :
		     count_blocks(p, block, L_cleanupBlock_alllink, L_cleanupBlock_n, cleanups);
}
