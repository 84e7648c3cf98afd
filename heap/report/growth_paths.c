/*
 * Which paths are told to have grown: of all nodes whose bytes, with all below them, grew, those
 * where what there are more and more of hangs.
 *
 * From a root that grew the way goes down, as long as children grew as it did, and ends where
 * objects themselves become more: at the container whose elements do (a map, a slice, a list), or
 * at the node that has them.
 *
 * An object that two containers lead to hangs in one of them, and as their memory moves it can
 * hang in the other one in the next capture.  Then one grows by what the other one shrinks
 * by, in objects of one type, and what holds both is the place to tell of: if that grew at all.
 */
#include <stdlib.h>
#include <string.h>

#include "base/intr.h"
#include "base/limits.h"
#include "heap/profile/frame_type.h"
#include "heap/report/growth_heap.h"

enum {
	NODES_PER_CHECK = 4096,
	PATHS_MAX = 1000, /* that are told */
	LOOKS_MAX =
		1000, /* how often it is asked whether objects moved: each is a walk of the tree */
	ABOVE_MAX = 32, /* how far above it is asked */
};

struct found {
	uint32_t node;
	uint8_t way;
	bool used; /* what it has is told, not what it has room for */
	int64_t bytes;
};

struct search {
	const struct growth_tree *t;
	struct report *r;
	struct growth *g;
	uint8_t *way, *own_way; /* by node: enum growth_way of bytes below it, of its own objects */
	uint8_t *told;          /* it, or a node above it, is told of */
	VEC(struct found) found;
	unsigned looks;
};

static void search_deinit(struct search *s)
{
	free(s->way);
	free(s->own_way);
	free(s->told);
	vec_deinit(&s->found);
}

static const char *frame_of(const struct search *s, uint32_t node)
{
	return s->t->p->frames.str[s->t->p->nodes.v[node].frame];
}

static struct err *search_init(struct search *s)
{
	const struct growth_tree *t = s->t;
	uint64_t bytes[LIMIT_CAPTURES], objects[LIMIT_CAPTURES];

	s->way = calloc(t->nodes, 1);
	s->own_way = calloc(t->nodes, 1);
	s->told = calloc(t->nodes, 1);
	if (!s->way || !s->own_way || !s->told)
		return err_nomem();
	for (uint32_t v = (uint32_t)t->nodes; --v > 0;) {
		for (size_t c = 0; c < t->n; c++) {
			bytes[c] = growth_all(t, c, v).bytes;
			objects[c] = growth_own(t, c, v).objects;
		}
		s->way[v] = growth_way(bytes, t->n);
		s->own_way[v] = growth_way(objects, t->n);
	}
	return NULL;
}

/* Did the one grow as steadily as the other?  In one interval all is as steady. */
static bool as_steady(const struct search *s, uint8_t way, uint8_t other)
{
	return way <= other || (s->t->n == 2 && way != GROWTH_NONE);
}

static bool same_type(const struct search *s, uint32_t node, uint32_t other)
{
	const char *a, *b;
	size_t n, m;

	return frame_type(frame_of(s, node), &a, &n) && frame_type(frame_of(s, other), &b, &m) &&
	       n == m && !memcmp(a, b, n);
}

/* Do objects become more here, or right in this container?  Two fields of one type whose objects
 * do, the left and the right of a tree, are one container. */
static bool multiplies(const struct search *s, uint32_t node)
{
	uint32_t one = 0;

	if (s->own_way[node] != GROWTH_NONE)
		return true;
	for (uint32_t c = s->t->first[node]; c; c = s->t->next[c]) {
		if (s->own_way[c] == GROWTH_NONE)
			continue;
		if (frame_is_element(frame_of(s, c)) || (one && same_type(s, one, c)))
			return true;
		one = c;
	}
	return false;
}

/* Has the child a fair part of the node's growth, as steadily, or most of it? */
static bool leads_on(const struct search *s, uint32_t node, uint32_t child)
{
	int64_t all = growth_of(s->t, node), part = growth_of(s->t, child);

	return s->way[child] != GROWTH_NONE &&
	       (part * 5 >= all * 4 ||
		(part * 5 >= all && as_steady(s, s->way[child], s->way[node])));
}

static bool goes_on(const struct search *s, uint32_t node)
{
	for (uint32_t c = s->t->first[node]; c; c = s->t->next[c])
		if (leads_on(s, node, c))
			return true;
	return false;
}

