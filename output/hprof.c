/*
 * *.hprof: the heap as Java's, for VisualVM, Eclipse MAT and Perfetto.  docs/EXPORTS.md has the
 * rules.
 *
 *	strings, classes' names, stack frames, a stack trace a goroutine
 *	the dump:	classes with their fields and statics, objects, goroutines as threads
 *
 * Objects are written as the stream tells them: an instance's words are put together until the next
 * object begins, an array's go straight on, with zeros between.
 */
#include "output/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/search.h"
#include "output/hprof_model.h"
#include "output/hprof_writer.h"

enum {
	TRACE_NONE = 1, /* serial of the empty trace; those of goroutines come behind it */
	CHUNK = 1 << 13,
	/* bytes of an array that go into a segment with others */
	SHORT_MOST = 1 << 16,
	/* references of an array: they take 8 bytes each, and 4 GiB at most */
	REFERENCES_MOST = (1u << 29) - 8,
	THREAD_PRIORITY = 5,
};

/* Ids of what is no object of Go's: no address begins so. */
#define ID_CLASS 0x7f10000000000000ull
#define ID_THREAD 0x7f20000000000000ull
#define ID_STRING 0x7f30000000000000ull
#define ID_CHARS 0x7f40000000000000ull

/* Fields of classes that are not the program's. */
static const struct builtin_field {
	uint32_t class;
	enum hprof_type type;
	const char *name;
} builtin_fields[] = {
	{ CLASS_STRING, HPROF_OBJECT, "value" }, { CLASS_THREAD, HPROF_OBJECT, "name" },
	{ CLASS_THREAD, HPROF_LONG, "tid" },     { CLASS_THREAD, HPROF_BOOLEAN, "daemon" },
	{ CLASS_THREAD, HPROF_INT, "priority" }, { CLASS_THREAD, HPROF_INT, "threadStatus" },
	{ CLASS_THREAD, HPROF_OBJECT, "g" },     { CLASS_REFERENCE, HPROF_OBJECT, "referent" },
};

enum { BUILTIN_FIELDS = sizeof(builtin_fields) / sizeof(*builtin_fields) };

struct hprof_frame {
	uint32_t method, file, class, line; /* method, file: strings; file 0: none */
	const char *function;
};

struct hprof_trace {
	uint32_t first, n; /* in frames, the innermost first */
};

/* The ids of references that follow one another, with zeros where there are none. */
struct row {
	uint64_t next, end; /* words */
	bool is_long;       /* they go straight on */
	uint8_t chunk[CHUNK];
	size_t n;
};

struct hprof {
	struct hprof_writer w;
	struct hprof_model m;
	const struct objects *o;
	const struct report *r;
	VEC(struct hprof_frame) frames;
	VEC(struct hprof_trace) traces;   /* by function */
	uint32_t empty;                   /* string */
	uint32_t builtin[BUILTIN_FIELDS]; /* strings */
	/* what is being told of */
	enum { NOTHING, INSTANCE, ROW, THREAD } telling;
	struct object object;
	uint32_t class;
	VEC(uint64_t) values;
	size_t field;
	struct row row;
	uint32_t thread; /* index in m.threads */
	uint64_t own;    /* id of the thread's g */
	uint32_t next_thread;
};

static void hprof_deinit(struct hprof *h)
{
	hprof_writer_deinit(&h->w);
	hprof_model_deinit(&h->m);
	vec_deinit(&h->frames);
	vec_deinit(&h->traces);
	vec_deinit(&h->values);
}

/* Strings count from 1. */
static struct err *put_string_id(struct hprof *h, uint32_t string)
{
	return hprof_u8(&h->w, string + 1ull);
}

/* ------------------------------------------------------------------ goroutines' stacks */

static struct err *frame_add(struct hprof *h, const struct code_line *at)
{
	struct hprof_frame f = { .line = at->line, .function = at->function };
	const char *method;

	TRY(hprof_package(&h->m, at->function, &f.class, &method));
	TRY(hprof_string(&h->m, method, &f.method));
	f.file = h->empty;
	if (at->file)
		TRY(hprof_string(&h->m, at->file, &f.file));
	return vec_push(&h->frames, f);
}

/* The stack of a function's goroutines, if they are all of one group; else the function alone. */
static struct err *trace_add(struct hprof *h, uint32_t function, const struct goroutine_group *g)
{
	struct hprof_trace t = { .first = (uint32_t)h->frames.n };
	struct code_line alone = { .function = h->m.strings.str[h->m.functions.v[function]] };

