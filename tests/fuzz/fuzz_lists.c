/*
 * target/dwarf_lists: location and range lists of DWARF 4 and 5, all five sections from the input.
 *
 *	version, address size, low pc, base; then the sections' lengths, and their bytes
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "target/dwarf_int.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/fakeelf.h"

enum { SECTIONS = 6, SIZE = 512, PACKED = 1024, HEADER = 12 };

static struct err *ask(struct elf *e, const struct dwarf_cu *cu)
{
	struct dwarf_sections *s = NULL;
	struct dwarf_lists *l = NULL;
	struct err *err = dwarf_sections_create(e, &s);
	const uint8_t *expr;
	uint64_t len, at;
	bool yes;

	if (!err)
		err = dwarf_lists_create(s, &l);
	for (uint64_t off = 0; !err && off < SIZE; off += off < 32 ? 1 : 37) {
		for (uint64_t pc = 0x1000; !err && pc < 0x1100; pc += 0x55) {
			err = dwarf_ranges_cover(l, cu, off, pc, &yes);
			if (!err)
				err = dwarf_loclist_at(l, cu, off, pc, &expr, &len);
			/* what it gives can be read */
			for (uint64_t i = 0; !err && expr && i < len; i++)
				at += expr[i];
		}
		if (!err)
			err = dwarf_loclist_begin(l, cu, off, &at);
	}
	dwarf_lists_destroy(l);
	dwarf_sections_destroy(s);
	return err;
}

/* Compressed, so that what is read is a piece of memory of just this length: ".zdebug_loc". */
static uint64_t pack(const uint8_t *p, size_t len, uint8_t *dst)
{
	uLongf n = PACKED - HEADER;

	memcpy(dst, "ZLIB\0\0\0", 8);
	for (int i = 0; i < 8; i++)
		dst[4 + i] = (uint8_t)((uint64_t)len >> (56 - 8 * i));
	if (compress2(dst + HEADER, &n, p, len, 1) != Z_OK)
		abort();
	return (HEADER + n + 7) & ~7ull;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[SECTIONS] = { ".zdebug_loc",      ".zdebug_ranges",
						     ".zdebug_loclists", ".zdebug_rnglists",
						     ".zdebug_addr",     ".debug_info" };
	static uint8_t packed[SECTIONS][PACKED];
	static const uint8_t none[SIZE];
	struct fuzz_in in = { data, size };
	uint8_t how = fuzz_u8(&in);
	struct dwarf_cu cu = { .version = how & 7,
			       .addr_size = how & 8  ? 8 :
					    how & 16 ? 4 :
						       fuzz_u8(&in),
			       .low_pc = 0x1000 };
	struct fake_segment segments[SECTIONS];
	struct fake_section sections[SECTIONS];
	struct fake_elf f = { .fmt = { how & 32 ? 4 : 8, how & 64 },
			      .machine = 62,
			      .segments = segments,
			      .nsegments = SECTIONS,
			      .sections = sections,
			      .nsections = SECTIONS };
	struct elf *e = NULL;
	char path[256];

	cu.addr_base = fuzz_u16(&in);
	for (unsigned i = 0; i < SECTIONS; i++) {
		struct fuzz_in part = fuzz_take(&in, i == 4 ? in.n : (size_t)fuzz_u8(&in) * 2);
		uint64_t len;

		if (!part.n || part.n > SIZE)
			part = (struct fuzz_in){ none, 8 };
		len = pack(part.p, part.n, packed[i]);
		segments[i] = (struct fake_segment){ 0x10000 + i * 0x1000, len, len, packed[i] };
		sections[i] = (struct fake_section){ names[i], 0x10000 + i * 0x1000, len };
	}
	fake_elf_write(&f, path, sizeof(path));
	if (!elf_open(path, &e))
		fuzz_drop(ask(e, &cu));
	elf_destroy(e);
	unlink(path);
	return 0;
}
