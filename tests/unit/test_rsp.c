/*
 * rsp/ and target/live.c against a scripted stub: sane, split, short, slow, lying,
 * silent, and gone at any packet.  Whatever happens, the process must be let go.
 */
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/intr.h"
#include "rsp/conn.h"
#include "rsp/rsp.h"
#include "target/live.h"
#include "tests/unit/check.h"

/* Compiled in here: unit tests are one file and the library. */
#include "tests/stub/stub.c"

#define LEN(a) (sizeof(a) / sizeof(*(a)))

enum { BASE = 0x10000, SIZE = 300000 };

static const char QEMU_USER[] =
	"PacketSize=1000;qXfer:features:read+;qXfer:auxv:read+;vContSupported+;multiprocess+";
static const char GDBSERVER_16[] =
	"PacketSize=2001f;QStartupWithShell+;qXfer:auxv:read+;QStartNoAckMode+;multiprocess+;"
	"binary-upload+";

static struct stub_config sane(void)
{
	return (struct stub_config){ .base = BASE, .size = SIZE, .attached = true };
}

static struct rsp *open_stub(struct stub *s, const struct stub_config *c)
{
	struct rsp_options opts = { .timeout_ms = 5000 };
	struct rsp *rsp = NULL;

	stub_start(s, c);
	ok(rsp_create(s->target, &opts, &rsp));
	return rsp;
}

/* After whatever it was: gone, and the process runs. */
static void closed_well(struct stub *s, struct rsp *rsp)
{
	rsp_destroy(rsp);
	stub_stop(s);
	assert_false(s->held);
}

static void check_bytes(const struct rsp_range *r)
{
	for (uint64_t i = 0; i < r->got; i++) {
		if (r->dst[i] != stub_byte(r->addr + i))
			fail_msg("byte at %lx: %02x", (unsigned long)(r->addr + i), r->dst[i]);
	}
}

static void read_all(struct rsp *rsp)
{
	struct rsp_range r[3] = { { BASE, SIZE / 2 + 7 },
				  { BASE + 5, 1 },
				  { BASE + SIZE / 2, SIZE - SIZE / 2 } };

	for (size_t i = 0; i < LEN(r); i++)
		r[i].dst = malloc(r[i].len);
	ok(rsp_read_memory(rsp, r, LEN(r), NULL, NULL));
	for (size_t i = 0; i < LEN(r); i++) {
		assert_int_equal(r[i].got, r[i].len);
		check_bytes(&r[i]);
		free(r[i].dst);
	}
}

static void test_read(void **state)
{
	struct stub_config configs[8];
	size_t n = 0;

	for (size_t i = 0; i < LEN(configs); i++)
		configs[i] = sane();
	n++;
	configs[n++].runs = true;
	configs[n].split = 1;
	configs[n++].runs = true;
	configs[n++].split = 1000;
	configs[n++].short_reply = 777;
	configs[n++].supported = GDBSERVER_16;
	configs[n].supported = GDBSERVER_16;
	configs[n].runs = true;
	configs[n++].split = 4999;
	configs[n++].fault = STUB_NOTES;
	for (size_t i = 0; i < n; i++) {
		struct stub s;
		struct rsp *rsp = open_stub(&s, &configs[i]);

		assert_int_equal(rsp_pid(rsp), 0x10);
		assert_true(rsp_features(rsp)->no_ack);
		assert_true(s.held);
		read_all(rsp);
		closed_well(&s, rsp);
		assert_int_equal(s.detaches, 1);
		assert_int_equal(s.monitor_exits, 1);
	}
}

/* QEMU's user mode: one '+' a reply, right behind it; aligned requests. */
static void test_qemu_user(void **state)
{
	struct stub_config c = sane();
	struct stub s;
	struct rsp *rsp;

	c.supported = QEMU_USER;
	c.qemu = "sstepbits;sstep";
	c.strict_acks = true;
	c.max_m = c.align_m = 2048;
	rsp = open_stub(&s, &c);
	assert_false(rsp_features(rsp)->no_ack);
	assert_int_equal(rsp_features(rsp)->window, 1);
	assert_int_equal(rsp_features(rsp)->read_align, 2048);
	read_all(rsp);
	ok(rsp_detach(rsp));
	bad(rsp_stop(rsp), ERR_UNSUPPORTED);
	closed_well(&s, rsp);
	assert_int_equal(s.bad_acks, 0);
	assert_int_equal(s.detaches, 1);
	assert_int_equal(s.monitor_exits, 0);
}

