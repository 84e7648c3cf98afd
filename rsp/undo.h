/*
 * What there is to undo when a connection is left, and how that is done over it.  The main process
 * has better ways as long as it can talk to the stub (rsp/client.c); this is for the guardian
 * (rsp/guardian.h), and for a connection that was made again (rsp/redial.h).
 */
#ifndef GRF_RSP_UNDO_H
#define GRF_RSP_UNDO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "rsp/inject.h"

/* How the process was left. */
enum undo_left {
	LEFT_FREE,    /* it runs, as far as can be told */
	LEFT_UNKNOWN, /* the stub could not be reached any more, and may hold it */
	LEFT_TRACED,  /* somebody holds it: state.tracer */
	LEFT_STOPPED, /* it is stopped by a signal */
};

/* Written by the main process, read by the guardian once that is dead. */
struct guardian_state {
	volatile uint8_t held; /* the debuggee is (or may be) held */
	/* the stub listens to packets: not after it resumed a whole machine */
	volatile uint8_t talking;
	volatile uint8_t no_ack;
	volatile uint8_t physical; /* a machine's stub shows physical memory */
	volatile uint8_t multiprocess;
	volatile uint8_t forks;       /* the stub may hold children, too */
	volatile uint8_t sending;     /* half a packet may be out */
	volatile uint8_t end_stub;    /* the gdbserver is ours alone: end it too */
	volatile uint8_t end_if_held; /* it is ours alone if it holds something: not known yet */
	/* the process was resumed, with a breakpoint or for a step: a stop reply will come, which
	 * somebody must take */
	volatile uint8_t running;
	volatile uint8_t interrupts; /* 0x03 makes it come */
	/* the packet that takes the breakpoint away; "": there is none */
	char clear[48];
	volatile uint64_t pid;   /* 0: not known yet; ask */
	volatile pid_t child;    /* of `| COMMAND`; 0 = none */
	volatile int silence_ms; /* gives up on a stub that says nothing for so long */
	const char *target;      /* what the user wrote; set before the guardian is forked */
	int redial_ms;
	volatile uint8_t redial;    /* it may be dialled again (rsp/redial.h) */
	volatile uint8_t terminal;  /* what we say comes back: a terminal is in between */
	volatile uint8_t left;      /* enum undo_left */
	volatile uint64_t tracer;   /* with LEFT_TRACED */
	volatile uint64_t stub_pid; /* the stub's own, as it sees itself; 0: not known */
	volatile uint8_t end_again; /* what is dialled again is ours to end */
	struct inject inject;       /* a system call under way, a snapshot */
};

struct undo {
	int fd;
	bool no_ack;
	bool ended; /* the other end is closed */
	int silence_ms;
	int64_t deadline;
	uint8_t in[16384];
	size_t pos, len;
	char frame[INJECT_REPLY]; /* the last packet's payload, or its beginning */
	size_t frame_len;
};

/* Is the process, or what was made of it, not as it was? */
bool undo_needed(const struct guardian_state *state);
/* Everything, over a connection that somebody else has left.  false: something remains, as state
 * says. */
bool undo_all(struct undo *u, struct guardian_state *state);
/* The same, where nothing is under way. */
bool undo_rest(struct undo *u, struct guardian_state *state);

bool undo_send(struct undo *u, const char *p, size_t len);
bool undo_say(struct undo *u, const char *payload);
/* The next packet into u->frame, cut to fit, runs as they are.  The stream may begin in the middle
 * of one. */
bool undo_hear(struct undo *u);
/* Asks whom the stub holds; 0: nobody, or it does not say. */
uint64_t undo_ask_pid(struct undo *u);
/* The connection as rsp/inject.h wants it; there is one such port. */
struct inject_port *undo_port(struct undo *u, struct guardian_state *state);

#endif
