/*
 * The goroutines' report as data; heap/report/goroutine_report.c fills it.
 */
#include "heap/profile/goroutine_report.h"

void goroutine_report_deinit(struct goroutine_report *r)
{
	vec_deinit(&r->groups);
	vec_deinit(&r->workers);
	arena_deinit(&r->arena);
}
