#include "heap/mark.h"

#include <stdlib.h>
#include <string.h>

#include "base/intr.h"

/* A frontier entry: root in the high half, so that sorting by value is sorting by (root, address). */
typedef uint64_t entry_t;
VEC_NAMED(frontier, entry_t);

/* A way into the scheduler's structures, kept for the last pass. */
struct later {
	const struct edge *e;
	uint64_t addr, value;
	uint32_t parent, offset, root;
};

struct marking {
	struct mark *m;
	uint8_t pass;
	VEC(struct later) later;
	struct frontier now, next;
	VEC(uint32_t) retype; /* expanded objects whose place became better */
	uint64_t since_check;
};

static uint32_t object_id(const struct span *sp, uint32_t index)
{
	return sp->first_id + index;
}

/* ------------------------------------------------------------------ places */

/*
 * Takes the place that an edge suggests if it explains more of the object's pointer words than the
 * one it has.  Large objects are judged by their header's type, small ones by their bits.
 */
static struct err *suggest(struct marking *k, const struct span *sp, uint32_t index,
			   uint32_t place)
{
	struct mark *m = k->m;
	uint32_t id = object_id(sp, index), old = mark_place(m, id), header;
	struct places *ps = m->places;
	uint64_t bits;
	struct err *err;
	int fit;

	if (sp->arena_chunk) {
		if (place || !old) {
			err = place_arena(ps, place, &place);
			if (err)
				return err;
			m->place[id] = place | (ps->v.v[place].type ? PLACE_FINAL : 0);
		}
		return NULL;
	}
	if (span_untyped(sp)) {
		if (!place && !old && ptr_first_bits(&m->h->proc, sp, index, &bits)) {
			err = place_of_closure(ps, sp, index, bits, &place);
			if (err)
				return err;
		}
		if (!place)
			return NULL;
		if (!ptr_first_bits(&m->h->proc, sp, index, &bits)) {
			m->place[id] = place | PLACE_FINAL;
			return NULL;
		}
		fit = place_fit(ps, place, sp, bits);
		if (fit < __builtin_popcountll(bits) && ps->v.v[place].mode == PLACE_ONE) {
			/* A pointer to the first of several. */
			uint32_t tile;

			err = place_get(ps, PLACE_TILE, ps->v.v[place].type, ps->v.v[place].off, &tile);
			if (err)
				return err;
			if (place_fit(ps, tile, sp, bits) == __builtin_popcountll(bits)) {
				place = tile;
				fit = __builtin_popcountll(bits);
			}
		}
		if (fit < 0 || (old && fit <= place_fit(ps, old, sp, bits)))
			return NULL;
		m->place[id] = place;
		if (fit == __builtin_popcountll(bits))
			m->place[id] |= PLACE_FINAL;
		return NULL;
	}
	err = place_of_header(ps, sp, index, &header);
	if (err)
		return err;
	/* The edge's own view wins where it is of the same type and as wide: a slice says [i]. */
	if (place && header && ps->v.v[place].mode <= PLACE_TILE &&
	    (ps->v.v[place].type != ps->v.v[header].type || ps->v.v[place].mode < ps->v.v[header].mode))
		place = 0;
	if (!place)
		place = header;
	if (!place)
		return NULL;
	m->place[id] = place | PLACE_FINAL;
	return NULL;
}

/* ------------------------------------------------------------------ visiting */

static struct err *mark_object(struct marking *k, const struct span *sp, uint32_t index,
			       uint32_t parent, uint32_t offset, uint32_t root)
{
	struct mark *m = k->m;
	uint32_t id = object_id(sp, index);

	m->parent[id] = parent;
	m->offset[id] = offset;
	m->order[m->nlive++] = id;
	m->live_objects++;
	m->live_bytes += sp->elemsize;
	if (sp->ptrs == SPAN_NOSCAN)
		return NULL;
	return vec_push(&k->next, (entry_t)root << 32 | id);
}

