#include "rsp/inject.h"

#include <string.h>
#include <time.h>

#include "rsp/packet.h"

/* Linux's, the same for every architecture. */
enum {
	L_SIGCHLD = 17,
	L_SIGTRAP = 5,
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
	L_ENOSYS = 38,
	L_ERESTARTSYS = 512, /* to L_ERESTART_RESTARTBLOCK: the kernel makes the call again */
	L_ERESTART_RESTARTBLOCK = 516,
	L_SA_RESTORER = 0x04000000,
	L_SIGINFO_PID = 16, /* of 64-bit machines */
};

/* SIGCHLD, SIGCONT, SIGURG, SIGWINCH: nothing happens unless there is a handler. */
static const uint64_t L_IGNORED = 1ull << 16 | 1ull << 17 | 1ull << 22 | 1ull << 27;

enum {
	GDB_SIGTRAP = 5,
	GDB_SIGSTOP = 0x11,
	GDB_SIGCHLD = 0x14,
	END_TRIES = 10,
	STEPS_MAX = 64, /* of one call: itself, an event, signals */
	RED_ZONE = 128,
};

/* ------------------------------------------------------------------ packets */

/* A packet in the making, in p->cmd. */
struct packet_out {
	struct inject_port *p;
	size_t len;
};

static void add(struct packet_out *o, const void *data, size_t len)
{
	if (len > sizeof(o->p->cmd) - o->len)
		len = 0; /* none is as long: INJECT_REGS bounds them */
	memcpy(o->p->cmd + o->len, data, len);
	o->len += len;
}

static void add_str(struct packet_out *o, const char *s)
{
	add(o, s, strlen(s));
}

static void add_num(struct packet_out *o, uint64_t v)
{
	char digits[16];
	int i = 16;

	do
		digits[--i] = "0123456789abcdef"[v & 15];
	while (v >>= 4);
	add(o, digits + i, (size_t)(16 - i));
}

static void add_hex(struct packet_out *o, const void *data, size_t len)
{
	const uint8_t *b = data;

	for (size_t i = 0; i < len; i++) {
		char two[2] = { "0123456789abcdef"[b[i] >> 4], "0123456789abcdef"[b[i] & 15] };

		add(o, two, 2);
	}
}

static void add_binary(struct packet_out *o, const void *data, size_t len)
{
	const uint8_t *b = data;

	for (size_t i = 0; i < len; i++) {
		uint8_t esc[2] = { '}', b[i] ^ 0x20 };
		bool special = b[i] == '#' || b[i] == '$' || b[i] == '}' || b[i] == '*';

		add(o, special ? esc : &b[i], special ? 2 : 1);
	}
}

static bool fail(struct inject_port *p, const char *why)
{
	if (!p->why)
		p->why = why;
	return false;
}

static bool ask(struct packet_out *o)
{
	struct inject_port *p = o->p;

	if (p->lost || !p->ask(p, p->cmd, o->len)) {
		p->lost = true;
		return fail(p, "the stub does not answer");
	}
	return true;
}

static bool ask_str(struct inject_port *p, const char *cmd)
{
	struct packet_out o = { p, 0 };

	add_str(&o, cmd);
	return ask(&o);
}

static bool ask_id(struct inject_port *p, const char *cmd, const char *id)
{
	struct packet_out o = { p, 0 };

	add_str(&o, cmd);
	add_str(&o, id);
	return ask(&o);
}

static bool ask_num(struct inject_port *p, const char *cmd, uint64_t v)
{
	struct packet_out o = { p, 0 };

	add_str(&o, cmd);
	add_num(&o, v);
	return ask(&o);
}

static bool is_ok(const struct inject_port *p)
{
	return !strcmp(p->reply, "OK");
}

static bool take_num(const char **s, uint64_t *ret)
{
	const char *p = *s;
	uint64_t v = 0;

	for (; packet_hexval((uint8_t)*p) >= 0; p++) {
		if (v >> 60)
			return false;
		v = v << 4 | (uint64_t)packet_hexval((uint8_t)*p);
	}
	if (p == *s)
		return false;
	*s = p;
	*ret = v;
	return true;
}

/* pPID.TID up to a `,`, `;` or the end; *ret gets PID, id (INJECT_ID bytes) a copy. */
static bool take_id(const char **s, uint64_t *ret, char *id)
{
	const char *p = *s, *start = *s;
	uint64_t tid;

	if (*p++ != 'p' || !take_num(&p, ret) || *p++ != '.' || !take_num(&p, &tid) || !*ret || !tid ||
	    (size_t)(p - start) >= INJECT_ID)
		return false;
	memcpy(id, start, (size_t)(p - start));
	id[p - start] = 0;
	*s = p;
	return true;
}

