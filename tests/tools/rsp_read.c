/*
 * Reads memory through a stub and says how fast.
 *
 *	rsp_read [-b [-w N] [-c N]] [-p PID] [-n TIMES] [-t] [-o FILE] [-D N] [-f FILE] TARGET ADDR LEN
 *	rsp_read -b [-w N] [-c N] [-p PID] [-n TIMES] -R FILE TARGET
 *
 *	-b	the simplest pipelined reader instead: `m` (or `x`) requests, replies counted by their
 *		'#' and thrown away; what any client could reach at most
 *	-R FILE	with -b: the ranges that FILE lists, as tests/tools/ranges prints them
 *	-w N	with -b: requests under way (default 64)
 *	-c N	with -b: bytes a request (default: what the stub takes)
 *	-n	read the range so many times (0: for ever)
 *	-t	print threads with their registers first
 *	-o	write what was read to FILE
 *	-f	fetch a file of the stub's machine, with the process running
 *	-D	let the process go and stop it again, N times, and say what that took
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/intr.h"
#include "rsp/conn.h"
#include "rsp/features.h"
#include "rsp/rsp.h"
#include "target/live.h"

static int fail(struct err *err)
{
	fprintf(stderr, "rsp_read: %s\n", err->msg);
	err_destroy(err);
	return 1;
}

static void put(struct conn *c, const char *s)
{
	char out[200];
	int n = snprintf(out, sizeof(out), "$%s#%02x", s,
			 packet_sum((const uint8_t *)s, strlen(s)));

	if (send(c->fd, out, (size_t)n, MSG_NOSIGNAL) != n) {
		perror("send");
		exit(1);
	}
}

/* Reads until `want` packets have ended; what came first is left in in[]. */
static char in[1 << 20];

static size_t replies(struct conn *c, size_t want)
{
	size_t seen = 0;

	while (seen < want) {
		ssize_t n = recv(c->fd, in, sizeof(in) - 1, 0);
		char *p = in;

		if (n <= 0) {
			perror("recv");
			exit(1);
		}
		in[n] = 0;
		while ((p = memchr(p, '#', (size_t)(in + n - p)))) {
			seen++;
			p++;
		}
	}
	return seen;
}

static void ack(struct conn *c)
{
	if (send(c->fd, "+", 1, MSG_NOSIGNAL) != 1) {
		perror("send");
		exit(1);
	}
}

/* What the stub can do, by its reply to qSupported. */
static struct err *bare_features(struct conn *c, struct features *f)
{
	char *start, *end;
	struct err *err;

	put(c, FEATURES_QUERY);
	replies(c, 1);
	start = strchr(in, '$');
	end = start ? strchr(start, '#') : NULL;
	if (!end)
		return err_create(ERR_PROTO, "no reply to qSupported");
	*end = 0;
	err = features_parse(start + 1, f);
	ack(c);
	put(c, "QStartNoAckMode");
	replies(c, 1);
	ack(c);
	return err;
}

struct bare {
	const char *target;
	uint64_t pid, chunk;
	unsigned window;
	long times;
	const struct ranges *ranges;
};

/* Asks, and counts '#'. */
static struct err *bare(const struct bare *b)
{
	uint64_t chunk = b->chunk, bytes = 0;
	size_t under_way = 0;
	int64_t attach, start;
	struct features f;
	struct conn *c;
	struct err *err = conn_create(b->target, 10000, NULL, NULL, &c);
	double s, stopped;
	char cmd[80];

