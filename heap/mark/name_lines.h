/* Notes where the functions are that frames name (heap/profile/code_lines.h). */
#ifndef GRF_HEAP_MARK_NAME_LINES_H
#define GRF_HEAP_MARK_NAME_LINES_H

#include "heap/mark/place.h"
#include "heap/mark/walk.h"

/* The frame names f, where it begins. */
ERR_MUST_CHECK struct err *name_line_function(struct places *p, const char *frame,
					      const struct func *f);
/* The frame is a call on a stack. */
ERR_MUST_CHECK struct err *name_line_call(struct places *p, const char *frame,
					  const struct gframe *at);
/* The frame is a root on a goroutine's stack: the function that it names, or is a local of, where
 * that goroutine is in it. */
ERR_MUST_CHECK struct err *name_line_root(struct places *p, const char *frame,
					  const struct mark_root *r);
/* The frame is the closure that addr leads to. */
ERR_MUST_CHECK struct err *name_line_closure(struct places *p, const char *frame, uint64_t addr);

#endif