	for (uint32_t i = g ? g->nframes : 0; i--;)
		TRY(frame_add(h, &g->stack[i]));
	if (!g)
		TRY(frame_add(h, &alone));
	t.n = (uint32_t)h->frames.n - t.first;
	return vec_push(&h->traces, t);
}

static struct err *make_traces(struct hprof *h)
{
	const struct goroutine_groups *groups = &h->r->goroutines_of.groups;
	_cleanup_free_ const struct goroutine_group **only =
		calloc(h->m.functions.n + 1, sizeof(*only));
	_cleanup_free_ uint32_t *n = calloc(h->m.functions.n + 1, sizeof(*n));
	uint32_t name;

	if (!only || !n)
		return err_nomem();
	for (size_t i = 0; i < groups->n; i++) {
		const uint64_t *at;

		TRY(hprof_string(&h->m, groups->v[i].function, &name));
		at = map64_get(&h->m.by_function, name);
		if (at && !n[*at]++)
			only[*at] = &groups->v[i];
	}
	for (uint32_t i = 0; i < h->m.functions.n; i++)
		TRY(trace_add(h, i, n[i] == 1 ? only[i] : NULL));
	return NULL;
}

struct thread_key {
	const struct hprof_thread *v;
	uint32_t id;
};

static bool thread_behind(const void *arg, size_t i)
{
	const struct thread_key *k = arg;

	return k->v[i].id > k->id;
}

/* Index of the root in threads. */
static uint32_t thread_of(const struct hprof *h, uint32_t id)
{
	const struct thread_key key = { h->m.threads.v, id };

	return (uint32_t)search_first(h->m.threads.n, thread_behind, &key) - 1;
}

static const struct hprof_trace *trace_of(const struct hprof *h, const struct hprof_thread *t)
{
	const uint64_t *function = map64_get(&h->m.by_function, t->name);

	return function ? &h->traces.v[*function] : NULL;
}

/* ------------------------------------------------------------------ before the dump */

static struct err *put_strings(struct hprof *h)
{
	for (uint32_t i = 0; i < h->m.strings.n; i++) {
		const char *s = h->m.strings.str[i];

		TRY(put_string_id(h, i));
		TRY(buf_add(&h->w.b, s, strlen(s)));
		TRY(hprof_record(&h->w, HPROF_UTF8));
	}
	return NULL;
}

static struct err *put_class_names(struct hprof *h)
{
	for (uint32_t i = 0; i < h->m.classes.n; i++) {
		TRY(hprof_u4(&h->w, i + 1));
		TRY(hprof_u8(&h->w, ID_CLASS + i));
		TRY(hprof_u4(&h->w, TRACE_NONE));
		TRY(put_string_id(h, h->m.classes.v[i].name));
		TRY(hprof_record(&h->w, HPROF_LOAD_CLASS));
	}
	return NULL;
}

static struct err *put_frames(struct hprof *h)
{
	for (uint32_t i = 0; i < h->frames.n; i++) {
		const struct hprof_frame *f = &h->frames.v[i];

		TRY(hprof_u8(&h->w, i + 1ull));
		TRY(put_string_id(h, f->method));
		TRY(put_string_id(h, h->empty));
		TRY(put_string_id(h, f->file));
		TRY(hprof_u4(&h->w, f->class + 1));
		TRY(hprof_u4(&h->w, f->line));
		TRY(hprof_record(&h->w, HPROF_FRAME));
	}
	return NULL;
}

static struct err *put_trace(struct hprof *h, uint32_t serial, uint32_t thread,
			     const struct hprof_trace *t)
{
	TRY(hprof_u4(&h->w, serial));
	TRY(hprof_u4(&h->w, thread));
	TRY(hprof_u4(&h->w, t ? t->n : 0));
	for (uint32_t i = 0; t && i < t->n; i++)
		TRY(hprof_u8(&h->w, t->first + i + 1ull));
	return hprof_record(&h->w, HPROF_TRACE);
}

static struct err *put_traces(struct hprof *h)
{
	TRY(put_trace(h, TRACE_NONE, 0, NULL));
	for (uint32_t i = 0; i < h->m.threads.n; i++)
		if (!h->m.threads.v[i].parent)
			TRY(put_trace(h, TRACE_NONE + 1 + i, i + 1,
				      trace_of(h, &h->m.threads.v[i])));
	return NULL;
}

/* ------------------------------------------------------------------ classes */

static struct err *put_fields(struct hprof *h, uint32_t class)
{
	const struct hprof_class *c = &h->m.classes.v[class];
	size_t n = c->fields.n;