	if (err)
		return err;
	fcntl(c->fd, F_SETFL, 0); /* blocking */
	err = bare_features(c, &f);
	if (err)
		return err;
	if (!chunk)
		chunk = f.pub.max_read;
	put(c, "!");
	replies(c, 1);
	attach = clock_now_ns();
	if (b->pid) {
		snprintf(cmd, sizeof(cmd), "vAttach;%" PRIx64, b->pid);
		put(c, cmd);
	} else {
		put(c, "?");
	}
	replies(c, 1);
	start = clock_now_ns();
	for (long i = 0; i < b->times; i++) {
		for (size_t j = 0; j < b->ranges->n; j++) {
			const struct range *r = &b->ranges->v[j];

			for (uint64_t off = 0; off < r->len; off += chunk) {
				snprintf(cmd, sizeof(cmd), "%c%" PRIx64 ",%" PRIx64,
					 f.pub.binary_read ? 'x' : 'm', r->addr + off,
					 r->len - off < chunk ? r->len - off : chunk);
				put(c, cmd);
				if (++under_way >= b->window)
					under_way -= replies(c, 1);
			}
			bytes += r->len;
		}
	}
	if (under_way)
		replies(c, under_way);
	s = (double)(clock_now_ns() - start) / 1e9;
	if (b->pid)
		snprintf(cmd, sizeof(cmd), "D;%" PRIx64, b->pid);
	put(c, b->pid ? cmd : "D");
	replies(c, 1);
	stopped = (double)(clock_now_ns() - attach) / 1e6;
	printf("bare: %.1f MB in %.3f s: %.1f MB/s; stopped %.1f ms\n", (double)bytes / 1e6, s,
	       (double)bytes / 1e6 / s, stopped);
	conn_destroy(c);
	return NULL;
}

static struct err *read_list(const char *path, struct ranges *ret)
{
	FILE *f = fopen(path, "r");
	struct err *err = NULL;
	struct range r;

	if (!f)
		return err_create(ERR_OS, "%s cannot be read", path);
	while (!err && fscanf(f, "%" SCNx64 " %" SCNx64, &r.addr, &r.len) == 2)
		err = vec_push(ret, r);
	fclose(f);
	return err;
}

static struct err *print_threads(struct rsp *rsp)
{
	const struct arch *arch = arch_find(62, (struct bytes_fmt){ 8, false });
	struct threads threads = VEC_INIT;
	struct target *t = NULL;
	struct live *live;
	uint64_t entry;
	struct err *err = live_create(rsp, arch, &live);

	if (!err) {
		t = live_target(live);
		err = target_threads(t, &threads);
	}
	for (size_t i = 0; !err && i < threads.n; i++) {
		struct thread *th = &threads.v[i];

		printf("thread %" PRIu64 "%s:", th->tid, th->valid ? "" : " (invalid)");
		for (unsigned r = 0; r < arch->nregs; r++) {
			if (th->have[r])
				printf(" %s=%" PRIx64, arch->reg_names[r], th->regs[r]);
		}
		putchar('\n');
	}
	vec_deinit(&threads);
	if (!err)
		err = target_auxv(t, 9, &entry);
	if (!err)
		printf("entry %" PRIx64 "\n", entry);
	target_destroy(t);
	return err;
}

