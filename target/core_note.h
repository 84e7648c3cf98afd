/* The notes of a core file: what target/core.c, which reads one, and target/core_write.c, which
 * writes one, both know. */
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

/* Offsets in struct elf_prstatus, which follow from the word's size (arch_core.c). */
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

/* struct elf_prpsinfo: uids take two bytes on 386 and arm, which makes it smaller there. */
enum { PRPSINFO_SIZE_UID16 = 124, PRPSINFO_SIZE = 128 };

static inline unsigned prpsinfo_pid(struct bytes_fmt f, size_t size)
{
	if (f.word == 8)
		return 24;
	return size <= PRPSINFO_SIZE_UID16 ? 12 : 16;
}

/* Only cores of ours have this note. */
#define CORE_OWNER "grf-rsp"
enum {
	/* "GRF1", a type that no other note has: delve goes by the type alone.  i64: nanoseconds
	 * since 1970; u64: flags; u64: nanoseconds by CLOCK_MONOTONIC. */
	CORE_NOTE_CAPTURE = 0x47524631,
	CORE_SCRUBBED = 1, /* the flags */
	CORE_FULL = 2,
};

#endif
