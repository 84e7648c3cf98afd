/*
 * Frames are made once per edge, so that their texts cost nothing per object.  A type's short form
 * and the containers' rules come from heap/types; here they are put together.
 */
#include "heap/mark/frame.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "heap/mark/name_lines.h"
#include "heap/types/known.h"
#include "heap/types/type_short.h"

enum { TEXT_MAX = 200, TENTH = 10 };

/* ------------------------------------------------------------------ texts */

static struct err *add_type(const struct places *p, const char *name, struct buf *out)
{
	if (p->fold && known_interface(name))
		return buf_addstr(out, "any");
	return p->fold ? type_short(name, out) : buf_addstr(out, name);
}

void frame_bound(char *s)
{
	static const char cut[] = "…";
	char *type = strstr(s, ". ("), *arg = strchr(type ? type : s, '[');
	char *end = arg ? strrchr(arg, ']') : NULL;
	char last = type ? ')' : 0;

	if (strlen(s) <= TEXT_MAX)
		return;
	if (end && arg + sizeof(cut) < end) {
		memcpy(arg + 1, cut, sizeof(cut) - 1);
		memmove(arg + sizeof(cut), end, strlen(end) + 1);
	}
	if (strlen(s) <= TEXT_MAX)
		return;
	s += TEXT_MAX - sizeof(cut);
	while (((unsigned char)*s & 0xc0) == 0x80) /* not in the middle of a character */
		s--;
	memcpy(s, cut, sizeof(cut));
	s[sizeof(cut) - 1] = last;
	s[sizeof(cut)] = 0;
}

/* "NAME. (T)" or "NAME. (T = DYN)". */
static struct err *frame_text(struct places *p, struct frame *f, const struct go_type *dyn)
{
	_cleanup_buf_ struct buf text = BUF_INIT;

	TRY(buf_addstr(&text, f->name));
	TRY(buf_addstr(&text, ". ("));
	TRY(add_type(p, f->of->name, &text));
	if (dyn) {
		TRY(buf_addstr(&text, " = "));
		TRY(add_type(p, dyn->name, &text));
	}
	TRY(buf_addstr(&text, ")"));
	if (p->fold)
		frame_bound((char *)text.data);
	return strtab_add(p->frames, (const char *)text.data, &f->text);
}

/* ------------------------------------------------------------------ types */

struct err *fold_type(struct places *p, struct go_type *t, uint32_t *ret)
{
	*ret = 0;
	if (!p->fold)
		return NULL;
	for (int depth = 0; t->kind == KIND_POINTER && depth < LIMIT_TYPE_DEPTH; depth++) {
		TRY(types_expand(p->types, t));
		if (!t->elem)
			break;
		t = t->elem;
	}
	TRY(strtab_add(&p->fold_types, t->name, ret));
	++*ret;
	return NULL;
}

struct err *fold_row(struct places *p, const struct go_type *elem, uint32_t *ret)
{
	_cleanup_buf_ struct buf name = BUF_INIT;

	TRY(buf_addf(&name, "[]%s", elem->name));
	TRY(strtab_add(&p->fold_types, (const char *)name.data, ret));
	++*ret;
	return NULL;
}

/* map[string]any, []any, [][]any: data that has no types of its own, as JSON's decoder makes it. */
static bool is_json(const char *name)
{
	const char *any = strstr(name, "interface {}");

	while (*name == '*')
		name++;
	return any && any[strlen("interface {}")] == 0 &&
	       (*name == '[' || !strncmp(name, "map[", 4));
}

/* ------------------------------------------------------------------ frames */

static struct err *frames_push(struct places *p, struct frames *out, const char *name,
			       struct go_type *t, bool hidden)
{
	struct frame f = { .text = FRAME_HIDDEN, .name = name, .of = t };

	hidden |= !*name; /* a method value's receiver: the method's own step says it */

	TRY(fold_type(p, t, &f.type));
	if (!hidden)
		TRY(frame_text(p, &f, NULL));
	return vec_push(out, f);
}

struct err *frames_add(struct places *p, struct frames *out, const char *name, struct go_type *t)
{
	const char *known = p->fold ? known_element(t->name) : NULL;

	return frames_push(p, out, name, t, known && !*known);
}

struct err *frames_add_field(struct places *p, struct frames *out, const struct go_type *strct,
			     const char *name, struct go_type *t)
{
	const char *step = p->fold ? known_step(strct->name, name) : NULL;

	return frames_push(p, out, step && *step ? step : name, t, step && !*step);
}

struct err *frames_add_element(struct places *p, struct frames *out, struct go_type *elem,
			       int64_t index)
{
	static const char *const names[] = { "[0]", "[1]", "[2]", "[3]", "[4]",  "[5]",
					     "[6]", "[7]", "[8]", "[9]", "[10+]" };
	const char *known = p->fold ? known_element(elem->name) : NULL;
	bool inside = p->fold && out->n && out->v[out->n - 1].text == FRAME_HIDDEN;

	if (!p->fold)
		return frames_push(p, out, names[index < TENTH ? index : TENTH], elem, false);
	return frames_push(p, out, known && *known ? known : "[]", elem, known ? !*known : inside);
}

struct err *frames_add_unknown(struct places *p, struct frames *out, const char *name,
			       struct go_type *t)
{
	struct frame f = { .text = FRAME_HIDDEN };
	_cleanup_buf_ struct buf text = BUF_INIT;

	TRY(fold_type(p, t, &f.type));
	TRY(buf_addstr(&text, "$sub_objects$ ("));
	TRY(add_type(p, name, &text));
	TRY(buf_addstr(&text, ")"));
	TRY(frame_plain(p, (const char *)text.data, &f.text));
	return vec_push(out, f);
}

struct err *frames_add_text(struct places *p, struct frames *out, const char *text)
{
	struct frame f = { 0 };

	TRY(strtab_add(p->frames, text, &f.text));
	return vec_push(out, f);
}

struct err *frames_add_closure(struct places *p, struct frames *out, const struct func *func)
{
	struct frame f = { .text = FRAME_HIDDEN };

	if (p->fold) {
		TRY(strtab_add(&p->fold_types, func->name, &f.type));
		f.type++;
	}
	if (!p->fold || !known_wrapper(func->name)) {
		TRY(frame_plain(p, func->name, &f.text));
		TRY(name_line_function(p, p->frames->str[f.text], func));
	}
	return vec_push(out, f);
}

struct err *frame_plain(struct places *p, const char *name, uint32_t *ret)
{
	_cleanup_buf_ struct buf text = BUF_INIT;

	TRY(buf_addstr(&text, name));
	if (p->fold)
		frame_bound((char *)text.data);
	return strtab_add(p->frames, text.len ? (const char *)text.data : "", ret);
}

struct err *frames_set_dynamic(struct places *p, struct frames *out, struct go_type *dyn, bool any)
{
	struct frame *f = NULL;

	if (p->fold && known_inside(dyn->name))
		return NULL;
	for (size_t i = 0; i < out->n; i++)
		if (out->v[i].text != FRAME_HIDDEN && out->v[i].name)
			f = &out->v[i];
	if (!f) {
		TRY(frames_push(p, out, "", dyn, true));
		f = &out->v[out->n - 1];
	} else {
		TRY(frame_text(p, f, dyn));
		TRY(fold_type(p, dyn, &f->type));
	}
	f->fresh = any && !is_json(dyn->name);
	return NULL;
}
