/*
 * How near a word is to another, for "did you mean".
 */
#ifndef GRF_BASE_SIMILAR_H
#define GRF_BASE_SIMILAR_H

#include <stddef.h>

enum { SIMILAR_MAX = 32 }; /* bytes of a word that is compared */

/*
 * The least number of bytes to insert, delete, change or swap with their neighbours that makes b of
 * a (the optimal string alignment distance).  SIMILAR_MAX where a word is longer than that.
 */
unsigned similar_distance(const char *a, const char *b);

#endif
