/*
 * Fetches the debuggee's executable through the stub (vFile) when none was given, and keeps it in
 * the cache (target/cache.h) under its build id.
 */
#ifndef GRF_TARGET_FETCH_H
#define GRF_TARGET_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct rsp;

/*
 * Finds the file by /proc/PID/exe (which reaches into containers and to deleted files) or by
 * qXfer:exec-file, and makes a local copy.  *path and *name, its path over there, are malloc'd.
 * *temporary: it has no build id that it could be kept under, or there is no cache; the caller
 * unlinks it after use.
 * ERR_UNSUPPORTED: the stub has no files; the message says what to do.
 */
ERR_MUST_CHECK struct err *fetch_exe(struct rsp *rsp, uint64_t pid, char **path, char **name,
				     bool *temporary);

/* The path of the program that the process runs, by the stub's word for it; path itself where it
 * has none.  *ret is malloc'd. */
ERR_MUST_CHECK struct err *fetch_name(struct rsp *rsp, uint64_t pid, const char *path, char **ret);

/* The name of the file, maybe a deleted one, that a link in /proc leads to; NULL: out of memory. */
char *fetch_link_name(const char *link, size_t len);

#endif
