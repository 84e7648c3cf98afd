/*
 * The steps of a fork, from the choice of a thread to a snapshot that has given up what it shared.
 */
#include "rsp/inject_int.h"

#include <string.h>

#include "rsp/signals.h"

enum {
	RED_ZONE = 128,
	SETTLE_SECONDS = 2, /* under a filter */
};

static bool refused(struct inject_port *p, int64_t ret)
{
	p->error = ret;
	return inject_fail(p, "the kernel refuses to fork the process");
}

static bool make_middle(struct inject_port *p)
{
	static const uint64_t make[6] = { L_CLONE_VM | L_CLONE_VFORK | L_CLONE_FILES };
	struct inject *in = p->in;
	char id[INJECT_ID] = "";
	int64_t ret = 0;

	if (!inject_prepare(p, in->thread, in->saved, in->saved_len, in->m.nr_clone, make) ||
	    !inject_finish(p, in->thread, id, &ret))
		return false;
	if (!*id)
		return refused(p, ret);
	memcpy(in->middle, id, INJECT_ID);
	return !in->probe || inject_probe(p);
}

/* The middle ends, then the thread's clone, and the thread takes its status. */
static bool end_middle(struct inject_port *p)
{
	struct inject *in = p->in;
	int64_t ret = 0, reaped;

	if (!(in->probe ? inject_probe_exit(p) : inject_kill(p, inject_id_pid(in->middle))) ||
	    !inject_finish(p, in->thread, NULL, &ret))
		return false;
	in->waiting = ret > 0 ? (uint64_t)ret : 0;
	if (ret <= 0 ||
	    !inject_call(p, in->m.nr_wait4, (const uint64_t[6]){ (uint64_t)ret, 0, L_WALL },
			 NULL) ||
	    !inject_restore(p, &reaped) || reaped != ret)
		return inject_fail(p, "the process could not be rid of the child in the middle");
	in->waiting = 0;
	in->middle[0] = 0;
	return true;
}

/* The thread makes the middle, the middle makes the snapshot. */
static bool fork_twice(struct inject_port *p)
{
	static const uint64_t make_snap[6] = { L_CLONE_FILES | LINUX_SIGCHLD };
	struct inject *in = p->in;
	char id[INJECT_ID] = "";
	int64_t ret = 0;

	/* Its registers are the thread's, all but the result. */
	if (!make_middle(p) ||
	    !inject_prepare(p, in->middle, in->saved, in->saved_len, in->m.nr_clone, make_snap) ||
	    !inject_finish(p, in->middle, id, &ret))
		return false;
	if (!*id)
		return refused(p, ret);
	memcpy(in->snapshot, id, INJECT_ID);
	/* Its clone has told of the snapshot, and is not over. */
	return (!in->probe || inject_finish(p, in->middle, NULL, &ret)) && end_middle(p);
}

/* The thread makes the snapshot. */
static bool fork_once(struct inject_port *p)
{
	static const uint64_t make_snap[6] = { L_CLONE_FILES | LINUX_SIGCHLD };
	struct inject *in = p->in;
	char id[INJECT_ID] = "";
	int64_t ret = 0;

	if (!inject_prepare(p, in->thread, in->saved, in->saved_len, in->m.nr_clone, make_snap) ||
	    !inject_finish(p, in->thread, id, &ret))
		return false;
	if (!*id)
		return refused(p, ret);
	memcpy(in->snapshot, id, INJECT_ID);
	if (!inject_finish(p, in->thread, NULL, &ret))
		return false;
	in->reap = ret > 0 ? (uint64_t)ret : 0;
	return (ret > 0 || refused(p, ret)) && inject_restore(p, NULL);
}

/* The same, under a filter: a middle tries first, clone() among it. */
static bool fork_once_tried(struct inject_port *p)
{
	return make_middle(p) && inject_probe_clone(p) && end_middle(p) && fork_once(p);
}

static bool make_snapshot(struct inject_port *p)
{
	struct inject *in = p->in;
	bool good;

	in->middle[0] = in->snapshot[0] = in->thread[0] = 0;
	in->reap = in->expect = in->waiting = 0;
	p->gone = false;
	in->ate_chld = in->no_wait4 = in->no_waitid = false;
	in->call = INJECT_OVER;
	in->sigsys = 0;
	in->coming = 0;
	in->nsignals = 0;
	if (!inject_take_thread(p))
		return false;
	in->stage = INJECT_CALLING;
	if (!in->init || (in->probe && in->adopts))
		good = fork_twice(p);
	else
		good = in->probe ? fork_once_tried(p) : fork_once(p);
	if (!good)
		return false;
	in->stage = INJECT_SNAPSHOT;
	return inject_deliver(p);
}

bool inject_fork(struct inject_port *p)
{
	return inject_done(p, make_snapshot(p));
}

/*
 * It could run on only if the stub were killed, and would exit; but stepping leaves a trap behind,
 * which must not start the program's handler: that gets the same exit.
 */
static bool settle(struct inject_port *p)
{
	struct inject *in = p->in;
	const struct inject_machine *m = &in->m;
	uint8_t act[32] = { 0 };
	struct inject_out o = { p, 0 };
	uint64_t at;
	int64_t ret;
	uint32_t len;

	inject_write_proc(p, inject_id_pid(in->snapshot), "/oom_score_adj", "1000");
	if (!p->lost && in->probe && !inject_alarm(p, in->snapshot, SETTLE_SECONDS))
		return false;
	if (p->lost || !inject_get_regs(p, in->snapshot, &len))
		return false;
	/* struct sigaction, as the kernel has it, below its stack: its memory is its own. */
	at = (inject_get_word(m, p->regs, m->sp) - RED_ZONE - 64) & ~(uint64_t)15;
	inject_set_word(m, act, 0, m->code_at);
	inject_set_word(m, act, m->fmt.word, L_SA_RESTORER);
	inject_set_word(m, act, (uint16_t)(2 * m->fmt.word), m->code_at);
	inject_add_str(&o, "M");
	inject_add_num(&o, at);
	inject_add_str(&o, ",");
	inject_add_num(&o, sizeof(act));
	inject_add_str(&o, ":");
	inject_add_hex(&o, act, sizeof(act));
	if (!inject_ask(&o))
		return false;
	if (inject_is_ok(p) && (!inject_prepare(p, in->snapshot, p->regs, len, m->nr_sigaction,
						(uint64_t[6]){ LINUX_SIGTRAP, at, 0, 8 }) ||
				!inject_finish(p, in->snapshot, NULL, &ret)))
		return false;
	/* Linux before 5.9 does not know it: then it shares the process's table to the end. */
	if (!inject_prepare(p, in->snapshot, p->regs, len, m->nr_close_range,
			    (uint64_t[6]){ 0, UINT32_MAX, L_CLOSE_RANGE_UNSHARE }) ||
	    !inject_finish(p, in->snapshot, NULL, &ret))
		return false;
	if (in->probe && !inject_alarm(p, in->snapshot, 0))
		return false;
	return inject_ask_id(p, "Hg", in->snapshot) &&
	       (inject_is_ok(p) || inject_fail(p, "the stub does not know the snapshot"));
}

bool inject_settle(struct inject_port *p)
{
	return inject_done(p, settle(p));
}
