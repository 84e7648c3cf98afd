/*
 * `grf-rsp 1234`: gdbserver is started on a pipe, and told to attach when everything is ready.
 */
#include "heap/acquire/local.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "heap/acquire/process_name.h"

#define GDBSERVER "gdbserver"

/* It has much to say that is of no interest, and we say what goes wrong. */
#define PLAIN GDBSERVER " --once --multi -"

/* Is there such a command, where execvp() looks for it? */
static struct err *find_command(const char *name, bool *found)
{
	const char *path = getenv("PATH");
	_cleanup_free_ char *copy = strdup(path ? path : "/bin:/usr/bin");
	char *rest;

	*found = false;
	if (!copy)
		return err_nomem();
	for (char *dir = strtok_r(copy, ":", &rest); dir && !*found;
	     dir = strtok_r(NULL, ":", &rest)) {
		_cleanup_free_ char *file = NULL;

		if (asprintf(&file, "%s/%s", dir, name) < 0) {
			file = NULL;
			return err_nomem();
		}
		*found = access(file, X_OK) == 0;
	}
	return NULL;
}

struct err *local_choose(struct acquire_options *o, char exe_path[LOCAL_EXE_PATH])
{
	bool found;

	if (o->target)
		return NULL;
	if (o->pid_name)
		TRY(process_name_here(o->pid_name, &o->pid));
	snprintf(exe_path, LOCAL_EXE_PATH, "/proc/%" PRIu32, (uint32_t)o->pid);
	if (access(exe_path, F_OK))
		return err_create(ERR_OS, "there is no process %" PRIu64 " here", o->pid);
	TRY(find_command(GDBSERVER, &found));
	if (!found)
		return err_create(ERR_UNSUPPORTED,
				  "there is no " GDBSERVER " here to hold process %" PRIu64
				  " with: install it (the package is called " GDBSERVER
				  " or gdb-" GDBSERVER ")",
				  o->pid);
	o->target =
		o->verbose || access("/bin/sh", X_OK) ? "| " PLAIN : "| exec " PLAIN " 2>/dev/null";
	snprintf(exe_path, LOCAL_EXE_PATH, "/proc/%" PRIu32 "/exe", (uint32_t)o->pid);
	if (!o->exe && access(exe_path, R_OK) == 0)
		o->exe = exe_path;
	return NULL;
}
