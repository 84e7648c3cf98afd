/*
 * Where names come from: each binary's symbols and DWARF, in itself or in a debug file.
 *
 * EXE's files are looked for before the stop.  Which plugins there are shows in what was captured,
 * so theirs are looked for when the process runs again.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/intr.h"
#include "heap/heap_int.h"
#include "heap/types/type.h"

DEFINE_CLEANUP(elf_destroy, struct elf *)
DEFINE_CLEANUP(types_destroy, struct types *)

/* ------------------------------------------------------------------ before the stop */

/* Keeps a file that is not EXE's: it may be a plugin's.  file and why are taken on success. */
static struct err *keep_for_plugin(struct heap *h, struct elf *file, struct err *why)
{
	struct err *err = vec_push(&h->debug_files, ((struct debug_pending){ file, why }));

	if (err)
		err_destroy(why);
	return err;
}

/* The value of a build setting among the module information's lines; its length is 0 where there is
 * none. */
static int setting(const char *modinfo, const char *name, int len, const char **value)
{
	for (const char *s = modinfo; (s = strstr(s, "\nbuild\t")); s++)
		if (!strncmp(s + 7, name, (size_t)len) && s[7 + len] == '=') {
			*value = s + 8 + len;
			return (int)strcspn(*value, "\n");
		}
	*value = "none";
	return 0;
}

enum { SETTING_MAX = 40 };

/* Adds to err (taken) with which settings, beside the linker's, the two were built that differ. */
static struct err *add_settings(struct elf *exe, struct elf *file, struct err *err)
{
	static const char *const names[] = { "-trimpath",    "-tags",       "-gcflags",
					     "-buildmode",   "-race",       "CGO_ENABLED",
					     "vcs.revision", "vcs.modified" };
	const char *version, *x, *y;
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct err *e = elf_go_buildinfo(exe, &version, &x);

	if (!e)
		e = elf_go_buildinfo(file, &version, &y);
	if (!e && (strcspn(x, "\n") != strcspn(y, "\n") || strncmp(x, y, strcspn(x, "\n"))))
		return err; /* the first line is the package: another program */
	for (size_t i = 0; !e && i < sizeof(names) / sizeof(*names); i++) {
		const char *v, *w;
		int n = setting(x, names[i], (int)strlen(names[i]), &v),
		    m = setting(y, names[i], (int)strlen(names[i]), &w);

		if (n != m || strncmp(v, w, (size_t)n))
			e = buf_addf(&b, "; %s: %.*s, not %.*s", names[i],
				     m > SETTING_MAX ? SETTING_MAX :
				     m               ? m :
						       4,
				     w,
				     n > SETTING_MAX ? SETTING_MAX :
				     n               ? n :
						       4,
				     v);
	}
	if (!e && b.len) {
		e = err_create(err->code, "%s%s", err->msg, (const char *)b.data);
		err_destroy(err);
		return e;
	}
	err_destroy(e);
	return err;
}

static struct err *add_debug(struct heap *h, const char *path)
{
	struct proc *p = &h->captured.proc;
	_cleanup_(cleanup_elf_destroy) struct elf *file = NULL;
	struct err *err;

	TRY(elf_open(path, &file));
	err = debugfile_set(&p->binaries.v[0].debug, p->exe, file);
	if (err_is(err, ERR_BADDATA))
		err = keep_for_plugin(h, file, add_settings(p->exe, file, err));
	if (!err)
		file = NULL; /* taken */
	return err;
}

/* The file itself, if no other has its symbols and DWARF. */
static struct err *debug_default(struct binary *b)
{
	if (b->debug.elf)
		return NULL;
	if (!dwarf_present(b->elf))
		TRY(debugfile_find(&b->debug, b->elf));
	if (!b->debug.elf)
		debugfile_own(&b->debug, b->elf);
	return NULL;
}

struct err *debug_find(struct heap *h, const char *const *debug, size_t n)
{
	for (size_t i = 0; i < n; i++)
		TRY(add_debug(h, debug[i]));
	return debug_default(&h->captured.proc.binaries.v[0]);
}

struct err *debug_dwarf(void *heap, struct dwarf **ret)
{
	struct binary *b = &((struct heap *)heap)->captured.proc.binaries.v[0];

	if (!b->dwarf)
		TRY(dwarf_create(b->debug.elf, &b->dwarf));
	*ret = b->dwarf;
	return NULL;
}

/* ------------------------------------------------------------------ when the process runs again */

/* Adds the dictionaries of generic code, for what DWARF says of its variables. */
static struct err *add_dicts(const struct binary *b, struct types *types)
{
	uint64_t n = b->dwarf ? elf_symbol_count(b->debug.elf) : 0, addr, size;
	const char *name;

