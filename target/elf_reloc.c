/*
 * The pointers in a PIE's file.  Where relocations have addends (RELA), a linker may leave anything
 * in the places that they are for: Go's own writes the addend there, too, GNU ld leaves zeros.
 * Relative relocations are therefore applied, to copies of the segments that they are for.
 * Source: the machines' ELF supplements (R_*_RELATIVE: place = base + addend).
 */
#include <stdlib.h>
#include <string.h>

#include "base/intr.h"
#include "target/elf_int.h"

/* The type of a machine's relative relocations; 0: it has none, or none with addends. */
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
		return R_RISCV_RELATIVE; /* R_LARCH_RELATIVE has the same number */
	default:
		return 0;
	}
}

/* Writes v over the word at addr, in a copy of its segment. */
static struct err *reloc_apply(struct elf *e, uint64_t addr, uint64_t v)
{
	size_t i = elf_segment_of(e, addr, 8);
	struct elf_segment *s;

	if (i == SIZE_MAX)
		return NULL;
	s = &e->segments[i];
	if (bytes_u64(e->fmt, s->data + (addr - s->addr)) == v)
		return NULL;
	if (!e->copies[i]) {
		e->copies[i] = malloc(s->filesz);
		if (!e->copies[i])
			return err_nomem();
		memcpy(e->copies[i], s->data, s->filesz);
		s->data = e->copies[i];
	}
	bytes_put(e->fmt, e->copies[i] + (addr - s->addr), v, 8);
	return NULL;
}

static Elf64_Rela reloc_read(struct bytes_fmt fmt, const uint8_t *p)
{
	return (Elf64_Rela){
		.r_offset = bytes_u64(fmt, p + offsetof(Elf64_Rela, r_offset)),
		.r_info = bytes_u64(fmt, p + offsetof(Elf64_Rela, r_info)),
		.r_addend = (int64_t)bytes_u64(fmt, p + offsetof(Elf64_Rela, r_addend)),
	};
}

struct err *elf_relocate(struct elf *e)
{
	uint32_t type = relative_type(e->ehdr.e_machine);

	if (e->ehdr.e_type != ET_DYN || e->fmt.word != 8 || !type)
		return NULL;
	e->copies = calloc(e->nsegments + 1, sizeof(*e->copies));
	if (!e->copies)
		return err_nomem();
	for (size_t i = 0; i < e->nsections; i++) {
		const struct elf_section *s = &e->sections[i];
		const uint8_t *p =
			s->alloc && !strncmp(s->name, ".rela", 5) ? elf_section_data(e, s) : NULL;

		for (uint64_t at = 0; p && at + sizeof(Elf64_Rela) <= s->size;
		     at += sizeof(Elf64_Rela)) {
			Elf64_Rela r = reloc_read(e->fmt, p + at);

			TRY(intr_check());
			if (ELF64_R_TYPE(r.r_info) == type)
				TRY(reloc_apply(e, r.r_offset, (uint64_t)r.r_addend));
		}
	}
	return NULL;
}
