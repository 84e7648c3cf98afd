/*
 * A whole session with a stub that answers sanely, but for what the input says: client, memory,
 * threads, registers, files, a breakpoint, a snapshot, and the guardian's way out.
 *
 * The connection is two buffers in this process (send(), recv(), poll() are wrapped), and time is a
 * counter that waiting moves on: a silence of 30 s takes no time.  Nothing is forked; what the
 * guardian would do is done here, by the same functions (rsp/undo.h).
 *
 *	options, then for each packet of the client's an operation: 0 to 127: so many packets
 *	are answered sanely first; else what becomes of the answer
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "rsp/rsp_int.h"
#include "target/live.h"
#include "target/target.h"
#include "target/until.h"
#include "tests/fuzz/fuzz.h"

enum { NO_ACKS = 1, IN_PARTS = 2, ATTACH = 4, UNTIL = 8, FORK = 16 }; /* options */
enum {
	MEMORY = 0x400000,
	MEMORY_SIZE = 0x4000,
	NOW_STEP = 1000,
	MAX_SENT = 5000,
	MAX_RUN = 300,
	MAX_IDLE = 100
};

static struct fuzz_in script;
static unsigned sane, sent_packets, idle;
static struct buf up, down; /* to the stub, and from it */
static size_t down_at;
static bool hung_up;
static int64_t now;
static unsigned options;

/* ------------------------------------------------------------------ the stub */

static void put(const void *p, size_t n)
{
	fuzz_drop(buf_add(&down, p, n));
}

static void put_frame(const char *payload, size_t len)
{
	struct buf frame = BUF_INIT;

	fuzz_drop(packet_frame(&frame, payload, len));
	put(frame.data, frame.len);
	buf_deinit(&frame);
}

/* What a file of the stub's machine says, by the letters of its path. */
static const char file_text[] = "Name:\tzoo\nState:\tt (tracing stop)\nPid:\t16\nTracerPid:\t0\n"
				"CapEff:\t000001ffffffffff\nNSpid:\t16\nSigQ:\t0/100\n";

static size_t answer_memory(const char *cmd, char *out, size_t size)
{
	unsigned long long addr, len;

	if (sscanf(cmd + 1, "%llx,%llx", &addr, &len) != 2 || addr < MEMORY ||
	    addr - MEMORY > MEMORY_SIZE || len > MEMORY_SIZE - (addr - MEMORY) ||
	    len * 2 + 2 > size)
		return (size_t)snprintf(out, size, "E14");
	if (*cmd == 'x') {
		memset(out, 'b', len + 1);
		return len + 1;
	}
	memset(out, '0' + (int)(addr >> 4 & 7), len * 2);
	return len * 2;
}

static size_t answer_xfer(const char *cmd, char *out, size_t size)
{
	static const char xml[] =
		"l<target><architecture>i386:x86-64</architecture><feature>"
		"<reg name=\"rax\" bitsize=\"64\"/><reg name=\"rsp\" bitsize=\"64\" regnum=\"7\"/>"
		"<reg name=\"rip\" bitsize=\"64\" regnum=\"16\"/></feature></target>";

	if (strstr(cmd, "features") && strstr(cmd, ":0,"))
		return (size_t)snprintf(out, size, "%s", xml);
	if (strstr(cmd, "auxv") && strstr(cmd, ":0,")) {
		memcpy(out, "l\x09\0\0\0\0\0\0\0\x34\x12\0\0\0\0\0\0", 17);
		return 17;
	}
	return (size_t)snprintf(out, size, "l");
}

static size_t answer_file(const char *cmd, char *out, size_t size)
{
	const char *off = strrchr(cmd, ',');

	if (!strncmp(cmd, "vFile:pread:", 12) && off && !strcmp(off, ",0"))
		return (size_t)snprintf(out, size, "F%zx;%s", sizeof(file_text) - 1, file_text);
	return (size_t)snprintf(out, size, strstr(cmd, "open") ? "F5" : "F0");
}

