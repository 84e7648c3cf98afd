/*
 * A client of the GDB Remote Serial Protocol, for one stub.  It knows threads, registers, memory
 * and files as the protocol has them; it knows no architecture, no ELF and no Go.
 *
 * Life: rsp_create() connects and shakes hands (qSupported, no-ack mode where
 * there is one, `?`), starts the guardian (rsp/guardian.h), and leaves the
 * debuggee stopped, as connecting to a stub does.  rsp_destroy() lets go of
 * whatever is attached, so that every exit path detaches.
 *
 * What a stub can and cannot do, and its quirks, is in struct rsp_features,
 * filled from qSupported and from what was tried (rsp/features.c); code above
 * asks that table, never for a stub's name.
 *
 * Every call that waits gives ERR_TIMEOUT after `timeout_ms` of silence,
 * ERR_CLOSED when the stub hangs up, ERR_PROTO on nonsense, ERR_REMOTE on an
 * error reply, ERR_EXITED when the debuggee is gone, ERR_INTR (base/intr.h).
 *
 * Sources: gdb's manual, appendix "GDB Remote Serial Protocol"; docs/PROTOCOL.md
 * for what was measured.
 */
#ifndef GRF_RSP_RSP_H
#define GRF_RSP_RSP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/vec.h"

struct rsp;

struct rsp_options {
	int timeout_ms; /* the longest silence; 0: the default, 30 s */
	uint64_t pid;   /* not 0: vAttach to it (gdbserver --multi) */
	int redial_ms;  /* how long a lost connection is tried to be made again; <0: not; 0:
			 * 6 s, or timeout_ms */
	/* Or, if set: called once the connection is known to be good, to find that process. */
	struct err *(*find_pid)(void *arg, struct rsp *rsp, uint64_t *pid);
	bool forks; /* rsp_fork() is meant to be used */
	/* With one of them: called, if set, after the connection is known to be good and before
	 * vAttach, for all that is better done while the process runs. */
	struct err *(*before_attach)(void *arg, struct rsp *rsp);
	void *arg;
};

struct rsp_features {
	bool no_ack;       /* QStartNoAckMode was accepted */
	bool binary_read;  /* `x` (binary-upload+) */
	bool multiprocess; /* thread ids are pPID.TID, `D;PID` */
	bool extended;     /* `!` was accepted: the stub outlives `D`, vAttach works */
	bool fork_events, vfork_events;
	bool vfile; /* vFile:open answered with something */
	bool xfer_features, xfer_auxv;
	bool phys_mem;      /* a whole machine: QEMU's PhyMemMode */
	bool stops_again;   /* rsp_stop() works after rsp_detach() */
	bool others_run;    /* a stop holds one thread, the others run on */
	size_t packet_size; /* the largest packet the stub takes or sends, bytes */
	size_t max_read;    /* most bytes of memory one request may ask for */
	size_t read_align;  /* a request must not straddle this boundary; 0 = none */
	unsigned window;    /* memory requests kept in flight; 1 = one by one */
	unsigned burst;     /* so many are sent at a time; 0 = each as soon as there is room */
};

/* TARGET: HOST:PORT, :PORT, [V6]:PORT, unix:PATH, or `| COMMAND` (a stub on its stdin and
 * stdout). */
ERR_MUST_CHECK struct err *rsp_create(const char *target, const struct rsp_options *opts,
				      struct rsp **ret);
/* Detaches if attached (as rsp_detach()), ends the guardian, closes; NULL is fine.  Where the
 * connection is lost it is made again for some seconds. */
void rsp_destroy(struct rsp *rsp);
/* The same, after err (taken; NULL: nothing went wrong).  Returns it, and says along with it if the
 * process may still be held, by what, and how to free it. */
ERR_MUST_CHECK struct err *rsp_close(struct rsp *rsp, struct err *err);

const struct rsp_features *rsp_features(const struct rsp *rsp);

/* The process: the id in pPID.TID or of vAttach; 0 where the stub has no such thing. */
uint64_t rsp_pid(const struct rsp *rsp);

/* How long the debuggee has been held by the stop that is current, or was held by
 * the last one, in nanoseconds, as seen from here (from our connecting or vAttach to the
 * reply to D); and the sum over all stops of this connection. */