static uint64_t id_pid(const char *id)
{
	uint64_t pid = 0;
	char copy[INJECT_ID];

	return take_id(&id, &pid, copy) ? pid : 0;
}

/* ------------------------------------------------------------------ registers */

static uint64_t get_word(const struct inject_machine *m, const uint8_t *regs, uint16_t off)
{
	return bytes_word(m->fmt, regs + off);
}

static void set_word(const struct inject_machine *m, uint8_t *regs, uint16_t off, uint64_t v)
{
	for (unsigned i = 0; i < m->fmt.word; i++)
		regs[off + i] = (uint8_t)(v >> 8 * (m->fmt.big ? m->fmt.word - 1 - i : i));
}

/* Into p->regs. */
static bool get_regs(struct inject_port *p, const char *id, uint32_t *len)
{
	if (!ask_id(p, "Hg", id) || !is_ok(p))
		return fail(p, "the stub does not know a thread");
	if (!ask_str(p, "g"))
		return false;
	if (p->reply_len < 2 || p->reply_len % 2 || p->reply_len / 2 > INJECT_REGS)
		return fail(p, "the stub does not say all registers of a thread");
	*len = (uint32_t)(p->reply_len / 2);
	for (size_t i = 0; i < *len; i++) {
		int hi = packet_hexval((uint8_t)p->reply[2 * i]), lo = packet_hexval((uint8_t)p->reply[2 * i + 1]);

		/* What it cannot say it could not be given back. */
		if (hi < 0 || lo < 0)
			return fail(p, "the stub does not say all registers of a thread");
		p->regs[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

static bool set_regs(struct inject_port *p, const char *id, const uint8_t *regs, uint32_t len)
{
	struct packet_out o = { p, 0 };

	if (!ask_id(p, "Hg", id) || !is_ok(p))
		return fail(p, "the stub does not know a thread");
	add_str(&o, "G");
	add_hex(&o, regs, len);
	if (!ask(&o))
		return false;
	return is_ok(p) || fail(p, "the stub does not write registers");
}

/* ------------------------------------------------------------------ files */

/* A small file's beginning, in p->reply; what a stub without files says is no file. */
static bool read_file(struct inject_port *p, const char *path)
{
	struct packet_out o = { p, 0 };
	const char *s, *data = NULL;
	uint64_t fd, n;
	size_t len = 0;
	bool ok;

	add_str(&o, "vFile:open:");
	add_hex(&o, path, strlen(path));
	add_str(&o, ",0,0");
	if (!ask(&o))
		return false;
	s = p->reply + 1;
	if (p->reply[0] != 'F' || !take_num(&s, &fd))
		return false;
	o.len = 0;
	add_str(&o, "vFile:pread:");
	add_num(&o, fd);
	add_str(&o, ",2000,0");
	if (!ask(&o))
		return false;
	s = p->reply + 1;
	ok = p->reply[0] == 'F' && take_num(&s, &n) && *s == ';';
	if (ok) {
		data = s + 1;
		for (size_t i = (size_t)(data - p->reply); i < p->reply_len; i++) {
			bool esc = p->reply[i] == '}' && i + 1 < p->reply_len;

			i += esc;
			p->reply[len++] = esc ? p->reply[i] ^ 0x20 : p->reply[i];
		}
	}
	p->reply[len] = 0;
	/* Parked: the close has a reply, too. */
	if (ok) {
		memmove(p->regs, p->reply, len < INJECT_REGS ? len + 1 : INJECT_REGS);
		p->regs[INJECT_REGS - 1] = 0;
	}
	if (!ask_num(p, "vFile:close:", fd))
		return false;
	if (ok)
		memcpy(p->reply, p->regs, INJECT_REGS);
	return ok;
}

static void write_file(struct inject_port *p, const char *path, const char *text)
{
	struct packet_out o = { p, 0 };
	const char *s;
	uint64_t fd;

	add_str(&o, "vFile:open:");
	add_hex(&o, path, strlen(path));
	add_str(&o, ",1,0"); /* for writing */
	if (!ask(&o))
		return;
	s = p->reply + 1;
	if (p->reply[0] != 'F' || !take_num(&s, &fd))
		return;
	o.len = 0;
	add_str(&o, "vFile:pwrite:");
	add_num(&o, fd);
	add_str(&o, ",0,");
	add_binary(&o, text, strlen(text));
	if (ask(&o))
		ask_num(p, "vFile:close:", fd);
}

struct status {
	uint64_t parent, sig_blocked, sig_ignored, sig_caught;
	unsigned levels; /* of pid namespaces, from the stub's on */
	uint64_t pids[16]; /* the process's id in each */
	bool seccomp;
};

static uint64_t take_decimal(const char **s)
{
	uint64_t v = 0;

	while (**s == ' ' || **s == '\t')
		++*s;
	for (; **s >= '0' && **s <= '9'; ++*s)
		v = v * 10 + (uint64_t)(**s - '0');
	return v;
}

static uint64_t field_hex(const char *text, const char *name)
{
	const char *s = strstr(text, name);
	uint64_t v = 0;

	if (!s)
		return 0;
	s += strlen(name);
	while (*s == ' ' || *s == '\t')
		s++;
	take_num(&s, &v);
	return v;
}

/* /proc/PID/task/TID/status; tid 0: the process's. */
static bool read_status(struct inject_port *p, uint64_t pid, uint64_t tid, struct status *st)
{
	char path[80] = "/proc/", digits[20];
	const char *s;

	memset(st, 0, sizeof(*st));
	for (int k = 0; k < 2; k++) {
		uint64_t v = k ? tid : pid;
		int i = 20;

		if (k && !tid)
			break;
		if (k)
			strcat(path, "/task/");
		do
			digits[--i] = (char)('0' + v % 10);
		while (v /= 10);
		strncat(path, digits + i, (size_t)(20 - i));
	}
	strcat(path, "/status");
	if (!read_file(p, path))
		return false;
	s = strstr(p->reply, "\nPPid:");
	if (s) {
		s += 6;
		st->parent = take_decimal(&s);
	}
	s = strstr(p->reply, "\nNStgid:");
	if (s) {
		for (s += 8; *s == '\t' || *s == ' ';) {
			uint64_t v = take_decimal(&s);

			if (v && st->levels < 16)
				st->pids[st->levels++] = v;
		}
	}
	s = strstr(p->reply, "\nSeccomp:");
	if (s) {
		s += 9;
		st->seccomp = take_decimal(&s) != 0;
	}
	st->sig_blocked = field_hex(p->reply, "\nSigBlk:");
	st->sig_ignored = field_hex(p->reply, "\nSigIgn:");
	st->sig_caught = field_hex(p->reply, "\nSigCgt:");
	return true;
}

/* ------------------------------------------------------------------ steps */

struct stop {
	uint8_t signal;	       /* gdb's number */
	bool forked;	       /* ... and whom: */
	bool event;	       /* any event of ptrace */
	bool other;	       /* another thread stopped first; it keeps its signal for when it is let go */
	char child[INJECT_ID];
};

/* One instruction of one thread; signal 0: none is passed. */
static bool step(struct inject_port *p, const char *id, uint8_t signal, struct stop *st)
{
	struct packet_out o = { p, 0 };
	const char *s;
	uint64_t v;
	bool named = false, own = false;
	char name[INJECT_ID];

	*st = (struct stop){ 0 };
	add_str(&o, signal ? "vCont;S" : "vCont;s");
	if (signal)
		add_hex(&o, &signal, 1);
	add_str(&o, ":");
	add_str(&o, id);
	p->in->stepping = 1;
	if (!ask(&o))
		return false;
	p->in->stepping = 0;
	s = p->reply;
	if (*s == 'W' || *s == 'X') {
		p->exited = true;
		return fail(p, "the process has ended");
	}
	if (*s != 'T' || packet_hexval((uint8_t)s[1]) < 0 || packet_hexval((uint8_t)s[2]) < 0)
		return fail(p, "the stub does not step a thread");
	st->signal = (uint8_t)(packet_hexval((uint8_t)s[1]) << 4 | packet_hexval((uint8_t)s[2]));
	for (s += 3; *s; s = *s ? s + 1 : s) {
		const char *key = s, *val = strchr(s, ':');
		size_t n;

		if (!val)
			break;
		n = (size_t)(val - key);
		s = val + 1;
		if ((n == 4 && !memcmp(key, "fork", 4)) || (n == 5 && !memcmp(key, "vfork", 5)))
			st->forked = st->event = take_id(&s, &v, st->child);
		else if (n == 9 && !memcmp(key, "vforkdone", 9))
			st->event = true;
		else if (n == 6 && !memcmp(key, "thread", 6))
			named = take_id(&s, &v, name);
		s = strchr(s, ';');
		if (!s)
			break;
	}
	own = named && !strcmp(name, id);
	st->other = !own;
	return (named && (own || id_pid(name) == p->in->pid)) ||
	       fail(p, "the stub stepped another process than it was told to");
}

/* T stopped with a signal of its own: ours (the end of a child of ours), or one that it is to get afterwards. */
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
	if (!ask_id(p, "Hg", in->thread) || !ask_str(p, "qXfer:siginfo:read::0,80"))
		return false;
	if (p->reply[0] == 'l' || p->reply[0] == 'm') {
		for (size_t i = 1; i < p->reply_len && len < INJECT_SIGINFO; i++) {
			bool esc = p->reply[i] == '}' && i + 1 < p->reply_len;

			i += esc;
			sig.info[len++] = (uint8_t)(esc ? p->reply[i] ^ 0x20 : p->reply[i]);
		}
	}
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
		return fail(p, "more signals came than can be kept");
	in->signals[in->nsignals] = sig;
	in->nsignals++;
	in->coming = 0;
	return true;
}

void inject_heard(struct inject *in, const char *reply)
{
	int hi = *reply == 'T' ? packet_hexval((uint8_t)reply[1]) : -1, lo = hi < 0 ? -1 : packet_hexval((uint8_t)reply[2]);

	/* Another thread's stays with that. */
	if (lo >= 0 && strstr(reply, in->thread) && (hi << 4 | lo) != GDB_SIGTRAP && in->stage == INJECT_CALLING)
		in->coming = (uint8_t)(hi << 4 | lo);
}

static bool prepare(struct inject_port *p, const char *id, const uint8_t *base, uint32_t len, uint32_t nr,
		    const uint64_t args[6])
{
	const struct inject_machine *m = &p->in->m;

	if (base != p->regs)
		memcpy(p->regs, base, len);
	set_word(m, p->regs, m->nr, nr);
	set_word(m, p->regs, m->pc, m->code_at + m->call_off);
	set_word(m, p->regs, m->restart, UINT64_MAX); /* or an interrupted call of its own would be made */
	for (int i = 0; i < 6; i++)
		set_word(m, p->regs, m->args[i], args[i]);
	return set_regs(p, id, p->regs, len);
}

/*
 * Steps until the system call that pc is at is over (ret gets its result), or, with child, until it has
 * made one (INJECT_ID bytes; it may stay empty).  Signals of T are kept, of others ignored.  Never a step too far:
 * exit() comes next.
 */
static bool finish(struct inject_port *p, const char *id, char *child, int64_t *ret)
{
	const struct inject_machine *m = &p->in->m;
	uint64_t at = m->code_at + m->call_off, pc;
	struct stop st;
	uint32_t len;

	for (int i = 0; i < STEPS_MAX; i++) {
		bool over;

		if (!step(p, id, 0, &st))
			return false;
		if (st.forked && child && !st.other) {
			memcpy(child, st.child, INJECT_ID);
			return true;
		}
		over = !st.other && !st.event && st.signal == GDB_SIGTRAP;
		if (!over && !st.other && !st.event && !strcmp(id, p->in->thread) && !take_signal(p, st.signal))
			return false;
		if (!get_regs(p, id, &len))
			return false;
		pc = get_word(m, p->regs, m->pc);
		if (pc == at)
			continue;
		if (pc != at + m->call_len)
			return fail(p, "a system call in the process went astray");
		*ret = (int64_t)get_word(m, p->regs, m->ret);
		if (over || (*ret != -L_ENOSYS && (*ret > -L_ERESTARTSYS || *ret < -L_ERESTART_RESTARTBLOCK)))
			return true;
	}
	return fail(p, "a system call in the process does not end");
}

/* One whole call on T. */
static bool call(struct inject_port *p, uint32_t nr, const uint64_t args[6], int64_t *ret)
{
	struct inject *in = p->in;

	return prepare(p, in->thread, in->saved, in->saved_len, nr, args) && finish(p, in->thread, NULL, ret);
}

/*
 * Has a child of the process something to say that the process has not heard yet?  The address is bad on purpose: it is
 * written to, and fails, only if there is one.
 */
static bool children_wait(struct inject_port *p, bool *ret)
{
	static const uint64_t args[6] = {
		0, 0, 0, L_WEXITED | L_WSTOPPED | L_WCONTINUED | L_WNOHANG | L_WNOWAIT, 1,
	};
	int64_t got;

	if (!call(p, p->in->m.nr_waitid, args, &got))
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
 * A child of the process that has ended; none is no error.  One SIGCHLD may stand for several children: if
 * another ended, too, and has none of its own, it is passed on.
 */
static bool reap(struct inject_port *p, uint64_t pid, int64_t *ret)
{
	struct inject *in = p->in;
	const uint64_t args[6] = { pid, 0, L_WALL };
	int64_t again;
	bool others;

	in->expect = pid;
	if (!call(p, in->m.nr_wait4, args, ret))
		return false;
	if (in->waiting == pid)
		in->waiting = 0;
	if (in->ate_chld) {
		/* The second call is for a signal that is on its way: a thread is told of it before its next step. */
		if (!children_wait(p, &others) || (others && !call(p, in->m.nr_wait4, args, &again)))
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
	return ask_num(p, "vKill;", pid) && (is_ok(p) || fail(p, "the stub does not end the snapshot"));
}

/* ------------------------------------------------------------------ choosing a thread */

/*
 * Calls each for every thread that the stub holds, until that returns true.  The list is taken first: what each does is
 * talk, too.
 */
static bool threads(struct inject_port *p, bool (*each)(struct inject_port *p, const char *id, uint64_t pid))
{
	size_t n = 0;
	uint64_t pid;

	if (!ask_str(p, "qfThreadInfo"))
		return false;
	while (p->reply[0] == 'm') {
		const char *s = p->reply + 1;

		for (;; s++) {
			char id[INJECT_ID];

			if (!take_id(&s, &pid, id) || (*s && *s != ','))
				return fail(p, "the stub's list of threads makes no sense");
			/* Children are few; threads of the process, enough to choose from. */
			if (n < INJECT_THREADS && (pid != p->in->pid || n < INJECT_THREADS - 4))
				memcpy(p->ids[n++], id, INJECT_ID);
			if (!*s)
				break;
		}
		if (!ask_str(p, "qsThreadInfo"))
			return false;
	}
	for (size_t i = 0; i < n && !p->lost; i++) {
		if (each(p, p->ids[i], id_pid(p->ids[i])))
			return true;
	}
	return false;
}

/* A thread that waits in a system call: no restartable sequence, no signal handler, nothing half-done. */
static bool choose(struct inject_port *p, const char *id, uint64_t pid, bool in_call)
{
	struct inject *in = p->in;
	const char *s = strchr(id, '.');
	uint64_t tid, pc;
	struct status st;
	uint32_t len;

	if (pid != in->pid || !s++ || !take_num(&s, &tid) || !get_regs(p, id, &len))
		return false;
	pc = get_word(&in->m, p->regs, in->m.pc);
	/* In the middle of making a thread or a child. */
	if ((int64_t)get_word(&in->m, p->regs, in->m.ret) == -L_ENOSYS)
		return false;
	if (in_call ? get_word(&in->m, p->regs, in->m.restart) >> 63 : pc < in->m.text || pc >= in->m.text_end)
		return false;
	memcpy(in->saved, p->regs, len);
	in->saved_len = len;
	if (!read_status(p, pid, tid, &st) || !st.levels)
		return fail(p, "the stub cannot read /proc");
	if (st.seccomp)
		return fail(p, "a seccomp filter is on, which could refuse the system calls or kill for them");
	if (st.sig_blocked >> (L_SIGCHLD - 1) & 1)
		return false;
	in->init = st.pids[st.levels - 1] == 1;
	memcpy(in->thread, id, INJECT_ID);
	p->why = NULL; /* another thread's */
	return true;
}

static bool choose_waiting(struct inject_port *p, const char *id, uint64_t pid)
{
	return choose(p, id, pid, true);
}

static bool choose_running(struct inject_port *p, const char *id, uint64_t pid)
{
	return choose(p, id, pid, false);
}

static bool choose_thread(struct inject_port *p)
{
	struct inject *in = p->in;

	if (!threads(p, choose_waiting) && (p->why || !threads(p, choose_running)))
		return fail(p, "no thread is where a system call can be put in");
	/* The stub gives it what it last said of it; soon that is something else. */
	if (in->stop_signal && in->stop_signal != GDB_SIGTRAP && !strcmp(in->stop_thread, in->thread))
		return take_signal(p, in->stop_signal);
	return true;
}

/* Whom the stop is about, from a stop reply. */
static void note_stop(struct inject_port *p)
{
	const char *s = strstr(p->reply, "thread:");
	uint64_t pid;

	p->in->stop_signal = 0;
	p->in->stop_thread[0] = 0;
	if (p->reply[0] != 'T' || !s || packet_hexval((uint8_t)p->reply[1]) < 0 || packet_hexval((uint8_t)p->reply[2]) < 0)
		return;
	s += 7;
	if (take_id(&s, &pid, p->in->stop_thread))
		p->in->stop_signal = (uint8_t)(packet_hexval((uint8_t)p->reply[1]) << 4 | packet_hexval((uint8_t)p->reply[2]));
}

/*
 * After vAttach, gdbserver takes only the thread that it told of for one that is to stay stopped: vKill of another process
 * lets the others run (seen).  `?` tells it of all.
 */
static bool hold_all(struct inject_port *p)
{
	if (!ask_str(p, "?"))
		return false;
	note_stop(p);
	return true;
}

static bool check_code(struct inject_port *p)
{
	const struct inject_machine *m = &p->in->m;
	struct packet_out o = { p, 0 };
	char want[2 * INJECT_CODE + 1];

	for (unsigned i = 0; i < m->code_len; i++) {
		want[2 * i] = "0123456789abcdef"[m->code[i] >> 4];
		want[2 * i + 1] = "0123456789abcdef"[m->code[i] & 15];
	}
	want[2 * m->code_len] = 0;
	if (!ask_id(p, "Hg", p->in->thread))
		return false;
	add_str(&o, "m");
	add_num(&o, m->code_at);
	add_str(&o, ",");
	add_num(&o, m->code_len);
	return ask(&o) && (!strcmp(p->reply, want) || fail(p, "the program's code is not what its file says"));
}

/* ------------------------------------------------------------------ the way back */

/* T's own registers; until it runs this may be done again. */
static bool restore(struct inject_port *p)
{
	struct inject *in = p->in;
	uint32_t len;

	if (!set_regs(p, in->thread, in->saved, in->saved_len) || !get_regs(p, in->thread, &len))
		return false;
	return (len == in->saved_len && !memcmp(p->regs, in->saved, len)) ||
	       fail(p, "a thread did not get its registers back");
}

/*
 * The signals that came while T was ours, as the kernel would have delivered them: with what they say of
 * themselves, to the handler's first instruction.
 */
static bool deliver(struct inject_port *p)
{
	struct inject *in = p->in;
	uint64_t pc = get_word(&in->m, in->saved, in->m.pc);
	struct status st;
	struct stop stop;
	uint32_t len;

	if (!in->nsignals)
		return true;
	/* We may have died after one was delivered and before that was written down. */
	if (!get_regs(p, in->thread, &len))
		return false;
	if (get_word(&in->m, p->regs, in->m.pc) != pc)
		in->nsignals--;
	if (!read_status(p, in->pid, 0, &st))
		return fail(p, "the stub cannot read /proc");
	while (in->nsignals) {
		const struct inject_signal *sig = &in->signals[in->nsignals - 1];
		uint32_t host = sig->len >= 4 ? bytes_u32(in->m.fmt, sig->info) : 0;
		uint64_t bit = host >= 1 && host <= 64 ? 1ull << (host - 1) : 0;
		struct packet_out o = { p, 0 };

		/* Without a handler the thread would step through the program instead: most such signals do nothing at
		 * all, the others end or stop it. */
		if (!bit || (st.sig_ignored & bit) || (!(st.sig_caught & bit) && (L_IGNORED >> (host - 1) & 1))) {
			in->nsignals--;
			continue;
		}
		if (!ask_id(p, "Hg", in->thread))
			return false;
		add_str(&o, "qXfer:siginfo:write::0:");
		add_binary(&o, sig->info, sig->len);
		/* Without it the signal comes as one of ours: better than none. */
		if (!ask(&o) || !step(p, in->thread, sig->number, &stop))
			return false;
		for (int i = 0; stop.other && i < STEPS_MAX; i++) {
			if (!get_regs(p, in->thread, &len))
				return false;
			if (get_word(&in->m, p->regs, in->m.pc) != pc)
				break;
			if (!step(p, in->thread, 0, &stop))
				return false;
		}
		in->nsignals--;
	}
	return true;
}

/* M and S stand behind our call; any other process is a child of the process's own (inject_free_others()). */
static bool is_ours(struct inject_port *p, const char *id)
{
	const struct inject_machine *m = &p->in->m;
	uint32_t len;

	return get_regs(p, id, &len) && get_word(m, p->regs, m->pc) == m->code_at + m->call_off + m->call_len;
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
		ask_num(p, "D;", pid);
	return p->lost;
}

bool inject_free_others(struct inject_port *p)
{
	if (p->in->stage != INJECT_SNAPSHOT)
		p->in->snapshot[0] = 0;
	threads(p, free_other);
	return !p->lost;
}

/* S in the process's own namespace, if it is the process's child: somebody has to reap it. */
static uint64_t snapshot_to_reap(struct inject_port *p)
{
	struct inject *in = p->in;
	struct status of_s, of_p;

	if (!read_status(p, id_pid(in->snapshot), 0, &of_s) || of_s.parent != in->pid)
		return 0;
	if (!read_status(p, in->pid, 0, &of_p) || !of_p.levels || of_p.levels > of_s.levels)
		return 0;
	return of_s.pids[of_p.levels - 1];
}

static bool find_snapshot(struct inject_port *p, const char *id, uint64_t pid)
{
	if (pid == p->in->pid || !strcmp(id, p->in->middle) || !is_ours(p, id))
		return false;
	memcpy(p->in->snapshot, id, INJECT_ID);
	return true;
}

/*
 * The process is stopped, T somewhere in between.  M ends first, since T may wait for it; then S is nobody's but who it
 * is left to, which may be the process itself.
 */
static bool undo_calling(struct inject_port *p)
{
	struct inject *in = p->in;
	const struct inject_machine *m = &in->m;
	uint64_t at = m->code_at + m->call_off, pc;
	int64_t made = 0, ret;
	uint32_t len;

	if (!in->snapshot[0] && (in->init || in->middle[0]))
		threads(p, find_snapshot);
	if (in->middle[0])
		kill_process(p, id_pid(in->middle));
	if (!in->reap && in->snapshot[0])
		in->reap = snapshot_to_reap(p);
	in->expect = in->reap;
	if (in->coming && !take_signal(p, in->coming))
		return false;
	threads(p, end_other);
	if (p->lost || !get_regs(p, in->thread, &len))
		return false;
	pc = get_word(m, p->regs, m->pc);
	if (pc == at + m->call_len) {
		made = (int64_t)get_word(m, p->regs, m->ret);
		if (made == -L_ENOSYS && !finish(p, in->thread, NULL, &made))
			return false;
	}
	if (made > 0)
		in->waiting = (uint64_t)made;
	/* S first: only who has a signal to send is seen by children_wait(), so that M does not matter. */
	if (in->reap && !reap(p, in->reap, &ret))
		return false;
	if (in->waiting && !reap(p, in->waiting, &ret))
		return false;
	if (!restore(p))
		return false;
	in->stage = INJECT_SIGNALS;
	if (!deliver(p))
		return false;
	in->stage = INJECT_NONE;
	return true;
}

/* S is the process's own child: it is stopped, S ends, and it hears nothing of it. */
static bool end_child(struct inject_port *p, bool *stopped)
{
	static const struct timespec nap = { 0, 2000000 };
	struct inject *in = p->in;
	bool others;

	for (int i = 0;; i++) {
		/* Whatever the answer: it may be attached already, if we died just then. */
		if (!ask_num(p, "vAttach;", in->pid))
			return false;
		*stopped = true;
		if (!hold_all(p))
			return false;
		in->nsignals = 0;
		in->expect = in->waiting = 0;
		in->middle[0] = 0;
		if (!choose_thread(p))
			break;
		/* Another child's end that it has not looked at yet: whose a SIGCHLD is could not be told. */
		in->stage = INJECT_CALLING;
		if (!children_wait(p, &others))
			return false;
		if (!others || i >= END_TRIES)
			return undo_calling(p);
		if (!restore(p))
			return false;
		in->stage = INJECT_SNAPSHOT;
		if (!deliver(p) || !ask_num(p, "D;", in->pid))
			return false;
		*stopped = false;
		if (!inject_free_others(p))
			return false;
		nanosleep(&nap, NULL);
	}
	if (p->lost)
		return false;
	kill_process(p, id_pid(in->snapshot));
	in->stage = INJECT_NONE;
	return fail(p, "the snapshot's end could not be hidden from the process");
}

bool inject_end(struct inject_port *p, bool *stopped)
{
	struct inject *in = p->in;

	*stopped = in->nsignals != 0;
	if (!deliver(p))
		return false;
	in->reap = snapshot_to_reap(p);
	if (p->lost)
		return false;
	if (in->reap)
		return end_child(p, stopped);
	/* It may be gone already: killed for want of memory, or let go. */
	kill_process(p, id_pid(in->snapshot));
	if (p->lost)
		return false;
	in->stage = INJECT_NONE;
	return true;
}

bool inject_undo(struct inject_port *p, bool *stopped)
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
		return inject_end(p, stopped);
	default:
		return true;
	}
}

/* ------------------------------------------------------------------ the way there */

static bool refused(struct inject_port *p, int64_t ret)
{
	p->error = ret;
	return fail(p, "the kernel refuses to fork the process");
}

/* T makes M, M makes S. */
static bool fork_twice(struct inject_port *p)
{
	static const uint64_t make_m[6] = { L_CLONE_VM | L_CLONE_VFORK | L_CLONE_FILES };
	static const uint64_t make_s[6] = { L_CLONE_FILES | L_SIGCHLD };
	struct inject *in = p->in;
	char id[INJECT_ID] = "";
	int64_t ret = 0, reaped;
	uint32_t len;

	if (!prepare(p, in->thread, in->saved, in->saved_len, in->m.nr_clone, make_m) ||
	    !finish(p, in->thread, id, &ret))
		return false;
	if (!*id)
		return refused(p, ret);
	memcpy(in->middle, id, INJECT_ID);
	*id = 0;
	if (!get_regs(p, in->middle, &len) || !prepare(p, in->middle, p->regs, len, in->m.nr_clone, make_s) ||
	    !finish(p, in->middle, id, &ret))
		return false;
	if (!*id)
		return refused(p, ret);
	memcpy(in->snapshot, id, INJECT_ID);
	if (!kill_process(p, id_pid(in->middle)) || !finish(p, in->thread, NULL, &ret))
		return false;
	in->waiting = ret > 0 ? (uint64_t)ret : 0;
	if (ret <= 0 || !reap(p, (uint64_t)ret, &reaped) || reaped != ret)
		return fail(p, "the process could not be rid of the child in the middle");
	return true;
}

/* T makes S. */
static bool fork_once(struct inject_port *p)
{
	static const uint64_t make_s[6] = { L_CLONE_FILES | L_SIGCHLD };
	struct inject *in = p->in;
	char id[INJECT_ID] = "";
	int64_t ret = 0;

	if (!prepare(p, in->thread, in->saved, in->saved_len, in->m.nr_clone, make_s) ||
	    !finish(p, in->thread, id, &ret))
		return false;
	if (!*id)
		return refused(p, ret);
	memcpy(in->snapshot, id, INJECT_ID);
	if (!finish(p, in->thread, NULL, &ret))
		return false;
	in->reap = ret > 0 ? (uint64_t)ret : 0;
	return ret > 0 || refused(p, ret);
}

bool inject_fork(struct inject_port *p)
{
	struct inject *in = p->in;

	in->middle[0] = in->snapshot[0] = in->thread[0] = 0;
	in->reap = in->expect = in->waiting = 0;
	in->ate_chld = false;
	in->coming = 0;
	in->nsignals = 0;
	if (!hold_all(p))
		return false;
	if (!choose_thread(p) || !check_code(p))
		return false;
	in->stage = INJECT_CALLING;
	if (!(in->init ? fork_once(p) : fork_twice(p)) || !restore(p))
		return false;
	in->stage = INJECT_SNAPSHOT;
	return deliver(p);
}

/*
 * It could run on only if the stub were killed, and would exit; but stepping leaves a trap behind, which must not
 * start the program's handler: that gets the same exit.
 */
bool inject_settle(struct inject_port *p)
{
	struct inject *in = p->in;
	const struct inject_machine *m = &in->m;
	uint8_t act[32] = { 0 };
	struct packet_out o = { p, 0 };
	char path[40] = "/proc/", digits[20];
	uint64_t at, v = id_pid(in->snapshot);
	int64_t ret;
	uint32_t len;
	int i = 20;

	do
		digits[--i] = (char)('0' + v % 10);
	while (v /= 10);
	strncat(path, digits + i, (size_t)(20 - i));
	strcat(path, "/oom_score_adj");
	write_file(p, path, "1000");
	if (p->lost || !get_regs(p, in->snapshot, &len))
		return false;
	/* struct sigaction, as the kernel has it, below its stack: its memory is its own. */
	at = (get_word(m, p->regs, m->sp) - RED_ZONE - 64) & ~(uint64_t)15;
	set_word(m, act, 0, m->code_at);
	set_word(m, act, m->fmt.word, L_SA_RESTORER);
	set_word(m, act, (uint16_t)(2 * m->fmt.word), m->code_at);
	add_str(&o, "M");
	add_num(&o, at);
	add_str(&o, ",");
	add_num(&o, sizeof(act));
	add_str(&o, ":");
	add_hex(&o, act, sizeof(act));
	if (!ask(&o))
		return false;
	if (is_ok(p) &&
	    (!prepare(p, in->snapshot, p->regs, len, m->nr_sigaction, (uint64_t[6]){ L_SIGTRAP, at, 0, 8 }) ||
	     !finish(p, in->snapshot, NULL, &ret)))
		return false;
	/* Linux before 5.9 does not know it: then it shares the process's table to the end. */
	if (!get_regs(p, in->snapshot, &len) ||
	    !prepare(p, in->snapshot, p->regs, len, m->nr_close_range,
		     (uint64_t[6]){ 0, UINT32_MAX, L_CLOSE_RANGE_UNSHARE }) ||
	    !finish(p, in->snapshot, NULL, &ret))
		return false;
	return ask_id(p, "Hg", in->snapshot) && (is_ok(p) || fail(p, "the stub does not know the snapshot"));
}