static const struct {
	const char *begin, *reply;
} replies[] = {
	{ "qSupported",
	  "PacketSize=1000;QStartNoAckMode+;QProgramSignals+;multiprocess+;fork-events+;"
	  "qXfer:features:read+;qXfer:auxv:read+;QStartupWithShell+" },
	{ "QStartNoAckMode", "OK" },
	{ "vFile:setfs", "F0" },
	{ "?", "T05thread:p10.10;core:1;" },
	{ "vAttach", "T05thread:p10.10;core:1;" },
	{ "vCont?", "vCont;c;C;s;S" },
	{ "vCont", "T05thread:p10.11;swbreak:;" },
	{ "qfThreadInfo", "mp10.10,p10.11" },
	{ "qsThreadInfo", "l" },
	{ "qqemu.Supported", "sstepbits;sstep;PhyMemMode" },
	{ "!", "OK" },
	{ "H", "OK" },
	{ "D", "OK" },
	{ "QProgramSignals", "OK" },
	{ "Z", "OK" },
	{ "z", "OK" },
	{ "G", "OK" },
	{ "qRcmd", "OK" },
	{ "g", "0*~0*~0*~0*~" },
};

static size_t answer(const char *cmd, char *out, size_t size)
{
	if (*cmd == 'm' || *cmd == 'x')
		return answer_memory(cmd, out, size);
	if (!strncmp(cmd, "qXfer:", 6))
		return answer_xfer(cmd, out, size);
	for (size_t i = 0; i < sizeof(replies) / sizeof(*replies); i++)
		if (!strncmp(cmd, replies[i].begin, strlen(replies[i].begin)))
			return (size_t)snprintf(out, size, "%s", replies[i].reply);
	if (!strncmp(cmd, "vFile:", 6))
		return answer_file(cmd, out, size);
	return 0;
}

/* ------------------------------------------------------------------ what goes wrong */

enum { OWN = 128, BYTE, CUT, DROP, TWICE, BAD_SUM, RAW, CLOSE, EMPTY, ERROR, NOTE, OTHER, OPS };

static void spoil(unsigned op, char *p, size_t n)
{
	struct fuzz_in own;

	switch (op) {
	case OWN:
	case RAW:
	case NOTE:
		own = fuzz_take(&script, fuzz_u8(&script));
		if (op == OWN)
			put_frame((const char *)own.p, own.n);
		else
			put(own.p, own.n);
		if (op != OWN)
			put_frame(p, n);
		return;
	case BYTE:
		for (unsigned i = fuzz_u8(&script) & 3; n && i < 4; i++) {
			size_t at = fuzz_u16(&script) % n;

			p[at] = (char)fuzz_u8(&script);
		}
		break;
	case CUT:
		n = n ? fuzz_u16(&script) % n : 0;
		break;
	case DROP:
		return;
	case TWICE:
		put_frame(p, n);
		break;
	case BAD_SUM:
		put("$x#00", 5);
		return;
	case CLOSE:
		hung_up = true;
		return;
	case EMPTY:
		n = 0;
		break;
	case ERROR:
		n = (size_t)snprintf(p, 8, "E%02x", fuzz_u8(&script));
		break;
	default: { /* the answer to another question */
		static const char *const asked[] = { "?",
						     "g",
						     "qfThreadInfo",
						     "vFile:pread:5,1,0",
						     "m400000,40",
						     "qXfer:auxv:0,",
						     "D" };

		n = answer(asked[fuzz_u8(&script) % 7], p, 8192);
	}
	}
	put_frame(p, n);
}

static void stub_packet(const char *cmd)
{
	static char out[2 * MEMORY_SIZE + 64];
	size_t n = answer(cmd, out, sizeof(out));
	unsigned op;

	/* It may wait for a breakpoint for ever, but not ask for ever. */
	if (++sent_packets > MAX_SENT && !(options & UNTIL))
		abort();
	hung_up |= options & UNTIL && sent_packets > MAX_RUN;
	if (!sane && script.n) {
		op = fuzz_u8(&script);
		if (op >= OWN) {
			spoil(OWN + (op - OWN) % (OPS - OWN), out, n);
			return;
		}
		sane = op + 1;
	}
	if (sane)
		sane--;
	put_frame(out, n);
}

