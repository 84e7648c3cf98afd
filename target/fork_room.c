#include "target/fork_room.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "rsp/rsp.h"

enum { PROC_FILE_MAX = 1 << 20, FLOOR_MIN = 16 << 20 };

void room_deinit(struct room *r)
{
	for (unsigned i = 0; i < r->n; i++)
		free(r->dirs[i]);
	r->n = 0;
}

/* *found false: there is no such file, or it cannot be read. */
static struct err *read_text(struct rsp *rsp, const char *path, struct buf *text, bool *found)
{
	struct err *err;

	buf_reset(text);
	err = rsp_file_read(rsp, path, PROC_FILE_MAX, text);
	*found = !err;
	if (err_is(err, ERR_REMOTE) || err_is(err, ERR_LIMIT)) {
		err_destroy(err);
		return NULL;
	}
	return err ? err : buf_addstr(text, "");
}

/* The number behind NAME at the start of a line; kB counts. */
static bool field(const struct buf *text, const char *name, uint64_t *ret)
{
	const char *s = (const char *)text->data;
	size_t len = strlen(name);

	while (s) {
		if (!strncmp(s, name, len)) {
			char *end;

			*ret = strtoull(s + len, &end, 10);
			if (!strncmp(end, " kB", 3))
				*ret *= 1024;
			return end != s + len;
		}
		s = strchr(s, '\n');
		s = s ? s + 1 : NULL;
	}
	return false;
}

/* One file with one number; "max", and v1's huge one, are no limit (UINT64_MAX). */
static struct err *number(struct rsp *rsp, const char *dir, const char *name, uint64_t *ret,
			  bool *found)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	_cleanup_free_ char *path = NULL;
	struct err *err;
	char *end;

	if (asprintf(&path, "%s/%s", dir, name) < 0) {
		path = NULL;
		return err_nomem();
	}
	err = read_text(rsp, path, &text, found);
	if (err || !*found)
		return err;
	*ret = UINT64_MAX;
	if (!strncmp((const char *)text.data, "max", 3))
		return NULL;
	*ret = strtoull((const char *)text.data, &end, 10);
	*found = end != (const char *)text.data;
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
	_cleanup_free_ char *path = NULL;
	uint64_t max, used, files = 0;
	struct err *err;
	bool have;

	err = number(rsp, dir, r->v2 ? "memory.max" : "memory.limit_in_bytes", &max, found);
	if (err || !*found)
		return err;
	*ret = UINT64_MAX;
	if (max == UINT64_MAX)
		return NULL;
	err = number(rsp, dir, r->v2 ? "memory.current" : "memory.usage_in_bytes", &used, found);
	if (err || !*found)
		return err;
	if (asprintf(&path, "%s/memory.stat", dir) < 0) {
		path = NULL;
		return err_nomem();
	}
	err = read_text(rsp, path, &text, &have);
	if (!err && have)
		field(&text, r->v2 ? "inactive_file " : "total_inactive_file ", &files);
	used -= files < used ? files : used;
	*ret = max > used ? max - used : 0;
	return err;
}

/* The path of the memory controller in /proc/PID/cgroup, into line; false: there is none. */
static bool cgroup_path(char *text, bool *v2, const char **ret)
{
	char *save, *unified = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = 0;
		names++;
		if (!strncmp(line, "0:", 2) && !*names)
			unified = path;
		for (char *n = names; n; n = strchr(n, ',') ? strchr(n, ',') + 1 : NULL) {
			if (!strncmp(n, "memory", 6) && (n[6] == ',' || !n[6])) {
				*v2 = false;
				*ret = path;
				return true;
			}
		}
	}
	*v2 = true;
	*ret = unified;
	return unified != NULL;
}

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

/* The directories of the process's cgroup and its ancestors, as far as they are there. */
static struct err *find_dirs(struct room *r, struct rsp *rsp, uint64_t pid)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	const char *path, *top;
	char name[64];
	size_t len;
	struct err *err;
	bool found;

	snprintf(name, sizeof(name), "/proc/%" PRIu64 "/cgroup", pid);
	err = read_text(rsp, name, &text, &found);
	if (err)
		return err;
	if (!found)
		return unknown(pid);
	if (!cgroup_path((char *)text.data, &r->v2, &path))
		return NULL; /* a kernel without: the machine's memory is all there is */
	if (strstr(path, "/.."))
		return unknown(pid); /* outside of what the stub sees */
	top = r->v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
	len = strlen(path);
	while (len && path[len - 1] == '/')
		len--;
	for (;;) {
		uint64_t room;

		err = add_dir(r, top, path, len);
		if (!err)
			err = room_in(r, rsp, r->dirs[r->n - 1], &room, &found);
		if (err)
			return err;
		/* The root of cgroup v2 has no limit and no file.  Elsewhere there is one,
		 * unless the memory controller is off here and on above. */
		if (!found) {
			free(r->dirs[--r->n]);
			if (!r->v2)
				return unknown(pid);
		}
		if (!len)
			break;
		while (len && path[len - 1] != '/')
			len--;
		while (len && path[len - 1] == '/')
			len--;
	}
	if (r->v2 && !r->n) {
		/* No limit anywhere, or no sight of the cgroups at all. */
		snprintf(name, sizeof(name), "%s/cgroup.controllers", top);
		buf_reset(&text);
		err = read_text(rsp, name, &text, &found);
		if (!err && !found)
			return unknown(pid);
	}
	return err;
}

static struct err *smallest(struct room *r, struct rsp *rsp, uint64_t *ret, const char **where)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	uint64_t room;
	bool found;
	struct err *err = read_text(rsp, "/proc/meminfo", &text, &found);

	*ret = UINT64_MAX;
	*where = "machine";
	if (!err && found && field(&text, "MemAvailable:", &room))
		*ret = room;
	for (unsigned i = 0; i < r->n && !err; i++) {
		err = room_in(r, rsp, r->dirs[i], &room, &found);
		if (!err && found && room < *ret) {
			*ret = room;
			*where = "process's cgroup";
		}
	}
	return err;
}

struct err *room_check(struct room *r, struct rsp *rsp, uint64_t pid, bool force)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	uint64_t anon, tables = 0, seccomp, room, need;
	const char *where;
	char name[64];
	bool found;
	struct err *err;

	snprintf(name, sizeof(name), "/proc/%" PRIu64 "/status", pid);
	err = read_text(rsp, name, &text, &found);
	if (err)
		return err;
	if (!found || !field(&text, "RssAnon:", &anon))
		return err_create(ERR_UNSUPPORTED, "the stub cannot read %s", name);
	if (field(&text, "Seccomp:", &seccomp) && seccomp)
		return err_create(
			ERR_UNSUPPORTED,
			"a seccomp filter is on, which could refuse the system calls or kill for them");
	if (force)
		return NULL;
	field(&text, "VmPTE:", &tables);
	room_deinit(r);
	err = find_dirs(r, rsp, pid);
	if (!err)
		err = smallest(r, rsp, &room, &where);
	if (err)
		return err;
	r->floor = anon / 8 > FLOOR_MIN ? anon / 8 : FLOOR_MIN;
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
	struct err *err = smallest(r, rsp, &room, &where);

	if (!err && room < r->floor)
		err = err_create(ERR_LIMIT,
				 "the %s runs short of memory: %" PRIu64
				 " MB left; the snapshot was given up",
				 where, room >> 20);
	return err;
}
