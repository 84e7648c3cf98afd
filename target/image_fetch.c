/*
 * Fetching into an image.  image_fetch_ranges() is the whole of it, step by step: which of the
 * ranges asked for the image lacks; new pieces to hold them, with what older pieces already have;
 * one request to the source, and a second one, page by page, for what failed in the first; the new
 * pieces take the place of the old ones.  Where much lacks and is to be packed, that is done slice
 * by slice, so that only two slices are in memory as they are.  What could not be read becomes a
 * hole, which is not asked for again.
 */
#include "target/image_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"

enum {
	PIECE_JOIN = 1 << 20, /* larger pieces are not copied to make one of two */
	FETCH_PAGE = 4096,    /* no process has smaller pages */
	AGAIN_MAX = 1 << 18,  /* pages of one range that are asked for again: 1 GB */
};

/* Fetched pieces that one range spans become one, if they are so small that a copy costs
 * nothing. */
static bool pieces_join(const struct piece *a, const struct piece *b)
{
	return piece_is_loose(a) && piece_is_loose(b) && a->len <= PIECE_JOIN &&
	       b->len <= PIECE_JOIN && a->addr + a->len == b->addr;
}

/* Is all of r in the image already (or known to be a hole), and to be had as one pointer?  Of a
 * guess it is enough that what lacks was missed before. */
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
 * Takes lent and packed pieces and holes out of the range [addr, end), and appends what is left to
 * `out`; other overlapping pieces widen it, so that they can be swallowed.
 */
static struct err *image_missing(const struct image *img, struct range r, struct ranges *out)
{
	uint64_t addr = r.addr, end = r.addr + r.len;

	for (size_t i = image_lookup(img, addr); i < img->pieces.n && img->pieces.v[i].addr < end;
	     i++) {
		const struct piece *p = &img->pieces.v[i];
		uint64_t pend = p->addr + p->len;

		if (piece_is_loose(p)) {
			if (p->addr < addr)
				addr = p->addr;
			if (pend > end)
				end = pend;
			continue;
		}
		if (p->addr > addr)
			TRY(vec_push(out, ((struct range){ addr, p->addr - addr })));
		addr = pend;
	}
	if (addr < end)
		return vec_push(out, ((struct range){ addr, end - addr }));
	return NULL;
}

VEC_NAMED(mem_ranges, struct mem_range);

/* One fetch, until it is part of the image. */
struct fetch {
	struct ranges missing;  /* what the image lacks: a new piece each */
	struct pieces fresh;    /* the new pieces */
	struct mem_ranges todo; /* what of them the source is asked for */
	struct ranges holes;    /* what the source could not give */
	struct ranges missed;   /* of these, what was only a guess */
	uint64_t read;          /* bytes so far, since `start` */
	int64_t start;
};

static void fetch_deinit(struct fetch *f)
{
	vec_deinit(&f->missing);
	pieces_deinit(&f->fresh);
	vec_deinit(&f->todo);
	vec_deinit(&f->holes);
	vec_deinit(&f->missed);
}

/* ------------------------------------------------------------------ what lacks */

/* Ranges of which the image does not cover all. */
static struct err *add_uncovered(const struct image *img, const struct ranges *ranges, bool guess,
				 struct ranges *ret)
{
	for (size_t i = 0; i < ranges->n; i++)
		if (!image_covers(img, ranges->v[i], guess))
			TRY(vec_push(ret, ranges->v[i]));
	return NULL;
}

static struct err *find_missing(struct image *img, const struct ranges *asked,
				const struct ranges *ahead, uint64_t gap, struct ranges *missing)
{
	_cleanup_vec_ struct ranges want = VEC_INIT;

	TRY(add_uncovered(img, asked, false, &want));
	TRY(add_uncovered(img, ahead, true, &want));
	ranges_merge(&want, 0);
	for (size_t i = 0; i < want.n; i++)
		img->stats.needed += image_lacks(img, want.v[i]);
	ranges_merge(&want, img->src->no_gaps ? 0 : gap);
	for (size_t i = 0; i < want.n; i++)
		TRY(image_missing(img, want.v[i], missing));
	ranges_merge(missing, 0);
	return NULL;
}

