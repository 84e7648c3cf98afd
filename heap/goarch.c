#include "heap/goarch.h"

#include <stddef.h>
#include <string.h>

static const struct goarch goarchs[] = {
	{
		.name = "amd64",
		.min_frame = 0,
		.stack_align = 8,
		.saved_fp = true,
		.int_arg_regs = 9,
		.float_arg_regs = 15,
		.arena_shift = 26,
		.arena_l2 = 4194304,
		.arena_base = 0xffff800000000000,
		.g_reg = "r14",
		.gobuf_reg = "rbx",
	},
};

const struct goarch *goarch_find(const char *name)
{
	for (size_t i = 0; i < sizeof(goarchs) / sizeof(*goarchs); i++)
		if (!strcmp(goarchs[i].name, name))
			return &goarchs[i];
	return NULL;
}
