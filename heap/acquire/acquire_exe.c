/*
 * EXE, whatever TARGET is: opened, found in the process, and held against what runs there.
 */
#include <elf.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "heap/acquire/acquire_int.h"
#include "rsp/rsp.h"
#include "target/debugfile.h"
#include "target/fetch.h"
#include "target/guest.h"
#include "target/library.h"

/* ------------------------------------------------------------------ progress */

static void progress_read(void *arg, uint64_t bytes)
{
	struct acquire *a = arg;

	image_settle(a->img, bytes);
	if (a->o.progress) {
		const struct image_stats st = image_stats(a->img);

		a->o.progress(a->o.arg, "reading", (double)(st.sliced + bytes) / 1e6,
			      (double)st.planned / 1e6, "MB");
	}
}

static void progress_heap(void *arg, const char *phase, uint64_t done, uint64_t total)
{
	struct acquire *a = arg;

	if (a->o.progress)
		a->o.progress(a->o.arg, phase, (double)done / 1e6, (double)total / 1e6,
			      "M objects");
}

/* ------------------------------------------------------------------ the steps */

/* What a link such as /proc/PID/exe leads to: the name that the program was started by. */
static struct err *proc_name(const char *path, char **ret)
{
	size_t n = strlen(path), suffix = strlen("/exe");
	char link[PATH_MAX];
	ssize_t len;

	if (strncmp(path, "/proc/", 6) || n < suffix || strcmp(path + n - suffix, "/exe"))
		return NULL;
	len = readlink(path, link, sizeof(link));
	if (len <= 0)
		return NULL;
	*ret = fetch_link_name(link, (size_t)len);
	return *ret ? NULL : err_nomem();
}

/* Is the path that of a process, by its link in /proc, which is root's? */
static bool is_roots_process(const char *path)
{
	char proc[LOCAL_EXE_PATH];
	const char *end = strrchr(path, '/');
	struct stat st;

	if (strncmp(path, "/proc/", 6) || !end || (size_t)(end - path) >= sizeof(proc))
		return false;
	snprintf(proc, sizeof(proc), "%.*s", (int)(end - path), path);
	return !stat(proc, &st) && !st.st_uid;
}

/* We are root.  What the process, a core or a stub says of paths is to be trusted if the process is
 * root's, too. */
static bool is_distrusted(const struct acquire *a, const char *path)
{
	return !geteuid() && !is_roots_process(*a->local_exe ? a->local_exe : path);
}

struct err *acquire_open_exe(struct acquire *a, const char *path)
{
	const bool given = a->o.exe && a->o.exe != a->local_exe;
	struct err *err;

	debugfile_distrust(!given && is_distrusted(a, path));
	if (!a->remote_exe)
		TRY(proc_name(path, &a->remote_exe));
	TRY(elf_open_as(path, a->remote_exe ? a->remote_exe : path, &a->exe));
	err = acquire_make_heap(a);
	debugfile_distrust(is_distrusted(a, path)); /* plugins' paths are never given */
	return err;
}

struct err *acquire_make_heap(struct acquire *a)
{
	TRY(heap_create(a->exe, a->o.debug, a->o.ndebug, &a->heap));
	a->report->exe = elf_path(a->exe);
	a->report->build_id =
		*elf_go_build_id(a->exe) ? elf_go_build_id(a->exe) : elf_gnu_build_id(a->exe);
	heap_set_progress(a->heap, progress_heap, a);
	return NULL;
}

/* A shared object's place: where the dynamic linker has what this file is. */
static struct err *find_library(struct acquire *a, uint64_t *bias)
{
	_cleanup_(libraries_deinit) struct libraries libs = VEC_INIT;
	bool found;

	TRY(libraries_read(a->target, elf_fmt(a->exe), &libs));
	for (size_t i = 0; i < libs.n; i++) {
		TRY(library_is(a->target, &libs.v[i], a->exe, &found));
		if (found) {
			*bias = libs.v[i].bias;
			return NULL;
		}
	}
	return err_create(ERR_BADDATA,
			  "%s is not among the process's shared libraries (or another build of it "
			  "is)",
			  elf_path(a->exe));
}

/* The place of a PIE or a shared object; everything else is where it was linked. */
static struct err *find_bias(struct acquire *a, uint64_t *bias)
{
	uint64_t entry;

	*bias = 0;
	if (a->guest)
		*bias = guest_bias(a->guest);
	if (a->guest || !elf_is_dyn(a->exe))
		return NULL;
	if (elf_is_library(a->exe))
		return find_library(a, bias);
	TRY(err_wrapf(target_auxv(a->target, AT_ENTRY, &entry), "finding where %s is loaded",
		      elf_path(a->exe)));
	*bias = entry - elf_entry(a->exe);
	return NULL;
}

struct err *acquire_attach(struct acquire *a)
{
	TRY(find_bias(a, &a->bias));
	TRY(image_create(elf_fmt(a->exe), &a->img));
	if (a->o.save)
		image_remember(a->img);
	if (a->o.spare_memory)
		image_spare_memory(a->img);
	target_set_progress(a->target, progress_read, a);
	if (a->rsp && !a->guest && a->most)
		target_set_most(a->target, a->most, a->most_why);
	TRY(heap_attach(a->heap, a->target, a->img, a->bias));
	image_set_source(a->img, target_memory(a->target));
	return NULL;
}

struct err *acquire_verify(struct acquire *a, size_t *compared)
{
	struct err *err = heap_verify(a->heap, target_memory(a->target), compared), *e;

	if (!err_is(err, ERR_BADDATA) && !err_is(err, ERR_FAULT))
		return err;
	if (a->rsp) {
		e = acquire_compare(a, a->rsp, rsp_pid(a->rsp));
		if (err_is(e, ERR_BADDATA)) {
			err_destroy(err);
			return e;
		}
		err_destroy(e);
	}
	if (a->o.force)
		e = report_note(a->report, "%s (--force)", err->msg);
	else
		e = err_create(err->code, "%s; give the file that was started, or --force to go on",
			       err->msg);
	err_destroy(err);
	return e;
}
