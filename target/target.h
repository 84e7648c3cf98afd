/*
 * What is debugged, without any knowledge of Go: threads and memory of a stopped process, behind a
 * stub or in a core file, and the image, the sparse copy of memory that everything above reads.
 *
 *	stub -- rsp/ --> struct target -- image_need() --> struct image --> heap/
 */
#ifndef GRF_TARGET_TARGET_H
#define GRF_TARGET_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/vec.h"

/* ------------------------------------------------------------------ architectures */

enum { ARCH_MAX_REGS = 40 };

struct arch_guest;

/* How to make system calls in a process (target/fork.h). */
struct arch_fork {
	const char *nr, *ret; /* registers */
	/* The register that has the number of a call that was interrupted (below 0: none was).
	 * NULL: before a stop the kernel goes back to the call's instruction.  Then `wait` is a
	 * call that waits as long as it takes where its argument wait_limit is 0, and that is made
	 * again unchanged. */
	const char *restart;
	uint32_t wait;
	uint8_t wait_limit;
	const char *args[6];
	uint32_t clone, wait4, waitid, close_range, rt_sigaction, exit;
	uint32_t alarm; /* 0: there is none */
	/* Code that every Go program has: a loop of exit().  mask: the bytes that count. */
	const uint8_t *code, *mask;
	uint8_t code_len, call_off, call_len; /* where in it the system call instruction is */
};

/* The kernel saved n registers, from number `reg` of the table on, from offset `off` on, every
 * `step` bytes. */
struct arch_saved {
	uint8_t reg, n;
	uint16_t off, step;
};

enum { ARCH_MAX_SAVED = 20 };

/* A const table per architecture (target/arch_*.c). */
struct arch {
	const char *name;     /* GOARCH */
	uint16_t elf_machine; /* EM_* */
	struct bytes_fmt fmt;
	uint8_t nregs;
	/* as target.xml spells them, in the default `g` order */
	const char *reg_names[ARCH_MAX_REGS];
	uint16_t reg_sizes[ARCH_MAX_REGS];
	int8_t pc, sp, lr; /* indices; lr -1 where return addresses live on the stack */
	/* What a signal interrupted: offsets from the handler's sp at its entry (behind the
	 * return address, where a call pushes one); the kernel's arch/.../kernel/signal.c,
	 * runtime/defs_linux_*.go.  Ends with n == 0. */
	struct arch_saved saved[ARCH_MAX_SAVED];
	/* What Z0 and Z1 have as their kind: an instruction's length, as gdb has it. */
	uint8_t break_kind;
	/* How far behind a function's entry is the entry for calls from its own module; NULL: there
	 * is none.  ELFv2 (ppc64le) has it. */
	unsigned (*local_entry)(struct bytes_fmt fmt, const uint8_t code[8]);
	const struct arch_fork *fork;   /* NULL: no --fork */
	const struct arch_guest *guest; /* NULL: no process in a whole machine (target/guest.h) */
};

/* Finds an architecture by fields of the ELF header; NULL: there is no table. */
const struct arch *arch_find(uint16_t elf_machine, struct bytes_fmt fmt);

/* What error messages call a machine: "arm64", "an unknown machine". */
const char *arch_machine_name(uint16_t elf_machine);

/* ------------------------------------------------------------------ threads */

struct thread {
	uint64_t tid;
	uint64_t regs[ARCH_MAX_REGS]; /* by arch->reg_names index */
	bool have[ARCH_MAX_REGS];
	bool valid; /* pc and sp are known */
};

VEC_NAMED(threads, struct thread);

/* ------------------------------------------------------------------ memory sources */

/* One piece of memory to fetch; rsp/rsp.h says what got and guess mean. */
struct mem_range {
	uint64_t addr;
	uint64_t len;
	uint8_t *dst;
	uint64_t got;
	bool guess;
};

/*
 * Where an image gets its memory from.  readv fills what it can, says in `got`
 * how far it came, and errs only if nothing more can be had at all (connection lost...).
 */