/* Has `node` what hung elsewhere below `above` in the first capture? */
static struct err *is_moved(struct search *s, uint32_t node, uint32_t above, bool *ret)
{
	_cleanup_(arena_deinit) struct arena a = ARENA_INIT;
	const struct growth_part *parts;
	int64_t elsewhere;
	uint32_t n;

	*ret = false;
	if (s->looks++ >= LOOKS_MAX)
		return NULL;
	TRY(growth_parts_make(s->t, node, &a, &parts, &n));
	if (!n || parts[0].objects <= 0)
		return NULL;
	TRY(growth_type_below(s->t, above, node, parts[0].type, &elsewhere));
	*ret = elsewhere * 2 <= -parts[0].objects;
	return NULL;
}

/* Has a child that grew what another one lost? */
static struct err *is_exchange(struct search *s, uint32_t node, bool *ret)
{
	int64_t more = 0;

	*ret = false;
	for (uint32_t c = s->t->first[node]; c; c = s->t->next[c])
		if (growth_of(s->t, c) > 0)
			more += growth_of(s->t, c);
	if (more * 5 <= growth_of(s->t, node) * 6)
		return NULL;
	for (uint32_t c = s->t->first[node]; c && !*ret; c = s->t->next[c])
		if (leads_on(s, node, c))
			TRY(is_moved(s, c, node, ret));
	return NULL;
}

/* Did `above` stay as it was in all intervals, beside how `node` grew? */
static bool is_flat(const struct search *s, uint32_t above, uint32_t node)
{
	const struct growth_tree *t = s->t;

	for (size_t c = 1; c < t->n; c++) {
		int64_t up = (int64_t)(growth_all(t, c, above).bytes -
				       growth_all(t, c - 1, above).bytes),
			by = (int64_t)(growth_all(t, c, node).bytes -
				       growth_all(t, c - 1, node).bytes);

		if (llabs(up) * 5 > by)
			return false;
	}
	return true;
}

/* Nothing above it grew as it did: did it grow, or did objects only move here? */
static struct err *is_growth(struct search *s, uint32_t node, bool *ret)
{
	bool moved = false;

	for (uint32_t at = node, n = 0; at && !moved && n < ABOVE_MAX; n++) {
		at = s->t->p->nodes.v[at].parent;
		if (is_flat(s, at, node))
			TRY(is_moved(s, node, at, &moved));
	}
	*ret = !moved;
	return NULL;
}

static struct err *path_of(struct search *s, uint32_t node, struct growth_path *p)
{
	const struct profile_nodes *v = &s->t->p->nodes;
	const char **path;

	/* the captures' labels make no depth: it is that of this tree */
	p->npath = v->v[node].depth;
	path = arena_alloc(&s->g->arena, p->npath * sizeof(*path));
	if (!path)
		return err_nomem();
	/* the tree will be r's difference */
	for (uint32_t at = node, i = p->npath; at; at = v->v[at].parent)
		path[--i] = frame_of(s, at);
	p->path = path;
	return NULL;
}

static struct err *source_of(struct search *s, struct growth_path *p)
{
	for (uint32_t i = 0; i < p->npath && i < 2; i++) {
		const struct code_line *at = code_lines_find(&s->r->lines, p->path[i]);

		if (at) {
			p->source = *at;
			return NULL;
		}
	}
	return NULL;
}

static struct err *tell(struct search *s, const struct found *f)
{
	struct growth_path p = { 0 };
	struct amount *at = arena_alloc(&s->g->arena, s->t->n * sizeof(*at));
	uint64_t used[LIMIT_CAPTURES];

	if (!at)
		return err_nomem();
	for (size_t c = 0; c < s->t->n; c++)
		at[c] = growth_all(s->t, c, f->node);
	if (f->used && growth_used(s->t, f->node, used))
		for (size_t c = 0; c < s->t->n; c++)
			at[c].bytes -= growth_own(s->t, c, f->node).bytes - used[c];
	p.at = at;
	p.used = f->used;
	p.sum = growth_sum(s->g, at, f->way);
	TRY(path_of(s, f->node, &p));
	TRY(source_of(s, &p));
	TRY(growth_parts_make(s->t, f->node, &s->g->arena, &p.parts, &p.nparts));
	return vec_push(&s->g->paths, p);
}

