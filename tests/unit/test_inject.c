/*
 * rsp/inject.c against a model of a stub and a kernel: a process with two threads, its children,
 * its signals.  We die at each packet, before the stub has it or before its answer is heard, and
 * the guardian finishes: nothing may be left, no register changed, no signal lost or made up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rsp/inject.h"

enum { R_AX, R_DI, R_SI, R_DX, R_10, R_8, R_9, R_IP, R_SP, R_ORIG, R_FP, NREGS };
enum { CODE = 0x5000, CALL = CODE + 10, DONE = CALL + 2, HANDLER = 0x7000, T_IP = 0x4444 };
enum { P = 0x10, M = 0x20, S = 0x21, X = 0x22, OWN = 0x30 }; /* X: what M makes to try */
enum { NS = 0x1000 }; /* a process's id in its own namespace is that much more */

struct proc {
	bool there, zombie, event; /* event: its clone has been told of, and is not over */
	bool done;                 /* vforkdone has been told */
	uint64_t parent;
	uint64_t regs[NREGS];
};

struct model {
	bool init, subreaper, held, seccomp, blocked;
	bool arm;   /* as there: results in the first argument's register, no -ENOSYS */
	int refuse; /* errno of clone */
	/* A filter that we may try; what it does at which call of the process and its children: an
	 * errno, or the signal that the caller stops with, or ends by if it is SIGKILL's. */
	bool filter;
	uint64_t filter_nr;
	int filter_errno, filter_signal;
	uint64_t filter_only; /* this process alone; 0: all */
	bool unknown;         /* nobody knows the filter */
	bool leaves_middle;   /* as a zombie: the process must not wait for it */
	int guess;            /* the thread that we think waits */
	int early;            /* a signal that T reports at its first step (gdb's number) */
	bool own_dies;        /* a child of its own dies when S does */
	bool own_zombie;
	bool vforking;
	bool own;                          /* nobody else would reap the snapshot */
	struct proc p, m, s, x;            /* p.regs: T's */
	int pending[8], npending, info_of; /* gdb's numbers; the children's pids in info[] */
	uint64_t info[8], info_now;
	unsigned got_chld, got_urg, steps_too_far, odd;
	bool no_sys; /* the stub was told not to pass SIGSYS on */
	bool trapped;
	bool sys;         /* the thread stopped with it last */
	uint64_t written; /* by siginfo:write */
	char hg[40], path[200];
	bool too_early; /* M still there when T went on */
	bool bad_restore;
	/* The client. */
	int at, n;         /* dies at packet number at */
	bool after;        /* ... when the stub has done it */
	int lie_at;        /* that packet's answer is an error */
	bool refused_regs; /* ... and it was one that goes out together with a step */
};

static struct inject in;
static struct inject_port port;

/* Answers that were not heard yet. */
enum { QUEUE = 64 };
static char queue[QUEUE][INJECT_REPLY];
static size_t queue_len[QUEUE];
static unsigned queue_first, queue_n;

static struct proc *by_pid(struct model *k, uint64_t pid)
{
	return pid == P ? &k->p : pid == M ? &k->m : pid == S ? &k->s : pid == X ? &k->x : NULL;
}

static uint64_t pid_of(const char *id)
{
	return strtoull(id + (*id == 'p'), NULL, 16);
}

static void chld(struct model *k, uint64_t pid)
{
	/* One at a time, as the kernel has it. */
	for (int i = 0; i < k->npending; i++) {
		if (k->pending[i] == 0x14)
			return;
	}
	k->pending[k->npending] = 0x14;
	k->info[k->npending++] = pid;
}

static void say(struct inject_port *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct inject_port *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	p->reply_len = (size_t)vsnprintf(p->reply, sizeof(p->reply), fmt, ap);
	va_end(ap);
}

