/*
 * What Go's compiler and runtime fix per GOARCH (on Linux): frames and arenas, in a const row each.
 * Registers are target/'s business.
 * Source: internal/goarch, internal/runtime/sys (MinFrameSize, StackAlign), runtime/malloc.go.
 */
#ifndef GRF_HEAP_LAYOUT_GOARCH_H
#define GRF_HEAP_LAYOUT_GOARCH_H

#include <stdbool.h>
#include <stdint.h>

struct goarch {
	const char *name;
	uint8_t min_frame;   /* sys.MinFrameSize; > 0: a link-register machine */
	uint8_t stack_align; /* sys.StackAlign */
	/* a frame that is larger than this has locals (stkframe.go, getStackMap's minsize) */
	uint8_t min_locals;
	bool saved_fp; /* a frame's locals end one word lower, at the saved frame pointer */
	/* internal/abi: IntArgRegs, FloatArgRegs, as the newest release has them; 0: arguments
	 * are on the stack.  Releases before an architecture's register ABI have 0, too. */
	uint8_t int_arg_regs, float_arg_regs;
	uint8_t arena_shift; /* log2(heapArenaBytes) */
	uint32_t arena_l2;   /* entries of mheap.arenas' second level */
	uint64_t arena_base; /* arenaBaseOffset */
	const char *g_reg;   /* register that holds g in Go code; NULL: none */
	/* where race_*.s keeps the goroutine's sp while C code runs; NULL: not known */
	const char *race_reg;
};

/* NULL: unknown. */
const struct goarch *goarch_find(const char *name);

#endif
