/*
 * Nameless variables are found by following the pointers of named ones into .data and .bss, and
 * then those of what was found, a few levels deep.
 */
#include "heap/mark/name_static.h"

#include <stdlib.h>
#include <string.h>

#include "base/intr.h"
#include "base/limits.h"
#include "heap/mark/edge.h"
#include "base/search.h"

struct static_key {
	const struct static_vars *vars;
	uint64_t addr;
};

static bool begins_behind(const void *arg, size_t i)
{
	const struct static_key *k = arg;

	return k->vars->v[i].addr > k->addr;
}

struct static_var *static_vars_at(const struct static_vars *v, uint64_t addr)
{
	size_t lo = search_first(v->n, begins_behind, &(struct static_key){ v, addr });

	return lo && addr - v->v[lo - 1].addr < v->v[lo - 1].size ? &v->v[lo - 1] : NULL;
}

struct err *static_var_type(struct types *types, struct static_var *v, struct go_type **ret)
{
	if (!v->type && v->die)
		TRY(types_from_die(types, v->module, v->die, &v->type));
	*ret = v->type;
	return NULL;
}

enum { LITERAL_DEPTH = 4 };

static int static_cmp(const void *a, const void *b)
{
	const struct static_var *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	if (x->size != y->size)
		return x->size < y->size ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* Sorted, with overlaps cut: the first to come, which has the shorter way, wins. */
static void static_vars_sort(struct static_vars *v)
{
	size_t n = 0;

	if (v->n < 2)
		return;
	qsort(v->v, v->n, sizeof(*v->v), static_cmp);
	for (size_t i = 1; i < v->n; i++) {
		uint64_t end = v->v[n].addr + v->v[n].size;

		if (v->v[i].addr >= end)
			v->v[++n] = v->v[i];
	}
	v->n = n + 1;
}

static const struct bitmap_root *segment_of(const struct proc *p, uint64_t addr)
{
	for (size_t i = 0; i < p->modules.v.n; i++) {
		const struct module *m = &p->modules.v.v[i];

		if (addr >= m->data.start && addr < m->data.end)
			return &m->data;
		if (addr >= m->bss.start && addr < m->bss.end)
			return &m->bss;
	}
	return NULL;
}

/* What a pointer, a slice or an interface at addr says of its target; NULL: nothing. */
static struct err *leaf_pointee(struct places *places, const struct edge *e, uint64_t addr,
				struct go_type **ret, uint64_t *count)
{
	uint64_t word = places->h->proc.fmt.word;
	struct go_type *t = e->type;

	*ret = NULL;
	*count = 1;
	if (t->kind == KIND_INTERFACE && e->leaf_off == word) {
		TRY(iface_dynamic(places, t, addr, &t));
		if (!t)
			return NULL;
		if (!t->direct) { /* boxed: a constant */
			*ret = t;
			return NULL;
		}
	}
	TRY(types_expand(places->types, t));
	if (t->kind != KIND_POINTER && t->kind != KIND_SLICE)
		return NULL;
	if (t->kind == KIND_SLICE && !proc_try_word(&places->h->proc, addr + 2 * word, count))
		return NULL;
	*ret = t->elem;
	return NULL;
}

/* What the pointer in word `addr` of variable v leads to, if that is a nameless variable. */
static struct err *follow(struct captured *h, struct places *places,
			  const struct static_vars *named, struct static_var *v, uint64_t addr,
			  struct static_vars *ret)
{
	struct static_var to = { .name = v->name };
	const struct bitmap_root *seg;
	struct go_type *type;
	const struct edge *e;
	uint64_t count;

	if (!proc_try_word(&h->proc, addr, &to.addr) || !(seg = segment_of(&h->proc, to.addr)) ||
	    static_vars_at(named, to.addr))
		return NULL;
	TRY(static_var_type(places->types, v, &type));
	if (!type || !type->size)
		return NULL;
	TRY(edge_of_type(places, type, (addr - v->addr) % type->size, &e));
	if (e->target != EDGE_LEAF)
		return NULL;
	TRY(leaf_pointee(places, e, addr, &to.type, &count));
	if (!to.type || !to.type->size || count > (seg->end - to.addr) / to.type->size)
		return NULL;
	to.size = count * to.type->size;
	return vec_push(ret, to);
}

static struct err *follow_all(struct captured *h, struct places *places,
			      const struct static_vars *named, const struct static_vars *from,
			      struct static_vars *ret)
{
	uint64_t word = h->proc.fmt.word;

	for (size_t i = 0; i < h->proc.modules.v.n; i++) {
		const struct bitmap_root *segs[] = { &h->proc.modules.v.v[i].data,
						     &h->proc.modules.v.v[i].bss };

		for (unsigned s = 0; s < 2; s++) {
			const uint8_t *mask = image_ptr(h->proc.img, segs[s]->mask,
							(segs[s]->nbits + 7) / 8, NULL);

			for (uint64_t b = 0; mask && b < segs[s]->nbits; b++) {
				uint64_t addr = segs[s]->start + b * word;
				struct static_var *v;

				if (!(b & 0xffff))
					TRY(intr_check());
				if (mask[b >> 3] >> (b & 7) & 1 && (v = static_vars_at(from, addr)))
					TRY(follow(h, places, named, v, addr, ret));
			}
		}
	}
	return NULL;
}

struct err *static_vars_find(struct captured *h, struct places *places,
			     const struct static_vars *named, struct static_vars *ret)
{
	TRY(follow_all(h, places, named, named, ret));
	static_vars_sort(ret);
	/* What a nameless one leads to is nameless too: literals in literals. */
	for (int depth = 0; depth < LITERAL_DEPTH; depth++) {
		size_t before = ret->n;
		_cleanup_vec_ struct static_vars more = VEC_INIT;

		TRY(follow_all(h, places, named, ret, &more));
		for (size_t i = 0; i < more.n; i++)
			if (!static_vars_at(ret, more.v[i].addr))
				TRY(vec_push(ret, more.v[i]));
		static_vars_sort(ret);
		if (ret->n == before)
			break;
	}
	return NULL;
}
