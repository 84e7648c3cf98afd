/*
 * Memory, pipelined: requests for the biggest chunks the stub takes, a window of them under
 * way, replies decoded from the connection's buffer straight to where they belong.
 *
 * The window is the stub's (rsp/features.h) until a round trip is seen to take longer than that
 * many replies: then it grows to twice what the link brings in a round trip, requests and bytes
 * each.  So a link with a long way is kept full, and a slow one is never filled with more than two
 * round trips.
 *
 * The first pass reads all ranges one after the other.  A chunk that cannot be read ends its range
 * there.  The second pass finds out for each range that ended so, guesses excepted, where exactly
 * it ends: it asks for all pages of the chunk at once, and for the first byte of each.  Nearly
 * always that tells.  A page that begins and does not end is halved, with one probe of each range
 * under way at a time.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "rsp/rsp_int.h"

enum {
	PAGE = 4096, /* no machine's are smaller; larger ones cost a probe or two more */
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
	size_t gap; /* the one that it looks into; with pages() */
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
	return exchange_send_bytes(&rsp->x, p, (size_t)(s + sizeof(s) - p));
}

static struct err *decode(const struct rsp *rsp, const uint8_t *p, size_t len, uint8_t *dst,
			  uint64_t cap, size_t *got)
{
	if (!rsp->f.pub.binary_read)
		return packet_decode_hex(p, len, dst, cap, got);
	if (len && p[0] == 'b')
		return packet_decode_binary(p + 1, len - 1, dst, cap, got);
	return err_create(ERR_PROTO, "the stub answers `x` with something else");
}

/* The oldest request's reply; *ret bytes of it could be read, 0 = none. */
static struct err *take_chunk(struct reading *rd, struct chunk *c, uint64_t *ret)
{
	struct rsp *rsp = rd->rsp;
	const struct rsp_range *r;
	const uint8_t *p;
	size_t len, got = 0;

