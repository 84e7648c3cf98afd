/*
 * ELF headers as bytes of another machine, where libelf cannot be asked: in a process's memory, and
 * in a file that is written.  Field by field, by the names and types of elf.h.
 */
#ifndef GRF_TARGET_ELF_HEADER_H
#define GRF_TARGET_ELF_HEADER_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

static inline unsigned ehdr_size(struct bytes_fmt f)
{
	return f.word == 8 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
}

static inline unsigned phdr_size(struct bytes_fmt f)
{
	return f.word == 8 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
}

static inline unsigned shdr_size(struct bytes_fmt f)
{
	return f.word == 8 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
}

/* b: an ELF header. */
static inline uint64_t ehdr_phoff(struct bytes_fmt f, const uint8_t *b)
{
	return f.word == 8 ? bytes_u64(f, b + offsetof(Elf64_Ehdr, e_phoff)) :
			     bytes_u32(f, b + offsetof(Elf32_Ehdr, e_phoff));
}

static inline uint16_t ehdr_phnum(struct bytes_fmt f, const uint8_t *b)
{
	return bytes_u16(f, b + (f.word == 8 ? offsetof(Elf64_Ehdr, e_phnum) :
					       offsetof(Elf32_Ehdr, e_phnum)));
}

/* b: a program header; its fields that have to do with memory. */
static inline Elf64_Phdr phdr_read(struct bytes_fmt f, const uint8_t *b)
{
	if (f.word == 8)
		return (Elf64_Phdr){
			.p_type = bytes_u32(f, b + offsetof(Elf64_Phdr, p_type)),
			.p_flags = bytes_u32(f, b + offsetof(Elf64_Phdr, p_flags)),
			.p_vaddr = bytes_u64(f, b + offsetof(Elf64_Phdr, p_vaddr)),
			.p_memsz = bytes_u64(f, b + offsetof(Elf64_Phdr, p_memsz)),
		};
	return (Elf64_Phdr){
		.p_type = bytes_u32(f, b + offsetof(Elf32_Phdr, p_type)),
		.p_flags = bytes_u32(f, b + offsetof(Elf32_Phdr, p_flags)),
		.p_vaddr = bytes_u32(f, b + offsetof(Elf32_Phdr, p_vaddr)),
		.p_memsz = bytes_u32(f, b + offsetof(Elf32_Phdr, p_memsz)),
	};
}

#endif
