/*
 * Modules (moduledata) and their pclntab: from a pc to its function, its stack
 * pointer delta, its stack maps.
 * Source: runtime/symtab.go, internal/abi/symtab.go of each release.
 */
#ifndef GRF_HEAP_RUNTIME_MODULE_H
#define GRF_HEAP_RUNTIME_MODULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/vec.h"

struct proc;

/* Bytes of the image that a module's tables are in; len bounds every access. */
struct table {
	uint64_t addr, len;
	const uint8_t *data;
};

struct bitmap_root { /* a root segment and its one-bit-per-word mask */
	uint64_t start, end;
	uint64_t mask; /* address of the bytes */
	uint64_t nbits;
};

struct module {
	uint64_t addr; /* of the moduledata */
	size_t binary; /* the index of what it is loaded from */
	uint64_t text, etext, minpc, maxpc;
	uint64_t types, etypes, rodata, gofunc;
	uint64_t noptrdata, enoptrdata, noptrbss, enoptrbss;
	struct bitmap_root data, bss;
	struct table funcnametab, pctab, pclntable, ftab, textsectmap;
	struct table cutab, filetab; /* names of files; empty: not known */
	uint32_t quantum;            /* pcHeader.minLC */
	uint64_t nfunc;
};

/* Functions that the analysis treats in a way of their own.  They are found by name, as funcIDs are
 * renumbered from release to release. */
enum func_class {
	FUNC_NORMAL,
	FUNC_SIGPANIC,
	FUNC_ASYNC_PREEMPT,
	FUNC_DEBUG_CALL,
	FUNC_CGOCALLBACK,
	FUNC_REFLECT_STUB,  /* reflect.makeFuncStub, reflect.methodValueCall */
	FUNC_WRITE_BARRIER, /* called at unsafe points; saves its caller's registers in its frame */
	FUNC_SIGTRAMP,
	FUNC_GOGO,
	FUNC_COPYSTACK,
	FUNC_SPAN_SETUP, /* a span is being made, freed or refilled */
	FUNC_SWEEP,
	FUNC_RACECALL,
	FUNC_NANOTIME1, /* switches stacks without saving: vdsoSP tells */
};

enum { /* _func.flag */
       FUNC_FLAG_TOPFRAME = 1,
       FUNC_FLAG_SPWRITE = 2,
       FUNC_FLAG_ASM = 4,
};

enum { /* PCDATA and FUNCDATA tables, internal/abi/symtab.go */
       PCDATA_UNSAFE_POINT = 0,
       PCDATA_STACKMAP = 1,
       FUNCDATA_ARGS = 0,
       FUNCDATA_LOCALS = 1,
       FUNCDATA_STACK_OBJECTS = 2,
       UNSAFE_POINT_UNSAFE = -2,
};

struct func {
	const struct module *mod;
	uint64_t entry, end;
	const uint8_t *data; /* the _func record */
	uint64_t left;       /* bytes of pclntable from there */
	const char *name;
	int32_t args; /* bytes, or FUNC_ARGS_UNKNOWN */
	uint32_t deferreturn, pcsp, npcdata;
	uint8_t nfuncdata, flag;
	enum func_class cls;
	bool in_runtime; /* of package runtime and its internals */
};

enum { FUNC_ARGS_UNKNOWN = -0x7fffffff - 1 };

/* What a GC program says, of so many words. */
struct program_bits {
	uint64_t words;
	uint8_t bits[];
};

struct modules {
	VEC(struct module) v;
	struct arena arena;
	struct map64 funcs;    /* entry -> struct func * */
	struct map64 programs; /* address of a stack object's GC program -> struct program_bits * */
	uint64_t program_bytes; /* of all of them */
	struct map64 pcs;       /* pc -> struct pcinfo * */
};

/* All that frames need to know of one pc. */
struct pcinfo {
	const struct func *func;
	int32_t spdelta;  /* at pc itself; -1: unknown */
	int32_t stackmap; /* at pc - 1 (or entry); -1: none */
	bool unsafe;      /* at pc - 1: an unsafe point */
};

/* Reads the moduledata chain and finds its tables in the image. */
ERR_MUST_CHECK struct err *modules_load(struct proc *p);
void modules_deinit(struct modules *m);

/* Is addr among the type descriptors of a module? */
bool modules_have_type(const struct modules *m, uint64_t addr);

/* A function of m by its name; *ret is NULL where it has none.  Reads through all of m's
 * functions. */
ERR_MUST_CHECK struct err *func_named(struct proc *p, const struct module *m, const char *name,
				      const struct func **ret);

/* *ret is NULL where pc is in no Go function. */
ERR_MUST_CHECK struct err *func_find(struct proc *p, uint64_t pc, const struct func **ret);
ERR_MUST_CHECK struct err *pcinfo_find(struct proc *p, uint64_t pc, const struct pcinfo **ret);

/* The name at an offset of the module's table of names; NULL: there is none. */
const char *func_name_at(const struct module *m, uint32_t off);

/* What the table at an offset of pctab has for pc; -1: nothing. */
int32_t func_pcvalue(const struct func *f, uint32_t off, uint64_t pc);
/* pcvalue(); -1 if the function has no such table. */
int32_t func_pcdata(const struct proc *p, const struct func *f, unsigned table, uint64_t pc);
/* Address of FUNCDATA i; 0: none. */
uint64_t func_funcdata(const struct proc *p, const struct func *f, unsigned i);

#endif