struct mem_source {
	struct err *(*readv)(struct mem_source *src, struct mem_range *ranges, size_t n);
	bool no_gaps; /* one more request costs nothing: gaps need not be bridged */
	/* More bytes than there can be of it, whatever the runtime's structures say; 0: not known.
	 * most_why says who has no more. */
	uint64_t most;
	const char *most_why;
};

/* ------------------------------------------------------------------ image */

/*
 * A sparse copy of a process's memory.  Two kinds of content: pieces fetched from a
 * source, and borrowed segments (an executable's read-only sections, already mapped
 * here).  Pieces never overlap; what a source could not give is a hole, remembered
 * so that it is asked for once.
 */
struct image;

ERR_MUST_CHECK struct err *image_create(struct bytes_fmt fmt, struct image **ret);
void image_destroy(struct image *img);

struct bytes_fmt image_fmt(const struct image *img);

/* src is borrowed; NULL: nothing more can be fetched (the target runs again). */
void image_set_source(struct image *img, struct mem_source *src);

/* Fetches err with ERR_LIMIT once clock_now_ns() is past `at`, or when it shows that it will be
 * before all is there; 0: never. */
void image_set_deadline(struct image *img, int64_t at);

/* Lends len bytes that the process has at addr; data must outlive the image. */
ERR_MUST_CHECK struct err *image_lend(struct image *img, uint64_t addr, const void *data,
				      uint64_t len);

struct range {
	uint64_t addr, len;
};
VEC_NAMED(ranges, struct range);

/*
 * Makes sure that these ranges are in the image: sorts and merges them (gaps of up to `gap`
 * bytes are bridged), takes away what is there already, and fetches the rest in one go.
 * Afterwards every byte is there or a hole.  Without a source it is a no-op.
 * `ranges` is reordered.
 */
ERR_MUST_CHECK struct err *image_need(struct image *img, struct ranges *ranges, uint64_t gap);
ERR_MUST_CHECK struct err *image_need1(struct image *img, uint64_t addr, uint64_t len);
/* As image_need() with gap 0, for a look that may miss: what cannot be read is not counted as asked
 * for, and more may be missed than must be (image_need() then asks again). */
ERR_MUST_CHECK struct err *image_try(struct image *img, struct ranges *ranges);
/* image_need() of `ranges` and image_try() of `ahead` in one go. */
ERR_MUST_CHECK struct err *image_need_ahead(struct image *img, struct ranges *ranges,
					    struct ranges *ahead, uint64_t gap);
/* Big fetches go to a file, if there is a disk, however much memory is left. */
void image_spare_memory(struct image *img);
/* From now on the image remembers what it is asked for. */
void image_remember(struct image *img);
bool image_remembers(const struct image *img);
/* What it was asked for since, as far as it is there and not lent: sorted, apart. */
ERR_MUST_CHECK struct err *image_remembered(const struct image *img, struct ranges *ret);
/* All that came from the source, with the gaps that were bridged: sorted, apart. */
ERR_MUST_CHECK struct err *image_fetched(const struct image *img, struct ranges *ret);
/* Drops everything but lent segments: the target ran, and all of its memory may have changed. */
void image_forget(struct image *img);

/* Exact or ERR_FAULT (with the first missing address). */
ERR_MUST_CHECK struct err *image_read(const struct image *img, uint64_t addr, void *dst,
				      uint64_t len);
/* The bytes themselves when [addr, addr+len) lies in one piece; else NULL.  *left, if not NULL,
 * gets how many bytes follow there: all of the piece, of a packed one len. */
const uint8_t *image_ptr(const struct image *img, uint64_t addr, uint64_t len, uint64_t *left);

/*
 * What is too much for memory goes to a file (target/store.h), of which only a part is in memory at
 * a time.  image_touch() says that p, which points into what image_ptr() returned, will be read;
 * without it more of the file is in memory than was meant.
 */
void image_touch(const struct image *img, const void *p);

/*
 * While this is on, big fetches are packed (target/pack.h): what image_ptr() returns of them is a
 * copy, which is good until it was called 16 times more.
 */
