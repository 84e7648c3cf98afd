/* The insides of struct elf, for target/elf*.c only. */
#ifndef GRF_TARGET_ELF_INT_H
#define GRF_TARGET_ELF_INT_H

#include <gelf.h>

#include "base/cleanup.h"
#include "target/elf.h"
#include "target/elf_note.h"

struct elf {
	char *path;
	char *file; /* where it is; path says where it comes from */
	int fd;
	Elf *elf;
	GElf_Ehdr ehdr;
	struct mapped *map;
	const uint8_t *raw; /* the whole file, mapped */
	uint64_t raw_len;
	struct bytes_fmt fmt;

	struct elf_segment *segments;
	size_t nsegments;
	uint8_t **copies; /* of segments that relocations changed, or NULL each; NULL: none */
	struct elf_section *sections;
	uint64_t *section_off; /* file offset of sections[i] */
	size_t nsections;

	/* .symtab and its strings: bytes in raw */
	const uint8_t *syms;
	uint64_t syms_len;
	const char *symstr;
	uint64_t symstr_len;
	uint32_t *sym_slots; /* index + 1; 0 is empty */
	uint32_t nsym_slots; /* a power of two; 0: not built */
	bool sym_built;

	struct elf_ids ids;
	char *version, *modinfo; /* NULL: not asked for yet */
};

static inline struct bytes_fmt elf_fmt_of(const GElf_Ehdr *eh)
{
	return (struct bytes_fmt){ eh->e_ident[EI_CLASS] == ELFCLASS64 ? 8 : 4,
				   eh->e_ident[EI_DATA] == ELFDATA2MSB };
}

/* elf.c: the segment whose bytes in the file have the len at addr; SIZE_MAX: none. */
size_t elf_segment_of(const struct elf *e, uint64_t addr, uint64_t len);
/* elf.c: are all of [off, off+len) in the file? */
bool elf_in_file(const struct elf *e, uint64_t off, uint64_t len);

/* elf_note.c: fills e->ids; damaged notes are passed over. */
ERR_MUST_CHECK struct err *elf_read_ids(struct elf *e);

/* elf_reloc.c: gives segments' data the pointers that only relocations have. */
ERR_MUST_CHECK struct err *elf_relocate(struct elf *e);

#endif
