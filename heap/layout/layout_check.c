/*
 * A layout that is not the table's own comes from the program's debug information, which may say
 * anything.  Whoever reads the runtime's structures takes their bytes by the struct's size and then
 * a field by its offset, divides by sizes, and reads numbers into eight bytes: all of that is right
 * for a layout that passes here, and looked at nowhere else.
 */
#include "heap/layout/layout_int.h"

#include <string.h>

static bool is_size(enum layout_id id)
{
	return !layout_entries[id].field;
}

static uint64_t field_end(const struct layout *l, enum layout_id id)
{
	return (uint64_t)l->f[id].off + l->f[id].size;
}

/* The size of the struct that the field is of; UINT64_MAX: the layout has none. */
static uint64_t struct_size(const struct layout *l, enum layout_id id)
{
	for (int i = 0; i < LAYOUT_N; i++)
		if (is_size((enum layout_id)i) && layout_has(l, (enum layout_id)i) &&
		    !strcmp(layout_entries[i].strct, layout_entries[id].strct))
			return l->f[i].size;
	return UINT64_MAX;
}

/* Structures grow from release to release, but not by more than this beyond twice their size. */
enum { GROWTH = 64 << 10 };

static bool field_sound(const struct layout *l, enum layout_id id, const struct layout_extreme *e)
{
	enum { NUMBER_MAX = 8 };
	uint32_t size = l->f[id].size;

	if ((!size && !e->empty) || field_end(l, id) > 2 * e->end + GROWTH)
		return false;
	if (is_size(id))
		return true;
	/* What is a number in all of the table is one. */
	if (e->size <= NUMBER_MAX && (size > NUMBER_MAX || size & (size - 1)))
		return false;
	return field_end(l, id) <= struct_size(l, id);
}

/* What is read of one struct by an offset that another entry has: inner is a field of what outer
 * is. */
static const struct {
	enum layout_id outer, inner;
} nested[] = {
	{ L_g_stack, L_stack_lo }, { L_g_stack, L_stack_hi }, { L_g_sched, L_gobuf_sp },
	{ L_g_sched, L_gobuf_pc }, { L_g_sched, L_gobuf_g },  { L_g_sched, L_gobuf_ctxt },
	{ L_g_sched, L_gobuf_lr }, { L_g_sched, L_gobuf_bp },
};

/* Structs without a size of their own are read up to one of their fields, the last. */
static const struct {
	enum layout_id last, field;
} before[] = {
	{ L_structtype_fields, L_type_kind },
	{ L_p_mcache, L_p_id },
	{ L_p_mcache, L_p_status },
	{ L_p_mcache, L_p_m },
	{ L_func_nfuncdata, L_func_entry },
	{ L_func_nfuncdata, L_func_entryOff },
	{ L_func_nfuncdata, L_func_nameOff },
	{ L_func_nfuncdata, L_func_args },
	{ L_func_nfuncdata, L_func_deferreturn },
	{ L_func_nfuncdata, L_func_pcsp },
	{ L_func_nfuncdata, L_func_npcdata },
	{ L_func_nfuncdata, L_func_funcID },
	{ L_func_nfuncdata, L_func_flag },
};

static struct err *unsound(enum layout_id id)
{
	return err_create(ERR_BADDATA, "the size or place of '%s' makes no sense", layout_name(id));
}

struct err *layout_check(const struct layout *l)
{
	struct layout_extreme e[LAYOUT_N];

	layout_extremes(e);
	for (int i = 0; i < LAYOUT_N; i++)
		if (layout_has(l, (enum layout_id)i) && !field_sound(l, (enum layout_id)i, &e[i]))
			return unsound((enum layout_id)i);
	for (size_t i = 0; i < sizeof(nested) / sizeof(*nested); i++)
		if (layout_has(l, nested[i].inner) &&
		    field_end(l, nested[i].inner) > layout_size(l, nested[i].outer))
			return unsound(nested[i].inner);
	for (size_t i = 0; i < sizeof(before) / sizeof(*before); i++)
		if (layout_has(l, before[i].field) &&
		    field_end(l, before[i].field) > field_end(l, before[i].last))
			return unsound(before[i].field);
	return NULL;
}
