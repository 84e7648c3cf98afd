/*
 * Foreign bytes: byte order and word size are decided here and nowhere else.
 * A `struct bytes_fmt` travels with whatever is read from a target; a
 * `struct cursor` is a bounded reader over bytes already at hand.
 */
#ifndef GRF_BASE_BYTES_H
#define GRF_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes_fmt {
	uint8_t word; /* 4 or 8 */
	bool big;     /* big-endian */
};

static inline uint16_t bytes_u16(struct bytes_fmt f, const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return f.big == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) ? v : __builtin_bswap16(v);
}

static inline uint32_t bytes_u32(struct bytes_fmt f, const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return f.big == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) ? v : __builtin_bswap32(v);
}

static inline uint64_t bytes_u64(struct bytes_fmt f, const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return f.big == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) ? v : __builtin_bswap64(v);
}

/* A pointer-sized word, zero-extended. */
static inline uint64_t bytes_word(struct bytes_fmt f, const void *p)
{
	return f.word == 8 ? bytes_u64(f, p) : bytes_u32(f, p);
}

/* Writes the lowest `size` bytes (8 at most) of v to p. */
static inline void bytes_put(struct bytes_fmt f, void *p, uint64_t v, unsigned size)
{
	uint8_t *b = p;

	for (unsigned i = 0; i < size; i++)
		b[f.big ? size - 1 - i : i] = (uint8_t)(v >> 8 * i);
}

/* An unsigned integer of 1, 2, 4 or 8 bytes. */
static inline uint64_t bytes_uint(struct bytes_fmt f, const void *p, unsigned size)
{
	switch (size) {
	case 1:
		return *(const uint8_t *)p;
	case 2:
		return bytes_u16(f, p);
	case 4:
		return bytes_u32(f, p);
	default:
		return bytes_u64(f, p);
	}
}

/* A reader that never runs past `end`: past it every read gives 0 and sets `bad`. */
struct cursor {
	const uint8_t *p, *end;
	struct bytes_fmt fmt;
	bool bad;
};

static inline struct cursor cursor_make(const void *p, size_t len, struct bytes_fmt fmt)
{
	return (struct cursor){ p, (const uint8_t *)p + len, fmt, false };
}

static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->p);
}

static inline bool cursor_skip(struct cursor *c, uint64_t n)
{
	if (n > cursor_left(c)) {
		c->bad = true;
		c->p = c->end;
		return false;
	}
	c->p += n;
	return true;
}

static inline uint64_t cursor_uint(struct cursor *c, unsigned size)
{
	const uint8_t *p = c->p;

	return cursor_skip(c, size) ? bytes_uint(c->fmt, p, size) : 0;
}

static inline uint64_t cursor_word(struct cursor *c)
{
	return cursor_uint(c, c->fmt.word);
}

/* An unsigned LEB128 of at most 64 bits: Go calls it a uvarint, DWARF a ULEB128. */
static inline uint64_t cursor_uvarint(struct cursor *c)
{
	uint64_t v = 0;
	unsigned shift;

	for (shift = 0; c->p < c->end && shift < 64; shift += 7) {
		uint8_t b = *c->p++;

		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return v;
	}
	c->bad = true;
	return 0;
}

#endif