/* A whole machine: resumed by `c`, stopped by 0x03, let go by `D` at the end. */
static void test_qemu_system(void **state)
{
	struct stub_config c = sane();
	struct stub s;
	struct rsp *rsp;

	c.supported = QEMU_USER;
	c.qemu = "sstepbits;sstep;PhyMemMode";
	c.greeting = "$T02thread:01;#04";
	c.max_m = c.align_m = 2048;
	rsp = open_stub(&s, &c);
	assert_true(rsp_features(rsp)->phys_mem);
	read_all(rsp);
	ok(rsp_detach(rsp));
	ok(rsp_stop(rsp));
	read_all(rsp);
	closed_well(&s, rsp);
	assert_int_equal(s.interrupts, 1);
	assert_int_equal(s.detaches, 1);
}

static void test_holes(void **state)
{
	static const struct {
		uint64_t addr, len, got;
	} rows[] = {
		{ BASE, SIZE, SIZE },
		{ BASE, SIZE + 1, SIZE },
		{ BASE, SIZE * 3, SIZE },
		{ BASE + 4095, SIZE, SIZE - 4095 },
		{ BASE + SIZE - 1, 2, 1 },
		{ BASE + SIZE, 1, 0 },
		{ BASE - 1, 5, 0 },
		{ BASE - 8192, 100000, 0 },
		{ 0, 100, 0 },
		{ 0xfffffffffffff000ull, 0x10000, 0 },
		{ BASE, 0, 0 },
		{ BASE + 100, 33333, 33333 },
	};
	static const uint64_t odd[] = { SIZE, SIZE + 1, SIZE - 4095, 4096, 8192, 1, 4095 };

	for (size_t mode = 0; mode < 4; mode++) {
		for (size_t k = 0; k < LEN(odd); k++) {
			struct rsp_range r[LEN(rows)];
			struct stub_config c = sane();
			struct rsp *rsp;
			struct stub s;

			c.size = odd[k];
			if (mode == 1)
				c.supported = GDBSERVER_16;
			if (mode == 2)
				c.short_reply = 1000;
			if (mode == 3) {
				c.supported = QEMU_USER;
				c.qemu = "sstep";
				c.strict_acks = true;
				c.max_m = c.align_m = 2048;
			}
			rsp = open_stub(&s, &c);
			for (size_t i = 0; i < LEN(rows); i++)
				r[i] = (struct rsp_range){ rows[i].addr, rows[i].len,
							   malloc(rows[i].len + 1), 12345 };
			ok(rsp_read_memory(rsp, r, LEN(rows), NULL, NULL));
			for (size_t i = 0; i < LEN(rows); i++) {
				uint64_t want =
					rows[i].addr < BASE || rows[i].addr >= BASE + odd[k] ?
						0 :
						BASE + odd[k] - rows[i].addr;

				if (want > rows[i].len)
					want = rows[i].len;
				if (k == 0)
					assert_int_equal(want, rows[i].got);
				if (r[i].got != want)
					fail_msg("mode %zu size %lx row %zu: got %lx, not %lx",
						 mode, (unsigned long)odd[k], i,
						 (unsigned long)r[i].got, (unsigned long)want);
				check_bytes(&r[i]);
				free(r[i].dst);
			}
			closed_well(&s, rsp);
		}
	}
}

static void test_many_ranges(void **state)
{
	enum { N = 20000 };
	struct rsp_range *r = calloc(N, sizeof(*r));
	struct stub_config c = sane();
	struct stub s;
	struct rsp *rsp = open_stub(&s, &c);

	for (size_t i = 0; i < N; i++)
		r[i] = (struct rsp_range){ i % 7 ? BASE + i * 13 : 0x100 + i, 1 + i % 40,
					   malloc(40), 0 };
	ok(rsp_read_memory(rsp, r, N, NULL, NULL));
	for (size_t i = 0; i < N; i++) {
		assert_int_equal(r[i].got, i % 7 ? r[i].len : 0);
		check_bytes(&r[i]);
		free(r[i].dst);
	}
	free(r);
	closed_well(&s, rsp);
}

static struct err *read_some(struct rsp *rsp)
{
	struct rsp_range r = { BASE, 200000, malloc(200000), 0 };
	struct err *err = NULL;

