/*
 * amd64.  Names and order of registers are those of gdb's features/i386/64bit-core.xml,
 * 64bit-sse.xml, 64bit-linux.xml (orig_rax) and 64bit-segments.xml, which gdbserver sends, too.
 * QEMU has another order (fs_base comes right after gs), which its target.xml says.
 */
#include <elf.h>

#include "target/arch_tables.h"

/*
 * The end of runtime.clone, the same since Go 1.0's: MOVL $111, DI; MOVL $SYS_exit, AX; SYSCALL;
 * JMP -3(PC).  Any `MOVL $x, DI` will do.
 */
static const uint8_t exit_loop[] = { 0xbf, 0x6f, 0, 0,    0,    0xb8, 0x3c,
				     0,    0,    0, 0x0f, 0x05, 0xeb, 0xf2 };
static const uint8_t exit_mask[] = { 1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1 };

/* The numbers of system calls are those of the kernel's arch/x86/entry/syscalls/syscall_64.tbl. */
static const struct arch_fork fork_amd64 = {
	.nr = "rax",
	.ret = "rax",
	.restart = "orig_rax",
	.args = { "rdi", "rsi", "rdx", "r10", "r8", "r9" },
	.clone = 56,
	.wait4 = 61,
	.waitid = 247,
	.exit = 60,
	.alarm = 37,
	.close_range = 436,
	.rt_sigaction = 13,
	.code = exit_loop,
	.mask = exit_mask,
	.code_len = sizeof(exit_loop),
	.call_off = 10,
	.call_len = 2,
};

const struct arch arch_amd64 = {
	.name = "amd64",
	.elf_machine = EM_X86_64,
	.fmt = { .word = 8, .big = false },
	.nregs = 30,
	.reg_names = { "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10",
		       "r11", "r12", "r13", "r14", "r15", "rip", "eflags", "cs", "ss", "ds", "es",
		       "fs", "gs",
		       /* st0-st7 (10 bytes each) and eight x87 control registers (4), xmm0-xmm15
			* (16), mxcsr (4) */
		       "", "", "", "orig_rax", "fs_base", "gs_base" },
	.reg_sizes = { 8, 8, 8, 8, 8, 8, 8, 8, 8, 8,   8,   8,   8, 8, 8,
		       8, 8, 4, 4, 4, 4, 4, 4, 4, 112, 128, 132, 8, 8, 8 },
	.pc = 16,
	.sp = 7,
	.lr = -1,
	/* At the handler's sp is ucontext, with uc_mcontext.gregs at 40. */
	.saved = { { 8, 8, 40, 8 },
		   { 5, 1, 104, 8 },
		   { 4, 1, 112, 8 },
		   { 6, 1, 120, 8 },
		   { 1, 1, 128, 8 },
		   { 3, 1, 136, 8 },
		   { 0, 1, 144, 8 },
		   { 2, 1, 152, 8 },
		   { 7, 1, 160, 8 },
		   { 16, 1, 168, 8 } },
	.break_kind = 1,
	.fork = &fork_amd64,
	.guest = &guest_amd64,
};
