/* The table of types from inside: what the files of heap/types/ have in common, and nobody else. */
#ifndef GRF_HEAP_TYPES_TYPE_INT_H
#define GRF_HEAP_TYPES_TYPE_INT_H

#include "base/arena.h"
#include "base/hash.h"
#include "base/vec.h"
#include "heap/types/type.h"

struct type_listed {
	uint64_t addr;
	uint32_t next; /* index + 1 of another with the same string; 0: the last */
};

struct type_dict {
	const char *name; /* "main.hold[*main.Item]" */
	uint64_t addr, size;
	uint32_t next; /* index + 1 of another instance; 0: the last */
};

struct types {
	const struct image *img;
	struct bytes_fmt fmt;
	const struct layout *layout;
	struct types_module *modules;
	size_t nmodules;

	struct arena arena;    /* types, fields, names */
	struct map64 *by_die;  /* of each module: DIE -> struct go_type * */
	struct map64 by_rtype; /* descriptor -> struct go_type * */
	struct map64 pointers; /* id of what they point to -> struct go_type * */
	struct map64 closures; /* entry and variant -> struct go_type * */
	struct map64 boxes;    /* id of their field's type -> struct go_type * */
	uint32_t n;

	/* type_around.c */
	VEC(struct go_type *) structs; /* by size */
	bool have_structs;

	uint64_t name_bytes; /* of names that were read or made of descriptors */

	/* type_index.c */
	struct map64 listed_by_name; /* hash of a descriptor's string -> index in listed */
	struct map64 listed_at;      /* what is in listed, by address */
	VEC(struct type_listed) listed;
	struct map64 map_by_group; /* descriptor of a map's group or bucket -> the map's */
	bool have_listed;

	/* type_dict.c */
	/* hash of the generic function's or type's name -> index in dicts */
	struct map64 dict_by_base;
	VEC(struct type_dict) dicts;
};

/* The runtime refuses to keep keys and elements of more bytes inside a map (abi.MapMaxKeyBytes
 * and MapMaxElemBytes@go1.26, runtime.maxKeySize@go1.17; 128 in all releases): the slot then
 * holds a pointer. */
enum { MAP_MAX_INLINE = 128 };

/* The index of the module that a descriptor lies in; nmodules where it lies in none. */
size_t types_module_of(const struct types *t, uint64_t rtype);

/* A new zeroed type with its id. */
ERR_MUST_CHECK struct err *type_new(struct types *t, uint8_t kind, const char *name, uint64_t size,
				    struct go_type **ret);
ERR_MUST_CHECK struct err *type_remember(struct map64 *m, uint64_t key, struct go_type *type);
struct go_type *type_recall(const struct map64 *m, uint64_t key);

/* Damage and absence are no errors where types are concerned: they are freed, other errors stay. */
ERR_MUST_CHECK struct err *type_absorb(struct err *err);

/* By offset; fields that come sorted stay as they are. */
void type_sort_fields(struct go_field *f, uint32_t n);

/* type_index.c: all types that are listed for reflect, of modules without DWARF. */
ERR_MUST_CHECK struct err *types_list(struct types *t);
/* type_index.c: types_by_name() for modules without DWARF. */
ERR_MUST_CHECK struct err *types_listed(struct types *t, const char *name, struct go_type **ret);

/* type_dwarf.c */
ERR_MUST_CHECK struct err *type_expand_dwarf(struct types *t, size_t module, struct go_type *type);
/* type_runtime.c */
ERR_MUST_CHECK struct err *type_expand_runtime(struct types *t, struct go_type *type);
/* type_desc.c.  A named type's own string ("http.Server"), which lies in the image; false: the type
 * has no name, or there is no descriptor. */
bool type_named(struct types *t, uint64_t rtype, const char **s, size_t *len);
/* The descriptor of what a pointer's descriptor points to; false: it is no pointer's. */
bool type_pointee(struct types *t, uint64_t rtype, uint64_t *elem);
/* The descriptor that a map's has of its groups or buckets; false: it is no map's. */
bool type_map_group(struct types *t, uint64_t rtype, uint64_t *group);
/* A descriptor's length with all that follows it (abi.Type.DescriptorSize@go1.27); 0: there is no
 * descriptor. */
uint64_t type_desc_size(struct types *t, uint64_t rtype);
/* Whether it says that an interface holds the value itself; *known false if it can't be read. */
ERR_MUST_CHECK struct err *type_read_direct(struct types *t, uint64_t rtype, bool *known,
					    bool *direct);

#endif