	for (size_t i = 0; i < BUILTIN_FIELDS; i++)
		n += builtin_fields[i].class == class;
	TRY(hprof_u2(&h->w, (uint16_t)n));
	for (size_t i = 0; i < BUILTIN_FIELDS; i++) {
		if (builtin_fields[i].class != class)
			continue;
		TRY(put_string_id(h, h->builtin[i]));
		TRY(hprof_u1(&h->w, (uint8_t)builtin_fields[i].type));
	}
	for (size_t i = 0; i < c->fields.n; i++) {
		TRY(put_string_id(h, c->fields.v[i].name));
		TRY(hprof_u1(&h->w, HPROF_OBJECT));
	}
	return NULL;
}

static struct err *put_class(struct hprof *h, uint32_t i)
{
	const struct hprof_class *c = &h->m.classes.v[i];

	TRY(hprof_u1(&h->w, HPROF_CLASS));
	TRY(hprof_u8(&h->w, ID_CLASS + i));
	TRY(hprof_u4(&h->w, TRACE_NONE));
	TRY(hprof_u8(&h->w, c->super ? ID_CLASS + c->super - 1 : 0));
	for (unsigned k = 0; k < 5; k++) /* loader, signers, protection domain, two reserved */
		TRY(hprof_u8(&h->w, 0));
	TRY(hprof_u4(&h->w, c->size));
	TRY(hprof_u2(&h->w, 0)); /* constants */
	TRY(hprof_u2(&h->w, (uint16_t)c->statics.n));
	for (size_t k = 0; k < c->statics.n; k++) {
		TRY(put_string_id(h, c->statics.v[k].name));
		TRY(hprof_u1(&h->w, HPROF_OBJECT));
		TRY(hprof_u8(&h->w, c->statics.v[k].address));
	}
	TRY(put_fields(h, i));
	TRY(hprof_u1(&h->w, HPROF_ROOT_CLASS));
	TRY(hprof_u8(&h->w, ID_CLASS + i));
	return hprof_part(&h->w, false);
}

/* ------------------------------------------------------------------ objects */

static struct err *instance_head(struct hprof *h, uint64_t id, uint32_t class, uint32_t bytes)
{
	TRY(hprof_u1(&h->w, HPROF_INSTANCE));
	TRY(hprof_u8(&h->w, id));
	TRY(hprof_u4(&h->w, TRACE_NONE));
	TRY(hprof_u8(&h->w, ID_CLASS + class));
	return hprof_u4(&h->w, bytes);
}

static struct err *row_flush(struct hprof *h)
{
	struct row *r = &h->row;
	size_t n = r->n;

	r->n = 0;
	return r->is_long ? hprof_stream(&h->w, r->chunk, n) : buf_add(&h->w.b, r->chunk, n);
}

static struct err *row_word(struct hprof *h, uint64_t id)
{
	struct row *r = &h->row;

	for (unsigned i = 0; i < 8; i++)
		r->chunk[r->n++] = (uint8_t)(id >> (56 - 8 * i));
	r->next++;
	return r->n == CHUNK ? row_flush(h) : NULL;
}

/* Zeros up to the word. */
static struct err *row_to(struct hprof *h, uint64_t word)
{
	while (h->row.next < word)
		TRY(row_word(h, 0));
	return NULL;
}

static struct err *row_begin(struct hprof *h, const struct object *o)
{
	uint64_t words = o->bytes / h->o->word, n = (o->bytes - HPROF_ARRAY) / HPROF_REFERENCE;

	/* so long that readers have our size; the words are its first */
	if (n < words || n > REFERENCES_MOST)
		n = words;
	if (n > REFERENCES_MOST)
		return err_create(ERR_LIMIT,
				  "an array of %" PRIu64 " words is more than HPROF has room for",
				  n);
	TRY(hprof_u1(&h->w, HPROF_OBJECTS));
	TRY(hprof_u8(&h->w, o->address));
	TRY(hprof_u4(&h->w, TRACE_NONE));
	TRY(hprof_u4(&h->w, (uint32_t)n));
	TRY(hprof_u8(&h->w, ID_CLASS + h->class));
	h->row.next = h->row.n = 0;
	h->row.end = n;
	h->row.is_long = n * 8 > SHORT_MOST;
	h->telling = ROW;
	return h->row.is_long ? hprof_long_part(&h->w, n * 8) : NULL;
}

