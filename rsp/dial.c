/*
 * An address may stand for several, which are tried one after the other.  A command gets one end of
 * a pair of sockets.
 */
#include "rsp/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/intr.h"
#include "base/oom.h"

#define START_ONE "start it with: gdbserver --attach :%s PID"

/* How long a command may take to end by itself, after SIGTERM, after SIGKILL; and how long its
 * shell may take once the socket is closed. */
enum { REAP_MS = 2000, REAP_TERM_MS = 1000, REAP_KILL_MS = 1000, SHELL_MS = 200 };

/* What dial() was given. */
struct dialling {
	const char *target;
	int timeout_ms;
	dial_watch watch;
	void *arg;
};

DEFINE_CLEANUP(freeaddrinfo, struct addrinfo *)

/* port: as it was typed. */
static struct err *cannot_connect(const struct dialling *d, const char *port, int errnum)
{
	switch (errnum) {
	case ECONNREFUSED:
		return err_create(ERR_OS, "nothing listens on %s (connection refused); " START_ONE,
				  d->target, port);
	case ENOENT:
		return err_create(ERR_OS, "%s: there is no such socket; start the stub first",
				  d->target);
	default:
		return err_create(ERR_OS,
				  "cannot connect to %s: %s; check the address, or " START_ONE,
				  d->target, strerror(errnum), port);
	}
}

static struct err *watch_fd(const struct dialling *d, int fd)
{
	return d->watch ? d->watch(d->arg, fd) : NULL;
}

/* *ret is connected, or -1: then *errnum says why it is not. */
static struct err *connect_to(const struct dialling *d, int family, const struct sockaddr *addr,
			      socklen_t len, int *ret, int *errnum)
{
	_cleanup_close_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int64_t deadline = clock_now_ns() + d->timeout_ms * 1000000ll;
	socklen_t size = sizeof(*errnum);
	bool ready;

	*ret = -1;
	if (fd < 0) {
		*errnum = errno;
		return NULL;
	}
	TRY(watch_fd(d, fd));
	if (connect(fd, addr, len) && errno != EINPROGRESS) {
		*errnum = errno;
		return NULL;
	}
	TRY(intr_poll(fd, POLLOUT, deadline, true, &ready));
	if (!ready)
		*errnum = ETIMEDOUT;
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, errnum, &size))
		*errnum = errno;
	else if (!*errnum) {
		*ret = fd;
		fd = -1;
	}
	return NULL;
}

static struct err *dial_unix(const struct dialling *d, const char *path, int *ret)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int errnum = 0;

	if (!*path || strlen(path) >= sizeof(sun.sun_path))
		return err_create(ERR_USAGE, "%s: a socket's path has 1 to %zu bytes", d->target,
				  sizeof(sun.sun_path) - 1);
	strcpy(sun.sun_path, path);
	TRY(connect_to(d, AF_UNIX, (struct sockaddr *)&sun, sizeof(sun), ret, &errnum));
	if (*ret >= 0)
		return NULL;
	if (errnum == ECONNREFUSED)
		return err_create(ERR_OS, "nothing listens on %s (connection refused)", d->target);
	return cannot_connect(d, "2345", errnum);
}

static struct err *bad_address(const struct dialling *d)
{
	return err_create(ERR_USAGE,
			  "'%s' is not the address of a stub: HOST:PORT, :PORT, [V6]:PORT, "
			  "unix:PATH or '| COMMAND'",
			  d->target);
}

/* Cuts HOST:PORT, in which the host may stand in brackets, into its parts. */
static struct err *split_address(const struct dialling *d, char *s, const char **host,
				 const char **port)
{
	char *colon = strrchr(s, ':'), *end;

	if (!colon || !colon[1])
		return bad_address(d);
	*colon = 0;
	*port = colon + 1;
	if (strspn(*port, "0123456789") == strlen(*port) && strtoul(*port, NULL, 10) > UINT16_MAX)
		return err_create(ERR_USAGE, "'%s': %s is no port (1 to 65535)", d->target, *port);
	*host = s;
	if (*s == '[') {
		end = strchr(s, ']');
		if (!end || end[1])
			return bad_address(d);
		*end = 0;
		++*host;
	} else if (strchr(s, ':')) {
		return err_create(ERR_USAGE, "'%s': an IPv6 address stands in brackets: [%s]:%s",
				  d->target, s, *port);
	}
	return NULL;
}

static struct err *dial_tcp(const struct dialling *d, int *ret)
{
	static const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	_cleanup_free_ char *copy = strdup(d->target);
	_cleanup_(cleanup_freeaddrinfo) struct addrinfo *list = NULL;
	int rc, errnum = 0, one = 1;
	const char *host = NULL, *port = NULL;

