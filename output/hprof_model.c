/*
 * One pass over the graph finds the classes: one for each type and size of slot, whose fields are
 * all words that lead anywhere in any of its objects.
 */
#include "output/hprof_model.h"

#include <string.h>

#include "output/internal.h"

enum { WORDS_MOST = 1024 }; /* of an instance; what has more is an array */

void hprof_model_deinit(struct hprof_model *m)
{
	for (size_t i = 0; i < m->classes.n; i++) {
		vec_deinit(&m->classes.v[i].fields);
		vec_deinit(&m->classes.v[i].statics);
	}
	vec_deinit(&m->classes);
	strtab_deinit(&m->strings);
	map64_deinit(&m->by_shape);
	map64_deinit(&m->by_field);
	map64_deinit(&m->by_package);
	map64_deinit(&m->sizes);
	vec_deinit(&m->threads);
	vec_deinit(&m->functions);
	map64_deinit(&m->by_function);
}

/* ------------------------------------------------------------------ names */

struct err *hprof_string(struct hprof_model *m, const char *text, uint32_t *ret)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	TRY(text_add_clean(&b, text, false));
	return strtab_add(&m->strings, (const char *)b.data, ret);
}

static struct err *class_new(struct hprof_model *m, const char *name, uint32_t size, uint32_t *ret)
{
	struct hprof_class c = { .super = CLASS_OBJECT + 1, .size = size };

	TRY(hprof_string(m, name, &c.name));
	*ret = (uint32_t)m->classes.n;
	return vec_push(&m->classes, c);
}

static struct err *builtins(struct hprof_model *m)
{
	static const char *const names[] = {
		[CLASS_OBJECT] = "java/lang/Object",
		[CLASS_CLASS] = "java/lang/Class",
		[CLASS_LOADER] = "java/lang/ClassLoader",
		[CLASS_STRING] = "java/lang/String",
		[CLASS_THREAD] = "java/lang/Thread",
		[CLASS_REFERENCE] = "java/lang/ref/Reference",
		[CLASS_WEAK] = "java/lang/ref/WeakReference",
		[CLASS_SOFT] = "java/lang/ref/SoftReference",
		[CLASS_FINAL] = "java/lang/ref/FinalReference",
		[CLASS_PHANTOM] = "java/lang/ref/PhantomReference",
		[CLASS_OBJECTS] = "[Ljava/lang/Object;",
		[CLASS_BOOLEANS] = "[Z",
		[CLASS_CHARS] = "[C",
		[CLASS_FLOATS] = "[F",
		[CLASS_DOUBLES] = "[D",
		[CLASS_BYTES] = "[B",
		[CLASS_SHORTS] = "[S",
		[CLASS_INTS] = "[I",
		[CLASS_LONGS] = "[J",
	};
	uint32_t id;

	for (uint32_t i = 0; i < CLASS_BUILTINS; i++)
		TRY(class_new(m, names[i], i == CLASS_OBJECT ? HPROF_HEADER : 0, &id));
	m->classes.v[CLASS_OBJECT].super = 0;
	for (uint32_t i = CLASS_WEAK; i <= CLASS_PHANTOM; i++)
		m->classes.v[i].super = CLASS_REFERENCE + 1;
	return NULL;
}

/* The class that has a package's statics, which there is one more of when one is full. */
static struct err *package_class(struct hprof_model *m, const char *package, uint32_t *class)
{
	uint64_t *slot;
	uint32_t id;
	bool is_new;

	TRY(hprof_string(m, package, &id));
	TRY(map64_put(&m->by_package, id, m->classes.n, &slot, &is_new));
	*class = (uint32_t)*slot;
	return is_new ? class_new(m, package, 0, class) : NULL;
}

