/*
 * A section is as it is, or SHF_COMPRESSED (ELF gABI, "Compressed sections"), or named ".zdebug_x"
 * (Go 1.17 and 1.18, older GNU ld): "ZLIB", the size in 8 bytes big-endian, a zlib stream.
 *
 * Compressed bytes are read from the file, not from its mapping: in a 400 MB executable they are
 * 30 MB that would stay resident beside what comes of them.
 */
#include "target/dwarf_sections.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/cleanup.h"

enum {
	ZLIB_RATIO = 1100, /* deflate cannot do better than 1032 : 1 */
	CHUNK = 64 << 10,
	ZDEBUG_HEADER = 12,
	COMPRESS_ZSTD = 2, /* ELFCOMPRESS_ZSTD; glibc's elf.h has it since 2.36 */
};

struct section {
	const struct elf_section *sec; /* NULL: none */
	const char *why;               /* it cannot be read; NULL: it can */
	const uint8_t *data;
	uint64_t len;
	uint64_t header; /* bytes before the zlib stream; 0: not compressed */
	uint8_t *inflated;
};

struct dwarf_sections {
	struct elf *elf;
	struct section v[DWARF_S_COUNT];
};

static const char *const names[DWARF_S_COUNT] = {
	[DWARF_S_INFO] = ".debug_info",         [DWARF_S_ABBREV] = ".debug_abbrev",
	[DWARF_S_ADDR] = ".debug_addr",         [DWARF_S_STR] = ".debug_str",
	[DWARF_S_LINE_STR] = ".debug_line_str", [DWARF_S_STR_OFFSETS] = ".debug_str_offsets",
	[DWARF_S_LOC] = ".debug_loc",           [DWARF_S_RANGES] = ".debug_ranges",
	[DWARF_S_LOCLISTS] = ".debug_loclists", [DWARF_S_RNGLISTS] = ".debug_rnglists",
};

/* Reads Elf32_Chdr or Elf64_Chdr; returns why the section cannot be read, or NULL. */
static const char *read_chdr(const struct elf *e, struct section *s)
{
	struct bytes_fmt fmt = elf_fmt(e);
	uint32_t type;

	s->header = fmt.word == 8 ? sizeof(Elf64_Chdr) : sizeof(Elf32_Chdr);
	if (s->sec->size < s->header)
		return "is cut";
	type = bytes_u32(fmt, s->data + (fmt.word == 8 ? offsetof(Elf64_Chdr, ch_type) :
							 offsetof(Elf32_Chdr, ch_type)));
	if (type == COMPRESS_ZSTD)
		return "is compressed with zstd, which is not read here "
		       "(objcopy --decompress-debug-sections makes a copy that is)";
	if (type != ELFCOMPRESS_ZLIB)
		return "is compressed in an unknown way";
	s->len = fmt.word == 8 ? bytes_u64(fmt, s->data + offsetof(Elf64_Chdr, ch_size)) :
				 bytes_u32(fmt, s->data + offsetof(Elf32_Chdr, ch_size));
	return NULL;
}

static const char *read_zdebug(struct section *s)
{
	s->header = ZDEBUG_HEADER;
	if (s->sec->size < s->header)
		return "is cut";
	if (memcmp(s->data, "ZLIB", 4))
		return "is damaged";
	s->len = bytes_u64((struct bytes_fmt){ 8, true }, s->data + 4);
	return NULL;
}

static void find_section(const struct elf *e, const char *name, struct section *s)
{
	char zname[32];
	bool z;

	s->sec = elf_section(e, name);
	z = !s->sec || !elf_section_data(e, s->sec);
	if (z) {
		snprintf(zname, sizeof(zname), ".z%s", name + 1);
		s->sec = elf_section(e, zname);
	}
	if (!s->sec || !(s->data = elf_section_data(e, s->sec))) {
		*s = (struct section){ 0 };
		return;
	}
	s->len = s->sec->size;
	if (s->sec->compressed)
		s->why = read_chdr(e, s);
	else if (z)
		s->why = read_zdebug(s);
	if (!s->header)
		return;
	s->data = NULL;
	if (!s->why && s->len / ZLIB_RATIO > s->sec->size)
		s->why = "is damaged: senseless uncompressed size";
	if (!s->why && s->len > UINT32_MAX) /* zlib counts in 32 bits */
		s->why = "is too big";
	if (s->why)
		s->len = 0;
}