/* An array without references: its values are zeros, since contents are nobody's business. */
static struct err *put_zeros(struct hprof *h, const struct object *o, enum hprof_type type)
{
	static const uint8_t zeros[CHUNK];
	static const uint8_t sizes[] = {
		[HPROF_BOOLEAN] = 1, [HPROF_CHAR] = 2,  [HPROF_FLOAT] = 4, [HPROF_DOUBLE] = 8,
		[HPROF_BYTE] = 1,    [HPROF_SHORT] = 2, [HPROF_INT] = 4,   [HPROF_LONG] = 8
	};
	uint64_t bytes = o->bytes - HPROF_ARRAY;
	bool is_long = bytes > SHORT_MOST;

	TRY(hprof_u1(&h->w, HPROF_PRIMITIVES));
	TRY(hprof_u8(&h->w, o->address));
	TRY(hprof_u4(&h->w, TRACE_NONE));
	TRY(hprof_u4(&h->w, (uint32_t)(bytes / sizes[type])));
	TRY(hprof_u1(&h->w, (uint8_t)type));
	if (is_long)
		TRY(hprof_long_part(&h->w, bytes));
	for (uint64_t at = 0; at < bytes; at += CHUNK) {
		size_t n = bytes - at < CHUNK ? (size_t)(bytes - at) : CHUNK;

		TRY(is_long ? hprof_stream(&h->w, zeros, n) : buf_add(&h->w.b, zeros, n));
	}
	return hprof_part(&h->w, false);
}

static struct err *put_instance(struct hprof *h)
{
	TRY(instance_head(h, h->object.address, h->class, (uint32_t)h->values.n * 8));
	for (size_t i = 0; i < h->values.n; i++)
		TRY(hprof_u8(&h->w, h->values.v[i]));
	return hprof_part(&h->w, false);
}

static struct err *put_thread(struct hprof *h)
{
	const struct hprof_thread *t = &h->m.threads.v[h->thread];
	const uint64_t *function = map64_get(&h->m.by_function, t->name);

	TRY(hprof_u1(&h->w, HPROF_ROOT_THREAD));
	TRY(hprof_u8(&h->w, ID_THREAD + h->thread));
	TRY(hprof_u4(&h->w, h->thread + 1));
	TRY(hprof_u4(&h->w, TRACE_NONE + 1 + h->thread));
	TRY(instance_head(h, ID_THREAD + h->thread, CLASS_THREAD, 8 + 8 + 1 + 4 + 4 + 8));
	TRY(hprof_u8(&h->w, function ? ID_STRING + *function : 0));
	TRY(hprof_u8(&h->w, t->goroutine));
	TRY(hprof_u1(&h->w, 0));
	TRY(hprof_u4(&h->w, THREAD_PRIORITY));
	TRY(hprof_u4(&h->w, 1));
	TRY(hprof_u8(&h->w, h->own));
	return hprof_part(&h->w, false);
}

/* Ends what is being told of. */
static struct err *told(struct hprof *h)
{
	int what = h->telling;

	h->telling = NOTHING;
	switch (what) {
	case INSTANCE:
		return put_instance(h);
	case ROW:
		TRY(row_to(h, h->row.end));
		TRY(row_flush(h));
		return hprof_part(&h->w, false);
	case THREAD:
		return put_thread(h);
	default:
		return NULL;
	}
}

static struct err *tell_object(void *arg, const struct object *o)
{
	struct hprof *h = arg;
	enum hprof_type primitive;
	enum hprof_shape shape = hprof_shape_of(&h->m, o, &primitive);

	TRY(told(h));
	h->object = *o;
	if (shape == HPROF_AS_BYTES)
		return put_zeros(h, o, primitive);
	h->class = hprof_class_of(&h->m, o);
	if (shape == HPROF_AS_OBJECTS)
		return row_begin(h, o);
	h->values.n = h->field = 0;
	TRY(vec_reserve(&h->values, h->m.classes.v[h->class].fields.n + 1));
	h->values.n = h->m.classes.v[h->class].fields.n;
	memset(h->values.v, 0, h->values.n * sizeof(*h->values.v));
	h->telling = INSTANCE;
	return NULL;
}

/* A local's object: frames count from the innermost. */
static struct err *put_local(struct hprof *h, const struct hprof_thread *local, uint64_t id)
{
	uint32_t thread = local->parent ? thread_of(h, local->parent) : h->thread;
	const struct hprof_trace *t = trace_of(h, &h->m.threads.v[thread]);
	const char *name = h->m.strings.str[local->name];
	uint32_t frame = UINT32_MAX;

