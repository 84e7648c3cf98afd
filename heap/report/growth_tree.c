/*
 * The captures' trees as one, and what hangs below each node in each capture.
 *
 * A capture of a large tree has its smallest parts put together as "[smaller]" of their parents
 * (heap/profile/profile_bound.h), and which parts these are differs between captures.  What is
 * missing in a capture, while its parent has a "[smaller]" there, is most likely in that: then it
 * is counted with the "[smaller]" in every capture, or it would look as if it had grown from
 * nothing.  Not so what is elsewhere twice as large as anything that was put together: that grew.
 */
#include <stdlib.h>
#include <string.h>

#include "heap/report/growth_heap.h"

#define SMALLER "[smaller]"

void growth_tree_deinit(struct growth_tree *t)
{
	free(t->own);
	free(t->all);
	free(t->into);
	free(t->first);
	free(t->next);
}

struct bounds {
	uint32_t *smaller; /* by node: its child "[smaller]"; 0: it has none */
	uint64_t *sum;     /* by node: bytes below it in one capture */
	uint64_t *most;    /* by node: the most of these */
	uint64_t *cut;     /* by capture: the smallest node that was not put together */
};

static void bounds_deinit(struct bounds *b)
{
	free(b->smaller);
	free(b->sum);
	free(b->most);
	free(b->cut);
}

static void bounds_of(const struct growth_set *s, size_t capture, struct bounds *b)
{
	const struct growth_column *c = &s->nodes.v[capture];
	const struct profile *p = &s->tree;

	for (size_t v = 0; v < p->nodes.n; v++)
		b->sum[v] = growth_cell_at(c, v).bytes;
	for (size_t v = p->nodes.n; --v > 0;)
		b->sum[p->nodes.v[v].parent] += b->sum[v];
	b->cut[capture] = UINT64_MAX;
	for (size_t v = 1; v < p->nodes.n; v++) {
		uint32_t parent = p->nodes.v[v].parent;

		if (b->sum[v] > b->most[v])
			b->most[v] = b->sum[v];
		if (b->sum[v] && b->sum[v] < b->cut[capture] && b->smaller[parent] != v)
			b->cut[capture] = b->sum[v];
	}
}

static bool is_there(const struct growth_set *s, size_t capture, uint32_t node)
{
	return !node || growth_cell_at(&s->nodes.v[capture], node).there;
}

/* Is the node in its parent's "[smaller]" in any capture? */
static bool put_together(const struct growth_set *s, const struct bounds *b, uint32_t node)
{
	uint32_t parent = s->tree.nodes.v[node].parent, smaller = b->smaller[parent];

	if (!smaller || smaller == node)
		return false;
	for (size_t c = 0; c < s->captures.n; c++)
		if (!is_there(s, c, node) && is_there(s, c, parent) && is_there(s, c, smaller) &&
		    b->most[node] / 2 <= b->cut[c])
			return true;
	return false;
}

static struct err *find_into(const struct growth_set *s, struct growth_tree *t, struct bounds *b)
{
	const struct profile *p = &s->tree;

	b->smaller = calloc(t->nodes, sizeof(*b->smaller));
	b->sum = calloc(t->nodes, sizeof(*b->sum));
	b->most = calloc(t->nodes, sizeof(*b->most));
	b->cut = calloc(t->n, sizeof(*b->cut));
	if (!b->smaller || !b->sum || !b->most || !b->cut)
		return err_nomem();
	for (uint32_t v = 1; v < t->nodes; v++)
		if (!strcmp(p->frames.str[p->nodes.v[v].frame], SMALLER))
			b->smaller[p->nodes.v[v].parent] = v;
	for (size_t c = 0; c < t->n; c++)
		bounds_of(s, c, b);
	for (uint32_t v = 1; v < t->nodes; v++) {
		uint32_t parent = p->nodes.v[v].parent;

		t->into[v] = t->into[parent] != parent ? t->into[parent] :
			     put_together(s, b, v)     ? b->smaller[parent] :
							 v;
	}
	return NULL;
}

static struct err *tree_fill(struct growth_tree *t, struct growth_set *s)
{
	for (size_t c = 0; c < t->n; c++) {
		struct amount *own = t->own + c * t->nodes, *all = t->all + c * t->nodes;

		for (size_t v = 1; v < t->nodes; v++) {
			struct growth_cell cell = growth_cell_at(&s->nodes.v[c], v);

			own[t->into[v]].bytes += cell.bytes;
			own[t->into[v]].objects += cell.objects;
		}
		vec_deinit(&s->nodes.v[c]);
		memcpy(all, own, t->nodes * sizeof(*own));
		for (size_t v = t->nodes; --v > 0;) {
			struct amount *up = &all[t->p->nodes.v[v].parent];

			if (t->into[v] != v)
				continue;
			up->bytes += all[v].bytes;
			up->objects += all[v].objects;
		}
	}
	return NULL;
}

struct err *growth_tree_init(struct growth_tree *t, struct growth_set *s)
{
	_cleanup_(bounds_deinit) struct bounds b = { 0 };

	*t = (struct growth_tree){
		.p = &s->tree, .n = s->captures.n, .nodes = s->tree.nodes.n, .set = s
	};
	t->own = calloc(t->n * t->nodes, sizeof(*t->own));
	t->all = calloc(t->n * t->nodes, sizeof(*t->all));
	t->into = calloc(t->nodes, sizeof(*t->into));
	t->first = calloc(t->nodes, sizeof(*t->first));
	t->next = calloc(t->nodes, sizeof(*t->next));
	if (!t->own || !t->all || !t->into || !t->first || !t->next)
		return err_nomem();
	TRY(find_into(s, t, &b));
	for (uint32_t v = (uint32_t)t->nodes; --v > 0;) {
		uint32_t parent = t->p->nodes.v[v].parent;

		if (t->into[v] != v)
			continue;
		t->next[v] = t->first[parent];
		t->first[parent] = v;
	}
	return tree_fill(t, s);
}
