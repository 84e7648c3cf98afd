/*
 * Memory, pipelined: requests for the biggest chunks the stub takes, a window of them under
 * way, replies decoded from the connection's buffer straight to where they belong.
 *
 * The window is the stub's (rsp/features.h) until a round trip is seen to take longer than that
 * many replies: then it grows to twice what the link brings in a round trip, requests and bytes
 * each.  So a link with a long way is kept full, and a slow one is never filled with more than two
 * round trips.
 *
 * First pass: all ranges one after the other.  A chunk that cannot be read ends its range there.
 * Second pass: for each range that ended so, guesses excepted, where exactly: all pages of the
 * chunk at once, each with a look at its first byte.  Nearly always that tells; where a page begins
 * and does not end it is halved, a probe for each range under way at a time.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "rsp/client.h"

enum {
	PAGE = 4096, /* no machine's are smaller; with larger ones a probe or two more */
	PROGRESS = 1 << 20,
	RING = 4096, /* requests under way at most; a power of two */
	/* bytes of replies under way; all are read before the process can be let go */
	IN_FLIGHT_MAX = 16 << 20,
	FRAME = 4,             /* $, # and the checksum */
	RATE_MIN_NS = 5000000, /* a rate is taken over this at least, and over a round trip */
};

/* One request under way. */
struct chunk {
	size_t range;
	uint64_t off; /* from the range's start */
	uint64_t len;
	size_t gap; /* with pages() */
};

/* A range that could not be read whole: [0, lo) can be, [lo, hi) as a whole cannot. */
struct gap {
	size_t range;
	uint64_t lo, hi;
	uint64_t probe; /* length under way, from lo */
};

struct reading {
	struct rsp *rsp;
	struct rsp_range *ranges;
	size_t n;
	size_t next; /* the range to ask for next, and how far into it */
	uint64_t next_off;
	VEC(struct chunk) again; /* the rest of short replies */
	VEC(struct gap) gaps;
	struct chunk *ring; /* under way, oldest first */
	unsigned head, under_way;
	uint64_t in_flight; /* bytes that the replies under way can have */
	int64_t asked_ns;   /* when the first request of all left; 0: its reply has come */
	int64_t since_ns;   /* the rate is taken from here */
	uint64_t since_replies, since_bytes, replies, reply_bytes;
	bool unsure; /* something failed, and nothing was read since */
	uint64_t bytes, told;
	void (*progress)(void *arg, uint64_t bytes);
	void *arg;
};

/* A request's length: at most max_read, and not across a boundary the stub cannot cross. */
static uint64_t clip(const struct rsp *rsp, uint64_t addr, uint64_t len)
{
	const struct rsp_features *f = &rsp->f.pub;
	uint64_t max = f->max_read;

	/* Later chunks start at page boundaries: a request then touches the fewest pages. */
	if (max >= PAGE && len > max)
		max -= addr % PAGE;
	if (f->read_align && max > f->read_align - addr % f->read_align)
		max = f->read_align - addr % f->read_align;
	return len < max ? len : max;
}

/* The end of the range as far as addresses go. */
static uint64_t range_len(const struct rsp_range *r)
{
	return r->addr && r->len > -r->addr ? -r->addr : r->len;
}

/* At most: runs make it shorter. */
static uint64_t reply_size(const struct rsp *rsp, const struct chunk *c)
{
	return (rsp->f.pub.binary_read ? c->len : 2 * c->len) + FRAME;
}

/* May one more request leave? */
static bool room(const struct reading *rd)
{
	const struct rsp *rsp = rd->rsp;

	return rd->under_way < rsp->window && (!rd->under_way || rd->in_flight < rsp->in_flight);
}

/* A reply has come: how long the way is, what the link brings, and what should be under way on
 * it. */