void image_set_packing(struct image *img, bool on);
/* Of the next fetch, if it is packed: zeros will do for these, sorted and apart, which need not be
 * asked for.  (An image that remembers has all the same.)  Taken over. */
ERR_MUST_CHECK struct err *image_skip(struct image *img, struct ranges *ranges);
/* The packed piece that holds addr, and how much of it follows there; NULL: it is not packed. */
struct packed;
const struct packed *image_packed(const struct image *img, uint64_t addr, uint64_t *left);
/* How many bytes follow addr in the piece that holds it; 0: none does. */
uint64_t image_run(const struct image *img, uint64_t addr);
/* Says that so many bytes of the current fetch have come. */
void image_settle(struct image *img, uint64_t bytes);

ERR_MUST_CHECK struct err *image_read_word(const struct image *img, uint64_t addr, uint64_t *ret);
/* false: not all of it is there. */
bool image_try_uint(const struct image *img, uint64_t addr, unsigned size, uint64_t *ret);
ERR_MUST_CHECK struct err *image_read_uint(const struct image *img, uint64_t addr, unsigned size,
					   uint64_t *ret);

enum { IMAGE_ROUNDS = 40 };

/* One fetch: bytes asked for, and how long it took. */
struct image_round {
	uint64_t bytes, ns;
	const char *purpose; /* from image_set_purpose() */
};

struct image_stats {
	uint64_t fetched;    /* bytes held from the source */
	uint64_t needed;     /* bytes of these that were wanted, without bridged gaps */
	uint64_t asked;      /* bytes that the source was asked for */
	uint64_t hole_bytes; /* asked for and not to be had */
	uint64_t holes;
	uint64_t first_hole; /* address of one, if there are any */
	uint64_t fetches;    /* image_need() calls that went to the source */
	uint64_t skipped;    /* bytes that were not asked for, though wanted: image_skip() */
	uint64_t sliced;     /* of the current fetch: bytes that earlier slices of it brought */
	uint64_t planned;    /* bytes that the current or last fetch asked for */
	uint64_t file_bytes; /* bytes in files, and how many of these may be in memory at a time */
	uint64_t file_budget;
	const char *no_file; /* why there is no file; NULL: there is one, or none is needed */
	struct image_round rounds[IMAGE_ROUNDS]; /* the first of the fetches */
};
struct image_stats image_stats(const struct image *img);
/* What the fetches from now on are for, in the statistics; borrowed for the image's life. */
void image_set_purpose(struct image *img, const char *purpose);

/* ------------------------------------------------------------------ targets */

/*
 * A stopped process behind a stub (target/live.h), one in a whole machine (target/guest.h), or a
 * core file (target/core.h).  Its memory is a mem_source.
 */
struct target;

void target_destroy(struct target *t); /* NULL is fine */

struct mem_source *target_memory(struct target *t);
const struct arch *target_arch(const struct target *t);
/* Reads one range without an image. */
ERR_MUST_CHECK struct err *target_peek(struct target *t, struct mem_range *r);
/* All that target_peek() has read. */
const struct ranges *target_peeked(const struct target *t);

/* All threads with their registers, as of the current stop; sorted by tid. */
ERR_MUST_CHECK struct err *target_threads(struct target *t, struct threads *ret);

/* Its memory has no more bytes; why is borrowed, "the process has 1.5 GB of memory". */
void target_set_most(struct target *t, uint64_t bytes, const char *why);

/* One entry of the auxiliary vector (AT_ENTRY 9, AT_PHDR 3, AT_BASE 7); ERR_NODEBUG if
 * the stub has no auxv or no such entry. */
ERR_MUST_CHECK struct err *target_auxv(struct target *t, uint64_t type, uint64_t *ret);
/* All of it, as the process has it; borrowed. */
ERR_MUST_CHECK struct err *target_auxv_bytes(struct target *t, const struct buf **ret);

/* The source calls progress() while it fetches; NULL: none. */
void target_set_progress(struct target *t, void (*progress)(void *arg, uint64_t bytes), void *arg);

#endif
