/*
 * What is fetched into an image: what of the ranges asked for it lacks, in one go; what could not
 * be read is a hole.
 */
#include "target/image_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"

enum { PIECE_JOIN = 1 << 20, PAGE = 4096 };

/* Fetched pieces that one range spans become one, if they are so small that a copy costs
 * nothing. */
static bool pieces_join(const struct piece *a, const struct piece *b)
{
	return (a->kind == PIECE_OWNED || a->kind == PIECE_STORED) &&
	       (b->kind == PIECE_OWNED || b->kind == PIECE_STORED) && a->len <= PIECE_JOIN &&
	       b->len <= PIECE_JOIN && a->addr + a->len == b->addr;
}

/* Whether all of r is in the image (or known to be a hole) already, and to be had as one
 * pointer; a guess also if what lacks was missed before. */
static bool image_covers(const struct image *img, struct range r, bool guess)
{
	uint64_t at = r.addr, end = r.addr + r.len;

	for (size_t i = image_lookup(img, at); at < end; i++) {
		const struct piece *p = i < img->pieces.n ? &img->pieces.v[i] : NULL;
		uint64_t upto = p && p->addr < end ? p->addr : end;

		if (upto > at && !(guess && ranges_hold(&img->missed, at, upto - at)))
			return false;
		if (upto == end)
			return true;
		at = p->addr + p->len;
		if (at < end && i + 1 < img->pieces.n && pieces_join(p, p + 1))
			return false;
	}
	return true;
}

/* How much of r is not in the image. */
static uint64_t image_lacks(const struct image *img, struct range r)
{
	uint64_t at = r.addr, end = r.addr + r.len, n = 0;

	for (size_t i = image_lookup(img, at); at < end; i++) {
		const struct piece *p = i < img->pieces.n ? &img->pieces.v[i] : NULL;

		if (!p || p->addr >= end)
			return n + (end - at);
		if (p->addr > at)
			n += p->addr - at;
		if (p->addr + p->len > at)
			at = p->addr + p->len;
	}
	return n;
}

/*
 * Takes lent pieces and holes out of the range [addr, end), and appends what is left to
 * `out`; overlapping owned pieces widen it, so that they can be swallowed.
 */
static struct err *image_missing(const struct image *img, struct range r, struct ranges *out)
{
	uint64_t addr = r.addr, end = r.addr + r.len;
	size_t i = image_lookup(img, addr);
	struct err *err;

	for (; i < img->pieces.n && img->pieces.v[i].addr < end; i++) {
		const struct piece *p = &img->pieces.v[i];
		uint64_t pend = p->addr + p->len;

		if (p->kind == PIECE_OWNED || p->kind == PIECE_STORED) {
			if (p->addr < addr)
				addr = p->addr;
			if (pend > end)
				end = pend;
			continue;
		}
		if (p->addr > addr) {
			err = vec_push(out, ((struct range){ addr, p->addr - addr }));
			if (err)
				return err;
		}
		addr = pend;
	}
	if (addr < end)
		return vec_push(out, ((struct range){ addr, end - addr }));
	return NULL;
}

VEC_NAMED(mem_ranges, struct mem_range);

/* What has still to be fetched of a new piece that may hold older ones. */
static struct err *piece_plan(const struct image *img, const struct piece *p, bool guess,
			      struct mem_ranges *todo)
{
	uint64_t addr = p->addr, end = p->addr + p->len;
	size_t i = image_lookup(img, addr);
	struct err *err;

	for (; addr < end; i++) {
		const struct piece *old = i < img->pieces.n ? &img->pieces.v[i] : NULL;
		uint64_t upto = old && old->addr < end ? old->addr : end;

		if (upto > addr) {
			err = vec_push(
				todo, ((struct mem_range){ addr, upto - addr,
							   p->data + (addr - p->addr), 0, guess }));
			if (err)
				return err;
		}
		if (upto == end)
			break;
		memcpy(p->data + (old->addr - p->addr), old->data, old->len);
		addr = old->addr + old->len;
	}
	return NULL;
}

