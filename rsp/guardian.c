/*
 * The guardian waits for a byte or the end of file from the main process.  After the latter it
 * finds its place in the stub's stream of replies, goes back whatever step was under way, and
 * detaches. It knows packets only as far as it needs them: what it does not understand it skips.
 *
 * In the guardian nothing allocates, and everything has an end: a deadline for all, and one for
 * each silence.
 */
#include "rsp/guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "rsp/conn.h"
#include "rsp/features.h"
#include "rsp/packet.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

enum { STEP_MS = 2500 }; /* a step may be the fork of a process of 100 GB */

/* ------------------------------------------------------------------ in the guardian */

/* The connection. */
struct reader {
	int fd;
	bool no_ack;
	int silence_ms;
	int64_t deadline;
	uint8_t in[16384];
	size_t pos, len;
	char frame[INJECT_REPLY]; /* the last packet's payload, or its beginning */
	size_t frame_len;
};

static int wait_for(struct reader *r, short events)
{
	for (;;) {
		int64_t left = (r->deadline - clock_now_ns()) / 1000000;
		struct pollfd p = { .fd = r->fd, .events = events };
		int n;

		if (left <= 0)
			return 0;
		n = poll(&p, 1, left < r->silence_ms ? (int)left : r->silence_ms);
		if (n < 0 && errno == EINTR)
			continue;
		return n > 0 ? p.revents : 0;
	}
}

/* The next byte; -1: time is up, or the connection has ended. */
static int next_byte(struct reader *r)
{
	while (r->pos == r->len) {
		ssize_t n = recv(r->fd, r->in, sizeof(r->in), MSG_DONTWAIT);

		r->pos = 0;
		r->len = n > 0 ? (size_t)n : 0;
		if (n > 0)
			break;
		if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
			return -1;
		if (!wait_for(r, POLLIN))
			return -1;
	}
	return r->in[r->pos++];
}

/*
 * While the stub is stuck writing to us it does not read, so room for our bytes may need
 * reading first.  What is read there is not looked at: only what answers us counts, and
 * that comes after all of it.
 */
