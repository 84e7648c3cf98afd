/*
 * Location and range lists: DWARF 4 sections 2.6.2 and 2.17.3, DWARF 5 sections
 * 2.6.2 and 2.17.3 with 7.7.3 and 7.25.
 *
 * A list is a run of entries; a cursor over the section bounds every read, so
 * a list that runs off its section just ends.
 */
#include "target/dwarf_lists.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "target/dwarf_int.h"

enum {
	ZLIB_RATIO = 1100,		/* deflate cannot do better than 1032 : 1 */
	LIST_MAX_ENTRIES = 1 << 16,	/* of one list; a variable's has some hundreds at most */
};

struct section {
	const uint8_t *data;
	uint64_t len;
	uint8_t *inflated; /* ours, if it was compressed */
	bool loaded;
};

struct dwarf_lists {
	struct elf *elf;
	struct section loc, ranges;		 /* DWARF 4 */
	struct section loclists, rnglists, addr; /* DWARF 5 */
};

/* ------------------------------------------------------------------ sections */

static struct err *section_inflate(const struct elf *e, const char *name, const uint8_t *p, uint64_t plen,
				   uint64_t len, struct section *s)
{
	z_stream z = { 0 };
	int rc;

	if (len / ZLIB_RATIO > plen)
		return err_create(ERR_BADDATA, "%s: %s: senseless uncompressed size", elf_path(e), name);
	if (plen > UINT32_MAX || len > UINT32_MAX) /* zlib counts in 32 bits */
		return err_create(ERR_LIMIT, "%s: %s is too big", elf_path(e), name);
	s->inflated = malloc(len + 1);
	if (!s->inflated)
		return err_nomem();
	if (inflateInit(&z) != Z_OK)
		return err_nomem();
	z.next_in = (Bytef *)p;
	z.avail_in = (uInt)plen;
	z.next_out = s->inflated;
	z.avail_out = (uInt)len;
	rc = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	if (rc != Z_STREAM_END || z.avail_out)
		return err_create(ERR_BADDATA, "%s: %s: damaged compressed data", elf_path(e), name);
	s->data = s->inflated;
	s->len = len;
	return NULL;
}

/* SHF_COMPRESSED (ELF gABI, "Compressed sections"): Elf32_Chdr or Elf64_Chdr, then a zlib stream. */
static struct err *section_chdr(const struct elf *e, const struct elf_section *sec, struct section *s)
{
	struct bytes_fmt fmt = elf_fmt(e);
	const uint8_t *p = elf_section_data(e, sec);
	uint64_t hdr = fmt.word == 8 ? sizeof(Elf64_Chdr) : sizeof(Elf32_Chdr);

	if (sec->size < hdr)
		return err_create(ERR_BADDATA, "%s: %s: cut", elf_path(e), sec->name);
	if (bytes_u32(fmt, p) != ELFCOMPRESS_ZLIB)
		return err_create(ERR_UNSUPPORTED, "%s: %s: compressed, but not with zlib", elf_path(e), sec->name);
	return section_inflate(e, sec->name, p + hdr, sec->size - hdr,
			       fmt.word == 8 ? bytes_u64(fmt, p + 8) : bytes_u32(fmt, p + 4), s);
}

/* ".debug_x" as it is or SHF_COMPRESSED, else ".zdebug_x" (go1.17 and 1.18): "ZLIB", the size in
 * 8 bytes big-endian, a zlib stream.  None: length 0. */
static struct err *section_load(const struct elf *e, const char *name, struct section *s)
{
	const struct elf_section *sec = elf_section(e, name);
	char zname[32] = ".z";
	const uint8_t *p;

	if (s->loaded)
		return NULL;
	s->loaded = true;
	if (sec && elf_section_data(e, sec)) {
		if (sec->compressed)
			return section_chdr(e, sec, s);
		s->data = elf_section_data(e, sec);
		s->len = sec->size;
		return NULL;
	}
	strncat(zname, name + 1, sizeof(zname) - strlen(zname) - 1);
	sec = elf_section(e, zname);
	if (!sec || !(p = elf_section_data(e, sec)) || sec->size < 12)
		return NULL;
	if (memcmp(p, "ZLIB", 4))
		return err_create(ERR_BADDATA, "%s: %s: damaged", elf_path(e), zname);
	return section_inflate(e, zname, p + 12, sec->size - 12,
			       bytes_u64((struct bytes_fmt){ 8, true }, p + 4), s);
}

static void section_free(struct section *s)
{
	free(s->inflated);
	*s = (struct section){ 0 };
}

struct err *dwarf_lists_create(struct elf *e, struct dwarf_lists **ret)
{
	struct dwarf_lists *l = calloc(1, sizeof(*l));

	if (!l)
		return err_nomem();
	l->elf = e;
	*ret = l;
	return NULL;
}

void dwarf_lists_destroy(struct dwarf_lists *l)
{
	if (!l)
		return;
	section_free(&l->loc);
	section_free(&l->ranges);
	section_free(&l->loclists);
	section_free(&l->rnglists);
	section_free(&l->addr);
	free(l);
}

