/*
 * The stub is asked for the begin of the executable first, which has its build id: where the cache
 * has a file of that name that begins alike, nothing more is fetched.  A new file is written under
 * a temporary name and renamed when it is whole.
 */
#include "target/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "rsp/rsp.h"
#include "target/cache.h"
#include "target/elf_note.h"

enum { HEAD = 64 << 10, ID_MAX = 200 }; /* Go puts its notes into the first page */

/* The file's name in the cache, by its build id: GNU's is hex, Go's is text with slashes.  "": it
 * has none that identifies it. */
static struct err *cache_name(const uint8_t *head, size_t len, char ret[ID_MAX])
{
	_cleanup_(elf_ids_deinit) struct elf_ids ids = { NULL, NULL };

	*ret = 0;
	TRY(elf_ids_of_head(head, len, &ids));
	if (!elf_ids_identify(ids.go, ids.gnu))
		return NULL;
	if (ids.go && strlen(ids.go) < ID_MAX) {
		strcpy(ret, ids.go);
		for (char *c = ret; *c; c++)
			if (!strchr("-_", *c) && !(*c >= '0' && *c <= '9') &&
			    !((*c | 32) >= 'a' && (*c | 32) <= 'z'))
				*c = '.';
	}
	if (!*ret && ids.gnu && strlen(ids.gnu) < ID_MAX)
		strcpy(ret, ids.gnu);
	return NULL;
}

char *fetch_link_name(const char *link, size_t len)
{
	static const char gone[] = " (deleted)"; /* fs/d_path.c */
	size_t n = strlen(gone);

	return strndup(link, len > n && !memcmp(link + len - n, gone, n) ? len - n : len);
}

/* What gdbserver says that /proc/PID/exe leads to. */
static struct err *exec_file(struct rsp *rsp, uint64_t pid, struct buf *ret)
{
	char annex[20];

	snprintf(annex, sizeof(annex), "%" PRIx64, pid);
	return rsp_xfer(rsp, "exec-file", pid ? annex : "", ret);
}

struct err *fetch_name(struct rsp *rsp, uint64_t pid, const char *path, char **ret)
{
	_cleanup_buf_ struct buf exec = BUF_INIT;
	struct err *err = exec_file(rsp, pid, &exec);

	if (err_catch(&err, ERR_REMOTE) || err_catch(&err, ERR_UNSUPPORTED))
		exec.len = 0;
	TRY(err);
	*ret = exec.len ? fetch_link_name((const char *)exec.data, exec.len) : strdup(path);
	return *ret ? NULL : err_nomem();
}

/* Where the executable is over there, and the first HEAD bytes of it. */
static struct err *find_path(struct rsp *rsp, uint64_t pid, char **ret, struct buf *head)
{
	_cleanup_free_ char *proc = NULL, *path = NULL;
	_cleanup_buf_ struct buf exec = BUF_INIT;
	struct err *err;

	if (!rsp_features(rsp)->vfile)
		return err_create(ERR_UNSUPPORTED,
				  "this stub cannot read files: give the executable as EXE");
	if (pid) {
		if (asprintf(&proc, "/proc/%" PRIu64 "/exe", pid) < 0)
			return err_nomem();
		err = rsp_file_read_at(rsp, proc, 0, HEAD, head);
		if (!err_catch(&err, ERR_REMOTE)) {
			*ret = err ? NULL : TAKE_PTR(proc);
			return err;
		}
	}
	TRY(err_wrapf(exec_file(rsp, pid, &exec), "finding the executable (give it as EXE)"));
	path = strndup((const char *)exec.data, exec.len);
	if (!path)
		return err_nomem();
	err = rsp_file_read_at(rsp, path, 0, HEAD, head);
	TRY(err_wrapf(err, "reading the executable (give it as EXE)"));
	*ret = TAKE_PTR(path);
	return NULL;
}

static struct err *write_all(int fd, const uint8_t *p, size_t len, const char *path)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_os(errno, "writing %s", path);
		p += n;
		len -= (size_t)n;
	}
	return NULL;
}

/* Copies the file to fd, which is `tmp`, and renames that to `final` unless it is NULL. */
static struct err *fetch_file(struct rsp *rsp, const char *remote, int fd, const char *tmp,
			      const char *final)
{
	_cleanup_buf_ struct buf file = BUF_INIT;

	TRY(rsp_file_read(rsp, remote, LIMIT_EXE_SIZE, &file));
	TRY(write_all(fd, file.data, file.len, tmp));
	if (final && rename(tmp, final))
		return err_os(errno, "renaming %s", tmp);
	return NULL;
}

/* A file of this name in dir, or where temporary files are. */
static struct err *make_tmp(const char *dir, char **tmp, int *fd)
{
	const char *tmpdir = getenv("TMPDIR");

	if (!dir)
		dir = tmpdir && *tmpdir ? tmpdir : "/tmp";
	if (asprintf(tmp, "%s/grf-rsp-XXXXXX", dir) < 0)
		return err_nomem();
	*fd = mkostemp(*tmp, O_CLOEXEC);
	return *fd < 0 ? err_os(errno, "making %s", *tmp) : NULL;
}

struct err *fetch_exe(struct rsp *rsp, uint64_t pid, char **path, char **name, bool *temporary)
{
	_cleanup_free_ char *remote = NULL, *real = NULL, *dir = NULL, *tmp = NULL, *final = NULL;
	_cleanup_buf_ struct buf head = BUF_INIT;
	_cleanup_close_ int fd = -1;
	char id[ID_MAX];
	struct err *err;

	TRY(find_path(rsp, pid, &remote, &head));
	TRY(fetch_name(rsp, pid, remote, &real));
	TRY(cache_name(head.data, head.len, id));
	TRY(cache_open(&dir));
	if (dir && *id && asprintf(&final, "%s/%s", dir, id) < 0)
		return err_nomem();
	if (!final || !cache_has(final, head.data, head.len)) {
		TRY(make_tmp(dir, &tmp, &fd));
		err = fetch_file(rsp, remote, fd, tmp, final);
		if (err) {
			unlink(tmp);
			return err_wrapf(err, "fetching the executable");
		}
	}
	*temporary = !final;
	*path = final ? TAKE_PTR(final) : TAKE_PTR(tmp);
	*name = TAKE_PTR(real);
	return NULL;
}
