#include "target/library.h"

#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"

enum { PAGE = 4096, NOTE_MAX = 1024 };

static struct err *peek(struct target *t, uint64_t addr, void *dst, uint64_t len)
{
	struct mem_range r = { addr, len, dst, 0 };
	struct err *err = target_peek(t, &r);

	if (!err && r.got < len)
		err = err_fault(addr + r.got,
				"no memory at 0x%" PRIx64 ", where the dynamic linker's list leads",
				addr);
	return err;
}

static struct err *peek_words(struct target *t, struct bytes_fmt fmt, uint64_t addr, uint64_t *v,
			      unsigned n)
{
	uint8_t b[8 * 8];
	struct err *err = peek(t, addr, b, (uint64_t)n * fmt.word);

	for (unsigned i = 0; !err && i < n; i++)
		v[i] = bytes_word(fmt, b + i * fmt.word);
	return err;
}

/* A path; what is longer than a page, or not readable to its end, is cut. */
static struct err *peek_string(struct target *t, uint64_t addr, char **ret)
{
	uint8_t b[PAGE];
	struct mem_range r = { addr, sizeof(b), b, 0 };
	struct err *err = addr ? target_peek(t, &r) : NULL;

	if (err)
		return err;
	*ret = strndup((const char *)b, r.got);
	return *ret ? NULL : err_nomem();
}

/* ------------------------------------------------------------------ program headers */

struct phdr {
	uint32_t type, flags;
	uint64_t vaddr, memsz;
};

static struct phdr phdr_parse(struct bytes_fmt fmt, const uint8_t *b)
{
	if (fmt.word == 8)
		return (struct phdr){ bytes_u32(fmt, b), bytes_u32(fmt, b + 4),
				      bytes_u64(fmt, b + 16), bytes_u64(fmt, b + 40) };
	return (struct phdr){ bytes_u32(fmt, b), bytes_u32(fmt, b + 24), bytes_u32(fmt, b + 8),
			      bytes_u32(fmt, b + 20) };
}

static unsigned phdr_size(struct bytes_fmt fmt)
{
	return fmt.word == 8 ? 56 : 32;
}

enum { PHDRS_MAX = 64 };

/* The headers of the object mapped at l->bias, which its first page holds. */
static struct err *read_segments(struct target *t, struct bytes_fmt fmt, struct library *l)
{
	uint8_t b[PAGE];
	struct mem_range r = { l->bias, sizeof(b), b, 0 };
	struct err *err = target_peek(t, &r);
	uint64_t off, n;

	if (err || r.got < sizeof(b) || memcmp(b, ELFMAG, SELFMAG))
		return err; /* the vDSO of an odd kernel, an object not linked at 0: no Go in it */
	off = fmt.word == 8 ? bytes_u64(fmt, b + 32) : bytes_u32(fmt, b + 28);
	n = bytes_u16(fmt, b + (fmt.word == 8 ? 56 : 44));
	if (n > PHDRS_MAX || off > sizeof(b) || n * phdr_size(fmt) > sizeof(b) - off)
		return NULL;
	for (uint64_t i = 0; i < n && !err; i++) {
		struct phdr ph = phdr_parse(fmt, b + off + i * phdr_size(fmt));

		if (ph.type == PT_LOAD)
			err = vec_push(&l->segments, ((struct library_segment){
							     ph.vaddr + l->bias, ph.memsz,
							     ph.flags & PF_W, ph.flags & PF_X }));
	}
	return err;
}

/* ------------------------------------------------------------------ the list */

/* r_debug's address, which the program's own dynamic section has; 0: none. */
static struct err *find_r_debug(struct target *t, struct bytes_fmt fmt, uint64_t *ret)
{
	uint8_t b[PHDRS_MAX * 56];
	uint64_t phdrs, n, bias = 0, dyn = 0, dynsz = 0, tag[2];
	struct err *err = target_auxv(t, AT_PHDR, &phdrs);

	*ret = 0;
	if (!err)
		err = target_auxv(t, AT_PHNUM, &n);
	if (!err && n > PHDRS_MAX)
		err = err_create(ERR_BADDATA, "the program has %" PRIu64 " program headers", n);
	if (!err)
		err = peek(t, phdrs, b, n * phdr_size(fmt));
	if (err)
		return err;
	for (uint64_t i = 0; i < n; i++) {
		struct phdr ph = phdr_parse(fmt, b + i * phdr_size(fmt));

		if (ph.type == PT_PHDR)
			bias = phdrs - ph.vaddr;
		if (ph.type == PT_DYNAMIC) {
			dyn = ph.vaddr;
			dynsz = ph.memsz;
		}
	}
	for (uint64_t at = 0; dyn && at + 2 * fmt.word <= dynsz; at += 2 * fmt.word) {
		err = peek_words(t, fmt, dyn + bias + at, tag, 2);
		if (err || tag[0] == DT_NULL)
			return err;
		if (tag[0] == DT_DEBUG) {
			*ret = tag[1];
			return NULL;
		}
	}
	return NULL;
}

struct err *libraries_read(struct target *t, struct bytes_fmt fmt, struct libraries *ret)
{
	uint64_t debug, at, head[2];
	struct err *err = find_r_debug(t, fmt, &debug);

	libraries_deinit(ret);
	if (err || !debug)
		return err_wrapf(err, "finding the process's shared libraries");
	err = peek_words(t, fmt, debug, head, 2); /* {int version; struct link_map *map; ...} */
	for (at = err ? 0 : head[1]; at && !err;) {
		struct library l = { 0 };
		uint64_t map[4]; /* {addr, name, ld, next, ...} */

		if (ret->n >= LIMIT_MODULES) {
			err = err_create(ERR_LIMIT, "more than %u shared libraries", LIMIT_MODULES);
			break;
		}
		err = peek_words(t, fmt, at, map, 4);
		if (err)
			break;
		l.bias = map[0];
		at = map[3];
		err = peek_string(t, map[1], &l.path);
		if (!err)
			err = read_segments(t, fmt, &l);
		if (!err)
			err = vec_push(ret, l);
		if (err) {
			free(l.path);
			vec_deinit(&l.segments);
		}
	}
	return err_wrapf(err, "reading the list of shared libraries");
}

void libraries_deinit(struct libraries *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].path);
		vec_deinit(&l->v[i].segments);
	}
	vec_deinit(l);
}

const struct library *libraries_at(const struct libraries *l, uint64_t addr)
{
	for (size_t i = 0; i < l->n; i++)
		if (library_has(l->v[i].segments.v, l->v[i].segments.n, addr))
			return &l->v[i];
	return NULL;
}

struct err *library_is(struct target *t, const struct library *l, const struct elf *file, bool *ret)
{
	uint8_t b[NOTE_MAX];

	*ret = false;
	for (unsigned i = 0; i < ELF_ID_NOTES; i++) {
		const struct elf_section *s = elf_id_note(file, i);
		struct mem_range r = { s ? s->addr + l->bias : 0, s ? s->size : 0, b, 0 };
		struct err *err;

		if (!s || s->size > sizeof(b))
			continue;
		err = target_peek(t, &r);
		if (err)
			return err;
		*ret = r.got == s->size && !memcmp(b, elf_section_data(file, s), s->size);
		if (!*ret)
			return NULL;
	}
	return NULL;
}
