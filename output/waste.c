/*
 * Waste in the summary: how much live objects take and do not use, and where most of it is.
 */
#include "output/internal.h"

#include "base/cleanup.h"

enum {
	SHOWN = 3,         /* rows on a terminal */
	SHOWN_PERCENT = 5, /* of live bytes, at least */
};

static struct err *add_row(struct buf *b, const struct waste_row *w, const char *what)
{
	char s[TEXT_BYTES_SIZE], n[TEXT_COUNT_SIZE], e[TEXT_COUNT_SIZE];

	TRY(buf_addf(b, "             %s: ", text_bytes(w->wasted, s)));
	TRY(text_add_path(b, w->path, w->npath));
	if (w->entries)
		return buf_addf(b, ": %s entries in %s\n", text_count(w->entries, e),
				text_bytes(w->bytes, s));
	return buf_addf(b, ": %s %s%s, %s each\n", text_count(w->count, n), what,
			w->count == 1 ? "" : "s",
			text_bytes(w->bytes / (w->count ? w->count : 1), s));
}

static struct err *add_rows(struct buf *b, const struct report *r, const struct waste_rows *rows,
			    const char *what, bool all)
{
	for (size_t i = 0; i < rows->n && (all || i < SHOWN); i++)
		if (all || rows->v[i].wasted >= r->live_bytes / 100 * SHOWN_PERCENT)
			TRY(add_row(b, &rows->v[i], what));
	return NULL;
}

/* Much enough for a screen? */
static bool is_much(const struct report *r, uint64_t wasted, bool all)
{
	return wasted && (all || wasted >= r->live_bytes / 100 * SHOWN_PERCENT);
}

struct err *waste_add(struct buf *b, const struct report *r, bool all)
{
	const struct waste_report *w = &r->waste;
	const char *label = "waste";
	const struct {
		uint64_t bytes;
		const struct waste_rows *rows;
		const char *says, *what;
	} kinds[] = {
		{ w->pinned_bytes, &w->pinned,
		  "pinned: small slices and strings keep whole buffers", "buffer" },
		{ w->slack_bytes, &w->slack, "in slices' capacity that is not used", "slice" },
		{ w->maps_bytes, &w->maps, "in maps with few entries for their size", "map" },
	};
	char s[TEXT_BYTES_SIZE];

	for (size_t i = 0; w->made && i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (!is_much(r, kinds[i].bytes, all))
			continue;
		TRY(buf_addf(b, "%-12s %s %s\n", label, text_bytes(kinds[i].bytes, s),
			     kinds[i].says));
		TRY(add_rows(b, r, kinds[i].rows, kinds[i].what, all));
		label = "";
	}
	if (w->made && all)
		TRY(buf_addf(b, "             measured on %.0f %% of the bytes of larger objects\n",
			     w->large_bytes ?
				     100.0 * (double)w->measured_bytes / (double)w->large_bytes :
				     0.0));
	return NULL;
}
