/*
 * A process in a whole machine that a stub shows (QEMU's system mode).  Only the vCPUs' registers
 * and physical memory are to be had; there are no kernel symbols and there is no agent.
 *
 *	guest_create()	the machine, stopped: its RAM and vCPUs.  What the stub shows is
 *			physical memory from now on.
 *	guest_find()	the process, whose page tables map EXE's text as the file has it.  The
 *			machine runs in between.
 *	guest_memory(), guest_threads()	as of the current stop
 *	guest_forget()	the machine ran
 *
 * Memory is translated here, page by page, so that a process can be read whatever a vCPU has
 * loaded. A page that nothing is behind, and that was never swapped out, reads as the kernel would
 * fill it: EXE's bytes, or zeros.
 *
 * Threads are vCPUs in user mode, and user registers that the kernel saved at the end of a kernel
 * stack when it was entered.  Their tid is 0: where its stack pointer points tells which thread
 * one is.
 *
 * Sources: Intel SDM vol. 3, 4.5 (4- and 5-level paging); Linux arch/x86/include/asm/ptrace.h
 * (struct pt_regs), pgtable_64.h (entries that are not present); docs/QEMU.md for what was
 * measured.
 */
#ifndef GRF_TARGET_GUEST_H
#define GRF_TARGET_GUEST_H

#include "target/elf.h"
#include "target/target.h"

struct rsp;
struct guest;

/* rsp, memory and exe are borrowed.  ERR_UNSUPPORTED: an architecture whose page tables are not
 * known here; ERR_BADDATA: the machine has no kernel with virtual memory yet. */
ERR_MUST_CHECK struct err *guest_create(struct rsp *rsp, const struct arch *arch,
					struct mem_source *memory, const struct elf *exe,
					struct guest **ret);
void guest_destroy(struct guest *g);

/* One more of the processes that run EXE. */
struct guest_process {
	uint64_t root; /* physical address of its top page table */
	/* physical address of the table below it that maps EXE: no other process has it */
	uint64_t key;
	uint64_t bias;
	char args[96]; /* how it was started, as far as that can be seen; "" */
};
VEC_NAMED(guest_processes, struct guest_process);

/*
 * Finds the process.  nth: which of them, from 1, by the address of their top page table; 0: the
 * only one, or, without a search, what a vCPU has loaded.  The machine is stopped before and
 * afterwards; in between it may run, and each stop is SLICE_MS at most.  ERR_BADDATA: there is
 * none, or there are several (the message lists them).
 */
ERR_MUST_CHECK struct err *guest_find(struct guest *g, unsigned nth);
/* Has all of memory been looked through?  Then kernel stacks are known, and all processes that run
 * EXE. */
bool guest_searched(const struct guest *g);
/* Looks through it, if that was not done.  The machine is stopped before and afterwards. */
ERR_MUST_CHECK struct err *guest_search(struct guest *g);

uint64_t guest_bias(const struct guest *g);
struct mem_source *guest_memory(struct guest *g);
/* target/guest_target.c: the process as a target, which owns g and machine from now on (not on
 * errors). */
ERR_MUST_CHECK struct err *guest_target_create(struct target *machine, struct guest *g,
					       struct target **ret);
/* As target_threads(). */
ERR_MUST_CHECK struct err *guest_threads(struct guest *g, struct threads *ret);
/* As target_auxv(): AT_PHDR, AT_PHNUM and AT_ENTRY. */
ERR_MUST_CHECK struct err *guest_auxv(struct guest *g, uint64_t type, uint64_t *ret);
/* Forgets page tables, which may be others now.  g may be NULL. */
void guest_forget(struct guest *g);

/* Called while memory is fetched, and while it is looked through.  NULL: none. */
void guest_set_progress(struct guest *g, void (*progress)(void *arg, uint64_t bytes), void *arg);
void guest_set_search_progress(struct guest *g,
			       void (*progress)(void *arg, uint64_t done, uint64_t total),
			       void *arg);

struct guest_stats {
	uint64_t ram;         /* bytes */
	unsigned vcpus, user; /* in user mode, in the process, at the last stop */
	unsigned tables;      /* top page tables looked at */
	unsigned slices;      /* stops of the search, and the longest */
	uint64_t slice_ns;
	unsigned kernel_stacks; /* with user registers, all processes' */
	/* bytes read of pages that nothing was behind, as zeros or from EXE */
	uint64_t untouched;
	uint64_t swapped;        /* bytes asked for that were swapped out */
	uint64_t root;           /* the process's top page table */
	unsigned processes, nth; /* that run EXE, so far as was looked; which of them it is */
	/* of kernel_stacks: maybe the process's, and surely, at the last stop */
	unsigned frames, owned;
};
struct guest_stats guest_stats(const struct guest *g);

#endif
