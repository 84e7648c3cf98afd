/*
 * The way back from each step of a fork.  Before each packet struct inject says what it will have
 * done, so that undo_stage() can begin anywhere.
 */
#include "rsp/inject_int.h"

#include <string.h>
#include <time.h>

#include "rsp/features.h"
#include "rsp/signals.h"

/* SIGCHLD, SIGCONT, SIGURG, SIGWINCH: nothing happens unless there is a handler. */
static const uint64_t L_IGNORED = 1ull << 16 | 1ull << 17 | 1ull << 22 | 1ull << 27;

enum { END_TRIES = 10 };

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

	*ret = true; /* to be taken for: a signal too many does less harm than one too few */
	if (p->in->no_waitid)
		return true;
	if (!inject_call(p, p->in->m.nr_waitid, args, &got))
		return false;
	*ret = got != 0 && got != -L_ECHILD;
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
	*ret = 0;
	if (!in->no_wait4 ?
		    !inject_call(p, in->m.nr_wait4, args, ret) :
		    !in->no_waitid &&
			    !inject_call(p, in->m.nr_waitid,
					 (const uint64_t[6]){ L_P_PID, pid, 0, L_WEXITED | L_WALL },
					 ret))
		return false;
	if (in->waiting == pid)
		in->waiting = 0;
	if (in->ate_chld) {
		/* The second call is for a signal that is on its way: a thread is told of it
		 * before its next step. */
		if (!children_wait(p, &others) ||
		    (others && !in->no_wait4 && !inject_call(p, in->m.nr_wait4, args, &again)))
			return false;
		in->ate_chld = false;
		if (others && !has_chld(in) && in->nsignals < INJECT_KEPT)
			in->signals[in->nsignals++] = in->chld;
	}
	in->expect = 0;
	return true;
}

bool inject_restore(struct inject_port *p, int64_t *made)
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

bool inject_deliver(struct inject_port *p)
{
	struct inject *in = p->in;
	uint64_t pc = inject_get_word(&in->m, in->saved, in->m.pc);
	struct inject_status st;
	struct inject_stop stop;
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
		if (!inject_ask(&o) || !inject_step(p, in->thread, sig->number, &stop))
			return false;
		for (int i = 0; stop.other && i < INJECT_STEPS; i++) {
			if (!inject_get_regs(p, in->thread, &len))
				return false;
			if (inject_get_word(&in->m, p->regs, in->m.pc) != pc)
				break;
			if (!inject_step(p, in->thread, 0, &stop))
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
	if (is_ours(p, id) || !strcmp(id, p->in->snapshot) || !strcmp(id, p->in->middle)) {
		p->found = true;
		inject_kill(p, pid);
	}
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

/* The thread stands behind the call's instruction.  A filter's ENOSYS looks like a clone that is
 * not over; but then there is no child. */
static bool call_is_open(const struct inject_port *p, int64_t result)
{
	const struct inject *in = p->in;

	if (in->call != INJECT_UNHEARD)
		return in->call == INJECT_OPEN;
	return in->call_nr == in->m.nr_clone && inject_unfinished(&in->m, result) && p->found;
}

/*
 * The filter trapped while the thread was stepped over its call, so that behind SIGSYS there is a
 * SIGTRAP, which would end the program (seen): it comes with another step, which makes an
 * instruction at most, the jump back to exit()'s beginning.  And the stub is told not to pass
 * SIGSYS on, in case it still holds that for what the thread stopped with last.
 */
static bool undo_trap(struct inject_port *p)
{
	struct inject_out o = { p, 0 };
	struct inject_stop st;

	inject_add_str(&o, FEATURES_SIGNALS_NO_SYS);
	return inject_post(&o) && inject_step(p, p->in->thread, 0, &st);
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
		inject_kill(p, inject_id_pid(in->middle));
	if (!in->reap && in->snapshot[0])
		in->reap = snapshot_to_reap(p);
	in->expect = in->reap;
	if (in->coming && !inject_take_signal(p, in->coming))
		return false;
	p->found = in->middle[0] || in->snapshot[0];
	inject_threads(p, end_other);
	if (in->sigsys && !undo_trap(p))
		return false;
	if (p->lost || !inject_get_regs(p, in->thread, &len))
		return false;
	pc = inject_get_word(m, p->regs, m->pc);
	if (pc == at + m->call_len) {
		made = in->sigsys ? 0 : (int64_t)inject_get_word(m, p->regs, m->ret);
		if (call_is_open(p, made) && !inject_finish(p, in->thread, NULL, &made))
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
	if (!inject_restore(p, NULL))
		return false;
	in->stage = INJECT_SIGNALS;
	if (!inject_deliver(p))
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
	struct inject_status st;
	bool others, attached;

	for (int i = 0;; i++) {
		/* It may be attached already, if we died just then.  Another vAttach would fail,
		 * and gdbserver 13 wants acknowledgements after that (docs/PROTOCOL.md). */
		attached = inject_read_status(p, in->pid, 0, &st) && st.tracer;
		if (p->lost || (!attached && !inject_ask_num(p, "vAttach;", in->pid)))
			return false;
		*stopped = true;
		if (!inject_ask_str(p, "?")) /* as stop_attach() */
			return false;
		inject_note_stop(in, p->reply);
		in->nsignals = 0;
		in->expect = in->waiting = 0;
		in->middle[0] = 0;
		if (!inject_take_thread(p))
			break;
		/* Another child's end that it has not looked at yet: whose a SIGCHLD is could
		 * not be told. */
		in->stage = INJECT_CALLING;
		if (!children_wait(p, &others))
			return false;
		if (!others || i >= END_TRIES)
			return undo_calling(p);
		if (!inject_restore(p, NULL))
			return false;
		in->stage = INJECT_SNAPSHOT;
		if (!inject_deliver(p) || !inject_ask_num(p, "D;", in->pid))
			return false;
		*stopped = false;
		if (!inject_free_others(p))
			return false;
		nanosleep(&nap, NULL);
	}
	if (p->lost)
		return false;
	inject_kill(p, inject_id_pid(in->snapshot));
	in->stage = INJECT_NONE;
	return inject_fail(p, "the snapshot's end could not be hidden from the process");
}

static bool end_snapshot(struct inject_port *p, bool *stopped)
{
	struct inject *in = p->in;

	*stopped = in->nsignals != 0;
	if (!inject_deliver(p))
		return false;
	in->reap = snapshot_to_reap(p);
	if (p->lost)
		return false;
	if (in->reap)
		return end_own_child(p, stopped);
	/* It may be gone already: killed for want of memory, or let go. */
	inject_kill(p, inject_id_pid(in->snapshot));
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
		if (!inject_deliver(p))
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
