/*
 * Bytes are read as they come into one buffer, in which packets are found (rsp/packet.h).  What is
 * sent is queued until somebody waits, so that requests leave together.
 *
 * A stub may be stuck in a write until we read, so that whoever wants to write reads as well.
 */
#include "rsp/conn.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/intr.h"
#include "base/limits.h"
#include "rsp/guardian.h"

enum {
	RX_SIZE = 256 << 10, /* fits a second-level cache, and many packets */
	MAX_NAKS = 3,        /* then the line is not noisy but broken */
	MAX_JUNK = 64 << 10, /* a serial line may greet with a boot log; this is more */
	MAX_NOTES = 10000,
	/* a stub that greeted with something else still has this long to answer */
	GREETING_GRACE_MS = 1500,
};

DEFINE_CLEANUP(conn_destroy, struct conn *)

void conn_last_words(struct conn *c)
{
	if (c->last_words)
		return;
	c->last_words = true;
	c->last_deadline = clock_now_ns() + CONN_LAST_WORDS_ALL_MS * 1000000ll;
	if (c->timeout_ms > CONN_LAST_WORDS_MS)
		c->timeout_ms = CONN_LAST_WORDS_MS;
	if (c->silent && c->timeout_ms > CONN_SILENT_MS)
		c->timeout_ms = CONN_SILENT_MS;
}

/* Waits for events, at most timeout_ms, and on the way out not beyond last_deadline. */
static struct err *conn_poll(const struct conn *c, short events, int timeout_ms, bool *ready)
{
	int64_t deadline = clock_now_ns() + timeout_ms * 1000000ll;

	if (c->last_words && deadline > c->last_deadline)
		deadline = c->last_deadline;
	return intr_poll(c->fd, events, deadline, !c->last_words, ready);
}

static struct err *not_a_stub(struct conn *c)
{
	c->dead = true;
	return err_create(ERR_PROTO,
			  "what listens on %s is not a GDB stub: it says \"%s\"; start one with: "
			  "gdbserver --attach :2345 PID",
			  c->name, c->greeting);
}

static struct err *closed(struct conn *c)
{
	char how[80];

	c->dead = true;
	if (!c->spoken && c->junk)
		return not_a_stub(c);
	if (c->child && dial_ended(&c->child, how, sizeof(how)))
		return err_create(ERR_CLOSED, "the stub's command ended (%s): %s", how, c->name);
	if (!c->spoken)
		return err_create(ERR_CLOSED,
				  "%s closed the connection before it answered: not a GDB stub, or "
				  "one that already serves another client",
				  c->name);
	return err_create(ERR_CLOSED, "the stub closed the connection (%s)", c->name);
}

static struct err *silent(struct conn *c)
{
	c->silent = true;
	if (c->shared && c->shared->silence_ms > CONN_SILENT_MS)
		c->shared->silence_ms = CONN_SILENT_MS;
	if (c->last_words)
		return err_create(ERR_TIMEOUT, "the stub did not answer in time");
	if (!c->spoken && c->junk)
		return not_a_stub(c);
	if (!c->spoken && c->child)
		return err_create(ERR_TIMEOUT,
				  "%s did not answer for %g s (--timeout): not a GDB stub; or, "
				  "where gdbserver says above that it cannot PTRACE_TRACEME, one "
				  "that a seccomp profile forbids ptrace",
				  c->name, c->timeout_ms / 1e3);
	if (!c->spoken)
		return err_create(ERR_TIMEOUT,
				  "%s did not answer for %g s (--timeout): not a GDB stub, or one "
				  "that serves another client",
				  c->name, c->timeout_ms / 1e3);
	return err_create(ERR_TIMEOUT, "the stub did not answer for %g s (--timeout)",
			  c->timeout_ms / 1e3);
}

static struct err *make_room(struct conn *c)
{
	uint8_t *rx;

	if (c->rx_pos == c->rx_len)
		c->rx_pos = c->rx_len = 0;
	/* The rest of a cut packet moves to the front once little room is left. */
	if (c->rx_pos && c->rx_cap - c->rx_len < c->rx_cap / 4) {
		memmove(c->rx, c->rx + c->rx_pos, c->rx_len - c->rx_pos);
		c->rx_len -= c->rx_pos;
		c->rx_pos = 0;
	}
	if (c->rx_len < c->rx_cap)
		return NULL;
	if (c->rx_cap >= LIMIT_PACKET * 2u)
		return err_create(ERR_LIMIT, "the stub sends more than it was asked for");
	rx = realloc(c->rx, c->rx_cap ? c->rx_cap * 2 : RX_SIZE);
	if (!rx)
		return err_nomem();
	c->rx = rx;
	c->rx_cap = c->rx_cap ? c->rx_cap * 2 : RX_SIZE;
	return NULL;
}

