/* What a frame of a path says of the objects that are there. */
#ifndef GRF_HEAP_PROFILE_FRAME_TYPE_H
#define GRF_HEAP_PROFILE_FRAME_TYPE_H

#include <stdbool.h>
#include <stddef.h>

/* The text in its parentheses: of "val. (any = *main.T)" it is "main.T".  false: it has none. */
bool frame_type(const char *frame, const char **type, size_t *len);

/* Is this a step from a container to what is in it: "$mapval. (T)", "[]. (T)"? */
bool frame_is_element(const char *frame);

#endif
