/* A descriptor that can do nothing (O_PATH) holds the file while it is looked at, so that it is the
 * same one that is opened. */
#include "base/regular.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { READING = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };

static struct err *not_regular(const struct stat *st)
{
	return err_create(ERR_BADDATA,
			  S_ISDIR(st->st_mode) ? "a directory, not a file" : "not a regular file");
}

/* Where /proc is not mounted the path is looked up again, and what is there compared. */
static struct err *open_again(const char *path, const struct stat *seen, int *ret)
{
	int fd = open(path, READING);
	struct stat st;

	if (fd < 0 || fstat(fd, &st)) {
		cleanup_close(&fd);
		return err_os(errno, "opening");
	}
	if (st.st_dev != seen->st_dev || st.st_ino != seen->st_ino) {
		close(fd);
		return err_create(ERR_BADDATA, "another file has taken its place just now");
	}
	*ret = fd;
	return NULL;
}

struct err *regular_open(const char *path, int *ret, struct stat *st)
{
	_cleanup_close_ int held = open(path, O_PATH | O_CLOEXEC);
	char name[32];
	int fd;

	if (held < 0 || fstat(held, st))
		return err_os(errno, "opening");
	if (!S_ISREG(st->st_mode))
		return not_regular(st);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", held);
	fd = open(name, READING);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return open_again(path, st, ret);
	if (fd < 0)
		return err_os(errno, "opening");
	*ret = fd;
	return NULL;
}