static bool send_bytes(struct reader *r, const char *p, size_t len)
{
	while (len) {
		ssize_t n = send(r->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		int events;

		if (n > 0) {
			p += n;
			len -= (size_t)n;
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
			return false;
		events = wait_for(r, POLLIN | POLLOUT);
		if (!events)
			return false;
		if (events & POLLIN) {
			r->pos = r->len = 0;
			if (recv(r->fd, r->in, sizeof(r->in), MSG_DONTWAIT) == 0)
				return false;
		}
	}
	return true;
}

static bool say_bytes(struct reader *r, const char *payload, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	static char out[INJECT_REPLY + 4];
	uint8_t sum = packet_sum((const uint8_t *)payload, len);

	if (len + 4 > sizeof(out))
		return false;
	out[0] = '$';
	memcpy(out + 1, payload, len);
	out[len + 1] = '#';
	out[len + 2] = digits[sum >> 4];
	out[len + 3] = digits[sum & 15];
	return send_bytes(r, out, len + 4);
}

static bool say(struct reader *r, const char *payload)
{
	return say_bytes(r, payload, strlen(payload));
}

/* The next packet into r->frame, cut to fit, runs as they are.  The stream may begin in the middle
 * of one. */
static bool hear(struct reader *r)
{
	int c;

	do
		c = next_byte(r);
	while (c >= 0 && c != '$');
	r->frame_len = 0;
	for (;;) {
		c = next_byte(r);
		if (c < 0)
			return false;
		if (c == '#')
			break;
		if (c == '$')
			r->frame_len = 0;
		else if (r->frame_len + 1 < sizeof(r->frame))
			r->frame[r->frame_len++] = (char)c;
	}
	r->frame[r->frame_len] = 0;
	if (next_byte(r) < 0 || next_byte(r) < 0)
		return false;
	return r->no_ack || send_bytes(r, "+", 1);
}

static void put_hex(char *out, uint64_t v)
{
	char digits[17];
	int i = 16;

	digits[i] = 0;
	do {
		digits[--i] = "0123456789abcdef"[v & 15];
		v >>= 4;
	} while (v);
	strcpy(out, digits + i);
}

/* The main process died before it knew whom it holds: the stop reply says it (thread:pPID.TID). */
static uint64_t ask_pid(struct reader *r)
{
	const char *s;
	uint64_t pid = 0;

	if (!say(r, "?"))
		return 0;
	do {
		if (!hear(r))
			return 0;
	} while (!strchr("TSWXE", r->frame[0]) || !r->frame[0]);
	s = strstr(r->frame, "thread:p");
	for (s = s ? s + 8 : ""; *s; s++) {
		int v = packet_hexval((uint8_t)*s), n = 1;

		if (*s == '*' && s[1] >= 32 && pid) { /* a run of the digit before */
			v = (int)(pid & 15);
			n = *++s - 29;
		}
		if (v < 0 || n > 16)
			break;
		while (n--)
			pid = pid << 4 | (uint64_t)v;
	}
	return pid;
}

static bool guardian_send(struct inject_port *p, const char *cmd, size_t len)
{
	return say_bytes(p->arg, cmd, len);
}

static bool guardian_next(struct inject_port *p)
{
	struct reader *r = p->arg;

	p->reply_len = 0;
	if (!hear(r))
		return false;
	for (size_t i = 0; i < r->frame_len; i++) {
		int n = 1;
		char c = r->frame[i];

		if (c == '*' && p->reply_len && i + 1 < r->frame_len) {
			n = (uint8_t)r->frame[++i] - 29;
			c = p->reply[p->reply_len - 1];
		}
		while (n-- > 0) {
			if (p->reply_len + 1 >= sizeof(p->reply))
				return false;
			p->reply[p->reply_len++] = c;
		}
	}
	p->reply[p->reply_len] = 0;
	return true;
}

static struct inject_port *port_of(struct reader *r, struct guardian_state *state)
{
	static struct inject_port port;

	port.send = guardian_send;
	port.next = guardian_next;
	port.arg = r;
	port.in = &state->inject;
	return &port;
}

/* There is a snapshot, or a thread with registers that are not its own. */
static void undo_inject(struct reader *r, struct guardian_state *state)
{
	struct inject_port *port = port_of(r, state);
	bool stopped;

	inject_undo(port, &stopped);
	if (stopped)
		state->held = 1;
	if (port->exited)
		state->held = 0;
}

/*
 * The place in the stream of replies is not known: asks what is answered like no other question.
 * While a thread steps, gdbserver takes a packet's first byte for an interrupt and drops it, so
 * what it is about to say is waited for; it may have been heard already, so that in the end
 * gdbserver is asked again.
 */
static bool guardian_find_place(struct reader *r, struct guardian_state *state)
{
	int tries = state->inject.stage ? 4 : 1, silence_ms = r->silence_ms;
	bool found = false;

	if (state->inject.stage)
		r->silence_ms = STEP_MS;
	while (state->inject.stepping && hear(r)) {
		if (!r->frame[0] || !strchr("TSWX", r->frame[0])) /* what was posted before it */
			continue;
		inject_heard(&state->inject, r->frame);
		break;
	}
	state->inject.stepping = 0;
	for (int i = 0; i < tries && !found && say(r, FEATURES_QUERY); i++) {
		while (!found && hear(r))
			found = strstr(r->frame, FEATURES_REPLY) != NULL;
	}
	r->silence_ms = silence_ms;
	return found;
}

/*
 * The process runs, with a breakpoint that must not stay behind, as nobody would handle its trap.
 * Waits for the next stop, which is soon where there is a way to ask for it.  false: the process or
 * the connection has ended.
 */
static bool guardian_await_stop(struct reader *r, struct guardian_state *state)
{
	static const char interrupt[] = { PACKET_INTERRUPT };
	int silence_ms = r->silence_ms;

	if (state->interrupts) {
		if (!send_bytes(r, interrupt, sizeof(interrupt)))
			return false;
	} else {
		r->silence_ms = INT_MAX;
		r->deadline = INT64_MAX;
	}
	do {
		if (!hear(r))
			return false;
	} while (!r->frame[0] || !strchr("TSWX", r->frame[0]));
	r->silence_ms = silence_ms;
	if (!state->interrupts)
		r->deadline = clock_now_ns() + CONN_LAST_WORDS_ALL_MS * 1000000ll;
	state->running = 0;
	state->held = 1;
	return r->frame[0] == 'T' || r->frame[0] == 'S';
}

/* Takes the breakpoint away; the process is stopped. */
static bool clear_break(struct reader *r, const char *packet)
{
	if (!say(r, packet))
		return false;
	do {
		if (!hear(r))
			return false;
	} while (strcmp(r->frame, "OK") && r->frame[0] != 'E');
	return true;
}

static void guardian_undo(struct reader *r, struct guardian_state *state)
{
	char d[32] = "D";
	uint64_t pid = state->pid;
	bool end_stub = state->end_stub;

	if (!r->no_ack && !state->running && !send_bytes(r, "+", 1))
		return;
	if (state->sending && !send_bytes(r, "#00", 3))
		return;
	if (state->running && !guardian_await_stop(r, state))
		return;
	if (!guardian_find_place(r, state))
		return;
	if (state->clear[0] && !clear_break(r, state->clear))
		return;
	if (state->inject.stage)
		undo_inject(r, state);
	if (state->physical && !(say(r, FEATURES_PHYSICAL "0") && hear(r)))
		return;
	if (state->held) {
		if (!pid) {
			pid = ask_pid(r);
			end_stub |= pid && state->end_if_held;
		}
		if (pid) {
			strcpy(d, "D;");
			put_hex(d + 2, pid);
		}
		if (!state->multiprocess && state->pid)
			d[1] = 0; /* the stub knows of one process only */
		if (!say(r, d))
			return;
		do {
			if (!hear(r))
				return;
		} while (strcmp(r->frame, "OK") && r->frame[0] != 'E');
		if (state->forks && pid) {
			state->inject.pid = pid;
			inject_free_others(port_of(r, state));
		}
	}
	if (end_stub && say(r, FEATURES_MONITOR_EXIT))
		hear(r);
}

static void end_command(pid_t child)
{
	static const struct timespec nap = { 0, 50000000 };

	/* Not ours to wait for; it ends by itself as nobody holds its socket any more. */
	for (int i = 0; i < 40; i++) {
		if (kill(-child, 0))
			return;
		nanosleep(&nap, NULL);
	}
	kill(-child, SIGTERM);
	for (int i = 0; i < 20; i++) {
		if (kill(-child, 0))
			return;
		nanosleep(&nap, NULL);
	}
	kill(-child, SIGKILL);
}

/* Keeps fds 0, 1 and 2 (/dev/null), `a` and `b`; closes all others. */
static void close_others(int a, int b)
{
	int lo = a < b ? a : b, hi = a < b ? b : a;

	if (lo > 3)
		syscall(SYS_close_range, 3, lo - 1, 0);
	if (hi > lo + 1)
		syscall(SYS_close_range, lo + 1, hi - 1, 0);
	if (syscall(SYS_close_range, hi + 1, ~0u, 0)) {
		/* Linux before 5.9. */
		for (int fd = 3; fd < 1024; fd++) {
			if (fd != a && fd != b)
				close(fd);
		}
	}
}

__attribute__((noreturn)) static void guard(int fd, int pipe, struct guardian_state *state)
{
	static const int ignore[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP, SIGALRM };
	static struct reader r; /* static: the stack of a threaded program's child may be small */
	sigset_t none;
	ssize_t n;
	char c;
	int null;

	/* Not where /dev/null is about to go (a caller may run without standard descriptors). */
	if (fd < 3)
		fd = fcntl(fd, F_DUPFD, 3);
	if (pipe < 3)
		pipe = fcntl(pipe, F_DUPFD, 3);
	setsid();
	for (size_t i = 0; i < sizeof(ignore) / sizeof(*ignore); i++)
		signal(ignore[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_NAME, "grf-rsp-guard");
	/* Whoever reads our output, or waits for the terminal, must see it end when we end. */
	null = open("/dev/null", O_RDWR);
	for (int i = 0; i < 3; i++) {
		if (null >= 0)
			dup2(null, i);
		else
			close(i);
	}
	close_others(fd, pipe);
	if (chdir("/")) {
		/* Only so that no file system is kept busy. */
	}
	do
		n = read(pipe, &c, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(0);
	r.fd = fd;
	r.no_ack = state->no_ack;
	r.silence_ms = state->silence_ms;
	r.deadline = clock_now_ns() + CONN_LAST_WORDS_ALL_MS * 1000000ll;
	if (state->inject.stage) { /* the copy of a big process's page tables takes its time */
		r.silence_ms = CONN_LAST_WORDS_ALL_MS;
		r.deadline += CONN_LAST_WORDS_ALL_MS * 1000000ll;
	}
	if (state->talking && (state->held || state->end_stub || state->inject.stage ||
			       state->running || state->clear[0]))
		guardian_undo(&r, state);
	close(fd);
	if (state->child)
		end_command(state->child);
	_exit(0);
}

/* ------------------------------------------------------------------ in the main process */

static void unmap_state(struct guardian_state **state)
{
	if (*state && *state != MAP_FAILED)
		munmap(*state, sizeof(**state));
}

struct err *guardian_start(struct guardian *g, int fd, const struct guardian_state *initial)
{
	_cleanup_close_ int ours = -1, theirs = -1;
	_cleanup_(unmap_state) struct guardian_state *state = NULL;
	int fds[2];
	pid_t pid;

	state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (state == MAP_FAILED)
		return err_os(errno, "mmap");
	*state = *initial;
	/* Not a pipe: writing to a dead reader would be SIGPIPE. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return err_os(errno, "socketpair");
	ours = fds[1];
	theirs = fds[0];
	pid = fork();
	if (pid < 0)
		return err_os(errno, "fork");
	if (pid == 0) {
		close(ours);
		guard(fd, theirs, state);
	}
	*g = (struct guardian){ pid, ours, state };
	ours = -1;
	state = NULL;
	return NULL;
}

enum { GOODBYE, TAKE_OVER, LEAVE };

static void guardian_end(struct guardian *g, int how)
{
	if (!g->pid)
		return;
	if (how == GOODBYE)
		/* EPIPE: it is dead already, nothing to tell it */
		send(g->pipe, "", 1, MSG_NOSIGNAL);
	close(g->pipe);
	while (how != LEAVE && waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
		;
	munmap(g->state, sizeof(*g->state));
	*g = (struct guardian){ 0 };
}

void guardian_stop(struct guardian *g)
{
	guardian_end(g, GOODBYE);
}

void guardian_take_over(struct guardian *g)
{
	if (g->pid)
		g->state->child = 0; /* ours to wait for */
	guardian_end(g, TAKE_OVER);
}

void guardian_leave(struct guardian *g, pid_t *child)
{
	*child = 0;
	guardian_end(g, LEAVE);
}
