/*
 * A candidate is of the same build if its build id says so and its sections have the same sizes.
 * Where only a part of the Go build id is the same, or an equal id is one that many builds can have
 * ("redacted"), function tables are compared, too.  Candidates are looked for
 * where gdb looks for them (its manual, "Separate Debug Files").
 */
#include "target/debugfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "target/dwarf.h"
#include "target/elf_note.h"
#include "target/owner.h"

DEFINE_CLEANUP(elf_destroy, struct elf *)

static bool distrusted;

void debugfile_distrust(bool on)
{
	distrusted = on;
}

void debugfile_own(struct debugfile *d, struct elf *binary)
{
	char *passed_over = TAKE_PTR(d->passed_over);

	debugfile_deinit(d);
	d->elf = binary;
	d->passed_over = passed_over;
}

void debugfile_deinit(struct debugfile *d)
{
	if (d->owned)
		elf_destroy(d->elf);
	vec_deinit(&d->shifts);
	free(d->passed_over);
	*d = (struct debugfile){ NULL };
}

uint64_t debugfile_addr(const struct debugfile *d, uint64_t addr)
{
	for (size_t i = 0; i < d->shifts.n; i++)
		if (addr - d->shifts.v[i].addr < d->shifts.v[i].size)
			return addr + d->shifts.v[i].shift;
	return addr;
}

/* ------------------------------------------------------------------ is it the same build? */

/* The third part of "action/main's action/main's content/content"; false: the id has no such
 * parts. */
static bool id_main(const char *id, const char **ret, size_t *len)
{
	const char *z = strrchr(id, '/'), *a = z ? memrchr(id, '/', (size_t)(z - id)) : NULL;

	if (!a || memchr(id, '/', (size_t)(a - id)) == NULL)
		return false;
	*ret = a;
	*len = (size_t)(z - a);
	return true;
}

bool debugfile_same_source(const char *id, const char *other)
{
	const char *x, *y;
	size_t n, m;

	return id_main(id, &x, &n) && id_main(other, &y, &m) && n == m && !memcmp(x, y, n);
}

static bool same_id(const struct elf *a, const struct elf *b)
{
	const char *go = elf_go_build_id(a), *gnu = elf_gnu_build_id(a);

	if (*go && *elf_go_build_id(b)) /* a GNU id can be made of it, and says no more */
		return !strcmp(go, elf_go_build_id(b));
	return *gnu && !strcmp(gnu, elf_gnu_build_id(b));
}

static bool identifies(const struct elf *e)
{
	return elf_ids_identify(elf_go_build_id(e), elf_gnu_build_id(e));
}

static struct err *differs(const struct elf *binary, const struct elf *file, const char *what,
			   const char *x, const char *y)
{
	return err_create(ERR_BADDATA, "%s is not of the same build as %s: %s %s, not %s",
			  elf_path(file), elf_path(binary), what, *y ? y : "(none)",
			  *x ? x : "(none)");
}

static bool is_pclntab(const char *name)
{
	static const char suffix[] = ".gopclntab";
	size_t n = strlen(name);

	return n >= sizeof(suffix) - 1 && !strcmp(name + n - (sizeof(suffix) - 1), suffix);
}

enum { PCHEADER_WORDS = 9 };

/* Of function tables among other data, what has no relocations: names, files and pc tables
 * (pcHeader in runtime/symtab.go).  NULL: there are none. */
static const uint8_t *pclntab_inside(struct bytes_fmt fmt, const uint8_t *p, uint64_t size,
				     uint64_t *len)
{
	for (uint64_t at = 0; at + PCHEADER_WORDS * fmt.word <= size; at += fmt.word) {
		const uint8_t *h = p + at;
		/* {magic, 0, 0, minLC, ptrSize; nfunc, nfiles; textStart (1.18+); funcname, cu,
		 * file, pc, pcln offsets} */
		unsigned first = bytes_u32(fmt, h) == ELF_PCLNTAB_117 ? 3 : 4;
		uint64_t from, to;

		if (!elf_is_pclntab(fmt, h))
			continue;
		from = bytes_word(fmt, h + first * fmt.word);
		to = bytes_word(fmt, h + (first + 4) * fmt.word);
		if (from < to && to <= size - at) {
			*len = to - from;
			return h + from;
		}
	}
	return NULL;
}

