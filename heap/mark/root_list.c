/* Roots' names are kept once each; two are one if they have the same strings and type. */
#include "heap/mark/root_list.h"

#include "base/buf.h"

void root_list_deinit(struct root_list *l)
{
	vec_deinit(&l->roots);
	vec_deinit(&l->names);
	map64_deinit(&l->by_name);
	strtab_deinit(&l->labels);
}

static uint64_t name_hash(const struct root_name *n)
{
	uint64_t hash = n->func_value;

	hash = hash64(hash ^ (uint64_t)(uintptr_t)n->group);
	hash = hash64(hash ^ (uint64_t)(uintptr_t)n->label);
	hash = hash64(hash ^ (uint64_t)(uintptr_t)n->function);
	return hash64(hash ^ (uint64_t)(uintptr_t)n->type);
}

static bool name_equal(const struct root_name *a, const struct root_name *b)
{
	return a->group == b->group && a->label == b->label && a->function == b->function &&
	       a->type == b->type && a->func_value == b->func_value;
}

struct err *root_list_name(struct root_list *l, const struct root_name *name, uint32_t *ret)
{
	uint64_t *slot;
	bool is_new;

	/* Another name with this hash: the next one is taken. */
	for (uint64_t hash = name_hash(name);; hash++) {
		TRY(map64_put(&l->by_name, hash, l->names.n, &slot, &is_new));
		if (is_new || name_equal(&l->names.v[*slot], name))
			break;
	}
	if (is_new) {
		if (l->names.n > UINT32_MAX)
			return err_create(ERR_LIMIT, "too many names of roots");
		TRY(vec_push(&l->names, *name));
	}
	*ret = (uint32_t)*slot;
	return NULL;
}

struct err *root_list_push(struct root_list *l, const struct named_root *r)
{
	struct root_name name = r->name;
	struct mark_root m = { .addr = r->r.addr,
			       .value = r->r.value,
			       .frame = r->r.frame,
			       .var_off = (uint32_t)r->var_off,
			       .kind = r->r.kind,
			       .pass = r->pass,
			       .conservative = r->r.conservative };

	if (m.var_off != r->var_off) { /* no variable of 4 GB can be linked */
		name.type = NULL;
		m.var_off = 0;
	}
	TRY(root_list_name(l, &name, &m.name));
	return vec_push(&l->roots, m);
}

struct err *root_list_label(struct root_list *l, const char *function, const char *variable,
			    const char **ret)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	uint32_t id;

	TRY(buf_addf(&b, "%s.%s", function, variable));
	TRY(strtab_add(&l->labels, (const char *)b.data, &id));
	*ret = l->labels.str[id];
	return NULL;
}
