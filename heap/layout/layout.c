/*
 * The generated table of layouts of the Go runtime's structures.
 *
 * It has rows (release, range of patches, GOARCH, experiments), each of which names a layout.  A
 * layout is written as its differences from an earlier one: few offsets change at a time across
 * releases and architectures.
 */
#include "heap/layout/layout_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"

const struct layout_entry layout_entries[LAYOUT_N] = {
#define E_F(id, s, f, r) [L_##id] = { s, f, r },
#define E_S(id, s, r) [LS_##id] = { s, NULL, r },
	LAYOUT_FIELDS(E_F, E_S)
};

const char *layout_name(enum layout_id id)
{
	static const char *const names[LAYOUT_N] = {
#define N_F(id, s, f, r) [L_##id] = #id,
#define N_S(id, s, r) [LS_##id] = "S " #id,
		LAYOUT_FIELDS(N_F, N_S)
	};

	return names[id];
}

/* ------------------------------------------------------------------ the table */

struct layout_diff {
	uint16_t id;
	uint32_t off, size;
};

/* Layout i is layout `base` (less than i; -1: all absent) with `diffs` put over it. */
struct layout_delta {
	int base;
	uint32_t first, n; /* in layout_diffs */
};

struct layout_row {
	uint8_t minor;
	uint8_t patch_lo, patch_hi; /* measured to be one layout at both ends */
	const char *arch;           /* GOARCH */
	/* GOEXPERIMENTs other than the default that change it; "" none; sorted, comma-separated */
	const char *exps;
	uint16_t layout;
};

/*
 * The generated file: layout_diffs[], written F(name, off, size), S(name, size), X(name) (absent);
 * layout_deltas[]; layout_rows[], by release.
 */
#define F(id, off, size) { L_##id, off, size },
#define S(id, size) { LS_##id, 0, size },
#define XF(id) { L_##id, LAYOUT_ABSENT, 0 },
#define XS(id) { LS_##id, LAYOUT_ABSENT, 0 },
#include "heap/layout/layout_table.inc"
#undef F
#undef S
#undef XF
#undef XS

enum { NROWS = sizeof(layout_rows) / sizeof(layout_rows[0]) };

static void layout_load(int i, struct layout *ret)
{
	int chain[sizeof(layout_deltas) / sizeof(layout_deltas[0])], n = 0;

	for (int id = 0; id < LAYOUT_N; id++)
		ret->f[id] = (struct layout_field){ LAYOUT_ABSENT, 0 };
	for (; i >= 0; i = layout_deltas[i].base)
		chain[n++] = i;
	while (n--) {
		const struct layout_delta *d = &layout_deltas[chain[n]];

		for (uint32_t k = d->first; k < d->first + d->n; k++) {
			const struct layout_diff *x = &layout_diffs[k];

			ret->f[x->id] = (struct layout_field){ x->off, x->size };
		}
	}
}

bool layout_at(int i, struct layout *ret)
{
	if (i < 0 || (size_t)i >= sizeof(layout_deltas) / sizeof(*layout_deltas))
		return false;
	layout_load(i, ret);
	return true;
}

void layout_extremes(struct layout_extreme ret[LAYOUT_N])
{
	memset(ret, 0, LAYOUT_N * sizeof(*ret));
	for (size_t i = 0; i < sizeof(layout_diffs) / sizeof(*layout_diffs); i++) {
		const struct layout_diff *x = &layout_diffs[i];
		struct layout_extreme *e = &ret[x->id];

		if (x->off == LAYOUT_ABSENT)
			continue;
		e->empty |= !x->size;
		if (x->size > e->size)
			e->size = x->size;
		if ((uint64_t)x->off + x->size > e->end)
			e->end = (uint64_t)x->off + x->size;
	}
}

/* An experiment that changes every struct with a lock, in every release.  It is for work on the
 * runtime itself, and not in the table. */
#define LOCK_RANKING "staticlockranking"

struct version {
	unsigned minor, patch;
	bool exact;       /* a plain release, no pre-release or development version */
	const char *exps; /* what is behind "X:"; "": nothing */
};

/*
 * runtime.Version(): "go1.21", "go1.21.3", "go1.23rc1", "devel go1.24-1a2b3c4 Tue ...", a
 * distribution's own ("go1.22.5 (Red Hat ...)"), and experiments, " X:a,b" up to go1.25 and
 * "-X:a,b" from 1.26.
 */
static bool parse_version(const char *s, struct version *ret)
{
	const char *go = strstr(s, "go1."), *x;
	char *end;

	if (!go)
		return false;
	ret->minor = (unsigned)strtoul(go + 4, &end, 10);
	if (end == go + 4 || ret->minor > 255)
		return false;
	ret->patch = 0;
	if (*end == '.')
		ret->patch = (unsigned)strtoul(end + 1, &end, 10);
	x = strstr(s, "X:");
	ret->exps = x && x > s && (x[-1] == ' ' || x[-1] == '-') ? x + 2 : "";
	ret->exact = go == s && (!*end || *end == ' ' || !strncmp(end, "-X:", 3));
	return true;
}

