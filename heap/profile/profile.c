/*
 * The profile's tree and the report's lines, as data: made in heap/, read in output/.
 *
 * A node is found by its parent and its frame in one map.  Roots that differ in their goroutine's
 * labels only are roots of their own, so that the map's key has the label in the parent's place.
 */
#include "heap/profile/profile.h"

#include <stdio.h>
#include <stdlib.h>

struct err *profile_init(struct profile *p)
{
	struct err *err;

	*p = (struct profile){ VEC_INIT, VEC_INIT, STRTAB_INIT, STRTAB_INIT, MAP64_INIT };
	err = vec_push(&p->nodes, ((struct profile_node){ 0 }));
	if (err)
		profile_deinit(p);
	return err;
}

void profile_deinit(struct profile *p)
{
	vec_deinit(&p->nodes);
	vec_deinit(&p->more);
	strtab_deinit(&p->frames);
	strtab_deinit(&p->labels);
	map64_deinit(&p->children);
}

struct err *profile_child(struct profile *p, uint32_t parent, const char *frame, uint32_t *ret)
{
	uint32_t id;

	TRY(strtab_add(&p->frames, frame, &id));
	return profile_child_id(p, parent, id, ret);
}

static struct err *node_get(struct profile *p, uint32_t key, struct profile_node node,
			    uint32_t *ret)
{
	uint64_t *slot;
	bool is_new;

	/* First the room, then the key: a key without its node would be found later. */
	if (p->nodes.n >= UINT32_MAX - 1 - p->labels.n)
		return err_create(ERR_LIMIT, "the profile has more than %u nodes", UINT32_MAX - 1);
	TRY(vec_reserve(&p->nodes, 1));
	TRY(map64_put(&p->children, (uint64_t)key << 32 | node.frame, p->nodes.n, &slot, &is_new));
	if (is_new) {
		node.depth = p->nodes.v[node.parent].depth + 1;
		p->nodes.v[p->nodes.n++] = node;
	}
	*ret = (uint32_t)*slot;
	return NULL;
}

struct err *profile_child_id(struct profile *p, uint32_t parent, uint32_t frame, uint32_t *ret)
{
	return node_get(p, parent, (struct profile_node){ .parent = parent, .frame = frame }, ret);
}

/* As keys, labels count down from the highest number, which no node has. */
struct err *profile_root(struct profile *p, uint32_t label, uint32_t frame, uint32_t *ret)
{
	return node_get(p, label ? UINT32_MAX - label : 0,
			(struct profile_node){ .frame = frame, .label = label }, ret);
}

uint64_t profile_root_name(const struct profile *p, uint32_t node)
{
	const struct profile_node *v = &p->nodes.v[node];

	while (v->parent && !p->nodes.v[v->parent].group)
		v = &p->nodes.v[v->parent];
	return (v->parent ? p->nodes.v[v->parent].frame + 1ull : 0) << 32 | v->frame;
}

static ERR_PRINTF(2, 0) struct err *lines_add(struct report_lines *lines, const char *fmt,
					      va_list ap)
{
	char *line;

	TRY(vec_reserve(lines, 1));
	if (vasprintf(&line, fmt, ap) < 0)
		return err_nomem();
	lines->v[lines->n++] = line;
	return NULL;
}

static void lines_deinit(struct report_lines *lines)
{
	for (size_t i = 0; i < lines->n; i++)
		free(lines->v[i]);
	vec_deinit(lines);
}

struct err *report_note(struct report *r, const char *fmt, ...)
{
	struct err *err;
	va_list ap;

	va_start(ap, fmt);
	err = lines_add(&r->notes, fmt, ap);
	va_end(ap);
	return err;
}

struct err *report_detail(struct report *r, const char *fmt, ...)
{
	struct err *err;
	va_list ap;

	va_start(ap, fmt);
	err = lines_add(&r->details, fmt, ap);
	va_end(ap);
	return err;
}

void report_deinit(struct report *r)
{
	goroutine_report_deinit(&r->goroutines_of);
	code_lines_deinit(&r->lines);
	graph_report_deinit(&r->graph);
	waste_report_deinit(&r->waste);
	why_report_deinit(&r->why);
	outside_deinit(&r->outside);
	growth_deinit(&r->growth);
	profile_deinit(&r->difference);
	profile_deinit(&r->owners);
	lines_deinit(&r->notes);
	lines_deinit(&r->details);
}
