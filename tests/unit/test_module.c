/*
 * heap/runtime/module.c on hand-made function tables of each era: from a pc to its function, its
 * stack pointer's delta and its maps; and damaged tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/check.h"
#include "tests/unit/fakeheap.h"

static const char *const names[FAKE_NFUNCS] = { "runtime.goexit", "runtime.gopark", "main.worker",
						"main.spin" };

static const struct func *func_at(struct fake *f, uint64_t pc)
{
	const struct func *fn;

	ok(func_find(f->p, pc, &fn));
	return fn;
}

static void check_func(struct fake *f, enum fake_func i)
{
	uint64_t entry = f->funcs[i], end = entry + FAKE_FUNC_SIZE;
	const struct func *fn = func_at(f, entry), *named;
	bool worker = i == FAKE_WORKER;
	const struct pcinfo *pi;

	assert_non_null(fn);
	assert_string_equal(fn->name, names[i]);
	assert_int_equal(fn->entry, entry);
	assert_int_equal(fn->end, end);
	assert_int_equal(fn->args, worker ? f->fmt.word : 0);
	assert_int_equal(fn->flag, i == FAKE_GOEXIT ? FUNC_FLAG_TOPFRAME : 0);
	assert_int_equal(fn->in_runtime, i <= FAKE_GOPARK);
	assert_int_equal(fn->cls, FUNC_NORMAL);
	assert_int_equal(fn->npcdata, 2);
	assert_ptr_equal(func_at(f, end - 1), fn);
	ok(func_named(f->p, &f->p->modules.v.v[0], names[i], &named));
	assert_ptr_equal(named, fn);

	/* FUNCDATA: present, absent, out of the table */
	assert_int_equal(!func_funcdata(f->p, fn, FUNCDATA_LOCALS), i == FAKE_GOEXIT);
	assert_int_equal(!func_funcdata(f->p, fn, FUNCDATA_ARGS), !worker);
	assert_int_equal(!func_funcdata(f->p, fn, FUNCDATA_STACK_OBJECTS), !worker);
	assert_int_equal(func_funcdata(f->p, fn, 3), 0);
	assert_int_equal(func_funcdata(f->p, fn, 1000), 0);

	/* PCDATA: no table, the stack maps', out of the record */
	assert_int_equal(func_pcdata(f->p, fn, PCDATA_UNSAFE_POINT, entry), -1);
	assert_int_equal(func_pcdata(f->p, fn, PCDATA_STACKMAP, entry), -1);
	assert_int_equal(func_pcdata(f->p, fn, PCDATA_STACKMAP, entry + FAKE_PROLOGUE), 0);
	assert_int_equal(func_pcdata(f->p, fn, PCDATA_STACKMAP, end - 1), 0);
	assert_int_equal(func_pcdata(f->p, fn, PCDATA_STACKMAP, end), -1);
	assert_int_equal(func_pcdata(f->p, fn, 2, entry), -1);
	assert_int_equal(func_pcdata(f->p, fn, 1u << 31, entry), -1);

	ok(pcinfo_find(f->p, entry + FAKE_PROLOGUE - 1, &pi));
	assert_ptr_equal(pi->func, fn);
	assert_int_equal(pi->spdelta, 0);
	assert_int_equal(pi->stackmap, -1);
	ok(pcinfo_find(f->p, entry + FAKE_PROLOGUE, &pi));
	assert_int_equal(pi->spdelta, i == FAKE_GOEXIT ? 0 : f->frame);
	assert_int_equal(pi->stackmap, -1); /* a return address's map is the call's */
	ok(pcinfo_find(f->p, entry + FAKE_PROLOGUE + 1, &pi));
	assert_int_equal(pi->stackmap, 0);
	assert_false(pi->unsafe);
}

