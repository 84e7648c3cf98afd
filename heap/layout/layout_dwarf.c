/*
 * The layout of the Go runtime's structures as the program's own DWARF has it, and where that
 * contradicts the table.
 */
#include "heap/layout/layout_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"

/* The members of the struct that was asked for last: entries of one struct stand together. */
struct members {
	uint64_t die;
	struct dwarf_member *m;
	size_t n;
};

static void members_deinit(struct members *m)
{
	free(m->m);
	*m = (struct members){ 0 };
}

static struct err *members_load(struct dwarf *d, uint64_t die, struct members *m)
{
	if (m->die == die)
		return NULL;
	members_deinit(m);
	TRY(dwarf_members(d, die, &m->m, &m->n));
	m->die = die;
	return NULL;
}

/* The type at the end of a chain of typedefs. */
static struct err *type_strip(struct dwarf *d, uint64_t die, struct dwarf_type *ret)
{
	for (int i = 0; i < LIMIT_TYPE_DEPTH; i++) {
		TRY(dwarf_type(d, die, ret));
		if (ret->tag != DWARF_T_TYPEDEF || !ret->elem)
			return NULL;
		die = ret->elem;
	}
	return err_create(ERR_BADDATA, "typedefs without an end");
}

/* Copies the next alternate ("a|b|c") to buf; false after the last. */
static bool next_alternate(const char **list, char *buf, size_t cap, char sep)
{
	size_t len;

	if (!**list)
		return false;
	len = strcspn(*list, (char[]){ sep, 0 });
	if (len >= cap)
		return false;
	memcpy(buf, *list, len);
	buf[len] = 0;
	*list += len + ((*list)[len] == sep);
	return true;
}

static const struct dwarf_member *members_find(const struct members *m, const char *name)
{
	for (size_t i = 0; i < m->n; i++)
		if (!strcmp(m->m[i].name, name))
			return &m->m[i];
	return NULL;
}

/* "a.b" in the struct die; *found false if it is not there. */
static struct err *find_path(struct dwarf *d, struct members *m, uint64_t die, const char *path,
			     struct layout_field *ret, bool *found)
{
	_cleanup_(members_deinit) struct members sub = { 0 };
	struct members *cur = m;
	struct dwarf_type t;
	uint64_t off = 0;
	char part[128];

	*found = false;
	while (next_alternate(&path, part, sizeof(part), '.')) {
		const struct dwarf_member *f;

		TRY(members_load(d, die, cur));
		f = members_find(cur, part);
		*found = f;
		if (!f)
			return NULL;
		off += f->offset;
		TRY(type_strip(d, f->type, &t));
		die = t.die;
		cur = &sub;
	}
	if (!*found)
		return NULL;
	if (off >= LAYOUT_ABSENT || t.size >= LAYOUT_ABSENT)
		return err_create(ERR_BADDATA, "a field at a senseless offset");
	*ret = (struct layout_field){ (uint32_t)off, (uint32_t)t.size };
	return NULL;
}

/* An entry's field.  *have: DWARF has the struct, whatever is in it. */
static struct err *find_entry(struct dwarf *d, struct members *m, const struct layout_entry *e,
			      struct layout_field *ret, bool *have)
{
	const char *structs = e->strct;
	char strct[128], field[128];

	*have = false;
	*ret = (struct layout_field){ LAYOUT_ABSENT, 0 };
	while (next_alternate(&structs, strct, sizeof(strct), '|')) {
		const char *fields = e->field;
		struct dwarf_type t;
		uint64_t die;
		bool found;

		TRY(dwarf_type_by_name(d, strct, &die));
		if (!die)
			continue;
		*have = true;
		TRY(type_strip(d, die, &t)); /* runtime._type is an alias since go1.21 */
		if (!fields) {
			if (t.size >= LAYOUT_ABSENT)
				return err_create(ERR_BADDATA, "a struct of a senseless size");
			*ret = (struct layout_field){ 0, (uint32_t)t.size };
			return NULL;
		}
		while (next_alternate(&fields, field, sizeof(field), '|')) {
			TRY(find_path(d, m, t.die, field, ret, &found));
			if (found)
				return NULL;
		}
	}
	return NULL;
}

struct err *layout_from_dwarf(struct dwarf *d, const struct layout *base, struct layout *ret)
{
	_cleanup_(members_deinit) struct members m = { 0 };
	const struct layout_entry *missing = NULL;
	bool have, any = false;
	struct layout l;

	for (int i = 0; i < LAYOUT_N; i++) {
		const struct layout_entry *e = &layout_entries[i];
		struct err *err = find_entry(d, &m, e, &l.f[i], &have);

		if (err)
			return err_wrapf(err, "%s%s%s", e->strct, e->field ? "." : "",
					 e->field ? e->field : "");
		any |= have;
		if (!have && base)
			l.f[i] = base->f[i];
		if (e->required && !missing && l.f[i].off == LAYOUT_ABSENT)
			missing = e;
	}
	if (!any)
		return err_create(ERR_NODEBUG, "no Go types in DWARF");
	if (missing)
		return err_create(ERR_VERSION, "no %s%s%s in DWARF", missing->strct,
				  missing->field ? "." : "", missing->field ? missing->field : "");
	TRY(layout_check(&l));
	*ret = l;
	return NULL;
}

/* Whether the layout has any field of the struct that entry i is about. */
static bool knows_struct(const struct layout *l, int i)
{
	for (int j = 0; j < LAYOUT_N; j++)
		if (l->f[j].off != LAYOUT_ABSENT &&
		    !strcmp(layout_entries[j].strct, layout_entries[i].strct))
			return true;
	return false;
}

const char *layout_contradicts(const struct layout *table, const struct layout *dwarf)
{
	for (int i = 0; i < LAYOUT_N; i++) {
		const struct layout_field *t = &table->f[i], *d = &dwarf->f[i];

		if (t->off == d->off && t->size == d->size)
			continue;
		/* The program that the table was made of was too small to have this struct. */
		if (t->off == LAYOUT_ABSENT && !knows_struct(table, i))
			continue;
		return layout_name(i);
	}
	return NULL;
}
