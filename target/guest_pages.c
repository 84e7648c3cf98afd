/*
 * Page tables: fetched level by level, many at a time, so that a walk costs as many round trips as
 * there are levels.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "target/guest_int.h"

enum { ENTRIES = 512, TOP_SHIFT = 12, LEVEL_SHIFT = 9 };

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

static const uint8_t *table(const struct pages *p, uint64_t pa)
{
	const uint64_t *i = map64_get(&p->index, pa);

	return i ? p->v.v[*i] : NULL;
}

static uint64_t entry(const uint8_t *t, uint64_t i)
{
	return bytes_u64((struct bytes_fmt){ 8, false }, t + 8 * i);
}

static unsigned shift_of(unsigned level) /* 1: the last */
{
	return TOP_SHIFT + LEVEL_SHIFT * (level - 1);
}

/* The first address of the next entry; 0 behind the last. */
static uint64_t next_of(uint64_t va, unsigned level)
{
	return (va | ((1ull << shift_of(level)) - 1)) + 1;
}

/* Reads these tables, each once; want is emptied. */
static struct err *fetch(struct pages *p, struct ranges *want)
{
	VEC(struct mem_range) todo = VEC_INIT;
	struct err *err = NULL;

	for (size_t i = 0; i < want->n && !err; i++) {
		uint64_t *val;
		uint8_t *t;
		bool is_new;

		if (want->v[i].addr >= p->end || table(p, want->v[i].addr))
			continue;
		if (p->v.n >= LIMIT_PAGE_TABLES) {
			err = err_create(ERR_LIMIT, "over %u page tables", LIMIT_PAGE_TABLES);
			break;
		}
		t = malloc(GUEST_PAGE);
		err = t ? vec_push(&p->v, t) : err_nomem();
		if (err) {
			free(t);
			break;
		}
		err = map64_put(&p->index, want->v[i].addr, p->v.n - 1, &val, &is_new);
		if (!err)
			err = vec_push(&todo,
				       ((struct mem_range){ want->v[i].addr, GUEST_PAGE, t, 0 }));
	}
	want->n = 0;
	if (!err && todo.n)
		err = p->memory->readv(p->memory, todo.v, todo.n);
	for (size_t i = 0; i < todo.n && !err; i++)
		if (todo.v[i].got < GUEST_PAGE)
			memset(todo.v[i].dst + todo.v[i].got, 0, GUEST_PAGE - todo.v[i].got);
	if (err) /* what lies there is not known */
		pages_forget(p);
	vec_deinit(&todo);
	return err;
}

static bool leads_on(const struct pages *p, uint64_t e, unsigned level)
{
	return e & p->arch->present && level > 1 && !(level < 4 && e & p->arch->large);
}

static struct err *too_many(void)
{
	return err_create(ERR_LIMIT, "a guest's process has over %u pages", LIMIT_GUEST_PAGES);
}

struct err *pages_fetch(struct pages *p, uint64_t root, const struct mem_range *ranges, size_t n)
{
	struct ranges want = VEC_INIT;
	struct err *err = vec_push(&want, ((struct range){ root, GUEST_PAGE }));

	if (!err)
		err = fetch(p, &want);
	/* At each level: the tables that the addresses' entries name. */
	for (unsigned level = p->levels; level > 1 && !err; level--) {
		uint64_t last = UINT64_MAX, steps = 0;

		for (size_t i = 0; i < n && !err; i++) {
			uint64_t va = ranges[i].addr, end = va + ranges[i].len;

			for (bool on = va < end; on && !err;) {
				const uint8_t *t = table(p, root);
				unsigned l = p->levels;
				uint64_t e = 0;

				for (; t && l >= level; l--) {
					e = entry(t, va >> shift_of(l) & (ENTRIES - 1));
					if (l == level || !leads_on(p, e, l))
						break;
					t = table(p, e & p->arch->addr);
				}
				if (t && l == level && leads_on(p, e, l) &&
				    va >> shift_of(l) != last)
					err = vec_push(&want, ((struct range){ e & p->arch->addr,
									       GUEST_PAGE }));
				if (l == level)
					last = va >> shift_of(l);
				if (steps++ > LIMIT_GUEST_PAGES)
					err = err ? err : too_many();
				va = next_of(va, l);
				on = va && va < end;
			}
		}
		if (!err)
			err = fetch(p, &want);
	}
	vec_deinit(&want);
	return err;
}

struct page pages_walk(const struct pages *p, uint64_t root, uint64_t va)
{
	struct page ret = { PAGE_NONE, 0, GUEST_PAGE, true, true, true };
	const uint8_t *t = table(p, root);

	for (unsigned level = p->levels; t; level--) {
		uint64_t e = entry(t, va >> shift_of(level) & (ENTRIES - 1));
		uint64_t size = 1ull << shift_of(level);

		ret.size = size;
		if (!(e & p->arch->present)) {
			bool last = level == 1 || (level < 4 && e & p->arch->large);

			if (!e && level < 4)
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
		t = table(p, e & p->arch->addr);
	}
	if (ret.kind == PAGE_MAPPED && ret.pa >= p->end)
		ret.kind = PAGE_NONE;
	return ret;
}

uint64_t pages_second(const struct pages *p, uint64_t root, uint64_t va)
{
	const uint8_t *t = table(p, root);
	uint64_t e = t ? entry(t, va >> shift_of(p->levels) & (ENTRIES - 1)) : 0;

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

static bool flush(struct each *x)
{
	bool on = !x->run.size || x->each(x->arg, &x->run);

	x->run.size = 0;
	return on;
}

static void add_page(struct each *x, uint64_t va, const struct page *pg)
{
	struct mapping *m = &x->run;

	if (m->size && m->va + m->size == va && m->write == pg->write && m->exec == pg->exec) {
		m->size += pg->size;
		return;
	}
	x->on = flush(x);
	*m = (struct mapping){ va, pg->size, pg->write, pg->exec };
}

struct err *pages_each(struct pages *p, uint64_t root, uint64_t from, uint64_t to,
		       bool (*each)(void *arg, const struct mapping *m), void *arg)
{
	struct each x = { .p = p, .each = each, .arg = arg, .on = true };
	const struct mem_range all = { from, to - from, NULL, 0 };
	uint64_t steps = 0;
	struct err *err = pages_fetch(p, root, &all, 1);

	while (!err && from < to && x.on) {
		struct page pg = pages_walk(p, root, from);

		if (pg.kind == PAGE_MAPPED && pg.user)
			add_page(&x, from & ~(pg.size - 1), &pg);
		from = (from | (pg.size - 1)) + 1;
		if (steps++ > LIMIT_GUEST_PAGES)
			err = too_many();
	}
	if (!err && x.on)
		flush(&x);
	return err;
}
