/*
 * A tiny Go process in memory, for the unit tests of what reads one: an executable with symbols,
 * moduledata, function tables and type descriptors, and a heap of a few spans, with goroutines,
 * threads, variables, a finalizer and queues.
 *
 * Every field is written where the layout of a release and a GOARCH has it, so that one builder
 * makes a process of each era, word size and byte order:
 *
 *	1.17		two bits a word in heapArena
 *	1.20		a bit a word in heapArena, and noMorePtrs
 *	1.22		bits in the span, allocation headers, span.largeType; GC programs
 *	1.24		masks made on demand, cleanups
 *	1.26		Green Tea's inline mark bits
 *
 *	fake_make(&f, &fake_eras[i]);
 *	fake_word(&f, fake_node(&f, NODE_NEXT), 0);	a test's own change
 *	fake_load(&f, true);				EXE is written, and read by heap_create()
 *	... f.p, f.heap ...
 *	fake_free(&f);
 *
 * What the objects point to, and who holds what, stands at enum fake_node_slot.
 */
#ifndef GRF_TESTS_FAKEHEAP_H
#define GRF_TESTS_FAKEHEAP_H

#include "heap/heap_int.h"

struct fake_era {
	const char *version, *goarch;
};
extern const struct fake_era fake_eras[];
extern const size_t fake_neras;

/* One contiguous part of the process's memory. */
struct fake_piece {
	uint64_t addr, len;
	uint8_t *data;
};

enum fake_span_id {
	FAKE_NODES,  /* main.node, one class, pointers by bits */
	FAKE_LEAVES, /* 16 bytes without pointers */
	FAKE_BIG,    /* main.big, 1024 bytes: an allocation header since 1.22 */
	FAKE_HUGE,   /* one array of main.big: a large object */
	FAKE_GS,
	FAKE_PS,
	FAKE_STACKS, /* manual: no objects */
	FAKE_DEAD,   /* not in use */
	FAKE_NSPANS
};

struct fake_span {
	uint64_t mspan, base, npages, elemsize;
	uint32_t nelems, nalloc;
	uint8_t spanclass, state;
	uint64_t alloc_bits, mark_bits;
};

/* Slots of FAKE_NODES, what holds each, and where its two pointers lead. */
enum fake_node_slot {
	NODE_ROOT,      /* main.root, in .data; to NODE_NEXT, LEAF_ROOT */
	NODE_NEXT,      /* to the first main.big */
	NODE_OF_HUGE,   /* the huge array's first element */
	NODE_SECOND,    /* main.second, in .bss */
	NODE_LOCAL,     /* a local of main.worker, parked */
	NODE_ARG,       /* an argument of it */
	NODE_ON_STACK,  /* a stack object of it */
	NODE_REGISTER,  /* a register of main.spin, running */
	NODE_GUESSED,   /* a word of main.spin's frame, which is looked at conservatively */
	NODE_FINALIZED, /* nothing: it has a finalizer; to NODE_OF_FINALIZED */
	NODE_OF_FINALIZED,
	NODE_QUEUED,  /* a finalizer that is due */
	NODE_ALLGS,   /* the array of runtime.allgs */
	NODE_ALLP,    /* the array of runtime.allp */
	NODE_GARBAGE, /* nothing */
	NODE_FREE,    /* not allocated */
	NODE_LATE,    /* allocated behind it, and garbage */
	NODE_N
};

/* Slots of FAKE_LEAVES. */
enum fake_leaf_slot {
	LEAF_ROOT,
	LEAF_BIG,     /* of the main.big */
	LEAF_HUGE,    /* of the huge array's last element */
	LEAF_FIN_FN,  /* a finalizer's function value */
	LEAF_TINY,    /* a p's current tiny block */
	LEAF_CLEANUP, /* a queued cleanup's function value, since 1.25; before: garbage */
	LEAF_N
};

/* Functions, in order of address. */
enum fake_func { FAKE_GOEXIT, FAKE_GOPARK, FAKE_WORKER, FAKE_SPIN, FAKE_NFUNCS };

/* Bytes of each function's code, and where in it its frame is set up. */
enum { FAKE_FUNC_SIZE = 0x100, FAKE_PROLOGUE = 0x10, FAKE_PC = 0x40 };
/* Room for a function's name. */
enum { FAKE_NAME = 32 };

/* Type descriptors. */
enum fake_type {
	FAKE_T_NODE,
	FAKE_T_PNODE,
	FAKE_T_BIG,
	FAKE_T_PBIG,
	FAKE_T_HUGE, /* [n]main.big */
	FAKE_T_G,
	FAKE_T_P,
	FAKE_T_UINTPTR,
	FAKE_NTYPES
};

