/*
 * Variables without a name, by who uses them: ".data+0x70a0 (osutil.RegisterInterruptHandler)".
 *
 * All code is scanned once for references into data.  Those that lead to a root, or to at most 16
 * bytes before it (the beginning of a small struct), vote for a package, and for their function in
 * it.  The package is
 *
 *	the one whose initializer writes there, as the compiler made it: it writes only its own's;
 *	else, of those that refer to the very address, the one on which the others depend: a
 *	variable's package is imported by whoever else uses it;
 *	else the one with most votes.
 *
 * A root further on in a larger variable, such as an array, has no votes: it is who uses the
 * nearest address before it that is used at all.  A variable that another one points to
 * (DefaultServeMux is &defaultServeMux, a slice its array) is the other's user's, as far as code
 * says no better.
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
	/* What a vote weighs, by how far before the root it leads.  Initializers touch all. */
	VOTE = 4,
	VOTE_INIT = 1,
	WORD_BEFORE = 1 << 6,
	EXACT = 1 << 12,
};

/* A word of a variable, by address: a root that has no name, or what leads to other variables. */
struct nameless {
	uint64_t addr;
	struct mark_root *root;  /* NULL: none */
	uint64_t leads_to;       /* where else in variables; 0: it is a root */
	const struct func *user; /* who won the votes; NULL: nobody voted */
	/* The nearest address before it that code refers to, behind the root before it, and who
	 * does. */
	uint64_t nearest;
	const struct func *near_user;
};

static const struct func *user_of(const struct nameless *x)
{
	return x->user ? x->user : x->near_user;
}

/* Votes for a function, for one root. */
struct vote {
	uint32_t root; /* index of a nameless */
	uint64_t weight;
	const struct func *func;
	bool exact;
	bool initializes; /* the compiler's initializer writes there */
};

struct users {
	struct namer *n;
	VEC(struct nameless) roots; /* sorted */
	VEC(struct vote) votes;
	struct map64 index;    /* hash of root and function -> vote */
	struct map64 packages; /* hash of its path -> its place among all, in order of dependence */
};

