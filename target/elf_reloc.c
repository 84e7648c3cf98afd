/*
 * Pointers in a PIE's file.  Where relocations have addends (RELA), what stands in their places is
 * the linker's choice: Go's own writes the addend there, too, GNU ld leaves zeros.  So relative
 * ones are applied to copies of the segments they are for. Source: the machines' ELF supplements
 * (R_*_RELATIVE: place = base + addend).
 */
#include <stdlib.h>
#include <string.h>

#include "target/elf_int.h"

enum { RELA_SIZE = 24 }; /* Elf64_Rela: offset, info (symbol, type), addend */

/* 0: none, or its relocations have their addends in place. */
static uint32_t relative_type(uint16_t machine)
{
	switch (machine) {
	case EM_X86_64:
		return R_X86_64_RELATIVE;
	case EM_AARCH64:
		return R_AARCH64_RELATIVE;
	case EM_PPC64:
		return R_PPC64_RELATIVE;
	case EM_S390:
		return R_390_RELATIVE;
	case EM_RISCV:
	case EM_LOONGARCH:
		return 3; /* R_RISCV_RELATIVE, R_LARCH_RELATIVE */
	default:
		return 0;
	}
}

/* The word at addr becomes v, in a copy of its segment. */
static struct err *set_word(struct elf *e, uint64_t addr, uint64_t v)
{
	for (size_t i = 0; i < e->nsegments; i++) {
		struct elf_segment *s = &e->segments[i];
		uint64_t off = addr - s->addr;

		if (addr < s->addr || off >= s->filesz || s->filesz - off < 8)
			continue;
		if (bytes_u64(e->fmt, s->data + off) == v)
			return NULL;
		if (!e->copies[i]) {
			e->copies[i] = malloc(s->filesz);
			if (!e->copies[i])
				return err_nomem();
			memcpy(e->copies[i], s->data, s->filesz);
			s->data = e->copies[i];
		}
		bytes_put(e->fmt, e->copies[i] + off, v, 8);
		return NULL;
	}
	return NULL;
}

struct err *elf_relocate(struct elf *e)
{
	uint32_t type = relative_type(e->ehdr.e_machine);
	struct err *err = NULL;

	if (e->ehdr.e_type != ET_DYN || e->fmt.word != 8 || !type)
		return NULL;
	e->copies = calloc(e->nsegments + 1, sizeof(*e->copies));
	if (!e->copies)
		return err_nomem();
	for (size_t i = 0; i < e->nsections && !err; i++) {
		const struct elf_section *s = &e->sections[i];
		const uint8_t *p =
			s->alloc && !strncmp(s->name, ".rela", 5) ? elf_section_data(e, s) : NULL;

		for (uint64_t at = 0; p && at + RELA_SIZE <= s->size && !err; at += RELA_SIZE)
			if ((uint32_t)bytes_u64(e->fmt, p + at + 8) == type)
				err = set_word(e, bytes_u64(e->fmt, p + at),
					       bytes_u64(e->fmt, p + at + 16));
	}
	return err;
}