/*
 * Fetches todo; what fails is tried again page by page, and the bytes that stay
 * unreadable are appended to holes; what a guess missed to both.
 */
static struct err *image_fetch(struct image *img, struct mem_ranges *todo, struct ranges *holes,
			       struct ranges *missed)
{
	struct mem_ranges again = VEC_INIT;
	uint64_t start = clock_now_ns();
	struct err *err;
	size_t i;

	img->stats.planned = 0;
	for (i = 0; i < todo->n; i++)
		img->stats.planned += todo->v[i].len;
	img->stats.asked += img->stats.planned;
	err = img->src->readv(img->src, todo->v, todo->n);
	for (i = 0; !err && i < todo->n; i++) {
		struct mem_range *r = &todo->v[i];
		uint64_t at = r->addr + r->got, end = r->addr + r->len;

		img->stats.fetched += r->got;
		if (r->guess && at < end) {
			err = vec_push(holes, ((struct range){ at, end - at }));
			if (!err)
				err = vec_push(missed, ((struct range){ at, end - at }));
			continue;
		}
		while (!err && at < end) {
			uint64_t next = (at | (PAGE - 1)) + 1;

			if (next > end || !next)
				next = end;
			if (at == r->addr + r->got) /* the byte that failed: its page is gone */
				err = vec_push(holes, ((struct range){ at, next - at }));
			else
				err = vec_push(&again, ((struct mem_range){ at, next - at,
									    r->dst + (at - r->addr),
									    0, false }));
			at = next;
		}
	}
	if (!err && again.n)
		err = img->src->readv(img->src, again.v, again.n);
	for (i = 0; !err && i < again.n; i++) {
		struct mem_range *r = &again.v[i];

		img->stats.fetched += r->got;
		if (r->got < r->len)
			err = vec_push(holes,
				       ((struct range){ r->addr + r->got, r->len - r->got }));
	}
	vec_deinit(&again);
	if (img->stats.fetches < IMAGE_ROUNDS)
		img->stats.rounds[img->stats.fetches] =
			(struct image_round){ img->stats.planned, clock_now_ns() - start };
	img->stats.fetches++;
	return err;
}

/* A hole, but for what a guess only missed: that may be asked for again. */
static struct err *hole_push(struct image *out, const struct ranges *missed, struct range hole)
{
	uint64_t at = hole.addr, end = hole.addr + hole.len;

	for (size_t i = ranges_lookup(missed, at); at < end; i++) {
		uint64_t upto = i < missed->n && missed->v[i].addr < end ? missed->v[i].addr : end;
		struct err *err =
			upto > at ? vec_push(&out->pieces,
					     ((struct piece){ at, upto - at, NULL, PIECE_HOLE })) :
				    NULL;

		if (err || upto == end)
			return err;
		at = missed->v[i].addr + missed->v[i].len;
	}
	return NULL;
}

/* Splits a new piece at the holes that lie in it, and appends the result to `out`. */
static struct err *piece_split(struct piece *p, const struct ranges *holes,
			       const struct ranges *missed, size_t *hole, struct image *out)
{
	uint64_t end = p->addr + p->len;
	struct err *err;

	if (*hole == holes->n || holes->v[*hole].addr >= end)
		return vec_push(&out->pieces, *p);
	for (uint64_t at = p->addr; at < end;) {
		bool in = *hole < holes->n && holes->v[*hole].addr < end;
		uint64_t upto = in ? holes->v[*hole].addr : end;

		if (upto > at) {
			struct piece part = { at, upto - at, p->data + (at - p->addr), p->kind };

			if (p->kind == PIECE_OWNED) {
				part.data = piece_alloc(part.len);
				if (!part.data)
					return err_nomem();
				memcpy(part.data, p->data + (at - p->addr), part.len);
			}
			err = vec_push(&out->pieces, part);
			if (err) {
				piece_free(&part);
				return err;
			}
			at = upto;
		}
		if (in) {
			err = hole_push(out, missed, holes->v[*hole]);
			if (err)
				return err;
			at += holes->v[(*hole)++].len;
		}
	}
	piece_free(p);
	p->data = NULL;
	return NULL;
}

