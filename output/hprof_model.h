/*
 * What a Go heap is in Java's terms (docs/EXPORTS.md has the rules): which class an object is of,
 * which fields a class has, which variables are whose statics.
 */
#ifndef GRF_OUTPUT_HPROF_MODEL_H
#define GRF_OUTPUT_HPROF_MODEL_H

#include "base/hash.h"
#include "base/vec.h"
#include "heap/profile/objects.h"
#include "heap/profile/profile.h"
#include "output/hprof_writer.h"

enum {
	/*
	 * What HotSpot has on 64 bits with small pointers, which readers take over from
	 * java.lang.Object's size: an array of n is 16 + n bytes, or 16 + 4 n of references.
	 */
	HPROF_HEADER = 12,
	HPROF_ARRAY = 16,
	HPROF_REFERENCE = 4,
	HPROF_ROW_LEAST = 32, /* bytes, of which an array of references can be */
};

enum hprof_shape {
	HPROF_AS_INSTANCE, /* its fields are its words with pointers */
	HPROF_AS_OBJECTS,  /* an array of references */
	HPROF_AS_BYTES,    /* an array of no references */
};

struct hprof_field {
	uint64_t offset;
	uint32_t name; /* string */
};

struct hprof_static {
	uint32_t name;    /* string */
	uint64_t address; /* of what it leads to */
};

struct hprof_class {
	uint32_t name;                  /* string */
	uint32_t super;                 /* class + 1; 0: none */
	uint32_t size;                  /* bytes of an instance */
	VEC(struct hprof_field) fields; /* by offset */
	VEC(struct hprof_static) statics;
};

/* Classes that are there before all others, by their numbers. */
enum hprof_builtin {
	CLASS_OBJECT,
	CLASS_CLASS,
	CLASS_LOADER,
	CLASS_STRING,
	CLASS_THREAD,
	CLASS_REFERENCE, /* readers want its field, referent, and those below it */
	CLASS_WEAK,
	CLASS_SOFT,
	CLASS_FINAL,
	CLASS_PHANTOM,
	CLASS_OBJECTS,  /* java.lang.Object[] */
	CLASS_BOOLEANS, /* in the order of enum hprof_type */
	CLASS_CHARS,
	CLASS_FLOATS,
	CLASS_DOUBLES,
	CLASS_BYTES,
	CLASS_SHORTS,
	CLASS_INTS,
	CLASS_LONGS,
	CLASS_BUILTINS,
};

/* A root that is a goroutine, or a local of one. */
struct hprof_thread {
	uint32_t id;     /* of the root */
	uint32_t parent; /* of a local: its goroutine */
	uint32_t name;   /* string */
	uint64_t goroutine;
};

struct hprof_model {
	const struct objects *o;
	struct strtab strings;
	VEC(struct hprof_class) classes;
	struct map64 by_shape;            /* of objects -> class */
	struct map64 by_field;            /* class and offset -> 1 */
	struct map64 by_package;          /* string -> class whose statics there is room in */
	struct map64 sizes;               /* type -> how many classes it has */
	VEC(struct hprof_thread) threads; /* by id */
	VEC(uint32_t) functions;          /* strings: goroutines' names, each once */
	struct map64 by_function;         /* string -> index in functions */
	/* the source of edges that is being told of */
	uint32_t class, statics_of, static_name;
	enum hprof_shape shape;
	bool local;
};

ERR_MUST_CHECK struct err *hprof_model_make(struct hprof_model *m, const struct objects *o);
void hprof_model_deinit(struct hprof_model *m);

/* How an object is written, and its class; after hprof_model_make(). */
enum hprof_shape hprof_shape_of(const struct hprof_model *m, const struct object *o,
				enum hprof_type *primitive);
uint32_t hprof_class_of(const struct hprof_model *m, const struct object *o);

/* The number of a string, made clean. */
ERR_MUST_CHECK struct err *hprof_string(struct hprof_model *m, const char *text, uint32_t *ret);
/* The class that a function, or a variable, is of: its package's. */
ERR_MUST_CHECK struct err *hprof_package(struct hprof_model *m, const char *name, uint32_t *class,
					 const char **rest);

#endif
