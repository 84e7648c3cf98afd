/*
 * Suspects: what keeps a large share of the heap, and where in it the many are.
 *
 * The rule is Eclipse MAT's, on the folded tree of dominators: a root with a tenth of what is live
 * or more is followed down as long as one child has most of its parent.  On that way is the
 * accumulation point: above the step at which one object becomes most.  Where no step multiplies
 * and the way branches, each large branch is a suspect by itself.
 *
 * When it is not the live heap that is large, that is a suspect: garbage, holes, finalizers that do
 * not run, stacks.
 */
#include "heap/report/suspects.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "heap/profile/profile_roots.h"

enum {
	SUSPECTS_MAX = 5,
	LEAST_PERCENT = 10, /* MAT: threshold_percent */
	DROP_PERCENT = 70,  /* MAT: big_drop_ratio */
	MANY = 4,           /* a step that multiplies less is none that accumulates */
	WAYS_DOWN = 4096,   /* nodes that are followed */
	/* less is nobody's concern: of what is live; of what is not, the heap's own minimum
	 * (runtime.heapminimum) */
	LEAST_BYTES = 64 << 10,
	FEW = 4 << 20,
};

VEC_NAMED(nodes, uint32_t);

struct suspecting {
	struct report *r;
	const struct profile *p;
	uint64_t live, least;
	uint32_t *first, *next; /* children by node; 0: none */
	struct nodes todo;
};

static void suspecting_deinit(struct suspecting *s)
{
	free(s->first);
	free(s->next);
	vec_deinit(&s->todo);
}

static const char *frame_of(const struct suspecting *s, uint32_t node)
{
	return s->p->frames.str[s->p->nodes.v[node].frame];
}

static uint64_t retained(const struct suspecting *s, uint32_t node)
{
	return s->p->more.v[node].retained;
}

static bool is_goroutines(const struct suspecting *s, uint32_t node)
{
	uint32_t above = s->p->nodes.v[node].parent;

	return above && s->p->nodes.v[above].group && !strcmp(frame_of(s, above), "[goroutines]");
}

/* Their stacks are beside the heap. */
static uint64_t stacks_of(const struct suspecting *s, uint32_t node)
{
	return is_goroutines(s, node) ? s->p->more.v[node].stacks : 0;
}

/* ------------------------------------------------------------------ the way down */

static struct err *find_children(struct suspecting *s)
{
	const struct profile_nodes *v = &s->p->nodes;

	s->first = calloc(v->n + 1, sizeof(*s->first));
	s->next = calloc(v->n + 1, sizeof(*s->next));
	if (!s->first || !s->next)
		return err_nomem();
	for (size_t i = v->n; --i > 0;) {
		s->next[i] = s->first[v->v[i].parent];
		s->first[v->v[i].parent] = (uint32_t)i;
	}
	return NULL;
}

static uint32_t largest_child(const struct suspecting *s, uint32_t node)
{
	uint32_t best = 0;

	for (uint32_t c = s->first[node]; c; c = s->next[c])
		if (!best || retained(s, c) > retained(s, best))
			best = c;
	return best;
}

/* How many there are of the nearest node above that has objects of its own. */
static uint64_t instances_above(const struct suspecting *s, uint32_t node)
{
	uint64_t n = 0;

	while (!n && (node = s->p->nodes.v[node].parent))
		n = s->p->more.v[node].instances;
	return n ? n : 1;
}

struct way {
	uint32_t end;      /* where no child has most of it */
	uint32_t many;     /* the step that multiplies most; 0: none does */
	uint64_t multiple; /* by how much */
};

static void way_look(const struct suspecting *s, uint32_t node, struct way *w)
{
	uint64_t multiple = s->p->more.v[node].instances / instances_above(s, node);

	if (multiple >= MANY && multiple > w->multiple) {
		w->many = node;
		w->multiple = multiple;
	}
}

static struct way way_down(const struct suspecting *s, uint32_t node)
{
	struct way w = { .end = node };
	uint32_t child;

	way_look(s, node, &w);
	while ((child = largest_child(s, w.end)) &&
	       retained(s, child) >= retained(s, w.end) / 100 * DROP_PERCENT) {
		w.end = child;
		way_look(s, child, &w);
	}
	/* the last step may be one of many, none of which has most: their sum decides */
	if (!w.many && child)
		way_look(s, child, &w);
	return w;
}

/* ------------------------------------------------------------------ one suspect */

