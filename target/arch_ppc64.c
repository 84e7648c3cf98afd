/*
 * ppc64, ppc64le.  Names and order of registers: gdb's features/rs6000/power64-core.xml and
 * power-fpu.xml (f0-f31, which come before pc).  QEMU has an order of its own, which its target.xml
 * says.
 */
#include <elf.h>

#include "target/arch_tables.h"

/* "addis r2,r12,..; addi r2,r2,..": 64-Bit ELF V2 ABI Specification, 2.3.2.1, function prologue. */
static unsigned local_entry(struct bytes_fmt fmt, const uint8_t code[8])
{
	return bytes_u32(fmt, code) >> 16 == 0x3c4c && bytes_u32(fmt, code + 4) >> 16 == 0x3842 ?
		       8 :
		       0;
}

/* What two byte orders of one machine share. */
#define PPC64                                                                                  \
	.elf_machine = EM_PPC64, .nregs = 39,                                                  \
	.reg_names = { "r0",  "r1",  "r2",  "r3",  "r4",  "r5",  "r6",  "r7",  "r8",  "r9",    \
		       "r10", "r11", "r12", "r13", "r14", "r15", "r16", "r17", "r18", "r19",   \
		       "r20", "r21", "r22", "r23", "r24", "r25", "r26", "r27", "r28", "r29",   \
		       "r30", "r31", "",    "pc",  "msr", "cr",  "lr",  "ctr", "xer" },        \
	.reg_sizes = { 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8,   8, 8, 8, 8, 8, 8, 8,           \
		       8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 256, 8, 8, 4, 8, 8, 4 },            \
	.pc = 33, .sp = 1, .lr = 36,                                                           \
	.saved = { { 0, 32, 360, 8 }, { 33, 1, 616, 8 }, { 36, 1, 648, 8 } }, .break_kind = 4, \
	.local_entry = local_entry

const struct arch arch_ppc64 = { .name = "ppc64", .fmt = { .word = 8, .big = true }, PPC64 };
const struct arch arch_ppc64le = { .name = "ppc64le", .fmt = { .word = 8, .big = false }, PPC64 };
