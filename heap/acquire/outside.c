/*
 * /proc/PID/smaps says what each mapping has in memory, /proc/PID/pagemap which pages of Go's
 * arenas have none.  A mapping is Go's heap if it reaches into an arena that has spans, or lies
 * where only the runtime maps memory (its arena hints on 64 bits, runtime/malloc.go:mallocinit).
 *
 * A core file says what it holds, by its program headers.
 */
#include "heap/acquire/outside.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "heap/capture/captured.h"
#include "rsp/rsp.h"
#include "target/core.h"

/* One mapping of smaps. */
struct mapping {
	uint64_t start, end, rss, huge;
	char perms[5];
	char name[64];
};

enum {
	C_ARENA = 64 << 20, /* glibc's HEAP_MAX_SIZE on 64 bits: its threads' arenas begin there */
	PAGEMAP_CHUNK = 1 << 20,
};

/* ------------------------------------------------------------------ mappings */

static bool is_go_heap(const struct spans *s, const struct mapping *m)
{
	struct page_table_key key = { s->tables, m->start >> PAGE_TABLE_SHIFT };
	size_t i = search_first(s->ntables, page_table_reaches, &key);

	if (i < s->ntables && s->tables[i].key <= (m->end - 1) >> PAGE_TABLE_SHIFT)
		return true;
	return m->start >> 32 && (m->start >> 32 & 0xff) == 0xc0;
}

static void outside_add(struct outside *o, const struct spans *s, const struct mapping *m,
			bool c_arena)
{
	o->rss += m->rss;
	o->huge += m->huge;
	if (!strncmp(m->name, "[anon: Go", 9))
		*(is_go_heap(s, m) ? &o->heap : &o->runtime) += m->rss;
	else if (!strcmp(m->name, "[heap]") || (!*m->name && c_arena))
		o->c_heap += m->rss;
	else if (!*m->name || !strncmp(m->name, "[anon", 5))
		*(is_go_heap(s, m) ? &o->heap : &o->anonymous) += m->rss;
	else if (!strncmp(m->name, "[stack", 6))
		o->stacks += m->rss;
	else if (*m->name == '[')
		o->other += m->rss;
	else
		o->files += m->rss;
}

/* "c000000000-c000400000 rw-p 00000000 00:00 0    [anon: Go: heap]" */
static bool parse_head(const char *line, struct mapping *m)
{
	unsigned long long start, end;
	int at = 0;

	*m = (struct mapping){ 0 };
	if (sscanf(line, "%llx-%llx %4s %*x %*x:%*x %*u%n", &start, &end, m->perms, &at) != 3 ||
	    !at || start >= end)
		return false;
	at += (int)strspn(line + at, " ");
	m->start = start;
	m->end = end;
	snprintf(m->name, sizeof(m->name), "%.*s", (int)strcspn(line + at, "\n"), line + at);
	return true;
}

/* A thread's arena of the C library is followed by its part that is not in use yet; together they
 * have one size. */
static bool is_c_arena(const struct mapping *m, const struct mapping *next)
{
	return m->start % C_ARENA == 0 && !strncmp(m->perms, "rw", 2) && next &&
	       next->start == m->end && next->end - m->start == C_ARENA &&
	       !strncmp(next->perms, "---", 3);
}

VEC_NAMED(mappings, struct mapping);

/* Without a C library, what looks like an arena of one is a table of Go's runtime: one in 25 runs
 * of a program has such a place by chance. */
static bool has_c_library(const struct mappings *maps)
{
	for (size_t i = 0; i < maps->n; i++)
		if (!strcmp(maps->v[i].name, "[heap]") || strstr(maps->v[i].name, ".so"))
			return true;
	return false;
}

static struct err *parse_smaps(const char *text, struct mappings *maps)
{
	unsigned long long kb;
	struct mapping m;

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (parse_head(line, &m))
			TRY(vec_push(maps, m));
		else if (maps->n && sscanf(line, "Rss: %llu kB", &kb) == 1)
			maps->v[maps->n - 1].rss = kb << 10;
		else if (maps->n && sscanf(line, "AnonHugePages: %llu kB", &kb) == 1)
			maps->v[maps->n - 1].huge = kb << 10;
	}
	return NULL;
}

