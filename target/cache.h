/*
 * Where fetched executables are kept for the next time: $XDG_CACHE_HOME/grf-rsp, or
 * ~/.cache/grf-rsp.  Without either there is no cache.
 *
 * We may be root.  So the folder has to be our own, and nobody else's to write; so has a file in
 * it, which is believed only if it begins as the stub's does.
 */
#ifndef GRF_TARGET_CACHE_H
#define GRF_TARGET_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Makes the folder if need be, and takes out of it what was not used for CACHE_DAYS.  *ret is
 * malloc'd; NULL: there is none that can be trusted. */
ERR_MUST_CHECK struct err *cache_open(char **ret);

/* Is the file there, and does it begin with these bytes?  Then it is used anew. */
bool cache_has(const char *path, const uint8_t *head, size_t len);

#endif
