/* The wire of the tests' own stub, and the answers that all of its faults share. */
#include "tests/stub/stub.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char like_gdbserver[] =
	"PacketSize=47ff;QPassSignals+;QStartupWithShell+;qXfer:auxv:read+;qXfer:features:read+;"
	"QStartNoAckMode+;multiprocess+;fork-events+;vContSupported+";

uint8_t stub_byte(uint64_t addr)
{
	uint64_t x = addr * 0x9e3779b97f4a7c15ull;

	return addr >> 12 & 1 ? (uint8_t)(x >> 56) : 0;
}

/* ------------------------------------------------------------------ wire */

static int get(struct stub *s)
{
	uint8_t c;

	return recv(s->fd, &c, 1, 0) == 1 ? c : -1;
}

static bool put(struct stub *s, const void *data, size_t len)
{
	const char *p = data;
	size_t step = s->c.split ? s->c.split : len;

	while (len) {
		size_t n = len < step ? len : step;
		ssize_t w = send(s->fd, p, n, MSG_NOSIGNAL);

		if (w <= 0)
			return false;
		p += w;
		len -= (size_t)w;
	}
	return true;
}

/* The next packet, without its frame; -1: the client is gone; -2: a bare 0x03. */
static int get_packet(struct stub *s, char *out, size_t size)
{
	for (;;) {
		unsigned sum = 0, want;
		size_t n = 0;
		char cs[3] = "";
		int c;

		do {
			c = get(s);
			if (c == 3)
				return -2;
		} while (c >= 0 && c != '$');
		if (c < 0)
			return -1;
		while ((c = get(s)) != '#') {
			if (c < 0)
				return -1;
			sum += (unsigned)c;
			if (n + 1 < size)
				out[n++] = (char)c;
		}
		out[n] = 0;
		for (int i = 0; i < 2; i++) {
			c = get(s);
			if (c < 0)
				return -1;
			cs[i] = (char)c;
		}
		want = (unsigned)strtoul(cs, NULL, 16);
		if (s->no_ack)
			return (int)n;
		if (!put(s, want == (sum & 255) ? "+" : "-", 1))
			return -1;
		if (want == (sum & 255))
			return (int)n;
	}
}

/* Runs as gdbserver makes them: at least four of a kind, and no count that is '#' or '$'. */
static size_t add_runs(const char *p, size_t len, char *out)
{
	size_t o = 0;

	for (size_t i = 0; i < len;) {
		size_t n = 1;

		while (i + n < len && p[i + n] == p[i] && n < 98)
			n++;
		out[o++] = p[i];
		if (n > 3) {
			while (n - 1 + 29 == '#' || n - 1 + 29 == '$')
				n--;
			out[o++] = '*';
			out[o++] = (char)(n - 1 + 29);
			i += n;
		} else {
			i++;
		}
	}
	return o;
}

static bool send_frame(struct stub *s, const char *payload, size_t len, bool corrupt)
{
	char *frame = malloc(len + 8);
	unsigned sum = 0;
	bool ok;

	for (size_t i = 0; i < len; i++)
		sum += (uint8_t)payload[i];
	frame[0] = '$';
	memcpy(frame + 1, payload, len);
	sprintf(frame + 1 + len, "#%02x", (sum + corrupt) & 255);
	ok = put(s, frame, len + 4);
	free(frame);
	return ok;
}

static bool reply(struct stub *s, const char *payload, size_t len)
{
	char *coded = malloc(len * 2 + 8);
	bool faulty = s->replies++ == s->c.at, ok = true, sent = false;

	if (s->c.runs) {
		len = add_runs(payload, len, coded);
		payload = coded;
	}
	switch (faulty ? s->c.fault : STUB_SANE) {
	case STUB_CORRUPT:
		ok = send_frame(s, payload, len, true);
		sent = s->no_ack;
		if (!s->no_ack)
			ok = get(s) == '-'; /* and once more, right */
		break;
	case STUB_CUT:
		put(s, "$", 1);
		put(s, payload, len / 2);
		ok = false;
		break;
	case STUB_CUT_RESUME:
		put(s, "$", 1);
		put(s, payload, len / 2);
		break;
	case STUB_LONG: {
		static const char lots[65536] = { [0 ... 65535] = 'a' };

		put(s, "$", 1);
		while (put(s, lots, sizeof(lots)))
			;
		ok = false;
		break;
	}
	case STUB_NOTE_FLOOD:
		while (put(s, "%Stop:T05#99", 12))
			;
		ok = false;
		break;
	case STUB_ACKS:
		while (put(s, "++++++++", 8))
			;
		ok = false;
		break;
	case STUB_TRICKLE:
		put(s, "$", 1);
		while (put(s, "a", 1))
			usleep(20000);
		ok = false;
		break;
	case STUB_NOT_HEX:
		ok = send_frame(s, "zzzz", 4, false);
		sent = true;
		break;
	case STUB_BAD_RUN:
		ok = send_frame(s, "*~0", 3, false);
		sent = true;
		break;
	default:
		break;
	}
	if (ok && s->c.fault == STUB_NOTES)
		ok = put(s, "%Stop:T05#99", 12);
	while (ok && !sent) {
		ok = send_frame(s, payload, len, false);
		if (!s->no_ack && s->c.strict_acks && ok) {
			int c = get(s);

			if (c < 0)
				ok = false;
			if (c != '+' && c >= 0) {
				s->bad_acks++;
				continue; /* QEMU repeats the reply */
			}
		}
		break;
	}
	free(coded);
	return ok;
}

