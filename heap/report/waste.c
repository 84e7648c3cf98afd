/*
 * Waste, measured on what naming sees of every pointer to an object of some size: a slice says how
 * much of it is in use and how much could be, a string how much, a pointer its type.
 *
 * An object is pinned if all that refers to it uses less than half of it: the parts are put
 * together, so that a text of which every line is referred to is not.  A slice of the whole
 * capacity is one that grows, and its unused part is slack; where it uses less than an eighth, but
 * something, it may as well be the head of a buffer that was cut off.
 */
#include "heap/report/waste_heap.h"

#include <stdlib.h>
#include <string.h>

#include "base/huge.h"
#include "base/limits.h"

enum {
	WASTE_WHOLE = 1,   /* something uses half of it or more */
	WASTE_UNKNOWN = 2, /* something refers to it, nobody knows how */
	WASTE_PARTS = 4,   /* a part is used, by what is no growing slice */
	WASTE_HEAD = 8,    /* a slice of the whole capacity uses a part */
	HEAD_PART = 8,     /* of the object: less is a head, not a slice that grows */
};

static struct err *node_of(struct waste *w, uint32_t node, struct waste_node **ret)
{
	while (w->nodes.n <= node)
		TRY(vec_push(&w->nodes, ((struct waste_node){ 0 })));
	*ret = &w->nodes.v[node];
	return NULL;
}

/* ------------------------------------------------------------------ maps */

static struct err *see_map(struct waste *w, const struct walk_ptr *p, const struct edge *e,
			   uint32_t node)
{
	const struct mark *m = w->g->m;
	const struct place *pl;
	struct waste_node *n;
	uint64_t count, at;

	if (e && e->target == EDGE_PLACE && (e->mode == PLACE_MAP_GROUPS || e->dir)) {
		TRY(node_of(w, node, &n));
		n->groups += p->sp->elemsize;
	}
	if (p->sp->ptrs == SPAN_NOSCAN)
		return NULL;
	pl = &m->places->v.v[mark_place(m, p->sp->first_scan + p->index)];
	at = span_slot(p->sp, p->index) + pl->off;
	/* both of Map and hmap begin with the number of entries */
	if (pl->mode != PLACE_MAP || !pl->type->map || !proc_try_word(&m->h->proc, at, &count))
		return NULL;
	TRY(node_of(w, node, &n));
	n->maps++;
	n->entries += count;
	n->used += count * (pl->type->map->group_size / 8); /* MapGroupSlots, bucketCnt */
	return NULL;
}

/* ------------------------------------------------------------------ slices and strings */

/* How much of the object p uses, from where on; *capacity: of a slice, else 0.  False: nobody
 * knows. */
static bool used_by(const struct waste *w, const struct walk_ptr *p, const struct edge *e,
		    uint64_t *used, uint64_t *capacity)
{
	const struct go_type *t = e && e->target == EDGE_LEAF && !e->leaf_off ? e->type : NULL;
	const struct captured *h = w->g->h;
	uint64_t n, cap, size;

	*capacity = 0;
	if (!t || p->value - span_slot(p->sp, p->index) >= p->sp->elemsize)
		return false;
	size = t->elem ? t->elem->size : 1;
	switch (t->kind) {
	case KIND_STRING:
		return walk_word(h, p, 1, used);
	case KIND_SLICE:
		if (!t->elem || !walk_word(h, p, 1, &n) || !walk_word(h, p, 2, &cap) || n > cap ||
		    (size && cap > p->sp->elemsize / size))
			return false;
		*used = n * size;
		*capacity = cap * size;
		return true;
	case KIND_POINTER:
		*used = size;
		return t->elem;
	default:
		return false;
	}
}

static struct err *add_slack(struct waste *w, uint32_t node, uint64_t used, uint64_t capacity)
{
	struct waste_node *n;

	TRY(node_of(w, node, &n));
	n->slices++;
	n->capacity += capacity;
	n->slack += capacity - used;
	return NULL;
}

