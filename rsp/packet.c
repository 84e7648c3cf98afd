/*
 * A packet's end is searched for with memchr(); replies are decoded in one pass, and what nearly
 * all of a reply consists of, bytes without runs, has a loop of its own.
 */
#include "rsp/packet.h"

#include <string.h>

#include "base/limits.h"

enum {
	RUN = '*',
	ESCAPE = '}',
	RUN_BIAS = 29, /* a count is sent as itself plus 29 */
};

static const int8_t hexval[256] = {
	/* 0 is "not a digit", so that the table can be written down sparsely. */
	['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
	['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
	['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11, ['B'] = 12,
	['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

int packet_hexval(uint8_t c)
{
	return hexval[c] - 1;
}

int packet_hexbyte(const void *p)
{
	const uint8_t *b = p;
	int hi = packet_hexval(b[0]), lo = hi < 0 ? -1 : packet_hexval(b[1]);

	return lo < 0 ? -1 : hi << 4 | lo;
}

bool packet_number(const char **s, uint64_t *ret)
{
	const char *p = *s;
	uint64_t v = 0;

	for (; packet_hexval((uint8_t)*p) >= 0; p++) {
		if (v >> 60)
			return false;
		v = v << 4 | (uint64_t)packet_hexval((uint8_t)*p);
	}
	if (p == *s)
		return false;
	*s = p;
	*ret = v;
	return true;
}

/* Eight bytes a step: even and odd bytes are added in 16-bit lanes, which 128 steps cannot
 * overflow. */
uint8_t packet_sum(const uint8_t *p, size_t len)
{
	const uint64_t lanes = 0x00ff00ff00ff00ffull;
	unsigned sum = 0;

	while (len >= 8) {
		size_t steps = len / 8 < 128 ? len / 8 : 128;
		uint64_t acc = 0;

		len -= steps * 8;
		for (; steps; steps--, p += 8) {
			uint64_t v;

			memcpy(&v, p, 8);
			acc += (v & lanes) + ((v >> 8) & lanes);
		}
		sum += (unsigned)((acc & 0xffff) + (acc >> 16 & 0xffff) + (acc >> 32 & 0xffff) +
				  (acc >> 48));
	}
	for (; len; len--)
		sum += *p++;
	return (uint8_t)sum;
}

/* p: the payload; p[len] is '#', and two more bytes follow it. */
static bool sum_matches(const uint8_t *p, size_t len)
{
	int hi = packet_hexval(p[len + 1]), lo = packet_hexval(p[len + 2]);

	return hi >= 0 && lo >= 0 && packet_sum(p, len) == (hi << 4 | lo);
}

static void packet_scan_frame(struct packet_scan *s, const uint8_t *p, size_t len,
			      struct packet *ret)
{
	size_t from = s->seen ? s->seen : 1;
	const uint8_t *end = from < len ? memchr(p + from, '#', len - from) : NULL;
	const uint8_t *start = p, *dollar;

	if (!end || p + len - end < 3) {
		s->seen = end ? (size_t)(end - p) : len;
		if (s->seen > LIMIT_PACKET)
			ret->kind = PACKET_OVERSIZE;
		return;
	}
	s->seen = 0;
	ret->used = (size_t)(end - p) + 3;
	ret->kind = PACKET_CORRUPT;
	if (sum_matches(start + 1, (size_t)(end - start - 1))) {
		ret->kind = *start == '%' ? PACKET_NOTE : PACKET_REPLY;
	} else if ((dollar = memrchr(start + 1, '$', (size_t)(end - start - 1)))) {
		/* A packet cut off by the next one: a '$' is never inside one. */
		start = dollar;
		if (sum_matches(start + 1, (size_t)(end - start - 1)))
			ret->kind = PACKET_REPLY;
	}
	ret->data = start + 1;
	ret->len = (size_t)(end - start - 1);
}

void packet_next(struct packet_scan *s, const uint8_t *p, size_t len, struct packet *ret)
{
	const uint8_t *next;

	*ret = (struct packet){ PACKET_NONE };
	if (!len)
		return;
	switch (*p) {
	case '$':
	case '%':
		packet_scan_frame(s, p, len, ret);
		return;
	case '+':
	case '-':
		ret->kind = *p == '+' ? PACKET_ACK : PACKET_NAK;
		ret->used = 1;
		return;
	default:
		next = memchr(p, '$', len);
		ret->kind = PACKET_JUNK;
		ret->data = p;
		ret->len = ret->used = next ? (size_t)(next - p) : len;
	}
}

struct err *packet_frame(struct buf *out, const void *payload, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t sum = packet_sum(payload, len);
	struct err *err = buf_reserve(out, len + 4);

	if (err)
		return err;
	out->data[out->len] = '$';
	if (len)
		memcpy(out->data + out->len + 1, payload, len);
	out->len += len + 1;
	out->data[out->len++] = '#';
	out->data[out->len++] = (uint8_t)digits[sum >> 4];
	out->data[out->len++] = (uint8_t)digits[sum & 15];
	out->data[out->len] = 0;
	return NULL;
}

struct err *packet_hex(struct buf *out, const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;
	struct err *err;

	if (len > LIMIT_PACKET)
		return err_create(ERR_LIMIT, "a packet of %zu bytes is too long to send", len);
	err = buf_reserve(out, len * 2);
	if (err)
		return err;
	for (size_t i = 0; i < len; i++) {
		out->data[out->len++] = (uint8_t)digits[p[i] >> 4];
		out->data[out->len++] = (uint8_t)digits[p[i] & 15];
	}
	out->data[out->len] = 0;
	return NULL;
}

/* The run at p[i] == '*': how many more of the byte before it; 0 if it is no run at all. */
static size_t run_length(const uint8_t *p, size_t len, size_t i)
{
	if (i == 0 || i + 1 >= len || p[i + 1] < 32 || p[i + 1] > 126)
		return 0;
	return p[i + 1] - (size_t)RUN_BIAS;
}

static struct err *bad_run(void)
{
	return err_create(ERR_PROTO, "the stub sent a damaged run length");
}

static struct err *too_long(size_t cap)
{
	return err_create(ERR_PROTO, "the stub sent more than the %zu bytes that were asked for",
			  cap);
}

struct err *packet_expand(const uint8_t *p, size_t len, struct buf *out)
{
	size_t start = out->len, i = 0;
	struct err *err;

	while (i < len) {
		const uint8_t *star = memchr(p + i, RUN, len - i);
		size_t plain = star ? (size_t)(star - p) - i : len - i, n;

		err = buf_add(out, p + i, plain);
		if (err)
			return err;
		i += plain;
		if (!star)
			break;
		n = run_length(p, len, i);
		/* A run of what a run repeated ("0*~*~") is well defined, and gdbserver sends
		 * it. */
		if (!n || out->len == start)
			return bad_run();
		if (out->len - start + n > LIMIT_PACKET)
			return err_create(ERR_PROTO, "the stub sent a packet of over %u MB",
					  LIMIT_PACKET >> 20);
		err = buf_reserve(out, n);
		if (err)
			return err;
		memset(out->data + out->len, out->data[out->len - 1], n);
		out->len += n;
		out->data[out->len] = 0;
		i += 2;
	}
	return NULL;
}

struct err *packet_decode_hex(const uint8_t *p, size_t len, uint8_t *dst, size_t cap, size_t *got)
{
	size_t i = 0, o = 0, n;
	int hi = -1;   /* a first digit that waits for its second */
	int last = -1; /* the digit a run would repeat */

	while (i < len) {
		/* What nearly all of it is: whole bytes, no run. */
		while (hi < 0 && i + 1 < len) {
			unsigned a = (unsigned)hexval[p[i]], b = (unsigned)hexval[p[i + 1]];

			if (!a || !b)
				break;
			if (o == cap)
				return too_long(cap);
			dst[o++] = (uint8_t)((a - 1) << 4 | (b - 1));
			last = (int)b - 1;
			i += 2;
		}
		if (i == len)
			break;
		if (p[i] != RUN) {
			last = packet_hexval(p[i++]);
			if (last < 0)
				return err_create(ERR_PROTO,
						  "the stub sent something else than hex digits");
			if (hi < 0) {
				hi = last;
				continue;
			}
			if (o == cap)
				return too_long(cap);
			dst[o++] = (uint8_t)(hi << 4 | last);
			hi = -1;
			continue;
		}
		n = run_length(p, len, i);
		if (!n || last < 0)
			return bad_run();
		i += 2;
		if (hi >= 0) {
			if (o == cap)
				return too_long(cap);
			dst[o++] = (uint8_t)(hi << 4 | last);
			hi = -1;
			n--;
		}
		if (n / 2 > cap - o)
			return too_long(cap);
		memset(dst + o, last << 4 | last, n / 2);
		o += n / 2;
		if (n & 1)
			hi = last;
	}
	if (hi >= 0)
		return err_create(ERR_PROTO, "the stub sent half a byte");
	*got = o;
	return NULL;
}

/*
 * Runs repeat a byte of the wire, not one of the data: after an escape pair, a run
 * repeats the pair's second byte as it was sent.
 */
struct err *packet_decode_binary(const uint8_t *p, size_t len, uint8_t *dst, size_t cap,
				 size_t *got)
{
	size_t i = 0, o = 0;
	bool escaped = false; /* the byte before was an escape */
	uint8_t last = 0;     /* as it was on the wire */

	while (i < len) {
		size_t n = 1;

		if (p[i] == RUN) {
			n = run_length(p, len, i);
			if (!n)
				return bad_run();
			i += 2;
		} else {
			last = p[i++];
			if (last != ESCAPE && !escaped && o < cap) { /* nearly all of it */
				dst[o++] = last;
				continue;
			}
		}
		for (; n; n--) {
			if (!escaped && last == ESCAPE) {
				escaped = true;
				continue;
			}
			if (o == cap)
				return too_long(cap);
			dst[o++] = escaped ? last ^ 0x20 : last;
			escaped = false;
		}
	}
	if (escaped)
		return err_create(ERR_PROTO, "the stub sent an escape with nothing behind it");
	*got = o;
	return NULL;
}
