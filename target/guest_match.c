/*
 * Does a top page table belong to a process that runs EXE?  The text that it maps must be the
 * file's.  A PIE's place is found by what its text pages hold.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "target/guest_int.h"

enum {
	LOOK_AT = 0x800,
	LOOK = 64, /* these bytes of a page say which it may be */
	RUN_LOOKS = 32,
	LOOKS_MAX = 4096,
	MAPPED_MIN = 4, /* pages; with fewer it is not known */
	COMPARED_MAX = 64,
	EQUAL_PERCENT = 90,   /* breakpoints of others, probes */
	ARGS_BELOW = 1 << 14, /* bytes of the stack's end that are looked at */
};

/* Where the stack may end: below 2^47, 16 GB of randomness and a gap (Linux, fs/binfmt_elf.c). */
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

static struct err *compare(struct guest *g, uint64_t root, uint64_t bias, struct match *m)
{
	VEC(struct mem_range) got = VEC_INIT;
	VEC(const uint8_t *) want = VEC_INIT;
	_cleanup_free_ uint8_t *bytes = NULL;
	const struct elf_segment *segs;
	size_t n = elf_segments(g->exe, &segs), kept = 0;
	struct err *err = NULL;

	*m = (struct match){ 0 };
	for (size_t i = 0; i < n && !err; i++) {
		uint64_t va = page_up(segs[i].addr), end = segs[i].addr + segs[i].filesz;
		struct mem_range r = { segs[i].addr + bias, segs[i].filesz, NULL, 0 };

		if (!segs[i].exec || !segs[i].filesz)
			continue;
		err = pages_fetch(&g->pages, root, &r, 1);
		for (; va + GUEST_PAGE <= end && !err; va += GUEST_PAGE) {
			struct page pg = pages_walk(&g->pages, root, va + bias);

			if (pg.kind != PAGE_MAPPED || !pg.user)
				continue;
			err = vec_push(&got, ((struct mem_range){ pg.pa, GUEST_PAGE, NULL, 0 }));
			if (!err)
				err = vec_push(&want, segs[i].data + (va - segs[i].addr));
		}
	}
	m->mapped = got.n;
	if (!err && got.n) {
		/* Some of them, from end to end. */
		size_t step = (got.n + COMPARED_MAX - 1) / COMPARED_MAX;

		bytes = malloc(COMPARED_MAX * (size_t)GUEST_PAGE);
		if (!bytes)
			err = err_nomem();
		for (size_t i = 0; i < got.n && !err; i += step, kept++) {
			got.v[kept] = got.v[i];
			want.v[kept] = want.v[i];
			got.v[kept].dst = bytes + kept * GUEST_PAGE;
		}
	}
	if (!err)
		err = guest_read_phys(g, got.v, kept);
	for (size_t i = 0; i < kept && !err; i++)
		m->equal += !memcmp(got.v[i].dst, want.v[i], GUEST_PAGE);
	m->compared = kept;
	vec_deinit(&got);
	vec_deinit(&want);
	return err;
}

static bool is_it(const struct match *m)
{
	return m->mapped >= MAPPED_MIN && m->equal * 100 >= m->compared * EQUAL_PERCENT;
}

/* ------------------------------------------------------------------ a PIE's place */

/* A page of the text by LOOK bytes of it; 0: several have them. */
static struct err *index_text(struct guest *g)
{
	const struct elf_segment *segs;
	size_t n = elf_segments(g->exe, &segs);

	for (size_t i = 0; i < n && !g->text.n; i++) {
		uint64_t va = page_up(segs[i].addr), end = segs[i].addr + segs[i].filesz;

		for (; segs[i].exec && va + GUEST_PAGE <= end; va += GUEST_PAGE) {
			uint64_t *val, at = va;
			bool is_new;
			struct err *err = map64_put(
				&g->text,
				hash_str((const char *)segs[i].data + (va - segs[i].addr) + LOOK_AT,
					 LOOK),
				at, &val, &is_new);

			if (err)
				return err;
			if (!is_new)
				*val = 0;
		}
	}
	return NULL;
}

struct looks {
	struct guest *g;
	uint64_t root;
	VEC(struct mem_range) reads; /* addr: physical; got: virtual, until it is read */
	VEC(uint64_t) vas;
	struct err *err;
};

static bool look_at(void *arg, const struct mapping *m)
{
	struct looks *l = arg;
	uint64_t pages = m->size / GUEST_PAGE, step = (pages + RUN_LOOKS - 1) / RUN_LOOKS;

	if (!m->exec || m->write)
		return true;
	for (uint64_t i = 0; i < pages && !l->err; i += step) {
		uint64_t va = m->va + i * GUEST_PAGE;
		struct page pg = pages_walk(&l->g->pages, l->root, va);

		if (l->vas.n >= LOOKS_MAX)
			return false;
		l->err = vec_push(&l->vas, va);
		if (!l->err)
			l->err = vec_push(&l->reads,
					  ((struct mem_range){ pg.pa + LOOK_AT, LOOK, NULL, 0 }));
	}
	return !l->err;
}

