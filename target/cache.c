/* The cache of executables is a folder of files, ID-HASH; a file's time says when it was used
 * last. */
#include "target/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

enum {
	CACHE_DAYS = 90,
	OTHERS_WRITE = S_IWGRP | S_IWOTH,
	SAME_ID = 4, /* files of one id that are looked into */
	HASHED = 1 << 16,
};

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

static void cleanup_closedir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* ID-HASH? */
static bool is_of(const char *name, const char *id)
{
	size_t n = strlen(id);

	return !strncmp(name, id, n) && name[n] == '-' &&
	       strlen(name) == n + SHA256_DIGEST_STRING_LENGTH;
}

struct err *cache_find(const char *path, const char *id, cache_same same, void *arg, char **ret)
{
	_cleanup_(cleanup_closedir) DIR *dir = opendir(path);
	unsigned looked = 0;
	struct dirent *e;
	struct stat st;

	*ret = NULL;
	while (dir && looked < SAME_ID && (e = readdir(dir))) {
		_cleanup_close_ int fd = -1;
		bool found = false;

		if (!is_of(e->d_name, id))
			continue;
		fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) || !is_ours(&st, S_IFREG))
			continue;
		looked++;
		TRY(same(arg, fd, (uint64_t)st.st_size, &found));
		if (!found)
			continue;
		futimens(fd, NULL);
		return asprintf(ret, "%s/%s", path, e->d_name) < 0 ? err_nomem() : NULL;
	}
	return NULL;
}

struct err *cache_name(const char *dir, const char *id, int fd, char **ret)
{
	_cleanup_free_ uint8_t *b = malloc(HASHED);
	char hex[SHA256_DIGEST_STRING_LENGTH];
	SHA2_CTX hash;
	off_t at = 0;
	ssize_t n;

	if (!b)
		return err_nomem();
	SHA256Init(&hash);
	while ((n = pread(fd, b, HASHED, at)) > 0) {
		SHA256Update(&hash, b, (size_t)n);
		at += n;
	}
	if (n < 0)
		return err_os(errno, "reading what was fetched");
	SHA256End(&hash, hex);
	return asprintf(ret, "%s/%s-%s", dir, id, hex) < 0 ? err_nomem() : NULL;
}
