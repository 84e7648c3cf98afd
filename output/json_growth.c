/*
 * JSON's "growth": what grew between captures.  Each row has one number for each capture, the
 * oldest first; docs/GROWTH.md has the rules.
 */
#include "output/internal.h"

#include "output/json_writer.h"

static void add_bytes(struct json *j, const char *key, const struct amount *at, size_t n)
{
	json_array(j, key);
	for (size_t i = 0; i < n; i++)
		json_uint(j, NULL, at[i].bytes);
	json_array_end(j);
}

static void add_objects(struct json *j, const char *key, const struct amount *at, size_t n)
{
	json_array(j, key);
	for (size_t i = 0; i < n; i++)
		json_uint(j, NULL, at[i].objects);
	json_array_end(j);
}

/* objects: what the row counts, "objects" or "count"; NULL: nothing. */
static struct err *add_sum(struct json *j, const struct growth_sum *sum, const struct amount *at,
			   size_t n, const char *objects)
{
	add_bytes(j, "bytes", at, n);
	if (objects)
		add_objects(j, objects, at, n);
	TRY(json_string(j, "grew", growth_way_name(sum->way)));
	json_int(j, "growth_bytes", sum->bytes);
	if (objects)
		json_int(j, "growth_objects", sum->objects);
	json_double(j, "bytes_per_minute", sum->bytes_per_minute);
	json_double(j, "share", sum->share);
	return NULL;
}

/* Where that is known. */
static struct err *add_line(struct json *j, const char *key, const struct code_line *at)
{
	return at->function ? json_add_code_line(j, key, at) : NULL;
}

static struct err *add_capture(struct json *j, const struct growth_capture *c)
{
	json_line(j);
	json_object(j, NULL);
	if (c->source)
		TRY(json_string(j, "base", c->source));
	json_int(j, "time", c->time_ns);
	json_uint(j, "live_bytes", c->live.bytes);
	json_uint(j, "live_objects", c->live.objects);
	json_uint(j, "unreachable_bytes", c->unreachable.bytes);
	json_uint(j, "goroutines", c->goroutines);
	if (c->leaked_known)
		json_uint(j, "leaked_goroutines", c->leaked);
	json_uint(j, "stopped_ns", c->stopped_ns);
	if (c->outside_known)
		json_uint(j, "rss_bytes", c->rss);
	json_object_end(j);
	return NULL;
}

static struct err *add_path(struct json *j, const struct growth_path *p, size_t n)
{
	json_line(j);
	json_object(j, NULL);
	json_array(j, "path");
	for (uint32_t i = 0; i < p->npath; i++)
		TRY(json_string(j, NULL, p->path[i]));
	json_array_end(j);
	TRY(add_sum(j, &p->sum, p->at, n, "objects"));
	json_bool(j, "used", p->used);
	json_array(j, "types");
	for (uint32_t i = 0; i < p->nparts; i++) {
		json_object(j, NULL);
		TRY(json_string(j, "type", p->parts[i].type));
		json_int(j, "growth_bytes", p->parts[i].bytes);
		json_int(j, "growth_objects", p->parts[i].objects);
		json_object_end(j);
	}
	json_array_end(j);
	TRY(add_line(j, "source", &p->source));
	json_object_end(j);
	return NULL;
}

static struct err *add_paths(struct json *j, const struct growth *g)
{
	json_array(j, "paths");
	for (size_t i = 0; i < g->paths.n; i++)
		TRY(add_path(j, &g->paths.v[i], g->captures.n));
	json_array_end(j);
	return NULL;
}

static struct err *add_types(struct json *j, const struct growth *g)
{
	json_array(j, "types");
	for (size_t i = 0; i < g->types.n; i++) {
		json_line(j);
		json_object(j, NULL);
		TRY(json_string(j, "type", g->types.v[i].type));
		TRY(add_sum(j, &g->types.v[i].sum, g->types.v[i].at, g->captures.n, "objects"));
		json_object_end(j);
	}
	json_array_end(j);
	return NULL;
}

static struct err *add_groups(struct json *j, const struct growth *g)
{
	json_array(j, "goroutines");
	for (size_t i = 0; i < g->goroutines.n; i++) {
		const struct growth_group *x = &g->goroutines.v[i];

		json_line(j);
		json_object(j, NULL);
		TRY(json_string(j, "function", x->function));
		TRY(add_sum(j, &x->sum, x->at, g->captures.n, "count"));
		json_uint(j, "leaked", x->leaked);
		TRY(add_line(j, "source", &x->source));
		TRY(add_line(j, "created_by", &x->created_by));
		json_object_end(j);
	}
	json_array_end(j);
	return NULL;
}

static struct err *add_outside(struct json *j, const struct growth *g)
{
	json_array(j, "outside");
	for (size_t i = 0; i < g->outside.n; i++) {
		json_line(j);
		json_object(j, NULL);
		TRY(json_string(j, "what", g->outside.v[i].what));
		TRY(add_sum(j, &g->outside.v[i].sum, g->outside.v[i].at, g->captures.n, NULL));
		json_object_end(j);
	}
	json_array_end(j);
	return NULL;
}

struct err *json_add_growth(struct json *j, const struct report *r)
{
	const struct growth *g = &r->growth;

	if (!g->made)
		return NULL;
	json_object(j, "growth");
	json_uint(j, "ns", g->ns);
	json_bool(j, "interrupted", g->interrupted);
	json_int(j, "live_bytes", g->live);
	json_array(j, "captures");
	for (size_t i = 0; i < g->captures.n; i++)
		TRY(add_capture(j, &g->captures.v[i]));
	json_array_end(j);
	TRY(add_paths(j, g));
	TRY(add_types(j, g));
	TRY(add_groups(j, g));
	TRY(add_outside(j, g));
	json_uint(j, "small_bytes", g->small.bytes);
	json_uint(j, "small_paths", g->small.objects);
	json_object_end(j);
	return NULL;
}