static bool say(struct stub *s, const char *text)
{
	return reply(s, text, strlen(text));
}

/* ------------------------------------------------------------------ commands */

static bool readable(const struct stub *s, uint64_t addr, uint64_t len)
{
	return addr >= s->c.base && addr - s->c.base <= s->c.size &&
	       len <= s->c.size - (addr - s->c.base);
}

static size_t escape(uint8_t c, char *out)
{
	if (c == '#' || c == '$' || c == '}' || c == '*') {
		out[0] = '}';
		out[1] = (char)(c ^ 0x20);
		return 2;
	}
	out[0] = (char)c;
	return 1;
}

static bool read_memory(struct stub *s, const char *cmd)
{
	unsigned long long addr, len;
	bool lying = s->c.fault == STUB_LYING && s->replies == s->c.at, ok;
	char *out;
	size_t o = 0;

	if (sscanf(cmd + 1, "%llx,%llx", &addr, &len) != 2)
		return say(s, "E00");
	s->reads++;
	if (!s->held || (s->c.fault == STUB_EXITED && s->replies >= s->c.at))
		return say(s, "E01");
	if ((s->c.max_m && len > s->c.max_m) || len > 0x20000)
		return say(s, "E22");
	if (s->c.align_m && len && addr / s->c.align_m != (addr + len - 1) / s->c.align_m)
		return say(s, "E14");
	/* All or nothing, as gdbserver has it; short replies are by choice. */
	if (!readable(s, addr, len))
		return say(s, "E14");
	if (s->c.short_reply && len > s->c.short_reply)
		len = s->c.short_reply;
	if (lying)
		len *= 2;
	out = malloc(len * 2 + 2);
	if (*cmd == 'x')
		out[o++] = 'b';
	for (uint64_t i = 0; i < len; i++) {
		uint8_t b = stub_byte(addr + i);

		if (*cmd == 'x')
			o += escape(b, out + o);
		else
			o += (size_t)sprintf(out + o, "%02x", b);
	}
	ok = reply(s, out, o);
	free(out);
	return ok;
}

/* len bytes from off, escaped, behind `head`. */
static bool say_data(struct stub *s, const char *head, const uint8_t *data, size_t len)
{
	char *out = malloc(strlen(head) + len * 2 + 1);
	size_t o = strlen(head);
	bool ok;

	memcpy(out, head, o);
	for (size_t i = 0; i < len; i++)
		o += escape(data[i], out + o);
	ok = reply(s, out, o);
	free(out);
	return ok;
}

static bool xfer(struct stub *s, const char *cmd)
{
	static const uint8_t auxv[32] = { 9, 0, 0, 0, 0, 0, 0, 0, 0x34, 0x12 };
	char object[40], annex[80] = "";
	unsigned long off, len;
	const uint8_t *data = NULL;
	size_t size = 0;

	if (sscanf(cmd, "qXfer:%39[^:]:read:%79[^:]:%lx,%lx", object, annex, &off, &len) != 4 &&
	    sscanf(cmd, "qXfer:%39[^:]:read::%lx,%lx", object, &off, &len) != 3)
		return say(s, "E00");
	if (!strcmp(object, "auxv")) {
		data = auxv;
		size = sizeof(auxv);
	}
	for (int i = 0; i < 8 && s->c.xml[i][0] && !strcmp(object, "features"); i++) {
		if (!strcmp(annex, s->c.xml[i][0])) {
			data = (const uint8_t *)s->c.xml[i][1];
			size = strlen(s->c.xml[i][1]);
		}
	}
	if (!data)
		return say(s, "E00");
	if (off > size)
		off = size;
	if (len > 300)
		len = 300; /* in pieces */
	if (len > size - off)
		len = size - off;
	return say_data(s, off + len == size ? "l" : "m", data + off, len);
}

static bool vfile(struct stub *s, const char *cmd)
{
	unsigned long fd, len, off;
	char head[40];

	if (!strncmp(cmd, "vFile:setfs:", 12))
		return say(s, "F0");
	if (!strncmp(cmd, "vFile:open:", 11)) {
		if (!s->c.file)
			return say(s, "F-1,2");
		s->files_open++;
		return say(s, "F5");
	}
	if (!strncmp(cmd, "vFile:close:", 12)) {
		s->files_open--;
		return say(s, "F0");
	}
	if (sscanf(cmd, "vFile:pread:%lx,%lx,%lx", &fd, &len, &off) != 3 || fd != 5)
		return say(s, "F-1,9");
	if (off > s->c.file_len)
		off = s->c.file_len;
	if (len > s->c.file_len - off)
		len = s->c.file_len - off;
	if (s->c.short_reply && len > s->c.short_reply)
		len = s->c.short_reply;
	sprintf(head, "F%lx;", len);
	return say_data(s, head, s->c.file + off, len);
}