/* ------------------------------------------------------------------ new pieces */

/* Room for all that lacks, if it is much: kept together, in a file if it is too much for memory.
 * *ret is NULL if it is little. */
static struct err *store_ranges(struct image *img, const struct ranges *missing, struct store **ret)
{
	uint64_t total = 0;
	struct store *s = NULL;

	*ret = NULL;
	for (size_t i = 0; i < missing->n; i++) {
		if (missing->v[i].len > LIMIT_READ)
			return NULL; /* piece_create() says so */
		total += missing->v[i].len + STORE_ALIGN;
	}
	if (img->thrifty && total >= STORE_MIN)
		TRY(store_file(total, 0, &s, &img->stats.no_file));
	if (!s)
		TRY(store_for(total, &s, &img->stats.no_file));
	if (!s)
		return NULL;
	s->next = img->stores;
	img->stores = s;
	if (s->budget) {
		img->stats.file_bytes += total;
		img->stats.file_budget += s->budget;
	}
	*ret = s;
	return NULL;
}

/* A new piece, in the store if there is one. */
static struct err *piece_create(struct range r, struct store *store, struct pieces *out)
{
	struct piece p = { r.addr, r.len, NULL, PIECE_OWNED };

	if (p.len > LIMIT_READ)
		return err_create(ERR_LIMIT, "a range of %" PRIu64 " bytes to read at 0x%" PRIx64,
				  p.len, p.addr);
	TRY(vec_reserve(out, 1));
	p.data = store ? store_alloc(store, p.len) : NULL;
	if (p.data)
		p.kind = PIECE_STORED;
	else
		p.data = piece_alloc(p.len);
	if (!p.data)
		return err_nomem();
	out->v[out->n++] = p;
	return NULL;
}

/* Copies what older pieces have of a new one, or of a part of it, into it; the rest is still to be
 * fetched. */
static struct err *piece_plan(const struct image *img, const struct piece *p, bool guess,
			      struct mem_ranges *todo)
{
	uint64_t addr = p->addr, end = p->addr + p->len;

	for (size_t i = image_lookup(img, addr); addr < end; i++) {
		const struct piece *old = i < img->pieces.n ? &img->pieces.v[i] : NULL;
		uint64_t upto = old && old->addr < end ? old->addr : end;

		if (upto > addr)
			TRY(vec_push(todo,
				     ((struct mem_range){ addr, upto - addr,
							  p->data + (addr - p->addr), 0, guess })));
		if (upto == end)
			break;
		upto = old->addr + old->len < end ? old->addr + old->len : end;
		if (old->addr > addr)
			addr = old->addr;
		piece_copy(old, addr - old->addr, p->data + (addr - p->addr), upto - addr);
		addr = upto;
	}
	return NULL;
}

static struct err *make_pieces(struct image *img, const struct ranges *asked, struct fetch *f)
{
	struct store *store;

	TRY(store_ranges(img, &f->missing, &store));
	for (size_t i = 0; i < f->missing.n; i++) {
		struct range r = f->missing.v[i];

		TRY(piece_create(r, store, &f->fresh));
		TRY(piece_plan(img, &f->fresh.v[i], !ranges_touch(asked, r.addr, r.len), &f->todo));
	}
	return NULL;
}

/* ------------------------------------------------------------------ the source */

/* What came of r.  The page that failed is a hole; the pages behind it are asked for again, one by
 * one, but no more than AGAIN_MAX pieces: where more is missing, they are larger, and a hole from
 * their first bad page on.  What a guess missed is a hole without that. */
static struct err *fetch_take(struct image *img, const struct mem_range *r, struct fetch *f,
			      struct mem_ranges *again)
{
	uint64_t bad = r->addr + r->got, end = r->addr + r->len;
	uint64_t step = ((end - bad) / AGAIN_MAX | (FETCH_PAGE - 1)) + 1;

