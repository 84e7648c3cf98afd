/*
 * *.sqlite: the whole graph as tables (docs/SQL.md), by libsqlite3, in one transaction.
 *
 * SQLite opens its file by a name, so it gets the temporary one's; what has a name at the end is
 * whole, or not there.  For that one file neither journal nor fsync is wanted.  Rows come in the
 * order of their keys, so that each is put behind the last; indexes are made at the end, by
 * sorting.
 */
#include "output/internal.h"

#include <sqlite3.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/intr.h"
#include "heap/profile/profile_roots.h"
#include "heap/profile/schema.h"
#include "output/sqlite_schema.h"

enum {
	BULK_ROWS = 32,
	STEPS_PER_CHECK = 1 << 20, /* of SQLite's machine, between two looks for signals */
	CACHE_LEAST = 2 << 10,     /* KiB */
	CACHE_MOST = 64 << 10,
	OBJECTS_PER_KIB = 512, /* so much of its cache grows with the heap */
};

/* Rows of numbers, which go in many at a time: a statement costs as much as some rows. */
struct bulk {
	sqlite3_stmt *one, *many;
	unsigned width, n;
	uint64_t v[BULK_ROWS * 8];
};

struct sqlite {
	sqlite3 *db;
	sqlite3_stmt *insert; /* of the table that is being filled */
	struct bulk objects, edges;
	const struct objects *o;
	struct buf text;
	int at; /* the next value's place */
	uint32_t known_fields;
};

static void sqlite_deinit(struct sqlite *s)
{
	sqlite3_finalize(s->insert);
	sqlite3_finalize(s->objects.one);
	sqlite3_finalize(s->objects.many);
	sqlite3_finalize(s->edges.one);
	sqlite3_finalize(s->edges.many);
	sqlite3_close(s->db);
	buf_deinit(&s->text);
}

static struct err *sqlite_err(const struct sqlite *s, int rc)
{
	if (rc == SQLITE_NOMEM)
		return err_nomem();
	if (rc == SQLITE_INTERRUPT)
		TRY(intr_check());
	return err_create(ERR_OS, "SQLite: %s", sqlite3_errmsg(s->db));
}

static struct err *sqlite_run(struct sqlite *s, const char *sql)
{
	int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? NULL : sqlite_err(s, rc);
}

static int sqlite_progress(void *arg)
{
	return intr_signal() != 0;
}

static struct err *sqlite_open(struct sqlite *s, const char *path)
{
	uint64_t kib = CACHE_LEAST + s->o->n / OBJECTS_PER_KIB;
	char cache[48];
	int rc;

	/* one thread, and nobody asks how much memory it has: no locks */
	sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	rc = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

	if (rc != SQLITE_OK)
		return s->db ? sqlite_err(s, rc) : err_nomem();
	sqlite3_progress_handler(s->db, STEPS_PER_CHECK, sqlite_progress, NULL);
	TRY(sqlite_run(s, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
			  " PRAGMA locking_mode = EXCLUSIVE; PRAGMA application_id = 1735553904;"));
	snprintf(cache, sizeof(cache), "PRAGMA cache_size = -%u",
		 (unsigned)(kib < CACHE_MOST ? kib : CACHE_MOST));
	return sqlite_run(s, cache);
}

/* ------------------------------------------------------------------ rows */

/* Adds so many rows of so many values. */
static struct err *statement(struct sqlite *s, const char *table, unsigned values, unsigned rows,
			     sqlite3_stmt **ret)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	int rc;

	TRY(buf_addf(&b, "INSERT INTO %s VALUES ", table));
	for (unsigned i = 0; i < values * rows; i++)
		TRY(buf_addstr(&b, i % values ? ",?" : i ? "),(?" : "(?"));
	TRY(buf_addstr(&b, ")"));
	rc = sqlite3_prepare_v3(s->db, (const char *)b.data, -1, SQLITE_PREPARE_PERSISTENT, ret,
				NULL);
	return rc == SQLITE_OK ? NULL : sqlite_err(s, rc);
}

