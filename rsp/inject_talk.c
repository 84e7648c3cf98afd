/*
 * Talking to the stub without allocating: a packet is put together in p->cmd, its reply is in
 * p->reply, and a file's text in p->text.
 */
#include "rsp/inject_int.h"

#include <string.h>

#include "base/text.h"
#include "rsp/packet.h"

/* ------------------------------------------------------------------ packets */

void inject_add(struct inject_out *o, const void *data, size_t len)
{
	if (len > sizeof(o->p->cmd) - o->len)
		len = 0; /* none is as long: INJECT_REGS bounds them */
	memcpy(o->p->cmd + o->len, data, len);
	o->len += len;
}

void inject_add_str(struct inject_out *o, const char *s)
{
	inject_add(o, s, strlen(s));
}

void inject_add_num(struct inject_out *o, uint64_t v)
{
	char digits[16];
	int i = 16;

	do
		digits[--i] = "0123456789abcdef"[v & 15];
	while (v >>= 4);
	inject_add(o, digits + i, (size_t)(16 - i));
}

void inject_add_hex(struct inject_out *o, const void *data, size_t len)
{
	const uint8_t *b = data;

	for (size_t i = 0; i < len; i++) {
		char two[2] = { "0123456789abcdef"[b[i] >> 4], "0123456789abcdef"[b[i] & 15] };

		inject_add(o, two, 2);
	}
}

void inject_add_binary(struct inject_out *o, const void *data, size_t len)
{
	const uint8_t *b = data;

	for (size_t i = 0; i < len; i++) {
		uint8_t esc[2] = { '}', b[i] ^ 0x20 };
		bool special = b[i] == '#' || b[i] == '$' || b[i] == '}' || b[i] == '*';

		inject_add(o, special ? esc : &b[i], special ? 2 : 1);
	}
}

size_t inject_unescape(const struct inject_port *p, size_t from, void *dst, size_t cap)
{
	uint8_t *out = dst;
	size_t n = 0;

	for (size_t i = from; i < p->reply_len && n < cap; i++) {
		bool esc = p->reply[i] == '}' && i + 1 < p->reply_len;

		i += esc;
		out[n++] = (uint8_t)(esc ? p->reply[i] ^ 0x20 : p->reply[i]);
	}
	return n;
}

bool inject_fail(struct inject_port *p, const char *why)
{
	if (!p->why)
		p->why = why;
	return false;
}

static bool lost(struct inject_port *p)
{
	p->lost = true;
	return inject_fail(p, "the stub does not answer");
}

bool inject_send(struct inject_out *o)
{
	struct inject_port *p = o->p;

	return (!p->lost && p->send(p, p->cmd, o->len)) || lost(p);
}

bool inject_post(struct inject_out *o)
{
	if (!inject_send(o))
		return false;
	o->p->posted++;
	return true;
}

/* The replies to what was posted. */
static bool hear_posted(struct inject_port *p)
{
	bool good = true;

	for (; p->posted; p->posted--) {
		if (p->lost || !p->next(p))
			return lost(p);
		good = good && (inject_is_ok(p) || p->reply[0] == 'F');
	}
	return good || inject_fail(p, "the stub does not do what it is told");
}

bool inject_hear(struct inject_port *p)
{
	bool good = hear_posted(p);

	if (p->lost || !p->next(p))
		return lost(p);
	return good;
}

bool inject_done(struct inject_port *p, bool good)
{
	return hear_posted(p) && good;
}

bool inject_ask(struct inject_out *o)
{
	return inject_send(o) && inject_hear(o->p);
}

bool inject_post_id(struct inject_port *p, const char *cmd, const char *id)
{
	struct inject_out o = { p, 0 };

	inject_add_str(&o, cmd);
	inject_add_str(&o, id);
	return inject_post(&o);
}

bool inject_ask_str(struct inject_port *p, const char *cmd)
{
	struct inject_out o = { p, 0 };

	inject_add_str(&o, cmd);
	return inject_ask(&o);
}

bool inject_ask_id(struct inject_port *p, const char *cmd, const char *id)
{
	struct inject_out o = { p, 0 };

	inject_add_str(&o, cmd);
	inject_add_str(&o, id);
	return inject_ask(&o);
}

bool inject_ask_num(struct inject_port *p, const char *cmd, uint64_t v)
{
	struct inject_out o = { p, 0 };

	inject_add_str(&o, cmd);
	inject_add_num(&o, v);
	return inject_ask(&o);
}