	TRY(exchange_next_raw(&rsp->x, &p, &len));
	*c = rd->ring[rd->head];
	r = &rd->ranges[c->range];
	rd->head = (rd->head + 1) % RING;
	rd->under_way--;
	rd->in_flight -= reply_size(rsp, c);
	widen(rd, reply_size(rsp, c));
	if (!exchange_is_error(p, len))
		TRY(err_wrapf(decode(rsp, p, len, r->dst + c->off, c->len, &got),
			      "reading memory at 0x%" PRIx64, r->addr + c->off));
	if (got && !rsp->have_good_addr) {
		rsp->have_good_addr = true;
		rsp->good_addr = r->addr + c->off;
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

/* Sends what may be under way; requests leave in bursts where the stub is said to want them so. */
static struct err *ask_more(struct reading *rd)
{
	const struct rsp *rsp = rd->rsp;
	struct chunk c;

	if (rd->under_way && rd->under_way + rsp->f.pub.burst > rsp->window)
		return NULL;
	while (room(rd) && next_chunk(rd, &c))
		TRY(ask(rd, &c));
	return NULL;
}

static struct err *first_pass(struct reading *rd)
{
	for (;;) {
		struct rsp_range *r;
		struct chunk c;
		uint64_t got;

		TRY(ask_more(rd));
		if (!rd->under_way)
			return NULL;
		TRY(take_chunk(rd, &c, &got));
		r = &rd->ranges[c.range];
		if (got == 0 && c.off < r->got) {
			r->got = c.off;
			if (!r->guess)
				TRY(vec_push(&rd->gaps,
					     ((struct gap){ c.range, c.off, c.off + c.len, 0 })));
		} else if (got && got < c.len) {
			/* A reply may be shorter than asked for: too many escapes, or the rest
			 * cannot be read; asking again tells. */
			c.off += got;
			c.len -= got;
			TRY(vec_push(&rd->again, c));
		}
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

/* Is the process still there?  What could be read once is asked for again. */
static struct err *ask_alive(struct rsp *rsp)
{
	return rsp->have_good_addr ? exchange_send(&rsp->x, "m%" PRIx64 ",1", rsp->good_addr) :
				     NULL;
}

static struct err *take_alive(struct rsp *rsp)
{
	if (!rsp->have_good_addr)
		return NULL;
	TRY(exchange_next(&rsp->x));
	if (!exchange_refused(&rsp->x))
		return NULL;
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

	TRY(take_chunk(rd, &c, &got));
	g = &rd->gaps.v[c.gap];
	if (c.off != g->lo)
		/* behind what failed, or the first byte of a page that could be read */
		return NULL;
	if (!got)
		g->hi = g->lo + c.len;
	g->lo += got; /* a short reply: half() goes on from there */
	return NULL;
}

/* A lower chunk of the same range failed later. */
static bool outdated(const struct reading *rd, const struct gap *g)
{
	return g->lo != rd->ranges[g->range].got;
}

/* Asks for each page of the gap, and for its first byte. */
static struct err *ask_pages(struct reading *rd, size_t gap)
{
	const struct gap g = rd->gaps.v[gap];
	const uint64_t addr = rd->ranges[g.range].addr;

	for (uint64_t at = g.lo, n; at < g.hi; at += n) {
		n = PAGE - (addr + at) % PAGE;
		n = clip(rd->rsp, addr + at, n < g.hi - at ? n : g.hi - at);
		for (int look = 0; look < (n > 1 ? 2 : 1); look++) {
			while (!room(rd))
				TRY(page_reply(rd));
			TRY(ask(rd, &(struct chunk){ g.range, at, look ? 1 : n, gap }));
		}
	}
	return NULL;
}

/* The pages of all gaps, up to the first of each that fails. */
static struct err *pages(struct reading *rd)
{
	size_t kept = 0;
	bool alive_asked;

	for (size_t i = 0; i < rd->gaps.n; i++) {
		if (outdated(rd, &rd->gaps.v[i]))
			rd->gaps.v[i].range = SIZE_MAX;
		else
			TRY(ask_pages(rd, i));
	}
	/* Is it still there?  With the last replies, where the stub takes several requests. */
	alive_asked = rd->rsp->window > 1 && rd->rsp->have_good_addr;
	if (alive_asked)
		TRY(ask_alive(rd->rsp));
	while (rd->under_way)
		TRY(page_reply(rd));
	if (alive_asked)
		TRY(take_alive(rd->rsp));
	for (size_t i = 0; i < rd->gaps.n; i++) {
		const struct gap *g = &rd->gaps.v[i];

		if (g->range == SIZE_MAX)
			continue;
		rd->ranges[g->range].got = g->lo;
		if (g->hi - g->lo > 1)
			rd->gaps.v[kept++] = *g;
	}
	rd->gaps.n = kept;
	rd->unsure = kept || !alive_asked;
	return NULL;
}

/* Probes as many gaps as may be under way, from *sent on. */
static struct err *ask_halves(struct reading *rd, size_t *sent)
{
	while (*sent < rd->gaps.n && room(rd)) {
		struct gap *g = &rd->gaps.v[(*sent)++];

		g->probe = outdated(rd, g) ? 0 : half(rd, g);
		if (g->probe)
			TRY(ask(rd, &(struct chunk){ g->range, g->lo, g->probe }));
	}
	return NULL;
}

static struct err *second_pass(struct reading *rd)
{
	if (rd->gaps.n)
		TRY(pages(rd));
	while (rd->gaps.n) {
		size_t sent = 0, kept = 0;

		for (size_t done = 0; done < rd->gaps.n; done++) {
			struct chunk c;
			uint64_t got;

			TRY(ask_halves(rd, &sent));
			if (!rd->gaps.v[done].probe)
				continue;
			TRY(take_chunk(rd, &c, &got));
			if (!narrow(rd, &rd->gaps.v[done], got))
				rd->gaps.v[kept++] = rd->gaps.v[done];
		}
		rd->gaps.n = kept;
	}
	return NULL;
}

static struct err *both_passes(struct reading *rd)
{
	struct rsp *rsp = rd->rsp;

	TRY(first_pass(rd));
	TRY(second_pass(rd));
	if (rd->unsure) {
		TRY(ask_alive(rsp));
		TRY(take_alive(rsp));
	}
	if (rd->progress)
		rd->progress(rd->arg, rd->bytes);
	for (size_t i = 0; i < rd->n; i++)
		rsp->memory_bytes += rd->ranges[i].got;
	return NULL;
}

static void reading_deinit(struct reading *rd)
{
	vec_deinit(&rd->again);
	vec_deinit(&rd->gaps);
	free(rd->ring);
}

struct err *rsp_read_memory(struct rsp *rsp, struct rsp_range *ranges, size_t n,
			    void (*progress)(void *arg, uint64_t bytes), void *arg)
{
	_cleanup_(reading_deinit) struct reading rd = {
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
	err = both_passes(&rd);
	rsp->memory_ns += (uint64_t)(clock_now_ns() - start);
	return err;
}
