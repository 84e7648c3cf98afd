/*
 * A core file and its EXE, of a tiny Go process (tests/unit/fakeheap.h), with bytes of either
 * changed, or cut: acquire(), analysis, the summary, and the core written once more.
 *
 *	era, options, then of each change: where (the core's or EXE's headers, memory), and what
 */
#include <stdlib.h>
#include <string.h>

#include "heap/acquire/acquire.h"
#include "heap/acquire/save.h"
#include "output/output.h"
#include "target/core_write.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/fakeheap.h"

enum { ERAS = 64, CHANGES = 12 };

static struct made {
	struct fuzz_blob core, exe;
	size_t head; /* of the core: all before the contents of memory */
} eras[ERAS];

static void must(struct err *err)
{
	if (err)
		abort();
}

static void read_whole(const char *path, struct fuzz_blob *b)
{
	FILE *f = fopen(path, "rb");
	char *data;
	long n;

	if (!f || fseek(f, 0, SEEK_END) || (n = ftell(f)) <= 0)
		abort();
	data = malloc((size_t)n);
	rewind(f);
	if (!data || fread(data, 1, (size_t)n, f) != (size_t)n)
		abort();
	fclose(f);
	fuzz_blob_init(b, data, (size_t)n);
	free(data);
}

static void make(struct made *m, const struct fake_era *era)
{
	static const uint8_t auxv[32] = { 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40 };
	struct buf aux = { .data = (uint8_t *)auxv, .len = sizeof(auxv) };
	struct ranges all = { 0 };
	char *data = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&data, &len);
	struct fake f;

	fake_make(&f, era);
	fake_load(&f, true);
	fake_fetch(&f);
	must(image_fetched(f.img, &all));
	m->head = 4096;
	must(core_write(out, &(struct core_contents){ .arch = f.machine,
						      .threads = &f.threads,
						      .auxv = &aux,
						      .exe = f.path,
						      .pid = 4242,
						      .full = true,
						      .img = f.img,
						      .ranges = &all }));
	fclose(out);
	fuzz_blob_init(&m->core, data, len);
	read_whole(f.path, &m->exe);
	free(data);
	vec_deinit(&all);
	fake_free(&f);
}

static void change(struct made *m, struct fuzz_in *in)
{
	uint8_t where = fuzz_u8(in);
	size_t tail = m->exe.len < 6000 ? m->exe.len : 6000;

	switch (where % 8) {
	case 0:
	case 1:
	case 2:
		fuzz_blob_change(&m->core, in, 0, m->head);
		return;
	case 3:
		fuzz_blob_change(&m->exe, in, 0, 400);
		return;
	case 4: /* symbols, sections */
		fuzz_blob_change(&m->exe, in, m->exe.len - tail, tail);
		return;
	case 5:
		fuzz_blob_change(&m->exe, in, 0, m->exe.len);
		return;
	default:
		fuzz_blob_change(&m->core, in, 0, m->core.len);
	}
}

static struct err *run(struct acquire *a, struct profile *p, struct report *r, FILE *out)
{
	const struct analyse_options o = { .max_depth = 40, .graph = true, .goroutines = true };

	TRY(acquire(a, r));
	TRY(heap_analyse(a->heap, &o, p, r));
	TRY(acquire_details(a));
	TRY(output_summary(out, p, r, "grf.out", true));
	return a->o.save ? save_write(a, out) : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FILE *out;
	struct fuzz_in in = { data, size };
	size_t era = fuzz_u8(&in) % fake_neras;
	uint8_t how = fuzz_u8(&in);
	struct made *m = &eras[era];
	struct acquire_options o = { .outside = true,
				     .force = how & 1,
				     .save = how & 2,
				     .scrub = how & 4,
				     .exe = how & 8 ? NULL : m->exe.path };
	struct report r = { .build_id = "", .exe = "", .target = "core" };
	struct profile p;
	struct acquire a;

	if (!out)
		out = fopen("/dev/null", "w");
	if (!m->core.data)
		make(m, &fake_eras[era]);
	for (int i = 0; in.n && i < CHANGES; i++)
		change(m, &in);
	if ((how & 0xf0) == 0x10)
		fuzz_blob_cut(&m->core, fuzz_u32(&in) % m->core.len);
	if ((how & 0xf0) == 0x20)
		fuzz_blob_cut(&m->exe, fuzz_u32(&in) % m->exe.len);
	o.target = m->core.path;
	must(profile_init(&p));
	acquire_init(&a, &o);
	fuzz_drop(acquire_close(&a, run(&a, &p, &r, out)));
	acquire_deinit(&a);
	profile_deinit(&p);
	report_deinit(&r);
	fuzz_blob_reset(&m->core);
	fuzz_blob_reset(&m->exe);
	return 0;
}
