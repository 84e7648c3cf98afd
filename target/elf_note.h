/* Notes of ELF files and cores, and the build ids in them. */
#ifndef GRF_TARGET_ELF_NOTE_H
#define GRF_TARGET_ELF_NOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct elf_note {
	uint32_t type;
	const char *name; /* name_len bytes, with their NUL */
	uint64_t name_len;
	const uint8_t *desc; /* len bytes */
	uint64_t len;
};

/* The next of the notes that c is over; false: it was the last, or the next one is cut. */
bool elf_note_next(struct cursor *c, struct elf_note *ret);
/* name may be followed by more than one NUL: Go's notes are of "Go\0\0". */
bool elf_note_is(const struct elf_note *n, const char *name, uint32_t type);

struct elf_ids {
	char *go;  /* as `go tool buildid` prints it */
	char *gnu; /* hex */
};

/* The build ids that the first len bytes of an ELF file have; NULL each: none there, or no ELF
 * file. */
ERR_MUST_CHECK struct err *elf_ids_of_head(const uint8_t *head, size_t len, struct elf_ids *ret);
void elf_ids_deinit(struct elf_ids *ids);

/*
 * Do these ids (NULL or "": none) tell a build from all others?  Go's has four parts, GNU's 20
 * bytes.  Others can be anybody's: all that is built with -ldflags=-buildid=redacted has that one,
 * and from Go 1.24 on a GNU id that is made of it.
 */
bool elf_ids_identify(const char *go, const char *gnu);

#endif
