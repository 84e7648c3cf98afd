/*
 * Stops: what their replies say, and the ways into and out of one.
 *
 *	stop_attach()	vAttach, by rsp_create() and rsp_stop()
 *	rsp_stop()	vAttach, or an interrupt where the stub is a whole machine
 *	rsp_resume()	the debuggee runs until something stops it; the only place where it runs and
 *			the stub is waited for
 *	rsp_detach()	D, or `c` where the stub is a whole machine
 *
 * Each writes into the guardian's page what there is to undo before the packet that makes it true.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/intr.h"
#include "rsp/rsp_int.h"
#include "rsp/signals.h"

/* Who does not look at intr_check() has so long to let the process go once its time is over, and
 * longer than the way out takes: then we end. */
#define STOP_GRACE_NS (30 * 1000000000ull)

/* ------------------------------------------------------------------ how long */

void stop_may_begin(struct rsp *rsp, int64_t since)
{
	uint64_t spent = (uint64_t)(clock_now_ns() - since), all = rsp->stop_limit_ns;

	intr_set_limit(spent < all ? all - spent : 1, STOP_GRACE_NS, rsp->stop_limit_text);
}

void rsp_set_stop_limit(struct rsp *rsp, uint64_t ns, const char *text)
{
	rsp->stop_limit_ns = ns;
	snprintf(rsp->stop_limit_text, sizeof(rsp->stop_limit_text), "%s", text);
	if (rsp->stopped)
		stop_may_begin(rsp, rsp->stopped_at);
}

/* ------------------------------------------------------------------ stop replies */

static struct err *stop_gone(struct rsp *rsp)
{
	rsp->exited = true;
	rsp->stopped = false;
	intr_set_limit(0, 0, NULL);
	rsp->shared->held = 0;
	return rsp->pid ? err_create(ERR_EXITED, "the process %" PRIu64 " has ended", rsp->pid) :
			  err_create(ERR_EXITED, "the process has ended");
}

/* The thread that a T reply names; false: it names none. */
static bool stop_thread(const char *reply, struct rsp_thread *t)
{
	const char *first = reply + 3, *end; /* behind T and the signal */

	if (strlen(reply) < 3)
		return false;
	for (const char *s = first; (s = strstr(s, "thread:")); s++) {
		if ((s == first || s[-1] == ';') && rsp_parse_thread(s + 7, &end, t))
			return true;
	}
	return false;
}

struct err *stop_take_reply(struct rsp *rsp, struct rsp_thread *t)
{
	const char *s = exchange_text(&rsp->x), *end;

	*t = (struct rsp_thread){ 0 };
	inject_note_stop(&rsp->shared->inject, s);
	if (*s == 'W' || *s == 'X')
		return stop_gone(rsp);
	if (*s != 'T' && *s != 'S') {
		TRY(exchange_check(&rsp->x, "to say why the process stands still"));
		return err_create(ERR_PROTO, "\"%.40s\" is no stop reply", s);
	}
	if (*s == 'S' || !stop_thread(s, t)) {
		TRY(exchange_command(&rsp->x, "qC"));
		s = exchange_text(&rsp->x);
		if (!strncmp(s, "QC", 2))
			rsp_parse_thread(s + 2, &end, t);
	}
	rsp->current = *t;
	return NULL;
}

void stop_begins(struct rsp *rsp, int64_t since)
{
	rsp->stopped = true;
	rsp->stopped_at = since;
	rsp->stopped_ns = 0;
	stop_may_begin(rsp, since);
	rsp->shared->pid = rsp->pid;
	rsp->shared->talking = 1;
	rsp->shared->held = rsp->f.stays_stopped;
}

void stop_begins_at(struct rsp *rsp, int64_t since, const struct rsp_thread *t)
{
	if (t->pid)
		rsp->pid = t->pid;
	stop_begins(rsp, since);
}

/* The process runs. */
static void stop_ends(struct rsp *rsp)
{
	rsp->stopped = false;
	intr_set_limit(0, 0, NULL);
	rsp->shared->held = 0;
	rsp->stopped_ns = (uint64_t)(clock_now_ns() - rsp->stopped_at);
	rsp->stopped_total_ns += rsp->stopped_ns;
}

struct err *stop_select(struct rsp *rsp, const struct rsp_thread *t)
{
	/* The simplest stubs do not know Hg, and have one thread: whatever they say is fine. */
	return *t->id ? exchange_command(&rsp->x, "Hg%s", t->id) : NULL;
}

