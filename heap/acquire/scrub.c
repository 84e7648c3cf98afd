#include "heap/acquire/scrub.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "heap/report/goroutine_heap.h"
#include "heap/heap_int.h"
#include "target/ranges.h"

enum { STACK_TOP = 16 << 10 }; /* as machines_check() */

struct scrub {
	struct heap *h;
	struct map64 whole;     /* addresses of slots that stay as they are */
	struct ranges stacks;   /* sorted, apart */
	struct ranges labels;   /* texts of goroutines' labels: the same */
	struct map64 itabs;     /* made at run time */
	struct ranges runtimes; /* the runtime's variables: sorted, apart */
};

void scrub_destroy(struct scrub **ps)
{
	struct scrub *s = *ps;

	if (!s)
		return;
	map64_deinit(&s->whole);
	map64_deinit(&s->itabs);
	vec_deinit(&s->stacks);
	vec_deinit(&s->labels);
	vec_deinit(&s->runtimes);
	free(s);
}

/* ------------------------------------------------------------------ what stays */

/* The range that holds addr or, failing that, the next one; NULL: none. */
static const struct range *range_from(const struct ranges *r, uint64_t addr)
{
	size_t i = ranges_lookup(r, addr);

	return i < r->n ? &r->v[i] : NULL;
}

static bool range_has(const struct ranges *r, uint64_t addr)
{
	const struct range *x = range_from(r, addr);

	return x && x->addr <= addr;
}

static struct err *keep_object(struct scrub *s, uint64_t addr)
{
	const struct span *sp = spans_find(&s->h->spans, addr);
	uint64_t *val;

	return sp ? map64_put(&s->whole, span_slot(sp, span_index(sp, addr)), 1, &val, NULL) : NULL;
}

static struct err *add_stack(struct scrub *s, uint64_t lo, uint64_t hi)
{
	return lo && hi > lo ? vec_push(&s->stacks, ((struct range){ lo, hi - lo })) : NULL;
}

/* Goroutines, threads, processors, and the defers that lie in the heap. */
static struct err *keep_runtime_objects(struct scrub *s)
{
	const struct proc *p = &s->h->proc;
	const struct stacks *st = &s->h->stacks;
	uint64_t ptr, len = 0, at, steps = 0;
	struct err *err = NULL;

	for (size_t i = 0; i < st->gs.n && !err; i++) {
		const struct goroutine *g = &st->gs.v[i];

		err = keep_object(s, g->addr);
		if (!err)
			err = add_stack(s, g->lo, g->hi);
		if (err || !proc_try_word(p, g->addr + layout_off(&p->layout, L_g__defer), &at))
			continue;
		while (at && steps++ < LIMIT_SPECIALS && !err) {
			err = keep_object(s, at);
			if (!proc_try_word(p, at + layout_off(&p->layout, L_defer_link), &at))
				break;
		}
	}
	for (size_t i = 0; i < st->ms.n && !err; i++) {
		const struct machine *m = &st->ms.v[i];

		err = keep_object(s, m->addr);
		if (!err)
			err = add_stack(s, m->g0_lo, m->g0_hi);
		if (!err)
			err = add_stack(s, m->sig_lo, m->sig_hi);
	}
	for (size_t i = 0; i < st->threads->n && !err; i++) {
		uint64_t sp = st->threads->v[i].regs[p->machine->sp];

		if (st->threads->v[i].valid)
			err = add_stack(s, sp, sp + STACK_TOP);
	}
	if (!err)
		err = proc_slice(p, p->var.allp, &ptr, &len);
	for (uint64_t i = 0; i < len && i < LIMIT_PS && !err; i++)
		if (proc_try_word(p, ptr + i * p->fmt.word, &at))
			err = keep_object(s, at);
	return err;
}

/* Types made by reflect, as far as objects carry them. */
static struct err *keep_types(struct scrub *s)
{
	const struct proc *p = &s->h->proc;
	struct err *err = NULL;
	uint64_t type;

