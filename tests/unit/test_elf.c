/* target/elf: real Go executables of several releases, and damaged ones. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>

#include "target/elf.h"
#include "target/elf_note.h"
#include "tests/unit/gobuild.h"

static const char source[] = "package main\n"
			     "var Counter [3]int\n"
			     "func main() { Counter[1]++; println(Counter[1]) }\n";

static struct elf *must_open(const char *path)
{
	struct elf *e = NULL;
	struct err *err = elf_open(path, &e);

	if (err)
		print_error("%s\n", err->msg);
	assert_null(err);
	return e;
}

static void check_buildinfo(struct elf *e, const char *release)
{
	const char *version, *mod;
	char want[64];
	struct err *err = elf_go_buildinfo(e, &version, &mod);

	if (err)
		print_error("%s\n", err->msg);
	assert_null(err);
	snprintf(want, sizeof(want), "go%s", release);
	assert_string_equal(version, want);
	/* without the marks around it */
	assert_ptr_equal(strstr(mod, "path\texample.com/prog\n"), mod);
	assert_int_equal(mod[strlen(mod) - 1], '\n');
}

static void test_one(const char *release)
{
	const struct elf_segment *seg;
	const struct elf_section *sec, *all;
	const char *version, *mod;
	char path[512], cmd[512], *want;
	uint64_t addr = 0, size = 0, v;
	unsigned char *bytes;
	Elf64_Ehdr eh;
	struct elf *e;
	size_t n, i, len;

	if (!go_build(release, "", "", source, "e", path, sizeof(path)))
		return;
	e = must_open(path);
	assert_int_equal(elf_machine(e), EM_X86_64);
	assert_int_equal(elf_fmt(e).word, 8);
	assert_false(elf_fmt(e).big);
	assert_false(elf_is_dyn(e));
	check_buildinfo(e, release);
	want = go_output(release, "go tool buildid e");
	assert_string_equal(elf_go_build_id(e), want);
	free(want);

	/* symbols: against the toolchain's own reader */
	assert_true(elf_symbol(e, "main.Counter", &addr, &size));
	assert_int_equal(size, 24);
	want = go_output(release, "go tool nm e | grep main.Counter");
	assert_int_equal(strtoull(want, NULL, 16), addr);
	free(want);
	assert_false(elf_symbol(e, "main.NoSuch", &v, &v));
	sec = elf_section_at(e, addr);
	assert_non_null(sec);
	assert_true(!strcmp(sec->name, ".noptrbss") || !strcmp(sec->name, ".bss"));
	assert_null(elf_section_data(e, sec));
	assert_null(elf_data(e, addr, 8)); /* not from the file */

	/* segments and sections agree on the bytes */
	assert_true(elf_segments(e, &seg) >= 2);
	n = elf_sections(e, &all);
	assert_true(n > 10);
	for (i = 0; i < n; i++) {
		if (!all[i].alloc || all[i].nobits || !all[i].size)
			continue;
		assert_ptr_equal(elf_data(e, all[i].addr, all[i].size),
				 elf_section_data(e, &all[i]));
		assert_null(elf_data(e, all[i].addr, 1ull << 60));
	}
	sec = elf_section(e, ".text");
	assert_true(elf_entry(e) >= sec->addr && elf_entry(e) < sec->addr + sec->size);
	elf_destroy(e);

	/* stripped: build information stays, symbols go */
	assert_true(go_build(release, "", "-ldflags=\"-s -w\"", source, "stripped", path,
			     sizeof(path)));
	e = must_open(path);
	check_buildinfo(e, release);
	assert_false(elf_symbol(e, "main.Counter", &addr, &size));
	elf_destroy(e);

	/* no section headers at all: found by its magic */
	bytes = read_file(path, &len);
	memcpy(&eh, bytes, sizeof(eh));
	eh.e_shoff = eh.e_shnum = eh.e_shstrndx = 0;
	memcpy(bytes, &eh, sizeof(eh));
	snprintf(cmd, sizeof(cmd), "%s/nosections", go_dir);
	write_file(cmd, bytes, len);
	free(bytes);
	e = must_open(cmd);
	assert_int_equal(elf_sections(e, &all), 0);
	check_buildinfo(e, release);
	elf_destroy(e);

	/* the other order and width */
	assert_true(go_build(release, "GOARCH=s390x", "", source, "s390x", path, sizeof(path)));
	e = must_open(path);
	assert_true(elf_fmt(e).big);
	check_buildinfo(e, release);
	assert_true(elf_symbol(e, "main.Counter", &addr, &size));
	assert_int_equal(size, 24);
	elf_destroy(e);
	assert_true(go_build(release, "GOARCH=386", "", source, "i386", path, sizeof(path)));
	e = must_open(path);
	assert_int_equal(elf_fmt(e).word, 4);
	check_buildinfo(e, release);
	assert_true(elf_symbol(e, "main.Counter", &addr, &size));
	assert_int_equal(size, 12);
	elf_destroy(e);

	/* a C program is no Go program */
	if (!access("/bin/true", R_OK)) {
		struct err *err;

		e = must_open("/bin/true");
		assert_true(strlen(elf_gnu_build_id(e)) >= 32);
		err = elf_go_buildinfo(e, &version, &mod);
		assert_true(err_is(err, ERR_NODEBUG));
		err_destroy(err);
		elf_destroy(e);
	}
}