static void kill_proc(struct model *k, struct inject_port *p, uint64_t pid)
{
	struct proc *x = by_pid(k, pid);

	if (!x || !x->there || x == &k->p) {
		k->odd += x == &k->p;
		say(p, "E01");
		return;
	}
	x->there = false;
	if (x == &k->m) {
		x->zombie = true; /* no signal: that was its exit signal */
		if (k->x.there || k->x.zombie)
			k->x.parent = 1;
		if (k->s.there && k->s.parent == M)
			k->s.parent = k->init || k->subreaper ? P : 1;
	}
	if (x == &k->x && k->x.parent == M)
		x->zombie = true;
	if (x == &k->s && k->s.parent == P) {
		x->zombie = true;
		/* first: ours is swallowed by its signal, or the other way round */
		if (k->own_dies) {
			k->own_zombie = true;
			chld(k, NS + OWN);
		}
		chld(k, NS + S);
	}
	say(p, "OK");
}

static int nr_of(const struct model *k)
{
	return k->arm ? R_8 : R_AX;
}

static int ret_of(const struct model *k)
{
	return k->arm ? R_DI : R_AX;
}

static int64_t do_call(struct model *k, struct proc *x, uint64_t self, const char **event)
{
	uint64_t *r = x->regs;
	struct proc *child;

	switch (r[nr_of(k)]) {
	case 56:
		if (k->refuse)
			return -k->refuse;
		/* What M makes is to try, where T makes the snapshot. */
		child = self == M && (k->own || (r[R_DI] & 0x4000)) ? &k->x :
			self == P && (r[R_DI] & 0x4000)             ? &k->m :
								      &k->s;
		*event = child == &k->m     ? "vfork:p20.20" :
			 child == &k->s     ? "fork:p21.21" :
			 (r[R_DI] & 0x4000) ? "vfork:p22.22" :
					      "fork:p22.22";
		memcpy(child->regs, r, sizeof(child->regs));
		child->there = true;
		child->parent = self;
		child->regs[ret_of(k)] = 0;
		child->regs[R_IP] = DONE;
		x->event = true;
		x->done = child == &k->s;
		k->vforking |= child == &k->m;
		return k->arm ? (int64_t)r[R_DI] : -38;
	case 60:
		*event = "exit";
		return 0;
	case 61:
		for (unsigned i = 0; i < 3; i++) {
			child = by_pid(k, (uint64_t)M + i);
			if (child->zombie && child->parent == self &&
			    r[R_DI] == (uint64_t)NS + M + i) {
				child->zombie = false;
				return (int64_t)r[R_DI];
			}
		}
		return -10;
	case 247:
		if (self != P)
			return -10;
		if (r[R_DI] == 1 && k->m.zombie) {
			k->m.zombie = false;
			return 0;
		}
		return k->own_zombie || k->s.zombie ? -14 : 0;
	default:
		return 0;
	}
}

/* The filter does something at x's call; false: it lets it through. */
static bool filtered(struct model *k, struct inject_port *p, struct proc *x, uint64_t pid,
		     const char *id)
{
	if (!k->filter || x->regs[nr_of(k)] != k->filter_nr ||
	    (k->filter_only && k->filter_only != pid))
		return false;
	x->regs[R_IP] = DONE;
	if (k->filter_errno) {
		x->regs[ret_of(k)] = (uint64_t)-k->filter_errno;
		say(p, "T05thread:%s;", id);
	} else if (k->filter_signal == 9) {
		k->odd += x == &k->p;
		kill_proc(k, p, pid);
		say(p, "X1f;process:%x", (unsigned)pid);
	} else {
		k->sys |= x == &k->p && k->filter_signal == 12;
		k->trapped |= x == &k->p; /* the step's own SIGTRAP is behind it */
		say(p, "T%02xthread:%s;", k->filter_signal, id);
	}
	return true;
}