static void widen(struct reading *rd, uint64_t bytes)
{
	struct rsp *rsp = rd->rsp;
	int64_t now = clock_now_ns(), span;
	uint64_t want;

	rd->replies++;
	rd->reply_bytes += bytes;
	if (rd->asked_ns) { /* nothing was before it in the queue */
		if (!rsp->round_trip_ns || now - rd->asked_ns < rsp->round_trip_ns)
			rsp->round_trip_ns = now - rd->asked_ns;
		rd->asked_ns = 0;
		rd->since_ns = now;
		return;
	}
	span = now - rd->since_ns;
	if (span < RATE_MIN_NS || span < rsp->round_trip_ns || rsp->f.pub.window == 1)
		return;
	want = 2 * (rd->replies - rd->since_replies) * (uint64_t)rsp->round_trip_ns /
	       (uint64_t)span;
	if (want > RING)
		want = RING;
	if (want > rsp->window)
		rsp->window = (unsigned)want;
	want = 2 * (rd->reply_bytes - rd->since_bytes) * (uint64_t)rsp->round_trip_ns /
	       (uint64_t)span;
	if (want > IN_FLIGHT_MAX)
		want = IN_FLIGHT_MAX;
	if (want > rsp->in_flight)
		rsp->in_flight = want;
	rd->since_ns = now;
	rd->since_replies = rd->replies;
	rd->since_bytes = rd->reply_bytes;
}

static struct err *ask(struct reading *rd, const struct chunk *c)
{
	struct rsp *rsp = rd->rsp;
	uint64_t addr = rd->ranges[c->range].addr + c->off;
	char s[40], *p = s + sizeof(s);
	uint64_t v = c->len;

	/* By hand: printf would be a tenth of all the work here. */
	for (int part = 0; part < 2; part++) {
		do {
			*--p = "0123456789abcdef"[v & 15];
			v >>= 4;
		} while (v);
		if (part == 0)
			*--p = ',';
		v = addr;
	}
	*--p = rsp->f.pub.binary_read ? 'x' : 'm';
	rd->ring[(rd->head + rd->under_way) % RING] = *c;
	rd->under_way++;
	rd->in_flight += reply_size(rsp, c);
	if (!rd->replies && rd->under_way == 1)
		rd->asked_ns = clock_now_ns();
	return rsp_send_bytes(rsp, p, (size_t)(s + sizeof(s) - p));
}

/* The oldest request's reply; *got bytes of it could be read, 0 = none. */
static struct err *take(struct reading *rd, struct chunk *c, uint64_t *ret)
{
	struct rsp *rsp = rd->rsp;
	const uint8_t *p;
	uint8_t *dst;
	size_t len, got = 0;
	struct err *err = rsp_next_raw(rsp, &p, &len);

	if (err)
		return err;
	*c = rd->ring[rd->head];
	rd->head = (rd->head + 1) % RING;
	rd->under_way--;
	rd->in_flight -= reply_size(rsp, c);
	widen(rd, reply_size(rsp, c));
	dst = rd->ranges[c->range].dst + c->off;
	if (!rsp_is_error(p, len)) {
		if (!rsp->f.pub.binary_read)
			err = packet_decode_hex(p, len, dst, c->len, &got);
		else if (len && p[0] == 'b')
			err = packet_decode_binary(p + 1, len - 1, dst, c->len, &got);
		else
			err = err_create(ERR_PROTO, "the stub answers `x` with something else");
	}
	if (err)
		return err_wrapf(err, "reading memory at 0x%" PRIx64,
				 rd->ranges[c->range].addr + c->off);
	if (got && !rsp->have_good_addr) {
		rsp->have_good_addr = true;
		rsp->good_addr = rd->ranges[c->range].addr + c->off;
	}
	rd->bytes += got;
	if (rd->progress && rd->bytes - rd->told >= PROGRESS) {
		rd->told = rd->bytes;
		rd->progress(rd->arg, rd->bytes);
	}
	*ret = got;
	return NULL;
}

/* The next request of the first pass; false: there is none. */
static bool next_chunk(struct reading *rd, struct chunk *c)
{
	if (rd->again.n) {
		*c = rd->again.v[--rd->again.n];
		return true;
	}
	for (; rd->next < rd->n; rd->next++, rd->next_off = 0) {
		struct rsp_range *r = &rd->ranges[rd->next];

		/* got is below len once a chunk failed: what follows is not wanted any more. */
		if (rd->next_off >= r->got)
			continue;
		*c = (struct chunk){ rd->next, rd->next_off,
				     clip(rd->rsp, r->addr + rd->next_off, r->got - rd->next_off) };
		rd->next_off += c->len;
		return true;
	}
	return false;
}

