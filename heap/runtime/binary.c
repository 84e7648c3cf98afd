#include "heap/runtime/binary.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "heap/runtime/proc.h"

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
	struct err *err = NULL;

	b->bias = bias;
	for (size_t i = 0; i < n && !err; i++)
		err = vec_push(&b->segments,
			       ((struct library_segment){ s[i].addr + bias, s[i].memsz, s[i].write,
							  s[i].exec }));
	return err;
}

/* ------------------------------------------------------------------ plugins */

static struct err *add_plugin(struct proc *p, const struct library *l)
{
	struct binary b = { .bias = l->bias, .path = strdup(l->path) };
	struct err *err = b.path ? NULL : err_nomem();

	for (size_t i = 0; i < l->segments.n && !err; i++)
		err = vec_push(&b.segments, l->segments.v[i]);
	if (!err)
		err = vec_push(&p->binaries, b);
	if (err)
		binary_deinit(&b, true);
	return err;
}

/* All of it but the code; with that, where tables share a segment with it (old linkers). */
static struct err *fetch_segments(struct proc *p, const struct library *l)
{
	struct ranges want = VEC_INIT;
	struct err *err = NULL;
	bool apart = false;

	for (size_t i = 0; i < l->segments.n; i++)
		/* the first has the headers */
		apart |= !l->segments.v[i].exec && !l->segments.v[i].write && i;
	for (size_t i = 0; i < l->segments.n && !err; i++)
		if (!l->segments.v[i].exec || !apart)
			err = vec_push(&want, ((struct range){ l->segments.v[i].addr,
							       l->segments.v[i].len }));
	if (!err)
		err = image_need(p->img, &want, 0);
	vec_deinit(&want);
	return err;
}

struct err *binaries_fetch(struct proc *p, struct libraries *libs,
			   struct err *(*read_libs)(void *arg, struct libraries *ret), void *arg)
{
	uint64_t md = p->var.firstmoduledata, steps = 0;
	struct err *err = NULL;
	bool fresh = false;

	drop_plugins(&p->binaries);
	for (;;) {
		const struct library *l;

		err = proc_get(p, md, L_moduledata_next, &md);
		if (err || !md)
			break;
		if (binary_at(p, md))
			continue;
		l = libraries_at(libs, md);
		if (!l && !fresh) {
			fresh = true; /* it may have been loaded since */
			err = read_libs(arg, libs);
			if (err)
				break;
			l = libraries_at(libs, md);
		}
		if (!l || ++steps > LIMIT_MODULES) {
			err = err_create(ERR_BADDATA,
					 "a Go module at 0x%" PRIx64
					 " is in no shared library that the "
					 "dynamic linker knows",
					 md);
			break;
		}
		err = add_plugin(p, l);
		if (!err)
			err = fetch_segments(p, l);
		if (err)
			break;
	}
	return err_wrapf(err, "finding the process's Go modules");
}

/* ------------------------------------------------------------------ names */

bool binary_is(const struct proc *p, const struct binary *b, const struct elf *file)
{
	bool any = false;

	for (unsigned i = 0; i < ELF_ID_NOTES; i++) {
		const struct elf_section *s = elf_id_note(file, i);
		const uint8_t *y = s ? image_ptr(p->img, s->addr + b->bias, s->size, NULL) : NULL;

		if (!s)
			continue;
		if (!y || memcmp(elf_section_data(file, s), y, s->size))
			return false;
		any = true;
	}
	return any;
}

struct err *binary_find_file(const struct proc *p, struct binary *b)
{
	struct elf *file;
	struct err *err = elf_open(b->path, &file);

	if (err) {
		if (err_is(err, ERR_NOMEM))
			return err;
		err_destroy(err); /* it is on another machine */
		return NULL;
	}
	if (!binary_is(p, b, file)) {
		elf_destroy(file);
		return NULL;
	}
	b->elf = file;
	return NULL;
}

struct err *binary_open_dwarf(struct binary *b)
{
	const struct dwarf_var *vars;
	struct err *err = b->dwarf ? NULL : dwarf_create(b->debug.elf, &b->dwarf);
	size_t n;

	if (!err)
		err = dwarf_globals(b->dwarf, &vars, &n);
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
