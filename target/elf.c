/*
 * ELF files, mapped.  libelf reads the headers (either class, either
 * byte order); everything that is bytes is handed out of the mapping, and
 * every offset and size of the file is checked here against the mapping
 * before anything points into it.  Nothing is decompressed.
 *
 * Strings from .go.buildinfo and notes: elf_note.c.
 */
#include "target/elf.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/limits.h"
#include "target/elf_int.h"

/* False if [off, off+len) is not all in the file. */
static bool elf_in_file(const struct elf *e, uint64_t off, uint64_t len)
{
	return off <= e->raw_len && len <= e->raw_len - off;
}

void elf_destroy(struct elf *e)
{
	if (!e)
		return;
	free(e->path);
	free(e->gnu_build_id);
	free(e->go_build_id);
	free(e->version);
	free(e->modinfo);
	for (size_t i = 0; e->copies && i < e->nsegments; i++)
		free(e->copies[i]);
	free(e->copies);
	free(e->segments);
	free(e->sections);
	free(e->section_off);
	free(e->sym_slots);
	if (e->elf)
		elf_end(e->elf);
	if (e->raw)
		munmap((void *)(uintptr_t)e->raw, e->raw_len);
	cleanup_close(&e->fd);
	free(e);
}

DEFINE_CLEANUP(elf_destroy, struct elf *)

static struct err *elf_read_segments(struct elf *e)
{
	size_t n, i;

	if (elf_getphdrnum(e->elf, &n))
		return err_create(ERR_BADDATA, "damaged program headers: %s", elf_errmsg(-1));
	if (n > LIMIT_SECTIONS)
		return err_create(ERR_BADDATA, "%zu program headers", n);
	e->segments = calloc(n + 1, sizeof(*e->segments));
	if (!e->segments)
		return err_nomem();
	for (i = 0; i < n; i++) {
		struct elf_segment *s = &e->segments[e->nsegments];
		GElf_Phdr ph;

		if (!gelf_getphdr(e->elf, (int)i, &ph))
			return err_create(ERR_BADDATA, "damaged program header %zu: %s", i,
					  elf_errmsg(-1));
		if (ph.p_type != PT_LOAD)
			continue;
		if (!elf_in_file(e, ph.p_offset, ph.p_filesz))
			return err_create(ERR_BADDATA,
					  "segment %zu goes beyond the end of the file (cut?)", i);
		if (ph.p_memsz < ph.p_filesz || ph.p_vaddr + ph.p_memsz < ph.p_vaddr)
			return err_create(ERR_BADDATA, "segment %zu: senseless addresses", i);
		s->addr = ph.p_vaddr;
		s->memsz = ph.p_memsz;
		s->filesz = ph.p_filesz;
		s->data = e->raw + ph.p_offset;
		s->read = ph.p_flags & PF_R;
		s->write = ph.p_flags & PF_W;
		s->exec = ph.p_flags & PF_X;
		e->nsegments++;
	}
	return NULL;
}

/* A symbol table and the strings it links to; without both there are no symbols. */
static void elf_find_strings(struct elf *e, const GElf_Shdr *symtab)
{
	Elf_Scn *scn = elf_getscn(e->elf, symtab->sh_link);
	GElf_Shdr str;

	if (!scn || !gelf_getshdr(scn, &str) || str.sh_type != SHT_STRTAB ||
	    !elf_in_file(e, str.sh_offset, str.sh_size))
		return;
	e->syms = e->raw + symtab->sh_offset;
	e->syms_len = symtab->sh_size;
	e->symstr = (const char *)e->raw + str.sh_offset;
	e->symstr_len = str.sh_size;
	/* Up to the last NUL, so that no name has to be looked at to know that it ends. */
	while (e->symstr_len && e->symstr[e->symstr_len - 1])
		e->symstr_len--;
}

static struct err *elf_read_sections(struct elf *e)
{
	size_t n, i, shstr;
	Elf_Scn *scn;

	if (elf_getshdrnum(e->elf, &n))
		return err_create(ERR_BADDATA, "damaged section headers: %s", elf_errmsg(-1));
	if (n > LIMIT_SECTIONS)
		return err_create(ERR_BADDATA, "%zu sections", n);
	/* sstrip takes all section headers away: an executable still, without sections. */
	if (!n) {
		if (e->ehdr.e_shoff)
			return err_create(ERR_BADDATA,
					  "section headers go beyond the end of the file (cut?)");
		return NULL;
	}
	if (elf_getshdrstrndx(e->elf, &shstr))
		return err_create(ERR_BADDATA, "damaged section names: %s", elf_errmsg(-1));
	e->sections = calloc(n, sizeof(*e->sections));
	e->section_off = calloc(n, sizeof(*e->section_off));
	if (!e->sections || !e->section_off)
		return err_nomem();
	for (i = 1; i < n; i++) { /* 0 is the null section */
		struct elf_section *s = &e->sections[e->nsections];
		GElf_Shdr sh;

		scn = elf_getscn(e->elf, i);
		if (!scn || !gelf_getshdr(scn, &sh))
			return err_create(ERR_BADDATA, "damaged section header %zu: %s", i,
					  elf_errmsg(-1));
		if (sh.sh_type == SHT_NULL)
			continue;
		s->nobits = sh.sh_type == SHT_NOBITS;
		if (!s->nobits && !elf_in_file(e, sh.sh_offset, sh.sh_size))
			return err_create(ERR_BADDATA,
					  "section %zu goes beyond the end of the file (cut?)", i);
		if (sh.sh_addr + sh.sh_size < sh.sh_addr)
			return err_create(ERR_BADDATA, "section %zu: senseless addresses", i);
		s->name = elf_strptr(e->elf, shstr, sh.sh_name);
		if (!s->name)
			return err_create(ERR_BADDATA, "damaged name of section %zu", i);
		s->addr = sh.sh_addr;
		s->size = sh.sh_size;
		s->alloc = sh.sh_flags & SHF_ALLOC;
		s->write = sh.sh_flags & SHF_WRITE;
		s->compressed = sh.sh_flags & SHF_COMPRESSED;
		e->section_off[e->nsections] = sh.sh_offset;
		if (sh.sh_type == SHT_SYMTAB && !s->compressed)
			elf_find_strings(e, &sh);
		e->nsections++;
	}
	return NULL;
}

