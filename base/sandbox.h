/*
 * Least privilege, once all is captured: what is parsed and computed from there on, by much code
 * and from bytes that are not to be trusted, needs no network, no other process, no program to
 * start, and few files.
 *
 * Three things, each where it is to be had: no_new_privs; Landlock (Linux 5.13), which bounds the
 * files; and a seccomp filter (base/sandbox_calls.c), which bounds the system calls.  What is
 * refused is an error of that call, and the program goes on; what nobody but an exploit would do,
 * starting a program or opening a socket, ends it.  There is no way back.
 */
#ifndef GRF_BASE_SANDBOX_H
#define GRF_BASE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

enum { SANDBOX_TEXT = 200 };

struct sandbox {
	/* Folders, with all that is below them: files there may be read; made, written and taken
	 * away.  What is open already stays so.  One that is not there is passed over. */
	const char *const *read, *const *write;
	size_t nread, nwrite;
	bool makes; /* files will be opened for writing: else none may be */
};

/* Enters it as far as that is possible.  text says what is in force, and why not more.  false:
 * nothing is. */
bool sandbox_enter(const struct sandbox *s, char text[SANDBOX_TEXT]);

/* The filter: NULL if it is in force, else why not. */
const char *sandbox_calls(bool makes);

#endif
