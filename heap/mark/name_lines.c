/*
 * A closure is where its function begins; what goroutines are in, or have locals of, is where one
 * of them is: the first that named the frame.
 */
#include "heap/mark/name_lines.h"

#include <string.h>

#include "base/cleanup.h"
#include "heap/runtime/source.h"

enum { FRAMES_MAX = 64 }; /* of a goroutine, from the root's outwards */

static struct err *add(struct places *p, const char *frame, struct source_line at)
{
	return code_lines_add(p->lines, frame, (struct code_line){ at.function, at.file, at.line });
}

struct err *name_line_function(struct places *p, const char *frame, const struct func *f)
{
	return p->lines ? add(p, frame, source_of(&p->h->proc, f)) : NULL;
}

static struct err *calls_at(struct places *p, const struct gframe *f, struct source_lines *ret)
{
	const struct goroutine *g = &p->h->stacks.gs.v[f->g];
	bool innermost = f == &p->h->stacks.frames.v[g->first_frame];

	ret->n = 0;
	return source_at(&p->h->proc, f->func, f->pc, !innermost || g->status != G_RUNNING, ret);
}

struct err *name_line_call(struct places *p, const char *frame, const struct gframe *at)
{
	_cleanup_vec_ struct source_lines calls = VEC_INIT;

	if (!p->lines || code_lines_find(p->lines, frame))
		return NULL;
	TRY(calls_at(p, at, &calls));
	return add(p, frame, calls.v[calls.n - 1]);
}

struct err *name_line_root(struct places *p, const char *frame, const struct mark_root *r)
{
	_cleanup_vec_ struct source_lines calls = VEC_INIT;
	const struct stacks *s = &p->h->stacks;
	const struct goroutine *g;
	uint32_t end;

	if (!p->lines || r->frame == UINT32_MAX || code_lines_find(p->lines, frame))
		return NULL;
	g = &s->gs.v[s->frames.v[r->frame].g];
	end = g->first_frame + g->nframes;
	if (end - r->frame > FRAMES_MAX)
		end = r->frame + FRAMES_MAX;
	for (uint32_t i = r->frame; i < end; i++) {
		TRY(calls_at(p, &s->frames.v[i], &calls));
		for (size_t k = 0; k < calls.n; k++)
			if (code_line_is_of(calls.v[k].function, frame))
				return add(p, frame, calls.v[k]);
	}
	return NULL;
}

struct err *name_line_closure(struct places *p, const char *frame, uint64_t addr)
{
	const struct func *f = NULL;
	uint64_t entry;

	if (!p->lines || code_lines_find(p->lines, frame) ||
	    !proc_try_word(&p->h->proc, addr, &entry))
		return NULL;
	TRY(func_find(&p->h->proc, entry, &f));
	return f && f->entry == entry ? name_line_function(p, frame, f) : NULL;
}
