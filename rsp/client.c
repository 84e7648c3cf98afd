/*
 * The life of a connection, from the handshake to the goodbye.
 */
#include "rsp/redial.h"
#include "rsp/rsp_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/intr.h"

/* ------------------------------------------------------------------ handshake */

/* QEMU 7.2 greets with a stop reply if the machine was running. */
enum { GREETINGS_MAX = 4 };

static bool is_stop_reply(const struct rsp *rsp)
{
	const char *s = exchange_text(&rsp->x);

	return (*s == 'T' || *s == 'S') && packet_hexbyte(s + 1) >= 0;
}

/* The stub wants acknowledgements. */
static struct err *ask_acked(struct rsp *rsp)
{
	TRY(exchange_command(&rsp->x, "qqemu.Supported"));
	features_acked(&rsp->f, exchange_text(&rsp->x));
	return NULL;
}

static struct err *start_no_ack(struct rsp *rsp)
{
	struct err *err = exchange_command(&rsp->x, "QStartNoAckMode");

	if (err || !exchange_is(&rsp->x, "OK")) {
		features_acked(&rsp->f, "");
		return err;
	}
	rsp->f.pub.no_ack = true;
	rsp->shared->no_ack = 1;
	return conn_set_no_ack(rsp->x.conn);
}

/* A terminal shows what it is given before it passes it on, which it does with whole lines. */
static struct err *is_terminal(struct rsp *rsp)
{
	rsp->shared->terminal = 1;
	return err_create(ERR_PROTO,
			  "%s gives back what it is sent: a terminal is in between; leave out -t "
			  "(exec -i, ssh -T)",
			  rsp->x.conn->name);
}

static struct err *ask_features(struct rsp *rsp)
{
	struct err *err;

	TRY(exchange_command(&rsp->x, "%s", FEATURES_QUERY));
	for (int i = 0; i < GREETINGS_MAX && is_stop_reply(rsp); i++)
		TRY(exchange_next(&rsp->x));
	if (!strncmp(exchange_text(&rsp->x), FEATURES_QUERY, strlen(FEATURES_QUERY)))
		return is_terminal(rsp);
	TRY(features_parse(exchange_refused(&rsp->x) ? "" : exchange_text(&rsp->x), &rsp->f));
	rsp->shared->multiprocess = rsp->f.pub.multiprocess;
	rsp->shared->interrupts = true;
	if (rsp->f.start_no_ack)
		return start_no_ack(rsp);
	err = ask_acked(rsp);
	rsp->shared->interrupts = rsp->f.stop != STOP_NONE;
	return err;
}

enum { ASK_EXTENDED, ASK_SIGNALS, ASK_FORKS, ASK_FILES, ASK_STATE, ASK_N };

static struct err *take_answer(struct rsp *rsp, int ask)
{
	TRY(exchange_next(&rsp->x));
	if (ask == ASK_EXTENDED)
		rsp->f.pub.extended = rsp->f.pub.stops_again = exchange_is(&rsp->x, "OK");
	else if (ask == ASK_FILES)
		rsp->f.pub.vfile = rsp->x.reply.data[0] == 'F';
	return NULL;
}

/*
 * Asks `!`, for signals, forks, files, and `?`, at once where there are no acknowledgements: each
 * way there and back costs the debuggee's time.  The reply to `?` is in x.reply afterwards.  `?`
 * comes before any `m`: gdbserver has no current thread before it.
 */
static struct err *ask_state(struct rsp *rsp)
{
	const char *const ask[ASK_N] = {
		[ASK_EXTENDED] = rsp->f.stop == STOP_ATTACH ? "!" : NULL,
		[ASK_SIGNALS] = rsp->f.program_signals ? FEATURES_SIGNALS : NULL,
		/* Not before: it may leave a SIGSTOP with threads, and a gdbserver that loses us
		 * then passes that on (seen: the process stays in state T). */
		[ASK_FORKS] = rsp->forks && rsp->f.pub.fork_events ? FEATURES_QUERY_FORKS : NULL,
		[ASK_FILES] = "vFile:setfs:0",
		[ASK_STATE] = "?",
	};
	const bool at_once = rsp->f.pub.no_ack;

	for (int i = 0; i < ASK_N; i++) {
		if (ask[i])
			TRY(exchange_send(&rsp->x, "%s", ask[i]));
		if (ask[i] && !at_once)
			TRY(take_answer(rsp, i));
	}
	for (int i = 0; i < ASK_N; i++) {
		if (ask[i] && at_once)
			TRY(take_answer(rsp, i));
	}
	return NULL;
}

/* Is a process to be attached to, not the one that the stub holds? */
static bool attaches(const struct rsp_options *opts)
{
	return opts->pid || opts->find_pid;
}

