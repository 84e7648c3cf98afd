/*
 * *.heapsnapshot: V8's JSON, for Chrome's DevTools, VS Code and memlab.
 *
 *	"nodes"		the top, a node for each kind of root, objects, roots, an empty one
 *	"edges"		in the order of the nodes they come from
 *	"strings"	words of ours, types, fields, roots' names
 *
 * The graph is gone over three times: to count, for the nodes, for the edges; so nothing of it is
 * kept but a few bytes a root.  A node's number of edges stands in the node, which is therefore
 * written when the next one begins.  The empty node is for readers whose array of dominated nodes
 * has no room for those of the last one.  What DevTools' loader insists on is kept: the order of
 * the parts, no blanks in "snapshot": and "nodes":, all parts there though empty.
 *
 * Source: v8/src/profiler/heap-snapshot-generator.cc, HeapSnapshotJSONSerializer; DevTools'
 * HeapSnapshotLoader.ts.
 */
#include "output/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum {
	NODE_FIELDS = 7,
	NODE_OBJECT = 3, /* indexes in "node_types" */
	NODE_SYNTHETIC = 9,
	EDGE_ELEMENT = 1, /* and in "edge_types" */
	EDGE_PROPERTY = 2,
	EDGE_INTERNAL = 3,
	/* Readers keep ids in a JavaScript Map, which has no room for more. */
	NODES_MOST = 1 << 24,
	STRING_TOP = 0, /* indexes in "strings" */
	STRING_END = 1,
	STRING_KINDS = 2,
};

static const char meta[] =
	"{\"snapshot\":{\"meta\":{\"node_fields\":[\"type\",\"name\",\"id\","
	"\"self_size\",\"edge_count\",\"trace_node_id\",\"detachedness\"],"
	"\"node_types\":[[\"hidden\",\"array\",\"string\",\"object\",\"code\","
	"\"closure\",\"regexp\",\"number\",\"native\",\"synthetic\","
	"\"concatenated string\",\"sliced string\",\"symbol\",\"bigint\","
	"\"object shape\"],\"string\",\"number\",\"number\",\"number\",\"number\","
	"\"number\"],\"edge_fields\":[\"type\",\"name_or_index\",\"to_node\"],"
	"\"edge_types\":[[\"context\",\"element\",\"property\",\"internal\","
	"\"hidden\",\"shortcut\",\"weak\"],\"string_or_number\",\"node\"],"
	"\"trace_function_info_fields\":[\"function_id\",\"name\",\"script_name\","
	"\"script_id\",\"line\",\"column\"],\"trace_node_fields\":[\"id\","
	"\"function_info_index\",\"count\",\"size\",\"children\"],"
	"\"sample_fields\":[\"timestamp_us\",\"last_assigned_id\"],"
	"\"location_fields\":[\"object_index\",\"script_id\",\"line\",\"column\"]},";

/* A root, as far as nodes and edges want it. */
struct snap_root {
	uint32_t id, parent; /* parent 0: its kind's */
	uint32_t kind;
};

struct snapshot {
	FILE *f;
	const struct objects *o;
	VEC(struct snap_root) roots;  /* by id */
	VEC(struct snap_root) locals; /* those with a parent, by that */
	struct strtab kinds;
	uint64_t edges;
	uint32_t nfields;
	uint32_t string_types, string_fields, string_roots;
	/* the node, or the source of edges, that is being told of */
	struct object object;
	bool open;         /* a node waits for its number of edges */
	uint64_t count;    /* of them so far */
	size_t next_local; /* in locals */
	bool comma;
	struct buf text;
};

static void snapshot_deinit(struct snapshot *s)
{
	vec_deinit(&s->roots);
	vec_deinit(&s->locals);
	strtab_deinit(&s->kinds);
	buf_deinit(&s->text);
}

/* ------------------------------------------------------------------ writing */

static void put_number(struct snapshot *s, uint64_t v)
{
	char digits[24];
	unsigned n = sizeof(digits);

	do
		digits[--n] = (char)('0' + v % 10);
	while (v /= 10);
	fwrite_unlocked(digits + n, 1, sizeof(digits) - n, s->f);
}

/* Numbers of one node or edge, on a line of their own. */
static void put_row(struct snapshot *s, const uint64_t *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (s->comma || i)
			putc_unlocked(',', s->f);
		put_number(s, v[i]);
	}
	putc_unlocked('\n', s->f);
	s->comma = true;
}

static struct err *put_string(struct snapshot *s, const char *text)
{
	buf_reset(&s->text);
	TRY(text_add_clean(&s->text, text, false)); /* leaves no control characters */
	fputs(s->comma ? ",\n\"" : "\"", s->f);
	for (const uint8_t *c = s->text.data; *c; c++) {
		if (*c == '"' || *c == '\\')
			putc_unlocked('\\', s->f);
		putc_unlocked(*c, s->f);
	}
	putc_unlocked('"', s->f);
	s->comma = true;
	return NULL;
}

static void section(struct snapshot *s, const char *begin)
{
	fputs(begin, s->f);
	s->comma = false;
}

