/* What a captured process owns. */
#include "heap/capture/captured.h"

#include <stdlib.h>

void captured_deinit(struct captured *c)
{
	spans_deinit(&c->spans);
	stacks_deinit(&c->stacks);
	gcmasks_deinit(&c->masks);
	modules_deinit(&c->proc.modules);
	map64_deinit(&c->proc.arenas);
	vec_deinit(&c->proc.var_symbols);
	vec_deinit(&c->roots);
	map64_deinit(&c->scheduler);
	binaries_deinit(&c->proc.binaries);
	libraries_deinit(&c->libs);
	free(c->why);
}
