/* Names and order: gdb's features/aarch64-core.xml; QEMU's is the same. */
#include <elf.h>

#include "target/arch_tables.h"

const struct arch arch_arm64 = {
	.name = "arm64",
	.elf_machine = EM_AARCH64,
	.fmt = { .word = 8, .big = false },
	.nregs = 34,
	.reg_names = { "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12",
		  "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25",
		  "x26", "x27", "x28", "x29", "x30", "sp", "pc", "cpsr" },
	.reg_sizes = { 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8,
		  8, 8, 8, 8, 8, 8, 4 },
	.pc = 32,
	.sp = 31,
	.lr = 30,
	.saved = { { 0, 31, 312, 8 }, { 31, 2, 560, 8 } },
	.break_kind = 4,
};
