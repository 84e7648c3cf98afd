/*
 * The process is laid out in pieces of memory: code, constants (types, function tables, build
 * information), variables, the runtime's own memory and the heap.  EXE is written from the first
 * three; all of them serve the image.
 */
#include "tests/unit/fakeheap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heap/heap.h"
#include "heap/runtime/root.h"
#include "heap/types/type.h"
#include "target/target_int.h"
#include "tests/unit/fakeelf.h"

const struct fake_era fake_eras[] = {
	{ "go1.26.8", "amd64" },  { "go1.26.8", "386" },    { "go1.26.8", "s390x" },
	{ "go1.26.8", "mips" },   { "go1.26.8", "arm64" },  { "go1.25.5", "amd64" },
	{ "go1.25.5", "arm" },    { "go1.24.10", "amd64" }, { "go1.24.10", "s390x" },
	{ "go1.22.12", "amd64" }, { "go1.22.12", "arm" },   { "go1.22.12", "s390x" },
	{ "go1.22.12", "mips" },  { "go1.20.14", "amd64" }, { "go1.20.14", "386" },
	{ "go1.20.14", "s390x" }, { "go1.20.14", "mips" },  { "go1.18.10", "amd64" },
	{ "go1.18.10", "ppc64" }, { "go1.17.13", "amd64" }, { "go1.17.13", "arm" },
	{ "go1.17.13", "s390x" }, { "go1.17.13", "mips" },  { "go1.17.13", "arm64" },
	{ "go1.27.3", "amd64" },  { "go1.27.3", "mips" },   { "go1.26.8", "riscv64" },
};
const size_t fake_neras = sizeof(fake_eras) / sizeof(*fake_eras);

enum {
	KIND_PROG = 64,  /* KindGCProg, until 1.23 */
	TFLAG_MASK = 16, /* TFlagGCMaskOnDemand, since 1.24 */
	TFLAG_NAME = 4,  /* TFlagNamed */
	TOPFRAME = 1,
	SWEEPGEN = 8,
	SYS_SIZE = 1 << 20,
	TID = 0x111,
	FREE_INDEX = 3, /* of FAKE_NODES: what lies below is allocated, whatever its bit says */
};

/* ------------------------------------------------------------------ memory */

static struct err *fake_readv(struct mem_source *src, struct mem_range *r, size_t n)
{
	struct fake *f = (struct fake *)src;

	for (size_t i = 0; i < n; i++) {
		r[i].got = 0;
		for (size_t k = 0; k < f->pieces.n; k++) {
			const struct fake_piece *p = &f->pieces.v[k];
			uint64_t off = r[i].addr - p->addr;

			if (off >= p->len)
				continue;
			r[i].got = p->len - off < r[i].len ? p->len - off : r[i].len;
			memcpy(r[i].dst, p->data + off, r[i].got);
		}
	}
	return NULL;
}

void fake_add(struct fake *f, uint64_t addr, uint64_t len)
{
	struct fake_piece p = { addr, len, calloc(1, len) };

	if (!p.data || vec_push(&f->pieces, p))
		abort();
}

uint8_t *fake_at(struct fake *f, uint64_t addr, uint64_t len)
{
	for (size_t i = 0; i < f->pieces.n; i++) {
		const struct fake_piece *p = &f->pieces.v[i];

		if (addr >= p->addr && addr - p->addr < p->len && len <= p->len - (addr - p->addr))
			return p->data + (addr - p->addr);
	}
	fprintf(stderr, "fakeheap: no memory at 0x%llx\n", (unsigned long long)addr);
	abort();
}

void fake_put(struct fake *f, uint64_t addr, uint64_t v, unsigned size)
{
	bytes_put(f->fmt, fake_at(f, addr, size), v, size);
}

void fake_word(struct fake *f, uint64_t addr, uint64_t v)
{
	fake_put(f, addr, v, f->fmt.word);
}

void fake_set(struct fake *f, uint64_t base, enum layout_id id, uint64_t v)
{
	if (layout_has(&f->l, id))
		fake_put(f, base + layout_off(&f->l, id), v, layout_size(&f->l, id));
}

uint64_t fake_get(struct fake *f, uint64_t base, enum layout_id id)
{
	unsigned size = layout_size(&f->l, id);

	return bytes_uint(f->fmt, fake_at(f, base + layout_off(&f->l, id), size), size);
}

static void fake_slice(struct fake *f, uint64_t addr, uint64_t ptr, uint64_t len, uint64_t cap)
{
	fake_word(f, addr, ptr);
	fake_word(f, addr + f->fmt.word, len);
	fake_word(f, addr + 2 * f->fmt.word, cap);
}

static uint64_t round_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) / to * to;
}

uint64_t fake_alloc(struct fake *f, uint64_t size, uint64_t align)
{
	uint64_t at = round_up(f->sys_at, align);

	f->sys_at = at + size;
	return at;
}

uint64_t fake_constant(struct fake *f, uint64_t size)
{
	uint64_t at = round_up(f->rodata_at, 8);

	f->rodata_at = at + size;
	return at;
}

static void fake_places(struct fake *f)
{
	bool wide = f->fmt.word == 8;
	uint64_t heap = wide ? 0xc000000000 : 0x0c000000, pages = 0;

	f->text = 0x400000;
	f->text_end = f->text + FAKE_NFUNCS * FAKE_FUNC_SIZE;
	f->rodata = f->rodata_at = 0x480000;
	f->moduledata = 0x500000;
	f->data = f->moduledata + 0x1000;
	f->data_end = f->data + 0x100;
	f->bss = f->moduledata + 0x2000;
	/* As in every release, mheap_ has pointers and is in .bss. */
	f->mheap = f->bss + 0x1000;
	f->m0 = round_up(f->mheap + layout_off(&f->l, L_mheap_arenas) + (64 << 10), 64);
	f->g0 = round_up(f->m0 + layout_size(&f->l, LS_m), 64);
	f->bss_end = f->noptrbss = round_up(f->g0 + layout_size(&f->l, LS_g), 4096);
	f->noptrbss_end = f->noptrbss + 0x1000;
	f->noptrdata_end = f->data;
	f->sys = f->sys_at = wide ? 0x3f0000000000 : 0x40000000;
	fake_add(f, f->text, 0x1000);
	fake_add(f, f->rodata, 0x8000);
	fake_add(f, f->moduledata, f->noptrbss_end - f->moduledata);
	fake_add(f, f->sys, SYS_SIZE);
	for (int i = 0; i < FAKE_NSPANS; i++) {
		f->spans[i].base = heap + pages * GO_PAGE;
		pages += f->spans[i].npages;
	}
	fake_add(f, heap, pages * GO_PAGE);
}

/* ------------------------------------------------------------------ spans */

static bool is_small(const struct fake *f, const struct fake_span *s)
{
	return s->elemsize <= 8u * f->fmt.word * f->fmt.word;
}

