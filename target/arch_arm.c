/*
 * arm.  Names and order of registers: gdb's features/arm/arm-core.xml.  Without target.xml `g` has
 * eight FPA registers of 12 bytes and their status before cpsr.
 */
#include <elf.h>

#include "target/arch_tables.h"

const struct arch arch_arm = {
	.name = "arm",
	.elf_machine = EM_ARM,
	.fmt = { .word = 4, .big = false },
	.nregs = 18,
	.reg_names = { "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11",
		       "r12", "sp", "lr", "pc", "", "cpsr" },
	.reg_sizes = { 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 100, 4 },
	.pc = 15,
	.sp = 13,
	.lr = 14,
	.saved = { { 0, 16, 160, 4 } },
	.break_kind = 4,
};
