/*
 * Page tables of a guest, made by hand in a memory of our own: every size of page, four and five
 * levels, and entries that are not present.  Expected values are the Intel SDM's (vol. 3, 4.5) and
 * Linux's (pgtable_64.h).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/limits.h"
#include "target/arch_tables.h"
#include "target/guest_int.h"
#include "tests/unit/check.h"

enum { MEMORY = 64 * GUEST_PAGE };

#define P 1ull
#define RW 2ull
#define US 4ull
#define PS 0x80ull
#define PROTNONE 0x100ull
#define NX (1ull << 63)
#define END (1ull << 40) /* of the RAM that entries may name */

struct memory {
	struct mem_source source;
	uint8_t b[MEMORY];
	unsigned reads, calls;
};

static struct err *readv_memory(struct mem_source *src, struct mem_range *r, size_t n)
{
	struct memory *m = (struct memory *)src;

	m->calls++;
	for (size_t i = 0; i < n; i++) {
		m->reads++;
		r[i].got = r[i].addr < MEMORY ? r[i].len : 0;
		if (r[i].got)
			memcpy(r[i].dst, m->b + r[i].addr, r[i].len);
	}
	return NULL;
}

static struct memory *memory;
static struct pages pages;
static const uint64_t root = 0x1000;

static int setup(void **state)
{
	memory = calloc(1, sizeof(*memory));
	memory->source.readv = readv_memory;
	pages_init(&pages, &guest_amd64, &memory->source, END);
	return 0;
}

static int teardown(void **state)
{
	pages_forget(&pages);
	free(memory);
	return 0;
}

static void put(uint64_t table, unsigned i, uint64_t e)
{
	memcpy(memory->b + table + 8 * i, &e, 8);
}

static unsigned at(uint64_t va, unsigned shift)
{
	return va >> shift & 511;
}

/* The upper levels to va, with tables at 0x2000, 0x3000, 0x4000 (and 0x5000). */
static void lead(uint64_t va, unsigned to_shift)
{
	uint64_t table = root, next = 0x2000;

	for (unsigned shift = pages.levels == 5 ? 48 : 39; shift > to_shift;
	     shift -= 9, table = next, next += 0x1000)
		put(table, at(va, shift), next | P | RW | US);
}

static struct page walk(uint64_t va)
{
	const struct mem_range r = { va, 1, NULL, 0 };

	pages_forget(&pages);
	assert_null(pages_fetch(&pages, root, &r, 1));
	return pages_walk(&pages, root, va);
}

static void is_mapped(uint64_t va, uint64_t pa, uint64_t size)
{
	struct page pg = walk(va);

	assert_int_equal(pg.kind, PAGE_MAPPED);
	assert_int_equal(pg.pa, pa);
	assert_int_equal(pg.size, size);
}

static void sizes(void **state)
{
	const uint64_t va = 0xc000123456ull;

	lead(va, 12);
	put(0x4000, at(va, 12), 0x7000 | P | RW | US | NX);
	is_mapped(va, 0x7456, 4096);
	assert_false(walk(va).exec);
	assert_true(walk(va).write);
	/* 2 MB: bit 12 of a large page's entry is no address (PAT). */
	put(0x3000, at(va, 21), 0x40000000ull | 0x1000 | P | PS | US);
	is_mapped(va, 0x40123456ull, 2 << 20);
	assert_false(walk(va).write);
	assert_true(walk(va).exec);
	/* 1 GB */
	put(0x2000, at(va, 30), 0x8000000000ull | 0x1000 | P | PS | RW | US);
	is_mapped(va, 0x8000123456ull, 1 << 30);
	/* Not in RAM. */
	put(0x2000, at(va, 30), END | P | PS | RW | US);
	assert_int_equal(walk(va).kind, PAGE_NONE);
}

static void five_levels(void **state)
{
	const uint64_t va = 0x00ab00c000123456ull;

	pages.levels = 5;
	lead(va, 12);
	put(0x5000, at(va, 12), 0x9000 | P | US);
	is_mapped(va, 0x9456, 4096);
	put(0x3000, at(va, 30), 0xc0000000ull | P | PS | US);
	is_mapped(va, 0xc0123456ull, 1 << 30);
	/* In a table of four levels it is another address. */
	pages.levels = 4;
	assert_int_not_equal(walk(va).kind, PAGE_MAPPED);
}

static void not_present(void **state)
{
	const uint64_t va = 0xc000123456ull;

	assert_int_equal(walk(va).kind, PAGE_NONE);
	lead(va, 30);
	assert_int_equal(walk(va).kind, PAGE_UNTOUCHED);
	assert_int_equal(walk(va).size, 1 << 30);
	lead(va, 12);
	assert_int_equal(walk(va).kind, PAGE_UNTOUCHED);
	put(0x4000, at(va, 12), ~0ull << 14 & ~(P | PROTNONE));
	assert_int_equal(walk(va).kind, PAGE_SWAPPED);
	/* No access allowed (NUMA balancing): there, with its address inverted. */
	put(0x4000, at(va, 12), (~0x7000ull & guest_amd64.addr) | PROTNONE | US);
	is_mapped(va, 0x7456, 4096);
}

/* Tables that name themselves: every walk ends, and so does a look at all of the process. */
static bool count(void *arg, const struct mapping *m)
{
	++*(unsigned *)arg;
	return true;
}