static void test_releases(void **state)
{
	for (int i = 0; i < NRELEASES; i++)
		test_one(go_releases[i]);
}

static void open_bad(const char *path, enum err_code code)
{
	struct elf *e = NULL;
	struct err *err = elf_open(path, &e);

	assert_non_null(err);
	assert_int_equal(err->code, code);
	assert_non_null(strstr(err->msg, path));
	assert_null(e);
	err_destroy(err);
}

static void test_not_elf(void **state)
{
	char path[512];

	open_bad("/nonexistent/file", ERR_OS);
	snprintf(path, sizeof(path), "%s/text", go_dir);
	write_file(path, "hello, world\n", 13);
	open_bad(path, ERR_BADDATA);
	write_file(path, "", 0);
	open_bad(path, ERR_BADDATA);
	write_file(path, "\177ELF\2\1\1\0\0\0", 10);
	open_bad(path, ERR_BADDATA);
}

/* Whatever the file, a clean error or a usable handle. */
static void use_all(const char *path)
{
	const struct elf_section *sec;
	const struct elf_segment *seg;
	const char *version, *mod;
	struct elf *e = NULL;
	struct err *err = elf_open(path, &e);
	uint64_t a, b, sum = 0;
	size_t n, i;

	if (err) {
		assert_true(err->code == ERR_BADDATA);
		err_destroy(err);
		return;
	}
	n = elf_sections(e, &sec);
	for (i = 0; i < n; i++) {
		const uint8_t *p = elf_section_data(e, &sec[i]);

		sum += strlen(sec[i].name);
		if (p)
			sum += p[0] + p[sec[i].size - 1];
	}
	n = elf_segments(e, &seg);
	for (i = 0; i < n; i++)
		if (seg[i].filesz)
			sum += seg[i].data[0] + seg[i].data[seg[i].filesz - 1];
	elf_symbol(e, "main.main", &a, &b);
	err_destroy(elf_go_buildinfo(e, &version, &mod));
	sum += strlen(elf_go_build_id(e)) + strlen(elf_gnu_build_id(e));
	assert_true(sum != 1);
	elf_destroy(e);
}

static void test_damaged(void **state)
{
	static const size_t cuts[] = { 1, 16, 52, 63, 64, 65, 200, 4096 };
	char path[512];
	unsigned char *orig, *bytes;
	Elf64_Ehdr eh;
	size_t len, i;

	if (!go_build("1.26.8", "", "", source, "fuzz", path, sizeof(path)))
		return;
	orig = read_file(path, &len);
	bytes = malloc(len);
	assert_non_null(bytes);
	memcpy(&eh, orig, sizeof(eh));
	snprintf(path, sizeof(path), "%s/damaged", go_dir);

	/* cut anywhere: clearly an error while the section headers are at the end */
	for (i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		write_file(path, orig, cuts[i]);
		open_bad(path, ERR_BADDATA);
		write_file(path, orig, len - cuts[i]);
		use_all(path);
	}
	write_file(path, orig, len / 2);
	open_bad(path, ERR_BADDATA);

	srand(1);
	for (i = 0; i < 300; i++) {
		size_t area = (size_t)rand() % 3, at, n = 1 + (size_t)rand() % 4;

		memcpy(bytes, orig, len);
		while (n--) {
			if (area == 0)
				at = (size_t)rand() % (64 + 56 * eh.e_phnum);
			else if (area == 1)
				at = eh.e_shoff + (size_t)rand() % (64u * eh.e_shnum);
			else
				at = (size_t)rand() % len;
			bytes[at] = (unsigned char)rand();
		}
		write_file(path, bytes, len);
		use_all(path);
	}
	free(orig);
	free(bytes);
}