/* Whether the word w is in the comma-separated list, which ends at a blank. */
static bool list_has(const char *list, const char *w, size_t wlen)
{
	while (*list && *list != ' ') {
		size_t len = strcspn(list, ", ");

		if (len == wlen && !memcmp(list, w, len))
			return true;
		list += len + (list[len] == ',');
	}
	return false;
}

/* Whether every word of a, a comma-separated list, is in b. */
static bool list_within(const char *a, const char *b)
{
	while (*a) {
		size_t len = strcspn(a, ",");

		if (!list_has(b, a, len))
			return false;
		a += len + (a[len] == ',');
	}
	return true;
}

static unsigned row_distance(const struct layout_row *r, unsigned patch)
{
	return patch < r->patch_lo ? r->patch_lo - patch :
	       patch > r->patch_hi ? patch - r->patch_hi :
				     0;
}

/*
 * Whether the program has an experiment that changes this release's layout on some GOARCH (a row
 * has it), while no row tells what it does on this one.
 */
static bool untried(const struct version *v, const char *goarch)
{
	bool here = false, there = false;

	for (int i = 0; i < NROWS; i++) {
		const struct layout_row *r = &layout_rows[i];

		if (r->minor != v->minor || !*r->exps || !list_within(r->exps, v->exps))
			continue;
		if (strcmp(r->arch, goarch))
			there = true;
		else
			here = true;
	}
	return there && !here;
}

static struct err *no_layout(const char *version, const char *goarch)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	unsigned last = 0;
	bool arch = false;

	for (int i = 0; i < NROWS; i++)
		arch |= !strcmp(layout_rows[i].arch, goarch);
	for (int i = 0; i < NROWS; i++) {
		if ((arch && strcmp(layout_rows[i].arch, goarch)) || layout_rows[i].minor == last)
			continue;
		TRY(buf_addf(&b, "%sgo1.%u", last ? ", " : "", layout_rows[i].minor));
		last = layout_rows[i].minor;
	}
	return err_create(ERR_VERSION,
			  "no layout of the runtime's structures for %s %s (there are%s%s: %s)",
			  version, goarch, arch ? " for " : "",
			  arch ? goarch : " other architectures'", (char *)b.data);
}

/*
 * Most experiments change no layout, so a row lists only those that do.  Of the rows all of whose
 * experiments the program has, the one with the most is meant.
 */
struct err *layout_find_row(const char *version, const char *goarch, struct layout *ret,
			    bool *exact, char name[LAYOUT_ROW_NAME])
{
	const struct layout_row *best = NULL;
	struct version v;

	if (!parse_version(version, &v))
		return no_layout(version, goarch);
	for (int i = 0; i < NROWS; i++) {
		const struct layout_row *r = &layout_rows[i];
		unsigned dist = row_distance(r, v.patch);

		if (r->minor != v.minor || strcmp(r->arch, goarch) || !list_within(r->exps, v.exps))
			continue;
		if (best) {
			unsigned best_dist = row_distance(best, v.patch);
			size_t len = strlen(r->exps), best_len = strlen(best->exps);

			/* The most of the program's experiments first, then the nearest patch. */
			if (len < best_len || (len == best_len && dist >= best_dist))
				continue;
		}
		best = r;
	}
	if (!best)
		return no_layout(version, goarch);
	layout_load(best->layout, ret);
	snprintf(name, LAYOUT_ROW_NAME, "go1.%u.%u%s%s", best->minor,
		 v.patch < best->patch_lo ? best->patch_lo :
		 v.patch > best->patch_hi ? best->patch_hi :
					    v.patch,
		 *best->exps ? " X:" : "", best->exps);
	*exact = v.exact && !row_distance(best, v.patch) && !untried(&v, goarch) &&
		 !list_has(v.exps, LOCK_RANKING, strlen(LOCK_RANKING));
	return NULL;
}

struct err *layout_find(const char *version, const char *goarch, struct layout *ret, bool *exact)
{
	char name[LAYOUT_ROW_NAME];

	return layout_find_row(version, goarch, ret, exact, name);
}

void layout_known(unsigned *oldest, unsigned *newest, unsigned *patch)
{
	*oldest = LAYOUT_OLDEST;
	*newest = *patch = 0;
	for (int i = 0; i < NROWS; i++) {
		const struct layout_row *r = &layout_rows[i];

		if (r->minor < *newest || (r->minor == *newest && r->patch_hi < *patch))
			continue;
		*newest = r->minor;
		*patch = r->patch_hi;
	}
}

bool layout_minor(const char *version, const char *goarch, unsigned *minor, unsigned *newest)
{
	struct version v;

	*newest = 0;
	for (int i = 0; i < NROWS; i++)
		if (!strcmp(layout_rows[i].arch, goarch) && layout_rows[i].minor > *newest)
			*newest = layout_rows[i].minor;
	if (!parse_version(version, &v))
		return false;
	*minor = v.minor;
	return true;
}
