/*
 * The steps of a fork, and the way back from each.  A call is put into a thread by its registers,
 * and stepped over; signals that come meanwhile are kept and delivered afterwards.  Before each
 * packet struct inject says what it will have done, so that undo_stage() can begin anywhere.
 */
#include "rsp/inject_int.h"

#include <string.h>
#include <time.h>

#include "rsp/packet.h"
#include "rsp/signals.h"

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
	L_EFAULT = 14,
	L_ERESTARTSYS = 512, /* to L_ERESTART_RESTARTBLOCK: the kernel makes the call again */
	L_ERESTART_RESTARTBLOCK = 516,
	L_SA_RESTORER = 0x04000000,
	L_SIGINFO_PID = 16, /* of 64-bit machines */
};

/* SIGCHLD, SIGCONT, SIGURG, SIGWINCH: nothing happens unless there is a handler. */
static const uint64_t L_IGNORED = 1ull << 16 | 1ull << 17 | 1ull << 22 | 1ull << 27;

/* INJECT_SIGINFO bytes, in hex. */
#define SIGINFO_READ "qXfer:siginfo:read::0,80"

enum {
	END_TRIES = 10,
	STEPS_MAX = 64, /* of one call: itself, an event, signals */
	RED_ZONE = 128,
};

/* ------------------------------------------------------------------ steps */

struct stop {
	uint8_t signal; /* gdb's number */
	bool forked;    /* ... and whom: */
	bool event;     /* any event of ptrace */
	/* another thread stopped first; it keeps its signal for when it is let go */
	bool other;
	char child[INJECT_ID];
};

/* One instruction of one thread; signal 0: none is passed. */
static bool step_thread(struct inject_port *p, const char *id, uint8_t signal, struct stop *st)
{
	struct inject_out o = { p, 0 };
	const char *s;
	uint64_t v;
	bool named = false, own = false, good;
	char name[INJECT_ID];

	*st = (struct stop){ 0 };
	inject_add_str(&o, signal ? "vCont;S" : "vCont;s");
	if (signal)
		inject_add_hex(&o, &signal, 1);
	inject_add_str(&o, ":");
	inject_add_str(&o, id);
	p->in->stepping = 1;
	good = inject_ask(&o);
	if (p->lost)
		return false;
	p->in->stepping = 0;
	if (!good)
		return false;
	s = p->reply;
	if (*s == 'W' || *s == 'X') {
		p->exited = true;
		return inject_fail(p, "the process has ended");
	}
	if (*s != 'T' || packet_hexbyte(s + 1) < 0)
		return inject_fail(p, "the stub does not step a thread");
	st->signal = (uint8_t)packet_hexbyte(s + 1);
	for (s += 3; *s; s = *s ? s + 1 : s) {
		const char *key = s, *val = strchr(s, ':');
		size_t n;

		if (!val)
			break;
		n = (size_t)(val - key);
		s = val + 1;
		if ((n == 4 && !memcmp(key, "fork", 4)) || (n == 5 && !memcmp(key, "vfork", 5)))
			st->forked = st->event = inject_take_id(&s, &v, st->child);
		else if (n == 9 && !memcmp(key, "vforkdone", 9))
			st->event = true;
		else if (n == 6 && !memcmp(key, "thread", 6))
			named = inject_take_id(&s, &v, name);
		s = strchr(s, ';');
		if (!s)
			break;
	}
	own = named && !strcmp(name, id);
	st->other = !own;
	return (named && (own || inject_id_pid(name) == p->in->pid)) ||
	       inject_fail(p, "the stub stepped another process than it was told to");
}

/* The thread stopped with a signal: for us (the end of a child of ours), or one that it is to get
 * afterwards. */
static bool take_signal(struct inject_port *p, uint8_t number)
{
	struct inject *in = p->in;
	struct inject_signal sig = { .number = number };
	size_t len = 0;
	uint32_t pid;

	/* What the stub itself stopped it with. */
	if (number == GDB_SIGSTOP)
		return true;
	in->coming = number;
	if (!inject_post_id(p, "Hg", in->thread) || !inject_ask_str(p, SIGINFO_READ))
		return false;
	if (p->reply[0] == 'l' || p->reply[0] == 'm')
		len = inject_unescape(p, 1, sig.info, sizeof(sig.info));
	sig.len = (uint8_t)len;
	if (number == GDB_SIGCHLD && in->expect && len >= L_SIGINFO_PID + 4) {
		pid = bytes_u32(in->m.fmt, sig.info + L_SIGINFO_PID);
		if (pid == in->expect) {
			in->chld = sig;
			in->ate_chld = true;
			in->coming = 0;
			return true;
		}
	}
	if (in->nsignals == INJECT_KEPT)
		return inject_fail(p, "more signals came than can be kept");
	in->signals[in->nsignals] = sig;
	in->nsignals++;
	in->coming = 0;
	return true;
}

