/*
 * What there is in an ELF file that was opened (elf_open.c): headers, segments, sections, symbols.
 * Everything is handed out of the mapping, and nothing is decompressed.
 */
#include "target/elf.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "base/hash.h"
#include "base/intr.h"
#include "base/search.h"
#include "target/elf_int.h"

bool elf_in_file(const struct elf *e, uint64_t off, uint64_t len)
{
	return off <= e->raw_len && len <= e->raw_len - off;
}

const char *elf_path(const struct elf *e)
{
	return e->path;
}

const char *elf_file(const struct elf *e)
{
	return e->file;
}

int elf_fd(const struct elf *e)
{
	return e->fd;
}

uint16_t elf_machine(const struct elf *e)
{
	return e->ehdr.e_machine;
}

struct bytes_fmt elf_fmt(const struct elf *e)
{
	return e->fmt;
}

bool elf_is_dyn(const struct elf *e)
{
	return e->ehdr.e_type == ET_DYN;
}

/* Does DT_FLAGS_1 have DF_1_PIE?  Linkers set it for a program that needs no dynamic linker, too
 * (-static-pie). */
static bool elf_says_pie(const struct elf *e, const GElf_Phdr *dynamic)
{
	size_t entry = gelf_fsize(e->elf, ELF_T_DYN, 1, EV_CURRENT);
	struct cursor c;

	if (!elf_in_file(e, dynamic->p_offset, dynamic->p_filesz))
		return false;
	c = cursor_make(e->raw + dynamic->p_offset, dynamic->p_filesz, e->fmt);
	while (cursor_left(&c) >= entry) {
		uint64_t tag = cursor_word(&c), val = cursor_word(&c);

		if (tag == DT_FLAGS_1)
			return val & DF_1_PIE;
	}
	return false;
}

static bool elf_find_phdr(const struct elf *e, uint32_t type, GElf_Phdr *ret)
{
	size_t n;

	if (elf_getphdrnum(e->elf, &n))
		return false;
	for (size_t i = 0; i < n; i++)
		if (gelf_getphdr(e->elf, (int)i, ret) && ret->p_type == type)
			return true;
	return false;
}

bool elf_is_dynamic(const struct elf *e)
{
	GElf_Phdr ph;

	return elf_find_phdr(e, PT_DYNAMIC, &ph);
}

bool elf_is_library(const struct elf *e)
{
	GElf_Phdr ph;

	if (e->ehdr.e_type != ET_DYN || elf_find_phdr(e, PT_INTERP, &ph))
		return false;
	return !elf_find_phdr(e, PT_DYNAMIC, &ph) || !elf_says_pie(e, &ph);
}

uint32_t elf_crc32(const struct elf *e)
{
	return (uint32_t)crc32_z(0, e->raw, e->raw_len);
}

uint64_t elf_entry(const struct elf *e)
{
	return e->ehdr.e_entry;
}

uint64_t elf_segment_offset(const struct elf *e, const struct elf_segment *s)
{
	return s->off;
}

size_t elf_segments(const struct elf *e, const struct elf_segment **ret)
{
	*ret = e->segments;
	return e->nsegments;
}

size_t elf_sections(const struct elf *e, const struct elf_section **ret)
{
	*ret = e->sections;
	return e->nsections;
}

const struct elf_section *elf_section(const struct elf *e, const char *name)
{
	for (size_t i = 0; i < e->nsections; i++)
		if (!strcmp(e->sections[i].name, name))
			return &e->sections[i];
	return NULL;
}

const struct elf_section *elf_section_at(const struct elf *e, uint64_t addr)
{
	for (size_t i = 0; i < e->nsections; i++) {
		const struct elf_section *s = &e->sections[i];

		if (s->alloc && addr >= s->addr && addr - s->addr < s->size)
			return s;
	}
	return NULL;
}

const uint8_t *elf_section_data(const struct elf *e, const struct elf_section *s)
{
	return s->nobits || !s->size ? NULL : e->raw + e->section_off[s - e->sections];
}

uint64_t elf_section_offset(const struct elf *e, const struct elf_section *s)
{
	return e->section_off[s - e->sections];
}

struct segment_key {
	const struct elf_segment *v;
	uint64_t addr;
};

static bool segment_behind(const void *arg, size_t i)
{
	const struct segment_key *k = arg;

	return k->v[i].addr > k->addr;
}

size_t elf_segment_of(const struct elf *e, uint64_t addr, uint64_t len)
{
	struct segment_key k = { e->segments, addr };
	size_t i = search_first(e->nsegments, segment_behind, &k);
	uint64_t off;

	if (!i--)
		return SIZE_MAX;
	off = addr - e->segments[i].addr;
	return off < e->segments[i].filesz && len <= e->segments[i].filesz - off ? i : SIZE_MAX;
}

const uint8_t *elf_data(const struct elf *e, uint64_t addr, uint64_t len)
{
	size_t i = elf_segment_of(e, addr, len);

	return i == SIZE_MAX ? NULL : e->segments[i].data + (addr - e->segments[i].addr);
}

/* ------------------------------------------------------------------ symbols */

struct elf_sym_ {
	uint32_t name;
	uint16_t shndx;
	uint64_t addr, size;
};

static uint32_t elf_sym_size(const struct elf *e)
{
	return e->fmt.word == 8 ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
}