/* ------------------------------------------------------------------ headers */

/*
 * libdwarf reads every header of these sections when the first unit is read;
 * 20210528 frees twice or walks out of the section when one is damaged.  So
 * the chain is walked first: DWARF 5 section 7.28 and 7.29: unit_length, version 2 bytes,
 * address_size 1, segment_selector_size 1, offset_entry_count 4, offsets.
 */
static struct err *check_headers(struct elf *e, const char *name, struct section *s)
{
	struct err *err = section_load(e, name, s);
	struct cursor c;

	if (err)
		return err;
	c = cursor_make(s->data ? s->data : (const uint8_t *)"", s->len, elf_fmt(e));
	while (cursor_left(&c)) {
		uint64_t off_size = 4, len = cursor_uint(&c, 4), version, count;
		uint8_t addr_size, seg_size;

		if (len == 0xffffffff) {
			off_size = 8;
			len = cursor_uint(&c, 8);
		}
		if (c.bad || len > cursor_left(&c) || len < 8)
			return err_create(ERR_BADDATA, "%s: %s: damaged header", elf_path(e), name);
		version = cursor_uint(&c, 2);
		addr_size = (uint8_t)cursor_uint(&c, 1);
		seg_size = (uint8_t)cursor_uint(&c, 1);
		count = cursor_uint(&c, 4);
		len -= 8;
		if (version != 5 || (addr_size != 4 && addr_size != 8) || seg_size || count > len / off_size)
			return err_create(ERR_BADDATA, "%s: %s: damaged header", elf_path(e), name);
		cursor_skip(&c, len);
	}
	return NULL;
}

struct err *dwarf_lists_check(struct dwarf_lists *l)
{
	struct err *err = check_headers(l->elf, ".debug_rnglists", &l->rnglists);

	return err ? err : check_headers(l->elf, ".debug_loclists", &l->loclists);
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
	*w = (struct walk){ .c = cursor_make(s->data + off, s->len - off, elf_fmt(l->elf)),
			    .base = cu->low_pc,
			    .addr_size = cu->addr_size,
			    .loc = loc };
	return true;
}

/* DWARF 4: pairs of addresses; both 0: end; the first all ones: the second is the new base. */
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

static bool addrx(const struct dwarf_lists *l, const struct dwarf_cu *cu, uint64_t index, uint64_t *ret)
{
	uint64_t off;

	if (!l->addr.data || __builtin_mul_overflow(index, cu->addr_size, &off) ||
	    __builtin_add_overflow(off, cu->addr_base, &off) || off > l->addr.len ||
	    l->addr.len - off < cu->addr_size)
		return false;
	*ret = bytes_uint(elf_fmt(l->elf), l->addr.data + off, cu->addr_size);
	return true;
}

/* DW_RLE_* and DW_LLE_* differ from default_location (5) on: ranges have no such entry. */
enum { END_OF_LIST, BASE_ADDRESSX, STARTX_ENDX, STARTX_LENGTH, OFFSET_PAIR, DEFAULT_LOCATION, BASE_ADDRESS,
       START_END, START_LENGTH };

static bool walk5(struct walk *w, const struct dwarf_lists *l, const struct dwarf_cu *cu, struct entry *ret)
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

static struct err *load5(struct dwarf_lists *l, const char *name, struct section *s)
{
	struct err *err = section_load(l->elf, name, s);

	return err ? err : section_load(l->elf, ".debug_addr", &l->addr);
}

struct err *dwarf_ranges_cover(struct dwarf_lists *l, const struct dwarf_cu *cu, uint64_t off, uint64_t pc,
			       bool *ret)
{
	bool five = cu->version >= 5;
	struct section *s = five ? &l->rnglists : &l->ranges;
	struct err *err = five ? load5(l, ".debug_rnglists", s) : section_load(l->elf, ".debug_ranges", s);
	struct walk w;
	struct entry e;

	if (err)
		return err;
	*ret = false;
	if (!walk_begin(&w, l, s, cu, off, false))
		return NULL;
	while (!*ret && (five ? walk5(&w, l, cu, &e) : walk4(&w, &e)))
		*ret = pc >= e.low && pc < e.high;
	return NULL;
}

struct err *dwarf_loclist_at(struct dwarf_lists *l, const struct dwarf_cu *cu, uint64_t off, uint64_t pc,
			     const uint8_t **expr, uint64_t *len)
{
	bool five = cu->version >= 5;
	struct section *s = five ? &l->loclists : &l->loc;
	struct err *err = five ? load5(l, ".debug_loclists", s) : section_load(l->elf, ".debug_loc", s);
	struct walk w;
	struct entry e;

	if (err)
		return err;
	*expr = NULL;
	*len = 0;
	if (!walk_begin(&w, l, s, cu, off, true))
		return NULL;
	while (five ? walk5(&w, l, cu, &e) : walk4(&w, &e)) {
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