	for (uint32_t i = 0; t && i < t->n && frame == UINT32_MAX; i++)
		if (code_line_is_of(h->frames.v[t->first + i].function, name))
			frame = i;
	TRY(hprof_u1(&h->w, HPROF_ROOT_FRAME));
	TRY(hprof_u8(&h->w, id));
	TRY(hprof_u4(&h->w, thread + 1));
	TRY(hprof_u4(&h->w, frame));
	return hprof_part(&h->w, false);
}

static struct err *tell_edge(void *arg, const struct object_edge *e)
{
	struct hprof *h = arg;
	uint64_t id = e->address;

	if (h->telling == ROW) {
		TRY(row_to(h, e->offset / h->o->word));
		return row_word(h, id);
	}
	if (h->telling == INSTANCE) {
		const struct hprof_class *c = &h->m.classes.v[h->class];

		while (h->field < c->fields.n && c->fields.v[h->field].offset < e->offset)
			h->field++;
		if (h->field < c->fields.n)
			h->values.v[h->field] = id;
		return NULL;
	}
	if (h->telling == THREAD && !h->own) {
		h->own = id;
		return NULL;
	}
	/* of a goroutine's other words, and of a local */
	if (h->next_thread && h->m.threads.v[h->next_thread - 1].id == e->source)
		return put_local(h, &h->m.threads.v[h->next_thread - 1], id);
	return NULL;
}

static struct err *tell_root(void *arg, const struct object_root *r)
{
	struct hprof *h = arg;

	TRY(told(h));
	if (h->next_thread == h->m.threads.n || h->m.threads.v[h->next_thread].id != r->id)
		return NULL;
	if (r->itself) {
		h->telling = THREAD;
		h->thread = h->next_thread;
		h->own = 0;
	}
	h->next_thread++;
	return NULL;
}

/* ------------------------------------------------------------------ the file */

/* Goroutines' names, as Java's strings. */
static struct err *put_names(struct hprof *h)
{
	for (uint32_t i = 0; i < h->m.functions.n; i++) {
		const char *s = h->m.strings.str[h->m.functions.v[i]];

		TRY(hprof_u1(&h->w, HPROF_PRIMITIVES));
		TRY(hprof_u8(&h->w, ID_CHARS + i));
		TRY(hprof_u4(&h->w, TRACE_NONE));
		TRY(hprof_u4(&h->w, (uint32_t)strlen(s)));
		TRY(hprof_u1(&h->w, HPROF_BYTE));
		TRY(buf_add(&h->w.b, s, strlen(s)));
		TRY(instance_head(h, ID_STRING + i, CLASS_STRING, 8));
		TRY(hprof_u8(&h->w, ID_CHARS + i));
		TRY(hprof_part(&h->w, false));
	}
	return NULL;
}

static struct err *prepare(struct hprof *h)
{
	TRY(hprof_model_make(&h->m, h->o));
	TRY(hprof_string(&h->m, "", &h->empty));
	for (size_t i = 0; i < BUILTIN_FIELDS; i++)
		TRY(hprof_string(&h->m, builtin_fields[i].name, &h->builtin[i]));
	return make_traces(h);
}

static struct err *hprof_put(struct hprof *h, FILE *f, bool gzip)
{
	struct objects_visitor v = { tell_object, tell_edge, tell_root, h };
	uint64_t ms = h->r->time_unix_ns > 0 ? (uint64_t)h->r->time_unix_ns / 1000000 : 0;
	uint8_t head[12] = { 0, 0, 0, 8 };

	TRY(prepare(h));
	TRY(hprof_writer_init(&h->w, f, gzip));
	for (unsigned i = 0; i < 8; i++)
		head[4 + i] = (uint8_t)(ms >> (56 - 8 * i));
	TRY(hprof_stream(&h->w, head, sizeof(head)));
	TRY(put_strings(h));
	TRY(put_class_names(h));
	TRY(put_frames(h));
	TRY(put_traces(h));
	for (uint32_t i = 0; i < h->m.classes.n; i++)
		TRY(put_class(h, i));
	TRY(put_names(h));
	TRY(objects_walk(h->o, &v));
	TRY(told(h));
	TRY(hprof_part(&h->w, true));
	return hprof_finish(&h->w);
}

struct err *hprof_write(FILE *f, bool gzip, const struct objects *o, const struct report *r)
{
	_cleanup_(hprof_deinit) struct hprof h = { .o = o, .r = r };

	return hprof_put(&h, f, gzip);
}
