/*
 * What an ELF file says about its build: notes (ELF gABI, "Note Section") and
 * Go's build information (debug/buildinfo/buildinfo.go@go1.26.8, which reads
 * both formats).
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "target/elf_int.h"

/* ------------------------------------------------------------------ notes */

enum {
	NOTE_GO_BUILD_ID = 4,   /* cmd/link/internal/ld/elf.go: ELF_NOTE_GOBUILDID_TAG */
	NOTE_MAX_ID = 64 << 10, /* longer is no id */
};

static struct err *note_hex(const uint8_t *p, size_t len, char **ret)
{
	char *s = malloc(len * 2 + 1);

	if (!s)
		return err_nomem();
	for (size_t i = 0; i < len; i++)
		sprintf(s + 2 * i, "%02x", p[i]);
	s[len * 2] = 0;
	*ret = s;
	return NULL;
}

static struct err *elf_read_note_area(struct elf *e, const uint8_t *p, uint64_t len)
{
	struct cursor c = cursor_make(p, len, e->fmt);

	while (cursor_left(&c) >= 12) {
		uint64_t namesz = cursor_uint(&c, 4), descsz = cursor_uint(&c, 4),
			 type = cursor_uint(&c, 4);
		const uint8_t *name = c.p, *desc;

		/* Names and descriptors are padded to 4 bytes, the last one perhaps not. */
		if (!cursor_skip(&c, (namesz + 3) & ~3ull))
			return NULL;
		desc = c.p;
		if (descsz > cursor_left(&c) || descsz > NOTE_MAX_ID)
			return NULL;
		if (type == NT_GNU_BUILD_ID && namesz == 4 && !memcmp(name, "GNU", 4) &&
		    !e->gnu_build_id) {
			struct err *err = note_hex(desc, descsz, &e->gnu_build_id);

			if (err)
				return err;
		}
		if (type == NOTE_GO_BUILD_ID && namesz == 4 && !memcmp(name, "Go\0", 4) &&
		    !e->go_build_id) {
			e->go_build_id = strndup((const char *)desc, descsz);
			if (!e->go_build_id)
				return err_nomem();
		}
		cursor_skip(&c, (descsz + 3) & ~3ull);
	}
	return NULL;
}

struct err *elf_read_notes(struct elf *e)
{
	size_t n, i;
	struct err *err;

	if (!elf_getphdrnum(e->elf, &n)) {
		for (i = 0; i < n; i++) {
			GElf_Phdr ph;

			if (!gelf_getphdr(e->elf, (int)i, &ph) || ph.p_type != PT_NOTE ||
			    ph.p_offset > e->raw_len || ph.p_filesz > e->raw_len - ph.p_offset)
				continue;
			err = elf_read_note_area(e, e->raw + ph.p_offset, ph.p_filesz);
			if (err)
				return err;
		}
	}
	/* Separate debug files keep the sections, not always the segment. */
	for (i = 0; i < e->nsections; i++) {
		const struct elf_section *s = &e->sections[i];

		if (strncmp(s->name, ".note.", 6) || s->nobits || !s->size || s->compressed)
			continue;
		err = elf_read_note_area(e, elf_section_data(e, s), s->size);
		if (err)
			return err;
	}
	return NULL;
}

const struct elf_section *elf_id_note(const struct elf *e, unsigned i)
{
	static const char *const names[ELF_ID_NOTES] = { ".note.go.buildid", ".note.gnu.build-id" };
	const struct elf_section *s = elf_section(e, names[i]);

	return s && s->alloc && elf_section_data(e, s) ? s : NULL;
}

const char *elf_gnu_build_id(const struct elf *e)
{
	return e->gnu_build_id ? e->gnu_build_id : "";
}

const char *elf_go_build_id(const struct elf *e)
{
	return e->go_build_id ? e->go_build_id : "";
}

bool elf_is_pclntab(struct bytes_fmt fmt, const uint8_t *b)
{
	uint32_t magic = bytes_u32(fmt, b);

	return (magic == 0xfffffffa || magic == 0xfffffff0 || magic == 0xfffffff1) && !b[4] &&
	       !b[5] && (b[6] == 1 || b[6] == 2 || b[6] == 4) && b[7] == fmt.word;
}

/* ------------------------------------------------------------------ Go build information */

#define BUILDINFO_MAGIC "\xff Go buildinf:"

enum {
	BUILDINFO_ALIGN = 16,
	BUILDINFO_HEADER = 32,
	BUILDINFO_PTRSIZE = 14,
	BUILDINFO_FLAGS = 15,
	BUILDINFO_BIG = 1,
	/* go1.18: two varint-counted strings behind the header; before: two *string */
	BUILDINFO_INLINE = 2,
	BUILDINFO_MAX_STRING = 16 << 20, /* module lists are a few KB */
};