/* Takes what has arrived; *got false: nothing has arrived. */
static struct err *conn_take(struct conn *c, bool *got)
{
	ssize_t n;

	TRY(make_room(c));
	do
		n = recv(c->fd, c->rx + c->rx_len, c->rx_cap - c->rx_len, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	*got = n > 0;
	if (n > 0) {
		c->rx_len += (size_t)n;
		c->bytes_in += (uint64_t)n;
		return NULL;
	}
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return NULL;
	if (n == 0 || errno == ECONNRESET || errno == EPIPE)
		return closed(c);
	return err_os(errno, "reading from %s", c->name);
}

/* Waits until more can be sent, and reads meanwhile: the stub may itself be stuck in a write until
 * we do. */
static struct err *await_room(struct conn *c)
{
	bool ready, got;

	TRY(conn_poll(c, POLLIN | POLLOUT, c->timeout_ms, &ready));
	return ready ? conn_take(c, &got) : silent(c);
}

/* *done gets how much was sent, also with an error. */
static struct err *send_some(struct conn *c, const uint8_t *p, size_t len, size_t *done)
{
	for (*done = 0; *done < len;) {
		ssize_t n = send(c->fd, p + *done, len - *done, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			*done += (size_t)n;
		else if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return closed(c);
		else if (n == 0 || errno == EAGAIN || errno == EWOULDBLOCK)
			TRY(await_room(c));
		else if (errno != EINTR)
			return err_os(errno, "writing to %s", c->name);
	}
	return NULL;
}

static struct err *send_all(struct conn *c, const uint8_t *p, size_t len)
{
	struct err *err;
	size_t done;

	if (c->dead)
		return err_create(ERR_CLOSED, "the connection to %s is gone", c->name);
	if (c->shared)
		c->shared->sending = 1;
	err = send_some(c, p, len, &done);
	c->bytes_out += done;
	if (err && done && done < len)
		c->dead = true; /* half a packet is out: nothing sane can follow it */
	else if (c->shared)
		c->shared->sending = 0;
	return err;
}

struct err *conn_queue(struct conn *c, const void *payload, size_t len)
{
	if (c->ack_owed && !c->no_ack)
		TRY(buf_add(&c->tx, "+", 1));
	c->ack_owed = false;
	if (!c->no_ack) {
		buf_reset(&c->last);
		TRY(packet_frame(&c->last, payload, len));
	}
	c->packets_out++;
	return packet_frame(&c->tx, payload, len);
}

struct err *conn_flush(struct conn *c)
{
	struct err *err;

