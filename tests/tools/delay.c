/*
 * A long way to a stub: passes bytes on after a delay, each way, with any number of them under way.
 *
 *	delay MS LISTEN_PORT TO_PORT		both on localhost; one connection after the other
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rsp/conn.h"
#include "base/clock.h"

enum { PIECE = 256 << 10 };

struct piece {
	struct piece *next;
	int64_t due;
	size_t len, done;
	char data[];
};

/* One direction. */
struct way {
	int from, to;
	bool end; /* of input */
	struct piece *first, **last;
};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* Takes one piece from the socket; false: nothing more will come. */
static void take(struct way *w, int64_t delay)
{
	static char in[PIECE];
	ssize_t n = recv(w->from, in, sizeof(in), MSG_DONTWAIT);
	struct piece *p;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		w->end = true;
		return;
	}
	p = malloc(sizeof(*p) + (size_t)n);
	if (!p)
		fail("malloc");
	*p = (struct piece){ NULL, clock_now_ns() + delay, (size_t)n, 0 };
	memcpy(p->data, in, (size_t)n);
	*w->last = p;
	w->last = &p->next;
}

/* Sends what is due; false: the other end is gone. */
static bool give(struct way *w)
{
	struct piece *p;

	while ((p = w->first) && p->due <= clock_now_ns()) {
		ssize_t n = send(w->to, p->data + p->done, p->len - p->done,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		p->done += (size_t)n;
		if (p->done < p->len)
			return true;
		w->first = p->next;
		if (!w->first)
			w->last = &w->first;
		free(p);
	}
	return true;
}

static void relay(int a, int b, int64_t delay)
{
	struct way ways[2] = { { a, b }, { b, a } };
	bool alive = true;

	for (int i = 0; i < 2; i++)
		ways[i].last = &ways[i].first;
	while (alive && !(ways[0].end && !ways[0].first) && !(ways[1].end && !ways[1].first)) {
		struct pollfd p[2] = { { a, 0 }, { b, 0 } };
		int64_t now = clock_now_ns(), wait = 1000000000;
		struct timespec ts;

		for (int i = 0; i < 2; i++) {
			const struct piece *first = ways[i].first;

			if (!ways[i].end)
				p[i].events |= POLLIN;
			if (first && first->due <= now)
				p[!i].events |= POLLOUT;
			else if (first && first->due - now < wait)
				wait = first->due - now;
		}
		ts = (struct timespec){ wait / 1000000000, wait % 1000000000 };
		if (ppoll(p, 2, &ts, NULL) < 0 && errno != EINTR)
			fail("poll");
		for (int i = 0; i < 2; i++) {
			if (p[i].revents & (POLLIN | POLLHUP | POLLERR))
				take(&ways[i], delay);
			alive = give(&ways[i]) && alive;
		}
	}
	for (int i = 0; i < 2; i++)
		for (struct piece *p = ways[i].first, *next; p; p = next) {
			next = p->next;
			free(p);
		}
}

static struct sockaddr_in local(const char *port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sa;
}

int main(int argc, char **argv)
{
	struct sockaddr_in at, to;
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

	if (argc != 4) {
		fputs("usage: delay MS LISTEN_PORT TO_PORT\n", stderr);
		return 2;
	}
	at = local(argv[2]);
	to = local(argv[3]);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 4))
		fail("listening");
	puts("READY");
	fflush(stdout);
	for (;;) {
		int a = accept(listener, NULL, NULL), b = socket(AF_INET, SOCK_STREAM, 0);

		if (a < 0)
			fail("accept");
		if (!connect(b, (struct sockaddr *)&to, sizeof(to))) {
			setsockopt(a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			setsockopt(b, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			relay(a, b, atoll(argv[1]) * 1000000);
		}
		close(a);
		close(b);
	}
}
