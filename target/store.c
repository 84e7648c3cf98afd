/*
 * Stores in memory are anonymous mappings.  A store in a file is a mapping of an unlinked file on a
 * local disk, all of whose room is taken before the first byte is written.  The kernel would keep
 * every page of it that was touched mapped, so that the file is divided into pieces, a list says
 * which of them are in memory, and a piece is given back (MADV_DONTNEED) when the list is full.
 */
#include "target/store.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/huge.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

/* So much room for a file is left as it takes, and a quarter more: others write, too. */
#define ROOM_SPARE 1.25

/* Is it on a disk of this machine?  A file elsewhere would be memory under another name, or the
 * process would stand while a network is waited for. */
static bool is_local_disk(const struct statfs *fs)
{
	switch ((unsigned long)fs->f_type) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case F2FS_SUPER_MAGIC:
	case OVERLAYFS_SUPER_MAGIC:
		return true;
	default:
		return false;
	}
}

/* A file without a name, in dir; -1: none can be made there. */
static int open_nameless(const char *dir)
{
	char path[PATH_MAX];
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || snprintf(path, sizeof(path), "%s/grf-rsp.XXXXXX", dir) >= (int)sizeof(path))
		return fd;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

/*
 * Maps the file at an address that is a multiple of STORE_PIECE.  A fault maps what the kernel's
 * cache has around it (fault_around_bytes: 64 KB, aligned), and a piece is to be what one fault
 * maps.
 */
static void *map_aligned(int fd, uint64_t len)
{
	uint8_t *p = mmap(NULL, len + STORE_PIECE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t skip, rest;

	if (p == MAP_FAILED)
		return MAP_FAILED;
	skip = -(uintptr_t)p & (STORE_PIECE - 1);
	rest = STORE_PIECE - skip;
	if (skip)
		munmap(p, skip);
	if (rest)
		munmap(p + skip + len, rest);
	p = mmap(p + skip, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	return p;
}

/* The number behind `name` in a file of the kernel's; UINT64_MAX: there is none, or it says
 * "max". */
static uint64_t read_number(const char *path, const char *name)
{
	char line[256];
	uint64_t ret = UINT64_MAX;
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)) &&
		    sscanf(line + strlen(name), "%" SCNu64, &ret) == 1)
			break;
	if (f)
		fclose(f);
	return ret;
}

uint64_t store_memory_left(void)
{
	uint64_t kb = read_number("/proc/meminfo", "MemAvailable:"),
		 machine = kb < UINT64_MAX / 1024 ? kb * 1024 : kb;
	uint64_t max = read_number("/sys/fs/cgroup/memory.max", "");
	uint64_t now = read_number("/sys/fs/cgroup/memory.current", "");
	uint64_t left = max == UINT64_MAX || now == UINT64_MAX ? UINT64_MAX :
			max > now                              ? max - now :
								 0;

	return left < machine ? left : machine;
}

/* Files there are memory. */
static bool is_memory(const struct statfs *fs)
{
	return fs->f_type == TMPFS_MAGIC || fs->f_type == RAMFS_MAGIC;
}

/* What may be taken of what is left, in bytes. */
static double disk_room(const struct statfs *fs)
{
	return (double)fs->f_bavail * (double)fs->f_bsize / ROOM_SPARE;
}

const char *store_folder(void)
{
	const char *dir = getenv("TMPDIR");

	return dir && *dir ? dir : "/tmp";
}

uint64_t store_room(const char *dir)
{
	struct statfs fs;
	uint64_t room, memory;

	if (statfs(dir, &fs))
		return 0;
	room = (uint64_t)disk_room(&fs);
	if (fs.f_type == RAMFS_MAGIC) /* it has no size */
		room = UINT64_MAX;
	memory = is_memory(&fs) ? store_memory_left() / STORE_SHARE : UINT64_MAX;
	return room < memory ? room : memory;
}

/* A mapped file of len bytes, for which the disk has given room.  NULL: *why says why not. */
static void *map_file(uint64_t len, const char **why)
{
	const char *dir = store_folder();
	_cleanup_close_ int fd = -1;
	struct statfs fs;
	void *p;

	if (statfs(dir, &fs) || !is_local_disk(&fs)) {
		*why = "no local disk below TMPDIR";
		return NULL;
	}
	if (disk_room(&fs) < (double)len) {
		*why = "no space below TMPDIR";
		return NULL;
	}
	fd = open_nameless(dir);
	if (fd < 0) {
		*why = "no file can be made below TMPDIR";
		return NULL;
	}
	/* All of it now: a mapped page without room is a SIGBUS. */
	if (posix_fallocate(fd, 0, (off_t)len)) {
		*why = "no space below TMPDIR";
		return NULL;
	}
	p = map_aligned(fd, len);
	if (p != MAP_FAILED)
		return p;
	*why = "a file below TMPDIR cannot be mapped";
	return NULL;
}