/* The first place where enough is equal; none: *m says how near the nearest came. */
static struct err *find_place(struct guest *g, uint64_t root, uint64_t *bias, struct match *m)
{
	struct looks l = { .g = g, .root = root };
	_cleanup_free_ uint8_t *bytes = NULL;
	VEC(uint64_t) tried = VEC_INIT;
	struct err *err = index_text(g);

	*m = (struct match){ 0 };
	if (!err)
		err = pages_each(&g->pages, root, 0, STACK_TOP, look_at, &l);
	if (!err)
		err = TAKE_PTR(l.err);
	if (!err && l.reads.n) {
		bytes = malloc(l.reads.n * LOOK);
		err = bytes ? NULL : err_nomem();
	}
	for (size_t i = 0; i < l.reads.n && !err; i++)
		l.reads.v[i].dst = bytes + i * LOOK;
	if (!err)
		err = guest_read_phys(g, l.reads.v, l.reads.n);
	for (size_t i = 0; i < l.reads.n && !err && !is_it(m); i++) {
		const uint64_t *va =
			map64_get(&g->text, hash_str((const char *)l.reads.v[i].dst, LOOK));
		bool again = false;
		struct match one;

		if (!va || !*va)
			continue;
		*bias = l.vas.v[i] - *va;
		for (size_t j = 0; j < tried.n; j++)
			again |= tried.v[j] == *bias;
		if (again)
			continue;
		err = vec_push(&tried, *bias);
		if (!err)
			err = compare(g, root, *bias, &one);
		if (!err && one.equal >= m->equal)
			*m = one;
	}
	err_destroy(l.err);
	vec_deinit(&l.reads);
	vec_deinit(&l.vas);
	vec_deinit(&tried);
	return err;
}

/* ------------------------------------------------------------------ how it was started */

static bool last_writable(void *arg, const struct mapping *m)
{
	struct mapping *last = arg;

	if (m->write && !m->exec)
		*last = *m;
	return true;
}

/*
 * The end of the stack: arguments, environment, the path that was executed, eight zeros (Linux,
 * fs/exec.c).  The arguments begin, nearly always, with that path.
 */
static struct err *read_args(struct guest *g, uint64_t root, struct guest_process *p)
{
	struct mapping last = { 0 };
	uint8_t b[ARGS_BELOW];
	size_t len, path, start, n = 0;
	struct err *err = pages_each(&g->pages, root, STACK_TOP - STACK_RANDOM, STACK_TOP,
				     last_writable, &last);

	if (err || !last.size)
		return err;
	len = last.size < sizeof(b) ? last.size : sizeof(b);
	err = guest_peek(g, root, last.va + last.size - len, b, len);
	if (err)
		return err;
	for (path = len; path > len - 9; path--)
		if (b[path - 1])
			return NULL; /* not a stack's end */
	while (path > 0 && b[path - 1])
		path--;
	for (start = 0; start < path; start++)
		if ((!start || !b[start - 1]) && !strcmp((char *)b + start, (char *)b + path))
			break;
	/* Up to the environment. */
	for (; b[start] && n + 1 < sizeof(p->args); start += strlen((char *)b + start) + 1) {
		const char *s = (char *)b + start, *eq = strchr(s, '=');

		if (n && eq && eq != s &&
		    strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") >= (size_t)(eq - s))
			break;
		if (n)
			p->args[n++] = ' ';
		for (; *s && n + 1 < sizeof(p->args); s++)
			p->args[n++] = *s >= ' ' && *s < 127 ? *s : '.';
		if (start >= path)
			break;
	}
	p->args[n] = 0;
	return NULL;
}

/* ------------------------------------------------------------------ one top table */

struct err *guest_match(struct guest *g, uint64_t root)
{
	struct guest_process p = { .root = root };
	struct match m;
	struct err *err;

	g->stats.tables++;
	err = elf_is_dyn(g->exe) ? find_place(g, root, &p.bias, &m) : compare(g, root, 0, &m);
	if (err_is(err, ERR_LIMIT)) { /* a process of unbelievable size is another */
		err_destroy(err);
		return NULL;
	}
	if (err)
		return err;
	if (!is_it(&m)) {
		if (m.mapped && m.equal >= g->best.equal)
			g->best = (struct guest_near){ m.mapped, m.compared, m.equal };
		return NULL;
	}
	p.key = pages_second(&g->pages, root, elf_entry(g->exe) + p.bias);
	for (size_t i = 0; i < g->found.n; i++)
		if (g->found.v[i].key == p.key) /* the other of a pair */
			return NULL;
	err = read_args(g, root, &p);
	if (err_is(err, ERR_FAULT) || err_is(err, ERR_LIMIT)) {
		err_destroy(err);
		err = NULL;
	}
	return err ? err : vec_push(&g->found, p);
}
