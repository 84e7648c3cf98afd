/*
 * One const table per architecture, in target/arch_*.c; arch_find() (target/arch.c) lists them.
 *
 * reg_names is the default order of `g`, for stubs without target.xml.  Registers that nobody asks
 * for by name are fillers in it: the name "" and the bytes that they take.
 */
#ifndef GRF_TARGET_ARCH_TABLES_H
#define GRF_TARGET_ARCH_TABLES_H

#include "target/target.h"

extern const struct arch arch_amd64, arch_arm64, arch_riscv64, arch_ppc64le, arch_ppc64, arch_s390x,
	arch_loong64, arch_mips64le, arch_mips64, arch_mipsle, arch_mips, arch_386, arch_arm;

/* What a kernel of the architecture does, where a process in a machine can be found
 * (target/guest_*.c). */
extern const struct arch_guest guest_amd64;

#endif