static void step(struct model *k, struct inject_port *p, const char *id, int sig)
{
	uint64_t pid = pid_of(id);
	struct proc *x = by_pid(k, pid);
	const char *event = NULL;

	if (!x || !x->there || (pid == P && (strcmp(id, "p10.11") || !k->held))) {
		k->odd++;
		say(p, "E01");
		return;
	}
	if (sig) {
		k->got_chld += sig == 0x14 && k->written != (uint64_t)NS + S;
		k->odd += sig == 0x14 && k->written == (uint64_t)NS + S && !k->own_dies;
		k->got_chld += sig == 0x14 && k->written == (uint64_t)NS + S && k->own_dies;
		k->got_urg += sig == 0x10;
		x->regs[R_IP] = HANDLER;
		say(p, "T05thread:%s;", id);
		return;
	}
	if (pid == P && k->npending) {
		int s = k->pending[0];

		k->info_now = k->info[0];
		memmove(k->pending, k->pending + 1, sizeof(*k->pending) * 7);
		memmove(k->info, k->info + 1, sizeof(*k->info) * 7);
		k->npending--;
		k->info_of = s;
		say(p, "T%02xthread:%s;", s, id);
		return;
	}
	if (x->event) {
		if (x == &k->p && k->vforking && k->m.there) {
			k->too_early = true; /* for ever */
			say(p, "E01");
			return;
		}
		if (!x->done) {
			x->done = true;
			say(p, "T05vforkdone:;thread:%s;", id);
			return;
		}
		x->event = false;
		x->regs[ret_of(k)] = (uint64_t)NS + (x == &k->p && k->vforking ? M :
						     k->x.there || k->x.zombie ? X :
										 S);
		k->vforking = k->vforking && x != &k->p;
		say(p, "T05thread:%s;", id);
		return;
	}
	if (x == &k->p && k->trapped) {
		k->trapped = false;
		say(p, "T05thread:%s;", id);
		return;
	}
	if (x->regs[R_IP] != CALL) {
		k->steps_too_far++;
		say(p, "T05thread:%s;", id);
		return;
	}
	if (filtered(k, p, x, pid, id))
		return;
	x->regs[ret_of(k)] = (uint64_t)do_call(k, x, pid, &event);
	if (event && !strcmp(event, "exit")) {
		k->odd += pid == P;
		kill_proc(k, p, pid);
		say(p, "W6f;process:%x", (unsigned)pid);
		return;
	}
	x->regs[R_IP] = DONE;
	say(p, "T05%s%sthread:%s;", event ? event : "", event ? ";" : "", id);
}

static void status(struct model *k, struct inject_port *p)
{
	char want[2][80], text[500];
	uint64_t pid = 0;

	for (int i = 0; i < 3; i++) {
		static const uint64_t pids[] = { P, M, S };

		snprintf(want[0], sizeof(want[0]), "/proc/%d/status", (int)pids[i]);
		snprintf(want[1], sizeof(want[1]), "/proc/%d/task/17/status", (int)pids[i]);
		if (!strcmp(k->path, want[0]) || !strcmp(k->path, want[1]))
			pid = pids[i];
	}
	if (!pid) {
		say(p, "F0;");
		return;
	}
	snprintf(
		text, sizeof(text),
		"Name:\tx\nTracerPid:\t%d\nPPid:\t%d\nNStgid:\t%d\t%d\nNSpid:\t1\t1\nSigBlk:\t%s\nSigIgn:\t0\nSigCgt:\t00000000ffffffff\nSeccomp:\t%d\nSeccomp_filters:\t1\n",
		pid == P && k->held, pid == P ? 1 : (int)by_pid(k, pid)->parent, (int)pid,
		pid == P && k->init ? 1 : NS + (int)pid, k->blocked ? "10000" : "0",
		k->seccomp || k->filter ? 2 : 0);
	say(p, "F%zx;%s", strlen(text), text);
}