/* ------------------------------------------------------------------ counting */

static struct err *count_edge(void *arg, const struct object_edge *e)
{
	struct snapshot *s = arg;

	s->edges++;
	if (e->field >= s->nfields)
		s->nfields = e->field + 1;
	return NULL;
}

static struct err *note_root(void *arg, const struct object_root *r)
{
	struct snapshot *s = arg;
	struct snap_root root = { .id = r->id, .parent = r->parent };

	TRY(strtab_add(&s->kinds, r->kind, &root.kind));
	s->edges++; /* from its kind or its goroutine */
	TRY(vec_push(&s->roots, root));
	return root.parent ? vec_push(&s->locals, root) : NULL;
}

static int local_cmp(const void *pa, const void *pb)
{
	const struct snap_root *a = pa, *b = pb;

	if (a->parent != b->parent)
		return a->parent < b->parent ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

static struct err *count(struct snapshot *s)
{
	struct objects_visitor v = { NULL, count_edge, note_root, s };

	TRY(objects_walk(s->o, &v));
	s->edges += s->kinds.n + 1;
	if (s->locals.n > 1)
		qsort(s->locals.v, s->locals.n, sizeof(*s->locals.v), local_cmp);
	s->string_types = STRING_KINDS + s->kinds.n;
	s->string_fields = s->string_types + s->o->ntypes;
	s->string_roots = s->string_fields + s->nfields;
	return NULL;
}

static uint64_t nodes(const struct snapshot *s)
{
	return 2ull + s->kinds.n + s->o->n + s->o->nroots;
}

/* How many locals the root has: it is their goroutine.  Roots come in order. */
static size_t locals_of(struct snapshot *s, uint32_t id, const struct snap_root **ret)
{
	size_t i = s->next_local, n;

	while (i < s->locals.n && s->locals.v[i].parent < id)
		i++;
	for (n = 0; i + n < s->locals.n && s->locals.v[i + n].parent == id;)
		n++;
	*ret = s->locals.v + i;
	s->next_local = i + n;
	return n;
}

static size_t roots_of_kind(const struct snapshot *s, uint32_t kind)
{
	size_t n = 0;

	for (size_t i = 0; i < s->roots.n; i++)
		n += s->roots.v[i].kind == kind && !s->roots.v[i].parent;
	return n;
}

/* ------------------------------------------------------------------ nodes */

static void put_node(struct snapshot *s, unsigned type, uint64_t name, uint64_t id, uint64_t size,
		     uint64_t edges)
{
	const uint64_t v[NODE_FIELDS] = { type, name, id, size, edges, 0, 0 };

	put_row(s, v, NODE_FIELDS);
}

/* V8's ids of objects are odd; the top is 1, and ours of objects and roots begin with 1. */
static uint64_t node_id(const struct snapshot *s, uint32_t id)
{
	return 2 * ((uint64_t)id + s->kinds.n) + 1;
}

static void close_node(struct snapshot *s)
{
	if (s->open)
		put_node(s, NODE_OBJECT, s->string_types + s->object.type, node_id(s, s->object.id),
			 s->object.bytes, s->count);
	s->open = false;
	s->count = 0;
}

static struct err *node_object(void *arg, const struct object *o)
{
	struct snapshot *s = arg;

	close_node(s);
	s->object = *o;
	s->open = true;
	return NULL;
}

static struct err *node_edge(void *arg, const struct object_edge *e)
{
	((struct snapshot *)arg)->count++;
	return NULL;
}

/* The edges of a root come after it: the one before it is done then. */
static void close_root(struct snapshot *s)
{
	const struct snap_root *locals;
	uint32_t id = s->object.id;

	if (!s->open)
		return;
	put_node(s, NODE_SYNTHETIC, s->string_roots + (id - s->o->n - 1), node_id(s, id), 0,
		 s->count + locals_of(s, id, &locals));
	s->open = false;
	s->count = 0;
}

static struct err *node_root(void *arg, const struct object_root *r)
{
	struct snapshot *s = arg;

	if (s->object.id <= s->o->n)
		close_node(s);
	else
		close_root(s);
	s->object.id = r->id;
	s->open = true;
	return NULL;
}

static struct err *put_nodes(struct snapshot *s)
{
	struct objects_visitor v = { node_object, node_edge, node_root, s };

	section(s, "\"nodes\":[");
	put_node(s, NODE_SYNTHETIC, STRING_TOP, 1, 0, s->kinds.n + 1ull);
	for (uint32_t i = 0; i < s->kinds.n; i++)
		put_node(s, NODE_SYNTHETIC, STRING_KINDS + i, 2 * (i + 1ull) + 1, 0,
			 roots_of_kind(s, i));
	s->next_local = 0;
	TRY(objects_walk(s->o, &v));
	if (s->object.id <= s->o->n)
		close_node(s);
	else
		close_root(s);
	put_node(s, NODE_SYNTHETIC, STRING_END, node_id(s, s->o->n + s->o->nroots + 1), 0, 0);
	fputs("],\n", s->f);
	return NULL;
}

/* ------------------------------------------------------------------ edges */

/* to: an object's or a root's id */
static void put_edge(struct snapshot *s, unsigned type, uint64_t name, uint32_t to)
{
	const uint64_t v[] = { type, name, NODE_FIELDS * ((uint64_t)to + s->kinds.n) };

	put_row(s, v, 3);
}

static struct err *edge_object(void *arg, const struct object *o)
{
	((struct snapshot *)arg)->object = *o;
	return NULL;
}

static struct err *edge_edge(void *arg, const struct object_edge *e)
{
	struct snapshot *s = arg;
	const char *field = objects_field(s->o, e->field);
	uint64_t unit = s->object.unit ? s->object.unit : s->o->word;

	if (e->source > s->o->n)
		put_edge(s, EDGE_ELEMENT, e->offset, e->target);
	else if (!*field)
		put_edge(s, EDGE_INTERNAL, s->string_fields + e->field, e->target);
	else if (!strcmp(field, "[]") && s->object.shape == OBJECT_ROW)
		put_edge(s, EDGE_ELEMENT, (e->offset - s->object.start) / unit, e->target);
	else
		put_edge(s, EDGE_PROPERTY, s->string_fields + e->field, e->target);
	return NULL;
}

/* A goroutine's locals; what its words lead to comes after them. */
static struct err *edge_root(void *arg, const struct object_root *r)
{
	struct snapshot *s = arg;
	const struct snap_root *locals;
	size_t n = locals_of(s, r->id, &locals);

	for (size_t i = 0; i < n; i++)
		put_edge(s, EDGE_PROPERTY, s->string_roots + (locals[i].id - s->o->n - 1),
			 locals[i].id);
	return NULL;
}

static struct err *put_edges(struct snapshot *s)
{
	struct objects_visitor v = { edge_object, edge_edge, edge_root, s };

	section(s, "\"edges\":[");
	for (uint32_t i = 0; i < s->kinds.n; i++) {
		const uint64_t row[] = { EDGE_PROPERTY, STRING_KINDS + i,
					 NODE_FIELDS * (i + 1ull) };

		put_row(s, row, 3);
	}
	put_edge(s, EDGE_INTERNAL, STRING_END, s->o->n + s->o->nroots + 1);
	for (uint32_t k = 0; k < s->kinds.n; k++)
		for (size_t i = 0; i < s->roots.n; i++)
			if (s->roots.v[i].kind == k && !s->roots.v[i].parent)
				put_edge(s, EDGE_PROPERTY, s->string_roots + i, s->roots.v[i].id);
	s->next_local = 0;
	TRY(objects_walk(s->o, &v));
	fputs("],\n", s->f);
	return NULL;
}

/* ------------------------------------------------------------------ strings */

static struct err *string_root(void *arg, const struct object_root *r)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	if (r->group)
		TRY(buf_addf(&b, "%s;", r->group));
	TRY(buf_addstr(&b, r->name));
	if (r->goroutine)
		TRY(buf_addf(&b, " (goroutine %" PRIu64 ")", r->goroutine));
	return put_string(arg, (const char *)b.data);
}

