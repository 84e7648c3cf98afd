/*
 * The folders are those of the program and its plugins, as they were found in the process, and the
 * one of the system.  What is open stays open: EXE, files that were given, outputs.
 */
#include "heap/acquire/privilege.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/sandbox.h"
#include "heap/acquire/acquire_int.h"
#include "heap/capture/captured.h"
#include "rsp/rsp.h"
#include "target/debugfile.h"
#include "target/fork.h"

VEC_NAMED(folders, char *);

static void folders_deinit(struct folders *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->v[i]);
	vec_deinit(f);
}

/* The folder of a file; one that is not here has none. */
static struct err *add_folder_of(const char *path, struct folders *ret)
{
	_cleanup_free_ char *real = path ? realpath(path, NULL) : NULL;

	if (!real)
		return NULL;
	*strrchr(real, '/') = 0;
	TRY(vec_reserve(ret, 1));
	ret->v[ret->n++] = TAKE_PTR(real);
	return NULL;
}

static struct err *find_folders(const struct acquire *a, struct folders *ret)
{
	const struct binaries *b = &heap_captured(a->heap)->proc.binaries;
	char *debug = strdup(DEBUGFILE_DIR);

	if (!debug)
		return err_nomem();
	TRY(vec_push(ret, debug));
	TRY(add_folder_of(elf_file(a->exe), ret));
	for (size_t i = 0; i < b->n; i++)
		TRY(add_folder_of(b->v[i].path, ret));
	return NULL;
}

/* The process runs, and nothing more is asked. */
static void hang_up(struct acquire *a)
{
	if (!a->rsp)
		return;
	a->wire = rsp_stats(a->rsp);
	a->hung_up = true;
	fork_destroy(TAKE_PTR(a->fork));
	rsp_destroy(TAKE_PTR(a->rsp));
}

struct err *privilege_drop(struct acquire *a, const char *const *folders, size_t n, bool makes)
{
	_cleanup_(folders_deinit) struct folders read = VEC_INIT;
	char text[SANDBOX_TEXT];

	hang_up(a);
	TRY(find_folders(a, &read));
	sandbox_enter(&(struct sandbox){ (const char *const *)read.v, folders, read.n, n, makes },
		      text);
	return report_detail(a->report, "sandbox: %s", text);
}
