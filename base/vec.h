/*
 * Growable arrays.  VEC(type) declares one; elements are v.v[0 .. v.n-1].
 *
 *	_cleanup_vec_ VEC(uint64_t) addrs = VEC_INIT;
 *	TRY(vec_push(&addrs, x));
 *
 * The guard frees the array when its scope ends; vec_deinit() does it by hand.  What the elements
 * own is the caller's.
 */
#ifndef GRF_BASE_VEC_H
#define GRF_BASE_VEC_H

#include <stddef.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"

#define VEC(type)           \
	struct {            \
		type *v;    \
		size_t n;   \
		size_t cap; \
	}
#define VEC_NAMED(name, type) \
	struct name {         \
		type *v;      \
		size_t n;     \
		size_t cap;   \
	}
/* clang-format off */
#define VEC_INIT { NULL, 0, 0 }
/* clang-format on */

/* Says that elements before i will not be looked at again: large arrays' memory goes back. */
#define vec_drop_before(vec, i) vec_drop_((vec)->v, (i) * sizeof(*(vec)->v))
void vec_drop_(void *v, size_t bytes);

ERR_MUST_CHECK struct err *vec_grow_(void **v, size_t *cap, size_t need, size_t elem);

#define vec_reserve(vec, more)             \
	((vec)->n + (more) <= (vec)->cap ? \
		 (struct err *)NULL :      \
		 vec_grow_((void **)&(vec)->v, &(vec)->cap, (vec)->n + (more), sizeof(*(vec)->v)))

#define vec_push(vec, x)                                \
	({                                              \
		struct err *err_ = vec_reserve(vec, 1); \
		if (!err_)                              \
			(vec)->v[(vec)->n++] = (x);     \
		err_;                                   \
	})

#define vec_deinit(vec)                    \
	do {                               \
		free((vec)->v);            \
		(vec)->v = NULL;           \
		(vec)->n = (vec)->cap = 0; \
	} while (0)

/* Of any VEC: its array is the first member. */
static inline void cleanup_vec(void *vec)
{
	free(*(void **)vec);
}

#define _cleanup_vec_ _cleanup_(cleanup_vec)

#endif