static struct err *first_pass(struct reading *rd)
{
	struct chunk c;
	struct err *err = NULL;

	for (;;) {
		uint64_t got;

		bool send =
			!rd->under_way || rd->under_way + rd->rsp->f.pub.burst <= rd->rsp->window;

		while (send && room(rd) && next_chunk(rd, &c)) {
			err = ask(rd, &c);
			if (err)
				return err;
		}
		if (!rd->under_way)
			return NULL;
		err = take(rd, &c, &got);
		if (err)
			return err;
		if (got == 0 && c.off < rd->ranges[c.range].got) {
			rd->ranges[c.range].got = c.off;
			if (rd->ranges[c.range].guess)
				continue;
			err = vec_push(&rd->gaps,
				       ((struct gap){ c.range, c.off, c.off + c.len, 0 }));
		} else if (got && got < c.len) {
			/* A reply may be shorter than asked for: too many escapes, or the rest
			 * cannot be read; asking again tells. */
			c.off += got;
			c.len -= got;
			err = vec_push(&rd->again, c);
		}
		if (err)
			return err;
	}
}

/* How much of [lo, hi) to try next, less than all of it: all of it is in one page, or has pages
 * that read. */
static uint64_t half(const struct reading *rd, const struct gap *g)
{
	return clip(rd->rsp, rd->ranges[g->range].addr + g->lo, (g->hi - g->lo) / 2);
}

/* Narrows a gap by what its probe gave; true: lo is the first byte that cannot be read. */
static bool narrow(struct reading *rd, struct gap *g, uint64_t got)
{
	if (got)
		g->lo += got;
	else
		g->hi = g->lo + g->probe;
	rd->ranges[g->range].got = g->lo;
	return g->hi - g->lo <= 1;
}

static struct err *ask_alive(struct rsp *rsp)
{
	return rsp->have_good_addr ? rsp_send(rsp, "m%" PRIx64 ",1", rsp->good_addr) : NULL;
}

static struct err *take_alive(struct rsp *rsp)
{
	struct err *err = rsp->have_good_addr ? rsp_next(rsp) : NULL;

	if (err || !rsp->have_good_addr || !rsp_is_error(rsp->reply.data, rsp->reply.len))
		return err;
	return rsp->pid ?
		       err_create(ERR_EXITED,
				  "the process %" PRIu64 " is gone: what was readable no longer is",
				  rsp->pid) :
		       err_create(ERR_EXITED,
				  "the process is gone: what was readable no longer is");
}

static struct err *page_reply(struct reading *rd)
{
	struct chunk c;
	struct gap *g;
	uint64_t got;
	struct err *err = take(rd, &c, &got);

	if (err)
		return err;
	g = &rd->gaps.v[c.gap];
	if (c.off != g->lo)
		/* behind what failed, or the first byte of a page that could be read */
		return NULL;
	if (!got)
		g->hi = g->lo + c.len;
	g->lo += got; /* a short reply: half() goes on from there */
	return NULL;
}

/* The pages of all gaps, up to the first of each that fails. */
static struct err *pages(struct reading *rd)
{
	struct err *err = NULL;
	size_t kept = 0;
	bool alive_asked;

