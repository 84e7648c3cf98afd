/*
 * Location and range lists: DWARF 4 sections 2.6.2 and 2.17.3, DWARF 5 sections 2.6.2 and 2.17.3
 * with 7.7.3 and 7.25.
 *
 * A list is a run of entries.  A cursor over the section bounds every read, so that a list that
 * runs off its section just ends.
 */
#include "target/dwarf_lists.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "target/dwarf_int.h"

enum { LIST_MAX_ENTRIES = 1 << 16 }; /* of one list; a variable's has some hundreds at most */

struct section {
	const uint8_t *data; /* NULL: none */
	uint64_t len;
};

struct dwarf_lists {
	struct dwarf_sections *sections;
	struct bytes_fmt fmt;
	struct section addr; /* DWARF 5 */
};

struct err *dwarf_lists_create(struct dwarf_sections *sections, struct dwarf_lists **ret)
{
	struct dwarf_lists *l = calloc(1, sizeof(*l));

	if (!l)
		return err_nomem();
	l->sections = sections;
	l->fmt = elf_fmt(dwarf_sections_elf(sections));
	*ret = l;
	return NULL;
}

void dwarf_lists_destroy(struct dwarf_lists *l)
{
	free(l);
}

/* A section that cannot be read is as good as none. */
static struct err *list_load(struct dwarf_lists *l, enum dwarf_section_id id, struct section *s)
{
	struct err *err = dwarf_section_load(l->sections, id, &s->data, &s->len);

	if (err_catch(&err, ERR_BADDATA))
		*s = (struct section){ NULL, 0 };
	return err;
}

/* ------------------------------------------------------------------ entries */

struct entry {
	uint64_t low, high; /* absolute */
	bool is_default;    /* holds wherever no other does */
	const uint8_t *expr;
	uint64_t len;
};

struct walk {
	struct cursor c;
	uint64_t base;
	uint8_t addr_size;
	bool loc; /* entries have expressions */
	uint32_t n;
};

static uint64_t walk_addr(struct walk *w)
{
	return cursor_uint(&w->c, w->addr_size);
}

static bool walk_begin(struct walk *w, const struct dwarf_lists *l, const struct section *s,
		       const struct dwarf_cu *cu, uint64_t off, bool loc)
{
	if (!s->data || off >= s->len || (cu->addr_size != 4 && cu->addr_size != 8))
		return false;
	*w = (struct walk){ .c = cursor_make(s->data + off, s->len - off, l->fmt),
			    .base = cu->low_pc,
			    .addr_size = cu->addr_size,
			    .loc = loc };
	return true;
}

/* DWARF 4 has pairs of addresses.  Both 0 are the end; where the first is all ones, the second is
 * the new base. */
static bool walk4(struct walk *w, struct entry *ret)
{
	uint64_t ones = w->addr_size == 8 ? UINT64_MAX : UINT32_MAX;

	while (!w->c.bad && w->n++ < LIST_MAX_ENTRIES) {
		uint64_t low = walk_addr(w), high = walk_addr(w);

		if (low == ones) {
			w->base = high;
			continue;
		}
		if (!low && !high)
			return false;
		*ret = (struct entry){ .low = w->base + low, .high = w->base + high };
		if (w->loc) {
			ret->len = cursor_uint(&w->c, 2);
			ret->expr = w->c.p;
			cursor_skip(&w->c, ret->len);
		}
		return !w->c.bad;
	}
	return false;
}

static bool addrx(const struct dwarf_lists *l, const struct dwarf_cu *cu, uint64_t index,
		  uint64_t *ret)
{
	uint64_t off;

	if (!l->addr.data || __builtin_mul_overflow(index, cu->addr_size, &off) ||
	    __builtin_add_overflow(off, cu->addr_base, &off) || off > l->addr.len ||
	    l->addr.len - off < cu->addr_size)
		return false;
	*ret = bytes_uint(l->fmt, l->addr.data + off, cu->addr_size);
	return true;
}

/* DW_LLE_*.  DW_RLE_* are the same up to 4; ranges have no default_location, so that what follows
 * is one less. */
enum {
	END_OF_LIST,
	BASE_ADDRESSX,
	STARTX_ENDX,
	STARTX_LENGTH,
	OFFSET_PAIR,
	DEFAULT_LOCATION,
	BASE_ADDRESS,
	START_END,
	START_LENGTH
};

