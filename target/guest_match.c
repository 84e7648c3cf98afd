/*
 * Tells whether a top page table belongs to a process that runs EXE: the text that it maps must be
 * the file's.  A PIE's place is found by what its text pages hold.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "target/guest_int.h"

enum {
	LOOK_AT = 0x800,
	LOOK = 64,      /* these bytes of a page say which it may be */
	RUN_LOOKS = 32, /* pages looked at in one mapping, and in all */
	LOOKS_MAX = 4096,
	MAPPED_MIN = 4, /* pages of text; with fewer it cannot be told */
	COMPARED_MAX = 64,
	EQUAL_PERCENT = 90,   /* breakpoints of others, probes */
	ARGS_BELOW = 1 << 14, /* bytes of the stack's end that are looked at */
};

/* A stack ends below 2^47, with 16 GB of randomness and a gap (Linux, fs/binfmt_elf.c). */
#define STACK_TOP (1ull << 47)
#define STACK_RANDOM (34ull << 30)

static uint64_t page_up(uint64_t v)
{
	return (v + GUEST_PAGE - 1) & ~(uint64_t)(GUEST_PAGE - 1);
}

/* ------------------------------------------------------------------ the text at one place */

struct match {
	uint64_t mapped, compared, equal;
};

/* Pages of text: where they are in memory, and what EXE has. */
struct text_pages {
	VEC(struct mem_range) got;
	VEC(const uint8_t *) want;
};

static void text_pages_deinit(struct text_pages *t)
{
	vec_deinit(&t->got);
	vec_deinit(&t->want);
}

/* Adds the pages of a segment that are mapped. */
static struct err *add_text(struct guest *g, uint64_t root, uint64_t bias,
			    const struct elf_segment *seg, struct text_pages *t)
{
	const struct mem_range all = { seg->addr + bias, seg->filesz, NULL, 0 };
	uint64_t end = seg->addr + seg->filesz;

	TRY(pages_fetch(&g->pages, root, &all, 1));
	for (uint64_t va = page_up(seg->addr); va + GUEST_PAGE <= end; va += GUEST_PAGE) {
		struct page pg = pages_walk(&g->pages, root, va + bias);

		if (pg.kind != PAGE_MAPPED || !pg.user)
			continue;
		TRY(vec_push(&t->got, ((struct mem_range){ pg.pa, GUEST_PAGE, NULL, 0 })));
		TRY(vec_push(&t->want, seg->data + (va - seg->addr)));
	}
	return NULL;
}

/* Leaves at most COMPARED_MAX of them, from end to end. */
static void thin_out(struct text_pages *t)
{
	size_t step = (t->got.n + COMPARED_MAX - 1) / COMPARED_MAX, kept = 0;

	for (size_t i = 0; i < t->got.n; i += step, kept++) {
		t->got.v[kept] = t->got.v[i];
		t->want.v[kept] = t->want.v[i];
	}
	t->got.n = t->want.n = kept;
}

static struct err *match_at(struct guest *g, uint64_t root, uint64_t bias, struct match *m)
{
	_cleanup_(text_pages_deinit) struct text_pages t = { VEC_INIT, VEC_INIT };
	_cleanup_free_ uint8_t *bytes = NULL;
	const struct elf_segment *segs;
	size_t n = elf_segments(g->exe, &segs);

	*m = (struct match){ 0 };
	for (size_t i = 0; i < n; i++)
		if (segs[i].exec && segs[i].filesz)
			TRY(add_text(g, root, bias, &segs[i], &t));
	if (!t.got.n)
		return NULL;
	m->mapped = t.got.n;
	thin_out(&t);
	bytes = malloc(t.got.n * (size_t)GUEST_PAGE);
	if (!bytes)
		return err_nomem();
	for (size_t i = 0; i < t.got.n; i++)
		t.got.v[i].dst = bytes + i * GUEST_PAGE;
	TRY(guest_read_phys(g, t.got.v, t.got.n));
	for (size_t i = 0; i < t.got.n; i++)
		m->equal += !memcmp(t.got.v[i].dst, t.want.v[i], GUEST_PAGE);
	m->compared = t.got.n;
	return NULL;
}

