/*
 * The sparse copy of memory.  Pieces are kept sorted by address and never overlap; a lookup is a
 * binary search.  A piece is owned (fetched), stored (fetched, as part of much: target/store.h),
 * packed (the same: target/pack.h), lent (an executable's segment) or a hole.
 *
 * A fetched range that overlaps owned pieces swallows them (one copy), so that what was
 * asked for as one range can always be had as one pointer.  Pointers from image_ptr()
 * are good until the next image_need(), but for those into packed pieces, which are copies.
 */
#include "target/image_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/intr.h"
#include "base/search.h"

enum { HINTS = 64, HINT_SHIFT = 16 };

/* Below this malloc() is the better home, above it whole pages that go back at once. */
enum { PIECE_MMAP = 128 << 10 };

uint8_t *piece_alloc(uint64_t len)
{
	void *p;

	if (len < PIECE_MMAP)
		return malloc(len ? len : 1);
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		 0);
	return p == MAP_FAILED ? NULL : p;
}

void piece_free(const struct piece *p)
{
	if (!p->data || p->kind != PIECE_OWNED)
		return;
	if (p->len < PIECE_MMAP)
		free(p->data);
	else
		munmap(p->data, p->len);
}

struct piece_key {
	const struct piece *v;
	uint64_t addr;
};

static bool piece_ends_behind(const void *arg, size_t i)
{
	const struct piece_key *key = arg;

	return key->v[i].addr + (key->v[i].len - 1) >= key->addr;
}

size_t pieces_lookup(const struct pieces *pieces, uint64_t addr)
{
	const struct piece_key key = { pieces->v, addr };

	return search_first(pieces->n, piece_ends_behind, &key);
}