	if (!copy)
		return err_nomem();
	TRY(split_address(d, copy, &host, &port));
	rc = getaddrinfo(*host ? host : "localhost", port, &hints, &list);
	if (rc == EAI_SERVICE)
		return bad_address(d);
	if (rc)
		return err_create(ERR_OS, "cannot resolve '%s': %s; check the host's name", host,
				  gai_strerror(rc));
	*ret = -1;
	for (const struct addrinfo *ai = list; ai && *ret < 0; ai = ai->ai_next) {
		int e = 0;

		TRY(connect_to(d, ai->ai_family, ai->ai_addr, ai->ai_addrlen, ret, &e));
		/* "Refused" says most: there is a machine, and nothing on the port. */
		if (*ret < 0 && errnum != ECONNREFUSED)
			errnum = e;
	}
	if (*ret < 0)
		return cannot_connect(d, port, errnum);
	setsockopt(*ret, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return NULL;
}

enum { PLAIN_WORDS = 64 };

/*
 * Cuts a command that means the same without a shell into its words, NULL at the end.  false: it
 * has characters that a shell would look at, or it begins with an assignment.
 */
static bool plain_words(char *command, char *words[PLAIN_WORDS + 1])
{
	size_t n = 0;

	if (command[strcspn(command, "|&;<>()$`\\\"'*?[]{}#~!\n")])
		return false;
	for (char *rest, *w = strtok_r(command, " \t", &rest); w;
	     w = strtok_r(NULL, " \t", &rest)) {
		if (n == PLAIN_WORDS || (!n && strchr(w, '=')))
			return false;
		words[n++] = w;
	}
	words[n] = NULL;
	return n;
}

/* In the child.  A shell is started only where one is needed: a debug image may have none. */
__attribute__((noreturn)) static void run_command(const char *command, int fd)
{
	char *copy = strdup(command), *words[PLAIN_WORDS + 1];
	sigset_t none;

	setpgid(0, 0);
	oom_withdraw();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* dup2() clears close-on-exec, except onto itself. */
	if (fd <= 1)
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 2);
	if (fd < 0 || dup2(fd, 0) < 0 || dup2(fd, 1) < 0)
		_exit(126);
	if (copy && plain_words(copy, words))
		execvp(words[0], words);
	/* What was not found may be the shell's own, "exec" for example; else it says so. */
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

/*
 * The command gets a process group of its own: a terminal's ^C goes to the foreground
 * group, and must not end the stub before we have detached.
 */
static struct err *dial_command(const struct dialling *d, const char *command, struct dial *ret)
{
	_cleanup_close_ int ours = -1, theirs = -1;
	int fds[2];
	pid_t pid;

	command += strspn(command, " \t");
	if (!*command)
		return bad_address(d);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return err_os(errno, "socketpair");
	ours = fds[0];
	theirs = fds[1];
	TRY(watch_fd(d, ours));
	pid = fork();
	if (pid < 0)
		return err_os(errno, "fork");
	if (pid == 0)
		run_command(command, theirs);
	setpgid(pid, pid); /* here too: whoever comes first */
	*ret = (struct dial){ ours, pid };
	ours = -1;
	return NULL;
}

struct err *dial(const char *target, int timeout_ms, dial_watch watch, void *arg, struct dial *ret)
{
	struct dialling d = { target, timeout_ms, watch, arg };
	int fd;

	if (*target == '|')
		return dial_command(&d, target + 1, ret);
	if (!strncmp(target, "unix:", 5))
		TRY(dial_unix(&d, target + 5, &fd));
	else
		TRY(dial_tcp(&d, &fd));
	*ret = (struct dial){ fd, 0 };
	return NULL;
}

static bool ended_within(pid_t child, int ms, int *status)
{
	int64_t deadline = clock_now_ns() + ms * 1000000ll;
	static const struct timespec nap = { 0, 5000000 };

	for (;;) {
		pid_t r = waitpid(child, status, WNOHANG);

		if (r == child || (r < 0 && errno == ECHILD))
			return true;
		if (clock_now_ns() >= deadline)
			return false;
		nanosleep(&nap, NULL);
	}
}

/* Its end of the socket is gone, so a stub ends by itself; the rest is for those that hang. */
void dial_reap(pid_t child)
{
	int status;

	if (ended_within(child, REAP_MS, &status))
		return;
	kill(-child, SIGTERM);
	if (ended_within(child, REAP_TERM_MS, &status))
		return;
	kill(-child, SIGKILL);
	ended_within(child, REAP_KILL_MS, &status);
}

bool dial_ended(pid_t *child, char *how, size_t size)
{
	int status = 0;

	/* A moment: the socket closes before the shell is gone. */
	if (!ended_within(*child, SHELL_MS, &status))
		return false;
	*child = 0;
	if (WIFSIGNALED(status))
		snprintf(how, size, "signal %d", WTERMSIG(status));
	else
		snprintf(how, size, "exit status %d", WEXITSTATUS(status));
	return true;
}