	img->stats.fetched += r->got;
	if (bad == end)
		return NULL;
	if (r->guess) {
		TRY(vec_push(&f->holes, ((struct range){ bad, end - bad })));
		return vec_push(&f->missed, ((struct range){ bad, end - bad }));
	}
	for (uint64_t at = bad, next; at < end; at = next) {
		next = (at | (FETCH_PAGE - 1)) + 1;
		if (at != bad && next < end && end - next >= step - FETCH_PAGE)
			next += step - FETCH_PAGE;
		if (next > end || !next)
			next = end;
		if (at == bad)
			TRY(vec_push(&f->holes, ((struct range){ at, next - at })));
		else
			TRY(vec_push(again, ((struct mem_range){ at, next - at,
								 r->dst + (at - r->addr) })));
	}
	return NULL;
}

enum {
	SLICE_FIRST = 1 << 20, /* bytes that are asked for at a time, where there is a deadline */
	SLICE_MS = 100,        /* the next ones take so long */
	/* The rate is known after this, and after this part of the time there is: others may have
	 * the processors for a moment. */
	SURE_MS = 200,
	SURE_PART = 4,
};

/* How many of the n ranges have `bytes` bytes together, at least one; *len: they have. */
static size_t slice(const struct mem_range *r, size_t n, uint64_t bytes, uint64_t *len)
{
	size_t i = 0;

	for (*len = 0; i < n && (!i || *len < bytes); i++)
		*len += r[i].len;
	return i;
}

static struct err *deadline_check(const struct image *img, const struct fetch *f)
{
	int64_t now = clock_now_ns(), spent = now - f->start;
	uint64_t left = img->stats.planned - f->read;
	bool sure = spent > SURE_MS * 1000000 && spent > (img->deadline - f->start) / SURE_PART;
	double more = sure && f->read ? (double)left / (double)f->read * (double)spent : 0;

	if (now >= img->deadline)
		return err_create(ERR_LIMIT,
				  "the stop's time is over, and %.1f MB are still to be read",
				  (double)left / 1e6);
	if ((double)now + more > (double)img->deadline)
		return err_create(ERR_LIMIT,
				  "the stop's time will not do: %.1f MB are still to be read, at "
				  "%.1f MB/s",
				  (double)left / 1e6, (double)f->read * 1e3 / (double)spent);
	return NULL;
}

/* Cuts the ranges, so that the deadline can be looked at between the slices of a big one. */
static struct err *cut_ranges(struct mem_ranges *todo)
{
	_cleanup_vec_ struct mem_ranges out = VEC_INIT;

	for (size_t i = 0; i < todo->n; i++)
		for (struct mem_range r = todo->v[i], part; r.len;
		     r.addr += part.len, r.len -= part.len, r.dst += part.len) {
			part = r;
			part.len = r.len < SLICE_FIRST ? r.len : SLICE_FIRST;
			TRY(vec_push(&out, part));
		}
	vec_deinit(todo);
	*todo = out;
	out = (struct mem_ranges)VEC_INIT;
	return NULL;
}

/* Reads what is to be read, in slices if there is a deadline. */
static struct err *fetch_slices(struct image *img, struct fetch *f)
{
	uint64_t bytes = SLICE_FIRST, len;

	if (!img->deadline)
		return img->src->readv(img->src, f->todo.v, f->todo.n);
	TRY(cut_ranges(&f->todo));
	for (size_t i = 0, n; i < f->todo.n; i += n) {
		int64_t spent;

		TRY(deadline_check(img, f));
		n = slice(f->todo.v + i, f->todo.n - i, bytes, &len);
		TRY(img->src->readv(img->src, f->todo.v + i, n));
		f->read += len;
		spent = clock_now_ns() - f->start + 1;
		bytes = (uint64_t)((double)f->read / (double)spent * SLICE_MS * 1e6);
	}
	return NULL;
}