void inject_heard(struct inject *in, const char *reply)
{
	int signal = *reply == 'T' ? packet_hexbyte(reply + 1) : -1;

	/* Another thread's stays with that. */
	if (signal >= 0 && strstr(reply, in->thread) && signal != GDB_SIGTRAP &&
	    in->stage == INJECT_CALLING)
		in->coming = (uint8_t)signal;
}

/* Posted: it goes out with the step. */
static bool prepare(struct inject_port *p, const char *id, const uint8_t *base, uint32_t len,
		    uint32_t nr, const uint64_t args[6])
{
	const struct inject_machine *m = &p->in->m;

	if (base != p->regs)
		memcpy(p->regs, base, len);
	inject_set_word(m, p->regs, m->nr, nr);
	inject_set_word(m, p->regs, m->pc, m->code_at + m->call_off);
	if (m->restart != UINT16_MAX) /* or an interrupted call of its own would be made */
		inject_set_word(m, p->regs, m->restart, UINT64_MAX);
	for (int i = 0; i < 6; i++)
		inject_set_word(m, p->regs, m->args[i], args[i]);
	if (nr == m->nr_clone && inject_result_is_argument(m))
		inject_set_word(m, p->regs, m->args[0], args[0] | INJECT_CLONE_DETACHED);
	return inject_set_regs(p, id, p->regs, len);
}

/*
 * Steps until the system call that pc is at is over (ret gets its result; NULL: restore() reads
 * it), or, with child, until it has made one (INJECT_ID bytes; it may stay empty).  Signals of the
 * thread are kept, those of others ignored.  It never makes a step too far: exit() comes next.
 */
static bool finish_call(struct inject_port *p, const char *id, char *child, int64_t *ret)
{
	const struct inject_machine *m = &p->in->m;
	uint64_t at = m->code_at + m->call_off, pc;
	struct stop st;
	int64_t got;
	uint32_t len;

	for (int i = 0; i < STEPS_MAX; i++) {
		bool over;

		if (!step_thread(p, id, 0, &st))
			return false;
		if (st.forked && child && !st.other) {
			memcpy(child, st.child, INJECT_ID);
			return true;
		}
		/* Events come before a call's end. */
		if (st.event && !st.other)
			continue;
		over = !st.other && st.signal == GDB_SIGTRAP;
		if (!over && !st.other && !strcmp(id, p->in->thread) && !take_signal(p, st.signal))
			return false;
		if (over && !ret)
			return true;
		if (!inject_get_regs(p, id, &len))
			return false;
		pc = inject_get_word(m, p->regs, m->pc);
		if (pc == at)
			continue;
		if (pc != at + m->call_len)
			return inject_fail(p, "a system call in the process went astray");
		got = (int64_t)inject_get_word(m, p->regs, m->ret);
		if (ret)
			*ret = got;
		if (over || (!inject_unfinished(m, got) &&
			     (got > -L_ERESTARTSYS || got < -L_ERESTART_RESTARTBLOCK)))
			return true;
	}
	return inject_fail(p, "a system call in the process does not end");
}

/* One whole call of the thread. */
static bool call_whole(struct inject_port *p, uint32_t nr, const uint64_t args[6], int64_t *ret)
{
	struct inject *in = p->in;

	return prepare(p, in->thread, in->saved, in->saved_len, nr, args) &&
	       finish_call(p, in->thread, NULL, ret);
}

/*
 * Has a child of the process something to say that the process has not heard yet?  The address is
 * bad on purpose: it is written to, and fails, only if there is one.
 */
static bool children_wait(struct inject_port *p, bool *ret)
{
	static const uint64_t args[6] = {
		0, 0, 0, L_WEXITED | L_WSTOPPED | L_WCONTINUED | L_WNOHANG | L_WNOWAIT, 1,
	};
	int64_t got;

	if (!call_whole(p, p->in->m.nr_waitid, args, &got))
		return false;
	*ret = got == -L_EFAULT;
	return true;
}