uint64_t rsp_stopped_ns(const struct rsp *rsp);
uint64_t rsp_stopped_total_ns(const struct rsp *rsp);

/*
 * The longest that a stop may last, whatever goes on meanwhile: replies, notifications, and what is
 * computed.  When it is over, whoever waits or calls intr_check() gets ERR_INTR with this text, and
 * the way out lets the process go (base/intr.h).
 */
void rsp_set_stop_limit(struct rsp *rsp, uint64_t ns, const char *text);
/* What it is at first: ten times the timeout (0: the default one), and a minute at least. */
uint64_t rsp_first_stop_limit(int timeout_ms);

/*
 * Lets the debuggee run and keeps the connection where the stub can
 * (`!` before `D`), so that files can still be read and rsp_stop() works.
 * Idempotent.
 */
ERR_MUST_CHECK struct err *rsp_detach(struct rsp *rsp);
/* After rsp_detach(): ret stays empty if the process runs, as far as the stub's files show, else it
 * says what holds it and how to free it. */
ERR_MUST_CHECK struct err *rsp_still_held(struct rsp *rsp, struct buf *ret);
/* Stops it again (vAttach, or interrupt: by features).  ERR_UNSUPPORTED where a stub has no way. */
ERR_MUST_CHECK struct err *rsp_stop(struct rsp *rsp);

struct rsp_thread {
	uint64_t pid, tid; /* of pPID.TID; pid 0 without multiprocess */
	char id[40];       /* as the stub spells it, for Hg */
};

/*
 * Breakpoints, one at a time.  The debuggee is stopped before and after each call.  After an error
 * it may not be: rsp_destroy() makes the best of that, since a breakpoint that nobody waits for
 * would end the process.
 */
/* kind: the instruction's length, as gdb has it.  *writes: the stub sets it by writing to the
 * program's text. */
ERR_MUST_CHECK struct err *rsp_break_set(struct rsp *rsp, uint64_t addr, unsigned kind,
					 bool *writes);
ERR_MUST_CHECK struct err *rsp_break_clear(struct rsp *rsp);
/*
 * Lets all threads run (step: `t` alone, one instruction) until something stops one of them,
 * however long that takes; *t gets that thread, *signal what stopped it, by gdb's numbers
 * (RSP_SIGTRAP: a breakpoint or a step).  Before, *signal is what *t is to get, 0: nothing.
 */
enum { RSP_SIGTRAP = 5 };
ERR_MUST_CHECK struct err *rsp_resume(struct rsp *rsp, bool step, struct rsp_thread *t,
				      unsigned *signal);
/* The thread that the last stop reply named; id "" where the stub names none. */
const struct rsp_thread *rsp_current_thread(const struct rsp *rsp);

/*
 * A snapshot by fork (rsp/inject.h).  likely: a thread (tid) that waits in a system call, 0: not
 * known.  Before rsp_fork() the process is stopped; afterwards it runs, and memory is read from
 * the snapshot until rsp_end_snapshot().  ERR_UNSUPPORTED: it was refused, the process is as it
 * was, and still stopped.  ERR_EXITED from a later call: the snapshot was killed.
 * rsp_end_snapshot() does nothing where there is none; it may be called after any error but those
 * that end the connection.
 */
struct inject_machine;
ERR_MUST_CHECK struct err *rsp_fork(struct rsp *rsp, const struct inject_machine *m,
				    uint64_t likely);
ERR_MUST_CHECK struct err *rsp_end_snapshot(struct rsp *rsp);

VEC_NAMED(rsp_threads, struct rsp_thread);

ERR_MUST_CHECK struct err *rsp_threads(struct rsp *rsp, struct rsp_threads *ret);

/* One register as target.xml describes it, in regnum order. */
struct rsp_reg {
	char name[24];
	uint32_t regnum;
	uint32_t size;   /* bytes */
	uint32_t offset; /* in the `g` reply, bytes; UINT32_MAX: not in `g` (ask with `p`) */
};

/* target.xml's registers and architecture ("i386:x86-64"; "" unknown).  A stub without
 * target.xml gives 0 registers, no error: the architecture's table has the default layout. */