/* Takes what the client has sent. */
static void stub_listen(void)
{
	struct packet_scan scan = { 0 };
	size_t at = 0;

	while (at < up.len) {
		struct packet k;

		packet_next(&scan, up.data + at, up.len - at, &k);
		memset(&scan, 0, sizeof(scan));
		if (k.kind == PACKET_NONE)
			break;
		if (k.kind == PACKET_REPLY) {
			char *cmd = strndup((const char *)k.data, k.len);

			if (!(options & NO_ACKS))
				put("+", 1);
			stub_packet(cmd);
			free(cmd);
		} else if (k.kind == PACKET_JUNK && k.data[0] == PACKET_INTERRUPT) {
			put_frame("T02thread:p10.10;", 17);
		}
		at += k.used;
	}
	memmove(up.data, up.data + at, up.len - at);
	up.len -= at;
}

/* ------------------------------------------------------------------ the wire */

struct err *__wrap_dial(const char *target, int timeout_ms, dial_watch watch, void *arg,
			struct dial *ret);
void __wrap_dial_reap(pid_t child);
bool __wrap_dial_ended(pid_t *child, char *how, size_t size);
struct err *__wrap_guardian_start(struct guardian *g, int fd, const struct guardian_state *initial);
void __wrap_guardian_stop(struct guardian *g);
void __wrap_guardian_take_over(struct guardian *g);
void __wrap_guardian_leave(struct guardian *g, pid_t *child);
ssize_t __wrap_send(int fd, const void *p, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *p, size_t n, int flags);
int __wrap_poll(struct pollfd *p, nfds_t n, int timeout_ms);
int __wrap_nanosleep(const struct timespec *ts, struct timespec *left);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);

struct err *__wrap_dial(const char *target, int timeout_ms, dial_watch watch, void *arg,
			struct dial *ret)
{
	hung_up = false;
	up.len = down.len = down_at = 0;
	*ret = (struct dial){ dup(0), 0 };
	return watch ? watch(arg, ret->fd) : NULL;
}

void __wrap_dial_reap(pid_t child)
{
}

bool __wrap_dial_ended(pid_t *child, char *how, size_t size)
{
	return false;
}

static struct guardian_state state;

struct err *__wrap_guardian_start(struct guardian *g, int fd, const struct guardian_state *initial)
{
	state = *initial;
	*g = (struct guardian){ .pid = 1, .state = &state };
	return NULL;
}

void __wrap_guardian_stop(struct guardian *g)
{
	g->pid = 0;
}

/* As guard() in rsp/guardian.c. */
void __wrap_guardian_take_over(struct guardian *g)
{
	static struct undo u;

	memset(&u, 0, sizeof(u));
	u.fd = 0;
	u.no_ack = state.no_ack;
	u.silence_ms = state.silence_ms;
	u.deadline = now + CONN_LAST_WORDS_ALL_MS * 1000000ll;
	if (state.talking && (undo_needed(&state) || state.end_stub))
		undo_all(&u, &state);
	g->left = state.left;
	g->tracer = state.tracer;
	g->pid = 0;
}

void __wrap_guardian_leave(struct guardian *g, pid_t *child)
{
	__wrap_guardian_take_over(g);
}

ssize_t __wrap_send(int fd, const void *p, size_t n, int flags)
{
	now += NOW_STEP;
	if (hung_up) {
		errno = EPIPE;
		return -1;
	}
	fuzz_drop(buf_add(&up, p, n));
	stub_listen();
	return (ssize_t)n;
}

ssize_t __wrap_recv(int fd, void *p, size_t n, int flags)
{
	now += NOW_STEP;
	if (down_at == down.len) {
		errno = EAGAIN;
		return hung_up ? 0 : -1;
	}
	if (n > down.len - down_at)
		n = down.len - down_at;
	if (n > 1 && options & IN_PARTS)
		n = 1 + n / 2;
	memcpy(p, down.data + down_at, n);
	down_at += n;
	if (down_at == down.len)
		down.len = down_at = 0;
	return (ssize_t)n;
}

int __wrap_poll(struct pollfd *p, nfds_t n, int timeout_ms)
{
	bool ready = down_at < down.len || hung_up;

	now += NOW_STEP;
	p[0].revents = (short)((ready ? POLLIN : 0) | (p[0].events & POLLOUT));
	if (p[0].revents)
		return 1;
	/* It may wait for a process that runs as long as that takes, but for nothing else. */
	if (++idle > MAX_IDLE && !(options & UNTIL))
		abort();
	hung_up |= idle > MAX_IDLE;
	now += (timeout_ms < 0 ? 1000 : timeout_ms) * 1000000ll;
	return 0;
}

