/*
 * Which root comes before which: the one whose release would free the memory, before those that
 * only borrow it.
 *
 *	package variables, by address
 *	locals whose name one goroutine alone has: the oldest goroutine first; those that are one
 *	of a kind, by the function that they began with, before others
 *	other locals: the program's packages before others, outer frames before inner ones
 *	borrowed references (name.c), which are no roots
 *	slots without a variable, the runtime's frames, guessed words
 *	finalizers, cleanups, queues; timers; goroutines' own structures; the runtime
 *
 * A server's own goroutine (run, loop, serve) has names that no other has, and is older than those
 * that serve one request each with what belongs to it.  A request that happens to be in a function
 * in which no other is just now is of the others' kind.
 */
#include <stdlib.h>
#include <string.h>

#include "heap/mark/namer.h"
#include "heap/runtime/source.h"

#define SEVERAL UINT64_MAX

/*
 * What a slot of a stack is called; NULL: nothing that says which variable it is.  Where nobody
 * knows any variable of the binary, its functions' names have to do.
 */
static const char *local_name(const struct namer *n, const struct mark_root *r)
{
	const struct root_name *name = root_name_of(n->list, r);

	if (r->pass != PASS_GOROUTINES || r->frame == UINT32_MAX)
		return NULL;
	if (name->label)
		return name->label;
	return binary_of(n, n->h->stacks.frames.v[r->frame].func)->dwarf ? NULL : name->function;
}

static uint64_t name_key(const char *name)
{
	return hash_str(name, strlen(name));
}

struct crowds {
	struct map64 by_label; /* which goroutine has a local of this label: one, or SEVERAL */
	struct map64 kinds;    /* the functions with which goroutines of a kind began */
};

static void crowds_deinit(struct crowds *c)
{
	map64_deinit(&c->by_label);
	map64_deinit(&c->kinds);
}

/* The functions that a goroutine began with: those of its outermost two frames before
 * runtime.goexit, NULL where there are less. */
static void began_with(const struct stacks *s, const struct goroutine *g, const struct func *f[2])
{
	size_t n = 0;

	f[0] = f[1] = NULL;
	for (uint32_t i = g->first_frame + g->nframes; i-- > g->first_frame && n < 2;) {
		const struct func *at = s->frames.v[i].func;

		if ((n || !at->in_runtime) && !source_is_gowrap(at->name))
			f[n++] = at;
	}
}

/*
 * Goroutines are of a kind if some that began with one function went on to the same second one: a
 * server's, most of which wait for the next request.  What starts functions of all kinds
 * (golang.org/x/sync/errgroup) does not make them one.
 */
static struct err *count_kinds(const struct stacks *s, struct crowds *c)
{
	_cleanup_(map64_deinit) struct map64 pairs = MAP64_INIT;
	const struct func *f[2];

	for (size_t i = 0; i < s->gs.n; i++) {
		uint64_t key, *slot;
		bool is_new;

		began_with(s, &s->gs.v[i], f);
		if (!f[0])
			continue;
		key = hash64(f[0]->entry) ^ (f[1] ? f[1]->entry : 0);
		TRY(map64_put(&pairs, key, 0, &slot, &is_new));
		if (!is_new)
			TRY(map64_put(&c->kinds, f[0]->entry, 0, &slot, NULL));
	}
	return NULL;
}

/* Where the goroutine is, and how far from its outermost frame. */
static struct err *place_in_goroutine(struct namer *n, struct mark_root *r, struct crowds *c)
{
	const struct stacks *s = &n->h->stacks;
	const struct gframe *f;
	const struct goroutine *g;
	uint64_t *slot;
	bool is_new;

