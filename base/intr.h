/*
 * SIGINT, SIGTERM and SIGHUP as an ordinary error.
 *
 * intr_install() (main.c only) catches the three; from then on whoever waits
 * polls intr_fd() beside its own descriptor, and whoever computes calls
 * intr_check() now and then.  Both turn the signal into ERR_INTR, which goes
 * up like any other error, so that every exit path detaches and no half file
 * stays behind.  Without intr_install() nothing ever interrupts.
 */
#ifndef GRF_BASE_INTR_H
#define GRF_BASE_INTR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

ERR_MUST_CHECK struct err *intr_install(void);

/*
 * From ns nanoseconds on from now, intr_check() and intr_poll() give ERR_INTR with this text
 * (borrowed), though there was no signal: for what must not last, a stopped process.  What does not
 * look is ended grace_ns later, by _exit(1): the guardian lets the process go.  0: there is no such
 * limit any more.  Only after intr_install().
 */
void intr_set_limit(uint64_t ns, uint64_t grace_ns, const char *text);

/* In a child that closed its descriptors: nothing interrupts there. */
void intr_forget(void);

/* The signal that asked the program to stop, or 0: none did. */
int intr_signal(void);

/*
 * While `on`, the first SIGINT is only noted, for who has something to end in peace: intr_held() is
 * true then, and intr_held_fd() readable.  A second one, and the other signals, interrupt as ever.
 */
ERR_MUST_CHECK struct err *intr_hold(bool on);
bool intr_held(void);
int intr_held_fd(void);

/* A descriptor that is readable once a signal came, for good; -1 before intr_install(). */
int intr_fd(void);

/* A file that we read was lost (base/mapped.h): from now on that is what interrupts. */
void intr_lose(const char *name);

/* ERR_INTR if a signal came, or a limit is over; ERR_OS if a file was lost. */
ERR_MUST_CHECK struct err *intr_check(void);

/*
 * Waits until fd has one of the events (poll()), but not beyond the deadline (base/clock.h).
 * *ready false: time is up.  interruptible: gives ERR_INTR as soon as a signal came.
 */
ERR_MUST_CHECK struct err *intr_poll(int fd, short events, int64_t deadline, bool interruptible,
				     bool *ready);

#endif
