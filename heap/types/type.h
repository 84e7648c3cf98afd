/*
 * One model of Go's types with two readers: DWARF, and the runtime's own type
 * descriptors (abi.Type) in the process's memory.  Types give names and shapes; which
 * words are pointers heap/runtime/ptrmap.h says, and never a type.
 *
 * A go_type is made once per type and lives as long as `struct types`; a type that is met both
 * ways (by a DIE with DW_AT_go_runtime_type and by its descriptor) is one go_type.  elem, key,
 * fields and map are filled lazily by types_expand(), so that only types that are used cost
 * anything.
 */
#ifndef GRF_HEAP_TYPES_TYPE_H
#define GRF_HEAP_TYPES_TYPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "heap/layout/layout.h"
#include "target/dwarf.h"
#include "target/target.h"

/* reflect.Kind, abi.Kind */
enum go_kind {
	KIND_INVALID,
	KIND_BOOL,
	KIND_INT,
	KIND_INT8,
	KIND_INT16,
	KIND_INT32,
	KIND_INT64,
	KIND_UINT,
	KIND_UINT8,
	KIND_UINT16,
	KIND_UINT32,
	KIND_UINT64,
	KIND_UINTPTR,
	KIND_FLOAT32,
	KIND_FLOAT64,
	KIND_COMPLEX64,
	KIND_COMPLEX128,
	KIND_ARRAY,
	KIND_CHAN,
	KIND_FUNC,
	KIND_INTERFACE,
	KIND_MAP,
	KIND_POINTER,
	KIND_SLICE,
	KIND_STRING,
	KIND_STRUCT,
	KIND_UNSAFE_POINTER,
};

struct go_type;

struct go_field {
	const char *name;
	uint64_t offset;
	struct go_type *type;
};

/*
 * Where keys and elements are in the memory behind a map.  Swiss (internal/runtime/maps): a group
 * is 8 control bytes and 8 slots; otherwise (runtime.hmap): a bucket is 8 tophash bytes, 8 keys, 8
 * elements, and an overflow pointer.  Key i of a group or bucket is at keys_off + i*key_stride.
 */
struct go_map {
	bool swiss;
	bool indirect_key, indirect_elem; /* the slot holds a pointer to it */
	uint32_t group_size;              /* bytes of a group or bucket */
	uint32_t keys_off, key_stride;
	uint32_t elems_off, elem_stride;
	uint32_t overflow_off; /* buckets: of the overflow pointer */
};

struct go_type {
	/* as Go prints it, with full import paths: "*net/http.Server", "map[string]int" */
	const char *name;
	uint64_t size;
	uint64_t len; /* arrays */
	uint32_t id;  /* dense, from 1, in order of creation */
	uint8_t kind; /* enum go_kind */
	bool direct;  /* pointer-shaped: an interface's data word is the value itself */
	/* KIND_INTERFACE: eface (word 0 is a type), else iface (word 0 is an itab) */
	bool is_iface_empty;
	bool expanded;
	/* from types_closure(): what a func value points to, not a type of the program */
	bool closure;
	uint32_t nfields; /* structs, in offset order */
	struct go_field *fields;
	struct go_type *elem; /* pointer, slice, array, chan, map; NULL: unknown (unsafe.Pointer) */
	struct go_type *key;  /* maps */
	struct go_map *map;   /* maps */
	uint64_t die;         /* 0: from a descriptor only */
	uint64_t rtype;       /* address of the descriptor; 0: unknown */
};

struct types;

/* A loaded module, as far as it joins descriptors and DIEs. */
struct types_module {
	uint64_t moduledata;    /* run-time address; 0: not there */
	uint64_t types, etypes; /* run-time addresses of the descriptors */
	uint64_t text, etext;   /* run-time addresses of its functions; 0, 0: all are */
	uint64_t bias;          /* of functions: run-time minus DWARF's addresses */
	struct dwarf *dwarf;    /* NULL: none for this module */
};

/* img, layout and modules' dwarf are borrowed; modules is copied. */
ERR_MUST_CHECK struct err *types_create(const struct image *img, const struct layout *layout,
					const struct types_module *modules, size_t nmodules,
					struct types **ret);
void types_destroy(struct types *t);

/* *ret is NULL, without an error, when there is no such type or it cannot be read (a damaged
 * descriptor, a cut image): names are then poorer, and nothing else.  Only ERR_NOMEM and the like
 * are errors. */
ERR_MUST_CHECK struct err *types_from_die(struct types *t, size_t module, uint64_t die,
					  struct go_type **ret);
/* addr: a run-time abi.Type address, in a module or on the heap (made by reflect). */
ERR_MUST_CHECK struct err *types_from_runtime(struct types *t, uint64_t addr, struct go_type **ret);

/* Fills elem, key, fields and map of a type that came from here. */
ERR_MUST_CHECK struct err *types_expand(struct types *t, struct go_type *type);

/* "*T" of a T. */
ERR_MUST_CHECK struct err *types_pointer_to(struct types *t, struct go_type *elem,
					    struct go_type **ret);
/* A struct named `field` of one field with that name, for what has no type of its own. */
ERR_MUST_CHECK struct err *types_struct_of(struct types *t, const char *field, struct go_type *type,
					   struct go_type **ret);
/* A type by its full name, NULL if there is none.  Without DWARF only those named types are found
 * that reflect knows. */
ERR_MUST_CHECK struct err *types_by_name(struct types *t, const char *name, struct go_type **ret);

/*
 * Calls found() for each struct type of more than `min` and at most `max` bytes that has an `inner`
 * at offset `off`, as a field or deeper within one.
 */
ERR_MUST_CHECK struct err *types_around(struct types *t, const struct go_type *inner, uint64_t off,
					uint64_t min, uint64_t max,
					struct err *(*found)(void *arg, struct go_type *outer),
					void *arg);

/* The map whose groups or buckets are of the type with this descriptor; NULL: there is none, or its
 * module has DWARF. */
ERR_MUST_CHECK struct err *types_map_of_group(struct types *t, uint64_t rtype,
					      struct go_type **ret);

/*
 * Instances of generic code (type_dict.c).  A dictionary's symbol ("main..dict.hold[*main.Item]")
 * and run-time address; other symbols are passed over.
 */
ERR_MUST_CHECK struct err *types_add_dict(struct types *t, const char *symbol, uint64_t addr,
					  uint64_t size);
/*
 * The type that a variable of type `shape` with this dictionary index really has in func
 * ("main.hold[go.shape.*uint8]"), and what func is then called; NULL: nobody knows.  words are
 * those of the frame, one of which may be the dictionary's address.
 */
ERR_MUST_CHECK struct err *types_instance(struct types *t, const char *func, uint32_t index,
					  const struct go_type *shape, const uint64_t *words,
					  size_t nwords, struct go_type **ret, const char **name);

/*
 * The closure object of the function that starts at run-time address entry: a struct {F uintptr;
 * captured variables by name}, which has the function's name.  Where DWARF says nothing about its
 * captures it has F alone.  Before Go 1.23 the order of the fields is not known: variants 1, 2, ...
 * are the other orders, up to the first that is NULL; the object's own pointer map tells which of
 * them it is.
 */
/* The same of a method value: {F uintptr; R receiver} (cmd/compile, methodValueWrapper). */
ERR_MUST_CHECK struct err *types_method_value(struct types *t, uint64_t entry, const char *name,
					      struct go_type *receiver, struct go_type **ret);
ERR_MUST_CHECK struct err *types_closure(struct types *t, uint64_t entry, const char *name,
					 unsigned variant, struct go_type **ret);

#endif
