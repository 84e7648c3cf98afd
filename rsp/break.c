/*
 * The breakpoint.  One that stays behind would end the process, as nobody handles its trap.  So the
 * guardian knows it from before it is set, and takes it away if we cannot (rsp/guardian.h).
 */
#include <inttypes.h>
#include <stdio.h>

#include "rsp/rsp_int.h"

struct err *rsp_break_set(struct rsp *rsp, uint64_t addr, unsigned kind, bool *writes)
{
	char *clear = rsp->shared->clear;

	/* Z1 first: gdbserver's Z0 writes to the text, which another process may read meanwhile
	 * (a fork does, for good). */
	for (char type = '1'; type >= '0'; type--) {
		snprintf(clear, sizeof(rsp->shared->clear), "z%c,%" PRIx64 ",%x", type, addr, kind);
		TRY(exchange_command(&rsp->x, "Z%c,%" PRIx64 ",%x", type, addr, kind));
		if (exchange_is(&rsp->x, "OK")) {
			rsp->brk = (struct rsp_break){ true, type, kind, addr };
			*writes = type == '0';
			return NULL;
		}
	}
	*clear = 0;
	TRY(exchange_check(&rsp->x, "a breakpoint"));
	return err_create(ERR_PROTO, "the stub answers Z0 with something else than OK");
}

struct err *rsp_break_clear(struct rsp *rsp)
{
	const struct rsp_break *b = &rsp->brk;

	if (!b->set)
		return NULL;
	TRY(exchange_command(&rsp->x, "z%c,%" PRIx64 ",%x", b->type, b->addr, b->kind));
	TRY(exchange_check(&rsp->x, "to take a breakpoint away"));
	rsp->brk.set = false;
	rsp->shared->clear[0] = 0;
	return NULL;
}
