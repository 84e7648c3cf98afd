/*
 * pprof's profile.proto, gzipped.
 *
 * A serialised message is the concatenation of serialised parts of it (protobuf's encoding, "Last
 * one wins": repeated fields of the parts are appended).  So the profile is written as a row of
 * small Profile messages, one per sample, and no tree of a million samples is ever built: memory
 * is one path, whatever the size of the profile.
 *
 * A frame is one function and one location; both have the frame's id + 1 (0 means "none").
 *	name		the frame, whole.
 *	system_name	left empty: pprof takes a function whose two names differ as already
 *			demangled.  With equal names it may cut what is in parentheses.
 *	filename	of frames that name functions (closures, what goroutines are in or have
 *			locals of), with the line; pprof shows it with -lines, -files, and at a
 *			pointer over the flame graph.  Left empty where there is none.
 * One mapping gives pprof the executable's name and build id for its heading.  No location is in
 * it: for one that is, `go tool pprof` opens that file for its page of sources, looks for code at
 * address 0, and crashes (Go 1.26.8, report/source.go).  Without any mapping it makes
 * one up and puts every location in it.
 */
#include "output/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "base/intr.h"
#include "output/profile.pb-c.h"

struct writer {
	FILE *f;
	z_stream z;
	struct buf packed, clean; /* a message, a string: used again and again */
	struct label_set *sets;   /* by label - 1 of a root */
	VEC(char *) texts;        /* of the labels: the strings from STR_LABELS on */
	uint8_t out[64 << 10];
};

enum { LABELS_MAX = 64 };

/* The labels of one goroutine: the first string of the first pair, and how many pairs there are. */
struct label_set {
	int64_t first;
	size_t n;
};

/* The fixed strings of the string table; those of frames follow, in order of use. */
enum {
	STR_EMPTY,
	STR_INUSE_OBJECTS,
	STR_COUNT,
	STR_INUSE_SPACE,
	STR_BYTES,
	STR_EXE,
	STR_BUILD_ID,
	STR_COVERAGE,
	STR_PROGRAM,
	STR_RULES,
	STR_GROWTH,
	STR_ROOT,
	STR_KINDS, /* LIVE_NAMES of them */
	STR_LABELS = STR_KINDS + LIVE_NAMES,
};

static struct err *writer_deflate(struct writer *w, const uint8_t *data, size_t len, int flush)
{
	int rc;

	do {
		size_t n = len < (1u << 30) ? len : 1u << 30;

		w->z.next_in = (uint8_t *)data;
		w->z.avail_in = (uInt)n;
		data += n;
		len -= n;
		do {
			w->z.next_out = w->out;
			w->z.avail_out = sizeof(w->out);
			rc = deflate(&w->z, len ? Z_NO_FLUSH : flush);
			n = sizeof(w->out) - w->z.avail_out;
			if (n && fwrite(w->out, 1, n, w->f) != n)
				return err_os(errno, "write");
		} while (w->z.avail_out == 0 || (flush == Z_FINISH && !len && rc == Z_OK));
	} while (len);
	return NULL;
}

static struct err *writer_add(struct writer *w, const Pprof__Profile *part)
{
	size_t len = pprof__profile__get_packed_size(part);

	buf_reset(&w->packed);
	TRY(buf_reserve(&w->packed, len));
	pprof__profile__pack(part, w->packed.data);
	return writer_deflate(w, w->packed.data, len, Z_NO_FLUSH);
}

static struct err *add_text(struct writer *w, const char *s, size_t len)
{
	char *text;

	TRY(vec_reserve(&w->texts, 1));
	text = strndup(s, len);
	if (!text)
		return err_nomem();
	w->texts.v[w->texts.n++] = text;
	return NULL;
}

/* Labels' strings come before those of frames, whose number is not known yet. */
static struct err *find_labels(struct writer *w, const struct profile *p)
{
	w->sets = calloc(p->labels.n + 1, sizeof(*w->sets));
	if (!w->sets)
		return err_nomem();
	for (uint32_t i = 0; i < p->labels.n; i++) {
		const char *line = p->labels.str[i];

		w->sets[i].first = STR_LABELS + (int64_t)w->texts.n;
		while (line && w->sets[i].n < LABELS_MAX) {
			const char *end = strchrnul(line, '\n'),
				   *eq = memchr(line, '=', (size_t)(end - line));

			if (eq) {
				TRY(add_text(w, line, (size_t)(eq - line)));
				TRY(add_text(w, eq + 1, (size_t)(end - eq - 1)));
				w->sets[i].n++;
			}
			line = *end ? end + 1 : NULL;
		}
	}
	return NULL;
}

