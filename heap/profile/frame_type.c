/* Frames are made in heap/mark/frame.c; docs/OUTPUT.md has their forms. */
#include "heap/profile/frame_type.h"

#include <string.h>

bool frame_type(const char *frame, const char **type, size_t *len)
{
	const char *open = strstr(frame, ". ("), *dynamic;
	size_t n = strlen(frame);

	if (!open && !strncmp(frame, "$sub_objects$ (", 15))
		open = frame + 12;
	if (!open || frame[n - 1] != ')')
		return false;
	open += 3;
	dynamic = strstr(open, " = ");
	if (dynamic)
		open = dynamic + 3;
	open += *open == '*';
	*type = open;
	*len = (size_t)(frame + n - 1 - open);
	return true;
}

bool frame_is_element(const char *frame)
{
	return !strncmp(frame, "[]. (", 5) || !strncmp(frame, "$mapkey.", 8) ||
	       !strncmp(frame, "$mapval.", 8) || !strncmp(frame, "$elem.", 6);
}
