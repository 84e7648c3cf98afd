/*
 * What is asked at every stop goes out together with vAttach, and costs one way there and back
 * instead of one each (exchange_send_ahead()).
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "rsp/rsp_int.h"

enum { CAP_SYS_PTRACE = 19 }; /* include/uapi/linux/capability.h */

/* A number of a /proc/.../status; false: there is none. */
static bool status_number(const struct buf *text, const char *name, int base, uint64_t *val)
{
	const char *s = text_field((const char *)text->data, name);

	if (s)
		*val = strtoull(s, NULL, base);
	return s != NULL;
}

/* The stub may trace every process, and nobody traces this one. */
struct err *ahead_check(struct rsp *rsp, uint64_t pid)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	uint64_t tracer, caps, stub_pid;
	bool found;

	rsp->ahead_may = false;
	if (!rsp->f.pub.vfile)
		return NULL;
	TRY(rsp_file_text(rsp, &text, &found, "/proc/self/status"));
	if (!found)
		return NULL;
	/* It may have to be told from others (rsp/redial.h). */
	if (status_number(&text, "Pid:", 10, &stub_pid))
		rsp->shared->stub_pid = stub_pid;
	if (!status_number(&text, "CapEff:", 16, &caps) || !(caps >> CAP_SYS_PTRACE & 1))
		return NULL;
	TRY(rsp_file_text(rsp, &text, &found, "/proc/%" PRIu64 "/status", pid));
	rsp->ahead_may = found && status_number(&text, "TracerPid:", 10, &tracer) && !tracer;
	return NULL;
}

struct err *ahead_send(struct rsp *rsp, uint64_t pid)
{
	const struct rsp_features *f = &rsp->f.pub;
	struct exchange *x = &rsp->x;
	size_t piece = rsp_xfer_piece(rsp);

	exchange_forget_ahead(x);
	if (!rsp->ahead_may || !f->no_ack || f->window < RSP_THREADS_AT_ONCE)
		return NULL;
	if (rsp->forks)
		TRY(exchange_send_ahead(x, "?"));
	/* The thread that gdbserver tells of. */
	if (f->multiprocess)
		TRY(exchange_send_ahead(x, "Hgp%" PRIx64 ".%" PRIx64, pid, pid));
	if (f->xfer_auxv)
		TRY(exchange_send_ahead(x, RSP_XFER, "auxv", "", (size_t)0, piece));
	if (f->xfer_features && !rsp->xml_read)
		TRY(exchange_send_ahead(x, RSP_XFER, "features", "target.xml", (size_t)0, piece));
	TRY(exchange_send_ahead(x, "qfThreadInfo"));
	for (int i = 1; i < RSP_THREADS_AT_ONCE; i++)
		TRY(exchange_send_ahead(x, "qsThreadInfo"));
	return NULL;
}
