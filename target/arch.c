/* Finds an architecture's table; the tables are in arch_*.c. */
#include <elf.h>

#include "target/arch_tables.h"
#include "target/target.h"

const struct arch *arch_find(uint16_t elf_machine, struct bytes_fmt fmt)
{
	static const struct arch *const tables[] = {
		&arch_amd64, &arch_arm64,   &arch_riscv64,  &arch_ppc64le, &arch_ppc64,
		&arch_s390x, &arch_loong64, &arch_mips64le, &arch_mips64,  &arch_mipsle,
		&arch_mips,  &arch_386,     &arch_arm,
	};

	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
		const struct arch *a = tables[i];

		if (a->elf_machine == elf_machine && a->fmt.word == fmt.word &&
		    a->fmt.big == fmt.big)
			return a;
	}
	return NULL;
}

const char *arch_machine_name(uint16_t elf_machine)
{
	switch (elf_machine) {
	case EM_386:
		return "386";
	case EM_MIPS:
		return "mips";
	case EM_PPC64:
		return "ppc64";
	case EM_S390:
		return "s390x";
	case EM_ARM:
		return "arm";
	case EM_X86_64:
		return "amd64";
	case EM_AARCH64:
		return "arm64";
	case EM_RISCV:
		return "riscv64";
	case EM_LOONGARCH:
		return "loong64";
	default:
		return "an unknown machine";
	}
}
