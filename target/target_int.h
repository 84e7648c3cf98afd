/* What kinds of targets share: target/live.c, target/core.c.  Not for use outside target/. */
#ifndef GRF_TARGET_TARGET_INT_H
#define GRF_TARGET_TARGET_INT_H

#include "target/target.h"

struct target_ops {
	void (*destroy)(struct target *t);
	struct err *(*threads)(struct target *t, struct threads *ret); /* sorted by tid */
	/* asked once; ERR_NODEBUG: there is none */
	struct err *(*auxv)(struct target *t, struct buf *ret);
};

struct target {
	struct mem_source source; /* first: what mem_source.readv gets is a struct target */
	const struct target_ops *ops;
	const struct arch *arch;
	void (*progress)(void *arg, uint64_t bytes); /* NULL: none */
	void *progress_arg;
	struct ranges peeked;
	struct buf auxv;
	bool auxv_read;
};

/* Sorts by tid. */
void threads_sort(struct threads *threads);

#endif