const struct rsp_thread *rsp_current_thread(const struct rsp *rsp)
{
	return &rsp->current;
}

/* ------------------------------------------------------------------ a whole machine */

/* Before the machine runs (off), and when it is stopped again (on). */
static struct err *set_physical(struct rsp *rsp, bool on)
{
	if (!rsp->physical)
		return NULL;
	if (on)
		rsp->shared->physical = 1; /* before the stub is asked: we may die in between */
	TRY(exchange_command(&rsp->x, FEATURES_PHYSICAL "%d", on));
	if (!exchange_is(&rsp->x, "OK"))
		TRY(exchange_check(&rsp->x, "physical memory"));
	if (!on)
		rsp->shared->physical = 0;
	return NULL;
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

/* ------------------------------------------------------------------ stopping */

/* vAttach and its reply, in x.reply. */
static struct err *send_attach(struct rsp *rsp, uint64_t pid)
{
	TRY(exchange_send(&rsp->x, "vAttach;%" PRIx64, pid));
	TRY(ahead_send(rsp, pid));
	return exchange_next(&rsp->x);
}

/* The stub refused vAttach. */
static struct err *attach_refused(struct rsp *rsp, uint64_t pid)
{
	rsp->shared->held = 0;
	intr_set_limit(0, 0, NULL);
	if (!rsp->x.reply.len)
		return err_create(ERR_UNSUPPORTED,
				  "the stub cannot attach to a process; start it with: "
				  "gdbserver --multi :2345");
	return err_create(ERR_REMOTE,
			  "the stub cannot attach to process %" PRIu64
			  " (%.80s): is there one, may the stub trace it, and does nobody else?",
			  pid, exchange_text(&rsp->x));
}

struct err *stop_attach(struct rsp *rsp, uint64_t pid)
{
	struct rsp_thread t;
	struct err *err;
	int64_t now;

	exchange_forget_ahead(&rsp->x);
	TRY(ahead_check(rsp, pid));
	now = clock_now_ns();
	stop_may_begin(rsp, now);
	rsp->shared->pid = pid;
	rsp->shared->held = 1; /* before the stub can have it: we may die in between */
	err = send_attach(rsp, pid);
	if (!err && (!rsp->x.reply.len || exchange_refused(&rsp->x)))
		return attach_refused(rsp, pid);
	/* With an error, too: it may be held by now, and the way out lets it go, or fails to
	 * without harm. */
	rsp->pid = pid;
	rsp->stopped = true;
	rsp->stopped_at = now;
	TRY(err);
	/*
	 * gdbserver takes only the thread that it told of for one that is to stay stopped: vKill of
	 * another process lets the others run (seen).  `?` tells it of all.
	 */
	if (rsp->forks)
		TRY(exchange_command(&rsp->x, "?"));
	TRY(stop_take_reply(rsp, &t));
	stop_begins_at(rsp, now, &t);
	return stop_select(rsp, &t);
}

/* A machine, which rsp_detach() resumed. */
static struct err *stop_interrupt(struct rsp *rsp)
{
	int64_t now = clock_now_ns();
	struct rsp_thread t;

	rsp->shared->held = 1;
	rsp->shared->talking = 1;
	rsp->stopped = true;
	rsp->stopped_at = now;
	stop_may_begin(rsp, now);
	TRY(conn_send_byte(rsp->x.conn, PACKET_INTERRUPT));
	TRY(exchange_next(&rsp->x));
	TRY(stop_take_reply(rsp, &t));
	stop_begins_at(rsp, now, &t);
	TRY(stop_select(rsp, &t));
	return set_physical(rsp, true);
}

struct err *rsp_stop(struct rsp *rsp)
{
	if (rsp->stopped)
		return NULL;
	if (rsp->exited)
		return stop_gone(rsp);
	if (rsp->f.stop == STOP_ATTACH && rsp->f.pub.extended && rsp->pid)
		return stop_attach(rsp, rsp->pid);
	if (rsp->f.stop == STOP_INTERRUPT)
		return stop_interrupt(rsp);
	return err_create(ERR_UNSUPPORTED, "this stub cannot stop the process a second time");
}

/* ------------------------------------------------------------------ letting go */

struct err *stop_send_detach(struct rsp *rsp)
{
	if (rsp->f.pub.multiprocess && rsp->pid)
		return exchange_send(&rsp->x, "D;%" PRIx64, rsp->pid);
	return exchange_send(&rsp->x, "D");
}

struct err *stop_detach(struct rsp *rsp)
{
	TRY(rsp_break_clear(rsp));
	TRY(set_physical(rsp, false));
	TRY(stop_send_detach(rsp));
	TRY(exchange_next(&rsp->x));
	stop_ends(rsp);
	if (!exchange_is(&rsp->x, "OK"))
		TRY(exchange_check(&rsp->x, "to let the process go"));
	if (rsp->shared->inject.sigsys) /* it was kept from the process, this once */
		TRY(exchange_command(&rsp->x, FEATURES_SIGNALS));
	rsp->shared->inject.sigsys = 0;
	return rsp->forks ? port_free_children(rsp) : NULL;
}

struct err *rsp_detach(struct rsp *rsp)
{
	if (!rsp->stopped)
		return NULL;
	if (rsp->f.stop != STOP_INTERRUPT)
		return stop_detach(rsp);
	/* A whole machine: any byte from us would stop it again, so it is not let go but
	 * resumed, and nothing is said until rsp_stop(). */
	TRY(set_physical(rsp, false));
	TRY(conn_queue(rsp->x.conn, "c", 1));
	TRY(conn_flush(rsp->x.conn));
	rsp->shared->talking = 0;
	stop_ends(rsp);
	return NULL;
}

/* ------------------------------------------------------------------ resuming */

/* vCont lets one thread step while the others stand still; a stub without it has one thread most
 * likely. */
static struct err *ask_vcont(struct rsp *rsp)
{
	const char *s;