static struct err *put_strings(struct snapshot *s)
{
	struct objects_visitor v = { NULL, NULL, string_root, s };

	section(s, "\"strings\":[");
	TRY(put_string(s, "(roots)"));
	TRY(put_string(s, "(end)"));
	for (uint32_t i = 0; i < s->kinds.n; i++)
		TRY(put_string(s, s->kinds.str[i]));
	for (uint32_t i = 0; i < s->o->ntypes; i++)
		TRY(put_string(s, s->o->types[i]));
	for (uint32_t i = 0; i < s->nfields; i++)
		TRY(put_string(s, objects_field(s->o, i)));
	TRY(objects_walk(s->o, &v));
	fputs("]}\n", s->f);
	return NULL;
}

static struct err *put_all(struct snapshot *s)
{
	TRY(count(s));
	if (nodes(s) > NODES_MOST)
		return err_create(ERR_LIMIT,
				  "%" PRIu64 " objects and roots are more than the %d that readers "
				  "of a *.heapsnapshot can hold: *.hprof and *.sqlite take them",
				  nodes(s), NODES_MOST);
	fprintf(s->f,
		"%s\"node_count\":%" PRIu64 ",\"edge_count\":%" PRIu64
		",\"trace_function_count\":0},\n",
		meta, nodes(s), s->edges);
	TRY(put_nodes(s));
	TRY(put_edges(s));
	fputs("\"trace_function_infos\":[],\n\"trace_tree\":[],\n\"samples\":[],\n\"locations\":[],"
	      "\n",
	      s->f);
	TRY(put_strings(s));
	return fflush(s->f) || ferror(s->f) ? err_os(errno, "write") : NULL;
}

struct err *heapsnapshot_write(FILE *f, const struct objects *o)
{
	_cleanup_(snapshot_deinit) struct snapshot s = { .f = f, .o = o, .kinds = STRTAB_INIT };

	return put_all(&s);
}
