/*
 * The account's words: what the summary, the profile and its labels call each part.
 */
#include "heap/profile/account.h"

const char *live_kind_name(enum live_kind kind)
{
	static const char *const names[] = {
		[LIVE_VARIABLES] = "package variables",
		[LIVE_GOROUTINES] = "goroutines",
		[LIVE_FINALIZERS] = "finalizers",
		[LIVE_CLEANUPS] = "cleanups",
		[LIVE_QUEUED] = "queued finalizers and cleanups",
		[LIVE_WEAK] = "weak handles",
		[LIVE_TIMERS] = "timers",
		[LIVE_RUNTIME] = "the runtime",
		[LIVE_N] = "nothing: not live",
		[LIVE_SEVERAL] = "several roots",
	};

	return names[kind];
}

const char *stack_state_name(enum stack_state state)
{
	static const char *const names[STACK_N] = {
		[STACK_RUNNING] = "running", [STACK_RUNNABLE] = "runnable",
		[STACK_WAITING] = "waiting", [STACK_SYSCALL] = "in system calls",
		[STACK_OTHER] = "other",
	};

	return names[state];
}