static bool threads(struct stub *s, const char *cmd)
{
	const char *p = s->c.threads ? s->c.threads : "p10.2";
	static __thread unsigned next;
	char one[64];

	if (cmd[1] == 'f')
		next = 0;
	for (unsigned i = 0; i < next && p; i++) {
		p = strchr(p, ',');
		p = p ? p + 1 : NULL;
	}
	if (!p)
		return say(s, "l");
	next++;
	snprintf(one, sizeof(one), "m%.*s", (int)strcspn(p, ","), p);
	return say(s, one);
}

static bool answer(struct stub *s, const char *cmd)
{
	const char *stop = s->c.status ? s->c.status : "T05thread:p10.2;core:1;";

	if (s->c.fault == STUB_SILENT && s->replies >= s->c.at)
		return true;
	if (s->c.fault == STUB_CLOSE && s->replies >= s->c.at)
		return false;
	if (s->c.fault == STUB_ERROR && s->replies >= s->c.at)
		return say(s, "E01");
	if (!strncmp(cmd, "qSupported", 10))
		return say(s, s->c.supported ? s->c.supported : like_gdbserver);
	if (!strcmp(cmd, "QStartNoAckMode")) {
		bool ok = say(s, "OK");

		s->no_ack = true;
		return ok;
	}
	if (!strcmp(cmd, "qqemu.Supported"))
		return say(s, s->c.qemu ? s->c.qemu : "");
	if (!strcmp(cmd, "!") || !strncmp(cmd, "Hg", 2))
		return say(s, strstr(cmd, "p10.dead") ? "E01" : "OK");
	if (!strcmp(cmd, "?"))
		return say(s, s->held ? stop : "W00");
	if (!strncmp(cmd, "vAttach;", 8)) {
		s->attaches++;
		if (strcmp(cmd + 8, "10"))
			return say(s, "E01");
		s->held = true;
		return say(s, stop);
	}
	if (*cmd == 'D') {
		s->detaches++;
		if (strcmp(cmd, "D;10"))
			return say(s, "E22");
		s->held = false;
		return say(s, "OK");
	}
	if (!strcmp(cmd, "c")) {
		s->held = false;
		return true; /* answered when it stops */
	}
	if (!strcmp(cmd, "g"))
		return say(s, s->c.g ? s->c.g : "");
	if (*cmd == 'm' || *cmd == 'x')
		return read_memory(s, cmd);
	if (!strncmp(cmd, "qXfer:", 6))
		return xfer(s, cmd);
	if (!strncmp(cmd, "vFile:", 6))
		return vfile(s, cmd);
	if (!strcmp(cmd, "qfThreadInfo") || !strcmp(cmd, "qsThreadInfo"))
		return threads(s, cmd);
	if (!strcmp(cmd, "qRcmd,65786974")) {
		s->monitor_exits++;
		say(s, "OK");
		return false;
	}
	if (!strcmp(cmd, "qRcmd,6869")) /* hi */
		return say(s, "O68656c6c6f") && say(s, "O0a") && say(s, "OK");
	if (!strcmp(cmd, "qRcmd,656d707479")) { /* empty */
		for (unsigned n = 0; n < 500 && say(s, "O"); n++)
			usleep(1000);
		return say(s, "OK");
	}
	return say(s, "");
}

static void *serve(void *arg)
{
	struct stub *s = arg;
	static __thread char cmd[1 << 16];
	int one = 1;

	s->fd = accept(s->listener, NULL, NULL);
	if (s->fd < 0)
		return NULL;
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* as stubs do */
	if (s->c.greeting)
		put(s, s->c.greeting, strlen(s->c.greeting));
	for (;;) {
		int n = get_packet(s, cmd, sizeof(cmd));

		if (n == -1)
			break;
		if (n == -2) {
			s->interrupts++;
			s->held = true;
			if (!say(s, "T02thread:p10.2;"))
				break;
			continue;
		}
		snprintf(s->last, sizeof(s->last), "%.60s", cmd);
		if (!answer(s, cmd))
			break;
	}
	s->gone = true;
	close(s->fd);
	return NULL;
}

void stub_start(struct stub *s, const struct stub_config *c)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);

	memset(s, 0, sizeof(*s));
	s->c = *c;
	s->held = c->attached;
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(s->listener, (struct sockaddr *)&sin, sizeof(sin)) || listen(s->listener, 1) ||
	    getsockname(s->listener, (struct sockaddr *)&sin, &len) ||
	    pthread_create(&s->thread, NULL, serve, s)) {
		perror("stub");
		abort();
	}
	snprintf(s->target, sizeof(s->target), "127.0.0.1:%u", ntohs(sin.sin_port));
}

void stub_stop(struct stub *s)
{
	pthread_join(s->thread, NULL);
	close(s->listener);
}
