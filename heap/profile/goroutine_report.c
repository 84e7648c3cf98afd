/*
 * The goroutines' report as data; heap/report/goroutine_report.c fills it.
 */
#include "heap/profile/goroutine_report.h"

#include <string.h>

const char *goroutine_group_function(const struct goroutine_group *g)
{
	static const char *const inside[] = { "runtime.", "internal/", "sync.", "syscall.",
					      "time.",    "net.(*",    "io." };

	for (uint32_t i = g->nframes; i--;) {
		size_t k = 0;

		while (k < sizeof(inside) / sizeof(*inside) &&
		       strncmp(g->frames[i], inside[k], strlen(inside[k])))
			k++;
		if (k == sizeof(inside) / sizeof(*inside))
			return g->frames[i];
	}
	return g->nframes ? g->frames[g->nframes - 1] : NULL;
}

void goroutine_report_deinit(struct goroutine_report *r)
{
	vec_deinit(&r->groups);
	vec_deinit(&r->workers);
	arena_deinit(&r->arena);
}
