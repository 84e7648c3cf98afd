/*
 * What comes as bytes in several packets: qXfer objects, files of the stub's machine, and what a
 * monitor command prints.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "rsp/rsp_int.h"

enum { SHOWN = 80 }; /* of a refusal, in an error message */

size_t rsp_xfer_piece(const struct rsp *rsp)
{
	/* The reply has one letter before the data, and a stub may count escapes: leave room. */
	size_t piece = rsp->f.pub.packet_size - 16;

	/* QEMU cuts longer ones its own way. */
	return rsp->f.pub.read_align && piece > rsp->f.pub.read_align ? rsp->f.pub.read_align :
									piece;
}

/* One piece of an object, appended; *last: nothing follows it. */
static struct err *xfer_piece(struct rsp *rsp, const char *object, const char *annex, size_t off,
			      struct buf *ret, bool *last)
{
	size_t piece = rsp_xfer_piece(rsp), len, got;
	const uint8_t *p;

	TRY(exchange_send(&rsp->x, RSP_XFER, object, annex, off, piece));
	TRY(exchange_next_raw(&rsp->x, &p, &len));
	if (!len)
		return err_create(ERR_UNSUPPORTED, "the stub has no %s", object);
	if (exchange_is_error(p, len))
		return err_create(ERR_REMOTE, "the stub refuses to read %s %s (%.*s)", object,
				  annex, (int)(len < SHOWN ? len : SHOWN), (const char *)p);
	if (p[0] != 'l' && p[0] != 'm')
		return err_create(ERR_PROTO, "the stub's %s makes no sense", object);
	/* A stub may send less than it was asked for, never more; runs make it longer here
	 * than on the wire. */
	TRY(buf_reserve(ret, piece));
	TRY(err_wrapf(packet_decode_binary(p + 1, len - 1, ret->data + ret->len, piece, &got),
		      "reading %s", object));
	ret->len += got;
	ret->data[ret->len] = 0;
	*last = p[0] == 'l';
	if (!got && !*last)
		return err_create(ERR_PROTO, "the stub's %s never ends", object);
	return NULL;
}

struct err *rsp_xfer(struct rsp *rsp, const char *object, const char *annex, struct buf *ret)
{
	size_t start = ret->len;

	for (bool last = false; !last;) {
		TRY(xfer_piece(rsp, object, annex, ret->len - start, ret, &last));
		if (!last && ret->len - start > LIMIT_XFER)
			return err_create(ERR_LIMIT, "the stub's %s is over %u MB", object,
					  LIMIT_XFER >> 20);
	}
	return NULL;
}

/* ------------------------------------------------------------------ files */

static struct err *no_sense(const char *what)
{
	return err_create(ERR_PROTO, "the stub's answer about %s makes no sense", what);
}

/* The number in hex digits from p[*i] on, which is moved past it; false: over 64 bits. */
static bool take_hex(const uint8_t *p, size_t len, size_t *i, uint64_t *ret)
{
	uint64_t v = 0;

	for (; *i < len && packet_hexval(p[*i]) >= 0; ++*i) {
		if (v >> 60)
			return false;
		v = v << 4 | (uint64_t)packet_hexval(p[*i]);
	}
	*ret = v;
	return true;
}

/*
 * F RESULT [,ERRNO] [;DATA], with at most max bytes of data; *data points into scratch.  Numbers
 * are in hex and may be negative.  gdbserver 16 codes runs in the number, too, so all of it is
 * decoded before it is looked at.
 */
static struct err *parse_f(const uint8_t *raw, size_t raw_len, const char *what, uint64_t max,
			   struct buf *scratch, uint64_t *result, const uint8_t **data,
			   size_t *data_len)
{
	enum { HEADER_MAX = 64 };
	size_t i = 1, len;
	uint64_t v, errnum = 0;
	const uint8_t *p;
	bool negative;

	if (!raw_len)
		return err_create(ERR_UNSUPPORTED, "the stub cannot read files");
	scratch->len = 0;
	TRY(buf_reserve(scratch, max + HEADER_MAX));
	p = scratch->data;
	TRY(err_wrapf(packet_decode_binary(raw, raw_len, scratch->data, max + HEADER_MAX, &len),
		      "reading %s", what));
	if (!len || p[0] != 'F')
		return no_sense(what);
	negative = i < len && p[i] == '-';
	i += negative;
	if (!take_hex(p, len, &i, &v))
		return no_sense(what);
	if (negative) {
		/* gdb's own numbers (File-I/O), which agree with Linux's for those that matter. */
		i += i < len;
		if (!take_hex(p, len, &i, &errnum) || errnum > INT_MAX)
			errnum = 0;
		return err_create(ERR_REMOTE, "the stub cannot read %s: %s", what,
				  errnum ? strerror((int)errnum) : "no reason given");
	}
	*result = v;
	*data = i < len && p[i] == ';' ? p + i + 1 : NULL;
	*data_len = *data ? len - i - 1 : 0;
	return NULL;
}

