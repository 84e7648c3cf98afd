/* A linked list of the process's may lead back to itself: the process lies, or was stopped while it
 * changed the list. */
#ifndef GRF_HEAP_RUNTIME_RING_H
#define GRF_HEAP_RUNTIME_RING_H

#include <inttypes.h>

#include "base/err.h"

/* A list on its way: what was passed at the last power of two, met again, closes a ring (Brent). */
struct ring {
	uint64_t mark, steps;
};

/* Called with each address of the list, `what`; ERR_BADDATA: it leads back. */
ERR_MUST_CHECK static inline struct err *ring_check(struct ring *r, uint64_t addr, const char *what)
{
	if (addr == r->mark)
		return err_create(ERR_BADDATA, "%s leads back to 0x%" PRIx64, what, addr);
	if (!(r->steps & (r->steps + 1)))
		r->mark = addr;
	r->steps++;
	return NULL;
}

#endif
