/*
 * Where a binary's symbols and DWARF are: in itself, or in another file of the same build.
 *
 * Such a file is either what strip or objcopy split off, which has the binary's own build id; or an
 * unstripped build of the same source (`go build` without -ldflags='-s -w').  The Go build id has
 * four parts, action/main's action/main's content/content (cmd/go/internal/work/buildid.go); the
 * third is the same in a build of the same source.  A change in a far dependency does not always
 * show there, so that the function tables (pclntab) must be equal byte for byte, too.  From Go 1.18
 * on the flags are part of the build information, a string, and what lies behind it can be some
 * bytes further: addresses are translated by section.
 */
#ifndef GRF_TARGET_DEBUGFILE_H
#define GRF_TARGET_DEBUGFILE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/vec.h"
#include "target/elf.h"

/* Where the system has them. */
#define DEBUGFILE_DIR "/usr/lib/debug"

struct debugfile_shift {
	uint64_t addr, size; /* in the debug file */
	uint64_t shift;      /* what to add for the binary's link-time address */
};

struct debugfile {
	struct elf *elf;                    /* NULL: none */
	bool owned;                         /* elf is not the binary itself */
	VEC(struct debugfile_shift) shifts; /* sections that are elsewhere in the binary */
	uint64_t text_shift;                /* of .text */
	char *passed_over;                  /* by debugfile_distrust(); NULL: nothing was */
};

/*
 * We may be root, and the process somebody else's: then the binary's path, and what lies beside it,
 * are what he has made of them.  While this is on, a debug file beside a binary is taken only if
 * root alone could have put it there; the system's folder is as good as ever.
 */
void debugfile_distrust(bool on);

/* Says that the binary has its symbols and DWARF itself. */
void debugfile_own(struct debugfile *d, struct elf *binary);
void debugfile_deinit(struct debugfile *d);

/*
 * Makes file the debug file of binary, and takes it over; on errors it stays the caller's.
 * ERR_BADDATA: it is of another build; the message says what differs.
 */
ERR_MUST_CHECK struct err *debugfile_set(struct debugfile *d, const struct elf *binary,
					 struct elf *file);

/*
 * Looks where debuggers look for a stripped binary's debug file: .gnu_debuglink beside the binary,
 * in .debug/ and under /usr/lib/debug; .build-id/xx/y.debug there.  Files that do not match are
 * passed over; d->elf stays NULL if none does.
 */
ERR_MUST_CHECK struct err *debugfile_find(struct debugfile *d, const struct elf *binary);

/* Are these Go build ids, which differ, of builds of one source?  They may differ in flags. */
bool debugfile_same_source(const char *id, const char *other);

/* The binary's link-time address of what is at addr in the debug file. */
uint64_t debugfile_addr(const struct debugfile *d, uint64_t addr);

#endif
