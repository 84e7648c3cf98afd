/* Which layout is used for a program, without a program: its debug information is faked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "heap/layout/layout_pick.h"
#include "tests/unit/check.h"

static struct err *no_dwarf(void *arg, struct dwarf **ret)
{
	++*(int *)arg;
	return err_create(ERR_NODEBUG, "none");
}

/* This test's own: DWARF, but of C. */
static struct err *c_dwarf(void *arg, struct dwarf **ret)
{
	*ret = arg;
	return NULL;
}

static int asked;

static struct layout_program program(const char *version)
{
	asked = 0;
	return (struct layout_program){ version, "amd64", no_dwarf, &asked };
}

static void check_pick(const char *version, const char *note)
{
	struct layout_program x = program(version);
	struct layout_choice c;
	struct layout l;

	ok(layout_pick(&x, &l, &c));
	assert_false(c.own);
	if (!note) {
		assert_null(c.note);
		assert_int_equal(asked, 0);
	} else {
		assert_non_null(strstr(c.note, note));
		assert_int_equal(asked, 1);
	}
	layout_choice_deinit(&c);
}

static void check_refused(const char *version, const char *message, int want_asked)
{
	struct layout_program x = program(version);
	struct layout_choice c;
	struct layout l;
	struct err *err = layout_pick(&x, &l, &c);

	assert_true(err_is(err, ERR_VERSION));
	assert_non_null(strstr(err->msg, message));
	assert_int_equal(asked, want_asked);
	err_destroy(err);
	layout_choice_deinit(&c);
}

static void exact_rows(void **state)
{
	check_pick("go1.17", NULL);
	check_pick("go1.22.5 (Red Hat 1.22.5-1.el9)", NULL);
	check_pick("go1.26.8", NULL);
	check_pick("go1.26.8-X:jsonv2", NULL);
}

static void nearest_rows(void **state)
{
	check_pick("go1.26.99", "the layout of go1.26.8 is used");
	check_pick("go1.26.8-vendor", "the layout of go1.26.8 is used");
	check_pick("go1.26rc1", "the layout of go1.26.0 is used");
	check_pick("devel go1.27-1a2b3c4d Tue Jan 6 00:00:00 2026 +0000",
		   "the layout of go1.27.0 is used");
	check_pick("go1.26.8-X:staticlockranking", "the layout of go1.26.8 is used");
	check_pick("go1.25.99 X:noswissmap", "the layout of go1.25.5 X:noswissmap is used");
}

static void refused(void **state)
{
	check_refused("go1.99.1", "newer than this grf-rsp", 1);
	check_refused("nonsense", "not in the table", 1);
	check_refused("go1.16.15", "too old", 0); /* whatever its debug information says */
	check_refused("go1.4", "too old", 0);
}

/* DWARF that says nothing of Go is as none. */
static void foreign_dwarf(void **state)
{
	struct layout_program x = { "go1.26.9", "amd64", c_dwarf, NULL };
	struct layout_choice c;
	struct layout l, near;
	struct dwarf *d;
	struct elf *e;
	bool changed;

	ok(elf_open("/proc/self/exe", &e));
	ok(dwarf_create(e, &d));
	bad(layout_from_dwarf(d, NULL, &l), ERR_NODEBUG);
	x.arg = d;
	ok(layout_pick(&x, &l, &c));
	assert_false(c.own);
	assert_non_null(c.note);
	layout_choice_deinit(&c);
	x.version = "go1.26.8";
	ok(layout_pick(&x, &near, &c));
	assert_memory_equal(&l, &near, sizeof(l));
	ok(layout_compare(&x, &l, &c, &changed));
	assert_false(changed || c.agrees || c.own);
	bad(layout_misfit(&x, &c, err_create(ERR_FAULT, "no memory")), ERR_VERSION);
	layout_choice_deinit(&c);
	dwarf_destroy(d);
	elf_destroy(e);
}

static void contradictions(void **state)
{
	struct layout a, b;
	bool exact;

	ok(layout_find("go1.26.8", "amd64", &a, &exact));
	b = a;
	assert_null(layout_contradicts(&a, &b));
	/* Go 1.24 has no hmap: DWARF that has one knows more, and contradicts nothing. */
	assert_false(layout_has(&a, L_hmap_B));
	b.f[L_hmap_B] = (struct layout_field){ 9, 1 };
	assert_null(layout_contradicts(&a, &b));
	b.f[L_g_xRegs].off = LAYOUT_ABSENT;
	assert_string_equal(layout_contradicts(&a, &b), "g_xRegs");
	b = a;
	/* The table knows heapArena, without this field. */
	b.f[L_heapArena_bitmap] = (struct layout_field){ 0, 8 };
	assert_string_equal(layout_contradicts(&a, &b), "heapArena_bitmap");
	b = a;
	b.f[L_mspan_elemsize].off += 8;
	assert_string_equal(layout_contradicts(&a, &b), "mspan_elemsize");
	b = a;
	b.f[LS_m].size += 8;
	assert_string_equal(layout_contradicts(&a, &b), "S m");
}

/* Every layout of the table passes the check that others have to. */
static void table_is_sound(void **state)
{
	struct layout l;
	int n = 0;

	while (layout_at(n, &l)) {
		ok(layout_check(&l));
		n++;
	}
	assert_true(n > 10);
}

static void check_unsound(enum layout_id id, uint32_t off, uint32_t size)
{
	struct layout l;
	bool exact;

	ok(layout_find("go1.26.8", "amd64", &l, &exact));
	l.f[id] = (struct layout_field){ off, size };
	bad(layout_check(&l), ERR_BADDATA);
}

/* Sizes of 0 are divided by, of 2^31 allocated; fields behind their struct are read beyond it, and
 * numbers of more than eight bytes into eight. */
static void unsound(void **state)
{
	struct layout l;
	bool exact;

	ok(layout_find("go1.26.8", "amd64", &l, &exact));
	for (int i = 0; i < LAYOUT_N; i++) {
		if (!layout_has(&l, (enum layout_id)i))
			continue;
		if (i != L_g_xRegs) /* which is empty but on amd64 */
			check_unsound((enum layout_id)i, l.f[i].off, 0);
		check_unsound((enum layout_id)i, l.f[i].off, 1u << 31);
		check_unsound((enum layout_id)i, 1u << 31, l.f[i].size);
	}
	check_unsound(L_mspan_limit, l.f[LS_mspan].size - 4, 8);
	check_unsound(L_mspan_limit, 0, 9);
	check_unsound(L_mspan_limit, 0, 16);
	check_unsound(L_mspan_limit, 0, 3);
	check_unsound(LS_mspan, 0, l.f[L_mspan_limit].off);
	check_unsound(L_g_goid, l.f[LS_g].size, 8);
	check_unsound(L_gobuf_ctxt, l.f[L_g_sched].size, 8);
	check_unsound(L_stack_hi, l.f[L_g_stack].size - 4, 8);
	check_unsound(L_p_status, l.f[L_p_mcache].off + 8, 4);
	check_unsound(L_func_npcdata, l.f[L_func_nfuncdata].off, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exact_rows),     cmocka_unit_test(nearest_rows),
		cmocka_unit_test(refused),        cmocka_unit_test(foreign_dwarf),
		cmocka_unit_test(contradictions), cmocka_unit_test(table_is_sound),
		cmocka_unit_test(unsound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
