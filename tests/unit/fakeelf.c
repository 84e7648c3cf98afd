/*
 * The file is put together in one buffer: headers, the segments' bytes, the symbol table and its
 * strings, the sections' names and headers.  Fields are written in the target's width and byte
 * order (ELF gABI, "ELF Header", "Sections", "Program Header", "Symbol Table").
 */
#include "tests/unit/fakeelf.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

static void elf_put(struct buf *b, struct bytes_fmt fmt, uint64_t v, unsigned size)
{
	uint8_t bytes[8];

	bytes_put(fmt, bytes, v, size);
	if (buf_add(b, bytes, size))
		abort();
}

static void elf_put_word(struct buf *b, struct bytes_fmt fmt, uint64_t v)
{
	elf_put(b, fmt, v, fmt.word);
}

static void elf_put_bytes(struct buf *b, const void *p, size_t len)
{
	if (len && buf_add(b, p, len))
		abort();
}

static void elf_header(struct buf *b, const struct fake_elf *e, uint64_t shoff, size_t nsections)
{
	bool wide = e->fmt.word == 8;
	const uint8_t ident[EI_NIDENT] = { 0x7f,
					   'E',
					   'L',
					   'F',
					   wide ? ELFCLASS64 : ELFCLASS32,
					   e->fmt.big ? ELFDATA2MSB : ELFDATA2LSB,
					   EV_CURRENT };

	elf_put_bytes(b, ident, sizeof(ident));
	elf_put(b, e->fmt, ET_EXEC, 2);
	elf_put(b, e->fmt, e->machine, 2);
	elf_put(b, e->fmt, EV_CURRENT, 4);
	elf_put_word(b, e->fmt, e->segments[0].addr);
	elf_put_word(b, e->fmt, wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr));
	elf_put_word(b, e->fmt, shoff);
	elf_put(b, e->fmt, 0, 4);
	elf_put(b, e->fmt, wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr), 2);
	elf_put(b, e->fmt, wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr), 2);
	elf_put(b, e->fmt, e->nsegments, 2);
	elf_put(b, e->fmt, wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr), 2);
	elf_put(b, e->fmt, nsections, 2);
	elf_put(b, e->fmt, nsections - 1, 2);
}

static void elf_program_header(struct buf *b, const struct fake_elf *e,
			       const struct fake_segment *s, uint64_t off)
{
	uint32_t flags = PF_R | (s->write ? PF_W : 0) | (s->exec ? PF_X : 0);

	elf_put(b, e->fmt, PT_LOAD, 4);
	if (e->fmt.word == 8)
		elf_put(b, e->fmt, flags, 4);
	elf_put_word(b, e->fmt, off);
	elf_put_word(b, e->fmt, s->addr);
	elf_put_word(b, e->fmt, s->addr);
	elf_put_word(b, e->fmt, s->filesz);
	elf_put_word(b, e->fmt, s->memsz);
	if (e->fmt.word == 4)
		elf_put(b, e->fmt, flags, 4);
	elf_put_word(b, e->fmt, 4096);
}

struct elf_scn {
	uint32_t name, type, link, entsize;
	uint64_t flags, addr, off, size;
};

static void elf_section_header(struct buf *b, struct bytes_fmt fmt, const struct elf_scn *s)
{
	elf_put(b, fmt, s->name, 4);
	elf_put(b, fmt, s->type, 4);
	elf_put_word(b, fmt, s->flags);
	elf_put_word(b, fmt, s->addr);
	elf_put_word(b, fmt, s->off);
	elf_put_word(b, fmt, s->size);
	elf_put(b, fmt, s->link, 4);
	elf_put(b, fmt, s->type == SHT_SYMTAB, 4);
	elf_put_word(b, fmt, 1);
	elf_put_word(b, fmt, s->entsize);
}

static uint32_t elf_string(struct buf *b, const char *s)
{
	uint32_t at = (uint32_t)b->len;

	elf_put_bytes(b, s, strlen(s) + 1);
	return at;
}

static void elf_symbols(const struct fake_elf *e, struct buf *syms, struct buf *names)
{
	uint8_t info = STB_GLOBAL << 4 | STT_OBJECT;

	elf_string(names, "");
	for (size_t i = 0; i <= e->nsymbols; i++) {
		/* the first is the null symbol */
		const struct fake_symbol *s =
			i ? &e->symbols[i - 1] : &(struct fake_symbol){ NULL, 0, 0 };

		elf_put(syms, e->fmt, s->name ? elf_string(names, s->name) : 0, 4);
		if (e->fmt.word == 4) {
			elf_put_word(syms, e->fmt, s->addr);
			elf_put_word(syms, e->fmt, s->size);
		}
		elf_put(syms, e->fmt, s->name ? info : 0, 1);
		elf_put(syms, e->fmt, 0, 1);
		elf_put(syms, e->fmt, s->name ? SHN_ABS : SHN_UNDEF, 2);
		if (e->fmt.word == 8) {
			elf_put_word(syms, e->fmt, s->addr);
			elf_put_word(syms, e->fmt, s->size);
		}
	}
}

