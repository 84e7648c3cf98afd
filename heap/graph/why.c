/*
 * Ways from roots to objects.  First all objects that lead to any of those that are asked for are
 * found, backwards along the graph's edges.  Then naming goes its way again for each root by
 * itself, owners first, and only through these: so each root has the shortest way to each object
 * that it leads to, in the words that the profile has for it.
 */
#include "heap/graph/why.h"

#include <errno.h>
#include <inttypes.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/intr.h"
#include "heap/graph/typing.h"

struct asking {
	struct graph *g;
	const struct profile *p;
	const struct name_options *names;
	struct why_report *r;
	uint8_t *asked; /* by object's number: it is one of those */
	uint8_t *leads; /* by vertex: it leads to one, or is one */
	/* edges, turned round */
	uint32_t *in, *from;
	uint32_t *class_of_root; /* by root of marking; UINT32_MAX: of none that leads there */
};

static void asking_deinit(struct asking *a)
{
	free(a->asked);
	free(a->leads);
	free(a->in);
	free(a->from);
	free(a->class_of_root);
}

/* ------------------------------------------------------------------ what is asked for */

static bool parse_address(const char *s, uint64_t *ret)
{
	char *end;

	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	*ret = strtoull(s, &end, !strncmp(s, "0x", 2) ? 16 : 10);
	return !*end && !errno;
}

static void ask(struct asking *a, uint32_t number, uint64_t bytes)
{
	if (a->asked[number])
		return;
	a->asked[number] = 1;
	a->r->asked.objects++;
	a->r->asked.bytes += bytes;
}

static struct err *nothing(struct asking *a, const char *reason)
{
	a->r->nothing = reason;
	return NULL;
}

static struct err *ask_address(struct asking *a, uint64_t addr)
{
	const struct span *sp;
	uint32_t index, vertex = graph_vertex_at(a->g, addr, &sp, &index);

	if (!vertex)
		return nothing(a, sp ? "the object there is not alive: nothing leads to it" :
				       "no object of the heap is there");
	ask(a, vertex - 1, sp->elemsize);
	return NULL;
}

/* What names are held against. */
struct pattern {
	const char *exact;
	const regex_t *regex; /* NULL: names have to be equal */
};

static bool matches(const struct pattern *x, const char *name)
{
	if (x->regex)
		return !regexec(x->regex, name, 0, NULL, 0);
	return !strcmp(name, x->exact) || (*x->exact == '*' && !strcmp(name, x->exact + 1));
}

struct by_type {
	struct asking *a;
	const struct typing *t;
	uint8_t *type; /* which match */
};

static struct err *ask_typed(void *arg, uint32_t number, const struct span *sp, uint32_t index)
{
	struct by_type *b = arg;

	if (b->type[b->t->of_object[number]])
		ask(b->a, number, sp->elemsize);
	return NULL;
}

static struct err *ask_types(struct asking *a, const struct typing *t, const struct pattern *x)
{
	_cleanup_free_ uint8_t *type = calloc(t->names.n + 1, 1);
	struct by_type b = { a, t, type };

	if (!type)
		return err_nomem();
	for (uint32_t i = 0; i < t->names.n; i++) {
		type[i] = t->rows.v[i].own.objects && matches(x, t->names.str[i]);
		if (!type[i])
			continue;
		a->r->types++;
		a->r->type = arena_strdup(&a->r->arena, t->names.str[i]);
		if (!a->r->type)
			return err_nomem();
	}
	return graph_each(a->g, ask_typed, &b);
}

/* What the roots of a name lead to. */
static struct err *ask_roots(struct asking *a, const struct pattern *x)
{
	struct graph *g = a->g;
	const struct digraph *rows = &g->rows;

	for (size_t i = 0; i < g->roots.n; i++) {
		uint64_t name = g->classes.v[g->roots.v[i].class].name;
		uint32_t at = rows->row[graph_first_root(g) + i], to;

		if (at == DIGRAPH_NONE || !matches(x, a->p->frames.str[(uint32_t)name]))
			continue;
		do {
			to = rows->to.v[at];
			if (graph_is_object(g, to & ~DIGRAPH_LAST))
				ask(a, (to & ~DIGRAPH_LAST) - 1,
				    graph_size(g, (to & ~DIGRAPH_LAST) - 1));
		} while (at++, !(to & DIGRAPH_LAST));
	}
	return NULL;
}

static struct err *ask_named(struct asking *a, const char *name)
{
	_cleanup_(typing_deinit) struct typing t = { 0 };
	struct pattern x = { .exact = name };
	struct err *err;
	regex_t regex;

