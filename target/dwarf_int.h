/*
 * The insides of struct dwarf, for target/dwarf*.c only.  From the bottom up: dwarf_sections.c,
 * dwarf_object.c and dwarf_lists.c read sections; dwarf_die.c one DIE; dwarf.c the units;
 * dwarf_types.c one type; dwarf_index.c makes the tables; dwarf_locals.c and dwarf_closures.c look
 * into functions.
 */
#ifndef GRF_TARGET_DWARF_INT_H
#define GRF_TARGET_DWARF_INT_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/vec.h"
#include "target/dwarf.h"
#include "target/dwarf_lib.h"
#include "target/dwarf_lists.h"
#include "target/dwarf_sections.h"
#include "target/symname.h"

struct dwarf_cu {
	uint64_t die, end; /* its DIEs are at [die, end) */
	uint64_t low_pc;
	uint64_t addr_base; /* DWARF 5: of its entries in .debug_addr */
	uint8_t version, addr_size;
	bool go;
	bool types; /* it holds Go's types */
	bool walked;
};

struct dwarf_func {
	uint64_t low, high; /* [low, high) */
	uint64_t die;
};

struct dwarf_name {
	const char *name;
	uint64_t die;
	uint8_t rank; /* of two with one name the higher is found */
};

struct dwarf {
	struct elf *elf;
	struct dwarf_sections *sections;
	lib_object object; /* what dbg reads: sections */
	Dwarf_Debug dbg;
	struct arena strings;
	VEC(struct dwarf_cu) cus; /* by offset */
	bool have_cus, have_types, have_index;
	bool no_memory; /* libdwarf had none, once */

	/* types */
	VEC(struct dwarf_name) names;
	uint32_t *name_slots;    /* index + 1; 0 is empty */
	uint32_t nname_slots;    /* a power of two, or 0 */
	struct map64 by_runtime; /* DW_AT_go_runtime_type -> index in names */

	/* functions and variables */
	VEC(struct dwarf_func) funcs; /* by low, once have_index */
	VEC(struct dwarf_var) vars;   /* by addr, once have_index */

	struct dwarf_lists *lists;
};

/* dwarf_object.c: opens the sections as an object of libdwarf's.  Returns DW_DLV_*. */
int dwarf_object_open(struct dwarf_sections *s, lib_object *o, Dwarf_Debug *dbg, Dwarf_Error *e);

/* A failed libdwarf call as an error; frees e. */
ERR_MUST_CHECK struct err *dwarf_lib_err(struct dwarf *d, Dwarf_Error e, const char *what);
/* A failed call that does not matter: frees e.  But where it was for want of memory, what the call
 * would have said is missing, and dwarf_settle() says so. */
void dwarf_lib_drop(struct dwarf *d, Dwarf_Error *e);
/* ERR_NOMEM: libdwarf had no memory once, so that something may be missing.  What hands something
 * out ends with it. */
ERR_MUST_CHECK struct err *dwarf_settle(const struct dwarf *d);

/* A guard: DIE_GUARD Dwarf_Die die = NULL; */
void dwarf_die_free(Dwarf_Die *die);
#define DIE_GUARD __attribute__((cleanup(dwarf_die_free)))

/* False: no such DIE, or damaged. */
bool dwarf_die_at(struct dwarf *d, uint64_t off, Dwarf_Die *ret);
bool dwarf_die_child(struct dwarf *d, Dwarf_Die die, Dwarf_Die *ret);
/* Replaces *die by its next sibling; false at the end (*die is freed and NULL then). */
bool dwarf_die_next(struct dwarf *d, Dwarf_Die *die);
uint16_t dwarf_die_tag(struct dwarf *d, Dwarf_Die die); /* 0: damaged */
uint64_t dwarf_die_off(struct dwarf *d, Dwarf_Die die);
const char *dwarf_die_str(struct dwarf *d, Dwarf_Die die, uint16_t at); /* NULL: none */
/* An attribute of each kind; false: the DIE has none, or it has another form. */
bool dwarf_die_uint(struct dwarf *d, Dwarf_Die die, uint16_t at, uint64_t *ret);
bool dwarf_die_addr(struct dwarf *d, Dwarf_Die die, uint16_t at, uint64_t *ret);
bool dwarf_die_ref(struct dwarf *d, Dwarf_Die die, uint16_t at, uint64_t *ret);
bool dwarf_die_range(struct dwarf *d, Dwarf_Die die, uint64_t *low, uint64_t *high);
/* As dwarf_die_str() and the others, but what the DIE lacks is taken from the one that it came from
 * (DW_AT_abstract_origin): the name and type of what was inlined stand there. */
const char *dwarf_origin_str(struct dwarf *d, Dwarf_Die die, uint16_t at);
bool dwarf_origin_val(struct dwarf *d, Dwarf_Die die, uint16_t at,
		      bool (*get)(struct dwarf *, Dwarf_Die, uint16_t, uint64_t *), uint64_t *ret);
/* A variable's type, and its index in the generic function's dictionary plus 1 (0: none).  A type
 * with an index is a typedef inside the function (cmd/internal/dwarf/dwarf.go, putparamtypes). */
bool dwarf_var_type(struct dwarf *d, Dwarf_Die var, uint64_t *type, uint32_t *dict);
/* A block's bytes, which are not to be freed; of a list *block is NULL and *len its offset in its
 * section. */
bool dwarf_die_block(struct dwarf *d, Dwarf_Die die, uint16_t at, const uint8_t **block,
		     uint64_t *len);

/* dwarf.c: reads the units, once. */
ERR_MUST_CHECK struct err *dwarf_need_cus(struct dwarf *d);
const struct dwarf_cu *dwarf_cu_of(const struct dwarf *d, uint64_t die); /* NULL: none */

/* dwarf_types.c */
uint64_t dwarf_type_size(struct dwarf *d, uint64_t die); /* 0: unknown */
/* The type's offset from moduledata.types; 0: none. */
uint64_t dwarf_type_runtime(struct dwarf *d, Dwarf_Die die, const char *name);

/* dwarf_index.c: makes the tables of types, functions and variables, once. */
ERR_MUST_CHECK struct err *dwarf_need_index(struct dwarf *d);
/* The function that holds pc; NULL: none.  After dwarf_need_index(). */
const struct dwarf_func *dwarf_find_func(const struct dwarf *d, uint64_t pc);

#endif
