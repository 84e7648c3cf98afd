/*
 * Output files: whole or not at all.
 *
 * Where the system has O_TMPFILE the temporary file has no name, so that not even SIGKILL leaves
 * one behind; elsewhere it is a hidden file beside the final one.  A path that is no regular file
 * (/dev/stdout, a pipe) is opened and written itself.  "-" is standard output, which gets all of a
 * temporary file at the end.
 */
#include "output/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/intr.h"
#include "output/internal.h"

struct output {
	char *path;  /* as given: for messages and the choice of format */
	char *final; /* path with symbolic links followed */
	char *temp;  /* the temporary file's name; NULL: it has none */
	FILE *f;
	bool direct; /* no regular file: nothing to rename */
	bool copy;   /* to standard output, at the end */
};

static struct err *output_os(const struct output *o, int errnum)
{
	return err_os(errnum, "cannot write '%s'", o->path);
}

/* "a/b" -> "a/"; "b" -> "./" */
static char *dir_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? strndup(path, (size_t)(slash - path) + 1) : strdup("./");
}

char *output_folder(const struct output *o)
{
	return o->final ? dir_of(o->final) : NULL;
}

/* SQLite sorts in files; it looks for their place in this order (os_unix.c, unixTempFileDir()). */
const char *output_temp_folder(const struct output *o)
{
	const char *dirs[] = { getenv("SQLITE_TMPDIR"), getenv("TMPDIR"), "/var/tmp", "/usr/tmp",
			       "/tmp" };
	struct stat st;

	if (output_kind(o->path) != OUTPUT_SQLITE)
		return NULL;
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
		if (dirs[i] && !stat(dirs[i], &st) && S_ISDIR(st.st_mode) &&
		    !access(dirs[i], W_OK | X_OK))
			return dirs[i];
	return ".";
}

static char *fd_name(int fd)
{
	char *s;

	return asprintf(&s, "/proc/self/fd/%d", fd) < 0 ? NULL : s;
}

/* Whether the open file can be given a name: /proc is needed for it. */
static bool can_link(int fd)
{
	_cleanup_free_ char *name = fd_name(fd);

	return name && access(name, F_OK) == 0;
}

/* A core has the process's memory; the rest is the process's names, and numbers. */
static mode_t new_mode(const struct output *o)
{
	return output_kind(o->path) == OUTPUT_CORE ? 0600 : 0666;
}

static struct err *open_temp(struct output *o, int *ret)
{
	_cleanup_free_ char *dir = dir_of(o->final);
	int fd;

	if (!dir)
		return err_nomem();
	/* SQLite opens it by a name */
	fd = output_kind(o->path) == OUTPUT_SQLITE ?
		     -1 :
		     open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, new_mode(o));
	if (fd >= 0 && can_link(fd)) {
		*ret = fd;
		return NULL;
	}
	if (fd >= 0)
		close(fd);
	if (asprintf(&o->temp, "%s.grf-rsp.XXXXXX", dir) < 0) {
		o->temp = NULL;
		return err_nomem();
	}
	fd = mkostemp(o->temp, O_CLOEXEC);
	if (fd < 0) {
		struct err *err = output_os(o, errno);

		free(TAKE_PTR(o->temp));
		return err;
	}
	*ret = fd;
	return NULL;
}

/* No regular file. */
static struct err *open_direct(struct output *o, int *ret)
{
	int fd = open(o->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return output_os(o, errno);
	o->direct = true;
	*ret = fd;
	return NULL;
}

/* To replace a file that is there. */
static struct err *open_over(struct output *o, mode_t mode, int *ret)
{
	/* rename() would replace a file that its owner made read-only */
	if (access(o->path, W_OK))
		return output_os(o, errno);
	o->final = realpath(o->path, NULL);
	if (!o->final)
		return output_os(o, errno);
	TRY(open_temp(o, ret));
	if (fchmod(*ret, mode)) {
		/* A file system that has no modes: its own will do. */
	}
	return NULL;
}

static struct err *open_new(struct output *o, int *ret)
{
	size_t len = strlen(o->path);
	mode_t mask;

	if (!len)
		return output_os(o, ENOENT);
	if (o->path[len - 1] == '/')
		return output_os(o, EISDIR);
	o->final = strdup(o->path);
	if (!o->final)
		return err_nomem();
	TRY(open_temp(o, ret));
	mask = umask(0);
	umask(mask);
	if (o->temp && fchmod(*ret, new_mode(o) & ~mask)) {
		/* as above */
	}
	return NULL;
}

static struct err *open_copy(struct output *o, int *ret)
{
	const char *dir = getenv("TMPDIR");
	_cleanup_free_ char *path = NULL;
	int fd;