/* Puts the new pieces in, drops the old ones that they swallowed. */
static struct err *image_insert(struct image *img, struct image *fresh, struct ranges *holes,
				struct ranges *missed)
{
	size_t i, n = 0, hole = 0;
	struct image out = { .fmt = img->fmt };
	struct err *err = NULL;

	ranges_merge(holes, 0);
	ranges_merge(missed, 0);
	pieces_sort(fresh);
	for (i = 0; i < fresh->pieces.n && !err; i++)
		err = piece_split(&fresh->pieces.v[i], holes, missed, &hole, &out);
	if (!err)
		err = vec_reserve(&img->pieces, out.pieces.n);
	if (err) {
		/* out of memory: its few split pieces go with the process */
		vec_deinit(&out.pieces);
		return err;
	}
	for (i = 0; i < img->pieces.n; i++) {
		struct piece *p = &img->pieces.v[i];
		size_t lo = 0, hi = fresh->pieces.n;

		while (lo < hi) {
			size_t mid = (lo + hi) / 2;

			if (fresh->pieces.v[mid].addr + fresh->pieces.v[mid].len <= p->addr)
				lo = mid + 1;
			else
				hi = mid;
		}
		if (lo < fresh->pieces.n && fresh->pieces.v[lo].addr <= p->addr)
			piece_free(p); /* swallowed; no lent one can be */
		else
			img->pieces.v[n++] = *p;
	}
	if (out.pieces.n)
		memcpy(img->pieces.v + n, out.pieces.v, out.pieces.n * sizeof(struct piece));
	img->pieces.n = n + out.pieces.n;
	pieces_sort(img);
	fresh->pieces.n = 0;
	vec_deinit(&out.pieces);
	return NULL;
}

/* Bytes of the holes that were asked for (bridged gaps do not count). */
static void image_count_holes(struct image *img, const struct ranges *asked,
			      const struct ranges *holes)
{
	for (size_t i = 0, j = 0; i < asked->n && j < holes->n;) {
		uint64_t a = asked->v[i].addr, ae = a + asked->v[i].len;
		uint64_t h = holes->v[j].addr, he = h + holes->v[j].len;
		uint64_t lo = a > h ? a : h, hi = ae < he ? ae : he;

		if (lo < hi) {
			if (!img->stats.holes++)
				img->stats.first_hole = lo;
			img->stats.hole_bytes += hi - lo;
		}
		if (ae < he)
			i++;
		else
			j++;
	}
}

/* Much at once is kept together, in a file if it is too much for memory. */
static struct err *store_ranges(struct image *img, const struct ranges *missing, struct store **ret)
{
	uint64_t total = 0;
	struct err *err;

	*ret = NULL;
	for (size_t i = 0; i < missing->n; i++) {
		if (missing->v[i].len > LIMIT_READ)
			return NULL; /* said where it is fetched */
		total += missing->v[i].len + 16;
	}
	err = img->thrifty && total >= STORE_MIN ? store_file(total, 0, ret, &img->stats.no_file) :
						   NULL;
	if (!err && !*ret)
		err = store_for(total, ret, &img->stats.no_file);
	if (!*ret)
		return err;
	(*ret)->next = img->stores;
	img->stores = *ret;
	if ((*ret)->budget) {
		img->stats.file_bytes += total;
		img->stats.file_budget += (*ret)->budget;
	}
	return NULL;
}