static struct err *elf_open_(struct elf *e)
{
	struct stat st;
	void *raw;

	e->fd = open(e->path, O_RDONLY | O_CLOEXEC);
	if (e->fd < 0)
		return err_os(errno, "opening");
	if (fstat(e->fd, &st))
		return err_os(errno, "opening");
	if (!S_ISREG(st.st_mode))
		return err_create(ERR_BADDATA, S_ISDIR(st.st_mode) ?
						       "a directory, not an executable" :
						       "not a regular file");
	if (!st.st_size)
		return err_create(ERR_BADDATA, "not an ELF file: empty");
	/* Not by libelf: pages of a mapping of ours can be given back. */
	raw = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, e->fd, 0);
	if (raw == MAP_FAILED)
		return err_os(errno, "mapping");
	e->raw = raw;
	e->raw_len = (uint64_t)st.st_size;
	elf_version(EV_CURRENT);
	e->elf = elf_memory(raw, e->raw_len);
	if (!e->elf)
		return err_create(ERR_BADDATA, "not an ELF file: %s", elf_errmsg(-1));
	if (elf_kind(e->elf) != ELF_K_ELF || !gelf_getehdr(e->elf, &e->ehdr))
		return err_create(ERR_BADDATA, "not an ELF file");
	e->fmt.word = e->ehdr.e_ident[EI_CLASS] == ELFCLASS64 ? 8 : 4;
	e->fmt.big = e->ehdr.e_ident[EI_DATA] == ELFDATA2MSB;
	if (e->ehdr.e_type != ET_EXEC && e->ehdr.e_type != ET_DYN)
		return err_create(ERR_BADDATA,
				  "an ELF file, but no executable or shared object (type %u)",
				  e->ehdr.e_type);
	struct err *err = elf_read_segments(e);
	if (!err)
		err = elf_read_sections(e);
	if (!err)
		err = elf_read_notes(e);
	if (!err)
		err = elf_relocate(e);
	return err;
}

struct err *elf_open(const char *path, struct elf **ret)
{
	_cleanup_(cleanup_elf_destroy) struct elf *e = calloc(1, sizeof(*e));
	struct err *err;

	if (!e)
		return err_nomem();
	e->fd = -1;
	e->path = strdup(path);
	if (!e->path)
		return err_nomem();
	err = elf_open_(e);
	if (err)
		return err_wrapf(err, "%s", path);
	*ret = TAKE_PTR(e);
	return NULL;
}

const char *elf_path(const struct elf *e)
{
	return e->path;
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

/* DT_FLAGS_1 has DF_1_PIE: linkers say so of a program that needs no dynamic linker, too
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
	return (uint64_t)(s->data - e->raw);
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

const uint8_t *elf_data(const struct elf *e, uint64_t addr, uint64_t len)
{
	for (size_t i = 0; i < e->nsegments; i++) {
		const struct elf_segment *s = &e->segments[i];

		if (addr >= s->addr && addr - s->addr < s->filesz)
			return len <= s->filesz - (addr - s->addr) ? s->data + (addr - s->addr) :
								     NULL;
	}
	return NULL;
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

	s.name = bytes_u32(e->fmt, p);
	if (e->fmt.word == 8) { /* Elf64_Sym: name info other shndx value size */
		s.shndx = bytes_u16(e->fmt, p + 6);
		s.addr = bytes_u64(e->fmt, p + 8);
		s.size = bytes_u64(e->fmt, p + 16);
	} else { /* Elf32_Sym: name value size info other shndx */
		s.addr = bytes_u32(e->fmt, p + 4);
		s.size = bytes_u32(e->fmt, p + 8);
		s.shndx = bytes_u16(e->fmt, p + 14);
	}
	return s;
}

/* NULL: none (by convention at 0), or outside the strings. */
static const char *elf_sym_name(const struct elf *e, uint32_t off)
{
	return off && off < e->symstr_len ? e->symstr + off : NULL;
}

/* The pages that lie wholly in [p, p+len): a large table read through once need not stay. */
static void release(const struct elf *e, const void *p, uint64_t len)
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
	release(e, e->raw, e->raw_len);
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
	for (i = 0; i < n; i++) {
		struct elf_sym_ sym = elf_sym(e, i);
		const char *name;
		uint32_t slot;

		if (sym.shndx == SHN_UNDEF)
			continue;
		name = elf_sym_name(e, sym.name);
		if (!name)
			continue;
		slot = hash_str(name, strlen(name)) & (e->nsym_slots - 1);
		while (e->sym_slots[slot])
			slot = (slot + 1) & (e->nsym_slots - 1);
		e->sym_slots[slot] = (uint32_t)i + 1;
	}
	release(e, e->syms, e->syms_len);
	release(e, e->symstr, e->symstr_len);
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
	slot = hash_str(name, strlen(name)) & (e->nsym_slots - 1);
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