/* first: nothing led there before. */
static struct err *add_part(struct waste *w, const struct walk_ptr *p, uint32_t object,
			    uint64_t used, uint64_t capacity, bool first)
{
	uint64_t lo = p->value - span_slot(p->sp, p->index);
	bool whole =
		lo <= MALLOC_HEADER_SIZE && lo + capacity + p->sp->elemsize / 8 >= p->sp->elemsize;

	if (w->refs.n >= LIMIT_WASTE_REFS) {
		w->full = true;
		w->known[object] |= WASTE_UNKNOWN;
		return NULL;
	}
	w->known[object] |= whole ? WASTE_HEAD : WASTE_PARTS;
	return vec_push(&w->refs, ((struct waste_ref){ object, (uint32_t)lo, (uint32_t)(lo + used),
						       first ? (uint32_t)capacity : 0 }));
}

/* name.h's `refer`: p leads to a live object, by e, or nobody knows how. */
static struct err *waste_refer(void *arg, const struct walk_ptr *p, const struct edge *e,
			       uint32_t node)
{
	struct waste *w = arg;
	uint64_t used, capacity;
	uint32_t object;
	bool known;

	if (node)
		TRY(see_map(w, p, e, node));
	if (p->sp->elemsize > UINT32_MAX)
		return NULL;
	known = used_by(w, p, e, &used, &capacity);
	object = (uint32_t)rank_of(&w->g->ids, p->sp->first_id + p->index);
	if (node && known && capacity &&
	    (p->sp->elemsize < WASTE_LEAST || used >= p->sp->elemsize / 2))
		TRY(add_slack(w, node, used, capacity));
	if (p->sp->elemsize < WASTE_LEAST)
		return NULL;
	if (!known || used >= p->sp->elemsize / 2)
		w->known[object] |= known ? WASTE_WHOLE : WASTE_UNKNOWN;
	else if (!(w->known[object] & WASTE_WHOLE) || (node && capacity))
		return add_part(w, p, object, used, capacity, node);
	return NULL;
}

struct err *waste_init(struct waste *w, struct graph *g)
{
	*w = (struct waste){ .g = g };
	w->known = calloc(g->ids.n + 1, 1);
	if (!w->known)
		return err_nomem();
	g->watch.refer = waste_refer;
	g->watch.referrer = w;
	g->watch.refer_least = WASTE_LEAST;
	return NULL;
}

void waste_deinit(struct waste *w)
{
	free(w->known);
	vec_deinit(&w->refs);
	vec_deinit(&w->nodes);
}

/* ------------------------------------------------------------------ what is pinned */

struct making {
	struct waste *w;
	const struct profile *p;
	struct waste_report *r;
	size_t at;                    /* in refs */
	VEC(struct waste_row) pinned; /* by node */
};

