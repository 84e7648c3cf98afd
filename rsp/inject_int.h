/*
 * Shared by inject.c, inject_choose.c and inject_talk.c: packets, registers and files, without
 * allocating.  Functions that return false have said why in p->why.
 */
#ifndef GRF_RSP_INJECT_INT_H
#define GRF_RSP_INJECT_INT_H

#include "rsp/inject.h"

/* CLONE_DETACHED is ignored since Linux 2.6.2, and more than any process's id. */
enum { INJECT_CLONE_DETACHED = 0x400000, INJECT_ENOSYS = 38 };

/* Notes the first reason for a failure; returns false. */
bool inject_fail(struct inject_port *p, const char *why);

/* A packet in the making, in p->cmd. */
struct inject_out {
	struct inject_port *p;
	size_t len;
};

void inject_add(struct inject_out *o, const void *data, size_t len);
void inject_add_str(struct inject_out *o, const char *s);
void inject_add_num(struct inject_out *o, uint64_t v);
void inject_add_hex(struct inject_out *o, const void *data, size_t len);
void inject_add_binary(struct inject_out *o, const void *data, size_t len);

/*
 * Several packets go out together, and cost one way there and back, if their replies are heard in
 * the order in which they were sent; each way costs the stopped process time.  Never behind a
 * packet that lets a thread run: gdbserver loses bytes then.
 */
bool inject_send(struct inject_out *o);
bool inject_hear(struct inject_port *p);
/* For what need not be heard by itself: whether it was OK is part of what the next inject_hear()
 * says.  Posting comes before all else that is sent. */
bool inject_post(struct inject_out *o);
bool inject_post_id(struct inject_port *p, const char *cmd, const char *id);
/* Nothing is under way any more; `good`, if that is so. */
bool inject_done(struct inject_port *p, bool good);
/* Sends and hears: one packet, one reply. */
bool inject_ask(struct inject_out *o);
bool inject_ask_str(struct inject_port *p, const char *cmd);
bool inject_ask_id(struct inject_port *p, const char *cmd, const char *id);
bool inject_ask_num(struct inject_port *p, const char *cmd, uint64_t v);
bool inject_is_ok(const struct inject_port *p);

/* The reply's binary data from `from` on, without escapes; how many bytes it is.  dst may be the
 * reply itself. */
size_t inject_unescape(const struct inject_port *p, size_t from, void *dst, size_t cap);

/* pPID.TID up to a `,`, `;` or the end; *ret gets PID, id (INJECT_ID bytes) a copy. */
bool inject_take_id(const char **s, uint64_t *ret, char *id);
uint64_t inject_id_pid(const char *id);

uint64_t inject_get_word(const struct inject_machine *m, const uint8_t *regs, uint16_t off);
void inject_set_word(const struct inject_machine *m, uint8_t *regs, uint16_t off, uint64_t v);
/* Is a call's result in its first argument's register?  Then clone()'s flags stand there until it
 * is over, and are made to be no process's id. */
bool inject_result_is_argument(const struct inject_machine *m);
/* By what stands in the result's register of a thread that is behind the call's instruction: is the
 * call not over yet? */
bool inject_unfinished(const struct inject_machine *m, int64_t result);
/* A thread's registers, into p->regs; in two halves, and whole. */
bool inject_send_get(struct inject_port *p); /* of the thread that is selected */
bool inject_hear_regs(struct inject_port *p, uint32_t *len);
bool inject_get_regs(struct inject_port *p, const char *id, uint32_t *len);
/* Posts the registers. */
bool inject_set_regs(struct inject_port *p, const char *id, const uint8_t *regs, uint32_t len);
bool inject_send_set(struct inject_port *p, const uint8_t *regs, uint32_t len);

/* Writes to /proc/PID/name, if it can be written. */
void inject_write_proc(struct inject_port *p, uint64_t pid, const char *name, const char *text);

/* Linux's, the same for every architecture. */
enum {
	L_WNOHANG = 1,
	L_WSTOPPED = 2,
	L_WEXITED = 4,
	L_WCONTINUED = 8,
	L_WNOWAIT = 0x01000000,
	L_WALL = 0x40000000,
	L_CLONE_VM = 0x100,
	L_CLONE_FILES = 0x400,
	L_CLONE_VFORK = 0x4000,
	L_CLOSE_RANGE_UNSHARE = 2,
	L_ECHILD = 10,
	L_P_PID = 1,
	L_EFAULT = 14,
	L_ERESTARTSYS = 512,
	L_SA_RESTORER = 0x04000000,
};