static struct err *fetch_todo(struct image *img, struct fetch *f)
{
	_cleanup_vec_ struct mem_ranges again = VEC_INIT;

	TRY(fetch_slices(img, f));
	for (size_t i = 0; i < f->todo.n; i++)
		TRY(fetch_take(img, &f->todo.v[i], f, &again));
	if (!again.n)
		return NULL;
	TRY(img->src->readv(img->src, again.v, again.n));
	for (size_t i = 0; i < again.n; i++) {
		const struct mem_range *r = &again.v[i];

		img->stats.fetched += r->got;
		if (r->got < r->len)
			TRY(vec_push(&f->holes,
				     ((struct range){ r->addr + r->got, r->len - r->got })));
	}
	return NULL;
}

/* ------------------------------------------------------------------ packed */

enum {
	PACK_SLICE = 8 << 20, /* bytes that are fetched at a time, before they are packed */
	PACK_TRIPS = 25,      /* but more where that takes less than so many ways there and back */
};

/*
 * What is fetched next of the new pieces, and where it goes until it is packed.  There are two such
 * buffers: one fills while the other is packed.
 */
struct packing {
	uint8_t *buf[2];
	uint64_t size;
	unsigned turn;
	size_t piece; /* what comes next */
	uint64_t off;
};

static void packing_deinit(struct packing *k)
{
	free(k->buf[0]);
	free(k->buf[1]);
}

/* The shortest fetch so far was hardly more than a way there and back. */
static uint64_t slice_size(const struct image *img, uint64_t total)
{
	const struct image_stats *st = &img->stats;
	uint64_t trip = UINT64_MAX, rate = 0, size;

	for (uint64_t i = 0; i < st->fetches && i < IMAGE_ROUNDS; i++) {
		const struct image_round *r = &st->rounds[i];

		trip = r->ns < trip ? r->ns : trip;
		if (r->ns && r->bytes * 1000 / r->ns > rate)
			rate = r->bytes * 1000 / r->ns; /* MB/s */
	}
	size = trip == UINT64_MAX ? 0 : PACK_TRIPS * trip / 1000 * rate;
	size = size < PACK_SLICE ? PACK_SLICE : size;
	size = size < total ? size : total;
	return (size + PACK_BLOCK - 1) & ~(uint64_t)(PACK_BLOCK - 1);
}

/* New pieces, which pack has room for. */
static struct err *packed_pieces(struct image *img, struct fetch *f, struct pack *pack)
{
	img->filling = pack;
	*pack_next(pack) = img->packs;
	img->packs = pack;
	TRY(vec_reserve(&f->fresh, f->missing.n));
	for (size_t i = 0; i < f->missing.n; i++) {
		struct range r = f->missing.v[i];

		f->fresh.v[f->fresh.n++] =
			(struct piece){ r.addr, r.len, (uint8_t *)pack_piece(pack, r.addr, r.len),
					PIECE_PACKED };
	}
	return NULL;
}

/* Takes what is to be skipped out of the last ranges of todo, from `first` on. */
static struct err *slice_skip(const struct image *img, size_t first, struct mem_ranges *todo)
{
	_cleanup_vec_ struct mem_ranges out = VEC_INIT;

	for (size_t i = first; img->skip.n && i < todo->n; i++) {
		struct mem_range r = todo->v[i];
		uint64_t end = r.addr + r.len;

		for (size_t k = ranges_lookup(&img->skip, r.addr);
		     k < img->skip.n && img->skip.v[k].addr < end; k++) {
			uint64_t lo = img->skip.v[k].addr, hi = lo + img->skip.v[k].len;

			hi = hi < end ? hi : end;
			if (lo > r.addr)
				TRY(vec_push(&out, ((struct mem_range){ r.addr, lo - r.addr, r.dst,
									0, r.guess })));
			lo = lo > r.addr ? lo : r.addr;
			memset(r.dst + (lo - r.addr), 0, hi - lo);
			r.dst += hi - r.addr;
			r.addr = hi;
		}
		r.len = end - r.addr;
		if (r.len)
			TRY(vec_push(&out, r));
	}
	if (!img->skip.n)
		return NULL;
	todo->n = first;
	for (size_t i = 0; i < out.n; i++)
		TRY(vec_push(todo, out.v[i]));
	return NULL;
}

