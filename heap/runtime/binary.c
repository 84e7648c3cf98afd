/*
 * EXE and plugins: what is loaded where, by EXE's program headers and by the dynamic linker's list.
 */
#include "heap/runtime/binary.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "heap/runtime/proc.h"
#include "target/elf_note.h"

DEFINE_CLEANUP(elf_destroy, struct elf *)

static void binary_deinit(struct binary *b, bool owned)
{
	dwarf_destroy(b->dwarf);
	debugfile_deinit(&b->debug);
	if (owned)
		elf_destroy(b->elf);
	free(b->path);
	vec_deinit(&b->segments);
}

/* All but the first: plugins. */
static void drop_plugins(struct binaries *b)
{
	while (b->n > 1)
		binary_deinit(&b->v[--b->n], true);
}

void binaries_deinit(struct binaries *b)
{
	drop_plugins(b);
	if (b->n)
		binary_deinit(&b->v[0], false);
	vec_deinit(b);
}

struct binary *binary_at(const struct proc *p, uint64_t addr)
{
	for (size_t i = 0; i < p->binaries.n; i++) {
		struct binary *b = &p->binaries.v[i];

		if (library_has(b->segments.v, b->segments.n, addr))
			return b;
	}
	return NULL;
}

bool binary_symbol(const struct binary *b, const char *name, uint64_t *addr, uint64_t *size)
{
	if (b->elf && elf_symbol(b->elf, name, addr, size)) {
		*addr += b->bias;
		return true;
	}
	if (b->debug.elf && b->debug.owned && elf_symbol(b->debug.elf, name, addr, size)) {
		*addr = binary_data(b, *addr);
		return true;
	}
	return false;
}

uint64_t binary_data(const struct binary *b, uint64_t addr)
{
	return debugfile_addr(&b->debug, addr) + b->bias;
}

uint64_t binary_pc(const struct binary *b, uint64_t pc)
{
	return pc - b->bias - b->debug.text_shift;
}

/* ------------------------------------------------------------------ EXE */

struct err *binary_add_exe(struct proc *p, struct elf *exe)
{
	struct binary b = { .elf = exe };

	return vec_push(&p->binaries, b);
}

struct err *binary_place(struct binary *b, uint64_t bias)
{
	const struct elf_segment *s;
	size_t n = elf_segments(b->elf, &s);

	b->bias = bias;
	for (size_t i = 0; i < n; i++)
		TRY(vec_push(&b->segments, ((struct library_segment){ s[i].addr + bias, s[i].memsz,
								      s[i].write, s[i].exec })));
	return NULL;
}

/* ------------------------------------------------------------------ plugins */

static void plugin_deinit(struct binary *b)
{
	binary_deinit(b, true);
}

static struct err *add_plugin(struct proc *p, const struct library *l)
{
	_cleanup_(plugin_deinit) struct binary b = { .bias = l->bias, .path = strdup(l->path) };

	if (!b.path)
		return err_nomem();
	for (size_t i = 0; i < l->segments.n; i++)
		TRY(vec_push(&b.segments, l->segments.v[i]));
	TRY(vec_push(&p->binaries, b));
	memset(&b, 0, sizeof(b)); /* taken */
	return NULL;
}

/* All of it but the code; with that, where tables share a segment with it (old linkers). */
static struct err *fetch_segments(struct proc *p, const struct library *l)
{
	_cleanup_vec_ struct ranges want = VEC_INIT;
	bool apart = false;

	for (size_t i = 1; i < l->segments.n; i++) /* the first has the headers */
		apart |= !l->segments.v[i].exec && !l->segments.v[i].write;
	for (size_t i = 0; i < l->segments.n; i++)
		if (!l->segments.v[i].exec || !apart)
			TRY(vec_push(&want, ((struct range){ l->segments.v[i].addr,
							     l->segments.v[i].len })));
	return image_need(p->img, &want, 0);
}

/* The library that has a moduledata; NULL: none.  Where none has it, the list is read again,
 * once. */
