/*
 * rsp/packet: framing, runs, escapes, hex, against tables, random splits and hostile input.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "rsp/packet.h"
#include "tests/unit/check.h"

#define LEN(a) (sizeof(a) / sizeof(*(a)))

static uint64_t rng = 88172645463325252ull;

static uint64_t rnd(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

static void test_sum(void **state)
{
	uint8_t data[5000];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = i % 3 ? 0xff : (uint8_t)rnd(256);
	for (size_t len = 0; len < sizeof(data); len += 1 + len / 50) {
		unsigned sum = 0;

		for (size_t i = 0; i < len; i++)
			sum += data[i];
		assert_int_equal(packet_sum(data, len), sum & 255);
	}
}

static void test_frame(void **state)
{
	static const struct {
		const char *payload, *frame;
	} rows[] = {
		{ "", "$#00" },         { "OK", "$OK#9a" },
		{ "?", "$?#3f" },       { "QStartNoAckMode", "$QStartNoAckMode#b0" },
		{ "m0,1", "$m0,1#fa" },
	};

	for (size_t i = 0; i < LEN(rows); i++) {
		struct buf out = BUF_INIT;

		ok(packet_frame(&out, rows[i].payload, strlen(rows[i].payload)));
		assert_string_equal((char *)out.data, rows[i].frame);
		buf_deinit(&out);
	}
}

static void test_next(void **state)
{
	static const struct {
		const char *in;
		enum packet_kind kind;
		const char *data;
		size_t used;
	} rows[] = {
		{ "", PACKET_NONE, "", 0 },
		{ "$", PACKET_NONE, "", 0 },
		{ "$OK", PACKET_NONE, "", 0 },
		{ "$OK#", PACKET_NONE, "", 0 },
		{ "$OK#9", PACKET_NONE, "", 0 },
		{ "$OK#9a", PACKET_REPLY, "OK", 6 },
		{ "$OK#9A$", PACKET_REPLY, "OK", 6 },
		{ "$#00", PACKET_REPLY, "", 4 },
		{ "$OK#9b", PACKET_CORRUPT, "OK", 6 },
		{ "$OK#zz", PACKET_CORRUPT, "OK", 6 },
		{ "$##00", PACKET_CORRUPT, "", 4 },
		{ "%Stop:T05#99", PACKET_NOTE, "Stop:T05", 12 },
		{ "+$OK#9a", PACKET_ACK, "", 1 },
		{ "-$OK#9a", PACKET_NAK, "", 1 },
		{ "boot log\r\n$OK#9a", PACKET_JUNK, "boot log\r\n", 10 },
		{ "HTTP/1.1 400", PACKET_JUNK, "HTTP/1.1 400", 12 },
		{ "$m12$OK#9a", PACKET_REPLY, "OK", 10 }, /* cut by the next one */
		{ "$m12$OK#9b", PACKET_CORRUPT, "OK", 10 },
	};

	for (size_t i = 0; i < LEN(rows); i++) {
		struct packet_scan s = { 0 };
		struct packet p;

		packet_next(&s, (const uint8_t *)rows[i].in, strlen(rows[i].in), &p);
		if (p.kind != rows[i].kind || p.used != rows[i].used ||
		    p.len != strlen(rows[i].data) || (p.len && memcmp(p.data, rows[i].data, p.len)))
			fail_msg("row %zu \"%s\": kind %d used %zu data \"%.*s\"", i, rows[i].in,
				 p.kind, p.used, (int)p.len, p.data ? (const char *)p.data : "");
	}
}

static void test_oversize(void **state)
{
	struct packet_scan s = { 0 };
	size_t len = LIMIT_PACKET + 2;
	uint8_t *in = malloc(len);
	struct packet p;

	memset(in, 'a', len);
	in[0] = '$';
	packet_next(&s, in, LIMIT_PACKET / 2, &p);
	assert_int_equal(p.kind, PACKET_NONE);
	packet_next(&s, in, len, &p);
	assert_int_equal(p.kind, PACKET_OVERSIZE);
	free(in);
}

