/*
 * The stream of objects: in the order of their addresses each one's words are read once more from
 * the image, by the same pointer maps that marking used, and each word's edge says which field it
 * is.  What the graph leaves out is left out here, too, so that who makes dominators of what is
 * handed on gets ours.
 */
#include "heap/graph/objects_graph.h"

#include <stdlib.h>
#include <string.h>

#include "base/intr.h"

enum { CHECK_EVERY = 1 << 16 }; /* objects, between two looks for signals */

void objects_graph_deinit(struct objects_graph *x)
{
	typing_deinit(&x->typing);
	strtab_deinit(&x->fields);
	free(x->field_of);
	free(x->at);
}

/* ------------------------------------------------------------------ fields */

/* Adds a step's name: "next", "[]", "$mapval"; also inside containers, since their objects are
 * told of, too. */
static struct err *add_step(const struct objects_graph *x, const struct frame *f, struct buf *b)
{
	const char *name = f->name, *end;

	if (!name && f->text == FRAME_HIDDEN)
		return NULL;
	if (!name)
		name = x->g->m->places->frames->str[f->text];
	if (!*name)
		return NULL;
	end = strstr(name, ". (");
	if (b->len)
		TRY(buf_addstr(b, "."));
	return end ? buf_add(b, name, (size_t)(end - name)) : buf_addstr(b, name);
}

static struct err *field_name(struct objects_graph *x, const struct edge *e, bool row,
			      uint32_t *ret)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	/* without folding an edge does not have the element's step */
	TRY(buf_addstr(&b, row && !x->g->m->places->fold ? "[]" : ""));
	for (uint32_t i = 0; !e->unnamed && i < e->nframes; i++)
		TRY(add_step(x, &e->frames[i], &b));
	return strtab_add(&x->fields, (const char *)b.data, ret);
}

static struct err *field_of(struct objects_graph *x, const struct edge *e, bool row, uint32_t *ret)
{
	uint64_t key = (uint64_t)e->id * 2 + row;

	if (key >= x->nfield_of) {
		size_t n = (key + 1) * 2;
		uint32_t *v = realloc(x->field_of, n * sizeof(*v));

		if (!v)
			return err_nomem();
		memset(v + x->nfield_of, 0, (n - x->nfield_of) * sizeof(*v));
		x->field_of = v;
		x->nfield_of = n;
	}
	if (!x->field_of[key]) {
		TRY(field_name(x, e, row, ret));
		x->field_of[key] = *ret + 1;
	}
	*ret = x->field_of[key] - 1;
	return NULL;
}

static const char *objects_graph_field(const struct objects *o, uint32_t id)
{
	return ((const struct objects_graph *)o)->fields.str[id];
}

/* ------------------------------------------------------------------ objects */

struct streaming {
	struct objects_graph *x;
	const struct objects_visitor *v;
};

static const struct place *place_of(const struct graph *g, const struct span *sp, uint32_t index)
{
	uint32_t place = sp->ptrs == SPAN_NOSCAN ? 0 : mark_place(g->m, sp->first_scan + index);

	return &g->m->places->v.v[place];
}

static enum object_shape shape_of(const struct place *p)
{
	switch (p->mode) {
	case PLACE_TILE:
	case PLACE_MAP_GROUPS:
	case PLACE_MAP_DIR:
		return OBJECT_ROW;
	case PLACE_ONE:
	case PLACE_MAP:
	case PLACE_MAP_TABLE:
	case PLACE_CHAN:
		return OBJECT_ONE;
	default:
		return OBJECT_PLAIN;
	}
}

static struct err *tell_object(const struct streaming *s, uint32_t number, const struct span *sp,
			       uint32_t index)
{
	const struct graph *g = s->x->g;
	const struct place *place = place_of(g, sp, index);
	const struct name_from *from = &g->from[number];
	uint32_t at = g->dom.position[1 + number];
	struct object o = {
		.id = 1 + number,
		.type = s->x->typing.of_object[number],
		.root = g->vertex_of[from->root],
		.dominator = g->dom.vertex[g->dom.parent[at]],
		.shape = shape_of(place),
		.pointers = sp->ptrs != SPAN_NOSCAN,
		.address = span_slot(sp, index),
		.bytes = sp->elemsize,
		.retained = g->retained[at],
		.start = place->off,
		.unit = place->unit,
	};

	/* who points to a g, an m or a p is left out, but for its root */
	o.parent = from->holder == WALK_ROOT || graph_is_scheduler(g, sp, index) ?
			   o.root :
			   graph_vertex_of_scan(g, from->holder);
	return s->v->object(s->v->arg, &o);
}

/* Which object a word leads to, as the graph sees it; 0: to none.  *address: where it is. */
static uint32_t vertex_at(const struct graph *g, uint64_t value, uint64_t *address)
{
	const struct span *sp;
	uint32_t index, vertex = graph_vertex_at(g, value, &sp, &index);

	if (!vertex || graph_is_scheduler(g, sp, index))
		return 0;
	*address = span_slot(sp, index);
	return vertex;
}

static struct err *tell_edge(const struct streaming *s, uint32_t place, struct object_edge *out)
{
	const struct edge *e;
	int64_t index;

