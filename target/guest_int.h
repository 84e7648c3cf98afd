/*
 * What the files behind guest.h share: what is known of an architecture's kernel, page tables, and
 * the insides of struct guest.
 */
#ifndef GRF_TARGET_GUEST_INT_H
#define GRF_TARGET_GUEST_INT_H

#include "base/hash.h"
#include "base/vec.h"
#include "target/guest.h"

/* ------------------------------------------------------------------ architectures */

enum { GUEST_FRAME_REGS = 24, GUEST_PAGE = 4096 };

/* What a kernel saves of a thread, and how its page tables are made (target/guest_amd64.c). */
struct arch_guest {
	/* Registers of a vCPU, as target.xml spells them. */
	const char *root;   /* the top page table */
	const char *levels; /* has level5: five levels, else four */
	uint64_t level5;
	const char *privilege; /* of which the low bits are 3 in user mode */
	const char *tls;
	uint64_t addr; /* bits of an entry that are an address */
	uint64_t present, user, write, large, noexec;
	/* not present, and this: mapped, but no access is allowed; its address inverted */
	uint64_t hidden;
	uint64_t ignore;    /* bits that the processor sets by itself */
	uint64_t twin;      /* a second top table, for user mode, may be here: root ^ twin */
	unsigned user_half; /* entries of the top table that are the process's */
	/* Behind the last frame of a kernel stack nothing follows: the page ends there. */
	unsigned frame_size;
	const char *frame[GUEST_FRAME_REGS]; /* words */
	uint64_t stack_size;
	uint64_t user_cs, user_ss;
};

/* ------------------------------------------------------------------ page tables */

/* target/guest_pages.c: page tables of GUEST_PAGE bytes each, by physical address, as they were
 * when they were read first. */
struct pages {
	const struct arch_guest *arch;
	struct mem_source *memory; /* physical */
	uint64_t end;              /* of RAM */
	unsigned levels;
	struct map64 index; /* table -> its place in v */
	VEC(uint8_t *) v;
};

void pages_init(struct pages *p, const struct arch_guest *arch, struct mem_source *memory,
		uint64_t end);
void pages_forget(struct pages *p);

enum page_kind {
	PAGE_NONE,      /* no top table's entry: nothing near is mapped */
	PAGE_UNTOUCHED, /* nothing is behind it (yet) */
	PAGE_SWAPPED,
	PAGE_MAPPED,
};

struct page {
	enum page_kind kind;
	uint64_t pa;   /* of the address asked for */
	uint64_t size; /* of the page; of PAGE_UNTOUCHED: as far as the same table's entry goes */
	bool user, write, exec;
};

/* Reads all tables that these addresses need, level by level. */
ERR_MUST_CHECK struct err *pages_fetch(struct pages *p, uint64_t root,
				       const struct mem_range *ranges, size_t n);
/* The page of va, by the tables that were fetched; one that was not fetched leads nowhere. */
struct page pages_walk(const struct pages *p, uint64_t root, uint64_t va);

/* The table that the top one names for va, which no two processes share; 0: none. */
uint64_t pages_second(const struct pages *p, uint64_t root, uint64_t va);

struct mapping {
	uint64_t va, size;
	bool write, exec;
};
/* Calls each() for what the process has mapped of [from, to), in order, neighbours of one kind as
 * one, until it returns false.  Fetches tables. */
ERR_MUST_CHECK struct err *pages_each(struct pages *p, uint64_t root, uint64_t from, uint64_t to,
				      bool (*each)(void *arg, const struct mapping *m), void *arg);

/* ------------------------------------------------------------------ the guest */

struct ram {
	uint64_t start, end;
};

/* Registers of a vCPU. */
struct vcpu {
	uint64_t root, privilege, tls;
	unsigned levels;
	struct thread th;
};

static inline bool vcpu_is_user(const struct vcpu *v)
{
	return (v->privilege & 3) == 3;
}

struct guest {
	struct mem_source source; /* first: what readv gets is a struct guest */
	struct rsp *rsp;
	const struct arch *arch;
	const struct elf *exe;
	struct mem_source *memory;
	struct pages pages;
	VEC(struct ram) ram;
	uint64_t said; /* bytes of RAM, as the monitor lists them */
	VEC(struct vcpu) vcpus;
	struct map64 text; /* 64 bytes within a page of EXE's text -> where that page was linked */
	/* The search. */
	bool searched;
	VEC(uint64_t) refs;   /* what the kernel's part of each top table has */
	VEC(uint64_t) roots;  /* top page tables */
	VEC(uint64_t) stacks; /* last pages of kernel stacks */
	struct guest_processes found;
	struct guest_near { /* pages of EXE's text, of the nearest that was not it */
		uint64_t mapped, compared, equal;
	} best;
	struct guest_process process;
	/* the process's table with all of the kernel; where that maps physical memory, 0: not
	 * known */
	uint64_t kernel_root, direct;
	void (*progress)(void *arg, uint64_t bytes);
	void *arg;
	void (*search_progress)(void *arg, uint64_t done, uint64_t total);
	void *search_arg;
	uint64_t fetched; /* of the current readv */
	struct guest_stats stats;
};

/* The vCPUs' registers, as of now. */
ERR_MUST_CHECK struct err *guest_read_vcpus(struct guest *g);
/* Reads n physical pieces, some of which may have no memory behind them: those read as 0. */
ERR_MUST_CHECK struct err *guest_read_phys(struct guest *g, struct mem_range *ranges, size_t n);
/* Reads bytes of the process that has this top table: all of them, or ERR_FAULT. */
ERR_MUST_CHECK struct err *guest_peek(struct guest *g, uint64_t root, uint64_t va, void *dst,
				      uint64_t len);

/* target/guest_match.c: does this top table map EXE's text?  A new one is added to g->found. */
ERR_MUST_CHECK struct err *guest_match(struct guest *g, uint64_t root);

/* User registers that the kernel saved at the end of a kernel stack. */
struct guest_frame {
	struct thread th;
	uint64_t stack; /* physical address of its last page */
	uint64_t task;  /* the kernel's address of its task; 0: not found */
	enum {
		OWNER_UNKNOWN,
		OWNER_PROCESS,
		OWNER_OTHER,
	} owner;
	bool runs; /* in user mode: these are old */
};

/* target/guest_task.c: fills task, owner and runs. */
ERR_MUST_CHECK struct err *guest_find_owners(struct guest *g, struct guest_frame *frames, size_t n);

/* Does the page end with user registers? */
bool guest_is_frame(const struct guest *g, const uint8_t *frame);

#endif
