/* arm64.  Names and order of registers: gdb's features/aarch64-core.xml; QEMU has the same. */
#include <elf.h>

#include "target/arch_tables.h"

/* The end of runtime.clone: MOVW $111, R0 (any); MOVD $SYS_exit, R8; SVC; B -2(PC). */
static const uint8_t exit_loop[] = { 0xe0, 0x0d, 0x80, 0x52, 0xa8, 0x0b, 0x80, 0xd2,
				     0x01, 0x00, 0x00, 0xd4, 0xfe, 0xff, 0xff, 0x17 };
static const uint8_t exit_mask[] = { 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };

/* The numbers of system calls are those of include/uapi/asm-generic/unistd.h.  wait is futex
 * without a timeout, as runtime.futexsleep makes it. */
static const struct arch_fork fork_arm64 = {
	.nr = "x8",
	.ret = "x0",
	.args = { "x0", "x1", "x2", "x3", "x4", "x5" },
	.wait = 98,
	.wait_limit = 3,
	.clone = 220,
	.wait4 = 260,
	.waitid = 95,
	.exit = 93,
	.close_range = 436,
	.rt_sigaction = 134,
	.code = exit_loop,
	.mask = exit_mask,
	.code_len = sizeof(exit_loop),
	.call_off = 8,
	.call_len = 4,
};

const struct arch arch_arm64 = {
	.name = "arm64",
	.elf_machine = EM_AARCH64,
	.fmt = { .word = 8, .big = false },
	.nregs = 34,
	.reg_names = { "x0",  "x1",  "x2",  "x3",  "x4",  "x5",  "x6",  "x7",  "x8",
		       "x9",  "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17",
		       "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26",
		       "x27", "x28", "x29", "x30", "sp",  "pc",  "cpsr" },
	.reg_sizes = { 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8,
		       8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 4 },
	.pc = 32,
	.sp = 31,
	.lr = 30,
	.saved = { { 0, 31, 312, 8 }, { 31, 2, 560, 8 } },
	.break_kind = 4,
	.fork = &fork_arm64,
};