static bool in_arenas(const struct fake *f)
{
	return layout_has(&f->l, L_heapArena_bitmap);
}

bool fake_has_header(const struct fake *f, enum fake_span_id span)
{
	const struct fake_span *s = &f->spans[span];

	return !in_arenas(f) && s->spanclass >> 1 && !(s->spanclass & 1) && !is_small(f, s);
}

uint64_t fake_object(const struct fake *f, enum fake_span_id span, uint32_t i)
{
	return f->spans[span].base + i * f->spans[span].elemsize +
	       (fake_has_header(f, span) ? 8 : 0);
}

uint64_t fake_node(const struct fake *f, enum fake_node_slot i)
{
	return fake_object(f, FAKE_NODES, i);
}

uint64_t fake_leaf(const struct fake *f, enum fake_leaf_slot i)
{
	return fake_object(f, FAKE_LEAVES, i);
}

/* Slots whose class depends on a struct's size: as a size class would have it. */
static uint64_t slot_of(const struct fake *f, uint64_t size)
{
	bool header = !in_arenas(f) && size > 8u * f->fmt.word * f->fmt.word;

	return round_up(size + (header ? 8 : 0), 8);
}

/* Before fake_places(): sizes and classes. */
static void spans_size(struct fake *f)
{
	uint64_t node = 4u * f->fmt.word;
	const struct fake_span specs[FAKE_NSPANS] = {
		[FAKE_NODES] = { .npages = 1,
				 .elemsize = node,
				 .spanclass = node == 32 ? 4 << 1 : 2 << 1,
				 .nalloc = NODE_N - 1 },
		[FAKE_LEAVES] = { .npages = 1,
				  .elemsize = 16,
				  .spanclass = 2 << 1 | 1,
				  .nalloc = LEAF_N },
		[FAKE_BIG] = { .npages = 1, .elemsize = 1024, .spanclass = 32 << 1, .nalloc = 1 },
		[FAKE_HUGE] = { .npages = 5, .elemsize = 5 * GO_PAGE, .nalloc = 1 },
		[FAKE_GS] = { .npages = 1,
			      .elemsize = slot_of(f, layout_size(&f->l, LS_g)),
			      .spanclass = 25 << 1,
			      .nalloc = 2 },
		[FAKE_PS] = { .npages = 5, .elemsize = 10240, .spanclass = 60 << 1, .nalloc = 1 },
		[FAKE_STACKS] = { .npages = 1, .state = SPAN_MANUAL },
		[FAKE_DEAD] = { .npages = 1 },
	};

	for (int i = 0; i < FAKE_NSPANS; i++) {
		struct fake_span *s = &f->spans[i];
		uint64_t bytes = specs[i].npages * GO_PAGE;

		*s = specs[i];
		if (!s->elemsize)
			continue;
		s->state = SPAN_IN_USE;
		if (s->spanclass >> 1 && is_small(f, s) && f->green_tea)
			bytes -= INLINE_MARKS;
		if (!in_arenas(f) && s->spanclass >> 1 && !(s->spanclass & 1) && is_small(f, s))
			bytes -= s->npages * GO_PAGE / f->fmt.word / 8;
		s->nelems = (uint32_t)(bytes / s->elemsize);
	}
}

static void set_bit(uint8_t *b, uint64_t i)
{
	b[i >> 3] |= (uint8_t)(1 << (i & 7));
}

static void write_bits(struct fake *f, enum fake_span_id id)
{
	struct fake_span *s = &f->spans[id];
	uint32_t first = id == FAKE_NODES ? FREE_INDEX : 0, n = 0;
	uint8_t *bits;

	s->alloc_bits = fake_alloc(f, s->nelems / 8 + 8, 8);
	s->mark_bits = fake_alloc(f, s->nelems / 8 + 8, 8);
	bits = fake_at(f, s->alloc_bits, s->nelems / 8 + 8);
	for (uint32_t i = 0; n < s->nalloc; i++) {
		if (id == FAKE_NODES && i == NODE_FREE)
			continue;
		n++;
		if (i >= first)
			set_bit(bits, i);
	}
	memcpy(fake_at(f, s->mark_bits, s->nelems / 8 + 8), bits, s->nelems / 8 + 8);
}

static void write_spans(struct fake *f)
{
	enum { ARRAY = 64 << 10 };

	f->allspans = fake_alloc(f, ARRAY, 4096);
	fake_slice(f, f->mheap + layout_off(&f->l, L_mheap_allspans), f->allspans, FAKE_NSPANS,
		   ARRAY / f->fmt.word);
	fake_set(f, f->mheap, L_mheap_sweepgen, SWEEPGEN);
	for (int i = 0; i < FAKE_NSPANS; i++) {
		struct fake_span *s = &f->spans[i];

		s->mspan = fake_alloc(f, layout_size(&f->l, LS_mspan), 64);
		fake_word(f, f->allspans + (unsigned)i * f->fmt.word, s->mspan);
		fake_set(f, s->mspan, L_mspan_state, s->state);
		fake_set(f, s->mspan, L_mspan_startAddr, s->base);
		fake_set(f, s->mspan, L_mspan_npages, s->npages);
		if (s->state != SPAN_IN_USE)
			continue;
		write_bits(f, i);
		fake_set(f, s->mspan, L_mspan_limit, s->base + s->nelems * s->elemsize);
		fake_set(f, s->mspan, L_mspan_elemsize, s->elemsize);
		fake_set(f, s->mspan, L_mspan_nelems, s->nelems);
		fake_set(f, s->mspan, L_mspan_freeindex, i == FAKE_NODES ? FREE_INDEX : 0);
		fake_set(f, s->mspan, L_mspan_freeIndexForScan, i == FAKE_NODES ? FREE_INDEX : 0);
		fake_set(f, s->mspan, L_mspan_allocCount, s->nalloc);
		fake_set(f, s->mspan, L_mspan_spanclass, s->spanclass);
		fake_set(f, s->mspan, L_mspan_sweepgen, SWEEPGEN);
		fake_set(f, s->mspan, L_mspan_allocBits, s->alloc_bits);
		fake_set(f, s->mspan, L_mspan_gcmarkBits, s->mark_bits);
	}
}

static void write_arena(struct fake *f)
{
	enum { BITMAP = 16 << 10 };
	uint64_t heap = f->spans[0].base, entry, index;

	if (!in_arenas(f))
		return;
	f->heap_arena = f->sys + (16 << 20);
	/* of its tables the parts for this heap */
	fake_add(f, f->heap_arena + layout_off(&f->l, L_heapArena_bitmap), BITMAP);
	if (layout_has(&f->l, L_heapArena_noMorePtrs))
		fake_add(f, f->heap_arena + layout_off(&f->l, L_heapArena_noMorePtrs), 512);
	entry = fake_alloc(f, f->fmt.word, 8);
	fake_word(f, entry, f->heap_arena);
	index = (heap - f->arch->arena_base) >> f->arch->arena_shift;
	fake_word(f, f->mheap + layout_off(&f->l, L_mheap_arenas),
		  entry - index % f->arch->arena_l2 * f->fmt.word);
}

