/*
 * A function's address before anything is captured: the process may not have run a single
 * instruction yet.
 */
#include <string.h>

#include "heap/heap_int.h"

/* From the function tables, as the file has them: a PIE's moduledata leads nowhere before it is
 * relocated. */
static struct err *by_tables(const struct proc *p, const char *name, uint64_t *ret)
{
	struct proc file = *p;
	const struct elf_segment *segs;
	const struct func *f = NULL;
	size_t n = elf_segments(p->exe, &segs);
	struct image *img = NULL;
	struct err *err = image_create(p->fmt, &img);

	file.img = img;
	file.bias = 0;
	file.var.firstmoduledata -= p->bias;
	memset(&file.modules, 0, sizeof(file.modules));
	for (size_t i = 0; i < n && !err; i++)
		if (segs[i].filesz)
			err = image_lend(img, segs[i].addr, segs[i].data, segs[i].filesz);
	if (!err)
		err = modules_load(&file);
	for (size_t i = 0; i < file.modules.v.n && !err && !f; i++)
		err = func_named(&file, &file.modules.v.v[i], name, &f);
	*ret = !err && f ? f->entry + p->bias : 0;
	modules_deinit(&file.modules);
	image_destroy(img);
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
		return err_create(
			ERR_NODEBUG,
			"%s has no function %s (as go tool nm has it: main.main, main.(*T).Method; inlined ones "
			"have no place of their own)",
			elf_path(p->exe), name);
	err = by_tables(p, name, ret);
	if (err || !*ret) {
		struct err *e = err_create(
			ERR_NODEBUG,
			"%s is stripped, and where %s is was not found: give --debug an unstripped "
			"build",
			elf_path(p->exe), name);
		err_destroy(err);
		return e;
	}
	return NULL;
}
