/*
 * The registers of each machine in a core's NT_PRSTATUS: the kernel's elf_gregset_t, of which
 * pr_reg is made (include/linux/elfcore.h: struct elf_prstatus).  Around it everything is the same
 * for a word size:
 *
 *	pr_info 12, pr_cursig 2, (2); pr_sigpend, pr_sighold: words;
 *	pr_pid ... pr_sid: 4 bytes each; four times two words of times; pr_reg;
 *	pr_fpvalid 4, up to a whole word
 *
 * Names are those of struct arch, which are gdb's; "" is a register that nobody asks for, and so
 * is a name that the machine's struct arch does not have.
 */
#include <elf.h>
#include <string.h>

#include "target/core_note.h"

/* clang-format off */
/* arch/x86/include/asm/user_64.h: user_regs_struct */
static const char *const x86_64[] = {
	"r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx",
	"rsi", "rdi", "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds",
	"es", "fs", "gs",
};
/* arch/x86/include/asm/user_32.h: user_regs_struct */
static const char *const i386[] = {
	"ebx", "ecx", "edx", "esi", "edi", "ebp", "eax", "ds", "es", "fs", "gs", "orig_eax", "eip",
	"cs", "eflags", "esp", "ss",
};
/* arch/arm/include/uapi/asm/ptrace.h: uregs[18] */
static const char *const arm[] = {
	"r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "sp", "lr",
	"pc", "cpsr", "",
};
/* arch/arm64/include/uapi/asm/ptrace.h: user_pt_regs */
static const char *const aarch64[] = {
	"x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
	"x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26",
	"x27", "x28", "x29", "x30", "sp", "pc", "cpsr",
};
/* arch/riscv/include/uapi/asm/ptrace.h: user_regs_struct; gdb calls s0 fp */
static const char *const riscv[] = {
	"pc", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "fp", "s1", "a0", "a1", "a2", "a3", "a4",
	"a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4",
	"t5", "t6",
};
/* arch/powerpc/include/uapi/asm/ptrace.h: pt_regs, ELF_NGREG 48 */
static const char *const ppc64[] = {
	"r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "r13",
	"r14", "r15", "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r23", "r24", "r25", "r26",
	"r27", "r28", "r29", "r30", "r31", "pc", "msr", "orig_r3", "ctr", "lr", "xer", "cr", "",
	"trap", "", "", "", "", "", "", "",
};
/* arch/s390/include/uapi/asm/ptrace.h: s390_regs; access registers are two to a word */
static const char *const s390x[] = {
	"pswm", "pswa", "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11",
	"r12", "r13", "r14", "r15", "", "", "", "", "", "", "", "", "orig_r2",
};
/* arch/mips/include/uapi/asm/reg.h: MIPS64_EF_*; o32 begins with six words of padding
 * (MIPS32_EF_R0). */
static const char *const mips64[] = {
	"r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "r13",
	"r14", "r15", "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r23", "r24", "r25", "r26",
	"r27", "r28", "r29", "r30", "r31", "lo", "hi", "pc", "badvaddr", "status", "cause", "", "",
	"", "", "", "", "",
};
static const char *const mips32[] = {
	"", "", "", "", "", "", "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10",
	"r11", "r12", "r13", "r14", "r15", "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r23",
	"r24", "r25", "r26", "r27", "r28", "r29", "r30", "r31", "lo", "hi", "pc", "badvaddr",
	"status", "cause", "",
};
/* arch/loongarch/include/uapi/asm/ptrace.h: user_pt_regs */
static const char *const loong64[] = {
	"r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "r13",
	"r14", "r15", "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r23", "r24", "r25", "r26",
	"r27", "r28", "r29", "r30", "r31", "orig_a0", "pc", "badv", "", "", "", "", "", "", "", "",
	"", "",
};
/* clang-format on */

#define REGS(r) r, sizeof(r) / sizeof(*(r))

static const struct core_regs tables[] = {
	{ EM_X86_64, 8, REGS(x86_64) }, { EM_386, 4, REGS(i386) },
	{ EM_ARM, 4, REGS(arm) },       { EM_AARCH64, 8, REGS(aarch64) },
	{ EM_RISCV, 8, REGS(riscv) },   { EM_PPC64, 8, REGS(ppc64) },
	{ EM_S390, 8, REGS(s390x) },    { EM_MIPS, 8, REGS(mips64) },
	{ EM_MIPS, 4, REGS(mips32) },   { EM_LOONGARCH, 8, REGS(loong64) },
};

const struct core_regs *core_regs_find(uint16_t elf_machine, struct bytes_fmt fmt)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++)
		if (tables[i].elf_machine == elf_machine && tables[i].word == fmt.word)
			return &tables[i];
	return NULL;
}
