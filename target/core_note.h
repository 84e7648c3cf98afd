/* Notes of a core file: what reading (target/core.c) and writing (target/core_write.c) one
 * share. */
#ifndef GRF_TARGET_CORE_NOTE_H
#define GRF_TARGET_CORE_NOTE_H

#include "target/target.h"

/* pr_reg of a machine's NT_PRSTATUS (target/arch_core.c). */
struct core_regs {
	uint16_t elf_machine;
	uint8_t word;
	const char *const *names; /* in order, a word each */
	size_t n;
};

/* NULL: none for that machine. */
const struct core_regs *core_regs_find(uint16_t elf_machine, struct bytes_fmt fmt);

/* struct elf_prstatus, whose layout follows from the word's size (arch_core.c). */
static inline unsigned prstatus_pid(struct bytes_fmt f)
{
	return f.word == 8 ? 32 : 24;
}

static inline unsigned prstatus_reg(struct bytes_fmt f)
{
	return f.word == 8 ? 112 : 72;
}

static inline size_t prstatus_size(const struct core_regs *r)
{
	return prstatus_reg((struct bytes_fmt){ r->word, false }) + r->n * r->word + r->word;
}

/* The note that a core of ours has: who wrote it, and when it was captured. */
#define CORE_OWNER "grf-rsp"
enum {
	/* "GRF1": delve goes by a note's type alone.  i64: nanoseconds since 1970; u64: flags; u64:
	 * nanoseconds by CLOCK_MONOTONIC. */
	CORE_NOTE_CAPTURE = 0x47524631,
	CORE_SCRUBBED = 1,
	CORE_FULL = 2,
};

#endif
