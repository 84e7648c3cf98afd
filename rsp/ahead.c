/*
 * Questions sent before their turn: what is asked at every stop goes out together with vAttach, and
 * costs one way there and back instead of one each.  Who asks in turn does not know: rsp_send() of
 * the same packet finds it sent, and its answer is the next one to come.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "rsp/client.h"

static struct err *send_ahead(struct rsp *rsp, const char *fmt, ...) ERR_PRINTF(2, 3);
static struct err *send_ahead(struct rsp *rsp, const char *fmt, ...)
{
	char text[128];
	struct err *err;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		return NULL;
	err = conn_queue(rsp->conn, text, (size_t)n);
	if (err)
		return err;
	rsp->owed++;
	return buf_add(&rsp->ahead, text, (size_t)n + 1);
}

/* Answers that nobody came for. */
static struct err *skip(struct rsp *rsp, unsigned n)
{
	struct err *err = NULL;
	const uint8_t *p;
	size_t len;

	while (n-- && !err)
		err = rsp_next_raw(rsp, &p, &len);
	return err;
}

void rsp_ahead_forget(struct rsp *rsp)
{
	buf_reset(&rsp->ahead);
	rsp->ahead_pos = 0;
}

struct err *rsp_ahead_find(struct rsp *rsp, const void *payload, size_t len, bool *found)
{
	size_t pos = rsp->ahead_pos;
	unsigned before = 0;

	*found = false;
	for (; pos < rsp->ahead.len && !*found; before++) {
		const char *text = (const char *)rsp->ahead.data + pos;
		size_t n = strlen(text);

		*found = n == len && !memcmp(text, payload, len);
		pos += n + 1;
	}
	if (*found)
		rsp->ahead_pos = pos;
	else
		rsp_ahead_forget(rsp);
	return skip(rsp, before - *found);
}

enum { STATUS_MAX = 1 << 14, CAP_SYS_PTRACE = 19 };

/* A field of a /proc/.../status; not found: none such, or no such file. */
static struct err *status_field(struct rsp *rsp, const char *path, const char *name, int base,
				uint64_t *val, bool *found)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct err *err = rsp_file_try(rsp, path, STATUS_MAX, &text, found);
	const char *s;

	if (err || !*found)
		return err;
	s = strstr((const char *)text.data, name);
	*found = s != NULL;
	*val = s ? strtoull(s + strlen(name), NULL, base) : 0;
	return NULL;
}

struct err *rsp_ahead_check(struct rsp *rsp, uint64_t pid)
{
	uint64_t tracer, caps;
	char path[40];
	bool found;
	struct err *err;

	rsp->ahead_may = false;
	if (!rsp->f.pub.vfile)
		return NULL;
	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/status", pid);
	err = status_field(rsp, "/proc/self/status", "\nCapEff:", 16, &caps, &found);
	if (err || !found || !(caps >> CAP_SYS_PTRACE & 1))
		return err;
	err = status_field(rsp, path, "\nTracerPid:", 10, &tracer, &found);
	rsp->ahead_may = !err && found && !tracer;
	return err;
}

struct err *rsp_ahead_stop(struct rsp *rsp, uint64_t pid)
{
	const struct rsp_features *f = &rsp->f.pub;
	struct err *err;

	rsp_ahead_forget(rsp);
	if (!rsp->ahead_may || !f->no_ack || f->window < RSP_THREADS_AT_ONCE)
		return NULL;
	err = rsp->forks ? send_ahead(rsp, "?") : NULL;
	/* The thread that gdbserver tells of. */
	if (!err && f->multiprocess)
		err = send_ahead(rsp, "Hgp%" PRIx64 ".%" PRIx64, pid, pid);
	if (!err && f->xfer_auxv)
		err = send_ahead(rsp, RSP_XFER, "auxv", "", (size_t)0, rsp_xfer_piece(rsp));
	if (!err && f->xfer_features && !rsp->xml_read)
		err = send_ahead(rsp, RSP_XFER, "features", "target.xml", (size_t)0,
				 rsp_xfer_piece(rsp));
	if (!err)
		err = send_ahead(rsp, "qfThreadInfo");
	for (int i = 1; i < RSP_THREADS_AT_ONCE && !err; i++)
		err = send_ahead(rsp, "qsThreadInfo");
	return err;
}