static struct err *file_open(struct rsp *rsp, const char *path, uint64_t *fd)
{
	_cleanup_buf_ struct buf cmd = BUF_INIT, scratch = BUF_INIT;
	const uint8_t *p, *data;
	size_t len;

	if (!rsp->f.pub.vfile)
		return err_create(ERR_UNSUPPORTED, "the stub cannot read files");
	TRY(buf_addstr(&cmd, "vFile:open:"));
	TRY(packet_hex(&cmd, path, strlen(path)));
	TRY(buf_addstr(&cmd, ",0,0"));
	TRY(exchange_send_bytes(&rsp->x, cmd.data, cmd.len));
	TRY(exchange_next_raw(&rsp->x, &p, &len));
	TRY(parse_f(p, len, path, 0, &scratch, fd, &data, &len));
	rsp->last_fd = *fd;
	return NULL;
}

struct piece {
	uint64_t off, len;
};

/* A file that is being read, from `off` on, into ret from `base` on. */
struct file_reading {
	struct rsp *rsp;
	const char *path;
	uint64_t fd, off;
	uint64_t next, end;       /* what was not asked for yet */
	VEC(struct piece) again;  /* the rest of short replies */
	struct piece *ring;       /* under way, the oldest at head */
	unsigned head, under_way; /* of ring */
	unsigned window, max;     /* how many may be under way, now and at most */
	struct buf scratch;       /* the last reply */
	struct buf *ret;
	size_t base;
};

/* Asks for as much as may be under way. */
static struct err *file_ask(struct file_reading *fr)
{
	/* Room for escapes: random bytes need 1.6 % more. /proc/PID/pagemap wants whole entries. */
	const uint64_t full = (fr->rsp->f.pub.packet_size - 48) / 16 * 15 / 8 * 8;

	while (fr->under_way < fr->window && (fr->again.n || fr->next < fr->end)) {
		uint64_t left = fr->end - fr->next;
		struct piece pc = { fr->next, left < full ? left : full };

		if (fr->again.n)
			pc = fr->again.v[--fr->again.n];
		else
			fr->next += pc.len;
		if (pc.off >= fr->end)
			continue;
		TRY(exchange_send(&fr->rsp->x, "vFile:pread:%" PRIx64 ",%" PRIx64 ",%" PRIx64,
				  fr->fd, pc.len, pc.off));
		fr->ring[(fr->head + fr->under_way++) % fr->max] = pc;
	}
	return NULL;
}

/* The oldest reply, its bytes put where they belong; *got of them. */
static struct err *file_take(struct file_reading *fr, const struct piece *pc, uint64_t *got)
{
	size_t at = fr->base + (size_t)(pc->off - fr->off), raw_len, len;
	const uint8_t *raw, *data;
	uint64_t result;
	struct err *err;

	TRY(exchange_next_raw(&fr->rsp->x, &raw, &raw_len));
	fr->head = (fr->head + 1) % fr->max;
	fr->under_way--;
	*got = 0;
	err = parse_f(raw, raw_len, fr->path, pc->len, &fr->scratch, &result, &data, &len);
	/* The offset may be one that this stub cannot express: past the end it does not matter. */
	if (err && pc->off >= fr->end) {
		err_destroy(err);
		return NULL;
	}
	TRY(err);
	if (fr->ret->len < at + pc->len)
		TRY(buf_reserve(fr->ret, at + (size_t)pc->len - fr->ret->len));
	if (data && len <= pc->len) {
		memcpy(fr->ret->data + at, data, len);
		*got = len;
	}
	return *got == result ? NULL : no_sense(fr->path);
}

/*
 * The window opens as full replies come: for a file of /proc every reply is short, and what was
 * asked for behind it would be asked for again.
 */
static struct err *file_pieces(struct file_reading *fr)
{
	for (;;) {
		struct piece pc;
		uint64_t got;

		TRY(file_ask(fr));
		if (!fr->under_way)
			return NULL;
		pc = fr->ring[fr->head];
		TRY(file_take(fr, &pc, &got));
		if (!got) {
			if (pc.off < fr->end)
				fr->end = pc.off;
		} else if (got < pc.len) {
			pc.off += got;
			pc.len -= got;
			TRY(vec_push(&fr->again, pc));
		} else if (fr->window < fr->max) {
			fr->window = fr->window * 2 < fr->max ? fr->window * 2 : fr->max;
		}
	}
}

static void file_reading_deinit(struct file_reading *fr)
{
	free(fr->ring);
	vec_deinit(&fr->again);
	buf_deinit(&fr->scratch);
}