/* A total order: no two pieces begin at one address. */
static int piece_cmp(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* What is behind the n sorted pieces goes to where it belongs among them. */
static struct err *pieces_merge(struct pieces *pieces, size_t n)
{
	size_t more = pieces->n - n, to = pieces->n;
	_cleanup_free_ struct piece *tail = malloc(more * sizeof(*tail));

	if (!tail)
		return err_nomem();
	memcpy(tail, pieces->v + n, more * sizeof(*tail));
	qsort(tail, more, sizeof(*tail), piece_cmp);
	while (more)
		if (n && piece_cmp(&pieces->v[n - 1], &tail[more - 1]) > 0)
			pieces->v[--to] = pieces->v[--n];
		else
			pieces->v[--to] = tail[--more];
	return NULL;
}

struct err *pieces_sort(struct pieces *pieces)
{
	size_t sorted = 1;

	while (sorted < pieces->n && piece_cmp(&pieces->v[sorted - 1], &pieces->v[sorted]) < 0)
		sorted++;
	return sorted < pieces->n ? pieces_merge(pieces, sorted) : NULL;
}

void pieces_deinit(struct pieces *pieces)
{
	for (size_t i = 0; i < pieces->n; i++)
		piece_free(&pieces->v[i]);
	vec_deinit(pieces);
}

static void stores_destroy(struct image *img)
{
	while (img->packs) {
		struct pack *p = img->packs;

		img->packs = *pack_next(p);
		pack_destroy(p);
	}
	while (img->stores) {
		struct store *s = img->stores;

		img->stores = s->next;
		store_destroy(s);
	}
}

struct err *image_create(struct bytes_fmt fmt, struct image **ret)
{
	struct image *img = calloc(1, sizeof(*img));

	if (!img)
		return err_nomem();
	img->fmt = fmt;
	img->hints = calloc(HINTS, sizeof(*img->hints));
	img->scratch = calloc(SCRATCH, sizeof(*img->scratch));
	if (!img->hints || !img->scratch) {
		image_destroy(img);
		return err_nomem();
	}
	*ret = img;
	return NULL;
}

void image_destroy(struct image *img)
{
	if (!img)
		return;
	pieces_deinit(&img->pieces);
	vec_deinit(&img->missed);
	stores_destroy(img);
	vec_deinit(&img->wanted);
	vec_deinit(&img->waiting);
	vec_deinit(&img->skip);
	for (unsigned i = 0; img->scratch && i < SCRATCH; i++)
		free(img->scratch[i].v);
	free(img->scratch);
	free(img->hints);
	free(img);
}

struct bytes_fmt image_fmt(const struct image *img)
{
	return img->fmt;
}

void image_set_source(struct image *img, struct mem_source *src)
{
	img->src = src;
	for (struct store *s = src ? NULL : img->stores; s; s = s->next)
		store_full(s);
	for (struct pack *p = src ? NULL : img->packs; p; p = *pack_next(p))
		pack_full(p);
}

void image_set_packing(struct image *img, bool on)
{
	img->packing = on;
}

struct err *image_skip(struct image *img, struct ranges *ranges)
{
	vec_deinit(&img->skip);
	if (img->remember)
		return NULL;
	ranges_merge(ranges, 0);
	img->skip = *ranges;
	*ranges = (struct ranges)VEC_INIT;
	return NULL;
}

void piece_copy(const struct piece *p, uint64_t off, void *dst, uint64_t len)
{
	if (p->kind == PIECE_PACKED)
		packed_read(piece_packed(p), p->addr + off, dst, len);
	else
		memcpy(dst, p->data + off, len);
}

void image_fill(struct image *img, uint64_t bytes)
{
	for (uint64_t done = 0; done < bytes && img->packed < img->waiting.n;) {
		struct unpacked *u = &img->waiting.v[img->packed];
		uint64_t n = bytes - done < u->len ? bytes - done : u->len;

		if (n < u->len) /* up to a block's end */
			n -= (u->addr + n) & (PACK_BLOCK - 1);
		if (!n || n > u->len) /* or below 0: it ends further on */
			return;
		pack_fill(img->filling, u->piece, u->addr, u->src, n);
		u->addr += n;
		u->src += n;
		u->len -= n;
		done += n;
		img->packed += !u->len;
	}
}

void image_set_deadline(struct image *img, int64_t at)
{
	img->deadline = at;
}

enum { SETTLE = 16 << 20, FILL = 3 << 19 };

void image_settle(struct image *img, uint64_t bytes)
{
	image_fill(img, FILL); /* the stub is at work meanwhile */
	if (bytes < img->settled)
		img->settled = 0;
	if (bytes - img->settled < SETTLE)
		return;
	img->settled = bytes;
	for (struct store *s = img->stores; s; s = s->next)
		store_trim(s);
}

void image_touch(const struct image *img, const void *p)
{
	for (struct store *s = img->stats.file_bytes ? img->stores : NULL; s; s = s->next)
		if (store_has(s, p)) {
			store_touch(s, p);
			return;
		}
}

void image_set_purpose(struct image *img, const char *purpose)
{
	img->purpose = purpose;
}

struct image_stats image_stats(const struct image *img)
{
	return img->stats;
}

struct err *image_lend(struct image *img, uint64_t addr, const void *data, uint64_t len)
{
	size_t i;

	if (!len)
		return NULL;
	if (addr + (len - 1) < addr)
		return err_create(ERR_BADDATA, "a segment wraps around the address space");
	i = image_lookup(img, addr);
	if (i < img->pieces.n && img->pieces.v[i].addr <= addr + (len - 1))
		return err_create(ERR_BADDATA, "segments overlap at 0x%" PRIx64, addr);
	/* Segments come in order, and then nothing is moved. */
	TRY(vec_reserve(&img->pieces, 1));
	memmove(&img->pieces.v[i + 1], &img->pieces.v[i],
		(img->pieces.n - i) * sizeof(*img->pieces.v));
	img->pieces.v[i] = (struct piece){ addr, len, (uint8_t *)(uintptr_t)data, PIECE_LENT };
	img->pieces.n++;
	return NULL;
}

void image_forget(struct image *img)
{
	size_t n = 0;

	for (size_t i = 0; i < img->pieces.n; i++) {
		struct piece *p = &img->pieces.v[i];

		if (p->kind == PIECE_LENT)
			img->pieces.v[n++] = *p;
		else
			piece_free(p);
	}
	stores_destroy(img);
	img->missed.n = 0;
	img->pieces.n = n;
	img->wanted.n = 0;
	img->stats = (struct image_stats){ 0 };
}

void image_spare_memory(struct image *img)
{
	img->thrifty = true;
}

void image_remember(struct image *img)
{
	img->remember = true;
}

bool image_remembers(const struct image *img)
{
	return img->remember;
}

struct err *image_remembered(const struct image *img, struct ranges *ret)
{
	_cleanup_vec_ struct ranges want = VEC_INIT;

	TRY(ranges_append(&want, &img->wanted));
	ranges_merge(&want, 0);
	for (size_t i = 0; i < want.n; i++) {
		uint64_t at = want.v[i].addr, end = at + want.v[i].len;

		for (size_t k = image_lookup(img, at);
		     k < img->pieces.n && img->pieces.v[k].addr < end; k++) {
			const struct piece *p = &img->pieces.v[k];
			uint64_t lo = p->addr > at ? p->addr : at;
			uint64_t hi = p->addr + p->len < end ? p->addr + p->len : end;

			if (piece_is_fetched(p))
				TRY(vec_push(ret, ((struct range){ lo, hi - lo })));
		}
	}
	ranges_merge(ret, 0);
	return NULL;
}

struct err *image_fetched(const struct image *img, struct ranges *ret)
{
	for (size_t i = 0; i < img->pieces.n; i++) {
		const struct piece *p = &img->pieces.v[i];

		if (piece_is_fetched(p))
			TRY(vec_push(ret, ((struct range){ p->addr, p->len })));
	}
	return NULL;
}

static size_t image_hint(const struct image *img, uint64_t addr)
{
	size_t *hint = &img->hints[addr >> HINT_SHIFT & (HINTS - 1)], i = *hint;

	if (i >= img->pieces.n || addr - img->pieces.v[i].addr >= img->pieces.v[i].len)
		*hint = i = image_lookup(img, addr);
	return i;
}

/* Are all of the len bytes from addr on there?  Lengths may be anything: they are looked at before
 * room is made. */
static bool image_holds(const struct image *img, uint64_t addr, uint64_t len)
{
	for (size_t i = image_hint(img, addr); len; i++) {
		const struct piece *p = i < img->pieces.n ? &img->pieces.v[i] : NULL;
		uint64_t n;

		if (!p || p->addr > addr || !p->data)
			return false;
		n = p->len - (addr - p->addr);
		if (n >= len)
			return true;
		addr += n;
		len -= n;
	}
	return true;
}

/* A copy, where a packed piece is among those that hold it. */
static const uint8_t *image_unpack(const struct image *img, uint64_t addr, uint64_t len,
				   uint64_t *left)
{
	struct scratch *s = &img->scratch[((struct image *)img)->next_scratch++ % SCRATCH];
	struct err *err;

	if (!image_holds(img, addr, len))
		return NULL;
	if (len > s->cap) {
		free(s->v);
		s->cap = len + len / 2;
		s->v = malloc(s->cap);
		if (!s->v)
			s->cap = 0;
	}
	if (!s->v)
		return NULL;
	err = image_read(img, addr, s->v, len);
	if (err) {
		err_destroy(err);
		return NULL;
	}
	if (left)
		*left = len;
	return s->v;
}

const struct packed *image_packed(const struct image *img, uint64_t addr, uint64_t *left)
{
	size_t i = image_hint(img, addr);
	const struct piece *p = &img->pieces.v[i];

	if (i == img->pieces.n || p->addr > addr || p->kind != PIECE_PACKED)
		return NULL;
	*left = p->len - (addr - p->addr);
	return piece_packed(p);
}

uint64_t image_run(const struct image *img, uint64_t addr)
{
	uint64_t left = 0;

	if (image_packed(img, addr, &left) || image_ptr(img, addr, 1, &left))
		return left;
	return 0;
}

bool image_try_uint(const struct image *img, uint64_t addr, unsigned size, uint64_t *ret)
{
	size_t i = image_hint(img, addr);
	const struct piece *p = &img->pieces.v[i];
	uint8_t b[8];
	struct err *err;

	if (i == img->pieces.n || p->addr > addr || !p->data || size > sizeof(b))
		return false;
	if (p->len - (addr - p->addr) >= size) {
		if (p->kind != PIECE_PACKED)
			*ret = bytes_uint(img->fmt, p->data + (addr - p->addr), size);
		else if ((addr & (PACK_WORD - 1)) + size <= PACK_WORD)
			*ret = pack_uint(packed_block(piece_packed(p), addr), img->fmt, addr, size);
		else
			goto in_two;
		if (p->kind == PIECE_STORED && img->stats.file_bytes)
			image_touch(img, p->data + (addr - p->addr));
		return true;
	}
in_two:
	err = image_read(img, addr, b, size);
	if (err) {
		err_destroy(err);
		return false;
	}
	*ret = bytes_uint(img->fmt, b, size);
	return true;
}

const uint8_t *image_ptr(const struct image *img, uint64_t addr, uint64_t len, uint64_t *left)
{
	size_t i = image_hint(img, addr);
	const struct piece *p = &img->pieces.v[i];

	if (i == img->pieces.n || p->addr > addr || !p->data)
		return NULL;
	if (p->kind == PIECE_PACKED)
		return image_unpack(img, addr, len, left);
	if (p->len - (addr - p->addr) < len)
		return i + 1 < img->pieces.n && p[1].kind == PIECE_PACKED &&
				       p[1].addr == p->addr + p->len ?
			       image_unpack(img, addr, len, left) :
			       NULL;
	if (left)
		*left = p->len - (addr - p->addr);
	if (p->kind == PIECE_STORED && img->stats.file_bytes)
		image_touch(img, p->data + (addr - p->addr));
	return p->data + (addr - p->addr);
}

/* All walks over what the process has come by here, so that they can be interrupted. */
struct err *image_read(const struct image *img, uint64_t addr, void *dst, uint64_t len)
{
	uint8_t *out = dst;

	TRY(intr_check());
	for (size_t i = image_hint(img, addr); len; i++) {
		const struct piece *p = i < img->pieces.n ? &img->pieces.v[i] : NULL;
		uint64_t n;

		if (!p || p->addr > addr)
			return err_fault(addr, "memory at 0x%" PRIx64 " was not captured", addr);
		if (!p->data)
			return err_fault(addr, "memory at 0x%" PRIx64 " cannot be read", addr);
		n = p->len - (addr - p->addr);
		if (n > len)
			n = len;
		if (p->kind == PIECE_STORED && img->stats.file_bytes)
			image_touch(img, p->data + (addr - p->addr));
		piece_copy(p, addr - p->addr, out, n);
		out += n;
		addr += n;
		len -= n;
	}
	return NULL;
}

struct err *image_read_uint(const struct image *img, uint64_t addr, unsigned size, uint64_t *ret)
{
	uint8_t b[8];

	if (size > sizeof(b))
		return err_create(ERR_BADDATA, "%u bytes at 0x%" PRIx64 " are no number", size,
				  addr);
	TRY(image_read(img, addr, b, size));
	*ret = bytes_uint(img->fmt, b, size);
	return NULL;
}

struct err *image_read_word(const struct image *img, uint64_t addr, uint64_t *ret)
{
	return image_read_uint(img, addr, img->fmt.word, ret);
}
