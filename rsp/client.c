/*
 * The life of a connection: handshake, stop, detach, the way out.
 */
#include "rsp/client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"

/* ------------------------------------------------------------------ commands */

struct err *rsp_send_bytes(struct rsp *rsp, const void *payload, size_t len)
{
	struct err *err = NULL;
	bool found = false;

	if (rsp->ahead.len)
		err = rsp_ahead_find(rsp, payload, len, &found);
	if (err || found)
		return err;
	err = conn_queue(rsp->conn, payload, len);
	if (!err)
		rsp->owed++;
	return err;
}

static struct err *vsend(struct rsp *rsp, const char *fmt, va_list ap)
{
	char small[128], *s = small;
	va_list copy;
	struct err *err;
	int n;

	va_copy(copy, ap);
	n = vsnprintf(small, sizeof(small), fmt, copy);
	va_end(copy);
	if (n < 0)
		return err_nomem();
	if ((size_t)n >= sizeof(small)) {
		n = vasprintf(&s, fmt, ap);
		if (n < 0)
			return err_nomem();
	}
	err = rsp_send_bytes(rsp, s, (size_t)n);
	if (s != small)
		free(s);
	return err;
}

struct err *rsp_send(struct rsp *rsp, const char *fmt, ...)
{
	struct err *err;
	va_list ap;

	va_start(ap, fmt);
	err = vsend(rsp, fmt, ap);
	va_end(ap);
	return err;
}

struct err *rsp_next_raw(struct rsp *rsp, const uint8_t **p, size_t *len)
{
	struct err *err = conn_recv(rsp->conn, p, len);

	if (err)
		rsp->lost = true;
	else if (rsp->owed)
		rsp->owed--;
	return err;
}

struct err *rsp_next(struct rsp *rsp)
{
	const uint8_t *p;
	size_t len;
	struct err *err = rsp_next_raw(rsp, &p, &len);

	if (err)
		return err;
	buf_reset(&rsp->reply);
	err = buf_reserve(&rsp->reply, 0); /* an empty reply is a string, too */
	if (err)
		return err;
	rsp->reply.data[0] = 0;
	return packet_expand(p, len, &rsp->reply);
}

struct err *rsp_command(struct rsp *rsp, const char *fmt, ...)
{
	struct err *err;
	va_list ap;

	va_start(ap, fmt);
	err = vsend(rsp, fmt, ap);
	va_end(ap);
	return err ? err : rsp_next(rsp);
}

bool rsp_is_error(const uint8_t *p, size_t len)
{
	if (!len || p[0] != 'E')
		return false;
	return (len == 3 && packet_hexbyte(p + 1) >= 0) || (len > 1 && p[1] == '.');
}

struct err *rsp_check(const struct buf *reply, const char *what)
{
	if (!reply->len)
		return err_create(ERR_UNSUPPORTED, "the stub does not know %s", what);
	if (rsp_is_error(reply->data, reply->len))
		return err_create(ERR_REMOTE, "the stub refuses %s (%.80s)", what,
				  (const char *)reply->data);
	return NULL;
}

static bool reply_is(const struct rsp *rsp, const char *s)
{
	return !strcmp((const char *)rsp->reply.data, s);
}

/* ------------------------------------------------------------------ stop replies */

bool rsp_parse_thread(const char *s, const char **end, struct rsp_thread *ret)
{
	struct rsp_thread t = { 0 };
	const char *p = s;

	if (*p == 'p') {
		p++;
		if (!packet_number(&p, &t.pid) || *p++ != '.')
			return false;
	}
	if (!packet_number(&p, &t.tid) || (size_t)(p - s) >= sizeof(t.id))
		return false;
	memcpy(t.id, s, (size_t)(p - s));
	*end = p;
	*ret = t;
	return true;
}

static struct err *gone(struct rsp *rsp)
{
	rsp->exited = true;
	rsp->stopped = false;
	rsp->shared->held = 0;
	return rsp->pid ? err_create(ERR_EXITED, "the process %" PRIu64 " has ended", rsp->pid) :
			  err_create(ERR_EXITED, "the process has ended");
}

