/*
 * Makes heap/layout/layout_table.inc from executables' DWARF, or checks it against them.
 *
 *	layoutgen [--check [SKIPPED] | --absent] < LIST > heap/layout/layout_table.inc
 *
 * Each line of LIST is `RELEASE GOARCH EXPERIMENTS EXE`: "1.26.8 amd64 - /tmp/x", experiments other
 * than the default, comma-separated, "-" for none.  --check exits 1 if the table that is compiled
 * in differs, and counts; --absent lists the fields each executable lacks.  tests/tools/layouts.sh
 * writes the list.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "heap/layout/layout.h"

struct exe {
	unsigned minor, patch;
	char arch[16], exps[128], path[1024];
	size_t layout; /* index in uniques */
};

static VEC(struct exe) exes;
static VEC(struct layout) uniques;

static void die(struct err *err)
{
	if (!err)
		return;
	fprintf(stderr, "layoutgen: %s\n", err->msg);
	exit(2);
}

static void from_dwarf(const struct exe *x, struct layout *l)
{
	struct elf *e;
	struct dwarf *d;

	die(elf_open(x->path, &e));
	die(dwarf_create(e, &d));
	die(err_wrapf(layout_from_dwarf(d, NULL, l), "go1.%u.%u %s %s", x->minor, x->patch, x->arch,
		      x->exps));
	dwarf_destroy(d);
	elf_destroy(e);
}

static void read_list(void)
{
	char line[2048], rel[32];

	while (fgets(line, sizeof(line), stdin)) {
		struct exe x = { 0 };

		if (sscanf(line, "%31s %15s %127s %1023s", rel, x.arch, x.exps, x.path) != 4 ||
		    sscanf(rel, "1.%u.%u", &x.minor, &x.patch) < 1) {
			fprintf(stderr, "layoutgen: bad line: %s", line);
			exit(2);
		}
		if (!strcmp(x.exps, "-"))
			x.exps[0] = 0;
		die(vec_push(&exes, x));
	}
}

/* skipped is the number of toolchains that could not be had; the last line says it. */
static int check(unsigned skipped)
{
	unsigned failed = 0;

	for (size_t i = 0; i < exes.n; i++) {
		const struct exe *x = &exes.v[i];
		struct layout want, got;
		char version[256];
		bool exact, bad = false;
		struct err *err;

		from_dwarf(x, &want);
		snprintf(version, sizeof(version), "go1.%u.%u%s%s", x->minor, x->patch,
			 *x->exps ? " X:" : "", x->exps);
		err = layout_find(version, x->arch, &got, &exact);
		if (err) {
			fprintf(stderr, "%s %s: %s\n", version, x->arch, err->msg);
			err_destroy(err);
			failed++;
			continue;
		}
		if (!exact) {
			fprintf(stderr, "%s %s: not in the table (nearest taken)\n", version,
				x->arch);
			bad = true;
		}
		for (int id = 0; id < LAYOUT_N; id++) {
			struct layout_field w = want.f[id], g = got.f[id];

			if (w.off == g.off && w.size == g.size)
				continue;
			fprintf(stderr,
				"%s %s: %s: offset %" PRId32 " size %u, the table has %" PRId32
				" and %u\n",
				version, x->arch, layout_name(id), (int32_t)w.off, w.size,
				(int32_t)g.off, g.size);
			bad = true;
		}
		failed += bad;
	}
	printf("%zu passed, %u failed, %u skipped\n", exes.n - failed, failed, skipped);
	return failed || !exes.n;
}

static void absent(void)
{
	for (size_t i = 0; i < exes.n; i++) {
		struct layout l;

		from_dwarf(&exes.v[i], &l);
		printf("1.%u.%u %s %s:", exes.v[i].minor, exes.v[i].patch, exes.v[i].arch,
		       exes.v[i].exps);
		for (int id = 0; id < LAYOUT_N; id++)
			if (!layout_has(&l, id))
				printf(" %s", layout_name(id));
		printf("\n");
	}
}

/* ------------------------------------------------------------------ writing */

static int cmp_exe(const void *a, const void *b)
{
	const struct exe *x = a, *y = b;
	int c = (int)x->minor - (int)y->minor;

	if (!c)
		c = strcmp(x->arch, y->arch);
	if (!c)
		c = strcmp(x->exps, y->exps);
	return c ? c : (int)x->patch - (int)y->patch;
}

static size_t add_unique(const struct layout *l)
{
	size_t i;

	for (i = 0; i < uniques.n; i++)
		if (!memcmp(&uniques.v[i], l, sizeof(*l)))
			return i;
	die(vec_push(&uniques, *l));
	return i;
}

static unsigned count_diffs(const struct layout *a, const struct layout *b)
{
	unsigned n = 0;

	for (int id = 0; id < LAYOUT_N; id++)
		n += a->f[id].off != b->f[id].off || a->f[id].size != b->f[id].size;
	return n;
}