static void answer(struct model *k, struct inject_port *p, const char *cmd)
{
	struct proc *x = by_pid(k, pid_of(k->hg));
	char other[] = "p10.10";

	if (!strncmp(cmd, "Hg", 2)) {
		snprintf(k->hg, sizeof(k->hg), "%.30s", cmd + 2);
		x = by_pid(k, pid_of(k->hg));
		say(p, x && x->there && (x != &k->p || k->held) ? "OK" : "E01");
	} else if (!x && (!strcmp(cmd, "g") || *cmd == 'G')) {
		say(p, "E01");
	} else if (!strcmp(cmd, "g")) {
		uint64_t running[NREGS] = { [R_IP] = 0x4000, [R_ORIG] = UINT64_MAX };
		const uint8_t *b = (const uint8_t *)(strcmp(k->hg, other) ? x->regs : running);

		p->reply_len = 0;
		for (size_t i = 0; i < sizeof(x->regs); i++)
			p->reply_len += (size_t)sprintf(p->reply + p->reply_len, "%02x", b[i]);
	} else if (*cmd == 'G') {
		for (size_t i = 0; i < sizeof(x->regs); i++) {
			unsigned v;

			sscanf(cmd + 1 + 2 * i, "%2x", &v);
			((uint8_t *)x->regs)[i] = (uint8_t)v;
		}
		say(p, "OK");
	} else if (!strncmp(cmd, "vCont;s:", 8)) {
		step(k, p, cmd + 8, 0);
	} else if (!strncmp(cmd, "vCont;S", 7)) {
		step(k, p, cmd + 10, (int)strtol(cmd + 7, NULL, 16));
	} else if (!strncmp(cmd, "vKill;", 6)) {
		kill_proc(k, p, strtoull(cmd + 6, NULL, 16));
	} else if (!strncmp(cmd, "vAttach;", 8)) {
		k->odd += k->held; /* gdbserver loses its wits */
		say(p, k->held ? "E01" : "T05thread:p10.10;");
		k->held = true;
	} else if (!strcmp(cmd, "D;10")) {
		k->odd += k->held && ((k->sys && !k->no_sys) || k->trapped);
		say(p, k->held ? "OK" : "E01");
		k->held = false;
	} else if (!strcmp(cmd, "?")) {
		say(p, "T05thread:p10.10;");
	} else if (!strcmp(cmd, "qfThreadInfo")) {
		say(p, "m%s%s%s%s", k->held ? "p10.10,p10.11" : "", k->m.there ? ",p20.20" : "",
		    k->s.there ? ",p21.21" : "", k->x.there ? ",p22.22" : "");
		if (p->reply[1] == ',') /* nothing before it */
			memmove(p->reply + 1, p->reply + 2, p->reply_len--);
		if (!p->reply[1])
			say(p, "l");
	} else if (!strcmp(cmd, "qsThreadInfo")) {
		say(p, "l");
	} else if (!strncmp(cmd, "qXfer:siginfo:read", 18)) {
		uint8_t info[32] = { (uint8_t)(k->info_of == 0x14 ? 17 : 23) };

		memcpy(info + 16, &k->info_now, 4);
		p->reply[0] = 'l';
		memcpy(p->reply + 1, info, sizeof(info));
		p->reply_len = 33;
		p->reply[33] = 0;
	} else if (!strncmp(cmd, "qXfer:siginfo:write::0:", 23)) {
		uint32_t v;

		memcpy(&v, cmd + 23 + 16, 4);
		k->written = v;
		say(p, "OK");
	} else if (!strncmp(cmd, "vFile:open:", 11)) {
		size_t n = strcspn(cmd + 11, ",") / 2;

		for (size_t i = 0; i < n; i++) {
			unsigned v;

			sscanf(cmd + 11 + 2 * i, "%2x", &v);
			k->path[i] = (char)v;
		}
		k->path[n] = 0;
		say(p, (strstr(k->path, "/33/") && !k->s.there && !k->s.zombie) ||
				       (strstr(k->path, "/32/") && !k->m.there && !k->m.zombie) ?
			       "F-1,2" :
			       "F5");
	} else if (!strncmp(cmd, "vFile:pread:", 12)) {
		status(k, p);
	} else if (!strncmp(cmd, "QProgramSignals:", 16)) {
		k->no_sys = !strstr(cmd, ";c;");
		say(p, "OK");
	} else if (!strncmp(cmd, "m5000,", 6)) {
		say(p, "bf6f000000b83c0000000f05ebf2");
	} else {
		say(p, "OK");
	}
}