/* The function tables: their section, or what external linkers (up to Go 1.25, PIE and c-shared)
 * put into .data.rel.ro. */
static const uint8_t *pclntab(const struct elf *e, uint64_t *len)
{
	const struct elf_section *s;
	size_t n = elf_sections(e, &s);
	const uint8_t *p;

	for (size_t i = 0; i < n; i++)
		if (is_pclntab(s[i].name) && (p = elf_section_data(e, &s[i]))) {
			*len = s[i].size;
			return p;
		}
	s = elf_section(e, ".data.rel.ro");
	p = s ? elf_section_data(e, s) : NULL;
	return p ? pclntab_inside(elf_fmt(e), p, s->size, len) : NULL;
}

/* A section whose size is not the same in both; NULL: none. */
static const char *other_size(const struct elf *binary, const struct elf *file)
{
	static const char *const same_size[] = { ".text",      ".data",     ".bss",
						 ".noptrdata", ".noptrbss", ".gopclntab" };

	for (size_t i = 0; i < sizeof(same_size) / sizeof(*same_size); i++) {
		const struct elf_section *x = elf_section(binary, same_size[i]),
					 *y = elf_section(file, same_size[i]);

		if (!x != !y || (x && x->size != y->size))
			return same_size[i];
	}
	return NULL;
}

/* Does the file have nothing of what is loaded, but for notes (objcopy --only-keep-debug)? */
static bool is_split(const struct elf *file)
{
	const struct elf_section *text = elf_section(file, ".text");

	return text && text->nobits;
}

/* Are they two links of the same packages?  Then all code and data have the same sizes, and the
 * function tables, if both have them, are equal. */
static struct err *check_sections(const struct elf *binary, const struct elf *file, bool same)
{
	const char *what = other_size(binary, file);
	uint64_t len = 0, other_len = 0;

	if (!what && !same && !is_split(file)) {
		const uint8_t *tables = pclntab(binary, &len), *other = pclntab(file, &other_len);

		if (!tables || !other || len != other_len || memcmp(tables, other, len))
			what = "pclntab";
	}
	return what ? err_create(ERR_BADDATA, "%s is not of the same build as %s: %s differs",
				 elf_path(file), elf_path(binary), what) :
		      NULL;
}

static struct err *check_same_build(const struct elf *binary, const struct elf *file)
{
	const char *x = elf_go_build_id(binary), *y = elf_go_build_id(file);

	if (elf_machine(binary) != elf_machine(file))
		return err_create(ERR_BADDATA, "%s is for another architecture than %s",
				  elf_path(file), elf_path(binary));
	if (same_id(binary, file) || debugfile_same_source(x, y))
		return check_sections(binary, file, same_id(binary, file) && identifies(file));
	if (*x || *y)
		return differs(binary, file, "Go build id", x, y);
	return differs(binary, file, "build id", elf_gnu_build_id(binary), elf_gnu_build_id(file));
}

static struct err *add_shifts(struct debugfile *d, const struct elf *binary)
{
	const struct elf_section *s, *text = elf_section(binary, ".text"),
				     *file_text = elf_section(d->elf, ".text");
	size_t n = elf_sections(d->elf, &s);

	for (size_t i = 0; i < n; i++) {
		const struct elf_section *to = s[i].alloc ? elf_section(binary, s[i].name) : NULL;

		if (to && to->addr != s[i].addr && to->size == s[i].size)
			TRY(vec_push(&d->shifts,
				     ((struct debugfile_shift){ s[i].addr, s[i].size,
								to->addr - s[i].addr })));
	}
	d->text_shift = text && file_text ? text->addr - file_text->addr : 0;
	return NULL;
}

