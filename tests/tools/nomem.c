/*
 * Preloaded, it lets allocations fail: GRF_NOMEM=N the N-th (from 1) and all behind it, GRF_NOMEM=N
 * with GRF_NOMEM_ONCE=1 that one alone.  GRF_NOMEM_COUNT=FILE: how many there were is written there
 * at the end.  Those of the dynamic linker, and of children, do not count.
 *
 * glibc's own functions are called by their other names: dlsym() allocates.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

static unsigned long first, seen;
static bool once, counting;
static pid_t ours;
static const char *count_path;

__attribute__((constructor)) static void begin(void)
{
	const char *n = getenv("GRF_NOMEM");

	first = n ? strtoul(n, NULL, 10) : 0;
	once = getenv("GRF_NOMEM_ONCE") != NULL;
	count_path = getenv("GRF_NOMEM_COUNT");
	ours = getpid();
	/* What we start ourselves, gdbserver, is not meant. */
	unsetenv("LD_PRELOAD");
	counting = true;
}

__attribute__((destructor)) static void end(void)
{
	char text[24];
	int fd, n;

	counting = false;
	if (!count_path || getpid() != ours)
		return;
	fd = open(count_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	n = snprintf(text, sizeof(text), "%lu\n", seen);
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		abort();
	close(fd);
}

static bool fails(void)
{
	unsigned long n;

	if (!counting)
		return false;
	n = __atomic_add_fetch(&seen, 1, __ATOMIC_RELAXED);
	if (!first || n < first || (once && n > first) || getpid() != ours)
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
	return fails() ? NULL : __libc_memalign(align, n);
}

int posix_memalign(void **ret, size_t align, size_t n)
{
	*ret = fails() ? NULL : __libc_memalign(align, n);
	return *ret ? 0 : ENOMEM;
}
