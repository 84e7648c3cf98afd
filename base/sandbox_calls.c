/*
 * The system calls that analysis and outputs make, by name: libseccomp knows their numbers, and
 * passes over those that an architecture does not have.  All others give EPERM, but for those that
 * only somebody else's code can want here.
 */
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#include "base/sandbox.h"

/* With any arguments.  What takes a path reads, or gives a written file its name. */
static const char *const allowed[] = {
	/* files that are open */
	"read",
	"readv",
	"pread64",
	"preadv",
	"write",
	"writev",
	"pwrite64",
	"pwritev",
	"lseek",
	"_llseek",
	"close",
	"fstat",
	"fstat64",
	"fstatfs",
	"fstatfs64",
	"ftruncate",
	"ftruncate64",
	"fallocate",
	"fsync",
	"fdatasync",
	"fchmod",
	"fchown",
	"fchown32",
	"fcntl",
	"fcntl64",
	"flock",
	"dup",
	"dup2",
	"dup3",
	"poll",
	"ppoll",
	"ppoll_time64",
	"select",
	"_newselect",
	"pselect6",
	"pselect6_time64",
	"getdents",
	"getdents64",
	"sendfile",
	"sendfile64",
	"copy_file_range",
	/* by name */
	"stat",
	"stat64",
	"lstat",
	"lstat64",
	"newfstatat",
	"fstatat64",
	"statx",
	"statfs",
	"statfs64",
	"access",
	"faccessat",
	"faccessat2",
	"readlink",
	"readlinkat",
	"getcwd",
	"link",
	"linkat",
	"rename",
	"renameat",
	"renameat2",
	"unlink",
	"unlinkat",
	"umask",
	/* memory */
	"brk",
	"munmap",
	"mremap",
	"madvise",
	"msync",
	"mincore",
	"futex",
	"futex_time64",
	"membarrier",
	/* signals and time */
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"sigreturn",
	"sigaltstack",
	"restart_syscall",
	"setitimer",
	"alarm",
	"clock_gettime",
	"clock_gettime64",
	"clock_getres",
	"clock_getres_time64",
	"clock_nanosleep",
	"clock_nanosleep_time64",
	"nanosleep",
	"gettimeofday",
	"time",
	"times",
	/* itself */
	"getpid",
	"gettid",
	"getppid",
	"getuid",
	"getuid32",
	"geteuid",
	"geteuid32",
	"getgid",
	"getgid32",
	"getegid",
	"getegid32",
	"getrusage",
	"getrlimit",
	"ugetrlimit",
	"getrandom",
	"uname",
	"sysinfo",
	"sched_yield",
	"sched_getaffinity",
	"rseq",
	"set_robust_list",
	"set_tid_address",
	"exit",
	"exit_group",
};

static const char *const deadly[] = {
	"execve",
	"execveat",
	"ptrace",
	"socket",
	"socketpair",
	"process_vm_readv",
	"process_vm_writev",
	"init_module",
	"bpf",
	"finit_module",
	"kexec_load",
	"kexec_file_load",
	"perf_event_open",
	"mount",
	"userfaultfd",
	"fork",
	"vfork",
	"io_uring_setup",
	"setns",
	"unshare",
};

/* 0, or what libseccomp says. */
static int add_all(scmp_filter_ctx c, uint32_t action, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int nr = seccomp_syscall_resolve_name(names[i]);
		int r = nr == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(c, action, nr, 0);

		if (r && r != -EDOM) /* this architecture has no such call */
			return r;
	}
	return 0;
}

/* The call if these bits of its argument are so. */
static int add_if(scmp_filter_ctx c, const char *name, unsigned arg, uint64_t bits, uint64_t value)
{
	int nr = seccomp_syscall_resolve_name(name);
	int r = nr == __NR_SCMP_ERROR ?
			0 :
			seccomp_rule_add(c, SCMP_ACT_ALLOW, nr, 1,
					 SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, bits, value));

	return r == -EDOM ? 0 : r;
}

#define WHOLE 0xffffffffull

/* Opening, but not for writing unless that is meant; memory, but none that is run; of what a
 * terminal can do, how large it is. */
static int add_bounded(scmp_filter_ctx c, bool makes)
{
	const uint64_t writes = makes ? 0 : O_ACCMODE | O_CREAT | O_TRUNC;
	const int self = getpid();
	int r = add_if(c, "open", 1, writes, 0);

	r = r ? r : add_if(c, "openat", 2, writes, 0);
	r = r ? r : add_if(c, "mmap", 2, PROT_EXEC, 0);
	r = r ? r : add_if(c, "mmap2", 2, PROT_EXEC, 0);
	r = r ? r : add_if(c, "mprotect", 2, PROT_EXEC, 0);
	r = r ? r : add_if(c, "ioctl", 1, WHOLE, TCGETS);
	r = r ? r : add_if(c, "ioctl", 1, WHOLE, TIOCGWINSZ);
	r = r ? r : add_if(c, "tgkill", 0, WHOLE, (uint32_t)self); /* abort() */
	r = r ? r : add_if(c, "prlimit64", 2, ~0ull, 0);
	return r;
}

const char *sandbox_calls(bool makes)
{
	scmp_filter_ctx c = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!c)
		return "no memory for it";
	r = add_all(c, SCMP_ACT_ALLOW, allowed, sizeof(allowed) / sizeof(*allowed));
	r = r ? r : add_all(c, SCMP_ACT_KILL_PROCESS, deadly, sizeof(deadly) / sizeof(*deadly));
	r = r ? r : add_bounded(c, makes);
	r = r ? r : seccomp_load(c);
	seccomp_release(c);
	return !r           ? NULL :
	       r == -ENOMEM ? "no memory for it" :
			      "this kernel, or a container, refuses";
}
