/*
 * Frames: the steps of a path, as text and as types.
 *
 *	next. (*lru.entry)			a field and its type
 *	[]. (*main.Item)			elements
 *	$mapval. (any = *main.Session)		what an interface holds
 *	main.newMetrics.func1			whose closure it is
 *
 * With --fold=none (places.fold is false) elements are told apart up to the tenth, types have their
 * packages' import paths, and containers show what they are made of.
 */
#ifndef GRF_HEAP_MARK_FRAME_H
#define GRF_HEAP_MARK_FRAME_H

#include "heap/mark/place.h"

#define FRAME_HIDDEN UINT32_MAX /* the text of a step inside a container, which gets no node */

struct frame {
	uint32_t text; /* string id in places.frames, or FRAME_HIDDEN */
	uint32_t type; /* what is there, as fold.h tells types apart; 0: not known */
	/* An empty interface leads here, and not to JSON-like data: no recursion goes through
	 * it. */
	bool fresh;
	const char *name;   /* what the text is made of; NULL: it is not of a field */
	struct go_type *of; /* the static type */
};

VEC_NAMED(frames, struct frame);

/* "NAME. (T)". */
ERR_MUST_CHECK struct err *frames_add(struct places *p, struct frames *out, const char *name,
				      struct go_type *t);
/* The same for a field of strct, which may be a container's. */
ERR_MUST_CHECK struct err *frames_add_field(struct places *p, struct frames *out,
					    const struct go_type *strct, const char *name,
					    struct go_type *t);
/* An element of an array or a slice. */
ERR_MUST_CHECK struct err *frames_add_element(struct places *p, struct frames *out,
					      struct go_type *elem, int64_t index);
/* "$sub_objects$ (NAME)": nothing is known of the step, but what is there. */
ERR_MUST_CHECK struct err *frames_add_unknown(struct places *p, struct frames *out,
					      const char *name, struct go_type *t);
ERR_MUST_CHECK struct err *frames_add_text(struct places *p, struct frames *out, const char *text);
/* The function whose closure is there. */
ERR_MUST_CHECK struct err *frames_add_closure(struct places *p, struct frames *out,
					      const struct func *f);
/* The last visible step is to an interface that holds a `dyn`; any: an interface without
 * methods. */
ERR_MUST_CHECK struct err *frames_set_dynamic(struct places *p, struct frames *out,
					      struct go_type *dyn, bool any);

/* The text of a frame that is no step: a function's or a variable's name. */
ERR_MUST_CHECK struct err *frame_plain(struct places *p, const char *name, uint32_t *ret);
/* Cuts a text that no screen has room for, in place: type arguments first, then the end. */
void frame_bound(char *text);

/* The number of a type for folding: pointers and what they point to have the same. */
ERR_MUST_CHECK struct err *fold_type(struct places *p, struct go_type *t, uint32_t *ret);
/* That of a row of T, whichever slice, array or channel it belongs to. */
ERR_MUST_CHECK struct err *fold_row(struct places *p, const struct go_type *elem, uint32_t *ret);

#endif