bool inject_is_ok(const struct inject_port *p)
{
	return !strcmp(p->reply, "OK");
}

/* pPID.TID up to a `,`, `;` or the end; *ret gets PID, id (INJECT_ID bytes) a copy. */
bool inject_take_id(const char **s, uint64_t *ret, char *id)
{
	const char *p = *s, *start = *s;
	uint64_t tid;

	if (*p++ != 'p' || !packet_number(&p, ret) || *p++ != '.' || !packet_number(&p, &tid) ||
	    !*ret || !tid || (size_t)(p - start) >= INJECT_ID)
		return false;
	memcpy(id, start, (size_t)(p - start));
	id[p - start] = 0;
	*s = p;
	return true;
}

uint64_t inject_id_pid(const char *id)
{
	uint64_t pid = 0;
	char copy[INJECT_ID];

	return inject_take_id(&id, &pid, copy) ? pid : 0;
}

/* ------------------------------------------------------------------ registers */

uint64_t inject_get_word(const struct inject_machine *m, const uint8_t *regs, uint16_t off)
{
	return bytes_word(m->fmt, regs + off);
}

void inject_set_word(const struct inject_machine *m, uint8_t *regs, uint16_t off, uint64_t v)
{
	bytes_put(m->fmt, regs + off, v, m->fmt.word);
}

bool inject_result_is_argument(const struct inject_machine *m)
{
	return m->ret == m->args[0];
}

bool inject_unfinished(const struct inject_machine *m, int64_t result)
{
	return inject_result_is_argument(m) ? result >= INJECT_CLONE_DETACHED :
					      result == -INJECT_ENOSYS;
}

bool inject_send_get(struct inject_port *p)
{
	struct inject_out o = { p, 0 };

	inject_add_str(&o, "g");
	return inject_send(&o);
}

bool inject_hear_regs(struct inject_port *p, uint32_t *len)
{
	if (!inject_hear(p))
		return false;
	if (p->reply_len < 2 || p->reply_len % 2 || p->reply_len / 2 > INJECT_REGS)
		return inject_fail(p, "the stub does not say all registers of a thread");
	*len = (uint32_t)(p->reply_len / 2);
	for (size_t i = 0; i < *len; i++) {
		int byte = packet_hexbyte(p->reply + 2 * i);

		/* What it cannot say it could not be given back. */
		if (byte < 0)
			return inject_fail(p, "the stub does not say all registers of a thread");
		p->regs[i] = (uint8_t)byte;
	}
	return true;
}

bool inject_get_regs(struct inject_port *p, const char *id, uint32_t *len)
{
	return inject_post_id(p, "Hg", id) && inject_send_get(p) && inject_hear_regs(p, len);
}

static void add_set(struct inject_out *o, const uint8_t *regs, uint32_t len)
{
	inject_add_str(o, "G");
	inject_add_hex(o, regs, len);
}

bool inject_send_set(struct inject_port *p, const uint8_t *regs, uint32_t len)
{
	struct inject_out o = { p, 0 };

	add_set(&o, regs, len);
	return inject_send(&o);
}

bool inject_set_regs(struct inject_port *p, const char *id, const uint8_t *regs, uint32_t len)
{
	struct inject_out o = { p, 0 };

	if (!inject_post_id(p, "Hg", id))
		return false;
	add_set(&o, regs, len);
	return inject_post(&o);
}

/* ------------------------------------------------------------------ files */

enum { PROC_PATH = 80 };

static bool send_open(struct inject_port *p, const char *path, const char *flags)
{
	struct inject_out o = { p, 0 };

	inject_add_str(&o, "vFile:open:");
	inject_add_hex(&o, path, strlen(path));
	inject_add_str(&o, flags);
	return inject_send(&o);
}

static bool hear_open(struct inject_port *p, uint64_t *fd)
{
	const char *s = p->reply + 1;

	return inject_hear(p) && p->reply[0] == 'F' && packet_number(&s, fd);
}

static bool send_pread(struct inject_port *p, uint64_t fd)
{
	struct inject_out o = { p, 0 };

	inject_add_str(&o, "vFile:pread:");
	inject_add_num(&o, fd);
	inject_add_str(&o, ",");
	inject_add_num(&o, INJECT_TEXT);
	inject_add_str(&o, ",0");
	return inject_send(&o);
}

