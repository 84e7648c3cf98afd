/*
 * What comes as bytes in packets: qXfer objects, files of the stub's machine, monitor output.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "rsp/client.h"

size_t rsp_xfer_piece(const struct rsp *rsp)
{
	/* The reply has one letter before the data, and a stub may count escapes: leave room. */
	size_t piece = rsp->f.pub.packet_size - 16;

	/* QEMU cuts longer ones its own way */
	return rsp->f.pub.read_align && piece > rsp->f.pub.read_align ? rsp->f.pub.read_align :
									piece;
}

struct err *rsp_xfer(struct rsp *rsp, const char *object, const char *annex, struct buf *ret)
{
	size_t piece = rsp_xfer_piece(rsp), start = ret->len;

	for (;;) {
		const uint8_t *p;
		size_t len, got;
		bool last;
		struct err *err = rsp_send(rsp, RSP_XFER, object, annex, ret->len - start, piece);

		if (!err)
			err = rsp_next_raw(rsp, &p, &len);
		if (err)
			return err;
		if (!len)
			return err_create(ERR_UNSUPPORTED, "the stub has no %s", object);
		if (rsp_is_error(p, len))
			return err_create(ERR_REMOTE, "the stub refuses to read %s %s (%.*s)",
					  object, annex, (int)(len < 80 ? len : 80),
					  (const char *)p);
		if (p[0] != 'l' && p[0] != 'm')
			return err_create(ERR_PROTO, "the stub's %s makes no sense", object);
		last = p[0] == 'l';
		/* A stub may send less than it was asked for, never more; runs make it longer here
		 * than on the wire. */
		err = buf_reserve(ret, piece);
		if (!err)
			err = packet_decode_binary(p + 1, len - 1, ret->data + ret->len, piece,
						   &got);
		if (err)
			return err_wrapf(err, "reading %s", object);
		ret->len += got;
		ret->data[ret->len] = 0;
		if (last)
			return NULL;
		if (!got)
			return err_create(ERR_PROTO, "the stub's %s never ends", object);
		if (ret->len - start > LIMIT_XFER)
			return err_create(ERR_LIMIT, "the stub's %s is over %u MB", object,
					  LIMIT_XFER >> 20);
	}
}

/* ------------------------------------------------------------------ files */

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
	uint64_t v = 0, errnum = 0;
	const uint8_t *p;
	struct err *err;
	bool negative;

	if (!raw_len)
		return err_create(ERR_UNSUPPORTED, "the stub cannot read files");
	scratch->len = 0;
	err = buf_reserve(scratch, max + HEADER_MAX);
	if (!err)
		err = packet_decode_binary(raw, raw_len, scratch->data, max + HEADER_MAX, &len);
	if (err)
		return err_wrapf(err, "reading %s", what);
	p = scratch->data;
	if (!len || p[0] != 'F')
		return err_create(ERR_PROTO, "the stub's answer about %s makes no sense", what);
	negative = i < len && p[i] == '-';
	for (i += negative; i < len && packet_hexval(p[i]) >= 0; i++) {
		if (v >> 60)
			return err_create(ERR_PROTO, "the stub's answer about %s makes no sense",
					  what);
		v = v << 4 | (uint64_t)packet_hexval(p[i]);
	}
	if (negative) {
		/* gdb's own numbers (File-I/O), which agree with Linux's for those that matter. */
		for (i += i < len; i < len && packet_hexval(p[i]) >= 0 && errnum < 10000; i++)
			errnum = errnum << 4 | (uint64_t)packet_hexval(p[i]);
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
	struct err *err;

	if (!rsp->f.pub.vfile)
		return err_create(ERR_UNSUPPORTED, "the stub cannot read files");
	err = buf_addstr(&cmd, "vFile:open:");
	if (!err)
		err = packet_hex(&cmd, path, strlen(path));
	if (!err)
		err = buf_addstr(&cmd, ",0,0");
	if (!err)
		err = rsp_send_bytes(rsp, cmd.data, cmd.len);
	if (!err)
		err = rsp_next_raw(rsp, &p, &len);
	if (!err)
		err = parse_f(p, len, path, 0, &scratch, fd, &data, &len);
	if (!err)
		rsp->last_fd = *fd;
	return err;
}

struct piece {
	uint64_t off, len;
};

/*
 * Reads [off, off + len) into ret->data + base (room is made as it comes) up to the end of the
 * file.  The window opens as full replies come: for a file of /proc every reply is short, and
 * what was asked for behind it would be asked for again.
 */