/* held: the stub holds a process already, that of the thread. */
static struct err *attach_by_pid(struct rsp *rsp, const struct rsp_options *opts, bool held,
				 const struct rsp_thread *thread, int64_t connected)
{
	uint64_t pid = opts->pid;
	bool left_behind;

	if (opts->find_pid)
		TRY(opts->find_pid(opts->arg, rsp, &pid));
	/* A client before us may have died and left it behind. */
	left_behind = held && thread->pid == pid;
	rsp->others = held && !left_behind;
	if (rsp->others)
		rsp->forks = false; /* which are its children could not be told */
	rsp->shared->forks = rsp->forks;
	if (!rsp->f.pub.extended)
		return err_create(
			ERR_UNSUPPORTED,
			"the stub cannot attach to a process; start it with: gdbserver --multi "
			":2345");
	if (left_behind)
		stop_begins_at(rsp, connected, thread);
	else
		rsp->pid = pid;
	if (opts->before_attach)
		TRY(opts->before_attach(opts->arg, rsp));
	return left_behind ? stop_select(rsp, thread) : stop_attach(rsp, pid);
}

/*
 * Only a gdbserver goes on holding what it held, and is found again at its port.  A command on a
 * pipe is another gdbserver each time: it must not be one that starts a program.
 */
static bool may_redial(const struct rsp *rsp, const struct rsp_options *opts)
{
	const struct conn *c = rsp->x.conn;

	return rsp->f.monitor_exit && opts->redial_ms >= 0 &&
	       (!c->child || attaches(opts) || strstr(c->name, "--attach"));
}

static struct err *handshake(struct rsp *rsp, const struct rsp_options *opts, int64_t connected)
{
	struct rsp_thread t = { 0 };
	bool held;

	TRY(ask_features(rsp));
	rsp->shared->redial = may_redial(rsp, opts);
	/* One on a pipe is ours: without --once it would neither end nor let go by itself, and
	 * where the pipe leads to, a signal to our own child does not reach it. */
	rsp->shared->end_stub = rsp->x.conn->child && rsp->f.monitor_exit;
	rsp->shared->end_if_held = !attaches(opts) && rsp->f.monitor_exit;
	TRY(ask_state(rsp));
	/* A stub that goes with its debuggee is asked nothing after D, and forks nothing. */
	rsp->forks = rsp->forks && rsp->f.pub.extended;
	rsp->shared->forks = rsp->forks;
	held = rsp->x.reply.data[0] != 'W' && rsp->x.reply.data[0] != 'X';
	if (!held && !attaches(opts)) {
		rsp->shared->held = 0;
		return err_create(ERR_EXITED,
				  "%s is a stub, but nothing is attached there; give -p PID",
				  rsp->x.conn->name);
	}
	if (held && (!attaches(opts) || is_stop_reply(rsp)))
		TRY(stop_take_reply(rsp, &t));
	if (attaches(opts))
		return attach_by_pid(rsp, opts, held, &t, connected);
	stop_begins_at(rsp, connected, &t);
	rsp->shared->end_stub |= rsp->f.pub.extended && rsp->f.monitor_exit;
	rsp->shared->end_if_held = 0;
	return stop_select(rsp, &t);
}

/* Each socket that is tried gets a guardian, before the other end can know of it. */
static struct err *watch_socket(void *arg, int fd)
{
	struct rsp *rsp = arg;

	guardian_stop(&rsp->guardian);
	return guardian_start(&rsp->guardian, fd, &rsp->state);
}

static struct err *connect_stub(struct rsp *rsp, const char *target, int timeout_ms)
{
	struct err *err = conn_create(target, timeout_ms, watch_socket, rsp, &rsp->x.conn);

	if (err) {
		guardian_stop(&rsp->guardian);
		return err;
	}
	rsp->shared = rsp->guardian.state;
	rsp->shared->child = rsp->x.conn->child;
	rsp->x.conn->shared = rsp->shared;
	return NULL;
}

uint64_t rsp_first_stop_limit(int timeout_ms)
{
	enum { TIMES = 10 };
	const uint64_t least = 60 * 1000000000ull;
	uint64_t ns = TIMES * 1000000ull * (timeout_ms > 0 ? timeout_ms : CONN_TIMEOUT_MS);

	return ns < least ? least : ns;
}

struct err *rsp_create(const char *target, const struct rsp_options *opts, struct rsp **ret)
{
	static const struct rsp_options defaults;
	struct rsp *rsp = calloc(1, sizeof(*rsp));
	int64_t now = clock_now_ns();
	struct err *err;
	int timeout_ms;

	if (!rsp)
		return err_nomem();
	if (!opts)
		opts = &defaults;
	timeout_ms = opts->timeout_ms > 0 ? opts->timeout_ms : CONN_TIMEOUT_MS;
	rsp_set_stop_limit(rsp, rsp_first_stop_limit(timeout_ms),
			   "the process was stopped for too long, and was let go");
	rsp->forks = opts->forks;
	rsp->f.pub.packet_size = FEATURES_PACKET_SIZE;
	rsp->shared = &rsp->state;
	rsp->state.forks = opts->forks;
	rsp->state.target = target;
	rsp->state.redial_ms = opts->redial_ms        ? opts->redial_ms :
			       timeout_ms < REDIAL_MS ? timeout_ms :
							REDIAL_MS;
	rsp->state.silence_ms = timeout_ms < CONN_LAST_WORDS_MS ? timeout_ms : CONN_LAST_WORDS_MS;
	/* Connecting may stop it, and who starts gdbserver --attach has done so. */
	rsp->state.held = !attaches(opts);
	rsp->state.talking = 1;
	err = connect_stub(rsp, target, timeout_ms);
	if (!err)
		err = handshake(rsp, opts, now);
	if (err) {
		/* What never said a word is no stub, and holds nothing; or we did not wait. */
		if (rsp->x.conn && !rsp->x.conn->spoken && !err_is(err, ERR_INTR))
			rsp->shared->held = 0;
		return rsp_close(rsp, err);
	}
	*ret = rsp;
	return NULL;
}

