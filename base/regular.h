/*
 * Opening a file that somebody else names: a core, an executable, what a core says was mapped.  To
 * open what is no regular file can already do harm (a device) or wait for ever (a FIFO), so that it
 * is looked at first.
 */
#ifndef GRF_BASE_REGULAR_H
#define GRF_BASE_REGULAR_H

#include <sys/stat.h>

#include "base/err.h"

/* Opens it for reading.  ERR_OS: it cannot be opened; ERR_BADDATA: it is no regular file. */
ERR_MUST_CHECK struct err *regular_open(const char *path, int *fd, struct stat *st);

#endif
