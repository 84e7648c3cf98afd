/*
 * The room is the least of what the machine has available (/proc/meminfo) and of what the process's
 * cgroup and each of its ancestors may still take, of version 1 or 2.
 */
#include "target/fork_room.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "rsp/rsp.h"
#include "target/cgroup.h"

enum {
	FLOOR_MIN = 16 << 20,
	FLOOR_PART = 8, /* of the process's anonymous memory must stay free */
};

void room_deinit(struct room *r)
{
	for (unsigned i = 0; i < r->n; i++)
		free(r->dirs[i]);
	r->n = 0;
}

/* The number behind NAME at the start of a line; kB counts. */
static bool room_field(const struct buf *text, const char *name, uint64_t *ret)
{
	const char *s = text_field((const char *)text->data, name);
	uint64_t v;
	char *end;

	if (!s)
		return false;
	v = strtoull(s, &end, 10);
	if (end == s)
		return false;
	*ret = strncmp(end, " kB", 3) ? v : v * 1024;
	return true;
}

/* One file with one number; "max", and v1's huge one, are no limit (UINT64_MAX). */
static struct err *room_number(struct rsp *rsp, const char *dir, const char *name, uint64_t *ret,
			       bool *found)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	const char *s;
	char *end;

	TRY(rsp_file_text(rsp, &text, found, "%s/%s", dir, name));
	if (!*found)
		return NULL;
	s = (const char *)text.data;
	*ret = UINT64_MAX;
	if (!strncmp(s, "max", 3))
		return NULL;
	*ret = strtoull(s, &end, 10);
	*found = end != s;
	if (*ret >> 60)
		*ret = UINT64_MAX;
	return NULL;
}

/* What the cgroup can take before somebody in it is killed: pages of files that nobody uses go
 * first. */
static struct err *room_in(const struct room *r, struct rsp *rsp, const char *dir, uint64_t *ret,
			   bool *found)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	uint64_t max, used, files = 0;
	bool have;

	TRY(room_number(rsp, dir, r->v2 ? "memory.max" : "memory.limit_in_bytes", &max, found));
	if (!*found)
		return NULL;
	*ret = UINT64_MAX;
	if (max == UINT64_MAX)
		return NULL;
	TRY(room_number(rsp, dir, r->v2 ? "memory.current" : "memory.usage_in_bytes", &used,
			found));
	if (!*found)
		return NULL;
	TRY(rsp_file_text(rsp, &text, &have, "%s/memory.stat", dir));
	if (have)
		room_field(&text, r->v2 ? "inactive_file " : "total_inactive_file ", &files);
	used -= files < used ? files : used;
	*ret = max > used ? max - used : 0;
	return NULL;
}

/* Too deep: the directories nearest to the process were added first, and must do. */
static struct err *add_dir(struct room *r, const char *top, const char *path, size_t len)
{
	if (r->n == ROOM_LEVELS)
		return NULL;
	if (asprintf(&r->dirs[r->n], "%s%.*s", top, (int)len, path) < 0)
		return err_nomem();
	r->n++;
	return NULL;
}

static struct err *unknown(uint64_t pid)
{
	return err_create(ERR_UNSUPPORTED,
			  "how much memory the cgroup of process %" PRIu64
			  " has left cannot be read (--fork=force goes on)",
			  pid);
}

/* The length of a path's parent, without slashes at the end. */
static size_t parent_len(const char *path, size_t len)
{
	while (len && path[len - 1] != '/')
		len--;
	while (len && path[len - 1] == '/')
		len--;
	return len;
}

/* Adds the directories of a cgroup and its ancestors, as far as they are there. */
static struct err *add_dirs(struct room *r, struct rsp *rsp, uint64_t pid, const char *top,
			    const char *path)
{
	size_t len = strlen(path);

	while (len && path[len - 1] == '/')
		len--;
	for (;; len = parent_len(path, len)) {
		uint64_t room;
		bool found;

		TRY(add_dir(r, top, path, len));
		TRY(room_in(r, rsp, r->dirs[r->n - 1], &room, &found));
		/* The root of cgroup v2 has no limit and no file.  Elsewhere there is one,
		 * unless the memory controller is off here and on above. */
		if (!found) {
			free(r->dirs[--r->n]);
			if (!r->v2)
				return unknown(pid);
		}
		if (!len)
			return NULL;
	}
}

