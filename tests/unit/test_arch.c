/*
 * The architectures' tables hold together: what one names, the others have.
 */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "heap/layout/goarch.h"
#include "heap/layout/layout.h"
#include "target/target.h"
#include "tests/unit/check.h"

#define LEN(a) (sizeof(a) / sizeof(*(a)))

/* By ELF header, as an executable has it; pc and sp as gdb's files name them. */
static const struct {
	const char *name, *pc, *sp, *lr;
	uint16_t machine;
	struct bytes_fmt fmt;
} machines[] = {
	{ "amd64", "rip", "rsp", NULL, EM_X86_64, { 8, false } },
	{ "arm64", "pc", "sp", "x30", EM_AARCH64, { 8, false } },
	{ "riscv64", "pc", "sp", "ra", EM_RISCV, { 8, false } },
	{ "ppc64le", "pc", "r1", "lr", EM_PPC64, { 8, false } },
	{ "ppc64", "pc", "r1", "lr", EM_PPC64, { 8, true } },
	{ "s390x", "pswa", "r15", "r14", EM_S390, { 8, true } },
	{ "loong64", "pc", "r3", "r1", EM_LOONGARCH, { 8, false } },
	{ "mips64le", "pc", "r29", "r31", EM_MIPS, { 8, false } },
	{ "mips64", "pc", "r29", "r31", EM_MIPS, { 8, true } },
	{ "mipsle", "pc", "r29", "r31", EM_MIPS, { 4, false } },
	{ "mips", "pc", "r29", "r31", EM_MIPS, { 4, true } },
	{ "386", "eip", "esp", NULL, EM_386, { 4, false } },
	{ "arm", "pc", "sp", "lr", EM_ARM, { 4, false } },
};

static bool has_register(const struct arch *a, const char *name)
{
	for (unsigned i = 0; i < a->nregs; i++)
		if (!strcmp(a->reg_names[i], name))
			return true;
	return false;
}

static void test_tables(void **state)
{
	for (size_t i = 0; i < LEN(machines); i++) {
		const struct arch *a = arch_find(machines[i].machine, machines[i].fmt);
		const struct goarch *g = goarch_find(machines[i].name);

		assert_non_null(a);
		assert_non_null(g);
		assert_string_equal(a->name, machines[i].name);
		assert_string_equal(a->reg_names[a->pc], machines[i].pc);
		assert_string_equal(a->reg_names[a->sp], machines[i].sp);
		assert_int_equal(a->lr >= 0, machines[i].lr != NULL);
		if (a->lr >= 0)
			assert_string_equal(a->reg_names[a->lr], machines[i].lr);
		assert_int_equal(a->reg_sizes[a->pc], a->fmt.word);
		assert_int_equal(a->reg_sizes[a->sp], a->fmt.word);
		/* a link register, and room for it at a frame's bottom */
		assert_int_equal(a->lr >= 0, g->min_frame > 0);
		assert_true(!g->g_reg || has_register(a, g->g_reg));
		assert_true(g->arena_l2 && !(g->arena_l2 & (g->arena_l2 - 1)));
		assert_true(a->fmt.word == 8 ||
			    (uint64_t)g->arena_l2 << g->arena_shift <= 1ull << 32);
	}
}

/* What a signal interrupted: pc and sp (and lr) are among it, each register once. */
static void test_saved(void **state)
{
	for (size_t i = 0; i < LEN(machines); i++) {
		const struct arch *a = arch_find(machines[i].machine, machines[i].fmt);
		bool seen[ARCH_MAX_REGS] = { false };

		for (const struct arch_saved *s = a->saved; s->n; s++)
			for (unsigned k = 0; k < s->n; k++) {
				assert_true(s->reg + k < a->nregs);
				assert_false(seen[s->reg + k]);
				seen[s->reg + k] = true;
			}
		assert_true(seen[a->pc] && seen[a->sp] && (a->lr < 0 || seen[a->lr]));
	}
}

/* Every one of them is in the table of layouts. */
static void test_layouts(void **state)
{
	struct layout l;
	bool exact;

	for (size_t i = 0; i < LEN(machines); i++)
		ok(layout_find("go1.26.8", machines[i].name, &l, &exact));
}

/* main.ticked of a PIE and of an ordinary executable, Go 1.26.8. */
static void test_local_entry(void **state)
{
	static const uint8_t pie[8] = { 0x17, 0x00, 0x4c, 0x3c, 0xa0, 0x5d, 0x42, 0x38 },
			     leaf[8] = { 0x20, 0x00, 0x80, 0x4e };
	const struct bytes_fmt le = { 8, false };
	const struct arch *a = arch_find(EM_PPC64, le);

	assert_int_equal(a->local_entry(le, pie), 8);
	assert_int_equal(a->local_entry(le, leaf), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_saved),
		cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_local_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