	for (int i = 0; !err && i < 4; i++)
		err = rsp_read_memory(rsp, &r, 1, NULL, NULL);
	free(r.dst);
	return err;
}

/* Each fault at each packet: an error of the right kind or success, never a hang, and the
 * process runs. */
static void test_faults(void **state)
{
	static const struct {
		enum stub_fault fault;
		enum err_code code;
		bool can_detach; /* the stub still listens */
	} rows[] = {
		{ STUB_CLOSE, ERR_CLOSED, false }, { STUB_CUT, ERR_CLOSED, false },
		{ STUB_CORRUPT, ERR_PROTO, true }, { STUB_SILENT, ERR_TIMEOUT, false },
		{ STUB_LONG, ERR_PROTO, false },   { STUB_NOTE_FLOOD, ERR_PROTO, false },
		{ STUB_ACKS, ERR_TIMEOUT, false }, { STUB_TRICKLE, ERR_TIMEOUT, false },
	};

	for (size_t i = 0; i < LEN(rows); i++) {
		for (unsigned at = 0; at < 40; at += at < 8 ? 1 : 8) {
			/* short only where it is waited for: a busy machine is not a silent stub */
			struct rsp_options opts = { .timeout_ms = rows[i].code == ERR_TIMEOUT ?
									  100 :
									  20000,
						    .redial_ms = -1 };
			struct stub_config c = sane();
			struct rsp *rsp = NULL;
			struct err *err;
			struct stub s;

			c.fault = rows[i].fault;
			c.at = at;
			stub_start(&s, &c);
			err = rsp_create(s.target, &opts, &rsp);
			if (!err)
				err = read_some(rsp);
			/* With acknowledgements a bad checksum is asked for again. */
			if (c.fault == STUB_CORRUPT && at < 2) {
				ok(err);
			} else if (!err_is(err, rows[i].code)) {
				fail_msg("fault %d at %u: code %d (%s)", c.fault, at,
					 err ? (int)err->code : 0, err ? err->msg : "fine");
			} else {
				err_destroy(err);
			}
			rsp_destroy(rsp);
			stub_stop(&s);
			if (rows[i].can_detach && s.held)
				fail_msg("fault %d at %u: still held", c.fault, at);
		}
	}
}

/* Nonsense in memory replies: an error, and the process runs. */
static void test_nonsense(void **state)
{
	static const enum stub_fault faults[] = { STUB_LYING, STUB_NOT_HEX, STUB_BAD_RUN };

	for (size_t i = 0; i < LEN(faults); i++) {
		struct stub_config c = sane();
		struct stub s;
		struct rsp *rsp;
		struct err *err;

		c.fault = faults[i];
		c.at = 12;
		rsp = open_stub(&s, &c);
		err = read_some(rsp);
		assert_non_null(err);
		assert_non_null(strstr(err->msg, "0x1"));
		bad(err, ERR_PROTO);
		closed_well(&s, rsp);
		assert_int_equal(s.detaches, 1);
		assert_int_equal(s.monitor_exits, 1);
	}
}

/* A packet cut off by the next one was never there: one reply short, until time is up; and then
 * the place in the stream is found again. */
static void test_resync(void **state)
{
	struct rsp_options opts = { .timeout_ms = 20000 };
	struct stub_config c = sane();
	struct rsp *rsp = NULL;
	struct stub s;

	c.fault = STUB_CUT_RESUME;
	c.at = 12;
	stub_start(&s, &c);
	ok(rsp_create(s.target, &opts, &rsp));
	ok(read_some(rsp)); /* this stub sends the whole reply behind the half one */
	closed_well(&s, rsp);
}

static void test_exited(void **state)
{
	struct stub_config c = sane();
	struct stub s;
	struct rsp *rsp;

	c.fault = STUB_EXITED;
	c.at = 15;
	rsp = open_stub(&s, &c);
	bad(read_some(rsp), ERR_EXITED);
	rsp_destroy(rsp);
	stub_stop(&s);
	c = sane();
	c.status = "X09;process:10";
	stub_start(&s, &c);
	bad(rsp_create(s.target, NULL, &rsp), ERR_EXITED);
	stub_stop(&s);
}

