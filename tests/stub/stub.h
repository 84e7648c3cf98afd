/*
 * A scripted stub: a thread that serves one client on a loopback port, sanely but for one
 * fault at one packet.  Its codec is its own, so that it does not share the client's mistakes.
 *
 * Its process has one piece of memory; stub_byte() is what every address of it holds:
 * pages of zeros and pages of noise in turn.
 */
#ifndef GRF_TESTS_STUB_H
#define GRF_TESTS_STUB_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum stub_fault {
	STUB_SANE,
	STUB_SILENT,     /* no answer, from packet `at` on */
	STUB_CLOSE,      /* hangs up instead of answering packet `at` */
	STUB_CORRUPT,    /* a wrong checksum, once */
	STUB_CUT,        /* half a reply, then hangs up */
	STUB_CUT_RESUME, /* half a reply, then the next whole one: a new '$' inside a packet */
	STUB_LONG,       /* a reply that does not end */
	STUB_LYING,      /* twice the memory that was asked for */
	STUB_NOT_HEX,    /* letters where digits belong */
	STUB_BAD_RUN,    /* a run with nothing before it */
	STUB_NOTES,      /* notifications between replies */
	STUB_NOTE_FLOOD, /* notifications without end */
	STUB_ACKS,       /* acknowledgements without end */
	STUB_TRICKLE,    /* a reply that never ends, a byte now and then */
	STUB_ERROR,      /* E01 to everything, from packet `at` on */
	STUB_EXITED,     /* E01 to every `m` from packet `at` on, as if the process were killed */
};

struct stub_config {
	const char *supported; /* to qSupported; NULL: like gdbserver 13 */
	const char *qemu;      /* to qqemu.Supported; NULL: "" */
	const char *greeting;  /* sent on connect, before anything else */
	const char *status;    /* to `?`; NULL: T05 of thread 2 */
	const char *xml[8][2]; /* files of target.xml: name, text */
	const char *g;         /* to `g` */
	const char *threads;   /* without m: "p10.2,p10.3" ; NULL: p10.2 */
	const uint8_t *file;   /* the one file there is */
	size_t file_len;
	uint64_t base, size; /* memory */
	size_t short_reply;  /* at most so many bytes of memory in a reply; 0: no limit */
	size_t split;        /* bytes a write; 0: whole */
	size_t max_m;        /* longer requests are E22; 0: none */
	size_t align_m;      /* requests over such a boundary are E14; 0: none */
	bool runs;           /* run-length coded replies */
	bool strict_acks;    /* reads exactly one byte after a reply, which must be '+' */
	bool attached;       /* by --attach; else --multi */
	enum stub_fault fault;
	unsigned at;
};

struct stub {
	struct stub_config c;
	char target[32]; /* 127.0.0.1:PORT */
	int listener, fd;
	pthread_t thread;
	bool no_ack;
	unsigned replies; /* packets answered */
	/* What happened; read after stub_stop(). */
	bool held, gone;
	unsigned detaches, attaches, interrupts, monitor_exits, bad_acks, reads, files_open;
	char last[64]; /* packet */
};

void stub_start(struct stub *s, const struct stub_config *c);
/* Waits for the client to hang up. */
void stub_stop(struct stub *s);

uint8_t stub_byte(uint64_t addr);

#endif