	for (size_t i = 0; i < s->h->spans.n && !err; i++) {
		const struct span *sp = &s->h->spans.v[i];

		if (sp->ptrs == SPAN_LARGE && sp->large_type)
			err = keep_object(s, sp->large_type);
		for (uint32_t k = 0; sp->ptrs == SPAN_HEADER && k < sp->nelems && !err; k++)
			if (span_alive(sp, k) && proc_try_word(p, span_slot(sp, k), &type))
				err = keep_object(s, type);
	}
	return err;
}

static struct err *know_itabs(struct scrub *s)
{
	const struct proc *p = &s->h->proc;
	uint64_t table, size, itab, *val, word = p->fmt.word;
	struct err *err = NULL;

	if (!p->var.itabTable || !proc_try_word(p, p->var.itabTable, &table) ||
	    !proc_try_word(p, table, &size) || size > LIMIT_ITABS)
		return NULL;
	for (uint64_t i = 0; i < size && !err; i++) /* itabTableType: size, count, entries */
		if (proc_try_word(p, table + (2 + i) * word, &itab) && itab)
			err = map64_put(&s->itabs, itab, 1, &val, NULL);
	return err;
}

/* Packages that the runtime is made of, and what the linker makes for it. */
static bool is_runtime(const char *name)
{
	static const char *const packages[] = { "runtime.",
						"runtime/internal/",
						"internal/runtime/",
						"internal/cpu.",
						"internal/abi.",
						"internal/bytealg.",
						"go:",
						"go.",
						"type:",
						"type." };

	for (size_t i = 0; i < sizeof(packages) / sizeof(*packages); i++)
		if (!strncmp(name, packages[i], strlen(packages[i])))
			return true;
	return false;
}

static struct err *keep_variables(struct scrub *s, const struct binary *b)
{
	bool own = b->elf && elf_symbol_count(b->elf);
	const struct elf *e = own ? b->elf : b->debug.elf;
	uint64_t n = e ? elf_symbol_count(e) : 0, addr, size;
	struct err *err = NULL;
	const char *name;

	if (!n)
		return err_create(
			ERR_UNSUPPORTED,
			"--scrub tells the runtime's variables by the symbol table, and %s has none: "
			"give --debug an unstripped build",
			b->elf ? elf_path(b->elf) : b->path);
	for (uint64_t i = 0; i < n && !err; i++)
		if (elf_symbol_get(e, i, &name, &addr, &size) && size && is_runtime(name))
			err = vec_push(&s->runtimes,
				       ((struct range){ own ? addr + b->bias : binary_data(b, addr),
							size }));
	return err;
}

struct err *scrub_create(struct heap *h, struct scrub **ret)
{
	struct scrub *s = calloc(1, sizeof(*s));
	struct err *err;

	if (!s)
		return err_nomem();
	s->h = h;
	err = spans_attach(&h->proc, &h->spans);
	if (!err)
		err = keep_runtime_objects(s);
	if (!err)
		err = keep_types(s);
	if (!err)
		err = know_itabs(s);
	for (size_t i = 0; i < h->proc.binaries.n && !err; i++)
		err = keep_variables(s, &h->proc.binaries.v[i]);
	if (!err)
		err = labels_plan(h, &s->labels);
	ranges_merge(&s->stacks, 0);
	ranges_merge(&s->labels, 0);
	ranges_merge(&s->runtimes, 0);
	if (err) {
		scrub_destroy(&s);
		return err;
	}
	*ret = s;
	return NULL;
}

/* ------------------------------------------------------------------ what goes */

/* A window of memory: the part of it that is looked at. */
struct window {
	uint64_t addr, end;
	uint8_t *b; /* of addr */
};

/* Zero from lo to hi, as far as they are in the window. */
static void wipe(const struct window *w, uint64_t lo, uint64_t hi)
{
	lo = lo > w->addr ? lo : w->addr;
	hi = hi < w->end ? hi : w->end;
	if (lo < hi)
		memset(w->b + (lo - w->addr), 0, hi - lo);
}

static bool leads_somewhere(const struct scrub *s, uint64_t v)
{
	return spans_page(&s->h->spans, v) || range_has(&s->stacks, v) || binary_at(&s->h->proc, v);
}