static struct err *file_pieces(struct rsp *rsp, const char *path, uint64_t fd, uint64_t off,
			       uint64_t len, struct buf *ret)
{
	/* Room for escapes: random bytes need 1.6 % more. */
	uint64_t full = (rsp->f.pub.packet_size - 48) / 16 * 15, next = off, end;
	unsigned window = 1, max = rsp->f.pub.no_ack ? rsp->f.pub.window : 1, under_way = 0,
		 head = 0;
	_cleanup_buf_ struct buf scratch = BUF_INIT;
	size_t base = ret->len;
	VEC(struct piece) again = VEC_INIT;
	struct piece *ring = calloc(max, sizeof(*ring));
	struct err *err = NULL;

	if (!ring)
		return err_nomem();
	end = len < UINT64_MAX - off ? off + len : UINT64_MAX;
	for (;;) {
		struct piece pc;
		const uint8_t *p, *data;
		uint64_t result;
		size_t plen, dlen, got = 0;

		while (!err && under_way < window && (again.n || next < end)) {
			if (again.n) {
				pc = again.v[--again.n];
			} else {
				pc = (struct piece){ next, end - next < full ? end - next : full };
				next += pc.len;
			}
			if (pc.off >= end)
				continue;
			err = rsp_send(rsp, "vFile:pread:%" PRIx64 ",%" PRIx64 ",%" PRIx64, fd,
				       pc.len, pc.off);
			ring[(head + under_way++) % max] = pc;
		}
		if (err || !under_way)
			break;
		err = rsp_next_raw(rsp, &p, &plen);
		if (err)
			break;
		pc = ring[head];
		head = (head + 1) % max;
		under_way--;
		err = parse_f(p, plen, path, pc.len, &scratch, &result, &data, &dlen);
		/* The offset may be one this stub cannot express: past the end it does not
		 * matter. */
		if (err && pc.off >= end) {
			err_destroy(err);
			err = NULL;
			continue;
		}
		if (!err && ret->len < base + (pc.off - off) + pc.len)
			err = buf_reserve(ret, base + (size_t)(pc.off - off + pc.len) - ret->len);
		if (!err && data && dlen <= pc.len) {
			memcpy(ret->data + base + (pc.off - off), data, dlen);
			got = dlen;
		}
		if (!err && got != result)
			err = err_create(ERR_PROTO, "the stub's answer about %s makes no sense",
					 path);
		if (err)
			break;
		if (!got) {
			if (pc.off < end)
				end = pc.off;
		} else if (got < pc.len) {
			pc.off += got;
			pc.len -= got;
			err = vec_push(&again, pc);
		} else if (window < max) {
			window = window * 2 < max ? window * 2 : max;
		}
	}
	free(ring);
	vec_deinit(&again);
	if (err)
		return err;
	ret->len = base + (size_t)(end - off);
	if (ret->data)
		ret->data[ret->len] = 0;
	return NULL;
}

static struct err *file_read(struct rsp *rsp, const char *path, uint64_t off, uint64_t len,
			     struct buf *ret)
{
	struct err *err, *close_err;
	uint64_t fd;

	err = file_open(rsp, path, &fd);
	if (err)
		return err;
	err = file_pieces(rsp, path, fd, off, len, ret);
	/* With replies under way, the close's reply would come behind them: the way out has it. */
	if (rsp->owed)
		return err;
	close_err = rsp_command(rsp, "vFile:close:%" PRIx64, fd);
	if (err) {
		err_destroy(close_err);
		return err;
	}
	return close_err;
}

struct err *rsp_file_read(struct rsp *rsp, const char *path, uint64_t limit, struct buf *ret)
{
	size_t start = ret->len;
	struct err *err = file_read(rsp, path, 0, limit < UINT64_MAX ? limit + 1 : limit, ret);

	if (!err && ret->len - start > limit) {
		ret->len = start;
		err = err_create(ERR_LIMIT, "%s is over %" PRIu64 " bytes", path, limit);
	}
	return err;
}

struct err *rsp_file_try(struct rsp *rsp, const char *path, uint64_t limit, struct buf *ret,
			 bool *found)
{
	struct err *err = rsp_file_read(rsp, path, limit, ret);

	*found = !err;
	if (err_is(err, ERR_REMOTE) || err_is(err, ERR_UNSUPPORTED)) {
		err_destroy(err);
		return NULL;
	}
	return err ? err : buf_addstr(ret, "");
}

struct err *rsp_file_read_at(struct rsp *rsp, const char *path, uint64_t off, uint64_t len,
			     struct buf *ret)
{
	return file_read(rsp, path, off, len, ret);
}

/* ------------------------------------------------------------------ monitor */

struct err *rsp_monitor(struct rsp *rsp, const char *command, struct buf *ret)
{
	_cleanup_buf_ struct buf cmd = BUF_INIT;
	struct err *err = buf_addstr(&cmd, "qRcmd,");

	if (!err)
		err = packet_hex(&cmd, command, strlen(command));
	if (!err)
		err = rsp_send_bytes(rsp, cmd.data, cmd.len);
	while (!err) {
		const uint8_t *p;
		size_t len, got, cap;

		err = rsp_next_raw(rsp, &p, &len);
		if (err)
			break;
		if (!len)
			return err_create(ERR_UNSUPPORTED, "the stub has no monitor commands");
		if (rsp_is_error(p, len))
			return err_create(ERR_REMOTE, "the stub refuses 'monitor %s' (%.*s)",
					  command, (int)(len < 80 ? len : 80), (const char *)p);
		if (len == 2 && !memcmp(p, "OK", 2))
			return NULL;
		/* "O" and text: more follows.  Bare text: all of it (gdb's manual, qRcmd). */
		/* two bytes of a run are 97 digits */
		cap = len < LIMIT_PACKET / 25 ? len * 25 : LIMIT_PACKET;
		err = buf_reserve(ret, cap);
		if (err)
			break;
		err = packet_decode_hex(p + (p[0] == 'O'), len - (p[0] == 'O'),
					ret->data + ret->len, cap, &got);
		if (err)
			break;
		ret->len += got;
		ret->data[ret->len] = 0;
		if (ret->len > LIMIT_XFER)
			return err_create(ERR_LIMIT, "'monitor %s' says too much", command);
		if (p[0] != 'O')
			return NULL;
		rsp->owed++; /* another reply to the same question */
	}
	return err;
}
