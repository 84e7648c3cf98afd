/* Monotonic time in nanoseconds, for deadlines and for how long things take. */
#ifndef GRF_BASE_CLOCK_H
#define GRF_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

#endif
