/*
 * From a pointer word to the type of what it points to: statically by its own
 * type, dynamically by the words beside it (an interface's type, a closure's function, a map's
 * header).
 */
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "heap/types/known.h"
#include "heap/mark/edge.h"

/* "[A,B]" -> "[go.shape.A,go.shape.B]" */
static struct err *shape_args(const char *args, struct buf *out)
{
	int depth = 0;

	for (const char *s = args; *s; s++) {
		depth += (*s == '[' || *s == '{' || *s == '(') -
			 (*s == ']' || *s == '}' || *s == ')');
		TRY(buf_add(out, s, 1));
		if (depth == 1 && (s == args || *s == ','))
			TRY(buf_addstr(out, "go.shape."));
	}
	return NULL;
}

/*
 * internal/sync.HashTrieMap's node is a header that says which of two types it begins: node{isEntry
 * bool}, entry[K,V], indirect[K,V].  Since 1.27 linkers leave entry[K,V] out, as only the code of
 * its shape uses it.
 */
static struct err *trie_node(struct places *p, uint64_t value, struct go_type **type)
{
	static const char prefix[] = "internal/sync.node[";
	struct go_type *t = *type, *real = NULL;
	uint64_t is_entry;
	char *name;

	if (strncmp(t->name, prefix, sizeof(prefix) - 1) ||
	    !proc_try_uint(&p->h->proc, value, 1, &is_entry))
		return NULL;
	name = arena_printf(&p->arena, "internal/sync.%s[%s", is_entry ? "entry" : "indirect",
			    t->name + sizeof(prefix) - 1);
	if (!name)
		return err_nomem();
	TRY(types_by_name(p->types, name, &real));
	if (!real && !strstr(name, "go.shape.")) {
		_cleanup_buf_ struct buf shape = BUF_INIT;
		const char *args = strchr(name, '[');

		TRY(buf_add(&shape, name, (size_t)(args - name)));
		TRY(shape_args(args, &shape));
		TRY(types_by_name(p->types, (const char *)shape.data, &real));
	}
	if (real)
		*type = real;
	return NULL;
}

/* The struct around a T that the pointer leads to the middle of. */
static struct err *pointee_container(struct places *p, const struct known_container *c,
				     const struct span *sp, uint64_t *off, struct go_type **t)
{
	struct go_type *outer;

	TRY(types_by_name(p->types, c->outer, &outer));
	if (!outer)
		return NULL;
	TRY(types_expand(p->types, outer));
	for (uint32_t i = 0; i < outer->nfields; i++) {
		const struct go_field *f = &outer->fields[i];

		if (strcmp(f->name, c->field) || !f->offset || *off < f->offset ||
		    *off - f->offset + outer->size > sp->elemsize)
			continue;
		*off -= f->offset;
		*t = outer;
	}
	return NULL;
}

/* A T at the pointer, or what the pointer is known to hide. */
static struct err *place_pointee(struct places *p, struct go_type *t, uint64_t value,
				 const struct span *sp, uint32_t index, uint32_t *place)
{
	uint64_t off = value - span_slot(sp, index);
	const struct known_container *around = known_container(t->name);
	const char *hidden = known_pointee(t->name);
	struct go_type *real = NULL;

	if (around)
		TRY(pointee_container(p, around, sp, &off, &t));
	else if (hidden)
		TRY(types_by_name(p->types, hidden, &real));
	else
		TRY(trie_node(p, value, &t));
	if (real && off + real->size <= sp->elemsize)
		t = real;
	return place_get(p, PLACE_ONE, t, off, place);
}

/*
 * Of the layouts that the closure may have, the one that explains most of the object's pointers.  A
 * generic function's closures captured its dictionary in 1.18 and 1.19: a word before the others
 * that DWARF does not mention.
 */
static struct err *place_captures(struct places *p, const struct func *f, uint64_t value,
				  const struct span *sp, uint32_t index, uint32_t *place)
{
	uint64_t off = value - span_slot(sp, index), bits, word = p->h->proc.fmt.word;
	bool small = span_untyped(sp) && ptr_first_bits(&p->h->proc, sp, index, &bits);
	unsigned shifts = small && strchr(f->name, '[') ? 2 : 1;
	int best = -1;

	for (unsigned variant = 0;; variant++) {
		struct go_type *t;

		TRY(types_closure(p->types, f->entry, f->name, variant, &t));
		if (!t)
			return NULL;
		for (unsigned shift = 0; shift < shifts; shift++) {
			int fit = 0;
			uint32_t pl;

			TRY(place_get(p, PLACE_ONE, t, off + shift * word, &pl));
			if (pl && small)
				fit = place_fit(p, pl, sp, bits);
			if (pl && fit > best) {
				best = fit;
				*place = pl;
			}
		}
	}
}

