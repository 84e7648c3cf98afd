/*
 * Dials, shakes hands, and asks whom the stub holds.
 *
 * A gdbserver on a pipe (| COMMAND, without --once) whose client is gone reads the end of its input
 * over and over, and holds the process.  Its pid is known since before it attached; what the
 * command starts anew can write to its input, /proc/PID/fd/0, which is a pipe: there D and `monitor
 * exit` are put.  If that does not help, the new one ends it: the kernel lets the process go then,
 * but signals that the old one had kept for it are lost.
 */
#include "rsp/redial.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "rsp/dial.h"
#include "rsp/features.h"
#include "rsp/inject_int.h"
#include "rsp/packet.h"

enum {
	NAP_MS = 250,      /* between two tries */
	CONNECT_MS = 2000, /* and for each answer of the handshake */
	ORPHAN_LOOKS = 8,  /* at whether it let go, a nap apart */
};

static void redial_nap(void)
{
	static const struct timespec ts = { 0, NAP_MS * 1000000l };

	nanosleep(&ts, NULL);
}

/* ------------------------------------------------------------------ without a client */

struct text {
	char s[400];
	size_t len;
};

static void text_add(struct text *t, const char *s)
{
	size_t n = strlen(s);

	if (n < sizeof(t->s) - t->len) {
		memcpy(t->s + t->len, s, n + 1);
		t->len += n;
	}
}

/* Adds a packet: its payload is `payload`, and a number if there is one. */
static void text_packet(struct text *t, const char *payload, uint64_t number)
{
	static const char digits[] = "0123456789abcdef";
	size_t start = t->len + 1;
	char hex[17], end[4] = "#";
	uint8_t sum;
	int i = 16;

	text_add(t, "$");
	text_add(t, payload);
	for (hex[i] = 0; number; number >>= 4)
		hex[--i] = digits[number & 15];
	text_add(t, hex + i);
	sum = packet_sum((const uint8_t *)t->s + start, t->len - start);
	end[1] = digits[sum >> 4];
	end[2] = digits[sum & 15];
	end[3] = 0;
	text_add(t, end);
}

/* It waits for an acknowledgement after each of its first replies. */
static void write_goodbye(struct inject_port *p, const struct guardian_state *state)
{
	struct text t = { .len = 0 };

	text_add(&t, "+");
	text_packet(&t, "qSupported:multiprocess+", 0);
	text_add(&t, "+");
	text_packet(&t, FEATURES_SIGNALS, 0);
	text_add(&t, "+");
	text_packet(&t, "QStartNoAckMode", 0);
	text_add(&t, "+");
	if (state->inject.stage == INJECT_SNAPSHOT && state->inject.snapshot[0])
		text_packet(&t, "vKill;", inject_id_pid(state->inject.snapshot));
	text_packet(&t, "D;", state->pid);
	text_packet(&t, FEATURES_MONITOR_EXIT, 0);
	inject_write_proc(p, state->stub_pid, "/fd/0", t.s);
}

/* Who traces the process; false: nothing is known of it. */
static bool ask_tracer(struct inject_port *p, uint64_t pid, struct inject_status *st)
{
	p->why = NULL;
	return inject_read_status(p, pid, 0, st);
}

static bool await_release(struct inject_port *p, uint64_t pid, struct inject_status *st)
{
	for (int i = 0; i < ORPHAN_LOOKS && !p->lost; i++) {
		if (!ask_tracer(p, pid, st) || !st->tracer)
			return true;
		redial_nap();
	}
	return false;
}

static void end_orphan(struct inject_port *p, const struct guardian_state *state)
{
	struct inject_status st;

	write_goodbye(p, state);
	if (p->lost || await_release(p, state->pid, &st))
		return;
	if (inject_ask_num(p, "vAttach;", state->stub_pid))
		inject_ask_num(p, "vKill;", state->stub_pid);
}

/* What the stub holds is undone: does the process run? */
static void look_at_process(struct undo *u, struct guardian_state *state)
{
	struct inject_port *p = undo_port(u, state);
	struct inject_status st = { 0 };

	state->left = LEFT_FREE;
	if (!state->pid || !ask_tracer(p, state->pid, &st))
		return;
	if (st.tracer && st.tracer == state->stub_pid) {
		end_orphan(p, state);
		if (p->lost || !ask_tracer(p, state->pid, &st))
			return;
	}
	state->tracer = st.tracer;
	state->left = st.tracer ? LEFT_TRACED : st.state == 'T' ? LEFT_STOPPED : LEFT_FREE;
}

/* ------------------------------------------------------------------ the connection */

static bool ask(struct undo *u, const char *packet)
{
	return undo_say(u, packet) && undo_hear(u);
}

static bool shake_hands(struct undo *u, struct guardian_state *state)
{
	if (!undo_say(u, FEATURES_QUERY))
		return false;
	do
		if (!undo_hear(u))
			return false;
	while (!strstr(u->frame, FEATURES_REPLY));
	if (strstr(u->frame, "QStartNoAckMode+")) {
		if (!ask(u, "QStartNoAckMode"))
			return false;
		u->no_ack = !strcmp(u->frame, "OK");
	}
	return ask(u, "!") && ask(u, FEATURES_SIGNALS) &&
	       (!state->forks || ask(u, FEATURES_QUERY_FORKS)) && ask(u, "vFile:setfs:0");
}

/* Over a new connection.  false: it may be worth another one. */
static bool undo_again(struct undo *u, struct guardian_state *state)
{
	uint64_t held;

	if (!shake_hands(u, state))
		return false;
	held = undo_ask_pid(u);
	if (!u->frame[0])
		return false;
	/* How a step ended that was under way; or whom it is about does not matter. */
	if (held && state->inject.stepping)
		inject_heard(&state->inject, u->frame);
	state->inject.stepping = state->sending = state->running = 0;
	/* A stub that holds nothing has let go what the one before it had. */
	if (!held && strchr("WXEO", u->frame[0])) {
		state->held = state->inject.stage = 0;
		state->clear[0] = 0;
	}
	if (state->held && !state->pid)
		state->pid = held;
	if (!undo_rest(u, state) && u->ended)
		return false;
	look_at_process(u, state);
	if (state->end_again)
		undo_say(u, FEATURES_MONITOR_EXIT);
	return true;
}

void redial(struct undo *u, struct guardian_state *state)
{
	int64_t deadline = clock_now_ns() + state->redial_ms * 1000000ll;

	state->left = LEFT_UNKNOWN;
	if (!state->redial)
		return;
	/* Not before what was seen is looked at: this one is to be ended whatever it holds. */
	state->end_again = *state->target == '|' || state->end_stub;
	state->end_stub = 0;
	for (bool done = false; !done && clock_now_ns() < deadline; redial_nap()) {
		struct dial d = { -1, 0 };
		struct err *err = dial(state->target, CONNECT_MS, NULL, NULL, &d);

		err_destroy(err);
		if (err)
			continue;
		*u = (struct undo){ .fd = d.fd, .silence_ms = CONNECT_MS, .deadline = deadline };
		done = undo_again(u, state);
		close(d.fd);
		if (d.child)
			dial_reap(d.child);
	}
}
