/*
 * Much of one thing: symbols of one name, segments, relocations.  What takes a step for each pair of
 * them does not end within a test's time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <elf.h>

#include "base/buf.h"
#include "target/elf.h"
#include "target/target.h"
#include "tests/unit/check.h"
#include "tests/unit/fakeelf.h"

/* C's files have many local symbols of one name; all others are found among them. */
static void symbols_of_one_name(void **state)
{
	enum { N = 600000, OTHERS = 5000, EVERY = N / OTHERS };
	static uint8_t code[8];
	struct fake_symbol *v = calloc(N, sizeof(*v));
	struct fake_segment seg = { 0x10000, sizeof(code), sizeof(code), code, false, true };
	struct fake_elf f = { { 8, false }, EM_X86_64, &seg, 1, NULL, 0, v, N };
	char(*names)[16] = calloc(OTHERS, sizeof(*names)), path[256];
	uint64_t addr, size;
	struct elf *e;

	assert_non_null(v);
	assert_non_null(names);
	for (int i = 0; i < N; i++) {
		v[i] = (struct fake_symbol){ "same", 0x10000 + (uint64_t)i, 1 };
		if (i % EVERY == EVERY - 1) {
			snprintf(names[i / EVERY], sizeof(*names), "other%d", i / EVERY);
			v[i].name = names[i / EVERY];
		}
	}
	fake_elf_write(&f, path, sizeof(path));
	ok(elf_open(path, &e));
	assert_true(elf_symbol(e, "same", &addr, &size));
	assert_int_equal(addr, 0x10000);
	for (int i = 0; i < OTHERS; i++) {
		assert_true(elf_symbol(e, names[i], &addr, &size));
		assert_int_equal(addr, 0x10000 + (i + 1) * EVERY - 1);
	}
	assert_false(elf_symbol(e, "none", &addr, &size));
	elf_destroy(e);
	unlink(path);
	free(names);
	free(v);
}

static void lent_segments(void **state)
{
	enum { N = 500000 };
	static const uint8_t byte = 7;
	struct image *img;
	uint64_t v;

	ok(image_create((struct bytes_fmt){ 8, false }, &img));
	for (uint64_t i = 0; i < N; i++)
		ok(image_lend(img, 0x1000 + 2 * i, &byte, 1));
	for (uint64_t i = 0; i < N; i += 1000) {
		assert_true(image_try_uint(img, 0x1000 + 2 * i, 1, &v));
		assert_false(image_try_uint(img, 0x1001 + 2 * i, 1, &v));
	}
	bad(image_lend(img, 0x1000, &byte, 1), ERR_BADDATA);
	ok(image_lend(img, 0x800, &byte, 1)); /* before all others */
	assert_true(image_try_uint(img, 0x800, 1, &v));
	image_destroy(img);
}

enum { SEGMENTS = 60000, RELOCATIONS = 1000000, STRIDE = 0x100 };

static void put(struct buf *b, const void *p, size_t len)
{
	ok(buf_add(b, p, len));
}

/* A PIE of many segments, whose words relocations lead to in no order. */
static void write_pie(char path[32])
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	const uint64_t data = sizeof(Elf64_Ehdr) + SEGMENTS * sizeof(Elf64_Phdr);
	const uint64_t rela = data + 8ull * SEGMENTS;
	const uint64_t names = rela + RELOCATIONS * sizeof(Elf64_Rela);
	Elf64_Ehdr eh = { .e_type = ET_DYN,
			  .e_machine = EM_X86_64,
			  .e_version = EV_CURRENT,
			  .e_phoff = sizeof(eh),
			  .e_shoff = names + 32,
			  .e_ehsize = sizeof(eh),
			  .e_phentsize = sizeof(Elf64_Phdr),
			  .e_phnum = SEGMENTS,
			  .e_shentsize = sizeof(Elf64_Shdr),
			  .e_shnum = 3,
			  .e_shstrndx = 2 };
	Elf64_Shdr sh[3] = {
		[1] = { .sh_name = 1,
			.sh_type = SHT_RELA,
			.sh_flags = SHF_ALLOC,
			.sh_offset = rela,
			.sh_size = RELOCATIONS * sizeof(Elf64_Rela) },
		[2] = { .sh_name = 7, .sh_type = SHT_STRTAB, .sh_offset = names, .sh_size = 32 }
	};
	static const char strings[32] = "\0.rela\0.shstrtab";
	int fd;

	memcpy(eh.e_ident, ELFMAG, SELFMAG);
	eh.e_ident[EI_CLASS] = ELFCLASS64;
	eh.e_ident[EI_DATA] = ELFDATA2LSB;
	eh.e_ident[EI_VERSION] = EV_CURRENT;
	put(&b, &eh, sizeof(eh));
	for (uint64_t i = 0; i < SEGMENTS; i++)
		put(&b,
		    &(Elf64_Phdr){ .p_type = PT_LOAD,
				   .p_flags = PF_R,
				   .p_offset = data + 8 * i,
				   .p_vaddr = STRIDE * (i + 1),
				   .p_filesz = 8,
				   .p_memsz = 8 },
		    sizeof(Elf64_Phdr));
	for (uint64_t i = 0; i < SEGMENTS; i++)
		put(&b, &(uint64_t){ 0 }, 8);
	for (uint64_t i = 0; i < RELOCATIONS; i++)
		put(&b,
		    &(Elf64_Rela){ .r_offset = STRIDE * (1 + i * 7919 % SEGMENTS),
				   .r_info = ELF64_R_INFO(0, R_X86_64_RELATIVE),
				   .r_addend = (Elf64_Sxword)(i * 7919 % SEGMENTS) },
		    sizeof(Elf64_Rela));
	put(&b, strings, sizeof(strings));
	put(&b, sh, sizeof(sh));
	strcpy(path, "/tmp/test_many.XXXXXX");
	fd = mkstemp(path);
	assert_int_equal(write(fd, b.data, b.len), (ssize_t)b.len);
	close(fd);
}

static void relocations(void **state)
{
	const struct elf_segment *s;
	char path[32];
	struct elf *e;

	write_pie(path);
	ok(elf_open(path, &e));
	unlink(path);
	assert_int_equal(elf_segments(e, &s), SEGMENTS);
	for (uint64_t i = 0; i < SEGMENTS; i++) {
		assert_int_equal(bytes_u64(elf_fmt(e), elf_data(e, STRIDE * (i + 1), 8)), i);
		/* where it is in the file, although it was copied */
		assert_int_equal(elf_segment_offset(e, &s[i]),
				 sizeof(Elf64_Ehdr) + SEGMENTS * sizeof(Elf64_Phdr) + 8 * i);
	}
	elf_destroy(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(symbols_of_one_name),
		cmocka_unit_test(lent_segments),
		cmocka_unit_test(relocations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
