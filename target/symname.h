/* Names as the toolchain writes them into symbols, and as people read them. */
#ifndef GRF_TARGET_SYMNAME_H
#define GRF_TARGET_SYMNAME_H

#include "base/arena.h"

/*
 * Go escapes import paths in symbol names, pclntab and DWARF: "gopkg.in/yaml%2ev3.Node"
 * (cmd/internal/objabi/path.go PathToPrefix; seen in 1.17 to 1.26).  The result is s itself
 * where nothing is escaped, else a plain copy in the arena.  NULL: out of memory.
 */
const char *symname_plain(struct arena *arena, const char *s);

#endif