struct err *func_resolve(struct places *p, uint64_t value, const struct span *sp, uint32_t index,
			 uint32_t *place, const struct func **closure)
{
	const struct func *f;
	const char *known;
	struct go_type *t;
	unsigned off = 0;
	uint64_t entry;

	*place = 0;
	if (!proc_try_word(&p->h->proc, value, &entry))
		return NULL; /* a pointer-free closure: its contents were not captured */
	TRY(func_find(&p->h->proc, entry, &f));
	if (!f || f->entry != entry)
		return NULL;
	*closure = f;
	known = known_closure(f->name, p->h->proc.fmt.word, &p->arena, &off);
	if (!known)
		return place_captures(p, f, value, sp, index, place);
	TRY(types_by_name(p->types, known, &t));
	if (off && t)
		TRY(types_method_value(p->types, entry, f->name, t, &t));
	else if (!t) /* a closure all the same */
		TRY(types_closure(p->types, entry, f->name, 0, &t));
	return place_get(p, PLACE_ONE, t, value - span_slot(sp, index), place);
}

struct err *place_of_closure(struct places *p, const struct span *sp, uint32_t index, uint64_t bits,
			     uint32_t *place)
{
	const struct func *f = NULL;

	*place = 0;
	return bits & 1 ? NULL : func_resolve(p, span_slot(sp, index), sp, index, place, &f);
}

static struct err *resolve_leaf(struct places *p, struct go_type *t, uint64_t leaf_off,
				uint64_t addr, uint64_t value, const struct span *sp,
				uint32_t index, uint32_t *place, struct seen *seen, int depth);

struct err *iface_dynamic(struct places *p, const struct go_type *t, uint64_t addr,
			  struct go_type **ret)
{
	const struct proc *pr = &p->h->proc;
	uint64_t rtype;

	*ret = NULL;
	if (!proc_try_word(pr, addr - pr->fmt.word, &rtype) || !rtype)
		return NULL;
	if (t->kind == KIND_INTERFACE && !t->is_iface_empty &&
	    !proc_try_word(pr, rtype + layout_off(&pr->layout, L_itab_type), &rtype))
		return NULL;
	return types_from_runtime(p->types, rtype, ret);
}

/* The outermost interface's contents are what a reader wants to know. */
static void see_type(struct seen *seen, struct go_type *dyn, bool any)
{
	if (seen->type)
		return;
	seen->type = dyn;
	seen->any = any;
}

/* A word that is a value of type dyn (direct), or a pointer to one. */
static struct err *resolve_value(struct places *p, struct go_type *dyn, bool direct, uint64_t addr,
				 uint64_t value, const struct span *sp, uint32_t index,
				 uint32_t *place, struct seen *seen, int depth)
{
	if (!direct)
		return place_pointee(p, dyn, value, sp, index, place);
	return resolve_leaf(p, dyn, 0, addr, value, sp, index, place, seen, depth + 1);
}

/* An interface's data word: its value, or a pointer to it. */
static struct err *resolve_iface(struct places *p, struct go_type *t, uint64_t addr, uint64_t value,
				 const struct span *sp, uint32_t index, uint32_t *place,
				 struct seen *seen, int depth)
{
	struct go_type *dyn;

	TRY(iface_dynamic(p, t, addr, &dyn));
	if (!dyn)
		return NULL;
	see_type(seen, dyn, t->kind != KIND_INTERFACE || t->is_iface_empty);
	return resolve_value(p, dyn, dyn->direct, addr, value, sp, index, place, seen, depth);
}

/* reflect.Value {typ_, ptr, flag}: ptr is the value itself only if it is pointer-shaped and not
 * flagIndir. */
static struct err *resolve_reflect(struct places *p, uint64_t addr, uint64_t value,
				   const struct span *sp, uint32_t index, uint32_t *place,
				   struct seen *seen, int depth)
{
	enum { FLAG_INDIR = 1 << 7 }; /* reflect/value.go */
	const struct proc *pr = &p->h->proc;
	uint64_t rtype, flag;
	struct go_type *dyn;

	if (!proc_try_word(pr, addr - pr->fmt.word, &rtype) || !rtype ||
	    !proc_try_word(pr, addr + pr->fmt.word, &flag))
		return NULL;
	TRY(types_from_runtime(p->types, rtype, &dyn));
	if (!dyn)
		return NULL;
	see_type(seen, dyn, true);
	return resolve_value(p, dyn, dyn->direct && !(flag & FLAG_INDIR), addr, value, sp, index,
			     place, seen, depth);
}

