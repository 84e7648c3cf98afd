/*
 * The machine's RAM and vCPUs, as the stub shows them, and the memory of one process in it: ranges
 * are translated page by page, and physical pieces that follow one another are asked for as one.
 */
#include "target/guest.h"

#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "rsp/rsp.h"
#include "target/elf_header.h"
#include "target/guest_int.h"

enum {
	BATCH_PIECES = 16384, /* of physical memory, in one request */
	BATCH_BYTES = 16 << 20,
	LEVELS_MIN = 4, /* of page tables */
};

/* ------------------------------------------------------------------ physical memory */

/* Adds a block of RAM, joined with the last one where they overlap: the monitor lists them by
 * address. */
static struct err *add_ram(struct guest *g, uint64_t start, uint64_t end)
{
	struct ram *last = g->ram.n ? &g->ram.v[g->ram.n - 1] : NULL;

	g->said += end - start;
	if (g->said > LIMIT_GUEST_RAM)
		return err_create(ERR_LIMIT,
				  "the stub's monitor says that the guest has over %llu TB",
				  LIMIT_GUEST_RAM >> 40);

	if (!last || start > last->end || end <= last->start)
		return vec_push(&g->ram, ((struct ram){ start, end }));
	if (end > last->end)
		last->end = end;
	return NULL;
}

/* A block of RAM, widened to whole pages; false: the line says nothing of RAM. */
static bool parse_ram(const char *line, uint64_t limit, uint64_t *start, uint64_t *end)
{
	int at = 0;

	if (sscanf(line, " %" SCNx64 "-%" SCNx64 " (prio %*d, ram)%n", start, end, &at) != 2 ||
	    !at || strstr(line, "vram") || *end < *start || *end >= limit)
		return false;
	*start &= ~(uint64_t)(GUEST_PAGE - 1);
	*end = (*end | (GUEST_PAGE - 1)) + 1;
	return true;
}

/*
 * Reads `info mtree -f` of the monitor, and of it what the processors see:
 *
 *	FlatView #1
 *	 AS "memory", root: system
 *	  0000000000000000-000000000009ffff (prio 0, ram): pc.ram KVM
 */
static struct err *read_ram(struct guest *g)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	bool on = false;
	char *save, *line;

	TRY(err_wrapf(rsp_monitor(g->rsp, "info mtree -f", &text), "finding the guest's memory"));
	for (line = strtok_r(text.data ? (char *)text.data : NULL, "\r\n", &save); line;
	     line = strtok_r(NULL, "\r\n", &save)) {
		uint64_t start, end;

		if (!strncmp(line, "FlatView", strlen("FlatView")))
			on = false;
		if (strstr(line, "AS \"memory\""))
			on = true;
		if (on && parse_ram(line, g->arch->guest->addr, &start, &end))
			TRY(add_ram(g, start, end));
	}
	for (size_t i = 0; i < g->ram.n; i++) {
		g->stats.ram += g->ram.v[i].end - g->ram.v[i].start;
		if (g->ram.v[i].end > g->pages.end)
			g->pages.end = g->ram.v[i].end;
	}
	if (!g->ram.n)
		return err_create(ERR_BADDATA,
				  "the stub's monitor names no RAM of the guest (info mtree -f)");
	return NULL;
}

struct err *guest_read_phys(struct guest *g, struct mem_range *ranges, size_t n)
{
	if (!n)
		return NULL;
	TRY(g->memory->readv(g->memory, ranges, n));
	for (size_t i = 0; i < n; i++)
		if (ranges[i].got < ranges[i].len)
			memset(ranges[i].dst + ranges[i].got, 0, ranges[i].len - ranges[i].got);
	return NULL;
}

/* ------------------------------------------------------------------ vCPUs */

/* All registers of all vCPUs. */
struct vcpu_regs {
	const struct rsp_reg *regs; /* what is in each reply */
	size_t nregs;
	struct rsp_threads vcpus;
	struct buf *raw; /* by vCPU: the reply to `g`; behind them, which bytes of each are known */
};

