/*
 * The graph's rows, and which class of roots alone leads to a vertex: a vertex's owner changes at
 * most twice, from nobody to one class and from that to several.
 */
#include "heap/graph/digraph.h"

#include <string.h>

#include "base/huge.h"
#include "base/intr.h"

enum { CHECK_EVERY = 1 << 16 }; /* vertices, between two looks for signals */

struct err *digraph_too_many(void)
{
	return err_create(ERR_LIMIT, "the graph of objects has more than %u edges", UINT32_MAX - 1);
}

struct err *digraph_init(struct digraph *g, uint64_t n)
{
	*g = (struct digraph){ .from = DIGRAPH_NONE };
	return digraph_grow(g, n);
}

void digraph_deinit(struct digraph *g)
{
	free(g->row);
	g->row = NULL;
	vec_deinit(&g->to);
}

struct err *digraph_grow(struct digraph *g, uint64_t more)
{
	uint64_t n = g->n + more;
	uint32_t *row;

	if (n > DIGRAPH_MAX)
		return err_create(ERR_LIMIT, "the graph of objects has more than %u vertices",
				  DIGRAPH_MAX);
	row = realloc(g->row, (n + 1) * sizeof(*row));
	if (!row)
		return err_nomem();
	g->row = row;
	if (!g->n)
		huge_empty(row, n * sizeof(*row));
	memset(row + g->n, 0xff, more * sizeof(*row));
	g->n = (uint32_t)n;
	return NULL;
}

struct owning {
	const struct digraph *g;
	uint32_t first_root;
	uint32_t *owner;
	VEC(uint32_t) todo;
};

static struct err *own_row(struct owning *o, uint32_t v)
{
	uint32_t owner = o->owner[v], at = o->g->row[v], to, *now;

	if (at == DIGRAPH_NONE)
		return NULL;
	do {
		to = o->g->to.v[at++];
		now = &o->owner[to & ~DIGRAPH_LAST];
		if ((to & ~DIGRAPH_LAST) >= o->first_root || *now == owner ||
		    *now == DIGRAPH_SEVERAL)
			continue;
		*now = *now ? DIGRAPH_SEVERAL : owner;
		if (o->g->row[to & ~DIGRAPH_LAST] != DIGRAPH_NONE)
			TRY(vec_push(&o->todo, to & ~DIGRAPH_LAST));
	} while (!(to & DIGRAPH_LAST));
	return NULL;
}

static struct err *own_all(struct owning *o)
{
	uint64_t steps = 0;

	for (uint32_t root = o->first_root; root < o->g->n; root++) {
		if (!o->owner[root])
			continue;
		TRY(own_row(o, root));
		while (o->todo.n) {
			if (!(++steps % CHECK_EVERY))
				TRY(intr_check());
			TRY(own_row(o, o->todo.v[--o->todo.n]));
		}
	}
	return NULL;
}

struct err *digraph_own(const struct digraph *g, uint32_t first_root, uint32_t *owner)
{
	struct owning o = { .g = g, .first_root = first_root, .owner = owner };
	struct err *err = own_all(&o);

	vec_deinit(&o.todo);
	return err;
}
