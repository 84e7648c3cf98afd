/*
 * Letting the debuggee run, with a breakpoint: the only place where it runs and the stub is waited
 * for.
 *
 * A breakpoint that stays behind would end the process, as nobody handles its trap.  So the
 * guardian knows it from before it is set, and takes it away if we cannot (rsp/guardian.h).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "rsp/client.h"
#include "base/clock.h"

struct err *rsp_break_set(struct rsp *rsp, uint64_t addr, unsigned kind, bool *writes)
{
	struct err *err;

	/* Z1 first: gdbserver's Z0 writes to the text, which another process may read meanwhile
	 * (a fork does, for good). */
	for (char type = '1'; type >= '0'; type--) {
		snprintf(rsp->shared->clear, sizeof(rsp->shared->clear), "z%c,%" PRIx64 ",%x", type,
			 addr, kind);
		err = rsp_command(rsp, "Z%c,%" PRIx64 ",%x", type, addr, kind);
		if (err)
			return err;
		if (!strcmp((const char *)rsp->reply.data, "OK")) {
			rsp->brk = (struct rsp_break){ true, type, kind, addr };
			*writes = type == '0';
			return NULL;
		}
	}
	rsp->shared->clear[0] = 0;
	err = rsp_check(&rsp->reply, "a breakpoint");
	return err ? err : err_create(ERR_PROTO, "the stub answers Z0 with something else than OK");
}

struct err *rsp_break_clear(struct rsp *rsp)
{
	const struct rsp_break *b = &rsp->brk;
	struct err *err;

	if (!b->set)
		return NULL;
	err = rsp_command(rsp, "z%c,%" PRIx64 ",%x", b->type, b->addr, b->kind);
	if (!err)
		err = rsp_check(&rsp->reply, "to take a breakpoint away");
	if (!err) {
		rsp->brk.set = false;
		rsp->shared->clear[0] = 0;
	}
	return err;
}

/* vCont lets one thread step while the others stand still; without it there is one thread most
 * likely. */
static struct err *ask_vcont(struct rsp *rsp)
{
	struct err *err = rsp->vcont_asked ? NULL : rsp_command(rsp, "vCont?");

	if (err || rsp->vcont_asked)
		return err;
	rsp->vcont_asked = true;
	rsp->vcont = !strncmp((const char *)rsp->reply.data, "vCont;", 6) &&
		     strstr((const char *)rsp->reply.data, ";c") &&
		     strstr((const char *)rsp->reply.data, ";s");
	return NULL;
}

static struct err *send_resume(struct rsp *rsp, bool step, const struct rsp_thread *t,
			       unsigned signal)
{
	char c = step ? 's' : 'c', C = step ? 'S' : 'C';

	if (rsp->vcont && *t->id && signal)
		return rsp_send(rsp, "vCont;%c%02x:%s%s", C, signal, t->id, step ? "" : ";c");
	if (rsp->vcont && *t->id && step)
		return rsp_send(rsp, "vCont;s:%s", t->id);
	if (signal)
		return rsp_send(rsp, "%c%02x", C, signal);
	return rsp_send(rsp, rsp->vcont ? "vCont;%c" : "%c", c);
}

/* O packets are the program's own output. */
static struct err *wait_stop(struct rsp *rsp)
{
	struct err *err;

	do
		err = rsp_next(rsp);
	while (!err && rsp->reply.data[0] == 'O' && strcmp((const char *)rsp->reply.data, "OK"));
	return err;
}

struct err *rsp_resume(struct rsp *rsp, bool step, struct rsp_thread *t, unsigned *signal)
{
	struct err *err = ask_vcont(rsp);
	int v;

	if (err)
		return err;
	rsp->shared->running = 1;
	err = send_resume(rsp, step, t, *signal);
	if (err)
		return err;
	rsp_set_running(rsp);
	rsp->conn->patient = true;
	err = wait_stop(rsp);
	rsp->conn->patient = false;
	if (err_is(err, ERR_INTR) && !rsp->shared->interrupts && rsp->brk.set)
		return err_wrapf(
			err,
			"the stub cannot stop the program, so that it runs with a breakpoint set; a process stays "
			"behind, which takes it away when the program gets there");
	if (err)
		return err;
	rsp->shared->running = 0;
	v = strchr("TS", rsp->reply.data[0]) && rsp->reply.len >= 3 ?
		    packet_hexbyte(rsp->reply.data + 1) :
		    0;
	if (rsp->reply.data[0] != 'W' && rsp->reply.data[0] != 'X') {
		rsp_set_stopped(rsp, clock_now_ns());
		/* whoever goes now without `D` leaves it with the trap's signal (seen, QEMU) */
		rsp->shared->held = 1;
	}
	err = rsp_take_stop(rsp, t);
	if (err)
		return err;
	*signal = v > 0 ? (unsigned)v : 0;
	/* The stub's own, by which it holds threads: passed on, it would stop the process for
	 * good. */
	if (*signal == (rsp->f.native_signals ? 19 : 17))
		*signal = 0;
	return NULL;
}

const struct rsp_thread *rsp_current_thread(const struct rsp *rsp)
{
	return &rsp->current;
}
