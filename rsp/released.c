/*
 * Does a process run that was let go?  Its State in /proc says so, as the stub's files show it.  A
 * signal that stopped it, a freezer, another debugger may hold it all the same.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "rsp/rsp_int.h"

enum { LOOKS = 3, LOOK_MS = 30 }; /* a stop may be over in a moment */

static struct err *look(struct rsp *rsp, enum undo_left *left, uint64_t *tracer)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	const char *s;
	bool found;

	*left = LEFT_FREE;
	TRY(rsp_file_text(rsp, &text, &found, "/proc/%" PRIu64 "/status", rsp->pid));
	if (!found)
		return NULL;
	s = text_field((const char *)text.data, "TracerPid:");
	*tracer = s ? strtoull(s, NULL, 10) : 0;
	s = text_field((const char *)text.data, "State:");
	if (s && (*s == 'T' || *s == 't'))
		*left = *tracer ? LEFT_TRACED : LEFT_STOPPED;
	return NULL;
}

struct err *released_look(struct rsp *rsp, enum undo_left *left, uint64_t *tracer)
{
	static const struct timespec nap = { 0, LOOK_MS * 1000000l };

	*left = LEFT_FREE;
	if (!rsp->f.pub.vfile || !rsp->f.pub.extended || !rsp->pid || rsp->stopped || rsp->exited)
		return NULL;
	for (int i = 0; i < LOOKS; i++) {
		if (i)
			nanosleep(&nap, NULL);
		TRY(look(rsp, left, tracer));
		if (*left == LEFT_FREE)
			break;
	}
	return NULL;
}

struct err *released_text(uint64_t pid, enum undo_left left, uint64_t tracer, struct buf *ret)
{
	if (left == LEFT_TRACED)
		return buf_addf(ret,
				"process %" PRIu64 " is held by process %" PRIu64
				", which traces it: kill %" PRIu64,
				pid, tracer, tracer);
	if (left == LEFT_STOPPED)
		return buf_addf(ret,
				"process %" PRIu64
				" is stopped by a signal (State: T): kill -CONT %" PRIu64,
				pid, pid);
	if (left == LEFT_UNKNOWN)
		return buf_addf(ret,
				"process %" PRIu64
				" may still be held by the stub, which cannot be reached any more: "
				"run grf-rsp again, or end the stub (grep TracerPid "
				"/proc/%" PRIu64 "/status names it; 0: kill -CONT %" PRIu64 ")",
				pid, pid, pid);
	return NULL;
}

struct err *rsp_still_held(struct rsp *rsp, struct buf *ret)
{
	enum undo_left left;
	uint64_t tracer = 0;

	buf_reset(ret);
	TRY(released_look(rsp, &left, &tracer));
	return released_text(rsp->pid, left, tracer, ret);
}
