/*
 * Version 1 has a hierarchy for each controller, named in the lines of /proc/PID/cgroup; version 2
 * has one, in the line "0::".  A path that begins with /.. is outside of what the stub's cgroup
 * namespace shows.
 */
#include "target/cgroup.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "rsp/rsp.h"

static bool names_controller(const char *names, const char *controller)
{
	size_t len = strlen(controller);

	for (const char *n = names; n; n = strchr(n, ',') ? strchr(n, ',') + 1 : NULL) {
		if (!strncmp(n, controller, len) && (n[len] == ',' || !n[len]))
			return true;
	}
	return false;
}

const char *cgroup_path(char *text, const char *controller, bool *v2)
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
		if (names_controller(names, controller)) {
			*v2 = false;
			return path;
		}
	}
	*v2 = true;
	return unified;
}

/* A file of the freezer's; version 1 says "FROZEN" or "FREEZING", version 2 "frozen 1". */
static bool says_frozen(const char *text, bool v2)
{
	const char *s = v2 ? text_field(text, "frozen ") : text;

	return s && (v2 ? *s == '1' : !strncmp(s, "FR", 2));
}

struct err *cgroup_frozen(struct rsp *rsp, uint64_t pid, bool *ret)
{
	_cleanup_buf_ struct buf text = BUF_INIT, state = BUF_INIT;
	const char *path;
	bool v2, found;

	*ret = false;
	TRY(rsp_file_text(rsp, &text, &found, "/proc/%" PRIu64 "/cgroup", pid));
	path = found ? cgroup_path((char *)text.data, "freezer", &v2) : NULL;
	if (!path)
		return NULL;
	found = false;
	if (!strstr(path, "/.."))
		TRY(v2 ? rsp_file_text(rsp, &state, &found, "/sys/fs/cgroup%s/cgroup.events",
				       path) :
			 rsp_file_text(rsp, &state, &found,
				       "/sys/fs/cgroup/freezer%s/freezer.state", path));
	if (!found)
		TRY(rsp_file_text(rsp, &state, &found, "/proc/%" PRIu64 "/root%s", pid,
				  v2 ? "/sys/fs/cgroup/cgroup.events" :
				       "/sys/fs/cgroup/freezer/freezer.state"));
	*ret = found && says_frozen((const char *)state.data, v2);
	return NULL;
}
