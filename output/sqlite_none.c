/*
 * In the place of sqlite.c where there is no libsqlite3, or no room for it: a *.sqlite is refused
 * before anything is stopped.
 */
#include "output/internal.h"

bool sqlite_is_built(void)
{
	return false;
}

const char *sqlite_version(void)
{
	return "no SQLite";
}

struct err *sqlite_write(const char *path, const struct objects *o, const struct profile *p,
			 const struct report *r)
{
	return err_create(ERR_UNSUPPORTED, "built without SQLite");
}
