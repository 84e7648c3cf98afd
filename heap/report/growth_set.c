/*
 * A node is found by its parent and its frame.  Frames that differ by the number of an element only
 * ("[0]. (T)", "[10+]. (T)" of --fold=none) are one, and roots that differ in their goroutines'
 * labels only are one, too.
 */
#include "heap/report/growth_set.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/intr.h"
#include "base/limits.h"

enum { NODES_PER_CHECK = 4096 };

struct err *growth_set_init(struct growth_set *s)
{
	*s = (struct growth_set){ .types_known = true,
				  .groups_known = true,
				  .types.keys = STRTAB_INIT,
				  .groups.keys = STRTAB_INIT };
	return profile_init(&s->tree);
}

static void columns_deinit(struct growth_columns *c)
{
	for (size_t i = 0; i < c->n; i++)
		vec_deinit(&c->v[i]);
	vec_deinit(c);
}

void growth_set_deinit(struct growth_set *s)
{
	profile_deinit(&s->tree);
	columns_deinit(&s->nodes);
	columns_deinit(&s->unused);
	vec_deinit(&s->unused_of);
	columns_deinit(&s->types.columns);
	columns_deinit(&s->groups.columns);
	strtab_deinit(&s->types.keys);
	strtab_deinit(&s->groups.keys);
	vec_deinit(&s->group_rows);
	vec_deinit(&s->captures);
	arena_deinit(&s->arena);
}

static struct err *copy(struct growth_set *s, const char **text)
{
	if (!*text)
		return NULL;
	*text = arena_strdup(&s->arena, *text);
	return *text ? NULL : err_nomem();
}

/* ------------------------------------------------------------------ is it the same process? */

static bool differ(uint64_t a, uint64_t b)
{
	return a && b && a != b;
}

static const char *capture_name(const struct growth_capture *c)
{
	return c->source ? c->source : "the process";
}

static struct err *check_process(const struct growth_set *s, const struct growth_capture *c,
				 const struct growth_identity *id)
{
	const struct growth_identity *was = &s->identity;

	if (was->build_id && *was->build_id && id->build_id && *id->build_id &&
	    strcmp(was->build_id, id->build_id))
		return err_create(
			ERR_BADDATA,
			"%s is of another build of the program than %s, by the build ids: "
			"what grew cannot be told (--force: compare all the same)",
			capture_name(c), s->identity_of);
	if (differ(was->started_ns, id->started_ns) ||
	    ((!was->started_ns || !id->started_ns) &&
	     differ(was->started_ticks, id->started_ticks)))
		return err_create(ERR_BADDATA,
				  "the program was started again between %s and %s: what grew "
				  "cannot be told (--force: compare all the same)",
				  s->identity_of, capture_name(c));
	return NULL;
}

static struct err *check_rules(const struct growth_set *s, const struct growth_capture *c,
			       const struct growth_identity *id)
{
	const struct growth_identity *was = &s->identity;
	const char *what = was->folded != id->folded           ? "--fold" :
			   was->dominators != id->dominators   ? "--tree" :
			   was->stack_paths != id->stack_paths ? "--stack-roots" :
								 NULL;

	if (!what)
		return NULL;
	return err_create(ERR_USAGE, "%s was made with another %s than %s: make both alike",
			  s->identity_of, what, capture_name(c));
}

static struct err *check_capture(const struct growth_set *s, const struct growth_capture *c,
				 const struct growth_identity *id, bool any_process)
{
	const struct growth_capture *last;

	if (s->captures.n >= LIMIT_CAPTURES)
		return err_create(ERR_LIMIT, "more than %u captures to compare", LIMIT_CAPTURES);
	if (!s->captures.n)
		return NULL;
	last = &s->captures.v[s->captures.n - 1];
	if (!any_process)
		TRY(check_process(s, c, id));
	TRY(check_rules(s, c, id));
	if (last->time_ns && c->time_ns && c->time_ns < last->time_ns)
		return err_create(ERR_USAGE, "%s is older than %s: the oldest comes first",
				  capture_name(c), capture_name(last));
	return NULL;
}

/* What is known of the process once is known of all later captures. */
static struct err *identify(struct growth_set *s, const struct growth_capture *c,
			    const struct growth_identity *id)
{
	struct growth_identity *was = &s->identity;

	if (!s->captures.n)
		*was = (struct growth_identity){ .folded = id->folded,
						 .dominators = id->dominators,
						 .stack_paths = id->stack_paths };
	if (id->build_id && *id->build_id) {
		was->build_id = id->build_id;
		TRY(copy(s, &was->build_id));
	}
	if (id->started_ns)
		was->started_ns = id->started_ns;
	if (id->started_ticks)
		was->started_ticks = id->started_ticks;
	s->identity_of = capture_name(c);
	return copy(s, &s->identity_of);
}

