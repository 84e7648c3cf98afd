/*
 * The dynamic linker's list is read as debuggers read it: the program's headers, which the
 * auxiliary vector names, lead to its dynamic section, that to r_debug, and that to the list.
 * Each object's own headers are in the first page that is mapped of it.
 */
#include "target/library.h"

#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/intr.h"
#include "base/limits.h"
#include "target/elf_header.h"
#include "target/elf_note.h"

enum {
	HEADERS_MAX = 4096, /* the headers of an object are in its first page */
	PATH_LEN_MAX = 4096,
	PHDRS_MAX = 64,
	DYNAMIC_MAX = 64 << 10, /* bytes of a dynamic section; they have some hundreds */
	ID_NOTE_MAX = 1024,
};

/* All of it, or ERR_FAULT. */
static struct err *library_peek(struct target *t, uint64_t addr, void *dst, uint64_t len)
{
	struct mem_range r = { addr, len, dst, 0 };

	TRY(target_peek(t, &r));
	if (r.got < len)
		return err_fault(
			addr + r.got,
			"no memory at 0x%" PRIx64 ", where the dynamic linker's list leads", addr);
	return NULL;
}

static struct err *peek_words(struct target *t, struct bytes_fmt fmt, uint64_t addr, uint64_t *v,
			      unsigned n)
{
	uint8_t b[8 * 8];

	TRY(library_peek(t, addr, b, (uint64_t)n * fmt.word));
	for (unsigned i = 0; i < n; i++)
		v[i] = bytes_word(fmt, b + i * fmt.word);
	return NULL;
}

/* A path, cut where it is longer than PATH_LEN_MAX or cannot be read on. */
static struct err *peek_string(struct target *t, uint64_t addr, char **ret)
{
	uint8_t b[PATH_LEN_MAX];
	struct mem_range r = { addr, sizeof(b), b, 0 };

	if (addr)
		TRY(target_peek(t, &r));
	*ret = strndup((const char *)b, r.got);
	return *ret ? NULL : err_nomem();
}

/* ------------------------------------------------------------------ one object */

static void library_deinit(struct library *l)
{
	free(l->path);
	vec_deinit(&l->segments);
}

/* The segments of the object mapped at l->bias.  None, if its headers are not there: the vDSO of an
 * odd kernel, or an object not linked at 0, which has no Go in it. */
static struct err *read_segments(struct target *t, struct bytes_fmt fmt, struct library *l)
{
	uint8_t b[HEADERS_MAX];
	struct mem_range r = { l->bias, sizeof(b), b, 0 };
	uint64_t off, n;

	TRY(target_peek(t, &r));
	if (r.got < sizeof(b) || memcmp(b, ELFMAG, SELFMAG))
		return NULL;
	off = ehdr_phoff(fmt, b);
	n = ehdr_phnum(fmt, b);
	if (n > PHDRS_MAX || off > sizeof(b) || n * phdr_size(fmt) > sizeof(b) - off)
		return NULL;
	for (uint64_t i = 0; i < n; i++) {
		Elf64_Phdr ph = phdr_read(fmt, b + off + i * phdr_size(fmt));

		if (ph.p_type == PT_LOAD)
			TRY(vec_push(&l->segments,
				     ((struct library_segment){ ph.p_vaddr + l->bias, ph.p_memsz,
								ph.p_flags & PF_W,
								ph.p_flags & PF_X })));
	}
	return NULL;
}

/* The object whose struct link_map is at addr; *next: the next one's. */
static struct err *library_read(struct target *t, struct bytes_fmt fmt, uint64_t addr,
				struct library *ret, uint64_t *next)
{
	_cleanup_(library_deinit) struct library l = { 0 };
	uint64_t map[4]; /* {addr, name, ld, next, ...} */

	TRY(peek_words(t, fmt, addr, map, 4));
	l.bias = map[0];
	TRY(peek_string(t, map[1], &l.path));
	TRY(read_segments(t, fmt, &l));
	*ret = l;
	l = (struct library){ 0 };
	*next = map[3];
	return NULL;
}

/* ------------------------------------------------------------------ the list */