/* A stream of packets, cut anywhere, gives the same packets. */
static void test_splits(void **state)
{
	for (int round = 0; round < 300; round++) {
		struct buf stream = BUF_INIT, want = BUF_INIT, got = BUF_INIT;
		struct packet_scan s = { 0 };
		size_t pos = 0, have = 0;
		unsigned n = 1 + (unsigned)rnd(8);

		for (unsigned i = 0; i < n; i++) {
			char payload[300];
			size_t len = rnd(sizeof(payload));

			for (size_t j = 0; j < len; j++) {
				do
					payload[j] = (char)rnd(256);
				while (payload[j] == '$' || payload[j] == '#');
			}
			if (rnd(3) == 0)
				ok(buf_add(&stream, "+", 1));
			ok(packet_frame(&stream, payload, len));
			ok(buf_add(&want, payload, len));
			ok(buf_add(&want, "|", 1));
		}
		while (have < stream.len || pos < have) {
			uint8_t *copy;
			struct packet p;

			have += rnd(3) ? 1 : rnd(200);
			if (have > stream.len)
				have = stream.len;
			for (;;) {
				/* A copy of its own size: the address sanitizer sees a step too
				 * far. */
				copy = malloc(have - pos ? have - pos : 1);
				memcpy(copy, stream.data + pos, have - pos);
				packet_next(&s, copy, have - pos, &p);
				pos += p.used;
				if (p.kind == PACKET_REPLY) {
					ok(buf_add(&got, p.data, p.len));
					ok(buf_add(&got, "|", 1));
				} else if (p.kind != PACKET_ACK) {
					assert_int_equal(p.kind, PACKET_NONE);
				}
				free(copy);
				if (p.kind == PACKET_NONE)
					break;
			}
		}
		assert_int_equal(got.len, want.len);
		assert_memory_equal(got.data, want.data, want.len);
		buf_deinit(&stream);
		buf_deinit(&want);
		buf_deinit(&got);
	}
}

static void test_expand(void **state)
{
	static const struct {
		const char *in, *out; /* out NULL: refused */
	} rows[] = {
		{ "", "" },
		{ "OK", "OK" },
		{ "0* ", "0000" },
		{ "0*!1", "000001" },
		{ "a*\"b", "aaaaaab" },
		{ "xy*%", "xyyyyyyyyy" },
		{ "0* * ", "0000000" },        /* a run of a run */
		{ "0** ", "00000000000000 " }, /* a count that looks like a run */
		{ "*~", NULL },
		{ "* 0", NULL },
		{ "0*", NULL },
		{ "0*\x1f", NULL },
		{ "0*\x7f", NULL },
		{ "0*\xff", NULL },
	};

	for (size_t i = 0; i < LEN(rows); i++) {
		struct buf out = BUF_INIT;
		struct err *err =
			packet_expand((const uint8_t *)rows[i].in, strlen(rows[i].in), &out);

		if (!rows[i].out) {
			bad(err, ERR_PROTO);
		} else {
			ok(err);
			assert_string_equal(out.data ? (char *)out.data : "", rows[i].out);
		}
		buf_deinit(&out);
	}
}

static void test_expand_bomb(void **state)
{
	size_t len = 1 << 20;
	struct buf out = BUF_INIT;
	uint8_t *in = malloc(len);

	in[0] = '0';
	for (size_t i = 1; i + 1 < len; i += 2) {
		in[i] = '*';
		in[i + 1] = '~';
	}
	bad(packet_expand(in, len - 1, &out), ERR_PROTO);
	free(in);
	buf_deinit(&out);
}

static void test_hex(void **state)
{
	static const struct {
		const char *in, *out; /* as hex; NULL: refused */
		size_t cap;
	} rows[] = {
		{ "", "", 4 },
		{ "00fF7a", "00ff7a", 4 },
		{ "0* ", "0000", 4 },
		{ "10* 1", "100001", 4 }, /* the run ends a byte, fills one, and begins one */
		{ "ab0*\"cd", "ab000000cd", 8 },
		{ "f*!e*!", "fffffeeeee", 8 },
		{ "0* * f", "0000000f", 8 },
		{ "0", NULL, 4 },
		{ "0* 0", NULL, 4 },
		{ "0011223344", NULL, 4 },
		{ "0*(", NULL, 4 },
		{ "11111111f", NULL, 4 },
		{ "zz", NULL, 4 },
		{ "0x", NULL, 4 },
		{ "x0", NULL, 4 },
		{ "*~", NULL, 4 },
		{ "00*", NULL, 4 },
		{ "00*\x1f", NULL, 4 },
		{ "00 ", NULL, 4 },
	};

	for (size_t i = 0; i < LEN(rows); i++) {
		uint8_t *dst = malloc(rows[i].cap);
		struct buf hex = BUF_INIT;
		size_t got = 99;
		struct err *err = packet_decode_hex((const uint8_t *)rows[i].in, strlen(rows[i].in),
						    dst, rows[i].cap, &got);

		if (!rows[i].out) {
			if (!err)
				fail_msg("row %zu \"%s\" was taken", i, rows[i].in);
			bad(err, ERR_PROTO);
		} else {
			ok(err);
			ok(packet_hex(&hex, dst, got));
			if (strcmp((char *)hex.data, rows[i].out))
				fail_msg("row %zu \"%s\": %s", i, rows[i].in, hex.data);
		}
		free(dst);
		buf_deinit(&hex);
	}
}

