/*
 * Who starts us may have closed standard input, output or error.  The next file that is opened
 * would take that number, and get what is meant for a terminal.
 */
#ifndef GRF_BASE_STANDARD_FDS_H
#define GRF_BASE_STANDARD_FDS_H

/* Puts something in the place of each that is closed: to use it is an error (EBADF). */
void standard_fds_hold(void);

#endif