/* Does the path begin with a variable of the runtime?  These grow with threads, goroutines, timers:
 * 5 KiB with each thread. */
static bool is_of_runtime(const struct search *s, uint32_t node)
{
	while (s->t->p->nodes.v[node].parent)
		node = s->t->p->nodes.v[node].parent;
	return !strncmp(frame_of(s, node), "runtime.", 8);
}

static struct err *find(struct search *s, uint32_t node)
{
	struct found f = { .node = node, .way = s->way[node], .bytes = growth_of(s->t, node) };
	int64_t least = growth_least(f.way, s->t->n);

	s->told[node] = 1;
	if (f.bytes < (is_of_runtime(s, node) ? least * GROWTH_RUNTIME : least))
		return NULL;
	return vec_push(&s->found, f);
}

/* Of what was found, the node's own place, or that of one above or below it that tells of more. */
static struct found *found_at(struct search *s, uint32_t node, bool *other)
{
	const struct profile_nodes *v = &s->t->p->nodes;

	*other = false;
	for (size_t i = 0; i < s->found.n; i++) {
		struct found *f = &s->found.v[i];

		if (f->node == node)
			return f;
		for (uint32_t at = f->node; at && !*other; at = v->v[at].parent)
			*other = at == node;
		for (uint32_t at = node; at && !*other; at = v->v[at].parent)
			*other = at == f->node && f->way == GROWTH_EVERY;
	}
	return NULL;
}

/* A map or a slice that has more and more in it, whatever room it has. */
static struct err *find_used(struct search *s, uint32_t node)
{
	uint64_t used[LIMIT_CAPTURES];
	struct found *f, new = { .node = node, .way = GROWTH_EVERY, .used = true };
	bool other;

	if (s->t->n < 3 || s->t->into[node] != node || !growth_used(s->t, node, used) ||
	    growth_way(used, s->t->n) != GROWTH_EVERY)
		return NULL;
	f = found_at(s, node, &other);
	if (other || (f && f->way == GROWTH_EVERY))
		return NULL;
	new.bytes = (int64_t)(used[s->t->n - 1] - used[0]);
	if (f)
		*f = new;
	else if (new.bytes >= WASTE_ROW_LEAST)
		return vec_push(&s->found, new);
	return NULL;
}

static int found_cmp(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->way != y->way)
		return x->way < y->way ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->node < y->node ? -1 : x->node > y->node;
}

/* The runtime's own goroutines are no growth of the program. */
static bool is_runtime_own(const struct search *s, uint32_t node)
{
	uint32_t parent = s->t->p->nodes.v[node].parent;

	return parent && !strcmp(frame_of(s, parent), "[goroutines]") &&
	       !strncmp(frame_of(s, node), "runtime.", 8);
}

static struct err *look_at(struct search *s, uint32_t node)
{
	const struct profile_node *v = &s->t->p->nodes.v[node];
	bool stop;

	s->told[node] = s->told[v->parent] || is_runtime_own(s, node);
	if (s->told[node] || s->t->into[node] != node || s->way[node] == GROWTH_NONE)
		return NULL;
	if (v->group || (v->depth == 1 && !strcmp(frame_of(s, node), "[goroutines]")))
		return NULL;
	stop = s->way[node] == GROWTH_APPEARED || multiplies(s, node) || !goes_on(s, node);
	if (!stop)
		TRY(is_exchange(s, node, &stop));
	if (!stop)
		return NULL;
	TRY(is_growth(s, node, &stop));
	return stop ? find(s, node) : NULL;
}

struct err *growth_paths_make(const struct growth_tree *t, struct report *r)
{
	_cleanup_(search_deinit) struct search s = { .t = t, .r = r, .g = &r->growth };

	TRY(search_init(&s));
	for (uint32_t v = 1; v < t->nodes; v++) {
		if (v % NODES_PER_CHECK == 0)
			TRY(intr_check());
		TRY(look_at(&s, v));
	}
	for (uint32_t v = 1; v < t->nodes; v++)
		TRY(find_used(&s, v));
	if (s.found.n)
		qsort(s.found.v, s.found.n, sizeof(*s.found.v), found_cmp);
	for (size_t i = 0; i < s.found.n && i < PATHS_MAX; i++)
		TRY(tell(&s, &s.found.v[i]));
	return NULL;
}
