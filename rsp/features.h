/*
 * What a stub can do, and where it is peculiar: the only place that knows stubs by name.
 */
#ifndef GRF_RSP_FEATURES_H
#define GRF_RSP_FEATURES_H

#include <stdbool.h>

#include "rsp/rsp.h"

enum stop_how {
	STOP_NONE,      /* once let go it cannot be stopped again */
	STOP_ATTACH,    /* vAttach;PID */
	STOP_INTERRUPT, /* let go by `c`, stopped by 0x03 */
};

struct features {
	struct rsp_features pub;
	enum stop_how stop;
	bool program_signals; /* QProgramSignals */
	bool start_no_ack;    /* QStartNoAckMode is worth asking for */
	bool monitor_exit;    /* gdbserver: `monitor exit` ends it */
	bool xml_before_g;    /* `g` is wrong, or deadly, before target.xml was read */
	bool stays_stopped;   /* a lost client leaves the debuggee held */
	bool native_signals;  /* signals in stop replies are Linux's own numbers, not gdb's */
};

enum { FEATURES_PACKET_SIZE = 400 }; /* gdb's own assumption where a stub names none */

/*
 * What we say about ourselves.  FEATURES_REPLY is in the reply and in no other, so that by it we
 * find our place in a stream of replies again.  With the second query gdbserver also catches
 * children that the process makes while it is being stopped: only who lets those go may ask for it.
 */
#define FEATURES_QUERY                                                               \
	"qSupported:multiprocess+;swbreak+;hwbreak+;vContSupported+;binary-upload+;" \
	"xmlRegisters=i386"
#define FEATURES_QUERY_FORKS FEATURES_QUERY ";fork-events+;vfork-events+"
#define FEATURES_REPLY "PacketSize="

/* QEMU, with 0 or 1 behind it: the stub outlives its clients, and so does what they set. */
#define FEATURES_PHYSICAL "Qqemu.PhyMemMode:"

/* "exit" in hex, as a monitor command: gdbserver 13 answers OK, lets go of all that it holds, and
 * ends. */
#define FEATURES_MONITOR_EXIT "qRcmd,65786974"

/* From the reply to FEATURES_QUERY. */
ERR_MUST_CHECK struct err *features_parse(const char *reply, struct features *ret);

/* For a stub that wants acknowledgements.  QEMU is known by its reply to qqemu.Supported
 * ("sstepbits;sstep;PhyMemMode"); another stub's is "". */
void features_acked(struct features *f, const char *reply);

#endif
