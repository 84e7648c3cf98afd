/*
 * Most of what a stub can do is in its reply to qSupported, by name.  The rest depends on what kind
 * of stub it is, which shows in whether it wants acknowledgements and in what it says to QEMU's
 * question.
 */
#include "rsp/features.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
	PACKET_SIZE_MIN = 64,
	PACKET_SIZE_MAX = 1 << 20, /* a larger one brings nothing: gdbserver's largest is 128 KB */
	/* Replies under way at once.  A link of 1 Gbit/s and 20 ms holds 2.5 MB; more would only
	 * make detaching slow, as all of it has to be read first. */
	IN_FLIGHT = 2 << 20,
	PAGE = 4096,
	WORD = 8,
	WINDOW_MIN = 16,
	WINDOW_QEMU = 128, /* it wakes up for what has come, so that few bytes at a time are dear */
	/* 128 requests fit any socket's buffer, so that sending them never blocks */
	WINDOW_MAX = 128,
	QEMU_READ = 2048, /* 0x801 bytes are E22 */
};

#define OFF(field) offsetof(struct features, field)

static const struct {
	const char *name;
	size_t flag;
} rows[] = {
	{ "QStartNoAckMode+", OFF(start_no_ack) },
	{ "QProgramSignals+", OFF(program_signals) },
	{ "binary-upload+", OFF(pub.binary_read) },
	{ "native-signals+", OFF(native_signals) },
	{ "multiprocess+", OFF(pub.multiprocess) },
	{ "fork-events+", OFF(pub.fork_events) },
	{ "vfork-events+", OFF(pub.vfork_events) },
	{ "qXfer:features:read+", OFF(pub.xfer_features) },
	{ "qXfer:auxv:read+", OFF(pub.xfer_auxv) },
	/* No other stub than gdbserver is seen to start programs through a shell. */
	{ "QStartupWithShell+", OFF(monitor_exit) },
};

static void set_sizes(struct features *f)
{
	struct rsp_features *p = &f->pub;
	size_t window;

	/* `m` answers with two digits a byte.  `x` answers with `b` and at worst an escape for each
	 * byte; a stub whose reply gets too long sends less, which is asked for again. */
	p->max_read = p->binary_read ? (p->packet_size - 32) / 2 : (p->packet_size - 1) / 2;
	/* Whole pages are cheaper for the stub to read. */
	p->max_read &= ~(size_t)(p->max_read > PAGE ? PAGE - 1 : WORD - 1);
	window = IN_FLIGHT / p->packet_size;
	p->window = window < WINDOW_MIN ? WINDOW_MIN :
		    window > WINDOW_MAX ? WINDOW_MAX :
					  (unsigned)window;
}

struct err *features_parse(const char *reply, struct features *ret)
{
	struct features f = { .pub.packet_size = FEATURES_PACKET_SIZE,
			      .stop = STOP_ATTACH,
			      .stays_stopped = true };
	const char *p = reply;

	while (*p) {
		size_t len = strcspn(p, ";");

		for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
			if (strlen(rows[i].name) == len && !memcmp(p, rows[i].name, len))
				*((bool *)((char *)&f + rows[i].flag)) = true;
		}
		if (!strncmp(p, FEATURES_REPLY, strlen(FEATURES_REPLY))) {
			char *end;
			unsigned long long v = strtoull(p + strlen(FEATURES_REPLY), &end, 16);

			if (end != p + len || v < PACKET_SIZE_MIN)
				return err_create(ERR_PROTO,
						  "the stub says %.*s, which makes no sense",
						  (int)(len < 60 ? len : 60), p);
			f.pub.packet_size = v > PACKET_SIZE_MAX ? PACKET_SIZE_MAX : (size_t)v;
		}
		p += len;
		if (*p)
			p++;
	}
	f.xml_before_g = !f.start_no_ack;
	set_sizes(&f);
	*ret = f;
	return NULL;
}

/*
 * QEMU 7.2 to 10: PacketSize=1000, one byte of a page that cannot be read fails the whole request,
 * hence aligned requests.  The user mode reads one byte for an ack after each reply, so one request
 * at a time; it serves one session, cannot be interrupted, and lets the program run when a client
 * is lost.  The system mode takes requests back to back.
 */
void features_acked(struct features *f, const char *reply)
{
	/* After a reply gdbserver, too, takes whatever byte comes for its ack. */
	f->pub.window = 1;
	if (!strstr(reply, "sstep"))
		return;
	f->pub.phys_mem = strstr(reply, "PhyMemMode") != NULL;
	f->pub.max_read = QEMU_READ;
	f->pub.read_align = QEMU_READ;
	f->pub.window = f->pub.phys_mem ? WINDOW_QEMU : 1;
	f->pub.burst = f->pub.phys_mem ? WINDOW_QEMU / 2 : 0;
	f->stop = f->pub.phys_mem ? STOP_INTERRUPT : STOP_NONE;
	f->pub.stops_again = f->pub.phys_mem;
	f->pub.others_run = !f->pub.phys_mem;
	f->stays_stopped = f->pub.phys_mem;
	f->xml_before_g = true;
}