	TRY(typing_init(&t, a->g, a->p));
	TRY(ask_types(a, &t, &x));
	if (!a->r->asked.objects)
		TRY(ask_roots(a, &x));
	if (a->r->asked.objects)
		return NULL;
	if (regcomp(&regex, name, REG_EXTENDED | REG_NOSUB))
		return nothing(a, "no type or root has this name, and it is no regular "
				  "expression");
	x.regex = &regex;
	err = ask_types(a, &t, &x);
	if (!err && !a->r->asked.objects)
		err = ask_roots(a, &x);
	regfree(&regex);
	return err;
}

/* ------------------------------------------------------------------ what leads there */

/* The graph's edges, turned round. */
static struct err *turn_round(struct asking *a)
{
	const struct digraph *g = &a->g->rows;
	uint32_t sum = 0;

	a->in = calloc(g->n + 2ull, sizeof(*a->in));
	a->from = malloc((g->to.n + 1) * sizeof(*a->from));
	if (!a->in || !a->from)
		return err_nomem();
	for (size_t i = 0; i < g->to.n; i++)
		a->in[g->to.v[i] & ~DIGRAPH_LAST]++;
	for (uint32_t v = 0; v <= g->n; v++)
		a->in[v] = sum += a->in[v];
	for (uint32_t v = 0; v < g->n; v++) {
		uint32_t at = g->row[v], to;

		if (at == DIGRAPH_NONE)
			continue;
		do {
			to = g->to.v[at++];
			a->from[--a->in[to & ~DIGRAPH_LAST]] = v;
		} while (!(to & DIGRAPH_LAST));
	}
	return NULL;
}

static struct err *find_leads(struct asking *a)
{
	_cleanup_vec_ VEC(uint32_t) todo = VEC_INIT;
	uint64_t steps = 0;

	TRY(turn_round(a));
	a->leads = calloc(a->g->rows.n + 1ull, 1);
	if (!a->leads)
		return err_nomem();
	for (uint32_t i = 0; i < a->g->ids.n; i++) {
		if (!a->asked[i])
			continue;
		a->leads[1 + i] = 1;
		TRY(vec_push(&todo, 1 + i));
	}
	while (todo.n) {
		uint32_t v = todo.v[--todo.n];

		if (!(++steps & 0xffff))
			TRY(intr_check());
		for (uint32_t i = a->in[v]; i < a->in[v + 1]; i++) {
			if (a->leads[a->from[i]])
				continue;
			a->leads[a->from[i]] = 1;
			TRY(vec_push(&todo, a->from[i]));
		}
	}
	free(a->in);
	free(a->from);
	a->in = a->from = NULL;
	return NULL;
}

/* ------------------------------------------------------------------ the ways of one root */

struct ways {
	struct asking *a;
	struct profile p;
	VEC(struct why_way) by_node;
};

static struct err *way_found(void *arg, const struct walk_ptr *p, const struct edge *e,
			     uint32_t node)
{
	struct ways *w = arg;
	uint32_t id = p->sp->first_id + p->index;

	if (!node || !w->a->asked[rank_of(&w->a->g->ids, id)])
		return NULL;
	while (w->by_node.n <= node)
		TRY(vec_push(&w->by_node, ((struct why_way){ 0 })));
	if (!w->by_node.v[node].behind.objects)
		w->by_node.v[node].example = span_slot(p->sp, p->index);
	w->by_node.v[node].behind.objects++;
	w->by_node.v[node].behind.bytes += p->sp->elemsize;
	return NULL;
}

static int way_cmp(const void *a, const void *b)
{
	const struct why_way *x = a, *y = b;

	if (x->behind.bytes != y->behind.bytes)
		return x->behind.bytes < y->behind.bytes ? 1 : -1;
	return x->npath < y->npath ? -1 : x->npath > y->npath;
}

static struct err *way_path(struct asking *a, const struct profile *p, struct why_way *way)
{
	uint32_t node = way->npath, n = p->nodes.v[node].depth;
	const char **path = arena_alloc(&a->r->arena, (n + 1) * sizeof(*path));

	if (!path)
		return err_nomem();
	way->path = path;
	way->npath = n;
	for (; node; node = p->nodes.v[node].parent) {
		path[--n] = arena_strdup(&a->r->arena, p->frames.str[p->nodes.v[node].frame]);
		if (!path[n])
			return err_nomem();
	}
	return NULL;
}

static struct err *keep_ways(struct ways *w)
{
	struct why_report *r = w->a->r;
	size_t n = 0;

	for (uint32_t i = 0; i < w->by_node.n; i++) {
		if (!w->by_node.v[i].behind.objects)
			continue;
		w->by_node.v[n] = w->by_node.v[i];
		w->by_node.v[n].root = (uint32_t)r->roots;
		w->by_node.v[n++].npath = i; /* its node, until its path is made */
	}
	if (n > 1)
		qsort(w->by_node.v, n, sizeof(*w->by_node.v), way_cmp);
	for (size_t i = 0; i < n && i < WHY_WAYS; i++) {
		TRY(way_path(w->a, &w->p, &w->by_node.v[i]));
		TRY(vec_push(&r->ways, w->by_node.v[i]));
	}
	r->ways_left += n > WHY_WAYS ? n - WHY_WAYS : 0;
	r->roots++;
	return NULL;
}