static void users_deinit(struct users *u)
{
	vec_deinit(&u->roots);
	vec_deinit(&u->votes);
	map64_deinit(&u->index);
	map64_deinit(&u->packages);
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

/* "a/b.init", "a/b.init.0", "a/b.map.init.1"; *made: by the compiler, as the first and the third */
static bool is_init(const char *name, bool *made)
{
	const char *dot = strrchr(name, '/') ? strrchr(name, '/') : name, *first;

	for (first = dot = strchr(dot, '.'); dot; dot = strchr(dot + 1, '.')) {
		if (strncmp(dot, ".init", 5) || (dot[5] && dot[5] != '.'))
			continue;
		*made = !dot[5] || dot > first;
		return true;
	}
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

static struct err *vote(struct users *u, uint32_t root, const struct func *f, struct code_ref ref)
{
	uint64_t *slot, back = u->roots.v[root].addr - ref.target, key = hash64(f->entry) ^ root;
	bool is_new, made = false, init = is_init(f->name, &made);
	struct vote *v;

	TRY(map64_put(&u->index, key, u->votes.n, &slot, &is_new));
	if (is_new)
		TRY(vec_push(&u->votes, ((struct vote){ .root = root, .func = f })));
	v = &u->votes.v[*slot];
	v->weight += (uint64_t)(init ? VOTE_INIT : VOTE) * (!back ? EXACT :
							    back <= u->n->h->proc.fmt.word ?
								    WORD_BEFORE :
								    1);
	v->exact |= !back;
	v->initializes |= !back && ref.store && made;
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
	for (; i < u->roots.n && u->roots.v[i].addr - ref.target <= BACK; i++)
		TRY(vote(u, (uint32_t)i, f, ref));
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

/*
 * Where packages stand in order of dependence: that of the code, in which the linker puts packages
 * behind what they import (cmd/link/internal/ld/lib.go, postorder), and of the functions' names.
 */
static struct err *order_packages(struct users *u, const struct module *m)
{
	const char *name = (const char *)m->funcnametab.data, *end;
	uint64_t *slot;
	bool is_new;

	if (!name)
		return NULL;
	for (end = name + m->funcnametab.len; name < end && memchr(name, 0, (size_t)(end - name));
	     name += strlen(name) + 1) {
		size_t len = package_len(name);

		if (name[len] == '.') /* assembly's "main", "_rt0_amd64_linux" have no package */
			TRY(map64_put(&u->packages, hash_str(name, len), u->packages.n, &slot,
				      &is_new));
	}
	return NULL;
}

/* The votes of one package for a root. */
struct ballot {
	bool initializes, exact;
	uint64_t sum, place;
};

static bool ballot_wins(const struct ballot *a, const struct ballot *b)
{
	if (a->initializes != b->initializes)
		return a->initializes;
	if (a->exact != b->exact)
		return a->exact;
	if (a->exact && a->place != b->place)
		return a->place < b->place;
	return a->sum > b->sum;
}

static void count_votes(struct users *u)
{
	struct vote *v = u->votes.v;
	struct ballot best = { 0 };

	if (u->votes.n > 1)
		qsort(v, u->votes.n, sizeof(*v), vote_cmp);
	for (size_t i = 0, end; i < u->votes.n; i = end) {
		const char *name = v[i].func->name;
		struct ballot b = { .place = UINT64_MAX };
		const uint64_t *place = map64_get(&u->packages, hash_str(name, package_len(name)));

		if (place)
			b.place = *place;
		for (end = i; end < u->votes.n && same_package(&v[i], &v[end]); end++) {
			b.sum += v[end].weight;
			b.exact |= v[end].exact;
			b.initializes |= v[end].initializes;
		}
		if (i && v[i - 1].root == v[i].root && !ballot_wins(&b, &best))
			continue;
		best = b;
		u->roots.v[v[i].root].user = v[i].func;
	}
}

static bool is_runtimes(const struct namer *n, const struct func *f)
{
	return package_layer(&n->places->packages, f->name) == LAYER_RUNTIME ||
	       !strcmp(f->name, "sync.poolCleanup") || !strcmp(f->name, "sync.(*Pool).pinSlow");
}

static struct err *name_after(struct users *u, struct mark_root *r, const struct func *f)
{
	struct root_list *list = u->n->list;
	struct root_name user = *root_name_of(list, r);
	_cleanup_buf_ struct buf name = BUF_INIT;

	TRY(type_short(f->name, &name));
	user.label = arena_printf(u->n->arena, "%s (%s)", user.label, (const char *)name.data);
	if (!user.label)
		return err_nomem();
	if (is_runtimes(u->n, f))
		r->pass = PASS_RUNTIME;
	return root_list_name(list, &user, &r->name);
}

static struct err *name_all_users(struct users *u)
{
	const struct func *last = NULL; /* of the variable that the root before is in */

	for (size_t i = 0; i < u->roots.n; i++) {
		const struct nameless *x = &u->roots.v[i];

		if (user_of(x))
			last = user_of(x);
		if (last && x->root)
			TRY(name_after(u, x->root, last));
	}
	return NULL;
}

/* ------------------------------------------------------------------ from variable to variable */

/* Adds the words of a segment that lead to variables between lo and hi. */
static struct err *add_links(struct users *u, const struct bitmap_root *segment, uint64_t lo,
			     uint64_t hi)
{
	struct proc *p = &u->n->h->proc;
	uint64_t len, to;
	const uint8_t *words = image_ptr(p->img, segment->start, 1, &len);

	if (!words || segment->end <= segment->start)
		return NULL;
	if (len > segment->end - segment->start)
		len = segment->end - segment->start;
	for (uint64_t off = 0; off + p->fmt.word <= len; off += p->fmt.word) {
		to = bytes_word(p->fmt, words + off);
		if (to - lo < hi - lo && !(to & (p->fmt.word - 1)))
			TRY(vec_push(&u->roots, ((struct nameless){ .addr = segment->start + off,
								    .leads_to = to })));
	}
	return NULL;
}

/* Whoever uses a word that leads to a variable uses that. */
static void follow_links(struct users *u)
{
	for (size_t i = 0; i < u->roots.n; i++) {
		const struct nameless *x = &u->roots.v[i];
		size_t k;
		struct nameless *to;

		if (!x->leads_to || !user_of(x))
			continue;
		k = search_first(u->roots.n, nameless_reached,
				 &(struct users_key){ u, x->leads_to });
		to = k < u->roots.n ? &u->roots.v[k] : NULL;
		if (!to || to->user || to->nearest >= x->leads_to)
			continue;
		to->nearest = x->leads_to;
		to->near_user = user_of(x);
	}
}

/* ------------------------------------------------------------------ all */

struct err *name_users(struct namer *n)
{
	_cleanup_(users_deinit) struct users u = { .n = n };
	struct proc *p = &n->h->proc;
	uint64_t lo, hi;
	bool known;

	for (size_t i = 0; i < n->list->roots.n; i++) {
		struct mark_root *r = &n->list->roots.v[i];
		const char *label = root_name_of(n->list, r)->label;

		if (r->kind == ROOT_DATA && label && *label == '.')
			TRY(vec_push(&u.roots, ((struct nameless){ .addr = r->addr, .root = r })));
	}
	if (!u.roots.n || !p->stripped)
		return NULL;
	qsort(u.roots.v, u.roots.n, sizeof(*u.roots.v), nameless_cmp);
	lo = u.roots.v[0].addr - FIRST;
	hi = u.roots.v[u.roots.n - 1].addr + 1;
	for (size_t i = 0; i < p->modules.v.n; i++) {
		TRY(add_links(&u, &p->modules.v.v[i].data, lo, hi));
		TRY(add_links(&u, &p->modules.v.v[i].bss, lo, hi));
	}
	qsort(u.roots.v, u.roots.n, sizeof(*u.roots.v), nameless_cmp);
	for (size_t i = 0; i < p->modules.v.n; i++) {
		TRY(order_packages(&u, &p->modules.v.v[i]));
		TRY(code_refs(p, &p->modules.v.v[i], lo, hi, reference, &u, &known));
	}
	count_votes(&u);
	follow_links(&u);
	return name_all_users(&u);
}
