/*
 * What --version says: this program's version and commit, the libraries' versions as they are
 * loaded, the Go releases whose structures it knows, and the schema of its JSON.
 */
#ifndef GRF_OUTPUT_VERSION_H
#define GRF_OUTPUT_VERSION_H

#include <stdio.h>

#include "heap/profile/known.h"

void version_print(FILE *f, const struct known *known);

#endif