/* Sets bit i of an array of native words. */
static void set_word_bit(struct fake *f, uint64_t array, uint64_t i)
{
	unsigned per = 8u * f->fmt.word;
	uint64_t at = array + i / per * f->fmt.word;

	fake_word(f, at, bytes_word(f->fmt, fake_at(f, at, f->fmt.word)) | 1ull << i % per);
}

/* The words of a slot that are pointers, in order, where nothing but bitmaps knows them. */
static void write_pointers(struct fake *f, enum fake_span_id id, uint32_t slot,
			   const uint64_t *words, size_t n)
{
	const struct fake_span *s = &f->spans[id];
	uint64_t word = f->fmt.word, at = s->base + slot * s->elemsize - f->spans[0].base;
	uint64_t end = s->npages * GO_PAGE, bitmap = f->heap_arena;

	if (!in_arenas(f)) {
		if (!is_small(f, s))
			return;
		bitmap = s->base + end - end / word / 8 - (f->green_tea ? INLINE_MARKS : 0);
		for (size_t i = 0; i < n; i++)
			set_word_bit(f, bitmap, slot * s->elemsize / word + words[i]);
		return;
	}
	bitmap += layout_off(&f->l, L_heapArena_bitmap);
	for (size_t i = 0; i < n; i++)
		if (layout_has(&f->l, L_heapArena_noMorePtrs))
			set_word_bit(f, bitmap, at / word + words[i]);
	if (layout_has(&f->l, L_heapArena_noMorePtrs))
		return;
	/* two bits a word: what it is, and that it is not behind the last pointer */
	for (uint64_t w = 0, i = 0; i < n; w++) {
		uint8_t *b = fake_at(f, bitmap + (at / word + w) / 4, 1);

		*b |= (uint8_t)(16 << ((at / word + w) & 3));
		if (w == words[i]) {
			*b |= (uint8_t)(1 << ((at / word + w) & 3));
			i++;
		}
	}
}

/* ------------------------------------------------------------------ types */

static uint64_t write_name(struct fake *f, const char *s)
{
	size_t len = strlen(s);
	uint64_t at = fake_constant(f, len + 2);
	uint8_t *b = fake_at(f, at, len + 2);

	b[1] = (uint8_t)len; /* behind the flags */
	memcpy(b + 2, s, len);
	return at;
}

static void write_type(struct fake *f, enum fake_type id, const char *name, unsigned kind,
		       uint64_t size, uint64_t ptrdata)
{
	uint64_t at = fake_constant(f, 192), mask;
	bool composite = kind == KIND_POINTER || kind == KIND_ARRAY;

	f->types[id] = at;
	fake_set(f, at, L_type_size, size);
	fake_set(f, at, L_type_ptrdata, ptrdata);
	fake_set(f, at, L_type_kind, kind);
	fake_set(f, at, L_type_tflag, composite ? 0 : TFLAG_NAME);
	fake_set(f, at, L_type_str, write_name(f, name) - f->rodata);
	mask = fake_constant(f, 8);
	*fake_at(f, mask, 1) = kind == KIND_POINTER ? 1 : ptrdata ? FAKE_POINTERS : 0;
	fake_set(f, at, L_type_gcdata, mask);
}

/* struct { next *T; n uintptr; leaf *T } */
static void write_fields(struct fake *f, enum fake_type id, enum fake_type pointer)
{
	static const char *const names[] = { "next", "n", "leaf" };
	uint32_t size = layout_size(&f->l, LS_structfield);
	uint64_t at = fake_constant(f, 3 * size);
	bool shifted = layout_has(&f->l, L_structfield_offsetAnon);

	fake_slice(f, f->types[id] + layout_off(&f->l, L_structtype_fields), at, 3, 3);
	for (unsigned i = 0; i < 3; i++) {
		fake_set(f, at + i * size, L_structfield_name, write_name(f, names[i]));
		fake_set(f, at + i * size, L_structfield_typ,
			 i == 1 ? f->types[FAKE_T_UINTPTR] : f->types[pointer]);
		fake_set(f, at + i * size, L_structfield_offset,
			 (uint64_t)i * f->fmt.word << shifted);
	}
}

static bool masks_on_demand(const struct fake *f)
{
	return layout_has(&f->l, L_specialCleanup_fn) ||
	       layout_has(&f->l, L_specialCleanup_cleanup);
}

/* A program that says a main.big's words, and repeats them: runtime/mbitmap.go, runGCProg. */
static uint64_t write_program(struct fake *f, uint64_t n)
{
	enum { LITERAL = 127, LITERAL_BYTES = (LITERAL + 7) / 8 };
	uint64_t words = FAKE_BIG_SIZE / f->fmt.word, at = fake_constant(f, 64);
	uint8_t *b = fake_at(f, at, 64) + 4; /* behind its length */

	for (uint64_t w = 0; w < words; w += LITERAL) {
		*b = LITERAL;
		b[1] = w ? 0 : FAKE_POINTERS;
		b += 1 + LITERAL_BYTES;
	}
	*b++ = 0x80;
	if (words >= 128) {
		*b++ = (uint8_t)(words | 0x80);
		words >>= 7;
	}
	*b++ = (uint8_t)words;
	*b++ = (uint8_t)(n - 1);
	return at;
}

static void write_types(struct fake *f)
{
	uint64_t word = f->fmt.word, n = 5 * GO_PAGE / FAKE_BIG_SIZE;
	uint64_t links, huge;

	fake_constant(f, 16); /* offset 0 is no name */
	write_type(f, FAKE_T_UINTPTR, "uintptr", KIND_UINTPTR, word, 0);
	write_type(f, FAKE_T_NODE, "main.node", KIND_STRUCT, 4 * word, 3 * word);
	write_type(f, FAKE_T_PNODE, "*main.node", KIND_POINTER, word, word);
	write_type(f, FAKE_T_BIG, "main.big", KIND_STRUCT, FAKE_BIG_SIZE, 3 * word);
	write_type(f, FAKE_T_PBIG, "*main.big", KIND_POINTER, word, word);
	write_type(f, FAKE_T_HUGE, "[40]main.big", KIND_ARRAY, n * FAKE_BIG_SIZE,
		   (n - 1) * FAKE_BIG_SIZE + 3 * word);
	write_type(f, FAKE_T_G, "runtime.g", KIND_STRUCT, layout_size(&f->l, LS_g), 0);
	write_type(f, FAKE_T_P, "runtime.p", KIND_STRUCT, 10000, 0);
	fake_word(f, f->types[FAKE_T_PNODE] + layout_size(&f->l, LS_type), f->types[FAKE_T_NODE]);
	fake_word(f, f->types[FAKE_T_PBIG] + layout_size(&f->l, LS_type), f->types[FAKE_T_BIG]);
	write_fields(f, FAKE_T_NODE, FAKE_T_PNODE);
	write_fields(f, FAKE_T_BIG, FAKE_T_PBIG);
	huge = f->types[FAKE_T_HUGE];
	fake_set(f, huge, L_arraytype_elem, f->types[FAKE_T_BIG]);
	fake_set(f, huge, L_arraytype_len, n);
	if (masks_on_demand(f)) {
		fake_set(f, huge, L_type_tflag, TFLAG_MASK);
		fake_set(f, huge, L_type_gcdata, 0);
	} else {
		fake_set(f, huge, L_type_kind, KIND_ARRAY | KIND_PROG);
		fake_set(f, huge, L_type_gcdata, write_program(f, n));
	}
	links = fake_constant(f, 8);
	fake_put(f, links, f->types[FAKE_T_PNODE] - f->rodata, 4);
	fake_put(f, links + 4, f->types[FAKE_T_PBIG] - f->rodata, 4);
	if (layout_has(&f->l, L_moduledata_typelinks))
		fake_slice(f, f->moduledata + layout_off(&f->l, L_moduledata_typelinks), links, 2,
			   2);
}

