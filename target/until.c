/*
 * A breakpoint is passed by taking it away, stepping over it and setting it again: with it in place
 * QEMU stops at once without progress, and other stubs differ.  Whatever else stops the program is
 * a signal of its own, which it gets.
 */
#include "target/until.h"

#include <inttypes.h>

#include "base/cleanup.h"
#include "rsp/rsp.h"

/* A run under way. */
struct running {
	struct live *live;
	struct rsp *rsp;
	const struct arch *arch;
	uint64_t addr;
	struct rsp_thread thread; /* that stopped last */
	unsigned signal;          /* it is to get */
	struct until *u;
};

/* Where the thread is. */
static struct err *read_pc(struct running *r, uint64_t *pc)
{
	const struct arch *a = r->arch;
	_cleanup_buf_ struct buf raw = BUF_INIT;
	uint32_t offset;
	bool found;

	TRY(live_reg_place(r->live, a->reg_names[a->pc], &offset, &found));
	TRY(rsp_read_registers(r->rsp, &r->thread, 1, &raw, NULL));
	if (!found || offset > raw.len || raw.len - offset < a->fmt.word)
		return err_create(ERR_UNSUPPORTED,
				  "the stub does not say where the program stopped");
	*pc = bytes_word(a->fmt, raw.data + offset);
	return NULL;
}

/* Runs until a thread is at addr. */
static struct err *run_to(struct running *r)
{
	bool writes;
	uint64_t pc;

	TRY(rsp_break_set(r->rsp, r->addr, r->arch->break_kind, &writes));
	r->u->writes |= writes;
	for (;; r->u->signals++) {
		TRY(rsp_resume(r->rsp, false, &r->thread, &r->signal));
		if (r->signal != RSP_SIGTRAP)
			continue;
		TRY(read_pc(r, &pc));
		if (pc == r->addr)
			break;
	}
	r->signal = 0;
	return rsp_break_clear(r->rsp);
}

static struct err *step_over(struct running *r)
{
	uint64_t pc;

	TRY(read_pc(r, &pc));
	while (pc == r->addr) {
		TRY(rsp_resume(r->rsp, true, &r->thread, &r->signal));
		if (r->signal == RSP_SIGTRAP)
			r->signal = 0;
		TRY(read_pc(r, &pc));
	}
	return NULL;
}

struct err *target_until_place(struct target *t, uint64_t *addr)
{
	const struct arch *a = target_arch(t);
	uint8_t code[8];
	struct mem_range r = { *addr, sizeof(code), code, 0, false };

	if (!a->local_entry)
		return NULL;
	TRY(target_memory(t)->readv(target_memory(t), &r, 1));
	if (r.got == sizeof(code))
		*addr += a->local_entry(a->fmt, code);
	return NULL;
}

struct err *live_run_until(struct live *l, uint64_t addr, uint64_t n, struct until *u)
{
	struct running r = { .live = l,
			     .rsp = live_rsp(l),
			     .arch = target_arch(live_target(l)),
			     .addr = addr,
			     .thread = *rsp_current_thread(live_rsp(l)),
			     .u = u };

	for (uint64_t i = 0; i < n; i++) {
		TRY(step_over(&r));
		TRY(run_to(&r));
	}
	return NULL;
}