static struct err *store_memory(uint64_t len, struct store **ret)
{
	_cleanup_(cleanup_store_destroy) struct store *s = calloc(1, sizeof(*s));
	void *p;

	if (!s)
		return err_nomem();
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		 0);
	if (p == MAP_FAILED)
		return err_nomem();
	*s = (struct store){ .base = p, .len = len };
	*ret = TAKE_PTR(s);
	return NULL;
}

/* The kernel would give it, and kill somebody when it is written to. */
static struct err *too_much(uint64_t len, uint64_t left, const char *why)
{
	return err_create(ERR_LIMIT,
			  "%.1f GB of memory are to be read, this machine (or container) has "
			  "%.1f GB left, and %s: let TMPDIR name a folder on a local disk with "
			  "that much room, or read a core of it (gcore PID) on a larger machine",
			  (double)len / 1e9, (double)left / 1e9, why);
}

bool store_fits(uint64_t len)
{
	return len <= store_memory_left() / STORE_SHARE;
}

struct err *store_for(uint64_t len, struct store **ret, const char **why)
{
	uint64_t left;

	*ret = NULL;
	*why = NULL;
	if (len < STORE_MIN)
		return NULL;
	left = store_memory_left();
	if (len > left / STORE_SHARE)
		TRY(store_file(len, left / STORE_SHARE / STORE_SHARE, ret, why));
	if (!*ret && len > left)
		return too_much(len, left, *why);
	return *ret ? NULL : store_memory(len, ret);
}

struct err *store_file(uint64_t len, uint64_t budget, struct store **ret, const char **why)
{
	_cleanup_(cleanup_store_destroy) struct store *s = calloc(1, sizeof(*s));
	uint64_t pieces = (len + STORE_PIECE - 1) >> STORE_PIECE_SHIFT;

	*ret = NULL;
	if (!s)
		return err_nomem();
	s->len = pieces << STORE_PIECE_SHIFT;
	s->base = map_file(s->len, why);
	if (!s->base)
		return NULL;
	s->in = malloc(pieces * sizeof(*s->in));
	s->is_in = calloc(pieces, 1);
	if (!s->in || !s->is_in)
		return err_nomem();
	s->random = 88172645463325252ull; /* the seed of Marsaglia's "Xorshift RNGs" */
	s->budget = budget > STORE_BUDGET ? budget : STORE_BUDGET;
	*ret = TAKE_PTR(s);
	return NULL;
}

void store_destroy(struct store *s)
{
	if (!s)
		return;
	if (s->base)
		munmap(s->base, s->len);
	free(s->in);
	free(s->is_in);
	free(s);
}

uint8_t *store_alloc(struct store *s, uint64_t len)
{
	uint64_t at = (s->used + STORE_ALIGN - 1) & ~(uint64_t)(STORE_ALIGN - 1);

	if (at > s->len || len > s->len - at)
		return NULL;
	s->used = at + len;
	return s->base + at;
}

void store_full(struct store *s)
{
	if (s->budget)
		store_trim(s);
	else
		huge_full(s->base, s->used);
}

void store_trim(struct store *s)
{
	if (!s->budget)
		return;
	madvise(s->base, s->len, MADV_DONTNEED);
	while (s->nin)
		s->is_in[s->in[--s->nin]] = 0;
}

/*
 * Takes one piece out of memory.  Which one is left to chance: frontiers go through the heap from
 * end to end again and again, and the oldest would always be the one that is needed next.
 */
static void store_evict(struct store *s)
{
	size_t i;

	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	i = s->random % s->nin;
	madvise(s->base + ((uint64_t)s->in[i] << STORE_PIECE_SHIFT), STORE_PIECE, MADV_DONTNEED);
	s->is_in[s->in[i]] = 0;
	s->in[i] = s->in[--s->nin];
}

void store_enter_(struct store *s, uint32_t piece)
{
	if ((uint64_t)(s->nin + 1) << STORE_PIECE_SHIFT > s->budget)
		store_evict(s);
	s->is_in[piece] = 1;
	s->in[s->nin++] = piece;
}
