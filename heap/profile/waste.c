/* What the report of waste owns. */
#include "heap/profile/waste.h"

void waste_report_deinit(struct waste_report *r)
{
	vec_deinit(&r->pinned);
	vec_deinit(&r->slack);
	vec_deinit(&r->maps);
	arena_deinit(&r->arena);
}