/* [off, off + len) of an open file, appended to ret, up to the file's end. */
static struct err *file_read_open(struct rsp *rsp, const char *path, uint64_t fd, uint64_t off,
				  uint64_t len, struct buf *ret)
{
	const struct rsp_features *f = &rsp->f.pub;
	_cleanup_(file_reading_deinit) struct file_reading fr = {
		.rsp = rsp,
		.path = path,
		.fd = fd,
		.off = off,
		.next = off,
		.end = len < UINT64_MAX - off ? off + len : UINT64_MAX,
		.window = 1,
		.max = f->no_ack ? f->window : 1,
		.ret = ret,
		.base = ret->len,
	};

	fr.ring = calloc(fr.max, sizeof(*fr.ring));
	if (!fr.ring)
		return err_nomem();
	TRY(file_pieces(&fr));
	ret->len = fr.base + (size_t)(fr.end - off);
	if (ret->data)
		ret->data[ret->len] = 0;
	return NULL;
}

struct err *rsp_file_read_at(struct rsp *rsp, const char *path, uint64_t off, uint64_t len,
			     struct buf *ret)
{
	struct err *err, *close_err;
	uint64_t fd;

	TRY(file_open(rsp, path, &fd));
	err = file_read_open(rsp, path, fd, off, len, ret);
	/* With replies under way, the close's reply would come behind them: the way out has it. */
	if (rsp->x.owed)
		return err;
	close_err = exchange_command(&rsp->x, "vFile:close:%" PRIx64, fd);
	if (!err)
		return close_err;
	err_destroy(close_err);
	return err;
}

struct err *rsp_file_read(struct rsp *rsp, const char *path, uint64_t limit, struct buf *ret)
{
	size_t start = ret->len;

	TRY(rsp_file_read_at(rsp, path, 0, limit < UINT64_MAX ? limit + 1 : limit, ret));
	if (ret->len - start <= limit)
		return NULL;
	ret->len = start;
	return err_create(ERR_LIMIT, "%s is over %" PRIu64 " bytes", path, limit);
}

struct err *rsp_file_text(struct rsp *rsp, struct buf *text, bool *found, const char *fmt, ...)
{
	_cleanup_free_ char *path = NULL;
	struct err *err;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&path, fmt, ap);
	va_end(ap);
	if (n < 0) {
		path = NULL;
		return err_nomem();
	}
	buf_reset(text);
	err = rsp_file_read(rsp, path, LIMIT_TEXT, text);
	*found = !err;
	if (err_catch(&err, ERR_REMOTE) || err_catch(&err, ERR_UNSUPPORTED) ||
	    err_catch(&err, ERR_LIMIT))
		return NULL;
	return err ? err : buf_addstr(text, "");
}

/* ------------------------------------------------------------------ monitor */

/* One reply to qRcmd; *more: another one follows to the same question. */
static struct err *monitor_reply(struct rsp *rsp, const char *command, struct buf *ret, bool *more)
{
	size_t len, got, cap;
	const uint8_t *p;

	TRY(exchange_next_raw(&rsp->x, &p, &len));
	*more = false;
	if (!len)
		return err_create(ERR_UNSUPPORTED, "the stub has no monitor commands");
	if (exchange_is_error(p, len))
		return err_create(ERR_REMOTE, "the stub refuses 'monitor %s' (%.*s)", command,
				  (int)(len < SHOWN ? len : SHOWN), (const char *)p);
	if (len == 2 && !memcmp(p, "OK", 2))
		return NULL;
	/* "O" and text: more follows.  Bare text: all of it (gdb's manual, qRcmd). */
	*more = p[0] == 'O';
	/* two bytes of a run are 97 digits */
	cap = len < LIMIT_PACKET / 25 ? len * 25 : LIMIT_PACKET;
	TRY(buf_reserve(ret, cap));
	TRY(packet_decode_hex(p + *more, len - *more, ret->data + ret->len, cap, &got));
	ret->len += got;
	ret->data[ret->len] = 0;
	if (ret->len > LIMIT_XFER)
		return err_create(ERR_LIMIT, "'monitor %s' says too much", command);
	return NULL;
}

struct err *rsp_monitor(struct rsp *rsp, const char *command, struct buf *ret)
{
	_cleanup_buf_ struct buf cmd = BUF_INIT;

	TRY(buf_addstr(&cmd, "qRcmd,"));
	TRY(packet_hex(&cmd, command, strlen(command)));
	TRY(exchange_send_bytes(&rsp->x, cmd.data, cmd.len));
	for (bool more = true; more;) {
		TRY(monitor_reply(rsp, command, ret, &more));
		rsp->x.owed += more;
	}
	return NULL;
}