static bool has_chld(const struct inject *in)
{
	for (unsigned i = 0; i < in->nsignals; i++) {
		if (in->signals[i].number == GDB_SIGCHLD)
			return true;
	}
	return false;
}

/*
 * A child of the process that has ended; none is no error.  One SIGCHLD may stand for several
 * children: if another ended, too, and has none of its own, it is passed on.
 */
static bool reap_child(struct inject_port *p, uint64_t pid, int64_t *ret)
{
	struct inject *in = p->in;
	const uint64_t args[6] = { pid, 0, L_WALL };
	int64_t again;
	bool others;

	in->expect = pid;
	if (!call_whole(p, in->m.nr_wait4, args, ret))
		return false;
	if (in->waiting == pid)
		in->waiting = 0;
	if (in->ate_chld) {
		/* The second call is for a signal that is on its way: a thread is told of it
		 * before its next step. */
		if (!children_wait(p, &others) ||
		    (others && !call_whole(p, in->m.nr_wait4, args, &again)))
			return false;
		in->ate_chld = false;
		if (others && !has_chld(in) && in->nsignals < INJECT_KEPT)
			in->signals[in->nsignals++] = in->chld;
	}
	in->expect = 0;
	return true;
}

static bool kill_process(struct inject_port *p, uint64_t pid)
{
	return inject_ask_num(p, "vKill;", pid) &&
	       (inject_is_ok(p) || inject_fail(p, "the stub does not end the snapshot"));
}

static bool choose_thread(struct inject_port *p)
{
	struct inject *in = p->in;

	if (!inject_choose(p))
		return inject_fail(p, "no thread is where a system call can be put in");
	/* The stub gives it what it last said of it; soon that is something else. */
	if (in->stop_signal && in->stop_signal != GDB_SIGTRAP &&
	    !strcmp(in->stop_thread, in->thread))
		return take_signal(p, in->stop_signal);
	return true;
}

void inject_note_stop(struct inject *in, const char *reply)
{
	const char *s = strstr(reply, "thread:");
	uint64_t pid;

	in->stop_signal = 0;
	in->stop_thread[0] = 0;
	if (reply[0] != 'T' || !s || packet_hexbyte(reply + 1) < 0)
		return;
	s += 7;
	if (inject_take_id(&s, &pid, in->stop_thread))
		in->stop_signal = (uint8_t)packet_hexbyte(reply + 1);
}

/* ------------------------------------------------------------------ the way back */

/*
 * Gives the thread its own registers back; until it runs this may be done again.  *made, if not
 * NULL, gets the result of the system call that it made last, 0 if it made none.
 */
static bool restore(struct inject_port *p, int64_t *made)
{
	struct inject *in = p->in;
	uint64_t pc;
	bool heard, set;
	uint32_t len;

	if (!inject_post_id(p, "Hg", in->thread) || !inject_send_get(p) ||
	    !inject_send_set(p, in->saved, in->saved_len) || !inject_send_get(p))
		return false;
	heard = inject_hear_regs(p, &len);
	if (made) {
		pc = inject_get_word(&in->m, p->regs, in->m.pc);
		*made = pc == in->m.code_at + in->m.call_off + in->m.call_len ?
				(int64_t)inject_get_word(&in->m, p->regs, in->m.ret) :
				0;
	}
	set = !p->lost && inject_hear(p) && inject_is_ok(p);
	return (!p->lost && inject_hear_regs(p, &len) && heard && set && len == in->saved_len &&
		!memcmp(p->regs, in->saved, len)) ||
	       inject_fail(p, "a thread did not get its registers back");
}

/*
 * Delivers the signals that came while the thread was ours as the kernel would have: with what they
 * say of themselves, up to the handler's first instruction.
 */
