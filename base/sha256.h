/* SHA-256 (FIPS 180-4): a name for content that nobody can make other content for. */
#ifndef GRF_BASE_SHA256_H
#define GRF_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_BLOCK = 64, SHA256_HEX = 64 };

struct sha256 {
	uint32_t h[8];
	uint64_t len; /* bytes so far */
	uint8_t block[SHA256_BLOCK];
};

void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t len);
/* As hex digits; s is used up. */
void sha256_end(struct sha256 *s, char ret[SHA256_HEX + 1]);

#endif
