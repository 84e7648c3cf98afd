/*
 * A breakpoint is passed by taking it away, stepping over it and setting it again: with it in place
 * QEMU stops at once without progress, and other stubs differ.  Whatever else stops the program is
 * a signal of its own, which it gets.
 */
#include "target/until.h"

#include <inttypes.h>

#include "base/cleanup.h"
#include "rsp/rsp.h"

static struct err *read_pc(struct target *t, struct rsp *rsp, const struct rsp_thread *thread,
			   uint64_t *pc)
{
	const struct arch *a = target_arch(t);
	_cleanup_buf_ struct buf raw = BUF_INIT;
	uint32_t offset;
	bool found;
	struct err *err = target_reg_place(t, a->reg_names[a->pc], &offset, &found);

	if (!err)
		err = rsp_read_registers(rsp, thread, 1, &raw, NULL);
	if (err)
		return err;
	if (!found || offset > raw.len || raw.len - offset < a->fmt.word)
		return err_create(ERR_UNSUPPORTED,
				  "the stub does not say where the program stopped");
	*pc = bytes_word(a->fmt, raw.data + offset);
	return NULL;
}

/* Runs until a thread is at addr; *pc says where t is when that is over. */
static struct err *run_to(struct target *t, struct rsp *rsp, uint64_t addr,
			  struct rsp_thread *thread, unsigned *signal, struct until *u)
{
	bool writes;
	uint64_t pc;
	struct err *err = rsp_break_set(rsp, addr, target_arch(t)->break_kind, &writes);

	u->writes |= !err && writes;
	while (!err) {
		err = rsp_resume(rsp, false, thread, signal);
		if (!err && *signal == RSP_SIGTRAP) {
			err = read_pc(t, rsp, thread, &pc);
			if (!err && pc == addr)
				break;
		}
		u->signals++;
	}
	*signal = 0;
	return err ? err : rsp_break_clear(rsp);
}

static struct err *step_over(struct target *t, struct rsp *rsp, uint64_t addr,
			     struct rsp_thread *thread, unsigned *signal)
{
	uint64_t pc;
	struct err *err = read_pc(t, rsp, thread, &pc);

	while (!err && pc == addr) {
		err = rsp_resume(rsp, true, thread, signal);
		if (!err && *signal == RSP_SIGTRAP)
			*signal = 0;
		if (!err)
			err = read_pc(t, rsp, thread, &pc);
	}
	return err;
}

struct err *target_until_place(struct target *t, uint64_t *addr)
{
	const struct arch *a = target_arch(t);
	uint8_t code[8];
	struct mem_range r = { *addr, sizeof(code), code, 0, false };
	struct err *err = a->local_entry ? target_memory(t)->readv(target_memory(t), &r, 1) : NULL;

	if (!err && r.got == sizeof(code))
		*addr += a->local_entry(a->fmt, code);
	return err;
}

struct err *target_run_until(struct target *t, uint64_t addr, uint64_t n, struct until *u)
{
	struct rsp *rsp = target_rsp(t);
	struct rsp_thread thread = *rsp_current_thread(rsp);
	unsigned signal = 0;
	struct err *err = NULL;

	for (uint64_t i = 0; i < n && !err; i++) {
		err = step_over(t, rsp, addr, &thread, &signal);
		if (!err)
			err = run_to(t, rsp, addr, &thread, &signal, u);
	}
	return err;
}
