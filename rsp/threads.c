/*
 * Threads and their registers: questions go out many at a time, where the stub wants no
 * acknowledgements.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "rsp/rsp_int.h"

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

/* x.reply is "mID,ID,...". */
static struct err *add_threads(struct rsp *rsp, struct rsp_threads *out)
{
	const char *s = exchange_text(&rsp->x) + 1;
	struct rsp_thread t;

	for (;;) {
		if (!rsp_parse_thread(s, &s, &t) || (*s && *s != ','))
			return err_create(ERR_PROTO,
					  "the stub's list of threads makes no sense: \"%.40s\"",
					  exchange_text(&rsp->x));
		if (out->n >= LIMIT_THREADS)
			return err_create(ERR_LIMIT, "over %u threads", LIMIT_THREADS);
		TRY(vec_push(out, t));
		if (!*s++)
			return NULL;
	}
}

/* A reply to qfThreadInfo or qsThreadInfo; *end: there are no more threads. */
static struct err *take_threads(struct rsp *rsp, struct rsp_threads *list, bool *end)
{
	char kind = exchange_text(&rsp->x)[0];
	bool unknown = !kind && !list->n; /* the simplest stubs: the thread that they told of */

	if (unknown)
		TRY(vec_push(list, rsp->current));
	*end = kind == 'l' || unknown;
	if (*end)
		return NULL;
	if (kind == 'm')
		return add_threads(rsp, list);
	TRY(exchange_check(&rsp->x, "to list threads"));
	return err_create(ERR_PROTO, "the stub's list of threads makes no sense");
}

/*
 * gdbserver and QEMU name one thread per reply.  Asking past the end is answered with
 * `l` again, so many questions go out at once, and ever more.
 */
struct err *rsp_threads(struct rsp *rsp, struct rsp_threads *ret)
{
	bool one = !rsp->f.pub.no_ack || rsp->f.pub.window <= 1, end = false;
	unsigned batch = one ? 1 : RSP_THREADS_AT_ONCE;
	_cleanup_vec_ struct rsp_threads list = VEC_INIT;

	TRY(exchange_send(&rsp->x, "qfThreadInfo"));
	for (unsigned sent = 1; !end; sent = 0) {
		for (; sent < batch; sent++)
			TRY(exchange_send(&rsp->x, "qsThreadInfo"));
		for (; sent; sent--) {
			TRY(exchange_next(&rsp->x));
			if (!end)
				TRY(take_threads(rsp, &list, &end));
		}
		if (!one && batch < rsp->f.pub.window / 2)
			batch *= 2;
	}
	vec_deinit(ret);
	*ret = list;
	list = (struct rsp_threads)VEC_INIT;
	return NULL;
}

/* One file that target.xml is made of. */
static struct err *fetch_xml(void *arg, const char *name, struct buf *ret)
{
	return rsp_xfer(arg, "features", name, ret);
}

struct err *rsp_registers(struct rsp *rsp, const struct rsp_reg **regs, size_t *n,
			  const char **arch)
{
	struct err *err = NULL;

	if (!rsp->xml_read && rsp->f.pub.xfer_features)
		err = target_xml_read(&rsp->xml, fetch_xml, rsp);
	/* QEMU 7.2's loong64 cannot read a file its own target.xml names: as good as none. */
	if (!err_catch(&err, ERR_REMOTE) && !err_catch(&err, ERR_UNSUPPORTED))
		TRY(err);
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

	if (reply->len % 2)
		return err_create(ERR_PROTO, "the stub sent half a register");
	TRY(buf_reserve(raw, n));
	if (avail)
		TRY(buf_reserve(avail, n));
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

/* The reply to Hg; *ret: the thread is selected.  A stub that does not know Hg has one thread. */
static struct err *take_selected(struct rsp *rsp, size_t nthreads, bool *ret)
{
	TRY(exchange_next(&rsp->x));
	*ret = exchange_is(&rsp->x, "OK") || (nthreads == 1 && !rsp->x.reply.len);
	return NULL;
}

struct err *rsp_read_registers(struct rsp *rsp, const struct rsp_thread *threads, size_t n,
			       struct buf *raw, struct buf *avail)
{
	const bool no_ack =
		rsp->f.pub.no_ack; /* else each reply is awaited before the next question */
	size_t window = no_ack && rsp->f.pub.window > 1 ? rsp->f.pub.window / 2 : 1, nregs;
	const struct rsp_reg *regs;
	const char *arch;

	if (rsp->f.xml_before_g)
		TRY(rsp_registers(rsp, &regs, &nregs, &arch));
	for (size_t sent = 0, done = 0; done < n; done++) {
		bool selected = false;

		for (; sent < n && sent - done < window; sent++) {
			const char *id = threads[sent].id;

			TRY(exchange_send(&rsp->x, "Hg%s", *id ? id : "0"));
			if (!no_ack)
				TRY(take_selected(rsp, n, &selected));
			TRY(exchange_send(&rsp->x, "g"));
		}
		if (no_ack)
			TRY(take_selected(rsp, n, &selected));
		TRY(exchange_next(&rsp->x));
		buf_reset(&raw[done]);
		if (avail)
			buf_reset(&avail[done]);
		/* A thread that cannot be selected has no registers; those that came are
		 * another's. */
		if (selected && rsp->x.reply.len && !exchange_refused(&rsp->x))
			TRY(decode_g(&rsp->x.reply, &raw[done], avail ? &avail[done] : NULL));
	}
	return NULL;
}
