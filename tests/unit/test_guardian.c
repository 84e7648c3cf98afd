/*
 * rsp/guardian.c: what the guardian says when the main process is gone, from each state that it can
 * have been left in.  The stub at the socket's other end is a script of what it must hear and what
 * it answers.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "rsp/features.h"
#include "rsp/guardian.h"
#include "tests/unit/check.h"

/* A packet's payload ("+", "\x03" and "#00": these bytes), and the payload of the answer to it. */
struct line {
	const char *hear, *say;
};

struct script {
	int fd;
	const struct line *lines; /* up to one without hear */
	size_t at;
	char odd[256]; /* what came instead */
};

static bool read_byte(int fd, char *c)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 10000) > 0 && read(fd, c, 1) == 1;
}

/* The next packet's payload, or the bytes outside of one; false: the connection has ended. */
static bool hear(int fd, char *out, size_t cap)
{
	size_t n = 0;
	char c;

	if (!read_byte(fd, &c))
		return false;
	out[n++] = c;
	while ((out[0] == '#' || out[0] == '$') && n + 1 < cap && read_byte(fd, &c)) {
		out[n++] = c;
		if (n >= 3 && out[n - 3] == '#')
			break;
	}
	out[n] = 0;
	if (out[0] == '$') { /* without the frame */
		out[n - 3] = 0;
		memmove(out, out + 1, n - 3);
	}
	return true;
}

static void say(int fd, const char *payload)
{
	char out[256];
	uint8_t sum = 0;
	int n;

	for (const char *s = payload; *s; s++)
		sum = (uint8_t)(sum + (uint8_t)*s);
	n = snprintf(out, sizeof(out), "$%s#%02x", payload, sum);
	if (write(fd, out, (size_t)n) != n)
		return; /* it is gone: the script shows */
}

static void *run_script(void *arg)
{
	struct script *s = arg;
	char got[256];

	while (hear(s->fd, got, sizeof(got))) {
		const struct line *l = &s->lines[s->at];

		if (!l->hear || strcmp(l->hear, got)) {
			snprintf(s->odd, sizeof(s->odd), "%s", got);
			break;
		}
		s->at++;
		if (l->say)
			say(s->fd, l->say);
	}
	close(s->fd);
	return NULL;
}

/* The main process dies in this state; before, the stub has sent these bytes. */
static void die(const struct guardian_state *state, const char *sent, const struct line *lines)
{
	struct script s = { .lines = lines };
	struct guardian g;
	pthread_t thread;
	size_t n = 0;
	int fds[2];

	while (lines[n].hear)
		n++;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ok(guardian_start(&g, fds[0], state));
	close(fds[0]);
	s.fd = fds[1];
	assert_int_equal(write(s.fd, sent, strlen(sent)), strlen(sent));
	assert_int_equal(pthread_create(&thread, NULL, run_script, &s), 0);
	guardian_take_over(&g);
	pthread_join(thread, NULL);
	if (s.at != n || s.odd[0])
		fail_msg("line %zu of %zu (%s): heard \"%s\"", s.at, n,
			 s.at < n ? lines[s.at].hear : "the end", s.odd);
}

#define FEATURES                                                \
	{                                                       \
		FEATURES_QUERY, "PacketSize=1000;multiprocess+" \
	}

static struct guardian_state held(void)
{
	return (struct guardian_state){ .held = 1,
					.talking = 1,
					.no_ack = 1,
					.multiprocess = 1,
					.silence_ms = 2000,
					.pid = 0x1f };
}

static void lets_go(void **state)
{
	static const struct line all[] = { FEATURES, { "D;1f", "OK" }, { 0 } };
	static const struct line refused[] = { FEATURES, { "D;1f", "E01" }, { 0 } };
	static const struct line one[] = { FEATURES, { "D", "OK" }, { 0 } };
	struct guardian_state s = held();

	die(&s, "", all);
	die(&s, "", refused);
	s.multiprocess = 0;
	die(&s, "", one);
}

/* What was under way when it died is passed over, also half a packet. */
static void finds_its_place(void **state)
{
	static const struct line all[] = { FEATURES, { "D;1f", "OK" }, { 0 } };
	static const struct line half[] = { { "#00", NULL }, FEATURES, { "D;1f", "OK" }, { 0 } };
	struct guardian_state s = held();

	die(&s, "$6162636465#00", all);
	die(&s, "62636465#00$OK#9a$E01#a6", all);
	die(&s, "$OK#9a%Stop:T05#00", all);
	s.sending = 1;
	die(&s, "", half);
}

static void acknowledges(void **state)
{
	static const struct line all[] = { { "+", NULL },    FEATURES,      { "+", NULL },
					   { "D;1f", "OK" }, { "+", NULL }, { 0 } };
	struct guardian_state s = held();

	s.no_ack = 0;
	die(&s, "", all);
}

/* The process was not known yet: the stop reply tells, its digits perhaps as a run. */
static void asks_whom(void **state)
{
	static const struct line all[] = {
		FEATURES, { "?", "T05thread:p1f.1f;core:1;" }, { "D;1f", "OK" }, { 0 }
	};
	static const struct line run[] = { FEATURES,
					   { "?", "T05thread:p1* .1;" }, /* three more: 1111 */
					   { "D;1111", "OK" },
					   { 0 } };
	static const struct line none[] = { FEATURES, { "?", "W00" }, { "D", "OK" }, { 0 } };
	static const struct line ours[] = { FEATURES,
					    { "?", "T05thread:p1f.1f;" },
					    { "D;1f", "OK" },
					    { "qRcmd,65786974", "OK" },
					    { 0 } };
	struct guardian_state s = held();

	s.pid = 0;
	die(&s, "", all);
	die(&s, "", run);
	die(&s, "", none);
	s.end_if_held = 1;
	die(&s, "", ours);
}