static struct err *stopped_thread(struct rsp *rsp, struct rsp_thread *t)
{
	const char *s = (const char *)rsp->reply.data, *end;
	struct err *err;

	inject_note_stop(&rsp->shared->inject, s);
	switch (*s) {
	case 'T':
		for (s += 3; (s = strstr(s, "thread:")); s++) {
			if ((s[-1] == ';' || s == (char *)rsp->reply.data + 3) &&
			    rsp_parse_thread(s + 7, &end, t))
				return NULL;
		}
		__attribute__((fallthrough));
	case 'S':
		err = rsp_command(rsp, "qC");
		if (err)
			return err;
		s = (const char *)rsp->reply.data;
		if (!strncmp(s, "QC", 2))
			rsp_parse_thread(s + 2, &end, t);
		return NULL;
	case 'W':
	case 'X':
		return gone(rsp);
	default:
		err = rsp_check(&rsp->reply, "to say why the process stands still");
		return err ? err : err_create(ERR_PROTO, "\"%.40s\" is no stop reply", s);
	}
}

struct err *rsp_take_stop(struct rsp *rsp, struct rsp_thread *t)
{
	struct err *err;

	*t = (struct rsp_thread){ 0 };
	err = stopped_thread(rsp, t);
	if (!err)
		rsp->current = *t;
	return err;
}

void rsp_set_stopped(struct rsp *rsp, int64_t since)
{
	rsp->stopped = true;
	rsp->stopped_at = since;
	rsp->stopped_ns = 0;
	rsp->shared->pid = rsp->pid;
	rsp->shared->talking = 1;
	rsp->shared->held = rsp->f.stays_stopped;
}

static void set_stopped(struct rsp *rsp, int64_t since, const struct rsp_thread *t)
{
	if (t->pid)
		rsp->pid = t->pid;
	rsp_set_stopped(rsp, since);
}

void rsp_set_running(struct rsp *rsp)
{
	rsp->stopped = false;
	rsp->shared->held = 0;
	rsp->stopped_ns = (uint64_t)(clock_now_ns() - rsp->stopped_at);
	rsp->stopped_total_ns += rsp->stopped_ns;
}

/* The thread that `m` and `g` are about. */
static struct err *select_thread(struct rsp *rsp, const struct rsp_thread *t)
{
	struct err *err;

	if (!*t->id)
		return NULL;
	err = rsp_command(rsp, "Hg%s", t->id);
	/* Unknown to the simplest stubs, which have one thread. */
	return err;
}

static struct err *attach(struct rsp *rsp, uint64_t pid)
{
	struct rsp_thread t;
	struct err *err;
	int64_t now;

	rsp_ahead_forget(rsp);
	err = rsp_ahead_check(rsp, pid);
	if (err)
		return err;
	now = clock_now_ns();
	rsp->shared->pid = pid;
	rsp->shared->held = 1; /* before the stub can have it: we may die in between */
	err = rsp_send(rsp, "vAttach;%" PRIx64, pid);
	if (!err)
		err = rsp_ahead_stop(rsp, pid);
	if (!err)
		err = rsp_next(rsp);
	if (err) {
		/* It may be held by now: the way out lets it go, or fails to, without harm. */
		rsp->pid = pid;
		rsp->stopped = true;
		rsp->stopped_at = now;
		return err;
	}
	if (!rsp->reply.len || rsp_is_error(rsp->reply.data, rsp->reply.len)) {
		rsp->shared->held = 0;
		if (!rsp->reply.len)
			return err_create(ERR_UNSUPPORTED,
					  "the stub cannot attach to a process; start it with: "
					  "gdbserver --multi :2345");
		return err_create(
			ERR_REMOTE,
			"the stub cannot attach to process %" PRIu64
			" (%.80s): is there one, may the stub trace it, and does nobody else?",
			pid, (const char *)rsp->reply.data);
	}
	rsp->pid = pid;
	/*
	 * gdbserver takes only the thread that it told of for one that is to stay stopped: vKill of
	 * another process lets the others run (seen).  `?` tells it of all.
	 */
	rsp->stopped = true;
	rsp->stopped_at = now;
	if (rsp->forks) {
		err = rsp_command(rsp, "?");
		if (err)
			return err;
	}
	err = rsp_take_stop(rsp, &t);
	if (err)
		return err;
	set_stopped(rsp, now, &t);
	return select_thread(rsp, &t);
}