static void each_era(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		const struct module *m;
		const struct func *fn;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		fake_load(&f, true);
		ok(fake_read_modules(&f));
		assert_int_equal(f.p->modules.v.n, 1);
		m = &f.p->modules.v.v[0];
		assert_int_equal(m->addr, f.moduledata);
		assert_int_equal(m->nfunc, FAKE_NFUNCS);
		assert_int_equal(m->minpc, f.text);
		assert_int_equal(m->maxpc, f.text_end);
		assert_int_equal(m->data.start, f.data);
		assert_int_equal(m->data.end, f.data_end);
		assert_int_equal(m->bss.start, f.bss);
		assert_int_equal(m->bss.nbits, (f.bss_end - f.bss) / f.fmt.word);
		for (unsigned i = 0; i < FAKE_NFUNCS; i++)
			check_func(&f, i);
		assert_null(func_at(&f, f.text - 1));
		assert_null(func_at(&f, f.text_end));
		assert_null(func_at(&f, 0));
		ok(func_named(f.p, m, "main.nosuch", &fn));
		assert_null(fn);
		/* the end of another's name is no name */
		ok(func_named(f.p, m, "worker", &fn));
		assert_null(fn);
		fake_free(&f);
	}
}

/* A large program's text is several sections, apart in memory: functions know offsets only. */
static void several_texts(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		uint64_t map, half = 2 * FAKE_FUNC_SIZE, second;
		uint32_t size;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		if (!layout_has(&f.l, L_func_entryOff) || !layout_has(&f.l, L_textsect_end)) {
			fake_free(&f);
			continue;
		}
		size = layout_size(&f.l, LS_textsect);
		second = f.text + 0x800;
		map = fake_constant(&f, 2 * size);
		fake_set(&f, map, L_textsect_end, half);
		fake_set(&f, map, L_textsect_baseaddr, f.text);
		fake_set(&f, map + size, L_textsect_vaddr, half);
		fake_set(&f, map + size, L_textsect_end, 2 * half);
		fake_set(&f, map + size, L_textsect_baseaddr, second);
		fake_word(&f, f.moduledata + layout_off(&f.l, L_moduledata_textsectmap), map);
		fake_word(&f,
			  f.moduledata + layout_off(&f.l, L_moduledata_textsectmap) + f.fmt.word,
			  2);
		fake_set(&f, f.moduledata, L_moduledata_maxpc, second + half);
		fake_load(&f, true);
		ok(fake_read_modules(&f));
		assert_string_equal(func_at(&f, f.text + half - 1)->name, "runtime.gopark");
		assert_null(func_at(&f, f.text + half));
		assert_null(func_at(&f, second - 1));
		assert_string_equal(func_at(&f, second)->name, "main.worker");
		assert_int_equal(func_at(&f, second)->entry, second);
		assert_string_equal(func_at(&f, second + half - 1)->name, "main.spin");
		fake_free(&f);
	}
}

/* A pointer-sized word of moduledata, `more` words behind a field. */
struct damage {
	enum layout_id id;
	unsigned more;
	uint64_t v;
	enum err_code code;
};

static void damaged_moduledata(void **state)
{
	static const struct damage all[] = {
		{ L_moduledata_ftab, 1, 1, ERR_BADDATA },
		{ L_moduledata_ftab, 1, 0, ERR_BADDATA },
		{ L_moduledata_ftab, 1, 0x7fffffff, ERR_BADDATA },
		{ L_moduledata_ftab, 1, 100000, ERR_FAULT },
		{ L_moduledata_ftab, 0, 64, ERR_FAULT },
		{ L_moduledata_pctab, 0, 64, ERR_FAULT },
		{ L_moduledata_pclntable, 1, 1 << 20, ERR_FAULT },
		{ L_moduledata_funcnametab, 0, 0x7ffffff0, ERR_FAULT },
		{ L_moduledata_pcHeader, 0, 16, ERR_FAULT },
		{ L_moduledata_maxpc, 0, 1, ERR_BADDATA },
		{ L_moduledata_edata, 0, 1, ERR_BADDATA },
		{ L_moduledata_ebss, 0, 0x500000 + 0x2010, ERR_BADDATA },
		{ L_moduledata_next, 0, 0x600, ERR_FAULT },
		{ L_moduledata_next, 0, 0x500000, ERR_LIMIT }, /* itself */
	};

	for (size_t e = 0; e < fake_neras; e++)
		for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
			const struct damage *d = &all[i];
			struct fake f;

			fake_make(&f, &fake_eras[e]);
			fake_word(&f, f.moduledata + layout_off(&f.l, d->id) + d->more * f.fmt.word,
				  d->v);
			fake_load(&f, true);
			bad(fake_read_modules(&f), d->code);
			fake_free(&f);
		}
}

