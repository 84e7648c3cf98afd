/*
 * From what the user wrote to a connected descriptor: HOST:PORT, :PORT, [V6]:PORT, unix:PATH, or
 * `| COMMAND`, a command that is a stub on its standard input and output.
 */
#ifndef GRF_RSP_DIAL_H
#define GRF_RSP_DIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

/* Called with each socket before it is connected, so that a guardian can share it before the other
 * end knows of us. */
typedef struct err *(*dial_watch)(void *arg, int fd);

struct dial {
	int fd;
	pid_t child; /* of `| COMMAND`: leads its own process group; 0 = none */
};

/* watch may be NULL; timeout_ms: for each address that is tried. */
ERR_MUST_CHECK struct err *dial(const char *target, int timeout_ms, dial_watch watch, void *arg,
				struct dial *ret);

/* Waits for the command of `| COMMAND`, ever less politely, after its socket was closed. */
void dial_reap(pid_t child);
/* Has the command ended by itself just now?  Then *child becomes 0, and `how` gets a text for an
 * error message. */
bool dial_ended(pid_t *child, char *how, size_t size);

#endif
