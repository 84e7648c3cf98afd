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

/*
 * The signals that the debuggee is to get at a detach: all but SIGSTOP, SIGTRAP and SIGINT, by
 * gdb's numbers.  Stopping a thread leaves a SIGSTOP behind where another signal came first, and
 * gdbserver passes it on when it lets go, so that the process stays stopped (seen: 5 of 60 detaches
 * of a program with many signals; 0 of 300 with this).
 */
#define FEATURES_SIGNALS FEATURES_SIGNALS_WITH("c;")
/* And without SIGSYS. */
#define FEATURES_SIGNALS_NO_SYS FEATURES_SIGNALS_WITH("")
#define FEATURES_SIGNALS_WITH(sys)                                                             \
	"QProgramSignals:1;3;4;6;7;8;9;a;b;" sys                                               \
	"d;e;f;10;12;13;14;15;16;17;18;19;1a;1b;1c;1d;1e;"                                     \
	"1f;20;21;22;23;24;25;26;27;28;29;2a;2b;2c;2d;2e;2f;30;31;32;33;34;35;36;37;38;39;3a;" \
	"3b;3c;3d;3e;3f;40;41;42;43;44;45;46;47;48;49;4a;4b;4c;4d;4e;4f;50;51;52;53;54;55;56;" \
	"57;58;59;5a;5b;5c;5d;5e;5f;60;61;62;63;64;65;66;67;68;69;6a;6b;6c;6d;6e;6f;70;71;72;" \
	"73;74;75;76;77;78;79;7a;7b;7c;7d;7e;7f"

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
