/*
 * Dominators, in three steps, each without recursion and with 32 bits a vertex and array:
 *
 *	search		numbers the vertices in preorder, and turns the graph's rows round: of each
 *			edge but the tree's own, the source is noted at the target
 *	dominate	Lengauer and Tarjan's two passes over the numbers
 *	arrange		the preorder of the dominator tree itself
 *
 * The graph's rows are freed between the first and the second, so that both directions are there
 * for a moment only, and are written over by the search, whose place in a row they are.
 */
#include "heap/graph/dominator.h"

#include <string.h>

#include "base/huge.h"
#include "base/intr.h"
#include "base/search.h"

enum { CHECK_EVERY = 1 << 18 }; /* vertices, between two looks for signals */

/* Vertices without an edge from anywhere that the search came from. */
struct start {
	uint32_t vertex;
	bool passed; /* one edge to it was passed over, in the place of the tree's */
};

VEC_NAMED(starts, struct start);

struct finding {
	struct digraph *g;
	uint32_t n; /* vertices that have a number: all, in the end */
	/* by vertex */
	uint32_t *number; /* DIGRAPH_NONE: not reached yet */
	uint32_t *in;     /* where its sources begin in `from`; they end where the next's begin */
	/* by number */
	uint32_t *vertex;
	uint32_t *above; /* the parent in the search's tree; then an ancestor, where linked */
	uint32_t *from;  /* numbers: sources of edges, those of the tree left out */
	struct starts starts;
	uint32_t *semi, *label, *head, *idom;
	VEC(uint32_t) path; /* eval()'s */
};

static void finding_deinit(struct finding *f)
{
	free(f->number);
	free(f->in);
	free(f->vertex);
	free(f->above);
	free(f->from);
	free(f->semi);
	free(f->label);
	free(f->head);
	free(f->idom);
	vec_deinit(&f->starts);
	vec_deinit(&f->path);
}

static uint32_t *numbers_alloc(uint64_t n, int fill)
{
	uint32_t *v = malloc((n + 1) * sizeof(*v));

	if (v) {
		huge_empty(v, (n + 1) * sizeof(*v));
		memset(v, fill, (n + 1) * sizeof(*v));
	}
	return v;
}

/* ------------------------------------------------------------------ the search */

/* Room for each vertex's sources: one less than its edges, since one of them is the tree's. */
static struct err *sources_reserve(struct finding *f)
{
	const struct digraph *g = f->g;
	uint32_t sum = 0;

	f->in = numbers_alloc(g->n, 0);
	if (!f->in)
		return err_nomem();
	for (size_t i = 0; i < g->to.n; i++)
		f->in[g->to.v[i] & ~DIGRAPH_LAST]++;
	for (uint32_t v = 0; v <= g->n; v++) {
		/* of the top all edges are */
		sum += v == g->n ? 0 : f->in[v] && v ? f->in[v] - 1 : f->in[v];
		f->in[v] = sum;
	}
	f->from = numbers_alloc(sum, 0);
	return f->from ? NULL : err_nomem();
}

static void search_enter(struct finding *f, uint32_t v, uint32_t above)
{
	f->number[v] = f->n;
	f->vertex[f->n] = v;
	f->above[f->n++] = above;
}

struct start_key {
	const struct starts *starts;
	uint32_t vertex;
};

static bool start_reached(const void *arg, size_t i)
{
	const struct start_key *k = arg;

	return k->starts->v[i].vertex >= k->vertex;
}

/* Of a vertex that the search began at, the first edge to it stands for the tree's. */
static bool start_passes(struct finding *f, uint32_t v)
{
	size_t i;

	if (!f->starts.n || f->above[f->number[v]])
		return false;
	i = search_first(f->starts.n, start_reached, &(struct start_key){ &f->starts, v });
	if (i == f->starts.n || f->starts.v[i].vertex != v || f->starts.v[i].passed)
		return false;
	f->starts.v[i].passed = true;
	return true;
}

/* All that is reached from the vertex with the highest number. */
static struct err *search_from(struct finding *f)
{
	uint32_t top = f->n - 1, at = top, *row, to;
	uint64_t steps = 0;

	for (;;) {
		row = &f->g->row[f->vertex[at]];
		if (*row == DIGRAPH_NONE) {
			if (at == top)
				return NULL;
			at = f->above[at];
			continue;
		}
		if (!(++steps % CHECK_EVERY))
			TRY(intr_check());
		to = f->g->to.v[*row];
		*row = to & DIGRAPH_LAST ? DIGRAPH_NONE : *row + 1;
		to &= ~DIGRAPH_LAST;
		if (f->number[to] == DIGRAPH_NONE) {
			search_enter(f, to, at);
			at = f->n - 1;
		} else if (!start_passes(f, to)) {
			f->from[--f->in[to]] = at;
		}
	}
}

static struct err *search(struct finding *f)
{
	uint32_t n = f->g->n;

	f->number = numbers_alloc(n, 0xff);
	f->vertex = numbers_alloc(n, 0);
	f->above = numbers_alloc(n, 0);
	if (!f->number || !f->vertex || !f->above)
		return err_nomem();
	TRY(sources_reserve(f));
	search_enter(f, 0, 0);
	TRY(search_from(f));
	for (uint32_t v = 1; v < n; v++) {
		if (f->number[v] != DIGRAPH_NONE)
			continue;
		TRY(vec_push(&f->starts, ((struct start){ v, false })));
		search_enter(f, v, 0);
		TRY(search_from(f));
	}
	return NULL;
}

