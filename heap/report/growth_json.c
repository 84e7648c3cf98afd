/*
 * A *.json of ours as a capture: the tree, types, groups of goroutines, and what the process is.
 *
 * The file is as foreign as a core: it is read in pieces, to a depth, and every number is looked
 * at.  What an older version did not write is not known.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/intr.h"
#include "base/limits.h"
#include "base/regular.h"
#include "heap/profile/schema.h"
#include "heap/report/growth_base.h"

enum { NODES_PER_CHECK = 4096, PIECE = 1 << 20, WASTE_PATH = 1000 /* frames */ };

static void put_json(struct json_object **o)
{
	json_object_put(*o);
}

static void free_tokener(struct json_tokener **t)
{
	if (*t)
		json_tokener_free(*t);
}

static struct err *bad(const char *path, const char *what)
{
	return err_create(ERR_BADDATA, "%s is no *.json of grf-rsp: %s", path, what);
}

/* ------------------------------------------------------------------ the file */

static struct err *open_base(const char *path, int *ret)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	TRY(err_wrapf(regular_open(path, &fd, &st), "--base %s", path));
	if ((uint64_t)st.st_size > LIMIT_BASE_FILE)
		return err_create(ERR_LIMIT, "--base %s: more than %" PRIu64 " MB", path,
				  (uint64_t)LIMIT_BASE_FILE >> 20);
	*ret = fd;
	fd = -1;
	return NULL;
}

static struct err *parse(const char *path, int fd, struct json_object **ret)
{
	_cleanup_(free_tokener) struct json_tokener *tok = json_tokener_new_ex(LIMIT_JSON_DEPTH);
	_cleanup_free_ char *piece = malloc(PIECE);
	struct json_object *o = NULL;
	uint64_t total = 0;
	ssize_t n;

	if (!tok || !piece)
		return err_nomem();
	while (!o && (n = read(fd, piece, PIECE)) != 0) {
		TRY(intr_check());
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_os(errno, "cannot read '%s'", path);
		total += (uint64_t)n;
		if (total > LIMIT_BASE_FILE)
			return bad(path, "it grows while it is read");
		o = json_tokener_parse_ex(tok, piece, (int)n);
		if (!o && json_tokener_get_error(tok) != json_tokener_continue)
			return bad(path, json_tokener_error_desc(json_tokener_get_error(tok)));
	}
	if (!o)
		return bad(path, "it is cut");
	*ret = o;
	return NULL;
}

/* ------------------------------------------------------------------ values */

/* NULL: there is none of this type. */
static struct json_object *member(struct json_object *o, const char *key, enum json_type type)
{
	struct json_object *v = NULL;

	if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, key, &v))
		return NULL;
	return json_object_is_type(v, type) ? v : NULL;
}

static const char *text(struct json_object *o, const char *key)
{
	struct json_object *v = member(o, key, json_type_string);

	return v ? json_object_get_string(v) : NULL;
}

/* 0, too, for what is less than 0; what is too large for bytes of a process is no number. */
static uint64_t number(struct json_object *o, const char *key)
{
	struct json_object *v = member(o, key, json_type_int);
	int64_t n = v ? json_object_get_int64(v) : 0;

	return n < 0 || n >> 60 ? 0 : (uint64_t)n;
}

static size_t length(struct json_object *array)
{
	return array ? json_object_array_length(array) : 0;
}

/* ------------------------------------------------------------------ what it says */

static struct err *read_head(struct growth_set *s, const char *path, struct json_object *o,
			     bool any_process)
{
	struct json_object *process = member(o, "process", json_type_object),
			   *coverage = member(o, "coverage", json_type_object),
			   *outside = member(o, "outside", json_type_object),
			   *rules = member(o, "rules", json_type_object),
			   *time = member(process, "time", json_type_int);
	const char *fold = text(rules, "fold"), *tree = text(rules, "tree"),
		   *roots = text(rules, "stack_roots");
	struct growth_capture c = {
		.source = path,
		.time_ns = time ? json_object_get_int64(time) : 0,
		.live = { number(coverage, "live_bytes"), number(coverage, "live_objects") },
		.unreachable = { number(coverage, "unreachable_bytes"),
				 number(coverage, "unreachable_objects") },
		.goroutines = number(process, "goroutines"),
		.stopped_ns = number(member(o, "stop", json_type_object), "stopped_ns"),
		.outside_known = outside && member(outside, "rss_bytes", json_type_int),
		.anonymous_known = member(member(o, "memory", json_type_object), "sys_bytes",
					  json_type_int) != NULL,
		.rss = number(outside, "rss_bytes"),
		.c_heap = number(outside, "c_heap_bytes"),
		.anonymous = number(outside, "anonymous_bytes"),
		.files = number(outside, "files_bytes"),
	};
	struct growth_identity id = {
		.build_id = text(process, "build_id"),
		.pid = number(process, "pid"),
		.started_ticks = number(process, "started_ticks"),
		.started_ns = number(process, "started_ns"),
		.folded = !fold || !strcmp(fold, "recursion"),
		.dominators = tree && !strcmp(tree, "dominators"),
		.stack_paths = roots && !strcmp(roots, "path"),
	};

	if (!process || !coverage)
		return bad(path, "it says nothing of a process");
	return growth_set_begin(s, &c, &id, any_process);
}

static struct err *read_tree(struct growth_set *s, const char *path, struct json_object *o)
{
	struct json_object *tree = member(o, "tree", json_type_array);
	size_t n = length(tree);
	_cleanup_free_ uint32_t *map = calloc(n + 1, sizeof(*map));

