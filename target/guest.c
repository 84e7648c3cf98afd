#include "target/guest.h"

#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "rsp/rsp.h"
#include "target/guest_int.h"

enum {
	BATCH_PIECES = 16384,
	BATCH_BYTES = 16 << 20,
};

/* ------------------------------------------------------------------ physical memory */

/*
 * "FlatView #1", " AS "memory", root: system", "  0000000000000000-000000000009ffff (prio 0, ram):
 * pc.ram KVM": what the processors see, by the monitor's `info mtree -f`.
 */
static struct err *read_ram(struct guest *g)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct err *err = rsp_monitor(g->rsp, "info mtree -f", &text);
	bool on = false;
	char *save, *line;

	if (err)
		return err_wrapf(err, "finding the guest's memory");
	for (line = strtok_r(text.data ? (char *)text.data : NULL, "\r\n", &save); line && !err;
	     line = strtok_r(NULL, "\r\n", &save)) {
		uint64_t start, end;
		int at = 0;

		if (!strncmp(line, "FlatView", 8))
			on = false;
		if (strstr(line, "AS \"memory\""))
			on = true;
		if (!on ||
		    sscanf(line, " %" SCNx64 "-%" SCNx64 " (prio %*d, ram)%n", &start, &end, &at) !=
			    2 ||
		    !at || strstr(line, "vram") || end < start || end >= g->arch->guest->addr)
			continue;
		start &= ~(uint64_t)(GUEST_PAGE - 1);
		end = (end | (GUEST_PAGE - 1)) + 1;
		if (g->ram.n && start <= g->ram.v[g->ram.n - 1].end &&
		    end > g->ram.v[g->ram.n - 1].start) {
			if (end > g->ram.v[g->ram.n - 1].end)
				g->ram.v[g->ram.n - 1].end = end;
			continue;
		}
		err = vec_push(&g->ram, ((struct ram){ start, end }));
	}
	for (size_t i = 0; i < g->ram.n; i++) {
		g->stats.ram += g->ram.v[i].end - g->ram.v[i].start;
		if (g->ram.v[i].end > g->pages.end)
			g->pages.end = g->ram.v[i].end;
	}
	if (!err && !g->ram.n)
		err = err_create(ERR_BADDATA,
				 "the stub's monitor names no RAM of the guest (info mtree -f)");
	return err;
}

struct err *guest_read_phys(struct guest *g, struct mem_range *ranges, size_t n)
{
	struct err *err = n ? g->memory->readv(g->memory, ranges, n) : NULL;

	for (size_t i = 0; i < n && !err; i++)
		if (ranges[i].got < ranges[i].len)
			memset(ranges[i].dst + ranges[i].got, 0, ranges[i].len - ranges[i].got);
	return err;
}

/* ------------------------------------------------------------------ vCPUs */