static void cycles(void **state)
{
	unsigned n = 0;
	struct err *err;

	for (unsigned i = 0; i < 512; i++)
		put(root, i, root | P | RW | US);
	is_mapped(0xc000123456ull, 0x1456, 4096);
	err = pages_each(&pages, root, 0, 1ull << 47, count, &n);
	assert_non_null(err);
	assert_int_equal(err->code, ERR_LIMIT);
	err_destroy(err);
}

/* As many calls as there are levels, and each table once. */
static void round_trips(void **state)
{
	const uint64_t va = 0xc000000000ull;
	struct mem_range r[64];

	lead(va, 12);
	for (unsigned i = 0; i < 64; i++) {
		put(0x4000, i, 0x7000 | P | US);
		r[i] = (struct mem_range){ va + i * 4096, 4096, NULL, 0 };
	}
	assert_null(pages_fetch(&pages, root, r, 64));
	assert_int_equal(memory->calls, 4);
	assert_int_equal(memory->reads, 4);
	assert_null(pages_fetch(&pages, root, r, 64));
	assert_int_equal(memory->reads, 4);
}

static bool keep(void *arg, const struct mapping *m)
{
	*(struct mapping *)arg = *m;
	return true;
}

static void mappings(void **state)
{
	const uint64_t va = 0xc000000000ull;
	struct mapping last = { 0 };

	lead(va, 12);
	for (unsigned i = 3; i < 10; i++)
		put(0x4000, i, (uint64_t)(i * 0x1000) | P | US | RW | NX);
	put(0x4000, 20, 0x7000 | P | RW); /* the kernel's */
	assert_null(pages_each(&pages, root, 0, 1ull << 47, keep, &last));
	assert_int_equal(last.va, va + 3 * 4096);
	assert_int_equal(last.size, 7 * 4096);
	assert_true(last.write && !last.exec);
	assert_int_equal(pages_second(&pages, root, va), 0x2000);
	assert_int_equal(pages_second(&pages, root, 0), 0);
}

/* ------------------------------------------------------------------ whose stacks they are */

enum { STACK_A = 0x10000, STACK_B = 0x12000, TASK_A = 0x20000, TASK_B = 0x21800, MM = 0x30000 };

#define DIRECT 0xffff800000000000ull
#define TLS 0x77777000ull

static void put_word(uint64_t pa, uint64_t v)
{
	memcpy(memory->b + pa, &v, 8);
}

static void put_task(uint64_t task, uint64_t stack)
{
	put_word(stack + 0x800, DIRECT + task);
	put_word(task + 0x20, DIRECT + stack - (guest_amd64.stack_size - GUEST_PAGE));
}

/* Two tasks, of which the second one runs: its TLS pointer lies where the first one's could, too. */
static void put_tasks(struct guest *g, struct vcpu *v)
{
	put(root, 256, 0x2000 | P | RW);
	put(0x2000, 0, 0 | P | PS | RW);
	put_task(TASK_A, STACK_A);
	put_task(TASK_B, STACK_B);
	put_word(TASK_B + 0x400, TLS);
	put_word(TASK_A + 0x100, DIRECT + MM);
	put_word(TASK_A + 0x108, DIRECT + MM);
	put_word(MM + 0x40, DIRECT + root);
	*v = (struct vcpu){ .privilege = 3, .tls = TLS };
	*g = (struct guest){ .arch = arch_find(EM_X86_64, (struct bytes_fmt){ 8, false }),
			     .memory = &memory->source,
			     .process = { .root = root },
			     .vcpus = { v, 1, 1 } };
	pages_init(&g->pages, &guest_amd64, &memory->source, END);
}

static void owners(void **state)
{
	struct guest_frame f[] = { { .stack = STACK_A },
				   { .stack = STACK_B },
				   { .stack = 0x5000 } };
	struct guest g;
	struct vcpu v;

	put_tasks(&g, &v);
	assert_null(guest_find_owners(&g, f, 3));
	assert_int_equal(f[0].task, DIRECT + TASK_A);
	assert_int_equal(f[1].task, DIRECT + TASK_B);
	assert_int_equal(f[2].task, 0);
	assert_int_equal(f[0].owner, OWNER_PROCESS);
	assert_int_equal(f[1].owner, OWNER_OTHER);
	assert_int_equal(f[2].owner, OWNER_UNKNOWN);
	assert_false(f[0].runs);
	assert_true(f[1].runs);
	pages_forget(&g.pages);
}

/* A guest can have stacks full of what look like tasks: of these few are in memory at a time. */
static void owners_of_many(void **state)
{
	enum { N = 3000 };
	struct guest_frame *f = calloc(N, sizeof(*f));
	struct rusage before, after;
	struct guest g;
	struct vcpu v;

	put_tasks(&g, &v);
	for (unsigned i = 0; i < GUEST_PAGE / 8; i++)
		if (i != 0x800 / 8)
			put_word(STACK_A + 8 * i, DIRECT + 0x100000 + 64 * i);
	for (size_t i = 0; i < N; i++)
		f[i].stack = STACK_A;
	getrusage(RUSAGE_SELF, &before);
	assert_null(guest_find_owners(&g, f, N));
	getrusage(RUSAGE_SELF, &after);
	assert_int_equal(f[N - 1].owner, OWNER_PROCESS);
	/* AddressSanitizer keeps what is freed. */
	if (!SANITIZED && after.ru_maxrss - before.ru_maxrss > 100 << 10)
		fail_msg("%ld KB", after.ru_maxrss - before.ru_maxrss);
	pages_forget(&g.pages);
	free(f);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(owners),      TEST(owners_of_many), TEST(sizes),
					    TEST(five_levels), TEST(not_present),    TEST(cycles),
					    TEST(round_trips), TEST(mappings) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