/* ------------------------------------------------------------------ handshake */

static bool is_greeting(const char *s)
{
	return (*s == 'T' || *s == 'S') && packet_hexbyte(s + 1) >= 0;
}

static struct err *ask_features(struct rsp *rsp)
{
	struct err *err =
		rsp_command(rsp, "%s", rsp->forks ? FEATURES_QUERY_FORKS : FEATURES_QUERY);

	/* QEMU 7.2 greets with a stop reply if the machine was running. */
	for (int i = 0; !err && i < 4 && is_greeting((const char *)rsp->reply.data); i++)
		err = rsp_next(rsp);
	if (err)
		return err;
	err = features_parse(
		rsp_is_error(rsp->reply.data, rsp->reply.len) ? "" : (const char *)rsp->reply.data,
		&rsp->f);
	if (err)
		return err;
	rsp->shared->multiprocess = rsp->f.pub.multiprocess;
	rsp->shared->interrupts = true;
	if (!rsp->f.start_no_ack) {
		err = rsp_command(rsp, "qqemu.Supported");
		if (!err)
			features_acked(&rsp->f, (const char *)rsp->reply.data);
		rsp->shared->interrupts = rsp->f.stop != STOP_NONE;
		return err;
	}
	err = rsp_command(rsp, "QStartNoAckMode");
	if (err || !reply_is(rsp, "OK")) {
		features_acked(&rsp->f, "");
		return err;
	}
	err = conn_set_no_ack(rsp->conn);
	rsp->f.pub.no_ack = true;
	rsp->shared->no_ack = 1;
	return err;
}

/*
 * The signals that the debuggee is to get at a detach: all but SIGSTOP, SIGTRAP and SIGINT, by
 * gdb's numbers.  Stopping a thread leaves a SIGSTOP behind where another signal came first, and
 * gdbserver passes it on when it lets go, so that the process stays stopped (seen: 5 of 60 detaches
 * of a program with many signals; 0 of 300 with this).
 */
static const char program_signals[] =
	"QProgramSignals:1;3;4;6;7;8;9;a;b;c;d;e;f;10;12;13;14;15;16;17;18;19;1a;1b;1c;1d;1e;1f;20;21;22;23;24;"
	"25;26;27;28;29;2a;2b;2c;2d;2e;2f;30;31;32;33;34;35;36;37;38;39;3a;3b;3c;3d;3e;3f;40;41;42;43;44;45;"
	"46;47;48;49;4a;4b;4c;4d;4e;4f;50;51;52;53;54;55;56;57;58;59;5a;5b;5c;5d;5e;5f;60;61;62;63;64;65;66;"
	"67;68;69;6a;6b;6c;6d;6e;6f;70;71;72;73;74;75;76;77;78;79;7a;7b;7c;7d;7e;7f";

enum { ASK_EXTENDED, ASK_SIGNALS, ASK_FILES, ASK_STATE, ASK_N };

static void take_answer(struct rsp *rsp, int ask)
{
	if (ask == ASK_EXTENDED)
		rsp->f.pub.extended = rsp->f.pub.stops_again = reply_is(rsp, "OK");
	else if (ask == ASK_FILES)
		rsp->f.pub.vfile = rsp->reply.data[0] == 'F';
}

/*
 * `!`, signals, files, and `?`, at once where there are no acknowledgements: each way there and
 * back costs the debuggee's time.  `?` comes before any `m`: gdbserver has no current thread
 * before it.
 */
static struct err *ask_state(struct rsp *rsp)
{
	const char *const ask[ASK_N] = {
		[ASK_EXTENDED] = rsp->f.stop == STOP_ATTACH ? "!" : NULL,
		[ASK_SIGNALS] = rsp->f.program_signals ? program_signals : NULL,
		[ASK_FILES] = "vFile:setfs:0",
		[ASK_STATE] = "?",
	};
	struct err *err = NULL;