static struct elf_sym_ elf_sym(const struct elf *e, uint64_t i)
{
	const uint8_t *p = e->syms + i * elf_sym_size(e);
	struct elf_sym_ s;

	if (e->fmt.word == 8) {
		s.name = bytes_u32(e->fmt, p + offsetof(Elf64_Sym, st_name));
		s.shndx = bytes_u16(e->fmt, p + offsetof(Elf64_Sym, st_shndx));
		s.addr = bytes_u64(e->fmt, p + offsetof(Elf64_Sym, st_value));
		s.size = bytes_u64(e->fmt, p + offsetof(Elf64_Sym, st_size));
	} else {
		s.name = bytes_u32(e->fmt, p + offsetof(Elf32_Sym, st_name));
		s.shndx = bytes_u16(e->fmt, p + offsetof(Elf32_Sym, st_shndx));
		s.addr = bytes_u32(e->fmt, p + offsetof(Elf32_Sym, st_value));
		s.size = bytes_u32(e->fmt, p + offsetof(Elf32_Sym, st_size));
	}
	return s;
}

/* NULL: the symbol has no name (0 says so), or one outside the strings. */
static const char *elf_sym_name(const struct elf *e, uint32_t off)
{
	return off && off < e->symstr_len ? e->symstr + off : NULL;
}

/* Gives back the pages that lie wholly in [p, p+len): a large table that was read through once need
 * not stay. */
static void elf_release_part(const struct elf *e, const void *p, uint64_t len)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE),
		 start = (uint64_t)((const uint8_t *)p - e->raw), end = start + len;

	start = (start + page - 1) & ~(page - 1);
	end = end == e->raw_len ? end : end & ~(page - 1);
	if (start < end)
		madvise((void *)(uintptr_t)(e->raw + start), end - start, MADV_DONTNEED);
}

void elf_release(const struct elf *e)
{
	elf_release_part(e, e->raw, e->raw_len);
}

static uint32_t elf_sym_slot(const struct elf *e, const char *name)
{
	return hash_name(name, strlen(name)) & (e->nsym_slots - 1);
}

/*
 * The slot for the symbol of this name: an empty one, or, if there are some before it, that of
 * another of its name (C's local symbols often share one; thousands would be one long run of slots
 * that each of them is sought through).  UINT32_MAX: a run that no accident makes.
 */
static uint32_t elf_sym_free(const struct elf *e, const char *name)
{
	enum { FEW = 8, MANY = 1 << 12 };
	uint32_t slot = elf_sym_slot(e, name), n = 0;

	for (; e->sym_slots[slot]; slot = (slot + 1) & (e->nsym_slots - 1)) {
		const char *s = NULL;

		if (++n > MANY)
			return UINT32_MAX;
		if (n >= FEW)
			s = elf_sym_name(e, elf_sym(e, e->sym_slots[slot] - 1).name);
		if (s && !strcmp(s, name))
			break;
	}
	return slot;
}

/* Open addressing over symbol numbers; of two symbols with one name the first wins. */
static void elf_sym_build(struct elf *e)
{
	uint64_t n = e->syms_len / elf_sym_size(e), i, nslots = 64;

	e->sym_built = true;
	if (n >= UINT32_MAX / 4)
		return;
	while (nslots < n * 2)
		nslots *= 2;
	e->sym_slots = calloc(nslots, sizeof(*e->sym_slots));
	if (!e->sym_slots)
		return;
	e->nsym_slots = (uint32_t)nslots;
	for (i = 0; i < n && !intr_signal(); i++) {
		struct elf_sym_ sym = elf_sym(e, i);
		const char *name;
		uint32_t slot;

		if (sym.shndx == SHN_UNDEF)
			continue;
		name = elf_sym_name(e, sym.name);
		if (!name)
			continue;
		slot = elf_sym_free(e, name);
		if (slot != UINT32_MAX && !e->sym_slots[slot])
			e->sym_slots[slot] = (uint32_t)i + 1;
	}
	elf_release_part(e, e->syms, e->syms_len);
	elf_release_part(e, e->symstr, e->symstr_len);
}

bool elf_symbol(const struct elf *ce, const char *name, uint64_t *addr, uint64_t *size)
{
	struct elf *e = (struct elf *)ce; /* the table is a cache: e stays the same to its users */
	uint32_t slot, num;

	if (!e->syms)
		return false;
	if (!e->sym_built)
		elf_sym_build(e);
	if (!e->nsym_slots)
		return false;
	slot = elf_sym_slot(e, name);
	for (; (num = e->sym_slots[slot]); slot = (slot + 1) & (e->nsym_slots - 1)) {
		struct elf_sym_ sym = elf_sym(e, num - 1);
		const char *s = elf_sym_name(e, sym.name);

		if (s && !strcmp(s, name)) {
			*addr = sym.addr;
			*size = sym.size;
			return true;
		}
	}
	return false;
}

uint64_t elf_symbol_count(const struct elf *e)
{
	return e->syms ? e->syms_len / elf_sym_size(e) : 0;
}

bool elf_symbol_get(const struct elf *e, uint64_t i, const char **name, uint64_t *addr,
		    uint64_t *size)
{
	struct elf_sym_ sym = elf_sym(e, i);

	*name = elf_sym_name(e, sym.name);
	*addr = sym.addr;
	*size = sym.size;
	return sym.shndx != SHN_UNDEF && *name;
}
