/*
 * A Go process as the rest of heap/ reads it: an image, the layout of this
 * release's runtime, the modules, and where the runtime's own variables are.
 */
#ifndef GRF_HEAP_RUNTIME_PROC_H
#define GRF_HEAP_RUNTIME_PROC_H

#include "base/err.h"
#include "heap/runtime/binary.h"
#include "heap/layout/goarch.h"
#include "heap/layout/layout.h"
#include "heap/runtime/module.h"
#include "target/elf.h"
#include "target/target.h"

/* minLegalPointer (runtime/malloc.go): no pointer is below it. */
enum { MIN_LEGAL_POINTER = 4096 };

/* _Pdead (runtime/runtime2.go): the last of a p's states. */
enum { P_DEAD = 4 };

/* The runtime's variables that are read; run-time addresses. */
struct runtime_vars {
	uint64_t firstmoduledata;
	uint64_t mheap_;
	/* **g and its length: unlike allgs, right at any moment (proc.go:allgadd) */
	uint64_t allgptr;
	uint64_t allglen;
	uint64_t allm;       /* *m */
	uint64_t allp;       /* []*p */
	uint64_t allfin;     /* *finblock */
	uint64_t gcCleanups; /* cleanupQueue; 0 before Go 1.25 */
	uint64_t itabTable;  /* *itabTableType */
	/* only by name; 0: the program has none */
	uint64_t memstats;     /* mstats */
	uint64_t gcController; /* gcControllerState */
	uint64_t sched;        /* schedt */
	uint64_t waitReasons;  /* [...]string */
	uint64_t initTime;     /* runtimeInitTime, int64: nanotime() when main began (proc.go) */
};

struct proc {
	struct image *img;        /* borrowed */
	struct elf *exe;          /* borrowed */
	struct binaries binaries; /* EXE first */
	struct bytes_fmt fmt;
	struct layout layout;
	const struct goarch *arch;
	const struct arch *machine;
	/* no symbols: var is found by shape (heap/runtime/find.h), anew at each stop */
	bool stripped;
	uint64_t bias; /* run-time minus link-time addresses of exe */
	struct runtime_vars var;
	struct ranges var_symbols; /* where they are, by their symbols: link-time addresses */
	struct modules modules;
	struct map64 arenas; /* arena index -> its heapArena, where the bitmaps are (until 1.21) */
	const char *version; /* "go1.26.8"; borrowed from exe */
};

/* A field of the struct at base, 1, 2, 4 or 8 bytes wide. */
ERR_MUST_CHECK struct err *proc_get(const struct proc *p, uint64_t base, enum layout_id id,
				    uint64_t *ret);
/* For looks that may miss: false, and no error, when addr is not in the image. */
bool proc_try_uint(const struct proc *p, uint64_t addr, unsigned size, uint64_t *ret);
bool proc_try_word(const struct proc *p, uint64_t addr, uint64_t *ret);
/* A slice header's pointer and length at addr. */
ERR_MUST_CHECK struct err *proc_slice(const struct proc *p, uint64_t addr, uint64_t *ptr,
				      uint64_t *len);

/* Whether v can be a pointer to something made of words. */
static inline bool proc_is_pointer(const struct proc *p, uint64_t v)
{
	return v >= MIN_LEGAL_POINTER && !(v & (p->fmt.word - 1));
}

/* proc_try_uint() of a field; false, too, where this release has none. */
static inline bool proc_get_try(const struct proc *p, uint64_t base, enum layout_id id,
				uint64_t *ret)
{
	return layout_has(&p->layout, id) &&
	       proc_try_uint(p, base + p->layout.f[id].off, p->layout.f[id].size, ret);
}

/* A field, from bytes of the struct that are at hand. */
static inline uint64_t proc_peek(const struct proc *p, const uint8_t *base, enum layout_id id)
{
	return bytes_uint(p->fmt, base + p->layout.f[id].off, p->layout.f[id].size);
}

#endif