/* Pipelined: the answers come when they are waited for. */
static bool send_packet(struct inject_port *real, const char *cmd, size_t len)
{
	struct model *k = real->arg;
	static char text[INJECT_REPLY + 1];
	static struct inject_port answers, *p = &answers;

	memcpy(text, cmd, len);
	text[len] = 0;
	k->n++;
	if (k->n == k->at && !k->after)
		return false;
	if (k->n == k->lie_at) {
		say(p, "E01");
		k->refused_regs = *cmd == 'G' || *cmd == 'H';
	} else {
		answer(k, p, text);
	}
	if (getenv("INJECT_TRACE"))
		fprintf(stderr, "%d %.60s -> %.60s\n", k->n, text, p->reply);
	assert_true(queue_n < QUEUE);
	memcpy(queue[(queue_first + queue_n) % QUEUE], p->reply, p->reply_len + 1);
	queue_len[(queue_first + queue_n++) % QUEUE] = p->reply_len;
	return k->n != k->at;
}

static bool next_reply(struct inject_port *p)
{
	assert_true(queue_n > 0);
	memcpy(p->reply, queue[queue_first], queue_len[queue_first] + 1);
	p->reply_len = queue_len[queue_first];
	queue_first = (queue_first + 1) % QUEUE;
	queue_n--;
	return true;
}

static bool packet(const char *cmd)
{
	assert_int_equal(port.posted, 0);
	assert_int_equal(queue_n, 0);
	return port.send(&port, cmd, strlen(cmd)) && next_reply(&port);
}

/* As rsp/snapshot.c has it. */
static bool whole_run(struct model *k)
{
	bool stopped, good;

	good = inject_fork(&port);
	if (!good && port.lost)
		return false;
	if (!good) {
		bool undone = inject_undo(&port, &stopped);

		return !port.lost && packet("D;10") && undone && false;
	}
	if (!packet("D;10") || !inject_free_others(&port) || !inject_settle(&port))
		return false;
	good = inject_undo(&port, &stopped);
	if (port.lost)
		return false;
	return (!stopped || packet("D;10")) && good;
}

static void begin(struct model *k)
{
	static const uint8_t code[] = { 0xbf, 0x6f, 0, 0,    0,    0xb8, 0x3c,
					0,    0,    0, 0x0f, 0x05, 0xeb, 0xf2 };

	memset(&in, 0, sizeof(in));
	memset(&port, 0, sizeof(port));
	in.pid = P;
	in.m = (struct inject_machine){
		.fmt = { .word = 8 },
		.nr = 8 * R_AX,
		.ret = 8 * R_AX,
		.pc = 8 * R_IP,
		.sp = 8 * R_SP,
		.restart = 8 * R_ORIG,
		.args = { 8 * R_DI, 8 * R_SI, 8 * R_DX, 8 * R_10, 8 * R_8, 8 * R_9 },
		.nr_clone = 56,
		.nr_wait4 = 61,
		.nr_waitid = 247,
		.nr_close_range = 436,
		.nr_sigaction = 13,
		.nr_exit = 60,
		.nr_alarm = 37,
		.seccomp = !k->filter ? INJECT_NO_FILTER :
			   k->unknown ? INJECT_UNKNOWN :
					INJECT_KNOWN,
		.own_child = k->own,
		.code_len = sizeof(code),
		.call_off = 10,
		.call_len = 2,
		.code_at = CODE,
		.text = 0x4000,
		.text_end = 0x6000,
	};
	memcpy(in.m.code, code, sizeof(code));
	if (k->arm) {
		in.m.nr = 8 * nr_of(k);
		in.m.ret = 8 * ret_of(k);
		in.m.args[4] = 8 * R_9;
		in.m.restart = UINT16_MAX;
		in.m.nr_wait = 98;
		in.m.wait_limit = 3;
		k->p.regs[R_8] = 98;
		k->p.regs[R_DI] = 0x7777;
	}
	port.send = send_packet;
	port.next = next_reply;
	queue_n = 0;
	port.arg = k;
	port.in = &in;
	k->held = true;
	inject_note_stop(&in, "T05thread:p10.10;");
	in.likely = k->guess;
	k->p.there = true;
	k->p.regs[R_AX] = (uint64_t)-512;
	k->p.regs[R_ORIG] = 202;
	k->p.regs[R_IP] = T_IP;
	k->p.regs[R_SP] = 0x9000;
	k->p.regs[R_FP] = 0x123456789;
	if (k->early) {
		k->pending[0] = k->early;
		k->info[0] = NS + OWN;
		k->npending = 1;
	}
}