	for (int i = 0; !err && i < ASK_N; i++) {
		if (!ask[i])
			continue;
		err = rsp_send(rsp, "%s", ask[i]);
		if (!err && !rsp->f.pub.no_ack) {
			err = rsp_next(rsp);
			if (!err)
				take_answer(rsp, i);
		}
	}
	for (int i = 0; !err && rsp->f.pub.no_ack && i < ASK_N; i++) {
		if (!ask[i])
			continue;
		err = rsp_next(rsp);
		if (!err)
			take_answer(rsp, i);
	}
	return err;
}

static struct err *attach_by_pid(struct rsp *rsp, const struct rsp_options *opts, bool held,
				 const struct rsp_thread *held_thread, int64_t connected)
{
	struct err *err;

	rsp->by_pid = true;
	rsp->others = held && held_thread->pid != opts->pid;
	if (rsp->others)
		rsp->forks = false; /* which are its children could not be told */
	rsp->shared->forks = rsp->forks;
	if (!rsp->f.pub.extended)
		return err_create(
			ERR_UNSUPPORTED,
			"the stub cannot attach to a process; start it with: gdbserver --multi "
			":2345");
	/* A client before us may have died and left it behind. */
	if (held && held_thread->pid == opts->pid) {
		set_stopped(rsp, connected, held_thread);
		held = true;
	} else {
		held = false;
		rsp->pid = opts->pid;
	}
	if (opts->before_attach) {
		err = opts->before_attach(opts->arg, rsp);
		if (err)
			return err;
	}
	return held ? select_thread(rsp, held_thread) : attach(rsp, opts->pid);
}

static struct err *handshake(struct rsp *rsp, const struct rsp_options *opts, int64_t connected)
{
	struct rsp_thread t = { 0 };
	struct err *err;
	bool nothing;

	err = ask_features(rsp);
	if (!err) {
		rsp->shared->end_if_held = !opts->pid && rsp->f.monitor_exit;
		err = ask_state(rsp);
	}
	if (err)
		return err;
	nothing = rsp->reply.data[0] == 'W' || rsp->reply.data[0] == 'X';
	if (nothing && !opts->pid) {
		rsp->shared->held = 0;
		return err_create(ERR_EXITED,
				  "%s is a stub, but nothing is attached there; give -p PID",
				  rsp->conn->name);
	}
	if (!nothing && (!opts->pid || is_greeting((const char *)rsp->reply.data))) {
		err = rsp_take_stop(rsp, &t);
		if (err)
			return err;
	}
	if (opts->pid)
		return attach_by_pid(rsp, opts, !nothing, &t, connected);
	set_stopped(rsp, connected, &t);
	rsp->shared->end_stub = rsp->f.pub.extended && rsp->f.monitor_exit;
	rsp->shared->end_if_held = 0;
	return select_thread(rsp, &t);
}

/* A guardian for each socket that is tried, from before the other end can know of it. */
static struct err *watch_socket(void *arg, const struct conn *c, int fd)
{
	struct rsp *rsp = arg;

	guardian_stop(&rsp->guardian);
	rsp->state.silence_ms =
		c->timeout_ms < CONN_LAST_WORDS_MS ? c->timeout_ms : CONN_LAST_WORDS_MS;
	return guardian_start(&rsp->guardian, fd, &rsp->state);
}

struct err *rsp_create(const char *target, const struct rsp_options *opts, struct rsp **ret)
{
	static const struct rsp_options defaults;
	struct rsp *rsp = calloc(1, sizeof(*rsp));
	int64_t now = clock_now_ns();
	struct err *err;

	if (!rsp)
		return err_nomem();
	if (!opts)
		opts = &defaults;
	rsp->shared = &rsp->state;
	rsp->forks = opts->forks;
	rsp->state.forks = opts->forks;
	rsp->f.pub.packet_size = 400;
	/* Connecting may stop it, and who starts gdbserver --attach has done so. */
	rsp->state.held = !opts->pid;
	rsp->state.talking = 1;
	err = conn_create(target, opts->timeout_ms, watch_socket, rsp, &rsp->conn);
	if (err)
		guardian_stop(&rsp->guardian);
	if (!err) {
		rsp->shared = rsp->guardian.state;
		rsp->shared->child = rsp->conn->child;
		rsp->conn->shared = rsp->shared;
		err = handshake(rsp, opts, now);
	}
	if (err) {
		/* What never said a word is no stub, and holds nothing; or we did not wait. */
		if (rsp->conn && !rsp->conn->spoken && !err_is(err, ERR_INTR))
			rsp->shared->held = 0;
		rsp_destroy(rsp);
		return err;
	}
	*ret = rsp;
	return NULL;
}

