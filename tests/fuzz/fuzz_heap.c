/*
 * A whole tiny Go process of some release and architecture (tests/unit/fakeheap.h) with words of it
 * changed: capture, analysis and outputs.
 *
 *	era, options, then of each change: which word (2 bytes), how, value
 *
 * A word is the n-th of those that are not zero, so that every change hits something that means
 * something: the runtime's structures, types, function tables, stack maps, EXE's variables, objects
 * and stacks; or one that is zero, some words behind.
 */
#include <stdlib.h>
#include <string.h>

#include "heap/heap.h"
#include "output/internal.h"
#include "output/output.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/fakeheap.h"

enum { MAX_CHANGES = 40, ERAS = 64 };

/* Where the words are that are not zero, of each era. */
static struct words {
	uint32_t n;
	struct word {
		uint16_t piece;
		uint32_t off;
	} * v;
} words[ERAS];

static const struct words *words_of(const struct fake *f, size_t era)
{
	struct words *w = &words[era];

	for (size_t i = 0; !w->v && i < 2; i++) {
		struct word *v = i ? calloc(w->n + 1, sizeof(*v)) : NULL;

		w->n = 0;
		for (size_t k = 0; k < f->pieces.n; k++) {
			const struct fake_piece *p = &f->pieces.v[k];

			for (uint64_t off = 0; off + f->fmt.word <= p->len; off += f->fmt.word)
				if (bytes_word(f->fmt, p->data + off)) {
					if (v)
						v[w->n] =
							(struct word){ (uint16_t)k, (uint32_t)off };
					w->n++;
				}
		}
		if (i)
			w->v = v;
	}
	return w;
}

static void change(struct fake *f, const struct words *w, struct fuzz_in *in)
{
	const struct word *at = &w->v[fuzz_u16(in) % w->n];
	const struct fake_piece *p = &f->pieces.v[at->piece], *other;
	uint8_t how = fuzz_u8(in);
	uint64_t off = at->off + (uint64_t)(how >> 4) * f->fmt.word, old;

	if (off + f->fmt.word > p->len)
		return;
	if ((how & 15) == 0) {
		p->data[off + fuzz_u8(in) % f->fmt.word] = fuzz_u8(in);
		return;
	}
	if ((how & 15) == 1) { /* as another word is */
		const struct word *from = &w->v[fuzz_u16(in) % w->n];

		memcpy(p->data + off, f->pieces.v[from->piece].data + from->off, f->fmt.word);
		return;
	}
	other = &f->pieces.v[how % f->pieces.n];
	old = bytes_word(f->fmt, p->data + off);
	bytes_put(f->fmt, p->data + off, fuzz_value(in, old, other->addr), f->fmt.word);
}

static struct err *all_objects(void *arg, const struct objects *o, const struct profile *p,
			       const struct report *r)
{
	TRY(hprof_write(arg, false, o, r));
	return heapsnapshot_write(arg, o);
}

static struct err *outputs(FILE *f, const struct profile *p, const struct report *r)
{
	TRY(folded_write(f, p));
	TRY(json_write(f, p, r));
	TRY(html_write(f, p, r));
	TRY(pprof_write(f, p, r));
	TRY(prom_write(f, p, r));
	return output_summary(f, p, r, "grf.out", true);
}

static struct err *run(struct fake *f, unsigned how, FILE *out)
{
	struct analyse_options o = {
		.max_depth = 40,
		.max_nodes = 1000,
		.fold = how & 1,
		.graph = how & 2,
		.sizes = how & 2,
		.why = how & 4 ? "main.node" : NULL,
		.dominators = (how & 10) == 10,
		.goroutines = how & 16,
		.stack_paths = how & 32,
		.objects = how & 2 ? all_objects : NULL,
		.objects_arg = out,
	};
	struct report r = { .target = "fuzz", .exe = "exe", .build_id = "" };
	struct profile p;
	struct err *err = profile_init(&p);

	if (!err)
		err = fake_open(f, how & 64);
	if (!err)
		err = fake_analyse(f, &o, &p, &r);
	if (!err)
		err = outputs(out, &p, &r);
	profile_deinit(&p);
	report_deinit(&r);
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FILE *out;
	struct fuzz_in in = { data, size };
	size_t era = fuzz_u8(&in) % fake_neras;
	unsigned how = fuzz_u8(&in);
	const struct words *w;
	struct fake f;

	if (!out)
		out = fopen("/dev/null", "w");
	fake_make(&f, &fake_eras[era]);
	w = words_of(&f, era);
	for (int i = 0; in.n && i < MAX_CHANGES; i++)
		change(&f, w, &in);
	fuzz_drop(run(&f, how, out));
	fake_free(&f);
	return 0;
}