static void test_not_a_stub(void **state)
{
	static const char *const greetings[] = { "SSH-2.0-OpenSSH_9.2p1\r\n",
						 "HTTP/1.1 400 Bad Request\r\n\r\n" };

	for (size_t i = 0; i < LEN(greetings); i++) {
		struct stub_config c = sane();
		struct rsp *rsp = NULL;
		struct err *err;
		struct stub s;

		c.greeting = greetings[i];
		c.fault = STUB_SILENT;
		c.at = 0;
		stub_start(&s, &c);
		err = rsp_create(s.target, &(struct rsp_options){ .timeout_ms = 5000 }, &rsp);
		assert_non_null(err);
		assert_non_null(strstr(err->msg, "is not a GDB stub"));
		assert_non_null(strstr(err->msg, i ? "HTTP" : "SSH"));
		bad(err, ERR_PROTO);
		stub_stop(&s);
	}
}

static void test_reject(void **state)
{
	struct stub_config c = sane();
	struct rsp *rsp = NULL;
	struct stub s;

	c.fault = STUB_ERROR;
	stub_start(&s, &c);
	bad(rsp_create(s.target, NULL, &rsp), ERR_REMOTE);
	stub_stop(&s);
}

/* ------------------------------------------------------------------ attaching */

static struct err *before_attach(void *arg, struct rsp *rsp)
{
	struct stub *s = arg;

	assert_false(s->held);
	assert_true(rsp_features(rsp)->vfile);
	s->c.at = 1;
	return NULL;
}

static void test_multi(void **state)
{
	struct stub_config c = sane();
	struct rsp_options opts = { .pid = 0x10, .before_attach = before_attach };
	struct rsp *rsp = NULL;
	struct err *err;
	struct stub s;

	c.attached = false;
	opts.arg = &s;
	stub_start(&s, &c);
	ok(rsp_create(s.target, &opts, &rsp));
	assert_int_equal(s.c.at, 1);
	read_all(rsp);
	ok(rsp_detach(rsp));
	ok(rsp_detach(rsp));
	assert_true(rsp_stopped_ns(rsp) > 0);
	ok(rsp_stop(rsp));
	read_all(rsp);
	assert_true(rsp_stopped_total_ns(rsp) > rsp_stopped_ns(rsp));
	closed_well(&s, rsp);
	assert_int_equal(s.attaches, 2);
	assert_int_equal(s.detaches, 2);
	assert_int_equal(s.monitor_exits, 0); /* it is not ours to end */

	stub_start(&s, &c);
	opts = (struct rsp_options){ .pid = 0x11 };
	bad(rsp_create(s.target, &opts, &rsp), ERR_REMOTE);
	stub_stop(&s);

	stub_start(&s, &c);
	err = rsp_create(s.target, NULL, &rsp);
	assert_non_null(err);
	assert_non_null(strstr(err->msg, "give -p PID"));
	bad(err, ERR_EXITED);
	stub_stop(&s);
	assert_int_equal(s.monitor_exits, 0);
}

/* ------------------------------------------------------------------ threads, registers */

static const char core_xml[] =
	"<?xml version=\"1.0\"?>\n<!DOCTYPE feature SYSTEM \"gdb-target.dtd\">\n"
	"<feature name=\"org.gnu.gdb.i386.core\">\n"
	"  <flags id=\"f\" size=\"4\"><field name=\"CF\" start=\"0\" end=\"0\"/></flags>\n"
	"  <reg name=\"rax\" bitsize=\"64\" type=\"int64\"/>\n"
	"  <reg name=\"eflags\" bitsize=\"32\" type=\"f\" regnum=\"9\"/>\n"
	"  <reg name=\"wide\" bitsize=\"512\" type=\"v\"/>\n</feature>\n";
static const char top_xml[] =
	"<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target>\n"
	"<architecture>i386:x86-64</architecture>\n"
	"<xi:include href=\"core.xml\"/>\n<feature name=\"x\">"
	"<reg name=\"rip\" bitsize=\"64\" regnum=\"4\"/><reg name=\"rsp\" bitsize=\"64\"/>"
	"</feature></target>\n";