/* Plans the next slice: what of it is to be fetched, and what waits then to be packed. */
static struct err *slice_plan(struct image *img, const struct ranges *asked, struct fetch *f,
			      struct packing *k, struct unpacked_list *parts)
{
	uint8_t *dst = k->buf[k->turn];
	uint64_t left = k->size;
	size_t first;

	f->todo.n = 0;
	while (k->piece < f->fresh.n && left >= PACK_BLOCK) {
		const struct piece *p = &f->fresh.v[k->piece];
		struct piece part = { p->addr + k->off, p->len - k->off, dst, PIECE_OWNED };

		if (part.len > left) { /* up to a block's end */
			part.len = left - ((part.addr + left) & (PACK_BLOCK - 1));
			left = part.len;
		}
		first = f->todo.n;
		TRY(piece_plan(img, &part, !ranges_touch(asked, p->addr, p->len), &f->todo));
		TRY(slice_skip(img, first, &f->todo));
		TRY(vec_push(parts, ((struct unpacked){ (struct packed *)p->data, part.addr,
							part.len, dst })));
		dst += part.len;
		left -= part.len;
		k->off += part.len;
		if (k->off == p->len) {
			k->piece++;
			k->off = 0;
		}
	}
	return NULL;
}

static struct err *fetch_packed(struct image *img, const struct ranges *asked, struct fetch *f,
				struct pack *pack)
{
	_cleanup_(
		packing_deinit) struct packing k = { .size = slice_size(img, img->stats.planned) };

	for (unsigned i = 0; i < 2; i++)
		if (!(k.buf[i] = malloc(k.size + PACK_BLOCK)))
			return err_nomem();
	TRY(packed_pieces(img, f, pack));
	img->stats.sliced = 0;
	while (k.piece < f->fresh.n) {
		_cleanup_vec_ struct unpacked_list parts = VEC_INIT;
		uint64_t before = img->stats.fetched;

		TRY(slice_plan(img, asked, f, &k, &parts));
		if (f->todo.n)
			TRY(fetch_todo(img, f));
		img->stats.sliced += img->stats.fetched - before;
		image_fill(img, UINT64_MAX);
		vec_deinit(&img->waiting);
		img->waiting = parts;
		parts = (struct unpacked_list)VEC_INIT;
		img->packed = 0;
		k.turn ^= 1;
	}
	image_fill(img, UINT64_MAX);
	return NULL;
}

/* ------------------------------------------------------------------ one round */

/* Room to pack what lacks; *ret is NULL where it is not packed. */
static struct err *pack_ranges(const struct image *img, const struct ranges *missing,
			       struct pack **ret)
{
	uint64_t total = 0;

	*ret = NULL;
	if (!img->packing || img->thrifty)
		return NULL;
	for (size_t i = 0; i < missing->n; i++) {
		if (missing->v[i].len > LIMIT_READ)
			return NULL; /* piece_create() says so */
		total += missing->v[i].len;
	}
	return total >= STORE_MIN && store_fits(total) ? pack_create(total, missing->n, ret) : NULL;
}

static struct err *fetch_how(struct image *img, const struct ranges *asked, struct fetch *f,
			     struct pack *pack)
{
	struct err *err = pack ? fetch_packed(img, asked, f, pack) : fetch_todo(img, f);

	vec_deinit(&img->skip);
	img->skip = (struct ranges)VEC_INIT;
	vec_deinit(&img->waiting); /* it points into what is gone */
	img->waiting = (struct unpacked_list)VEC_INIT;
	img->packed = 0;
	img->filling = NULL;
	img->stats.sliced = 0;
	return err;
}

