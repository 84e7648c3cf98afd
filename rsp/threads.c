/*
 * Threads and their registers.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "rsp/client.h"

/* "mID,ID,..." */
static struct err *add_threads(struct rsp *rsp, struct rsp_threads *out)
{
	const char *s = (const char *)rsp->reply.data + 1;
	struct rsp_thread t;

	for (;;) {
		struct err *err;

		if (!rsp_parse_thread(s, &s, &t) || (*s && *s != ','))
			return err_create(ERR_PROTO,
					  "the stub's list of threads makes no sense: \"%.40s\"",
					  (const char *)rsp->reply.data);
		if (out->n >= LIMIT_THREADS)
			return err_create(ERR_LIMIT, "over %u threads", LIMIT_THREADS);
		err = vec_push(out, t);
		if (err || !*s)
			return err;
		s++;
	}
}

/*
 * gdbserver and QEMU name one thread per reply.  Asking past the end is answered with
 * `l` again, so many questions go out at once, and ever more.
 */
struct err *rsp_threads(struct rsp *rsp, struct rsp_threads *ret)
{
	bool one = !rsp->f.pub.no_ack || rsp->f.pub.window <= 1, end = false;
	unsigned batch = one ? 1 : RSP_THREADS_AT_ONCE;
	struct rsp_threads list = VEC_INIT;
	struct err *err = rsp_send(rsp, "qfThreadInfo");

	for (unsigned sent = 1; !err && !end; sent = 0) {
		for (; sent < batch && !err; sent++)
			err = rsp_send(rsp, "qsThreadInfo");
		for (; sent && !err; sent--) {
			err = rsp_next(rsp);
			if (err || end)
				continue;
			end = rsp->reply.data[0] == 'l';
			/* the simplest stubs: the thread that they told of */
			if (!rsp->reply.len && !list.n) {
				end = true;
				err = vec_push(&list, rsp->current);
			}
			if (end || err)
				continue;
			if (rsp->reply.data[0] == 'm')
				err = add_threads(rsp, &list);
			else
				err = rsp_check(&rsp->reply, "to list threads");
			if (!err && rsp->reply.data[0] != 'm')
				err = err_create(ERR_PROTO,
						 "the stub's list of threads makes no sense");
		}
		if (!one && batch < rsp->f.pub.window / 2)
			batch *= 2;
	}
	if (err) {
		vec_deinit(&list);
		return err;
	}
	vec_deinit(ret);
	*ret = list;
	return NULL;
}

static struct err *fetch_xml(void *arg, const char *name, struct buf *ret)
{
	return rsp_xfer(arg, "features", name, ret);
}

struct err *rsp_registers(struct rsp *rsp, const struct rsp_reg **regs, size_t *n,
			  const char **arch)
{
	if (!rsp->xml_read && rsp->f.pub.xfer_features) {
		struct err *err = target_xml_read(&rsp->xml, fetch_xml, rsp);

		/* QEMU 7.2's loong64 cannot read a file its own target.xml names: as good as
		 * none. */
		if (err_is(err, ERR_REMOTE) || err_is(err, ERR_UNSUPPORTED)) {
			err_destroy(err);
			err = NULL;
		}
		if (err)
			return err;
	}
	rsp->xml_read = true;
	*regs = rsp->xml.regs.v;
	*n = rsp->xml.regs.n;
	*arch = rsp->xml.arch;
	return NULL;
}

/* The reply to `g`, runs spelled out: two hex digits a byte, "xx" where there is no value. */
static struct err *decode_g(const struct buf *reply, struct buf *raw, struct buf *avail)
{
	size_t n = reply->len / 2;
	struct err *err;

	if (reply->len % 2)
		return err_create(ERR_PROTO, "the stub sent half a register");
	err = buf_reserve(raw, n);
	if (!err && avail)
		err = buf_reserve(avail, n);
	if (err)
		return err;
	for (size_t i = 0; i < n; i++) {
		const uint8_t *p = reply->data + 2 * i;
		int byte = packet_hexbyte(p);
		bool known = byte >= 0;

		if (!known && (p[0] != 'x' || p[1] != 'x'))
			return err_create(ERR_PROTO,
					  "the stub sent registers that are no hex digits");
		raw->data[i] = known ? (uint8_t)byte : 0;
		if (avail)
			avail->data[i] = known;
	}
	raw->len = n;
	if (avail)
		avail->len = n;
	return NULL;
}

/* Hg's reply; a stub that does not know it has one thread. */
static bool is_selected(const struct rsp *rsp, size_t nthreads)
{
	return !strcmp((const char *)rsp->reply.data, "OK") || (nthreads == 1 && !rsp->reply.len);
}

struct err *rsp_read_registers(struct rsp *rsp, const struct rsp_thread *threads, size_t n,
			       struct buf *raw, struct buf *avail)
{
	unsigned window = rsp->f.pub.no_ack ? rsp->f.pub.window / 2 : 0;
	const struct rsp_reg *regs;
	const char *arch;
	size_t nregs, sent = 0, done = 0;
	struct err *err = NULL;

	if (rsp->f.xml_before_g)
		err = rsp_registers(rsp, &regs, &nregs, &arch);
	if (!window)
		window = 1;
	while (!err && done < n) {
		bool selected = false;

		while (!err && sent < n && sent - done < window) {
			err = rsp_send(rsp, "Hg%s", *threads[sent].id ? threads[sent].id : "0");
			if (!err && !rsp->f.pub.no_ack) { /* one by one */
				err = rsp_next(rsp);
				selected = is_selected(rsp, n);
			}
			if (!err)
				err = rsp_send(rsp, "g");
			sent++;
		}
		if (!err && rsp->f.pub.no_ack) {
			err = rsp_next(rsp);
			selected = !err && is_selected(rsp, n);
		}
		if (!err)
			err = rsp_next(rsp);
		if (err)
			break;
		buf_reset(&raw[done]);
		if (avail)
			buf_reset(&avail[done]);
		/* A thread that cannot be selected has no registers; those that came are
		 * another's. */
		if (selected && rsp->reply.len && !rsp_is_error(rsp->reply.data, rsp->reply.len))
			err = decode_g(&rsp->reply, &raw[done], avail ? &avail[done] : NULL);
		done++;
	}
	return err;
}
