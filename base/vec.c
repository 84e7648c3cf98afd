/*
 * The part of VECs that does not depend on the element's type: growing by half.
 */
#include "base/vec.h"

#include <stdint.h>
#include <sys/mman.h>

struct err *vec_grow_(void **v, size_t *cap, size_t need, size_t elem)
{
	size_t n = *cap ? *cap : 8;
	void *p;

	while (n < need)
		n = n > SIZE_MAX / 2 ? need : n + n / 2 + 1;
	if (n > SIZE_MAX / elem)
		return err_nomem();
	p = realloc(*v, n * elem);
	if (!p)
		return err_nomem();
	*v = p;
	*cap = n;
	return NULL;
}

enum { DROP_PAGE = 4096 };

void vec_drop_(void *v, size_t bytes)
{
	uintptr_t lo = ((uintptr_t)v + DROP_PAGE - 1) & ~(uintptr_t)(DROP_PAGE - 1),
		  hi = ((uintptr_t)v + bytes) & ~(uintptr_t)(DROP_PAGE - 1);

	if (v && lo < hi)
		madvise((void *)lo, hi - lo, MADV_DONTNEED);
}