/* ------------------------------------------------------------------ functions */

static uint8_t *put_uvarint(uint8_t *b, uint64_t v)
{
	for (; v >= 128; v >>= 7)
		*b++ = (uint8_t)(v | 0x80);
	*b++ = (uint8_t)v;
	return b;
}

static unsigned quantum(const struct fake *f)
{
	if (!f->arch->min_frame)
		return 1;
	return !strcmp(f->era.goarch, "s390x") ? 2 : 4;
}

/* A table with one value in the prologue and another behind it; its offset in pctab. */
static uint64_t write_pcvalues(struct fake *f, uint8_t **at, int32_t before, int32_t behind)
{
	uint64_t off = (uint64_t)(*at - fake_at(f, f->pctab, 1));
	uint32_t change = (uint32_t)(behind - before);

	*at = put_uvarint(*at, (uint32_t)(before + 1) << 1);
	if (change) { /* 0 would end the table */
		*at = put_uvarint(*at, FAKE_PROLOGUE / quantum(f));
		*at = put_uvarint(*at, change << 1);
	}
	*at = put_uvarint(*at, (FAKE_FUNC_SIZE - (change ? FAKE_PROLOGUE : 0)) / quantum(f));
	*(*at)++ = 0;
	return off;
}

/* One bitmap of n words. */
static uint64_t write_stackmap(struct fake *f, uint32_t n, uint8_t bits)
{
	uint64_t at = fake_constant(f, 16);

	fake_put(f, at, 1, 4);
	fake_put(f, at + 4, n, 4);
	*fake_at(f, at + 8, 1) = bits;
	return at;
}

/* main.worker's object of two words right below its frame's end; the first is a pointer. */
static uint64_t write_stack_object(struct fake *f)
{
	uint64_t mask = fake_constant(f, 8), word = f->fmt.word;
	uint64_t at = fake_constant(f, word + layout_size(&f->l, LS_stackObjectRecord)),
		 r = at + word;

	*fake_at(f, mask, 1) = 1;
	fake_word(f, at, 1);
	fake_set(f, r, L_stackObjectRecord_off, (uint64_t)(-2 * (int64_t)word));
	fake_set(f, r, L_stackObjectRecord_size, 2 * word);
	fake_set(f, r, L_stackObjectRecord_ptrdata, word);
	fake_set(f, r, L_stackObjectRecord_gcdataoff, mask - f->rodata);
	fake_set(f, r, L_stackObjectRecord_gcdata, mask);
	return at;
}

struct fake_func_spec {
	const char *name;
	uint64_t pcsp, stackmap;
	uint64_t funcdata[3]; /* addresses; 0: none */
	uint32_t args;
	uint8_t flag;
};

static void write_func(struct fake *f, uint64_t at, uint64_t entry, uint64_t name,
		       const struct fake_func_spec *s)
{
	uint64_t more = at + layout_off(&f->l, L_func_nfuncdata) + 1;

	fake_set(f, at, L_func_entry, entry);
	fake_set(f, at, L_func_entryOff, entry - f->text);
	fake_set(f, at, L_func_nameOff, name);
	fake_set(f, at, L_func_args, s->args);
	fake_set(f, at, L_func_pcsp, s->pcsp);
	fake_set(f, at, L_func_npcdata, 2);
	fake_set(f, at, L_func_flag, s->flag);
	fake_set(f, at, L_func_nfuncdata, 3);
	fake_put(f, more + 4, s->stackmap, 4);
	more += 8;
	for (unsigned i = 0; i < 3; i++) {
		if (layout_has(&f->l, L_moduledata_gofunc)) {
			fake_put(f, more + 4 * i,
				 s->funcdata[i] ? s->funcdata[i] - f->gofunc : UINT32_MAX, 4);
			continue;
		}
		if (f->fmt.word == 8 && more & 7)
			more += 4;
		fake_word(f, more + i * f->fmt.word, s->funcdata[i]);
	}
}