/* How much of these sorted ranges is to be skipped. */
static uint64_t skipped(const struct image *img, const struct ranges *ranges)
{
	uint64_t n = 0;

	for (size_t i = 0, k = 0; i < ranges->n && k < img->skip.n;) {
		const struct range *r = &ranges->v[i], *s = &img->skip.v[k];
		uint64_t lo = r->addr > s->addr ? r->addr : s->addr;
		uint64_t rend = r->addr + r->len, send = s->addr + s->len,
			 hi = rend < send ? rend : send;

		n += hi > lo ? hi - lo : 0;
		if (rend < send)
			i++;
		else
			k++;
	}
	return n;
}

/* What lacks is what the runtime's structures say, and these are the process's: it can say any
 * size, but it cannot have it. */
static struct err *check_most(const struct image *img, const struct ranges *missing)
{
	const struct range *largest = NULL;
	uint64_t total = 0;

	for (size_t i = 0; i < missing->n; i++) {
		const struct range *r = &missing->v[i];

		total = r->len < UINT64_MAX - total ? total + r->len : UINT64_MAX;
		if (!largest || r->len > largest->len)
			largest = r;
	}
	if (!img->src->most || total <= img->src->most)
		return NULL;
	return err_create(
		ERR_LIMIT,
		"the runtime's structures, damaged or made up, say that %.1f GB are to be "
		"read, %.1f GB of it at 0x%" PRIx64 ", and %s",
		(double)total / 1e9, (double)largest->len / 1e9, largest->addr, img->src->most_why);
}

/* Makes the new pieces and fetches what they lack; counts the round, also one that failed. */
static struct err *image_fetch(struct image *img, const struct ranges *asked, struct fetch *f)
{
	struct pack *pack;
	struct err *err;

	TRY(check_most(img, &f->missing));
	TRY(pack_ranges(img, &f->missing, &pack));
	f->start = clock_now_ns();
	img->stats.planned = 0;
	if (!pack)
		TRY(make_pieces(img, asked, f));
	for (size_t i = 0; i < (pack ? f->missing.n : f->todo.n); i++)
		img->stats.planned += pack ? image_lacks(img, f->missing.v[i]) : f->todo.v[i].len;
	if (!pack && !img->stats.planned)
		return NULL;
	if (pack) {
		uint64_t n = skipped(img, &f->missing);

		img->stats.planned -= n < img->stats.planned ? n : img->stats.planned;
		img->stats.skipped += n;
		img->stats.needed -= n < img->stats.needed ? n : img->stats.needed;
	}
	img->stats.asked += img->stats.planned;
	err = fetch_how(img, asked, f, pack);
	if (img->stats.fetches < IMAGE_ROUNDS)
		img->stats.rounds[img->stats.fetches] =
			(struct image_round){ img->stats.planned,
					      (uint64_t)(clock_now_ns() - f->start), img->purpose };
	img->stats.fetches++;
	return err;
}

/* ------------------------------------------------------------------ into the image */

/* A hole, but for what a guess only missed: that may be asked for again. */
static struct err *hole_push(struct pieces *out, const struct ranges *missed, struct range hole)
{
	uint64_t at = hole.addr, end = hole.addr + hole.len;

	for (size_t i = ranges_lookup(missed, at); at < end; i++) {
		uint64_t upto = i < missed->n && missed->v[i].addr < end ? missed->v[i].addr : end;

		if (upto > at)
			TRY(vec_push(out, ((struct piece){ at, upto - at, NULL, PIECE_HOLE })));
		if (upto == end)
			break;
		at = missed->v[i].addr + missed->v[i].len;
	}
	return NULL;
}

/* The part [at, end) of a piece that is split: a copy of its own, or the same place in the store.
 * */
static struct err *part_push(struct pieces *out, const struct piece *p, uint64_t at, uint64_t end)
{
	struct piece part = { at, end - at, NULL, p->kind };

