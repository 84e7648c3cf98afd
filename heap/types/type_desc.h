/*
 * A type descriptor of the runtime (abi.Type), read from the image; for heap/type*.c only. Source:
 * internal/abi/type.go@go1.26, runtime/type.go up to go1.20.  Field offsets come from the layout;
 * what follows abi.Type in each kind's struct is {Elem}, {Elem, Slice, Len} and so on in all
 * releases.
 *
 * Where a function has *ok, false without an error is: not there, or no descriptor.
 */
#ifndef GRF_HEAP_TYPES_TYPE_DESC_H
#define GRF_HEAP_TYPES_TYPE_DESC_H

#include "base/limits.h"
#include "heap/types/type_int.h"

enum {
	TFLAG_UNCOMMON = 1,
	TFLAG_EXTRA_STAR = 2,
	TFLAG_NAMED = 4,
	FUNC_VARIADIC = 0x8000, /* in outCount */
};

struct desc {
	uint64_t addr, size;
	uint8_t kind, tflag;
	bool direct;
	int32_t str;
	size_t module; /* nmodules: made by reflect */
};

ERR_MUST_CHECK struct err *desc_read(struct types *t, uint64_t addr, struct desc *ret, bool *ok);

ERR_MUST_CHECK struct err *desc_get(struct types *t, uint64_t addr, unsigned size, uint64_t *ret,
				    bool *ok);
ERR_MUST_CHECK struct err *desc_word(struct types *t, uint64_t addr, uint64_t *ret, bool *ok);
/* A field of the descriptor at addr; not there in this release: *ok false. */
ERR_MUST_CHECK struct err *desc_uint(struct types *t, uint64_t addr, enum layout_id id,
				     uint64_t *ret, bool *ok);

struct desc_name {
	char *s; /* NULL: unreadable; in the arena */
	bool embedded;
	char *tag; /* NULL: none */
};

/* A nameOff: from the module's types.  Those of types made by reflect are keys of a runtime map:
 * not looked up. */
ERR_MUST_CHECK struct err *desc_read_name_off(struct types *t, const struct desc *d, int32_t off,
					      struct desc_name *ret);

/* Where the uncommon part is: right behind the kind's own struct. */
uint64_t desc_uncommon(const struct types *t, uint8_t kind);

/* A struct's slice of fields, and one of them. */
ERR_MUST_CHECK struct err *desc_fields(struct types *t, const struct desc *d, uint64_t *at,
				       uint64_t *n, bool *ok);
ERR_MUST_CHECK struct err *desc_field(struct types *t, uint64_t at, struct desc_name *name,
				      uint64_t *type, uint64_t *offset, bool *ok);

/* Types whose names are being put together: one inside itself is damaged. */
struct type_chain {
	uint64_t addr[LIMIT_TYPE_DEPTH];
	int n;
};

/* type_name.c: the full name, in the arena. */
ERR_MUST_CHECK struct err *type_full_name(struct types *t, const struct desc *d,
					  struct type_chain *chain, const char **ret);
/* type_runtime.c: types_from_runtime() on the way to another type's name. */
ERR_MUST_CHECK struct err *type_from_desc(struct types *t, uint64_t addr, struct type_chain *chain,
					  struct go_type **ret);

#endif