static struct err *write_head(struct writer *w, const struct report *r)
{
	Pprof__ValueType objects = PPROF__VALUE_TYPE__INIT, space = PPROF__VALUE_TYPE__INIT;
	Pprof__ValueType *types[] = { &objects, &space };
	Pprof__Mapping mapping = PPROF__MAPPING__INIT, *mappings[] = { &mapping };
	Pprof__Profile head = PPROF__PROFILE__INIT;
	int64_t comments[] = { STR_COVERAGE, STR_PROGRAM, STR_RULES, STR_GROWTH };

	objects.type = STR_INUSE_OBJECTS;
	objects.unit = STR_COUNT;
	space.type = STR_INUSE_SPACE;
	space.unit = STR_BYTES;
	head.sample_type = types;
	head.n_sample_type = 2;
	head.default_sample_type = STR_INUSE_SPACE;
	head.period_type = &space;
	head.period = 1;
	mapping.id = 1;
	mapping.filename = STR_EXE;
	mapping.build_id = STR_BUILD_ID;
	mapping.has_functions = 1;
	head.mapping = mappings;
	head.n_mapping = 1;
	head.time_nanos = r->time_unix_ns;
	head.comment = comments;
	head.n_comment = r->growth.made ? 4 : 3;
	if (r->growth.made)
		head.duration_nanos = (int64_t)r->growth.ns;
	return writer_add(w, &head);
}

/* The labels of all samples below a root: its kind, and its goroutine's labels. */
static size_t sample_labels(const struct writer *w, const struct profile_node *root,
			    Pprof__Label *v, Pprof__Label **pv)
{
	size_t n = 0;

	pprof__label__init(&v[n]);
	v[n].key = STR_ROOT;
	v[n].str = STR_KINDS + root->kind;
	pv[n] = &v[n];
	n++;
	for (size_t i = 0; root->label && i < w->sets[root->label - 1].n; i++, n++) {
		pprof__label__init(&v[n]);
		v[n].key = w->sets[root->label - 1].first + 2 * (int64_t)i;
		v[n].str = v[n].key + 1;
		pv[n] = &v[n];
	}
	return n;
}

/* Writes the samples; used[frame] becomes 1 for every frame on a path that holds something. */
static struct err *write_samples(struct writer *w, const struct profile *p, uint8_t *used)
{
	_cleanup_vec_ VEC(uint64_t) path = VEC_INIT;

	for (uint32_t i = 1; i < p->nodes.n; i++) {
		const struct profile_node *node = &p->nodes.v[i];
		Pprof__Sample sample = PPROF__SAMPLE__INIT, *samples[] = { &sample };
		Pprof__Profile part = PPROF__PROFILE__INIT;
		int64_t values[] = { (int64_t)node->objects, (int64_t)node->bytes };
		Pprof__Label labels[LABELS_MAX + 1], *plabels[LABELS_MAX + 1];
		uint32_t top = i;

		if (!node->objects && !node->bytes)
			continue;
		if (i % NODES_PER_CHECK == 0)
			TRY(intr_check());
		path.n = 0;
		for (uint32_t at = i; at; at = p->nodes.v[at].parent) {
			used[p->nodes.v[at].frame] = 1;
			top = at;
			TRY(vec_push(&path, p->nodes.v[at].frame + 1ull));
		}
		sample.location_id = path.v;
		sample.n_location_id = path.n;
		sample.n_label = sample_labels(w, &p->nodes.v[top], labels, plabels);
		sample.label = plabels;
		sample.value = values;
		sample.n_value = 2;
		part.sample = samples;
		part.n_sample = 1;
		TRY(writer_add(w, &part));
	}
	return NULL;
}

/* Strings: frames' names, each followed by its file if that is known. */
static struct err *write_frames(struct writer *w, const struct profile *p, const struct report *r,
				const uint8_t *used)
{
	int64_t str = STR_LABELS + (int64_t)w->texts.n;

	for (uint32_t i = 0; i < p->frames.n; i++) {
		const struct code_line *at = code_lines_find(&r->lines, p->frames.str[i]);
		Pprof__Function function = PPROF__FUNCTION__INIT, *functions[] = { &function };
		Pprof__Location location = PPROF__LOCATION__INIT, *locations[] = { &location };
		Pprof__Line line = PPROF__LINE__INIT, *lines[] = { &line };
		Pprof__Profile part = PPROF__PROFILE__INIT;

		if (!used[i])
			continue;
		function.id = i + 1ull;
		function.name = str++;
		if (at) {
			function.filename = str++;
			function.start_line = line.line = at->line;
		}
		line.function_id = function.id;
		location.id = function.id;
		location.line = lines;
		location.n_line = 1;
		part.function = functions;
		part.n_function = 1;
		part.location = locations;
		part.n_location = 1;
		TRY(writer_add(w, &part));
	}
	return NULL;
}

