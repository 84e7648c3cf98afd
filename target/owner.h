/* Whose files are. */
#ifndef GRF_TARGET_OWNER_H
#define GRF_TARGET_OWNER_H

#include <stdbool.h>

/* Could only root have put a file there, and only root change it?  path is absolute, and has no
 * links in it (realpath()). */
bool owner_is_root_alone(const char *path);

#endif
