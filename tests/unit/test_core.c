/* A small core file that says what it likes: how much memory is taken for it. */
#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "target/core.h"
#include "tests/unit/check.h"

enum { BASE = 0x400000, PAGE = 4096, PRSTATUS = 336 };

struct small_core {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[3];
	Elf64_Nhdr note;
	char name[8];
	uint8_t status[PRSTATUS];
	uint8_t page[PAGE];
};

/* One page of the file, and `more` bytes of memory that nobody touched. */
static void write_core(const char *path, uint64_t more)
{
	struct small_core c = {
		.eh = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				     EV_CURRENT },
			.e_type = ET_CORE,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_phoff = offsetof(struct small_core, ph),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 3 },
		.ph = { { .p_type = PT_NOTE,
			  .p_offset = offsetof(struct small_core, note),
			  .p_filesz = sizeof(Elf64_Nhdr) + 8 + PRSTATUS },
			{ .p_type = PT_LOAD,
			  .p_flags = PF_R | PF_W,
			  .p_offset = offsetof(struct small_core, page),
			  .p_vaddr = BASE,
			  .p_filesz = PAGE,
			  .p_memsz = PAGE },
			{ .p_type = PT_LOAD,
			  .p_flags = PF_R | PF_W,
			  .p_vaddr = BASE + PAGE,
			  .p_memsz = more } },
		.note = { .n_namesz = 5, .n_descsz = PRSTATUS, .n_type = NT_PRSTATUS },
		.name = "CORE",
		.page = { 1, 2, 3 },
	};
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, &c, sizeof(c)), sizeof(c));
	close(fd);
}

static void test_untouched(void **state)
{
	char path[] = "/tmp/grf-core-XXXXXX";
	struct rusage before, after;
	struct target *t = NULL;
	struct core *c = NULL;
	struct image *img;
	struct err *err;
	uint64_t v = 1;

	close(mkstemp(path));
	write_core(path, 60ull << 30);
	ok(core_open(path, &c));
	ok(core_target(c, arch_find(EM_X86_64, (struct bytes_fmt){ 8, false }), &t));
	ok(image_create((struct bytes_fmt){ 8, false }, &img));
	image_set_source(img, target_memory(t));
	ok(image_need1(img, BASE, 2 << 20));
	ok(image_read_uint(img, BASE, 2, &v));
	assert_int_equal(v, 0x0201);
	ok(image_read_uint(img, BASE + (1 << 20), 8, &v));
	assert_int_equal(v, 0);
	getrusage(RUSAGE_SELF, &before);
	err = image_need1(img, BASE + (4ull << 20), 4ull << 30); /* a stack, it says */
	getrusage(RUSAGE_SELF, &after);
	assert_non_null(err);
	assert_int_equal(err->code, ERR_LIMIT);
	assert_non_null(strstr(err->msg, path));
	assert_true(after.ru_maxrss - before.ru_maxrss < 100 << 10);
	err_destroy(err);
	image_destroy(img);
	target_destroy(t);
	core_destroy(c);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_untouched) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