/* What follows are rows of this table. */
static struct err *table(struct sqlite *s, const char *name, unsigned values)
{
	sqlite3_finalize(s->insert);
	s->insert = NULL;
	s->at = 1;
	return statement(s, name, values, 1, &s->insert);
}

static void add_int(struct sqlite *s, uint64_t v)
{
	sqlite3_bind_int64(s->insert, s->at++, (sqlite3_int64)v);
}

/* 0 is NULL. */
static void add_ref(struct sqlite *s, uint64_t v)
{
	if (v)
		add_int(s, v);
	else
		sqlite3_bind_null(s->insert, s->at++);
}

/* NULL is NULL. */
static struct err *add_text(struct sqlite *s, const char *text)
{
	if (!text) {
		sqlite3_bind_null(s->insert, s->at++);
		return NULL;
	}
	buf_reset(&s->text);
	TRY(text_add_clean(&s->text, text, false));
	sqlite3_bind_text(s->insert, s->at++, (const char *)s->text.data, (int)s->text.len,
			  SQLITE_TRANSIENT);
	return NULL;
}

static struct err *step(struct sqlite *s, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);

	if (rc != SQLITE_DONE)
		return sqlite_err(s, rc);
	sqlite3_reset(st);
	return NULL;
}

static struct err *row_end(struct sqlite *s)
{
	s->at = 1;
	return step(s, s->insert);
}

/* ------------------------------------------------------------------ many rows of numbers */

static struct err *bulk_open(struct sqlite *s, const char *table, unsigned width, struct bulk *b)
{
	b->width = width;
	TRY(statement(s, table, width, 1, &b->one));
	return statement(s, table, width, BULK_ROWS, &b->many);
}

static struct err *bulk_bind(struct sqlite *s, sqlite3_stmt *st, const uint64_t *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		sqlite3_bind_int64(st, (int)i + 1, (sqlite3_int64)v[i]);
	return step(s, st);
}

static struct err *bulk_add(struct sqlite *s, struct bulk *b, const uint64_t *row)
{
	memcpy(b->v + b->n * b->width, row, b->width * sizeof(*row));
	if (++b->n < BULK_ROWS)
		return NULL;
	b->n = 0;
	return bulk_bind(s, b->many, b->v, BULK_ROWS * b->width);
}

static struct err *bulk_end(struct sqlite *s, struct bulk *b)
{
	for (unsigned i = 0; i < b->n; i++)
		TRY(bulk_bind(s, b->one, b->v + i * b->width, b->width));
	b->n = 0;
	return NULL;
}

/* ------------------------------------------------------------------ the graph */

static struct err *add_object(void *arg, const struct object *o)
{
	struct sqlite *s = arg;

	return bulk_add(s, &s->objects,
			(const uint64_t[]){ o->id, o->address, o->type, o->bytes, o->root,
					    o->parent, o->dominator, o->retained });
}

static struct err *add_edge(void *arg, const struct object_edge *e)
{
	struct sqlite *s = arg;

	if (e->field >= s->known_fields)
		s->known_fields = e->field + 1;
	return bulk_add(s, &s->edges,
			(const uint64_t[]){ e->source, e->offset, e->target, e->field });
}

static struct err *add_root(void *arg, const struct object_root *r)
{
	struct sqlite *s = arg;
	_cleanup_buf_ struct buf name = BUF_INIT;

	if (r->group)
		TRY(buf_addf(&name, "%s;", r->group));
	TRY(buf_addstr(&name, r->name));
	add_int(s, r->id);
	TRY(add_text(s, (const char *)name.data));
	TRY(add_text(s, r->kind));
	add_ref(s, r->goroutine);
	add_ref(s, r->parent);
	add_int(s, r->retained);
	return row_end(s);
}

static struct err *add_graph(struct sqlite *s)
{
	TRY(bulk_open(s, "objects", 8, &s->objects));
	TRY(bulk_open(s, "edges", 4, &s->edges));
	TRY(objects_walk(s->o, &(struct objects_visitor){ add_object, add_edge, NULL, s }));
	TRY(bulk_end(s, &s->objects));
	TRY(bulk_end(s, &s->edges));
	TRY(table(s, "roots", 6));
	TRY(objects_walk(s->o, &(struct objects_visitor){ NULL, NULL, add_root, s }));
	TRY(table(s, "fields", 2));
	for (uint32_t i = 0; i < s->known_fields; i++) {
		add_int(s, i);
		TRY(add_text(s, objects_field(s->o, i)));
		TRY(row_end(s));
	}
	return NULL;
}

