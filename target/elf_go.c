/*
 * What Go's linker leaves in an ELF file: the function tables' first bytes, and the build
 * information (debug/buildinfo/buildinfo.go@go1.26.8, which reads both formats).
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "target/elf_int.h"

bool elf_is_pclntab(struct bytes_fmt fmt, const uint8_t *b)
{
	uint32_t magic = bytes_u32(fmt, b);

	return (magic == ELF_PCLNTAB_117 || magic == ELF_PCLNTAB_118 || magic == ELF_PCLNTAB_120) &&
	       !b[4] && !b[5] && (b[6] == 1 || b[6] == 2 || b[6] == 4) && b[7] == fmt.word;
}

/* ------------------------------------------------------------------ Go build information */

#define BUILDINFO_MAGIC "\xff Go buildinf:"

enum {
	BUILDINFO_ALIGN = 16,
	BUILDINFO_HEADER = 32,
	BUILDINFO_PTRS = 16,
	BUILDINFO_PTRSIZE = 14,
	BUILDINFO_FLAGS = 15,
	BUILDINFO_BIG = 1,
	/* go1.18: two varint-counted strings behind the header; before: two *string */
	BUILDINFO_INLINE = 2,
	BUILDINFO_MAX_STRING = 16 << 20, /* module lists are a few KB */
	MODINFO_MARK = 16,
};

struct gostring {
	const uint8_t *p;
	uint64_t len;
};

struct buildinfo {
	struct gostring version, modinfo;
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
			       struct gostring *ret)
{
	const uint8_t *h = elf_data(e, addr, 2u * fmt.word);

	if (!h)
		return false;
	ret->len = bytes_word(fmt, h + fmt.word);
	ret->p = ret->len && ret->len <= BUILDINFO_MAX_STRING ?
			 elf_data(e, bytes_word(fmt, h), ret->len) :
			 NULL;
	return ret->p || !ret->len;
}

static bool buildinfo_inline(struct cursor *c, struct gostring *ret)
{
	ret->len = cursor_uvarint(c);
	ret->p = c->p;
	return ret->len <= BUILDINFO_MAX_STRING && cursor_skip(c, ret->len);
}

/* The two strings behind a header at p; verlen 0: damaged. */
static struct err *buildinfo_strings(const struct elf *e, const uint8_t *p, uint64_t left,
				     struct buildinfo *ret)
{
	if (p[BUILDINFO_FLAGS] & BUILDINFO_INLINE) {
		struct cursor c =
			cursor_make(p + BUILDINFO_HEADER, left - BUILDINFO_HEADER, e->fmt);

		if (!buildinfo_inline(&c, &ret->version))
			ret->version.len = 0;
		else if (!buildinfo_inline(&c, &ret->modinfo))
			ret->modinfo.len = 0;
	} else {
		struct bytes_fmt fmt = { p[BUILDINFO_PTRSIZE], p[BUILDINFO_FLAGS] & BUILDINFO_BIG };
		const uint8_t *ptrs = p + BUILDINFO_PTRS;

		if (fmt.word != 4 && fmt.word != 8)
			return err_create(ERR_BADDATA, "%s: damaged Go build information", e->path);
		if (!buildinfo_gostring(e, fmt, bytes_word(fmt, ptrs), &ret->version))
			ret->version.len = 0;
		else if (!buildinfo_gostring(e, fmt, bytes_word(fmt, ptrs + fmt.word),
					     &ret->modinfo))
			ret->modinfo.len = 0;
	}
	if (!ret->version.len)
		return err_create(ERR_BADDATA, "%s: damaged Go build information", e->path);
	return NULL;
}

/* The module text stands between two marks (cmd/go/internal/modload/build.go), with a newline
 * before the second. */
static struct gostring modinfo_text(struct gostring s)
{
	if (s.len <= 2 * MODINFO_MARK || s.p[s.len - MODINFO_MARK - 1] != '\n')
		return (struct gostring){ NULL, 0 };
	return (struct gostring){ s.p + MODINFO_MARK, s.len - 2 * MODINFO_MARK };
}

static struct err *buildinfo_read(struct elf *e)
{
	_cleanup_free_ char *version = NULL, *modinfo = NULL;
	struct buildinfo info = { { NULL, 0 }, { NULL, 0 } };
	struct gostring text;
	uint64_t left;
	const uint8_t *p = buildinfo_find(e, &left);

	if (!p)
		return err_create(ERR_NODEBUG,
				  "%s: no Go build information: not a Go program? (Go in a shared "
				  "library of it: give that as EXE)",
				  e->path);
	TRY(buildinfo_strings(e, p, left, &info));
	text = modinfo_text(info.modinfo);
	modinfo = text.len ? strndup((const char *)text.p, text.len) : strdup("");
	version = strndup((const char *)info.version.p, info.version.len);
	if (!modinfo || !version)
		return err_nomem();
	e->modinfo = TAKE_PTR(modinfo);
	e->version = TAKE_PTR(version);
	return NULL;
}

struct err *elf_go_buildinfo(struct elf *e, const char **version, const char **modinfo)
{
	if (!e->version)
		TRY(buildinfo_read(e));
	*version = e->version;
	*modinfo = e->modinfo;
	return NULL;
}
