/*
 * Variables without a name, by who uses them: ".data+0x70a0 (osutil.RegisterInterruptHandler)".
 *
 * All code is scanned once for references into data.  Those that lead to a root, or to at most 16
 * bytes before it (the beginning of a small struct), vote: for their package first, then for their
 * function in it.  Package initializers touch what is not theirs, and count less.
 */
#include <stdlib.h>
#include <string.h>

#include "base/search.h"
#include "heap/mark/namer.h"
#include "heap/runtime/code_refs.h"
#include "heap/types/type_short.h"

enum { BACK = 16, VOTE = 4, VOTE_INIT = 1 };

/* A root that has no name, by address. */
struct nameless {
	uint64_t addr;
	struct mark_root *root;
};

/* Votes for a function, for one root. */
struct vote {
	uint32_t root; /* index of a nameless */
	uint32_t weight;
	const struct func *func;
};

struct users {
	struct namer *n;
	VEC(struct nameless) roots; /* sorted */
	VEC(struct vote) votes;
	struct map64 index; /* hash of root and function -> vote */
};

static void users_deinit(struct users *u)
{
	vec_deinit(&u->roots);
	vec_deinit(&u->votes);
	map64_deinit(&u->index);
}

static int nameless_cmp(const void *a, const void *b)
{
	const struct nameless *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return x->root < y->root ? -1 : x->root > y->root;
}

struct users_key {
	const struct users *u;
	uint64_t addr;
};

static bool nameless_reached(const void *arg, size_t i)
{
	const struct users_key *k = arg;

	return k->u->roots.v[i].addr >= k->addr;
}

/* "a/b.init", "a/b.init.0", "a/b.map.init.1" */
static bool is_init(const char *name)
{
	const char *dot = strrchr(name, '/') ? strrchr(name, '/') : name;

	for (dot = strchr(dot, '.'); dot; dot = strchr(dot + 1, '.'))
		if (!strncmp(dot, ".init", 5) && (!dot[5] || dot[5] == '.'))
			return true;
	return false;
}

/* The length of a function's import path and package. */
static size_t package_len(const char *name)
{
	const char *slash = strrchr(name, '/'), *args = strchr(name, '[');

	if (args && slash > args) { /* a type argument's */
		for (slash = args; slash > name && *slash != '/';)
			slash--;
	}
	return (size_t)(strchrnul(slash && *slash == '/' ? slash : name, '.') - name);
}

static struct err *vote(struct users *u, uint32_t root, const struct func *f)
{
	uint64_t *slot, key = hash64(f->entry) ^ root;
	bool is_new;

	TRY(map64_put(&u->index, key, u->votes.n, &slot, &is_new));
	if (is_new)
		TRY(vec_push(&u->votes, ((struct vote){ root, 0, f })));
	u->votes.v[*slot].weight += is_init(f->name) ? VOTE_INIT : VOTE;
	return NULL;
}

static struct err *reference(void *arg, struct code_ref ref)
{
	struct users *u = arg;
	size_t i = search_first(u->roots.n, nameless_reached, &(struct users_key){ u, ref.target });
	const struct func *f = NULL;

	if (i == u->roots.n || u->roots.v[i].addr - ref.target > BACK)
		return NULL;
	TRY(func_find(&u->n->h->proc, ref.pc, &f));
	return f ? vote(u, (uint32_t)i, f) : NULL;
}

/* By root, then package; the heaviest function of a package first. */
static int vote_cmp(const void *a, const void *b)
{
	const struct vote *x = a, *y = b;
	size_t n, m;
	int c;

	if (x->root != y->root)
		return x->root < y->root ? -1 : 1;
	n = package_len(x->func->name);
	m = package_len(y->func->name);
	c = memcmp(x->func->name, y->func->name, n < m ? n : m);
	if (c || n != m)
		return c ? c : n < m ? -1 : 1;
	if (x->weight != y->weight)
		return x->weight > y->weight ? -1 : 1;
	return x->func->entry < y->func->entry ? -1 : x->func->entry > y->func->entry;
}

static bool same_package(const struct vote *a, const struct vote *b)
{
	size_t n = package_len(a->func->name);

	return a->root == b->root && n == package_len(b->func->name) &&
	       !memcmp(a->func->name, b->func->name, n);
}

static struct err *name_after(struct users *u, const struct vote *v)
{
	struct mark_root *r = u->roots.v[v->root].root;
	_cleanup_buf_ struct buf name = BUF_INIT;

	TRY(type_short(v->func->name, &name));
	r->label = arena_printf(u->n->arena, "%s (%s)", r->label, (const char *)name.data);
	return r->label ? NULL : err_nomem();
}

static struct err *count_votes(struct users *u)
{
	struct vote *v = u->votes.v;
	size_t best = 0;
	uint64_t most = 0;

	if (u->votes.n > 1)
		qsort(v, u->votes.n, sizeof(*v), vote_cmp);
	for (size_t i = 0, end; i < u->votes.n; i = end) {
		uint64_t sum = 0;

		for (end = i; end < u->votes.n && same_package(&v[i], &v[end]); end++)
			sum += v[end].weight;
		if (sum > most) {
			most = sum;
			best = i;
		}
		if (end == u->votes.n || v[end].root != v[i].root) {
			TRY(name_after(u, &v[best]));
			most = 0;
		}
	}
	return NULL;
}

struct err *name_users(struct namer *n, struct mark_roots *roots)
{
	_cleanup_(users_deinit) struct users u = { .n = n };
	struct proc *p = &n->h->proc;
	bool known;

	for (size_t i = 0; i < roots->n; i++) {
		struct mark_root *r = &roots->v[i];

		if (r->r.kind == ROOT_DATA && r->label && *r->label == '.')
			TRY(vec_push(&u.roots, ((struct nameless){ r->r.addr, r })));
	}
	if (!u.roots.n)
		return NULL;
	qsort(u.roots.v, u.roots.n, sizeof(*u.roots.v), nameless_cmp);
	for (size_t i = 0; i < p->modules.v.n; i++)
		TRY(code_refs(p, &p->modules.v.v[i], u.roots.v[0].addr - BACK,
			      u.roots.v[u.roots.n - 1].addr + 1, reference, &u, &known));
	return count_votes(&u);
}
