/*
 * rsp/packet: the first byte says in what pieces the others arrive.  Which replies are found must
 * not depend on that.  (A notification behind junk is junk if they come together.)
 */
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "rsp/packet.h"
#include "tests/fuzz/fuzz.h"

static void need(bool cond)
{
	if (!cond)
		abort();
}

static void payload(const uint8_t *p, size_t len)
{
	_cleanup_buf_ struct buf b = BUF_INIT, hex = BUF_INIT;
	uint8_t *dst = malloc(len + 1);
	struct err *err = packet_expand(p, len, &b);
	size_t got;

	need(dst != NULL);
	if (!err && b.len <= 1 << 16) {
		fuzz_drop(packet_hex(&hex, b.data, b.len));
		need(hex.len == 2 * b.len);
	}
	fuzz_drop(err);
	/* cap: what does not fit is refused */
	err = packet_decode_hex(p, len, dst, len / 2, &got);
	need(err || got <= len / 2);
	fuzz_drop(err);
	err = packet_decode_binary(p, len, dst, len, &got);
	need(err || got <= len);
	fuzz_drop(err);
	free(dst);
}

/* A sum over all that is found. */
static uint64_t walk(const uint8_t *p, size_t n, size_t step, bool look)
{
	struct packet_scan scan = { 0 };
	size_t at = 0, have = step < n ? step : n;
	uint64_t sum = 0;

	while (at <= n) {
		struct packet k;

		packet_next(&scan, p + at, have - at, &k);
		if (k.kind == PACKET_NONE) {
			if (have == n)
				break;
			have = n - have < step ? n : have + step;
			continue;
		}
		need(k.used && k.used <= have - at);
		if (k.kind == PACKET_REPLY) {
			need(k.data >= p + at && k.data + k.len <= p + have);
			sum = sum * 31 + k.len;
			if (look)
				payload(k.data, k.len);
		}
		at += k.used;
		memset(&scan, 0, sizeof(scan));
	}
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	size_t step = 1 + fuzz_u8(&in) % 40;
	_cleanup_buf_ struct buf framed = BUF_INIT;
	const char *s;
	uint64_t v, sum;

	sum = walk(in.p, in.n, in.n + 1, true);
	need(walk(in.p, in.n, step, false) == sum || (in.n && memchr(in.p, '%', in.n)));
	payload(in.p, in.n);
	fuzz_drop(packet_frame(&framed, in.p, in.n));
	s = (const char *)framed.data + 1;
	packet_number(&s, &v);
	return 0;
}
