/* What the graph's report owns. */
#include "heap/profile/graph_report.h"

void graph_report_deinit(struct graph_report *r)
{
	map64_deinit(&r->alone);
	vec_deinit(&r->types);
	vec_deinit(&r->suspects);
	arena_deinit(&r->arena);
}