	if (asprintf(&path, "%s/grf-rsp.XXXXXX", dir && *dir ? dir : "/tmp") < 0) {
		path = NULL;
		return err_nomem();
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	else /* no disk: what is written is small beside what was read */
		fd = memfd_create("grf-rsp", MFD_CLOEXEC);
	if (fd < 0)
		return output_os(o, errno);
	o->copy = true;
	*ret = fd;
	return NULL;
}

/* SQLite writes files only. */
static struct err *check_sqlite(const struct output *o)
{
	struct stat st;

	if (output_kind(o->path) != OUTPUT_SQLITE)
		return NULL;
	if (!sqlite_is_built())
		return err_create(ERR_UNSUPPORTED, "cannot write '%s': built without SQLite",
				  o->path);
	if (stat(o->path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return err_create(ERR_USAGE, "cannot write '%s': SQLite wants a regular file",
				  o->path);
	return NULL;
}

static struct err *open_fd(struct output *o, int *ret)
{
	struct stat st;

	TRY(check_sqlite(o));
	if (output_is_stdout(o->path))
		return open_copy(o, ret);
	if (stat(o->path, &st) == 0)
		return S_ISDIR(st.st_mode)  ? output_os(o, EISDIR) :
		       !S_ISREG(st.st_mode) ? open_direct(o, ret) :
					      open_over(o, st.st_mode & 07777, ret);
	return errno == ENOENT ? open_new(o, ret) : output_os(o, errno);
}

DEFINE_CLEANUP(output_destroy, struct output *)

struct err *output_open(const char *path, struct output **ret)
{
	_cleanup_(cleanup_output_destroy) struct output *o = calloc(1, sizeof(*o));
	int fd = -1;

	if (!o)
		return err_nomem();
	o->path = strdup(path);
	if (!o->path)
		return err_nomem();
	TRY(open_fd(o, &fd));
	o->f = fdopen(fd, "w");
	if (!o->f) {
		close(fd);
		return err_nomem();
	}
	*ret = TAKE_PTR(o);
	return NULL;
}

/* Links the open file, which has no name, at a name of its own beside the final one. */
static struct err *link_temp(struct output *o, const char *fd_path)
{
	_cleanup_free_ char *dir = dir_of(o->final);

	if (!dir)
		return err_nomem();
	for (unsigned i = 0; i < 1000; i++) {
		_cleanup_free_ char *temp = NULL;

		if (asprintf(&temp, "%s.grf-rsp.%ld-%u", dir, (long)getpid(), i) < 0) {
			temp = NULL;
			return err_nomem();
		}
		if (linkat(AT_FDCWD, fd_path, AT_FDCWD, temp, AT_SYMLINK_FOLLOW) == 0) {
			o->temp = TAKE_PTR(temp);
			return NULL;
		}
		if (errno != EEXIST)
			return err_os(errno, "link");
	}
	return err_os(EEXIST, "link");
}

/* Gives the file its name.  A file without one can take a free name but not replace an old
 * file: for that it gets a name of its own first. */
static struct err *put_in_place(struct output *o, int fd)
{
	TRY(intr_check()); /* what was read of a lost file is wrong */
	if (!o->temp) {
		_cleanup_free_ char *name = fd_name(fd);

		if (!name)
			return err_nomem();
		if (linkat(AT_FDCWD, name, AT_FDCWD, o->final, AT_SYMLINK_FOLLOW) == 0)
			return NULL;
		if (errno != EEXIST)
			return err_os(errno, "link");
		TRY(link_temp(o, name));
	}
	if (rename(o->temp, o->final))
		return err_os(errno, "rename");
	free(TAKE_PTR(o->temp));
	return NULL;
}

static struct err *copy_out(int fd)
{
	uint8_t b[1 << 16];
	ssize_t n;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_os(errno, "seek");
	while ((n = read(fd, b, sizeof(b))) > 0)
		if (fwrite(b, 1, (size_t)n, stdout) != (size_t)n)
			return err_os(errno, "write");
	if (n < 0)
		return err_os(errno, "read");
	return fflush(stdout) ? err_os(errno, "write") : NULL;
}

int output_why_failed(int fd)
{
	if (lseek(fd, 0, SEEK_END) < 0) {
		/* A pipe: it has no place. */
	}
	return write(fd, "\n", 1) < 0 ? errno : EIO;
}

/* fsync(), where the file system has such a thing. */
static struct err *sync_fd(int fd)
{
	return fsync(fd) && errno != EINVAL && errno != EROFS && errno != ENOTSUP ?
		       err_os(errno, "fsync") :
		       NULL;
}

static struct err *sync_dir(const struct output *o)
{
	_cleanup_free_ char *dir = dir_of(o->final);
	_cleanup_close_ int fd = -1;

	if (!dir)
		return err_nomem();
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? NULL : sync_fd(fd); /* one may write there, and not read */
}

/*
 * Everything written, or an error, before the file takes its name.  A core is on the disk, besides:
 * what it is of may be gone when the machine comes up again.  (The others can be made again, and a
 * disk is slow.)
 */
static struct err *finish(struct output *o)
{
	_cleanup_close_ int fd = fcntl(fileno(o->f), F_DUPFD_CLOEXEC, 3);
	bool core = output_kind(o->path) == OUTPUT_CORE && !o->direct && !o->copy;
	bool failed;

	if (fd < 0)
		return err_os(errno, "dup");
	failed = ferror(o->f);
	if (fclose(TAKE_PTR(o->f)))
		return err_os(errno, "write");
	if (failed)
		return err_os(output_why_failed(fd), "write");
	if (o->copy)
		return copy_out(fd);
	if (core)
		TRY(sync_fd(fd));
	if (!o->direct)
		TRY(put_in_place(o, fd));
	return core ? sync_dir(o) : NULL;
}

bool output_is_stdout(const char *path)
{
	return !strcmp(path, "-");
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

enum output_kind output_kind(const char *path)
{
	return ends_with(path, ".folded")                                ? OUTPUT_FOLDED :
	       ends_with(path, ".txt")                                   ? OUTPUT_TEXT :
	       ends_with(path, ".json")                                  ? OUTPUT_JSON :
	       ends_with(path, ".html")                                  ? OUTPUT_HTML :
	       ends_with(path, ".core")                                  ? OUTPUT_CORE :
	       ends_with(path, ".prom")                                  ? OUTPUT_PROM :
	       ends_with(path, ".sqlite")                                ? OUTPUT_SQLITE :
	       ends_with(path, ".heapsnapshot")                          ? OUTPUT_HEAPSNAPSHOT :
	       ends_with(path, ".hprof") || ends_with(path, ".hprof.gz") ? OUTPUT_HPROF :
									   OUTPUT_PPROF;
}

static struct err *finished(struct output *o, struct err *err)
{
	if (!err)
		err = finish(o);
	return err_is(err, ERR_OS) || err_is(err, ERR_LIMIT) ?
		       err_wrapf(err, "cannot write '%s'", o->path) :
		       err;
}

struct err *output_write(struct output *o, const struct profile *p, const struct report *r)
{
	switch (output_kind(o->path)) {
	case OUTPUT_FOLDED:
		return finished(o, folded_write(o->f, p));
	case OUTPUT_JSON:
		return finished(o, json_write(o->f, p, r));
	case OUTPUT_HTML:
		return finished(o, html_write(o->f, p, r));
	case OUTPUT_PROM:
		return finished(o, prom_write(o->f, p, r));
	case OUTPUT_TEXT:
		return finished(o, output_summary(o->f, p, r, NULL, true));
	default:
		return finished(o, pprof_write(o->f, r->growth.made ? &r->difference : p, r));
	}
}

bool output_wants_objects(enum output_kind kind)
{
	return kind == OUTPUT_SQLITE || kind == OUTPUT_HEAPSNAPSHOT || kind == OUTPUT_HPROF;
}

struct err *output_write_objects(struct output *o, const struct objects *objects,
				 const struct profile *p, const struct report *r)
{
	switch (output_kind(o->path)) {
	case OUTPUT_HEAPSNAPSHOT:
		return finished(o, heapsnapshot_write(o->f, objects));
	case OUTPUT_HPROF:
		return finished(o, hprof_write(o->f, ends_with(o->path, ".gz"), objects, r));
	default:
		return finished(o, sqlite_write(o->temp, objects, p, r));
	}
}

struct err *output_fill(struct output *o, struct err *(*write)(void *arg, FILE *f), void *arg)
{
	return finished(o, write(arg, o->f));
}

void output_destroy(struct output *o)
{
	if (!o)
		return;
	if (o->f)
		fclose(o->f);
	if (o->temp)
		unlink(o->temp);
	free(o->temp);
	free(o->final);
	free(o->path);
	free(o);
}
