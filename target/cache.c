/* The cache of executables is a folder of files; a file's time says when it was used last. */
#include "target/cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { CACHE_DAYS = 90, OTHERS_WRITE = S_IWGRP | S_IWOTH };

static bool is_ours(const struct stat *st, mode_t type)
{
	return (st->st_mode & S_IFMT) == type && st->st_uid == geteuid() &&
	       !(st->st_mode & OTHERS_WRITE);
}

static struct err *cache_path(char **ret)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	_cleanup_free_ char *base = NULL;

	*ret = NULL;
	if (xdg && *xdg == '/') {
		if (asprintf(&base, "%s", xdg) < 0)
			return err_nomem();
	} else if (!home || *home != '/') {
		return NULL;
	} else if (asprintf(&base, "%s/.cache", home) < 0) {
		return err_nomem();
	}
	mkdir(base, 0700);
	if (asprintf(ret, "%s/grf-rsp", base) < 0)
		return err_nomem();
	mkdir(*ret, 0700);
	return NULL;
}

/* Unlinks what has not been used for long, and what was left half-made. */
static void cache_clean(int fd)
{
	time_t since = time(NULL) - CACHE_DAYS * 86400;
	DIR *dir = fdopendir(fd);
	struct dirent *e;
	struct stat st;

	if (!dir) {
		close(fd);
		return;
	}
	while ((e = readdir(dir)))
		if (!fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
		    is_ours(&st, S_IFREG) && st.st_mtime < since)
			unlinkat(dirfd(dir), e->d_name, 0);
	closedir(dir);
}

struct err *cache_open(char **ret)
{
	_cleanup_free_ char *path = NULL;
	struct stat st;
	int fd;

	*ret = NULL;
	TRY(cache_path(&path));
	if (!path)
		return NULL;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) || !is_ours(&st, S_IFDIR)) {
		close(fd);
		return NULL;
	}
	cache_clean(fd);
	*ret = TAKE_PTR(path);
	return NULL;
}

bool cache_has(const char *path, const uint8_t *head, size_t len)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	_cleanup_free_ uint8_t *here = malloc(len + 1);
	struct stat st;

	if (fd < 0 || !here || fstat(fd, &st) || !is_ours(&st, S_IFREG))
		return false;
	if (!len || pread(fd, here, len, 0) != (ssize_t)len || memcmp(here, head, len))
		return false;
	futimens(fd, NULL);
	return true;
}