static void write_functions(struct fake *f)
{
	enum { HEADER = 128, NAMES = FAKE_NFUNCS * FAKE_NAME, PCTAB = 256, RECORD = 128 };
	struct fake_func_spec specs[FAKE_NFUNCS] = {
		[FAKE_GOEXIT] = { .name = "runtime.goexit", .flag = TOPFRAME },
		[FAKE_GOPARK] = { .name = "runtime.gopark" },
		[FAKE_WORKER] = { .name = "main.worker", .args = f->fmt.word },
		[FAKE_SPIN] = { .name = "main.spin" },
	};
	uint32_t magic = layout_has(&f->l, L_func_entry)                            ? 0xfffffffa :
			 in_arenas(f) && !layout_has(&f->l, L_heapArena_noMorePtrs) ? 0xfffffff0 :
										      0xfffffff1;
	unsigned half = layout_has(&f->l, L_func_entryOff) ? 4 : f->fmt.word;
	uint64_t names, ftab, records, md = f->moduledata;
	uint64_t maps[2], moving, still, mapped;
	uint8_t *pcs;

	f->gofunc = fake_constant(f, 0);
	maps[0] = write_stackmap(f, 0, 0);
	maps[1] = write_stackmap(f, 4, 3);
	f->locals_map = maps[1];
	specs[FAKE_GOPARK].funcdata[FUNCDATA_LOCALS] = maps[0];
	specs[FAKE_SPIN].funcdata[FUNCDATA_LOCALS] = maps[0];
	specs[FAKE_WORKER].funcdata[FUNCDATA_LOCALS] = maps[1];
	specs[FAKE_WORKER].funcdata[FUNCDATA_ARGS] = f->args_map = write_stackmap(f, 1, 1);
	f->stack_objects = write_stack_object(f);
	specs[FAKE_WORKER].funcdata[FUNCDATA_STACK_OBJECTS] = f->stack_objects;

	f->pclntab = fake_constant(f, HEADER);
	names = fake_constant(f, NAMES);
	f->pctab = fake_constant(f, PCTAB);
	ftab = f->ftab = fake_constant(f, (2 * FAKE_NFUNCS + 2) * half);
	records = fake_constant(f, FAKE_NFUNCS * RECORD);
	f->pclntab_len = f->rodata_at - f->pclntab;
	fake_put(f, f->pclntab, magic, 4);
	*fake_at(f, f->pclntab + 6, 1) = (uint8_t)quantum(f);
	*fake_at(f, f->pclntab + 7, 1) = f->fmt.word;
	fake_set(f, f->pclntab, L_pcHeader_nfunc, FAKE_NFUNCS);
	fake_set(f, f->pclntab, L_pcHeader_textStart, f->text);
	fake_set(f, f->pclntab, L_pcHeader_funcnameOffset, names - f->pclntab);
	fake_set(f, f->pclntab, L_pcHeader_pctabOffset, f->pctab - f->pclntab);
	fake_set(f, f->pclntab, L_pcHeader_pclnOffset, ftab - f->pclntab);

	pcs = fake_at(f, f->pctab, PCTAB) + 1; /* offset 0 means that there is no table */
	moving = write_pcvalues(f, &pcs, 0, (int32_t)f->frame);
	still = write_pcvalues(f, &pcs, 0, 0);
	mapped = write_pcvalues(f, &pcs, -1, 0);
	for (uint64_t i = 0; i <= FAKE_NFUNCS; i++) {
		uint64_t entry = f->text + i * FAKE_FUNC_SIZE, r = records + i * RECORD;
		uint64_t key = half == 4 && f->l.f[L_func_entryOff].off != LAYOUT_ABSENT ?
				       entry - f->text :
				       entry;

		fake_put(f, ftab + 2 * i * half, key, half);
		if (i == FAKE_NFUNCS)
			break;
		fake_put(f, ftab + (2 * i + 1) * half, r - ftab, half);
		f->funcs[i] = entry;
		specs[i].pcsp = i == FAKE_GOEXIT ? still : moving;
		specs[i].stackmap = mapped;
		f->names[i] = names + i * FAKE_NAME + 1; /* behind the end of another */
		strcpy((char *)fake_at(f, f->names[i], FAKE_NAME - 1), specs[i].name);
		f->records[i] = r;
		write_func(f, r, entry, f->names[i] - names, &specs[i]);
	}
	fake_set(f, md, L_moduledata_pcHeader, f->pclntab);
	fake_slice(f, md + layout_off(&f->l, L_moduledata_funcnametab), names, NAMES, NAMES);
	fake_slice(f, md + layout_off(&f->l, L_moduledata_pctab), f->pctab, PCTAB, PCTAB);
	fake_slice(f, md + layout_off(&f->l, L_moduledata_pclntable), ftab,
		   f->pclntab + f->pclntab_len - ftab, f->pclntab + f->pclntab_len - ftab);
	fake_slice(f, md + layout_off(&f->l, L_moduledata_ftab), ftab, FAKE_NFUNCS + 1,
		   FAKE_NFUNCS + 1);
}

static void write_mask(struct fake *f, enum layout_id id, uint64_t words, const uint64_t *at,
		       size_t n)
{
	uint64_t mask = fake_alloc(f, words / 8 + 8, 8), bv = f->moduledata + layout_off(&f->l, id);

	fake_set(f, bv, L_bitvector_n, words);
	fake_set(f, bv, L_bitvector_bytedata, mask);
	for (size_t i = 0; i < n; i++)
		set_bit(fake_at(f, mask, words / 8 + 8), at[i] / f->fmt.word);
}

static void write_module(struct fake *f)
{
	uint64_t md = f->moduledata, in_data[] = { f->var_root - f->data };
	uint64_t in_bss[] = { f->var_second - f->bss, f->allgs - f->bss, f->allp - f->bss,
			      f->allm - f->bss };

	fake_set(f, md, L_moduledata_text, f->text);
	fake_set(f, md, L_moduledata_etext, f->text_end);
	fake_set(f, md, L_moduledata_minpc, f->text);
	fake_set(f, md, L_moduledata_maxpc, f->text_end);
	fake_set(f, md, L_moduledata_noptrdata, f->moduledata);
	fake_set(f, md, L_moduledata_enoptrdata, f->noptrdata_end);
	fake_set(f, md, L_moduledata_data, f->data);
	fake_set(f, md, L_moduledata_edata, f->data_end);
	fake_set(f, md, L_moduledata_bss, f->bss);
	fake_set(f, md, L_moduledata_ebss, f->bss_end);
	fake_set(f, md, L_moduledata_noptrbss, f->noptrbss);
	fake_set(f, md, L_moduledata_enoptrbss, f->noptrbss_end);
	fake_set(f, md, L_moduledata_end, f->noptrbss_end);
	fake_set(f, md, L_moduledata_types, f->rodata);
	fake_set(f, md, L_moduledata_etypes, f->gofunc);
	fake_set(f, md, L_moduledata_rodata, f->rodata);
	fake_set(f, md, L_moduledata_gofunc, f->gofunc);
	write_mask(f, L_moduledata_gcdatamask, (f->data_end - f->data) / f->fmt.word, in_data, 1);
	write_mask(f, L_moduledata_gcbssmask, (f->bss_end - f->bss) / f->fmt.word, in_bss, 4);
}

/* ------------------------------------------------------------------ objects */

static void point(struct fake *f, uint64_t object, uint64_t next, uint64_t leaf)
{
	fake_word(f, object, next);
	fake_word(f, object + f->fmt.word, 0xdead); /* a number */
	fake_word(f, object + 2 * f->fmt.word, leaf);
}

static void write_header(struct fake *f, enum fake_span_id span, uint32_t slot, enum fake_type type)
{
	if (fake_has_header(f, span))
		fake_word(f, f->spans[span].base + slot * f->spans[span].elemsize, f->types[type]);
}