	TRY(edge_get(s->x->g->m->places, place, out->offset, &e, &index));
	TRY(field_of(s->x, e, index >= 0, &out->field));
	return s->v->edge(s->v->arg, out);
}

static struct err *tell_edges(const struct streaming *s, uint32_t number, const struct span *sp,
			      uint32_t index)
{
	const struct graph *g = s->x->g;
	const struct proc *p = &g->h->proc;
	struct object_edge out = { .source = 1 + number };
	uint64_t word, steps = 0;
	struct ptr_iter it;
	bool bad = false;

	if (sp->ptrs == SPAN_NOSCAN || map64_get(&g->timer_arrays, sp->first_scan + index) ||
	    !ptr_iter_init(&it, p, &g->h->masks, sp, index, &bad))
		return NULL;
	while (ptr_iter_next(&it, &word)) {
		uint64_t value;

		if (!(++steps % CHECK_EVERY))
			TRY(intr_check());
		ptr_iter_touch(&it, p->img, word * p->fmt.word);
		value = ptr_iter_value(&it, p->fmt, word);
		out.offset = word * p->fmt.word;
		out.target = value < MIN_LEGAL_POINTER ? 0 : vertex_at(g, value, &out.address);
		if (out.target)
			TRY(tell_edge(s, mark_place(g->m, sp->first_scan + index), &out));
	}
	return NULL;
}

static struct err *tell(void *arg, uint32_t number, const struct span *sp, uint32_t index)
{
	const struct streaming *s = arg;

	if (number % CHECK_EVERY == 0)
		TRY(intr_check());
	if (s->v->object)
		TRY(tell_object(s, number, sp, index));
	return s->v->edge ? tell_edges(s, number, sp, index) : NULL;
}

/* ------------------------------------------------------------------ roots */

static void class_name(const struct objects_graph *x, uint64_t name, struct object_root *r)
{
	const char *const *text = x->g->m->places->frames->str;

	r->group = name >> 32 ? text[(name >> 32) - 1] : NULL;
	r->name = text[(uint32_t)name];
}

static struct err *tell_root(const struct streaming *s, uint32_t i)
{
	const struct graph *g = s->x->g;
	const struct graph_root *root = &g->roots.v[i];
	const struct graph_class *class = &g->classes.v[root->class];
	struct object_root r = {
		.id = graph_first_root(g) + i,
		.kind = live_kind_name(class->kind),
		.itself = root->goroutine,
	};

	class_name(s->x, class->name, &r);
	if (root->g != UINT32_MAX)
		r.goroutine = g->h->stacks.gs.v[root->g].goid;
	r.retained = g->retained[g->dom.position[r.id]];
	if (!root->goroutine)
		r.parent = g->dom.vertex[g->dom.parent[g->dom.position[r.id]]];
	return s->v->root(s->v->arg, &r);
}

static struct err *tell_root_edges(const struct streaming *s, uint32_t i)
{
	const struct graph *g = s->x->g;
	struct object_edge out = { .source = graph_first_root(g) + i };

	TRY(strtab_add(&s->x->fields, "", &out.field));
	for (uint32_t k = s->x->at[i]; k < s->x->at[i + 1]; k++) {
		out.target = g->root_edges.v[k].to;
		if (!graph_is_object(g, out.target))
			continue;
		out.address = graph_address(g, out.target - 1);
		TRY(s->v->edge(s->v->arg, &out));
		out.offset++;
	}
	return NULL;
}

static struct err *objects_graph_walk(const struct objects *o, const struct objects_visitor *v)
{
	struct objects_graph *x = (struct objects_graph *)(uintptr_t)o;
	struct streaming s = { x, v };

	if (v->object || v->edge)
		TRY(graph_each(x->g, tell, &s));
	for (uint32_t i = 0; i < o->nroots; i++) {
		if (i % CHECK_EVERY == 0)
			TRY(intr_check());
		if (v->root)
			TRY(tell_root(&s, i));
		if (v->edge)
			TRY(tell_root_edges(&s, i));
	}
	return NULL;
}

/* Where each root's edges begin; they are sorted by root. */
static struct err *index_roots(struct objects_graph *x)
{
	const struct graph *g = x->g;
	size_t k = 0;

	x->at = malloc((g->roots.n + 1) * sizeof(*x->at));
	if (!x->at)
		return err_nomem();
	for (size_t i = 0; i <= g->roots.n; i++) {
		while (k < g->root_edges.n && g->root_edges.v[k].from < graph_first_root(g) + i)
			k++;
		x->at[i] = (uint32_t)k;
	}
	return NULL;
}

struct err *objects_graph_init(struct objects_graph *x, const struct graph *g,
			       const struct profile *p)
{
	*x = (struct objects_graph){ .g = g, .fields = STRTAB_INIT };
	TRY(typing_init(&x->typing, g, p));
	TRY(index_roots(x));
	x->o = (struct objects){
		.n = (uint32_t)g->ids.n,
		.nroots = (uint32_t)g->roots.n,
		.types = x->typing.names.str,
		.ntypes = x->typing.names.n,
		.word = (unsigned)g->h->proc.fmt.word,
		.walk = objects_graph_walk,
		.field = objects_graph_field,
	};
	return NULL;
}