int main(int argc, char **argv)
{
	struct rsp_options opts = { .timeout_ms = 10000 };
	const char *out = NULL, *file = NULL, *list = NULL;
	bool is_bare = false, threads = false;
	struct ranges ranges = VEC_INIT;
	unsigned window = 64;
	long times = 1, cycles = 0;
	uint64_t chunk = 0, addr, len;
	struct rsp_range range;
	struct rsp_stats stats;
	struct rsp *rsp;
	struct err *err;
	int64_t start;
	double s;
	int opt;

	while ((opt = getopt(argc, argv, "bp:n:to:w:c:D:f:R:")) != -1) {
		switch (opt) {
		case 'b':
			is_bare = true;
			break;
		case 'p':
			opts.pid = strtoull(optarg, NULL, 10);
			break;
		case 'n':
			times = atol(optarg);
			break;
		case 't':
			threads = true;
			break;
		case 'o':
			out = optarg;
			break;
		case 'w':
			window = (unsigned)atoi(optarg);
			break;
		case 'c':
			chunk = strtoull(optarg, NULL, 0);
			break;
		case 'D':
			cycles = atol(optarg);
			break;
		case 'f':
			file = optarg;
			break;
		case 'R':
			list = optarg;
			break;
		default:
			return 2;
		}
	}
	if (argc - optind != (list ? 1 : 3) || (list && !is_bare)) {
		fprintf(stderr,
			"usage: rsp_read [-b [-w N] [-c N]] [-p PID] [-n TIMES] [-t] [-o FILE] [-D N] [-f FILE] TARGET ADDR LEN\n"
			"       rsp_read -b [-w N] [-c N] [-p PID] [-n TIMES] -R FILE TARGET\n");
		return 2;
	}
	addr = list ? 0 : strtoull(argv[optind + 1], NULL, 16);
	len = list ? 0 : strtoull(argv[optind + 2], NULL, 0);
	if (is_bare) {
		struct bare b = { argv[optind], opts.pid, chunk, window, times, &ranges };

		err = list ? read_list(list, &ranges) :
			     vec_push(&ranges, ((struct range){ addr, len }));
		if (!err)
			err = bare(&b);
		vec_deinit(&ranges);
		return err ? fail(err) : 0;
	}
	err = intr_install();
	if (err)
		return fail(err);
	err = rsp_create(argv[optind], &opts, &rsp);
	if (err)
		return fail(err);
	printf("pid %" PRIu64 ", max_read %zu, window %u%s\n", rsp_pid(rsp),
	       rsp_features(rsp)->max_read, rsp_features(rsp)->window,
	       rsp_features(rsp)->vfile ? ", vfile" : "");
	fflush(stdout);
	range = (struct rsp_range){ addr, len, malloc(len + 1), 0 };
	memset(range.dst, 0xaa, len + 1);
	if (threads)
		err = print_threads(rsp);
	for (long i = 0; !err && i < cycles; i++) {
		err = rsp_detach(rsp);
		usleep(2000);
		start = clock_now_ns();
		if (!err)
			err = rsp_stop(rsp);
		s = (double)(clock_now_ns() - start) / 1e6;
		printf("vAttach %.3f ms", s);
		start = clock_now_ns();
		if (!err)
			err = rsp_detach(rsp);
		s = (double)(clock_now_ns() - start) / 1e6;
		printf(", D %.3f ms, stopped %.3f ms\n", s, (double)rsp_stopped_ns(rsp) / 1e6);
		if (!err)
			err = rsp_stop(rsp);
	}
	for (long i = 0; !err && (i < times || !times); i++)
		err = rsp_read_memory(rsp, &range, 1, NULL, NULL);
	if (!err && out) {
		FILE *f = fopen(out, "wb");

		if (!f || fwrite(range.dst, 1, range.got, f) != range.got || fclose(f))
			perror(out);
	}
	if (!err && file) {
		struct buf b = BUF_INIT;

		err = rsp_detach(rsp);
		start = clock_now_ns();
		if (!err)
			err = rsp_file_read(rsp, file, 1ull << 32, &b);
		s = (double)(clock_now_ns() - start) / 1e9;
		printf("%s: %zu bytes, %.1f MB/s, sum %u\n", file, b.len, (double)b.len / 1e6 / s,
		       packet_sum(b.data, b.len));
		buf_deinit(&b);
	}
	stats = rsp_stats(rsp);
	s = (double)stats.memory_ns / 1e9;
	if (!err)
		printf("grf: got 0x%" PRIx64 " of 0x%" PRIx64
		       "; %.1f MB in %.3f s: %.1f MB/s; wire %.1f MB; stopped %.1f ms\n",
		       range.got, len, (double)stats.memory_bytes / 1e6, s,
		       (double)stats.memory_bytes / 1e6 / s, (double)stats.bytes_in / 1e6,
		       (double)rsp_stopped_ns(rsp) / 1e6);
	free(range.dst);
	start = clock_now_ns();
	rsp_destroy(rsp);
	printf("goodbye took %.1f ms\n", (double)(clock_now_ns() - start) / 1e6);
	return err ? fail(err) : 0;
}
