/*
 * From what the user wrote to a connected descriptor: HOST:PORT, :PORT, [V6]:PORT,
 * unix:PATH, or `| COMMAND`.
 */
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
#include "rsp/conn.h"

#define START_ONE "start it with: gdbserver --attach :2345 PID"

static struct err *cannot_connect(const struct conn *c, int errnum)
{
	switch (errnum) {
	case ECONNREFUSED:
		return err_create(ERR_OS, "nothing listens on %s (connection refused); " START_ONE,
				  c->name);
	case ENOENT:
		return err_create(ERR_OS, "%s: there is no such socket; start the stub first",
				  c->name);
	default:
		return err_create(ERR_OS,
				  "cannot connect to %s: %s; check the address, or " START_ONE,
				  c->name, strerror(errnum));
	}
}

/* What conn_create() was given. */
struct dial {
	struct conn *c;
	conn_watch watch;
	void *arg;
};

static struct err *dial_watch(const struct dial *d, int fd)
{
	return d->watch ? d->watch(d->arg, d->c, fd) : NULL;
}

/* On success c->fd is connected; *errnum says why not otherwise. */
static struct err *connect_to(const struct dial *d, int family, const struct sockaddr *addr,
			      socklen_t len, int *errnum)
{
	struct conn *c = d->c;
	_cleanup_close_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t size = sizeof(*errnum);
	struct err *err;
	bool ready;

	*errnum = 0;
	if (fd < 0) {
		*errnum = errno;
		return NULL;
	}
	err = dial_watch(d, fd);
	if (err)
		return err;
	if (connect(fd, addr, len) && errno != EINPROGRESS) {
		*errnum = errno;
		return NULL;
	}
	err = conn_poll(c, fd, POLLOUT, c->timeout_ms, &ready);
	if (err)
		return err;
	if (!ready) {
		*errnum = ETIMEDOUT;
		return NULL;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, errnum, &size))
		*errnum = errno;
	if (*errnum)
		return NULL;
	c->fd = fd;
	fd = -1;
	return NULL;
}

static struct err *dial_unix(const struct dial *d, const char *path)
{
	struct conn *c = d->c;
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct err *err;
	int errnum;

	if (!*path || strlen(path) >= sizeof(sun.sun_path))
		return err_create(ERR_USAGE, "%s: a socket's path has 1 to %zu bytes", c->name,
				  sizeof(sun.sun_path) - 1);
	strcpy(sun.sun_path, path);
	err = connect_to(d, AF_UNIX, (struct sockaddr *)&sun, sizeof(sun), &errnum);
	if (!err && errnum)
		err = cannot_connect(c, errnum);
	return err;
}

static struct err *bad_address(const struct conn *c)
{
	return err_create(ERR_USAGE,
			  "'%s' is not the address of a stub: HOST:PORT, :PORT, [V6]:PORT, "
			  "unix:PATH or '| COMMAND'",
			  c->name);
}

static struct err *dial_tcp(const struct dial *d, const char *target)
{
	static const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	_cleanup_free_ char *host = strdup(target);
	struct conn *c = d->c;
	struct addrinfo *list, *ai;
	struct err *err = NULL;
	int rc, errnum = 0, one = 1;
	char *colon, *name, *end;
	const char *port;

	if (!host)
		return err_nomem();
	colon = strrchr(host, ':');
	if (!colon || !colon[1])
		return bad_address(c);
	*colon = 0;
	port = colon + 1;
	if (strspn(port, "0123456789") == strlen(port) && strtoul(port, NULL, 10) > UINT16_MAX)
		return err_create(ERR_USAGE, "'%s': %s is no port (1 to 65535)", c->name, port);
	name = host;
	if (*name == '[') {
		end = strchr(name, ']');
		if (!end || end[1])
			return bad_address(c);
		*end = 0;
		name++;
	} else if (strchr(name, ':')) {
		return err_create(ERR_USAGE, "'%s': an IPv6 address stands in brackets: [%s]:%s",
				  c->name, name, port);
	}
	rc = getaddrinfo(*name ? name : "localhost", port, &hints, &list);
	if (rc == EAI_SERVICE)
		return bad_address(c);
	if (rc)
		return err_create(ERR_OS, "cannot resolve '%s': %s; check the host's name", name,
				  gai_strerror(rc));
	for (ai = list; ai && c->fd < 0; ai = ai->ai_next) {
		int e;

		err = connect_to(d, ai->ai_family, ai->ai_addr, ai->ai_addrlen, &e);
		if (err)
			break;
		/* "Refused" says most: there is a machine, and nothing on the port. */
		if (e && errnum != ECONNREFUSED)
			errnum = e;
	}
	freeaddrinfo(list);
	if (!err && c->fd < 0)
		err = cannot_connect(c, errnum);
	if (!err)
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return err;
}

/*
 * The command gets a process group of its own: a terminal's ^C goes to the foreground
 * group, and must not end the stub before we have detached.
 */
static struct err *dial_command(const struct dial *d, const char *command)
{
	struct conn *c = d->c;
	struct err *err;
	int fds[2];
	pid_t pid;

	while (*command == ' ' || *command == '\t')
		command++;
	if (!*command)
		return bad_address(c);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return err_os(errno, "socketpair");
	err = dial_watch(d, fds[0]);
	if (err) {
		close(fds[0]);
		close(fds[1]);
		return err;
	}
	pid = fork();
	if (pid < 0) {
		close(fds[0]);
		close(fds[1]);
		return err_os(errno, "fork");
	}
	if (pid == 0) {
		sigset_t none;

		setpgid(0, 0);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		/* dup2() clears close-on-exec, except onto itself. */
		if (fds[1] <= 1)
			fds[1] = fcntl(fds[1], F_DUPFD_CLOEXEC, 2);
		if (fds[1] < 0 || dup2(fds[1], 0) < 0 || dup2(fds[1], 1) < 0)
			_exit(126);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	setpgid(pid, pid); /* here too: whoever comes first */
	close(fds[1]);
	c->fd = fds[0];
	c->child = pid;
	return NULL;
}

struct err *conn_create(const char *target, int timeout_ms, conn_watch watch, void *arg,
			struct conn **ret)
{
	struct conn *c = calloc(1, sizeof(*c));
	struct dial d = { c, watch, arg };
	struct err *err;

	if (!c)
		return err_nomem();
	c->fd = -1;
	c->timeout_ms = timeout_ms > 0 ? timeout_ms : CONN_TIMEOUT_MS;
	c->name = strdup(target);
	if (!c->name)
		err = err_nomem();
	else if (*target == '|')
		err = dial_command(&d, target + 1);
	else if (!strncmp(target, "unix:", 5))
		err = dial_unix(&d, target + 5);
	else
		err = dial_tcp(&d, target);
	if (err) {
		conn_destroy(c);
		return err;
	}
	*ret = c;
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
void dial_reap(pid_t child, int *status)
{
	*status = 0;
	if (ended_within(child, 2000, status))
		return;
	kill(-child, SIGTERM);
	if (ended_within(child, 1000, status))
		return;
	kill(-child, SIGKILL);
	ended_within(child, 1000, status);
}

bool dial_ended(pid_t *child, char *how, size_t size)
{
	int status = 0;

	/* A moment: the socket closes before the shell is gone. */
	if (!ended_within(*child, 200, &status))
		return false;
	*child = 0;
	if (WIFSIGNALED(status))
		snprintf(how, size, "signal %d", WTERMSIG(status));
	else
		snprintf(how, size, "exit status %d", WEXITSTATUS(status));
	return true;
}
