/*
 * The table of architectures, and the search in it.
 */
#include "heap/layout/goarch.h"

#include <stddef.h>
#include <string.h>

/* runtime/malloc.go: heapArenaBytes and arenaL2Bits.  Arenas have 64 MB in 48 bits of addresses,
 * and 4 MB in 32 bits and in the 31 of mips. */
#define ARENAS_64 .arena_shift = 26, .arena_l2 = 1 << 22
#define ARENAS_32 .arena_shift = 22, .arena_l2 = 1 << 10
#define ARENAS_31 .arena_shift = 22, .arena_l2 = 1 << 9

static const struct goarch goarchs[] = {
	{ .name = "amd64",
	  .stack_align = 8,
	  .saved_fp = true,
	  .int_arg_regs = 9,
	  .float_arg_regs = 15,
	  ARENAS_64,
	  .arena_base = 0xffff800000000000,
	  .g_reg = "r14",
	  .race_reg = "r12" },
	{ .name = "arm64",
	  .min_frame = 8,
	  .stack_align = 16,
	  .min_locals = 16,
	  .saved_fp = true,
	  .int_arg_regs = 16,
	  .float_arg_regs = 16,
	  ARENAS_64,
	  .g_reg = "x28" },
	{ .name = "riscv64",
	  .min_frame = 8,
	  .stack_align = 8,
	  .min_locals = 8,
	  .int_arg_regs = 16,
	  .float_arg_regs = 16,
	  ARENAS_64,
	  .g_reg = "s11" },
	{ .name = "ppc64le",
	  .min_frame = 32,
	  .stack_align = 16,
	  .min_locals = 32,
	  .int_arg_regs = 12,
	  .float_arg_regs = 12,
	  ARENAS_64,
	  .g_reg = "r30" },
	{ .name = "ppc64",
	  .min_frame = 32,
	  .stack_align = 16,
	  .min_locals = 32,
	  .int_arg_regs = 12,
	  .float_arg_regs = 12,
	  ARENAS_64,
	  .g_reg = "r30" },
	{ .name = "s390x",
	  .min_frame = 8,
	  .stack_align = 8,
	  .min_locals = 8,
	  .int_arg_regs = 8,
	  .float_arg_regs = 16,
	  ARENAS_64,
	  .g_reg = "r13" },
	{ .name = "loong64",
	  .min_frame = 8,
	  .stack_align = 8,
	  .min_locals = 8,
	  .int_arg_regs = 16,
	  .float_arg_regs = 16,
	  ARENAS_64,
	  .g_reg = "r22" },
	{ .name = "mips64le",
	  .min_frame = 8,
	  .stack_align = 8,
	  .min_locals = 8,
	  ARENAS_64,
	  .g_reg = "r30" },
	{ .name = "mips64",
	  .min_frame = 8,
	  .stack_align = 8,
	  .min_locals = 8,
	  ARENAS_64,
	  .g_reg = "r30" },
	{ .name = "mipsle",
	  .min_frame = 4,
	  .stack_align = 4,
	  .min_locals = 4,
	  ARENAS_31,
	  .g_reg = "r30" },
	{ .name = "mips",
	  .min_frame = 4,
	  .stack_align = 4,
	  .min_locals = 4,
	  ARENAS_31,
	  .g_reg = "r30" },
	{ .name = "386", .stack_align = 4, ARENAS_32 },
	{ .name = "arm",
	  .min_frame = 4,
	  .stack_align = 4,
	  .min_locals = 4,
	  ARENAS_32,
	  .g_reg = "r10" },
};

const struct goarch *goarch_find(const char *name)
{
	for (size_t i = 0; i < sizeof(goarchs) / sizeof(*goarchs); i++)
		if (!strcmp(goarchs[i].name, name))
			return &goarchs[i];
	return NULL;
}
