#include <elf.h>

#include "target/arch_tables.h"
#include "target/target.h"

const struct arch *arch_find(uint16_t elf_machine, struct bytes_fmt fmt)
{
	static const struct arch *const tables[] = {
		&arch_amd64,
	};

	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
		const struct arch *a = tables[i];

		if (a->elf_machine == elf_machine && a->fmt.word == fmt.word && a->fmt.big == fmt.big)
			return a;
	}
	return NULL;
}
