/*
 * loong64.  Names and order of registers: gdb's features/loongarch/base64.xml.  QEMU 7.2 names that
 * file and cannot send it: then the order is all there is.
 */
#include <elf.h>

#include "target/arch_tables.h"

const struct arch arch_loong64 = {
	.name = "loong64",
	.elf_machine = EM_LOONGARCH,
	.fmt = { .word = 8, .big = false },
	.nregs = 35,
	.reg_names = { "r0",  "r1",  "r2",  "r3",  "r4",  "r5",      "r6",  "r7",  "r8",
		       "r9",  "r10", "r11", "r12", "r13", "r14",     "r15", "r16", "r17",
		       "r18", "r19", "r20", "r21", "r22", "r23",     "r24", "r25", "r26",
		       "r27", "r28", "r29", "r30", "r31", "orig_a0", "pc",  "badv" },
	.reg_sizes = { 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8,
		       8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8 },
	.pc = 33,
	.sp = 3,
	.lr = 1,
	.saved = { { 0, 32, 312, 8 }, { 33, 1, 304, 8 } },
	.break_kind = 4,
};