static const char *keep(struct suspecting *s, const char *text)
{
	return arena_strdup(&s->r->graph.arena, text);
}

/* The type in a frame's parentheses: of "val. (any = *main.T)" it is "*main.T". */
static const char *type_in(struct suspecting *s, const char *frame)
{
	const char *open = strstr(frame, ". ("), *dynamic;
	size_t len = strlen(frame);

	if (!open || frame[len - 1] != ')')
		return keep(s, "");
	open += 3;
	dynamic = strstr(open, " = ");
	if (dynamic)
		open = dynamic + 3;
	return arena_strndup(&s->r->graph.arena, open, (size_t)(frame + len - 1 - open));
}

static struct err *path_to(struct suspecting *s, uint32_t node, struct suspect *ret)
{
	uint32_t n = s->p->nodes.v[node].depth;

	const char **path = arena_alloc(&s->r->graph.arena, (n + 1) * sizeof(*path));

	if (!path)
		return err_nomem();
	ret->path = path;
	ret->npath = n;
	for (; node; node = s->p->nodes.v[node].parent) {
		path[--n] = keep(s, frame_of(s, node));
		if (!path[n])
			return err_nomem();
	}
	return NULL;
}

static void set_what(struct suspect *x)
{
	bool group = x->npath > 1 &&
		     (!strcmp(x->path[0], "timers") || !strcmp(x->path[0], "[goroutines]"));

	/* the local of a goroutine is better known than the function it is in */
	if (x->npath > 2 && !strcmp(x->path[0], "[goroutines]") && !strstr(x->path[2], ". ("))
		x->what = x->path[2];
	else
		x->what = group ? x->path[1] : x->path[0];
}

static void set_absent(const struct outside *o, struct suspect *x)
{
	if (!o->absent_root || strcmp(o->absent_root, x->what))
		return;
	x->absent = o->absent_root_bytes < x->retained ? o->absent_root_bytes : x->retained;
}

static enum suspect_kind kind_of(const struct suspecting *s, uint32_t node, uint32_t many)
{
	uint8_t kind = profile_root_kind(s->p, node);

	return many && is_goroutines(s, many) ? SUSPECT_GOROUTINES :
	       kind == LIVE_QUEUED            ? SUSPECT_FINALIZERS :
	       kind == LIVE_GOROUTINES        ? SUSPECT_LOCAL :
						SUSPECT_VARIABLE;
}

static struct err *suspect_add(struct suspecting *s, const struct way *w)
{
	uint32_t at = w->many ? w->many : w->end;
	uint32_t above = s->p->nodes.v[at].parent;
	bool root = !above || s->p->nodes.v[above].group;
	uint32_t holder = w->many && !root ? above : at;
	struct suspect x = { .kind = kind_of(s, at, w->many),
			     .retained = retained(s, holder),
			     .whole = s->live,
			     .stack_bytes = stacks_of(s, at) };

	x.alone = x.retained - s->p->more.v[holder].shared;
	TRY(path_to(s, holder, &x));
	set_what(&x);
	set_absent(&s->r->outside, &x);
	x.at.frame = keep(s, frame_of(s, at));
	x.at.type = is_goroutines(s, at) ? "goroutine" : type_in(s, frame_of(s, at));
	if (!x.at.frame || !x.at.type)
		return err_nomem();
	x.at.count = s->p->more.v[at].instances;
	x.at.bytes = retained(s, at);
	return vec_push(&s->r->graph.suspects, x);
}

/* Each child of a branching way that is large enough by itself, if together they are most of it. */
static struct err *branches(struct suspecting *s, uint32_t node, bool *ret)
{
	uint64_t sum = 0;

	*ret = false;
	for (uint32_t c = s->first[node]; c; c = s->next[c])
		if (retained(s, c) >= s->least)
			sum += retained(s, c);
	if (sum < retained(s, node) / 2)
		return NULL;
	for (uint32_t c = s->first[node]; c; c = s->next[c])
		if (retained(s, c) >= s->least)
			TRY(vec_push(&s->todo, c));
	*ret = true;
	return NULL;
}

static struct err *look_at(struct suspecting *s, uint32_t node)
{
	struct way w;
	bool branched = false;

	if (retained(s, node) + stacks_of(s, node) < s->least)
		return NULL;
	w = way_down(s, node);
	if (!w.many)
		TRY(branches(s, w.end, &branched));
	return branched ? NULL : suspect_add(s, &w);
}

