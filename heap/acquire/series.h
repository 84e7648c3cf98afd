/*
 * Several captures of one process, for what grew between them: files of --base, then this run's
 * own, one or several by one connection.  Of each its folded tree is kept, and no more, so that
 * memory is that of one capture.
 *
 *	series_init()
 *	series_bases()			before the process is stopped
 *	acquire(), heap_analyse()
 *	series_next()			whether there is another one to come, after its time
 *	series_deinit()
 */
#ifndef GRF_HEAP_ACQUIRE_SERIES_H
#define GRF_HEAP_ACQUIRE_SERIES_H

#include "heap/acquire/acquire.h"
#include "heap/report/growth_set.h"

struct series_options {
	const char *const *bases; /* the oldest first */
	size_t nbases;
	/* from the beginning of one capture to that of the next; 0: there is one */
	uint64_t every_ns;
	unsigned times;
	const struct acquire_options *acquire;
	const struct analyse_options *analyse;
};

struct series {
	struct series_options o;
	struct growth_set set;
	unsigned taken;
	int64_t began; /* the last capture, by base/clock.h */
};

static inline bool series_wanted(const struct series_options *o)
{
	return o->nbases || o->every_ns;
}

/* "30s", "500ms", "5m", "1h"; a number alone is of seconds.  Nanoseconds. */
ERR_MUST_CHECK struct err *series_parse_every(const char *s, uint64_t *ret);

/* Whether they go together, and with the others, which o borrows; what o needs of these is switched
 * on. */
ERR_MUST_CHECK struct err *series_check(struct series_options *o, struct acquire_options *acquire,
					struct analyse_options *analyse);

/* What o points to is borrowed. */
ERR_MUST_CHECK struct err *series_init(struct series *s, const struct series_options *o);
void series_deinit(struct series *s);

/* Is the capture that was just made the last one, as far as is known? */
static inline bool series_is_last(const struct series *s)
{
	return !s->o.every_ns || s->taken + 1 >= s->o.times;
}

/* Reads the bases. */
ERR_MUST_CHECK struct err *series_bases(struct series *s);

/* The capture begins. */
void series_begin(struct series *s);

/*
 * Adds what was captured and analysed.  If there is more to come, waits for its time, lets go of
 * the capture, empties p and r, and says so.  Else r's growth is filled in.  SIGINT ends the
 * series.
 */
ERR_MUST_CHECK struct err *series_next(struct series *s, struct acquire *a, struct profile *p,
				       struct report *r, bool *more);

/* After an error: fills r's growth with what there is; nothing if that is less than two
 * captures. */
ERR_MUST_CHECK struct err *series_rest(struct series *s, struct report *r);

#endif