static void test_registers(void **state)
{
	/* by regnum: rax 0, rip 4, rsp 5, eflags 9, wide 10 (not in this `g`) */
	static const char g[] = "0102030405060708"
				"1100000000000000"
				"xxxxxxxxxxxxxxxx"
				"46020000";
	struct stub_config c = sane();
	const struct rsp_reg *regs;
	struct rsp_threads list = VEC_INIT;
	struct threads threads = VEC_INIT;
	const struct arch *a = arch_find(EM_X86_64, (struct bytes_fmt){ 8, false });
	struct live *live;
	struct target *t;
	const char *name;
	struct stub s;
	struct rsp *rsp;
	uint64_t entry;
	size_t n;

	c.xml[0][0] = "target.xml";
	c.xml[0][1] = top_xml;
	c.xml[1][0] = "core.xml";
	c.xml[1][1] = core_xml;
	c.g = g;
	c.runs = true;
	c.threads = "p10.33,p10.dead,p10.2,p99.5";
	rsp = open_stub(&s, &c);
	ok(rsp_registers(rsp, &regs, &n, &name));
	assert_string_equal(name, "i386:x86-64");
	assert_int_equal(n, 5);
	assert_string_equal(regs[1].name, "rip");
	assert_int_equal(regs[1].offset, 8);
	assert_string_equal(regs[3].name, "eflags");
	assert_int_equal(regs[3].offset, 24);
	assert_int_equal(regs[4].offset, 28);
	assert_int_equal(regs[4].size, 64);
	ok(rsp_threads(rsp, &list));
	assert_int_equal(list.n, 4);
	assert_int_equal(list.v[0].tid, 0x33);
	assert_string_equal(list.v[3].id, "p99.5");
	vec_deinit(&list);

	assert_non_null(a);
	assert_null(arch_find(EM_X86_64, (struct bytes_fmt){ 4, false }));
	assert_null(arch_find(EM_386, (struct bytes_fmt){ 8, false }));
	ok(live_create(rsp, a, &live));
	t = live_target(live);
	ok(target_threads(t, &threads));
	assert_int_equal(threads.n, 3); /* p99 is another process */
	assert_int_equal(threads.v[0].tid, 2);
	assert_int_equal(threads.v[1].tid, 0x33);
	assert_int_equal(threads.v[2].tid, 0xdead);
	assert_int_equal(threads.v[0].regs[0], 0x0807060504030201ull);
	assert_true(threads.v[0].have[a->pc]);
	assert_int_equal(threads.v[0].regs[a->pc], 0x11);
	assert_false(threads.v[0].have[a->sp]); /* xx */
	assert_false(threads.v[0].valid);
	assert_int_equal(threads.v[0].regs[17], 0x246);
	assert_false(threads.v[2].have[0]); /* its Hg failed */
	vec_deinit(&threads);
	ok(target_auxv(t, AT_ENTRY, &entry));
	assert_int_equal(entry, 0x1234);
	bad(target_auxv(t, AT_PHDR, &entry), ERR_NODEBUG);
	{
		struct mem_range m[2] = { { BASE, 5000, malloc(5000), 0 },
					  { 1, 10, malloc(10), 5 } };
		struct mem_source *src = target_memory(t);

		ok(src->readv(src, m, 2));
		assert_int_equal(m[0].got, 5000);
		assert_int_equal(m[1].got, 0);
		free(m[0].dst);
		free(m[1].dst);
	}
	target_destroy(t);
	closed_well(&s, rsp);
}

/* Without target.xml: the table's own layout. */
static void test_default_layout(void **state)
{
	const struct arch *a = arch_find(EM_X86_64, (struct bytes_fmt){ 8, false });
	struct threads threads = VEC_INIT;
	struct stub_config c = sane();
	char g[560 * 2 + 1];
	struct live *live;
	struct target *t;
	struct stub s;
	struct rsp *rsp;

	for (unsigned i = 0; i < 560; i++)
		sprintf(g + 2 * i, "%02x", i & 255);
	c.g = g;
	rsp = open_stub(&s, &c);
	ok(live_create(rsp, a, &live));
	t = live_target(live);
	ok(target_threads(t, &threads));
	assert_int_equal(threads.n, 1);
	assert_true(threads.v[0].valid);
	assert_int_equal(threads.v[0].regs[a->pc] & 0xff, 128);
	assert_int_equal(threads.v[0].regs[a->sp] & 0xff, 56);
	/* orig_rax: at 536, where gdb's amd64 layout has it */
	assert_int_equal(threads.v[0].regs[27] & 0xff, 536 & 255);
	assert_string_equal(a->reg_names[27], "orig_rax");
	vec_deinit(&threads);
	target_destroy(t);
	closed_well(&s, rsp);
}

/* ------------------------------------------------------------------ files, monitor */