static void write_objects(struct fake *f)
{
	uint64_t fields[] = { 0, 2 }, huge[80], big = fake_object(f, FAKE_BIG, 0),
		 all = fake_object(f, FAKE_HUGE, 0), words = FAKE_BIG_SIZE / f->fmt.word;

	for (uint32_t i = 0; i < NODE_N; i++)
		write_pointers(f, FAKE_NODES, i, i == NODE_ALLGS ? (uint64_t[]){ 0, 1 } : fields,
			       2);
	write_pointers(f, FAKE_BIG, 0, fields, 2);
	for (uint32_t i = 0; i < 80; i++)
		huge[i] = i / 2 * words + i % 2 * 2;
	write_pointers(f, FAKE_HUGE, 0, huge, 80);
	write_header(f, FAKE_BIG, 0, FAKE_T_BIG);
	write_header(f, FAKE_GS, 0, FAKE_T_G);
	write_header(f, FAKE_GS, 1, FAKE_T_G);
	write_header(f, FAKE_PS, 0, FAKE_T_P);
	fake_set(f, f->spans[FAKE_HUGE].mspan, L_mspan_largeType, f->types[FAKE_T_HUGE]);

	fake_word(f, f->var_root, fake_node(f, NODE_ROOT));
	fake_word(f, f->var_second, fake_node(f, NODE_SECOND) + 4); /* inside it */
	point(f, fake_node(f, NODE_ROOT), fake_node(f, NODE_NEXT), fake_leaf(f, LEAF_ROOT));
	point(f, fake_node(f, NODE_NEXT), big, 0);
	point(f, big, all, fake_leaf(f, LEAF_BIG));
	point(f, all, fake_node(f, NODE_OF_HUGE), 0);
	point(f, all + 39 * FAKE_BIG_SIZE, 0, fake_leaf(f, LEAF_HUGE));
	point(f, fake_node(f, NODE_FINALIZED), fake_node(f, NODE_OF_FINALIZED), 0);
	point(f, fake_node(f, NODE_GARBAGE), fake_node(f, NODE_LATE), 0);
	/* what was there before says nothing */
	point(f, fake_node(f, NODE_FREE), fake_node(f, NODE_GARBAGE), 0);
}

static void write_specials(struct fake *f)
{
	bool tiny_first = layout_has(&f->l, L_cleanupQueue_all);
	uint64_t fin, block;

	f->special = fake_alloc(f, 64, 8);
	fake_set(f, f->special, L_special_offset,
		 fake_node(f, NODE_FINALIZED) - f->spans[FAKE_NODES].base);
	fake_set(f, f->special, L_special_kind, tiny_first ? 2 : 1);
	fake_set(f, f->special, L_specialfinalizer_fn, fake_leaf(f, LEAF_FIN_FN));
	fake_set(f, f->special, L_specialfinalizer_fint, f->types[FAKE_T_PNODE]);
	fake_set(f, f->special, L_specialfinalizer_ot, f->types[FAKE_T_PNODE]);
	fake_set(f, f->spans[FAKE_NODES].mspan, L_mspan_specials, f->special);

	f->finblock = fake_alloc(f, layout_size(&f->l, LS_finblock), 4096) + 64;
	fake_alloc(f, 64, 8);
	fin = f->finblock + layout_off(&f->l, L_finblock_fin);
	fake_set(f, f->finblock, L_finblock_cnt, 1);
	fake_set(f, fin, L_finalizer_fn, fake_leaf(f, LEAF_FIN_FN));
	fake_set(f, fin, L_finalizer_arg, fake_node(f, NODE_QUEUED));
	fake_set(f, fin, L_finalizer_fint, f->types[FAKE_T_PNODE]);
	fake_set(f, fin, L_finalizer_ot, f->types[FAKE_T_PNODE]);
	fake_word(f, f->allfin, f->finblock);
	if (!tiny_first)
		return;
	block = fake_alloc(f, layout_size(&f->l, LS_cleanupBlock), 4096);
	fake_set(f, block, L_cleanupBlock_n, 1);
	for (unsigned i = 0; i < (layout_has(&f->l, L_cleanupFn_call) ? 3 : 1); i++)
		fake_word(f, block + layout_off(&f->l, L_cleanupBlock_cleanups) + i * f->fmt.word,
			  fake_leaf(f, LEAF_CLEANUP));
	fake_set(f, f->cleanups, L_cleanupQueue_all, block);
}

/* ------------------------------------------------------------------ goroutines */

/* A call's frame above sp, its return address set: the caller's sp. */
static uint64_t write_frame(struct fake *f, uint64_t sp, enum fake_func caller)
{
	uint64_t ret = f->funcs[caller] + FAKE_PC;

	if (f->arch->min_frame) { /* the link register, saved where the frame begins */
		fake_word(f, sp, ret);
		return sp + f->frame;
	}
	fake_word(f, sp + f->frame, ret);
	return sp + f->frame + f->fmt.word;
}

/* Where the locals of a frame end. */
static uint64_t fake_varp(const struct fake *f, uint64_t sp)
{
	return sp + f->frame - (f->arch->saved_fp ? f->fmt.word : 0);
}

static void write_g(struct fake *f, uint64_t g, uint64_t lo, uint64_t len, uint64_t id,
		    uint64_t status)
{
	uint64_t stack = g + layout_off(&f->l, L_g_stack), sched = g + layout_off(&f->l, L_g_sched);

	fake_set(f, stack, L_stack_lo, lo);
	fake_set(f, stack, L_stack_hi, lo + len);
	fake_set(f, sched, L_gobuf_g, g);
	fake_set(f, g, L_g_atomicstatus, status);
	fake_set(f, g, L_g_goid, id);
}

static void write_goroutines(struct fake *f)
{
	uint64_t sp, top, sched[2];

	for (int i = 0; i < 3; i++) {
		f->stack_len[i] = i == 2 ? 4096 : 2048;
		f->stack[i] = f->spans[FAKE_STACKS].base + (unsigned)i * 2048;
	}
	for (unsigned i = 0; i < 2; i++) {
		f->gs[i] = fake_object(f, FAKE_GS, i);
		sched[i] = f->gs[i] + layout_off(&f->l, L_g_sched);
		fake_word(f, fake_node(f, NODE_ALLGS) + i * f->fmt.word, f->gs[i]);
		write_g(f, f->gs[i], f->stack[i], f->stack_len[i], i + 1,
			i ? G_RUNNING : G_WAITING);
		fake_set(f, f->gs[i], L_g_startpc, f->funcs[i ? FAKE_SPIN : FAKE_WORKER]);
	}
	fake_set(f, f->gs[1], L_g_gopc, f->funcs[FAKE_WORKER] + FAKE_PC);
	fake_slice(f, f->allgs, fake_node(f, NODE_ALLGS), 2, 4);

	/* parked: goexit, main.worker, gopark */
	sp = f->stack[0] + 1024;
	fake_set(f, sched[0], L_gobuf_sp, sp);
	fake_set(f, sched[0], L_gobuf_pc, f->funcs[FAKE_GOPARK] + FAKE_PC);
	sp = write_frame(f, sp, FAKE_WORKER);
	f->local = fake_varp(f, sp) - 4 * f->fmt.word;
	f->local_object = fake_varp(f, sp) - 2 * f->fmt.word;
	top = write_frame(f, sp, FAKE_GOEXIT);
	f->arg = top + f->arch->min_frame;
	fake_set(f, f->gs[0], L_g_stktopsp, top);
	fake_word(f, f->local, fake_node(f, NODE_LOCAL));
	fake_word(f, f->local + f->fmt.word, f->local_object);
	fake_word(f, f->local_object, fake_node(f, NODE_ON_STACK));
	fake_word(f, f->local_object + f->fmt.word, fake_node(f, NODE_GARBAGE)); /* no pointer */
	fake_word(f, f->arg, fake_node(f, NODE_ARG));

	/* running: goexit, main.spin */
	sp = f->stack[1] + 1024;
	f->guessed = fake_varp(f, sp) - f->fmt.word;
	fake_word(f, f->guessed, fake_node(f, NODE_GUESSED));
	fake_set(f, f->gs[1], L_g_stktopsp, write_frame(f, sp, FAKE_GOEXIT));
	fake_set(f, f->gs[1], L_g_m, f->m0);
}

