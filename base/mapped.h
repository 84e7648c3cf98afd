/*
 * Files that are read through a mapping, and that somebody else may cut meanwhile.  The kernel then
 * sends SIGBUS to whoever touches what is gone (also where a disk or a file server fails).  Here
 * the rest of the mapping becomes zeros, so that who reads goes on, and intr_check() gives an error
 * that names the file from then on: a run ends as by any other error, the process runs again and no
 * half file stays behind.
 *
 * To read the file instead costs its size in memory, and 65 ms per 100 MB (140 the first time); a
 * mapping takes 0.04 ms.
 */
#ifndef GRF_BASE_MAPPED_H
#define GRF_BASE_MAPPED_H

#include <stdint.h>

#include "base/err.h"

struct mapped;

/* Maps len > 0 bytes of the file, which messages call `name`. */
ERR_MUST_CHECK struct err *mapped_create(int fd, uint64_t len, const char *name,
					 struct mapped **ret, const uint8_t **data);
void mapped_destroy(struct mapped *m); /* NULL: nothing */

#endif
