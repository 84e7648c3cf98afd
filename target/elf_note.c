/*
 * Notes (ELF gABI, "Note Section") and the build ids in them.
 */
#include "target/elf_note.h"

#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "target/elf_int.h"

enum {
	NOTE_GO_BUILD_ID = 4,   /* cmd/link/internal/ld/elf.go: ELF_NOTE_GOBUILDID_TAG */
	NOTE_MAX_ID = 64 << 10, /* longer is no id */
	NOTE_ALIGN = 4,         /* of names and descriptors, the last one perhaps not */
};

/* ------------------------------------------------------------------ notes */

static uint64_t note_padded(uint64_t len)
{
	return (len + NOTE_ALIGN - 1) & ~(uint64_t)(NOTE_ALIGN - 1);
}

bool elf_note_next(struct cursor *c, struct elf_note *ret)
{
	struct elf_note n;

	if (cursor_left(c) < sizeof(Elf64_Nhdr)) /* of both classes */
		return false;
	n.name_len = cursor_uint(c, 4);
	n.len = cursor_uint(c, 4);
	n.type = (uint32_t)cursor_uint(c, 4);
	n.name = (const char *)c->p;
	if (!cursor_skip(c, note_padded(n.name_len)) || n.len > cursor_left(c))
		return false;
	n.desc = c->p;
	cursor_skip(c, note_padded(n.len)); /* to the end, if the last one is not padded */
	*ret = n;
	return true;
}

bool elf_note_is(const struct elf_note *n, const char *name, uint32_t type)
{
	size_t len = strlen(name);

	if (n->type != type || n->name_len <= len || memcmp(n->name, name, len))
		return false;
	for (; len < n->name_len; len++)
		if (n->name[len])
			return false;
	return true;
}

/* ------------------------------------------------------------------ build ids */

void elf_ids_deinit(struct elf_ids *ids)
{
	free(ids->go);
	free(ids->gnu);
	*ids = (struct elf_ids){ NULL, NULL };
}

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

/* Takes the ids that these notes have; of two of one kind the first counts. */
static struct err *ids_take(struct elf_ids *ids, struct bytes_fmt fmt, const uint8_t *p,
			    uint64_t len)
{
	struct cursor c = cursor_make(p, len, fmt);
	struct elf_note n;

	while (elf_note_next(&c, &n) && n.len <= NOTE_MAX_ID) {
		if (elf_note_is(&n, "GNU", NT_GNU_BUILD_ID) && !ids->gnu)
			TRY(note_hex(n.desc, n.len, &ids->gnu));
		if (elf_note_is(&n, "Go", NOTE_GO_BUILD_ID) && !ids->go) {
			ids->go = strndup((const char *)n.desc, n.len);
			if (!ids->go)
				return err_nomem();
		}
	}
	return NULL;
}

/* Of all notes that elf's program headers name and the len bytes of its file hold. */
static struct err *ids_of_segments(struct elf_ids *ids, Elf *elf, struct bytes_fmt fmt,
				   const uint8_t *file, uint64_t len)
{
	uint64_t left = 2 * len; /* of notes: they do not overlap */
	size_t n;

	if (elf_getphdrnum(elf, &n))
		return NULL;
	for (size_t i = 0; i < n && i < LIMIT_SECTIONS; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(elf, (int)i, &ph) || ph.p_type != PT_NOTE || ph.p_offset > len ||
		    ph.p_filesz > len - ph.p_offset || ph.p_filesz > left)
			continue;
		left -= ph.p_filesz;
		TRY(ids_take(ids, fmt, file + ph.p_offset, ph.p_filesz));
	}
	return NULL;
}

struct err *elf_read_ids(struct elf *e)
{
	TRY(ids_of_segments(&e->ids, e->elf, e->fmt, e->raw, e->raw_len));
	/* Separate debug files keep the sections, not always the segment. */
	for (size_t i = 0; i < e->nsections; i++) {
		const struct elf_section *s = &e->sections[i];

		if (!strncmp(s->name, ".note.", 6) && !s->nobits && s->size && !s->compressed)
			TRY(ids_take(&e->ids, e->fmt, elf_section_data(e, s), s->size));
	}
	return NULL;
}

DEFINE_CLEANUP(elf_end, Elf *)

struct err *elf_ids_of_head(const uint8_t *head, size_t len, struct elf_ids *ret)
{
	_cleanup_(cleanup_elf_end) Elf *elf = NULL;
	_cleanup_(elf_ids_deinit) struct elf_ids ids = { NULL, NULL };
	GElf_Ehdr eh;

	elf_version(EV_CURRENT);
	elf = elf_memory((char *)(uintptr_t)head, len);
	if (elf && gelf_getehdr(elf, &eh))
		TRY(ids_of_segments(&ids, elf, elf_fmt_of(&eh), head, len));
	*ret = ids;
	ids = (struct elf_ids){ NULL, NULL };
	return NULL;
}

bool elf_ids_identify(const char *go, const char *gnu)
{
	enum { GO_SLASHES = 3, GNU_DIGITS = 40 };
	int slashes = 0;

	if (!go || !*go)
		return gnu && strlen(gnu) == GNU_DIGITS;
	for (const char *c = go; (c = strchr(c, '/')); c++) {
		if (c == go || c[-1] == '/' || !c[1]) /* an empty part */
			return false;
		slashes++;
	}
	return slashes == GO_SLASHES;
}

const char *elf_gnu_build_id(const struct elf *e)
{
	return e->ids.gnu ? e->ids.gnu : "";
}

const char *elf_go_build_id(const struct elf *e)
{
	return e->ids.go ? e->ids.go : "";
}

const struct elf_section *elf_id_note(const struct elf *e, unsigned i)
{
	static const char *const names[ELF_ID_NOTES] = { ".note.go.buildid", ".note.gnu.build-id" };
	const struct elf_section *s = elf_section(e, names[i]);

	return s && s->alloc && elf_section_data(e, s) ? s : NULL;
}
