/*
 * DWARF as Go writes it (DWARF 4 from 1.17 to 1.24, DWARF 5 from 1.25 on), read by libdwarf, none
 * of whose types show here.  Opening is cheap; the index of functions, variables and types is
 * built on first use.  Addresses are those of the linker.
 *
 * A DIE is named by its offset in .debug_info (uint64_t, 0 = none).  Names are as Go prints them:
 * the escapes of symbol names ("yaml%2ev3.Node") are undone here, while those of symtab and
 * pclntab are not.
 *
 * libdwarf 20210528 crashes on damaged DWARF 5 lists.  It is therefore not shown them
 * (dwarf_object.c); dwarf_lists.c decodes them.
 */
#ifndef GRF_TARGET_DWARF_H
#define GRF_TARGET_DWARF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "target/elf.h"

struct dwarf;

const char *dwarf_library_version(void); /* libdwarf's, as it is loaded */

/* Has the file a section of DWARF, whatever is in that? */
bool dwarf_present(const struct elf *e);
/* e must outlive it.  ERR_NODEBUG: no DWARF in the file, or none that can be read; the message says
 * which, without the file's name. */
ERR_MUST_CHECK struct err *dwarf_create(struct elf *e, struct dwarf **ret);
void dwarf_destroy(struct dwarf *d);

/* ------------------------------------------------------------------ types */

enum dwarf_type_tag {
	DWARF_T_OTHER, /* unknown, or a constant size blob */
	DWARF_T_BASE,
	DWARF_T_POINTER, /* elem may be 0: unsafe.Pointer */
	DWARF_T_STRUCT,  /* also Go's string, slice, interface and map internals: see go_kind */
	DWARF_T_ARRAY,
	DWARF_T_FUNC,
	/* elem: what it names; Go's map, chan, func, interface are typedefs with a go_kind */
	DWARF_T_TYPEDEF,
};

struct dwarf_type {
	uint64_t die;
	enum dwarf_type_tag tag;
	const char *name; /* "" if none; lives as long as d */
	uint64_t size;    /* bytes */
	uint64_t count;   /* arrays */
	uint64_t elem;    /* DW_AT_type of the DIE */
	uint64_t go_elem, go_key;
	uint8_t go_kind;          /* DW_AT_go_kind & 0x1f; 0: none */
	uint64_t go_runtime_type; /* offset from moduledata.types; 0: none */
};

struct dwarf_member {
	const char *name;
	uint64_t offset, type;
	bool embedded;
};

ERR_MUST_CHECK struct err *dwarf_type(struct dwarf *d, uint64_t die, struct dwarf_type *ret);
/* Members of a struct DIE, in order; *ret is malloc'd, the caller frees it. */
ERR_MUST_CHECK struct err *dwarf_members(struct dwarf *d, uint64_t die, struct dwarf_member **ret,
					 size_t *n);
/* A type DIE by its DWARF name ("runtime.g"; structure before typedef); 0 if there is none. */
ERR_MUST_CHECK struct err *dwarf_type_by_name(struct dwarf *d, const char *name, uint64_t *die);
/* The struct types one after another: *at is 0 at first, and goes on by itself; *die is 0 when
 * there are no more. */
ERR_MUST_CHECK struct err *dwarf_next_struct(struct dwarf *d, size_t *at, uint64_t *die);
/* By DW_AT_go_runtime_type (offset from moduledata.types); 0 if there is none. */
ERR_MUST_CHECK struct err *dwarf_type_by_runtime(struct dwarf *d, uint64_t offset, uint64_t *die);

/* ------------------------------------------------------------------ variables */

struct dwarf_var {
	const char *name; /* "main.cache" */
	uint64_t addr;
	uint64_t type; /* DIE */
	uint64_t size; /* of the type; 0 unknown */
};
/* Package variables with an address, sorted by address; owned by d. */
ERR_MUST_CHECK struct err *dwarf_globals(struct dwarf *d, const struct dwarf_var **ret, size_t *n);

/* ------------------------------------------------------------------ functions */

/*
 * A piece of a local (or parameter, or result) that lies in the frame's memory; pieces in registers
 * are left out.  A variable that escaped is named "&x" in Go's DWARF: here its name is without the
 * '&', by_ref is set, and type is the pointer's type.
 */
struct dwarf_local {
	const char *name;
	/* the function it was written in (an inlined one, if it came from inlining) */
	const char *func;
	/* From the frame's CFA, the caller's sp without the return address (on amd64 the address
	 * behind the return address), to the piece. */
	int64_t cfa_off;
	uint64_t var_off, size; /* which bytes of the variable the piece has */
	uint64_t type;          /* DIE of the whole variable */
	/* 1 + its type's index in the generic function's dictionary; 0: none */
	uint32_t dict;
	bool by_ref;
	bool param;
};

/* *ret is malloc'd; names live as long as d.  Locals whose location list does not cover pc, or
 * whose scope (lexical block, inlined call) does not, are left out.  n is 0 for an unknown pc. */
ERR_MUST_CHECK struct err *dwarf_locals(struct dwarf *d, uint64_t pc, struct dwarf_local **ret,
					size_t *n);

/* Says that no dwarf_locals() comes for now, and frees what only it needs (60 MB for a 400 MB
 * executable). */
void dwarf_locals_done(struct dwarf *d);

/*
 * A variable that a closure captures: name, byte offset in the closure object, type (a capture by
 * reference has by_ref and the pointer's type).  From Go 1.23 on DW_AT_go_closure_offset says where
 * it is; before that the layout is one of those that the variables can have, `guessed`.
 */
struct dwarf_capture {
	const char *name;
	uint64_t offset, type;
	uint32_t dict; /* as in dwarf_local */
	bool by_ref;
	bool guessed; /* the offset */
};
/* What the closure with this entry pc captures, by offset; n is 0 where nothing is known.  *ret is
 * malloc'd. */
ERR_MUST_CHECK struct err *dwarf_captures(struct dwarf *d, uint64_t entry,
					  struct dwarf_capture **ret, size_t *n);

/* The name of the function that starts at entry, with type arguments (the pclntab of Go 1.18 to
 * 1.20 has "[...]" for them).  NULL: it is unknown, or nothing about functions was asked for yet.
 * */
const char *dwarf_func_name(struct dwarf *d, uint64_t entry);

/* The type of the first parameter of the function that starts at entry; 0: it has none, or that is
 * not known. */
ERR_MUST_CHECK struct err *dwarf_first_param(struct dwarf *d, uint64_t entry, uint64_t *type);

#endif