/* ------------------------------------------------------------------ dominators */

/*
 * The vertex with the least semidominator on v's way up, as far as it is linked: from number
 * `linked` on.  Ways are shortened as they are gone.
 */
static struct err *dominator_eval(struct finding *f, uint32_t v, uint32_t linked, uint32_t *ret)
{
	uint32_t *above = f->above, *label = f->label, a;

	for (f->path.n = 0, a = v; above[a] >= linked; a = above[a])
		TRY(vec_push(&f->path, a));
	/* the highest of them has nothing above it that is linked: it is as short as can be */
	while (f->path.n) {
		uint32_t w = f->path.v[--f->path.n];

		a = above[w];
		if (f->semi[label[a]] < f->semi[label[w]])
			label[w] = label[a];
		above[w] = above[a];
	}
	*ret = label[v];
	return NULL;
}

static struct err *dominator_semi(struct finding *f, uint32_t w)
{
	uint32_t v = f->vertex[w], semi = f->above[w], u;

	for (uint32_t i = f->in[v]; i < f->in[v + 1]; i++) {
		u = f->from[i];
		if (u > w) {
			TRY(dominator_eval(f, u, w + 1, &u));
			u = f->semi[u];
		}
		if (u < semi)
			semi = u;
	}
	f->semi[w] = semi;
	f->label[w] = w;
	return NULL;
}

/* Those whose semidominator is `above`, when all below it on this way is linked.  While they wait,
 * idom leads from one to the next. */
static struct err *dominator_bucket(struct finding *f, uint32_t above, uint32_t linked)
{
	uint32_t v = f->head[above], next, u;

	for (f->head[above] = 0; v; v = next) {
		next = f->idom[v];
		TRY(dominator_eval(f, v, linked, &u));
		f->idom[v] = f->semi[u] < f->semi[v] ? u : above;
	}
	return NULL;
}

static struct err *dominate(struct finding *f)
{
	uint32_t n = f->n;

	f->semi = numbers_alloc(n, 0);
	f->label = numbers_alloc(n, 0);
	f->head = numbers_alloc(n, 0);
	f->idom = numbers_alloc(n, 0);
	if (!f->semi || !f->label || !f->head || !f->idom)
		return err_nomem();
	for (uint32_t w = n; --w > 0;) {
		uint32_t above = f->above[w];

		if (!(w % CHECK_EVERY))
			TRY(intr_check());
		TRY(dominator_semi(f, w));
		if (f->semi[w] == above) {
			f->idom[w] = above;
		} else {
			f->idom[w] = f->head[f->semi[w]];
			f->head[f->semi[w]] = w;
		}
		TRY(dominator_bucket(f, above, w));
	}
	for (uint32_t w = 1; w < n; w++)
		if (f->idom[w] != f->semi[w])
			f->idom[w] = f->idom[f->idom[w]];
	return NULL;
}

/* ------------------------------------------------------------------ the tree */

/* Positions: a vertex's children follow it, each behind all that the one before dominates. */
static struct err *arrange(struct finding *f, struct dominators *d)
{
	uint32_t n = f->n;
	uint32_t *size = f->semi, *next = f->label, *position = f->above; /* by number */

	for (uint32_t w = 0; w < n; w++)
		size[w] = 1;
	for (uint32_t w = n; --w > 0;)
		size[f->idom[w]] += size[w];
	position[0] = 0;
	next[0] = 1;
	for (uint32_t w = 1; w < n; w++) {
		uint32_t p = f->idom[w];

		position[w] = next[p];
		next[p] += size[w];
		next[w] = position[w] + 1;
	}
	d->n = n;
	d->vertex = TAKE_PTR(f->head);
	d->end = TAKE_PTR(f->number); /* by vertex no longer */
	d->parent = numbers_alloc(n, 0);
	d->position = numbers_alloc(n, 0);
	if (!d->parent || !d->position)
		return err_nomem();
	for (uint32_t w = 0; w < n; w++) {
		uint32_t at = position[w];

		d->vertex[at] = f->vertex[w];
		d->position[f->vertex[w]] = at;
		d->parent[at] = position[f->idom[w]];
		d->end[at] = at + size[w];
	}
	return NULL;
}

static struct err *find(struct finding *f, struct dominators *d)
{
	TRY(search(f));
	digraph_deinit(f->g);
	free(f->number);
	f->number = NULL;
	TRY(dominate(f));
	free(f->from);
	free(f->in);
	f->from = f->in = NULL;
	f->number = numbers_alloc(f->n, 0);
	return f->number ? arrange(f, d) : err_nomem();
}

struct err *dominators_find(struct digraph *g, struct dominators *ret)
{
	struct finding f = { .g = g };
	struct err *err;

	*ret = (struct dominators){ 0 };
	err = find(&f, ret);
	finding_deinit(&f);
	if (err)
		dominators_deinit(ret);
	return err;
}

void dominators_deinit(struct dominators *d)
{
	free(d->vertex);
	free(d->position);
	free(d->parent);
	free(d->end);
	*d = (struct dominators){ 0 };
}
