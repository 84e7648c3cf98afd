/*
 * The main process's connection as rsp/inject.h talks to a stub.  The guardian has its own
 * (rsp/guardian.c).
 */
#include <stdlib.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "rsp/rsp_int.h"

static bool port_send(struct inject_port *inject, const char *cmd, size_t len)
{
	struct port *p = (struct port *)inject;

	p->err = exchange_send_bytes(&p->rsp->x, cmd, len);
	return !p->err;
}

static bool port_next(struct inject_port *inject)
{
	struct port *p = (struct port *)inject;
	struct buf *reply = &p->rsp->x.reply;
	struct err *err = exchange_next(&p->rsp->x);

	if (!err && reply->len >= sizeof(inject->reply))
		err = err_create(ERR_LIMIT, "the stub sends more than it was asked for");
	if (err) {
		p->err = err;
		return false;
	}
	memcpy(inject->reply, reply->data, reply->len + 1);
	inject->reply_len = reply->len;
	return true;
}

struct err *port_create(struct rsp *rsp, struct port **ret)
{
	struct port *p = calloc(1, sizeof(*p));

	if (!p)
		return err_nomem();
	p->inject.send = port_send;
	p->inject.next = port_next;
	p->inject.in = &rsp->shared->inject;
	p->rsp = rsp;
	*ret = p;
	return NULL;
}

void port_destroy(struct port *p)
{
	err_destroy(p->err);
	free(p);
}

struct err *port_failure(struct port *p, enum err_code code)
{
	const char *why = p->inject.why ? p->inject.why : "no reason known";

	if (p->err)
		return TAKE_PTR(p->err);
	if (p->inject.exited)
		return err_create(ERR_EXITED, "the process %" PRIu64 " has ended", p->rsp->pid);
	if (p->inject.error)
		return err_create(code, "%s: %s", why, strerror((int)-p->inject.error));
	return err_create(code, "%s", why);
}

struct err *port_free_children(struct rsp *rsp)
{
	_cleanup_(cleanup_port_destroy) struct port *p = NULL;

	if (!rsp->f.pub.multiprocess || rsp->others)
		return NULL;
	TRY(port_create(rsp, &p));
	rsp->shared->inject.pid = rsp->pid;
	return inject_free_others(&p->inject) ? NULL : port_failure(p, ERR_REMOTE);
}