struct err *growth_set_begin(struct growth_set *s, const struct growth_capture *capture,
			     const struct growth_identity *id, bool any_process)
{
	struct growth_capture c = *capture;

	TRY(check_capture(s, &c, id, any_process));
	TRY(identify(s, &c, id));
	TRY(copy(s, &c.source));
	TRY(vec_push(&s->captures, c));
	TRY(vec_push(&s->nodes, ((struct growth_column)VEC_INIT)));
	TRY(vec_push(&s->unused, ((struct growth_column)VEC_INIT)));
	TRY(vec_push(&s->unused_of, UNUSED_UNKNOWN));
	TRY(vec_push(&s->types.columns, ((struct growth_column)VEC_INIT)));
	return vec_push(&s->groups.columns, ((struct growth_column)VEC_INIT));
}

/* ------------------------------------------------------------------ what is in a capture */

/* Adds to the last column's cell. */
static struct err *cell_add(struct growth_columns *columns, size_t row, struct amount a)
{
	struct growth_column *c = &columns->v[columns->n - 1];

	while (c->n <= row)
		TRY(vec_push(c, ((struct growth_cell){ 0 })));
	c->v[row].bytes += a.bytes;
	c->v[row].objects += a.objects;
	c->v[row].there = 1;
	return NULL;
}

/* "[7]. (T)", "[10+]. (T)" -> "[]. (T)" */
static struct err *element_key(const char *frame, struct buf *b, const char **ret)
{
	size_t digits = *frame == '[' ? strspn(frame + 1, "0123456789") : 0;
	const char *end = frame + 1 + digits + (digits && frame[1 + digits] == '+');

	*ret = frame;
	if (!digits || strncmp(end, "]. (", 4))
		return NULL;
	TRY(buf_addf(b, "[%s", end));
	*ret = (const char *)b->data;
	return NULL;
}

struct err *growth_set_node(struct growth_set *s, uint32_t parent, const char *frame,
			    struct amount a, uint32_t *ret)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	const char *key;

	TRY(element_key(frame, &b, &key));
	TRY(profile_child(&s->tree, parent, key, ret));
	return cell_add(&s->nodes, *ret, a);
}

struct err *growth_set_unused(struct growth_set *s, const char *const *path, uint32_t n,
			      uint64_t wasted)
{
	uint32_t node = 0;

	for (uint32_t i = 0; i < n; i++) {
		_cleanup_buf_ struct buf b = BUF_INIT;
		const char *key;

		TRY(element_key(path[i], &b, &key));
		TRY(profile_child(&s->tree, node, key, &node));
	}
	return cell_add(&s->unused, node, (struct amount){ wasted, 0 });
}

void growth_set_unused_of(struct growth_set *s, enum growth_unused of)
{
	s->unused_of.v[s->unused_of.n - 1] = of;
}

struct err *growth_set_type(struct growth_set *s, const char *type, struct amount a)
{
	uint32_t id;

	TRY(strtab_add(&s->types.keys, type, &id));
	return cell_add(&s->types.columns, id, a);
}

static struct err *group_key(const struct growth_set_group *g, struct buf *b)
{
	TRY(buf_addstr(b, g->function));
	if (!g->created_by.function)
		return NULL;
	return buf_addf(b, "\n%s\n%s\n%" PRIu32, g->created_by.function,
			g->created_by.file ? g->created_by.file : "", g->created_by.line);
}

static struct err *line_copy(struct growth_set *s, struct code_line *at)
{
	TRY(copy(s, &at->function));
	return copy(s, &at->file);
}

/* What is told of a group is that of the last capture, where most of its goroutines are. */
struct err *growth_set_group(struct growth_set *s, const struct growth_set_group *g,
			     struct amount a)
{
	_cleanup_buf_ struct buf key = BUF_INIT;
	struct growth_set_group *row;
	uint32_t id;

	TRY(group_key(g, &key));
	TRY(strtab_add(&s->groups.keys, (const char *)key.data, &id));
	if (id >= s->group_rows.n) {
		struct growth_set_group x = { .function = g->function,
					      .created_by = g->created_by };

		TRY(copy(s, &x.function));
		TRY(line_copy(s, &x.created_by));
		TRY(vec_push(&s->group_rows, x));
	}
	row = &s->group_rows.v[id];
	if (row->capture != s->captures.n) {
		row->capture = s->captures.n;
		row->leaked = row->most = 0;
	}
	row->leaked += g->leaked;
	if (a.objects > row->most) {
		bool same = row->source.function && g->source.function && row->source.file &&
			    g->source.file && row->source.line == g->source.line &&
			    !strcmp(row->source.file, g->source.file);

		row->most = a.objects;
		if (!same) { /* else a long series would copy it again and again */
			row->source = g->source;
			TRY(line_copy(s, &row->source));
		}
	}
	return cell_add(&s->groups.columns, id, a);
}

