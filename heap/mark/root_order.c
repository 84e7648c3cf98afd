/*
 * Which root comes before which: the one whose release would free the memory, before those that
 * only borrow it.
 *
 *	package variables, by address
 *	locals whose name one goroutine alone has: the oldest goroutine first
 *	other locals: the program's packages before others, outer frames before inner ones
 *	borrowed references (name.c), which are no roots
 *	slots without a variable, the runtime's frames, guessed words
 *	finalizers, cleanups, queues; timers; goroutines' own structures; the runtime
 *
 * A server's own goroutine (run, loop, serve) has names that no other has, and is older than those
 * that serve one request each with what belongs to it.
 */
#include <stdlib.h>
#include <string.h>

#include "heap/mark/namer.h"

#define SEVERAL UINT64_MAX

/*
 * What a slot of a stack is called; NULL: nothing that says which variable it is.  Where nobody
 * knows any variable of the binary, its functions' names have to do.
 */
static const char *local_name(const struct namer *n, const struct mark_root *r)
{
	if (r->pass != PASS_GOROUTINES || r->r.frame == UINT32_MAX)
		return NULL;
	if (r->label)
		return r->label;
	return binary_of(n, n->h->stacks.frames.v[r->r.frame].func)->dwarf ? NULL : r->function;
}

static uint64_t name_key(const char *name)
{
	return hash_str(name, strlen(name));
}

/* Where the goroutine is, and how far from its outermost frame; by_label: who has a label. */
static struct err *place_in_goroutine(struct namer *n, struct mark_root *r, struct map64 *by_label)
{
	const struct stacks *s = &n->h->stacks;
	const struct gframe *f;
	const struct goroutine *g;
	uint64_t *slot;
	bool is_new;

	if (r->r.frame == UINT32_MAX) {
		r->layer = r->label ? (uint8_t)package_layer(&n->places->packages, r->label) :
				      LAYER_MAIN;
		r->foreign = r->layer < LAYER_MAIN;
		return NULL;
	}
	f = &s->frames.v[r->r.frame];
	g = &s->gs.v[f->g];
	r->goid = g->goid;
	r->outer = g->first_frame + g->nframes - 1 - r->r.frame;
	r->layer = (uint8_t)package_layer(&n->places->packages, f->func->name);
	r->foreign = r->layer < LAYER_MAIN;
	if (!local_name(n, r))
		return NULL;
	TRY(map64_put(by_label, name_key(local_name(n, r)), f->g, &slot, &is_new));
	if (*slot != f->g)
		*slot = SEVERAL;
	return NULL;
}

/* Locals whose name several goroutines have, and slots without a variable, come later. */
static void pass_of_local(const struct namer *n, struct mark_root *r, const struct map64 *by_label)
{
	const char *name = local_name(n, r);

	if (r->pass != PASS_GOROUTINES || r->r.frame == UINT32_MAX)
		return;
	if (!name)
		r->pass = PASS_GOROUTINES_UNLABELLED;
	else if (*map64_get(by_label, name_key(name)) == SEVERAL)
		r->pass = PASS_GOROUTINES_MANY;
}

#define COMPARE(a, b)                              \
	do {                                       \
		if ((a) != (b))                    \
			return (a) < (b) ? -1 : 1; \
	} while (0)

/* A total order, so that equal images give equal bytes. */
static int root_cmp(const void *a, const void *b)
{
	const struct mark_root *x = a, *y = b;

	COMPARE(x->pass, y->pass);
	if (x->pass == PASS_GOROUTINES_MANY) {
		COMPARE(y->layer, x->layer);
		COMPARE(x->outer, y->outer);
	}
	if (x->pass == PASS_GOROUTINES || x->pass == PASS_GOROUTINES_MANY) {
		COMPARE(x->goid, y->goid);
		COMPARE(x->outer, y->outer);
	}
	COMPARE(x->r.addr, y->r.addr);
	/* the same word by its variable's map and by a conservative look: the map first */
	COMPARE(x->r.conservative, y->r.conservative);
	COMPARE(x->r.value, y->r.value);
	COMPARE(x->r.kind, y->r.kind);
	COMPARE(x->r.frame, y->r.frame);
	return 0;
}

struct err *root_order(struct namer *n, struct mark_roots *roots)
{
	_cleanup_(map64_deinit) struct map64 by_label = MAP64_INIT;

	for (size_t i = 0; i < roots->n; i++)
		TRY(place_in_goroutine(n, &roots->v[i], &by_label));
	for (size_t i = 0; i < roots->n; i++)
		pass_of_local(n, &roots->v[i], &by_label);
	if (roots->n > 1)
		qsort(roots->v, roots->n, sizeof(*roots->v), root_cmp);
	return NULL;
}