static struct err *find_module_library(struct libraries *libs,
				       struct err *(*read_libs)(void *arg, struct libraries *ret),
				       void *arg, uint64_t md, bool *fresh,
				       const struct library **ret)
{
	*ret = libraries_at(libs, md);
	if (!*ret && !*fresh) {
		*fresh = true; /* it may have been loaded since */
		TRY(read_libs(arg, libs));
		*ret = libraries_at(libs, md);
	}
	return NULL;
}

static struct err *fetch_modules(struct proc *p, struct libraries *libs,
				 struct err *(*read_libs)(void *arg, struct libraries *ret),
				 void *arg)
{
	uint64_t md = p->var.firstmoduledata, plugins = 0, modules = 0;
	bool fresh = false;

	for (;;) {
		const struct library *l;

		TRY(proc_get(p, md, L_moduledata_next, &md));
		if (!md)
			return NULL;
		if (++modules > LIMIT_MODULES)
			return err_create(ERR_LIMIT, "more than %u modules", LIMIT_MODULES);
		if (binary_at(p, md))
			continue;
		TRY(find_module_library(libs, read_libs, arg, md, &fresh, &l));
		if (!l || ++plugins > LIMIT_MODULES)
			return err_create(ERR_BADDATA,
					  "a Go module at 0x%" PRIx64
					  " is in no shared library that the dynamic linker knows",
					  md);
		TRY(add_plugin(p, l));
		TRY(fetch_segments(p, l));
	}
}

struct err *binaries_fetch(struct proc *p, struct libraries *libs,
			   struct err *(*read_libs)(void *arg, struct libraries *ret), void *arg)
{
	drop_plugins(&p->binaries);
	return err_wrapf(fetch_modules(p, libs, read_libs, arg),
			 "finding the process's Go modules");
}

/* ------------------------------------------------------------------ names */

/* Is a section of the file's what b has in memory?  *any is set if it could be compared. */
static bool has_section(const struct proc *p, const struct binary *b, const struct elf *file,
			const struct elf_section *s, bool *any)
{
	const uint8_t *x = s && s->alloc ? elf_section_data(file, s) : NULL, *y;

	if (!x)
		return true;
	y = image_ptr(p->img, s->addr + b->bias, s->size, NULL);
	*any = true;
	return y && !memcmp(x, y, s->size);
}

/* What ids that many builds can have do not tell: constants and function tables are compared. */
static bool has_constants(const struct proc *p, const struct binary *b, const struct elf *file)
{
	bool any = false;

	return has_section(p, b, file, elf_section(file, ".rodata"), &any) &&
	       has_section(p, b, file, elf_section(file, ".gopclntab"), &any) && any;
}

bool binary_is(const struct proc *p, const struct binary *b, const struct elf *file)
{
	bool any = false;

	for (unsigned i = 0; i < ELF_ID_NOTES; i++)
		if (!has_section(p, b, file, elf_id_note(file, i), &any))
			return false;
	return any && (elf_ids_identify(elf_go_build_id(file), elf_gnu_build_id(file)) ||
		       has_constants(p, b, file));
}

struct err *binary_find_file(const struct proc *p, struct binary *b)
{
	_cleanup_(cleanup_elf_destroy) struct elf *file = NULL;
	struct err *err = elf_open(b->path, &file);

	if (err_is(err, ERR_NOMEM))
		return err;
	err_destroy(err); /* it is on another machine */
	if (file && binary_is(p, b, file))
		b->elf = TAKE_PTR(file);
	return NULL;
}

static struct err *open_dwarf(struct binary *b)
{
	const struct dwarf_var *vars;
	size_t n;

	if (!b->dwarf)
		TRY(dwarf_create(b->debug.elf, &b->dwarf));
	return dwarf_globals(b->dwarf, &vars, &n);
}

struct err *binary_open_dwarf(struct binary *b)
{
	struct err *err = open_dwarf(b);

	if (err) {
		dwarf_destroy(b->dwarf);
		b->dwarf = NULL;
	}
	return err;
}

void binaries_locals_done(struct binaries *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->v[i].dwarf)
			dwarf_locals_done(b->v[i].dwarf);
}
