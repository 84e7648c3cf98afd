/* Roots that differ in their goroutines' labels only are one. */
#include "heap/profile/profile_roots.h"

static int root_cmp(const void *pa, const void *pb)
{
	const struct profile_root *a = pa, *b = pb;

	if (a->bytes != b->bytes)
		return a->bytes < b->bytes ? 1 : -1;
	return a->node < b->node ? -1 : a->node > b->node;
}

static struct err *add_node(const struct profile *p, uint32_t i, struct map64 *by_name,
			    uint32_t *slot, struct profile_roots *v)
{
	const struct profile_node *node = &p->nodes.v[i];
	uint64_t *at;
	bool is_new;

	if (node->parent && !p->nodes.v[node->parent].group) {
		slot[i] = slot[node->parent];
	} else if (node->group || node->kind == LIVE_N) {
		slot[i] = UINT32_MAX;
	} else {
		TRY(map64_put(by_name, profile_root_name(p, i), v->n, &at, &is_new));
		if (is_new)
			TRY(vec_push(v, ((struct profile_root){ .node = i })));
		slot[i] = (uint32_t)*at;
	}
	if (slot[i] == UINT32_MAX)
		return NULL;
	v->v[slot[i]].bytes += node->bytes;
	v->v[slot[i]].objects += node->objects;
	return NULL;
}

struct err *profile_roots_make(const struct profile *p, struct profile_roots *ret)
{
	/* node -> its root's place in v */
	_cleanup_free_ uint32_t *slot = malloc(p->nodes.n * sizeof(*slot));
	_cleanup_(map64_deinit) struct map64 by_name = MAP64_INIT;
	_cleanup_vec_ struct profile_roots v = VEC_INIT;

	if (!slot)
		return err_nomem();
	for (uint32_t i = 1; i < p->nodes.n; i++)
		TRY(add_node(p, i, &by_name, slot, &v));
	if (v.n)
		qsort(v.v, v.n, sizeof(*v.v), root_cmp);
	*ret = v;
	v.v = NULL;
	return NULL;
}

uint8_t profile_root_kind(const struct profile *p, uint32_t node)
{
	while (p->nodes.v[node].parent)
		node = p->nodes.v[node].parent;
	return p->nodes.v[node].kind;
}
