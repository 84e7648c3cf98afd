/*
 * How words are scrubbed (heap/acquire/scrub.h).  scrub_create() collects what stays whole; then
 * each piece of memory goes by what it belongs to: a span's objects, a stack, the variables of a
 * binary.
 */
#include "heap/acquire/scrub.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "heap/runtime/labels.h"
#include "target/ranges.h"

struct scrub {
	struct captured *c;
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

/* The range that holds addr, or else the next one; NULL: there is none. */
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
	const struct span *sp = spans_find(&s->c->spans, addr);
	uint64_t *val;

	return sp ? map64_put(&s->whole, span_slot(sp, span_index(sp, addr)), 1, &val, NULL) : NULL;
}

static struct err *add_stack(struct scrub *s, uint64_t lo, uint64_t hi)
{
	return lo && hi > lo ? vec_push(&s->stacks, ((struct range){ lo, hi - lo })) : NULL;
}

static struct err *keep_goroutine(struct scrub *s, const struct goroutine *g)
{
	const struct proc *p = &s->c->proc;
	uint64_t at, steps = 0;

	TRY(keep_object(s, g->addr));
	TRY(add_stack(s, g->lo, g->hi));
	if (!proc_try_word(p, g->addr + layout_off(&p->layout, L_g__defer), &at))
		return NULL;
	while (at && steps++ < LIMIT_SPECIALS) {
		TRY(keep_object(s, at));
		if (!proc_try_word(p, at + layout_off(&p->layout, L_defer_link), &at))
			break;
	}
	return NULL;
}

/* Goroutines with the defers that lie in the heap, threads, processors; and all stacks. */
static struct err *keep_runtime_objects(struct scrub *s)
{
	const struct proc *p = &s->c->proc;
	const struct stacks *st = &s->c->stacks;
	uint64_t ptr, len, at;

	for (size_t i = 0; i < st->gs.n; i++)
		TRY(keep_goroutine(s, &st->gs.v[i]));
	for (size_t i = 0; i < st->ms.n; i++) {
		const struct machine *m = &st->ms.v[i];

		TRY(keep_object(s, m->addr));
		TRY(add_stack(s, m->g0_lo, m->g0_hi));
		TRY(add_stack(s, m->sig_lo, m->sig_hi));
	}
	for (size_t i = 0; i < st->threads->n; i++) {
		uint64_t sp = st->threads->v[i].regs[p->machine->sp];

		if (st->threads->v[i].valid)
			TRY(add_stack(s, sp, sp + STACK_TOP));
	}
	TRY(proc_slice(p, p->var.allp, &ptr, &len));
	for (uint64_t i = 0; i < len && i < LIMIT_PS; i++)
		if (proc_try_word(p, ptr + i * p->fmt.word, &at))
			TRY(keep_object(s, at));
	return NULL;
}

/* Types made by reflect, as far as objects carry them. */
static struct err *keep_types(struct scrub *s)
{
	const struct proc *p = &s->c->proc;
	uint64_t type;

	for (size_t i = 0; i < s->c->spans.n; i++) {
		const struct span *sp = &s->c->spans.v[i];

		if (sp->ptrs == SPAN_LARGE && sp->large_type)
			TRY(keep_object(s, sp->large_type));
		for (uint32_t k = 0; sp->ptrs == SPAN_HEADER && k < sp->nelems; k++)
			if (span_alive(sp, k) && proc_try_word(p, span_slot(sp, k), &type))
				TRY(keep_object(s, type));
	}
	return NULL;
}

static struct err *know_itabs(struct scrub *s)
{
	const struct proc *p = &s->c->proc;
	uint64_t table, size, itab, *val, word = p->fmt.word;

	if (!p->var.itabTable || !proc_try_word(p, p->var.itabTable, &table) ||
	    !proc_try_word(p, table, &size) || size > LIMIT_ITABS)
		return NULL;
	for (uint64_t i = 0; i < size; i++) /* itabTableType: size, count, entries */
		if (proc_try_word(p, table + (2 + i) * word, &itab) && itab)
			TRY(map64_put(&s->itabs, itab, 1, &val, NULL));
	return NULL;
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
	const char *name;

