/*
 * Variables without a name, by who uses them: ".data+0x70a0 (osutil.RegisterInterruptHandler)".
 *
 * All code is scanned once for references into data.  Those that lead to a root, or to at most 16
 * bytes before it (the beginning of a small struct), vote: for their package first, then for their
 * function in it.  Package initializers touch what is not theirs, and count less.  A root further
 * on in a larger variable, such as an array, has no votes: it is who uses the nearest address
 * before it that is used at all.
 *
 * What the runtime uses, and the list of all pools, come with the runtime's own variables: they
 * reach everything.
 */
#include <stdlib.h>
#include <string.h>

#include "base/search.h"
#include "heap/mark/namer.h"
#include "heap/runtime/code_refs.h"
#include "heap/types/type_short.h"

enum {
	BACK = 16,       /* bytes before a root where its variable may begin */
	FIRST = 1 << 16, /* bytes before the first root that are looked at */
	/* What a vote weighs: an address to the byte decides, whatever the others say. */
	VOTE = 4,
	VOTE_INIT = 1,
	EXACT = 1 << 12,
	WORD_BEFORE = 1 << 6,
};

/* A root that has no name, by address. */
struct nameless {
	uint64_t addr;
	struct mark_root *root;
	const struct func *user; /* who won the votes; NULL: nobody voted */
	/* The nearest address before it that code refers to, behind the root before it, and who
	 * does. */
	uint64_t nearest;
	const struct func *near_user;
};

/* Votes for a function, for one root. */
struct vote {
	uint32_t root; /* index of a nameless */
	uint64_t weight;
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

static struct err *vote(struct users *u, uint32_t root, const struct func *f, uint32_t weight)
{
	uint64_t *slot, key = hash64(f->entry) ^ root;
	bool is_new;

	TRY(map64_put(&u->index, key, u->votes.n, &slot, &is_new));
	if (is_new)
		TRY(vec_push(&u->votes, ((struct vote){ root, 0, f })));
	u->votes.v[*slot].weight += weight * (is_init(f->name) ? VOTE_INIT : VOTE);
	return NULL;
}

static struct err *reference(void *arg, struct code_ref ref)
{
	struct users *u = arg;
	size_t i = search_first(u->roots.n, nameless_reached, &(struct users_key){ u, ref.target });
	const struct func *f = NULL;
	struct nameless *next;

	if (i == u->roots.n || ref.target & (u->n->h->proc.fmt.word - 1))
		return NULL;
	next = &u->roots.v[i];
	if (next->addr - ref.target > BACK && ref.target <= next->nearest)
		return NULL;
	TRY(func_find(&u->n->h->proc, ref.pc, &f));
	if (!f)
		return NULL;
	if (ref.target > next->nearest) {
		next->nearest = ref.target;
		next->near_user = f;
	}
	for (; i < u->roots.n && u->roots.v[i].addr - ref.target <= BACK; i++) {
		uint64_t back = u->roots.v[i].addr - ref.target;

		TRY(vote(u, (uint32_t)i, f,
			 !back                          ? EXACT :
			 back <= u->n->h->proc.fmt.word ? WORD_BEFORE :
							  1));
	}
	return NULL;
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

/* Who has most votes for each root. */
static void count_votes(struct users *u)
{
	struct vote *v = u->votes.v;
	uint64_t most = 0;

	if (u->votes.n > 1)
		qsort(v, u->votes.n, sizeof(*v), vote_cmp);
	for (size_t i = 0, end; i < u->votes.n; i = end) {
		uint64_t sum = 0;

		for (end = i; end < u->votes.n && same_package(&v[i], &v[end]); end++)
			sum += v[end].weight;
		if (!i || v[i - 1].root != v[i].root)
			most = 0;
		if (sum > most) {
			most = sum;
			u->roots.v[v[i].root].user = v[i].func;
		}
	}
}

static bool is_runtimes(const struct namer *n, const struct func *f)
{
	return package_layer(&n->places->packages, f->name) == LAYER_RUNTIME ||
	       !strcmp(f->name, "sync.poolCleanup") || !strcmp(f->name, "sync.(*Pool).pinSlow");
}

static struct err *name_after(struct users *u, struct mark_root *r, const struct func *f)
{
	_cleanup_buf_ struct buf name = BUF_INIT;

	TRY(type_short(f->name, &name));
	r->label = arena_printf(u->n->arena, "%s (%s)", r->label, (const char *)name.data);
	if (is_runtimes(u->n, f))
		r->pass = PASS_RUNTIME;
	return r->label ? NULL : err_nomem();
}

static struct err *name_all_users(struct users *u)
{
	const struct func *last = NULL; /* of the variable that the root before is in */

	for (size_t i = 0; i < u->roots.n; i++) {
		const struct nameless *x = &u->roots.v[i];

		if (x->user || x->near_user)
			last = x->user ? x->user : x->near_user;
		if (last)
			TRY(name_after(u, x->root, last));
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
			TRY(vec_push(&u.roots,
				     ((struct nameless){ .addr = r->r.addr, .root = r })));
	}
	if (!u.roots.n || !p->stripped)
		return NULL;
	qsort(u.roots.v, u.roots.n, sizeof(*u.roots.v), nameless_cmp);
	for (size_t i = 0; i < p->modules.v.n; i++)
		TRY(code_refs(p, &p->modules.v.v[i], u.roots.v[0].addr - FIRST,
			      u.roots.v[u.roots.n - 1].addr + 1, reference, &u, &known));
	count_votes(&u);
	return name_all_users(&u);
}
