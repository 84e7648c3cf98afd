/*
 * Of a path every folder counts: who can write to one can put something else there.  In a sticky
 * one, such as /tmp, only what is his own.
 */
#include "target/owner.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool is_roots(const char *path, bool last)
{
	struct stat st;

	if (lstat(path, &st) || st.st_uid || S_ISLNK(st.st_mode))
		return false;
	if (!last && st.st_mode & S_ISVTX)
		return true;
	return !(st.st_mode & S_IWOTH) && !(st.st_mode & S_IWGRP && st.st_gid);
}

bool owner_is_root_alone(const char *path)
{
	char part[PATH_MAX];
	size_t n = strlen(path);

	if (n >= sizeof(part) || *path != '/' || !is_roots("/", false))
		return false;
	for (size_t i = 1; i <= n; i++) {
		if (path[i] != '/' && path[i])
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)i, path);
		if (!is_roots(part, i == n))
			return false;
	}
	return true;
}
