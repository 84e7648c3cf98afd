/*
 * The first element of an import path has a dot, but for the standard library's.  Package main, and
 * what lies below the main module's path, is the program's own; other paths with a dot are
 * dependencies'.
 */
#include "heap/mark/package.h"

#include <string.h>

struct err *packages_init(struct packages *p, struct elf *exe)
{
	const char *version, *modinfo, *mod;

	*p = (struct packages){ 0 };
	TRY(elf_go_buildinfo(exe, &version, &modinfo));
	/* "path\t...\nmod\tPATH\tVERSION\t...\n" (runtime/debug/mod.go, BuildInfo.String) */
	mod = modinfo ? strstr(modinfo, "\nmod\t") : NULL;
	if (!mod)
		return NULL;
	p->main = mod + strlen("\nmod\t");
	p->main_len = strcspn(p->main, "\t\n");
	return NULL;
}

static bool below(const char *name, const char *path, size_t len)
{
	return len && !strncmp(name, path, len) && (name[len] == '.' || name[len] == '/');
}

enum package_layer package_layer(const struct packages *p, const char *name)
{
	size_t first;

	while (*name == '*' || *name == '[' || *name == ']')
		name++;
	if (below(name, "main", 4) || (p->main && below(name, p->main, p->main_len)))
		return LAYER_MAIN;
	first = strcspn(name, "/");
	if (name[first] && memchr(name, '.', first))
		return LAYER_DEPENDENCY;
	if (below(name, "runtime", 7) || below(name, "internal/runtime", 16))
		return strncmp(name, "runtime/", 8) ? LAYER_RUNTIME : LAYER_STD;
	return LAYER_STD;
}