static void vcpu_regs_deinit(struct vcpu_regs *r)
{
	for (size_t i = 0; r->raw && i < 2 * r->vcpus.n; i++)
		buf_deinit(&r->raw[i]);
	free(r->raw);
	vec_deinit(&r->vcpus);
}

static struct err *vcpu_regs_read(struct rsp *rsp, struct vcpu_regs *r)
{
	const char *name;

	TRY(rsp_registers(rsp, &r->regs, &r->nregs, &name));
	TRY(rsp_threads(rsp, &r->vcpus));
	if (r->vcpus.n > LIMIT_GUEST_VCPUS)
		return err_create(ERR_LIMIT, "over %u vCPUs", LIMIT_GUEST_VCPUS);
	r->raw = calloc(2 * r->vcpus.n + 1, sizeof(*r->raw));
	if (!r->raw)
		return err_nomem();
	return rsp_read_registers(rsp, r->vcpus.v, r->vcpus.n, r->raw, r->raw + r->vcpus.n);
}

/* A register of a vCPU; false: the stub does not show it, or it is not a word. */
static bool find_reg(const struct vcpu_regs *all, struct bytes_fmt fmt, size_t vcpu,
		     const char *name, uint64_t *ret)
{
	const struct buf *raw = &all->raw[vcpu], *avail = &all->raw[all->vcpus.n + vcpu];

	for (size_t i = 0; i < all->nregs; i++) {
		const struct rsp_reg *r = &all->regs[i];

		if (strcmp(r->name, name))
			continue;
		if ((r->size != 4 && r->size != 8) || r->offset > raw->len ||
		    raw->len - r->offset < r->size)
			return false;
		for (uint32_t j = 0; j < r->size; j++)
			if (!avail->data[r->offset + j])
				return false;
		*ret = bytes_uint(fmt, raw->data + r->offset, r->size);
		return true;
	}
	return false;
}

static struct err *vcpu_make(const struct arch *arch, const struct vcpu_regs *all, size_t i,
			     struct vcpu *ret)
{
	const struct arch_guest *ag = arch->guest;
	struct bytes_fmt fmt = arch->fmt;
	struct vcpu v = { .levels = LEVELS_MIN };
	uint64_t levels;

	if (!find_reg(all, fmt, i, ag->root, &v.root) ||
	    !find_reg(all, fmt, i, ag->privilege, &v.privilege) ||
	    !find_reg(all, fmt, i, ag->levels, &levels))
		return err_create(ERR_UNSUPPORTED,
				  "the stub does not show a vCPU's %s, %s and %s: it cannot be "
				  "told which process runs",
				  ag->root, ag->privilege, ag->levels);
	find_reg(all, fmt, i, ag->tls, &v.tls);
	v.root &= ag->addr;
	v.levels += !!(levels & ag->level5);
	for (unsigned r = 0; r < arch->nregs; r++)
		v.th.have[r] = *arch->reg_names[r] &&
			       find_reg(all, fmt, i, arch->reg_names[r], &v.th.regs[r]);
	v.th.valid = v.th.have[arch->pc] && v.th.have[arch->sp];
	*ret = v;
	return NULL;
}

static struct err *read_vcpus(struct guest *g)
{
	_cleanup_(vcpu_regs_deinit) struct vcpu_regs all = { .vcpus = VEC_INIT };

	g->vcpus.n = 0;
	TRY(vcpu_regs_read(g->rsp, &all));
	for (size_t i = 0; i < all.vcpus.n; i++) {
		struct vcpu v;

		TRY(vcpu_make(g->arch, &all, i, &v));
		TRY(vec_push(&g->vcpus, v));
	}
	return NULL;
}

struct err *guest_read_vcpus(struct guest *g)
{
	struct err *err = read_vcpus(g);

	g->stats.vcpus = (unsigned)g->vcpus.n;
	return err_wrapf(err, "reading the vCPUs' registers");
}

/* ------------------------------------------------------------------ the process's memory */

/* Fills in what a page holds that was never touched: EXE's bytes, which it maps privately, or
 * zeros. */
