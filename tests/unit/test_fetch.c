/*
 * EXE from a scripted stub: what of it is believed when it is in the cache already, and what an
 * endless one may take.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "rsp/rsp.h"
#include "target/fetch.h"
#include "tests/unit/check.h"

#include "tests/stub/stub.c"

enum { MB = 1 << 20, HEAD = 64 << 10 };

static char home[] = "/tmp/grf-fetch-XXXXXX", cache[64];

/* This program, which has a build id, with zeros up to `size`. */
static uint8_t *program(size_t size, size_t *len)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *b;

	assert_int_equal(fstat(fd, &st), 0);
	*len = size ? size : (size_t)st.st_size;
	b = calloc(1, *len);
	assert_non_null(b);
	assert_true(read(fd, b, HEAD) == HEAD);
	if (!size)
		assert_true(pread(fd, b, *len, 0) == st.st_size);
	close(fd);
	return b;
}

/* Fetches it; *bytes: so many came from the stub. */
static struct err *fetch(const uint8_t *file, size_t len, char **path, uint64_t *bytes)
{
	struct stub_config c = {
		.base = 0x10000, .size = 4096, .runs = true, .file = file, .file_len = len
	};
	struct rsp_options opts = { .timeout_ms = 5000, .pid = 0x10 };
	_cleanup_free_ char *name = NULL;
	bool temporary = false;
	struct rsp *rsp = NULL;
	struct stub s;
	struct err *err;

	stub_start(&s, &c);
	ok(rsp_create(s.target, &opts, &rsp));
	err = fetch_exe(rsp, 0x10, path, &name, &temporary);
	*bytes = rsp_stats(rsp).bytes_in;
	assert_false(temporary);
	rsp_destroy(rsp);
	stub_stop(&s);
	assert_false(s.held);
	return err;
}

static unsigned kept(void)
{
	DIR *dir = opendir(cache);
	unsigned n = 0;

	for (struct dirent *e; dir && (e = readdir(dir));)
		n += e->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

static void check_file(const char *path, const uint8_t *want, size_t len)
{
	uint8_t *b = malloc(len + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_int_equal(read(fd, b, len + 1), len);
	assert_memory_equal(b, want, len);
	close(fd);
	free(b);
}

/* A stub can claim another's build id, and send what it likes behind it. */
static void test_claimed_id(void **state)
{
	char *first = NULL, *other = NULL, *again = NULL;
	uint64_t bytes, less;
	size_t len;
	uint8_t *b = program(0, &len);

	ok(fetch(b, len, &first, &bytes));
	check_file(first, b, len);
	memset(b + len / 2, 0x55, len / 4);
	ok(fetch(b, len, &other, &bytes));
	check_file(other, b, len);
	assert_string_not_equal(first, other);
	assert_int_equal(kept(), 2);
	ok(fetch(b, len, &again, &less)); /* a hit */
	assert_string_equal(again, other);
	assert_true(less < bytes / 2);
	free(TAKE_PTR(again));
	ok(fetch(b, len - 1, &again, &bytes)); /* only shorter */
	assert_int_equal(kept(), 3);
	free(first);
	free(other);
	free(again);
	free(b);
}

/* What is in the cache may not be what was put there. */
static void test_damaged(void **state)
{
	char *first = NULL, *again = NULL;
	uint64_t bytes;
	size_t len;
	uint8_t *b = program(0, &len);
	uint8_t other[4096] = { 1, 2, 3 };
	int fd;

	ok(fetch(b, len, &first, &bytes));
	fd = open(first, O_WRONLY | O_CLOEXEC);
	for (off_t at = HEAD; at + 8192 < (off_t)len; at += 8192)
		assert_int_equal(pwrite(fd, other, sizeof(other), at), sizeof(other));
	close(fd);
	ok(fetch(b, len, &again, &bytes));
	check_file(again, b, len);
	free(first);
	free(again);
	free(b);
}

/* Zeros cost a stub nothing: they go to a file as they come. */
static void test_streamed(void **state)
{
	enum { SIZE = 64 * MB };
	struct rusage before, after;
	char *path = NULL;
	uint64_t bytes;
	size_t len;
	uint8_t *b = program(SIZE, &len);
	struct stat st;

	getrusage(RUSAGE_SELF, &before);
	ok(fetch(b, len, &path, &bytes));
	getrusage(RUSAGE_SELF, &after);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, SIZE);
	/* AddressSanitizer keeps what is freed. */
	if (!SANITIZED && after.ru_maxrss - before.ru_maxrss > SIZE / 2 / 1024)
		fail_msg("%ld KB of memory", after.ru_maxrss - before.ru_maxrss);
	free(path);
	free(b);
}

static void test_full_disk(void **state)
{
	char *path = NULL;
	uint64_t bytes;
	size_t len;
	uint8_t *b = program(32 * MB, &len);
	struct err *err;

	mkdir(cache, 0700);
	if (mount("tmpfs", cache, "tmpfs", 0, "size=8m,mode=700")) {
		print_message("no file system can be mounted here\n");
		free(b);
		skip();
	}
	err = fetch(b, len, &path, &bytes);
	assert_non_null(err);
	assert_int_equal(err->code, ERR_LIMIT);
	assert_non_null(strstr(err->msg, cache));
	assert_int_equal(kept(), 0);
	err_destroy(err);
	umount(cache);
	free(b);
}

static int no_cache(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", cache);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_claimed_id, no_cache),
		cmocka_unit_test_teardown(test_damaged, no_cache),
		cmocka_unit_test_teardown(test_streamed, no_cache),
		cmocka_unit_test_teardown(test_full_disk, no_cache),
	};
	int n;

	if (!mkdtemp(home))
		return 1;
	setenv("XDG_CACHE_HOME", home, 1);
	snprintf(cache, sizeof(cache), "%s/grf-rsp", home);
	n = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(home);
	return n;
}