static void write_diff(int id, struct layout_field f)
{
	const char *name = layout_name(id);
	bool is_struct = !strncmp(name, "S ", 2);

	if (is_struct)
		name += 2;
	if (f.off == LAYOUT_ABSENT)
		printf("\t%s(%s)\n", is_struct ? "XS" : "XF", name);
	else if (is_struct)
		printf("\tS(%s, %u)\n", name, f.size);
	else
		printf("\tF(%s, %u, %u)\n", name, f.off, f.size);
}

/* Each layout as its difference from the earlier one it is nearest to. */
static void write_layouts(void)
{
	VEC(int) base = VEC_INIT;
	VEC(unsigned) count = VEC_INIT;
	struct layout none;
	unsigned first = 0;

	for (int id = 0; id < LAYOUT_N; id++)
		none.f[id] = (struct layout_field){ LAYOUT_ABSENT, 0 };
	printf("static const struct layout_diff layout_diffs[] = {\n");
	for (size_t i = 0; i < uniques.n; i++) {
		const struct layout *from = &none;
		int best = -1;

		for (size_t j = 0; j < i; j++) {
			if (best < 0 || count_diffs(&uniques.v[j], &uniques.v[i]) <
						count_diffs(&uniques.v[best], &uniques.v[i]))
				best = (int)j;
		}
		if (best >= 0)
			from = &uniques.v[best];
		printf("\t/* %zu */\n", i);
		for (int id = 0; id < LAYOUT_N; id++)
			if (from->f[id].off != uniques.v[i].f[id].off ||
			    from->f[id].size != uniques.v[i].f[id].size)
				write_diff(id, uniques.v[i].f[id]);
		die(vec_push(&base, best));
		die(vec_push(&count, count_diffs(from, &uniques.v[i])));
	}
	printf("};\n\nstatic const struct layout_delta layout_deltas[] = {\n");
	for (size_t i = 0; i < uniques.n; i++) {
		printf("\t{ %d, %u, %u }, /* %zu */\n", base.v[i], first, count.v[i], i);
		first += count.v[i];
	}
	printf("};\n\n");
	vec_deinit(&base);
	vec_deinit(&count);
}

/* A run of one release's patches with one layout is one row. */
static void write_rows(void)
{
	printf("static const struct layout_row layout_rows[] = {\n");
	for (size_t i = 0, j; i < exes.n; i = j) {
		const struct exe *x = &exes.v[i];

		for (j = i + 1; j < exes.n; j++) {
			const struct exe *y = &exes.v[j];

			if (y->minor != x->minor || strcmp(y->arch, x->arch) ||
			    strcmp(y->exps, x->exps) || y->layout != x->layout)
				break;
		}
		printf("\t{ %u, %u, %u, \"%s\", \"%s\", %zu },\n", x->minor, x->patch,
		       exes.v[j - 1].patch, x->arch, x->exps, x->layout);
	}
	printf("};\n");
}

/* Whether a row for an experiment has the same layout as the row without it. */
static bool says_nothing(const struct exe *x)
{
	if (!*x->exps || strchr(x->exps, ','))
		return false;
	for (size_t i = 0; i < exes.n; i++) {
		const struct exe *y = &exes.v[i];

		if (y->minor == x->minor && !strcmp(y->arch, x->arch) && !*y->exps &&
		    y->patch == x->patch)
			return y->layout == x->layout;
	}
	return false;
}

static void generate(void)
{
	size_t i, n = 0;

	qsort(exes.v, exes.n, sizeof(*exes.v), cmp_exe);
	for (i = 0; i < exes.n; i++) {
		struct layout l;

		from_dwarf(&exes.v[i], &l);
		exes.v[i].layout = add_unique(&l);
	}
	for (i = 0; i < exes.n; i++) {
		if (says_nothing(&exes.v[i]))
			/* taken out below; the others may still be compared with it */
			exes.v[i].minor = 0;
	}
	for (i = 0; i < exes.n; i++)
		if (exes.v[i].minor)
			exes.v[n++] = exes.v[i];
	exes.n = n;
	printf("/* Written by tests/tools/layouts.sh (make layouts) from the toolchains' own "
	       "DWARF; do not edit. */\n");
	write_layouts();
	write_rows();
	fprintf(stderr, "layoutgen: %zu rows, %zu layouts\n", exes.n, uniques.n);
}

int main(int argc, char **argv)
{
	int rc = 0;

	read_list();
	if (argc > 1 && !strcmp(argv[1], "--check"))
		rc = check(argc > 2 ? (unsigned)atoi(argv[2]) : 0);
	else if (argc > 1 && !strcmp(argv[1], "--absent"))
		absent();
	else
		generate();
	vec_deinit(&exes);
	vec_deinit(&uniques);
	return rc;
}