static void fill_untouched(struct guest *g, uint64_t va, uint8_t *dst, uint64_t len)
{
	const struct elf_segment *segs;
	size_t n = elf_segments(g->exe, &segs);

	memset(dst, 0, len);
	for (size_t i = 0; i < n; i++) {
		uint64_t lo = segs[i].addr + g->process.bias, hi = lo + segs[i].filesz;
		uint64_t from = va > lo ? va : lo, to = va + len < hi ? va + len : hi;

		if (from < to)
			memcpy(dst + (from - va), segs[i].data + (from - lo), to - from);
	}
	g->stats.untouched += len;
}

/* Pieces of physical memory to ask for, and which range each is part of. */
struct batch {
	VEC(struct mem_range) pieces;
	VEC(struct mem_range *) owners;
	uint64_t bytes;
};

static void batch_deinit(struct batch *b)
{
	vec_deinit(&b->pieces);
	vec_deinit(&b->owners);
}

/* Fetches the batch.  A range that lacks a piece ends before it. */
static struct err *batch_fetch(struct guest *g, struct batch *b)
{
	if (b->pieces.n)
		TRY(g->memory->readv(g->memory, b->pieces.v, b->pieces.n));
	for (size_t i = 0; i < b->pieces.n; i++) {
		const struct mem_range *p = &b->pieces.v[i];
		struct mem_range *r = b->owners.v[i];
		uint64_t off = (uint64_t)(p->dst - r->dst);

		g->fetched += p->got;
		if (p->got < p->len && off + p->got < r->got)
			r->got = off + p->got;
	}
	b->pieces.n = b->owners.n = 0;
	b->bytes = 0;
	if (g->progress)
		g->progress(g->arg, g->fetched);
	return NULL;
}

/* Adds a piece of r, joined with the last one where they follow one another. */
static struct err *batch_add(struct batch *b, struct mem_range *r, uint64_t pa, uint64_t len)
{
	struct mem_range *last = b->pieces.n ? &b->pieces.v[b->pieces.n - 1] : NULL;
	uint8_t *dst = r->dst + r->got;

	if (last && last->dst + last->len == dst && last->addr + last->len == pa &&
	    b->owners.v[b->owners.n - 1] == r) {
		last->len += len;
		return NULL;
	}
	TRY(vec_push(&b->pieces, ((struct mem_range){ pa, len, dst, 0 })));
	return vec_push(&b->owners, r);
}

static struct err *translate(struct guest *g, struct mem_range *r, struct batch *b)
{
	r->got = 0;
	while (r->got < r->len) {
		uint64_t va = r->addr + r->got, len = r->len - r->got;
		struct page pg = pages_walk(&g->pages, g->process.root, va);

		if (len > pg.size - (va & (pg.size - 1)))
			len = pg.size - (va & (pg.size - 1));
		if (pg.kind == PAGE_SWAPPED)
			g->stats.swapped += len;
		if (pg.kind == PAGE_SWAPPED || pg.kind == PAGE_NONE)
			break;
		if (pg.kind == PAGE_UNTOUCHED)
			fill_untouched(g, va, r->dst + r->got, len);
		else
			TRY(batch_add(b, r, pg.pa, len));
		b->bytes += len;
		r->got += len;
		if (b->pieces.n >= BATCH_PIECES || b->bytes >= BATCH_BYTES)
			TRY(batch_fetch(g, b));
	}
	return NULL;
}

static struct err *guest_readv(struct mem_source *src, struct mem_range *ranges, size_t n)
{
	_cleanup_(batch_deinit) struct batch b = { VEC_INIT, VEC_INIT, 0 };
	struct guest *g = (struct guest *)src;

	TRY(pages_fetch(&g->pages, g->process.root, ranges, n));
	g->fetched = 0;
	for (size_t i = 0; i < n; i++)
		TRY(translate(g, &ranges[i], &b));
	return batch_fetch(g, &b);
}

struct err *guest_peek(struct guest *g, uint64_t root, uint64_t va, void *dst, uint64_t len)
{
	struct mem_range r = { va, len, dst, 0 };