static struct err *resolve_leaf(struct places *p, struct go_type *t, uint64_t leaf_off,
				uint64_t addr, uint64_t value, const struct span *sp,
				uint32_t index, uint32_t *place, struct seen *seen, int depth)
{
	uint64_t slot = span_slot(sp, index), off = value - slot;

	if (depth > LIMIT_TYPE_DEPTH)
		return NULL;
	TRY(types_expand(p->types, t));
	switch (t->kind) {
	case KIND_POINTER:
		return t->elem ? place_pointee(p, t->elem, value, sp, index, place) : NULL;
	case KIND_SLICE:
		if (!t->elem || !t->elem->size || leaf_off)
			return NULL;
		/* the slice may begin in the middle of its array */
		off = span_data_off(sp) + (off - span_data_off(sp)) % t->elem->size;
		return place_get(p, PLACE_TILE, t->elem, off, place);
	case KIND_MAP:
		return t->map ? place_get(p, PLACE_MAP, t, span_data_off(sp), place) : NULL;
	case KIND_CHAN:
		return place_get(p, PLACE_CHAN, t, span_data_off(sp), place);
	case KIND_FUNC:
		return func_resolve(p, value, sp, index, place, &seen->closure);
	case KIND_INTERFACE:
		if (leaf_off != p->h->proc.fmt.word)
			return NULL; /* a type made by reflect */
		return resolve_iface(p, t, addr, value, sp, index, place, seen, depth);
	/* a pointer-shaped struct in an interface, or an interface in all but name */
	case KIND_STRUCT:
		if (leaf_off && !strcmp(t->name, "reflect.Value"))
			return resolve_reflect(p, addr, value, sp, index, place, seen, depth);
		if (leaf_off)
			return resolve_iface(p, t, addr, value, sp, index, place, seen, depth);
		__attribute__((fallthrough));
	case KIND_ARRAY: {
		const struct edge *e;

		TRY(edge_of_type(p, t, 0, &e));
		if (e->target != EDGE_LEAF || e->type->kind == KIND_STRUCT)
			return NULL;
		return resolve_leaf(p, e->type, e->leaf_off, addr, value, sp, index, place, seen,
				    depth + 1);
	}
	default:
		return NULL;
	}
}

struct err *value_resolve(struct places *p, struct go_type *dyn, uint64_t addr, uint64_t value,
			  const struct span *sp, uint32_t index, uint32_t *place)
{
	struct seen seen = { 0 };

	*place = 0;
	return resolve_value(p, dyn, dyn->direct, addr, value, sp, index, place, &seen, 0);
}

/* A map's dirPtr leads to its one group, or to a directory where dirLen is not 0. */
static enum place_mode mode_of_dir(const struct proc *p, uint64_t addr, enum place_mode mode)
{
	uint64_t header = addr - layout_off(&p->layout, L_map_dirPtr), dirlen;
	bool known = proc_try_uint(p, header + layout_off(&p->layout, L_map_dirLen),
				   layout_size(&p->layout, L_map_dirLen), &dirlen);

	return known && dirlen ? PLACE_MAP_DIR : mode;
}

/* Pointer-free contents are not captured: only the words beside the pointer can be asked. */
static struct err *resolve_noscan(struct places *p, const struct edge *e, uint64_t addr,
				  struct seen *seen)
{
	const struct go_type *t = e->type;

	if (e->target != EDGE_LEAF || t->kind != KIND_INTERFACE ||
	    e->leaf_off != p->h->proc.fmt.word)
		return NULL;
	seen->any = t->is_iface_empty;
	return iface_dynamic(p, t, addr, &seen->type);
}

struct err *edge_resolve(struct places *p, const struct edge *e, uint64_t addr, uint64_t value,
			 const struct span *sp, uint32_t index, uint32_t *place, struct seen *seen)
{
	*place = 0;
	*seen = (struct seen){ 0 };
	if (sp->ptrs == SPAN_NOSCAN)
		return resolve_noscan(p, e, addr, seen);
	if (e->target == EDGE_LEAF)
		return resolve_leaf(p, e->type, e->leaf_off, addr, value, sp, index, place, seen,
				    0);
	if (e->target == EDGE_PLACE) {
		enum place_mode mode = e->dir ? mode_of_dir(&p->h->proc, addr, e->mode) : e->mode;

		return place_get(p, mode, e->type, span_data_off(sp), place);
	}
	return NULL;
}

struct err *place_of_header(struct places *p, const struct span *sp, uint32_t index,
			    uint32_t *place)
{
	const struct proc *pr = &p->h->proc;
	uint64_t rtype = sp->large_type, off = span_data_off(sp), room = sp->elemsize - off;
	struct go_type *t;

	*place = 0;
	if (sp->ptrs != SPAN_HEADER && sp->ptrs != SPAN_LARGE)
		return NULL;
	if (sp->ptrs == SPAN_HEADER && !proc_try_word(pr, span_slot(sp, index), &rtype))
		return NULL;
	if (!rtype)
		return NULL;
	TRY(types_from_runtime(p->types, rtype, &t));
	if (!t || !t->size)
		return NULL;
	if (t->kind == KIND_STRUCT && !t->die) {
		struct go_type *map;

		TRY(types_map_of_group(p->types, rtype, &map));
		if (map)
			TRY(types_expand(p->types, map));
		if (map && map->map)
			return place_get(p, PLACE_MAP_GROUPS, map, off, place);
	}
	/* Size classes never leave room for a second one: where two fit, it is an array. */
	return place_get(p, room / t->size > 1 ? PLACE_TILE : PLACE_ONE, t, off, place);
}