/* Naming from the roots of one class, through what leads to the objects; it shares its frames with
 * the profile, as places do. */
static struct err *name_ways(struct ways *w, const uint8_t *closed, const struct mark_root *roots,
			     size_t nroots)
{
	struct asking *a = w->a;
	struct name_watch watch = {
		.ids = &a->g->ids, .refer = way_found, .referrer = w, .refer_least = UINT64_MAX
	};
	struct name_options o = *a->names;
	struct mark m = *a->g->m;

	m.roots = roots;
	m.nroots = nroots;
	o.watch = &watch;
	o.closed = closed;
	return name_objects(&m, &o, &w->p, NULL);
}

static struct err *ways_of(struct asking *a, const uint8_t *closed, uint32_t class)
{
	_cleanup_vec_ VEC(struct mark_root) roots = VEC_INIT;
	struct ways w = { .a = a };
	struct err *err = NULL;

	for (size_t i = 0; i < a->g->m->nroots && !err; i++)
		if (a->class_of_root[i] == class)
			err = vec_push(&roots, a->g->m->roots[i]);
	if (!err)
		err = profile_init(&w.p);
	if (!err) {
		strtab_deinit(&w.p.frames);
		w.p.frames = *a->g->m->places->frames;
		err = name_ways(&w, closed, roots.v, roots.n);
		*a->g->m->places->frames = w.p.frames;
		if (!err)
			err = keep_ways(&w);
		w.p.frames = (struct strtab)STRTAB_INIT;
	}
	profile_deinit(&w.p);
	vec_deinit(&w.by_node);
	return err;
}

/* ------------------------------------------------------------------ all roots */

static struct err *close_others(const struct asking *a, uint8_t **ret)
{
	const struct spans *s = &a->g->h->spans;
	uint8_t *closed = malloc(s->nids / 8 + 1);
	uint32_t number = 0;

	if (!closed)
		return err_nomem();
	memset(closed, 0xff, s->nids / 8 + 1);
	for (uint64_t id = 0; id < s->nids; id++)
		if (rank_has(&a->g->ids, id) && a->leads[1 + number++])
			closed[id / 8] &= (uint8_t) ~(1 << id % 8);
	*ret = closed;
	return NULL;
}

/* Of each root of marking its class, if it leads there. */
static struct err *find_classes(struct asking *a)
{
	const struct mark *m = a->g->m;

	a->class_of_root = malloc((m->nroots + 1) * sizeof(*a->class_of_root));
	if (!a->class_of_root)
		return err_nomem();
	for (size_t i = 0; i < m->nroots; i++) {
		const struct span *sp;
		uint32_t index, vertex = graph_vertex_at(a->g, m->roots[i].value, &sp, &index);

		a->class_of_root[i] = vertex && a->leads[vertex] ? a->g->class_of[i] : UINT32_MAX;
	}
	return NULL;
}

static struct err *all_ways(struct asking *a)
{
	_cleanup_free_ uint8_t *closed = NULL;
	_cleanup_(map64_deinit) struct map64 done = MAP64_INIT;

	TRY(find_leads(a));
	TRY(close_others(a, &closed));
	TRY(find_classes(a));
	for (size_t i = 0; i < a->g->m->nroots; i++) {
		uint64_t *slot;
		bool is_new;

		if (a->class_of_root[i] == UINT32_MAX)
			continue;
		TRY(map64_put(&done, a->class_of_root[i], 1, &slot, &is_new));
		if (!is_new)
			continue;
		if (a->r->roots >= WHY_ROOTS)
			a->r->roots_left++;
		else
			TRY(ways_of(a, closed, a->class_of_root[i]));
	}
	return NULL;
}

struct err *why_make(struct graph *g, const char *pattern, const struct profile *p,
		     const struct name_options *names, struct why_report *r)
{
	_cleanup_(asking_deinit) struct asking a = { .g = g, .p = p, .names = names, .r = r };
	uint64_t addr;

	r->pattern = pattern;
	a.asked = calloc(g->ids.n + 1, 1);
	if (!a.asked)
		return err_nomem();
	if (parse_address(pattern, &addr))
		TRY(ask_address(&a, addr));
	else
		TRY(ask_named(&a, pattern));
	if (r->asked.objects)
		return all_ways(&a);
	return r->nothing ? NULL : nothing(&a, "no live object's type and no root matches it");
}