/* Where the program's dynamic section is; *len 0: it has none. */
static struct err *find_dynamic(struct target *t, struct bytes_fmt fmt, uint64_t *addr,
				uint64_t *len)
{
	uint8_t b[PHDRS_MAX * sizeof(Elf64_Phdr)];
	uint64_t phdrs, n, bias = 0;

	*addr = *len = 0;
	TRY(target_auxv(t, AT_PHDR, &phdrs));
	TRY(target_auxv(t, AT_PHNUM, &n));
	if (n > PHDRS_MAX)
		return err_create(ERR_BADDATA, "the program has %" PRIu64 " program headers", n);
	TRY(library_peek(t, phdrs, b, n * phdr_size(fmt)));
	for (uint64_t i = 0; i < n; i++) {
		Elf64_Phdr ph = phdr_read(fmt, b + i * phdr_size(fmt));

		if (ph.p_type == PT_PHDR)
			bias = phdrs - ph.p_vaddr;
		if (ph.p_type == PT_DYNAMIC && ph.p_vaddr) {
			*addr = ph.p_vaddr;
			*len = ph.p_memsz;
		}
	}
	*addr += bias;
	return NULL;
}

/* r_debug's address, which the program's dynamic section has; 0: none. */
static struct err *find_r_debug(struct target *t, struct bytes_fmt fmt, uint64_t *ret)
{
	uint64_t dyn, len, tag[2];

	*ret = 0;
	TRY(find_dynamic(t, fmt, &dyn, &len));
	if (len > DYNAMIC_MAX)
		len = DYNAMIC_MAX;
	for (uint64_t at = 0; at + 2 * fmt.word <= len; at += 2 * fmt.word) {
		TRY(intr_check());
		TRY(peek_words(t, fmt, dyn + at, tag, 2));
		if (tag[0] == DT_NULL)
			break;
		if (tag[0] == DT_DEBUG) {
			*ret = tag[1];
			break;
		}
	}
	return NULL;
}

static struct err *read_list(struct target *t, struct bytes_fmt fmt, uint64_t debug,
			     struct libraries *ret)
{
	uint64_t head[2]; /* {int version; struct link_map *map; ...} */

	TRY(peek_words(t, fmt, debug, head, 2));
	for (uint64_t at = head[1]; at;) {
		if (ret->n >= LIMIT_MODULES)
			return err_create(ERR_LIMIT, "more than %u shared libraries",
					  LIMIT_MODULES);
		TRY(vec_reserve(ret, 1));
		TRY(library_read(t, fmt, at, &ret->v[ret->n], &at));
		ret->n++;
	}
	return NULL;
}

struct err *libraries_read(struct target *t, struct bytes_fmt fmt, struct libraries *ret)
{
	uint64_t debug;
	struct err *err = find_r_debug(t, fmt, &debug);

	libraries_deinit(ret);
	if (err || !debug)
		return err_wrapf(err, "finding the process's shared libraries");
	return err_wrapf(read_list(t, fmt, debug, ret), "reading the list of shared libraries");
}

void libraries_deinit(struct libraries *l)
{
	for (size_t i = 0; i < l->n; i++)
		library_deinit(&l->v[i]);
	vec_deinit(l);
}

const struct library *libraries_at(const struct libraries *l, uint64_t addr)
{
	for (size_t i = 0; i < l->n; i++)
		if (library_has(l->v[i].segments.v, l->v[i].segments.n, addr))
			return &l->v[i];
	return NULL;
}

/* Is a section of the file's, or of a long one the begin, what the library has in memory? */
static struct err *has_section(struct target *t, const struct library *l, const struct elf *file,
			       const struct elf_section *s, bool *ret)
{
	uint8_t b[ID_NOTE_MAX];
	uint64_t len = s->size < sizeof(b) ? s->size : sizeof(b);
	struct mem_range r = { s->addr + l->bias, len, b, 0 };

	TRY(target_peek(t, &r));
	*ret = r.got == len && !memcmp(b, elf_section_data(file, s), len);
	return NULL;
}

struct err *library_is(struct target *t, const struct library *l, const struct elf *file, bool *ret)
{
	static const char *const others[] = { ".rodata", ".gopclntab" };
	bool known = elf_ids_identify(elf_go_build_id(file), elf_gnu_build_id(file));

	*ret = false;
	for (unsigned i = 0; i < ELF_ID_NOTES; i++) {
		const struct elf_section *s = elf_id_note(file, i);

		if (!s || s->size > ID_NOTE_MAX)
			continue;
		TRY(has_section(t, l, file, s, ret));
		if (!*ret)
			return NULL;
	}
	for (size_t i = 0; *ret && !known && i < sizeof(others) / sizeof(*others); i++) {
		const struct elf_section *s = elf_section(file, others[i]);

		if (s && s->alloc && elf_section_data(file, s))
			TRY(has_section(t, l, file, s, ret));
	}
	return NULL;
}
