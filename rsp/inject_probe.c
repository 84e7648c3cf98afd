/*
 * A seccomp filter may refuse a call, or kill, trap or hold whoever makes it.  The middle shares
 * the process's filter and its memory, but what happens to it happens to nobody else.  It has no
 * children, so that both waits are to say ECHILD; whatever else they say is the filter's.
 *
 * A filter may also give a call to a supervisor, and the caller waits for that: an alarm of the
 * middle's own ends the wait (timers are not inherited, and not shared).
 */
#include "rsp/inject_int.h"
#include "rsp/signals.h"

enum {
	PROBE_SECONDS = 1,
	PROBE_CLONE_SECONDS = 5, /* copying the page tables of 200 GB */
	PROBE_STATUS = 111,
};

static bool probe_call(struct inject_port *p, const char *id, uint32_t nr, const uint64_t args[6],
		       int64_t *ret)
{
	const struct inject *in = p->in;

	return inject_prepare(p, id, in->saved, in->saved_len, nr, args) &&
	       inject_finish(p, id, NULL, ret);
}

/* The alarm itself may be refused: then there is none. */
bool inject_alarm(struct inject_port *p, const char *id, unsigned seconds)
{
	int64_t ret;

	return !p->in->m.nr_alarm ||
	       probe_call(p, id, p->in->m.nr_alarm, (const uint64_t[6]){ seconds }, &ret);
}

/* *refused: the thread must not make it.  false: the middle cannot make another one. */
static bool probe_wait(struct inject_port *p, uint32_t nr, const uint64_t args[6], bool *refused)
{
	int64_t ret;

	*refused = true; /* whatever happens now */
	if (!probe_call(p, p->in->middle, nr, args, &ret))
		return false;
	*refused = ret != -L_ECHILD;
	if (!*refused)
		return true;
	inject_fail(p,
		    ret == -L_ERESTARTSYS ?
			    "a seccomp filter gives a system call to somebody who does not answer" :
			    "a seccomp filter refuses a system call that is needed");
	return inject_alarm(p, p->in->middle, PROBE_SECONDS); /* it may have rung */
}

static bool probe_goes_on(const struct inject_port *p)
{
	return !p->lost && !p->exited && !p->gone;
}

bool inject_probe(struct inject_port *p)
{
	static const uint64_t wait4[6] = { (uint64_t)-1, 0, L_WNOHANG | L_WALL };
	static const uint64_t waitid[6] = {
		0, 0, 0, L_WEXITED | L_WSTOPPED | L_WCONTINUED | L_WNOHANG | L_WNOWAIT, 1,
	};
	struct inject *in = p->in;
	bool alive;

	/* Until they were tried. */
	in->no_wait4 = in->no_waitid = in->m.seccomp == INJECT_UNKNOWN;
	alive = inject_alarm(p, in->middle, PROBE_SECONDS);
	/* One of them must do to be rid of the middle, so that both are tried. */
	if (probe_goes_on(p))
		alive = probe_wait(p, in->m.nr_wait4, wait4, &in->no_wait4) && alive;
	if (probe_goes_on(p))
		alive = probe_wait(p, in->m.nr_waitid, waitid, &in->no_waitid) && alive;
	return alive && !in->no_wait4 && !in->no_waitid &&
	       inject_alarm(p, in->middle, PROBE_CLONE_SECONDS);
}

bool inject_probe_clone(struct inject_port *p)
{
	/* It shares memory, so that it costs nothing, and sends no signal; but of a filter that
	 * nobody knows only the very same call tells. */
	static const uint64_t cheap[6] = { L_CLONE_VM | L_CLONE_VFORK | L_CLONE_FILES };
	static const uint64_t same[6] = { L_CLONE_FILES | LINUX_SIGCHLD };
	struct inject *in = p->in;
	char id[INJECT_ID] = "";
	int64_t pid = 0, ret;

	if (!inject_prepare(p, in->middle, in->saved, in->saved_len, in->m.nr_clone,
			    in->m.seccomp == INJECT_UNKNOWN ? same : cheap) ||
	    !inject_finish(p, in->middle, id, &pid))
		return false;
	if (!*id) {
		p->error = pid;
		return inject_fail(p, "the kernel refuses to fork the process");
	}
	return inject_kill(p, inject_id_pid(id)) && inject_finish(p, in->middle, NULL, &pid) &&
	       probe_call(p, in->middle, in->m.nr_wait4,
			  (const uint64_t[6]){ (uint64_t)pid, 0, L_WALL }, &ret) &&
	       (ret == pid ||
		inject_fail(p, "a seccomp filter refuses a system call that is needed"));
}

bool inject_probe_exit(struct inject_port *p)
{
	struct inject *in = p->in;
	struct inject_stop st;

	if (!inject_prepare(p, in->middle, in->saved, in->saved_len, in->m.nr_exit,
			    (const uint64_t[6]){ PROBE_STATUS }) ||
	    !inject_step(p, in->middle, 0, &st))
		return false;
	if (!st.gone)
		return inject_fail(p, "a seccomp filter refuses exit()");
	/* It stays noted until the thread's clone is over: that was made, then. */
	return p->reply[0] == 'W' || inject_fail(p, "a seccomp filter kills for exit()");
}