/* The header inside len bytes at addr, NULL if there is none; *left: bytes from it on. */
static const uint8_t *buildinfo_scan(const uint8_t *p, uint64_t len, uint64_t addr, uint64_t *left)
{
	const size_t mlen = sizeof(BUILDINFO_MAGIC) - 1;
	uint64_t off = -addr & (BUILDINFO_ALIGN - 1);

	while (off < len && len - off >= BUILDINFO_HEADER) {
		const uint8_t *q = memmem(p + off, len - off, BUILDINFO_MAGIC, mlen);

		if (!q)
			return NULL;
		off = (uint64_t)(q - p);
		if ((addr + off) % BUILDINFO_ALIGN == 0 && len - off >= BUILDINFO_HEADER) {
			*left = len - off;
			return q;
		}
		off++;
	}
	return NULL;
}

static const uint8_t *buildinfo_find(const struct elf *e, uint64_t *left)
{
	const struct elf_section *sec = elf_section(e, ".go.buildinfo");
	const uint8_t *p = NULL;

	if (sec && !sec->compressed && elf_section_data(e, sec))
		p = buildinfo_scan(elf_section_data(e, sec), sec->size, sec->addr, left);
	/* No section headers: the linker puts it at the beginning of the data segment. */
	for (int write = 1; write >= 0 && !p; write--) {
		for (size_t i = 0; i < e->nsegments && !p; i++) {
			const struct elf_segment *s = &e->segments[i];

			if (s->write == write && !s->exec)
				p = buildinfo_scan(s->data, s->filesz, s->addr, left);
		}
	}
	return p;
}

/* A Go string header at addr; false if any of it is not in the file. */
static bool buildinfo_gostring(const struct elf *e, struct bytes_fmt fmt, uint64_t addr,
			       const uint8_t **str, uint64_t *len)
{
	const uint8_t *h = elf_data(e, addr, 2u * fmt.word);
	uint64_t p;

	if (!h)
		return false;
	p = bytes_word(fmt, h);
	*len = bytes_word(fmt, h + fmt.word);
	*str = *len && *len <= BUILDINFO_MAX_STRING ? elf_data(e, p, *len) : NULL;
	return *str || !*len;
}

static bool buildinfo_inline(struct cursor *c, const uint8_t **str, uint64_t *len)
{
	*len = cursor_uvarint(c);
	*str = c->p;
	return *len <= BUILDINFO_MAX_STRING && cursor_skip(c, *len);
}

struct err *elf_go_buildinfo(struct elf *e, const char **version, const char **modinfo)
{
	const uint8_t *p, *ver = NULL, *mod = NULL;
	uint64_t left, verlen = 0, modlen = 0;

	if (e->version)
		goto out;
	p = buildinfo_find(e, &left);
	if (!p)
		return err_create(
			ERR_NODEBUG,
			"%s: no Go build information: not a Go program? (Go in a shared library of it: "
			"give that as EXE)",
			e->path);
	if (p[BUILDINFO_FLAGS] & BUILDINFO_INLINE) {
		struct cursor c =
			cursor_make(p + BUILDINFO_HEADER, left - BUILDINFO_HEADER, e->fmt);

		if (!buildinfo_inline(&c, &ver, &verlen))
			verlen = 0;
		else if (!buildinfo_inline(&c, &mod, &modlen))
			modlen = 0;
	} else {
		struct bytes_fmt fmt = { p[BUILDINFO_PTRSIZE], p[BUILDINFO_FLAGS] & BUILDINFO_BIG };

		if (fmt.word != 4 && fmt.word != 8)
			return err_create(ERR_BADDATA, "%s: damaged Go build information", e->path);
		if (!buildinfo_gostring(e, fmt, bytes_word(fmt, p + 16), &ver, &verlen))
			verlen = 0;
		else if (!buildinfo_gostring(e, fmt, bytes_word(fmt, p + 16 + fmt.word), &mod,
					     &modlen))
			modlen = 0;
	}
	if (!verlen)
		return err_create(ERR_BADDATA, "%s: damaged Go build information", e->path);
	/* The module text stands between two 16-byte marks (cmd/go/internal/modload/build.go). */
	if (modlen >= 33 && mod[modlen - 17] == '\n') {
		mod += 16;
		modlen -= 32;
	} else {
		modlen = 0;
	}
	e->modinfo = modlen ? strndup((const char *)mod, modlen) : strdup("");
	if (!e->modinfo)
		return err_nomem();
	e->version = strndup((const char *)ver, verlen);
	if (!e->version) {
		free(e->modinfo);
		e->modinfo = NULL;
		return err_nomem();
	}
out:
	*version = e->version;
	*modinfo = e->modinfo;
	return NULL;
}
