/*
 * How Linux runs user processes on amd64.  Sources: Intel SDM vol. 3, 4.5 (paging); Linux
 * arch/x86/include/asm/ptrace.h (struct pt_regs), pgtable_types.h (_PAGE_*), segment.h (__USER_CS,
 * __USER_DS), page_64_types.h (THREAD_SIZE).
 */
#include "target/arch_tables.h"
#include "target/guest_int.h"

const struct arch_guest guest_amd64 = {
	.root = "cr3",
	.levels = "cr4",
	.level5 = 1 << 12,
	.privilege = "cs",
	.tls = "fs_base",
	.addr = 0x000ffffffffff000,
	.present = 1 << 0,
	.write = 1 << 1,
	.user = 1 << 2,
	.large = 1 << 7,
	.noexec = 1ull << 63,
	.hidden = 1 << 8,   /* _PAGE_PROTNONE, e.g. of NUMA balancing */
	.ignore = 0x60,     /* accessed, dirty */
	.twin = GUEST_PAGE, /* page-table isolation */
	.user_half = 256,
	.frame_size = 168, /* struct pt_regs */
	.frame = { "r15", "r14",      "r13", "r12", "rbp",    "rbx", "r11",
		   "r10", "r9",       "r8",  "rax", "rcx",    "rdx", "rsi",
		   "rdi", "orig_rax", "rip", "cs",  "eflags", "rsp", "ss" },
	.stack_size = 0x4000,
	.user_cs = 0x33,
	.user_ss = 0x2b,
};