static void test_binary(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "", "" },
		{ "abc", "abc" },
		{ "a}\x03"
		  "b",
		  "a#b" },
		{ "}]", "}" },
		{ "a* ", "aaaa" },
		{ "}\n* ", "*\n\n\n" }, /* the run repeats the wire's byte, not the data's */
		{ "}* ]", "]]]" },      /* } and three more: two pairs */
		{ "}", NULL },
		{ "a}", NULL },
		{ "* ", NULL },
		{ "a*", NULL },
		{ "123456789", NULL }, /* cap is 8 */
		{ "a*~", NULL },
	};

	for (size_t i = 0; i < LEN(rows); i++) {
		uint8_t *dst = malloc(8);
		size_t got = 99;
		struct err *err = packet_decode_binary((const uint8_t *)rows[i].in,
						       strlen(rows[i].in), dst, 8, &got);

		if (!rows[i].out) {
			if (!err)
				fail_msg("row %zu \"%s\" was taken", i, rows[i].in);
			bad(err, ERR_PROTO);
		} else {
			ok(err);
			assert_int_equal(got, strlen(rows[i].out));
			assert_memory_equal(dst, rows[i].out, got);
		}
		free(dst);
	}
}

/* As a stub does. */
static void escape(struct buf *out, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t pair[2] = { '}', p[i] ^ 0x20 };
		bool special = strchr("#$}*", p[i]) && p[i];

		ok(buf_add(out, special ? pair : &p[i], special ? 2 : 1));
	}
}

/* What goes in escaped and with runs comes out as it was. */
static void test_round_trip(void **state)
{
	for (int round = 0; round < 2000; round++) {
		uint8_t data[400], back[400];
		size_t len = rnd(sizeof(data)), got;
		struct buf wire = BUF_INIT, runs = BUF_INIT, again = BUF_INIT;

		for (size_t i = 0; i < len; i++)
			data[i] = i && rnd(4) ? data[i - 1] :
				  rnd(3)      ? (uint8_t) "#$}*a\n"[rnd(6)] :
						(uint8_t)rnd(256);
		escape(&wire, data, len);
		ok(packet_decode_binary(wire.data, wire.len, back, len, &got));
		assert_int_equal(got, len);
		assert_memory_equal(back, data, len);
		/* With runs, wherever they may stand. */
		for (size_t i = 0; i < wire.len;) {
			size_t n = 1;

			while (i + n < wire.len && wire.data[i + n] == wire.data[i] && n < 97)
				n++;
			ok(buf_add(&runs, &wire.data[i], 1));
			if (n > 3) {
				uint8_t run[2] = { '*', (uint8_t)(n - 1 + 29) };

				ok(buf_add(&runs, run, 2));
				i += n;
			} else {
				i++;
			}
		}
		ok(packet_decode_binary(runs.data, runs.len, back, len, &got));
		assert_int_equal(got, len);
		assert_memory_equal(back, data, len);
		ok(packet_expand(runs.data, runs.len, &again));
		assert_int_equal(again.len, wire.len);
		if (wire.len)
			assert_memory_equal(again.data, wire.data, wire.len);
		/* Hex is the same without escapes. */
		buf_reset(&wire);
		ok(packet_hex(&wire, data, len));
		ok(packet_decode_hex(wire.data, wire.len, back, len, &got));
		assert_int_equal(got, len);
		assert_memory_equal(back, data, len);
		buf_deinit(&wire);
		buf_deinit(&runs);
		buf_deinit(&again);
	}
}

/* Anything at all: an answer or an error, and not a byte outside. */
static void test_noise(void **state)
{
	static const char likely[] = "$#*}%+-0123456789abcdefxE~ \"!";

	for (int round = 0; round < 20000; round++) {
		size_t len = rnd(60), cap = rnd(40), got;
		uint8_t *in = malloc(len + 1), *dst = malloc(cap + 1);
		struct packet_scan s = { 0 };
		struct buf out = BUF_INIT;
		struct packet p;

		in = realloc(in, len ? len : 1);
		dst = realloc(dst, cap ? cap : 1);
		for (size_t i = 0; i < len; i++)
			in[i] = rnd(5) ? (uint8_t)likely[rnd(sizeof(likely) - 1)] :
					 (uint8_t)rnd(256);
		err_destroy(packet_decode_hex(in, len, dst, cap, &got));
		err_destroy(packet_decode_binary(in, len, dst, cap, &got));
		err_destroy(packet_expand(in, len, &out));
		for (size_t pos = 0; pos < len; pos += p.used) {
			packet_next(&s, in + pos, len - pos, &p);
			if (p.kind == PACKET_NONE)
				break;
			assert_true(p.used > 0 && p.used <= len - pos);
		}
		buf_deinit(&out);
		free(in);
		free(dst);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sum),         cmocka_unit_test(test_frame),
		cmocka_unit_test(test_next),        cmocka_unit_test(test_oversize),
		cmocka_unit_test(test_splits),      cmocka_unit_test(test_expand),
		cmocka_unit_test(test_expand_bomb), cmocka_unit_test(test_hex),
		cmocka_unit_test(test_binary),      cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
