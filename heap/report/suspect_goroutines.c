/*
 * What the groups of goroutines say of suspects: the line to look at, and which goroutines can
 * never be woken.  Leaked ones that no suspect names are a suspect by themselves, however little
 * they keep: they will be more.
 */
#include "heap/report/suspects.h"

#include <string.h>

/* The innermost call of the group's stack that `what` is, or is a local of; NULL: none. */
static const struct code_line *call_of(const struct goroutine_group *g, const char *what)
{
	for (uint32_t i = g->nframes; i-- > 0;)
		if (code_line_is_of(g->stack[i].function, what))
			return &g->stack[i];
	return NULL;
}

/* What the function of a suspect is called: of locals and goroutines. */
static const char *function_in(const struct suspect *x)
{
	if (x->kind == SUSPECT_LOCAL)
		return x->what;
	if (x->kind != SUSPECT_GOROUTINES)
		return NULL;
	return x->npath > 1 && !strcmp(x->path[0], "[goroutines]") ? x->path[1] : x->path[0];
}

/* The suspect gets its line from the largest group that is there, and counts who is leaked. */
static void suspect_locate(struct suspect *x, const struct goroutine_groups *groups, bool *told)
{
	const char *what = function_in(x);
	uint64_t most = 0;

	for (size_t i = 0; what && i < groups->n; i++) {
		const struct goroutine_group *g = &groups->v[i];
		const struct code_line *at = call_of(g, what);

		if (!at)
			continue;
		if (x->kind == SUSPECT_GOROUTINES && g->verdict == VERDICT_LEAKED) {
			x->leaked += g->count;
			told[i] = true;
		}
		if (g->count > most) {
			most = g->count;
			x->source = *at;
			x->created_by = g->created_by;
		}
	}
}

/* The leaked ones that are left, as one; source is the largest group's. */
static struct err *add_leaked(struct report *r, const bool *told)
{
	const struct goroutine_groups *groups = &r->goroutines_of.groups;
	struct suspect x = { .kind = SUSPECT_LEAKED, .what = "leaked goroutines" };
	const struct code_line *at;
	uint64_t most = 0;

	for (size_t i = 0; i < groups->n; i++) {
		const struct goroutine_group *g = &groups->v[i];

		if (g->verdict != VERDICT_LEAKED || told[i])
			continue;
		x.leaked += g->count;
		x.stack_bytes += g->stack_bytes;
		if (g->count <= most)
			continue;
		most = g->count;
		x.created_by = g->created_by;
		at = goroutine_group_line(g);
		x.source = at ? *at : (struct code_line){ .function = g->function };
		x.at.count = g->count;
	}
	x.at.type = "goroutine";
	x.at.frame = x.source.function;
	x.at.bytes = x.stack_bytes;
	return x.leaked ? vec_push(&r->graph.suspects, x) : NULL;
}

struct err *suspects_of_goroutines(struct report *r)
{
	const struct goroutine_groups *groups = &r->goroutines_of.groups;
	_cleanup_free_ bool *told = calloc(groups->n + 1, sizeof(*told));

	if (!told)
		return err_nomem();
	for (size_t i = 0; i < groups->n; i++) {
		const struct code_line *at = goroutine_group_line(&groups->v[i]);

		if (at)
			TRY(code_lines_add(&r->lines, groups->v[i].function, *at));
	}
	for (size_t i = 0; i < r->graph.suspects.n; i++)
		suspect_locate(&r->graph.suspects.v[i], groups, told);
	return add_leaked(r, told);
}
