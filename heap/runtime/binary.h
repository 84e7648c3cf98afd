/*
 * The files that a Go process is made of: EXE, and plugins.  Each holds one module (a moduledata),
 * and has its symbols and DWARF in itself or in a debug file.
 *
 * EXE is a file at hand.  What a plugin's module needs is read from memory, so that its file is
 * needed for names only.
 */
#ifndef GRF_HEAP_RUNTIME_BINARY_H
#define GRF_HEAP_RUNTIME_BINARY_H

#include "base/err.h"
#include "base/vec.h"
#include "target/debugfile.h"
#include "target/dwarf.h"
#include "target/library.h"

struct proc;

struct binary {
	struct elf *elf; /* EXE's is borrowed; a plugin's NULL unless its file is at hand */
	char *path;      /* a plugin's, as the process has it */
	uint64_t bias;   /* run-time minus link-time addresses */
	VEC(struct library_segment) segments;
	struct debugfile debug;
	struct dwarf *dwarf; /* of debug.elf, from binary_open_dwarf() on; NULL: none */
	size_t module;       /* the index of its module */
};

VEC_NAMED(binaries, struct binary);

void binaries_deinit(struct binaries *b);

/* Adds EXE, which is the first binary. */
ERR_MUST_CHECK struct err *binary_add_exe(struct proc *p, struct elf *exe);
/* Says where it is loaded. */
ERR_MUST_CHECK struct err *binary_place(struct binary *b, uint64_t bias);

/* The binary that holds a run-time address; NULL: none. */
struct binary *binary_at(const struct proc *p, uint64_t addr);

/* A symbol's run-time address (link-time before binary_place()); false if neither the file nor
 * its debug file has it. */
bool binary_symbol(const struct binary *b, const char *name, uint64_t *addr, uint64_t *size);
/* The run-time address of data from its link-time address in the debug file. */
uint64_t binary_data(const struct binary *b, uint64_t addr);
/* The link-time address in the debug file of a run-time pc. */
uint64_t binary_pc(const struct binary *b, uint64_t pc);

/*
 * Fetches what holds the modules that EXE's moduledata leads to, and adds a binary for each.  It is
 * the first step of a capture, and needs EXE's variables in the image.  libs is the list of shared
 * libraries as last read; it is read (again) for a module that is not in it.
 */
ERR_MUST_CHECK struct err *binaries_fetch(struct proc *p, struct libraries *libs,
					  struct err *(*read_libs)(void *arg,
								   struct libraries *ret),
					  void *arg);

/* Whether memory holds what is in the file, by the build ids of both. */
bool binary_is(const struct proc *p, const struct binary *b, const struct elf *file);
/* Takes a plugin's own file, if it is at its path here and is what is loaded. */
ERR_MUST_CHECK struct err *binary_find_file(const struct proc *p, struct binary *b);

/* Opens the DWARF of debug.elf, with its index.  ERR_NODEBUG, ERR_BADDATA, ERR_LIMIT: there is
 * none that can be read. */
ERR_MUST_CHECK struct err *binary_open_dwarf(struct binary *b);
/* Gives back what only locals need. */
void binaries_locals_done(struct binaries *b);

#endif
