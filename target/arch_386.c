/* 386.  Names and order of registers: gdb's features/i386/32bit-core.xml; QEMU has the same. */
#include <elf.h>

#include "target/arch_tables.h"

const struct arch arch_386 = {
	.name = "386",
	.elf_machine = EM_386,
	.fmt = { .word = 4, .big = false },
	.nregs = 16,
	.reg_names = { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eip", "eflags",
		       "cs", "ss", "ds", "es", "fs", "gs" },
	.reg_sizes = { 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4 },
	.pc = 8,
	.sp = 4,
	.lr = -1,
	.saved = { { 7, 1, 176, 4 },
		   { 6, 1, 180, 4 },
		   { 5, 1, 184, 4 },
		   { 4, 1, 188, 4 },
		   { 3, 1, 192, 4 },
		   { 2, 1, 196, 4 },
		   { 1, 1, 200, 4 },
		   { 0, 1, 204, 4 },
		   { 8, 1, 216, 4 } },
	.break_kind = 1,
};