static const char *top_of(const struct room *r)
{
	return r->v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
}

/* By the path that the cgroup has where the stub is. */
static struct err *find_outside(struct room *r, struct rsp *rsp, uint64_t pid, const char *path)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	bool found;

	if (strstr(path, "/.."))
		return unknown(pid); /* outside of what the stub sees */
	TRY(add_dirs(r, rsp, pid, top_of(r), path));
	if (!r->v2 || r->n)
		return NULL;
	/* No limit anywhere, or no sight of the cgroups at all. */
	TRY(rsp_file_text(rsp, &text, &found, "%s/cgroup.controllers", top_of(r)));
	return found ? NULL : unknown(pid);
}

/* A container beside the stub's: it has a mount of its own cgroup, as a rule.  What is above that
 * is not to be seen. */
static struct err *find_inside(struct room *r, struct rsp *rsp, uint64_t pid)
{
	char top[64];

	room_deinit(r);
	snprintf(top, sizeof(top), "/proc/%" PRIu64 "/root%s", pid, top_of(r));
	TRY(add_dirs(r, rsp, pid, top, ""));
	return r->n ? NULL : unknown(pid);
}

static struct err *find_dirs(struct room *r, struct rsp *rsp, uint64_t pid)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	const char *path;
	struct err *err;
	bool found;

	TRY(rsp_file_text(rsp, &text, &found, "/proc/%" PRIu64 "/cgroup", pid));
	if (!found)
		return unknown(pid);
	path = cgroup_path((char *)text.data, "memory", &r->v2);
	if (!path)
		return NULL; /* a kernel without: the machine's memory is all there is */
	err = find_outside(r, rsp, pid, path);
	return err_catch(&err, ERR_UNSUPPORTED) ? find_inside(r, rsp, pid) : err;
}

static struct err *smallest(struct room *r, struct rsp *rsp, uint64_t *ret, const char **where)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	uint64_t least = UINT64_MAX, room;
	bool found;

	TRY(rsp_file_text(rsp, &text, &found, "/proc/meminfo"));
	*where = "machine";
	if (found && room_field(&text, "MemAvailable:", &room))
		least = room;
	for (unsigned i = 0; i < r->n; i++) {
		TRY(room_in(r, rsp, r->dirs[i], &room, &found));
		if (found && room < least) {
			least = room;
			*where = "process's cgroup";
		}
	}
	*ret = least;
	return NULL;
}

struct err *room_check(struct room *r, struct rsp *rsp, uint64_t pid, bool force)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	uint64_t anon, tables = 0, room, need;
	const char *where;
	bool found;

	TRY(rsp_file_text(rsp, &text, &found, "/proc/%" PRIu64 "/status", pid));
	if (!found || !room_field(&text, "RssAnon:", &anon))
		return err_create(ERR_UNSUPPORTED, "the stub cannot read /proc/%" PRIu64 "/status",
				  pid);
	if (force)
		return NULL;
	room_field(&text, "VmPTE:", &tables);
	room_deinit(r);
	TRY(find_dirs(r, rsp, pid));
	TRY(smallest(r, rsp, &room, &where));
	r->floor = anon / FLOOR_PART > FLOOR_MIN ? anon / FLOOR_PART : FLOOR_MIN;
	need = anon + tables + r->floor;
	if (room < need)
		return err_create(ERR_UNSUPPORTED,
				  "the %s has %" PRIu64 " MB of memory left, and up to %" PRIu64
				  " MB could be copied (--fork=force goes on)",
				  where, room >> 20, need >> 20);
	return NULL;
}

struct err *room_left(struct room *r, struct rsp *rsp)
{
	const char *where;
	uint64_t room;

	TRY(smallest(r, rsp, &room, &where));
	if (room < r->floor)
		return err_create(ERR_LIMIT,
				  "the %s runs short of memory: %" PRIu64
				  " MB left; the snapshot was given up",
				  where, room >> 20);
	return NULL;
}