static bool deliver(struct inject_port *p)
{
	struct inject *in = p->in;
	uint64_t pc = inject_get_word(&in->m, in->saved, in->m.pc);
	struct inject_status st;
	struct stop stop;
	uint32_t len;

	if (!in->nsignals)
		return true;
	/* We may have died after one was delivered and before that was written down. */
	if (!inject_get_regs(p, in->thread, &len))
		return false;
	if (inject_get_word(&in->m, p->regs, in->m.pc) != pc)
		in->nsignals--;
	if (!inject_read_status(p, in->pid, 0, &st))
		return inject_fail(p, "the stub cannot read /proc");
	while (in->nsignals) {
		const struct inject_signal *sig = &in->signals[in->nsignals - 1];
		uint32_t host = sig->len >= 4 ? bytes_u32(in->m.fmt, sig->info) : 0;
		uint64_t bit = host >= 1 && host <= 64 ? 1ull << (host - 1) : 0;
		struct inject_out o = { p, 0 };

		/* Without a handler the thread would step through the program instead: most such
		 * signals do nothing at all, the others end or stop it. */
		if (!bit || (st.sig_ignored & bit) ||
		    (!(st.sig_caught & bit) && (L_IGNORED >> (host - 1) & 1))) {
			in->nsignals--;
			continue;
		}
		if (!inject_post_id(p, "Hg", in->thread))
			return false;
		inject_add_str(&o, "qXfer:siginfo:write::0:");
		inject_add_binary(&o, sig->info, sig->len);
		/* Without it the signal comes as one of ours: better than none. */
		if (!inject_ask(&o) || !step_thread(p, in->thread, sig->number, &stop))
			return false;
		for (int i = 0; stop.other && i < STEPS_MAX; i++) {
			if (!inject_get_regs(p, in->thread, &len))
				return false;
			if (inject_get_word(&in->m, p->regs, in->m.pc) != pc)
				break;
			if (!step_thread(p, in->thread, 0, &stop))
				return false;
		}
		in->nsignals--;
	}
	return true;
}

/* The middle and the snapshot stand behind our call; any other process is a child of the process's
 * own (inject_free_others()). */
static bool is_ours(struct inject_port *p, const char *id)
{
	const struct inject_machine *m = &p->in->m;
	uint32_t len;

	return inject_get_regs(p, id, &len) &&
	       inject_get_word(m, p->regs, m->pc) == m->code_at + m->call_off + m->call_len;
}

static bool end_other(struct inject_port *p, const char *id, uint64_t pid)
{
	if (pid == p->in->pid)
		return false;
	if (is_ours(p, id) || !strcmp(id, p->in->snapshot) || !strcmp(id, p->in->middle))
		kill_process(p, pid);
	return p->lost;
}

static bool free_other(struct inject_port *p, const char *id, uint64_t pid)
{
	if (pid != p->in->pid && strcmp(id, p->in->snapshot))
		inject_ask_num(p, "D;", pid);
	return p->lost;
}

bool inject_free_others(struct inject_port *p)
{
	if (p->in->stage != INJECT_SNAPSHOT)
		p->in->snapshot[0] = 0;
	inject_threads(p, free_other);
	return inject_done(p, !p->lost);
}

/* The snapshot's number in the process's own namespace, if it is the process's child: somebody has
 * to reap it.  0: it is not. */
static uint64_t snapshot_to_reap(struct inject_port *p)
{
	struct inject *in = p->in;
	struct inject_status of_snapshot, of_process;

	if (!inject_read_status(p, inject_id_pid(in->snapshot), 0, &of_snapshot) ||
	    of_snapshot.parent != in->pid)
		return 0;
	if (!inject_read_status(p, in->pid, 0, &of_process) || !of_process.levels ||
	    of_process.levels > of_snapshot.levels)
		return 0;
	return of_snapshot.pids[of_process.levels - 1];
}

static bool find_snapshot(struct inject_port *p, const char *id, uint64_t pid)
{
	if (pid == p->in->pid || !strcmp(id, p->in->middle) || !is_ours(p, id))
		return false;
	memcpy(p->in->snapshot, id, INJECT_ID);
	return true;
}

/*
 * The process is stopped, the thread somewhere in between.  The middle ends first, since the thread
 * may wait for it; then the snapshot belongs only to whom it is left to, which may be the process
 * itself.
 */
static bool undo_calling(struct inject_port *p)
{
	struct inject *in = p->in;
	const struct inject_machine *m = &in->m;
	uint64_t at = m->code_at + m->call_off, pc;
	int64_t made = 0, ret;
	uint32_t len;

	if (!in->snapshot[0] && (in->init || in->middle[0]))
		inject_threads(p, find_snapshot);
	if (in->middle[0])
		kill_process(p, inject_id_pid(in->middle));
	if (!in->reap && in->snapshot[0])
		in->reap = snapshot_to_reap(p);
	in->expect = in->reap;
	if (in->coming && !take_signal(p, in->coming))
		return false;
	inject_threads(p, end_other);
	if (p->lost || !inject_get_regs(p, in->thread, &len))
		return false;
	pc = inject_get_word(m, p->regs, m->pc);
	if (pc == at + m->call_len) {
		made = (int64_t)inject_get_word(m, p->regs, m->ret);
		if (inject_unfinished(m, made) && !finish_call(p, in->thread, NULL, &made))
			return false;
	}
	if (made > 0)
		in->waiting = (uint64_t)made;
	/* The snapshot first: children_wait() sees only whose end sends a signal, so that the
	 * middle does not matter. */
	if (in->reap && !reap_child(p, in->reap, &ret))
		return false;
	if (in->waiting && !reap_child(p, in->waiting, &ret))
		return false;
	if (!restore(p, NULL))
		return false;
	in->stage = INJECT_SIGNALS;
	if (!deliver(p))
		return false;
	in->stage = INJECT_NONE;
	return true;
}