static void damaged_quantum(void **state)
{
	static const uint8_t values[] = { 0, 17, 255 };

	for (size_t e = 0; e < fake_neras; e++)
		for (size_t i = 0; i < sizeof(values); i++) {
			struct fake f;

			fake_make(&f, &fake_eras[e]);
			*fake_at(&f, f.pclntab + layout_off(&f.l, L_pcHeader_minLC), 1) = values[i];
			fake_load(&f, true);
			bad(fake_read_modules(&f), ERR_BADDATA);
			fake_free(&f);
		}
}

/* Records that lead out of their tables: no function, or one that says less of itself. */
static void damaged_functions(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		const struct pcinfo *pi;
		const struct func *fn;
		unsigned half;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		half = layout_has(&f.l, L_func_entryOff) ? 4 : f.fmt.word;
		fake_put(&f, f.ftab + half, 1u << 30, half); /* goexit's record */
		fake_set(&f, f.records[FAKE_GOPARK], L_func_npcdata, 1u << 30);
		fake_set(&f, f.records[FAKE_GOPARK], L_func_nameOff, 1u << 30);
		fake_set(&f, f.records[FAKE_WORKER], L_func_pcsp, 1u << 30);
		fake_put(&f, f.records[FAKE_WORKER] + layout_off(&f.l, L_func_nfuncdata) + 5,
			 1u << 30, 4); /* its stack maps' table */
		fake_load(&f, true);
		ok(fake_read_modules(&f));
		assert_null(func_at(&f, f.funcs[FAKE_GOEXIT]));
		ok(pcinfo_find(f.p, f.funcs[FAKE_GOEXIT], &pi));
		assert_null(pi);
		fn = func_at(&f, f.funcs[FAKE_GOPARK]);
		assert_string_equal(fn->name, "?");
		assert_int_equal(fn->npcdata, 0);
		assert_int_equal(func_funcdata(f.p, fn, FUNCDATA_LOCALS), 0);
		ok(pcinfo_find(f.p, f.funcs[FAKE_WORKER] + FAKE_PC, &pi));
		assert_string_equal(pi->func->name, "main.worker");
		assert_int_equal(pi->spdelta, -1);
		assert_int_equal(pi->stackmap, -1);
		fake_free(&f);
	}
}

/* Tables of pcs that do not end: the last bytes of pctab say that more follows. */
static void endless_pctab(void **state)
{
	for (size_t e = 0; e < fake_neras; e++) {
		const struct pcinfo *pi;
		struct fake f;

		fake_make(&f, &fake_eras[e]);
		memset(fake_at(&f, f.pctab + 1, 255), 0xff, 255);
		fake_load(&f, true);
		ok(fake_read_modules(&f));
		ok(pcinfo_find(f.p, f.funcs[FAKE_WORKER] + FAKE_PC, &pi));
		assert_int_equal(pi->spdelta, -1);
		fake_free(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_era),           cmocka_unit_test(several_texts),
		cmocka_unit_test(damaged_moduledata), cmocka_unit_test(damaged_quantum),
		cmocka_unit_test(damaged_functions),  cmocka_unit_test(endless_pctab),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
