/*
 * The way out of a connection, by whoever is left to take it: finds its place in the stub's stream
 * of replies, goes back whatever step was under way, and detaches.  It knows packets only as far as
 * it needs them: what it does not understand it skips.
 *
 * Nothing here allocates, and everything has an end: a deadline for all, and one for each silence.
 */
#include "rsp/undo.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/limits.h"
#include "rsp/conn.h"
#include "rsp/features.h"
#include "rsp/packet.h"

enum {
	STEP_MS = 2500, /* a step may be the fork of a process of 100 GB */
	END_OF_FILE =
		4, /* ^D: what a terminal has gathered is read, and, if that is nothing, ends */
};

static int undo_wait(struct undo *u, short events)
{
	for (;;) {
		int64_t left = (u->deadline - clock_now_ns()) / 1000000;
		struct pollfd p = { .fd = u->fd, .events = events };
		int n;

		if (left <= 0)
			return 0;
		n = poll(&p, 1, left < u->silence_ms ? (int)left : u->silence_ms);
		if (n < 0 && errno == EINTR)
			continue;
		return n > 0 ? p.revents : 0;
	}
}

/* The next byte; -1: time is up, or the connection has ended. */
static int undo_byte(struct undo *u)
{
	while (u->pos == u->len) {
		ssize_t n;

		if (clock_now_ns() >= u->deadline) /* it may speak without end */
			return -1;
		n = recv(u->fd, u->in, sizeof(u->in), MSG_DONTWAIT);
		u->pos = 0;
		u->len = n > 0 ? (size_t)n : 0;
		if (n > 0)
			break;
		if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
			u->ended = true;
			return -1;
		}
		if (!undo_wait(u, POLLIN))
			return -1;
	}
	return u->in[u->pos++];
}

/*
 * While the stub is stuck writing to us it does not read, so room for our bytes may need
 * reading first.  What is read there is not looked at: only what answers us counts, and
 * that comes after all of it.
 */
bool undo_send(struct undo *u, const char *p, size_t len)
{
	while (len) {
		ssize_t n = u->ended ? 0 : send(u->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		int events;

		if (n > 0) {
			p += n;
			len -= (size_t)n;
			continue;
		}
		if (u->ended)
			return false;
		if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
			return false;
		events = undo_wait(u, POLLIN | POLLOUT);
		if (!events)
			return false;
		if (events & POLLIN) {
			u->pos = u->len = 0;
			if (recv(u->fd, u->in, sizeof(u->in), MSG_DONTWAIT) == 0)
				return false;
		}
	}
	return true;
}

static bool undo_say_bytes(struct undo *u, const char *payload, size_t len)
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
	return undo_send(u, out, len + 4);
}

bool undo_say(struct undo *u, const char *payload)
{
	return undo_say_bytes(u, payload, strlen(payload));
}

bool undo_hear(struct undo *u)
{
	uint32_t n = 0;
	int c;

	do
		c = undo_byte(u);
	while (c >= 0 && c != '$' && ++n <= LIMIT_PACKET);
	u->frame_len = 0;
	for (;;) {
		if (++n > LIMIT_PACKET) /* no stub's: nothing that is said will be heard */
			u->ended = true;
		c = u->ended ? -1 : undo_byte(u);
		if (c < 0)
			return false;
		if (c == '#')
			break;
		if (c == '$')
			u->frame_len = 0;
		else if (u->frame_len + 1 < sizeof(u->frame))
			u->frame[u->frame_len++] = (char)c;
	}
	u->frame[u->frame_len] = 0;
	if (undo_byte(u) < 0 || undo_byte(u) < 0)
		return false;
	return u->no_ack || undo_send(u, "+", 1);
}

static void undo_put_hex(char *out, uint64_t v)
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