	if (r->frame == UINT32_MAX) {
		const char *label = root_name_of(n->list, r)->label;

		r->layer = label ? (uint8_t)package_layer(&n->places->packages, label) : LAYER_MAIN;
		r->foreign = r->layer < LAYER_MAIN;
		return NULL;
	}
	f = &s->frames.v[r->frame];
	g = &s->gs.v[f->g];
	r->age = n->ages[f->g];
	r->outer = g->first_frame + g->nframes - 1 - r->frame;
	r->layer = (uint8_t)package_layer(&n->places->packages, f->func->name);
	r->foreign = r->layer < LAYER_MAIN;
	if (!local_name(n, r))
		return NULL;
	TRY(map64_put(&c->by_label, name_key(local_name(n, r)), f->g, &slot, &is_new));
	if (*slot != f->g)
		*slot = SEVERAL;
	return NULL;
}

/* Of a slot of a stack. */
static bool one_of_a_kind(const struct namer *n, const struct mark_root *r, const struct crowds *c)
{
	const struct stacks *s = &n->h->stacks;
	const struct func *f[2];

	began_with(s, &s->gs.v[s->frames.v[r->frame].g], f);
	return !f[0] || !map64_get(&c->kinds, f[0]->entry);
}

/* Locals whose name several goroutines have, and slots without a variable, come later. */
static void pass_of_local(const struct namer *n, struct mark_root *r, const struct crowds *c)
{
	const char *name = local_name(n, r);

	if (r->pass != PASS_GOROUTINES || r->frame == UINT32_MAX)
		return;
	if (!name)
		r->pass = PASS_GOROUTINES_UNLABELLED;
	else if (*map64_get(&c->by_label, name_key(name)) == SEVERAL)
		r->pass = PASS_GOROUTINES_MANY;
	else if (!one_of_a_kind(n, r, c))
		r->pass = PASS_GOROUTINES_KIND;
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
	if (x->pass >= PASS_GOROUTINES && x->pass <= PASS_GOROUTINES_MANY) {
		COMPARE(x->age, y->age);
		COMPARE(x->outer, y->outer);
	}
	COMPARE(x->addr, y->addr);
	/* the same word by its variable's map and by a conservative look: the map first */
	COMPARE(x->conservative, y->conservative);
	COMPARE(x->value, y->value);
	COMPARE(x->kind, y->kind);
	COMPARE(x->frame, y->frame);
	return 0;
}

/* ------------------------------------------------------------------ ages */

struct age {
	uint64_t goid;
	uint32_t g;
};

static int age_cmp(const void *a, const void *b)
{
	const struct age *x = a, *y = b;

	COMPARE(x->goid, y->goid);
	COMPARE(x->g, y->g);
	return 0;
}

/* Ids are given in the order in which goroutines start, and are longer than a root has room for. */
static struct err *rank_ages(struct namer *n)
{
	const struct goroutines *gs = &n->h->stacks.gs;
	_cleanup_free_ struct age *ages = malloc((gs->n + 1) * sizeof(*ages));

	n->ages = malloc((gs->n + 1) * sizeof(*n->ages));
	if (!ages || !n->ages)
		return err_nomem();
	for (uint32_t i = 0; i < gs->n; i++)
		ages[i] = (struct age){ gs->v[i].goid, i };
	qsort(ages, gs->n, sizeof(*ages), age_cmp);
	for (uint32_t i = 0, age = 0; i < gs->n; i++) {
		age += !i || ages[i].goid != ages[i - 1].goid;
		n->ages[ages[i].g] = age;
	}
	return NULL;
}

struct err *root_order(struct namer *n)
{
	_cleanup_(crowds_deinit) struct crowds c = { MAP64_INIT, MAP64_INIT };
	struct mark_root *v = n->list->roots.v;
	size_t nroots = n->list->roots.n;

	TRY(count_kinds(&n->h->stacks, &c));
	TRY(rank_ages(n));
	for (size_t i = 0; i < nroots; i++)
		TRY(place_in_goroutine(n, &v[i], &c));
	for (size_t i = 0; i < nroots; i++)
		pass_of_local(n, &v[i], &c);
	if (nroots > 1)
		qsort(v, nroots, sizeof(*v), root_cmp);
	return NULL;
}