/* The snapshot is the process's own child: the process is stopped, the snapshot ends, and the
 * process hears nothing of it. */
static bool end_own_child(struct inject_port *p, bool *stopped)
{
	static const struct timespec nap = { 0, 2000000 };
	struct inject *in = p->in;
	bool others;

	for (int i = 0;; i++) {
		/* Whatever the answer: it may be attached already, if we died just then. */
		if (!inject_ask_num(p, "vAttach;", in->pid))
			return false;
		*stopped = true;
		if (!inject_ask_str(p, "?")) /* as stop_attach() */
			return false;
		inject_note_stop(in, p->reply);
		in->nsignals = 0;
		in->expect = in->waiting = 0;
		in->middle[0] = 0;
		if (!choose_thread(p))
			break;
		/* Another child's end that it has not looked at yet: whose a SIGCHLD is could
		 * not be told. */
		in->stage = INJECT_CALLING;
		if (!children_wait(p, &others))
			return false;
		if (!others || i >= END_TRIES)
			return undo_calling(p);
		if (!restore(p, NULL))
			return false;
		in->stage = INJECT_SNAPSHOT;
		if (!deliver(p) || !inject_ask_num(p, "D;", in->pid))
			return false;
		*stopped = false;
		if (!inject_free_others(p))
			return false;
		nanosleep(&nap, NULL);
	}
	if (p->lost)
		return false;
	kill_process(p, inject_id_pid(in->snapshot));
	in->stage = INJECT_NONE;
	return inject_fail(p, "the snapshot's end could not be hidden from the process");
}

static bool end_snapshot(struct inject_port *p, bool *stopped)
{
	struct inject *in = p->in;

	*stopped = in->nsignals != 0;
	if (!deliver(p))
		return false;
	in->reap = snapshot_to_reap(p);
	if (p->lost)
		return false;
	if (in->reap)
		return end_own_child(p, stopped);
	/* It may be gone already: killed for want of memory, or let go. */
	kill_process(p, inject_id_pid(in->snapshot));
	if (p->lost)
		return false;
	in->stage = INJECT_NONE;
	return true;
}

static bool undo_stage(struct inject_port *p, bool *stopped)
{
	*stopped = false;
	switch (p->in->stage) {
	case INJECT_CALLING:
		return undo_calling(p);
	case INJECT_SIGNALS:
		if (!deliver(p))
			return false;
		p->in->stage = INJECT_NONE;
		return true;
	case INJECT_SNAPSHOT:
		return end_snapshot(p, stopped);
	default:
		return true;
	}
}

bool inject_undo(struct inject_port *p, bool *stopped)
{
	return inject_done(p, undo_stage(p, stopped));
}

/* ------------------------------------------------------------------ the way there */

static bool refused(struct inject_port *p, int64_t ret)
{
	p->error = ret;
	return inject_fail(p, "the kernel refuses to fork the process");
}

/* The thread makes the middle, the middle makes the snapshot. */
static bool fork_twice(struct inject_port *p)
{
	static const uint64_t make_middle[6] = { L_CLONE_VM | L_CLONE_VFORK | L_CLONE_FILES };
	static const uint64_t make_snap[6] = { L_CLONE_FILES | LINUX_SIGCHLD };
	struct inject *in = p->in;
	char id[INJECT_ID] = "";
	int64_t ret = 0, reaped;

	if (!prepare(p, in->thread, in->saved, in->saved_len, in->m.nr_clone, make_middle) ||
	    !finish_call(p, in->thread, id, &ret))
		return false;
	if (!*id)
		return refused(p, ret);
	memcpy(in->middle, id, INJECT_ID);
	*id = 0;
	/* Its registers are the thread's, all but the result. */
	if (!prepare(p, in->middle, in->saved, in->saved_len, in->m.nr_clone, make_snap) ||
	    !finish_call(p, in->middle, id, &ret))
		return false;
	if (!*id)
		return refused(p, ret);
	memcpy(in->snapshot, id, INJECT_ID);
	if (!kill_process(p, inject_id_pid(in->middle)) || !finish_call(p, in->thread, NULL, &ret))
		return false;
	in->waiting = ret > 0 ? (uint64_t)ret : 0;
	if (ret <= 0 ||
	    !call_whole(p, in->m.nr_wait4, (const uint64_t[6]){ (uint64_t)ret, 0, L_WALL }, NULL) ||
	    !restore(p, &reaped) || reaped != ret)
		return inject_fail(p, "the process could not be rid of the child in the middle");
	in->waiting = 0;
	return true;
}

