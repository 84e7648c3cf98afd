/*
 * Which types the growth below a node is made of, by what the frames say of their objects: the
 * types' own names, so that files without a graph of objects have them, too.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/intr.h"
#include "heap/profile/frame_type.h"
#include "heap/report/growth_heap.h"

enum { PARTS = 5, NODES_PER_CHECK = 4096 };

/* What objects that hang exactly there are called; of a root's own ones the type is not told. */
static struct err *type_name(const struct growth_tree *t, uint32_t node, struct buf *b)
{
	const char *frame = t->p->frames.str[t->p->nodes.v[node].frame], *type;
	size_t len;

	buf_reset(b);
	if (frame_type(frame, &type, &len))
		return buf_add(b, type, len);
	return buf_addf(b, "%s itself", frame);
}

static int part_cmp(const void *a, const void *b)
{
	const struct growth_part *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return strcmp(x->type, y->type);
}

/* The next node below `top` in preorder, not below `at` if `skip`; 0: that was the last. */
static uint32_t next_below(const struct growth_tree *t, uint32_t top, uint32_t at, bool skip)
{
	if (t->first[at] && !skip)
		return t->first[at];
	while (at != top && !t->next[at])
		at = t->p->nodes.v[at].parent;
	return at == top ? 0 : t->next[at];
}

/* Calls f for every node at or below `node`, but those at or below `but` (0: none). */
static struct err *each_below(const struct growth_tree *t, uint32_t node, uint32_t but,
			      struct err *(*f)(void *arg, uint32_t node), void *arg)
{
	uint32_t at = node;
	size_t n = 0;

	do {
		bool skip = at == but && but;

		if (++n % NODES_PER_CHECK == 0)
			TRY(intr_check());
		if (!skip)
			TRY(f(arg, at));
		at = next_below(t, node, at, skip);
	} while (at);
	return NULL;
}

struct parts {
	const struct growth_tree *t;
	struct strtab names;
	VEC(struct growth_part) v;
	struct buf name;
};

static void parts_deinit(struct parts *p)
{
	strtab_deinit(&p->names);
	vec_deinit(&p->v);
	buf_deinit(&p->name);
}

static struct err *add_part(void *arg, uint32_t node)
{
	struct parts *p = arg;
	struct amount was = growth_own(p->t, 0, node), is = growth_own(p->t, p->t->n - 1, node);
	uint32_t id;

	if (was.bytes == is.bytes && was.objects == is.objects)
		return NULL;
	TRY(type_name(p->t, node, &p->name));
	TRY(strtab_add(&p->names, (const char *)p->name.data, &id));
	if (id == p->v.n)
		TRY(vec_push(&p->v, ((struct growth_part){ 0 })));
	p->v.v[id].bytes += (int64_t)(is.bytes - was.bytes);
	p->v.v[id].objects += (int64_t)(is.objects - was.objects);
	return NULL;
}

struct err *growth_parts_make(const struct growth_tree *t, uint32_t node, struct arena *a,
			      const struct growth_part **parts, uint32_t *n)
{
	_cleanup_(parts_deinit) struct parts p = { .t = t, .names = STRTAB_INIT, .name = BUF_INIT };
	struct growth_part *out;
	size_t count = 0;

	TRY(each_below(t, node, 0, add_part, &p));
	for (size_t i = 0; i < p.v.n; i++)
		p.v.v[i].type = p.names.str[i];
	if (p.v.n)
		qsort(p.v.v, p.v.n, sizeof(*p.v.v), part_cmp);
	while (count < p.v.n && count < PARTS && p.v.v[count].bytes > 0)
		count++;
	out = arena_alloc(a, (count + 1) * sizeof(*out));
	if (!out)
		return err_nomem();
	for (size_t i = 0; i < count; i++) {
		out[i] = p.v.v[i];
		out[i].type = arena_strdup(a, p.v.v[i].type);
		if (!out[i].type)
			return err_nomem();
	}
	*parts = out;
	*n = (uint32_t)count;
	return NULL;
}

struct one_type {
	const struct growth_tree *t;
	const char *type;
	int64_t objects;
	struct buf name;
};

static void one_type_deinit(struct one_type *o)
{
	buf_deinit(&o->name);
}

static struct err *add_one(void *arg, uint32_t node)
{
	struct one_type *o = arg;
	int64_t more = (int64_t)growth_own(o->t, o->t->n - 1, node).objects -
		       (int64_t)growth_own(o->t, 0, node).objects;

	if (!more)
		return NULL;
	TRY(type_name(o->t, node, &o->name));
	if (!strcmp((const char *)o->name.data, o->type))
		o->objects += more;
	return NULL;
}

struct err *growth_type_below(const struct growth_tree *t, uint32_t node, uint32_t but,
			      const char *type, int64_t *objects)
{
	_cleanup_(one_type_deinit) struct one_type o = { .t = t, .type = type, .name = BUF_INIT };

	TRY(each_below(t, node, but, add_one, &o));
	*objects = o.objects;
	return NULL;
}