static bool is_match(const struct match *m)
{
	return m->mapped >= MAPPED_MIN && m->equal * 100 >= m->compared * EQUAL_PERCENT;
}

/* ------------------------------------------------------------------ a PIE's place */

static uint64_t look_hash(const uint8_t *b)
{
	return hash_str((const char *)b, LOOK);
}

/* Makes g->text, if it is not there: pages of text by LOOK bytes of each; 0: several have them. */
static struct err *index_text(struct guest *g)
{
	const struct elf_segment *segs;
	size_t n = elf_segments(g->exe, &segs);

	for (size_t i = 0; i < n && !g->text.n; i++) {
		uint64_t va = page_up(segs[i].addr), end = segs[i].addr + segs[i].filesz;

		for (; segs[i].exec && va + GUEST_PAGE <= end; va += GUEST_PAGE) {
			uint64_t *val,
				key = look_hash(segs[i].data + (va - segs[i].addr) + LOOK_AT);
			bool is_new;

			TRY(map64_put(&g->text, key, va, &val, &is_new));
			if (!is_new)
				*val = 0;
		}
	}
	return NULL;
}

/* Pages of a process that may be text of EXE. */
struct looks {
	struct guest *g;
	uint64_t root;
	VEC(struct mem_range) reads; /* LOOK bytes of each: physical addresses */
	VEC(uint64_t) vas;           /* of the pages */
	struct err *err;
};

static void looks_deinit(struct looks *l)
{
	vec_deinit(&l->reads);
	vec_deinit(&l->vas);
	err_destroy(l->err);
}

static struct err *add_look(struct looks *l, uint64_t va)
{
	struct page pg = pages_walk(&l->g->pages, l->root, va);

	TRY(vec_push(&l->vas, va));
	return vec_push(&l->reads, ((struct mem_range){ pg.pa + LOOK_AT, LOOK, NULL, 0 }));
}

static bool look_at(void *arg, const struct mapping *m)
{
	struct looks *l = arg;
	uint64_t pages = m->size / GUEST_PAGE, step = (pages + RUN_LOOKS - 1) / RUN_LOOKS;

	if (!m->exec || m->write)
		return true;
	for (uint64_t i = 0; i < pages && !l->err; i += step) {
		if (l->vas.n >= LOOKS_MAX)
			return false;
		l->err = add_look(l, m->va + i * GUEST_PAGE);
	}
	return !l->err;
}

VEC_NAMED(biases, uint64_t);

/* The place that EXE has if the page of look i is what it looks like; false: it is like no page of
 * text, or that place was tried. */
static bool new_place(const struct looks *l, size_t i, const struct biases *tried, uint64_t *bias)
{
	const uint64_t *va = map64_get(&l->g->text, look_hash(l->reads.v[i].dst));

	if (!va || !*va)
		return false;
	*bias = l->vas.v[i] - *va;
	for (size_t j = 0; j < tried->n; j++)
		if (tried->v[j] == *bias)
			return false;
	return true;
}

/* The first place where enough is equal; if there is none, *m says how near the nearest came. */
static struct err *find_place(struct guest *g, uint64_t root, uint64_t *bias, struct match *m)
{
	_cleanup_(looks_deinit) struct looks l = { .g = g, .root = root };
	_cleanup_vec_ struct biases tried = VEC_INIT;
	_cleanup_free_ uint8_t *bytes = NULL;

	*m = (struct match){ 0 };
	TRY(index_text(g));
	TRY(pages_each(&g->pages, root, 0, STACK_TOP, look_at, &l));
	TRY(TAKE_PTR(l.err));
	if (!l.reads.n)
		return NULL;
	bytes = malloc(l.reads.n * LOOK);
	if (!bytes)
		return err_nomem();
	for (size_t i = 0; i < l.reads.n; i++)
		l.reads.v[i].dst = bytes + i * LOOK;
	TRY(guest_read_phys(g, l.reads.v, l.reads.n));
	for (size_t i = 0; i < l.reads.n && !is_match(m); i++) {
		struct match one;

		if (!new_place(&l, i, &tried, bias))
			continue;
		TRY(vec_push(&tried, *bias));
		if (tried.n > LIMIT_GUEST_PLACES)
			break;
		TRY(match_at(g, root, *bias, &one));
		if (one.equal >= m->equal)
			*m = one;
	}
	return NULL;
}

