/* What the report of growth owns, and its words. */
#include "heap/profile/growth.h"

const char *growth_way_name(enum growth_way way)
{
	static const char *const names[] = {
		[GROWTH_EVERY] = "every",
		[GROWTH_STEPS] = "steps",
		[GROWTH_APPEARED] = "appeared",
		[GROWTH_NONE] = "none",
	};

	return names[way];
}

void growth_deinit(struct growth *g)
{
	vec_deinit(&g->captures);
	vec_deinit(&g->paths);
	vec_deinit(&g->types);
	vec_deinit(&g->goroutines);
	vec_deinit(&g->outside);
	arena_deinit(&g->arena);
}