/* One pointer: addr holds value, edge e says what it is (NULL: nothing). */
static struct err *visit(struct marking *k, const struct edge *e, uint64_t addr, uint64_t value,
			 uint32_t parent, uint64_t offset, uint32_t root, bool only_types)
{
	const struct func *f;
	bool func = parent & MARK_ROOT && k->m->roots[root].func_value;
	struct mark *m = k->m;
	const struct span *sp = spans_find(&m->h->spans, value);
	uint32_t index, id, place = 0, old;
	bool is_new;
	struct err *err = NULL;

	if (!sp)
		return NULL;
	index = span_index(sp, value);
	if (!span_alive(sp, index))
		return NULL;
	id = object_id(sp, index);
	is_new = m->parent[id] == MARK_NONE;
	if (is_new) {
		if (only_types)
			return NULL;
		if (sp->scheduler && k->pass != PASS_RUNTIME && map64_get(&m->h->scheduler, id))
			return vec_push(&k->later, ((struct later){ e, addr, value, parent, (uint32_t)offset,
								    root }));
		err = mark_object(k, sp, index, parent, (uint32_t)offset, root);
		if (err)
			return err;
	}
	if (sp->ptrs == SPAN_NOSCAN || m->place[id] & PLACE_FINAL)
		return NULL;
	old = m->place[id];
	if (func)
		err = func_resolve(m->places, value, sp, index, &place, &f);
	else if (e)
		err = edge_resolve(m->places, e, addr, value, sp, index, &place, NULL);
	if (!err)
		err = suggest(k, sp, index, place);
	if (!err && !is_new && m->place[id] != old)
		err = vec_push(&k->retype, id);
	return err;
}

/* All pointers of one object. */
static struct err *expand(struct marking *k, uint32_t id, uint32_t root, bool only_types)
{
	struct mark *m = k->m;
	const struct proc *p = &m->h->proc;
	const struct span *sp = spans_of_id(&m->h->spans, id);
	uint32_t index = id - sp->first_id, place;
	uint64_t slot = span_slot(sp, index), word;
	struct ptr_iter it;
	bool bad = false;
	struct err *err = NULL;

	if (!ptr_iter_init(&it, p, &m->h->masks, sp, index, &bad)) {
		if (bad && !only_types)
			m->unread++;
		return NULL;
	}
	place = mark_place(m, id);
	while (!err && ptr_iter_next(&it, &word)) {
		uint64_t off = word * p->fmt.word, value = bytes_word(p->fmt, it.data + off);
		const struct edge *e;
		int64_t tile;

		if (value < 4096)
			continue;
		err = edge_get(m->places, place, off, &e, &tile);
		if (!err)
			err = visit(k, e, slot + off, value, id, word, root, only_types);
	}
	return err;
}

static int entry_cmp(const void *a, const void *b)
{
	entry_t x = *(const entry_t *)a, y = *(const entry_t *)b;

	return x < y ? -1 : x > y;
}

/* Radix sort of the low 32 bits; the high ones are sorted already within a level's runs. */
static struct err *frontier_sort(struct frontier *f, struct frontier *tmp)
{
	size_t start, end;
	struct err *err;

	if (f->n < 2)
		return NULL;
	err = vec_reserve(tmp, f->n > tmp->n ? f->n - tmp->n : 0);
	if (err)
		return err;
	for (start = 0; start < f->n; start = end) {
		entry_t *v = f->v + start, *w = tmp->v;
		size_t n;

		for (end = start + 1; end < f->n && f->v[end] >> 32 == f->v[start] >> 32;)
			end++;
		n = end - start;
		if (n < 2)
			continue;
		if (n < 4096) {
			bool sorted = true;

			for (size_t i = 1; i < n && sorted; i++)
				sorted = v[i - 1] <= v[i];
			if (!sorted)
				qsort(v, n, sizeof(*v), entry_cmp);
			continue;
		}
		for (int shift = 0; shift < 32; shift += 11) {
			size_t count[2048] = { 0 }, sum = 0, c;

			for (size_t i = 0; i < n; i++)
				count[v[i] >> shift & (shift == 22 ? 1023 : 2047)]++;
			for (size_t i = 0; i < 2048; i++) {
				c = count[i];
				count[i] = sum;
				sum += c;
			}
			for (size_t i = 0; i < n; i++)
				w[count[v[i] >> shift & (shift == 22 ? 1023 : 2047)]++] = v[i];
			entry_t *t = v;

			v = w;
			w = t;
		}
		if (v != f->v + start)
			memcpy(f->v + start, v, n * sizeof(*v));
	}
	return NULL;
}