enum { FAKE_BIG_SIZE = 1016 }; /* of a main.big: with a header it fills its slot */

struct fake {
	struct mem_source src; /* first: readv gets it */
	struct fake_era era;
	struct layout l;
	struct bytes_fmt fmt;
	const struct goarch *arch;
	const struct arch *machine;
	bool green_tea;
	VEC(struct fake_piece) pieces;

	/* where everything is */
	uint64_t text, rodata, data, bss, noptrbss, sys;
	uint64_t sys_at, rodata_at;
	uint64_t funcs[FAKE_NFUNCS], types[FAKE_NTYPES], frame; /* frame: a function's, bytes */
	uint64_t moduledata, pclntab, pclntab_len, gofunc, buildinfo, ftab, pctab;
	uint64_t names[FAKE_NFUNCS], records[FAKE_NFUNCS]; /* of functions */
	uint64_t locals_map, args_map, stack_objects;      /* main.worker's */
	uint64_t data_end, bss_end, noptrdata_end, noptrbss_end, rodata_end, text_end;
	uint64_t var_root, var_second, mheap, allgs, allp, allm, allfin, cleanups, itab_table;
	struct fake_span spans[FAKE_NSPANS];
	uint64_t allspans, heap_arena;
	uint64_t gs[2], ps[1], m0, g0, mcache, special, finblock;
	uint64_t stack[3], stack_len[3];            /* of gs[0], gs[1], g0 */
	uint64_t local, local_object, arg, guessed; /* words on stacks */

	/* since fake_load() */
	char path[256];
	struct elf *exe;
	struct image *img;
	struct heap *heap;
	struct proc *p;
	struct threads threads;
};

void fake_make(struct fake *f, const struct fake_era *era);
/* Writes EXE, and has heap_create() and heap_attach() read it; symbols: or stripped. */
void fake_load(struct fake *f, bool symbols);
/* The same where the executable may be damaged. */
struct err *fake_open(struct fake *f, bool symbols);
void fake_free(struct fake *f);

/* All memory goes into the image. */
void fake_fetch(struct fake *f);
/* Ends the image's source: memory that was not fetched stays unknown. */
void fake_cut(struct fake *f);

/* Memory, before or (then the image must be forgotten) after fake_load(). */
uint8_t *fake_at(struct fake *f, uint64_t addr, uint64_t len);
void fake_word(struct fake *f, uint64_t addr, uint64_t v);
void fake_put(struct fake *f, uint64_t addr, uint64_t v, unsigned size);
void fake_set(struct fake *f, uint64_t base, enum layout_id id, uint64_t v);
uint64_t fake_get(struct fake *f, uint64_t base, enum layout_id id);
/* Room in the runtime's own memory; in EXE's constants. */
uint64_t fake_alloc(struct fake *f, uint64_t size, uint64_t align);
uint64_t fake_constant(struct fake *f, uint64_t size);
/* More memory. */
void fake_add(struct fake *f, uint64_t addr, uint64_t len);

/* Where the data of a slot begins: behind its allocation header, if it has one. */
uint64_t fake_object(const struct fake *f, enum fake_span_id span, uint32_t i);
uint64_t fake_node(const struct fake *f, enum fake_node_slot i);
uint64_t fake_leaf(const struct fake *f, enum fake_leaf_slot i);
bool fake_has_header(const struct fake *f, enum fake_span_id span);
/* Which words of main.node and main.big are pointers: the first and the third. */
enum { FAKE_POINTERS = 5 };

/* What a mark must find. */
void fake_live(const struct fake *f, uint64_t *objects, uint64_t *bytes);
void fake_allocated(const struct fake *f, uint64_t *objects, uint64_t *bytes);
bool fake_is_live(const struct fake *f, enum fake_span_id span, uint32_t slot);

/* A whole run: what heap/heap.h has behind heap_attach().  It goes on after an unstable stop. */
struct err *fake_analyse(struct fake *f, const struct analyse_options *o, struct profile *p,
			 struct report *r);

/* The steps that a test's own subject comes behind.  All memory is in the image. */
struct err *fake_read_modules(struct fake *f);
struct err *fake_read_spans(struct fake *f); /* an unstable heap is ERR_BADDATA */
struct err *fake_read_stacks(struct fake *f);
struct captured *fake_captured(struct fake *f); /* since fake_load() */
struct spans *fake_spans(struct fake *f);
struct stacks *fake_stacks(struct fake *f);
const struct span *fake_span_of(struct fake *f, enum fake_span_id span);

#endif