static void scrub_stack(const struct scrub *s, const struct window *w)
{
	struct bytes_fmt fmt = s->h->proc.fmt;

	for (uint64_t at = w->addr & ~(uint64_t)(fmt.word - 1); at < w->end; at += fmt.word) {
		uint64_t v = 0;

		if (at >= w->addr && w->end - at >= fmt.word)
			v = bytes_word(fmt, w->b + (at - w->addr));
		if (!leads_somewhere(s, v))
			wipe(w, at, at + fmt.word);
	}
}

/* A closure's function; a number that is an entry's address by chance is rare. */
static struct err *is_entry(const struct scrub *s, uint64_t v, bool *ret)
{
	const struct func *f = NULL;
	struct err *err = binary_at(&s->h->proc, v) ? func_find(&s->h->proc, v, &f) : NULL;

	*ret = f && f->entry == v;
	return err;
}

/* An interface's first word: a type or a table of methods, which the collector does not follow. */
static bool is_type_word(const struct scrub *s, uint64_t v)
{
	return spans_page(&s->h->spans, v) || binary_at(&s->h->proc, v) || map64_get(&s->itabs, v);
}

/* Words of an object that are no pointers to objects; at hi is one, if ptr. */
static struct err *scrub_rest(const struct scrub *s, const struct window *w, uint64_t lo,
			      uint64_t hi, bool ptr)
{
	uint64_t before = ptr ? hi - s->h->proc.fmt.word : 0;
	struct bytes_fmt fmt = s->h->proc.fmt;
	struct err *err = NULL;

	lo = lo > w->addr ? lo : w->addr;
	hi = hi < w->end ? hi : w->end;
	for (; lo < hi && !err; lo += fmt.word) {
		uint64_t v = hi - lo >= fmt.word ? bytes_word(fmt, w->b + (lo - w->addr)) : 1;
		bool keep = lo == before && is_type_word(s, v);

		if (v && !keep)
			err = is_entry(s, v, &keep);
		if (v && !keep)
			wipe(w, lo, lo + fmt.word);
	}
	return err;
}

static struct err *scrub_object(const struct scrub *s, const struct span *sp, uint32_t index,
				const struct window *w)
{
	uint64_t slot = span_slot(sp, index), end = slot + sp->elemsize,
		 done = slot + span_data_off(sp), word;
	unsigned size = s->h->proc.fmt.word;
	struct err *err = NULL;
	struct ptr_iter it;
	bool bad = false;

	if (!sp->unswept && !span_alive(sp, index)) {
		wipe(w, slot, end);
		return NULL;
	}
	if (map64_get(&s->whole, slot))
		return NULL;
	if (ptr_iter_init(&it, &s->h->proc, &s->h->masks, sp, index, &bad))
		while (done < w->end && !err && ptr_iter_next(&it, &word)) {
			err = scrub_rest(s, w, done, slot + word * size, true);
			done = slot + (word + 1) * size;
		}
	return err ? err : scrub_rest(s, w, done, end, false);
}

static struct err *scrub_span(const struct scrub *s, const struct span *sp, const struct window *w)
{
	uint64_t slots = sp->base + (uint64_t)sp->nelems * sp->elemsize;
	struct err *err = NULL;

	/* only what the runtime keeps there was asked for, and labels */
	if (sp->ptrs == SPAN_NOSCAN) {
		const struct range *r = range_from(&s->labels, w->addr);

		for (; r && r < s->labels.v + s->labels.n && r->addr < w->end; r++)
			wipe(w, r->addr, r->addr + r->len);
		return NULL;
	}
	for (uint64_t at = w->addr; at < w->end && at < slots && !err;) {
		uint32_t i = span_index(sp, at);

		err = scrub_object(s, sp, i, w);
		at = span_slot(sp, i) + sp->elemsize;
	}
	return err;
}

static bool masked(const uint8_t *mask, const struct bitmap_root *seg, uint64_t i)
{
	return mask && i < seg->nbits && mask[i >> 3] >> (i & 7) & 1;
}

