/*
 * Page tables are fetched level by level, many at a time, so that a walk of any number of pages
 * costs as many round trips as there are levels.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "target/guest_int.h"
#include "target/store.h"

enum { ENTRIES = 512, PAGE_SHIFT = 12, LEVEL_SHIFT = 9, LARGE_LEVELS = 3 };
enum { LOOK_EVERY = 1 << 15 }; /* tables; at the memory that is left: 128 MB */

void pages_init(struct pages *p, const struct arch_guest *arch, struct mem_source *memory,
		uint64_t end)
{
	*p = (struct pages){ .arch = arch, .memory = memory, .end = end, .levels = 4 };
}

void pages_forget(struct pages *p)
{
	for (size_t i = 0; i < p->v.n; i++)
		free(p->v.v[i]);
	vec_deinit(&p->v);
	map64_deinit(&p->index);
	p->index = (struct map64)MAP64_INIT;
}

/* The table at pa; NULL: it was not fetched. */
static const uint8_t *table_at(const struct pages *p, uint64_t pa)
{
	const uint64_t *i = map64_get(&p->index, pa);

	return i ? p->v.v[*i] : NULL;
}

static uint64_t entry_at(const uint8_t *t, uint64_t i)
{
	return bytes_u64((struct bytes_fmt){ 8, false }, t + 8 * i);
}

static unsigned shift_of(unsigned level) /* 1: the last */
{
	return PAGE_SHIFT + LEVEL_SHIFT * (level - 1);
}

/* The first address of the next entry; 0 behind the last. */
static uint64_t next_of(uint64_t va, unsigned level)
{
	return (va | ((1ull << shift_of(level)) - 1)) + 1;
}

/* Makes room for the table at pa, to be read by *r; its index has it from now on. */
static struct err *add_table(struct pages *p, uint64_t pa, struct mem_range *r)
{
	_cleanup_free_ uint8_t *t = NULL;
	uint64_t *val;
	bool is_new;

	if (p->v.n >= LIMIT_PAGE_TABLES)
		return err_create(ERR_LIMIT, "over %u page tables", LIMIT_PAGE_TABLES);
	if (p->v.n && p->v.n % LOOK_EVERY == 0 &&
	    store_memory_left() < 2ull * LOOK_EVERY * GUEST_PAGE)
		return err_create(ERR_LIMIT,
				  "%zu MB of page tables, and this machine has no memory left for "
				  "more",
				  p->v.n * GUEST_PAGE >> 20);
	t = malloc(GUEST_PAGE);
	if (!t)
		return err_nomem();
	TRY(vec_push(&p->v, t));
	*r = (struct mem_range){ pa, GUEST_PAGE, TAKE_PTR(t), 0 };
	return map64_put(&p->index, pa, p->v.n - 1, &val, &is_new);
}

static struct err *read_tables(struct pages *p, const struct ranges *want)
{
	_cleanup_vec_ VEC(struct mem_range) todo = VEC_INIT;

	for (size_t i = 0; i < want->n; i++) {
		struct mem_range r;

		if (want->v[i].addr >= p->end || table_at(p, want->v[i].addr))
			continue;
		TRY(add_table(p, want->v[i].addr, &r));
		TRY(vec_push(&todo, r));
	}
	if (todo.n)
		TRY(p->memory->readv(p->memory, todo.v, todo.n));
	for (size_t i = 0; i < todo.n; i++)
		if (todo.v[i].got < GUEST_PAGE)
			memset(todo.v[i].dst + todo.v[i].got, 0, GUEST_PAGE - todo.v[i].got);
	return NULL;
}

/* Reads these tables, each once; want is emptied.  On errors all are forgotten: what some of them
 * hold is not known. */
static struct err *fetch_tables(struct pages *p, struct ranges *want)
{
	struct err *err = read_tables(p, want);

	want->n = 0;
	if (err)
		pages_forget(p);
	return err;
}

static bool leads_on(const struct pages *p, uint64_t e, unsigned level)
{
	return e & p->arch->present && level > 1 && !(level <= LARGE_LEVELS && e & p->arch->large);
}

static struct err *too_many(void)
{
	return err_create(ERR_LIMIT, "a guest's process has over %u pages", LIMIT_GUEST_PAGES);
}

/* Walks from the top table towards va, down to `level` at most: the entry there in *e, and the
 * level that the walk ended at; false: the table with that entry was not fetched. */
static bool walk_to(const struct pages *p, uint64_t root, uint64_t va, unsigned level, uint64_t *e,
		    unsigned *at)
{
	const uint8_t *t = table_at(p, root);

	for (*at = p->levels, *e = 0; t && *at >= level; --*at) {
		*e = entry_at(t, va >> shift_of(*at) & (ENTRIES - 1));
		if (*at == level || !leads_on(p, *e, *at))
			break;
		t = table_at(p, *e & p->arch->addr);
	}
	return t;
}