enum { INJECT_STEPS = 64 }; /* of one call, at most: itself, an event, signals */

/* How a step ended. */
struct inject_stop {
	uint8_t signal; /* gdb's number */
	bool forked;    /* ... and whom: */
	bool event;     /* any event of ptrace */
	/* another thread stopped first; it keeps its signal for when it is let go */
	bool other;
	/* another process than ours has ended, by this signal or this exit status */
	bool gone;
	char child[INJECT_ID];
};

/* One instruction of one thread; signal 0: none is passed. */
bool inject_step(struct inject_port *p, const char *id, uint8_t signal, struct inject_stop *st);
/* The thread stopped with a signal: for us (the end of a child of ours), or one that it is to get
 * afterwards. */
bool inject_take_signal(struct inject_port *p, uint8_t number);
/* Posts registers with which the thread will make a call: `base`, with the call's. */
bool inject_prepare(struct inject_port *p, const char *id, const uint8_t *base, uint32_t len,
		    uint32_t nr, const uint64_t args[6]);
/*
 * Steps until the system call that pc is at is over (ret gets its result; NULL: inject_restore()
 * reads it), or, with child, until it has made one (INJECT_ID bytes; it may stay empty).  Signals
 * of the thread are kept, those of others ignored.  It never makes a step too far: exit() comes
 * next.
 */
bool inject_finish(struct inject_port *p, const char *id, char *child, int64_t *ret);
/* One whole call of the thread that was chosen. */
bool inject_call(struct inject_port *p, uint32_t nr, const uint64_t args[6], int64_t *ret);
bool inject_kill(struct inject_port *p, uint64_t pid);

/*
 * Under a seccomp filter: the middle, whose end does no harm, makes the calls that the thread will
 * have to make, and looks at what they say.  inject_probe_exit() ends it by exit(), on which it
 * relies that whoever is let go exits.
 */
bool inject_probe(struct inject_port *p);
/* Has the middle or the snapshot interrupt itself. */
bool inject_alarm(struct inject_port *p, const char *id, unsigned seconds);
/* It makes a child, and takes its status. */
bool inject_probe_clone(struct inject_port *p);
bool inject_probe_exit(struct inject_port *p);
/* inject_choose(), and the signal that the stop began with is the thread's. */
bool inject_take_thread(struct inject_port *p);

/*
 * Gives the thread its own registers back; until it runs this may be done again.  *made, if not
 * NULL, gets the result of the system call that it made last, 0 if it made none.
 */
bool inject_restore(struct inject_port *p, int64_t *made);
/* Delivers the signals that came while the thread was ours as the kernel would have: with what they
 * say of themselves, up to the handler's first instruction. */
bool inject_deliver(struct inject_port *p);

enum { INJECT_LEVELS = 16 };

struct inject_status {
	char state; /* 'S', 'T', ... */
	uint64_t parent, tracer, sig_blocked, sig_ignored, sig_caught;
	unsigned levels;              /* of pid namespaces, from the stub's on */
	uint64_t pids[INJECT_LEVELS]; /* the process's id in each */
	uint64_t seccomp, filters;    /* the mode; how many filters, 0: not known */
};
/* Reads /proc/PID/task/TID/status; tid 0: the process's.  In two halves, and whole. */
bool inject_send_status(struct inject_port *p, uint64_t pid, uint64_t tid);
bool inject_hear_status(struct inject_port *p, struct inject_status *st);
bool inject_read_status(struct inject_port *p, uint64_t pid, uint64_t tid,
			struct inject_status *st);

/*
 * Calls each for every thread that the stub holds, until that returns true.  The list is taken
 * first: what each does is talk, too.
 */
bool inject_threads(struct inject_port *p,
		    bool (*each)(struct inject_port *p, const char *id, uint64_t pid));
/* Chooses the thread.  p->in gets it, its registers, and whether the process is the init of its pid
 * namespace. */
bool inject_choose(struct inject_port *p);
#endif
