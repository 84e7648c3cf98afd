/*
 * The stub is asked for the begin of the executable first, which has its build id: where the cache
 * has a file of that id that is the same in all pieces of it that are looked at, nothing more is
 * fetched.  A new file is written under a temporary name as it comes, and renamed when it is whole.
 */
#include "target/fetch.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "rsp/rsp.h"
#include "target/cache.h"
#include "target/elf_note.h"
#include "target/store.h"

enum {
	HEAD = 64 << 10, /* Go puts its notes into the first page */
	ID_MAX = 180,    /* with a hash behind it, it is a file's name */
	SAMPLES = 64,    /* pages that are compared */
	SAMPLE = 4096,
};

/* The file's id in the cache, by its build id: GNU's is hex, Go's is text with slashes.  "": it
 * has none that identifies it. */
static struct err *cache_id(const uint8_t *head, size_t len, char ret[ID_MAX])
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

/* ------------------------------------------------------------------ is it in the cache? */

/* A file of the cache, and the stub's. */
struct comparing {
	struct rsp *rsp;
	const char *remote;
	const struct buf *head;
	int fd;
	uint64_t bytes; /* of the stub's */
	bool same;
};

static bool is_there(int fd, uint64_t off, const uint8_t *p, size_t len)
{
	uint8_t here[SAMPLE];

	for (size_t done = 0; done < len;) {
		size_t n = len - done < sizeof(here) ? len - done : sizeof(here);

		if (pread(fd, here, n, (off_t)(off + done)) != (ssize_t)n ||
		    memcmp(here, p + done, n))
			return false;
		done += n;
	}
	return true;
}

static struct err *compare_piece(void *arg, uint64_t off, const uint8_t *p, size_t len)
{
	struct comparing *c = arg;

	c->bytes += len;
	c->same = c->same && is_there(c->fd, off, p, len);
	return NULL;
}

/* Pages that whoever made the file could not know; the last piece tells where it ends. */
static void choose_pieces(uint64_t size, struct rsp_piece pieces[SAMPLES + 1])
{
	uint64_t random[SAMPLES] = { 0 }, pages = (size + SAMPLE - 1) / SAMPLE;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
		/* Then it is the first page SAMPLES times: less is known, and nothing is wrong. */
	}
	for (unsigned i = 0; i < SAMPLES; i++) {
		pieces[i].off = random[i] % pages * SAMPLE;
		pieces[i].len = size - pieces[i].off < SAMPLE ? size - pieces[i].off : SAMPLE;
	}
	pieces[SAMPLES].len = size < SAMPLE ? size : SAMPLE;
	pieces[SAMPLES].off = size - pieces[SAMPLES].len;
	pieces[SAMPLES].len++; /* which is not there */
}

static struct err *is_same(void *arg, int fd, uint64_t size, bool *same)
{
	struct comparing *c = arg;
	struct rsp_piece pieces[SAMPLES + 1];
	uint64_t want = 0;
	struct err *err;

	*same = false;
	if (!size || !is_there(fd, 0, c->head->data, c->head->len))
		return NULL;
	choose_pieces(size, pieces);
	for (unsigned i = 0; i <= SAMPLES; i++)
		want += pieces[i].len;
	c->fd = fd;
	c->bytes = 0;
	c->same = true;
	err = rsp_file_pieces(c->rsp, c->remote, pieces, SAMPLES + 1, compare_piece, c);
	if (err_catch(&err, ERR_REMOTE))
		return NULL;
	*same = c->same && c->bytes == want - 1;
	return err;
}

/* ------------------------------------------------------------------ fetching */

/* A file that is being written as it comes. */
struct fetching {
	int fd;
	const char *path, *dir;
	uint64_t limit; /* bytes */
	bool no_room;   /* that is for want of it */
};

static struct err *write_all(int fd, const uint8_t *p, size_t len, uint64_t off, const char *path)
{
	while (len) {
		ssize_t n = pwrite(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_os(errno, "writing %s", path);
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return NULL;
}

static struct err *write_piece(void *arg, uint64_t off, const uint8_t *p, size_t len)
{
	const struct fetching *f = arg;

	if (off <= f->limit && len <= f->limit - off)
		return write_all(f->fd, p, len, off, f->path);
	if (!f->no_room)
		return err_create(ERR_LIMIT, "it is over %llu MB: give it as EXE",
				  LIMIT_EXE_SIZE >> 20);
	return err_create(ERR_LIMIT,
			  "it is over %.0f MB, which is all that may be taken of what %s has left: "
			  "make room there, let TMPDIR or XDG_CACHE_HOME name another place, or "
			  "give it as EXE",
			  (double)f->limit / 1e6, f->dir);
}

/* Copies the file to fd, which is `tmp` in dir. */
static struct err *fetch_file(struct rsp *rsp, const char *remote, int fd, const char *tmp,
			      const char *dir)
{
	struct fetching f = { fd, tmp, dir, store_room(dir) };
	struct rsp_piece all = { 0, LIMIT_EXE_SIZE + 1 };

	f.no_room = f.limit < LIMIT_EXE_SIZE;
	if (!f.no_room)
		f.limit = LIMIT_EXE_SIZE;
	return rsp_file_pieces(rsp, remote, &all, 1, write_piece, &f);
}

/* A new file in dir. */
static struct err *make_tmp(const char *dir, char **tmp, int *fd)
{
	if (asprintf(tmp, "%s/grf-rsp-XXXXXX", dir) < 0)
		return err_nomem();
	*fd = mkostemp(*tmp, O_CLOEXEC);
	return *fd < 0 ? err_os(errno, "making %s", *tmp) : NULL;
}

/* Fetches it, into the cache if that is open.  What is there of an error is unlinked. */
static struct err *fetch_new(struct rsp *rsp, const char *remote, const char *cache, const char *id,
			     char **ret)
{
	const char *dir = cache ? cache : store_folder();
	_cleanup_free_ char *tmp = NULL, *final = NULL;
	_cleanup_close_ int fd = -1;
	struct err *err;

	TRY(make_tmp(dir, &tmp, &fd));
	err = fetch_file(rsp, remote, fd, tmp, dir);
	if (!err && cache)
		err = cache_name(cache, id, fd, &final);
	if (!err && final && rename(tmp, final))
		err = err_os(errno, "renaming %s", tmp);
	if (err)
		unlink(tmp);
	else
		*ret = final ? TAKE_PTR(final) : TAKE_PTR(tmp);
	return err_wrapf(err, "fetching the executable");
}

struct err *fetch_exe(struct rsp *rsp, uint64_t pid, char **path, char **name, bool *temporary)
{
	_cleanup_free_ char *remote = NULL, *real = NULL, *dir = NULL, *found = NULL;
	_cleanup_buf_ struct buf head = BUF_INIT;
	struct comparing c = { .rsp = rsp, .head = &head };
	char id[ID_MAX];

	TRY(find_path(rsp, pid, &remote, &head));
	TRY(fetch_name(rsp, pid, remote, &real));
	if (head.len < SELFMAG || memcmp(head.data, ELFMAG, SELFMAG))
		return err_create(ERR_BADDATA, "%s is no executable, as the stub has it", real);
	TRY(cache_id(head.data, head.len, id));
	TRY(cache_open(&dir));
	if (!*id)
		free(TAKE_PTR(dir));
	c.remote = remote;
	if (dir)
		TRY(cache_find(dir, id, is_same, &c, &found));
	if (!found)
		TRY(fetch_new(rsp, remote, dir, id, &found));
	*temporary = !dir;
	*path = TAKE_PTR(found);
	*name = TAKE_PTR(real);
	return NULL;
}