/* Numbered as the objects say them, with what the report knows of each. */
static struct err *add_types(struct sqlite *s, const struct report *r)
{
	_cleanup_(strtab_deinit) struct strtab names = STRTAB_INIT;
	_cleanup_vec_ VEC(const struct type_row *) rows = VEC_INIT;
	uint32_t id;

	for (uint32_t i = 0; i < s->o->ntypes; i++) {
		TRY(strtab_add(&names, s->o->types[i], &id));
		TRY(vec_push(&rows, NULL));
	}
	for (size_t i = 0; i < r->graph.types.n; i++) {
		TRY(strtab_add(&names, r->graph.types.v[i].name, &id));
		if (id < rows.n)
			rows.v[id] = &r->graph.types.v[i];
	}
	TRY(table(s, "types", 5));
	for (uint32_t i = 0; i < s->o->ntypes; i++) {
		if (!rows.v[i])
			continue;
		add_int(s, i);
		TRY(add_text(s, s->o->types[i]));
		add_int(s, rows.v[i]->own.objects);
		add_int(s, rows.v[i]->own.bytes);
		add_int(s, rows.v[i]->retained);
		TRY(row_end(s));
	}
	return NULL;
}

/* ------------------------------------------------------------------ the report */

static struct err *add_root_names(struct sqlite *s, const struct profile *p, const struct report *r)
{
	_cleanup_vec_ struct profile_roots roots = VEC_INIT;

	TRY(profile_roots_make(p, &roots));
	TRY(table(s, "root_names", 5));
	for (size_t i = 0; i < roots.n; i++) {
		const struct profile_root *root = &roots.v[i];
		const uint64_t *alone =
			map64_get(&r->graph.alone, profile_root_name(p, root->node));
		_cleanup_buf_ struct buf name = BUF_INIT;
		uint32_t above = p->nodes.v[root->node].parent;

		if (above)
			TRY(buf_addf(&name, "%s;", p->frames.str[p->nodes.v[above].frame]));
		TRY(buf_addstr(&name, p->frames.str[p->nodes.v[root->node].frame]));
		TRY(add_text(s, (const char *)name.data));
		TRY(add_text(s, live_kind_name(profile_root_kind(p, root->node))));
		add_int(s, root->objects);
		add_int(s, root->bytes);
		if (alone)
			add_int(s, *alone);
		else
			add_ref(s, 0);
		TRY(row_end(s));
	}
	return NULL;
}

static struct err *add_group(struct sqlite *s, uint64_t id, const struct goroutine_group *g)
{
	static const char *const verdicts[] = { [VERDICT_RUNNING] = "running",
						[VERDICT_WAITING] = "waiting",
						[VERDICT_LEAKED] = "leaked" };

	add_int(s, id);
	TRY(add_text(s, g->function));
	add_int(s, g->count);
	TRY(add_text(s, g->state));
	TRY(add_text(s, verdicts[g->verdict]));
	add_int(s, g->goid);
	add_int(s, g->wait_min_ns);
	add_int(s, g->wait_max_ns);
	add_int(s, g->stack_bytes);
	add_int(s, g->alone.bytes);
	TRY(add_text(s, g->created_by.function));
	TRY(add_text(s, g->created_by.function ? g->created_by.file : NULL));
	add_ref(s, g->created_by.function ? g->created_by.line : 0);
	return row_end(s);
}

