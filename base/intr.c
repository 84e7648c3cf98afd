/*
 * The handler notes the signal and writes a byte to a pipe, so that a poll() that is about to begin
 * cannot miss it.
 */
#include "base/intr.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"

static volatile sig_atomic_t intr_signo;
static int intr_pipe[2] = { -1, -1 };

/* intr_lose(): then intr_signo is SIGBUS, and this the file */
static char lost[256];

/* intr_hold() */
static volatile sig_atomic_t holding, held;
static int held_pipe[2] = { -1, -1 };

/* intr_set_limit() */
static volatile sig_atomic_t overdue;
static struct itimerval limit_grace;
static const char *limit_text;

static void wake(int fd)
{
	if (fd >= 0 && write(fd, "", 1) < 0) {
		/* The pipe is full: it is readable already, which is all that counts. */
	}
}

static void intr_handler(int signo)
{
	int saved = errno, fd = intr_pipe[1];

	if (signo == SIGINT && holding && !held) {
		held = 1;
		fd = held_pipe[1];
	} else {
		intr_signo = signo;
	}
	wake(fd);
	errno = saved;
}

/* A timer again, and not two: the second one is set when the first one ends.  setitimer() is a bare
 * system call. */
static void limit_handler(int signo)
{
	int saved = errno;

	if (overdue) {
		static const char head[] = "grf-rsp: ", tail[] = "\n";

		if (write(STDERR_FILENO, head, strlen(head)) < 0 ||
		    write(STDERR_FILENO, limit_text, strlen(limit_text)) < 0 ||
		    write(STDERR_FILENO, tail, strlen(tail)) < 0) {
			/* Nobody listens. */
		}
		_exit(1);
	}
	overdue = 1;
	setitimer(ITIMER_REAL, &limit_grace, NULL);
	wake(intr_pipe[1]);
	errno = saved;
}

static struct itimerval timer_of(uint64_t ns)
{
	uint64_t us = ns / 1000 + 1;

	return (struct itimerval){ .it_value = { (time_t)(us / 1000000),
						 (suseconds_t)(us % 1000000) } };
}

void intr_set_limit(uint64_t ns, uint64_t grace_ns, const char *text)
{
	struct itimerval timer = { 0 };
	char byte;

	if (intr_pipe[0] < 0)
		return;
	setitimer(ITIMER_REAL, &timer, NULL);
	if (overdue && !intr_signo && read(intr_pipe[0], &byte, 1) < 0) {
		/* It was full of others. */
	}
	overdue = 0;
	if (!ns)
		return;
	limit_text = text;
	limit_grace = timer_of(grace_ns);
	timer = timer_of(ns);
	setitimer(ITIMER_REAL, &timer, NULL);
}

struct err *intr_install(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction sa = { .sa_handler = intr_handler };
	struct sigaction limit = { .sa_handler = limit_handler };

	if (pipe2(intr_pipe, O_CLOEXEC | O_NONBLOCK))
		return err_os(errno, "pipe");
	sigemptyset(&sa.sa_mask);
	sigemptyset(&limit.sa_mask);
	if (sigaction(SIGALRM, &limit, NULL))
		return err_os(errno, "sigaction");
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		struct sigaction old;

		/* nohup and background jobs start us with a signal ignored: leave it so. */
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN)
			continue;
		if (sigaction(signals[i], &sa, NULL))
			return err_os(errno, "sigaction");
	}
	return NULL;
}

struct err *intr_hold(bool on)
{
	if (on && held_pipe[0] < 0 && pipe2(held_pipe, O_CLOEXEC | O_NONBLOCK))
		return err_os(errno, "pipe");
	holding = on;
	return NULL;
}

bool intr_held(void)
{
	return held;
}

int intr_held_fd(void)
{
	return held_pipe[0];
}

void intr_forget(void)
{
	intr_pipe[0] = intr_pipe[1] = -1;
	held_pipe[0] = held_pipe[1] = -1;
	intr_signo = 0;
	lost[0] = 0;
	holding = held = overdue = 0;
}

int intr_signal(void)
{
	return intr_signo;
}

int intr_fd(void)
{
	return intr_pipe[0];
}

void intr_lose(const char *name)
{
	if (!*lost)
		strncpy(lost, name, sizeof(lost) - 1);
	intr_handler(SIGBUS);
}

struct err *intr_check(void)
{
	if (!intr_signo && !overdue)
		return NULL;
	if (intr_signo == SIGBUS)
		return err_create(ERR_OS,
				  "%s was cut, or its disk failed, while it was read: give a file "
				  "that nobody changes (a copy)",
				  lost);
	if (!intr_signo)
		return err_create(ERR_INTR, "%s", limit_text);
	return err_create(ERR_INTR, "stopped by SIG%s", sigabbrev_np(intr_signo));
}

struct err *intr_poll(int fd, short events, int64_t deadline, bool interruptible, bool *ready)
{
	struct pollfd p[2] = { { .fd = fd, .events = events }, { .fd = -1, .events = POLLIN } };

	for (;;) {
		int64_t left = (deadline - clock_now_ns() + 999999) / 1000000;
		int n;

		if (interruptible) {
			TRY(intr_check());
			p[1].fd = intr_fd();
		}
		n = poll(p, 2, left > 0 ? (int)left : 0);
		if (n < 0 && errno != EINTR)
			return err_os(errno, "poll");
		if (n > 0 && p[0].revents) {
			*ready = true;
			return NULL;
		}
		if (n == 0 && left <= 0) {
			*ready = false;
			return NULL;
		}
	}
}
