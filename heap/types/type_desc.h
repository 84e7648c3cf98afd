/*
 * A type descriptor of the runtime (abi.Type), read from the image; for heap/types/ only.
 * Field offsets come from the layout; the fields behind abi.Type in each kind's struct ({Elem},
 * {Elem, Slice, Len} and so on) are the same in all releases.
 * Source: internal/abi/type.go@go1.26, runtime/type.go up to go1.20.
 *
 * Where a function has *ok, false without an error means that it is not there, or is no descriptor.
 */
#ifndef GRF_HEAP_TYPES_TYPE_DESC_H
#define GRF_HEAP_TYPES_TYPE_DESC_H

#include "base/limits.h"
#include "heap/types/type_int.h"

enum {
	TFLAG_UNCOMMON = 1 << 0, /* abi.TFlagUncommon */
	TFLAG_EXTRA_STAR = 1 << 1,
	TFLAG_NAMED = 1 << 2,
	FUNC_VARIADIC = 1 << 15, /* in abi.FuncType.OutCount */
	UNCOMMON_SIZE = 16,      /* abi.UncommonType */
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
/* A field of the descriptor at addr, and several; *ok false where this release does not have it. */
ERR_MUST_CHECK struct err *desc_uint(struct types *t, uint64_t addr, enum layout_id id,
				     uint64_t *ret, bool *ok);
ERR_MUST_CHECK struct err *desc_uints(struct types *t, uint64_t addr, const enum layout_id *ids,
				      unsigned n, uint64_t *ret, bool *ok);

struct desc_name {
	char *s; /* NULL: unreadable; in the arena */
	bool embedded;
	char *tag; /* NULL: none */
};

/* The name at a nameOff, which counts from the module's types.  In types made by reflect it is the
 * key of a runtime map, and is not looked up. */
ERR_MUST_CHECK struct err *desc_read_name_off(struct types *t, const struct desc *d, int32_t off,
					      struct desc_name *ret);

/* Where the uncommon part is, from the descriptor on: right behind the kind's own struct. */
uint64_t desc_uncommon(const struct types *t, uint8_t kind);

/* A struct's slice of fields, and one of them. */
ERR_MUST_CHECK struct err *desc_fields(struct types *t, const struct desc *d, uint64_t *at,
				       uint64_t *n, bool *ok);
ERR_MUST_CHECK struct err *desc_field(struct types *t, uint64_t at, struct desc_name *name,
				      uint64_t *type, uint64_t *offset, bool *ok);

/* The types whose names are being put together; one that is met inside itself is damaged. */
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
