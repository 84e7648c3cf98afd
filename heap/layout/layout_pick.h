/*
 * Which layout of the runtime's structures is used for a program.
 *
 * For a release that the table has it is the table's, so that no DWARF is touched while the process
 * stands.  For any other it is that of the program's own DWARF, where it has it; without it that of
 * the nearest patch of the same minor release, which is held against the process by shape
 * (heap/capture/shape.h); otherwise there is none.
 *
 * When the process runs again the table is compared with the program's own DWARF, which decides.
 */
#ifndef GRF_HEAP_LAYOUT_LAYOUT_PICK_H
#define GRF_HEAP_LAYOUT_LAYOUT_PICK_H

#include "base/err.h"
#include "heap/layout/layout.h"

struct layout_program {
	const char *version, *goarch;
	/* Returns its DWARF, which it keeps; ERR_NODEBUG: there is none. */
	struct err *(*dwarf)(void *arg, struct dwarf **ret);
	void *arg;
};

struct layout_choice {
	bool own;      /* it is that of the program's own DWARF, not the table's */
	bool compared; /* nothing more can be learned from DWARF */
	bool agrees;   /* it is the table's, and DWARF says the same */
	char *note;    /* for the report; NULL: nothing to say */
};

void layout_choice_deinit(struct layout_choice *c);

/* ERR_VERSION: no layout; the message says what to do. */
ERR_MUST_CHECK struct err *layout_pick(const struct layout_program *x, struct layout *l,
				       struct layout_choice *c);

/* Holds l against the program's DWARF, the first time it is called.  *changed: they differed,
 * and l is DWARF's now. */
ERR_MUST_CHECK struct err *layout_compare(const struct layout_program *x, struct layout *l,
					  struct layout_choice *c, bool *changed);

/* After layout_compare(): an error that came of reading with this layout, with what to do about
 * it. */
ERR_MUST_CHECK struct err *layout_misfit(const struct layout_program *x,
					 const struct layout_choice *c, struct err *err);

#endif
