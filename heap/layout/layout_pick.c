/*
 * The choice of a layout.  Each outcome that is not the table's own row has a message or a note,
 * which says what was used instead and what helps.
 */
#include "heap/layout/layout_pick.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WITH_DEBUG "give an executable with debug information (built without -ldflags=-s or -w)"

void layout_choice_deinit(struct layout_choice *c)
{
	free(c->note);
	*c = (struct layout_choice){ 0 };
}

ERR_MUST_CHECK static struct err *choice_note(struct layout_choice *c, const char *fmt, ...)
	ERR_PRINTF(2, 3);

static struct err *choice_note(struct layout_choice *c, const char *fmt, ...)
{
	va_list ap;
	int n;

	free(c->note);
	c->note = NULL;
	va_start(ap, fmt);
	n = vasprintf(&c->note, fmt, ap);
	va_end(ap);
	if (n >= 0)
		return NULL;
	c->note = NULL;
	return err_nomem();
}

/* From the program's own DWARF.  base is the table's nearest, for types that the linker dropped;
 * NULL: there is none. */
static struct err *from_own(const struct layout_program *x, const struct layout *base,
			    struct layout *l)
{
	struct dwarf *d;

	TRY(x->dwarf(x->arg, &d));
	return layout_from_dwarf(d, base, l);
}

/* No row of the same minor release, and no debug information. */
static struct err *no_layout(const struct layout_program *x, bool newer, unsigned newest)
{
	if (newer)
		return err_create(
			ERR_VERSION,
			"%s is newer than this grf-rsp (its table of layouts ends with "
			"go1.%u), and the program has no debug information to go by: " WITH_DEBUG
			", or update grf-rsp",
			x->version, newest);
	return err_create(ERR_VERSION,
			  "%s is not in the table of layouts for %s, and the program has no debug "
			  "information to go by: " WITH_DEBUG,
			  x->version, x->goarch);
}

/* Without the release's own row: the program's DWARF, or the nearest row, if there is one. */
static struct err *pick_near(const struct layout_program *x, const struct layout *near,
			     const char *name, struct layout *l, struct layout_choice *c)
{
	struct err *err = from_own(x, near, l);

	c->compared = true;
	if (!err) {
		c->own = true;
		return choice_note(c,
				   "%s is not in the table of layouts: the program's own debug "
				   "information is used",
				   x->version);
	}
	if (err_is(err, ERR_VERSION))
		return err_wrapf(err,
				 "%s is not in the table of layouts, and its debug information "
				 "does not have what is needed (update grf-rsp)",
				 x->version);
	if (!near || !err_catch(&err, ERR_NODEBUG))
		return err;
	*l = *near;
	return choice_note(c,
			   "%s is not in the table of layouts, and the program has no debug "
			   "information: the layout of %s is used, which fits by shape",
			   x->version, name);
}

struct err *layout_pick(const struct layout_program *x, struct layout *l, struct layout_choice *c)
{
	unsigned minor, newest;
	bool known = layout_minor(x->version, x->goarch, &minor, &newest), exact, row;
	char name[LAYOUT_ROW_NAME];
	struct layout near;
	struct err *err;

	*c = (struct layout_choice){ 0 };
	if (known && minor < LAYOUT_OLDEST)
		return err_create(ERR_VERSION,
				  "%s is too old: the heaps of go1.%u and later can be read",
				  x->version, LAYOUT_OLDEST);
	err = layout_find_row(x->version, x->goarch, &near, &exact, name);
	row = !err_catch(&err, ERR_VERSION);
	TRY(err);
	if (row && exact) {
		*l = near;
		return NULL;
	}
	err = pick_near(x, row ? &near : NULL, name, l, c);
	return err_catch(&err, ERR_NODEBUG) ? no_layout(x, known && minor > newest, newest) : err;
}

struct err *layout_compare(const struct layout_program *x, struct layout *l,
			   struct layout_choice *c, bool *changed)
{
	const char *field;
	struct layout own;
	struct err *err;

	*changed = false;
	if (c->compared)
		return NULL;
	c->compared = true;
	err = from_own(x, l, &own);
	/* Then there is nothing to compare with.  That debug information is damaged is said where
	 * names are made. */
	if (err_catch(&err, ERR_NODEBUG) || err_catch(&err, ERR_BADDATA))
		return NULL;
	if (err)
		return err_wrapf(
			err, "%s: the program's debug information contradicts the table of layouts",
			x->version);
	field = layout_contradicts(l, &own);
	if (!field) {
		c->agrees = true;
		return NULL;
	}
	*l = own;
	c->own = *changed = true;
	return choice_note(c,
			   "the runtime of this %s is not laid out as the table has it (%s): the "
			   "program's own debug information is used",
			   x->version, field);
}

struct err *layout_misfit(const struct layout_program *x, const struct layout_choice *c,
			  struct err *err)
{
	struct err *ret;

	if (c->agrees)
		return err_is(err, ERR_VERSION) ?
			       err_wrapf(err,
					 "the program's debug information agrees with the layout "
					 "that was used, but") :
			       err;
	if (c->own)
		ret = err_create(
			ERR_VERSION,
			"%s: the program's own debug information does not fit this process",
			err->msg);
	else
		ret = err_create(
			ERR_VERSION,
			"%s: %sthe table's layout of %s does not fit this process, and the "
			"program has no debug information to go by: " WITH_DEBUG,
			err->msg, err_is(err, ERR_VERSION) ? "" : "it may be that ", x->version);
	err_destroy(err);
	return ret;
}