/* Whom a stop reply is about (thread:pPID.TID); 0: it does not say. */
static uint64_t undo_stop_pid(const struct undo *u)
{
	const char *s = strstr(u->frame, "thread:p");
	uint64_t pid = 0;

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

/* The main process died before it knew whom it holds: the stop reply says it. */
uint64_t undo_ask_pid(struct undo *u)
{
	if (!undo_say(u, "?"))
		return 0;
	do {
		if (!undo_hear(u))
			return 0;
	} while (!strchr("TSWXE", u->frame[0]) || !u->frame[0]);
	return undo_stop_pid(u);
}

static bool undo_port_send(struct inject_port *p, const char *cmd, size_t len)
{
	return undo_say_bytes(p->arg, cmd, len);
}

static bool undo_port_next(struct inject_port *p)
{
	struct undo *u = p->arg;

	p->reply_len = 0;
	if (!undo_hear(u))
		return false;
	for (size_t i = 0; i < u->frame_len; i++) {
		int n = 1;
		char c = u->frame[i];

		if (c == '*' && p->reply_len && i + 1 < u->frame_len) {
			n = (uint8_t)u->frame[++i] - 29;
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

struct inject_port *undo_port(struct undo *u, struct guardian_state *state)
{
	static struct inject_port port;

	port.send = undo_port_send;
	port.next = undo_port_next;
	port.arg = u;
	port.in = &state->inject;
	return &port;
}

/* There is a snapshot, or a thread with registers that are not its own. */
static void undo_inject(struct undo *u, struct guardian_state *state)
{
	struct inject_port *port = undo_port(u, state);
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
static bool undo_find_place(struct undo *u, struct guardian_state *state)
{
	int tries = state->inject.stage ? 4 : 1, silence_ms = u->silence_ms;
	bool found = false;

	if (state->inject.stage)
		u->silence_ms = STEP_MS;
	while (state->inject.stepping && undo_hear(u)) {
		if (!u->frame[0] || !strchr("TSWX", u->frame[0])) /* what was posted before it */
			continue;
		inject_heard(&state->inject, u->frame);
		break;
	}
	state->inject.stepping = 0;
	for (int i = 0; i < tries && !found && undo_say(u, FEATURES_QUERY); i++) {
		while (!found && undo_hear(u))
			found = strstr(u->frame, FEATURES_REPLY) != NULL;
	}
	u->silence_ms = silence_ms;
	return found;
}

/*
 * The process runs, with a breakpoint that must not stay behind, as nobody would handle its trap.
 * Waits for the next stop, which is soon where there is a way to ask for it.  false: the process or
 * the connection has ended.
 */
static bool undo_await_stop(struct undo *u, struct guardian_state *state)
{
	static const char interrupt[] = { PACKET_INTERRUPT };
	int silence_ms = u->silence_ms;

	if (state->interrupts) {
		if (!undo_send(u, interrupt, sizeof(interrupt)))
			return false;
	} else {
		u->silence_ms = INT_MAX;
		u->deadline = INT64_MAX;
	}
	do {
		if (!undo_hear(u))
			return false;
	} while (!u->frame[0] || !strchr("TSWX", u->frame[0]));
	u->silence_ms = silence_ms;
	if (!state->interrupts)
		u->deadline = clock_now_ns() + CONN_LAST_WORDS_ALL_MS * 1000000ll;
	state->running = 0;
	state->held = 1;
	return u->frame[0] == 'T' || u->frame[0] == 'S';
}

/* Takes the breakpoint away; the process is stopped. */
static bool undo_break(struct undo *u, const char *packet)
{
	if (!undo_say(u, packet))
		return false;
	do {
		if (!undo_hear(u))
			return false;
	} while (strcmp(u->frame, "OK") && u->frame[0] != 'E');
	return true;
}

/* D, and what the stub caught along with the process. */
static bool undo_held(struct undo *u, struct guardian_state *state)
{
	uint64_t pid = state->pid;
	char d[32] = "D";

	if (!pid) {
		pid = undo_ask_pid(u);
		state->end_stub |= pid && state->end_if_held;
	}
	if (pid) {
		strcpy(d, "D;");
		undo_put_hex(d + 2, pid);
	}
	if (!state->multiprocess && state->pid)
		d[1] = 0; /* the stub knows of one process only */
	if (!undo_say(u, d))
		return false;
	do {
		if (!undo_hear(u))
			return false;
	} while (strcmp(u->frame, "OK") && u->frame[0] != 'E');
	state->held = 0;
	if (state->forks && pid) {
		state->inject.pid = pid;
		inject_free_others(undo_port(u, state));
	}
	return true;
}

bool undo_needed(const struct guardian_state *state)
{
	return state->held || state->inject.stage || state->running || state->clear[0];
}

bool undo_rest(struct undo *u, struct guardian_state *state)
{
	if (state->clear[0] && !undo_break(u, state->clear))
		return false;
	state->clear[0] = 0;
	if (state->inject.stage)
		undo_inject(u, state);
	if (state->physical && !(undo_say(u, FEATURES_PHYSICAL "0") && undo_hear(u)))
		return false;
	if (state->held && !undo_held(u, state))
		return false;
	if (state->end_stub && undo_say(u, FEATURES_MONITOR_EXIT))
		undo_hear(u);
	state->end_stub = 0;
	return !undo_needed(state);
}

/*
 * A terminal between us and the stub gathers what we send, and shows it to us.  ^D makes it pass on
 * what it has.  The stub waits for the acknowledgement of its first reply by then.
 */
static bool undo_terminal(struct undo *u, struct guardian_state *state)
{
	static const char end[] = { END_OF_FILE, END_OF_FILE };

	if (!undo_send(u, end, 1) || !undo_send(u, "+", 1) || !undo_say(u, FEATURES_MONITOR_EXIT) ||
	    !undo_send(u, end, sizeof(end)))
		return false;
	while (undo_byte(u) >= 0)
		;
	/* It has ended, and nothing that it held is held any more. */
	if (!u->ended)
		return false;
	state->held = state->end_stub = 0;
	return true;
}

bool undo_all(struct undo *u, struct guardian_state *state)
{
	if (state->terminal)
		return undo_terminal(u, state);
	if (!u->no_ack && !state->running && !undo_send(u, "+", 1))
		return false;
	if (state->sending && !undo_send(u, "#00", 3))
		return false;
	if (state->running && !undo_await_stop(u, state))
		return false;
	return undo_find_place(u, state) && undo_rest(u, state);
}
