/*
 * An executable or shared object.  The file is mapped, and nothing of it is copied but segments
 * that have relocations applied.  Addresses are those of the linker; the caller adds the load bias.
 */
#ifndef GRF_TARGET_ELF_H
#define GRF_TARGET_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct elf;

/* ERR_OS: cannot be opened; ERR_BADDATA: not ELF, cut, or damaged.  path is copied. */
ERR_MUST_CHECK struct err *elf_open(const char *path, struct elf **ret);
/* The same, of a copy: name is what messages call it, which is copied, too. */
ERR_MUST_CHECK struct err *elf_open_as(const char *path, const char *name, struct elf **ret);
void elf_destroy(struct elf *e);

/* Gives the file's pages back to the kernel; they come again when they are read.  Pointers stay
 * good. */
void elf_release(const struct elf *e);

const char *elf_path(const struct elf *e); /* for messages */
const char *elf_file(const struct elf *e); /* as it can be opened */
int elf_fd(const struct elf *e);           /* borrowed */
uint16_t elf_machine(const struct elf *e);
struct bytes_fmt elf_fmt(const struct elf *e);
bool elf_is_dyn(const struct elf *e);     /* ET_DYN: a PIE or a shared object */
bool elf_is_dynamic(const struct elf *e); /* it may load shared objects */
bool elf_is_library(const struct elf *e); /* a shared object, not a PIE */
uint32_t elf_crc32(const struct elf *e);  /* of the whole file, as .gnu_debuglink has it */
uint64_t elf_entry(const struct elf *e);

struct elf_segment { /* PT_LOAD */
	uint64_t addr, memsz, filesz;
	const uint8_t *data; /* filesz bytes of the mapped file */
	bool read, write, exec;
	uint64_t off; /* in the file: data may be a copy (elf_reloc.c) */
};
size_t elf_segments(const struct elf *e, const struct elf_segment **ret);
uint64_t elf_segment_offset(const struct elf *e, const struct elf_segment *s); /* in the file */

struct elf_section {
	const char *name;
	uint64_t addr, size;
	bool alloc, write, nobits;
	bool compressed; /* SHF_COMPRESSED: size and data are as in the file, with its header */
};
size_t elf_sections(const struct elf *e, const struct elf_section **ret);
const struct elf_section *elf_section(const struct elf *e, const char *name); /* NULL: none */
/* The section that holds addr, NULL if none; for names such as ".bss+0x120". */
const struct elf_section *elf_section_at(const struct elf *e, uint64_t addr);

/* The section's bytes in the file (NULL for nobits, or size 0); in the mapping, do not free. */
const uint8_t *elf_section_data(const struct elf *e, const struct elf_section *s);
/* Where they are in the file, for elf_fd(). */
uint64_t elf_section_offset(const struct elf *e, const struct elf_section *s);

/* The bytes that a process has at link-time addr, as the file holds them (PT_LOAD); NULL if not all
 * of [addr, addr+len) comes from the file. */
const uint8_t *elf_data(const struct elf *e, uint64_t addr, uint64_t len);

/* A symbol of .symtab by its name; false: there is none.  The first call builds a hash table. */
bool elf_symbol(const struct elf *e, const char *name, uint64_t *addr, uint64_t *size);

/* A symbol by its number, below elf_symbol_count(); false: it is undefined or has no name. */
uint64_t elf_symbol_count(const struct elf *e);
bool elf_symbol_get(const struct elf *e, uint64_t i, const char **name, uint64_t *addr,
		    uint64_t *size);

/* A build id's section (i < ELF_ID_NOTES) that a process has in memory, too; NULL: none. */
enum { ELF_ID_NOTES = 2 };
const struct elf_section *elf_id_note(const struct elf *e, unsigned i);

/* The GNU build id in hex; the Go build id as `go tool buildid` prints it; "" if there is none. */
const char *elf_gnu_build_id(const struct elf *e);
const char *elf_go_build_id(const struct elf *e);

/* Is b the begin of a pclntab?  Its first 8 bytes are a magic number, 0, 0, the instructions'
 * quantum, the word size (debug/gosym/pclntab.go@go1.26.8). */
#define ELF_PCLNTAB_117 0xfffffffau
#define ELF_PCLNTAB_118 0xfffffff0u /* and 1.19 */
#define ELF_PCLNTAB_120 0xfffffff1u /* and later */
bool elf_is_pclntab(struct bytes_fmt fmt, const uint8_t *b);

/*
 * Reads .go.buildinfo, which survives stripping: the release as runtime.Version() says it
 * ("go1.26.8", "go1.26.8-X:nogreenteagc", "devel ..."), and the module information (lines such as
 * "build\tGOEXPERIMENT=..." and "path\t..."; "" if there is none).  From Go 1.18 on the strings are
 * inline, before it there are pointers to them.  ERR_NODEBUG: it is no Go program.  The strings
 * live as long as e.
 */
ERR_MUST_CHECK struct err *elf_go_buildinfo(struct elf *e, const char **version,
					    const char **modinfo);

#endif