/* Writes the next string of the string table, made safe. */
static struct err *write_string(struct writer *w, const char *s)
{
	char *strings[1];
	Pprof__Profile part = PPROF__PROFILE__INIT;

	buf_reset(&w->clean);
	TRY(text_add_clean(&w->clean, s ? s : "", false));
	strings[0] = (char *)w->clean.data;
	part.string_table = strings;
	part.n_string_table = 1;
	return writer_add(w, &part);
}

static struct err *write_fixed_strings(struct writer *w, const struct report *r)
{
	_cleanup_buf_ struct buf coverage = BUF_INIT;
	const char *fixed[STR_LABELS] = {
		[STR_EMPTY] = "",
		[STR_INUSE_OBJECTS] = "inuse_objects",
		[STR_COUNT] = "count",
		[STR_INUSE_SPACE] = "inuse_space",
		[STR_BYTES] = "bytes",
		[STR_EXE] = r->exe,
		[STR_BUILD_ID] = r->build_id,
		[STR_PROGRAM] = "grf-rsp " GRF_VERSION,
		[STR_RULES] = r->folded ?
				      "paths: recursion is folded, containers read as what they "
				      "are, owners come before borrowers; --fold=none shows "
				      "each step" :
				      "paths: each step by itself (--fold=none); owners come "
				      "before borrowers",
		[STR_ROOT] = "root",
	};

	if (r->growth.made)
		fixed[STR_GROWTH] = "the last capture less the first one: what grew is above 0, "
				    "what shrank below";
	TRY(text_add_coverage(&coverage, r));
	fixed[STR_COVERAGE] = (const char *)coverage.data;
	for (unsigned i = 0; i < LIVE_NAMES; i++)
		fixed[STR_KINDS + i] = live_kind_name(i);
	for (int i = 0; i < STR_LABELS; i++)
		TRY(write_string(w, fixed[i]));
	return NULL;
}

static struct err *write_strings(struct writer *w, const struct profile *p, const struct report *r,
				 const uint8_t *used)
{
	TRY(write_fixed_strings(w, r));
	for (size_t i = 0; i < w->texts.n; i++)
		TRY(write_string(w, w->texts.v[i]));
	for (uint32_t i = 0; i < p->frames.n; i++) {
		const struct code_line *at = code_lines_find(&r->lines, p->frames.str[i]);

		if (!used[i])
			continue;
		TRY(write_string(w, p->frames.str[i]));
		if (at)
			TRY(write_string(w, at->file));
	}
	return NULL;
}

static void writer_destroy(struct writer *w)
{
	deflateEnd(&w->z);
	buf_deinit(&w->packed);
	buf_deinit(&w->clean);
	for (size_t i = 0; i < w->texts.n; i++)
		free(w->texts.v[i]);
	vec_deinit(&w->texts);
	free(w->sets);
	free(w);
}

DEFINE_CLEANUP(writer_destroy, struct writer *)

static struct err *writer_create(FILE *f, struct writer **ret)
{
	struct writer *w = calloc(1, sizeof(*w));

	/* 15 + 16: the largest window, and a gzip header, whose time and name zlib leaves out. */
	if (!w || deflateInit2(&w->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8,
			       Z_DEFAULT_STRATEGY) != Z_OK) {
		free(w);
		return err_nomem();
	}
	w->f = f;
	*ret = w;
	return NULL;
}

struct err *pprof_write(FILE *f, const struct profile *p, const struct report *r)
{
	_cleanup_(cleanup_writer_destroy) struct writer *w = NULL;
	_cleanup_free_ uint8_t *used = calloc(p->frames.n + 1ull, 1);

	if (!used)
		return err_nomem();
	TRY(writer_create(f, &w));
	TRY(find_labels(w, p));
	TRY(write_head(w, r));
	TRY(write_samples(w, p, used));
	TRY(write_frames(w, p, r, used));
	TRY(write_strings(w, p, r, used));
	return writer_deflate(w, NULL, 0, Z_FINISH);
}
