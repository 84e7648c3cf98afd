/*
 * A connection that broke while the stub held the process is made again, for some seconds, to undo
 * over the new one what is left.  A gdbserver that listens on a port holds the process until
 * somebody comes back.  One on a pipe has nobody to talk to any more: the command's second
 * gdbserver reaches it through its files.
 */
#ifndef GRF_RSP_REDIAL_H
#define GRF_RSP_REDIAL_H

#include "rsp/undo.h"

enum { REDIAL_MS = 6000 }; /* default */

/* state->left and tracer say how it ended.  u: scratch. */
void redial(struct undo *u, struct guardian_state *state);

#endif