/* ------------------------------------------------------------------ goodbye */

/* The way out where the stub can be talked to: the debuggee runs, and a gdbserver of ours ends. */
static struct err *say_all(struct rsp *rsp, enum undo_left *left, uint64_t *tracer)
{
	struct err *err = exchange_resync(&rsp->x);

	if (!err && rsp->stopped) {
		err = stop_detach(rsp);
		if (!err)
			err = released_look(rsp, left, tracer);
	}
	conn_settle_ack(rsp->x.conn);
	TRY(err);
	if (rsp->shared->end_stub) {
		TRY(exchange_command(&rsp->x, FEATURES_MONITOR_EXIT));
		rsp->shared->end_stub = 0;
	}
	return NULL;
}

/* The stub is slow, or stuck: it may read this when we are gone. */
static struct err *leave_detach(struct rsp *rsp)
{
	TRY(stop_send_detach(rsp));
	return conn_flush(rsp->x.conn);
}

/* false: the debuggee may still be held. */
static bool say_goodbye(struct rsp *rsp, enum undo_left *left, uint64_t *tracer)
{
	struct err *err;

	/* It runs, and a breakpoint is set: the guardian waits for the stop. */
	if (rsp->shared->running)
		return rsp->exited || (rsp->x.conn->dead && !rsp->shared->redial);
	/* The guardian knows the way back from every step, and asks whom the stub holds where that
	 * is not known here: an error before `?`; and it dials again. */
	if (rsp->shared->inject.stage || rsp->shared->terminal)
		return false;
	if (!rsp->stopped && rsp->shared->held)
		return rsp->x.conn->dead && !rsp->shared->redial;
	if (!rsp->stopped && !rsp->shared->end_stub)
		return true;
	if (!rsp->shared->talking)
		return true;
	err = say_all(rsp, left, tracer);
	if (!err)
		return true;
	if (rsp->stopped && err_is(err, ERR_TIMEOUT))
		err_destroy(leave_detach(rsp));
	/* A stub that is silent, or gone, will not answer a second time either, but perhaps over
	 * a new connection. */
	rsp->stopped = rsp->stopped && (rsp->shared->redial ||
					(!err_is(err, ERR_TIMEOUT) && !err_is(err, ERR_CLOSED)));
	err_destroy(err);
	return !rsp->stopped;
}

/* err (taken) and how the process was left. */
static struct err *add_left(const struct rsp *rsp, enum undo_left left, uint64_t tracer,
			    struct err *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct err *both, *e = NULL;

	if (rsp->pid)
		e = released_text(rsp->pid, left, tracer, &text);
	if (e || !text.len) {
		err_destroy(e);
		return err;
	}
	both = err_create(err ? err->code : ERR_CLOSED, "%s; %s",
			  err ? err->msg : "the way out was cut off", (const char *)text.data);
	err_destroy(err);
	return both;
}

struct err *rsp_close(struct rsp *rsp, struct err *err)
{
	struct conn *c = rsp->x.conn;
	enum undo_left left = LEFT_FREE;
	uint64_t tracer = 0;

	if (c) {
		conn_last_words(c);
		/* What the codec cannot make sense of, the guardian's coarser one may. */
		if (say_goodbye(rsp, &left, &tracer) || !rsp->guardian.pid) {
			guardian_stop(&rsp->guardian);
		} else if (rsp->shared->running && !rsp->shared->interrupts) {
			guardian_leave(&rsp->guardian, &c->child);
		} else {
			/* The command is gone before it is started anew. */
			if (c->dead && c->child)
				dial_reap(c->child);
			if (c->dead)
				c->child = 0;
			guardian_take_over(&rsp->guardian);
			left = rsp->guardian.left;
			tracer = rsp->guardian.tracer;
		}
	}
	intr_set_limit(0, 0, NULL);
	err = add_left(rsp, left, tracer, err);
	exchange_deinit(&rsp->x);
	target_xml_deinit(&rsp->xml);
	free(rsp);
	return err;
}

void rsp_destroy(struct rsp *rsp)
{
	if (rsp)
		err_destroy(rsp_close(rsp, NULL));
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
	const struct conn *c = rsp->x.conn;

	return (struct rsp_stats){ c->packets_out, c->packets_in,     c->bytes_out,
				   c->bytes_in,    rsp->memory_bytes, rsp->memory_ns };
}