	if (!n)
		return err_create(ERR_UNSUPPORTED,
				  "--scrub tells the runtime's variables by the symbol table, and "
				  "%s has none: give --debug an unstripped build",
				  b->elf ? elf_path(b->elf) : b->path);
	for (uint64_t i = 0; i < n; i++) {
		if (!elf_symbol_get(e, i, &name, &addr, &size) || !size || !is_runtime(name))
			continue;
		addr = own ? addr + b->bias : binary_data(b, addr);
		TRY(vec_push(&s->runtimes, ((struct range){ addr, size })));
	}
	return NULL;
}

struct err *scrub_create(struct captured *c, struct scrub **ret)
{
	_cleanup_(scrub_destroy) struct scrub *s = calloc(1, sizeof(*s));

	if (!s)
		return err_nomem();
	s->c = c;
	TRY(spans_attach(&c->proc, &c->spans));
	TRY(keep_runtime_objects(s));
	TRY(keep_types(s));
	TRY(know_itabs(s));
	for (size_t i = 0; i < c->proc.binaries.n; i++)
		TRY(keep_variables(s, &c->proc.binaries.v[i]));
	TRY(labels_plan(&c->proc, &c->spans, &c->stacks, &s->labels));
	ranges_merge(&s->stacks, 0);
	ranges_merge(&s->labels, 0);
	ranges_merge(&s->runtimes, 0);
	*ret = TAKE_PTR(s);
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
	return spans_page(&s->c->spans, v) || range_has(&s->stacks, v) || binary_at(&s->c->proc, v);
}

static void scrub_stack(const struct scrub *s, const struct window *w)
{
	struct bytes_fmt fmt = s->c->proc.fmt;

	for (uint64_t at = w->addr & ~(uint64_t)(fmt.word - 1); at < w->end; at += fmt.word) {
		uint64_t v = 0;

		if (at >= w->addr && w->end - at >= fmt.word)
			v = bytes_word(fmt, w->b + (at - w->addr));
		if (!leads_somewhere(s, v))
			wipe(w, at, at + fmt.word);
	}
}

/* Whether v is a function's entry, as in a closure; a number that is one by chance is rare. */
static struct err *is_entry(const struct scrub *s, uint64_t v, bool *ret)
{
	const struct func *f = NULL;

	if (binary_at(&s->c->proc, v))
		TRY(func_find(&s->c->proc, v, &f));
	*ret = f && f->entry == v;
	return NULL;
}

/* An interface's first word is a type or a table of methods, which the collector does not
 * follow. */
static bool is_type_word(const struct scrub *s, uint64_t v)
{
	return spans_page(&s->c->spans, v) || binary_at(&s->c->proc, v) || map64_get(&s->itabs, v);
}

/* The words of an object that are no pointers to objects.  ptr: at hi is a pointer, so that the
 * word before may be an interface's type. */
static struct err *scrub_rest(const struct scrub *s, const struct window *w, uint64_t lo,
			      uint64_t hi, bool ptr)
{
	uint64_t before = ptr ? hi - s->c->proc.fmt.word : 0;
	struct bytes_fmt fmt = s->c->proc.fmt;

	lo = lo > w->addr ? lo : w->addr;
	hi = hi < w->end ? hi : w->end;
	for (; lo < hi; lo += fmt.word) {
		uint64_t v = hi - lo >= fmt.word ? bytes_word(fmt, w->b + (lo - w->addr)) : 1;
		bool keep = lo == before && is_type_word(s, v);

		if (v && !keep)
			TRY(is_entry(s, v, &keep));
		if (v && !keep)
			wipe(w, lo, lo + fmt.word);
	}
	return NULL;
}

static struct err *scrub_object(const struct scrub *s, const struct span *sp, uint32_t index,
				const struct window *w)
{
	uint64_t slot = span_slot(sp, index), end = slot + sp->elemsize;
	uint64_t done = slot + span_data_off(sp), word;
	unsigned size = s->c->proc.fmt.word;
	struct ptr_iter it;
	bool bad = false;

	if (!sp->unswept && !span_alive(sp, index)) {
		wipe(w, slot, end);
		return NULL;
	}
	if (map64_get(&s->whole, slot))
		return NULL;
	if (ptr_iter_init(&it, &s->c->proc, &s->c->masks, sp, index, &bad))
		while (done < w->end && ptr_iter_next(&it, &word)) {
			TRY(scrub_rest(s, w, done, slot + word * size, true));
			done = slot + (word + 1) * size;
		}
	return scrub_rest(s, w, done, end, false);
}