static struct err *add_goroutines(struct sqlite *s, const struct goroutine_report *r)
{
	TRY(table(s, "goroutines", 13));
	for (size_t i = 0; i < r->groups.n; i++)
		TRY(add_group(s, i + 1, &r->groups.v[i]));
	TRY(table(s, "frames", 5));
	for (size_t i = 0; i < r->groups.n; i++) {
		const struct goroutine_group *g = &r->groups.v[i];

		/* the innermost is 0 */
		for (uint32_t k = 0; k < g->nframes; k++) {
			const struct code_line *at = &g->stack[g->nframes - 1 - k];

			add_int(s, i + 1);
			add_int(s, k);
			TRY(add_text(s, at->function));
			TRY(add_text(s, at->file));
			add_ref(s, at->file ? at->line : 0);
			TRY(row_end(s));
		}
	}
	return NULL;
}

static struct err *add_tree(struct sqlite *s, const struct profile *p)
{
	TRY(table(s, "tree", 6));
	for (size_t i = 1; i < p->nodes.n; i++) {
		const struct profile_node *v = &p->nodes.v[i];

		if (i % NODES_PER_CHECK == 0)
			TRY(intr_check());
		add_int(s, i);
		add_ref(s, v->parent);
		TRY(add_text(s, p->frames.str[v->frame]));
		add_int(s, v->bytes);
		add_int(s, v->objects);
		if (i < p->more.n)
			add_int(s, p->more.v[i].retained);
		else
			add_ref(s, 0);
		TRY(row_end(s));
	}
	return NULL;
}

static struct err *meta_text(struct sqlite *s, const char *key, const char *value)
{
	TRY(add_text(s, key));
	TRY(add_text(s, value));
	return row_end(s);
}

static struct err *add_meta(struct sqlite *s, const struct report *r)
{
	const struct {
		const char *key;
		uint64_t v;
	} numbers[] = {
		{ "pid", r->pid },
		{ "time_ns", (uint64_t)r->time_unix_ns },
		{ "threads", r->threads },
		{ "goroutines", r->goroutines },
		{ "live_bytes", r->live_bytes },
		{ "live_objects", r->live_objects },
		{ "unreachable_bytes", r->unreachable_bytes },
		{ "unreachable_objects", r->unreachable_objects },
		{ "allocated_bytes", r->allocated_bytes },
		{ "allocated_objects", r->allocated_objects },
		{ "unnamed_bytes", r->unnamed_bytes },
		{ "failed_reads", r->failed_reads },
		{ "stopped_ns", r->stopped_ns },
		{ "word", s->o->word },
	};

	TRY(table(s, "meta", 2));
	TRY(meta_text(s, "schema", JSON_SCHEMA));
	TRY(meta_text(s, "grf_rsp", GRF_VERSION));
	TRY(meta_text(s, "exe", r->exe));
	TRY(meta_text(s, "go", r->version));
	TRY(meta_text(s, "goarch", r->goarch));
	TRY(meta_text(s, "build_id", r->build_id));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		TRY(add_text(s, numbers[i].key));
		add_int(s, numbers[i].v);
		TRY(row_end(s));
	}
	return NULL;
}

static struct err *sqlite_fill(struct sqlite *s, const char *path, const struct profile *p,
			       const struct report *r)
{
	TRY(sqlite_open(s, path));
	TRY(sqlite_run(s, "BEGIN"));
	TRY(sqlite_run(s, sqlite_tables));
	TRY(add_meta(s, r));
	TRY(add_graph(s));
	TRY(add_types(s, r));
	TRY(add_root_names(s, p, r));
	TRY(add_goroutines(s, &r->goroutines_of));
	TRY(add_tree(s, p));
	TRY(sqlite_run(s, sqlite_indexes));
	TRY(sqlite_run(s, sqlite_views));
	/* what the planner wants to know: a sample is enough */
	TRY(sqlite_run(s, "PRAGMA analysis_limit = 1000; ANALYZE"));
	return sqlite_run(s, "COMMIT");
}

bool sqlite_is_built(void)
{
	return true;
}

const char *sqlite_version(void)
{
	static char text[32];

	snprintf(text, sizeof(text), "SQLite %s", sqlite3_libversion());
	return text;
}

struct err *sqlite_write(const char *path, const struct objects *o, const struct profile *p,
			 const struct report *r)
{
	_cleanup_(sqlite_deinit) struct sqlite s = { .o = o };

	return sqlite_fill(&s, path, p, r);
}
