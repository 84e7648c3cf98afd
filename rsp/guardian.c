/*
 * The guardian waits for a byte or the end of file from the main process.  After the latter it
 * takes the way out (rsp/undo.h), and if the connection does not last so long, a new one
 * (rsp/redial.h).
 */
#include "rsp/guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/intr.h"
#include "base/oom.h"
#include "rsp/conn.h"
#include "rsp/redial.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* ------------------------------------------------------------------ in the guardian */

static void end_command(pid_t child)
{
	static const struct timespec nap = { 0, 50000000 };

	/* Not ours to wait for; it ends by itself as nobody holds its socket any more. */
	for (int i = 0; i < 40; i++) {
		if (kill(-child, 0))
			return;
		nanosleep(&nap, NULL);
	}
	kill(-child, SIGTERM);
	for (int i = 0; i < 20; i++) {
		if (kill(-child, 0))
			return;
		nanosleep(&nap, NULL);
	}
	kill(-child, SIGKILL);
}

/* Keeps fds 0, 1 and 2 (/dev/null), `a` and `b`; closes all others. */
static void close_others(int a, int b)
{
	int lo = a < b ? a : b, hi = a < b ? b : a;

	if (lo > 3)
		syscall(SYS_close_range, 3, lo - 1, 0);
	if (hi > lo + 1)
		syscall(SYS_close_range, lo + 1, hi - 1, 0);
	if (syscall(SYS_close_range, hi + 1, ~0u, 0)) {
		/* Linux before 5.9. */
		for (int fd = 3; fd < 1024; fd++) {
			if (fd != a && fd != b)
				close(fd);
		}
	}
}

__attribute__((noreturn)) static void guard(int fd, int pipe, struct guardian_state *state)
{
	static const int ignore[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP, SIGALRM };
	static struct undo u; /* static: the stack of a threaded program's child may be small */
	bool undone = true;
	sigset_t none;
	ssize_t n;
	char c;
	int null;

	/* Not where /dev/null is about to go (a caller may run without standard descriptors). */
	if (fd < 3)
		fd = fcntl(fd, F_DUPFD, 3);
	if (pipe < 3)
		pipe = fcntl(pipe, F_DUPFD, 3);
	setsid();
	for (size_t i = 0; i < sizeof(ignore) / sizeof(*ignore); i++)
		signal(ignore[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_NAME, "grf-rsp-guard");
	/* Whoever reads our output, or waits for the terminal, must see it end when we end. */
	null = open("/dev/null", O_RDWR);
	for (int i = 0; i < 3; i++) {
		if (null >= 0)
			dup2(null, i);
		else
			close(i);
	}
	close_others(fd, pipe);
	intr_forget();
	oom_withdraw();
	if (chdir("/")) {
		/* Only so that no file system is kept busy. */
	}
	do
		n = read(pipe, &c, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(0);
	u.fd = fd;
	u.no_ack = state->no_ack;
	u.silence_ms = state->silence_ms;
	u.deadline = clock_now_ns() + CONN_LAST_WORDS_ALL_MS * 1000000ll;
	if (state->inject.stage) { /* the copy of a big process's page tables takes its time */
		u.silence_ms = CONN_LAST_WORDS_ALL_MS;
		u.deadline += CONN_LAST_WORDS_ALL_MS * 1000000ll;
	}
	if (state->talking && (undo_needed(state) || state->end_stub))
		undone = undo_all(&u, state);
	close(fd);
	if (state->child)
		end_command(state->child);
	if (!undone && undo_needed(state))
		redial(&u, state);
	_exit(0);
}

/* ------------------------------------------------------------------ in the main process */

static void unmap_state(struct guardian_state **state)
{
	if (*state && *state != MAP_FAILED)
		munmap(*state, sizeof(**state));
}

struct err *guardian_start(struct guardian *g, int fd, const struct guardian_state *initial)
{
	_cleanup_close_ int ours = -1, theirs = -1;
	_cleanup_(unmap_state) struct guardian_state *state = NULL;
	int fds[2];
	pid_t pid;

	state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (state == MAP_FAILED)
		return err_os(errno, "mmap");
	*state = *initial;
	/* Not a pipe: writing to a dead reader would be SIGPIPE. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return err_os(errno, "socketpair");
	ours = fds[1];
	theirs = fds[0];
	pid = fork();
	if (pid < 0)
		return err_os(errno, "fork");
	if (pid == 0) {
		close(ours);
		guard(fd, theirs, state);
	}
	*g = (struct guardian){ .pid = pid, .pipe = ours, .state = state };
	ours = -1;
	state = NULL;
	return NULL;
}

enum { GOODBYE, TAKE_OVER, LEAVE };

static void guardian_end(struct guardian *g, int how)
{
	struct guardian ended = { 0 };

	if (!g->pid)
		return;
	if (how == GOODBYE)
		/* EPIPE: it is dead already, nothing to tell it */
		send(g->pipe, "", 1, MSG_NOSIGNAL);
	close(g->pipe);
	while (how != LEAVE && waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
		;
	ended.left = g->state->left;
	ended.tracer = g->state->tracer;
	munmap(g->state, sizeof(*g->state));
	*g = ended;
}

void guardian_stop(struct guardian *g)
{
	guardian_end(g, GOODBYE);
}

void guardian_take_over(struct guardian *g)
{
	if (g->pid)
		g->state->child = 0; /* ours to wait for */
	guardian_end(g, TAKE_OVER);
}

void guardian_leave(struct guardian *g, pid_t *child)
{
	*child = 0;
	guardian_end(g, LEAVE);
}
