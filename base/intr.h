/*
 * "Stop, please": SIGINT, SIGTERM and SIGHUP as an ordinary error.
 *
 * intr_install() (main.c only) catches the three; from then on whoever waits
 * polls intr_fd() beside its own descriptor, and whoever computes calls
 * intr_check() now and then.  Both turn the signal into ERR_INTR, which goes
 * up like any other error, so that every exit path detaches and no half file
 * stays behind.  Without intr_install() nothing ever interrupts.
 */
#ifndef GRF_BASE_INTR_H
#define GRF_BASE_INTR_H

#include "base/err.h"

ERR_MUST_CHECK struct err *intr_install(void);

/* The signal that asked us to stop, or 0. */
int intr_signal(void);

/* Readable once a signal came (never drained); -1 before intr_install(). */
int intr_fd(void);

/* ERR_INTR if a signal came. */
ERR_MUST_CHECK struct err *intr_check(void);

#endif
