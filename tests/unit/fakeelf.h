/*
 * Writes a small ELF executable of any class and byte order, for the tests of what needs one.
 */
#ifndef GRF_TESTS_FAKEELF_H
#define GRF_TESTS_FAKEELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* A PT_LOAD segment; filesz is a multiple of 8, and what follows it is zero in memory. */
struct fake_segment {
	uint64_t addr, filesz, memsz;
	const uint8_t *data;
	bool write, exec;
};

/* A section inside a segment; with its segment's bytes, unless nobits. */
struct fake_section {
	const char *name;
	uint64_t addr, size;
	bool write, nobits;
};

struct fake_symbol {
	const char *name;
	uint64_t addr, size;
};

struct fake_elf {
	struct bytes_fmt fmt;
	uint16_t machine; /* EM_* */
	const struct fake_segment *segments;
	size_t nsegments;
	const struct fake_section *sections;
	size_t nsections;
	const struct fake_symbol *symbols; /* none: stripped */
	size_t nsymbols;
};

/* Writes it to a new temporary file, whose name goes into path. */
void fake_elf_write(const struct fake_elf *e, char *path, size_t cap);

#endif
