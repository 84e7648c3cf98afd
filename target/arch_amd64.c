/*
 * Names and order: gdb's features/i386/64bit-core.xml, 64bit-sse.xml, 64bit-linux.xml
 * (orig_rax) and 64bit-segments.xml, which is also what gdbserver sends.  QEMU's file
 * is another (fs_base comes right after gs), which its target.xml says.
 */
#include <elf.h>

#include "target/arch_tables.h"

const struct arch arch_amd64 = {
	.name = "amd64",
	.elf_machine = EM_X86_64,
	.fmt = { .word = 8, .big = false },
	.nregs = 30,
	.reg_names = { "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10",
		       "r11", "r12", "r13", "r14", "r15", "rip", "eflags", "cs", "ss", "ds", "es",
		       "fs", "gs",
		       "", /* st0-st7 (10 bytes each), eight x87 control registers (4) */
		       "", "", /* xmm0-xmm15 (16), mxcsr (4) */
		       "orig_rax", "fs_base", "gs_base" },
	.reg_sizes = { 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 4, 4, 4, 4, 4, 4, 4,
		       112, 128, 132, 8, 8, 8 },
	.pc = 16,
	.sp = 7,
	.lr = -1,
};