static void check_whole(struct model *k, const struct model *first, const char *when)
{
	uint64_t ip = k->p.regs[R_IP];
	char text[200];

	snprintf(text, sizeof(text), "%s: packet %d%s: init %d subreaper %d early %x", when,
		 first->at, first->after ? " done" : "", first->init, first->subreaper,
		 first->early);
	if (k->held || k->m.there || k->x.there || (k->x.zombie && k->x.parent != 1) ||
	    k->s.there || k->m.zombie != first->leaves_middle || k->s.zombie || k->steps_too_far ||
	    k->odd || k->too_early || (ip != T_IP && ip != HANDLER) ||
	    k->p.regs[R_AX] != (uint64_t)-512 || k->p.regs[R_ORIG] != 202 ||
	    k->p.regs[R_FP] != 0x123456789 ||
	    (k->arm && (k->p.regs[R_8] != 98 || k->p.regs[R_DI] != 0x7777)) ||
	    in.stage != INJECT_NONE)
		fail_msg(
			"%s: held %d M %d%d S %d%d far %u odd %u early %d ip %x ax %lld stage %d (%s)",
			text, k->held, k->m.there, k->m.zombie, k->s.there, k->s.zombie,
			k->steps_too_far, k->odd, k->too_early, (unsigned)ip,
			(long long)k->p.regs[R_AX], in.stage, port.why ? port.why : "");
	/* Pending ones it gets by itself. */
	if (first->early == 0x10 && k->got_urg + (unsigned)k->npending != 1)
		fail_msg("%s: its SIGURG came %u times", text, k->got_urg);
}

/* The guardian's part. */
static char first_why[100];

static void finish(struct model *k, bool heard)
{
	bool stopped;

	snprintf(first_why, sizeof(first_why), "%s", port.why ? port.why : "");

	k->at = k->lie_at = 0;
	port.lost = false;
	port.posted = 0;
	port.why = NULL;
	/* As rsp/guardian.c: what was under way is heard, and the stop reply among it looked at. */
	while (queue_n) {
		next_reply(&port);
		if (in.stepping && heard && port.reply[0] == 'T')
			inject_heard(&in, port.reply);
	}
	in.stepping = 0;
	inject_undo(&port, &stopped);
	if (k->held)
		packet("D;10");
	inject_free_others(&port);
}

static const struct model kinds[] = {
	{ .init = false },
	{ .init = true },
	{ .subreaper = true },
	{ .early = 0x10 },
	{ .init = true, .early = 0x10 },
	{ .early = 0x11 },
	{ .early = 0x14 },
	{ .init = true, .own_dies = true },
	{ .guess = 0x11 },
	{ .guess = 0x10 },
	{ .guess = 0x11, .init = true },
	{ .arm = true },
	{ .arm = true, .init = true },
	{ .arm = true, .early = 0x10 },
	{ .arm = true, .early = 0x14 },
	{ .arm = true, .refuse = 11 },
	{ .refuse = 11 },
	{ .init = true, .refuse = 12 },
	{ .refuse = 38 },
	{ .init = true, .refuse = 38 },
	{ .arm = true, .refuse = 38 },
	{ .seccomp = true },
	{ .filter = true },
	{ .filter = true, .init = true },
	{ .filter = true, .subreaper = true },
	{ .filter = true, .early = 0x14 },
	{ .own = true },
	{ .own = true, .early = 0x10 },
	{ .own = true, .filter = true },
	{ .own = true, .filter = true, .early = 0x14 },
};