/* ------------------------------------------------------------------ a whole machine */

/* Before the machine runs (off), when it is stopped again (on). */
static struct err *set_physical(struct rsp *rsp, bool on)
{
	struct err *err;

	if (!rsp->physical)
		return NULL;
	if (on)
		rsp->shared->physical = 1; /* before the stub is asked: we may die in between */
	err = rsp_command(rsp, RSP_PHYSICAL "%d", on);
	if (!err && !reply_is(rsp, "OK"))
		err = rsp_check(&rsp->reply, "physical memory");
	if (!err && !on)
		rsp->shared->physical = 0;
	return err;
}

struct err *rsp_read_physical(struct rsp *rsp)
{
	if (!rsp->f.pub.phys_mem)
		return err_create(ERR_UNSUPPORTED, "the stub shows no physical memory");
	if (rsp->physical)
		return NULL;
	rsp->physical = true;
	rsp->have_good_addr = false;
	return set_physical(rsp, true);
}

/* ------------------------------------------------------------------ stop and go */

static struct err *send_detach(struct rsp *rsp)
{
	if (rsp->f.pub.multiprocess && rsp->pid)
		return rsp_send(rsp, "D;%" PRIx64, rsp->pid);
	return rsp_send(rsp, "D");
}

static struct err *detach(struct rsp *rsp)
{
	struct err *err = rsp_break_clear(rsp);

	if (!err)
		err = set_physical(rsp, false);
	if (!err)
		err = send_detach(rsp);
	if (!err)
		err = rsp_next(rsp);
	if (err)
		return err;
	rsp_set_running(rsp);
	err = reply_is(rsp, "OK") ? NULL : rsp_check(&rsp->reply, "to let the process go");
	return !err && rsp->forks ? rsp_free_children(rsp) : err;
}

struct err *rsp_detach(struct rsp *rsp)
{
	struct err *err;

	if (!rsp->stopped)
		return NULL;
	if (rsp->f.stop != STOP_INTERRUPT)
		return detach(rsp);
	/* A whole machine: any byte from us would stop it again, so it is not let go but
	 * resumed, and nothing is said until rsp_stop(). */
	err = set_physical(rsp, false);
	if (!err)
		err = conn_queue(rsp->conn, "c", 1);
	if (!err)
		err = conn_flush(rsp->conn);
	if (err)
		return err;
	rsp->shared->talking = 0;
	rsp_set_running(rsp);
	return NULL;
}

struct err *rsp_stop(struct rsp *rsp)
{
	struct rsp_thread t;
	struct err *err;
	int64_t now;

	if (rsp->stopped)
		return NULL;
	if (rsp->exited)
		return gone(rsp);
	switch (rsp->f.stop) {
	case STOP_ATTACH:
		if (!rsp->f.pub.extended || !rsp->pid)
			break;
		return attach(rsp, rsp->pid);
	case STOP_INTERRUPT:
		now = clock_now_ns();
		rsp->shared->held = 1;
		rsp->shared->talking = 1;
		rsp->stopped = true;
		rsp->stopped_at = now;
		err = conn_send_byte(rsp->conn, 0x03);
		if (!err)
			err = rsp_next(rsp);
		if (!err)
			err = rsp_take_stop(rsp, &t);
		if (err)
			return err;
		set_stopped(rsp, now, &t);
		err = select_thread(rsp, &t);
		return err ? err : set_physical(rsp, true);
	case STOP_NONE:
		break;
	}
	return err_create(ERR_UNSUPPORTED, "this stub cannot stop the process a second time");
}

/*
 * Finds the place in the stream of replies again, after an error left it in the middle: asks
 * what only this question is answered with, and skips all before it.
 */
struct err *rsp_resync(struct rsp *rsp)
{
	const uint8_t *p;
	size_t len;
	struct err *err;