	if (!map)
		return err_nomem();
	if (!tree)
		return bad(path, "it has no tree");
	for (size_t i = 0; i < n; i++) {
		struct json_object *v = json_object_array_get_idx(tree, i),
				   *up = member(v, "parent", json_type_int);
		int64_t parent = up ? json_object_get_int64(up) : INT64_MIN;
		const char *frame = text(v, "frame");

		if (i % NODES_PER_CHECK == 0)
			TRY(intr_check());
		if (!frame || parent < -1 || parent >= (int64_t)i)
			return bad(path, "its tree makes no sense");
		if (parent < 0 ? growth_is_dead_root(frame) : !map[parent])
			continue;
		TRY(growth_set_node(s, parent < 0 ? 0 : map[parent], frame,
				    (struct amount){ number(v, "bytes"), number(v, "objects") },
				    &map[i]));
		if (s->tree.nodes.v[map[i]].depth > LIMIT_PATH)
			return bad(path, "its tree is too deep");
	}
	return NULL;
}

static struct err *read_waste_row(struct growth_set *s, struct json_object *row)
{
	struct json_object *path = member(row, "path", json_type_array);
	const char *frames[WASTE_PATH];
	size_t n = length(path);

	if (!n || n > WASTE_PATH)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		struct json_object *v = json_object_array_get_idx(path, i);

		if (!json_object_is_type(v, json_type_string))
			return NULL;
		frames[i] = json_object_get_string(v);
	}
	return growth_set_unused(s, frames, (uint32_t)n, number(row, "wasted_bytes"));
}

static struct err *read_waste(struct growth_set *s, struct json_object *o)
{
	struct json_object *waste = member(o, "waste", json_type_object),
			   *kinds[] = { member(waste, "slack", json_type_array),
					member(waste, "maps", json_type_array) };
	size_t n = length(kinds[0]), m = length(kinds[1]);

	if (!kinds[0] || !kinds[1] || n > WASTE_ROWS || m > WASTE_ROWS)
		return NULL;
	growth_set_unused_of(s,
			     n < WASTE_ROWS && m < WASTE_ROWS ? UNUSED_OF_ALL : UNUSED_OF_LARGEST);
	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < length(kinds[k]); i++)
			TRY(read_waste_row(s, json_object_array_get_idx(kinds[k], i)));
	return NULL;
}

static struct err *read_types(struct growth_set *s, struct json_object *o)
{
	struct json_object *types = member(o, "types", json_type_array);

	s->types_known &= length(types) != 0; /* empty: there was no graph */
	for (size_t i = 0; i < length(types); i++) {
		struct json_object *v = json_object_array_get_idx(types, i);
		const char *name = text(v, "type");

		if (name)
			TRY(growth_set_type(
				s, name,
				(struct amount){ number(v, "bytes"), number(v, "objects") }));
	}
	return NULL;
}

static struct code_line read_line(struct json_object *o)
{
	return (struct code_line){ text(o, "function"), text(o, "file"),
				   (uint32_t)number(o, "line") };
}

/* The place in its function where a group is: the innermost of its frames that is of that. */
static struct code_line group_line(struct json_object *group, const char *function)
{
	struct json_object *stack = member(group, "stack", json_type_array);

	for (size_t i = 0; i < length(stack); i++) {
		struct code_line at = read_line(json_object_array_get_idx(stack, i));

		if (at.function && !strcmp(at.function, function))
			return at;
	}
	return (struct code_line){ 0 };
}

static struct err *read_groups(struct growth_set *s, struct json_object *o)
{
	struct json_object *groups = member(o, "goroutines", json_type_array);
	struct growth_capture *c = &s->captures.v[s->captures.n - 1];

	s->groups_known &= groups != NULL;
	c->leaked_known = groups != NULL;
	for (size_t i = 0; i < length(groups); i++) {
		struct json_object *v = json_object_array_get_idx(groups, i);
		const char *verdict = text(v, "verdict");
		struct growth_set_group g = {
			.function = text(v, "function"),
			.created_by = read_line(member(v, "created_by", json_type_object)),
		};
		uint64_t count = number(v, "count"), stacks = number(v, "stack_bytes");

		if (!g.function)
			continue;
		g.source = group_line(v, g.function);
		g.leaked = verdict && !strcmp(verdict, "leaked") ? count : 0;
		c->leaked += g.leaked;
		c->stack_bytes += stacks;
		TRY(growth_set_group(s, &g,
				     (struct amount){ number(v, "alone_bytes") + stacks, count }));
	}
	return NULL;
}

struct err *growth_base_json(struct growth_set *s, const char *path, bool any_process)
{
	_cleanup_(put_json) struct json_object *o = NULL;
	_cleanup_close_ int fd = -1;
	const char *schema;

	TRY(open_base(path, &fd));
	TRY(parse(path, fd, &o));
	schema = text(o, "schema");
	if (!schema || strncmp(schema, "grf-rsp/", 8))
		return bad(path, "it has no \"schema\": \"" JSON_SCHEMA "\"");
	if (strcmp(schema, JSON_SCHEMA))
		return err_create(ERR_VERSION,
				  "%s has another schema than \"" JSON_SCHEMA
				  "\", which this version reads: it is of a later one",
				  path);
	TRY(read_head(s, path, o, any_process));
	TRY(read_tree(s, path, o));
	TRY(read_waste(s, o));
	TRY(read_types(s, o));
	return read_groups(s, o);
}
