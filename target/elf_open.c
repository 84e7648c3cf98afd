/*
 * Opening an ELF file.  The file is mapped, and libelf reads the headers (either class, either byte
 * order).  Every offset and size is checked here against the mapping before anything points into
 * it; elf.c hands out what was found.
 */
#include "target/elf.h"

#include <elf.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/intr.h"
#include "base/limits.h"
#include "base/mapped.h"
#include "base/regular.h"
#include "target/elf_int.h"

void elf_destroy(struct elf *e)
{
	if (!e)
		return;
	free(e->path);
	free(e->file);
	elf_ids_deinit(&e->ids);
	free(e->version);
	free(e->modinfo);
	for (size_t i = 0; e->copies && i < e->nsegments; i++)
		free(e->copies[i]);
	free(e->copies);
	free(e->segments);
	free(e->sections);
	free(e->section_off);
	free(e->sym_slots);
	if (e->elf)
		elf_end(e->elf);
	mapped_destroy(e->map);
	cleanup_close(&e->fd);
	free(e);
}

DEFINE_CLEANUP(elf_destroy, struct elf *)

/* In order of address, as the gABI has them, whatever the file's is. */
static int segment_cmp(const void *a, const void *b)
{
	const struct elf_segment *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	if (x->filesz != y->filesz)
		return x->filesz < y->filesz ? -1 : 1;
	return x->data < y->data ? -1 : x->data > y->data;
}

/*
 * Parts of a file may overlap, but if all of them together are far more than the file, it is made
 * to be read again and again.
 */
static struct err *elf_spend(const struct elf *e, uint64_t *spent, uint64_t n, const char *what)
{
	enum { TIMES = 4, SOME = 1 << 20 };

	*spent += n; /* n is at most the file's size, and there are at most LIMIT_SECTIONS */
	if (*spent > TIMES * e->raw_len + SOME)
		return err_create(ERR_BADDATA, "its %s overlap", what);
	return NULL;
}

static struct err *elf_read_segments(struct elf *e)
{
	uint64_t spent = 0;
	size_t n, i;

	if (elf_getphdrnum(e->elf, &n))
		return err_create(ERR_BADDATA, "damaged program headers: %s", elf_errmsg(-1));
	if (n > LIMIT_SECTIONS)
		return err_create(ERR_BADDATA, "%zu program headers", n);
	e->segments = calloc(n + 1, sizeof(*e->segments));
	if (!e->segments)
		return err_nomem();
	for (i = 0; i < n; i++) {
		struct elf_segment *s = &e->segments[e->nsegments];
		GElf_Phdr ph;

		if (!gelf_getphdr(e->elf, (int)i, &ph))
			return err_create(ERR_BADDATA, "damaged program header %zu: %s", i,
					  elf_errmsg(-1));
		if (ph.p_type != PT_LOAD || !ph.p_memsz)
			continue;
		if (!elf_in_file(e, ph.p_offset, ph.p_filesz))
			return err_create(ERR_BADDATA,
					  "segment %zu goes beyond the end of the file (cut?)", i);
		if (ph.p_memsz < ph.p_filesz || ph.p_vaddr + ph.p_memsz < ph.p_vaddr)
			return err_create(ERR_BADDATA, "segment %zu: senseless addresses", i);
		TRY(elf_spend(e, &spent, ph.p_filesz, "segments"));
		s->addr = ph.p_vaddr;
		s->memsz = ph.p_memsz;
		s->filesz = ph.p_filesz;
		s->off = ph.p_offset;
		s->data = e->raw + ph.p_offset;
		s->read = ph.p_flags & PF_R;
		s->write = ph.p_flags & PF_W;
		s->exec = ph.p_flags & PF_X;
		e->nsegments++;
	}
	qsort(e->segments, e->nsegments, sizeof(*e->segments), segment_cmp);
	return NULL;
}

/* Notes where a symbol table and the strings that it links to are; without both there are no
 * symbols. */
static void elf_find_strings(struct elf *e, const GElf_Shdr *symtab)
{
	Elf_Scn *scn = elf_getscn(e->elf, symtab->sh_link);
	GElf_Shdr str;

	if (!scn || !gelf_getshdr(scn, &str) || str.sh_type != SHT_STRTAB ||
	    !elf_in_file(e, str.sh_offset, str.sh_size))
		return;
	e->syms = e->raw + symtab->sh_offset;
	e->syms_len = symtab->sh_size;
	e->symstr = (const char *)e->raw + str.sh_offset;
	e->symstr_len = str.sh_size;
	/* Up to the last NUL, so that no name has to be looked at to know that it ends. */
	while (e->symstr_len && e->symstr[e->symstr_len - 1])
		e->symstr_len--;
}

static struct err *elf_read_section(struct elf *e, size_t i, size_t shstr, uint64_t *spent)
{
	struct elf_section *s = &e->sections[e->nsections];
	Elf_Scn *scn = elf_getscn(e->elf, i);
	GElf_Shdr sh;