/* What -buildid and the linkers' --build-id make, and what identifies a build. */
static void test_ids(void **state)
{
	static const char sha1[] = "0123456789abcdef0123456789abcdef01234567";

	assert_true(elf_ids_identify("a_b/c-d/e/f", NULL));
	assert_true(elf_ids_identify("", sha1));
	assert_true(elf_ids_identify(NULL, sha1));
	assert_false(elf_ids_identify(NULL, NULL));
	assert_false(elf_ids_identify("redacted", NULL));
	assert_false(elf_ids_identify("redacted", sha1)); /* Go 1.24 and later: made of it */
	assert_false(elf_ids_identify("a/b/c", ""));
	assert_false(elf_ids_identify("a//c/d", ""));
	assert_false(elf_ids_identify("/a/b/c", ""));
	assert_false(elf_ids_identify("a/b/c/", ""));
	assert_false(elf_ids_identify("", "1234"));
}

/* KB of the process's resident pages that are files'. */
static long rss_file(void)
{
	char line[256];
	long kb = -1;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "RssFile: %ld", &kb);
	if (f)
		fclose(f);
	return kb;
}

static uint64_t sum_of(const struct elf *e)
{
	const struct elf_section *secs;
	size_t n = elf_sections(e, &secs);
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		for (uint64_t at = 0; !secs[i].nobits && at < secs[i].size; at++)
			sum = sum * 31 + elf_section_data(e, &secs[i])[at];
	return sum;
}

/* Pages are given back, and come again. */
static void test_release(void **state)
{
	char path[512];
	struct elf *e;
	uint64_t sum, addr, size;
	long before;

	if (!go_build("1.26.8", "", "", source, "r", path, sizeof(path)))
		return;
	if (elf_open(path, &e))
		fail();
	sum = sum_of(e);
	before = rss_file();
	elf_release(e);
	assert_true(rss_file() < before - 1500);
	assert_true(sum_of(e) == sum);
	assert_true(elf_symbol(e, "main.Counter", &addr, &size)); /* from pages that are let go */
	assert_true(elf_symbol(e, "main.main", &addr, &size));
	elf_destroy(e);
}

/* Names that run out of their section: that symbol has none, the others have theirs. */
static void test_symbol_names(void **state)
{
	char path[512];
	const struct elf_section *strs, *syms;
	uint64_t addr, size, i, count, named = 0;
	unsigned char *bytes;
	const char *name;
	struct elf *e;
	size_t len;

	if (!go_build("1.26.8", "", "", source, "n", path, sizeof(path)))
		return;
	bytes = read_file(path, &len);
	if (elf_open(path, &e))
		fail();
	strs = elf_section(e, ".strtab");
	syms = elf_section(e, ".symtab");
	assert_true(strs && syms);
	assert_memory_equal(bytes + elf_section_offset(e, syms), elf_section_data(e, syms),
			    syms->size);
	count = elf_symbol_count(e);
	for (i = 0; i < count; i++)
		named += elf_symbol_get(e, i, &name, &addr, &size);
	assert_true(named > 1000);
	bytes[elf_section_offset(e, strs) + strs->size - 1] = 'x';
	elf_destroy(e);
	snprintf(path, sizeof(path), "%s/names", go_dir);
	write_file(path, bytes, len);
	if (elf_open(path, &e))
		fail();
	for (i = 0; i < count; i++)
		if (elf_symbol_get(e, i, &name, &addr, &size)) {
			named--;
			assert_true(strlen(name) < 10000);
		}
	assert_int_equal(named, 1);
	elf_destroy(e);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_elf),      cmocka_unit_test(test_releases),
		cmocka_unit_test(test_damaged),      cmocka_unit_test(test_release),
		cmocka_unit_test(test_symbol_names), cmocka_unit_test(test_ids),
	};

	return cmocka_run_group_tests_name("elf", tests, go_setup, go_teardown);
}