static bool find_reg(struct bytes_fmt fmt, const struct rsp_reg *regs, size_t n, const char *name,
		     const struct buf *raw, const struct buf *avail, uint64_t *ret)
{
	for (size_t i = 0; i < n; i++) {
		const struct rsp_reg *r = &regs[i];

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

struct err *guest_read_vcpus(struct guest *g)
{
	const struct arch_guest *ag = g->arch->guest;
	struct rsp_threads list = VEC_INIT;
	struct bytes_fmt fmt = g->arch->fmt;
	const struct rsp_reg *regs;
	const char *name;
	struct buf *raw = NULL;
	size_t n;
	struct err *err = rsp_registers(g->rsp, &regs, &n, &name);

	g->vcpus.n = 0;
	if (!err)
		err = rsp_threads(g->rsp, &list);
	if (!err) {
		raw = calloc(2 * list.n + 1, sizeof(*raw));
		err = raw ? rsp_read_registers(g->rsp, list.v, list.n, raw, raw + list.n) :
			    err_nomem();
	}
	for (size_t i = 0; i < list.n && !err; i++) {
		const struct buf *b = &raw[i], *avail = &raw[list.n + i];
		struct vcpu v = { .levels = 4 };
		uint64_t levels;

		if (!find_reg(fmt, regs, n, ag->root, b, avail, &v.root) ||
		    !find_reg(fmt, regs, n, ag->privilege, b, avail, &v.privilege) ||
		    !find_reg(fmt, regs, n, ag->levels, b, avail, &levels)) {
			err = err_create(
				ERR_UNSUPPORTED,
				"the stub does not show a vCPU's %s, %s and %s: it cannot be told which "
				"process runs",
				ag->root, ag->privilege, ag->levels);
			break;
		}
		find_reg(fmt, regs, n, ag->tls, b, avail, &v.tls);
		v.root &= ag->addr;
		v.levels += !!(levels & ag->level5);
		for (unsigned r = 0; r < g->arch->nregs; r++)
			v.th.have[r] = *g->arch->reg_names[r] &&
				       find_reg(fmt, regs, n, g->arch->reg_names[r], b, avail,
						&v.th.regs[r]);
		v.th.valid = v.th.have[g->arch->pc] && v.th.have[g->arch->sp];
		err = vec_push(&g->vcpus, v);
	}
	for (size_t i = 0; raw && i < 2 * list.n; i++)
		buf_deinit(&raw[i]);
	free(raw);
	vec_deinit(&list);
	g->stats.vcpus = (unsigned)g->vcpus.n;
	return err_wrapf(err, "reading the vCPUs' registers");
}

/* ------------------------------------------------------------------ the process's memory */

/* What a page has that was never touched: EXE's bytes, which it maps privately, or zeros. */
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

struct batch {
	VEC(struct mem_range) pieces;
	VEC(struct mem_range *) owners;
	uint64_t bytes;
};

static struct err *flush(struct guest *g, struct batch *b)
{
	struct err *err =
		b->pieces.n ? g->memory->readv(g->memory, b->pieces.v, b->pieces.n) : NULL;

	for (size_t i = 0; i < b->pieces.n && !err; i++) {
		const struct mem_range *p = &b->pieces.v[i];
		struct mem_range *r = b->owners.v[i];
		uint64_t off = (uint64_t)(p->dst - r->dst);

		g->fetched += p->got;
		if (p->got < p->len && off + p->got < r->got)
			r->got = off + p->got;
	}
	b->pieces.n = b->owners.n = 0;
	b->bytes = 0;
	if (!err && g->progress)
		g->progress(g->arg, g->fetched);
	return err;
}

static struct err *translate(struct guest *g, struct mem_range *r, struct batch *b)
{
	struct err *err = NULL;

	r->got = 0;
	while (r->got < r->len && !err) {
		uint64_t va = r->addr + r->got, len = r->len - r->got;
		struct page pg = pages_walk(&g->pages, g->process.root, va);
		struct mem_range *last = b->pieces.n ? &b->pieces.v[b->pieces.n - 1] : NULL;

		if (len > pg.size - (va & (pg.size - 1)))
			len = pg.size - (va & (pg.size - 1));
		if (pg.kind == PAGE_SWAPPED)
			g->stats.swapped += len;
		if (pg.kind == PAGE_SWAPPED || pg.kind == PAGE_NONE)
			return NULL;
		if (pg.kind == PAGE_UNTOUCHED) {
			fill_untouched(g, va, r->dst + r->got, len);
		} else if (last && last->dst + last->len == r->dst + r->got &&
			   last->addr + last->len == pg.pa && b->owners.v[b->owners.n - 1] == r) {
			last->len += len;
		} else {
			err = vec_push(&b->pieces,
				       ((struct mem_range){ pg.pa, len, r->dst + r->got, 0 }));
			if (!err)
				err = vec_push(&b->owners, r);
		}
		b->bytes += len;
		r->got += len;
		if (!err && (b->pieces.n >= BATCH_PIECES || b->bytes >= BATCH_BYTES))
			err = flush(g, b);
	}
	return err;
}

static struct err *guest_readv(struct mem_source *src, struct mem_range *ranges, size_t n)
{
	struct guest *g = (struct guest *)src;
	struct batch b = { VEC_INIT, VEC_INIT, 0 };
	struct err *err = pages_fetch(&g->pages, g->process.root, ranges, n);

	g->fetched = 0;
	for (size_t i = 0; i < n && !err; i++)
		err = translate(g, &ranges[i], &b);
	if (!err)
		err = flush(g, &b);
	vec_deinit(&b.pieces);
	vec_deinit(&b.owners);
	return err;
}

struct err *guest_peek(struct guest *g, uint64_t root, uint64_t va, void *dst, uint64_t len)
{
	struct mem_range r = { va, len, dst, 0 };
	struct err *err = pages_fetch(&g->pages, root, &r, 1);

	while (r.len && !err) {
		struct page pg = pages_walk(&g->pages, root, r.addr);
		struct mem_range piece = { pg.pa, pg.size - (r.addr & (pg.size - 1)), r.dst, 0 };

		if (pg.kind != PAGE_MAPPED)
			return err_fault(r.addr, "nothing is mapped at 0x%" PRIx64, r.addr);
		if (piece.len > r.len)
			piece.len = r.len;
		err = guest_read_phys(g, &piece, 1);
		r = (struct mem_range){ r.addr + piece.len, r.len - piece.len, r.dst + piece.len,
					0 };
	}
	return err;
}

/* ------------------------------------------------------------------ life */

struct err *guest_create(struct rsp *rsp, const struct arch *arch, struct mem_source *memory,
			 const struct elf *exe, struct guest **ret)
{
	struct guest *g;
	struct err *err;

	if (!arch->guest)
		return err_create(
			ERR_UNSUPPORTED,
			"the stub shows a whole machine, and how to find a process in one is not known "
			"for %s",
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
	err = rsp_read_physical(rsp);
	if (!err)
		err = read_ram(g);
	if (!err)
		err = guest_read_vcpus(g);
	if (err) {
		guest_destroy(g);
		return err;
	}
	for (size_t i = 0; i < g->vcpus.n; i++)
		if (g->vcpus.v[i].levels > g->pages.levels)
			g->pages.levels = g->vcpus.v[i].levels;
	*ret = g;
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

/* EXE's own headers say it: the first segment begins with the file's. */
struct err *guest_auxv(struct guest *g, uint64_t type, uint64_t *ret)
{
	const struct elf_segment *segs;
	struct bytes_fmt fmt = g->arch->fmt;
	size_t n = elf_segments(g->exe, &segs);

	for (size_t i = 0; i < n; i++) {
		const uint8_t *b = segs[i].data;

		if (segs[i].filesz < 64 || memcmp(b, "\177ELF", 4))
			continue;
		if (type == AT_PHDR)
			*ret = segs[i].addr + g->process.bias +
			       (fmt.word == 8 ? bytes_u64(fmt, b + 32) : bytes_u32(fmt, b + 28));
		else if (type == AT_PHNUM)
			*ret = bytes_u16(fmt, b + (fmt.word == 8 ? 56 : 44));
		else
			break;
		return NULL;
	}
	if (type != AT_ENTRY)
		return err_create(ERR_NODEBUG, "a process in a guest shows no auxiliary vector");
	*ret = elf_entry(g->exe) + g->process.bias;
	return NULL;
}
