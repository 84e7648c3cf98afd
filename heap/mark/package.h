/*
 * Whose a function, a variable or a type is: the program's, a dependency's, the standard library's
 * or the runtime's.  Told by the name's import path and the main module of the build information.
 */
#ifndef GRF_HEAP_MARK_PACKAGE_H
#define GRF_HEAP_MARK_PACKAGE_H

#include "base/err.h"
#include "target/elf.h"

enum package_layer { LAYER_RUNTIME, LAYER_STD, LAYER_DEPENDENCY, LAYER_MAIN };

struct packages {
	const char *main; /* the main module's path, not terminated; NULL: unknown */
	size_t main_len;
};

/* exe is borrowed. */
ERR_MUST_CHECK struct err *packages_init(struct packages *p, struct elf *exe);

/* name: "net/http.(*Server).Serve", "*main.Session", "github.com/a/b.Box[int]". */
enum package_layer package_layer(const struct packages *p, const char *name);

#endif