/* asked: may be NULL; ahead, too: what is not counted as asked for. */
static struct err *image_fetch_ranges(struct image *img, const struct ranges *asked,
				      const struct ranges *ahead, uint64_t gap)
{
	struct ranges want = VEC_INIT, missing = VEC_INIT, holes = VEC_INIT, missed = VEC_INIT;
	struct mem_ranges todo = VEC_INIT;
	struct image fresh = { .fmt = img->fmt };
	struct store *store = NULL;
	struct err *err = NULL;
	size_t i;

	/* What is there already may be there as a gap only. */
	if (img->remember && asked)
		err = ranges_append(&img->wanted, asked);
	if (!err && img->remember && ahead)
		err = ranges_append(&img->wanted, ahead);
	for (i = 0; !err && asked && i < asked->n; i++)
		if (!image_covers(img, asked->v[i], false))
			err = vec_push(&want, asked->v[i]);
	for (i = 0; !err && ahead && i < ahead->n; i++)
		if (!image_covers(img, ahead->v[i], true))
			err = vec_push(&want, ahead->v[i]);
	ranges_merge(&want, 0);
	for (i = 0; i < want.n; i++)
		img->stats.needed += image_lacks(img, want.v[i]);
	ranges_merge(&want, img->src->no_gaps ? 0 : gap);
	for (i = 0; !err && i < want.n; i++)
		err = image_missing(img, want.v[i], &missing);
	ranges_merge(&missing, 0);
	if (!err)
		err = store_ranges(img, &missing, &store);
	for (i = 0; !err && i < missing.n; i++) {
		struct piece p = { missing.v[i].addr, missing.v[i].len, NULL, PIECE_OWNED };

		if (p.len > LIMIT_READ) {
			err = err_create(ERR_LIMIT,
					 "a range of %" PRIu64 " bytes to read at 0x%" PRIx64,
					 p.len, p.addr);
			break;
		}
		p.data = store ? store_alloc(store, p.len) : NULL;
		if (p.data)
			p.kind = PIECE_STORED;
		else
			p.data = piece_alloc(p.len);
		if (!p.data) {
			err = err_nomem();
			break;
		}
		err = vec_push(&fresh.pieces, p);
		if (err)
			piece_free(&p);
		else
			err = piece_plan(img, &p, !asked || !ranges_touch(asked, p.addr, p.len),
					 &todo);
	}
	if (!err && todo.n)
		err = image_fetch(img, &todo, &holes, &missed);
	if (!err)
		err = image_insert(img, &fresh, &holes, &missed);
	for (i = 0; i < missed.n && !err; i++)
		err = vec_push(&img->missed, missed.v[i]);
	ranges_merge(&img->missed, 0);
	if (!err && asked)
		image_count_holes(img, asked, &holes);
	for (i = 0; i < fresh.pieces.n; i++)
		piece_free(&fresh.pieces.v[i]);
	vec_deinit(&fresh.pieces);
	vec_deinit(&want);
	vec_deinit(&missing);
	vec_deinit(&holes);
	vec_deinit(&missed);
	vec_deinit(&todo);
	return err;
}

struct err *image_need(struct image *img, struct ranges *ranges, uint64_t gap)
{
	if (!img->src || !ranges->n)
		return NULL;
	ranges_merge(ranges, 0);
	return image_fetch_ranges(img, ranges, NULL, gap);
}

struct err *image_need_ahead(struct image *img, struct ranges *ranges, struct ranges *ahead,
			     uint64_t gap)
{
	if (!img->src)
		return NULL;
	ranges_merge(ranges, 0);
	ranges_merge(ahead, 0);
	return image_fetch_ranges(img, ranges, ahead, gap);
}

struct err *image_need1(struct image *img, uint64_t addr, uint64_t len)
{
	struct range r = { addr, len };
	struct ranges one = { &r, 1, 1 };

	return image_need(img, &one, 0);
}

struct err *image_try(struct image *img, struct ranges *ranges)
{
	if (!img->src || !ranges->n)
		return NULL;
	ranges_merge(ranges, 0);
	return image_fetch_ranges(img, NULL, ranges, 0);
}