/* ------------------------------------------------------------------ a profile */

bool growth_is_dead_root(const char *frame)
{
	static const char *const roots[] = { "[unreachable]",   "[free slots]",
					     "[ends of spans]", "[stacks]",
					     "[idle spans]",    "[the runtime's structures]" };

	for (size_t i = 0; i < sizeof(roots) / sizeof(*roots); i++)
		if (!strcmp(frame, roots[i]))
			return true;
	return false;
}

static struct err *add_tree(struct growth_set *s, const struct profile *p)
{
	_cleanup_free_ uint32_t *map = calloc(p->nodes.n, sizeof(*map));

	if (!map)
		return err_nomem();
	for (size_t i = 1; i < p->nodes.n; i++) {
		const struct profile_node *v = &p->nodes.v[i];

		if (i % NODES_PER_CHECK == 0)
			TRY(intr_check());
		if (v->depth == 1 ? v->kind == LIVE_N : !map[v->parent])
			continue;
		TRY(growth_set_node(s, map[v->parent], p->frames.str[v->frame],
				    (struct amount){ v->bytes, v->objects }, &map[i]));
		if (v->depth == 1) {
			s->tree.nodes.v[map[i]].kind = v->kind;
			s->tree.nodes.v[map[i]].group = v->group;
		}
	}
	return NULL;
}

static struct err *add_unused(struct growth_set *s, const struct waste_report *w)
{
	const struct waste_rows *kinds[] = { &w->slack, &w->maps };

	if (!w->made)
		return NULL;
	growth_set_unused_of(s, w->slack.n < WASTE_ROWS && w->maps.n < WASTE_ROWS ?
					UNUSED_OF_ALL :
					UNUSED_OF_LARGEST);
	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < kinds[k]->n; i++)
			TRY(growth_set_unused(s, kinds[k]->v[i].path, kinds[k]->v[i].npath,
					      kinds[k]->v[i].wasted));
	return NULL;
}

static struct err *add_groups(struct growth_set *s, const struct goroutine_report *r)
{
	s->groups_known &= r->grouped;
	for (size_t i = 0; i < r->groups.n; i++) {
		const struct goroutine_group *g = &r->groups.v[i];
		const struct code_line *at = goroutine_group_line(g);
		struct growth_set_group x = {
			.function = g->function,
			.created_by = g->created_by,
			.leaked = g->verdict == VERDICT_LEAKED ? g->count : 0,
		};

		if (at)
			x.source = *at;
		if (x.function)
			TRY(growth_set_group(
				s, &x,
				(struct amount){ g->alone.bytes + g->stack_bytes, g->count }));
	}
	return NULL;
}

static struct growth_capture capture_of(const struct report *r, const char *source)
{
	const struct goroutine_report *gs = &r->goroutines_of;
	struct growth_capture c = {
		.source = source,
		.time_ns = r->time_unix_ns,
		.live = { r->live_bytes, r->live_objects },
		.unreachable = { r->unreachable_bytes, r->unreachable_objects },
		.goroutines = r->goroutines,
		.leaked_known = gs->grouped,
		.leaked = gs->leaked,
		.stopped_ns = r->stopped_ns,
		.outside_known = r->outside.known && !r->outside.core,
		.anonymous_known = r->account.counters,
		.rss = r->outside.rss,
		.c_heap = r->outside.c_heap,
		.anonymous = r->outside.anonymous,
		.files = r->outside.files,
	};

	for (size_t i = 0; i < gs->groups.n; i++)
		c.stack_bytes += gs->groups.v[i].stack_bytes;
	return c;
}

struct err *growth_set_add(struct growth_set *s, const struct profile *p, const struct report *r,
			   const char *source, bool any_process)
{
	const struct growth_capture c = capture_of(r, source);
	const struct growth_identity id = {
		.build_id = r->build_id,
		.pid = r->pid,
		.started_ticks = r->started_ticks,
		.started_ns = r->started_ns,
		.folded = r->folded,
		.dominators = r->dominators,
		.stack_paths = r->stack_paths,
	};

	TRY(growth_set_begin(s, &c, &id, any_process));
	TRY(add_tree(s, p));
	TRY(add_unused(s, &r->waste));
	s->types_known &= r->graph.made;
	for (size_t i = 0; i < r->graph.types.n; i++)
		TRY(growth_set_type(s, r->graph.types.v[i].name, r->graph.types.v[i].own));
	return add_groups(s, &r->goroutines_of);
}
