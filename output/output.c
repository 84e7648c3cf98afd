/*
 * Output files: whole or not at all.
 *
 * Where the system has O_TMPFILE the temporary file has no name, so that not even SIGKILL leaves
 * one behind; elsewhere it is a hidden file beside the final one.  What is no regular file
 * (/dev/stdout, a pipe) is written as it is.
 */
#include "output/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "heap/acquire/save.h"
#include "output/internal.h"

struct output {
	char *path;  /* as given: for messages and the choice of format */
	char *final; /* path with symbolic links followed */
	char *temp;  /* the temporary file's name; NULL: it has none */
	FILE *f;
	bool direct; /* no regular file: nothing to rename */
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

static char *fd_name(int fd)
{
	char *s;

	return asprintf(&s, "/proc/self/fd/%d", fd) < 0 ? NULL : s;
}

static bool can_link(int fd)
{
	_cleanup_free_ char *name = fd_name(fd);

	return name && access(name, F_OK) == 0;
}

static struct err *open_temp(struct output *o, int *ret)
{
	_cleanup_free_ char *dir = dir_of(o->final);
	int fd;

	if (!dir)
		return err_nomem();
	fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
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

static struct err *open_fd(struct output *o, int *ret)
{
	size_t len = strlen(o->path);
	struct err *err;
	struct stat st;
	mode_t mask;
	int fd;

	if (stat(o->path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return output_os(o, EISDIR);
		if (!S_ISREG(st.st_mode)) {
			o->direct = true;
			fd = open(o->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
			if (fd < 0)
				return output_os(o, errno);
			*ret = fd;
			return NULL;
		}
		/* rename() would replace a file that its owner made read-only */
		if (access(o->path, W_OK))
			return output_os(o, errno);
		o->final = realpath(o->path, NULL);
		if (!o->final)
			return output_os(o, errno);
		err = open_temp(o, &fd);
		if (err)
			return err;
		if (fchmod(fd, st.st_mode & 07777)) {
			/* A file system without modes: the file system's own will do. */
		}
		*ret = fd;
		return NULL;
	}
	if (errno != ENOENT)
		return output_os(o, errno);
	if (!len)
		return output_os(o, ENOENT);
	if (o->path[len - 1] == '/')
		return output_os(o, EISDIR);
	o->final = strdup(o->path);
	if (!o->final)
		return err_nomem();
	err = open_temp(o, &fd);
	if (err)
		return err;
	mask = umask(0);
	umask(mask);
	if (o->temp && fchmod(fd, 0666 & ~mask)) {
		/* as above */
	}
	*ret = fd;
	return NULL;
}

struct err *output_open(const char *path, struct output **ret)
{
	struct output *o = calloc(1, sizeof(*o));
	struct err *err;
	int fd = -1;

	if (!o)
		return err_nomem();
	o->path = strdup(path);
	err = o->path ? open_fd(o, &fd) : err_nomem();
	if (!err) {
		o->f = fdopen(fd, "w");
		if (!o->f) {
			close(fd);
			err = err_nomem();
		}
	}
	if (err) {
		output_destroy(o);
		return err;
	}
	*ret = o;
	return NULL;
}

/* Gives the file its name.  A file without one can take a free name but not replace an old
 * file: for that it gets a name of its own first. */
static struct err *put_in_place(struct output *o, int fd)
{
	if (!o->temp) {
		_cleanup_free_ char *name = fd_name(fd), *dir = dir_of(o->final);

		if (!name || !dir)
			return err_nomem();
		if (linkat(AT_FDCWD, name, AT_FDCWD, o->final, AT_SYMLINK_FOLLOW) == 0)
			return NULL;
		for (unsigned i = 0; errno == EEXIST && !o->temp && i < 1000; i++) {
			char *temp;

			if (asprintf(&temp, "%s.grf-rsp.%ld-%u", dir, (long)getpid(), i) < 0)
				return err_nomem();
			if (linkat(AT_FDCWD, name, AT_FDCWD, temp, AT_SYMLINK_FOLLOW) == 0) {
				o->temp = temp;
			} else {
				int saved = errno;

				free(temp);
				errno = saved;
			}
		}
		if (!o->temp)
			return err_os(errno, "link");
	}
	if (rename(o->temp, o->final))
		return err_os(errno, "rename");
	free(TAKE_PTR(o->temp));
	return NULL;
}

/* Everything on the disk, or an error, before the file takes its name. */
static struct err *finish(struct output *o)
{
	_cleanup_close_ int fd = fcntl(fileno(o->f), F_DUPFD_CLOEXEC, 3);
	bool failed = ferror(o->f);

	if (fd < 0)
		return err_os(errno, "dup");
	errno = EIO;
	if (fclose(TAKE_PTR(o->f)) || failed)
		return err_os(errno, "write");
	return o->direct ? NULL : put_in_place(o, fd);
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

enum output_kind output_kind(const char *path)
{
	return ends_with(path, ".folded") ? OUTPUT_FOLDED :
	       ends_with(path, ".txt")    ? OUTPUT_TEXT :
	       ends_with(path, ".core")   ? OUTPUT_CORE :
					    OUTPUT_PPROF;
}

static struct err *finished(struct output *o, struct err *err)
{
	if (!err)
		err = finish(o);
	return err_is(err, ERR_OS) ? err_wrapf(err, "cannot write '%s'", o->path) : err;
}

struct err *output_write(struct output *o, const struct profile *p, const struct report *r)
{
	switch (output_kind(o->path)) {
	case OUTPUT_FOLDED:
		return finished(o, folded_write(o->f, p));
	case OUTPUT_TEXT:
		return finished(o, output_summary(o->f, p, r, NULL, true));
	default:
		return finished(o, pprof_write(o->f, p, r));
	}
}

struct err *output_save(struct output *o, const struct acquire *a)
{
	return finished(o, save_write(a, o->f));
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
