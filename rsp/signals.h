/*
 * Signals as stubs number them: gdb's own numbers (include/gdb/signals.def), but for stubs that say
 * "native-signals+", which have Linux's.
 */
#ifndef GRF_RSP_SIGNALS_H
#define GRF_RSP_SIGNALS_H

enum {
	GDB_SIGTRAP = 5,
	GDB_SIGSYS = 12,
	GDB_SIGALRM = 14,
	GDB_SIGSTOP = 17,
	GDB_SIGCHLD = 20,
};

/* The same for every architecture that has such a stub or --fork. */
enum {
	LINUX_SIGTRAP = 5,
	LINUX_SIGALRM = 14,
	LINUX_SIGCHLD = 17,
	LINUX_SIGSTOP = 19,
};

#endif