static struct err *scrub_span(const struct scrub *s, const struct span *sp, const struct window *w)
{
	uint64_t slots = sp->base + (uint64_t)sp->nelems * sp->elemsize;

	/* only what the runtime keeps there was asked for, and labels */
	if (sp->ptrs == SPAN_NOSCAN) {
		const struct range *r = range_from(&s->labels, w->addr);

		for (; r && r < s->labels.v + s->labels.n && r->addr < w->end; r++)
			wipe(w, r->addr, r->addr + r->len);
		return NULL;
	}
	for (uint64_t at = w->addr; at < w->end && at < slots;) {
		uint32_t i = span_index(sp, at);

		TRY(scrub_object(s, sp, i, w));
		at = span_slot(sp, i) + sp->elemsize;
	}
	return NULL;
}

static bool masked(const uint8_t *mask, const struct bitmap_root *seg, uint64_t i)
{
	return mask && i < seg->nbits && mask[i >> 3] >> (i & 7) & 1;
}

/* Variables by a module's mask. */
static void scrub_masked(const struct scrub *s, const struct bitmap_root *seg,
			 const struct window *w)
{
	const struct proc *p = &s->c->proc;
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

/* The module's root segment that holds addr; NULL: none.  *end is lowered to where that ends or the
 * next one begins. */
static const struct bitmap_root *root_segment(const struct modules *m, uint64_t addr, uint64_t *end)
{
	const struct bitmap_root *in = NULL;

	for (size_t i = 0; i < m->v.n; i++) {
		const struct bitmap_root *segs[] = { &m->v.v[i].data, &m->v.v[i].bss };

		for (size_t k = 0; k < 2; k++) {
			if (addr >= segs[k]->start && addr < segs[k]->end) {
				in = segs[k];
				*end = segs[k]->end < *end ? segs[k]->end : *end;
			} else if (segs[k]->start > addr && segs[k]->start < *end) {
				*end = segs[k]->start;
			}
		}
	}
	return in;
}

/* One piece of variables, none of them the runtime's. */
static void scrub_variables(const struct scrub *s, struct window w)
{
	while (w.addr < w.end) {
		struct window part = w;
		const struct bitmap_root *in = root_segment(&s->c->proc.modules, w.addr, &part.end);

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

/* The variables of a binary, as far as they can be written. */
static void scrub_binary(const struct scrub *s, const struct binary *b, struct window w)
{
	for (size_t i = 0; i < b->segments.n; i++)
		if (b->segments.v[i].write && w.addr - b->segments.v[i].addr < b->segments.v[i].len)
			scrub_segment(s, w);
}

/* Scrubs the beginning of w, as far as it belongs to one thing; w->end becomes the end of that. */
static struct err *scrub_piece(const struct scrub *s, struct window *w)
{
	const struct span *sp = spans_page(&s->c->spans, w->addr);
	const struct range *stack = range_from(&s->stacks, w->addr);
	uint64_t next = (w->addr | (GO_PAGE - 1)) + 1;
	const struct binary *bin;

	if (sp && w->addr >= sp->base && w->addr < sp->base + sp->npages * GO_PAGE) {
		next = sp->base + sp->npages * GO_PAGE;
		w->end = next < w->end ? next : w->end;
		return scrub_span(s, sp, w);
	}
	if (stack && stack->addr <= w->addr) {
		next = stack->addr + stack->len < next ? stack->addr + stack->len : next;
		w->end = next < w->end ? next : w->end;
		scrub_stack(s, w);
		return NULL;
	}
	if (stack && stack->addr < next)
		next = stack->addr;
	w->end = next < w->end ? next : w->end;
	bin = binary_at(&s->c->proc, w->addr);
	if (bin)
		scrub_binary(s, bin, *w);
	return NULL;
}

struct err *scrub_words(void *scrub, uint64_t addr, uint8_t *b, uint64_t len)
{
	const struct scrub *s = scrub;
	uint64_t end = addr + len;

	while (addr < end) {
		struct window w = { addr, end, b };

		TRY(scrub_piece(s, &w));
		b += w.end - addr;
		addr = w.end;
	}
	return NULL;
}

void scrub_threads(const struct scrub *s, struct threads *threads)
{
	for (size_t i = 0; i < threads->n; i++)
		for (unsigned k = 0; k < s->c->proc.machine->nregs; k++)
			if (!leads_somewhere(s, threads->v[i].regs[k]))
				threads->v[i].regs[k] = 0;
}