static struct err *read_smaps(struct acquire *a, uint64_t pid)
{
	const struct spans *s = &heap_captured(a->heap)->spans;
	struct outside *o = &a->report->outside;
	_cleanup_vec_ struct mappings maps = VEC_INIT;
	_cleanup_buf_ struct buf text = BUF_INIT;
	char path[48];
	bool c;

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/smaps", pid);
	TRY(rsp_file_read(a->rsp, path, LIMIT_SMAPS, &text));
	TRY(buf_addstr(&text, ""));
	TRY(parse_smaps((const char *)text.data, &maps));
	c = has_c_library(&maps);
	for (size_t i = 0; i < maps.n; i++) {
		const struct mapping *m = &maps.v[i];

		outside_add(o, s, m, c && is_c_arena(m, i + 1 < maps.n ? &maps.v[i + 1] : NULL));
		if (is_go_heap(s, m))
			TRY(vec_push(&o->arenas,
				     ((struct go_mapping){ m->start, m->end, m->rss, 0 })));
	}
	o->known = o->rss;
	return NULL;
}

/* ------------------------------------------------------------------ absent pages */

/* An entry is 8 bytes: bit 63 says that the page is present, bit 62 that it is in swap. */
static void note_absent(struct absent_pages *p, uint64_t first, const struct buf *entries)
{
	for (uint64_t i = 0; i < entries->len / 8 && first + i < p->n; i++)
		if (!(entries->data[i * 8 + 7] & 0x80))
			p->bits[(first + i) / 8] |= (uint8_t)(1 << (first + i) % 8);
}

static struct err *read_pagemap(struct acquire *a, const char *path, struct absent_pages *p)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	for (uint64_t at = 0; at < p->n; at += PAGEMAP_CHUNK / 8) {
		uint64_t n = p->n - at < PAGEMAP_CHUNK / 8 ? p->n - at : PAGEMAP_CHUNK / 8;

		buf_reset(&b);
		TRY(rsp_file_read_at(a->rsp, path, (p->addr / ABSENT_PAGE + at) * 8, n * 8, &b));
		if (b.len != n * 8)
			return err_create(ERR_REMOTE, "%s is short", path);
		note_absent(p, at, &b);
	}
	return NULL;
}

/* Of the heap's spans, those that lie together in one go. */
static struct err *read_absent(struct acquire *a, uint64_t pid)
{
	const struct spans *s = &heap_captured(a->heap)->spans;
	struct outside *o = &a->report->outside;
	char path[48];

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/pagemap", pid);
	for (size_t i = 0; i < s->n;) {
		struct absent_pages p = { .addr = s->v[i].base };
		uint64_t end = p.addr;

		for (; i < s->n && s->v[i].base - end <= PAGEMAP_CHUNK / 8 * ABSENT_PAGE; i++)
			end = s->v[i].base + s->v[i].npages * GO_PAGE;
		p.n = (end - p.addr) / ABSENT_PAGE;
		p.bits = calloc(p.n / 8 + 1, 1);
		if (!p.bits)
			return err_nomem();
		TRY(vec_push(&o->absent, p));
		TRY(read_pagemap(a, path, &o->absent.v[o->absent.n - 1]));
	}
	o->absent_known = true;
	return NULL;
}

struct err *outside_of_core(struct acquire *a)
{
	const struct core_info info = core_info(a->core);
	const struct spans *s = &heap_captured(a->heap)->spans;
	struct outside *o = &a->report->outside;
	_cleanup_vec_ struct ranges ranges = VEC_INIT;

	if (info.ours && !info.full)
		return NULL;
	TRY(core_ranges(a->core, &ranges));
	for (size_t i = 0; i < ranges.n; i++)
		outside_add(o, s,
			    &(struct mapping){ .start = ranges.v[i].addr,
					       .end = ranges.v[i].addr + ranges.v[i].len,
					       .rss = ranges.v[i].len },
			    false);
	o->known = o->core = o->rss;
	return NULL;
}

struct err *outside_look(struct acquire *a)
{
	uint64_t pid = rsp_pid(a->rsp);
	struct err *err;

	if (a->guest || !pid || !rsp_features(a->rsp)->vfile)
		return NULL;
	err = read_smaps(a, pid);
	if (!err)
		err = read_absent(a, pid);
	/* what the stub does not give, or a stub that is gone, is nothing that matters now */
	if (err && !err_is(err, ERR_INTR) && !err_is(err, ERR_NOMEM)) {
		err_destroy(err);
		return NULL;
	}
	return err;
}