static int ref_cmp(const void *a, const void *b)
{
	const struct waste_ref *x = a, *y = b;

	if (x->object != y->object)
		return x->object < y->object ? -1 : 1;
	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

/* How many bytes of the object any of its parts uses; *first: the slice that led there first, if
 * its slack was not counted yet, else NULL. */
static uint64_t put_together(struct making *k, uint32_t object, const struct waste_ref **first)
{
	uint64_t used = 0;
	uint32_t end = 0;

	*first = NULL;
	for (; k->at < k->w->refs.n && k->w->refs.v[k->at].object <= object; k->at++) {
		const struct waste_ref *r = &k->w->refs.v[k->at];
		uint32_t lo = r->lo > end ? r->lo : end;

		if (r->object != object)
			continue;
		if (r->capacity)
			*first = r;
		if (r->hi <= lo)
			continue;
		used += r->hi - lo;
		end = r->hi;
	}
	return used;
}

static bool is_pinned(uint8_t known, uint64_t used, uint64_t size)
{
	if (known & (WASTE_WHOLE | WASTE_UNKNOWN))
		return false;
	if (known & WASTE_PARTS)
		return used < size / 2;
	return known & WASTE_HEAD && used && used < size / HEAD_PART;
}

static struct err *pin_object(void *arg, uint32_t number, const struct span *sp, uint32_t index)
{
	struct making *k = arg;
	uint32_t node = k->w->g->nodes[number] & ~NAME_HIDDEN;
	uint8_t known = k->w->known[number];
	const struct waste_ref *first;
	struct waste_row *row;
	uint64_t used;

	if (sp->elemsize < WASTE_LEAST)
		return NULL;
	k->r->large_bytes += sp->elemsize;
	if (known && !(known & WASTE_UNKNOWN))
		k->r->measured_bytes += sp->elemsize;
	used = put_together(k, number, &first);
	if (!is_pinned(known, used, sp->elemsize))
		return first ? add_slack(k->w, node, first->hi - first->lo, first->capacity) : NULL;
	while (k->pinned.n <= node)
		TRY(vec_push(&k->pinned, ((struct waste_row){ 0 })));
	row = &k->pinned.v[node];
	row->count++;
	row->bytes += sp->elemsize;
	row->wasted += sp->elemsize - used;
	return NULL;
}

/* ------------------------------------------------------------------ rows */

static struct err *row_path(struct making *k, uint32_t node, struct waste_row *row)
{
	uint32_t n = k->p->nodes.v[node].depth;

	const char **path = arena_alloc(&k->r->arena, (n + 1) * sizeof(*path));

	if (!path)
		return err_nomem();
	row->path = path;
	row->npath = n;
	for (; node; node = k->p->nodes.v[node].parent) {
		path[--n] = arena_strdup(&k->r->arena, k->p->frames.str[k->p->nodes.v[node].frame]);
		if (!path[n])
			return err_nomem();
	}
	return NULL;
}

static struct err *row_add(struct making *k, struct waste_rows *rows, uint64_t *sum, uint32_t node,
			   struct waste_row row)
{
	*sum += row.wasted;
	if (row.wasted < WASTE_ROW_LEAST)
		return NULL;
	row.npath = node; /* its path is made when it is known to be shown */
	return vec_push(rows, row);
}

static int row_cmp(const void *a, const void *b)
{
	const struct waste_row *x = a, *y = b;

	if (x->wasted != y->wasted)
		return x->wasted < y->wasted ? 1 : -1;
	return x->npath < y->npath ? -1 : x->npath > y->npath;
}

static struct err *rows_done(struct making *k, struct waste_rows *rows)
{
	if (rows->n)
		qsort(rows->v, rows->n, sizeof(*rows->v), row_cmp);
	if (rows->n > WASTE_ROWS)
		rows->n = WASTE_ROWS;
	for (size_t i = 0; i < rows->n; i++)
		TRY(row_path(k, rows->v[i].npath, &rows->v[i]));
	return NULL;
}

static struct err *make_rows(struct making *k)
{
	struct waste_report *r = k->r;

	for (uint32_t i = 1; i < k->pinned.n; i++)
		TRY(row_add(k, &r->pinned, &r->pinned_bytes, i, k->pinned.v[i]));
	for (uint32_t i = 1; i < k->w->nodes.n; i++) {
		const struct waste_node *n = &k->w->nodes.v[i];

		TRY(row_add(k, &r->slack, &r->slack_bytes, i,
			    ((struct waste_row){ .count = n->slices,
						 .bytes = n->capacity,
						 .wasted = n->slack })));
		if (n->groups > n->used)
			TRY(row_add(k, &r->maps, &r->maps_bytes, i,
				    ((struct waste_row){ .count = n->maps,
							 .entries = n->entries,
							 .bytes = n->groups,
							 .wasted = n->groups - n->used })));
	}
	TRY(rows_done(k, &r->pinned));
	TRY(rows_done(k, &r->slack));
	return rows_done(k, &r->maps);
}

struct err *waste_make(struct waste *w, const struct profile *p, struct report *r)
{
	struct making k = { .w = w, .p = p, .r = &r->waste };
	struct err *err;

	if (w->refs.n)
		qsort(w->refs.v, w->refs.n, sizeof(*w->refs.v), ref_cmp);
	err = graph_each(w->g, pin_object, &k);
	if (!err)
		err = make_rows(&k);
	vec_deinit(&k.pinned);
	r->waste.made = !err;
	if (!err && w->full)
		err = report_note(
			r, "waste: more than %u parts of buffers; the rest was not looked at",
			LIMIT_WASTE_REFS);
	return err;
}