/* Objects that were expanded before their type was known say now what they point to. */
static struct err *retype(struct marking *k)
{
	struct err *err = NULL;

	while (!err && k->retype.n)
		err = expand(k, k->retype.v[--k->retype.n], 0, true);
	return err;
}

/* Everything that k->next leads to, level by level. */
static struct err *mark_levels(struct marking *k, struct frontier *tmp)
{
	struct mark *m = k->m;
	struct err *err = NULL;

	while (!err && k->next.n) {
		struct frontier t = k->now;

		k->now = k->next;
		k->next = t;
		k->next.n = 0;
		err = frontier_sort(&k->now, tmp);
		for (size_t i = 0; i < k->now.n && !err; i++)
			err = expand(k, (uint32_t)k->now.v[i], (uint32_t)(k->now.v[i] >> 32), false);
		if (!err && k->retype.n)
			err = retype(k);
		k->since_check += k->now.n;
		if (!err && k->since_check > 100000) {
			k->since_check = 0;
			err = intr_check();
			if (m->h->progress)
				m->h->progress(m->h->progress_arg, "marking", m->nlive, m->h->spans.nids);
		}
	}
	return err;
}

static struct err *mark_pass(struct marking *k, size_t *at, uint8_t pass, struct frontier *tmp)
{
	struct mark *m = k->m;
	struct err *err = NULL;

	k->pass = pass;
	for (; *at < m->nroots && m->roots[*at].pass == pass && !err; ++*at) {
		struct mark_root *r = &m->roots[*at];
		const struct edge *e = NULL;

		if (r->type)
			err = edge_of_type(m->places, r->type, r->var_off, &e);
		if (!err)
			err = visit(k, e, r->r.addr, r->r.value, MARK_ROOT | (uint32_t)*at, 0, (uint32_t)*at,
				    false);
	}
	if (!err)
		err = mark_levels(k, tmp);
	if (pass == PASS_RUNTIME)
		for (size_t i = 0; i < k->later.n && !err; i++) {
			const struct later *l = &k->later.v[i];

			err = visit(k, l->e, l->addr, l->value, l->parent, l->offset, l->root, false);
			if (!err)
				err = mark_levels(k, tmp);
		}
	return err;
}

struct err *mark_run(struct mark *m, struct heap *h, struct places *places,
		     struct mark_root *roots, size_t nroots)
{
	struct marking k = { .m = m };
	struct frontier tmp = VEC_INIT;
	uint64_t n = h->spans.nids ? h->spans.nids : 1;
	struct err *err = NULL;
	size_t at = 0;

	memset(m, 0, sizeof(*m));
	m->h = h;
	m->places = places;
	m->roots = roots;
	m->nroots = nroots;
	m->parent = malloc(n * sizeof(uint32_t));
	m->offset = malloc(n * sizeof(uint32_t));
	m->place = calloc(n, sizeof(uint32_t));
	m->order = malloc(n * sizeof(uint32_t));
	if (!m->parent || !m->offset || !m->place || !m->order)
		return err_nomem();
	memset(m->parent, 0xff, n * sizeof(uint32_t));
	for (uint8_t pass = 0; pass < PASS_N && !err; pass++)
		err = mark_pass(&k, &at, pass, &tmp);
	vec_deinit(&k.now);
	vec_deinit(&k.next);
	vec_deinit(&k.retype);
	vec_deinit(&k.later);
	vec_deinit(&tmp);
	return err;
}

void mark_deinit(struct mark *m)
{
	free(m->parent);
	free(m->offset);
	free(m->place);
	free(m->order);
	memset(m, 0, sizeof(*m));
}
