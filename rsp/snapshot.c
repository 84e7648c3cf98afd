/*
 * A snapshot by fork, over the main process's connection (rsp/inject.h).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "rsp/client.h"

struct talk {
	struct inject_port port; /* first: what ask() gets */
	struct rsp *rsp;
	struct err *err;
};

static bool send(struct inject_port *p, const char *cmd, size_t len)
{
	struct talk *t = (struct talk *)p;

	t->err = rsp_send_bytes(t->rsp, cmd, len);
	return !t->err;
}

static bool next(struct inject_port *p)
{
	struct talk *t = (struct talk *)p;
	struct buf *reply = &t->rsp->reply;
	struct err *err = rsp_next(t->rsp);

	if (!err && reply->len >= sizeof(p->reply))
		err = err_create(ERR_LIMIT, "the stub sends more than it was asked for");
	if (err) {
		t->err = err;
		return false;
	}
	memcpy(p->reply, reply->data, reply->len + 1);
	p->reply_len = reply->len;
	return true;
}

static struct err *talk_create(struct rsp *rsp, struct talk **ret)
{
	struct talk *t = calloc(1, sizeof(*t));

	if (!t)
		return err_nomem();
	t->port.send = send;
	t->port.next = next;
	t->port.in = &rsp->shared->inject;
	t->rsp = rsp;
	*ret = t;
	return NULL;
}

static void talk_destroy(struct talk *t)
{
	err_destroy(t->err);
	free(t);
}
DEFINE_CLEANUP(talk_destroy, struct talk *)

/* What went wrong, as an error. */
static struct err *failure(struct talk *t, enum err_code code)
{
	const char *why = t->port.why ? t->port.why : "no reason known";

	if (t->err)
		return TAKE_PTR(t->err);
	if (t->port.exited)
		return err_create(ERR_EXITED, "the process %" PRIu64 " has ended", t->rsp->pid);
	if (t->port.error)
		return err_create(code, "%s: %s", why, strerror((int)-t->port.error));
	return err_create(code, "%s", why);
}

struct err *rsp_fork(struct rsp *rsp, const struct inject_machine *m, uint64_t likely)
{
	_cleanup_(cleanup_talk_destroy) struct talk *t = NULL;
	const struct rsp_features *f = &rsp->f.pub;
	struct inject *in = &rsp->shared->inject;
	struct err *err, *e;
	bool stopped;

	if (!f->fork_events || !f->vfork_events || !f->multiprocess || !f->extended || !f->vfile ||
	    !f->no_ack)
		return err_create(ERR_UNSUPPORTED,
				  "the stub does not report forks (gdbserver does)");
	if (rsp->others)
		return err_create(ERR_UNSUPPORTED, "the stub holds another process as well");
	err = talk_create(rsp, &t);
	if (err)
		return err;
	in->m = *m;
	in->pid = rsp->pid;
	in->likely = likely;
	in->next_fd = rsp->last_fd + 1; /* attaching, gdbserver opened a file of its own */
	if (!inject_fork(&t->port)) {
		err = failure(t, ERR_UNSUPPORTED);
		if (!in->stage || t->port.lost)
			return err;
		/* What there was to say is said; from here on only new failures count. */
		t->port.why = NULL;
		t->port.error = 0;
		if (inject_undo(&t->port, &stopped))
			return err;
		e = failure(t, ERR_REMOTE);
		err_destroy(err);
		return e;
	}
	err = rsp_detach(rsp);
	if (!err && !inject_settle(&t->port))
		err = failure(t, ERR_REMOTE);
	return err;
}

struct err *rsp_free_children(struct rsp *rsp)
{
	_cleanup_(cleanup_talk_destroy) struct talk *t = NULL;
	struct err *err;

	if (!rsp->f.pub.multiprocess || rsp->others)
		return NULL;
	err = talk_create(rsp, &t);
	if (err)
		return err;
	rsp->shared->inject.pid = rsp->pid;
	return inject_free_others(&t->port) ? NULL : failure(t, ERR_REMOTE);
}

struct err *rsp_end_snapshot(struct rsp *rsp)
{
	_cleanup_(cleanup_talk_destroy) struct talk *t = NULL;
	int64_t now = clock_now_ns();
	struct err *err, *e;
	bool stopped;

	if (!rsp->shared->inject.stage)
		return NULL;
	err = talk_create(rsp, &t);
	if (!err)
		err = rsp_resync(rsp);
	if (err)
		return err;
	rsp->shared->held = 1; /* it may have to be stopped for it */
	if (!inject_undo(&t->port, &stopped))
		err = failure(t, ERR_REMOTE);
	if (t->port.lost)
		return err;
	if (!stopped || t->port.exited) {
		rsp->shared->held = 0;
		return err;
	}
	rsp_set_stopped(rsp, now);
	e = rsp_detach(rsp);
	if (!err)
		return e;
	err_destroy(e);
	return err;
}
