/*
 * Roots' names, types and order: the list that marking and naming walk from.
 */
#include <stdlib.h>

#include "heap/mark/name.h"
#include "heap/mark/namer.h"

static struct err *name_root(struct namer *n, struct mark_root *r)
{
	switch (r->r.kind) {
	case ROOT_DATA:
		return name_variable(n, r);
	case ROOT_STACK:
	case ROOT_REGISTER:
		return name_local(n, r);
	case ROOT_DEFER:
	case ROOT_DEFER_FN:
		return name_defer(n, r);
	default:
		return name_special(n, r);
	}
}

static void namer_deinit(struct namer *n)
{
	for (size_t i = 0; i < n->pcs.n; i++)
		free(n->pcs.v[i].v);
	vec_deinit(&n->pcs);
	vec_deinit(&n->symbols);
	vec_deinit(&n->vars);
	vec_deinit(&n->nameless);
	vec_deinit(&n->slots);
	map64_deinit(&n->locals);
	map64_deinit(&n->functions);
	free(n->around);
}

enum { DROP_EVERY = 1 << 16 };

static struct err *name_all(struct namer *n, struct mark_roots *roots)
{
	const struct roots *all = &n->h->roots;

	TRY(name_variables_read(n));
	TRY(name_locals_read(n));
	for (size_t i = 0; i < all->n; i++) {
		struct mark_root r = { .r = all->v[i] };

		if (n->h->roots_once && i % DROP_EVERY == 0)
			vec_drop_before(all, i);

		TRY(name_root(n, &r));
		TRY(vec_push(roots, r));
	}
	if (n->h->roots_once)
		vec_deinit(&n->h->roots);
	TRY(name_users(n, roots));
	TRY(name_own(n, roots));
	return root_order(n, roots);
}

struct err *name_roots(struct captured *h, struct places *places, struct arena *arena,
		       struct mark_root **ret, size_t *nret)
{
	_cleanup_(namer_deinit) struct namer n = {
		.h = h, .places = places, .types = places->types, .arena = arena
	};
	_cleanup_vec_ struct mark_roots roots = VEC_INIT;
	struct err *err = name_all(&n, &roots);

	if (err)
		return err_wrapf(err, "naming roots");
	*nret = roots.n;
	*ret = TAKE_PTR(roots.v);
	return NULL;
}