	for (uint64_t k = 0; k < n; k++) {
		TRY(intr_check());
		if (elf_symbol_get(b->debug.elf, k, &name, &addr, &size))
			TRY(types_add_dict(types, name, binary_data(b, addr), size));
	}
	if (n)
		elf_release(b->debug.elf);
	return NULL;
}

struct err *debug_types(struct heap *h, struct types **ret)
{
	const struct proc *p = &h->captured.proc;
	size_t n = p->modules.v.n;
	_cleanup_free_ struct types_module *mods = calloc(n, sizeof(*mods));
	_cleanup_(cleanup_types_destroy) struct types *types = NULL;

	if (!mods)
		return err_nomem();
	for (size_t i = 0; i < n; i++) {
		const struct module *m = &p->modules.v.v[i];
		const struct binary *b = &p->binaries.v[m->binary];

		mods[i] = (struct types_module){ m->addr,  m->types, m->etypes,
						 m->minpc, m->maxpc, b->bias + b->debug.text_shift,
						 b->dwarf };
	}
	TRY(types_create(p->img, &p->layout, mods, n, &types));
	for (size_t i = 0; i < p->binaries.n; i++)
		TRY(add_dicts(&p->binaries.v[i], types));
	*ret = TAKE_PTR(types);
	return NULL;
}

/* Whether this file, which was given, has b's names; then it is b's. */
static struct err *try_plugin_file(const struct proc *p, struct binary *b, struct elf *file,
				   bool *taken)
{
	struct err *err = NULL;

	*taken = true;
	if (b->elf)
		err = debugfile_set(&b->debug, b->elf, file);
	else if (binary_is(p, b, file))
		b->elf = file;
	else
		*taken = false;
	if (err_catch(&err, ERR_BADDATA))
		*taken = false;
	return err;
}

/* Finds a plugin's names, in its own file or in one that was given. */
static struct err *find_plugin_names(struct heap *h, struct binary *b)
{
	const struct proc *p = &h->captured.proc;

	TRY(binary_find_file(p, b));
	for (size_t i = 0; i < h->debug_files.n; i++) {
		bool taken;

		TRY(try_plugin_file(p, b, h->debug_files.v[i].elf, &taken));
		if (!taken)
			continue;
		err_destroy(h->debug_files.v[i].why);
		h->debug_files.v[i--] = h->debug_files.v[--h->debug_files.n];
	}
	return b->elf ? debug_default(b) : NULL;
}

/* Opens the DWARF of binary i, with its index.  Where there is none that can be read, a note says
 * so. */
static struct err *open_dwarf(struct heap *h, size_t i, struct report *r)
{
	struct binary *b = &h->captured.proc.binaries.v[i];
	const char *name = i ? b->path : elf_path(h->captured.proc.exe);
	struct err *err, *e;

	if (!b->debug.elf)
		return report_note(r, "no DWARF for the plugin %s: --debug FILE gives its names",
				   b->path);
	if (b->debug.passed_over)
		TRY(report_detail(r,
				  "names of %s: not from %s, where others than root can write: "
				  "--debug takes them from it",
				  name, b->debug.passed_over));
	elf_release(b->debug.elf); /* of what was read for the capture little is read again */
	err = binary_open_dwarf(b);
	if (err_is(err, ERR_NODEBUG) || err_is(err, ERR_BADDATA) || err_is(err, ERR_LIMIT)) {
		e = report_note(r,
				"%s%s%s: names come from the runtime's own type information "
				"(--debug FILE takes them from an unstripped build)",
				i ? b->path : "", i ? ": " : "", err->msg);
		err_destroy(err);
		return e;
	}
	TRY(err);
	if (b->debug.owned)
		TRY(report_detail(r, "names of %s: %s", name, elf_path(b->debug.elf)));
	return NULL;
}

struct err *debug_open(struct heap *h, struct report *r)
{
	struct binaries *b = &h->captured.proc.binaries;
	double start = clock_cpu_seconds();

	for (size_t i = 1; i < b->n; i++)
		TRY(find_plugin_names(h, &b->v[i]));
	for (size_t i = 0; i < h->debug_files.n; i++)
		TRY(report_note(r, "no names from --debug %s: %s%s",
				elf_path(h->debug_files.v[i].elf), h->debug_files.v[i].why->msg,
				b->n > 1 ? ", nor of a plugin of it" : ""));
	for (size_t i = 0; i < b->n; i++)
		TRY(open_dwarf(h, i, r));
	return report_detail(r, "CPU: ready to capture after %.2f s, names ready in %.2f s",
			     h->ready_cpu, h->names_cpu + clock_cpu_seconds() - start);
}