static void test_files(void **state)
{
	size_t len = 300000;
	uint8_t *file = malloc(len);

	for (size_t i = 0; i < len; i++)
		file[i] = i % 1000 < 256 ? (uint8_t)i : stub_byte(i);
	memset(file + 2000, ';', 10);
	for (int mode = 0; mode < 3; mode++) {
		struct stub_config c = sane();
		struct buf b = BUF_INIT;
		struct stub s;
		struct rsp *rsp;

		c.file = file;
		c.file_len = len;
		c.runs = mode == 1;
		c.short_reply = mode == 2 ? 3000 : 0;
		rsp = open_stub(&s, &c);
		assert_true(rsp_features(rsp)->vfile);
		ok(rsp_file_read(rsp, "/some/file", 1 << 20, &b));
		assert_int_equal(b.len, len);
		assert_memory_equal(b.data, file, len);
		buf_reset(&b);
		ok(rsp_file_read_at(rsp, "/some/file", 1000, 50000, &b));
		assert_int_equal(b.len, 50000);
		assert_memory_equal(b.data, file + 1000, 50000);
		buf_reset(&b);
		/* "F1111;;;;;...": runs in the number, and from its end into the data (gdbserver
		 * 16) */
		ok(rsp_file_read_at(rsp, "/some/file", 2000, 0x1111, &b));
		assert_int_equal(b.len, 0x1111);
		assert_memory_equal(b.data, file + 2000, 0x1111);
		buf_reset(&b);
		ok(rsp_file_read_at(rsp, "/some/file", len - 10, 50000, &b));
		assert_int_equal(b.len, 10);
		buf_reset(&b);
		ok(rsp_file_read_at(rsp, "/some/file", len + 10, 50000, &b));
		assert_int_equal(b.len, 0);
		ok(rsp_file_read(rsp, "/some/file", len, &b));
		assert_int_equal(b.len, len);
		buf_reset(&b);
		bad(rsp_file_read(rsp, "/some/file", len - 1, &b), ERR_LIMIT);
		assert_int_equal(b.len, 0);
		ok(rsp_monitor(rsp, "hi", &b));
		assert_string_equal((char *)b.data, "hello\n");
		bad(rsp_monitor(rsp, "what", &b), ERR_UNSUPPORTED);
		bad(rsp_xfer(rsp, "nothing", "", &b), ERR_REMOTE);
		read_all(rsp);
		buf_deinit(&b);
		closed_well(&s, rsp);
		assert_int_equal(s.files_open, 0);
	}
	{
		struct stub_config c = sane();
		struct buf b = BUF_INIT;
		struct stub s;
		struct rsp *rsp = open_stub(&s, &c);
		struct err *err = rsp_file_read(rsp, "/none", 100, &b);

		assert_non_null(err);
		assert_non_null(strstr(err->msg, "No such file"));
		bad(err, ERR_REMOTE);
		closed_well(&s, rsp);
	}
	free(file);
}

/* ------------------------------------------------------------------ ways to die */

static void read_for_ever(const char *target, bool catch)
{
	struct rsp_options opts = { .timeout_ms = 5000 };
	struct rsp *rsp = NULL;
	struct err *err = NULL;

	if (catch)
		err = intr_install();
	if (!err)
		err = rsp_create(target, &opts, &rsp);
	while (!err)
		err = read_some(rsp);
	catch = catch && err_is(err, ERR_INTR);
	err_destroy(err);
	rsp_destroy(rsp);
	_exit(catch ? 7 : 8);
}

/* What goes on for ever while the process is stopped: it reads, and every reply comes in time; or it
 * computes, and looks at nothing. */
static void stop_too_long(const char *target, bool computes)
{
	struct rsp_options opts = { .timeout_ms = 5000 };
	struct rsp *rsp = NULL;
	struct err *err = intr_install();
	int status = 8;

	if (!err)
		err = rsp_create(target, &opts, &rsp);
	if (err)
		_exit(9);
	rsp_set_stop_limit(rsp, 20000000, "stopped for too long");
	/* Who looks has all the time to let go; who does not is ended at once. */
	intr_set_limit(20000000, computes ? 20000000 : 20000000000, "stopped for too long");
	while (!err)
		err = computes ? NULL : read_some(rsp);
	if (err_is(err, ERR_INTR) && !intr_signal() && !strcmp(err->msg, "stopped for too long"))
		status = 7;
	err_destroy(err);
	rsp_destroy(rsp);
	_exit(status);
}

