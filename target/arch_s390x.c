/* s390x.  Names and order of registers: gdb's features/s390-core64.xml; QEMU has the same. */
#include <elf.h>

#include "target/arch_tables.h"

const struct arch arch_s390x = {
	.name = "s390x",
	.elf_machine = EM_S390,
	.fmt = { .word = 8, .big = true },
	.nregs = 18,
	.reg_names = { "pswm", "pswa", "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9",
		       "r10", "r11", "r12", "r13", "r14", "r15" },
	.reg_sizes = { 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8 },
	.pc = 1,
	.sp = 17,
	.lr = 16,
	.saved = { { 0, 18, 336, 8 } },
	.break_kind = 2,
};