	if (rsp->vcont_asked)
		return NULL;
	TRY(exchange_command(&rsp->x, "vCont?"));
	s = exchange_text(&rsp->x);
	rsp->vcont_asked = true;
	rsp->vcont = !strncmp(s, "vCont;", 6) && strstr(s, ";c") && strstr(s, ";s");
	return NULL;
}

static struct err *send_resume(struct rsp *rsp, bool step, const struct rsp_thread *t,
			       unsigned signal)
{
	char plain = step ? 's' : 'c', with_signal = step ? 'S' : 'C';

	if (rsp->vcont && *t->id && signal)
		return exchange_send(&rsp->x, "vCont;%c%02x:%s%s", with_signal, signal, t->id,
				     step ? "" : ";c");
	if (rsp->vcont && *t->id && step)
		return exchange_send(&rsp->x, "vCont;s:%s", t->id);
	if (signal)
		return exchange_send(&rsp->x, "%c%02x", with_signal, signal);
	return exchange_send(&rsp->x, rsp->vcont ? "vCont;%c" : "%c", plain);
}

/* However long it takes.  O packets are the program's own output. */
static struct err *await_stop(struct rsp *rsp)
{
	struct err *err;

	rsp->x.conn->patient = true;
	do
		err = exchange_next(&rsp->x);
	while (!err && rsp->x.reply.data[0] == 'O' && !exchange_is(&rsp->x, "OK"));
	rsp->x.conn->patient = false;
	return err;
}

/* What a stop reply says the thread stopped with; 0: it says nothing of the kind. */
static unsigned stop_signal(const struct rsp *rsp)
{
	const struct buf *reply = &rsp->x.reply;
	int v = strchr("TS", reply->data[0]) && reply->len >= 3 ? packet_hexbyte(reply->data + 1) :
								  0;

	return v > 0 ? (unsigned)v : 0;
}

struct err *rsp_resume(struct rsp *rsp, bool step, struct rsp_thread *t, unsigned *signal)
{
	/* The stub holds threads by this one: passed on, it would stop the process for good. */
	const unsigned own = rsp->f.native_signals ? LINUX_SIGSTOP : GDB_SIGSTOP;
	unsigned came;
	struct err *err;

	TRY(ask_vcont(rsp));
	rsp->shared->running = 1;
	TRY(send_resume(rsp, step, t, *signal));
	stop_ends(rsp);
	err = await_stop(rsp);
	if (err_is(err, ERR_INTR) && !rsp->shared->interrupts && rsp->brk.set)
		return err_wrapf(
			err,
			"the stub cannot stop the program, so that it runs with a breakpoint set; "
			"a process stays behind, which takes it away when the program gets there");
	TRY(err);
	rsp->shared->running = 0;
	came = stop_signal(rsp);
	if (rsp->x.reply.data[0] != 'W' && rsp->x.reply.data[0] != 'X') {
		stop_begins(rsp, clock_now_ns());
		/* whoever goes now without `D` leaves it with the trap's signal (seen, QEMU) */
		rsp->shared->held = 1;
	}
	TRY(stop_take_reply(rsp, t));
	*signal = came == own ? 0 : came;
	return NULL;
}