/* A register that a program has a value in, and that a signal handler finds saved. */
static bool is_general(const struct fake *f, int r)
{
	const struct arch *a = f->machine;

	if (r == a->pc || r == a->sp || r == a->lr || a->reg_sizes[r] != f->fmt.word ||
	    (f->arch->g_reg && !strcmp(a->reg_names[r], f->arch->g_reg)))
		return false;
	for (const struct arch_saved *s = a->saved; s->n; s++)
		if (r >= s->reg && r < s->reg + s->n)
			return true;
	return false;
}

static void write_threads(struct fake *f)
{
	const struct arch *a = f->machine;
	struct thread t = { .tid = TID, .valid = true };
	int r = 0;

	write_g(f, f->g0, f->stack[2], f->stack_len[2], 0, G_IDLE);
	fake_set(f, f->g0 + layout_off(&f->l, L_g_sched), L_gobuf_sp, f->stack[2] + 2048);
	fake_set(f, f->g0, L_g_m, f->m0);
	fake_set(f, f->m0, L_m_g0, f->g0);
	fake_set(f, f->m0, L_m_curg, f->gs[1]);
	fake_set(f, f->m0, L_m_procid, TID);
	fake_set(f, f->m0, L_m_p, f->ps[0]);
	fake_word(f, f->allm, f->m0);

	f->mcache = fake_alloc(f, layout_size(&f->l, LS_mcache), 64);
	fake_set(f, f->mcache, L_mcache_tiny, fake_leaf(f, LEAF_TINY));
	fake_word(f,
		  f->mcache + layout_off(&f->l, L_mcache_alloc) +
			  f->spans[FAKE_NODES].spanclass * f->fmt.word,
		  f->spans[FAKE_NODES].mspan);
	fake_set(f, f->ps[0], L_p_status, 1);
	fake_set(f, f->ps[0], L_p_m, f->m0);
	fake_set(f, f->ps[0], L_p_mcache, f->mcache);
	fake_word(f, fake_node(f, NODE_ALLP), f->ps[0]);
	fake_slice(f, f->allp, fake_node(f, NODE_ALLP), 1, 1);

	for (int i = 0; i < a->nregs; i++)
		t.have[i] = a->reg_sizes[i] == f->fmt.word;
	while (!is_general(f, r))
		r++;
	t.regs[r] = fake_node(f, NODE_REGISTER);
	t.regs[a->pc] = f->funcs[FAKE_SPIN] + FAKE_PC;
	t.regs[a->sp] = f->stack[1] + 1024;
	if (vec_push(&f->threads, t))
		abort();
}

static void write_itabs(struct fake *f)
{
	enum { SIZE = 64, SLOT = 5 };
	uint64_t itab = fake_constant(f, layout_size(&f->l, LS_itab)),
		 table = fake_alloc(f, (2 + SIZE) * f->fmt.word, 64);

	fake_set(f, itab, L_itab_type, f->types[FAKE_T_PNODE]);
	fake_word(f, table, SIZE);
	fake_word(f, table + f->fmt.word, 1);
	fake_word(f, table + (2 + SLOT) * f->fmt.word, itab);
	fake_word(f, f->itab_table, table);
}

static void write_buildinfo(struct fake *f)
{
	static const char magic[] = "\xff Go buildinf:";
	size_t len = strlen(f->era.version);
	uint8_t *b;

	f->rodata_at = round_up(f->rodata_at, 16);
	f->buildinfo = fake_constant(f, 64);
	b = fake_at(f, f->buildinfo, 64);
	memcpy(b, magic, sizeof(magic) - 1);
	b[14] = f->fmt.word;
	b[15] = 2; /* strings right here */
	b[32] = (uint8_t)len;
	memcpy(b + 33, f->era.version, len);
}

void fake_make(struct fake *f, const struct fake_era *era)
{
	static const uint16_t machines[] = { 62, 183, 243, 21, 22, 258, 8, 3, 40 }; /* EM_* */
	bool exact;

	memset(f, 0, sizeof(*f));
	f->src.readv = fake_readv;
	f->era = *era;
	f->arch = goarch_find(era->goarch);
	for (unsigned i = 0; !f->machine && i < 4 * sizeof(machines) / sizeof(*machines); i++) {
		struct bytes_fmt fmt = { i & 1 ? 8 : 4, i & 2 };

		f->machine = arch_find(machines[i / 4], fmt);
		if (f->machine && strcmp(f->machine->name, era->goarch))
			f->machine = NULL;
	}
	if (!f->machine || !f->arch || layout_find(era->version, era->goarch, &f->l, &exact))
		abort();
	f->fmt = f->machine->fmt;
	f->frame = 12u * f->fmt.word;
	f->green_tea = layout_has(&f->l, LS_spanInlineMarkBits) &&
		       layout_size(&f->l, LS_spanInlineMarkBits) == INLINE_MARKS;
	spans_size(f);
	fake_places(f);
	f->var_root = f->data;
	f->itab_table = f->data + 0x40;
	f->var_second = f->bss;
	f->allgs = f->bss + 0x40;
	f->allp = f->bss + 0x80;
	f->allm = f->bss + 0xc0;
	f->allfin = f->bss + 0x100;
	f->cleanups = f->bss + 0x200;
	f->ps[0] = fake_object(f, FAKE_PS, 0);
	write_spans(f);
	write_arena(f);
	write_types(f);
	write_functions(f);
	write_module(f);
	write_itabs(f);
	write_buildinfo(f);
	f->rodata_end = f->rodata_at;
	write_objects(f);
	write_specials(f);
	write_goroutines(f);
	write_threads(f);
}

/* ------------------------------------------------------------------ reading it */

static void must(struct err *err)
{
	if (!err)
		return;
	fprintf(stderr, "fakeheap: %s\n", err->msg);
	abort();
}

struct captured *fake_captured(struct fake *f)
{
	return &f->heap->captured;
}

static struct err *no_auxv(struct target *t, struct buf *ret)
{
	return err_create(ERR_NODEBUG, "a process that was made by hand has no auxv");
}

/* What is asked for libraries where a module is in none of the files that are known. */
static const struct target_ops no_ops = { .auxv = no_auxv };
static struct target no_libraries = { .ops = &no_ops };

