/*
 * Where names come from: each binary's symbols and DWARF, in itself or in a debug file.
 */
#include <stdlib.h>

#include "heap/heap_int.h"
#include "heap/types/type.h"

/* ------------------------------------------------------------------ before the stop */

static struct err *add_debug(struct heap *h, const char *path)
{
	struct elf *file;
	struct err *err = elf_open(path, &file);

	if (err)
		return err;
	err = debugfile_set(&h->proc.binaries.v[0].debug, h->proc.exe, file);
	if (!err)
		return NULL;
	if (err_is(err, ERR_BADDATA) && elf_is_dynamic(h->proc.exe)) {
		struct debug_pending plugin = { file, err };

		err = vec_push(&h->debug_files, plugin);
		if (!err)
			return NULL;
		err_destroy(plugin.why);
	}
	elf_destroy(file);
	return err;
}

struct err *debug_find(struct heap *h, const char *const *debug, size_t n)
{
	struct binary *b = &h->proc.binaries.v[0];
	struct err *err = NULL;

	for (size_t i = 0; i < n && !err; i++)
		err = add_debug(h, debug[i]);
	if (!err && !b->debug.elf && !dwarf_present(b->elf))
		err = debugfile_find(&b->debug, b->elf);
	if (!err && !b->debug.elf)
		debugfile_own(&b->debug, b->elf);
	return err;
}

struct err *debug_dwarf(void *heap, struct dwarf **ret)
{
	struct binary *b = &((struct heap *)heap)->proc.binaries.v[0];
	struct err *err = b->dwarf ? NULL : dwarf_create(b->debug.elf, &b->dwarf);

	*ret = b->dwarf;
	return err;
}

/* ------------------------------------------------------------------ when the process runs again */

/* The dictionaries of generic code, for what DWARF says of its variables. */
static struct err *add_dicts(struct heap *h, struct types *types)
{
	struct err *err = NULL;

	for (size_t i = 0; i < h->proc.binaries.n; i++) {
		const struct binary *b = &h->proc.binaries.v[i];
		uint64_t n = b->dwarf ? elf_symbol_count(b->debug.elf) : 0, addr, size;
		const char *name;

		for (uint64_t k = 0; k < n && !err; k++)
			if (elf_symbol_get(b->debug.elf, k, &name, &addr, &size))
				err = types_add_dict(types, name, binary_data(b, addr), size);
		if (n)
			elf_release(b->debug.elf);
	}
	return err;
}

struct err *debug_types(struct heap *h, struct types **ret)
{
	struct types_module *mods = calloc(h->proc.modules.v.n, sizeof(*mods));
	struct err *err;

	if (!mods)
		return err_nomem();
	for (size_t i = 0; i < h->proc.modules.v.n; i++) {
		const struct module *m = &h->proc.modules.v.v[i];

		const struct binary *b = &h->proc.binaries.v[m->binary];

		mods[i] = (struct types_module){ m->addr,  m->types, m->etypes,
						 m->minpc, m->maxpc, b->bias + b->debug.text_shift,
						 b->dwarf };
	}
	err = types_create(h->proc.img, &h->proc.layout, mods, h->proc.modules.v.n, ret);
	free(mods);
	return err ? err : add_dicts(h, *ret);
}

/* A plugin's names: from its own file, or one that was given. */
static struct err *find_plugin_names(struct heap *h, struct binary *b)
{
	struct err *err = binary_find_file(&h->proc, b);

	for (size_t i = 0; i < h->debug_files.n && !err; i++) {
		struct elf *file = h->debug_files.v[i].elf;

		if (b->elf)
			err = debugfile_set(&b->debug, b->elf, file);
		else if (binary_is(&h->proc, b, file))
			b->elf = file;
		else
			continue;
		if (err_is(err, ERR_BADDATA)) {
			err_destroy(err);
			err = NULL;
			continue;
		}
		err_destroy(h->debug_files.v[i].why);
		h->debug_files.v[i--] = h->debug_files.v[--h->debug_files.n];
	}
	if (!err && b->elf && !b->debug.elf && !dwarf_present(b->elf))
		err = debugfile_find(&b->debug, b->elf);
	if (!err && b->elf && !b->debug.elf)
		debugfile_own(&b->debug, b->elf);
	return err;
}

/* Opens the DWARF of binary i, with its index; a note where there is none that can be read. */
static struct err *open_dwarf(struct heap *h, size_t i, struct report *r)
{
	struct binary *b = &h->proc.binaries.v[i];
	struct err *err, *e;

	if (!b->debug.elf)
		return report_note(r, "no DWARF for the plugin %s: --debug FILE gives its names",
				   b->path);
	elf_release(b->debug.elf); /* of what was read for the capture little is read again */
	err = binary_open_dwarf(b);
	if (err_is(err, ERR_NODEBUG) || err_is(err, ERR_BADDATA) || err_is(err, ERR_LIMIT)) {
		e = report_note(
			r,
			"%s%s%s: names come from the runtime's own type information (--debug FILE takes them "
			"from an unstripped build)",
			i ? b->path : "", i ? ": " : "", err->msg);
		err_destroy(err);
		return e;
	}
	if (!err && b->debug.owned)
		err = report_detail(r, "names of %s: %s", i ? b->path : elf_path(h->proc.exe),
				    elf_path(b->debug.elf));
	return err;
}

struct err *debug_open(struct heap *h, struct report *r)
{
	struct binaries *b = &h->proc.binaries;
	double start = heap_cpu_seconds();
	struct err *err = NULL;

	for (size_t i = 1; i < b->n && !err; i++)
		err = find_plugin_names(h, &b->v[i]);
	if (!err && h->debug_files.n)
		err = err_create(ERR_BADDATA, "%s, nor of a plugin of it",
				 h->debug_files.v[0].why->msg);
	for (size_t i = 0; i < b->n && !err; i++)
		err = open_dwarf(h, i, r);
	if (!err)
		err = report_detail(r, "CPU: ready to capture after %.2f s, names ready in %.2f s",
				    h->ready_cpu, h->names_cpu + heap_cpu_seconds() - start);
	return err;
}