struct err *hprof_package(struct hprof_model *m, const char *name, uint32_t *class,
			  const char **rest)
{
	const char *slash = strrchr(name, '/'), *paren = strchr(name, '(');
	const char *dot = strchr(slash && (!paren || slash < paren) ? slash : name, '.');
	_cleanup_buf_ struct buf b = BUF_INIT;

	*rest = name;
	if (!dot || dot == name || (paren && dot > paren))
		return package_class(m, "(no package)", class);
	*rest = dot + 1;
	TRY(buf_add(&b, name, (size_t)(dot - name)));
	return package_class(m, (const char *)b.data, class);
}

/* ------------------------------------------------------------------ objects */

static bool begins(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

/* What the elements of a row without pointers are to Java; no byte has a value in it. */
static enum hprof_type element(const char *type)
{
	static const struct {
		const char *type;
		enum hprof_type to;
	} rows[] = { { "[]bool", HPROF_BOOLEAN },   { "[]int16", HPROF_SHORT },
		     { "[]uint16", HPROF_CHAR },    { "[]int32", HPROF_INT },
		     { "[]uint32", HPROF_INT },     { "[]float32", HPROF_FLOAT },
		     { "[]float64", HPROF_DOUBLE }, { "[]int", HPROF_LONG },
		     { "[]uint", HPROF_LONG },      { "[]int64", HPROF_LONG },
		     { "[]uint64", HPROF_LONG },    { "[]uintptr", HPROF_LONG } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (!strcmp(type, rows[i].type))
			return rows[i].to;
	return HPROF_BYTE;
}

enum hprof_shape hprof_shape_of(const struct hprof_model *m, const struct object *o,
				enum hprof_type *primitive)
{
	const char *type = m->o->types[o->type];
	bool row = begins(type, "[]") || !strcmp(type, "string") || *type == '[';

	/* lengths have 31 bits */
	*primitive = o->bytes >> 31 ? HPROF_LONG : element(type);
	if (!o->pointers)
		return row && o->bytes >= HPROF_ARRAY ? HPROF_AS_BYTES : HPROF_AS_INSTANCE;
	if (o->bytes / m->o->word > WORDS_MOST)
		return HPROF_AS_OBJECTS;
	return o->shape == OBJECT_ROW && o->bytes >= HPROF_ROW_LEAST ? HPROF_AS_OBJECTS :
								       HPROF_AS_INSTANCE;
}

static uint64_t shape_key(const struct object *o, enum hprof_shape shape)
{
	/* an array's class does not know its size */
	return (uint64_t)o->type << 34 | (uint64_t)shape << 32 |
	       (shape == HPROF_AS_INSTANCE ? (uint32_t)o->bytes : 0);
}

uint32_t hprof_class_of(const struct hprof_model *m, const struct object *o)
{
	enum hprof_type primitive;
	enum hprof_shape shape = hprof_shape_of(m, o, &primitive);
	const uint64_t *class;

	if (shape == HPROF_AS_BYTES)
		return CLASS_BOOLEANS + (primitive - HPROF_BOOLEAN);
	class = map64_get(&m->by_shape, shape_key(o, shape));
	return class ? (uint32_t) * class : CLASS_OBJECT;
}

/* A name that begins with '[' would be an array's.  A type's second size is told in its name. */
static struct err *instance_name(struct hprof_model *m, const struct object *o, struct buf *b)
{
	const char *type = m->o->types[o->type];
	uint64_t *slot;
	bool is_new;

	TRY(map64_put(&m->sizes, o->type, 1, &slot, &is_new));
	TRY(buf_addf(b, "%s%s", *type == '[' ? "row " : "", type));
	return is_new ? NULL : buf_addf(b, " (%u bytes)", (unsigned)o->bytes);
}

/* "[]*main.Page" is "[L*main.Page;", which is shown as "*main.Page[]". */
static struct err *array_name(struct hprof_model *m, const struct object *o, struct buf *b)
{
	const char *type = m->o->types[o->type];

	if (begins(type, "[]"))
		type += 2;
	return buf_addf(b, "[L%s;", type);
}

static struct err *model_object(void *arg, const struct object *o)
{
	struct hprof_model *m = arg;
	_cleanup_buf_ struct buf b = BUF_INIT;
	enum hprof_type primitive;
	uint64_t *slot;
	bool is_new;

	m->shape = hprof_shape_of(m, o, &primitive);
	if (m->shape == HPROF_AS_BYTES)
		return NULL;
	TRY(map64_put(&m->by_shape, shape_key(o, m->shape), m->classes.n, &slot, &is_new));
	m->class = (uint32_t)*slot;
	if (!is_new)
		return NULL;
	TRY(m->shape == HPROF_AS_INSTANCE ? instance_name(m, o, &b) : array_name(m, o, &b));
	return class_new(m, (const char *)b.data,
			 m->shape == HPROF_AS_INSTANCE ? (uint32_t)o->bytes : 0, &m->class);
}

/* ------------------------------------------------------------------ roots */

static struct err *model_root(void *arg, const struct object_root *r)
{
	struct hprof_model *m = arg;
	_cleanup_buf_ struct buf name = BUF_INIT;
	struct hprof_thread t = { .id = r->id, .parent = r->parent, .goroutine = r->goroutine };
	const char *rest = r->name;
	uint64_t *slot;
	bool is_new;

	m->local = r->itself || r->parent;
	if (m->local) {
		TRY(hprof_string(m, r->name, &t.name));
		TRY(vec_push(&m->threads, t));
		if (!r->itself)
			return NULL;
		TRY(map64_put(&m->by_function, t.name, m->functions.n, &slot, &is_new));
		return is_new ? vec_push(&m->functions, t.name) : NULL;
	}
	/* what is no variable is one of its kind */
	if (r->group || (strcmp(r->kind, live_kind_name(LIVE_VARIABLES)) != 0 &&
			 strcmp(r->kind, live_kind_name(LIVE_RUNTIME)) != 0))
		TRY(package_class(m, r->kind, &m->statics_of));
	else
		TRY(hprof_package(m, r->name, &m->statics_of, &rest));
	if (r->group)
		TRY(buf_addf(&name, "%s;", r->group));
	TRY(buf_addstr(&name, rest));
	return hprof_string(m, (const char *)name.data, &m->static_name);
}

/* A word of a variable. */
static struct err *model_static(struct hprof_model *m, uint64_t address)
{
	struct hprof_class *c = &m->classes.v[m->statics_of];
	uint64_t *slot = map64_get(&m->by_package, c->name);

	if (c->statics.n == UINT16_MAX && slot) { /* they are counted in 16 bits */
		*slot = m->classes.n;
		TRY(class_new(m, m->strings.str[c->name], 0, &m->statics_of));
		c = &m->classes.v[m->statics_of];
	}
	return vec_push(&c->statics, ((struct hprof_static){ m->static_name, address }));
}

static struct err *model_edge(void *arg, const struct object_edge *e)
{
	struct hprof_model *m = arg;
	struct hprof_field f = { .offset = e->offset };
	bool is_new;

	if (e->source > m->o->n)
		return m->local ? NULL : model_static(m, e->address);
	if (m->shape != HPROF_AS_INSTANCE)
		return NULL;
	TRY(map64_put(&m->by_field, (uint64_t)m->class << 32 | e->offset, 1, &(uint64_t *){ NULL },
		      &is_new));
	if (!is_new)
		return NULL;
	TRY(hprof_string(m, objects_field(m->o, e->field), &f.name));
	return vec_push(&m->classes.v[m->class].fields, f);
}

static int field_cmp(const void *pa, const void *pb)
{
	const struct hprof_field *a = pa, *b = pb;

	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

struct err *hprof_model_make(struct hprof_model *m, const struct objects *o)
{
	struct objects_visitor v = { model_object, model_edge, model_root, m };

	m->o = o;
	m->strings = (struct strtab)STRTAB_INIT;
	TRY(builtins(m));
	TRY(objects_walk(o, &v));
	for (size_t i = 0; i < m->classes.n; i++) {
		struct hprof_class *c = &m->classes.v[i];

		if (c->fields.n > 1)
			qsort(c->fields.v, c->fields.n, sizeof(*c->fields.v), field_cmp);
	}
	return NULL;
}