/* ------------------------------------------------------------------ how it was started */

static bool last_writable(void *arg, const struct mapping *m)
{
	struct mapping *last = arg;

	if (m->write && !m->exec)
		*last = *m;
	return true;
}

static bool is_environment(const char *s)
{
	const char *eq = strchr(s, '=');

	return eq && eq != s &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") >= (size_t)(eq - s);
}

/* Joins the strings from `start` up to the environment, or the path at `path`, with spaces; what
 * cannot be printed becomes a dot. */
static void join_args(const char *b, size_t start, size_t path, char *ret, size_t size)
{
	size_t n = 0;

	for (; b[start] && n + 1 < size; start += strlen(b + start) + 1) {
		const char *s = b + start;

		if (n && is_environment(s))
			break;
		if (n)
			ret[n++] = ' ';
		for (; *s && n + 1 < size; s++)
			ret[n++] = *s >= ' ' && *s < 127 ? *s : '.';
		if (start >= path)
			break;
	}
	ret[n] = 0;
}

/*
 * At the end of the stack are arguments, environment, the path that was executed, eight zeros
 * (Linux, fs/exec.c).  The arguments begin, nearly always, with that path.
 */
static struct err *read_args(struct guest *g, uint64_t root, struct guest_process *p)
{
	enum { ZEROS = 8 };
	struct mapping last = { 0 };
	char b[ARGS_BELOW];
	size_t len, path, start;

	TRY(pages_each(&g->pages, root, STACK_TOP - STACK_RANDOM, STACK_TOP, last_writable, &last));
	if (!last.size)
		return NULL;
	len = last.size < sizeof(b) ? last.size : sizeof(b);
	TRY(guest_peek(g, root, last.va + last.size - len, b, len));
	for (path = len; path > len - ZEROS - 1; path--) /* and the path's own NUL */
		if (b[path - 1])
			return NULL; /* not a stack's end */
	while (path > 0 && b[path - 1])
		path--;
	for (start = 0; start < path; start++)
		if ((!start || !b[start - 1]) && !strcmp(b + start, b + path))
			break;
	join_args(b, start, path, p->args, sizeof(p->args));
	return NULL;
}

/* ------------------------------------------------------------------ one top table */

/* Is it EXE's?  Limits are for a process of unbelievable size, which is another. */
static struct err *match_table(struct guest *g, uint64_t root, uint64_t *bias, struct match *m)
{
	struct err *err =
		elf_is_dyn(g->exe) ? find_place(g, root, bias, m) : match_at(g, root, 0, m);

	if (err_catch(&err, ERR_LIMIT))
		*m = (struct match){ 0 };
	return err;
}

struct err *guest_match(struct guest *g, uint64_t root)
{
	struct guest_process p = { .root = root };
	struct match m;
	struct err *err;

	g->stats.tables++;
	TRY(match_table(g, root, &p.bias, &m));
	if (!is_match(&m)) {
		if (m.mapped && m.equal >= g->best.equal)
			g->best = (struct guest_near){ m.mapped, m.compared, m.equal };
		return NULL;
	}
	p.key = pages_second(&g->pages, root, elf_entry(g->exe) + p.bias);
	for (size_t i = 0; i < g->found.n; i++)
		if (g->found.v[i].key == p.key) /* this is the other table of a pair */
			return NULL;
	err = read_args(g, root, &p);
	if (!err_catch(&err, ERR_FAULT) && !err_catch(&err, ERR_LIMIT))
		TRY(err);
	if (g->found.n == LIMIT_GUEST_FOUND)
		return err_create(ERR_LIMIT, "over %u processes of this guest run %s",
				  LIMIT_GUEST_FOUND, elf_path(g->exe));
	return vec_push(&g->found, p);
}
