/*
 * A real Go executable (GRF_FUZZ_EXES names some, small and with their sections not compressed)
 * with bytes of it changed: ELF, build information, symbols, DWARF and the layout made of it, types,
 * variables, locals, closures.
 *
 *	which, options, then of each change: a section (or the headers), where in it, what
 *
 * Of .debug_info only as much is shown as holds the runtime's types, or a run takes 100 ms.
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap/layout/layout_pick.h"
#include "heap/types/type.h"
#include "target/dwarf.h"
#include "target/elf.h"
#include "tests/fuzz/fuzz.h"

enum { EXES = 8, CHANGES = 20, PARTS = 16, SHOWN = 120 << 10, TYPES = 40, DEPTH = 6 };

static struct exe {
	struct fuzz_blob blob;
	struct {
		uint64_t off, size;
	} parts[PARTS];
	unsigned nparts;
} exes[EXES];
static unsigned nexes;

static const char *const changed[] = { ".debug_info",     ".debug_abbrev", ".debug_loc",
				       ".debug_loclists", ".debug_ranges", ".debug_rnglists",
				       ".debug_addr",     ".go.buildinfo", ".symtab",
				       ".strtab",         ".shstrtab",     ".gopclntab",
				       ".note.go.buildid" };

/* The units that begin below SHOWN. */
static uint64_t shown(const uint8_t *info, uint64_t size)
{
	uint64_t at = 0;
	uint32_t len;

	while (at < SHOWN && at + 4 <= size) {
		memcpy(&len, info + at, 4);
		at += 4 + (uint64_t)len;
	}
	return at < size ? at : size;
}

static void add_part(struct exe *x, uint64_t off, uint64_t size)
{
	if (x->nparts < PARTS && size) {
		x->parts[x->nparts].off = off;
		x->parts[x->nparts++].size = size;
	}
}

static void find_parts(struct exe *x)
{
	Elf64_Ehdr *h = (Elf64_Ehdr *)x->blob.whole;
	Elf64_Shdr *s = (Elf64_Shdr *)(x->blob.whole + h->e_shoff);
	const char *names = (char *)x->blob.whole + s[h->e_shstrndx].sh_offset;

	add_part(x, 0, sizeof(*h) + h->e_phnum * sizeof(Elf64_Phdr));
	add_part(x, h->e_shoff, h->e_shnum * sizeof(*s));
	for (unsigned i = 0; i < h->e_shnum; i++)
		for (size_t k = 0; k < sizeof(changed) / sizeof(*changed); k++) {
			if (strcmp(names + s[i].sh_name, changed[k]))
				continue;
			if (!k)
				s[i].sh_size = shown(x->blob.whole + s[i].sh_offset, s[i].sh_size);
			add_part(x, s[i].sh_offset, s[i].sh_size);
		}
	memcpy(x->blob.data, x->blob.whole, x->blob.len);
}

static void load(const char *path)
{
	static uint8_t data[16 << 20];
	FILE *f = fopen(path, "rb");
	size_t n = f ? fread(data, 1, sizeof(data), f) : 0;

	if (!n || n == sizeof(data)) {
		fprintf(stderr, "fuzz_exe: cannot read %s\n", path);
		exit(1);
	}
	fclose(f);
	fuzz_blob_init(&exes[nexes].blob, data, n);
	find_parts(&exes[nexes++]);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char *list = getenv("GRF_FUZZ_EXES"), *save;

	for (char *s = list ? strtok_r(list, " ", &save) : NULL; s && nexes < EXES;
	     s = strtok_r(NULL, " ", &save))
		load(s);
	if (!nexes) {
		fprintf(stderr, "fuzz_exe: GRF_FUZZ_EXES names no executable\n");
		exit(1);
	}
	return 0;
}

/* ------------------------------------------------------------------ what is asked */

