/* What the report of --why owns. */
#include "heap/profile/why.h"

void why_report_deinit(struct why_report *r)
{
	vec_deinit(&r->ways);
	arena_deinit(&r->arena);
}