/* What a filter does; everything is to be whole afterwards. */
static const struct filtered {
	struct model k;
	bool good;
	const char *why;
} filters[] = {
	{ { .filter_nr = 37, .filter_errno = 1 }, true, NULL },
	{ { .filter_nr = 13, .filter_errno = 38 }, true, NULL },
	{ { .filter_nr = 436, .filter_errno = 38 }, true, NULL },
	{ { .filter_nr = 56, .filter_errno = 1 }, false, "fork" },
	{ { .filter_nr = 56, .filter_errno = 38 }, false, "fork" },
	{ { .filter_nr = 56, .filter_errno = 38, .filter_only = M }, false, "fork" },
	{ { .filter_nr = 56, .filter_signal = 12 }, false, "traps" },
	{ { .filter_nr = 56, .filter_signal = 12, .filter_only = M }, false, "traps" },
	{ { .filter_nr = 56, .filter_signal = 9, .filter_only = M }, false, "kills" },
	{ { .filter_nr = 61, .filter_errno = 1 }, false, "refuses" },
	{ { .filter_nr = 61, .filter_errno = 38 }, false, "refuses" },
	{ { .filter_nr = 61, .filter_signal = 12 }, false, "traps" },
	{ { .filter_nr = 61, .filter_signal = 9, .leaves_middle = true }, false, "kills" },
	{ { .filter_nr = 61, .filter_signal = 14 }, false, "not answer" },
	{ { .filter_nr = 247, .filter_errno = 38 }, false, "refuses" },
	{ { .filter_nr = 247, .filter_signal = 12 }, false, "traps" },
	{ { .filter_nr = 247, .filter_signal = 9 }, false, "kills" },
	{ { .filter_nr = 60, .filter_errno = 1 }, false, "exit" },
	{ { .filter_nr = 60, .filter_signal = 9 }, false, "exit" },
	{ { .filter_nr = 13, .filter_signal = 9 }, false, "kills" },
	{ { .filter_nr = 436, .filter_signal = 12 }, false, "traps" },
};

static void test_filters(void **state)
{
	for (size_t i = 0; i < 3 * sizeof(filters) / sizeof(*filters); i++) {
		const struct filtered *f = &filters[i / 3];
		struct model k = f->k, first;
		bool good;

		k.filter = k.unknown = true;
		k.init = i % 3 == 1;
		k.own = i % 3 == 2;
		/* The snapshot of an init that dies by itself is heard of: a SIGCHLD. */
		if ((k.init || k.own) && k.filter_nr == 13 && k.filter_signal)
			continue;
		first = k;
		begin(&k);
		good = whole_run(&k);
		finish(&k, true);
		if (good != f->good || (f->why && !strstr(first_why, f->why)))
			print_message("%zu: %d, %s\n", i, good, first_why);
		check_whole(&k, &first, "filter");
		assert_int_equal(good, f->good);
		if (f->why)
			assert_non_null(strstr(first_why, f->why));
	}
}

static void test_run(void **state)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct model k = kinds[i];
		bool good;

		begin(&k);
		good = whole_run(&k);
		assert_int_equal(good, !k.refuse && !k.seccomp);
		check_whole(&k, &kinds[i], port.why ? port.why : "run");
		if (kinds[i].early == 0x14 || kinds[i].own_dies)
			assert_int_equal(k.got_chld + (unsigned)k.npending, 1);
		else
			assert_int_equal(k.got_chld, 0);
		if (k.seccomp)
			assert_non_null(strstr(port.why, "seccomp"));
	}
}

static void test_death_at_every_packet(void **state)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		for (int after = 0; after < 2; after++) {
			for (int at = 1; at < 1000; at++) {
				struct model k = kinds[i], first;
				bool lost;

				k.at = at;
				k.after = after;
				first = k;
				begin(&k);
				whole_run(&k);
				lost = k.n >= at;
				finish(&k, after);
				check_whole(&k, &first, "death");
				if (!lost)
					break;
				assert_true(at < 900);
			}
		}
	}
}

/* One answer is an error: it may fail, but nothing hangs, and what can be undone is. */
static void test_errors(void **state)
{
	for (size_t i = 0; i < 3; i++) {
		for (int at = 1; at < 900; at++) {
			struct model k = kinds[i];
			bool lied;

			k.lie_at = at;
			begin(&k);
			whole_run(&k);
			lied = k.n >= at;
			finish(&k, false);
			assert_false(k.held);
			assert_true(k.steps_too_far <= k.refused_regs);
			if (!lied)
				break;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run),
		cmocka_unit_test(test_death_at_every_packet),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_filters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
