/*
 * A function's address before anything is captured: the process may not have run a single instruction yet.
 */
#include <string.h>

#include "heap/heap_int.h"

/* From the function tables.  In a PIE that has not been relocated yet moduledata leads nowhere. */
static struct err *by_tables(struct proc *p, const char *name, uint64_t *ret)
{
	const struct func *f = NULL;
	struct err *err = image_need1(p->img, p->var.firstmoduledata, layout_size(&p->layout, LS_moduledata));

	if (!err)
		err = modules_load(p);
	for (size_t i = 0; i < p->modules.v.n && !err && !f; i++)
		err = func_named(p, &p->modules.v.v[i], name, &f);
	*ret = !err && f ? f->entry : 0;
	modules_deinit(&p->modules);
	memset(&p->modules, 0, sizeof(p->modules));
	return err;
}

struct err *heap_function(struct heap *h, const char *name, uint64_t *ret)
{
	struct proc *p = &h->proc;
	uint64_t size;
	struct err *err;

	if (binary_symbol(&p->binaries.v[0], name, ret, &size))
		return NULL;
	if (!p->stripped)
		return err_create(ERR_NODEBUG, "%s has no function %s (as go tool nm has it: main.main, main.(*T).Method; inlined ones "
				  "have no place of their own)", elf_path(p->exe), name);
	err = by_tables(p, name, ret);
	if (err || !*ret) {
		struct err *e = err_create(ERR_NODEBUG, "%s is stripped, and where %s is was not found: give --debug an unstripped "
					   "build", elf_path(p->exe), name);
		err_destroy(err);
		return e;
	}
	return NULL;
}
