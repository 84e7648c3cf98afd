/*
 * A snapshot by fork, over the main process's connection (rsp/inject.h has the steps).
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "rsp/rsp_int.h"

/* The process is to be as it was; err is why there is no snapshot. */
static struct err *give_up(struct port *p, struct err *err)
{
	bool stopped;

	if (!p->inject.in->stage || p->inject.lost)
		return err;
	/* err has what there was to say; from here on only new failures count. */
	p->inject.why = NULL;
	p->inject.error = 0;
	if (inject_undo(&p->inject, &stopped))
		return err;
	err_destroy(err);
	return port_failure(p, ERR_REMOTE);
}

struct err *rsp_fork(struct rsp *rsp, const struct inject_machine *m, uint64_t likely)
{
	_cleanup_(cleanup_port_destroy) struct port *p = NULL;
	const struct rsp_features *f = &rsp->f.pub;
	struct inject *in = &rsp->shared->inject;

	if (!f->fork_events || !f->vfork_events || !f->multiprocess || !f->extended || !f->vfile ||
	    !f->no_ack)
		return err_create(ERR_UNSUPPORTED,
				  "the stub does not report forks (gdbserver does)");
	if (rsp->others)
		return err_create(ERR_UNSUPPORTED, "the stub holds another process as well");
	TRY(port_create(rsp, &p));
	in->m = *m;
	in->pid = rsp->pid;
	in->likely = likely;
	in->next_fd = rsp->last_fd + 1; /* attaching, gdbserver opened a file of its own */
	if (!inject_fork(&p->inject))
		return give_up(p, port_failure(p, ERR_UNSUPPORTED));
	TRY(rsp_detach(rsp));
	return inject_settle(&p->inject) ? NULL : port_failure(p, ERR_REMOTE);
}

struct err *rsp_end_snapshot(struct rsp *rsp)
{
	_cleanup_(cleanup_port_destroy) struct port *p = NULL;
	int64_t now = clock_now_ns();
	struct err *err = NULL, *e;
	bool stopped;

	if (!rsp->shared->inject.stage)
		return NULL;
	TRY(port_create(rsp, &p));
	TRY(exchange_resync(&rsp->x));
	rsp->shared->held = 1; /* the process may have to be stopped for it */
	if (!inject_undo(&p->inject, &stopped))
		err = port_failure(p, ERR_REMOTE);
	if (p->inject.lost)
		return err;
	if (!stopped || p->inject.exited) {
		rsp->shared->held = 0;
		return err;
	}
	stop_begins(rsp, now);
	e = rsp_detach(rsp);
	if (!err)
		return e;
	err_destroy(e);
	return err;
}
