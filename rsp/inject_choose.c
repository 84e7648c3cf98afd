/*
 * Which thread is made to call: one that waits in a system call if there is one, else one that runs
 * the program's own code.  And which threads the stub holds, those of other processes among them.
 */
#include "rsp/inject_int.h"

#include <string.h>

#include "rsp/packet.h"
#include "rsp/signals.h"

enum { LISTED_AT_ONCE = 8 };

bool inject_threads(struct inject_port *p,
		    bool (*each)(struct inject_port *p, const char *id, uint64_t pid))
{
	struct inject_out first = { p, 0 };
	unsigned under_way = 1;
	bool end = false;
	size_t n = 0;
	uint64_t pid;

	inject_add_str(&first, "qfThreadInfo");
	if (!inject_send(&first))
		return false;
	while (under_way) {
		/* One thread a reply; past the end it is the end again. */
		while (!end && under_way < LISTED_AT_ONCE) {
			struct inject_out o = { p, 0 };

			inject_add_str(&o, "qsThreadInfo");
			if (!inject_send(&o))
				return false;
			under_way++;
		}
		inject_hear(p);
		if (p->lost)
			return false;
		under_way--;
		end = end || p->reply[0] != 'm';
		for (const char *s = p->reply; !end && *s;) {
			char id[INJECT_ID];

			s++;
			if (!inject_take_id(&s, &pid, id) || (*s && *s != ',')) {
				inject_fail(p, "the stub's list of threads makes no sense");
				end = true;
				n = 0;
				break;
			}
			/* Children are few; threads of the process, enough to choose from. */
			if (n < INJECT_THREADS && (pid != p->in->pid || n < INJECT_THREADS - 4))
				memcpy(p->ids[n++], id, INJECT_ID);
		}
	}
	for (size_t i = 0; i < n && !p->lost; i++) {
		if (each(p, p->ids[i], inject_id_pid(p->ids[i])))
			return true;
	}
	return false;
}

static bool send_code(struct inject_port *p)
{
	struct inject_out o = { p, 0 };

	inject_add_str(&o, "m");
	inject_add_num(&o, p->in->m.code_at);
	inject_add_str(&o, ",");
	inject_add_num(&o, p->in->m.code_len);
	return inject_send(&o);
}

static bool hear_code(struct inject_port *p)
{
	const struct inject_machine *m = &p->in->m;
	bool same;

	if (!inject_hear(p))
		return false;
	same = p->reply_len == 2u * m->code_len;
	for (unsigned i = 0; i < m->code_len && same; i++)
		same = packet_hexbyte(p->reply + 2 * i) == m->code[i];
	return same || inject_fail(p, "the program's code is not what its file says");
}

/* By p->regs: the thread waits in a system call (in_call), or is in the program's code.  It is
 * in no restartable sequence, no signal handler, and has nothing half-done. */
static bool thread_fits(const struct inject_port *p, bool in_call)
{
	const struct inject_machine *m = &p->in->m;
	uint64_t pc = inject_get_word(m, p->regs, m->pc);

	if (m->restart == UINT16_MAX)
		return in_call && pc >= m->text && pc < m->text_end &&
		       inject_get_word(m, p->regs, m->nr) == m->nr_wait &&
		       !inject_get_word(m, p->regs, m->args[m->wait_limit]);
	/* In the middle of making a thread or a child. */
	if (inject_unfinished(m, (int64_t)inject_get_word(m, p->regs, m->ret)))
		return false;
	return in_call ? !(inject_get_word(m, p->regs, m->restart) >> 63) :
			 pc >= m->text && pc < m->text_end;
}

/* Asks at once for all that must hold, and takes the thread if it does. */
static bool choose(struct inject_port *p, const char *id, uint64_t pid, bool in_call)
{
	struct inject *in = p->in;
	const char *s = strchr(id, '.');
	struct inject_status st;
	bool good, code, known;
	uint64_t tid;
	uint32_t len;

	if (pid != in->pid || !s++ || !packet_number(&s, &tid))
		return false;
	if (!inject_post_id(p, "Hg", id) || !inject_send_get(p) || !send_code(p) ||
	    !inject_send_status(p, pid, tid))
		return false;
	good = inject_hear_regs(p, &len) && thread_fits(p, in_call);
	if (good) {
		memcpy(in->saved, p->regs, len);
		in->saved_len = len;
	}
	code = !p->lost && hear_code(p);
	if (p->lost)
		return false;
	known = inject_hear_status(p, &st) && st.levels;
	if (!good || !code)
		return false;
	if (!known)
		return inject_fail(p, "the stub cannot read /proc");
	if (st.seccomp && !in->m.seccomp)
		return inject_fail(
			p,
			"a seccomp filter is on, which could refuse the system calls or kill for "
			"them");
	if (st.seccomp && (st.seccomp != 2 || st.filters != 1))
		return inject_fail(p, "a thread has a seccomp filter of its own");
	if (st.sig_blocked >> (LINUX_SIGCHLD - 1) & 1)
		return false;
	/* The middle, which has its mask, is to be interrupted if a call does not end. */
	if (st.seccomp && in->m.seccomp == INJECT_UNKNOWN &&
	    (st.sig_blocked >> (LINUX_SIGALRM - 1) & 1))
		return false;
	in->probe = st.seccomp != 0;
	in->adopts = st.pids[st.levels - 1] == 1;
	in->init = in->adopts || in->m.own_child;
	memcpy(in->thread, id, INJECT_ID);
	p->why = NULL; /* another thread's */
	return true;
}

static bool choose_likely(struct inject_port *p)
{
	struct inject *in = p->in;
	struct inject_out o = { p, 0 };
	char id[INJECT_ID];

	if (!in->likely)
		return false;
	inject_add_str(&o, "p");
	inject_add_num(&o, in->pid);
	inject_add_str(&o, ".");
	inject_add_num(&o, in->likely);
	memcpy(id, p->cmd, o.len);
	id[o.len] = 0;
	return choose(p, id, in->pid, true);
}

static bool choose_waiting(struct inject_port *p, const char *id, uint64_t pid)
{
	return choose(p, id, pid, true);
}

static bool choose_running(struct inject_port *p, const char *id, uint64_t pid)
{
	return choose(p, id, pid, false);
}

bool inject_choose(struct inject_port *p)
{
	return choose_likely(p) || (!p->why && (inject_threads(p, choose_waiting) ||
						(!p->why && inject_threads(p, choose_running))));
}
