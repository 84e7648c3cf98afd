/*
 * The order matters: no_new_privs comes first, since the other two need it from who is not root;
 * the filter comes last, since it forbids the others' system calls.
 *
 * Landlock's numbers are written down here (include/uapi/linux/landlock.h), so that the headers of
 * the machine that builds need not be the newest.
 */
#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

/* System calls since Linux 5.1 have one number on all architectures, but alpha, and mips adds its
 * table's begin: there the header has it. */
#ifndef SYS_landlock_create_ruleset
#ifdef __mips__
#define SYS_landlock_create_ruleset -1
#define SYS_landlock_add_rule -1
#define SYS_landlock_restrict_self -1
#else
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif
#endif

enum { LANDLOCK_VERSION = 1, LANDLOCK_BENEATH = 1 };

enum {
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_REG = 1 << 8,
	FS_FIRST = (1 << 13) - 1, /* all of version 1 */
	FS_REFER = 1 << 13,       /* 2 */
	FS_TRUNCATE = 1 << 14,    /* 3 */
	FS_IOCTL_DEV = 1 << 15,   /* 5 */
	NET_ALL = 3,              /* 4: bind and connect */
	SCOPE_ALL = 3,            /* 6: abstract sockets, signals */
	READING = FS_READ_FILE | FS_READ_DIR,
	WRITING = READING | FS_WRITE_FILE | FS_REMOVE_FILE | FS_MAKE_REG | FS_REFER | FS_TRUNCATE,
};

struct landlock_ruleset {
	uint64_t fs, net, scoped;
};

struct landlock_beneath {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

static struct landlock_ruleset landlock_all(long version)
{
	struct landlock_ruleset r = { .fs = FS_FIRST };

	if (version >= 2)
		r.fs |= FS_REFER;
	if (version >= 3)
		r.fs |= FS_TRUNCATE;
	if (version >= 5)
		r.fs |= FS_IOCTL_DEV;
	if (version >= 4)
		r.net = NET_ALL;
	if (version >= 6)
		r.scoped = SCOPE_ALL;
	return r;
}

static size_t ruleset_size(long version)
{
	return version >= 6 ? sizeof(struct landlock_ruleset) :
	       version >= 4 ? sizeof(uint64_t) * 2 :
			      sizeof(uint64_t);
}

/* What is not there is passed over: nothing can be read there. */
static bool add_folder(int ruleset, const char *path, uint64_t allowed)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct landlock_beneath rule = { allowed, fd };

	return fd < 0 || !syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_BENEATH, &rule, 0);
}

/* NULL if it is in force, else why not. */
static const char *restrict_files(const struct sandbox *s)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);
	_cleanup_close_ int fd = -1;
	struct landlock_ruleset all;

	if (version < 1)
		return errno == EOPNOTSUPP ? "switched off in this kernel" : "not in this kernel";
	if (version < 2) /* an output could not be moved to where it belongs */
		return "too old in this kernel";
	all = landlock_all(version);
	fd = (int)syscall(SYS_landlock_create_ruleset, &all, ruleset_size(version), 0);
	if (fd < 0)
		return "refused";
	for (size_t i = 0; i < s->nread; i++)
		if (!add_folder(fd, s->read[i], READING))
			return "refused";
	for (size_t i = 0; i < s->nwrite; i++)
		if (!add_folder(fd, s->write[i], WRITING & all.fs))
			return "refused";
	return syscall(SYS_landlock_restrict_self, fd, 0) ? "refused" : NULL;
}

/* A checker that is part of the program, or around it, makes system calls of its own. */
static const char *checked_by(void)
{
	const char *preload = getenv("LD_PRELOAD");

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return "built with a sanitizer";
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
	return "built with a sanitizer";
#endif
#endif
	return preload && strstr(preload, "vgpreload") ? "run by valgrind" : NULL;
}

bool sandbox_enter(const struct sandbox *s, char text[SANDBOX_TEXT])
{
	const char *checker = checked_by(), *files, *calls;

	if (checker) {
		snprintf(text, SANDBOX_TEXT, "none: %s", checker);
		return false;
	}
	tzset(); /* it reads a file, once */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
		snprintf(text, SANDBOX_TEXT, "none: no_new_privs: %s", strerror(errno));
		return false;
	}
	files = restrict_files(s);
	calls = sandbox_calls(s->makes);
	snprintf(text, SANDBOX_TEXT, "no new privileges; system calls: %s%s; files: %s%s",
		 calls ? "any, no seccomp filter: " : "few (seccomp)", calls ? calls : "",
		 files ? "any, no Landlock: " : "few (Landlock)", files ? files : "");
	return true;
}
