/* What a step alone says: whose word it is, and where it leads. */
#include "heap/mark/borrow.h"

#include <string.h>

/* The steps by which a context knows its parent (context/context.go). */
static bool leads_to_parent(const struct edge *e)
{
	for (uint32_t i = 0; i < e->nframes; i++) {
		const char *name = e->frames[i].name;

		if (name && (!strcmp(name, "Context") || !strcmp(name, "c")))
			return true;
	}
	return false;
}

bool borrow_step(const struct go_type *holder, const struct edge *e)
{
	if (holder && holder->closure)
		return true;
	if (e->target == EDGE_PLACE && e->type && !strcmp(e->type->name, "sync.poolLocal"))
		return true;
	return holder && !strncmp(holder->name, "context.", 8) && !leads_to_parent(e);
}
