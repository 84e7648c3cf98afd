/*
 * What the fuzzers share.  Each is a file fuzz_NAME.c with one LLVMFuzzerTestOneInput() (libFuzzer,
 * llvm.org/docs/LibFuzzer.html), its corpus in corpus/NAME/; `make fuzz` builds and runs them.
 *
 * An input is read as a script (fuzz_u8(), fuzz_u16() ...): what is missing at its end is zero.
 * Where random bytes would stay shallow, the script says which words of something whole become
 * what: struct fuzz_blob.
 */
#ifndef GRF_TESTS_FUZZ_H
#define GRF_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* An input, which is used up. */
struct fuzz_in {
	const uint8_t *p;
	size_t n;
};

uint8_t fuzz_u8(struct fuzz_in *in);
uint16_t fuzz_u16(struct fuzz_in *in);
uint32_t fuzz_u32(struct fuzz_in *in);
uint64_t fuzz_u64(struct fuzz_in *in);
/* The next n bytes, or as many as are left. */
struct fuzz_in fuzz_take(struct fuzz_in *in, size_t n);
/* Up to the next 0xff, which is skipped, as a string; it is to be freed. */
char *fuzz_text(struct fuzz_in *in);

/* A value that may be something in place of `old`: nothing, near, an edge, elsewhere.  near: an
 * address that makes sense. */
uint64_t fuzz_value(struct fuzz_in *in, uint64_t old, uint64_t near);

/* An error is fine, but says something. */
void fuzz_drop(struct err *err);

/* A file in memory with this content, and its path, for what opens files; the next call with the
 * same `slot` replaces it. */
enum { FUZZ_FILES = 4 };
const char *fuzz_file(unsigned slot, const void *data, size_t len);

/* A file in memory that is changed for one input, and is as it was for the next. */
struct fuzz_blob {
	uint8_t *data;
	size_t len;
	char path[32];
	int fd;
	uint8_t *whole;
	struct fuzz_change {
		size_t off, len;
	} changes[64];
	unsigned n;
};

void fuzz_blob_init(struct fuzz_blob *b, const void *data, size_t len);
/* What is too much is left out. */
void fuzz_blob_put(struct fuzz_blob *b, size_t off, const void *p, size_t n);
void fuzz_blob_cut(struct fuzz_blob *b, size_t len);
void fuzz_blob_reset(struct fuzz_blob *b);
/* A byte, a word, or some bytes of [off, off + len), as the script says. */
void fuzz_blob_change(struct fuzz_blob *b, struct fuzz_in *in, size_t off, size_t len);

#endif