/* Variables by a module's mask. */
static void scrub_masked(const struct scrub *s, const struct bitmap_root *seg,
			 const struct window *w)
{
	const struct proc *p = &s->h->proc;
	const uint8_t *mask = image_ptr(p->img, seg->mask, (seg->nbits + 7) / 8, NULL);

	for (uint64_t at = w->addr; at < w->end; at += p->fmt.word) {
		uint64_t i = (at - seg->start) / p->fmt.word;

		if (masked(mask, seg, i))
			continue;
		if (w->end - at < p->fmt.word || !masked(mask, seg, i + 1) ||
		    !is_type_word(s, bytes_word(p->fmt, w->b + (at - w->addr))))
			wipe(w, at, at + p->fmt.word);
	}
}

/* One piece of variables, none of them the runtime's. */
static void scrub_variables(const struct scrub *s, struct window w)
{
	const struct modules *m = &s->h->proc.modules;

	while (w.addr < w.end) {
		const struct bitmap_root *in = NULL;
		struct window part = w;

		for (size_t i = 0; i < m->v.n; i++) {
			const struct bitmap_root *segs[] = { &m->v.v[i].data, &m->v.v[i].bss };

			for (size_t k = 0; k < 2; k++) {
				if (w.addr >= segs[k]->start && w.addr < segs[k]->end) {
					in = segs[k];
					part.end =
						segs[k]->end < part.end ? segs[k]->end : part.end;
				} else if (segs[k]->start > w.addr && segs[k]->start < part.end) {
					part.end = segs[k]->start;
				}
			}
		}
		if (in)
			scrub_masked(s, in, &part);
		else
			wipe(&w, part.addr, part.end);
		w.b += part.end - w.addr;
		w.addr = part.end;
	}
}

static void scrub_segment(const struct scrub *s, struct window w)
{
	while (w.addr < w.end) {
		const struct range *keep = range_from(&s->runtimes, w.addr);
		struct window part = w;
		uint64_t next;

		if (keep && keep->addr <= w.addr) {
			next = keep->addr + keep->len;
		} else {
			next = keep ? keep->addr : w.end;
			part.end = next < w.end ? next : w.end;
			scrub_variables(s, part);
		}
		if (next >= w.end)
			return;
		w.b += next - w.addr;
		w.addr = next;
	}
}

struct err *scrub_words(void *scrub, uint64_t addr, uint8_t *b, uint64_t len)
{
	const struct scrub *s = scrub;
	const struct proc *p = &s->h->proc;
	uint64_t end = addr + len;
	struct err *err = NULL;

	while (addr < end && !err) {
		const struct span *sp = spans_page(&s->h->spans, addr);
		const struct range *stack = range_from(&s->stacks, addr);
		const struct binary *bin = NULL;
		uint64_t next = (addr | (GO_PAGE - 1)) + 1;
		struct window w = { addr, end, b };

		if (sp && addr >= sp->base && addr < sp->base + sp->npages * GO_PAGE) {
			next = sp->base + sp->npages * GO_PAGE;
		} else if (stack && stack->addr <= addr) {
			sp = NULL;
			next = stack->addr + stack->len < next ? stack->addr + stack->len : next;
		} else {
			sp = NULL;
			bin = binary_at(p, addr);
			if (stack && stack->addr < next)
				next = stack->addr;
		}
		if (next < w.end)
			w.end = next;
		if (sp)
			err = scrub_span(s, sp, &w);
		else if (stack && stack->addr <= addr)
			scrub_stack(s, &w);
		else if (bin)
			for (size_t i = 0; i < bin->segments.n; i++)
				if (bin->segments.v[i].write &&
				    addr - bin->segments.v[i].addr < bin->segments.v[i].len)
					scrub_segment(s, w);
		b += w.end - addr;
		addr = w.end;
	}
	return err;
}

void scrub_threads(const struct scrub *s, struct threads *threads)
{
	for (size_t i = 0; i < threads->n; i++)
		for (unsigned k = 0; k < s->h->proc.machine->nregs; k++)
			if (!leads_somewhere(s, threads->v[i].regs[k]))
				threads->v[i].regs[k] = 0;
}