	TRY(pages_fetch(&g->pages, root, &r, 1));
	while (r.len) {
		struct page pg = pages_walk(&g->pages, root, r.addr);
		struct mem_range piece = { pg.pa, pg.size - (r.addr & (pg.size - 1)), r.dst, 0 };

		if (pg.kind != PAGE_MAPPED)
			return err_fault(r.addr, "nothing is mapped at 0x%" PRIx64, r.addr);
		if (piece.len > r.len)
			piece.len = r.len;
		TRY(guest_read_phys(g, &piece, 1));
		r = (struct mem_range){ r.addr + piece.len, r.len - piece.len, r.dst + piece.len,
					0 };
	}
	return NULL;
}

/* ------------------------------------------------------------------ life */

DEFINE_CLEANUP(guest_destroy, struct guest *)

struct err *guest_create(struct rsp *rsp, const struct arch *arch, struct mem_source *memory,
			 const struct elf *exe, struct guest **ret)
{
	_cleanup_(cleanup_guest_destroy) struct guest *g = NULL;

	if (!arch->guest)
		return err_create(ERR_UNSUPPORTED,
				  "the stub shows a whole machine, and how to find a process in "
				  "one is not known for %s",
				  arch->name);
	g = calloc(1, sizeof(*g));
	if (!g)
		return err_nomem();
	g->source.readv = guest_readv;
	g->rsp = rsp;
	g->arch = arch;
	g->exe = exe;
	g->memory = memory;
	pages_init(&g->pages, arch->guest, memory, 0);
	TRY(rsp_read_physical(rsp));
	TRY(read_ram(g));
	TRY(guest_read_vcpus(g));
	for (size_t i = 0; i < g->vcpus.n; i++)
		if (g->vcpus.v[i].levels > g->pages.levels)
			g->pages.levels = g->vcpus.v[i].levels;
	*ret = TAKE_PTR(g);
	return NULL;
}

void guest_destroy(struct guest *g)
{
	if (!g)
		return;
	pages_forget(&g->pages);
	map64_deinit(&g->text);
	vec_deinit(&g->ram);
	vec_deinit(&g->vcpus);
	vec_deinit(&g->refs);
	vec_deinit(&g->roots);
	vec_deinit(&g->stacks);
	vec_deinit(&g->found);
	free(g);
}

void guest_forget(struct guest *g)
{
	if (!g)
		return;
	pages_forget(&g->pages);
	g->stats.untouched = g->stats.swapped = 0;
}

void guest_set_progress(struct guest *g, void (*progress)(void *arg, uint64_t bytes), void *arg)
{
	g->progress = progress;
	g->arg = arg;
}

void guest_set_search_progress(struct guest *g,
			       void (*progress)(void *arg, uint64_t done, uint64_t total),
			       void *arg)
{
	g->search_progress = progress;
	g->search_arg = arg;
}

uint64_t guest_bias(const struct guest *g)
{
	return g->process.bias;
}

bool guest_searched(const struct guest *g)
{
	return g->searched;
}

struct mem_source *guest_memory(struct guest *g)
{
	return &g->source;
}

struct guest_stats guest_stats(const struct guest *g)
{
	return g->stats;
}

/* EXE's own headers say it: its first segment begins with them. */
struct err *guest_auxv(struct guest *g, uint64_t type, uint64_t *ret)
{
	const struct elf_segment *segs;
	struct bytes_fmt fmt = g->arch->fmt;
	size_t n = elf_segments(g->exe, &segs);

	for (size_t i = 0; i < n; i++) {
		const uint8_t *b = segs[i].data;

		if (segs[i].filesz < ehdr_size(fmt) || memcmp(b, ELFMAG, SELFMAG))
			continue;
		if (type == AT_PHDR)
			*ret = segs[i].addr + g->process.bias + ehdr_phoff(fmt, b);
		else if (type == AT_PHNUM)
			*ret = ehdr_phnum(fmt, b);
		else
			break;
		return NULL;
	}
	if (type != AT_ENTRY)
		return err_create(ERR_NODEBUG, "a process in a guest shows no auxiliary vector");
	*ret = elf_entry(g->exe) + g->process.bias;
	return NULL;
}