/* It runs, with a breakpoint that would kill it: stopped first, the breakpoint taken away. */
static void takes_breakpoints_away(void **state)
{
	static const struct line all[] = { { "\x03", "T02thread:p1f.1f;" },
					   FEATURES,
					   { "z0,1234,1", "OK" },
					   { "D;1f", "OK" },
					   { 0 } };
	static const struct line gone[] = { { "\x03", "W00" }, { 0 } };
	static const struct line waits[] = {
		FEATURES, { "z0,1234,1", "E01" }, { "D;1f", "OK" }, { 0 }
	};
	struct guardian_state s = held();

	s.held = 0;
	s.running = 1;
	s.interrupts = 1;
	strcpy(s.clear, "z0,1234,1");
	die(&s, "", all);
	die(&s, "", gone);
	/* no way to stop it: the next stop is waited for */
	s.interrupts = 0;
	die(&s, "$O61#e0$T05thread:p1f.1f;#00", waits);
	s.running = 0;
	s.held = 1;
	die(&s, "", waits);
}

static void ends_the_stub(void **state)
{
	static const struct line all[] = {
		FEATURES, { "D;1f", "OK" }, { "qRcmd,65786974", "OK" }, { 0 }
	};
	static const struct line empty[] = { FEATURES, { "qRcmd,65786974", "OK" }, { 0 } };
	struct guardian_state s = held();

	s.end_stub = 1;
	die(&s, "", all);
	s.held = 0;
	die(&s, "", empty);
}

/* A machine's stub outlives its clients, and so does what they set. */
static void sets_physical_back(void **state)
{
	static const struct line all[] = {
		FEATURES, { FEATURES_PHYSICAL "0", "OK" }, { "D;1f", "OK" }, { 0 }
	};
	struct guardian_state s = held();

	s.physical = 1;
	die(&s, "", all);
}

/*
 * A snapshot is killed before the process is let go, and reaped first if it is a child of that
 * (/proc/32/status tells; here there is none).  Where it is gone already, that is fine.
 */
static void ends_snapshots(void **state)
{
/* no such file: neither does what was sent along with the question find it open */
#define STATUS                                                        \
	{ "vFile:open:2f70726f632f33322f737461747573,0,0", "F-1,2" }, \
	{                                                             \
		"vFile:pread:0,1000,0", "F-1,9"                       \
	}
	static const struct line all[] = {
		FEATURES, STATUS, { "vKill;20", "OK" }, { "D;1f", "OK" }, { 0 }
	};
	static const struct line gone[] = {
		FEATURES, STATUS, { "vKill;20", "E01" }, { "D;1f", "OK" }, { 0 }
	};
	struct guardian_state s = held();

	s.inject.stage = INJECT_SNAPSHOT;
	s.inject.m.fmt = (struct bytes_fmt){ 8, false };
	s.inject.pid = 0x1f;
	strcpy(s.inject.thread, "p1f.1f");
	strcpy(s.inject.snapshot, "p20.20");
	die(&s, "", all);
	die(&s, "", gone);
}

/* Nothing to undo, or nobody to talk to: not a word. */
static void silent(void **state)
{
	static const struct line none[] = { { 0 } };
	struct guardian_state s = held();

	s.held = 0;
	die(&s, "", none);
	s = held();
	s.talking = 0;
	die(&s, "", none);
}

/* All is well: it ends without a word. */
static void goodbye(void **state)
{
	struct guardian_state s = held();
	struct guardian g;
	int fds[2];
	char c;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ok(guardian_start(&g, fds[0], &s));
	close(fds[0]);
	guardian_stop(&g);
	assert_int_equal(g.pid, 0);
	assert_int_equal(read(fds[1], &c, 1), 0);
	close(fds[1]);
	guardian_stop(&g); /* one that was never started is fine */
}

/* A stub that says nothing, or not what it must: given up in time. */
static void gives_up(void **state)
{
	static const struct line deaf[] = { { FEATURES_QUERY, NULL }, { 0 } };
	static const struct line odd[] = { { FEATURES_QUERY, "OK" }, { 0 } };
	static const struct line half[] = { FEATURES, { "D;1f", NULL }, { 0 } };
	struct guardian_state s = held();
	int64_t start = clock_now_ns();

	s.silence_ms = 100;
	die(&s, "", deaf);
	die(&s, "", odd);
	die(&s, "", half);
	assert_in_range(clock_now_ns() - start, 0, 5000000000ll);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lets_go),
		cmocka_unit_test(finds_its_place),
		cmocka_unit_test(acknowledges),
		cmocka_unit_test(asks_whom),
		cmocka_unit_test(takes_breakpoints_away),
		cmocka_unit_test(ends_the_stub),
		cmocka_unit_test(sets_physical_back),
		cmocka_unit_test(ends_snapshots),
		cmocka_unit_test(silent),
		cmocka_unit_test(goodbye),
		cmocka_unit_test(gives_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
