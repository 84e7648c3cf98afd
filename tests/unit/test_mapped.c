/* Files that are cut while they are mapped: zeros, and an error that names them. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/intr.h"
#include "base/mapped.h"
#include "target/dwarf.h"
#include "target/elf.h"
#include "tests/unit/check.h"

/* A copy of this program; the caller closes and removes it. */
static int copy_of_self(char path[32], uint64_t *len)
{
	static uint8_t b[1 << 20];
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), fd;
	ssize_t n;

	strcpy(path, "/tmp/test_mapped.XXXXXX");
	fd = mkstemp(path);
	assert_true(from >= 0 && fd >= 0);
	*len = 0;
	while ((n = read(from, b, sizeof(b))) > 0) {
		assert_int_equal(write(fd, b, (size_t)n), n);
		*len += (uint64_t)n;
	}
	close(from);
	return fd;
}

static void cut_while_mapped(void **state)
{
	const uint8_t *data, *whole;
	struct mapped *m, *other;
	char path[32], second[32];
	uint64_t len, len2;
	int fd = copy_of_self(path, &len), fd2 = copy_of_self(second, &len2);
	struct err *err;

	ok(mapped_create(fd, len, "the file", &m, &data));
	ok(mapped_create(fd2, len2, "another", &other, &whole));
	assert_int_equal(ftruncate(fd, 4096 + 100), 0);
	assert_int_equal(data[0], 0x7f); /* it is still there */
	ok(intr_check());
	assert_int_equal(data[len / 2] | data[8192] | data[len - 1], 0);
	assert_int_equal(data[0], 0x7f);
	err = intr_check();
	assert_true(err_is(err, ERR_OS));
	assert_non_null(strstr(err->msg, "the file was cut"));
	err_destroy(err);
	assert_int_equal(whole[0], 0x7f);
	mapped_destroy(m);
	mapped_destroy(other);
	close(fd);
	close(fd2);
	unlink(path);
	unlink(second);
	intr_forget();
	ok(intr_check());
}

/* Whatever looks into an executable that is gone finds nothing, or damage. */
static void cut_executable(void **state)
{
	uint64_t addr = 0, size, len;
	const struct dwarf_var *vars;
	struct dwarf *d = NULL;
	const char *s, *mod;
	char path[32];
	struct elf *e;
	size_t n;
	int fd = copy_of_self(path, &len);

	ok(elf_open(path, &e));
	ok(dwarf_create(e, &d));
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_false(elf_symbol(e, "main", &addr, &size));
	for (uint64_t i = 0; i < elf_symbol_count(e); i++)
		elf_symbol_get(e, i, &s, &addr, &size);
	err_destroy(elf_go_buildinfo(e, &s, &mod));
	err_destroy(dwarf_globals(d, &vars, &n));
	elf_crc32(e);
	bad(intr_check(), ERR_OS);
	dwarf_destroy(d);
	elf_destroy(e);
	bad(elf_open("/proc/self/exe", &e), ERR_OS); /* nothing goes on */
	close(fd);
	unlink(path);
	intr_forget();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_while_mapped),
		cmocka_unit_test(cut_executable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