/* Where the first segment's bytes are. */
static uint64_t elf_first(const struct fake_elf *e)
{
	uint64_t head = e->fmt.word == 8 ? sizeof(Elf64_Ehdr) + e->nsegments * sizeof(Elf64_Phdr) :
					   sizeof(Elf32_Ehdr) + e->nsegments * sizeof(Elf32_Phdr);

	return (head + 7) & ~7ull;
}

/* Where a section's bytes are in the file. */
static uint64_t elf_offset_of(const struct fake_elf *e, uint64_t first, uint64_t addr)
{
	for (size_t i = 0; i < e->nsegments; i++) {
		if (addr - e->segments[i].addr < e->segments[i].memsz)
			return first + (addr - e->segments[i].addr);
		first += e->segments[i].filesz;
	}
	return 0;
}

/* Headers stand at multiples of their fields' widths. */
static void elf_align(struct buf *b)
{
	while (b->len & 7)
		elf_put_bytes(b, "", 1);
}

static void elf_save(const struct buf *b, char *path, size_t cap)
{
	const char *tmp = getenv("TMPDIR");
	int fd;

	snprintf(path, cap, "%s/grf-fake-XXXXXX", tmp ? tmp : "/tmp");
	fd = mkstemp(path);
	if (fd < 0 || write(fd, b->data, b->len) != (ssize_t)b->len)
		abort();
	close(fd);
}

void fake_elf_write(const struct fake_elf *e, char *path, size_t cap)
{
	enum { SYMTAB, STRTAB, SHSTRTAB, TABLES };
	_cleanup_buf_ struct buf file = BUF_INIT, syms = BUF_INIT, names = BUF_INIT,
				 shnames = BUF_INIT;
	struct buf *const tables[] = { &syms, &names, &shnames };
	static const char *const table_names[] = { ".symtab", ".strtab", ".shstrtab" };
	static const uint32_t types[] = { SHT_SYMTAB, SHT_STRTAB, SHT_STRTAB };
	bool wide = e->fmt.word == 8;
	size_t first_table = e->nsymbols ? SYMTAB : SHSTRTAB;
	size_t n = 1 + e->nsections + TABLES - first_table;
	struct elf_scn *scn = calloc(n, sizeof(*scn));
	uint64_t first, at;
	size_t k = 1;

	if (!scn)
		abort();
	first = at = elf_first(e);
	for (size_t i = 0; i < e->nsegments; i++)
		at += e->segments[i].filesz;
	elf_string(&shnames, "");
	for (size_t i = 0; i < e->nsections; i++) {
		const struct fake_section *s = &e->sections[i];

		scn[k++] = (struct elf_scn){ .name = elf_string(&shnames, s->name),
					     .type = s->nobits ? SHT_NOBITS : SHT_PROGBITS,
					     .flags = SHF_ALLOC | (s->write ? SHF_WRITE : 0),
					     .addr = s->addr,
					     .off = elf_offset_of(e, first, s->addr),
					     .size = s->size };
	}
	elf_symbols(e, &syms, &names);
	for (size_t i = first_table; i < TABLES; i++) {
		scn[k] = (struct elf_scn){ .name = elf_string(&shnames, table_names[i]),
					   .type = types[i] };
		if (i == SYMTAB) {
			scn[k].link = (uint32_t)k + 1;
			scn[k].entsize = wide ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
		}
		elf_align(tables[i]);
		scn[k].off = at;
		scn[k++].size = tables[i]->len;
		at += tables[i]->len;
	}
	elf_header(&file, e, at, n);
	for (size_t i = 0, off = first; i < e->nsegments; off += e->segments[i++].filesz)
		elf_program_header(&file, e, &e->segments[i], off);
	elf_align(&file);
	for (size_t i = 0; i < e->nsegments; i++)
		elf_put_bytes(&file, e->segments[i].data, e->segments[i].filesz);
	for (size_t i = first_table; i < TABLES; i++)
		elf_put_bytes(&file, tables[i]->data, tables[i]->len);
	for (size_t i = 0; i < n; i++)
		elf_section_header(&file, e->fmt, &scn[i]);
	elf_save(&file, path, cap);
	free(scn);
}