/* The tables that the entries of one level for these addresses name. */
static struct err *add_level(const struct pages *p, uint64_t root, unsigned level,
			     const struct mem_range *ranges, size_t n, struct ranges *want)
{
	uint64_t last = UINT64_MAX, steps = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t va = ranges[i].addr, end = va + ranges[i].len;

		for (bool on = va < end; on; on = va && va < end) {
			unsigned at;
			uint64_t e;
			bool there = walk_to(p, root, va, level, &e, &at);

			if (there && at == level && leads_on(p, e, at) &&
			    va >> shift_of(at) != last)
				TRY(vec_push(want,
					     ((struct range){ e & p->arch->addr, GUEST_PAGE })));
			if (at == level)
				last = va >> shift_of(at);
			if (steps++ > LIMIT_GUEST_PAGES)
				return too_many();
			va = next_of(va, at);
		}
	}
	return NULL;
}

struct err *pages_fetch(struct pages *p, uint64_t root, const struct mem_range *ranges, size_t n)
{
	_cleanup_vec_ struct ranges want = VEC_INIT;

	TRY(vec_push(&want, ((struct range){ root, GUEST_PAGE })));
	TRY(fetch_tables(p, &want));
	for (unsigned level = p->levels; level > 1; level--) {
		TRY(add_level(p, root, level, ranges, n, &want));
		TRY(fetch_tables(p, &want));
	}
	return NULL;
}

struct page pages_walk(const struct pages *p, uint64_t root, uint64_t va)
{
	struct page ret = { PAGE_NONE, 0, GUEST_PAGE, true, true, true };
	const uint8_t *t = table_at(p, root);

	for (unsigned level = p->levels; t; level--) {
		uint64_t e = entry_at(t, va >> shift_of(level) & (ENTRIES - 1));
		uint64_t size = 1ull << shift_of(level);

		ret.size = size;
		if (!(e & p->arch->present)) {
			bool last = level == 1 || (level <= LARGE_LEVELS && e & p->arch->large);

			if (!e && level <= LARGE_LEVELS)
				/* within the reach of a top table's entry of four levels */
				ret.kind = PAGE_UNTOUCHED;
			else if (last && e & p->arch->hidden) {
				ret.kind = PAGE_MAPPED;
				ret.pa = (~e & p->arch->addr & ~(size - 1)) | (va & (size - 1));
			} else if (e)
				ret.kind = PAGE_SWAPPED;
			break;
		}
		ret.user &= !!(e & p->arch->user);
		ret.write &= !!(e & p->arch->write);
		/* With page-table isolation the kernel's copy of the top table forbids what the
		 * process may. */
		ret.exec &= level == p->levels || !(e & p->arch->noexec);
		if (!leads_on(p, e, level)) {
			ret.kind = PAGE_MAPPED;
			ret.pa = (e & p->arch->addr & ~(size - 1)) | (va & (size - 1));
			break;
		}
		t = table_at(p, e & p->arch->addr);
	}
	if (ret.kind == PAGE_MAPPED && ret.pa >= p->end)
		ret.kind = PAGE_NONE;
	return ret;
}

uint64_t pages_second(const struct pages *p, uint64_t root, uint64_t va)
{
	const uint8_t *t = table_at(p, root);
	uint64_t e = t ? entry_at(t, va >> shift_of(p->levels) & (ENTRIES - 1)) : 0;

	return leads_on(p, e, p->levels) ? e & p->arch->addr : 0;
}

/* ------------------------------------------------------------------ all of a process */

struct each {
	struct pages *p;
	bool (*each)(void *arg, const struct mapping *m);
	void *arg;
	struct mapping run;
	bool on;
};

/* Hands on the run that has ended; false: no more is wanted. */
static bool each_flush(struct each *x)
{
	bool on = !x->run.size || x->each(x->arg, &x->run);

	x->run.size = 0;
	return on;
}

static void each_add(struct each *x, uint64_t va, const struct page *pg)
{
	struct mapping *m = &x->run;

	if (m->size && m->va + m->size == va && m->write == pg->write && m->exec == pg->exec) {
		m->size += pg->size;
		return;
	}
	x->on = each_flush(x);
	*m = (struct mapping){ va, pg->size, pg->write, pg->exec };
}

struct err *pages_each(struct pages *p, uint64_t root, uint64_t from, uint64_t to,
		       bool (*each)(void *arg, const struct mapping *m), void *arg)
{
	struct each x = { .p = p, .each = each, .arg = arg, .on = true };
	const struct mem_range all = { from, to - from, NULL, 0 };
	uint64_t steps = 0;

	TRY(pages_fetch(p, root, &all, 1));
	while (from < to && x.on) {
		struct page pg = pages_walk(p, root, from);

		if (pg.kind == PAGE_MAPPED && pg.user)
			each_add(&x, from & ~(pg.size - 1), &pg);
		from = (from | (pg.size - 1)) + 1;
		if (steps++ > LIMIT_GUEST_PAGES)
			return too_many();
	}
	if (x.on)
		each_flush(&x);
	return NULL;
}
