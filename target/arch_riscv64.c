/* riscv64.  Names and order of registers: gdb's features/riscv/64bit-cpu.xml; QEMU has the same. */
#include <elf.h>

#include "target/arch_tables.h"

const struct arch arch_riscv64 = {
	.name = "riscv64",
	.elf_machine = EM_RISCV,
	.fmt = { .word = 8, .big = false },
	.nregs = 33,
	.reg_names = { "zero", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "fp", "s1", "a0",
		       "a1",   "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
		       "s6",   "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6", "pc" },
	.reg_sizes = { 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8,
		       8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8 },
	.pc = 32,
	.sp = 2,
	.lr = 1,
	.saved = { { 1, 31, 312, 8 }, { 32, 1, 304, 8 } },
	.break_kind = 4,
};
