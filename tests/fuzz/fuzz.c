/*
 * Inputs as scripts, and files in memory: each is a memfd, which /proc/self/fd names.
 */
#include "tests/fuzz/fuzz.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* One less than there is room for: fuzz_blob_cut(). */
enum { MAX_CHANGES = sizeof(((struct fuzz_blob *)0)->changes) / sizeof(struct fuzz_change) - 1 };

uint8_t fuzz_u8(struct fuzz_in *in)
{
	if (!in->n)
		return 0;
	in->n--;
	return *in->p++;
}

uint16_t fuzz_u16(struct fuzz_in *in)
{
	uint16_t low = fuzz_u8(in);

	return (uint16_t)(low | fuzz_u8(in) << 8);
}

uint32_t fuzz_u32(struct fuzz_in *in)
{
	uint32_t low = fuzz_u16(in);

	return low | (uint32_t)fuzz_u16(in) << 16;
}

uint64_t fuzz_u64(struct fuzz_in *in)
{
	uint64_t low = fuzz_u32(in);

	return low | (uint64_t)fuzz_u32(in) << 32;
}

struct fuzz_in fuzz_take(struct fuzz_in *in, size_t n)
{
	struct fuzz_in part = { in->p, n < in->n ? n : in->n };

	in->p += part.n;
	in->n -= part.n;
	return part;
}

char *fuzz_text(struct fuzz_in *in)
{
	const uint8_t *end = in->n ? memchr(in->p, 0xff, in->n) : NULL;
	struct fuzz_in part = fuzz_take(in, end ? (size_t)(end - in->p) : in->n);
	char *s = malloc(part.n + 1);

	if (!s)
		abort();
	if (part.n)
		memcpy(s, part.p, part.n);
	s[part.n] = 0;
	if (end)
		fuzz_u8(in);
	return s;
}

uint64_t fuzz_value(struct fuzz_in *in, uint64_t old, uint64_t near)
{
	uint8_t how = fuzz_u8(in);

	switch (how & 7) {
	case 0:
		return 0;
	case 1:
		return old + (uint64_t)(int8_t)fuzz_u8(in) * 8;
	case 2:
		return near + fuzz_u16(in);
	case 3:
		return near - fuzz_u8(in);
	case 4:
		return fuzz_u8(in);
	case 5:
		return UINT64_MAX - fuzz_u8(in);
	case 6:
		return old ^ 1ull << (fuzz_u8(in) & 63);
	default:
		return fuzz_u32(in) << (how >> 3);
	}
}

void fuzz_drop(struct err *err)
{
	if (err && !*err->msg)
		abort();
	err_destroy(err);
}

const char *fuzz_file(unsigned slot, const void *data, size_t len)
{
	static char paths[FUZZ_FILES][32];
	static int fds[FUZZ_FILES];

	if (fds[slot])
		close(fds[slot]);
	fds[slot] = memfd_create("fuzz", MFD_CLOEXEC);
	if (fds[slot] < 0 || (len && write(fds[slot], data, len) != (ssize_t)len))
		abort();
	snprintf(paths[slot], sizeof(paths[slot]), "/proc/self/fd/%d", fds[slot]);
	return paths[slot];
}

/*
 * A file's mapping becomes a copy, which ends where the file does: behind that the sanitizer sees
 * every byte, of a mapping only pages.  (Makefile: each fuzzer is linked with these.)
 */
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
int __wrap_munmap(void *addr, size_t len);
int __wrap_madvise(void *addr, size_t len, int advice);
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
int __real_munmap(void *addr, size_t len);
int __real_madvise(void *addr, size_t len, int advice);

enum { COPIES = 64 };
static void *copies[COPIES];

static bool is_copy(const void *addr)
{
	for (int i = 0; i < COPIES; i++)
		if (copies[i] && addr >= copies[i] &&
		    (const uint8_t *)addr < (uint8_t *)copies[i] + malloc_usable_size(copies[i]))
			return true;
	return false;
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	int i = 0;

	while (i < COPIES && copies[i])
		i++;
	if (fd < 0 || off || prot != PROT_READ || i == COPIES)
		return __real_mmap(addr, len, prot, flags, fd, off);
	if (posix_memalign(&copies[i], 4096, len))
		return MAP_FAILED;
	if (pread(fd, copies[i], len, 0) != (ssize_t)len)
		abort();
	return copies[i];
}

int __wrap_munmap(void *addr, size_t len)
{
	for (int i = 0; i < COPIES; i++)
		if (addr == copies[i] && addr) {
			free(addr);
			copies[i] = NULL;
			return 0;
		}
	return __real_munmap(addr, len);
}

int __wrap_madvise(void *addr, size_t len, int advice)
{
	return is_copy(addr) ? 0 : __real_madvise(addr, len, advice);
}

/* ------------------------------------------------------------------ files that change */

void fuzz_blob_init(struct fuzz_blob *b, const void *data, size_t len)
{
	*b = (struct fuzz_blob){ .len = len, .fd = memfd_create("fuzz", MFD_CLOEXEC) };
	b->whole = malloc(len);
	if (b->fd < 0 || !b->whole || write(b->fd, data, len) != (ssize_t)len)
		abort();
	memcpy(b->whole, data, len);
	b->data = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
	if (b->data == MAP_FAILED)
		abort();
	snprintf(b->path, sizeof(b->path), "/proc/self/fd/%d", b->fd);
}

void fuzz_blob_put(struct fuzz_blob *b, size_t off, const void *p, size_t n)
{
	if (off >= b->len || n > b->len - off || b->n >= MAX_CHANGES)
		return;
	memcpy(b->data + off, p, n);
	b->changes[b->n++] = (struct fuzz_change){ off, n };
}

/* Last of all: what is behind the end must not be touched. */
void fuzz_blob_cut(struct fuzz_blob *b, size_t len)
{
	if (len < b->len && !ftruncate(b->fd, (off_t)len))
		b->changes[b->n++] = (struct fuzz_change){ len, b->len - len };
}

void fuzz_blob_reset(struct fuzz_blob *b)
{
	if (ftruncate(b->fd, (off_t)b->len))
		abort();
	for (; b->n; b->n--) {
		const struct fuzz_change *c = &b->changes[b->n - 1];

		memcpy(b->data + c->off, b->whole + c->off, c->len);
	}
}

void fuzz_blob_change(struct fuzz_blob *b, struct fuzz_in *in, size_t off, size_t len)
{
	uint8_t how = fuzz_u8(in), bytes[8];
	struct fuzz_in some;
	uint64_t old = 0, v;

	if (!len || off >= b->len)
		return;
	off += fuzz_u32(in) % len;
	switch (how & 7) {
	case 0:
	case 1:
		bytes[0] = fuzz_u8(in);
		fuzz_blob_put(b, off, bytes, 1);
		return;
	case 2:
		some = fuzz_take(in, fuzz_u8(in) & 31);
		fuzz_blob_put(b, off, some.p, some.n);
		return;
	case 3:
	case 4:
		off &= ~(size_t)3;
		break;
	default:
		off &= ~(size_t)7;
	}
	if (off + 8 > b->len)
		return;
	memcpy(&old, b->data + off, 8);
	v = fuzz_value(in, old, off);
	memcpy(bytes, &v, 8);
	fuzz_blob_put(b, off, bytes, how & 4 ? 8 : 4);
}