struct err *debugfile_set(struct debugfile *d, const struct elf *binary, struct elf *file)
{
	_cleanup_(debugfile_deinit) struct debugfile new = { .elf = file };

	TRY(check_same_build(binary, file));
	TRY(add_shifts(&new, binary));
	new.owned = true;
	debugfile_deinit(d);
	*d = new;
	new = (struct debugfile){ NULL };
	return NULL;
}

/* ------------------------------------------------------------------ where debuggers look */

static struct err *take_file(struct debugfile *d, const struct elf *binary, const char *path,
			     const uint32_t *crc)
{
	_cleanup_(cleanup_elf_destroy) struct elf *file = NULL;

	TRY(elf_open(path, &file));
	if ((crc && elf_crc32(file) != *crc) || !dwarf_present(file))
		return NULL;
	TRY(debugfile_set(d, binary, file));
	file = NULL; /* d has it now */
	return NULL;
}

/* A candidate that cannot be opened or is of another build is no error.  crc: the one that it must
 * have, or NULL. */
static struct err *try_file(struct debugfile *d, const struct elf *binary, const char *path,
			    const uint32_t *crc)
{
	struct err *err = take_file(d, binary, path, crc);

	if (err_is(err, ERR_NOMEM))
		return err;
	err_destroy(err);
	return NULL;
}

/* As try_file(), of a file beside a binary. */
static struct err *try_beside(struct debugfile *d, const struct elf *binary, const char *path,
			      const uint32_t *crc)
{
	_cleanup_free_ char *real = distrusted ? realpath(path, NULL) : NULL;

	if (!distrusted)
		return try_file(d, binary, path, crc);
	if (!real)
		return NULL;
	if (owner_is_root_alone(real))
		return try_file(d, binary, real, crc);
	free(d->passed_over);
	d->passed_over = TAKE_PTR(real);
	return NULL;
}

/* .gnu_debuglink has a file name, zeros up to a multiple of 4, the file's CRC. */
static struct err *try_link(struct debugfile *d, const struct elf *binary)
{
	static const struct {
		const char *before, *behind; /* the binary's folder */
	} places[] = { { "", "" }, { "", "/.debug" }, { DEBUGFILE_DIR, "" } };
	const struct elf_section *s = elf_section(binary, ".gnu_debuglink");
	const uint8_t *b = s ? elf_section_data(binary, s) : NULL, *end;
	_cleanup_free_ char *dir = NULL;
	uint32_t crc;
	size_t off;

	if (!b || s->size < 8 || !(end = memchr(b, 0, s->size)) || end == b ||
	    memchr(b, '/', (size_t)(end - b)))
		return NULL;
	off = ((size_t)(end - b) + 4) & ~(size_t)3;
	if (off + 4 > s->size)
		return NULL;
	crc = bytes_u32(elf_fmt(binary), b + off);
	dir = realpath(elf_file(binary), NULL);
	if (!dir)
		return NULL;
	*strrchr(dir, '/') = 0;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places) && !d->elf; i++) {
		_cleanup_free_ char *path = NULL;

		if (asprintf(&path, "%s%s%s/%s", places[i].before, dir, places[i].behind,
			     (const char *)b) < 0)
			return err_nomem();
		TRY(*places[i].before ? try_file(d, binary, path, &crc) :
					try_beside(d, binary, path, &crc));
	}
	return NULL;
}

static struct err *try_build_id(struct debugfile *d, const struct elf *binary)
{
	const char *id = elf_gnu_build_id(binary);
	_cleanup_free_ char *path = NULL;

	if (strlen(id) < 4)
		return NULL;
	if (asprintf(&path, DEBUGFILE_DIR "/.build-id/%.2s/%s.debug", id, id + 2) < 0)
		return err_nomem();
	return try_file(d, binary, path, NULL);
}

struct err *debugfile_find(struct debugfile *d, const struct elf *binary)
{
	TRY(try_link(d, binary));
	return d->elf ? NULL : try_build_id(d, binary);
}
