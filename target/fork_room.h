/*
 * Is there memory for the pages that are copied when the process writes to them while its snapshot
 * is there?  They are charged to the process's own cgroup.  All of it is read from the stub's
 * machine.
 */
#ifndef GRF_TARGET_FORK_ROOM_H
#define GRF_TARGET_FORK_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct rsp;

enum { ROOM_LEVELS = 16 };

struct room {
	uint64_t floor;          /* bytes that must stay free */
	char *dirs[ROOM_LEVELS]; /* the cgroup's and its ancestors', as far as they have limits */
	unsigned n;
	bool v2;
};

void room_deinit(struct room *r);

/* ERR_UNSUPPORTED: there is too little memory, or it cannot be told.  force: memory is not looked
 * at. */
ERR_MUST_CHECK struct err *room_check(struct room *r, struct rsp *rsp, uint64_t pid, bool force);
/* After room_check(): ERR_LIMIT once memory gets short. */
ERR_MUST_CHECK struct err *room_left(struct room *r, struct rsp *rsp);

#endif