	if (!rsp->owed && !rsp->lost)
		return NULL;
	rsp_ahead_forget(rsp);
	err = rsp_send(rsp, "%s", FEATURES_QUERY);
	for (int bad = 0; !err;) {
		err = conn_recv(rsp->conn, &p, &len);
		if (!err && memmem(p, len, "PacketSize=", 11)) {
			rsp->owed = 0;
			rsp->lost = false;
			return NULL;
		}
		if (err_is(err, ERR_PROTO) && !rsp->conn->dead && bad++ < 1000) {
			err_destroy(err);
			err = NULL;
		}
	}
	return err;
}

/* false: it may still be held. */
static bool say_goodbye(struct rsp *rsp)
{
	struct err *err = NULL;

	/* It runs, and a breakpoint is set: the guardian waits for the stop. */
	if (rsp->shared->running)
		return rsp->conn->dead || rsp->exited;
	/* The guardian knows the way back from every step. */
	if (rsp->shared->inject.stage)
		return rsp->conn->dead;
	/* An error before `?`: whom it holds is not known here; the guardian asks. */
	if (!rsp->stopped && rsp->shared->held)
		return rsp->conn->dead;
	if (!rsp->stopped && !rsp->shared->end_stub)
		return true;
	if (!rsp->shared->talking)
		return true;
	err = rsp_resync(rsp);
	if (!err && rsp->stopped)
		err = detach(rsp);
	conn_settle_ack(rsp->conn);
	if (!err && rsp->shared->end_stub) {
		/* hex of "exit": gdbserver 13 answers OK, lets go of all it holds, and ends. */
		err = rsp_command(rsp, "qRcmd,65786974");
		if (!err)
			rsp->shared->end_stub = 0;
	}
	if (!err)
		return true;
	/* Slow, or stuck: it may read this when we are gone. */
	if (rsp->stopped && err_is(err, ERR_TIMEOUT)) {
		struct err *err2 = send_detach(rsp);

		if (!err2)
			err2 = conn_flush(rsp->conn);
		err_destroy(err2);
	}
	/* A stub that is silent, or gone, will not answer a second time either. */
	rsp->stopped = rsp->stopped && !err_is(err, ERR_TIMEOUT) && !err_is(err, ERR_CLOSED);
	err_destroy(err);
	return !rsp->stopped;
}

void rsp_destroy(struct rsp *rsp)
{
	if (!rsp)
		return;
	if (rsp->conn) {
		conn_last_words(rsp->conn);
		/* What the codec cannot make sense of, the guardian's coarser one may. */
		if (say_goodbye(rsp) || !rsp->guardian.pid)
			guardian_stop(&rsp->guardian);
		else if (rsp->shared->running && !rsp->shared->interrupts)
			guardian_leave(&rsp->guardian, &rsp->conn->child);
		else
			guardian_take_over(&rsp->guardian);
	}
	conn_destroy(rsp->conn);
	target_xml_deinit(&rsp->xml);
	buf_deinit(&rsp->reply);
	buf_deinit(&rsp->ahead);
	free(rsp);
}

/* ------------------------------------------------------------------ what is known */

const struct rsp_features *rsp_features(const struct rsp *rsp)
{
	return &rsp->f.pub;
}

uint64_t rsp_pid(const struct rsp *rsp)
{
	return rsp->pid;
}

bool rsp_is_stopped(const struct rsp *rsp)
{
	return rsp->stopped;
}

uint64_t rsp_stopped_ns(const struct rsp *rsp)
{
	return rsp->stopped ? (uint64_t)(clock_now_ns() - rsp->stopped_at) : rsp->stopped_ns;
}

uint64_t rsp_stopped_total_ns(const struct rsp *rsp)
{
	return rsp->stopped_total_ns +
	       (rsp->stopped ? (uint64_t)(clock_now_ns() - rsp->stopped_at) : 0);
}

struct rsp_stats rsp_stats(const struct rsp *rsp)
{
	const struct conn *c = rsp->conn;

	return (struct rsp_stats){ c->packets_out, c->packets_in,     c->bytes_out,
				   c->bytes_in,    rsp->memory_bytes, rsp->memory_ns };
}
