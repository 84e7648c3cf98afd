/*
 * Roots' names, types and order: the list that marking and naming walk from.
 */
#include <stdlib.h>

#include "base/intr.h"
#include "heap/mark/name.h"
#include "heap/mark/namer.h"

static struct err *name_root(struct namer *n, struct named_root *r)
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
	free(n->ages);
}

enum { DROP_EVERY = 1 << 16 };

static struct err *name_all(struct namer *n)
{
	const struct roots *all = &n->h->roots;

	TRY(name_variables_read(n));
	TRY(name_locals_read(n));
	for (size_t i = 0; i < all->n; i++) {
		struct named_root r = { .r = all->v[i] };

		if (n->h->roots_once && i % DROP_EVERY == 0)
			vec_drop_before(all, i);

		TRY(intr_check());
		TRY(name_root(n, &r));
		TRY(root_list_push(n->list, &r));
	}
	if (n->h->roots_once)
		vec_deinit(&n->h->roots);
	TRY(name_users(n));
	TRY(name_own(n));
	return root_order(n);
}

struct err *name_roots(struct captured *h, struct places *places, struct arena *arena,
		       struct root_list *list)
{
	_cleanup_(namer_deinit) struct namer n = {
		.h = h, .places = places, .types = places->types, .arena = arena, .list = list
	};

	return err_wrapf(name_all(&n), "naming roots");
}