static bool walk5(struct walk *w, const struct dwarf_lists *l, const struct dwarf_cu *cu,
		  struct entry *ret)
{
	while (!w->c.bad && w->n++ < LIST_MAX_ENTRIES) {
		unsigned kind = (unsigned)cursor_uint(&w->c, 1);
		struct entry e = { 0 };

		if (!w->loc && kind >= DEFAULT_LOCATION)
			kind++;
		switch (kind) {
		case BASE_ADDRESSX:
			if (!addrx(l, cu, cursor_uvarint(&w->c), &w->base))
				return false;
			continue;
		case BASE_ADDRESS:
			w->base = walk_addr(w);
			continue;
		case STARTX_ENDX:
			if (!addrx(l, cu, cursor_uvarint(&w->c), &e.low) ||
			    !addrx(l, cu, cursor_uvarint(&w->c), &e.high))
				return false;
			break;
		case STARTX_LENGTH:
			if (!addrx(l, cu, cursor_uvarint(&w->c), &e.low))
				return false;
			e.high = e.low + cursor_uvarint(&w->c);
			break;
		case OFFSET_PAIR:
			e.low = w->base + cursor_uvarint(&w->c);
			e.high = w->base + cursor_uvarint(&w->c);
			break;
		case DEFAULT_LOCATION:
			e.is_default = true;
			break;
		case START_END:
			e.low = walk_addr(w);
			e.high = walk_addr(w);
			break;
		case START_LENGTH:
			e.low = walk_addr(w);
			e.high = e.low + cursor_uvarint(&w->c);
			break;
		default: /* END_OF_LIST, or damaged */
			return false;
		}
		if (w->loc) {
			e.len = cursor_uvarint(&w->c);
			e.expr = w->c.p;
			cursor_skip(&w->c, e.len);
		}
		*ret = e;
		return !w->c.bad;
	}
	return false;
}

/* The section that has the lists of a unit's version; DWARF 5's need .debug_addr, too. */
static struct err *load_for(struct dwarf_lists *l, const struct dwarf_cu *cu,
			    enum dwarf_section_id id4, enum dwarf_section_id id5, struct section *s)
{
	if (cu->version < 5)
		return list_load(l, id4, s);
	TRY(list_load(l, DWARF_S_ADDR, &l->addr));
	return list_load(l, id5, s);
}

static bool walk_next(struct walk *w, const struct dwarf_lists *l, const struct dwarf_cu *cu,
		      struct entry *ret)
{
	return cu->version < 5 ? walk4(w, ret) : walk5(w, l, cu, ret);
}

struct err *dwarf_ranges_cover(struct dwarf_lists *l, const struct dwarf_cu *cu, uint64_t off,
			       uint64_t pc, bool *ret)
{
	struct section s;
	struct walk w;
	struct entry e;

	TRY(load_for(l, cu, DWARF_S_RANGES, DWARF_S_RNGLISTS, &s));
	*ret = false;
	if (!walk_begin(&w, l, &s, cu, off, false))
		return NULL;
	while (!*ret && walk_next(&w, l, cu, &e))
		*ret = pc >= e.low && pc < e.high;
	return NULL;
}

struct err *dwarf_loclist_at(struct dwarf_lists *l, const struct dwarf_cu *cu, uint64_t off,
			     uint64_t pc, const uint8_t **expr, uint64_t *len)
{
	struct section s;
	struct walk w;
	struct entry e;

	TRY(load_for(l, cu, DWARF_S_LOC, DWARF_S_LOCLISTS, &s));
	*expr = NULL;
	*len = 0;
	if (!walk_begin(&w, l, &s, cu, off, true))
		return NULL;
	while (walk_next(&w, l, cu, &e)) {
		bool here = pc >= e.low && pc < e.high;

		if (!here && !e.is_default)
			continue;
		*expr = e.expr;
		*len = e.len;
		if (here)
			break;
	}
	return NULL;
}

struct err *dwarf_loclist_begin(struct dwarf_lists *l, const struct dwarf_cu *cu, uint64_t off,
				uint64_t *pc)
{
	struct section s;
	struct walk w;
	struct entry e;

	TRY(load_for(l, cu, DWARF_S_LOC, DWARF_S_LOCLISTS, &s));
	*pc = UINT64_MAX;
	if (!walk_begin(&w, l, &s, cu, off, true))
		return NULL;
	while (walk_next(&w, l, cu, &e))
		if (!e.is_default && e.low < *pc)
			*pc = e.low;
	return NULL;
}