	if (!scn || !gelf_getshdr(scn, &sh))
		return err_create(ERR_BADDATA, "damaged section header %zu: %s", i, elf_errmsg(-1));
	if (sh.sh_type == SHT_NULL)
		return NULL;
	s->nobits = sh.sh_type == SHT_NOBITS;
	if (!s->nobits && !elf_in_file(e, sh.sh_offset, sh.sh_size))
		return err_create(ERR_BADDATA, "section %zu goes beyond the end of the file (cut?)",
				  i);
	if (!s->nobits)
		TRY(elf_spend(e, spent, sh.sh_size, "sections"));
	if (sh.sh_addr + sh.sh_size < sh.sh_addr)
		return err_create(ERR_BADDATA, "section %zu: senseless addresses", i);
	s->name = elf_strptr(e->elf, shstr, sh.sh_name);
	if (!s->name)
		return err_create(ERR_BADDATA, "damaged name of section %zu", i);
	s->addr = sh.sh_addr;
	s->size = sh.sh_size;
	s->alloc = sh.sh_flags & SHF_ALLOC;
	s->write = sh.sh_flags & SHF_WRITE;
	s->compressed = sh.sh_flags & SHF_COMPRESSED;
	e->section_off[e->nsections] = sh.sh_offset;
	if (sh.sh_type == SHT_SYMTAB && !s->compressed)
		elf_find_strings(e, &sh);
	e->nsections++;
	return NULL;
}

static struct err *elf_read_sections(struct elf *e)
{
	uint64_t spent = 0;
	size_t n, shstr;

	if (elf_getshdrnum(e->elf, &n))
		return err_create(ERR_BADDATA, "damaged section headers: %s", elf_errmsg(-1));
	if (n > LIMIT_SECTIONS)
		return err_create(ERR_BADDATA, "%zu sections", n);
	/* sstrip takes all section headers away: an executable still, without sections. */
	if (!n) {
		if (e->ehdr.e_shoff)
			return err_create(ERR_BADDATA,
					  "section headers go beyond the end of the file (cut?)");
		return NULL;
	}
	if (elf_getshdrstrndx(e->elf, &shstr))
		return err_create(ERR_BADDATA, "damaged section names: %s", elf_errmsg(-1));
	e->sections = calloc(n, sizeof(*e->sections));
	e->section_off = calloc(n, sizeof(*e->section_off));
	if (!e->sections || !e->section_off)
		return err_nomem();
	for (size_t i = 1; i < n; i++) /* 0 is the null section */
		TRY(elf_read_section(e, i, shstr, &spent));
	return NULL;
}

static struct err *elf_map(struct elf *e)
{
	struct stat st;

	TRY(regular_open(elf_file(e), &e->fd, &st));
	if (!st.st_size)
		return err_create(ERR_BADDATA, "not an ELF file: empty");
	/* libelf could map it, too, but pages of our own mapping can be given back. */
	TRY(mapped_create(e->fd, (uint64_t)st.st_size, e->path, &e->map, &e->raw));
	e->raw_len = (uint64_t)st.st_size;
	return NULL;
}

static struct err *elf_read_header(struct elf *e)
{
	elf_version(EV_CURRENT);
	e->elf = elf_memory((char *)(uintptr_t)e->raw, e->raw_len);
	if (!e->elf)
		return err_create(ERR_BADDATA, "not an ELF file: %s", elf_errmsg(-1));
	if (elf_kind(e->elf) != ELF_K_ELF || !gelf_getehdr(e->elf, &e->ehdr))
		return err_create(ERR_BADDATA, "not an ELF file");
	e->fmt = elf_fmt_of(&e->ehdr);
	if (e->ehdr.e_type != ET_EXEC && e->ehdr.e_type != ET_DYN)
		return err_create(ERR_BADDATA,
				  "an ELF file, but no executable or shared object (type %u)",
				  e->ehdr.e_type);
	return NULL;
}

static struct err *elf_open_(struct elf *e)
{
	TRY(elf_map(e));
	TRY(elf_read_header(e));
	TRY(elf_read_segments(e));
	TRY(elf_read_sections(e));
	TRY(elf_read_ids(e));
	return elf_relocate(e);
}

struct err *elf_open_as(const char *path, const char *name, struct elf **ret)
{
	_cleanup_(cleanup_elf_destroy) struct elf *e = calloc(1, sizeof(*e));
	struct err *err;

	if (!e)
		return err_nomem();
	e->fd = -1;
	e->path = strdup(name);
	e->file = strdup(path);
	if (!e->path || !e->file)
		return err_nomem();
	err = elf_open_(e);
	/* Cut meanwhile, it looks damaged. */
	if (intr_signal()) {
		err_destroy(err);
		return intr_check();
	}
	if (err)
		return err_wrapf(err, "%s", name);
	*ret = TAKE_PTR(e);
	return NULL;
}

struct err *elf_open(const char *path, struct elf **ret)
{
	return elf_open_as(path, path, ret);
}
