/*
 * The shared objects of a process, as its dynamic linker lists them: Go plugins, and c-shared
 * libraries in C programs.  Source: glibc's link.h (struct r_debug, struct link_map); musl has the
 * same.
 */
#ifndef GRF_TARGET_LIBRARY_H
#define GRF_TARGET_LIBRARY_H

#include "target/elf.h"
#include "target/target.h"

struct library_segment { /* PT_LOAD; run-time address */
	uint64_t addr, len;
	bool write, exec;
};

static inline bool library_has(const struct library_segment *v, size_t n, uint64_t addr)
{
	for (size_t i = 0; i < n; i++)
		if (addr - v[i].addr < v[i].len)
			return true;
	return false;
}

struct library {
	char *path;                           /* as it was loaded; "" for the program itself */
	uint64_t bias;                        /* run-time minus link-time addresses */
	VEC(struct library_segment) segments; /* none: its headers cannot be read */
};

VEC_NAMED(libraries, struct library);

/*
 * Reads the list while t is stopped; it is empty for a program without a dynamic linker.
 * ERR_NODEBUG: the stub has no auxiliary vector; ERR_BADDATA or ERR_FAULT: the list makes no sense,
 * and *ret has what was read before that shows.
 */
ERR_MUST_CHECK struct err *libraries_read(struct target *t, struct bytes_fmt fmt,
					  struct libraries *ret);
void libraries_deinit(struct libraries *l);

/* Is `file` what was loaded there?  Its build ids say so. */
ERR_MUST_CHECK struct err *library_is(struct target *t, const struct library *l,
				      const struct elf *file, bool *ret);

/* The library that has addr in a segment; NULL: none. */
const struct library *libraries_at(const struct libraries *l, uint64_t addr);

#endif
