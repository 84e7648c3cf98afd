/*
 * Preloaded, it lets allocations fail: GRF_NOMEM=N the N-th (from 1) and all behind it, GRF_NOMEM=N
 * with GRF_NOMEM_ONCE=1 that one alone.  GRF_NOMEM_COUNT=FILE: how many there were is written there
 * at the end.  Those of the dynamic linker, and of children, do not count; nor do libseccomp's:
 * 2.5.4 frees twice what it has no memory for (of its src/gen_bpf.c's tables of blocks).
 *
 * glibc's own functions are called by their other names: dlsym() allocates.
 */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
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
static int count_fd = -1;
static uintptr_t other_begin, other_end; /* libseccomp's code */

static int find_other(struct dl_phdr_info *info, size_t size, void *arg)
{
	if (!strstr(info->dlpi_name, "/libseccomp.so"))
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
			continue;
		other_begin = info->dlpi_addr + p->p_vaddr;
		other_end = other_begin + p->p_memsz;
	}
	return 1;
}

__attribute__((constructor)) static void begin(void)
{
	const char *n = getenv("GRF_NOMEM");

	first = n ? strtoul(n, NULL, 10) : 0;
	once = getenv("GRF_NOMEM_ONCE") != NULL;
	/* Now: at the end no file may be opened any more (base/sandbox.h). */
	if (getenv("GRF_NOMEM_COUNT")) {
		count_fd = open(getenv("GRF_NOMEM_COUNT"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
				0644);
		if (count_fd < 0)
			abort();
	}
	ours = getpid();
	dl_iterate_phdr(find_other, NULL);
	/* What we start ourselves, gdbserver, is not meant. */
	unsetenv("LD_PRELOAD");
	counting = true;
}

__attribute__((destructor)) static void end(void)
{
	char text[24];
	int n;

	counting = false;
	if (count_fd < 0 || getpid() != ours)
		return;
	n = snprintf(text, sizeof(text), "%lu\n", seen);
	if (write(count_fd, text, (size_t)n) != n)
		abort();
	close(count_fd);
}

static bool fails(const void *caller)
{
	unsigned long n;

	if (!counting || ((uintptr_t)caller >= other_begin && (uintptr_t)caller < other_end))
		return false;
	n = __atomic_add_fetch(&seen, 1, __ATOMIC_RELAXED);
	if (!first || n < first || (once && n > first) || getpid() != ours)
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t n)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_memalign(align, n);
}

int posix_memalign(void **ret, size_t align, size_t n)
{
	*ret = fails(__builtin_return_address(0)) ? NULL : __libc_memalign(align, n);
	return *ret ? 0 : ENOMEM;
}