	TRY(vec_reserve(out, 1));
	if (p->kind == PIECE_STORED) {
		part.data = p->data + (at - p->addr);
	} else {
		part.kind = PIECE_OWNED;
		part.data = piece_alloc(part.len);
		if (!part.data)
			return err_nomem();
		piece_copy(p, at - p->addr, part.data, part.len);
	}
	out->v[out->n++] = part;
	return NULL;
}

/* Moves a new piece to `out`, split at the holes that lie in it; *hole is the first of them. */
static struct err *piece_split(struct piece *p, const struct fetch *f, size_t *hole,
			       struct pieces *out)
{
	const struct ranges *holes = &f->holes;
	uint64_t at = p->addr, end = p->addr + p->len;

	if (*hole == holes->n || holes->v[*hole].addr >= end) {
		TRY(vec_push(out, *p));
		p->data = NULL;
		return NULL;
	}
	for (; *hole < holes->n && holes->v[*hole].addr < end; ++*hole) {
		struct range h = holes->v[*hole];

		if (h.addr > at)
			TRY(part_push(out, p, at, h.addr));
		TRY(hole_push(out, &f->missed, h));
		at = h.addr + h.len;
	}
	if (at < end)
		TRY(part_push(out, p, at, end));
	piece_free(p);
	p->data = NULL;
	return NULL;
}

/* Does a new piece hold an old one that begins at addr?  It never holds a part of one. */
static bool is_swallowed(const struct pieces *fresh, uint64_t addr)
{
	size_t i = pieces_lookup(fresh, addr);

	return i < fresh->n && fresh->v[i].addr <= addr;
}

/* Puts the new pieces in, and drops the old ones that they swallowed: fetched ones, never lent. */
static struct err *image_insert(struct image *img, struct fetch *f)
{
	_cleanup_(pieces_deinit) struct pieces out = VEC_INIT;
	size_t hole = 0, n = 0;

	ranges_merge(&f->holes, 0);
	ranges_merge(&f->missed, 0);
	TRY(pieces_sort(&f->fresh));
	for (size_t i = 0; i < f->fresh.n; i++)
		TRY(piece_split(&f->fresh.v[i], f, &hole, &out));
	TRY(vec_reserve(&img->pieces, out.n));
	for (size_t i = 0; i < img->pieces.n; i++) {
		struct piece *p = &img->pieces.v[i];

		if (is_swallowed(&f->fresh, p->addr))
			piece_free(p);
		else
			img->pieces.v[n++] = *p;
	}
	if (out.n)
		memcpy(img->pieces.v + n, out.v, out.n * sizeof(*out.v));
	img->pieces.n = n + out.n;
	out.n = 0;
	return pieces_sort(&img->pieces);
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

/* ahead: what is not counted as asked for. */
static struct err *image_fetch_ranges(struct image *img, const struct ranges *asked,
				      const struct ranges *ahead, uint64_t gap)
{
	_cleanup_(fetch_deinit) struct fetch f = { VEC_INIT };

	/* All of it is remembered: what is there already may be there as a gap only. */
	if (img->remember) {
		TRY(ranges_append(&img->wanted, asked));
		TRY(ranges_append(&img->wanted, ahead));
	}
	TRY(find_missing(img, asked, ahead, gap, &f.missing));
	TRY(image_fetch(img, asked, &f));
	TRY(image_insert(img, &f));
	TRY(ranges_append(&img->missed, &f.missed));
	ranges_merge(&img->missed, 0);
	image_count_holes(img, asked, &f.holes);
	return NULL;
}

static const struct ranges no_ranges = VEC_INIT;

struct err *image_need(struct image *img, struct ranges *ranges, uint64_t gap)
{
	if (!img->src || !ranges->n)
		return NULL;
	ranges_merge(ranges, 0);
	return image_fetch_ranges(img, ranges, &no_ranges, gap);
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
	return image_fetch_ranges(img, &no_ranges, ranges, 0);
}