static struct err *ask_types(struct dwarf *d, const struct layout *l)
{
	const struct types_module m = { .dwarf = d };
	struct image *img = NULL;
	struct types *t = NULL;
	struct err *err = image_create((struct bytes_fmt){ 8, false }, &img);
	size_t at = 0;

	if (!err)
		err = types_create(img, l, &m, 1, &t);
	for (int i = 0; !err && i < TYPES; i++) {
		struct go_type *type = NULL;
		uint64_t die;

		err = dwarf_next_struct(d, &at, &die);
		if (err || !die)
			break;
		err = types_from_die(t, 0, die, &type);
		for (int k = 0; !err && type && k < DEPTH; k++) {
			err = types_expand(t, type);
			type = type->nfields ? type->fields[k % type->nfields].type : type->elem;
		}
	}
	types_destroy(t);
	image_destroy(img);
	return err;
}

static struct err *ask_function(struct dwarf *d, uint64_t pc)
{
	struct dwarf_local *locals = NULL;
	struct dwarf_capture *captures = NULL;
	struct dwarf_type type;
	uint64_t first;
	size_t n;

	TRY(dwarf_locals(d, pc, &locals, &n));
	for (size_t i = 0; i < n && i < 8; i++)
		if (locals[i].type)
			fuzz_drop(dwarf_type(d, locals[i].type, &type));
	free(locals);
	TRY(dwarf_captures(d, pc, &captures, &n));
	free(captures);
	return dwarf_first_param(d, pc, &first);
}

static struct dwarf *the_dwarf;

static struct err *give_dwarf(void *arg, struct dwarf **ret)
{
	*ret = the_dwarf;
	return NULL;
}

static struct err *ask_dwarf(struct elf *e, struct dwarf *d, const char *version, bool own)
{
	const struct layout_program x = { own ? "go1.99.1" : version, "amd64", give_dwarf, NULL };
	struct layout_choice c = { 0 };
	const struct dwarf_var *vars;
	struct layout l;
	bool other;
	size_t n;
	struct err *err;

	the_dwarf = d;
	err = layout_pick(&x, &l, &c);
	if (!err && !own)
		err = layout_compare(&x, &l, &c, &other);
	layout_choice_deinit(&c);
	TRY(err);
	TRY(ask_types(d, &l));
	TRY(dwarf_globals(d, &vars, &n));
	for (uint64_t i = 0, max = elf_symbol_count(e), step = max / 30 + 1; i < max; i += step) {
		const char *name;
		uint64_t addr, size;

		if (elf_symbol_get(e, i, &name, &addr, &size) && strlen(name))
			TRY(ask_function(d, addr));
	}
	dwarf_locals_done(d);
	return NULL;
}

static struct err *ask(const char *path, bool own)
{
	const char *version = "go1.26.8", *info;
	struct dwarf *d = NULL;
	struct elf *e = NULL;
	uint64_t addr, size;
	struct err *err;

	TRY(elf_open(path, &e));
	fuzz_drop(elf_go_buildinfo(e, &version, &info));
	elf_symbol(e, "runtime.firstmoduledata", &addr, &size);
	elf_gnu_build_id(e);
	err = dwarf_create(e, &d);
	if (!err)
		err = ask_dwarf(e, d, version, own);
	dwarf_destroy(d);
	elf_destroy(e);
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	struct exe *x = &exes[fuzz_u8(&in) % nexes];
	uint8_t how = fuzz_u8(&in);

	for (int i = 0; in.n && i < CHANGES; i++) {
		unsigned part = fuzz_u8(&in) % x->nparts;

		fuzz_blob_change(&x->blob, &in, x->parts[part].off, x->parts[part].size);
	}
	if ((how & 0xf0) == 0x10)
		fuzz_blob_cut(&x->blob, fuzz_u32(&in) % x->blob.len);
	fuzz_drop(ask(x->blob.path, how & 1));
	fuzz_blob_reset(&x->blob);
	return 0;
}
