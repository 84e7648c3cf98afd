/*
 * EXE is not what runs there.  The file that the process was started from says what does: its
 * build id is in its first page, and the link /proc/PID/exe has its name.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "heap/acquire/acquire_int.h"
#include "rsp/rsp.h"
#include "target/debugfile.h"
#include "target/dwarf.h"
#include "target/elf_note.h"
#include "target/fetch.h"

enum { HEAD = 4096 };

/* The ids of the file that the process runs; none where the stub does not show it. */
static struct err *running_ids(struct rsp *rsp, const char *path, struct elf_ids *ret)
{
	_cleanup_buf_ struct buf head = BUF_INIT;
	struct err *err = rsp_file_read_at(rsp, path, 0, HEAD, &head);

	if (err_catch(&err, ERR_REMOTE))
		return NULL;
	TRY(err);
	return elf_ids_of_head(head.data, head.len, ret);
}

static struct err *other(struct acquire *a, struct rsp *rsp, uint64_t pid, const char *path,
			 const char *id)
{
	const char *exe = elf_path(a->exe);
	_cleanup_free_ char *name = NULL;

	TRY(fetch_name(rsp, pid, path, &name));
	if (debugfile_same_source(id, elf_go_build_id(a->exe)) && dwarf_present(a->exe))
		return err_create(
			ERR_BADDATA,
			"%s is not what runs there: process %" PRIu64
			" runs %s, another build of the same source; leave EXE out, and give "
			"--debug %s for the names",
			exe, pid, name, exe);
	return err_create(
		ERR_BADDATA,
		"%s is not what runs there: process %" PRIu64
		" runs %s, which has another build id; leave EXE out to have that fetched, "
		"or --force to go on",
		exe, pid, name);
}

struct err *acquire_compare(struct acquire *a, struct rsp *rsp, uint64_t pid)
{
	_cleanup_(elf_ids_deinit) struct elf_ids ids = { NULL, NULL };
	char path[40];

	/* The file of a C program says nothing of a library in it, nor that of an emulator. */
	if (!pid || a->o.force || !rsp_features(rsp)->vfile || elf_is_library(a->exe) ||
	    !*elf_go_build_id(a->exe))
		return NULL;
	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/exe", pid);
	TRY(running_ids(rsp, path, &ids));
	if (!ids.go || !strcmp(ids.go, elf_go_build_id(a->exe)))
		return NULL;
	return other(a, rsp, pid, path, ids.go);
}