/* Into p->text. */
static bool hear_pread(struct inject_port *p)
{
	const char *s = p->reply + 1;
	uint64_t n;

	if (!inject_hear(p) || p->reply[0] != 'F' || !packet_number(&s, &n) || *s != ';')
		return false;
	p->text[inject_unescape(p, (size_t)(s + 1 - p->reply), p->text, sizeof(p->text) - 1)] = 0;
	return true;
}

static void post_close(struct inject_port *p, uint64_t fd)
{
	struct inject_out o = { p, 0 };

	inject_add_str(&o, "vFile:close:");
	inject_add_num(&o, fd);
	inject_post(&o);
}

/* A small file's beginning, from a number that is only guessed; reading another one does no
 * harm. */
static bool send_file(struct inject_port *p, const char *path)
{
	return send_open(p, path, ",0,0") && send_pread(p, p->in->next_fd);
}

/* Nothing else may be under way behind it. */
static bool hear_file(struct inject_port *p)
{
	uint64_t fd;
	bool open = hear_open(p, &fd), ok = !p->lost && hear_pread(p);

	if (!open || p->lost)
		return false;
	if (fd != p->in->next_fd)
		ok = send_pread(p, fd) && hear_pread(p);
	p->in->next_fd = fd;
	post_close(p, fd);
	return ok && !p->lost;
}

static uint64_t take_decimal(const char **s)
{
	uint64_t v = 0;

	for (; **s >= '0' && **s <= '9'; ++*s)
		v = v * 10 + (uint64_t)(**s - '0');
	return v;
}

static uint64_t field_hex(const char *text, const char *name)
{
	const char *s = text_field(text, name);
	uint64_t v = 0;

	if (s)
		packet_number(&s, &v);
	return v;
}

static uint64_t field_decimal(const char *text, const char *name)
{
	const char *s = text_field(text, name);

	return s ? take_decimal(&s) : 0;
}

/* /proc/PID/task/TID/name; tid 0: /proc/PID/name. */
static void proc_path(char path[PROC_PATH], uint64_t pid, uint64_t tid, const char *name)
{
	strcpy(path, "/proc/");
	for (int k = 0; k < (tid ? 2 : 1); k++) {
		uint64_t v = k ? tid : pid;
		char digits[20];
		int i = 20;

		if (k)
			strcat(path, "/task/");
		do
			digits[--i] = (char)('0' + v % 10);
		while (v /= 10);
		strncat(path, digits + i, (size_t)(20 - i));
	}
	strcat(path, name);
}

bool inject_send_status(struct inject_port *p, uint64_t pid, uint64_t tid)
{
	char path[PROC_PATH];

	proc_path(path, pid, tid, "/status");
	return send_file(p, path);
}

void inject_write_proc(struct inject_port *p, uint64_t pid, const char *name, const char *text)
{
	char path[PROC_PATH];
	struct inject_out o = { p, 0 };
	uint64_t fd;

	proc_path(path, pid, 0, name);
	if (!send_open(p, path, ",1,0") || !hear_open(p, &fd)) /* for writing */
		return;
	inject_add_str(&o, "vFile:pwrite:");
	inject_add_num(&o, fd);
	inject_add_str(&o, ",0,");
	inject_add_binary(&o, text, strlen(text));
	if (inject_ask(&o))
		post_close(p, fd);
}

bool inject_hear_status(struct inject_port *p, struct inject_status *st)
{
	const char *s;

	memset(st, 0, sizeof(*st));
	if (!hear_file(p))
		return false;
	s = text_field(p->text, "State:");
	st->state = s ? *s : 0;
	st->parent = field_decimal(p->text, "PPid:");
	st->tracer = field_decimal(p->text, "TracerPid:");
	st->seccomp = field_decimal(p->text, "Seccomp:");
	st->filters = field_decimal(p->text, "Seccomp_filters:");
	for (s = text_field(p->text, "NStgid:"); s && *s >= '0' && *s <= '9';) {
		uint64_t v = take_decimal(&s);

		if (v && st->levels < INJECT_LEVELS)
			st->pids[st->levels++] = v;
		s += strspn(s, " \t");
	}
	st->sig_blocked = field_hex(p->text, "SigBlk:");
	st->sig_ignored = field_hex(p->text, "SigIgn:");
	st->sig_caught = field_hex(p->text, "SigCgt:");
	return true;
}

bool inject_read_status(struct inject_port *p, uint64_t pid, uint64_t tid, struct inject_status *st)
{
	return inject_send_status(p, pid, tid) && inject_hear_status(p, st);
}