static struct err *look_at_roots(struct suspecting *s)
{
	for (uint32_t i = 1; i < s->p->nodes.n; i++) {
		const struct profile_node *v = &s->p->nodes.v[i];

		if (!v->group && (!v->parent || s->p->nodes.v[v->parent].group))
			TRY(vec_push(&s->todo, i));
	}
	for (size_t i = 0; i < s->todo.n && (i < WAYS_DOWN || s->todo.n < WAYS_DOWN); i++)
		TRY(look_at(s, s->todo.v[i]));
	return NULL;
}

/* ------------------------------------------------------------------ not the live heap */

static struct err *add_other(struct report *r, enum suspect_kind kind, const char *what,
			     uint64_t bytes, uint64_t whole)
{
	return vec_push(&r->graph.suspects, ((struct suspect){ .kind = kind,
							       .what = what,
							       .retained = bytes,
							       .alone = bytes,
							       .whole = whole }));
}

/* With GOGC=100 there is as much garbage as live memory at most. */
static struct err *add_garbage(struct report *r)
{
	if (r->unreachable_bytes < FEW || r->unreachable_bytes / 3 < r->live_bytes / 2)
		return NULL;
	return add_other(r, SUSPECT_GARBAGE, "garbage", r->unreachable_bytes, r->allocated_bytes);
}

static struct err *add_holes(struct report *r)
{
	const struct account *a = &r->account;
	uint64_t free = a->free_slots.bytes + a->tails;

	if (!a->heap || free < FEW || free < a->heap_inuse / 2)
		return NULL;
	return add_other(r, SUSPECT_HOLES, "holes", free, a->heap_inuse);
}

/* Many are due, and the goroutine that runs them waits for something. */
static struct err *add_finalizers(struct report *r)
{
	const struct account *a = &r->account;
	bool busy = false;

	for (size_t i = 0; i < r->goroutines_of.workers.n; i++)
		busy |= r->goroutines_of.workers.v[i].busy;
	for (size_t i = 0; i < r->graph.suspects.n; i++)
		if (r->graph.suspects.v[i].kind == SUSPECT_FINALIZERS)
			return NULL;
	if (!busy || a->live[LIVE_QUEUED].bytes < r->live_bytes / 100 * LEAST_PERCENT ||
	    !a->live[LIVE_QUEUED].bytes)
		return NULL;
	return add_other(r, SUSPECT_FINALIZERS, "finalizers", a->live[LIVE_QUEUED].bytes,
			 r->live_bytes);
}

/* More memory than Go's is not Go's. */
static struct err *add_outside(struct report *r)
{
	const struct outside *o = &r->outside;
	uint64_t bytes = o->c_heap + o->anonymous;

	if (!o->known || o->core || bytes < FEW || bytes < o->heap + o->runtime)
		return NULL;
	return add_other(r, SUSPECT_OUTSIDE, "memory outside Go", bytes, o->rss);
}

/* ------------------------------------------------------------------ all of them */

/* One large object that was never written to, a ballast, costs nothing. */
static uint64_t cost(const struct suspect *x)
{
	bool ballast = x->at.count == 1 && x->absent > x->retained - x->retained / 10;

	return (ballast ? x->retained - x->absent : x->retained) + x->stack_bytes;
}

static int suspect_cmp(const void *a, const void *b)
{
	const struct suspect *x = a, *y = b;

	if (cost(x) != cost(y))
		return cost(x) < cost(y) ? 1 : -1;
	return strcmp(x->what, y->what);
}

static struct err *make(struct suspecting *s)
{
	struct suspects *v = &s->r->graph.suspects;

	TRY(find_children(s));
	TRY(look_at_roots(s));
	TRY(add_garbage(s->r));
	TRY(add_holes(s->r));
	TRY(add_finalizers(s->r));
	TRY(add_outside(s->r));
	TRY(suspects_of_goroutines(s->r));
	if (v->n)
		qsort(v->v, v->n, sizeof(*v->v), suspect_cmp);
	if (v->n > SUSPECTS_MAX)
		v->n = SUSPECTS_MAX;
	return NULL;
}

struct err *suspects_make(struct report *r)
{
	uint64_t live = r->owners.more.n ? r->owners.more.v[0].retained : 0;
	struct suspecting s = {
		.r = r, .p = &r->owners, .live = live, .least = live / 100 * LEAST_PERCENT
	};
	struct err *err;

	if (s.least < LEAST_BYTES)
		s.least = LEAST_BYTES;
	err = make(&s);
	suspecting_deinit(&s);
	return err;
}
