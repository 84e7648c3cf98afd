/* Who is in the sandbox reads and writes where that was said, and nothing else: a child tries. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sandbox.h"

static char in[] = "/tmp/grf-in-XXXXXX", out[] = "/tmp/grf-out-XXXXXX", text[SANDBOX_TEXT];

static int opens(const char *dir, const char *name, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

/* In a child, in the sandbox: its exit status is what `tried` returns. */
static int status_of(int (*tried)(void), bool makes)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		const char *read[] = { in, "/no/such/folder" }, *write[] = { out };

		signal(SIGSYS, SIG_DFL);
		if (!sandbox_enter(&(struct sandbox){ read, write, 2, 1, makes }, text))
			_exit(100);
		_exit(tried());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static bool has_calls, has_files;

#define IS(what)                               \
	do {                                   \
		if (!(what))                   \
			return __LINE__ % 256; \
	} while (0)

static int reads_and_writes(void)
{
	char path[64], other[64];
	int fd;

	IS(opens(in, "file", O_RDONLY) == 0);
	IS(opens(out, "new", O_WRONLY | O_CREAT) == 0);
	snprintf(path, sizeof(path), "%s/new", out);
	snprintf(other, sizeof(other), "%s/name", out);
	IS(rename(path, other) == 0);
	fd = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	IS(fd >= 0 && fsync(fd) == 0 && close(fd) == 0);
	IS(unlink(other) == 0);
	IS(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
	   MAP_FAILED);
	free(malloc(64 << 20));
	return 0;
}

static int no_other_files(void)
{
	IS(!has_files || opens("/etc", "passwd", O_RDONLY) == EACCES);
	IS(!has_files || opens(in, "file", O_WRONLY) == EACCES);
	IS(!has_files || opens(in, "new", O_WRONLY | O_CREAT) == EACCES);
	IS(!has_files || opens("/tmp", "grf-new", O_WRONLY | O_CREAT) == EACCES);
	return 0;
}

static int no_files_for_writing(void)
{
	IS(opens(in, "file", O_RDONLY) == 0);
	IS(!has_calls || opens(out, "new", O_WRONLY | O_CREAT) == EPERM);
	IS(!has_calls || opens(out, "new", O_RDWR) == EPERM);
	return 0;
}

static int no_other_calls(void)
{
	IS(kill(getppid(), 0) == -1 && errno == EPERM);
	IS(mkdir("/tmp/grf-folder", 0700) == -1 && (errno == EPERM || errno == EACCES));
	IS(chmod(in, 0777) == -1 && errno == EPERM);
	IS(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	   MAP_FAILED);
	IS(setuid(1) == -1 && errno == EPERM);
	return 0;
}

static int a_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) >= 0 ? 1 : 2;
}

static int a_program(void)
{
	char *argv[] = { "true", NULL };

	execv("/bin/true", argv);
	return 2;
}

static int a_trace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) ? 2 : 1;
}

static int proc_status(void)
{
	char line[128];
	FILE *f = fopen("/proc/self/status", "re");
	int found = 0;

	if (!f) /* Landlock */
		return 0;
	while (fgets(line, sizeof(line), f))
		found += !strcmp(line, "NoNewPrivs:\t1\n") || !strcmp(line, "Seccomp:\t2\n");
	fclose(f);
	return found != 1 + has_calls;
}

static void exits(int (*tried)(void), bool makes)
{
	int status = status_of(tried, makes);

	if (status)
		fail_msg("status %x, line %% 256: %d", (unsigned)status, WEXITSTATUS(status));
}

static void dies(int (*tried)(void))
{
	int status = status_of(tried, false);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void test_sandbox(void **state)
{
	int status, p[2];
	char got[SANDBOX_TEXT] = "";
	pid_t pid;

	assert_int_equal(pipe(p), 0);
	pid = fork();
	if (pid == 0) { /* what is there to be had? */
		sandbox_enter(&(struct sandbox){ 0 }, text);
		_exit(write(p[1], text, sizeof(text)) != sizeof(text));
	}
	waitpid(pid, &status, 0);
	assert_int_equal(read(p[0], got, sizeof(got)), sizeof(got));
	print_message("%s\n", got);
	close(p[0]);
	close(p[1]);
	if (!strncmp(got, "none", 4))
		skip();
	has_calls = strstr(got, "few (seccomp)");
	has_files = strstr(got, "few (Landlock)");
	exits(reads_and_writes, true);
	exits(no_other_files, true);
	exits(no_files_for_writing, false);
	exits(proc_status, false);
	if (!has_calls)
		return;
	exits(no_other_calls, true);
	dies(a_socket);
	dies(a_program);
	dies(a_trace);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_sandbox) };
	char path[64];
	int n;

	if (!mkdtemp(in) || !mkdtemp(out))
		return 1;
	snprintf(path, sizeof(path), "%s/file", in);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	n = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	rmdir(in);
	snprintf(path, sizeof(path), "%s/new", out);
	unlink(path);
	rmdir(out);
	return n;
}