	for (size_t i = 0; i < rd->gaps.n && !err; i++) {
		const struct gap g = rd->gaps.v[i];
		uint64_t addr = rd->ranges[g.range].addr;

		/* A lower chunk of the same range failed later. */
		if (g.lo != rd->ranges[g.range].got) {
			rd->gaps.v[i].range = SIZE_MAX;
			continue;
		}
		for (uint64_t at = g.lo, n; at < g.hi && !err; at += n) {
			n = PAGE - (addr + at) % PAGE;
			n = clip(rd->rsp, addr + at, n < g.hi - at ? n : g.hi - at);
			for (int look = 0; look < (n > 1 ? 2 : 1) && !err; look++) {
				while (!err && !room(rd))
					err = page_reply(rd);
				if (!err)
					err = ask(rd,
						  &(struct chunk){ g.range, at, look ? 1 : n, i });
			}
		}
	}
	/* Is it still there?  With the last replies, where the stub takes several requests. */
	alive_asked = rd->rsp->window > 1 && rd->rsp->have_good_addr;
	if (!err && alive_asked)
		err = ask_alive(rd->rsp);
	while (!err && rd->under_way)
		err = page_reply(rd);
	if (!err && alive_asked)
		err = take_alive(rd->rsp);
	for (size_t i = 0; i < rd->gaps.n && !err; i++) {
		const struct gap *g = &rd->gaps.v[i];

		if (g->range == SIZE_MAX)
			continue;
		rd->ranges[g->range].got = g->lo;
		if (g->hi - g->lo > 1)
			rd->gaps.v[kept++] = *g;
	}
	rd->gaps.n = kept;
	rd->unsure = kept || !alive_asked;
	return err;
}

static struct err *second_pass(struct reading *rd)
{
	struct err *first = rd->gaps.n ? pages(rd) : NULL;

	if (first)
		return first;
	while (rd->gaps.n) {
		size_t sent = 0, done = 0, kept = 0;

		while (done < rd->gaps.n) {
			struct chunk c;
			struct gap *g;
			uint64_t got;
			struct err *err = NULL;

			while (!err && sent < rd->gaps.n && room(rd)) {
				g = &rd->gaps.v[sent++];
				/* A lower chunk of the same range failed later. */
				if (g->lo != rd->ranges[g->range].got) {
					g->probe = 0;
					continue;
				}
				g->probe = half(rd, g);
				if (!g->probe)
					continue;
				err = ask(rd, &(struct chunk){ g->range, g->lo, g->probe });
			}
			if (err)
				return err;
			g = &rd->gaps.v[done++];
			if (!g->probe)
				continue;
			err = take(rd, &c, &got);
			if (err)
				return err;
			if (!narrow(rd, g, got))
				rd->gaps.v[kept++] = *g;
		}
		rd->gaps.n = kept;
	}
	return NULL;
}

struct err *rsp_check_alive(struct rsp *rsp)
{
	struct err *err = ask_alive(rsp);

	return err ? err : take_alive(rsp);
}

struct err *rsp_read_memory(struct rsp *rsp, struct rsp_range *ranges, size_t n,
			    void (*progress)(void *arg, uint64_t bytes), void *arg)
{
	struct reading rd = {
		.rsp = rsp, .ranges = ranges, .n = n, .progress = progress, .arg = arg
	};
	int64_t start = clock_now_ns();
	struct err *err;

	for (size_t i = 0; i < n; i++) {
		if (ranges[i].len > LIMIT_READ)
			return err_create(ERR_LIMIT, "a range of %" PRIu64 " bytes is too long",
					  ranges[i].len);
		ranges[i].got = range_len(&ranges[i]);
	}
	rd.ring = calloc(RING, sizeof(*rd.ring));
	if (!rd.ring)
		return err_nomem();
	if (!rsp->window) {
		rsp->window = rsp->f.pub.window;
		rsp->in_flight = rsp->window * (uint64_t)rsp->f.pub.packet_size;
		/* The bytes are what counts: many small ones may be under way. */
		if (rsp->window > 1)
			rsp->window = RING / 4;
	}
	err = first_pass(&rd);
	if (!err)
		err = second_pass(&rd);
	if (!err && rd.unsure)
		err = rsp_check_alive(rsp);
	if (!err && progress)
		progress(arg, rd.bytes);
	for (size_t i = 0; !err && i < n; i++)
		rsp->memory_bytes += ranges[i].got;
	rsp->memory_ns += (uint64_t)(clock_now_ns() - start);
	vec_deinit(&rd.again);
	vec_deinit(&rd.gaps);
	free(rd.ring);
	return err;
}
