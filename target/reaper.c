/*
 * An init waits for SIGCHLD with sigwait() or signalfd, for which it blocks it (systemd, tini,
 * dumb-init, catatonit, s6), or in wait() (a shell), or ignores it, so that the kernel reaps.  A
 * handler says nothing: every Go program has one.
 */
#include "target/reaper.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "rsp/rsp.h"

enum { SIGCHLD_BIT = 16 };

static bool has_sigchld(const struct buf *status, const char *field)
{
	const char *s = text_field((const char *)status->data, field);

	return s && (strtoull(s, NULL, 16) >> SIGCHLD_BIT & 1);
}

/* A process in a namespace below the stub's has a /proc of its own, as a rule. */
static struct err *read_init(struct rsp *rsp, uint64_t pid, const char *name, struct buf *text,
			     bool *found)
{
	unsigned levels = 0;
	const char *s;

	TRY(rsp_file_text(rsp, text, found, "/proc/%" PRIu64 "/status", pid));
	s = *found ? text_field((const char *)text->data, "NSpid:") : NULL;
	for (; s && *s >= '0' && *s <= '9'; levels++) {
		s += strspn(s, "0123456789");
		s += strspn(s, " \t");
	}
	if (levels < 2)
		return rsp_file_text(rsp, text, found, "/proc/1/%s", name);
	return rsp_file_text(rsp, text, found, "/proc/%" PRIu64 "/root/proc/1/%s", pid, name);
}

struct err *reaper_reaps(struct rsp *rsp, uint64_t pid, bool *ret)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	bool found;

	*ret = false;
	TRY(read_init(rsp, pid, "status", &text, &found));
	if (!found)
		return NULL;
	*ret = has_sigchld(&text, "SigIgn:") || has_sigchld(&text, "SigBlk:");
	if (*ret)
		return NULL;
	TRY(read_init(rsp, pid, "wchan", &text, &found));
	*ret = found && !strcmp((const char *)text.data, "do_wait");
	return NULL;
}