int __wrap_nanosleep(const struct timespec *ts, struct timespec *left)
{
	now += ts->tv_sec * 1000000000ll + ts->tv_nsec;
	return 0;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	now += NOW_STEP;
	ts->tv_sec = now / 1000000000;
	ts->tv_nsec = now % 1000000000;
	return 0;
}

/* ------------------------------------------------------------------ the client */

static struct err *look(struct live *l)
{
	struct target *t = live_target(l);
	struct threads threads = { 0 };
	static uint8_t a[1000], b[9000];
	struct mem_range ranges[] = { { MEMORY + 5, sizeof(a), a, 0, false },
				      { MEMORY + 0x100, sizeof(b), b, 0, true } };
	uint64_t entry;
	struct err *err = target_threads(t, &threads);

	vec_deinit(&threads);
	TRY(err);
	fuzz_drop(target_auxv(t, 9, &entry));
	TRY(target_memory(t)->readv(target_memory(t), ranges, 2));
	for (int i = 0; i < 2; i++)
		if (ranges[i].got > ranges[i].len)
			abort();
	return NULL;
}

static struct err *files(struct rsp *rsp)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	unsigned levels;
	bool found;

	TRY(rsp_file_text(rsp, &b, &found, "/proc/%d/status", 16));
	buf_reset(&b);
	fuzz_drop(rsp_file_read_at(rsp, "/proc/16/pagemap", 4096, 3000, &b));
	buf_reset(&b);
	fuzz_drop(rsp_monitor(rsp, "help", &b));
	buf_reset(&b);
	TRY(rsp_still_held(rsp, &b));
	return live_pid_levels(rsp, 16, &levels);
}

static struct err *snapshot(struct rsp *rsp)
{
	static const struct inject_machine m = { .fmt = { 8, false },
						 .nr = 8,
						 .ret = 0,
						 .pc = 24,
						 .sp = 16,
						 .args = { 0, 8, 16, 24, 0, 8 },
						 .restart = 8,
						 .nr_clone = 56,
						 .nr_wait4 = 61,
						 .nr_waitid = 247,
						 .nr_close_range = 436,
						 .nr_sigaction = 13,
						 .nr_exit = 60,
						 .code = { 0x33, 0x33 },
						 .code_len = 2,
						 .call_len = 2,
						 .code_at = MEMORY + 0x30,
						 .text = MEMORY,
						 .text_end = MEMORY + MEMORY_SIZE };
	struct inject_machine machine = m;
	struct err *err;

	machine.own_child = options >> 6 & 1;
	machine.seccomp = options >> 7 & 1 ? INJECT_UNKNOWN : INJECT_NO_FILTER;
	err = rsp_fork(rsp, &machine, 16);
	if (err_catch(&err, ERR_UNSUPPORTED))
		return NULL;
	TRY(err);
	return rsp_end_snapshot(rsp);
}

static struct err *session(struct rsp *rsp)
{
	const struct arch *arch = arch_find(62, (struct bytes_fmt){ 8, false });
	struct live *l;
	struct until u = { 0 };
	struct err *err;

	TRY(live_create(rsp, arch, &l));
	err = look(l);
	if (!err && options & UNTIL)
		err = live_run_until(l, MEMORY + 0x40, 1 + (options >> 6), &u);
	if (!err && options & FORK)
		err = snapshot(rsp);
	if (!err)
		err = rsp_detach(rsp);
	if (!err)
		err = files(rsp);
	if (!err && rsp_features(rsp)->stops_again)
		err = rsp_stop(rsp);
	if (!err)
		err = look(l);
	target_destroy(live_target(l));
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rsp_options o = { .timeout_ms = 1000 };
	struct rsp *rsp = NULL;
	struct err *err;

	script = (struct fuzz_in){ data, size };
	options = fuzz_u8(&script);
	sane = sent_packets = idle = 0;
	now = 1000000000;
	o.pid = options & ATTACH ? 16 : 0;
	o.forks = options & FORK;
	err = rsp_create("stub:1", &o, &rsp);
	if (!err)
		err = rsp_close(rsp, session(rsp));
	fuzz_drop(err);
	return 0;
}