ERR_MUST_CHECK struct err *rsp_registers(struct rsp *rsp, const struct rsp_reg **regs, size_t *n,
					 const char **arch);

/*
 * `g` of n threads (pipelined where the stub allows): raw[i] gets the reply's bytes,
 * avail[i] one byte per byte of raw[i]: 0 where the stub said "xx" (unavailable).
 * raw and avail are arrays of n initialised buffers; avail may be NULL.
 */
ERR_MUST_CHECK struct err *rsp_read_registers(struct rsp *rsp, const struct rsp_thread *threads,
					      size_t n, struct buf *raw, struct buf *avail);

/* One range of memory to read.  got: how many bytes from the start were read; if that is less than
 * len, the byte at addr + got cannot be read.  guess: where exactly that is, is not worth another
 * way there and back, so that got may be too little. */
struct rsp_range {
	uint64_t addr;
	uint64_t len;
	uint8_t *dst;
	uint64_t got;
	bool guess;
};

/*
 * Reads ranges, pipelined, in the biggest chunks the stub takes, decoding as it
 * streams.  Memory that cannot be read is no error: it shows in `got`, to the
 * exact byte (a failing chunk is halved down to the page and then the byte).
 * progress, if set, is called now and then with the bytes read so far.
 */
ERR_MUST_CHECK struct err *rsp_read_memory(struct rsp *rsp, struct rsp_range *ranges, size_t n,
					   void (*progress)(void *arg, uint64_t bytes), void *arg);

/* A whole qXfer:OBJECT:read:ANNEX object ("auxv", ...), appended. */
ERR_MUST_CHECK struct err *rsp_xfer(struct rsp *rsp, const char *object, const char *annex,
				    struct buf *ret);

/* Reads a file of the stub's machine (vFile), whole, up to `limit` bytes, else ERR_LIMIT.  It needs
 * features.vfile, else ERR_UNSUPPORTED.  What is read is appended. */
ERR_MUST_CHECK struct err *rsp_file_read(struct rsp *rsp, const char *path, uint64_t limit,
					 struct buf *ret);
/* A small text file, of /proc or /sys most likely, that may well be missing or refused: *found is
 * false then, and with a stub that has no files.  text is emptied before. */
ERR_MUST_CHECK struct err *rsp_file_text(struct rsp *rsp, struct buf *text, bool *found,
					 const char *fmt, ...) ERR_PRINTF(4, 5);
/* The same, of up to len bytes from off, less at the file's end.  gdbserver 13 takes offsets of 31
 * bits only (ERR_REMOTE beyond). */
ERR_MUST_CHECK struct err *rsp_file_read_at(struct rsp *rsp, const char *path, uint64_t off,
					    uint64_t len, struct buf *ret);

/*
 * The same, of several pieces, each handed on as it comes, in any order and as smaller ones: it is
 * not kept here.  What is behind the file's end is not handed on.
 */
struct rsp_piece {
	uint64_t off, len;
};
typedef struct err *(*rsp_take)(void *arg, uint64_t off, const uint8_t *p, size_t len);
ERR_MUST_CHECK struct err *rsp_file_pieces(struct rsp *rsp, const char *path,
					   const struct rsp_piece *pieces, size_t n, rsp_take take,
					   void *arg);

/* Runs a monitor command (qRcmd); ret gets what it prints. */
ERR_MUST_CHECK struct err *rsp_monitor(struct rsp *rsp, const char *command, struct buf *ret);

/*
 * Of a whole machine, which is stopped: from now on memory reads are physical, in every stop
 * (features.phys_mem, else ERR_UNSUPPORTED).  Whenever the machine runs, and in the end, the stub
 * is as it was.
 */
ERR_MUST_CHECK struct err *rsp_read_physical(struct rsp *rsp);

/* What went over the wire, for -v and the bench. */
struct rsp_stats {
	uint64_t packets_out, packets_in;
	uint64_t bytes_out, bytes_in; /* on the wire */
	uint64_t memory_bytes;        /* memory that was asked for and got */
	uint64_t memory_ns;           /* time spent in rsp_read_memory() */
};
struct rsp_stats rsp_stats(const struct rsp *rsp);

#endif
