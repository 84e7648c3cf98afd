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
#include "base/clock.h"
#include "base/limits.h"
#include "rsp/rsp_int.h"

enum {
	SHOWN = 80, /* of a refusal, in an error message */
	/* What comes in pieces may take as long as a reply, and longer where it brings so many
	 * bytes a second. */
	PACE = 100,
};

/* Since `start`, so many bytes have come: is that an end in sight?  Each piece has come in time. */
static struct err *check_pace(const struct rsp *rsp, const char *what, int64_t start,
			      uint64_t bytes)
{
	double s = (double)(clock_now_ns() - start) / 1e9;

	if (s <= rsp->x.conn->timeout_ms / 1e3 + (double)bytes / PACE)
		return NULL;
	return err_create(ERR_TIMEOUT,
			  "the stub's %s does not end: %.0f bytes in %.0f s (--timeout)", what,
			  (double)bytes, s);
}

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
	int64_t begun = clock_now_ns();
	size_t start = ret->len;

	for (bool last = false; !last;) {
		TRY(check_pace(rsp, object, begun, ret->len - start));
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

/* A file that is being read: pieces of it, which are handed on as they come. */
struct file_reading {
	struct rsp *rsp;
	const char *path;
	uint64_t fd;
	uint64_t end;               /* nothing is asked for from here on */
	VEC(struct rsp_piece) todo; /* not asked for yet, the next one last */
	struct rsp_piece *ring;     /* under way, the oldest at head */
	unsigned head, under_way;   /* of ring */
	unsigned window, max;       /* how many may be under way, now and at most */
	struct buf scratch;         /* the last reply */
	rsp_take take;
	void *arg;
	int64_t begun;
	uint64_t bytes; /* since */
};

/* Takes the next piece out of what is to be asked for, at most `full` bytes. */
static void next_piece(struct file_reading *fr, uint64_t full, struct rsp_piece *ret)
{
	struct rsp_piece *last = &fr->todo.v[fr->todo.n - 1];

	*ret = *last;
	if (ret->len > full)
		ret->len = full;
	last->off += ret->len;
	last->len -= ret->len;
	fr->todo.n -= !last->len;
}

/* Asks for as much as may be under way. */
static struct err *file_ask(struct file_reading *fr)
{
	/* Room for escapes: random bytes need 1.6 % more. /proc/PID/pagemap wants whole entries. */
	const uint64_t full = (fr->rsp->f.pub.packet_size - 48) / 16 * 15 / 8 * 8;

	while (fr->under_way < fr->window && fr->todo.n) {
		struct rsp_piece pc;

		if (fr->todo.v[fr->todo.n - 1].off >= fr->end) {
			fr->todo.n--;
			continue;
		}
		next_piece(fr, full, &pc);
		TRY(exchange_send(&fr->rsp->x, "vFile:pread:%" PRIx64 ",%" PRIx64 ",%" PRIx64,
				  fr->fd, pc.len, pc.off));
		fr->ring[(fr->head + fr->under_way++) % fr->max] = pc;
	}
	return NULL;
}

/* The oldest reply, handed on; *got: its bytes. */
static struct err *file_take(struct file_reading *fr, const struct rsp_piece *pc, uint64_t *got)
{
	const uint8_t *raw, *data;
	size_t raw_len, len;
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
	if (data && len <= pc->len)
		*got = len;
	if (*got != result)
		return no_sense(fr->path);
	fr->bytes += *got;
	TRY(check_pace(fr->rsp, fr->path, fr->begun, fr->bytes));
	return *got ? fr->take(fr->arg, pc->off, data, len) : NULL;
}

/*
 * The window opens as full replies come: for a file of /proc every reply is short, and what was
 * asked for behind it would be asked for again.
 */
static struct err *file_pieces(struct file_reading *fr)
{
	for (;;) {
		struct rsp_piece pc;
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
			TRY(vec_push(&fr->todo, pc));
		} else if (fr->window < fr->max) {
			fr->window = fr->window * 2 < fr->max ? fr->window * 2 : fr->max;
		}
	}
}

static void file_reading_deinit(struct file_reading *fr)
{
	free(fr->ring);
	vec_deinit(&fr->todo);
	buf_deinit(&fr->scratch);
}

/* Pieces of an open file, the first of them first. */
static struct err *file_read_open(struct file_reading *fr, const struct rsp_piece *v, size_t n)
{
	const struct rsp_features *f = &fr->rsp->f.pub;

	fr->window = 1;
	fr->max = f->no_ack ? f->window : 1;
	fr->ring = calloc(fr->max, sizeof(*fr->ring));
	if (!fr->ring)
		return err_nomem();
	while (n)
		if (v[--n].len)
			TRY(vec_push(&fr->todo, v[n]));
	return file_pieces(fr);
}

/* *end: where the file was found to end; UINT64_MAX: nowhere. */
static struct err *read_pieces(struct rsp *rsp, const char *path, const struct rsp_piece *pieces,
			       size_t n, rsp_take take, void *arg, uint64_t *end)
{
	_cleanup_(file_reading_deinit) struct file_reading fr = {
		.rsp = rsp,
		.path = path,
		.end = UINT64_MAX,
		.take = take,
		.arg = arg,
		.begun = clock_now_ns(),
	};
	struct err *err, *close_err;

	TRY(file_open(rsp, path, &fr.fd));
	err = file_read_open(&fr, pieces, n);
	*end = fr.end;
	/* With replies under way, the close's reply would come behind them: the way out has it. */
	if (rsp->x.owed)
		return err;
	close_err = exchange_command(&rsp->x, "vFile:close:%" PRIx64, fr.fd);
	if (!err)
		return close_err;
	err_destroy(close_err);
	return err;
}

struct err *rsp_file_pieces(struct rsp *rsp, const char *path, const struct rsp_piece *pieces,
			    size_t n, rsp_take take, void *arg)
{
	uint64_t end;

	return read_pieces(rsp, path, pieces, n, take, arg, &end);
}

/* What is read of a file, where it goes. */
struct file_buf {
	struct buf *ret;
	size_t base;
	uint64_t off, end;
};

static struct err *take_into_buf(void *arg, uint64_t off, const uint8_t *p, size_t len)
{
	struct file_buf *b = arg;
	size_t at = b->base + (size_t)(off - b->off);

	if (b->ret->len < at + len)
		TRY(buf_reserve(b->ret, at + len - b->ret->len));
	memcpy(b->ret->data + at, p, len);
	if (off + len > b->end)
		b->end = off + len;
	return NULL;
}

struct err *rsp_file_read_at(struct rsp *rsp, const char *path, uint64_t off, uint64_t len,
			     struct buf *ret)
{
	struct rsp_piece all = { off, len < UINT64_MAX - off ? len : UINT64_MAX - off };
	struct file_buf b = { ret, ret->len, off, off };
	uint64_t end;

	TRY(read_pieces(rsp, path, &all, 1, take_into_buf, &b, &end));
	ret->len = b.base + (size_t)((end < b.end ? end : b.end) - off);
	if (ret->data)
		ret->data[ret->len] = 0;
	return NULL;
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
	int64_t begun = clock_now_ns();

	TRY(buf_addstr(&cmd, "qRcmd,"));
	TRY(packet_hex(&cmd, command, strlen(command)));
	TRY(exchange_send_bytes(&rsp->x, cmd.data, cmd.len));
	for (bool more = true; more;) {
		TRY(check_pace(rsp, command, begun, ret->len));
		TRY(monitor_reply(rsp, command, ret, &more));
		rsp->x.owed += more;
	}
	return NULL;
}