static void test_stop_limit(void **state)
{
	struct stub_config c = sane();

	for (int computes = 0; computes < 2; computes++) {
		struct stub s;
		int status;
		pid_t pid;

		stub_start(&s, &c);
		pid = fork();
		if (pid == 0)
			stop_too_long(s.target, computes);
		waitpid(pid, &status, 0);
		stub_stop(&s);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), computes ? 1 : 7);
		assert_false(s.held);
		assert_int_equal(s.detaches, 1);
	}
}

/* Text that comes, and does not end: each piece is in time. */
static void test_endless_text(void **state)
{
	struct rsp_options opts = { .timeout_ms = 100 };
	struct stub_config c = sane();
	struct buf b = BUF_INIT;
	struct rsp *rsp = NULL;
	struct stub s;

	stub_start(&s, &c);
	ok(rsp_create(s.target, &opts, &rsp));
	bad(rsp_monitor(rsp, "empty", &b), ERR_TIMEOUT);
	buf_deinit(&b);
	closed_well(&s, rsp);
}

static void die_by(int sig, const struct stub_config *c)
{
	struct stub s;
	int status;
	pid_t pid;

	for (int i = 0; i < 10; i++) {
		stub_start(&s, c);
		pid = fork();
		if (pid == 0) {
			signal(SIGINT, SIG_DFL); /* background jobs are started with it ignored */
			read_for_ever(s.target, sig != SIGKILL);
		}
		/* At any packet from the first on: by then there is a guardian. */
		while (*(volatile unsigned *)&s.replies < 1 + (unsigned)i * 3)
			usleep(100);
		kill(pid, sig);
		waitpid(pid, &status, 0);
		stub_stop(&s);
		assert_false(s.held);
		if (s.detaches < 1)
			fail_msg("signal %d, round %d: no detach; last packet %s", sig, i, s.last);
		if (sig == SIGINT)
			assert_int_equal(WEXITSTATUS(status), 7);
	}
}

static void test_killed(void **state)
{
	struct stub_config c = sane();

	die_by(SIGKILL, &c);
	c.supported = GDBSERVER_16;
	die_by(SIGKILL, &c);
	c.supported = NULL;
	c.status = "T05core:1;thread:p10.2;";
	die_by(SIGKILL, &c);
}

static void test_interrupted(void **state)
{
	struct stub_config c = sane();

	die_by(SIGINT, &c);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *target;
		enum err_code code;
	} rows[] = {
		{ "", ERR_USAGE },
		{ "foo", ERR_USAGE },
		{ "foo:", ERR_USAGE },
		{ "[::1:80", ERR_USAGE },
		{ "[::1]x:80", ERR_USAGE },
		{ "::1:80", ERR_USAGE },
		{ "localhost:notaport", ERR_USAGE },
		{ "unix:", ERR_USAGE },
		{ "unix:/there/is/no/such/socket", ERR_OS },
		{ "|", ERR_USAGE },
		{ "|  ", ERR_USAGE },
		{ "| exit 3", ERR_CLOSED },
		{ "localhost:1", ERR_OS },
	};
	struct rsp *rsp = NULL;

	for (size_t i = 0; i < LEN(rows); i++) {
		struct err *err = rsp_create(rows[i].target, NULL, &rsp);

		if (!err || err->code != rows[i].code)
			fail_msg("%s: %d %s", rows[i].target, err ? (int)err->code : 0,
				 err ? err->msg : "");
		assert_null(strchr(err->msg, '\n'));
		err_destroy(err);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stop_limit),  cmocka_unit_test(test_endless_text),
		cmocka_unit_test(test_read),        cmocka_unit_test(test_qemu_user),
		cmocka_unit_test(test_qemu_system), cmocka_unit_test(test_holes),
		cmocka_unit_test(test_many_ranges), cmocka_unit_test(test_faults),
		cmocka_unit_test(test_nonsense),    cmocka_unit_test(test_resync),
		cmocka_unit_test(test_exited),      cmocka_unit_test(test_not_a_stub),
		cmocka_unit_test(test_reject),      cmocka_unit_test(test_multi),
		cmocka_unit_test(test_registers),   cmocka_unit_test(test_default_layout),
		cmocka_unit_test(test_files),       cmocka_unit_test(test_killed),
		cmocka_unit_test(test_interrupted), cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
