/*
 * Where fetched executables are kept for the next time: $XDG_CACHE_HOME/grf-rsp, or
 * ~/.cache/grf-rsp.  Without either there is no cache.
 *
 * We may be root.  So the folder has to be our own, and nobody else's to write; so has a file in
 * it.
 *
 * A stub can claim any build id, and then send what it likes.  So a file's name is the id and the
 * hash of its content: what one stub sent takes the place of nothing that another one did.  A file
 * of that id is used only if it is as the stub's own as far as was looked: the begin, the end, and
 * pages in between that nobody can know in advance (target/fetch.c).
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

/* Is it the one that is meant?  fd is the file, of that size. */
typedef struct err *(*cache_same)(void *arg, int fd, uint64_t size, bool *same);

/* The first file in dir of this id that is the one, by `same`; it is used anew.  *ret is malloc'd;
 * NULL: there is none. */
ERR_MUST_CHECK struct err *cache_find(const char *dir, const char *id, cache_same same, void *arg,
				      char **ret);

/* Where a new file of this id belongs, whose content is fd's.  *ret is malloc'd. */
ERR_MUST_CHECK struct err *cache_name(const char *dir, const char *id, int fd, char **ret);

#endif
