/*
 * Who keeps it, as a small tree: each large root is followed down as long as one step has most of
 * it, and where the way branches its large branches are shown.  What a line says is retained by
 * what it names: what would be free without it.
 */
#include "output/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum {
	ROOTS = 8,          /* with lines of their own */
	LINES = 18,         /* in all */
	STEPS = 6,          /* down from a root */
	BRANCHES = 3,       /* where it branches */
	MOST_PERCENT = 70,  /* of its parent: the way goes on there */
	LARGE_PERCENT = 10, /* of what is live: a root that is followed, a branch that is shown */
	WIDTH = 80,
};

struct owners {
	struct buf *b;
	const struct profile *p;
	const struct code_lines *lines_of; /* the report's */
	uint32_t *first, *next;            /* children by node; 0: none */
	uint64_t live;
	unsigned lines;
};

static uint64_t keeps(const struct owners *o, uint32_t node)
{
	return o->p->more.v[node].retained;
}

static bool is_large(const struct owners *o, uint32_t node)
{
	return keeps(o, node) && keeps(o, node) >= o->live / 100 * LARGE_PERCENT;
}

/* A name that is too long for the line loses its middle. */
static struct err *add_cut(struct buf *b, const char *text, size_t room)
{
	_cleanup_buf_ struct buf clean = BUF_INIT;
	size_t n, head, tail;
	const char *s;

	TRY(strstr(text, ". (") ? text_add_clean(&clean, text, false) :
				  text_add_short(&clean, text));
	s = (const char *)clean.data;
	n = clean.len;
	if (n <= room || room < 12)
		return buf_addstr(b, s);
	head = room * 2 / 3;
	tail = n - (room - head - 1);
	while (head && ((unsigned char)s[head] & 0xc0) == 0x80)
		head--;
	while (s[tail] && ((unsigned char)s[tail] & 0xc0) == 0x80)
		tail++;
	TRY(buf_add(b, s, head));
	TRY(buf_addstr(b, "…"));
	return buf_addstr(b, s + tail);
}

/* The frame's name and, where it is a function's and there is room, the place of that. */
static struct err *add_name(struct owners *o, const char *frame, size_t room)
{
	const struct code_line *at = code_lines_find(o->lines_of, frame);
	_cleanup_buf_ struct buf place = BUF_INIT;
	size_t before = o->b->len;

	TRY(add_cut(o->b, frame, room));
	if (at)
		TRY(text_add_place(&place, at));
	if (!place.len || o->b->len - before + place.len > room)
		return NULL;
	return buf_addstr(o->b, (const char *)place.data);
}

static struct err *add_node(struct owners *o, uint32_t node, unsigned indent)
{
	char s[TEXT_BYTES_SIZE], n[TEXT_COUNT_SIZE];
	uint64_t instances = o->p->more.v[node].instances;
	int room = WIDTH - 22 - (int)indent * 2 - (instances > 1 ? 14 : 0);

	o->lines++;
	TRY(buf_addf(o->b, "%12s  %3.0f %%  %*s", text_bytes(keeps(o, node), s),
		     o->live ? 100.0 * (double)keeps(o, node) / (double)o->live : 0,
		     (int)indent * 2, ""));
	if (!indent && o->p->nodes.v[node].parent) {
		const char *group =
			o->p->frames.str[o->p->nodes.v[o->p->nodes.v[node].parent].frame];
		const char *word = strcmp(group, "[goroutines]") ? group : "goroutines in";

		TRY(text_add_clean(o->b, word, false));
		TRY(buf_addstr(o->b, strcmp(group, "[goroutines]") ? ";" : " "));
		room -= (int)strlen(word) + 1;
	}
	TRY(add_name(o, o->p->frames.str[o->p->nodes.v[node].frame],
		     room < 20 ? 20 : (size_t)room));
	if (instances > 1)
		TRY(buf_addf(o->b, "  × %s", text_count(instances, n)));
	return buf_addstr(o->b, "\n");
}

static uint32_t largest(const struct owners *o, uint32_t node, uint64_t below, uint32_t behind)
{
	uint32_t best = 0;

	for (uint32_t c = o->first[node]; c; c = o->next[c])
		if ((keeps(o, c) < below || (keeps(o, c) == below && c > behind)) &&
		    (!best || keeps(o, c) > keeps(o, best)))
			best = c;
	return best;
}

static struct err *add_branches(struct owners *o, uint32_t node, unsigned indent)
{
	uint32_t child = largest(o, node, UINT64_MAX, 0);

	for (unsigned i = 0; i < BRANCHES && child && is_large(o, child) && o->lines < LINES; i++) {
		TRY(add_node(o, child, indent));
		child = largest(o, node, keeps(o, child), child);
	}
	return NULL;
}

static struct err *add_way(struct owners *o, uint32_t node)
{
	unsigned indent = 0;

	TRY(add_node(o, node, indent++));
	if (!is_large(o, node))
		return NULL;
	for (; indent < STEPS && o->lines < LINES; indent++) {
		uint32_t child = largest(o, node, UINT64_MAX, 0);

		if (!child || keeps(o, child) < keeps(o, node) / 100 * MOST_PERCENT)
			break;
		TRY(add_node(o, child, indent));
		node = child;
	}
	return add_branches(o, node, indent);
}

struct owner {
	uint32_t node;
	uint64_t bytes;
};

static int owner_cmp(const void *a, const void *b)
{
	const struct owner *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return x->node < y->node ? -1 : x->node > y->node;
}

static struct err *add_roots(struct owners *o)
{
	_cleanup_vec_ VEC(struct owner) roots = VEC_INIT;
	char s[TEXT_BYTES_SIZE];
	uint64_t rest = 0;
	size_t i;

	for (uint32_t k = 1; k < o->p->nodes.n; k++) {
		const struct profile_node *v = &o->p->nodes.v[k];

		if (!v->group && (!v->parent || o->p->nodes.v[v->parent].group))
			TRY(vec_push(&roots, ((struct owner){ k, keeps(o, k) })));
	}
	if (roots.n)
		qsort(roots.v, roots.n, sizeof(*roots.v), owner_cmp);
	for (i = 0; i < roots.n && i < ROOTS && o->lines < LINES &&
		    (i < 3 || roots.v[i].bytes >= o->live / 100);
	     i++)
		TRY(add_way(o, roots.v[i].node));
	for (size_t k = i; k < roots.n; k++)
		rest += roots.v[k].bytes;
	if (i < roots.n)
		TRY(buf_addf(o->b, "%12s  %3.0f %%  (%zu more)\n", text_bytes(rest, s),
			     o->live ? 100.0 * (double)rest / (double)o->live : 0, roots.n - i));
	return NULL;
}

static struct err *find_children(struct owners *o)
{
	o->first = calloc(o->p->nodes.n + 1, sizeof(*o->first));
	o->next = calloc(o->p->nodes.n + 1, sizeof(*o->next));
	if (!o->first || !o->next)
		return err_nomem();
	for (size_t i = o->p->nodes.n; --i > 0;) {
		o->next[i] = o->first[o->p->nodes.v[i].parent];
		o->first[o->p->nodes.v[i].parent] = (uint32_t)i;
	}
	return NULL;
}

struct err *owners_add(struct buf *b, const struct report *r)
{
	struct owners o = { .b = b, .p = &r->owners, .lines_of = &r->lines, .live = r->live_bytes };
	struct err *err;

	TRY(buf_addstr(b, "\n       keeps         who\n"));
	err = find_children(&o);
	if (!err)
		err = add_roots(&o);
	free(o.first);
	free(o.next);
	return err;
}
