/*
 * Function tables (pclntab) and stack maps of a tiny Go process of some release: bytes of them are
 * changed, then everything is asked that is asked of a pc: its function, its frame, its maps, where
 * it comes from; and stacks are walked.
 */
#include <stdlib.h>
#include <string.h>

#include "heap/runtime/source.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/fakeheap.h"

enum { CHANGES = 30 };

static void change(struct fake *f, struct fuzz_in *in)
{
	/* up to the stack maps and objects, which are right before the function tables */
	uint64_t first = f->gofunc, end = f->rodata_end, at;
	uint8_t how = fuzz_u8(in), *b;

	at = first + fuzz_u16(in) % (end - first);
	if (how & 128) /* moduledata, which says where they are */
		at = f->moduledata + fuzz_u16(in) % layout_size(&f->l, LS_moduledata);
	b = fake_at(f, at, 1);
	if ((how & 3) == 0) {
		*b = fuzz_u8(in);
		return;
	}
	at &= ~(uint64_t)7;
	for (unsigned i = 0; i < f->fmt.word; i += 4)
		if ((how & 3) == 1 || !i)
			fake_put(f, at + i,
				 fuzz_value(in, bytes_uint(f->fmt, fake_at(f, at + i, 4), 4),
					    f->pclntab),
				 4);
}

static void ask(struct fake *f, uint64_t pc)
{
	const struct pcinfo *pi;
	const struct func *fn = NULL;
	struct source_lines lines = { 0 };

	fuzz_drop(func_find(f->p, pc, &fn));
	fuzz_drop(pcinfo_find(f->p, pc, &pi));
	if (!fn)
		return;
	for (unsigned i = 0; i < 6; i++) {
		func_funcdata(f->p, fn, i);
		func_pcdata(f->p, fn, i, pc);
	}
	if (strlen(fn->name) > 1 << 20)
		abort();
	fuzz_drop(source_at(f->p, fn, pc, true, &lines));
	source_inlined(f->p, fn, pc);
	source_of(f->p, fn);
	vec_deinit(&lines);
}

static struct err *all(struct fake *f, uint64_t step)
{
	const struct func *fn;

	TRY(fake_open(f, true));
	TRY(fake_read_modules(f));
	for (uint64_t pc = f->text - 16; pc < f->text_end + 16; pc += step)
		ask(f, pc);
	for (size_t i = 0; i < f->p->modules.v.n; i++)
		TRY(func_named(f->p, &f->p->modules.v.v[i], "main.spin", &fn));
	return fake_read_stacks(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	size_t era = fuzz_u8(&in) % fake_neras;
	uint64_t step = 1 + (fuzz_u8(&in) & 63);
	struct fake f;

	fake_make(&f, &fake_eras[era]);
	for (int i = 0; in.n && i < CHANGES; i++)
		change(&f, &in);
	fuzz_drop(all(&f, step));
	fake_free(&f);
	return 0;
}
