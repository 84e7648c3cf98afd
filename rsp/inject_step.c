/*
 * One step of one thread, and one system call: put into a thread by its registers, and stepped
 * over.  Signals that come to the thread meanwhile are kept, to be delivered afterwards.
 */
#include "rsp/inject_int.h"

#include <string.h>

#include "rsp/packet.h"
#include "rsp/signals.h"

enum {
	/* from L_ERESTARTSYS on: the kernel makes the call again */
	L_ERESTART_RESTARTBLOCK = 516,
	L_SIGINFO_PID = 16, /* of 64-bit machines */
};

/* INJECT_SIGINFO bytes, in hex. */
#define SIGINFO_READ "qXfer:siginfo:read::0,80"

/* What a stop reply says of the thread's call. */
static void note_call(struct inject *in, const char *reply)
{
	bool event = strstr(reply, "fork:") || strstr(reply, "vforkdone:");

	if (reply[0] != 'T' || !strstr(reply, in->thread) || in->call != INJECT_UNHEARD)
		return;
	if (event)
		in->call = INJECT_OPEN;
	else if (packet_hexbyte(reply + 1) == GDB_SIGTRAP)
		in->call = INJECT_OVER;
}

/* A reply W or X: the process has ended, or the middle or the snapshot. */
static bool has_ended(struct inject_port *p, struct inject_stop *st)
{
	const char *s = strstr(p->reply, ";process:");
	int how = packet_hexbyte(p->reply + 1);
	uint64_t pid = p->in->pid;

	if (s) {
		s += 9;
		packet_number(&s, &pid);
	}
	if (pid == p->in->pid) {
		p->exited = true;
		return inject_fail(p, "the process has ended");
	}
	st->gone = p->gone = true;
	st->signal = how > 0 ? (uint8_t)how : 0;
	return true;
}

bool inject_step(struct inject_port *p, const char *id, uint8_t signal, struct inject_stop *st)
{
	struct inject_out o = { p, 0 };
	const char *s;
	uint64_t v;
	bool named = false, own = false, good;
	char name[INJECT_ID];

	*st = (struct inject_stop){ 0 };
	inject_add_str(&o, signal ? "vCont;S" : "vCont;s");
	if (signal)
		inject_add_hex(&o, &signal, 1);
	inject_add_str(&o, ":");
	inject_add_str(&o, id);
	if (!strcmp(id, p->in->thread) && !signal)
		p->in->call = INJECT_UNHEARD;
	p->in->stepping = 1;
	good = inject_ask(&o);
	if (p->lost)
		return false;
	note_call(p->in, p->reply);
	p->in->stepping = 0;
	if (!good)
		return false;
	s = p->reply;
	if (*s == 'W' || *s == 'X')
		return has_ended(p, st);
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

bool inject_take_signal(struct inject_port *p, uint8_t number)
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

	note_call(in, reply);
	/* Another thread's stays with that. */
	if (signal >= 0 && strstr(reply, in->thread) && signal != GDB_SIGTRAP &&
	    in->stage == INJECT_CALLING) {
		if (signal == GDB_SIGSYS)
			in->sigsys = 1;
		else
			in->coming = (uint8_t)signal;
	}
}

/* Posted: it goes out with the step. */
bool inject_prepare(struct inject_port *p, const char *id, const uint8_t *base, uint32_t len,
		    uint32_t nr, const uint64_t args[6])
{
	const struct inject_machine *m = &p->in->m;

	if (base != p->regs)
		memcpy(p->regs, base, len);
	if (!strcmp(id, p->in->thread))
		p->in->call_nr = nr;
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

/* A filter did something else than to refuse. */
static bool filtered(struct inject_port *p, const char *id, const struct inject_stop *st)
{
	struct inject *in = p->in;

	if (st->gone)
		return inject_fail(p, "a seccomp filter kills for a system call");
	if (st->signal == GDB_SIGALRM)
		return inject_fail(p, "a seccomp filter gives a system call to somebody who does "
				      "not answer");
	/* It is never to be delivered: the thread did not make this call. */
	if (!strcmp(id, in->thread))
		in->sigsys = 1;
	return inject_fail(p, "a seccomp filter traps a system call");
}

bool inject_finish(struct inject_port *p, const char *id, char *child, int64_t *ret)
{
	const struct inject_machine *m = &p->in->m;
	uint64_t at = m->code_at + m->call_off, pc;
	struct inject_stop st;
	int64_t got;
	uint32_t len;

	for (int i = 0; i < INJECT_STEPS; i++) {
		bool over;

		if (!inject_step(p, id, 0, &st))
			return false;
		if (st.gone || (!st.other && st.signal == GDB_SIGSYS))
			return filtered(p, id, &st);
		if (st.forked && child && !st.other) {
			memcpy(child, st.child, INJECT_ID);
			return true;
		}
		/* Events come before a call's end. */
		if (st.event && !st.other)
			continue;
		over = !st.other && st.signal == GDB_SIGTRAP;
		if (!over && !st.other && !strcmp(id, p->in->thread) &&
		    !inject_take_signal(p, st.signal))
			return false;
		if (over && !ret)
			return true;
		if (!inject_get_regs(p, id, &len))
			return false;
		pc = inject_get_word(m, p->regs, m->pc);
		if (pc == at) /* an alarm that rang before, too */
			continue;
		if (!st.other && st.signal == GDB_SIGALRM && strcmp(id, p->in->thread) != 0)
			return filtered(p, id, &st);
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

bool inject_call(struct inject_port *p, uint32_t nr, const uint64_t args[6], int64_t *ret)
{
	struct inject *in = p->in;

	return inject_prepare(p, in->thread, in->saved, in->saved_len, nr, args) &&
	       inject_finish(p, in->thread, NULL, ret);
}

bool inject_kill(struct inject_port *p, uint64_t pid)
{
	return inject_ask_num(p, "vKill;", pid) &&
	       (inject_is_ok(p) || inject_fail(p, "the stub does not end the snapshot"));
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

bool inject_take_thread(struct inject_port *p)
{
	struct inject *in = p->in;

	if (!inject_choose(p))
		return inject_fail(p, "no thread is where a system call can be put in");
	/* The stub gives it what it last said of it; soon that is something else. */
	if (in->stop_signal && in->stop_signal != GDB_SIGTRAP &&
	    !strcmp(in->stop_thread, in->thread))
		return inject_take_signal(p, in->stop_signal);
	return true;
}