	if (!c->tx.len)
		return NULL;
	err = send_all(c, c->tx.data, c->tx.len);
	buf_reset(&c->tx);
	return err;
}

struct err *conn_send_byte(struct conn *c, uint8_t byte)
{
	TRY(conn_flush(c));
	return send_all(c, &byte, 1);
}

struct err *conn_set_no_ack(struct conn *c)
{
	if (c->ack_owed)
		TRY(buf_add(&c->tx, "+", 1));
	c->ack_owed = false;
	c->no_ack = true;
	return NULL;
}

void conn_settle_ack(struct conn *c)
{
	if (c->ack_owed && !c->no_ack && !c->dead)
		err_destroy(send_all(c, (const uint8_t *)"+", 1));
	c->ack_owed = false;
}

static void note_greeting(struct conn *c, const uint8_t *p, size_t len)
{
	size_t have = strlen(c->greeting);

	for (size_t i = 0; i < len && have + 1 < sizeof(c->greeting); i++) {
		if ((p[i] == '\r' || p[i] == '\n') && have)
			break;
		c->greeting[have++] = p[i] >= 32 && p[i] < 127 ? (char)p[i] : '.';
	}
}

/* A packet was damaged: the stub is asked to send it again, where it takes acknowledgements. */
static struct err *corrupt(struct conn *c)
{
	if (!c->no_ack && c->naks++ < MAX_NAKS)
		return send_all(c, (const uint8_t *)"-", 1);
	return err_create(ERR_PROTO, "the stub sent a packet with a wrong checksum (%s)", c->name);
}

/* Takes the next reply out of the buffer; *done: it is in *pkt, else more bytes are needed. */
static struct err *next_packet(struct conn *c, struct packet *pkt, bool *done)
{
	*done = false;
	*pkt = (struct packet){ PACKET_NONE };
	while (c->rx_pos < c->rx_len) {
		packet_next(&c->scan, c->rx + c->rx_pos, c->rx_len - c->rx_pos, pkt);
		c->rx_pos += pkt->used;
		switch (pkt->kind) {
		case PACKET_NONE:
			return NULL;
		case PACKET_ACK:
			break;
		case PACKET_NAK:
			if (c->no_ack || !c->last.len || c->junk)
				break;
			if (c->naks++ >= MAX_NAKS)
				return err_create(ERR_PROTO,
						  "the stub takes none of our packets (%s)",
						  c->name);
			TRY(send_all(c, c->last.data, c->last.len));
			break;
		case PACKET_JUNK:
			if (!c->spoken)
				note_greeting(c, pkt->data, pkt->len);
			c->junk += pkt->len;
			if (c->junk > MAX_JUNK)
				return not_a_stub(c);
			break;
		case PACKET_NOTE:
			if (c->notes++ > MAX_NOTES) {
				c->dead = true; /* nothing else will ever come through */
				return err_create(ERR_PROTO,
						  "the stub sends notifications without end (%s)",
						  c->name);
			}
			break;
		case PACKET_CORRUPT:
			TRY(corrupt(c));
			break;
		case PACKET_OVERSIZE:
			c->dead = true;
			return err_create(ERR_PROTO, "the stub sent a packet of over %u MB (%s)",
					  LIMIT_PACKET >> 20, c->name);
		case PACKET_REPLY:
			*done = true;
			return NULL;
		}
	}
	return NULL;
}

/* A stub that sends something all the while, and no reply: the process may be stopped. */
static struct err *endless(struct conn *c)
{
	c->dead = true;
	return err_create(ERR_TIMEOUT,
			  "the stub did not finish a reply within %g s (--timeout), though it "
			  "sends all the while",
			  c->timeout_ms / 1e3);
}

/* Waits for more bytes of a packet. */
static struct err *await_bytes(struct conn *c)
{
	/* Who greets with something else than a packet has not long to answer. */
	bool hurry = !c->spoken && c->junk && c->timeout_ms > GREETING_GRACE_MS;
	bool got, ready;

	if (!c->last_words) /* a stub that always has more to say never lets us poll */
		TRY(intr_check());
	if (!c->patient && !c->last_words && clock_now_ns() > c->reply_deadline)
		return endless(c);
	TRY(conn_take(c, &got));
	if (got)
		return NULL;
	TRY(conn_poll(c, POLLIN, hurry ? GREETING_GRACE_MS : c->timeout_ms, &ready));
	return ready || (c->patient && !c->last_words) ? NULL : silent(c);
}

struct err *conn_recv(struct conn *c, const uint8_t **payload, size_t *len)
{
	struct packet pkt;
	bool done;

	TRY(conn_flush(c));
	if (c->dead)
		return err_create(ERR_CLOSED, "the connection to %s is gone", c->name);
	c->reply_deadline = clock_now_ns() + c->timeout_ms * 1000000ll;
	for (;;) {
		TRY(next_packet(c, &pkt, &done));
		if (done)
			break;
		TRY(await_bytes(c));
	}
	c->spoken = true;
	c->junk = 0;
	c->notes = 0;
	c->naks = 0;
	c->ack_owed = !c->no_ack;
	c->packets_in++;
	*payload = pkt.data;
	*len = pkt.len;
	return NULL;
}

struct err *conn_create(const char *target, int timeout_ms, dial_watch watch, void *arg,
			struct conn **ret)
{
	_cleanup_(cleanup_conn_destroy) struct conn *c = calloc(1, sizeof(*c));
	struct dial d;

	if (!c)
		return err_nomem();
	c->fd = -1;
	c->timeout_ms = timeout_ms;
	c->name = strdup(target);
	if (!c->name)
		return err_nomem();
	TRY(dial(target, timeout_ms, watch, arg, &d));
	c->fd = d.fd;
	c->child = d.child;
	*ret = TAKE_PTR(c);
	return NULL;
}

void conn_destroy(struct conn *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		close(c->fd);
	if (c->child)
		dial_reap(c->child);
	free(c->rx);
	buf_deinit(&c->tx);
	buf_deinit(&c->last);
	free(c->name);
	free(c);
}
