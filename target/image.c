/*
 * The sparse copy of memory.  Pieces are kept sorted by address and never overlap; a lookup is a
 * binary search.  A piece is owned (fetched), stored (fetched, as part of much: target/store.h),
 * lent (an executable's segment) or a hole.
 *
 * A fetched range that overlaps owned pieces swallows them (one copy), so that what was
 * asked for as one range can always be had as one pointer.  Pointers from image_ptr()
 * are good until the next image_need().
 */
#include "target/image_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

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

void pieces_sort(struct pieces *pieces)
{
	if (pieces->n > 1)
		qsort(pieces->v, pieces->n, sizeof(struct piece), piece_cmp);
}

void pieces_deinit(struct pieces *pieces)
{
	for (size_t i = 0; i < pieces->n; i++)
		piece_free(&pieces->v[i]);
	vec_deinit(pieces);
}

static void stores_destroy(struct image *img)
{
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
	if (!img->hints) {
		free(img);
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
}

void image_set_deadline(struct image *img, int64_t at)
{
	img->deadline = at;
}

enum { SETTLE = 16 << 20 };

void image_settle(struct image *img, uint64_t bytes)
{
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
	TRY(vec_push(&img->pieces,
		     ((struct piece){ addr, len, (uint8_t *)(uintptr_t)data, PIECE_LENT })));
	pieces_sort(&img->pieces);
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

const uint8_t *image_ptr(const struct image *img, uint64_t addr, uint64_t len, uint64_t *left)
{
	size_t *hint = &img->hints[addr >> HINT_SHIFT & (HINTS - 1)], i = *hint;
	const struct piece *p;

	if (i >= img->pieces.n || addr - img->pieces.v[i].addr >= img->pieces.v[i].len)
		*hint = i = image_lookup(img, addr);

	if (i == img->pieces.n)
		return NULL;
	p = &img->pieces.v[i];
	if (p->addr > addr || !p->data || p->len - (addr - p->addr) < len)
		return NULL;
	if (left)
		*left = p->len - (addr - p->addr);
	if (p->kind == PIECE_STORED && img->stats.file_bytes)
		image_touch(img, p->data + (addr - p->addr));
	return p->data + (addr - p->addr);
}

struct err *image_read(const struct image *img, uint64_t addr, void *dst, uint64_t len)
{
	const uint8_t *whole = image_ptr(img, addr, len, NULL);
	uint8_t *out = dst;

	if (whole && len) {
		memcpy(dst, whole, len);
		return NULL;
	}
	for (size_t i = image_lookup(img, addr); len; i++) {
		const struct piece *p = i < img->pieces.n ? &img->pieces.v[i] : NULL;
		uint64_t n;

		if (!p || p->addr > addr)
			return err_fault(addr, "memory at 0x%" PRIx64 " was not captured", addr);
		if (!p->data)
			return err_fault(addr, "memory at 0x%" PRIx64 " cannot be read", addr);
		n = p->len - (addr - p->addr);
		if (n > len)
			n = len;
		memcpy(out, p->data + (addr - p->addr), n);
		out += n;
		addr += n;
		len -= n;
	}
	return NULL;
}

struct err *image_read_uint(const struct image *img, uint64_t addr, unsigned size, uint64_t *ret)
{
	uint8_t b[8];

	TRY(image_read(img, addr, b, size));
	*ret = bytes_uint(img->fmt, b, size);
	return NULL;
}

struct err *image_read_word(const struct image *img, uint64_t addr, uint64_t *ret)
{
	return image_read_uint(img, addr, img->fmt.word, ret);
}
