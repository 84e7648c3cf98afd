/*
 * Scope guards (gcc and clang): `_cleanup_free_ char *s = strdup(x);`.
 * TAKE_PTR(p) hands the pointer on and disarms the guard.
 */
#ifndef GRF_BASE_CLEANUP_H
#define GRF_BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)

/* DEFINE_CLEANUP(foo_destroy, struct foo *): makes cleanup_foo_destroy(struct foo **) */
#define DEFINE_CLEANUP(func, type)                 \
	static inline void cleanup_##func(type *p) \
	{                                          \
		if (*p)                            \
			func(*p);                  \
	}

#define TAKE_PTR(p)                        \
	({                                 \
		__typeof__(p) *_pp = &(p); \
		__typeof__(p) _p = *_pp;   \
		*_pp = NULL;               \
		_p;                        \
	})

#endif