/* The thread makes the snapshot. */
static bool fork_once(struct inject_port *p)
{
	static const uint64_t make_snap[6] = { L_CLONE_FILES | LINUX_SIGCHLD };
	struct inject *in = p->in;
	char id[INJECT_ID] = "";
	int64_t ret = 0;

	if (!prepare(p, in->thread, in->saved, in->saved_len, in->m.nr_clone, make_snap) ||
	    !finish_call(p, in->thread, id, &ret))
		return false;
	if (!*id)
		return refused(p, ret);
	memcpy(in->snapshot, id, INJECT_ID);
	if (!finish_call(p, in->thread, NULL, &ret))
		return false;
	in->reap = ret > 0 ? (uint64_t)ret : 0;
	return (ret > 0 || refused(p, ret)) && restore(p, NULL);
}

static bool make_snapshot(struct inject_port *p)
{
	struct inject *in = p->in;

	in->middle[0] = in->snapshot[0] = in->thread[0] = 0;
	in->reap = in->expect = in->waiting = 0;
	in->ate_chld = false;
	in->coming = 0;
	in->nsignals = 0;
	if (!choose_thread(p))
		return false;
	in->stage = INJECT_CALLING;
	if (!(in->init ? fork_once(p) : fork_twice(p)))
		return false;
	in->stage = INJECT_SNAPSHOT;
	return deliver(p);
}

bool inject_fork(struct inject_port *p)
{
	return inject_done(p, make_snapshot(p));
}

/*
 * It could run on only if the stub were killed, and would exit; but stepping leaves a trap behind,
 * which must not start the program's handler: that gets the same exit.
 */
static bool settle(struct inject_port *p)
{
	struct inject *in = p->in;
	const struct inject_machine *m = &in->m;
	uint8_t act[32] = { 0 };
	struct inject_out o = { p, 0 };
	uint64_t at;
	int64_t ret;
	uint32_t len;

	inject_write_proc(p, inject_id_pid(in->snapshot), "/oom_score_adj", "1000");
	if (p->lost || !inject_get_regs(p, in->snapshot, &len))
		return false;
	/* struct sigaction, as the kernel has it, below its stack: its memory is its own. */
	at = (inject_get_word(m, p->regs, m->sp) - RED_ZONE - 64) & ~(uint64_t)15;
	inject_set_word(m, act, 0, m->code_at);
	inject_set_word(m, act, m->fmt.word, L_SA_RESTORER);
	inject_set_word(m, act, (uint16_t)(2 * m->fmt.word), m->code_at);
	inject_add_str(&o, "M");
	inject_add_num(&o, at);
	inject_add_str(&o, ",");
	inject_add_num(&o, sizeof(act));
	inject_add_str(&o, ":");
	inject_add_hex(&o, act, sizeof(act));
	if (!inject_ask(&o))
		return false;
	if (inject_is_ok(p) && (!prepare(p, in->snapshot, p->regs, len, m->nr_sigaction,
					 (uint64_t[6]){ LINUX_SIGTRAP, at, 0, 8 }) ||
				!finish_call(p, in->snapshot, NULL, &ret)))
		return false;
	/* Linux before 5.9 does not know it: then it shares the process's table to the end. */
	if (!prepare(p, in->snapshot, p->regs, len, m->nr_close_range,
		     (uint64_t[6]){ 0, UINT32_MAX, L_CLOSE_RANGE_UNSHARE }) ||
	    !finish_call(p, in->snapshot, NULL, &ret))
		return false;
	return inject_ask_id(p, "Hg", in->snapshot) &&
	       (inject_is_ok(p) || inject_fail(p, "the stub does not know the snapshot"));
}

bool inject_settle(struct inject_port *p)
{
	return inject_done(p, settle(p));
}