DEFINE_CLEANUP(dwarf_sections_destroy, struct dwarf_sections *)

struct err *dwarf_sections_create(struct elf *e, struct dwarf_sections **ret)
{
	_cleanup_(cleanup_dwarf_sections_destroy) struct dwarf_sections *s = calloc(1, sizeof(*s));

	if (!s)
		return err_nomem();
	s->elf = e;
	for (int i = 0; i < DWARF_S_COUNT; i++)
		find_section(e, names[i], &s->v[i]);
	if (!s->v[DWARF_S_INFO].sec)
		return err_create(ERR_NODEBUG, "no DWARF");
	if (s->v[DWARF_S_INFO].why)
		return err_create(ERR_NODEBUG, "no DWARF: %s %s", s->v[DWARF_S_INFO].sec->name,
				  s->v[DWARF_S_INFO].why);
	*ret = TAKE_PTR(s);
	return NULL;
}

void dwarf_sections_destroy(struct dwarf_sections *s)
{
	if (!s)
		return;
	for (int i = 0; i < DWARF_S_COUNT; i++)
		free(s->v[i].inflated);
	free(s);
}

const char *dwarf_section_name(const struct dwarf_sections *s, enum dwarf_section_id id)
{
	return s->v[id].sec ? names[id] : "";
}

uint64_t dwarf_section_len(const struct dwarf_sections *s, enum dwarf_section_id id)
{
	return s->v[id].len;
}

struct elf *dwarf_sections_elf(const struct dwarf_sections *s)
{
	return s->elf;
}

/* Inflates `left` bytes of the file.  Z_STREAM_END: all of the stream was there; Z_ERRNO: reading
 * failed. */
static int inflate_file(int fd, uint64_t off, uint64_t left, z_stream *z)
{
	uint8_t in[CHUNK];
	int rc = Z_OK;

	while (rc == Z_OK && left) {
		ssize_t n = pread(fd, in, left < sizeof(in) ? left : sizeof(in), (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return Z_ERRNO;
		off += (uint64_t)n;
		left -= (uint64_t)n;
		z->next_in = in;
		z->avail_in = (uInt)n;
		rc = inflate(z, Z_NO_FLUSH);
	}
	return rc;
}

static struct err *section_inflate(const struct elf *e, struct section *s)
{
	z_stream z = { 0 };
	int rc;

	s->inflated = malloc(s->len + 1);
	if (!s->inflated || inflateInit(&z) != Z_OK)
		return err_nomem();
	z.next_out = s->inflated;
	z.avail_out = (uInt)s->len;
	rc = inflate_file(elf_fd(e), elf_section_offset(e, s->sec) + s->header,
			  s->sec->size - s->header, &z);
	inflateEnd(&z);
	if (rc == Z_STREAM_END && !z.avail_out) {
		s->data = s->inflated;
		return NULL;
	}
	free(s->inflated);
	s->inflated = NULL;
	s->len = 0;
	s->why = rc == Z_ERRNO ? "cannot be read" : "is damaged: its compressed data";
	return NULL;
}

struct err *dwarf_section_load(struct dwarf_sections *s, enum dwarf_section_id id,
			       const uint8_t **data, uint64_t *len)
{
	struct section *x = &s->v[id];

	*data = NULL;
	*len = 0;
	if (x->sec && !x->why && !x->data && x->len)
		TRY(section_inflate(s->elf, x));
	if (x->why)
		return err_create(ERR_BADDATA, "%s: %s %s", elf_path(s->elf), x->sec->name, x->why);
	*data = x->data;
	*len = x->data ? x->len : 0;
	return NULL;
}

void dwarf_section_drop(struct dwarf_sections *s, enum dwarf_section_id id)
{
	struct section *x = &s->v[id];

	if (!x->inflated)
		return;
	free(x->inflated);
	x->inflated = NULL;
	x->data = NULL;
}
