/*
 * gdbserver keeps a process stopped when its client vanishes.  So a small second process, the
 * guardian, holds the connection too, and says goodbye for the main process if that dies without a
 * word (SIGKILL, a crash, the out-of-memory killer).
 *
 *	main ──pipe──► guardian	end of file: main died; a byte: all is well, it ends
 *	  └── struct guardian_state, in a shared page: what there is to undo
 *
 * It is forked with the socket, before that is connected, so that there is no moment without a
 * guardian; from then on it calls only what is safe in the child of a threaded process (no malloc,
 * no stdio), but for redial(), which resolves names: where the connection is lost that is all that
 * can still help, and grf-rsp has one thread.
 */
#ifndef GRF_RSP_GUARDIAN_H
#define GRF_RSP_GUARDIAN_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "rsp/undo.h"

struct guardian {
	pid_t pid;
	int pipe;
	struct guardian_state *state;
	enum undo_left left; /* after guardian_take_over() */
	uint64_t tracer;
};

/* fd: the connection, shared from now on.  initial: what there is to undo from the first moment. */
ERR_MUST_CHECK struct err *guardian_start(struct guardian *g, int fd,
					  const struct guardian_state *initial);
/* Tells the guardian that all is well, and reaps it.  One that was never started is fine (pid
 * 0). */
void guardian_stop(struct guardian *g);
/* Has the guardian do what it would do if the main process died, and reaps it; g->left and tracer
 * say how the process was left. */
void guardian_take_over(struct guardian *g);
/* As guardian_take_over(), but nobody waits for it: it may take as long as the debuggee runs.
 * *child becomes the guardian's. */
void guardian_leave(struct guardian *g, pid_t *child);

#endif
