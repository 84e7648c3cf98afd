/*
 * mips, mipsle, mips64, mips64le.  Names and order of registers: gdb's features/mips64-cpu.xml,
 * mips-cpu.xml and mips*-cp0.xml.  QEMU has the same order, and no target.xml for these machines.
 */
#include <elf.h>

#include "target/arch_tables.h"

/* What two byte orders and two word sizes of one machine share. */
#define MIPS                                                                             \
	.elf_machine = EM_MIPS, .nregs = 38,                                             \
	.reg_names = { "r0",     "r1",  "r2",  "r3",       "r4",    "r5",  "r6",  "r7",  \
		       "r8",     "r9",  "r10", "r11",      "r12",   "r13", "r14", "r15", \
		       "r16",    "r17", "r18", "r19",      "r20",   "r21", "r22", "r23", \
		       "r24",    "r25", "r26", "r27",      "r28",   "r29", "r30", "r31", \
		       "status", "lo",  "hi",  "badvaddr", "cause", "pc" },              \
	.pc = 37, .sp = 29, .lr = 31, .break_kind = 4

#define MIPS64                                                                          \
	MIPS, .reg_sizes = { 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8,   \
			     8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8 }, \
	      .saved = { { 0, 32, 192, 8 }, { 37, 1, 768, 8 } }

#define MIPS32                                                                        \
	MIPS, .reg_sizes = { 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, \
			     4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4 }

const struct arch arch_mips64 = { .name = "mips64", .fmt = { .word = 8, .big = true }, MIPS64 };
const struct arch arch_mips64le = { .name = "mips64le",
				    .fmt = { .word = 8, .big = false },
				    MIPS64 };
/* Registers are doublewords in the signal frame of 32 bits, too: pc and r0-r31 are the lower
 * halves. */
const struct arch arch_mips = { .name = "mips",
				.fmt = { .word = 4, .big = true },
				MIPS32,
				.saved = { { 0, 32, 196, 8 }, { 37, 1, 188, 8 } } };
const struct arch arch_mipsle = { .name = "mipsle",
				  .fmt = { .word = 4, .big = false },
				  MIPS32,
				  .saved = { { 0, 32, 192, 8 }, { 37, 1, 184, 8 } } };