struct err *fake_open(struct fake *f, bool symbols)
{
	const struct fake_segment segments[] = {
		{ f->text, 0x1000, 0x1000, fake_at(f, f->text, 0x1000), false, true },
		{ f->rodata, 0x8000, 0x8000, fake_at(f, f->rodata, 0x8000), false, false },
		{ f->moduledata, f->bss - f->moduledata, f->noptrbss_end - f->moduledata,
		  fake_at(f, f->moduledata, f->bss - f->moduledata), true, false },
	};
	const struct fake_section sections[] = {
		{ ".text", f->text, f->text_end - f->text },
		{ ".rodata", f->rodata, f->pclntab - f->rodata },
		{ ".gopclntab", f->pclntab, f->pclntab_len },
		{ ".go.buildinfo", f->buildinfo, 64 },
		{ ".noptrdata", f->moduledata, f->noptrdata_end - f->moduledata, true },
		{ ".data", f->data, f->data_end - f->data, true },
		{ ".bss", f->bss, f->bss_end - f->bss, true, true },
		{ ".noptrbss", f->noptrbss, f->noptrbss_end - f->noptrbss, true, true },
	};
	const uint64_t word = f->fmt.word;
	const struct fake_symbol names[] = {
		{ "runtime.firstmoduledata", f->moduledata, layout_size(&f->l, LS_moduledata) },
		{ "runtime.mheap_", f->mheap, f->m0 - f->mheap },
		{ "runtime.allgptr", f->allgs, word },
		{ "runtime.allglen", f->allgs + word, word },
		{ "runtime.allm", f->allm, word },
		{ "runtime.allp", f->allp, 3 * word },
		{ "runtime.allfin", f->allfin, word },
		{ "runtime.itabTable", f->itab_table, word },
		{ "runtime.m0", f->m0, layout_size(&f->l, LS_m) },
		{ "runtime.g0", f->g0, layout_size(&f->l, LS_g) },
		{ "main.root", f->var_root, word },
		{ "main.second", f->var_second, word },
		{ "runtime.gcCleanups", f->cleanups, layout_off(&f->l, L_cleanupQueue_all) + word },
	};
	size_t n = sizeof(names) / sizeof(*names);
	const struct fake_elf e = {
		.fmt = f->fmt,
		.machine = f->machine->elf_machine,
		.segments = segments,
		.nsegments = sizeof(segments) / sizeof(*segments),
		.sections = sections,
		.nsections = sizeof(sections) / sizeof(*sections),
		.symbols = names,
		.nsymbols = !symbols                              ? 0 :
			    layout_has(&f->l, L_cleanupQueue_all) ? n :
								    n - 1,
	};

	fake_elf_write(&e, f->path, sizeof(f->path));
	TRY(elf_open(f->path, &f->exe));
	TRY(image_create(f->fmt, &f->img));
	image_set_source(f->img, &f->src);
	TRY(heap_create(f->exe, NULL, 0, &f->heap));
	f->p = &fake_captured(f)->proc;
	return heap_attach(f->heap, &no_libraries, f->img, 0);
}

void fake_load(struct fake *f, bool symbols)
{
	must(fake_open(f, symbols));
}

void fake_free(struct fake *f)
{
	heap_destroy(f->heap);
	image_destroy(f->img);
	elf_destroy(f->exe);
	if (f->path[0])
		unlink(f->path);
	for (size_t i = 0; i < f->pieces.n; i++)
		free(f->pieces.v[i].data);
	vec_deinit(&f->pieces);
	vec_deinit(&f->threads);
}

void fake_fetch(struct fake *f)
{
	for (size_t i = 0; i < f->pieces.n; i++)
		must(image_need1(f->img, f->pieces.v[i].addr, f->pieces.v[i].len));
}

void fake_cut(struct fake *f)
{
	image_set_source(f->img, NULL);
}

/* ------------------------------------------------------------------ what is known of it */

bool fake_is_live(const struct fake *f, enum fake_span_id span, uint32_t slot)
{
	if (span == FAKE_LEAVES && slot == LEAF_CLEANUP)
		return layout_has(&f->l, L_cleanupQueue_all);
	if (span == FAKE_NODES)
		return slot < NODE_GARBAGE && slot != NODE_FINALIZED;
	return slot < f->spans[span].nalloc;
}

void fake_live(const struct fake *f, uint64_t *objects, uint64_t *bytes)
{
	*objects = *bytes = 0;
	for (unsigned i = 0; i < FAKE_NSPANS; i++)
		for (uint32_t k = 0; k < f->spans[i].nelems; k++)
			if (fake_is_live(f, i, k)) {
				++*objects;
				*bytes += f->spans[i].elemsize;
			}
}

void fake_allocated(const struct fake *f, uint64_t *objects, uint64_t *bytes)
{
	*objects = *bytes = 0;
	for (unsigned i = 0; i < FAKE_NSPANS; i++) {
		*objects += f->spans[i].nalloc;
		*bytes += f->spans[i].nalloc * f->spans[i].elemsize;
	}
}

/* ------------------------------------------------------------------ the steps before */

struct err *fake_analyse(struct fake *f, const struct analyse_options *o, struct profile *p,
			 struct report *r)
{
	struct unstable u = { NULL };

	TRY(heap_verify(f->heap, &f->src, NULL));
	TRY(heap_capture(f->heap, &f->threads, true, &u));
	fake_cut(f);
	return heap_analyse(f->heap, o, p, r);
}

struct spans *fake_spans(struct fake *f)
{
	return &fake_captured(f)->spans;
}

struct stacks *fake_stacks(struct fake *f)
{
	return &fake_captured(f)->stacks;
}

const struct span *fake_span_of(struct fake *f, enum fake_span_id span)
{
	return spans_find(fake_spans(f), f->spans[span].base);
}

struct err *fake_read_modules(struct fake *f)
{
	fake_fetch(f);
	return modules_load(f->p);
}

static struct err *unstable_err(const struct unstable *u)
{
	return u->why ? err_create(ERR_BADDATA, "%s", u->why) : NULL;
}

struct err *fake_read_spans(struct fake *f)
{
	struct unstable u = { NULL };

	fake_fetch(f);
	spans_deinit(fake_spans(f));
	TRY(spans_load(f->p, fake_spans(f), &u));
	TRY(unstable_err(&u));
	TRY(spans_settle(f->p, fake_spans(f), false, &u));
	TRY(unstable_err(&u));
	TRY(arenas_fetch(f->p, fake_spans(f)));
	return spans_attach(f->p, fake_spans(f));
}

struct err *fake_read_stacks(struct fake *f)
{
	TRY(fake_read_modules(f));
	TRY(fake_read_spans(f));
	TRY(machines_load(f->p, fake_spans(f), &f->threads, fake_stacks(f)));
	return stacks_load(f->p, fake_stacks(f));
}
