/*
 * A function's address before anything is captured: the process may not have run a single
 * instruction yet.  The symbol table has it; without one the function tables do, as they are in
 * the file.
 */
#include "heap/runtime/function.h"

#include <string.h>

/* A process as the file has it: what it owns of its own. */
static void function_file_deinit(struct proc *file)
{
	modules_deinit(&file->modules);
	image_destroy(file->img);
}

/* Looks in the tables of the file: a PIE's moduledata leads nowhere before it is relocated.  *ret
 * is 0 where no module has the function. */
static struct err *function_by_tables(const struct proc *p, const char *name, uint64_t *ret)
{
	_cleanup_(function_file_deinit) struct proc file = *p;
	const struct elf_segment *segs;
	const struct func *f = NULL;
	size_t n = elf_segments(p->exe, &segs);

	file.img = NULL;
	file.bias = 0;
	file.var.firstmoduledata -= p->bias;
	memset(&file.modules, 0, sizeof(file.modules));
	TRY(image_create(p->fmt, &file.img));
	for (size_t i = 0; i < n; i++)
		if (segs[i].filesz)
			TRY(image_lend(file.img, segs[i].addr, segs[i].data, segs[i].filesz));
	TRY(modules_load(&file));
	for (size_t i = 0; i < file.modules.v.n && !f; i++)
		TRY(func_named(&file, &file.modules.v.v[i], name, &f));
	*ret = f ? f->entry + p->bias : 0;
	return NULL;
}

struct err *function_find(const struct proc *p, const char *name, uint64_t *ret)
{
	uint64_t size, addr = 0;

	if (binary_symbol(&p->binaries.v[0], name, ret, &size))
		return NULL;
	if (!p->stripped)
		return err_create(ERR_NODEBUG,
				  "%s has no function %s (as go tool nm has it: main.main, "
				  "main.(*T).Method; inlined ones have no place of their own)",
				  elf_path(p->exe), name);
	err_destroy(function_by_tables(p, name, &addr));
	if (!addr)
		return err_create(ERR_NODEBUG,
				  "%s is stripped, and where %s is was not found: give --debug an "
				  "unstripped build",
				  elf_path(p->exe), name);
	*ret = addr;
	return NULL;
}
