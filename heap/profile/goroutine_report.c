/*
 * The goroutines' report as data; heap/report/goroutine_report.c fills it.
 */
#include "heap/profile/goroutine_report.h"

#include <string.h>

const struct goroutine_group *goroutine_group_in(const struct goroutine_report *r,
						 const char *function)
{
	const struct goroutine_groups *v = &r->groups;
	const struct goroutine_group *best = NULL;

	for (size_t i = 0; i < v->n; i++)
		if (v->v[i].function && !strcmp(v->v[i].function, function) &&
		    (!best || v->v[i].count > best->count))
			best = &v->v[i];
	return best;
}

const struct code_line *goroutine_group_line(const struct goroutine_group *g)
{
	for (uint32_t i = g->nframes; g->function && i--;)
		if (!strcmp(g->stack[i].function, g->function))
			return &g->stack[i];
	return NULL;
}

void goroutine_report_deinit(struct goroutine_report *r)
{
	vec_deinit(&r->groups);
	vec_deinit(&r->workers);
	arena_deinit(&r->arena);
}
